package napi

import (
	"encoding/binary"

	"barewire/skb"
	"barewire/skb/header"
)

const (
	groTCP       = header.ProtoTCP
	groUDP       = header.ProtoUDP
	groMinHeader = header.IPv4MinLen + header.UDPLen
	groUDPMost   = 64 // UDP_GRO_CNT_MAX: small datagrams cost much more than they hold
)

// groIP reads what of an IPv4 header must be the same in all packets of a merged
// one. mergeable is false for what cannot be one of several: options, a piece of
// a datagram, bytes behind the packet, a wrong checksum. whole is false when not
// even its ports can be trusted to be there.
func groIP(p []byte, length int) (ip uint32, mergeable, whole bool) {
	h := header.IPv4(p)
	if p[0] != 0x45 || h.FragField()&^header.IPDF != 0 {
		return 0, false, false
	}
	ip = uint32(h[1])<<24 | uint32(h.TTL())<<16 | uint32(h[9])
	if h.DF() {
		ip |= 1 << 8
	}
	return ip, h.TotalLen() == length && h.ChecksumOK(), true
}

// follows reports whether a packet can be the next behind x by its IP header
// (Linux: inet_gro_flush). The identification counts up, or with DF, where it
// means nothing (RFC 6864), may stay: the second packet decides.
func (x *groHeld) follows(ip uint32, id uint16) bool {
	if ip != x.ip {
		return false
	}
	if x.count == 1 && ip>>8&1 != 0 && id == x.id {
		x.fixedID = true
	}
	if x.fixedID {
		return id == x.id
	}
	return id-x.id == x.count
}

// groSum verifies the checksum of a segment without header.IPv4MinLen bytes in
// front of it, unless that is known (Linux: skb_gro_checksum_validate).
func groSum(b *skb.Buff, p []byte) bool {
	switch b.IPSummed {
	case skb.ChecksumUnnecessary:
		return true
	case skb.ChecksumPartial: // made on this machine, if it is this one
		return b.CsumStartOffset() == header.IPv4MinLen
	}
	h := header.IPv4(p)
	n := b.Len() - header.IPv4MinLen
	pseudo := header.PseudoSum(h.Src(), h.Dst(), h.Protocol(), n)
	if skb.CsumFold(b.Checksum(header.IPv4MinLen, n, pseudo)) != 0 {
		return false
	}
	b.IPSummed = skb.ChecksumUnnecessary
	return true
}

// groReceiveTCP is tcp4_gro_receive and tcp_gro_receive. p is the linear part
// of b.
func (n *NAPI) groReceiveTCP(b *skb.Buff, p []byte) bool {
	const at = header.IPv4MinLen
	ip, mergeable, whole := groIP(p, b.Len())
	if !whole || len(p) < at+header.TCPMinLen && !b.MayPull(at+header.TCPMinLen) {
		n.groFlush() // of which flow it is, is not worth finding out
		return false
	}
	p = b.Data()
	hl := int(p[at+12]>>4) * 4
	if hl < header.TCPMinLen || !b.MayPull(at+hl) {
		n.groFlush()
		return false
	}
	p = b.Data()
	h := header.TCP(p[at : at+hl])
	x := groHeld{
		b: b, addrs: binary.BigEndian.Uint64(p[12:]), ports: binary.BigEndian.Uint32(h), ip: ip,
		id: header.IPv4(p).ID(), ack: h.AckSeq(), hdr: uint8(hl),
		word: binary.BigEndian.Uint32(h[12:]) &^ ((header.TCPPsh | header.TCPFin) << 16),
	}
	size := b.Len() - at - hl
	flags, seq := h.Flags(), h.Seq()
	x.size, x.next = uint16(size), seq+uint32(size)
	// What a merged packet must end with; a packet alone is held only if more
	// can follow.
	const last = header.TCPUrg | header.TCPPsh | header.TCPRst | header.TCPSyn | header.TCPFin
	mergeable = mergeable && !b.IsGSO()
	k, i := n.gro.find(b, x.addrs, x.ports, groTCP)
	if i >= 0 {
		y := &k.h[i]
		if mergeable && size > 0 && size <= int(y.size) && y.next == seq && y.word == x.word && y.ack == x.ack &&
			sameOptions(y.b, h) && y.follows(ip, x.id) && y.verify() && groSum(b, p) && n.merge(y, b, at+hl) {
			y.next = x.next
			if f := flags & (header.TCPPsh | header.TCPFin); f != 0 {
				y.b.Data()[at+13] |= f
			}
			if size < int(y.size) || flags&last != 0 {
				n.groComplete(k, i)
			}
			return true
		}
		n.groComplete(k, i)
	}
	if !mergeable || size < 1 || flags&last != 0 {
		return false
	}
	n.hold(k, &x)
	return true
}

// sameOptions compares what stands behind the checksum of a segment's header
// with that of one held, which is of the same length.
func sameOptions(held *skb.Buff, h header.TCP) bool {
	const urgent = 18
	return string(held.Data()[header.IPv4MinLen+urgent:header.IPv4MinLen+len(h)]) == string(h[urgent:])
}

// verify reports whether the checksum of what is held is right; a packet that
// stays alone need not be verified here.
func (x *groHeld) verify() bool {
	x.summed = x.summed || groSum(x.b, x.b.Data())
	return x.summed
}

// groReceiveUDP is udp_gro_receive and udp_gro_receive_segment. Datagrams without
// a checksum are not merged, since cutting makes one.
func (n *NAPI) groReceiveUDP(b *skb.Buff, p []byte, wants UDPWantsGRO) bool {
	const at = header.IPv4MinLen
	ip, mergeable, whole := groIP(p, b.Len())
	if !whole {
		return false // datagrams may overtake one another
	}
	h := header.UDP(p[at:groMinHeader])
	size := h.Length() - header.UDPLen
	mergeable = mergeable && !b.IsGSO() && h.Checksum() != 0 && size > 0 && h.Length() == b.Len()-at
	x := groHeld{
		b: b, addrs: binary.BigEndian.Uint64(p[12:]), ports: binary.BigEndian.Uint32(h), ip: ip,
		id: header.IPv4(p).ID(), hdr: header.UDPLen, size: uint16(size),
	}
	k, i := n.gro.find(b, x.addrs, x.ports, groUDP)
	if i >= 0 {
		y := &k.h[i]
		if mergeable && size <= int(y.size) && y.follows(ip, x.id) && y.verify() && groSum(b, p) && n.merge(y, b, groMinHeader) {
			if size < int(y.size) || y.count >= groUDPMost {
				n.groComplete(k, i)
			}
			return true
		}
		n.groComplete(k, i)
	}
	if !mergeable || !wants(b) {
		return false
	}
	n.hold(k, &x)
	return true
}

// finish makes one packet of what was merged (Linux: inet_gro_complete,
// tcp4_gro_complete, udp4_gro_complete): lengths are those of the whole, and the
// checksum is to be made, as in a super-packet that a device cut for.
func (x *groHeld) finish() {
	const at = header.IPv4MinLen
	b := x.b
	p := b.Data()
	in := header.IPv4(p)
	in.SetTotalLen(b.Len())
	in.UpdateChecksum()
	si := b.Shinfo()
	si.GSOSize, si.GSOSegs = x.size, x.count
	sum := ^skb.CsumFold(header.PseudoSum(in.Src(), in.Dst(), in.Protocol(), b.Len()-at))
	if in.Protocol() == groUDP {
		h := header.UDP(p[at:])
		h.SetLength(b.Len() - at)
		h.SetChecksum(sum)
		si.GSOType = skb.GSOUDPL4
		b.SetCsumPartial(at, 6)
	} else {
		h := header.TCP(p[at:])
		h.SetChecksum(sum)
		si.GSOType = skb.GSOTCPv4
		if h.Flags()&header.TCPCwr != 0 {
			// With the classic feedback no two in a row have it (RFC 9768 section
			// 5.3.2).
			si.GSOType |= skb.GSOTCPAccECN
		}
		b.SetCsumPartial(at, 16)
	}
	if x.fixedID {
		si.GSOType |= skb.GSOTCPFixedID
	}
}
