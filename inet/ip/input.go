package ip

import (
	"barewire/inet/fib"
	"barewire/inet/mib"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Rcv takes every IPv4 packet a device hands up (Linux: ip_rcv); it is the
// handler of ETH_P_IP. The checks come in the order of RFC 1122 section
// 3.2.1 and Linux's ip_rcv_core, each with its counter. Consumes b.
func (n *Net) Rcv(b *skb.Buff, dev *napi.NetDevice) {
	m := &n.MIB.IP
	// In promiscuous mode we see what is for others.
	if b.PktType == skb.PacketOtherHost {
		n.drop(b, skb.OtherHost)
		return
	}
	rx := &n.rx[b.CPU]
	rx.received(b)
	b = b.ShareCheck()
	clearCB(b)
	if !b.MayPull(header.IPv4MinLen) {
		n.headerError(b, skb.HdrTrunc)
		return
	}
	p := b.Data()
	hlen := int(p[0]&15) * 4
	if p[0]>>4 != 4 || hlen < header.IPv4MinLen {
		n.headerError(b, skb.IPInHdr)
		return
	}
	rx.ecn[p[1]&3] += uint64(max(1, b.Shinfo().GSOSegs))
	if !b.MayPull(hlen) {
		n.headerError(b, skb.HdrTrunc)
		return
	}
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		n.headerError(b, skb.IPInHdr)
		return
	}
	if !h.ChecksumOK() {
		m.InCsumErrors.Add(1)
		n.headerError(b, skb.IPCsum)
		return
	}
	total := h.TotalLen()
	if total > b.Len() {
		m.InTruncatedPkts.Add(1)
		n.drop(b, skb.PktTooSmall)
		return
	}
	if total < hlen {
		n.headerError(b, skb.IPInHdr)
		return
	}
	// Ethernet pads short frames; what is behind the packet goes.
	if total < b.Len() && !b.TrimRcsum(total) {
		m.InDiscards.Add(1)
		n.drop(b, skb.NoMem)
		return
	}
	b.ResetNetworkHeader()
	b.SetTransportHeader(hlen)
	b.Orphan() // a packet over loopback no longer counts against its sender

	if n.Hooks.Run(netfilter.PreRouting, b, dev, nil, nil) {
		n.rcvFinish(b, dev)
	}
}

// headerError is the common exit for malformed headers (InHdrErrors).
func (n *Net) headerError(b *skb.Buff, r skb.Reason) {
	n.MIB.IP.InHdrErrors.Add(1)
	n.drop(b, r)
}

// rcvFinish finds out where the packet goes (Linux: ip_rcv_finish).
func (n *Net) rcvFinish(b *skb.Buff, dev *napi.NetDevice) {
	// Hooks may have changed the packet, but not so that it is none.
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		n.headerError(b, skb.IPInHdr)
		return
	}
	rx := &n.rx[b.CPU]
	demuxed := false
	gen := n.FIB.Generation() // before anything is decided by what may change
	rt, ok := b.Dst.(*Rtable)
	if !ok {
		var again bool
		if rt, again = rx.hints.find(b, h, dev, gen); rt != nil && !again {
			// The sock knows better: its packets count as not routed.
			var known *Rtable
			if rt.in == inLocal {
				known = n.earlyDemux(b, h)
				h = header.IPv4(b.Data()) // it may stand elsewhere now
			}
			if known != nil {
				rt = known
			} else {
				rx.routed++
			}
		}
	}
	if rt == nil {
		demuxed = b.Sk == nil
		if rt = n.earlyDemux(b, h); rt != nil {
			h = header.IPv4(b.Data()) // it may stand elsewhere now
			rx.hints.keep(n, rt, b, h, dev, gen)
		}
	}
	if rt == nil {
		var why skb.Reason
		if !h.Dst().IsMulticast() {
			rx.routed++
		}
		rt, why = n.routeInput(b, h.Src(), h.Dst(), h.TOS(), dev)
		if demuxed && (rt == nil || rt.in != inLocal) {
			b.Sk = nil // whatever earlyDemux found, the packet is not for it
		}
		if rt == nil {
			if why == skb.IPRPFilter {
				n.MIB.TCPExt[mib.IPReversePathFilter].Add(1) // shown there, of all places
			}
			n.drop(b, why)
			return
		}
		rx.hints.keep(n, rt, b, h, dev, gen)
	}
	b.Dst = rt
	if h.HeaderLen() > header.IPv4MinLen && !n.rcvOptions(b, dev) {
		return
	}
	m := &n.MIB.IP
	switch {
	case rt.Type == fib.Multicast:
		m.InMcastPkts.Add(1)
		m.InMcastOctets.Add(uint64(b.Len()))
	case rt.Type == fib.Broadcast:
		m.InBcastPkts.Add(1)
		m.InBcastOctets.Add(uint64(b.Len()))
	case b.PktType == skb.PacketBroadcast || b.PktType == skb.PacketMulticast:
		// RFC 1122 section 3.3.6 would have it dropped; but some clusters
		// share an address by it.
		if d := n.InDev(dev.Ifindex()); d != nil && OrConf(&n.ConfAll.DropUnicastInL2Mcast, &d.Conf.DropUnicastInL2Mcast) {
			n.drop(b, skb.UnicastInL2Multicast)
			return
		}
	}
	// Options may have changed the way.
	b.Dst.Input(b)
}

// LocalDeliver takes a packet for this host (Linux: ip_local_deliver): a
// fragment waits for the others first. Consumes b.
func (n *Net) LocalDeliver(b *skb.Buff) {
	if header.IPv4(b.NetworkHeader()).IsFragment() {
		if b = n.defrag(b); b == nil {
			return
		}
	}
	if n.Hooks.Run(netfilter.LocalIn, b, b.Dev, nil, nil) {
		n.localDeliverFinish(b)
	}
}

// localDeliverFinish hands the packet to the raw sockets and to its protocol
// (Linux: ip_local_deliver_finish, ip_protocol_deliver_rcu).
func (n *Net) localDeliverFinish(b *skb.Buff) {
	h := header.IPv4(b.NetworkHeader())
	proto := h.Protocol()
	b.Pull(h.HeaderLen())
	b.ResetTransportHeader()
	raw := n.Raw != nil && n.Raw.Deliver(b, proto)
	p := n.protos[proto].Load()
	switch {
	case p != nil:
		n.rx[b.CPU].delivers++
		p.Handler(b)
	case raw:
		n.rx[b.CPU].delivers++
		b.Consume()
	default:
		n.MIB.IP.InUnknownProtos.Add(1)
		n.sendError(b, header.ICMPDestUnreach, header.ICMPProtUnreach, 0)
		n.drop(b, skb.IPNoProto)
	}
}

// DefaultTTL returns ip_default_ttl.
func (n *Net) DefaultTTL() uint8 { return uint8(n.Conf.DefaultTTL.Load()) }
