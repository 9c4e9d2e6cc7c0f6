package ip

import (
	"net/netip"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// Flags of a routing decision (Linux: RTCF_*).
const (
	RTCFBroadcast = 0x10000000
	RTCFMulticast = 0x20000000
	RTCFLocal     = 0x80000000
)

// What Input and Output do with a packet.
const (
	inLocal uint8 = iota
	inForward
	inError
	outUnicast uint8 = iota
	outMC
	outBug
)

// Rtable is a routing decision (Linux: struct rtable). It is shared and does
// not change.
type Rtable struct {
	net     *Net
	Dev     *napi.NetDevice // device to send on; for local packets the one they came by
	Type    fib.Type
	Flags   uint32
	Gateway header.Addr // 0: the destination itself is the next hop
	Err     syscall.Errno

	mtu     int
	in, out uint8
}

// MTU returns the largest packet the route takes (Linux: ip_dst_mtu).
func (rt *Rtable) MTU() int {
	if rt.mtu != 0 {
		return min(rt.mtu, rt.Dev.MTU())
	}
	return min(rt.Dev.MTU(), header.IPv4MaxPacket)
}

// linkMTU is MTU without what was learnt about the path.
func (rt *Rtable) linkMTU() int { return rt.MTU() }

// Nexthop returns the address the neighbour is looked up by (Linux:
// rt_nexthop).
func (rt *Rtable) Nexthop(dst header.Addr) header.Addr {
	if rt.Gateway != 0 {
		return rt.Gateway
	}
	return dst
}

// Input implements skb.Dst (Linux: dst_input). Consumes b.
func (rt *Rtable) Input(b *skb.Buff) error {
	switch rt.in {
	case inLocal:
		rt.net.LocalDeliver(b)
	case inError:
		rt.net.inputError(b, rt)
	default:
		rt.net.forward(b, rt)
	}
	return nil
}

// Output implements skb.Dst (Linux: dst_output). Consumes b.
func (rt *Rtable) Output(b *skb.Buff) error {
	switch rt.out {
	case outUnicast:
		return rt.net.output(b, rt)
	case outMC:
		return rt.net.mcOutput(b, rt)
	}
	rt.net.drop(b, skb.IPOutNoRoutes) // a received packet's decision (Linux: ip_rt_bug)
	return syscall.EINVAL
}

// route completes a route with the decisions of its nexthop.
func (n *Net) route(dst header.Addr, bits int, tab uint8, info *fib.Info) fib.Route {
	info.NH.Out = &Rtable{net: n, Dev: info.NH.Dev, Type: fib.Unicast, Gateway: info.NH.Gateway,
		mtu: info.MTU, in: inForward, out: outUnicast}
	return fib.Route{Dst: dst & header.Mask(bits), Bits: bits, Tab: tab, Info: info}
}

// AddRoute adds a unicast route to the main table: dst through gw, or on the
// link of dev if gw is the zero Addr. dev nil means the device the gateway is
// reached by. prefSrc may be the zero Addr. Errors as Linux's: EINVAL,
// ENETUNREACH when the gateway is not on a link, EEXIST, ENODEV.
func (n *Net) AddRoute(dst netip.Prefix, gw netip.Addr, dev *napi.NetDevice, prefSrc netip.Addr, metric uint32) error {
	d, ok := header.AddrFrom(dst.Addr())
	if !ok || dst.Bits() < 0 || dst.Masked() != dst {
		return syscall.EINVAL
	}
	info := &fib.Info{Type: fib.Unicast, Scope: fib.ScopeLink, Protocol: fib.ProtBoot, Metric: metric}
	if prefSrc.IsValid() {
		s, ok := header.AddrFrom(prefSrc)
		if !ok || n.AddrOwner(s) == nil {
			return syscall.EINVAL
		}
		info.PrefSrc = s
	}
	if gw.IsValid() {
		g, ok := header.AddrFrom(gw)
		if !ok || g == 0 || n.AddrType(g) != fib.Unicast {
			return syscall.EINVAL
		}
		f := fib.Flow{Dst: g}
		if dev != nil {
			f.OIF = dev.Ifindex()
		}
		// The gateway must be on a link itself (Linux: fib_check_nh).
		res, err := n.FIB.Lookup(f)
		if err != 0 || res.Type != fib.Unicast || res.NH.Gateway != 0 {
			return syscall.ENETUNREACH
		}
		dev = res.NH.Dev
		info.NH.Gateway = g
		info.Scope = fib.ScopeUniverse
	}
	if dev == nil || n.InDev(dev.Ifindex()) == nil {
		return syscall.ENODEV
	}
	if !dev.IsUp() {
		return syscall.ENETDOWN
	}
	info.NH.Dev = dev
	return n.FIB.Insert(n.route(d, dst.Bits(), fib.TableMain, info))
}

// RouteOutput decides where a packet sent from here goes (Linux:
// ip_route_output_key). It fills in f.Src, and f.Dst when that is zero. Errors:
// ENETUNREACH, EHOSTUNREACH, EINVAL, ENODEV, EACCES.
func (n *Net) RouteOutput(f *fib.Flow) (*Rtable, syscall.Errno) {
	var dev *napi.NetDevice
	if f.Src != 0 {
		if f.Src.IsMulticast() || f.Src.IsLBcast() || f.Src.IsZeronet() {
			return nil, syscall.EINVAL
		}
		own := n.AddrOwner(f.Src)
		if own == nil && n.AddrType(f.Src) != fib.Local {
			return nil, syscall.EINVAL
		}
		if f.OIF == 0 && own != nil && (f.Dst.IsMulticast() || f.Dst.IsLBcast()) {
			// The source says which link is meant.
			dev = own.Dev
			return n.groupOut(own, f), 0
		}
	}
	if f.OIF != 0 {
		dev = n.Dev.DevByIndex(f.OIF)
		if dev == nil {
			return nil, syscall.ENODEV
		}
		d := n.InDev(f.OIF)
		if !dev.IsUp() || d == nil {
			return nil, syscall.ENETUNREACH
		}
		if f.Dst.IsMulticast() || f.Dst.IsLBcast() {
			if f.Src == 0 {
				f.Src = n.SelectAddr(dev, 0, fib.ScopeLink)
			}
			return n.groupOut(d, f), 0
		}
		if f.Src == 0 && f.Dst == 0 {
			f.Src = n.SelectAddr(dev, 0, fib.ScopeHost)
		}
	}
	if f.Dst == 0 {
		if f.Dst = f.Src; f.Dst == 0 {
			f.Dst, f.Src = header.AddrLoopback, header.AddrLoopback
		}
		return n.localOut()
	}
	if f.Dst.IsLBcast() {
		// Nobody said which link: the first one that can (Linux looks up the
		// route of 255.255.255.255, which is the default route's device).
		return n.limitedBroadcastOut(f)
	}
	res, err := n.FIB.Lookup(*f)
	if err != 0 {
		if err == syscall.ENETUNREACH && dev != nil {
			// The device was named: the destination must be on its link.
			if f.Src == 0 {
				f.Src = n.SelectAddr(dev, 0, fib.ScopeLink)
			}
			if f.Dst.IsMulticast() {
				return n.InDev(f.OIF).mcastOut, 0
			}
			return n.InDev(f.OIF).directOut, 0
		}
		return nil, err
	}
	switch res.Type {
	case fib.Local:
		if f.Src == 0 {
			if f.Src = res.PrefSrc; f.Src == 0 || f.Dst.IsLoopback() {
				f.Src = f.Dst
			}
		}
		return n.localOut()
	case fib.Broadcast:
		return n.broadcastOut(f, &res)
	}
	if f.Src == 0 {
		f.Src = n.prefSrc(&res, f.Dst)
	}
	if f.Dst.IsMulticast() {
		d := n.InDev(res.NH.Dev.Ifindex())
		if d == nil {
			return nil, syscall.ENETUNREACH
		}
		return d.mcastOut, 0
	}
	return res.NH.Out.(*Rtable), 0
}

func (n *Net) groupOut(d *InDev, f *fib.Flow) *Rtable {
	if f.Dst.IsMulticast() {
		return d.mcastOut
	}
	return d.bcastOut
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

func (n *Net) limitedBroadcastOut(f *fib.Flow) (*Rtable, syscall.Errno) {
	res, err := n.FIB.Lookup(*f)
	if err != 0 {
		return nil, err
	}
	return n.broadcastOut(f, &res)
}

// broadcastOut is the way of a broadcast by the device of res.
func (n *Net) broadcastOut(f *fib.Flow, res *fib.Result) (*Rtable, syscall.Errno) {
	if f.Src == 0 {
		f.Src = n.prefSrc(res, f.Dst)
	}
	d := n.InDev(res.NH.Dev.Ifindex())
	if d == nil {
		return nil, syscall.ENETUNREACH
	}
	return d.bcastOut, 0
}

// routeInput decides over a received packet (Linux: ip_route_input_slow). Nil
// means that it is to be dropped, for the reason given.
func (n *Net) routeInput(src, dst header.Addr, tos uint8, dev *napi.NetDevice) (*Rtable, skb.Reason) {
	d := n.InDev(dev.Ifindex())
	if d == nil {
		return nil, skb.IPInAddrErrors
	}
	if dst.IsMulticast() {
		// All hosts is the one group every host is in (RFC 1112 section 7.2).
		if dst != header.AddrAllHosts {
			return nil, skb.IPInAddrErrors
		}
		if src.IsMulticast() || src.IsLBcast() || src.IsLoopback() {
			return nil, skb.IPInvalidSource
		}
		return d.mcastIn, 0
	}
	if src.IsMulticast() || src.IsLBcast() {
		return nil, skb.IPInvalidSource
	}
	if dst.IsLBcast() || src == 0 && dst == 0 {
		return n.broadcastInput(d, src)
	}
	switch {
	case src.IsZeronet():
		return nil, skb.IPInvalidSource
	case dst.IsZeronet():
		return nil, skb.IPInAddrErrors
	case dst.IsLoopback(), src.IsLoopback():
		// Martians: packets over the loopback device have their decision
		// already and never come here.
		if src.IsLoopback() {
			return nil, skb.IPInvalidSource
		}
		return nil, skb.IPInAddrErrors
	}
	res, err := n.FIB.Lookup(fib.Flow{Dst: dst, Src: src, IIF: dev.Ifindex(), TOS: tos})
	switch {
	case err == 0 && res.Type == fib.Broadcast:
		return n.broadcastInput(d, src)
	case err == 0 && res.Type == fib.Local:
		// Somebody else claims to be us (Linux: fib_validate_source).
		if n.AddrOwner(src) != nil {
			return nil, skb.IPLocalSource
		}
		return d.localIn, 0
	}
	if d.Conf.Forwarding.Load() != 0 {
		switch {
		case err == 0 && res.Type == fib.Unicast:
			return res.NH.Out.(*Rtable), 0
		case err == syscall.ENETUNREACH:
			return d.netUnreachIn, 0
		}
	}
	// Not ours. With forwarding off every failure is host unreachable.
	return d.hostUnreachIn, 0
}

func (n *Net) broadcastInput(d *InDev, src header.Addr) (*Rtable, skb.Reason) {
	if src != 0 && n.AddrOwner(src) != nil {
		return nil, skb.IPLocalSource
	}
	return d.bcastIn, 0
}
