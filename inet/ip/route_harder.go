package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/skb"
	"barewire/skb/header"
)

// RouteMeHarder finds the route of a packet made here again, after a hook
// changed its addresses, mark or TOS (Linux: ip_route_me_harder). Data is the IP
// header. The packet stays the caller's; on an error its old route stays too.
// Errors are those of RouteOutput, ENOMEM.
func (n *Net) RouteMeHarder(b *skb.Buff) error {
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		return syscall.EINVAL
	}
	f := fib.Flow{Dst: h.Dst(), Mark: b.Mark, TOS: h.TOS() & 0x1e, Proto: h.Protocol()}
	// A source that is not ours, as of an answer made in another's name, has no
	// say in the way.
	if n.AddrType(h.Src()) == fib.Local {
		f.Src = h.Src()
	}
	if s, ok := b.Sk.(interface{ BoundDev() int32 }); ok {
		f.OIF = s.BoundDev()
	}
	rt, err := n.RouteOutput(&f)
	if err != 0 {
		return err
	}
	b.Dst = rt
	if need := rt.Dev.HardHeaderLen; b.Headroom() < need && !b.Cow(Headroom) {
		return syscall.ENOMEM
	}
	return nil
}

// RouteBack gives a packet that was not routed yet the route to its sender, by
// which an error about it can go (Linux: nf_reject_fill_skb_dst). False when
// there is none.
func (n *Net) RouteBack(b *skb.Buff) bool {
	h, ok := header.ParseIPv4(b.NetworkHeader())
	if !ok {
		return false
	}
	rt, err := n.RouteOutput(&fib.Flow{Dst: h.Src()})
	if err != 0 {
		return false
	}
	b.Dst = rt
	return true
}
