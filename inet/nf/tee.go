package nf

import (
	"sync/atomic"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// teeRoute is the way to the gateway that copies went to last, and when it
// holds. It does not change.
type teeRoute struct {
	gateway header.Addr
	oif     string
	tos     uint8
	gen     uint32
	rt      *ip.Rtable
}

type teePointer = atomic.Pointer[teeRoute]

// toGateway finds the way of copies (Linux: nf_dup_ipv4_route).
func (f *NF) toGateway(gateway header.Addr, oif string, tos uint8) *ip.Rtable {
	gen := f.IP.FIB.Generation()
	if r := f.teeTo.Load(); r != nil && r.gateway == gateway && r.oif == oif && r.tos == tos && r.gen == gen {
		return r.rt
	}
	fl := fib.Flow{Dst: gateway, TOS: tos}
	if oif != "" {
		dev := f.IP.Dev.DevByName(oif)
		if dev == nil {
			return nil
		}
		fl.OIF = dev.Ifindex()
	}
	rt, err := f.IP.RouteOutput(&fl)
	if err != 0 {
		return nil
	}
	rt = rt.Toward(gateway)
	f.teeTo.Store(&teeRoute{gateway, oif, tos, gen, rt})
	return rt
}

// tee sends a copy of a packet to a gateway, as it is: of no connection, not to
// be cut, and with one hop less to live where it has come in (Linux:
// nf_dup_ipv4). Copies are not copied.
func (f *NF) tee(b *skb.Buff, s netfilter.State, gateway header.Addr, oif string) {
	h, ok := header.ParseIPv4(b.Data())
	if !ok || b.NFDup {
		return
	}
	rt := f.toGateway(gateway, oif, h.TOS())
	if rt == nil {
		return
	}
	c := b.Clone()
	if c == nil {
		return
	}
	if !c.Cow(max(c.Headroom(), rt.Dev.HardHeaderLen)) {
		c.Free(skb.NoMem)
		return
	}
	c.ResetNF()
	conntrack.NoTrack(c)
	c.NFDup = true
	c.Dst = rt
	ip.ForgetForwarding(c)
	h = header.IPv4(c.Data())
	h.SetFragField(h.FragField() | header.IPDF)
	if s.Point == netfilter.PreRouting || s.Point == netfilter.LocalIn {
		h.SetTTL(h.TTL() - 1)
	}
	f.IP.LocalOut(c) // nobody waits for its errors
}
