package ip

import (
	"syscall"

	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// forward passes a packet on to another host (Linux: ip_forward). Consumes b,
// whose Dst is rt. Softirq context.
func (n *Net) forward(b *skb.Buff, rt *Rtable) {
	// What was for everybody on the link is not ours to pass on, and a packet
	// with a sock was made here.
	if b.PktType != skb.PacketHost || b.Sk != nil {
		n.drop(b, skb.NotSpecified)
		return
	}
	w := b.CB[2]
	if hasAlert(b) && n.AlertRouters(b) {
		return
	}
	m := &n.MIB.IP
	// A sum over the whole says nothing once the header changes.
	if b.IPSummed == skb.ChecksumComplete {
		b.IPSummed = skb.ChecksumNone
	}
	h := header.IPv4(b.Data())
	if h.TTL() <= 1 {
		m.InHdrErrors.Add(1)
		n.sendError(b, header.ICMPTimeExceeded, header.ICMPExcTTL, 0)
		n.drop(b, skb.IPInHdr)
		return
	}
	if w&cbStrict != 0 && rt.Gateway != 0 {
		n.sendError(b, header.ICMPDestUnreach, header.ICMPSRFailed, 0)
		n.drop(b, skb.IPInHdr)
		return
	}
	n.rx[b.CPU].forwarded++
	b.CB[2] |= cbForwarded | cbPoll
	if mtu := n.pathMTU(rt, true); b.Len() > mtu && h.DF() && n.exceedsMTU(b, mtu) {
		m.FragFails.Add(1)
		n.sendError(b, header.ICMPDestUnreach, header.ICMPFragNeeded, uint32(mtu))
		n.drop(b, skb.PktTooBig)
		return
	}
	// The header is written, and a link header pushed: not under a tap's eyes.
	if !b.Cow(rt.Dev.HardHeaderLen) {
		m.InDiscards.Add(1)
		n.drop(b, skb.NoMem)
		return
	}
	h = header.IPv4(b.Data())
	h.DecreaseTTL()
	in := b.Dev
	if w&cbRedirect != 0 && w&0xff == 0 {
		n.sendRedirect(b, rt)
	}
	if n.Conf.ForwardUpdatePriority.Load() != 0 {
		b.Priority = uint32(forwardPriority[h.TOS()>>1&15])
	}
	if n.Hooks.Run(netfilter.Forward, b, in, rt.Dev, nil) {
		n.forwardFinish(b, rt)
	}
}

// forwardFinish is ip_forward_finish.
func (n *Net) forwardFinish(b *skb.Buff, rt *Rtable) {
	if b.CB[2]&0xffffffff != 0 {
		n.forwardOptions(b, rt)
	}
	b.Tstamp = 0 // that of arrival is not that of departure
	rt.Output(b) // errors are counted on the way; nobody waits for them here
}

// forwardPriority is the class of a packet by the four TOS bits (Linux:
// ip_tos2prio; TC_PRIO_*): best effort 0, filler 1, bulk 2, interactive bulk
// 4, interactive 6.
var forwardPriority = [16]uint8{0, 1, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4} // read-only

// sendError makes an ICMP error, if there is ICMP.
func (n *Net) sendError(b *skb.Buff, typ, code uint8, info uint32) {
	if n.ICMP != nil {
		n.ICMP.Send(b, typ, code, info)
	}
}

// pathMTU is the largest packet a route takes (Linux:
// ip_dst_mtu_maybe_forward). What a router learnt about a path from others it
// does not apply to packets that only pass, unless ip_forward_use_pmtu says
// so: everybody could slow down everybody.
func (n *Net) pathMTU(rt *Rtable, forwarded bool) int {
	if forwarded && n.Conf.ForwardUsePMTU.Load() == 0 && !rt.locked {
		return rt.linkMTU()
	}
	return rt.MTU()
}

// exceedsMTU reports whether a packet with DF that is longer than the path
// takes must go back (Linux: ip_exceeds_mtu).
func (n *Net) exceedsMTU(b *skb.Buff, mtu int) bool {
	if fragMax(b) > mtu {
		return true
	}
	return !b.IgnoreDF && !(b.IsGSO() && gsoFits(b, mtu))
}

// sendRedirect tells a sender on the link out of which its packet goes again
// that there is a shorter way, unless it was told often enough (Linux:
// ip_rt_send_redirect). The packet is forwarded all the same.
func (n *Net) sendRedirect(b *skb.Buff, rt *Rtable) {
	d := n.InDev(rt.Dev.Ifindex())
	if d == nil || !n.sendsRedirects(d) {
		return
	}
	h := header.IPv4(b.Data())
	if n.peers.allowRedirect(h.Src(), &n.Conf) {
		n.sendError(b, header.ICMPRedirect, header.ICMPRedirHost, uint32(rt.Nexthop(h.Dst())))
	}
}

// OnLink reports whether a, and b unless it is 0, are of one subnet of the
// device (Linux: inet_addr_onlink).
func (d *InDev) OnLink(a, b header.Addr) bool {
	for i := range d.addrs {
		if ifa := &d.addrs[i]; ifa.Match(a) && (b == 0 || ifa.Match(b)) {
			return true
		}
	}
	return false
}

// inputError ends a received packet there is no way for (Linux: ip_error). A
// router tells the sender, as often as net.ipv4.route.error_* allow.
func (n *Net) inputError(b *skb.Buff, rt *Rtable) {
	m := &n.MIB.IP
	why := skb.IPInAddrErrors
	if rt.Err == syscall.ENETUNREACH {
		why = skb.IPInNoRoutes
	}
	if dev, ok := b.Dev.(*napi.NetDevice); ok {
		d := n.InDev(dev.Ifindex())
		switch {
		case d == nil:
		case d.Conf.Forwarding.Load() == 0:
			switch rt.Err {
			case syscall.EHOSTUNREACH:
				m.InAddrErrors.Add(1)
			case syscall.ENETUNREACH:
				m.InNoRoutes.Add(1)
			}
		default:
			n.unreachable(b, rt.Err)
		}
	}
	n.drop(b, why)
}

func (n *Net) unreachable(b *skb.Buff, err syscall.Errno) {
	var code uint8
	switch err {
	case syscall.EHOSTUNREACH:
		code = header.ICMPHostUnreach
	case syscall.ENETUNREACH:
		code = header.ICMPNetUnreach
		n.MIB.IP.InNoRoutes.Add(1)
	case syscall.EACCES:
		code = header.ICMPPktFiltered
	default:
		return // a blackhole is silent
	}
	src := header.IPv4(b.NetworkHeader()).Src()
	if n.peers.allowError(src, n.Conf.ErrorCost.Load(), n.Conf.ErrorBurst.Load()) {
		n.sendError(b, header.ICMPDestUnreach, code, 0)
	}
}
