package header

import "encoding/binary"

// UDPLen is the length of a UDP header in bytes.
const UDPLen = 8

// UDP is a view of a UDP header.
type UDP []byte

// ParseUDP checks that p holds a header. The length field is the caller's to
// compare with what arrived.
func ParseUDP(p []byte) (UDP, bool) {
	if len(p) < UDPLen {
		return nil, false
	}
	return UDP(p), true
}

// SrcPort returns the source port.
func (h UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:]) }

// DstPort returns the destination port.
func (h UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Length returns the length of header and data in bytes.
func (h UDP) Length() int { return int(binary.BigEndian.Uint16(h[4:])) }

// Checksum returns the checksum field; 0 means that the sender made none.
func (h UDP) Checksum() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// SetLength sets the length field, which in UDP-Lite is the coverage.
func (h UDP) SetLength(n int) { binary.BigEndian.PutUint16(h[4:], uint16(n)) }

// SetChecksum sets the checksum field.
func (h UDP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[6:], c) }

// PutUDP writes a header with a zero checksum into p, at least UDPLen bytes.
func PutUDP(p []byte, src, dst uint16, length int) UDP {
	_ = p[UDPLen-1]
	binary.BigEndian.PutUint16(p[0:], src)
	binary.BigEndian.PutUint16(p[2:], dst)
	binary.BigEndian.PutUint16(p[4:], uint16(length))
	p[6], p[7] = 0, 0
	return UDP(p)
}
