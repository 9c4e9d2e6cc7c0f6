package boot

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"barewire/inet"
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
	"barewire/sys/lease"
)

// setLease makes dev's configuration that of lease to instead of from; nil is
// none. What both have stays untouched, so that a renewal disturbs no
// connection. It goes on after an error and returns all of them.
func setLease(n *inet.Net, dev *napi.NetDevice, from, to *lease.Lease) error {
	var errs []error
	fail := func(err error, what string, args ...any) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", dev.Name(), fmt.Sprintf(what, args...), err))
		}
	}
	if from == nil {
		from = &lease.Lease{}
	}
	if to == nil {
		to = &lease.Lease{}
	}
	moved := from.Addr != to.Addr
	have := func(l *lease.Lease, r lease.Route) bool {
		for _, o := range l.Routes {
			if o == r {
				return true
			}
		}
		return false
	}
	for _, r := range from.Routes {
		if moved || !have(to, r) {
			if err := delRoute(n, r, dev); err != syscall.ESRCH {
				fail(err, "removing the route to %v", r.Dst)
			}
		}
	}
	if moved && from.Addr.IsValid() {
		if err := n.DelAddr(dev, from.Addr); err != syscall.EADDRNOTAVAIL { // somebody took it away
			fail(err, "removing the address %v", from.Addr)
		}
	}
	if !to.Addr.IsValid() {
		return errors.Join(errs...)
	}
	if to.MTU != 0 && to.MTU != dev.MTU() {
		fail(dev.SetMTU(to.MTU), "mtu %d", to.MTU)
	}
	if moved {
		if err := addAddr(n, dev, to); err != syscall.EEXIST {
			fail(err, "address %v", to.Addr)
		}
	}
	for _, r := range to.Routes {
		if !moved && have(from, r) {
			continue
		}
		// A gateway outside of the subnet, as clouds have it, is on the link.
		if r.Gateway.IsValid() && !to.Addr.Contains(r.Gateway) {
			host := netip.PrefixFrom(r.Gateway, 32)
			if err := n.AddRoute(host, netip.Addr{}, dev); err != syscall.EEXIST {
				fail(err, "route to the gateway %v", r.Gateway)
			}
		}
		if err := n.AddRoute(r.Dst, r.Gateway, dev); err != syscall.EEXIST {
			fail(err, "route to %v", r.Dst)
		}
	}
	return errors.Join(errs...)
}

// addAddr gives dev the address of a lease, with the broadcast address the
// server told, or that of the subnet.
func addAddr(n *inet.Net, dev *napi.NetDevice, l *lease.Lease) error {
	brd, ok := header.AddrFrom(l.Broadcast)
	if !ok || l.Addr.Bits() > 30 {
		return n.AddAddr(dev, l.Addr)
	}
	a, _ := header.AddrFrom(l.Addr.Addr())
	return n.IP().NewAddr(dev, ip.AddrConfig{Local: a, Bits: l.Addr.Bits(), Broadcast: brd}, fib.FlagCreate|fib.FlagExcl)
}

// delRoute removes a route of a lease. ESRCH when it is not there.
func delRoute(n *inet.Net, r lease.Route, dev *napi.NetDevice) error {
	dst, _ := header.AddrFrom(r.Dst.Addr())
	c := &fib.Config{Dst: dst, Bits: r.Dst.Bits(), OIF: dev.Ifindex(), Scope: fib.ScopeNowhere}
	if r.Gateway.IsValid() {
		c.Gateway, _ = header.AddrFrom(r.Gateway)
	}
	return n.IP().DelRoute(c)
}
