package header

import "encoding/binary"

// ICMPLen is the length of the fixed part of every ICMP message in bytes.
const ICMPLen = 8

// ICMP message types (RFC 792, RFC 950, RFC 1256).
const (
	ICMPEchoReply      = 0
	ICMPDestUnreach    = 3
	ICMPSourceQuench   = 4
	ICMPRedirect       = 5
	ICMPEcho           = 8
	ICMPTimeExceeded   = 11
	ICMPParameterProb  = 12
	ICMPTimestamp      = 13
	ICMPTimestampReply = 14
	ICMPAddressMask    = 17
	ICMPAddressReply   = 18
	// ICMPMaxType is the largest type Linux knows (NR_ICMP_TYPES).
	ICMPMaxType = 18

	// Extended echo (RFC 8335).
	ICMPExtEcho      = 42
	ICMPExtEchoReply = 43
)

// Codes of ICMPDestUnreach (RFC 792, RFC 1122, RFC 1812).
const (
	ICMPNetUnreach    = 0
	ICMPHostUnreach   = 1
	ICMPProtUnreach   = 2
	ICMPPortUnreach   = 3
	ICMPFragNeeded    = 4
	ICMPSRFailed      = 5
	ICMPNetUnknown    = 6
	ICMPHostUnknown   = 7
	ICMPHostIsolated  = 8
	ICMPNetProhib     = 9
	ICMPHostProhib    = 10
	ICMPNetTOS        = 11
	ICMPHostTOS       = 12
	ICMPPktFiltered   = 13
	ICMPPrecViolation = 14
	ICMPPrecCutoff    = 15
	ICMPMaxUnreach    = 15
)

// Codes of ICMPTimeExceeded.
const (
	ICMPExcTTL      = 0
	ICMPExcFragTime = 1
)

// ICMP is a view of an ICMP message.
type ICMP []byte

// ParseICMP checks that p holds the fixed part of a message.
func ParseICMP(p []byte) (ICMP, bool) {
	if len(p) < ICMPLen {
		return nil, false
	}
	return ICMP(p), true
}

// Type returns the message type.
func (h ICMP) Type() uint8 { return h[0] }

// Code returns the code.
func (h ICMP) Code() uint8 { return h[1] }

// Checksum returns the checksum field.
func (h ICMP) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Rest returns the second word, whose meaning depends on the type: identifier
// and sequence number, gateway, pointer, next-hop MTU.
func (h ICMP) Rest() uint32 { return binary.BigEndian.Uint32(h[4:]) }

// MTU returns the next-hop MTU of a fragmentation-needed message (RFC 1191).
func (h ICMP) MTU() int { return int(binary.BigEndian.Uint16(h[6:])) }

// EchoID returns the identifier of an echo message.
func (h ICMP) EchoID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// EchoSeq returns the sequence number of an echo message.
func (h ICMP) EchoSeq() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// Payload returns what follows the fixed part.
func (h ICMP) Payload() []byte { return h[ICMPLen:] }

// SetType sets the type.
func (h ICMP) SetType(t uint8) { h[0] = t }

// SetChecksum sets the checksum field.
func (h ICMP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[2:], c) }

// PutICMP writes the fixed part with a zero checksum into p, at least ICMPLen
// bytes.
func PutICMP(p []byte, typ, code uint8, rest uint32) ICMP {
	_ = p[ICMPLen-1]
	p[0], p[1] = typ, code
	p[2], p[3] = 0, 0
	binary.BigEndian.PutUint32(p[4:], rest)
	return ICMP(p)
}

// Codes of ICMPRedirect.
const (
	ICMPRedirNet     = 0
	ICMPRedirHost    = 1
	ICMPRedirNetTOS  = 2
	ICMPRedirHostTOS = 3
)

// ICMPIsError reports whether a message is about another packet, which it
// quotes.
func ICMPIsError(typ uint8) bool {
	switch typ {
	case ICMPDestUnreach, ICMPSourceQuench, ICMPTimeExceeded, ICMPParameterProb, ICMPRedirect:
		return true
	}
	return false
}
