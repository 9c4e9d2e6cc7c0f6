package ip

import (
	"barewire/skb"
	"barewire/skb/header"
)

// earlyDemux asks the protocol of a packet for the socket it is for, before the
// packet is routed: a connection knows how the last one came (Linux:
// ip_early_demux, the first part of ip_rcv_finish_core). Nil when that is not
// known, and the tables decide. What only passes a router has no socket here, and
// is not looked for when its address says so.
func (n *Net) earlyDemux(b *skb.Buff, h header.IPv4) *Rtable {
	if n.Conf.EarlyDemux.Load() == 0 || b.Sk != nil || h.IsFragment() {
		return nil
	}
	p := n.protos[h.Protocol()].Load()
	if p == nil || p.EarlyDemux == nil || n.ConfAll.Forwarding.Load() != 0 && n.AddrOwner(h.Dst()) == nil {
		return nil
	}
	return p.EarlyDemux(b, h)
}
