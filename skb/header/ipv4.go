package header

import (
	"encoding/binary"

	"barewire/skb"
)

// Lengths of an IPv4 header in bytes.
const (
	IPv4MinLen = 20
	IPv4MaxLen = 60
	// IPv4MaxPacket is the largest value of the total length field.
	IPv4MaxPacket = 65535
)

// Protocol numbers (Linux: IPPROTO_*).
const (
	ProtoICMP    = 1
	ProtoIGMP    = 2
	ProtoIPIP    = 4
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoPIM     = 103
	ProtoUDPLite = 136
	ProtoRaw     = 255
)

// Flag bits of the fragment field (Linux: IP_CE, IP_DF, IP_MF, IP_OFFSET).
const (
	IPCE     = 0x8000
	IPDF     = 0x4000
	IPMF     = 0x2000
	IPOffset = 0x1fff
)

// IPv4 is a view of an IPv4 header.
type IPv4 []byte

// ParseIPv4 checks that p begins with an IPv4 header: version 4, a header
// length of at least five words, and all of them present. It does not look at
// the checksum or at the total length, which protocols count separately.
func ParseIPv4(p []byte) (IPv4, bool) {
	if len(p) < IPv4MinLen || p[0]>>4 != 4 {
		return nil, false
	}
	if n := int(p[0]&15) * 4; n < IPv4MinLen || n > len(p) {
		return nil, false
	}
	return IPv4(p), true
}

// HeaderLen returns the length of the header in bytes, options included.
func (h IPv4) HeaderLen() int { return int(h[0]&15) * 4 }

// TOS returns the type of service byte: DSCP and ECN.
func (h IPv4) TOS() uint8 { return h[1] }

// TotalLen returns the length of the datagram in bytes, header included.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:])) }

// ID returns the identification.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// FragField returns flags and offset as they stand in the header.
func (h IPv4) FragField() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// FragOffset returns the fragment's offset in bytes.
func (h IPv4) FragOffset() int { return int(h.FragField()&IPOffset) * 8 }

// IsFragment reports whether the datagram is a piece of another (Linux:
// ip_is_fragment).
func (h IPv4) IsFragment() bool { return h.FragField()&(IPMF|IPOffset) != 0 }

// DF reports whether the datagram must not be fragmented.
func (h IPv4) DF() bool { return h.FragField()&IPDF != 0 }

// TTL returns the time to live.
func (h IPv4) TTL() uint8 { return h[8] }

// Protocol returns the protocol of the payload.
func (h IPv4) Protocol() uint8 { return h[9] }

// Checksum returns the header checksum field.
func (h IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:]) }

// Src returns the source address.
func (h IPv4) Src() Addr { return Addr(binary.BigEndian.Uint32(h[12:])) }

// Dst returns the destination address.
func (h IPv4) Dst() Addr { return Addr(binary.BigEndian.Uint32(h[16:])) }

// Options returns the options, empty if there are none.
func (h IPv4) Options() []byte { return h[IPv4MinLen:h.HeaderLen()] }

// ChecksumOK reports whether the header's checksum is right (Linux:
// ip_fast_csum).
func (h IPv4) ChecksumOK() bool { return h.sum() == 0 }

// UpdateChecksum computes and stores the header checksum (Linux:
// ip_send_check).
func (h IPv4) UpdateChecksum() {
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], h.sum())
}

// sum is the complement of the header's one's complement sum.
func (h IPv4) sum() uint16 {
	n := h.HeaderLen()
	if n == IPv4MinLen { // nearly always: five words, no loop
		s := uint64(binary.BigEndian.Uint32(h[0:])) + uint64(binary.BigEndian.Uint32(h[4:])) +
			uint64(binary.BigEndian.Uint32(h[8:])) + uint64(binary.BigEndian.Uint32(h[12:])) +
			uint64(binary.BigEndian.Uint32(h[16:]))
		s = s>>32 + s&0xffffffff
		s = s>>32 + s&0xffffffff
		return skb.CsumFold(uint32(s))
	}
	return skb.CsumFold(skb.CsumPartial(h[:n], 0))
}

// Fields is what PutIPv4 writes.
type Fields struct {
	TOS      uint8
	TotalLen int
	ID       uint16
	Frag     uint16 // flags and offset in units of eight bytes
	TTL      uint8
	Protocol uint8
	Src, Dst Addr
}

// PutIPv4 writes a header without options into p, at least IPv4MinLen bytes,
// and leaves the checksum zero: UpdateChecksum fills it when all is final.
func PutIPv4(p []byte, f *Fields) IPv4 {
	_ = p[IPv4MinLen-1]
	p[0] = 4<<4 | IPv4MinLen/4
	p[1] = f.TOS
	binary.BigEndian.PutUint16(p[2:], uint16(f.TotalLen))
	binary.BigEndian.PutUint16(p[4:], f.ID)
	binary.BigEndian.PutUint16(p[6:], f.Frag)
	p[8], p[9] = f.TTL, f.Protocol
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint32(p[12:], uint32(f.Src))
	binary.BigEndian.PutUint32(p[16:], uint32(f.Dst))
	return IPv4(p)
}

// SetTotalLen sets the total length.
func (h IPv4) SetTotalLen(n int) { binary.BigEndian.PutUint16(h[2:], uint16(n)) }

// SetID sets the identification.
func (h IPv4) SetID(id uint16) { binary.BigEndian.PutUint16(h[4:], id) }

// SetFragField sets flags and offset.
func (h IPv4) SetFragField(f uint16) { binary.BigEndian.PutUint16(h[6:], f) }

// SetDst sets the destination address.
func (h IPv4) SetDst(a Addr) { binary.BigEndian.PutUint32(h[16:], uint32(a)) }

// DecreaseTTL takes one off the time to live and adjusts the checksum by it
// (Linux: ip_decrease_ttl; RFC 1624).
func (h IPv4) DecreaseTTL() {
	h[8]--
	// The time to live is the high byte of its word, so the complemented sum
	// grows by 0x0100; the carry goes around, and 0xffff becomes 0 as in Linux.
	c := uint32(binary.BigEndian.Uint16(h[10:])) + 0x0100
	binary.BigEndian.PutUint16(h[10:], uint16(c+(c+1)>>16))
}

// SetTTL sets the time to live.
func (h IPv4) SetTTL(ttl uint8) { h[8] = ttl }

// PseudoSum returns the partial sum of the pseudo header of UDP and TCP (RFC
// 768, RFC 9293 section 3.1; Linux: csum_tcpudp_nofold). n is the length of
// the transport header and data.
func PseudoSum(src, dst Addr, proto uint8, n int) uint32 {
	s := uint64(src) + uint64(dst) + uint64(proto) + uint64(n)
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return uint32(s)
}
