package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/napi"
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
	var dev *napi.NetDevice
	if f.Src != 0 {
		if f.Src.IsMulticast() || f.Src.IsLBcast() || f.Src.IsZeronet() {
			return nil, res, syscall.EINVAL
		}
		own := n.AddrOwner(f.Src)
		if own == nil && n.AddrType(f.Src) != fib.Local {
			return nil, res, syscall.ENETUNREACH
		}
		if f.OIF == 0 && own != nil && (f.Dst.IsMulticast() || f.Dst.IsLBcast()) {
			// The source says which link is meant.
			return n.groupOut(own, f), res, 0
		}
	}
	if f.OIF != 0 {
		dev = n.Dev.DevByIndex(f.OIF)
		if dev == nil {
			return nil, res, syscall.ENODEV
		}
		d := n.InDev(f.OIF)
		if !dev.IsUp() || d == nil {
			return nil, res, syscall.ENETUNREACH
		}
		if f.Dst.IsMulticast() || f.Dst.IsLBcast() {
			if f.Src == 0 {
				f.Src = n.SelectAddr(dev, 0, fib.ScopeLink)
			}
			return n.groupOut(d, f), res, 0
		}
		if f.Src == 0 && f.Dst == 0 {
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
		if dev != nil {
			// The device was named: the destination must be on its link.
			if f.Src == 0 {
				f.Src = n.SelectAddr(dev, 0, fib.ScopeLink)
			}
			d := n.InDev(f.OIF)
			if d == nil {
				return nil, res, syscall.ENODEV
			}
			return d.directOut, res, 0
		}
		return nil, res, err
	}
	if res.Type == fib.Local {
		if f.Src == 0 {
			if f.Src = res.PrefSrc; f.Src == 0 || f.Dst.IsLoopback() {
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
		if nh := res.Select(n.flowHash(f)); nh != nil {
			res.NH = nh
		}
	}
	if f.Src == 0 {
		f.Src = n.prefSrc(&res, f.Dst)
	}
	dev = res.NH.Dev
	d := n.InDev(dev.Ifindex())
	switch {
	case d == nil:
		return nil, res, syscall.EINVAL
	case f.Src.IsLoopback() && dev.Flags()&napi.IFF_LOOPBACK == 0 && !OrConf(&n.ConfAll.RouteLocalnet, &d.Conf.RouteLocalnet):
		return nil, res, syscall.EINVAL
	case res.Type == fib.Broadcast || f.Dst.IsLBcast():
		return d.bcastOut, res, 0
	case res.Type == fib.Multicast || f.Dst.IsMulticast():
		return n.groupOut(d, f), res, 0
	}
	return n.nexthopRoute(res.NH, f.Dst), res, 0
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
	if d == nil || !d.Dev.IsUp() {
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

// flowHash is what one nexthop of several is chosen by (Linux:
// fib_multipath_hash): the same for all packets of a conversation, and not to
// be guessed from outside.
func (n *Net) flowHash(f *fib.Flow) uint32 {
	h := n.hashKey ^ uint64(f.Src)<<32 ^ uint64(f.Dst)
	h = mix(h)
	if n.Route.MultipathHash.Load() == 1 {
		h = mix(h ^ uint64(f.SPort)<<32 ^ uint64(f.DPort)<<16 ^ uint64(f.Proto))
	}
	return uint32(h >> 32)
}

// mix spreads every bit over all (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
