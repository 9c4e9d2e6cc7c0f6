package napi

import (
	"sync/atomic"

	"barewire/skb"
)

// ptype is one registered handler (Linux: struct packet_type).
type ptype struct {
	typ uint16
	dev *NetDevice // nil: any
	fn  PacketHandler
}

// ptypeTable is an immutable snapshot of the handlers.
type ptypeTable struct {
	all  []*ptype     // taps (Linux: ptype_all)
	base [16][]*ptype // by hash of the type (Linux: ptype_base)

	ingress IngressFunc
}

// IngressFunc looks at a packet before its protocol does. False: the packet is
// gone. Softirq context; Data is at the network header, the link header is
// before it.
type IngressFunc func(b *skb.Buff, dev *NetDevice) bool

// SetIngress has fn see every packet that is received, behind the taps (Linux:
// nf_ingress in __netif_receive_skb_core); nil takes it off again.
func (n *Net) SetIngress(fn IngressFunc) {
	n.updatePtypes(func(t *ptypeTable) { t.ingress = fn })
}

func (t *ptypeTable) slot(typ uint16) *[]*ptype {
	if typ == ETH_P_ALL {
		return &t.all
	}
	return &t.base[(typ^typ>>8)&15]
}

// AddPack registers h for packets of an ethertype arriving on dev, or on any
// device when dev is nil (Linux: dev_add_pack). ETH_P_ALL is a tap: it gets a
// clone of everything received and, with PacketOutgoing, of everything
// transmitted, the latter in the sender's context and with Sk naming the sender. remove takes h off again; a
// call that is under way may still finish after it (see SoftNet.Synchronize).
func (n *Net) AddPack(typ uint16, dev *NetDevice, h PacketHandler) (remove func()) {
	p := &ptype{typ, dev, h}
	n.updatePtypes(func(t *ptypeTable) {
		l := t.slot(typ)
		*l = append((*l)[:len(*l):len(*l)], p)
	})
	return func() {
		n.updatePtypes(func(t *ptypeTable) {
			var keep []*ptype
			for _, o := range *t.slot(typ) {
				if o != p {
					keep = append(keep, o)
				}
			}
			*t.slot(typ) = keep
		})
	}
}

// updatePtypes puts a changed copy of the handlers in place. change works on the
// copy, whose lists are still the old one's, and may be called more than once.
func (n *Net) updatePtypes(change func(t *ptypeTable)) {
	for {
		old := n.ptypes.Load()
		t := *old
		change(&t)
		if n.ptypes.CompareAndSwap(old, &t) {
			return
		}
	}
}

// receiveSkb passes a packet to the taps and to its protocol (Linux:
// __netif_receive_skb_core). Consumes b. Softirq context.
func (s *SoftNet) receiveSkb(t *ptypeTable, b *skb.Buff) {
	dev, ok := b.Dev.(*NetDevice)
	if !ok {
		b.Free(skb.DevReady)
		return
	}
	b.ResetNetworkHeader()
	b.ResetTransportHeader()
	if b.Iif == 0 {
		b.Iif = dev.Ifindex()
	}
	b.CPU = uint16(s.cpu)
	s.processed++
	for _, p := range t.all {
		if p.dev == nil || p.dev == dev {
			p.fn(b.Clone(), dev)
		}
	}
	if t.ingress != nil && !t.ingress(b, dev) {
		return
	}
	var last *ptype
	for _, p := range *t.slot(b.Protocol) {
		if p.typ != b.Protocol || p.dev != nil && p.dev != dev {
			continue
		}
		if last != nil {
			last.fn(b.Clone(), dev)
		}
		last = p
	}
	if last == nil {
		dev.Stats.RxDropped.Add(1) // Linux counts nohandler for inactive slaves only
		b.Free(skb.PTypeAbsent)
		return
	}
	last.fn(b, dev)
}

// NetifRx queues a packet that arrived without a NAPI context, as loopback and
// veth do, on the backlog (Linux: netif_rx). Data is at the network header, Dev
// and Protocol are set. Any context. Consumes b; beyond netdev_max_backlog it
// is dropped and false returned.
func (n *Net) NetifRx(b *skb.Buff) bool {
	s := n.softOf(b)
	return n.netifRx(b, s, s)
}

// netifRx is NetifRx by a sender whose softirqs are from, for s where nothing is
// steered.
func (n *Net) netifRx(b *skb.Buff, s, from *SoftNet) bool {
	if len(n.softs) > 1 {
		if d, ok := b.Dev.(*NetDevice); ok {
			if st := d.RxQueues()[0].steer.Load(); st != nil {
				if to, flow := st.target(n, b); to != nil {
					return to.enqueueBacklog(b, from, flow)
				}
			}
		}
	}
	return s.enqueueBacklog(b, from, nil)
}

// tapXmit shows the taps what is about to be transmitted (Linux:
// dev_queue_xmit_nit).
func (n *Net) tapXmit(dev *NetDevice, batch []*skb.Buff) {
	all := n.ptypes.Load().all
	for _, p := range all {
		if p.dev != nil && p.dev != dev {
			continue
		}
		for _, b := range batch {
			c := b.Clone()
			c.ResetMacHeader()
			if o := c.NetworkOffset(); o < 0 || o > c.Headlen() {
				c.SetNetworkHeader(min(dev.HardHeaderLen, c.Headlen()))
			}
			c.PktType = skb.PacketOutgoing
			// Whose packet it is, for a tap that leaves out its own. It was
			// charged once: the clone has no destructor.
			c.Sk = b.Sk
			p.fn(c, dev)
		}
	}
}

// counters of a NAPI context that only its poll writes, flushed when it ends.
type rxCount struct {
	packets, bytes, multicast uint64
}

func (c *rxCount) add(b *skb.Buff) {
	c.packets++
	c.bytes += uint64(b.Len() - b.MacOffset())
	if b.PktType == skb.PacketMulticast {
		c.multicast++
	}
}

func (c *rxCount) flush(s *QueueStats, m *atomic.Uint64) {
	if c.packets == 0 {
		return
	}
	s.Packets.Add(c.packets)
	s.Bytes.Add(c.bytes)
	if c.multicast != 0 {
		m.Add(c.multicast)
	}
	*c = rxCount{}
}
