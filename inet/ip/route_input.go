package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// routeInput decides over a received packet (Linux: ip_route_input_noref). Its
// Data is the IP header. Nil means that it is to be dropped, for the reason
// given.
func (n *Net) routeInput(b *skb.Buff, src, dst header.Addr, tos uint8, dev *napi.NetDevice) (*Rtable, skb.Reason) {
	d := n.InDev(dev.Ifindex())
	if d == nil {
		return nil, skb.IPInAddrErrors
	}
	if dst.IsMulticast() {
		return n.routeInputMC(b, d, src, dst, tos)
	}
	if src.IsMulticast() || src.IsLBcast() {
		return n.martianSource(d, src, dst, skb.IPInvalidSource)
	}
	if dst.IsLBcast() || src == 0 && dst == 0 {
		return n.broadcastInput(b, d, src, dst, tos)
	}
	switch {
	case src.IsZeronet():
		return n.martianSource(d, src, dst, skb.IPInvalidSource)
	case dst.IsZeronet():
		return n.martianDestination(d, src, dst, skb.IPInvalidDest)
	case dst.IsLoopback() || src.IsLoopback():
		// Packets over the loopback device have their decision already and
		// come here only if somebody took it away.
		switch {
		case OrConf(&n.ConfAll.RouteLocalnet, &d.Conf.RouteLocalnet):
		case dst.IsLoopback():
			return n.martianDestination(d, src, dst, skb.IPLocalnet)
		default:
			return n.martianSource(d, src, dst, skb.IPLocalnet)
		}
	}
	var f fib.Flow // field by field: a literal would be made elsewhere and copied
	f.Dst, f.Src, f.IIF, f.TOS, f.Mark = dst, src, dev.Ifindex(), tos, b.Mark
	flowPorts(b, &f)
	var res fib.Result
	err := n.FIB.Lookup(&f, &res)
	forwarding := d.Conf.Forwarding.Load() != 0
	switch {
	case err != 0:
		n.RouteStats.InNoRoute.Add(1)
		if !forwarding {
			return d.hostUnreachIn, 0
		}
		return d.errorIn(err), 0
	case res.Type == fib.Broadcast:
		if !AndConf(&n.ConfAll.BcForwarding, &d.Conf.BcForwarding) || res.NH == nil {
			return n.broadcastInput(b, d, src, dst, tos)
		}
	case res.Type == fib.Local:
		if _, why := n.validateSource(b, d, src, dst, tos, 0); why != 0 {
			return n.martianSource(d, src, dst, why)
		}
		return d.localIn, 0
	case !forwarding:
		n.RouteStats.InNoRoute.Add(1)
		return d.hostUnreachIn, 0
	case res.Type != fib.Unicast || res.NH == nil:
		return n.martianDestination(d, src, dst, skb.IPInvalidDest)
	}
	if len(res.NHs) > 1 {
		n.selectNexthop(&res, &f, b)
	}
	near, why := n.validateSource(b, d, src, dst, tos, res.NH.OIF)
	if why != 0 {
		return n.martianSource(d, src, dst, why)
	}
	// Who sends over us what we send back the way it came could do without us
	// (RFC 1812 section 5.2.7.2).
	if near && res.NH.Dev == dev && n.sendsRedirects(d) &&
		(OrConf(&n.ConfAll.SharedMedia, &d.Conf.SharedMedia) || d.OnLink(src, res.NH.Gateway)) {
		b.CB[2] |= cbRedirect
	}
	return n.nexthopRoute(res.NH, dst), 0
}

func (n *Net) sendsRedirects(d *InDev) bool {
	return OrConf(&n.ConfAll.SendRedirects, &d.Conf.SendRedirects)
}

// routeInputMC decides over a packet to a group (Linux: ip_route_input_mc,
// ip_mc_validate_source).
func (n *Net) routeInputMC(b *skb.Buff, d *InDev, src, dst header.Addr, tos uint8) (*Rtable, skb.Reason) {
	proto := header.IPv4(b.Data()).Protocol()
	// All hosts is the one group every host is in (RFC 1112 section 7.2).
	our, routed := dst == header.AddrAllHosts, n.routesGroups(d, dst)
	if n.MC != nil {
		our = n.MC.Check(d, dst, src, proto)
	}
	if !our && !routed {
		return nil, skb.IPInAddrErrors
	}
	n.RouteStats.InSlowMC.Add(1)
	switch {
	case src.IsMulticast(), src.IsLBcast(),
		src.IsZeronet() && !dst.IsLocalMulticast() && proto != header.ProtoIGMP:
		return nil, skb.IPInvalidSource
	case src.IsLoopback() && !OrConf(&n.ConfAll.RouteLocalnet, &d.Conf.RouteLocalnet):
		return nil, skb.IPLocalnet
	case !src.IsZeronet():
		if _, why := n.validateSource(b, d, src, 0, tos, 0); why != 0 {
			return nil, why
		}
	}
	switch {
	case !routed:
		return d.mcastIn, 0
	case our:
		return d.mrouteLocalIn, 0
	}
	return d.mrouteIn, 0
}

func (n *Net) broadcastInput(b *skb.Buff, d *InDev, src, dst header.Addr, tos uint8) (*Rtable, skb.Reason) {
	if !src.IsZeronet() {
		if _, why := n.validateSource(b, d, src, 0, tos, 0); why != 0 {
			return n.martianSource(d, src, dst, why)
		}
	}
	n.RouteStats.InBrd.Add(1)
	return d.bcastIn, 0
}

// errorIn is the decision for packets that cannot be forwarded.
func (r *devRoutes) errorIn(err syscall.Errno) *Rtable {
	switch err {
	case syscall.ENETUNREACH:
		return r.netUnreachIn
	case syscall.EACCES:
		return r.prohibitIn
	case syscall.EHOSTUNREACH:
		return r.hostUnreachIn
	}
	return r.blackholeIn
}

// validateSource asks whether a source address can be true (Linux:
// fib_validate_source; RFC 3704): nobody else has ours, and with rp_filter
// packets to it would leave by this device (1), or by any (2). oif is the device
// the packet would leave by, 0 when it stays. near says that the source is on
// the link itself; that is found out only when it may matter. why is 0 or the
// reason to drop the packet.
func (n *Net) validateSource(b *skb.Buff, d *InDev, src, dst header.Addr, tos uint8, oif int32) (near bool, why skb.Reason) {
	rpf := MaxConf(&n.ConfAll.RPFilter, &d.Conf.RPFilter)
	acceptLocal := OrConf(&n.ConfAll.AcceptLocal, &d.Conf.AcceptLocal)
	if rpf == 0 && (oif != d.Dev.Ifindex() || !n.sendsRedirects(d)) {
		switch {
		case acceptLocal:
			return false, 0
		case n.FIB.CustomRules() || n.FIB.CustomLocal():
			// What is local is not only what devices have.
		case n.AddrOwner(src) != nil:
			return false, skb.IPLocalSource
		default:
			return false, 0
		}
	}
	f := fib.Flow{Dst: src, Src: dst, TOS: tos, IIF: oif}
	flowPorts(b, &f)
	f.SPort, f.DPort = f.DPort, f.SPort
	if OrConf(&n.ConfAll.SrcValidMark, &d.Conf.SrcValidMark) {
		f.Mark = b.Mark
	}
	var res fib.Result
	if err := n.FIB.Lookup(&f, &res); err != 0 {
		return false, rpFilter(rpf)
	}
	switch {
	case res.Type == fib.Local && !acceptLocal:
		return false, skb.IPLocalSource
	case res.Type != fib.Unicast && res.Type != fib.Local:
		return false, skb.IPInvalidSource
	}
	here := res.Type == fib.Local && d.Dev.Flags()&napi.IFF_LOOPBACK != 0
	for k := range res.NHs {
		here = here || res.NHs[k].Dev == d.Dev
	}
	switch {
	case here:
		return res.NH != nil && res.NH.Scope >= fib.ScopeHost, 0
	case len(d.addrs) == 0: // no route can tell
		return false, rpFilter(rpf)
	case rpf == 1:
		return false, rpFilter(rpf)
	}
	f.OIF, f.IgnoreLinkDown = d.Dev.Ifindex(), true
	if n.FIB.Lookup(&f, &res) == 0 && res.Type == fib.Unicast && res.NH != nil {
		near = res.NH.Scope >= fib.ScopeHost
	}
	return near, 0
}

// rpFilter is the end of a packet that cannot have come this way, if there is a
// filter.
func rpFilter(mode int32) skb.Reason {
	if mode == 0 {
		return 0
	}
	return skb.IPRPFilter
}

// martianSource counts, and with log_martians logs, a packet whose source
// cannot be (Linux: ip_handle_martian_source; RFC 1812 section 5.3.7).
func (n *Net) martianSource(d *InDev, src, dst header.Addr, why skb.Reason) (*Rtable, skb.Reason) {
	n.RouteStats.InMartianSrc.Add(1)
	if OrConf(&n.ConfAll.LogMartians, &d.Conf.LogMartians) && n.martians.allow(n.Dev.Clock().Now()) {
		n.Dev.Logf("IPv4: martian source %v from %v, on dev %s", dst, src, d.Dev.Name())
	}
	return nil, why
}

func (n *Net) martianDestination(d *InDev, src, dst header.Addr, why skb.Reason) (*Rtable, skb.Reason) {
	n.RouteStats.InMartianDst.Add(1)
	if OrConf(&n.ConfAll.LogMartians, &d.Conf.LogMartians) && n.martians.allow(n.Dev.Clock().Now()) {
		n.Dev.Logf("IPv4: martian destination %v from %v, dev %s", dst, src, d.Dev.Name())
	}
	return nil, why
}

// flowPorts fills in protocol and ports of a received packet, as far as they
// are in its linear part (Linux: fib4_rules_early_flow_dissect).
func flowPorts(b *skb.Buff, f *fib.Flow) {
	p := b.Data()
	if len(p) < header.IPv4MinLen {
		return
	}
	h := header.IPv4(p)
	f.Proto = h.Protocol()
	hl := h.HeaderLen()
	// Fragments have no ports; that only the first lacked them would part it
	// from the others.
	if f.Proto != header.ProtoUDP && f.Proto != protoTCP || h.IsFragment() || len(p) < hl+4 {
		return
	}
	f.SPort, f.DPort = uint16(p[hl])<<8|uint16(p[hl+1]), uint16(p[hl+2])<<8|uint16(p[hl+3])
}

const protoTCP = 6
