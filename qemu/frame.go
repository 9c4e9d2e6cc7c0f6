package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// This file builds and reads frames with no code of the stack under test: every
// offset and checksum is written out again from the RFCs, in the plainest way,
// so that a mistake has to be made twice to go unseen.

// A MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is the address of every station.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// EtherTypes (IEEE 802) and IP protocol numbers (RFC 790).
const (
	EtherIPv4 = 0x0800
	EtherARP  = 0x0806
	ProtoICMP = 1
	ProtoUDP  = 17
)

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ICMP types (RFC 792).
const (
	ICMPEchoReply   = 0
	ICMPUnreachable = 3
	ICMPEcho        = 8
)

// A Frame is one Ethernet frame without its check sequence, taken apart. The
// pointers are nil for the layers it does not have.
type Frame struct {
	Raw  []byte
	Dst  MAC
	Src  MAC
	Type uint16
	ARP  *ARP
	IP   *IPv4
	ICMP *ICMP
	UDP  *UDP
}

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	Op       uint16
	SenderHW MAC
	SenderIP netip.Addr
	TargetHW MAC
	TargetIP netip.Addr
}

// IPv4 is an IPv4 header (RFC 791 section 3.1) with its payload.
type IPv4 struct {
	TOS      uint8
	ID       uint16
	DF, MF   bool
	FragOff  int // in bytes
	TTL      uint8
	Proto    uint8
	Src, Dst netip.Addr
	Options  []byte
	Payload  []byte
}

// ICMP is an ICMP message (RFC 792).
type ICMP struct {
	Type, Code uint8
	Rest       uint32 // identifier<<16 | sequence number in an echo
	Payload    []byte
}

// UDP is a UDP datagram (RFC 768).
type UDP struct {
	Src, Dst   uint16
	NoChecksum bool
	Payload    []byte
}

// Checksum is the Internet checksum as RFC 1071 section 1 says it: the one's
// complement of the one's complement sum of the data's 16-bit words.
func Checksum(parts ...[]byte) uint16 {
	var sum uint32
	var odd bool
	for _, p := range parts {
		for _, c := range p {
			if odd {
				sum += uint32(c)
			} else {
				sum += uint32(c) << 8
			}
			odd = !odd
			sum = sum&0xffff + sum>>16
		}
	}
	return ^uint16(sum)
}

func pseudoHeader(src, dst netip.Addr, proto uint8, length int) []byte {
	s, d := src.As4(), dst.As4()
	return []byte{s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3], 0, proto, byte(length >> 8), byte(length)}
}

// Ethernet returns a frame of the given payload, padded to the least length of
// 60 bytes (IEEE 802.3).
func Ethernet(dst, src MAC, etherType uint16, payload []byte) []byte {
	f := append(append(append([]byte{}, dst[:]...), src[:]...), byte(etherType>>8), byte(etherType))
	f = append(f, payload...)
	for len(f) < 60 {
		f = append(f, 0)
	}
	return f
}

// Marshal returns the packet's 28 bytes.
func (a ARP) Marshal() []byte {
	b := []byte{0, 1, 8, 0, 6, 4, byte(a.Op >> 8), byte(a.Op)}
	s, t := a.SenderIP.As4(), a.TargetIP.As4()
	b = append(append(b, a.SenderHW[:]...), s[:]...)
	return append(append(b, a.TargetHW[:]...), t[:]...)
}

// Marshal returns header and payload, with length and checksum filled in.
func (p IPv4) Marshal() []byte {
	h := make([]byte, 20, 20+len(p.Options)+len(p.Payload))
	h = append(h, p.Options...)
	for len(h)%4 != 0 {
		h = append(h, 0)
	}
	h[0] = 4<<4 | byte(len(h)/4)
	h[1] = p.TOS
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(p.Payload)))
	binary.BigEndian.PutUint16(h[4:], p.ID)
	off := uint16(p.FragOff / 8)
	if p.DF {
		off |= 0x4000
	}
	if p.MF {
		off |= 0x2000
	}
	binary.BigEndian.PutUint16(h[6:], off)
	h[8] = p.TTL
	if p.TTL == 0 {
		h[8] = 64
	}
	h[9] = p.Proto
	s, d := p.Src.As4(), p.Dst.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	binary.BigEndian.PutUint16(h[10:], Checksum(h))
	return append(h, p.Payload...)
}

// Marshal returns the message with its checksum.
func (m ICMP) Marshal() []byte {
	b := []byte{m.Type, m.Code, 0, 0, byte(m.Rest >> 24), byte(m.Rest >> 16), byte(m.Rest >> 8), byte(m.Rest)}
	b = append(b, m.Payload...)
	binary.BigEndian.PutUint16(b[2:], Checksum(b))
	return b
}

// Marshal returns the datagram with its checksum over the pseudo header of src
// and dst, or with checksum 0 (none) when u.NoChecksum is set.
func (u UDP) Marshal(src, dst netip.Addr) []byte {
	n := 8 + len(u.Payload)
	b := []byte{byte(u.Src >> 8), byte(u.Src), byte(u.Dst >> 8), byte(u.Dst), byte(n >> 8), byte(n), 0, 0}
	b = append(b, u.Payload...)
	if !u.NoChecksum {
		sum := Checksum(pseudoHeader(src, dst, ProtoUDP, n), b)
		if sum == 0 {
			sum = 0xffff // RFC 768: zero would mean "none"
		}
		binary.BigEndian.PutUint16(b[6:], sum)
	}
	return b
}

var errShort = errors.New("frame is cut short")

// ParseFrame takes a frame apart and checks every length and checksum in it. A
// frame of an unknown kind is no error; a damaged one is.
func ParseFrame(raw []byte) (*Frame, error) {
	if len(raw) < 14 {
		return nil, errShort
	}
	f := &Frame{Raw: raw, Type: binary.BigEndian.Uint16(raw[12:])}
	copy(f.Dst[:], raw)
	copy(f.Src[:], raw[6:])
	var err error
	switch f.Type {
	case EtherARP:
		f.ARP, err = parseARP(raw[14:])
	case EtherIPv4:
		err = f.parseIPv4(raw[14:])
	}
	return f, err
}

func parseARP(b []byte) (*ARP, error) {
	if len(b) < 28 {
		return nil, fmt.Errorf("arp: %w", errShort)
	}
	if binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != EtherIPv4 || b[4] != 6 || b[5] != 4 {
		return nil, errors.New("arp: not IPv4 over Ethernet")
	}
	a := &ARP{Op: binary.BigEndian.Uint16(b[6:])}
	copy(a.SenderHW[:], b[8:])
	a.SenderIP = netip.AddrFrom4([4]byte(b[14:18]))
	copy(a.TargetHW[:], b[18:])
	a.TargetIP = netip.AddrFrom4([4]byte(b[24:28]))
	return a, nil
}

func (f *Frame) parseIPv4(b []byte) error {
	if len(b) < 20 {
		return fmt.Errorf("ip: %w", errShort)
	}
	hlen, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || hlen < 20 || total < hlen || total > len(b) {
		return fmt.Errorf("ip: version %d, header %d, total %d in %d bytes", b[0]>>4, hlen, total, len(b))
	}
	if Checksum(b[:hlen]) != 0 {
		return errors.New("ip: bad header checksum")
	}
	off := binary.BigEndian.Uint16(b[6:])
	p := &IPv4{
		TOS: b[1], ID: binary.BigEndian.Uint16(b[4:]), DF: off&0x4000 != 0, MF: off&0x2000 != 0,
		FragOff: int(off&0x1fff) * 8, TTL: b[8], Proto: b[9],
		Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20])),
		Options: b[20:hlen], Payload: b[hlen:total],
	}
	f.IP = p
	if p.MF || p.FragOff != 0 {
		return nil // a piece: its payload cannot be judged alone
	}
	switch p.Proto {
	case ProtoICMP:
		return f.parseICMP(p.Payload)
	case ProtoUDP:
		return f.parseUDP(p)
	}
	return nil
}

func (f *Frame) parseICMP(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("icmp: %w", errShort)
	}
	if Checksum(b) != 0 {
		return errors.New("icmp: bad checksum")
	}
	f.ICMP = &ICMP{Type: b[0], Code: b[1], Rest: binary.BigEndian.Uint32(b[4:]), Payload: b[8:]}
	return nil
}

func (f *Frame) parseUDP(p *IPv4) error {
	b := p.Payload
	if len(b) < 8 {
		return fmt.Errorf("udp: %w", errShort)
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < 8 || n > len(b) {
		return fmt.Errorf("udp: length %d in %d bytes", n, len(b))
	}
	b = b[:n]
	none := b[6] == 0 && b[7] == 0
	if !none && Checksum(pseudoHeader(p.Src, p.Dst, ProtoUDP, n), b) != 0 {
		return errors.New("udp: bad checksum")
	}
	f.UDP = &UDP{Src: binary.BigEndian.Uint16(b), Dst: binary.BigEndian.Uint16(b[2:]), NoChecksum: none, Payload: b[8:]}
	return nil
}
