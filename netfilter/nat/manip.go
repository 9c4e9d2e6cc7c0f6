package nat

import (
	"encoding/binary"
	"hash/crc32"

	"barewire/skb"
	"barewire/skb/header"
)

// Manip says which end of a packet is rewritten (Linux: nf_nat_manip_type).
type Manip uint8

// The ends.
const (
	Src Manip = iota
	Dst
)

// Protocol numbers that skb/header has no wire format for.
const (
	protoDCCP = 33
	protoGRE  = 47
	protoSCTP = 132
)

// End is what an end of a packet becomes: its address, and its port or, for
// ICMP queries, the identifier of the exchange, whichever end it is.
type End struct {
	Addr header.Addr
	Port uint16
}

// EnsureWritable makes the first n bytes from Data linear and b's own, so that
// they may be written (Linux: skb_ensure_writable). False, with the packet
// unchanged, when it is shorter or memory ran out.
func EnsureWritable(b *skb.Buff, n int) bool {
	return n <= b.Headlen() && !b.Cloned() || b.MayPull(n) && b.Cow(0)
}

// Rewrite gives one end of the IPv4 packet whose header stands off bytes after
// Data a new address and port, checksums adjusted (Linux:
// nf_nat_ipv4_manip_pkt). The packet is whole or a super-packet, not a fragment
// other than the first; with off > 0 it is the quote in an ICMP error, of which
// as little as eight bytes behind the header may be there. False when it is
// malformed or memory ran out: it is to be dropped.
func Rewrite(b *skb.Buff, off int, m Manip, to End) bool {
	if off == 0 && rewritePlain(b, m, to) {
		return true
	}
	if !EnsureWritable(b, off+header.IPv4MinLen) {
		return false
	}
	h, ok := header.ParseIPv4(b.Data()[off:])
	if !ok {
		return false
	}
	if b.IPSummed == skb.ChecksumComplete {
		b.IPSummed = skb.ChecksumNone // says nothing about the changed packet
	}
	hlen := h.HeaderLen()
	old := h.Dst()
	if m == Src {
		old = h.Src()
	}
	r := rewrite{b: b, off: off + hlen, m: m, to: to, old: old, quote: off > 0,
		partial: off == 0 && b.IPSummed == skb.ChecksumPartial}
	if h.FragOffset() == 0 && !r.transport(h.Protocol()) {
		return false
	}
	h = header.IPv4(b.Data()[off:])
	if old == to.Addr {
		return true
	}
	at := 16
	if m == Src {
		at = 12
	}
	binary.BigEndian.PutUint32(h[at:], uint32(to.Addr))
	binary.BigEndian.PutUint16(h[10:], header.CsumReplace4(h.Checksum(), uint32(old), uint32(to.Addr)))
	return true
}

// rewritePlain is Rewrite of what most packets are: UDP or TCP behind a header
// without options, all of it linear and b's own, with a checksum that is complete.
// It reports false for every other, having done nothing.
func rewritePlain(b *skb.Buff, m Manip, to End) bool {
	const l4 = header.IPv4MinLen
	p := b.Data()
	if len(p) < l4+header.UDPLen || p[0] != 4<<4|l4/4 || binary.BigEndian.Uint16(p[6:])&header.IPOffset != 0 ||
		b.IPSummed == skb.ChecksumPartial || b.Cloned() {
		return false
	}
	sumAt, optional := l4+6, true
	switch p[9] {
	case header.ProtoUDP:
	case header.ProtoTCP:
		if len(p) < l4+header.TCPMinLen {
			return false
		}
		sumAt, optional = l4+16, false
	default:
		return false
	}
	if b.IPSummed == skb.ChecksumComplete {
		b.IPSummed = skb.ChecksumNone // says nothing about the changed packet
	}
	addrAt, portAt := 16, l4+2
	if m == Src {
		addrAt, portAt = 12, l4
	}
	// RFC 1624, equation 3, for all words at once.
	old, port := binary.BigEndian.Uint32(p[addrAt:]), binary.BigEndian.Uint16(p[portAt:])
	binary.BigEndian.PutUint16(p[portAt:], to.Port)
	d := ^old>>16 + ^old&0xffff + uint32(to.Addr)>>16 + uint32(to.Addr)&0xffff
	if sum := binary.BigEndian.Uint16(p[sumAt:]); sum != 0 || !optional {
		sum = skb.CsumFold(uint32(^sum) + d + uint32(^port) + uint32(to.Port))
		if sum == 0 && optional {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(p[sumAt:], sum)
	}
	if old != uint32(to.Addr) {
		binary.BigEndian.PutUint32(p[addrAt:], uint32(to.Addr))
		binary.BigEndian.PutUint16(p[10:], skb.CsumFold(uint32(^binary.BigEndian.Uint16(p[10:]))+d))
	}
	return true
}

// rewrite is a Rewrite under way.
type rewrite struct {
	b       *skb.Buff
	off     int // of the transport header
	m       Manip
	to      End
	old     header.Addr
	quote   bool // in an ICMP error
	partial bool // the checksum field holds the pseudo header's sum only
}

// transport rewrites behind the IP header (Linux: l4proto_manip_pkt).
func (r *rewrite) transport(proto uint8) bool {
	switch proto {
	case header.ProtoTCP:
		// Of a quoted segment the part with the checksum may be missing.
		return r.ports(8, 16, header.TCPMinLen, false)
	case header.ProtoUDP:
		return r.ports(header.UDPLen, 6, header.UDPLen, true)
	case header.ProtoUDPLite:
		return r.ports(header.UDPLen, 6, header.UDPLen, false)
	case protoDCCP:
		return r.ports(8, 6, 8, false)
	case protoSCTP:
		return r.sctp()
	case protoGRE:
		return r.gre()
	case header.ProtoICMP:
		return r.icmp()
	}
	return true // only the address
}

// port makes the hlen bytes of the transport header writable, or need of them if
// there are not so many, puts the port into them, and returns them with the old
// one. Nil when they are not there.
func (r *rewrite) port(need, hlen int) (p []byte, old uint16) {
	if r.b.Len() >= r.off+hlen {
		need = hlen
	}
	if !EnsureWritable(r.b, r.off+need) {
		return nil, 0
	}
	p = r.b.Data()[r.off : r.off+need]
	at := 2
	if r.m == Src {
		at = 0
	}
	old = binary.BigEndian.Uint16(p[at:])
	binary.BigEndian.PutUint16(p[at:], r.to.Port)
	return p, old
}

// ports changes the port, and the checksum at sumAt if the packet has the hlen
// bytes of the whole header; need bytes it must have. optional says that a zero
// checksum is none (RFC 768).
func (r *rewrite) ports(need, sumAt, hlen int, optional bool) bool {
	p, port := r.port(need, hlen)
	if len(p) < sumAt+2 {
		return p != nil
	}
	sum := binary.BigEndian.Uint16(p[sumAt:])
	if r.partial {
		// Not complemented yet, and the ports are not in it.
		sum = ^header.CsumReplace4(^sum, uint32(r.old), uint32(r.to.Addr))
		binary.BigEndian.PutUint16(p[sumAt:], sum)
		return true
	}
	if optional && sum == 0 {
		return true
	}
	sum = header.CsumReplace4(sum, uint32(r.old), uint32(r.to.Addr))
	sum = header.CsumReplace2(sum, port, r.to.Port)
	if sum == 0 && optional {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(p[sumAt:], sum)
	return true
}

// icmp changes the identifier of a query or answer (Linux: icmp_manip_pkt).
// Other messages have none.
func (r *rewrite) icmp() bool {
	if !EnsureWritable(r.b, r.off+header.ICMPLen) {
		return false
	}
	p := r.b.Data()[r.off : r.off+header.ICMPLen]
	id := binary.BigEndian.Uint16(p[4:])
	if !hasID(p[0]) || id == r.to.Port {
		return true
	}
	binary.BigEndian.PutUint16(p[4:], r.to.Port)
	if !r.partial {
		h := header.ICMP(p)
		sum := header.CsumReplace2(h.Checksum(), id, r.to.Port)
		if sum == 0 && r.to.Port == 0 {
			sum = 0xffff // a message of zeros only has no pseudo header to tell the two zeros apart
		}
		h.SetChecksum(sum)
	}
	return true
}

// gre changes the call ID of enhanced GRE (RFC 2637 section 4.1), which is the
// receiver's: there is none of the source (Linux: gre_manip_pkt).
func (r *rewrite) gre() bool {
	const hlen = 8
	if !EnsureWritable(r.b, r.off+hlen) {
		return false
	}
	p := r.b.Data()[r.off : r.off+hlen]
	switch version := p[1] & 7; {
	case r.m == Src || version == 0:
	case version == 1:
		binary.BigEndian.PutUint16(p[6:], r.to.Port)
	default:
		return false
	}
	return true
}

// hasID reports whether messages of an ICMP type carry an identifier (RFC 792,
// RFC 950): echo, timestamp, information, address mask, and their answers.
func hasID(typ uint8) bool {
	return typ == header.ICMPEchoReply || typ == header.ICMPEcho ||
		typ >= header.ICMPTimestamp && typ <= header.ICMPAddressReply
}

// sctp changes the port, and the CRC32c over the whole packet, which has no
// pseudo header (RFC 9260 section 6.8; Linux: sctp_manip_pkt).
func (r *rewrite) sctp() bool {
	const hlen = 12
	p, port := r.port(8, hlen)
	if len(p) < hlen || r.partial || r.quote || port == r.to.Port {
		return p != nil // the CRC is over all of the packet, of which a quote is a part
	}
	clear(p[8:12])
	crc, poly := uint32(0), crc32.MakeTable(crc32.Castagnoli) // made by the first packet, not at boot: it takes 14 ms under TCG
	r.b.Walk(r.off, r.b.Len()-r.off, func(p []byte) bool {
		crc = crc32.Update(crc, poly, p)
		return true
	})
	binary.LittleEndian.PutUint32(r.b.Data()[r.off+8:], crc)
	return true
}
