package icmp

import (
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// ICMP is the protocol of one stack.
type ICMP struct {
	ip    *ip.Net
	conf  *ip.Conf
	stats *mib.ICMP
	limit bucket
}

// New makes the protocol and registers it with the IP layer (Linux:
// icmp_init).
func New(n *ip.Net) (*ICMP, error) {
	i := &ICMP{ip: n, conf: &n.Conf, stats: &n.MIB.ICMP}
	i.limit.init(n)
	n.ICMP = i
	return i, n.AddProtocol(header.ProtoICMP, &ip.Protocol{Handler: i.rcv, Err: i.err})
}

// isError reports whether a message type is an error, about which no error is
// sent (RFC 1122 section 3.2.2). As in Linux's icmp_pointers the types nobody
// assigned, and router discovery, count as errors.
func isError(typ uint8) bool {
	const errors = 1<<1 | 1<<2 | 1<<header.ICMPDestUnreach | 1<<header.ICMPSourceQuench | 1<<header.ICMPRedirect |
		1<<6 | 1<<7 | 1<<9 | 1<<10 | 1<<header.ICMPTimeExceeded | 1<<header.ICMPParameterProb
	return typ <= header.ICMPMaxType && errors>>typ&1 != 0
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
	switch typ {
	case header.ICMPExtEcho:
		i.probe(b)
		return
	case header.ICMPExtEchoReply:
		i.echoReply(b)
		return
	}
	rt := ip.RtableOf(b)
	if rt == nil || typ > header.ICMPMaxType {
		// RFC 1122 section 3.2.2: unknown types are discarded silently.
		i.inError(b, skb.UnhandledProto)
		return
	}
	if rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 && !i.forGroup(typ) {
		i.inError(b, skb.InvalidProto)
		return
	}
	switch typ {
	case header.ICMPEchoReply:
		i.echoReply(b)
	case header.ICMPEcho:
		i.echo(b)
	case header.ICMPTimestamp:
		i.timestamp(b)
	case header.ICMPDestUnreach, header.ICMPSourceQuench, header.ICMPTimeExceeded, header.ICMPParameterProb:
		i.unreach(b, h)
	case header.ICMPRedirect:
		b.Pull(header.ICMPLen)
		i.deliver(b, typ, h.Code(), h.Rest())
	default:
		b.Consume() // obsolete (RFC 6918), or an answer to what we never ask
	}
}

// forGroup reports whether a message of a type is taken when it was for a
// group: an echo may be ignored, and everything that would be an answer to
// nobody in particular must be (RFC 1122 section 3.2.2.6).
func (i *ICMP) forGroup(typ uint8) bool {
	switch typ {
	case header.ICMPEcho, header.ICMPTimestamp:
		return i.conf.ICMPEchoIgnoreBroadcasts.Load() == 0
	case header.ICMPAddressMask, header.ICMPAddressReply:
		return true
	}
	return false
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

// echoReply is for the ping sockets. Consumes b.
func (i *ICMP) echoReply(b *skb.Buff) {
	if i.ip.Ping != nil {
		i.ip.Ping.Rcv(b)
		return
	}
	b.Consume()
}

// unreach reads what an error says and passes it on (Linux: icmp_unreach).
// Consumes b.
func (i *ICMP) unreach(b *skb.Buff, h header.ICMP) {
	typ, code := h.Type(), h.Code()
	mtu, ptr := uint32(h.MTU()), h.Rest()>>24
	b.Pull(header.ICMPLen)
	if !b.MayPull(header.IPv4MinLen) {
		i.inError(b, skb.HdrTrunc)
		return
	}
	q := b.Data()
	if q[0]&15 < header.IPv4MinLen/4 {
		i.inError(b, skb.IPInHdr)
		return
	}
	var info uint32
	switch typ {
	case header.ICMPDestUnreach:
		if code == header.ICMPFragNeeded {
			switch i.conf.NoPMTUDisc.Load() {
			case 0:
				info = mtu
			case 2:
				b.Consume()
				return
			case 3: // only from protocols that can tell a forgery
				if p := i.ip.Proto(header.IPv4(q).Protocol()); p == nil || !p.StrictTag {
					b.Consume()
					return
				}
				info = mtu
			}
		}
		if code > header.ICMPMaxUnreach {
			b.Consume()
			return
		}
	case header.ICMPTimeExceeded:
		if code == header.ICMPExcFragTime {
			b.Consume() // nobody can do anything about it
			return
		}
	case header.ICMPParameterProb:
		info = ptr
	}
	// RFC 1122 section 3.2.2: an error about a broadcast is bogus. Linux looks
	// only when it is told not to ignore them, and otherwise lets the protocol
	// find nobody.
	if i.conf.ICMPIgnoreBogusErrors.Load() == 0 && i.ip.AddrType(header.IPv4(q).Dst()) == fib.Broadcast {
		i.ip.Dev.Logf("icmp: %v sent an invalid ICMP type %d, code %d error to a broadcast: %v",
			header.IPv4(b.NetworkHeader()).Src(), typ, code, header.IPv4(q).Dst())
		b.Consume()
		return
	}
	i.deliver(b, typ, code, info)
}

// deliver hands an error to the protocol and the raw sockets that sent the
// quoted packet (Linux: icmp_socket_deliver). Consumes b, whose Data is at the
// quote.
func (i *ICMP) deliver(b *skb.Buff, typ, code uint8, info uint32) {
	// The quote must have a header and the eight bytes behind it.
	if !b.MayPull(header.IPv4MinLen) {
		i.inError(b, skb.PktTooSmall)
		return
	}
	hl := int(b.Data()[0]&15) * 4
	if hl < header.IPv4MinLen || !b.MayPull(hl+8) {
		i.stats.InErrors.Add(1)
		b.Consume()
		return
	}
	if q, ok := header.ParseIPv4(b.Data()); ok && q.Protocol() != header.ProtoRaw {
		if i.ip.Raw != nil {
			i.ip.Raw.Err(b, typ, code, info)
		}
		if p := i.ip.Proto(q.Protocol()); p != nil && p.Err != nil {
			p.Err(b, typ, code, info)
		}
	}
	b.Consume()
}

// err hears of errors about our own ICMP messages (Linux: icmp_err): echo
// requests are the ping sockets', replies the stack's own.
func (i *ICMP) err(b *skb.Buff, typ, code uint8, info uint32) {
	q := header.IPv4(b.Data())
	if b.Data()[q.HeaderLen()] != header.ICMPEchoReply {
		if i.ip.Ping != nil {
			i.ip.Ping.Err(b, typ, code, info)
		}
		return
	}
	i.ip.PathError(b, typ, code, info)
}
