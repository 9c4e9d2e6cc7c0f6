package ip

import (
	"strings"
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb/header"
)

// Ifaddr is an address of a device (Linux: struct in_ifaddr).
type Ifaddr struct {
	Local     header.Addr
	Address   header.Addr // the peer's of a point-to-point link, else Local
	Bits      int         // prefix length
	Broadcast header.Addr // 0 for none
	Scope     fib.Scope
	Secondary bool   // another address of the same subnet came first
	Label     string // "" for the device's name
	Flags     uint32 // IFA_F_*, without SECONDARY and PERMANENT
	Metric    uint32 // priority of the route of the subnet
	Protocol  uint8  // IFAPROT_*

	// ValidLft and PreferredLft are the lifetimes in seconds from Updated on;
	// Forever for no end. At the end of the first the address is removed, at
	// that of the second it gets IFAFDeprecated.
	ValidLft, PreferredLft uint32
	Created, Updated       int64 // on the instance's clock, ns
}

// Forever is a lifetime without end (Linux: INFINITY_LIFE_TIME).
const Forever = 0xffffffff

// IFAFNoPrefixRoute is an address that brings no route for its subnet (Linux:
// IFA_F_NOPREFIXROUTE).
const IFAFNoPrefixRoute = 0x200

// Match reports whether a lies in the subnet of the address (Linux:
// inet_ifa_match).
func (ifa *Ifaddr) Match(a header.Addr) bool { return (a^ifa.Address)&header.Mask(ifa.Bits) == 0 }

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
	prohibitIn, blackholeIn       *Rtable
	bcastOut, mcastOut, directOut *Rtable
	mcastLoopOut                  *Rtable // to a group this host is in itself
	mrouteIn, mrouteLocalIn       *Rtable // the multicast router's, and for this host too
	mrouteOut, mrouteLoopOut      *Rtable
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

		mcastLoopOut: rt(fib.Multicast, RTCFMulticast|RTCFLocal, inLocal, outMC),

		mrouteIn:      rt(fib.Multicast, RTCFMulticast, inMRoute, outBug),
		mrouteLocalIn: rt(fib.Multicast, RTCFLocal|RTCFMulticast, inMRoute, outBug),
		mrouteOut:     rt(fib.Multicast, RTCFMulticast, inMRoute, outMC),
		mrouteLoopOut: rt(fib.Multicast, RTCFMulticast|RTCFLocal, inMRoute, outMC),
	}
	r.prohibitIn = rt(fib.Prohibit, 0, inError, outBug)
	r.prohibitIn.Err = syscall.EACCES
	r.blackholeIn = rt(fib.Blackhole, 0, inError, outBug)
	r.blackholeIn.Err = syscall.EINVAL
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
	n.FIB.Bump() // decisions that were kept may be others now
}

// AddDevice gives a device its IPv4 side (Linux: inetdev_init). Doing it twice
// changes nothing.
func (n *Net) AddDevice(dev *napi.NetDevice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.InDev(dev.Ifindex()) == nil {
		c := &DevConf{}
		c.copyFrom(&n.ConfDefault)
		n.registerConf(c, sysctlName(dev))
		n.setInDev(dev.Ifindex(), &InDev{Dev: dev, Conf: c, devRoutes: n.newDevRoutes(dev)})
	}
}

// sysctlName is the name of a device in a setting's name: the dot of eth0.100
// is not one between parts.
func sysctlName(dev *napi.NetDevice) string { return strings.ReplaceAll(dev.Name(), ".", "/") }

// RemoveDevice takes it away again, with addresses, routes and neighbours
// (Linux: inetdev_destroy).
func (n *Net) RemoveDevice(dev *napi.NetDevice) {
	var evs []RTEvent
	n.mu.Lock()
	if d := n.InDev(dev.Ifindex()); d != nil {
		for i := range d.addrs {
			evs = append(evs, RTEvent{Kind: AddrDel, Dev: dev, Addr: &d.addrs[i]})
		}
		n.setInDev(dev.Ifindex(), nil)
		n.Dev.Sysctl().Unregister("net.ipv4.conf." + sysctlName(dev))
	}
	n.mu.Unlock()
	n.Notify(evs...)
	n.Notify(routesFlushed(n.FIB.SyncDown(dev, true))...)
	if n.Neigh != nil {
		n.Neigh.FlushDev(dev, true)
	}
}

// SelectAddr chooses a source address for packets to dst out of dev (Linux:
// inet_select_addr): one of the same subnet, else the device's first, else one
// of any device. 0 if there is none. dst 0 means the first that will do.
func (n *Net) SelectAddr(dev *napi.NetDevice, dst header.Addr, scope fib.Scope) header.Addr {
	var first header.Addr
	if d := n.InDev(dev.Ifindex()); d != nil {
		most := fib.ScopeHost
		if OrConf(&n.ConfAll.RouteLocalnet, &d.Conf.RouteLocalnet) {
			most = fib.ScopeLink // 127.0.0.1 may be seen outside
		}
		for i := range d.addrs {
			ifa := &d.addrs[i]
			if ifa.Secondary || min(ifa.Scope, most) > scope {
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
	f := fib.Flow{Dst: a}
	var res fib.Result
	if n.FIB.Table(fib.TableLocal).Lookup(n.FIB, &f, &res) == 0 {
		return res.Type
	}
	return fib.Unicast
}
