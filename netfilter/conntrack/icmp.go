package conntrack

import (
	"barewire/netfilter"
	"barewire/skb/header"
)

// icmpPacket is nf_conntrack_icmp_packet: queries begin connections, answers
// belong to them.
func (t *Table) icmpPacket(c *Conn, p *packet, info Info) verdict {
	if !c.IsConfirmed() {
		switch _, typ, _ := c.nodes[Original].tuple.ICMP(); typ {
		case header.ICMPEcho, header.ICMPTimestamp, icmpInfoRequest, header.ICMPAddressMask:
		default:
			return trackInvalid // an answer nobody asked for
		}
	}
	c.refresh(p, info, t.Conf.ICMPTimeout.Load())
	return trackOK
}

// icmpError looks at an ICMP message before it is tracked (Linux:
// nf_conntrack_icmpv4_error, nf_conntrack_inet_error). done means that it is
// decided over: it is broken, or an error about a connection, to which it now
// belongs as RELATED, or an error about none we know.
func (t *Table) icmpError(tmpl *Conn, p *packet) (v netfilter.Verdict, done bool) {
	bad := func(why string) (netfilter.Verdict, bool) {
		t.Stat.ICMPError.Add(1)
		t.invalid(p, why)
		return netfilter.Accept, true
	}
	if !p.need(header.ICMPLen) {
		return bad("short packet")
	}
	if !t.sumOK(p, p.len) {
		return bad("bad hw icmp checksum")
	}
	switch typ := p.l4[0]; {
	case typ > header.ICMPMaxType:
		return bad("invalid icmp type")
	case !header.ICMPIsError(typ):
		return netfilter.Accept, false
	}
	q, ok := p.quoted()
	if !ok {
		return bad("quoted packet too short")
	}
	inner, ok := q.Invert()
	if !ok {
		return bad("quoted packet has no answer")
	}
	z := zoneOf(tmpl, p.b)
	inner.Zone = z.For(Original)
	n := t.find(&inner, inner.hash(&t.key), p.now, nil)
	if r := z.For(Reply); n == nil && r != inner.Zone {
		inner.Zone = r
		n = t.find(&inner, inner.hash(&t.key), p.now, nil)
	}
	if n == nil {
		return bad("error about no connection")
	}
	// The error goes to who sent the quoted packet, as the packets of the
	// direction found do; with translation in between too.
	if p.tuple.Dst != n.tuple.Dst {
		return bad("outer daddr does not match inner")
	}
	info := Related
	if n.dir == Reply {
		info = RelatedReply
	}
	Set(p.b, n.conn, info)
	return netfilter.Accept, true
}

// quoted returns the tuple of the packet an ICMP error is about (Linux:
// nf_ct_get_tuplepr).
func (p *packet) quoted() (k Tuple, ok bool) {
	if !p.need(header.ICMPLen + header.IPv4MinLen) {
		return k, false
	}
	hlen := int(p.l4[header.ICMPLen]&15) * 4
	if hlen < header.IPv4MinLen || p.l4[header.ICMPLen]>>4 != 4 || !p.need(header.ICMPLen+hlen) {
		return k, false
	}
	h := header.IPv4(p.l4[header.ICMPLen : header.ICMPLen+hlen])
	if h.FragOffset() != 0 {
		return k, false
	}
	in := packet{b: p.b, off: p.off + header.ICMPLen + hlen, len: p.len - header.ICMPLen - hlen,
		l4: p.l4[header.ICMPLen+hlen:], proto: h.Protocol(),
		tuple: Tuple{Src: h.Src(), Dst: h.Dst(), Proto: h.Protocol()}}
	ok = in.ports()
	return in.tuple, ok
}
