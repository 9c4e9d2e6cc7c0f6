package ip

import (
	"barewire/inet/fib"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// MulticastRouter is the routing of packets to groups (Linux:
// net/ipv4/ipmr.c). It counts itself into the McForwarding settings while it
// is at work: of all devices, and of those it takes packets from.
type MulticastRouter interface {
	// Input takes a packet to a group that came in by a device it routes for,
	// or that was sent from here by one and came back (Linux: ip_mr_input).
	// Data is the IP header. Consumes b. Softirq context.
	Input(b *skb.Buff, rt *Rtable)
	// SetSockOpt and GetSockOpt are the MRT_* options of level SOL_IP, Ioctl
	// the requests that go with them; handled is false for other requests.
	SetSockOpt(s *Sock, name int, val []byte) error
	GetSockOpt(s *Sock, name int, buf []byte) (int, error)
	Ioctl(s *Sock, cmd uint, arg []byte) (handled bool, err error)
	// Drop forgets a sock that is closed.
	Drop(s *Sock)
}

// Options of multicast routing (Linux: MRT_BASE, MRT_MAX).
const (
	mrtFirst = 200
	mrtLast  = 212
)

func isMRouteOpt(name int) bool { return name >= mrtFirst && name <= mrtLast }

// routesGroups reports whether packets to dst that come by the device, or leave
// by it, are the multicast router's too (Linux: IN_DEV_MFORWARD). Groups of the
// link never are (RFC 5771 section 4).
func (n *Net) routesGroups(d *InDev, dst header.Addr) bool {
	return n.MR != nil && AndConf(&n.ConfAll.McForwarding, &d.Conf.McForwarding) && !dst.IsLocalMulticast()
}

// IsOutput reports whether the decision is one over a packet sent from here
// (Linux: rt_is_output_route).
func (rt *Rtable) IsOutput() bool { return rt.out != outBug }

// HasRouterAlert reports whether a received packet carries the router alert
// option.
func HasRouterAlert(b *skb.Buff) bool { return hasAlert(b) }

// PrepareMulticast makes a packet to a group ready to leave by a device: route,
// a header of its own, one hop less to live (Linux: ipmr_prepare_xmit). Nil when
// it cannot: then it is gone. One that is too long and may not be cut disappears
// without a word, as nobody answers to a group (RFC 1112 section 7.2). b, whose
// Data is the IP header, may be a clone.
func (n *Net) PrepareMulticast(b *skb.Buff, dev *napi.NetDevice) *Rtable {
	h := header.IPv4(b.Data())
	rt, err := n.RouteOutput(&fib.Flow{Dst: h.Dst(), OIF: dev.Ifindex(), TOS: h.TOS(), Proto: header.ProtoIPIP})
	if err != 0 {
		n.drop(b, skb.IPOutNoRoutes)
		return nil
	}
	if b.Len() > rt.MTU() && h.DF() {
		n.MIB.IP.FragFails.Add(1)
		n.drop(b, skb.PktTooBig)
		return nil
	}
	if !b.Cow(max(rt.Dev.HardHeaderLen, b.Headroom())) {
		n.drop(b, skb.NoMem)
		return nil
	}
	header.IPv4(b.Data()).DecreaseTTL()
	return rt
}

// ForwardMulticast sends a packet that PrepareMulticast made ready (Linux: the
// rest of ipmr_queue_fwd_xmit, ipmr_forward_finish). Consumes b.
func (n *Net) ForwardMulticast(b *skb.Buff, rt *Rtable) {
	b.CB[2] |= cbForwarded
	b.Dst = rt
	if !n.Hooks.Run(netfilter.Forward, b, b.Dev, rt.Dev, nil) {
		return
	}
	n.MIB.IP.ForwDatagrams.Add(1)
	if b.CB[2]&0xffffffff != 0 {
		n.forwardOptions(b, rt)
	}
	if b.IPSummed == skb.ChecksumComplete {
		b.IPSummed = skb.ChecksumNone
	}
	b.PktType = skb.PacketHost
	b.Tstamp = 0
	rt.Output(b) // errors are counted on the way
}
