package ip

import (
	"net/netip"
	"slices"
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb/header"
)

// AddrConfig is a request to add, change or delete an address of a device
// (Linux: what RTM_NEWADDR says).
type AddrConfig struct {
	Local        header.Addr
	Peer         header.Addr // other end of a point-to-point link, 0 for none
	Bits         int         // prefix length, of Peer if there is one
	Broadcast    header.Addr // 0 for none
	Scope        fib.Scope
	Label        string
	Flags        uint32 // IFA_F_*
	Metric       uint32
	Protocol     uint8
	ValidLft     uint32 // seconds; 0 means Forever
	PreferredLft uint32 // seconds; 0 with ValidLft 0 means Forever
}

// AddAddr gives dev an address with its subnet, and the routes that follow.
// Errors: EINVAL for what is no IPv4 unicast address, EEXIST when the device
// has it, ENODEV.
func (n *Net) AddAddr(dev *napi.NetDevice, p netip.Prefix) error {
	a, ok := header.AddrFrom(p.Addr())
	if !ok || !p.IsValid() || p.Bits() > 32 || a.IsMulticast() || a.IsLBcast() {
		return syscall.EINVAL
	}
	c := AddrConfig{Local: a, Bits: p.Bits()}
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		c.Scope = fib.ScopeHost
	} else if c.Bits < 31 {
		c.Broadcast = a | ^header.Mask(c.Bits)
	}
	return n.NewAddr(dev, c, fib.FlagCreate|fib.FlagExcl)
}

// NewAddr adds an address, or with fib.FlagReplace changes lifetimes, metric
// and flags of one that is there (Linux: inet_rtm_newaddr, __inet_insert_ifa).
// Errors: EINVAL, EEXIST when the device has the address, ENODEV.
func (n *Net) NewAddr(dev *napi.NetDevice, c AddrConfig, flags uint16) error {
	// Any other address will do, as in Linux, a multicast one too.
	if c.Local == 0 || c.Bits < 0 || c.Bits > 32 || c.PreferredLft > c.ValidLft && c.ValidLft != 0 {
		return syscall.EINVAL
	}
	now := n.Dev.Clock().Now()
	ifa := Ifaddr{Local: c.Local, Address: c.Peer, Bits: c.Bits, Broadcast: c.Broadcast, Scope: c.Scope, Label: c.Label,
		Flags: c.Flags, Metric: c.Metric, Protocol: c.Protocol, Created: now}
	if ifa.Address == 0 {
		ifa.Address = ifa.Local
	}
	if c.ValidLft == 0 {
		c.ValidLft, c.PreferredLft = Forever, Forever
	}
	ifa.setLifetime(c.ValidLft, c.PreferredLft, now)
	evs, err := n.insertAddr(dev, ifa, flags)
	if err != nil {
		return err
	}
	n.Notify(evs...)
	return nil
}

func (n *Net) insertAddr(dev *napi.NetDevice, ifa Ifaddr, flags uint16) ([]RTEvent, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.InDev(dev.Ifindex())
	if d == nil || d.Dev != dev {
		return nil, syscall.ENODEV
	}
	list := slices.Clone(d.addrs)
	same := func(o Ifaddr) bool { return o.Bits == ifa.Bits && o.Match(ifa.Address) }
	if i := slices.IndexFunc(list, func(o Ifaddr) bool { return o.Local == ifa.Local && same(o) }); i >= 0 {
		o := &list[i]
		if flags&fib.FlagExcl != 0 || flags&fib.FlagReplace == 0 {
			return nil, syscall.EEXIST
		}
		// Only these change: what the address is stays.
		var evs []RTEvent
		if o.Metric != ifa.Metric {
			evs = n.changeMetric(d, o, ifa.Metric)
		}
		o.Protocol = ifa.Protocol
		o.setLifetime(ifa.ValidLft, ifa.PreferredLft, ifa.Updated)
		n.setAddrs(d, list)
		n.armLifetimes()
		told := *o
		return append(evs, RTEvent{Kind: AddrNew, Flags: fib.FlagReplace, Dev: dev, Addr: &told}), nil
	}
	at := 0 // where a primary address belongs: behind those of its scope, before those of a wider one
	for i := range list {
		o := &list[i]
		if !o.Secondary && ifa.Scope <= o.Scope {
			at = i + 1
		}
		if !same(*o) {
			continue
		}
		if o.Scope != ifa.Scope {
			return nil, syscall.EINVAL
		}
		ifa.Secondary = true
	}
	if ifa.Secondary {
		at = len(list)
	}
	list = slices.Insert(list, at, ifa)
	d.Conf.settle()
	d = n.setAddrs(d, list)
	if ifa.next() != 0 {
		n.armLifetimes()
	}
	evs := n.addIfaddrRoutes(d, &ifa)
	return append([]RTEvent{{Kind: AddrNew, Dev: dev, Addr: &ifa}}, evs...), nil
}

// setAddrs publishes the changed addresses of a device; mu is held.
func (n *Net) setAddrs(d *InDev, list []Ifaddr) *InDev {
	nd := &InDev{Dev: d.Dev, Conf: d.Conf, addrs: list, devRoutes: d.devRoutes}
	n.setInDev(d.Dev.Ifindex(), nd)
	n.FIB.Bump()
	return nd
}

// addIfaddrRoutes is fib_add_ifaddr: the routes that come with an address. On a
// device that is down only the address itself works.
func (n *Net) addIfaddrRoutes(d *InDev, ifa *Ifaddr) (evs []RTEvent) {
	dev := d.Dev
	add := func(dst header.Addr, bits int, t fib.Type, scope fib.Scope, metric uint32) {
		c := &fib.Config{Dst: dst, Bits: bits, Table: fib.TableLocal, Type: t, Scope: scope, Protocol: fib.ProtKernel,
			Priority: metric, PrefSrc: n.primary(d, ifa), OIF: dev.Ifindex()}
		if t == fib.Unicast {
			c.Table = fib.TableMain
		}
		// EEXIST: another address of the subnet has brought the route.
		if ch, err := n.FIB.Insert(c, fib.FlagCreate|fib.FlagAppend); err == nil {
			evs = append(evs, RTEvent{Kind: RouteNew, Flags: ch.Flags, Route: &ch.Entry})
		}
	}
	add(ifa.Local, 32, fib.Local, fib.ScopeHost, 0)
	if !dev.IsUp() {
		return evs
	}
	if ifa.Broadcast != 0 && !ifa.Broadcast.IsLBcast() {
		add(ifa.Broadcast, 32, fib.Broadcast, fib.ScopeLink, 0)
	}
	prefix := ifa.Address & header.Mask(ifa.Bits)
	if prefix.IsZeronet() || ifa.Secondary || prefix == ifa.Local && ifa.Bits == 32 {
		return evs
	}
	if ifa.Flags&IFAFNoPrefixRoute == 0 {
		if dev.Flags()&napi.IFF_LOOPBACK != 0 {
			add(prefix, ifa.Bits, fib.Local, fib.ScopeHost, ifa.Metric)
		} else {
			add(prefix, ifa.Bits, fib.Unicast, fib.ScopeLink, ifa.Metric)
		}
	}
	if ifa.Bits < 31 {
		add(prefix|^header.Mask(ifa.Bits), 32, fib.Broadcast, fib.ScopeLink, 0)
	}
	return evs
}

// primary is the address the routes of ifa prefer: that of the first address of
// the subnet.
func (n *Net) primary(d *InDev, ifa *Ifaddr) header.Addr {
	if ifa.Secondary {
		for i := range d.addrs {
			if o := &d.addrs[i]; !o.Secondary && o.Bits == ifa.Bits && o.Match(ifa.Address) {
				return o.Local
			}
		}
	}
	return ifa.Local
}

// DelAddr removes an address and the routes that came with it or prefer it.
// EADDRNOTAVAIL when the device does not have it.
func (n *Net) DelAddr(dev *napi.NetDevice, p netip.Prefix) error {
	a, ok := header.AddrFrom(p.Addr())
	if !ok {
		return syscall.EINVAL
	}
	return n.DelAddrConfig(dev, AddrConfig{Local: a, Bits: p.Bits()})
}

// DelAddrConfig removes an address of a device; Local and Bits say which, and
// Peer if it is not 0 (Linux: inet_del_ifa). Without promote_secondaries the
// other addresses of the subnet go with its first one; with it the next takes
// its place. The routes follow. ENODEV, EADDRNOTAVAIL.
func (n *Net) DelAddrConfig(dev *napi.NetDevice, c AddrConfig) error {
	n.mu.Lock()
	evs, err := n.removeAddr(dev, c)
	n.mu.Unlock()
	if err != nil {
		return err
	}
	n.Notify(evs...)
	return nil
}

// removeAddr is __inet_del_ifa; mu is held.
func (n *Net) removeAddr(dev *napi.NetDevice, c AddrConfig) (evs []RTEvent, err error) {
	d := n.InDev(dev.Ifindex())
	if d == nil {
		return nil, syscall.ENODEV
	}
	at := slices.IndexFunc(d.addrs, func(o Ifaddr) bool {
		return o.Local == c.Local && o.Bits == c.Bits && (c.Peer == 0 || c.Peer == o.Address)
	})
	if at < 0 {
		return nil, syscall.EADDRNOTAVAIL
	}
	first := d.addrs[at]
	var gone []Ifaddr
	var promoted *Ifaddr
	list := slices.Clone(d.addrs)
	depends := func(o Ifaddr) bool {
		return !first.Secondary && o.Secondary && o.Bits == first.Bits && o.Match(first.Address)
	}
	if next := slices.IndexFunc(list[at+1:], depends); next < 0 {
		list = slices.Delete(list, at, at+1)
	} else if OrConf(&n.ConfAll.PromoteSecondaries, &d.Conf.PromoteSecondaries) {
		list, promoted = promote(list, at, at+1+next)
	} else {
		for _, o := range list[at+1:] {
			if depends(o) {
				gone = append(gone, o)
			}
		}
		rest := slices.DeleteFunc(list[at+1:], depends)
		list = append(list[:at], rest...)
	}
	gone = append(gone, first)
	d = n.setAddrs(d, list)
	for i := range gone {
		a := gone[i].Local
		evs = append(evs, RTEvent{Kind: AddrDel, Dev: dev, Addr: &gone[i]})
		evs = append(evs, routesGone(n.FIB.DeleteFunc(func(r *fib.Entry) bool {
			// A secondary address's own route prefers the first address.
			return r.Protocol == fib.ProtKernel && r.Dev() == dev &&
				(r.PrefSrc == a || r.Type == fib.Local && r.Dst == a && r.Bits == 32)
		}))...)
		if n.AddrOwner(a) == nil {
			// Nobody can send with it any more, by whatever route.
			evs = append(evs, routesFlushed(n.FIB.SyncAddr(a))...)
		}
	}
	if promoted != nil {
		evs = append(evs, RTEvent{Kind: AddrNew, Dev: dev, Addr: promoted})
	}
	// Subnets another address shares need their routes back.
	for i := range list {
		evs = append(evs, n.addIfaddrRoutes(d, &list[i])...)
	}
	if len(list) == 0 {
		// Without an address the device does not speak IPv4 (Linux:
		// fib_disable_ip).
		evs = append(evs, routesFlushed(n.FIB.SyncDown(dev, true))...)
		n.FIB.SyncUp(dev)
	}
	return evs, nil
}

// promote takes the address at i off the list and makes the one at next the
// first of the subnet instead. That moves behind the last primary one between
// the two whose scope is no wider, or where there is none takes the place.
func promote(list []Ifaddr, i, next int) ([]Ifaddr, *Ifaddr) {
	p := list[next]
	p.Secondary = false
	if next == i+1 {
		list[next] = p
		return slices.Delete(list, i, i+1), &p
	}
	last := i
	for k := i + 1; k < next; k++ {
		if !list[k].Secondary && list[i].Scope <= list[k].Scope {
			last = k
		}
	}
	list = slices.Delete(list, next, next+1)
	list = slices.Delete(list, i, i+1)
	return slices.Insert(list, last, p), &p
}
