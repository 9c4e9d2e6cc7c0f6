package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// IP protocols.
const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

var be = binary.BigEndian

// sum is the Internet checksum, on top of what was summed before.
func sum(b []byte, before uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		before += uint32(be.Uint16(b))
	}
	if len(b) == 1 {
		before += uint32(b[0]) << 8
	}
	return before
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// putIP puts an IPv4 header in front of a payload and completes the payload's
// checksum, which stands at csum in it.
func putIP(src, dst netip.Addr, proto, tos, ttl uint8, payload []byte, csum int) []byte {
	if ttl == 0 {
		ttl = 255
	}
	s, d := src.As4(), dst.As4()
	p := make([]byte, 20, 20+len(payload))
	p[0], p[1], p[8], p[9] = 0x45, tos, ttl, proto
	be.PutUint16(p[2:], uint16(20+len(payload)))
	copy(p[12:], s[:])
	copy(p[16:], d[:])
	be.PutUint16(p[10:], fold(sum(p, 0)))
	p = append(p, payload...)
	total := uint32(0)
	if proto != protoICMP {
		total = sum(p[12:20], uint32(proto)+uint32(len(payload)))
	}
	be.PutUint16(p[20+csum:], fold(sum(p[20:], total)))
	return p
}

// segment builds a TCP header with options and a payload of zeros.
func segment(src, dst uint16, flags uint16, seq, ack uint32, win, urg uint16, options []byte, n int) []byte {
	b := make([]byte, 20+len(options)+n)
	be.PutUint16(b, src)
	be.PutUint16(b[2:], dst)
	be.PutUint32(b[4:], seq)
	be.PutUint32(b[8:], ack)
	b[12] = uint8((20+len(options))/4<<4) | uint8(flags>>8&1)
	b[13] = uint8(flags)
	be.PutUint16(b[14:], win)
	be.PutUint16(b[18:], urg)
	copy(b[20:], options)
	return b
}

// putOptions encodes options, with zeros to the next word.
func putOptions(opts []pdl.TCPOption) ([]byte, error) {
	var b []byte
	for _, o := range opts {
		switch o.Kind {
		case pdl.OptEOL, pdl.OptNOP:
			b = append(b, uint8(o.Kind))
		case pdl.OptMSS:
			b = be.AppendUint16(append(b, pdl.OptMSS, 4), uint16(o.Value))
		case pdl.OptWScale:
			b = append(b, pdl.OptWScale, 3, uint8(o.Value))
		case pdl.OptSackOK:
			b = append(b, pdl.OptSackOK, 2)
		case pdl.OptSack:
			b = append(b, pdl.OptSack, uint8(2+8*len(o.Blocks)))
			for _, e := range o.Blocks {
				b = be.AppendUint32(be.AppendUint32(b, e[0]), e[1])
			}
		case pdl.OptTimestamp:
			b = be.AppendUint32(be.AppendUint32(append(b, pdl.OptTimestamp, 10), o.Value), o.Echo)
		default:
			b = append(append(b, uint8(o.Kind), uint8(2+len(o.Data))), o.Data...)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	if len(b) > 40 {
		return nil, errors.New("more than 40 bytes of TCP options")
	}
	return b, nil
}

// getOptions decodes options. Zeros behind the last are no option.
func getOptions(b []byte) ([]pdl.TCPOption, error) {
	var opts []pdl.TCPOption
	for len(b) > 0 {
		o := pdl.TCPOption{Kind: int(b[0])}
		if o.Kind == pdl.OptEOL {
			return opts, nil
		}
		if o.Kind == pdl.OptNOP {
			opts, b = append(opts, o), b[1:]
			continue
		}
		if len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b) {
			return opts, errors.New("broken TCP options")
		}
		d := b[2:b[1]]
		b = b[b[1]:]
		switch {
		case o.Kind == pdl.OptMSS && len(d) == 2:
			o.Value = uint32(be.Uint16(d))
		case o.Kind == pdl.OptWScale && len(d) == 1:
			o.Value = uint32(d[0])
		case o.Kind == pdl.OptTimestamp && len(d) == 8:
			o.Value, o.Echo = be.Uint32(d), be.Uint32(d[4:])
		case o.Kind == pdl.OptSack && len(d)%8 == 0:
			for ; len(d) > 0; d = d[8:] {
				o.Blocks = append(o.Blocks, [2]uint32{be.Uint32(d), be.Uint32(d[4:])})
			}
		default:
			o.Data = append([]byte(nil), d...)
		}
		opts = append(opts, o)
	}
	return opts, nil
}

// live is a packet of the kernel's, taken apart.
type live struct {
	at               time.Duration
	src, dst         netip.Addr
	tos, ttl         uint8
	headerLen        int
	proto            uint8
	srcPort, dstPort uint16
	tcp              *pdl.TCP
	icmpType         uint8
	icmpCode         uint8
	icmpMTU          uint16
	payload          []byte // of TCP and UDP
}

// parseLive takes a packet apart and checks its checksums.
func parseLive(p []byte) (*live, error) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return nil, errors.New("not IPv4")
	}
	l := &live{tos: p[1], ttl: p[8], proto: p[9], headerLen: int(p[0]&15) * 4}
	l.src, l.dst = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	if l.headerLen < 20 || l.headerLen > len(p) || int(be.Uint16(p[2:])) != len(p) || fold(sum(p[:l.headerLen], 0)) != 0 {
		return l, errors.New("broken IP header")
	}
	if be.Uint16(p[6:])&0x1fff != 0 {
		return l, nil // a later fragment
	}
	b := p[l.headerLen:]
	whole := be.Uint16(p[6:])&0x3fff == 0
	pseudo := sum(p[12:20], uint32(l.proto)+uint32(len(b)))
	switch l.proto {
	case protoICMP:
		if len(b) < 8 || whole && fold(sum(b, 0)) != 0 {
			return l, errors.New("broken ICMP message")
		}
		l.icmpType, l.icmpCode, l.icmpMTU = b[0], b[1], be.Uint16(b[6:])
	case protoUDP:
		if len(b) < 8 || whole && be.Uint16(b[6:]) != 0 && fold(sum(b, pseudo)) != 0 {
			return l, errors.New("broken datagram")
		}
		l.srcPort, l.dstPort, l.payload = be.Uint16(b), be.Uint16(b[2:]), b[8:]
	case protoTCP:
		if len(b) < 20 || int(b[12]>>4)*4 < 20 || int(b[12]>>4)*4 > len(b) || fold(sum(b, pseudo)) != 0 {
			return l, errors.New("broken segment")
		}
		off := int(b[12]>>4) * 4
		l.srcPort, l.dstPort, l.payload = be.Uint16(b), be.Uint16(b[2:]), b[off:]
		opts, err := getOptions(b[20:off])
		l.tcp = &pdl.TCP{
			Flags: uint16(b[13]) | uint16(b[12]&1)<<8, Seq: be.Uint32(b[4:]), Ack: be.Uint32(b[8:]), Len: len(b) - off,
			Win: int(be.Uint16(b[14:])), Urg: be.Uint16(b[18:]), Options: opts,
		}
		return l, err
	}
	return l, nil
}

// show writes a segment as scripts do.
func show(t *pdl.TCP) string {
	var s strings.Builder
	const letters = "FSRP.UEWA"
	for _, c := range "SFRPUEWA." {
		if t.Flags&(1<<strings.IndexRune(letters, c)) != 0 {
			s.WriteRune(c)
		}
	}
	if s.Len() == 0 {
		s.WriteByte('-')
	}
	fmt.Fprintf(&s, " %d:%d(%d)", t.Seq, t.Seq+uint32(t.Len), t.Len)
	if t.Flags&pdl.ACK != 0 {
		fmt.Fprintf(&s, " ack %d", t.Ack)
	}
	if t.Win >= 0 {
		fmt.Fprintf(&s, " win %d", t.Win)
	}
	if t.Urg != 0 {
		fmt.Fprintf(&s, " urg %d", t.Urg)
	}
	if t.AnyOptions {
		return s.String() + " <...>"
	}
	if len(t.Options) == 0 {
		return s.String()
	}
	var opts []string
	for _, o := range t.Options {
		opts = append(opts, showOption(o))
	}
	return s.String() + " <" + strings.Join(opts, ",") + ">"
}

func showOption(o pdl.TCPOption) string {
	switch o.Kind {
	case pdl.OptEOL:
		return "eol"
	case pdl.OptNOP:
		return "nop"
	case pdl.OptMSS:
		return fmt.Sprintf("mss %d", o.Value)
	case pdl.OptWScale:
		return fmt.Sprintf("wscale %d", o.Value)
	case pdl.OptSackOK:
		return "sackOK"
	case pdl.OptTimestamp:
		return fmt.Sprintf("TS val %d ecr %d", o.Value, o.Echo)
	case pdl.OptSack:
		s := "sack"
		for _, b := range o.Blocks {
			s += fmt.Sprintf(" %d:%d", b[0], b[1])
		}
		return s
	case pdl.OptMD5:
		return fmt.Sprintf("md5 %x", o.Data)
	case pdl.OptFastOpen:
		return fmt.Sprintf("FO %x", o.Data)
	}
	return fmt.Sprintf("option %d %x", o.Kind, o.Data)
}
