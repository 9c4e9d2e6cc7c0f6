package ip

import (
	"net/netip"
	"strings"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/napi"
)

// Ifaddr is an address of a device (Linux: struct in_ifaddr).
type Ifaddr struct {
	Local     header.Addr
	Bits      int         // prefix length
	Broadcast header.Addr // 0 for none
	Scope     fib.Scope
	Secondary bool // another address of the same subnet came first
}

// Match reports whether a lies in the subnet of the address.
func (ifa *Ifaddr) Match(a header.Addr) bool { return (a^ifa.Local)&header.Mask(ifa.Bits) == 0 }

// InDev is the IPv4 side of a device (Linux: struct in_device).
type InDev struct {
	Dev   *napi.NetDevice
	Conf  *DevConf // net.ipv4.conf.NAME; outlives changes of the addresses
	addrs []Ifaddr // immutable; a change replaces the InDev

	*devRoutes
}

// devRoutes are the routing decisions that belong to a device, not to a route.
// They outlive changes of the addresses.
type devRoutes struct {
	localIn, bcastIn, mcastIn     *Rtable
	hostUnreachIn, netUnreachIn   *Rtable
	bcastOut, mcastOut, directOut *Rtable
	loopOut                       *Rtable // of the loopback device: out and in again
}

func (n *Net) newDevRoutes(dev *napi.NetDevice) *devRoutes {
	rt := func(t fib.Type, flags uint32, in, out uint8) *Rtable {
		return &Rtable{net: n, Dev: dev, Type: t, Flags: flags, in: in, out: out}
	}
	r := &devRoutes{
		localIn:   rt(fib.Local, RTCFLocal, inLocal, outBug),
		bcastIn:   rt(fib.Broadcast, RTCFLocal|RTCFBroadcast, inLocal, outBug),
		mcastIn:   rt(fib.Multicast, RTCFLocal|RTCFMulticast, inLocal, outBug),
		bcastOut:  rt(fib.Broadcast, RTCFLocal|RTCFBroadcast, inLocal, outMC),
		mcastOut:  rt(fib.Multicast, RTCFMulticast, inLocal, outUnicast),
		directOut: rt(fib.Unicast, 0, inForward, outUnicast),
		loopOut:   rt(fib.Local, RTCFLocal, inLocal, outUnicast),
	}
	r.hostUnreachIn = rt(fib.Unreachable, 0, inError, outBug)
	r.hostUnreachIn.Err = syscall.EHOSTUNREACH
	r.netUnreachIn = rt(fib.Unreachable, 0, inError, outBug)
	r.netUnreachIn.Err = syscall.ENETUNREACH
	return r
}

// InDev returns the IPv4 side of the device with an index, nil if it has none.
func (n *Net) InDev(ifindex int32) *InDev {
	t := *n.indevs.Load()
	if int(ifindex) >= len(t) || ifindex < 0 {
		return nil
	}
	return t[ifindex]
}

// Addrs returns the device's addresses, in the order they were added. The
// slice must not be changed.
func (d *InDev) Addrs() []Ifaddr { return d.addrs }

// AddrOwner returns the device that has a as its own address, nil if none
// (Linux: inet_lookup_ifaddr_rcu).
func (n *Net) AddrOwner(a header.Addr) *InDev { return (*n.locals.Load())[a] }

// setInDev publishes a changed or new InDev, nil to remove; mu is held.
func (n *Net) setInDev(ifindex int32, d *InDev) {
	old := *n.indevs.Load()
	t := make([]*InDev, max(len(old), int(ifindex)+1))
	copy(t, old)
	t[ifindex] = d
	locals := make(map[header.Addr]*InDev)
	for _, d := range t {
		if d == nil {
			continue
		}
		for i := range d.addrs {
			if locals[d.addrs[i].Local] == nil {
				locals[d.addrs[i].Local] = d
			}
		}
	}
	n.indevs.Store(&t)
	n.locals.Store(&locals)
	if d != nil && d.Dev.Flags()&napi.IFF_LOOPBACK != 0 {
		n.loop.Store(d)
	}
}

// AddDevice gives a device its IPv4 side (Linux: inetdev_init). Doing it twice
// changes nothing.
func (n *Net) AddDevice(dev *napi.NetDevice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.InDev(dev.Ifindex()) == nil {
		c := &DevConf{}
		c.copyFrom(&n.ConfDefault)
		n.Dev.Sysctl().Register(c.entries(sysctlName(dev))...)
		n.setInDev(dev.Ifindex(), &InDev{Dev: dev, Conf: c, devRoutes: n.newDevRoutes(dev)})
	}
}

// sysctlName is the name of a device in a setting's name: the dot of eth0.100
// is not one between parts.
func sysctlName(dev *napi.NetDevice) string { return strings.ReplaceAll(dev.Name(), ".", "/") }

// RemoveDevice takes it away again, with addresses, routes and neighbours
// (Linux: inetdev_destroy).
func (n *Net) RemoveDevice(dev *napi.NetDevice) {
	n.mu.Lock()
	if n.InDev(dev.Ifindex()) != nil {
		n.setInDev(dev.Ifindex(), nil)
		n.Dev.Sysctl().Unregister("net.ipv4.conf." + sysctlName(dev))
	}
	n.mu.Unlock()
	n.FIB.Delete(func(r *fib.Route) bool { return r.NH.Dev == dev })
	if n.Neigh != nil {
		n.Neigh.FlushDev(dev, true)
	}
}

// AddAddr gives dev an address with its subnet, and the routes that follow
// (Linux: __inet_insert_ifa, fib_add_ifaddr). Errors: EINVAL for what is no
// IPv4 unicast address, EEXIST when the device has it, ENODEV.
func (n *Net) AddAddr(dev *napi.NetDevice, p netip.Prefix) error {
	a, ok := header.AddrFrom(p.Addr())
	if !ok || !p.IsValid() || a == header.AddrAny || a.IsMulticast() || a.IsLBcast() || p.Bits() > 32 {
		return syscall.EINVAL
	}
	ifa := Ifaddr{Local: a, Bits: p.Bits(), Scope: fib.ScopeUniverse}
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		ifa.Scope = fib.ScopeHost
	} else if ifa.Bits < 31 {
		ifa.Broadcast = a | ^header.Mask(ifa.Bits)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.InDev(dev.Ifindex())
	if d == nil || d.Dev != dev {
		return syscall.ENODEV
	}
	for i := range d.addrs {
		o := &d.addrs[i]
		if o.Local == a && o.Bits == ifa.Bits {
			return syscall.EEXIST
		}
		if o.Bits == ifa.Bits && o.Match(a) && !o.Secondary {
			ifa.Secondary = true
		}
	}
	nd := &InDev{Dev: dev, Conf: d.Conf, devRoutes: d.devRoutes}
	nd.addrs = append(append(nd.addrs, d.addrs...), ifa)
	n.setInDev(dev.Ifindex(), nd)
	n.addIfaddrRoutes(dev, &ifa)
	return nil
}

// addIfaddrRoutes is fib_add_ifaddr.
func (n *Net) addIfaddrRoutes(dev *napi.NetDevice, ifa *Ifaddr) {
	add := func(dst header.Addr, bits int, tab uint8, t fib.Type, scope fib.Scope) {
		// EEXIST: another address of the subnet has brought the route.
		n.FIB.Insert(n.route(dst, bits, tab, &fib.Info{
			Type: t, Scope: scope, Protocol: fib.ProtKernel, PrefSrc: ifa.Local,
			NH: fib.Nexthop{Dev: dev},
		}))
	}
	add(ifa.Local, 32, fib.TableLocal, fib.Local, fib.ScopeHost)
	if ifa.Broadcast != 0 {
		add(ifa.Broadcast, 32, fib.TableLocal, fib.Broadcast, fib.ScopeLink)
	}
	prefix := ifa.Local & header.Mask(ifa.Bits)
	if prefix.IsZeronet() || ifa.Secondary || prefix == ifa.Local && ifa.Bits == 32 {
		return
	}
	if dev.Flags()&napi.IFF_LOOPBACK != 0 {
		add(prefix, ifa.Bits, fib.TableLocal, fib.Local, fib.ScopeHost)
	} else {
		add(prefix, ifa.Bits, fib.TableMain, fib.Unicast, fib.ScopeLink)
	}
}

// DelAddr removes an address and the routes that came with it or prefer it.
// EADDRNOTAVAIL when the device does not have it.
func (n *Net) DelAddr(dev *napi.NetDevice, p netip.Prefix) error {
	a, ok := header.AddrFrom(p.Addr())
	if !ok {
		return syscall.EINVAL
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.InDev(dev.Ifindex())
	if d == nil {
		return syscall.ENODEV
	}
	nd := &InDev{Dev: dev, Conf: d.Conf, devRoutes: d.devRoutes}
	for _, o := range d.addrs {
		if o.Local != a || o.Bits != p.Bits() {
			nd.addrs = append(nd.addrs, o)
		}
	}
	if len(nd.addrs) == len(d.addrs) {
		return syscall.EADDRNOTAVAIL
	}
	n.setInDev(dev.Ifindex(), nd)
	n.FIB.Delete(func(r *fib.Route) bool { return r.NH.Dev == dev && r.PrefSrc == a })
	// Subnets another address shares need their routes back.
	for i := range nd.addrs {
		n.addIfaddrRoutes(dev, &nd.addrs[i])
	}
	return nil
}

// SelectAddr chooses a source address for packets to dst out of dev (Linux:
// inet_select_addr): one of the same subnet, else the device's first, else one
// of any device. 0 if there is none. dst 0 means the first that will do.
func (n *Net) SelectAddr(dev *napi.NetDevice, dst header.Addr, scope fib.Scope) header.Addr {
	var first header.Addr
	if d := n.InDev(dev.Ifindex()); d != nil {
		for i := range d.addrs {
			ifa := &d.addrs[i]
			if ifa.Secondary || ifa.Scope > scope {
				continue
			}
			if dst == 0 || ifa.Match(dst) {
				return ifa.Local
			}
			if first == 0 {
				first = ifa.Local
			}
		}
	}
	if first != 0 {
		return first
	}
	for _, d := range *n.indevs.Load() {
		if d == nil {
			continue
		}
		for i := range d.addrs {
			if ifa := &d.addrs[i]; !ifa.Secondary && ifa.Scope != fib.ScopeLink && ifa.Scope <= scope {
				return ifa.Local
			}
		}
	}
	return 0
}

// AddrType classifies an address as inet_addr_type does: Local, Broadcast,
// Multicast or Unicast.
func (n *Net) AddrType(a header.Addr) fib.Type {
	switch {
	case a.IsZeronet(), a.IsLBcast():
		return fib.Broadcast
	case a.IsMulticast():
		return fib.Multicast
	}
	res, err := n.FIB.Lookup(fib.Flow{Dst: a})
	if err == 0 && (res.Type == fib.Local || res.Type == fib.Broadcast) {
		return res.Type
	}
	return fib.Unicast
}
