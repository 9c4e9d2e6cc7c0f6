package run

import (
	"net/netip"

	"barewire/inet/fib"
	"barewire/qemu/packetdrill/pdl"
	"barewire/skb/header"
)

// tunRoute is what a script says of a route over the TUN device.
type tunRoute struct {
	dst     netip.Prefix
	via     netip.Addr
	lock    uint32 // bits of metrics that discovery does not change
	metrics fib.Metrics
}

// setRoute does "ip route op".
func (b *barewire) setRoute(op string, r *tunRoute) error {
	if !r.dst.Addr().Is4() || r.via.IsValid() && !r.via.Is4() {
		return &pdl.Unsupported{What: "a route that is not IPv4"}
	}
	r.metrics[fib.RTAXLock] |= r.lock
	c := fib.Config{
		Dst: header.AddrFrom4(r.dst.Addr().As4()), Bits: r.dst.Bits(), OIF: b.tun.Dev().Ifindex(),
		Type: fib.Unicast, Scope: fib.ScopeLink, Protocol: 3, Metrics: r.metrics,
	}
	if r.via.IsValid() {
		c.Gateway, c.Scope = header.AddrFrom4(r.via.As4()), fib.ScopeUniverse
	}
	flags := uint16(fib.FlagCreate)
	switch op {
	case "add":
		flags |= fib.FlagExcl
	case "replace":
		flags |= fib.FlagReplace
	case "change":
		flags = fib.FlagReplace
	case "append":
		flags |= fib.FlagAppend
	case "del", "delete":
		c.Type, c.Scope, c.Protocol = fib.Unspec, fib.ScopeNowhere, 0
		return b.in.Inet().IP().DelRoute(&c)
	default:
		return &pdl.Unsupported{What: "ip route " + op}
	}
	return b.in.Inet().IP().NewRoute(&c, flags)
}
