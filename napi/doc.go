// Package napi is the device layer: net_device, NAPI and the receive softirq,
// the transmit queues, protocol taps, timers and the clock of one stack.
//
// # Contexts
//
// Everything that Linux runs as softirq runs here on one goroutine at a time
// per [SoftNet] (softnet_data): NAPI polls, the backlog, timers, transmit
// queues that were woken. That goroutine is the interrupt goroutine of the
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
//	  → netif_receive_skb → taps (ptype_all) → ptype handler (ip_rcv, arp_rcv)
//
// What has no NAPI context of its own goes by way of the backlog ([Net.NetifRx]).
//
// # Transmit
//
//	DevQueueXmit → TxQueue (pfifo) → taps → Ops.StartXmit(batch)
//
// A driver gets batches and kicks the device once per call. A full ring stops
// the queue; the completion wakes it, and NET_TX runs it again. What the
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
// Other queue disciplines, threaded NAPI, VLAN and bridge devices, XDP.
package napi
