// Package napi is the device layer: net_device, NAPI and the receive softirq,
// the transmit queues, protocol taps, timers and the clock of one stack.
//
// # Contexts
//
// Everything that Linux runs as softirq runs here on one goroutine at a time
// per [SoftNet] (softnet_data): NAPI polls, the backlog, timers, transmit
// queues that were woken. There is a SoftNet for each processor
// ([Config.CPUs]), and those of different ones run at the same time. A NAPI
// belongs to one (SetCPU); the timers are the first one's. That goroutine is the interrupt goroutine of the
// platform (irq_enter → handlers → irq_exit, here [SoftNet.IRQEnter] and
// [SoftNet.DoSoftirq]) or, when a round used up its budget or the work was
// raised from process context, ksoftirqd ([SoftNet.Run]). While ksoftirqd has
// work, interrupts leave theirs to it.
//
// Softirq code never blocks, takes no lock that a blocked goroutine may hold,
// and never the configuration lock (rtnl), under which devices are registered,
// opened and closed and notifiers run: Close waits for polls to end.
//
// # Receive
//
//	interrupt handler → Schedule → net_rx_action → NAPI.Poll → Receive/ReceiveList
//	  → RPS → netif_receive_skb → taps (ptype_all) → ptype handler (ip_rcv, arp_rcv)
//
// What has no NAPI context of its own goes by way of the backlog ([Net.NetifRx]),
// and so does what a queue's settings steer to another processor: by the hash of
// its flow (RPS), or to where its socket is read (RFS); see [RxQueue].
//
// # Processors
//
// A packet that is being received says whose softirq has it ([skb.Buff.CPU]). What
// is kept per processor without a lock, such as counters that are added up until
// a poll ends ([PollEnd]), is found by that number and by nothing else: a goroutine
// may be moved to another processor at any time, so [Config.CPU] is a hint that
// chooses between things which are all right. Who puts a packet aside and has it
// go on later, from a timer or on behalf of another packet, sets CPU anew.
// Everything else that softirqs share has a lock, is atomic, or is an immutable
// snapshot.
//
// With one processor nothing is steered, and what happens does not depend on where.
//
// # Transmit
//
//	DevQueueXmit → TxQueue (pfifo) → taps → Ops.StartXmit(batch)
//
// A driver gets batches and kicks the device once per call. A full ring stops
// the queue; the completion wakes it, and NET_TX runs it again. Of several queues a
// packet that is passed on takes that of its processor, and one made here that of its
// flow, so that flows stay in order. What the
// device cannot do is done before the packet is queued: checksums, linearising.
//
// Who sends over loopback or a veth in process context may do the receiving
// softirqs itself (BHDisable, BHEnable), as local_bh_enable does on Linux.
//
// # Counting
//
// Packets and bytes are counted here, per queue, with the link header; drivers
// count errors and what they drop in [DevStats]. Softirq code counts without
// atomics and publishes at the end of a poll.
//
// What a poll receives of one TCP flow goes up as one packet (gro.go); what of it
// is forwarded, or sent in super-packets, is cut again for devices that cannot
// (gso.go, with the protocols' functions).
//
// # Interrupts
//
// While packets keep coming polls follow one another and interrupts are off;
// an idle device interrupts for its first packet. Beyond that an administrator
// may have interrupts kept off for a while after a poll (moderate.go), and a
// reader may poll the device itself instead of waiting (busypoll.go). Both are off
// at first: they trade latency or an idle processor for something.
//
// # Not here yet
//
// Other queue disciplines, threaded NAPI, XPS by settings, timers of each processor,
// VLAN and bridge devices, XDP.
package napi
