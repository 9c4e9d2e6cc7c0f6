package ip

import (
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// finish is the path behind the hooks, for a packet that comes back from a queue
// or as the whole of its fragments. Errors nobody waits for are counted on the
// way.
func (n *Net) finish(b *skb.Buff, s netfilter.State) {
	if s.Point == netfilter.PreRouting {
		if dev, ok := s.In.(*napi.NetDevice); ok {
			n.rcvFinish(b, dev)
			return
		}
		n.drop(b, skb.NotSpecified)
		return
	}
	rt, ok := b.Dst.(*Rtable)
	if !ok {
		n.drop(b, skb.NotSpecified)
		return
	}
	switch s.Point {
	case netfilter.LocalIn:
		n.localDeliverFinish(b)
	case netfilter.Forward:
		n.forwardFinish(b, rt)
	case netfilter.LocalOut:
		rt.Output(b)
	case netfilter.PostRouting:
		n.finishOutput(b, rt)
	}
}

// Defrag adds a fragment to its datagram for a hook that wants whole packets
// (Linux: nf_ct_ipv4_gather_frags). It returns the whole one when this was the
// last piece, else nil. Data is the IP header. Consumes b.
func (n *Net) Defrag(b *skb.Buff) *skb.Buff {
	b.ResetNetworkHeader()
	if b = n.defrag(b); b == nil {
		return nil
	}
	b.SetTransportHeader(header.IPv4(b.Data()).HeaderLen())
	return b
}
