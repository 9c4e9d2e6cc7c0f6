package ip

import (
	"sync/atomic"

	"barewire/napi"
	"barewire/skb"
)

// rxCount adds up, while a poll lasts, what every packet counts that is received
// or passed on, and gives it to the MIB when the poll ends: an atomic addition
// costs as much as a third of a routing decision. There is one for each processor,
// for its softirq only.
type rxCount struct {
	napi.PollEnd
	n   *Net
	cpu int

	receives, octets uint64
	ecn              [4]uint64 // by codepoint, RFC 3168
	routed           uint64
	delivers         uint64
	forwarded        uint64
	transmits, out   uint64 // packets and octets, of those forwarded

	hints rxHints

	_ [64]byte // the next is another processor's
}

func (n *Net) initRxCount() {
	n.rx = make([]rxCount, n.Dev.CPUs())
	for i := range n.rx {
		c := &n.rx[i]
		c.n, c.cpu = n, i
		c.Init(c.flush)
	}
}

// received counts a packet of a device.
func (c *rxCount) received(b *skb.Buff) {
	if !c.Queued() {
		c.n.Dev.SoftNetOf(c.cpu).AtPollEnd(&c.PollEnd)
	}
	c.receives++
	c.octets += uint64(b.Len())
}

// settleRxCount returns when what was received by now is in the MIB, so that a
// program that got a packet finds it counted. Process context.
func (n *Net) settleRxCount() { n.Dev.Synchronize() }

func (c *rxCount) flush() {
	n := c.n
	m := &n.MIB.IP
	c.hints.last = nil
	give(&m.InReceives, &c.receives)
	give(&m.InOctets, &c.octets)
	give(&m.InNoECTPkts, &c.ecn[0])
	give(&m.InECT1Pkts, &c.ecn[1])
	give(&m.InECT0Pkts, &c.ecn[2])
	give(&m.InCEPkts, &c.ecn[3])
	give(&n.RouteStats.InSlowTot, &c.routed)
	give(&m.InDelivers, &c.delivers)
	give(&m.ForwDatagrams, &c.forwarded)
	give(&m.OutTransmits, &c.transmits)
	give(&m.OutOctets, &c.out)
}

func give(to *atomic.Uint64, v *uint64) {
	if *v != 0 {
		to.Add(*v)
		*v = 0
	}
}
