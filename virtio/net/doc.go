// Package net is the virtio network device driver (virtio 1.2, 5.1).
//
//	dev, err := net.Probe(transport, stack, net.Options{Map: dma})
//
// Probe looks at the device, agrees on features and registers a
// [napi.NetDevice] "eth%d"; Open of that device fills the rings and starts it.
// While the interface is down the device stays reset and holds no memory.
//
// # Receive
//
// Every receive buffer is a page of the stack's pool. The frame becomes an skb
// over the page it arrived in; further buffers of a merged frame become
// fragments. The interrupt handler only schedules NAPI; the poll masks
// callbacks when it begins, refills the ring in batches, and notifies the
// device at most once.
//
// # Transmit
//
// Descriptors point at the packet's pages. The device's header stands in the
// packet's headroom where that is private, otherwise in an array beside the
// ring. Completions are collected by the next transmit or poll; an interrupt
// for them is only asked for when somebody waits: the ring is getting full, or
// a packet in flight has a destructor, that is, a sock is charged for it.
//
// # Several processors
//
// With VIRTIO_NET_F_MQ there is a pair of a receive and a transmit queue for each
// processor, as far as the device has them, with its own NAPI context and MSI-X
// vectors (pairs.go). Which pair a flow comes by is the device's affair, which
// follows the flow's packets that were sent: RSS and HASH_REPORT are not taken up.
// A device that says it has more than it can have, or will not use them, works with
// one pair.
//
// # A broken device
//
// A device that breaks the rules gets no further chance to: the driver takes
// the carrier down, resets it, takes back every buffer once the reset is
// confirmed, and starts it again, a bounded number of times. Pages given to a
// device that does not confirm its reset are never used again.
package net
