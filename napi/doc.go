// Package napi is the device layer: net_device, NAPI and the receive softirq,
// the transmit queues, protocol taps, timers and the clock of one stack.
//
// # Contexts
//
// Everything that Linux runs as softirq runs here on one goroutine at a time
// per [SoftNet] (softnet_data): NAPI polls, the backlog, timers, transmit
// completions. That goroutine is the interrupt goroutine of the platform
// (irq_exit → [SoftNet.DoSoftirq]) or, when a round used up its budget or the
// work was raised from process context, ksoftirqd ([SoftNet.Run]). Softirq code
// never blocks and takes no lock that a blocked goroutine may hold.
//
// # Receive
//
//	interrupt handler → Schedule → net_rx_action → NAPI.Poll → Receive/ReceiveList
//	  → netif_receive_skb → taps (ptype_all) → ptype handler (ip_rcv, arp_rcv)
//
// # Transmit
//
//	DevQueueXmit → TxQueue (queue discipline) → Ops.StartXmit(batch)
//
// A driver gets batches and kicks the device once per call. A full ring stops
// the queue; the completion wakes it, and NET_TX runs it again.
package napi
