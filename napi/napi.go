package napi

import "barewire/skb"

// DefaultWeight is how many packets one poll may hand up (Linux:
// NAPI_POLL_WEIGHT).
const DefaultWeight = 64

// Poller is the driver's half of a NAPI context.
type Poller interface {
	// Poll processes up to budget received packets and returns how many.
	// Returning less than budget means the ring is empty: the driver must
	// then have called [NAPI.CompleteDone] and unmasked its interrupt, and
	// must have looked at the ring once more after unmasking (Linux: the
	// virtqueue_enable_cb_prepare / virtqueue_poll dance). Softirq context.
	Poll(n *NAPI, budget int) int
}

// Schedule asks for a poll (Linux: napi_schedule). It may be called from any
// context, any number of times; a scheduled NAPI is polled once. The driver
// masked its interrupt before. It reports whether this call scheduled it.
func (n *NAPI) Schedule() bool { return n.schedule() }

// CompleteDone ends polling (Linux: napi_complete_done): GRO state is flushed
// and the NAPI leaves the poll list. It reports false when a Schedule came in
// meanwhile or busy polling keeps it, in which case it will be polled again
// and the interrupt must stay masked.
func (n *NAPI) CompleteDone(work int) bool { return n.completeDone(work) }

// Receive hands a packet up (Linux: napi_gro_receive). b.Dev, b.Protocol and
// the checksum state are set, Data is at the network header (EthTypeTrans does
// both). Consumes b. Only inside Poll.
func (n *NAPI) Receive(b *skb.Buff) { n.receive(b) }

// Ops is the driver's half of a device (Linux: struct net_device_ops).
type Ops interface {
	// Open brings the device up: rings filled, interrupts on (ndo_open).
	Open(dev *NetDevice) error
	// Stop undoes Open; no packet is handed up afterwards (ndo_stop).
	Stop(dev *NetDevice) error
	// StartXmit takes packets, link header included, for transmit queue q
	// (ndo_start_xmit with xmit_more folded into the batch). It returns how many it took, from the
	// front; it owns those and ends them with Consume or Free. Taking fewer
	// than all means the ring is full: the driver has called
	// [TxQueue.Stop] and will call [TxQueue.Wake] on completion. The queue's
	// xmit lock is held, so calls for one queue do not overlap. Must not block.
	StartXmit(dev *NetDevice, q *TxQueue, batch []*skb.Buff) int
}

// PacketHandler receives packets of one ethertype (Linux: packet_type.func).
// It consumes b. Softirq context.
type PacketHandler func(b *skb.Buff, dev *NetDevice)
