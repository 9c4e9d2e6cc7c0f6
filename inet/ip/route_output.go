package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb/header"
)

// RouteOutput decides where a packet sent from here goes (Linux:
// ip_route_output_key). It fills in f.Src, and f.Dst when that is zero. Errors:
// ENETUNREACH, EHOSTUNREACH, EINVAL, ENODEV, EACCES.
func (n *Net) RouteOutput(f *fib.Flow) (*Rtable, syscall.Errno) {
	rt, _, err := n.routeOutput(f)
	return rt, err
}

// routeOutput is RouteOutput that also returns what the tables say, when they
// were asked.
func (n *Net) routeOutput(f *fib.Flow) (rt *Rtable, res fib.Result, err syscall.Errno) {
	if f.Src != 0 {
		if f.Src.IsMulticast() || f.Src.IsLBcast() || f.Src.IsZeronet() {
			return nil, res, syscall.EINVAL
		}
		own := n.addrDev(f.Src)
		if own == nil && !f.AnySrc {
			return nil, res, syscall.ENETUNREACH
		}
		if own != nil && f.OIF == 0 && (f.Dst.IsMulticast() || f.Dst.IsLBcast()) {
			// The source says which link is meant.
			rt, err = n.routeBy(own, f, &res)
			return rt, res, err
		}
	}
	var by *InDev // the device that was named
	if f.OIF != 0 {
		dev := n.Dev.DevByIndex(f.OIF)
		if dev == nil {
			return nil, res, syscall.ENODEV
		}
		if by = n.InDev(f.OIF); !dev.IsUp() || by == nil {
			return nil, res, syscall.ENETUNREACH
		}
		if f.Dst.IsLocalMulticast() || f.Dst.IsLBcast() || f.Proto == header.ProtoIGMP {
			if f.Src == 0 {
				f.Src = n.SelectAddr(dev, 0, fib.ScopeLink)
			}
			rt, err = n.routeBy(by, f, &res)
			return rt, res, err
		}
		switch {
		case f.Src != 0:
		case f.Dst.IsMulticast():
			f.Src = n.SelectAddr(dev, 0, f.Scope)
		case f.Dst == 0:
			f.Src = n.SelectAddr(dev, 0, fib.ScopeHost)
		}
	}
	if f.Dst == 0 {
		if f.Dst = f.Src; f.Dst == 0 {
			f.Dst, f.Src = header.AddrLoopback, header.AddrLoopback
		}
		rt, err = n.localOut()
		return rt, res, err
	}
	if err = n.FIB.Lookup(f, &res); err != 0 {
		res = fib.Result{}
		if by == nil {
			return nil, res, err
		}
		// The device was named: the destination must be on its link.
		if f.Src == 0 {
			f.Src = n.SelectAddr(by.Dev, 0, fib.ScopeLink)
		}
		rt, err = n.routeBy(by, f, &res)
		return rt, res, err
	}
	if res.Type == fib.Local {
		if f.Src == 0 {
			if f.Src = res.PrefSrc; f.Src == 0 {
				f.Src = f.Dst
			}
		}
		rt, err = n.localOut()
		return rt, res, err
	}
	if res.NH == nil {
		return nil, res, syscall.EINVAL
	}
	if len(res.NHs) > 1 && f.OIF == 0 {
		n.selectNexthop(&res, f, nil)
	} else if res.Bits == 0 && f.OIF == 0 {
		n.FIB.SelectDefault(f, &res, n.reach)
	}
	if f.Src == 0 {
		f.Src = n.prefSrc(&res, f.Dst)
	}
	d := n.InDev(res.NH.Dev.Ifindex())
	if d == nil {
		return nil, res, syscall.EINVAL
	}
	rt, err = n.routeBy(d, f, &res)
	return rt, res, err
}

// SameForPorts reports whether a decision over a flow would be the same for other
// ports: no rule may look at them, and there is one nexthop to choose.
func (n *Net) SameForPorts(rt *Rtable) bool {
	return !n.FIB.CustomRules() && (rt.info == nil || len(rt.info.NHs) <= 1)
}

// addrDev returns the device that has a as its own address, or to which the
// local table gives it, as loopback gets all of 127.0.0.0/8; nil if none
// (Linux: __ip_dev_find).
func (n *Net) addrDev(a header.Addr) *InDev {
	if d := n.AddrOwner(a); d != nil {
		return d
	}
	f := fib.Flow{Dst: a}
	var res fib.Result
	if n.FIB.Table(fib.TableLocal).Lookup(n.FIB, &f, &res) != 0 || res.Type != fib.Local || res.NH == nil {
		return nil
	}
	return n.InDev(res.NH.OIF)
}

// routeBy is the decision for a flow by a device, and by the route in res if
// there is one (Linux: __mkroute_output).
func (n *Net) routeBy(d *InDev, f *fib.Flow, res *fib.Result) (*Rtable, syscall.Errno) {
	if f.Src.IsLoopback() && d.Dev.Flags()&napi.IFF_LOOPBACK == 0 && !OrConf(&n.ConfAll.RouteLocalnet, &d.Conf.RouteLocalnet) {
		return nil, syscall.EINVAL
	}
	typ := fib.Unicast
	if res.Info != nil {
		typ = res.Type
	}
	switch {
	case f.Dst.IsLBcast():
		typ = fib.Broadcast
	case f.Dst.IsMulticast():
		typ = fib.Multicast
	case f.Dst.IsZeronet():
		return nil, syscall.EINVAL
	}
	switch {
	case typ == fib.Broadcast:
		return d.bcastOut, 0
	case typ == fib.Multicast:
		return n.groupOut(d, f), 0
	case res.NH != nil:
		return n.nexthopRoute(res.NH, f.Dst), 0
	}
	return d.directOut, 0
}

// groupOut is the decision for packets to a group or to everybody by a device.
// Who is a member himself gets a copy.
func (n *Net) groupOut(d *InDev, f *fib.Flow) *Rtable {
	if !f.Dst.IsMulticast() {
		return d.bcastOut
	}
	member, routed := n.MC != nil && n.MC.Check(d, f.Dst, f.Src, f.Proto), n.routesGroups(d, f.Dst)
	switch {
	case member && routed:
		return d.mrouteLoopOut
	case routed:
		return d.mrouteOut // the multicast router gets a copy
	case member:
		return d.mcastLoopOut
	}
	return d.mcastOut
}

// localOut is the decision for packets to this host: through the loopback
// device.
func (n *Net) localOut() (*Rtable, syscall.Errno) {
	d := n.loop.Load()
	if d == nil {
		return nil, syscall.ENETUNREACH
	}
	return d.loopOut, 0
}

// prefSrc is fib_result_prefsrc.
func (n *Net) prefSrc(res *fib.Result, dst header.Addr) header.Addr {
	if res.PrefSrc != 0 {
		return res.PrefSrc
	}
	hop := dst
	if res.NH.Gateway != 0 {
		hop = res.NH.Gateway
	}
	return n.SelectAddr(res.NH.Dev, hop, res.Scope)
}

// mix spreads every bit over all (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
