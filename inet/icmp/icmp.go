package icmp

import (
	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/skb"
)

// ICMP is the protocol of one stack.
type ICMP struct {
	ip    *ip.Net
	stats *mib.ICMP
	limit bucket
}

// New makes the protocol and registers it with the IP layer (Linux:
// icmp_init).
func New(n *ip.Net) (*ICMP, error) {
	i := &ICMP{ip: n, stats: &n.MIB.ICMP}
	i.limit.init(n.Dev.Clock())
	n.ICMP = i
	return i, n.AddProtocol(header.ProtoICMP, &ip.Protocol{Handler: i.rcv, Err: i.err})
}

// isError reports whether a message type is an error (RFC 1122 section
// 3.2.2); unknown types are none.
func isError(typ uint8) bool {
	switch typ {
	case header.ICMPDestUnreach, header.ICMPSourceQuench, header.ICMPRedirect, header.ICMPTimeExceeded, header.ICMPParameterProb:
		return true
	}
	return false
}

// rcv takes ICMP messages for this host (Linux: icmp_rcv). Consumes b.
func (i *ICMP) rcv(b *skb.Buff) {
	i.stats.InMsgs.Add(1)
	if !checksumOK(b) {
		i.stats.InCsumErrors.Add(1)
		i.inError(b, skb.ICMPCsum)
		return
	}
	if !b.MayPull(header.ICMPLen) {
		i.inError(b, skb.HdrTrunc)
		return
	}
	h, _ := header.ParseICMP(b.Data())
	typ := h.Type()
	i.stats.InType[typ].Add(1)
	rt := ip.RtableOf(b)
	if typ == header.ICMPExtEcho || typ == header.ICMPExtEchoReply {
		// RFC 8335: answered only where an administrator allowed it
		// (icmp_echo_enable_probe), which nobody here can.
		b.Free(skb.ICMPIgnored)
		return
	}
	if rt == nil || typ > header.ICMPMaxType {
		// RFC 1122 section 3.2.2: unknown types are discarded silently.
		i.inError(b, skb.UnhandledProto)
		return
	}
	if rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		// RFC 1122 section 3.2.2.6: an echo to a group may be ignored, and
		// everything that would be an answer to nobody in particular must be.
		i.inError(b, skb.InvalidProto)
		return
	}
	switch {
	case typ == header.ICMPEcho:
		i.echo(b)
	case isError(typ):
		i.unreach(b, h)
	default:
		// Echo replies are for ping sockets, of which there are none; the rest
		// is obsolete (RFC 6918).
		b.Consume()
	}
}

// inError is the common exit for bad messages (InErrors).
func (i *ICMP) inError(b *skb.Buff, r skb.Reason) {
	i.stats.InErrors.Add(1)
	b.Free(r)
}

// checksumOK verifies the message's checksum (Linux:
// skb_checksum_simple_validate).
func checksumOK(b *skb.Buff) bool {
	switch b.IPSummed {
	case skb.ChecksumUnnecessary, skb.ChecksumPartial:
		return true
	case skb.ChecksumComplete:
		if skb.CsumFold(b.Csum) == 0 {
			return true
		}
	}
	return skb.CsumFold(b.Checksum(0, b.Len(), 0)) == 0
}

// echo answers an echo request with its own packet (Linux: icmp_echo; RFC 1122
// section 3.2.2.6). Consumes b.
func (i *ICMP) echo(b *skb.Buff) {
	in := header.IPv4(b.NetworkHeader())
	x := ip.Xmit{Src: in.Dst(), Dst: in.Src(), Proto: header.ProtoICMP, TOS: in.TOS(), TTL: ip.DefaultTTL}
	f := fib.Flow{Dst: x.Dst, Src: x.Src, Proto: header.ProtoICMP, TOS: x.TOS}
	rt, err := i.ip.RouteOutput(&f)
	// One request must not be answered to many: Linux would send to a source
	// that is a broadcast address.
	if err != 0 || rt.Flags&ip.RTCFBroadcast != 0 {
		b.Free(skb.IPOutNoRoutes)
		return
	}
	// Headers are rewritten in place: nobody else may see the bytes, and there
	// must be room in front for ours. Frames leave that room anyway; a tap that
	// holds a clone costs a copy.
	if !b.Cow(header.IPv4MinLen + rt.Dev.HardHeaderLen) {
		b.Free(skb.NoMem)
		return
	}
	whole := b.IPSummed == skb.ChecksumPartial
	i.recycle(b)
	h := header.ICMP(b.Data())
	if whole {
		// The sender left the sum to its device, so there is none to adjust.
		h.SetType(header.ICMPEchoReply)
		h.SetChecksum(0)
		h.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), 0)))
	} else {
		// Only the type changes, from 8 to 0 (RFC 1624).
		h.SetType(header.ICMPEchoReply)
		sum := uint32(h.Checksum()) + header.ICMPEcho<<8
		h.SetChecksum(uint16(sum + sum>>16))
	}
	i.ip.Push(b, rt, &x)
	i.stats.OutMsgs.Add(1)
	i.stats.OutType[header.ICMPEchoReply].Add(1)
	i.ip.LocalOut(b) // its errors are counted on the way
}

// recycle turns a received packet into one made here (Linux: skb_scrub_packet,
// for the same packet).
func (i *ICMP) recycle(b *skb.Buff) {
	b.Orphan()
	b.IPSummed = skb.ChecksumNone
	b.PktType = skb.PacketHost
	b.Iif = 0
	b.Tstamp = 0
	b.Dev, b.Dst = nil, nil
	b.IgnoreDF = true // an answer may be as large as the question was
	b.QueueMapping = 0
	b.VlanProto, b.VlanTCI = 0, 0
}

// unreach passes an error to the protocol that sent the quoted packet (Linux:
// icmp_unreach). Consumes b.
func (i *ICMP) unreach(b *skb.Buff, h header.ICMP) {
	typ, code := h.Type(), h.Code()
	var info uint32
	switch typ {
	case header.ICMPDestUnreach:
		if code > header.ICMPMaxUnreach {
			b.Consume()
			return
		}
		if code == header.ICMPFragNeeded {
			info = uint32(h.MTU())
		}
	case header.ICMPTimeExceeded:
		if code == header.ICMPExcFragTime {
			b.Consume() // nobody can do anything about it
			return
		}
	case header.ICMPParameterProb:
		info = h.Rest() >> 24
	}
	b.Pull(header.ICMPLen)
	// The quote must have a header and the eight bytes behind it.
	if !b.MayPull(header.IPv4MinLen) {
		i.inError(b, skb.HdrTrunc)
		return
	}
	hl := int(b.Data()[0]&15) * 4
	if hl < header.IPv4MinLen || !b.MayPull(hl+8) {
		i.inError(b, skb.HdrTrunc)
		return
	}
	q, ok := header.ParseIPv4(b.Data())
	if !ok {
		i.inError(b, skb.IPInHdr)
		return
	}
	// RFC 1122 section 3.2.2: an error about a broadcast is bogus; we could
	// not have been meant.
	if i.ip.AddrType(q.Dst()) != fib.Broadcast {
		if p := i.ip.Proto(q.Protocol()); p != nil && p.Err != nil {
			p.Err(b, typ, code, info)
		}
	}
	b.Consume()
}

// err hears of errors about our own ICMP messages (Linux: icmp_err). Nobody
// here waits for an answer to one yet.
func (i *ICMP) err(*skb.Buff, uint8, uint8, uint32) {}
