package header

import "encoding/binary"

// IGMP message types (RFC 1112, RFC 2236, RFC 3376).
const (
	IGMPQuery    = 0x11
	IGMPv1Report = 0x12
	IGMPv2Report = 0x16
	IGMPv2Leave  = 0x17
	IGMPv3Report = 0x22
)

// Record types of a version 3 report (RFC 3376 section 4.2.12).
const (
	IGMPModeIsInclude   = 1
	IGMPModeIsExclude   = 2
	IGMPChangeToInclude = 3
	IGMPChangeToExclude = 4
	IGMPAllowNew        = 5
	IGMPBlockOld        = 6
)

// Lengths of IGMP messages in bytes, without sources.
const (
	IGMPLen         = 8
	IGMPv3QueryLen  = 12
	IGMPv3ReportLen = 8
	IGMPv3GrecLen   = 8
)

// IGMP is a view of an IGMP message.
type IGMP []byte

// ParseIGMP checks that p holds at least the eight bytes every message has.
func ParseIGMP(p []byte) (IGMP, bool) {
	if len(p) < IGMPLen {
		return nil, false
	}
	return IGMP(p), true
}

// Type returns the message type.
func (h IGMP) Type() uint8 { return h[0] }

// Code returns the maximum response code of a query.
func (h IGMP) Code() uint8 { return h[1] }

// Group returns the group address, 0 in a general query.
func (h IGMP) Group() Addr { return Addr(binary.BigEndian.Uint32(h[4:])) }

// IGMPv3Query is a view of a version 3 query.
type IGMPv3Query []byte

// ParseIGMPv3Query checks that p holds a version 3 query with all the sources
// it says it has.
func ParseIGMPv3Query(p []byte) (IGMPv3Query, bool) {
	if len(p) < IGMPv3QueryLen || len(p) < IGMPv3QueryLen+4*int(binary.BigEndian.Uint16(p[10:])) {
		return nil, false
	}
	return IGMPv3Query(p), true
}

// QRV returns the querier's robustness, 0 when it does not say.
func (h IGMPv3Query) QRV() int { return int(h[8] & 7) }

// QQI returns the querier's query interval in seconds, 0 when it does not say.
func (h IGMPv3Query) QQI() int { return IGMPv3Code(h[9]) }

// NSources returns the number of sources.
func (h IGMPv3Query) NSources() int { return int(binary.BigEndian.Uint16(h[10:])) }

// Source returns source i.
func (h IGMPv3Query) Source(i int) Addr {
	return Addr(binary.BigEndian.Uint32(h[IGMPv3QueryLen+4*i:]))
}

// IGMPv3Code is the value of a floating point code (RFC 3376 sections 4.1.1
// and 4.1.7).
func IGMPv3Code(c uint8) int {
	if c < 128 {
		return int(c)
	}
	return (int(c&15) | 16) << (c>>4&7 + 3)
}
