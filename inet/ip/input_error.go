package ip

import (
	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// PathError acts on what an ICMP error says about the path of a packet sent
// from here: a smaller MTU, a better gateway (Linux: ipv4_update_pmtu,
// ipv4_redirect). Protocols call it from their Err with the same arguments; b
// is at the quoted IP header. Other errors change no route.
func (n *Net) PathError(b *skb.Buff, typ, code uint8, info uint32) {
	if typ != header.ICMPRedirect && (typ != header.ICMPDestUnreach || code != header.ICMPFragNeeded) {
		return
	}
	q := header.IPv4(b.Data())
	f := fib.Flow{Dst: q.Dst(), Src: q.Src(), TOS: q.TOS() & 0x1e, Proto: q.Protocol(), Mark: b.Mark}
	if typ == header.ICMPRedirect {
		if dev, ok := b.Dev.(*napi.NetDevice); ok {
			f.OIF = dev.Ifindex()
		}
	}
	rt, err := n.RouteOutput(&f)
	if err != 0 || rt == nil {
		return
	}
	if typ == header.ICMPRedirect {
		n.redirected(b, rt, q.Dst(), header.Addr(info))
		return
	}
	if u, ok := any(rt).(interface {
		UpdatePMTU(dst header.Addr, mtu int)
	}); ok {
		u.UpdatePMTU(q.Dst(), int(info))
	}
}

// redirected takes a redirect if it is to be believed (Linux:
// __ip_do_redirect; RFC 1122 section 3.2.2.2): from the gateway that the route
// has now, to one on the same link.
func (n *Net) redirected(b *skb.Buff, rt *Rtable, dst, gw header.Addr) {
	from := header.IPv4(b.NetworkHeader()).Src()
	d := n.InDev(rt.Dev.Ifindex())
	icmp := b.TransportHeader()
	if d == nil || len(icmp) < 2 || icmp[1] > header.ICMPRedirHostTOS || rt.Gateway == 0 || rt.Gateway != from ||
		gw == from || !n.acceptsRedirects(d) || gw.IsMulticast() || gw.IsLBcast() || gw.IsZeronet() {
		return
	}
	if !OrConf(&n.ConfAll.SharedMedia, &d.Conf.SharedMedia) {
		if !d.OnLink(gw, from) {
			return
		}
		// A secure redirect names a gateway we know as such.
		if OrConf(&n.ConfAll.SecureRedirects, &d.Conf.SecureRedirects) && !n.defaultGateway(gw, rt.Dev) {
			return
		}
	} else if n.AddrType(gw) != fib.Unicast {
		return
	}
	if r, ok := any(rt).(interface{ Redirect(dst, gw header.Addr) }); ok {
		r.Redirect(dst, gw)
	}
}

// acceptsRedirects is IN_DEV_RX_REDIRECTS: a router wants both switches on, a
// host one.
func (n *Net) acceptsRedirects(d *InDev) bool {
	if d.Conf.Forwarding.Load() != 0 {
		return AndConf(&n.ConfAll.AcceptRedirects, &d.Conf.AcceptRedirects)
	}
	return OrConf(&n.ConfAll.AcceptRedirects, &d.Conf.AcceptRedirects)
}

// defaultGateway reports whether gw is the gateway of the default route by dev
// (Linux: ip_fib_check_default).
func (n *Net) defaultGateway(gw header.Addr, dev *napi.NetDevice) bool {
	f := fib.Flow{Dst: 0x01000000, OIF: dev.Ifindex()} // in nobody's prefix but 0/0
	rt, err := n.RouteOutput(&f)
	return err == 0 && rt != nil && rt.Dev == dev && rt.Gateway == gw
}
