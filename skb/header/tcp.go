package header

import "encoding/binary"

// TCP header sizes in bytes.
const (
	TCPMinLen    = 20
	TCPMaxLen    = 60
	TCPMaxOption = TCPMaxLen - TCPMinLen
)

// TCP flags as they stand in byte 13 (RFC 9293 section 3.1, RFC 3168).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
)

// TCP option kinds.
const (
	TCPOptEOL       = 0
	TCPOptNOP       = 1
	TCPOptMSS       = 2
	TCPOptWScale    = 3
	TCPOptSACKOK    = 4
	TCPOptSACK      = 5
	TCPOptTimestamp = 8
	TCPOptMD5       = 19
	TCPOptFastOpen  = 34
	TCPOptAccECN0   = 172 // counts of ECT(0), CE, ECT(1)
	TCPOptAccECN1   = 174 // counts of ECT(1), CE, ECT(0)
	TCPOptExp       = 254
)

// TCP is a view of a TCP header with its options.
type TCP []byte

// ParseTCP checks that p holds a header with all its options and returns a view
// of exactly that.
func ParseTCP(p []byte) (TCP, bool) {
	if len(p) < TCPMinLen {
		return nil, false
	}
	n := int(p[12]>>4) * 4
	if n < TCPMinLen || n > len(p) {
		return nil, false
	}
	return TCP(p[:n:n]), true
}

// SrcPort returns the source port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:]) }

// DstPort returns the destination port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Seq returns the sequence number.
func (h TCP) Seq() uint32 { return binary.BigEndian.Uint32(h[4:]) }

// AckSeq returns the acknowledgment number.
func (h TCP) AckSeq() uint32 { return binary.BigEndian.Uint32(h[8:]) }

// HeaderLen returns the length with options in bytes.
func (h TCP) HeaderLen() int { return int(h[12]>>4) * 4 }

// Flags returns the flags, TCPFin and so on.
func (h TCP) Flags() uint8 { return h[13] }

// Window returns the window field, unscaled.
func (h TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:]) }

// Checksum returns the checksum field.
func (h TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:]) }

// SetChecksum sets the checksum field.
func (h TCP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[16:], c) }

// Urgent returns the urgent pointer.
func (h TCP) Urgent() uint16 { return binary.BigEndian.Uint16(h[18:]) }

// SetUrgent sets the urgent pointer and the flag.
func (h TCP) SetUrgent(p uint16) {
	binary.BigEndian.PutUint16(h[18:], p)
	h[13] |= TCPUrg
}

// SetSeq sets the sequence number.
func (h TCP) SetSeq(s uint32) { binary.BigEndian.PutUint32(h[4:], s) }

// SetFlags replaces the flags.
func (h TCP) SetFlags(f uint8) { h[13] = f }

// Options returns the bytes behind the fixed header.
func (h TCP) Options() []byte { return h[TCPMinLen:] }

// EachOption calls fn for the kind and the data of each option up to the first
// that is malformed.
func (h TCP) EachOption(fn func(kind uint8, data []byte)) {
	p := h.Options()
	for len(p) > 0 {
		switch p[0] {
		case TCPOptEOL:
			return
		case TCPOptNOP:
			p = p[1:]
			continue
		}
		if len(p) < 2 || p[1] < 2 || int(p[1]) > len(p) {
			return
		}
		fn(p[0], p[2:p[1]])
		p = p[p[1]:]
	}
}

// TCPFields are the fields of a header to be made.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	HeaderLen        int // with options, a multiple of four
	Flags            uint8
	Window           uint16
}

// PutTCP writes a header with zero checksum and urgent pointer into p, at least
// HeaderLen bytes; the options are the caller's to write.
func PutTCP(p []byte, f *TCPFields) TCP {
	_ = p[TCPMinLen-1]
	binary.BigEndian.PutUint16(p[0:], f.SrcPort)
	binary.BigEndian.PutUint16(p[2:], f.DstPort)
	binary.BigEndian.PutUint32(p[4:], f.Seq)
	binary.BigEndian.PutUint32(p[8:], f.Ack)
	p[12] = uint8(f.HeaderLen/4) << 4
	p[13] = f.Flags
	binary.BigEndian.PutUint16(p[14:], f.Window)
	binary.BigEndian.PutUint32(p[16:], 0)
	return TCP(p[:f.HeaderLen])
}
