package header

import "encoding/binary"

// EthHLen is the length of an Ethernet header in bytes (ETH_HLEN).
const EthHLen = 14

// Ethertypes in host byte order (Linux: ETH_P_*).
const (
	EthPIP   = 0x0800
	EthPARP  = 0x0806
	EthP8021 = 0x8100
	EthPIPv6 = 0x86dd
)

// Ethernet is a view of an Ethernet II header.
type Ethernet []byte

// ParseEthernet checks that p holds a header.
func ParseEthernet(p []byte) (Ethernet, bool) {
	if len(p) < EthHLen {
		return nil, false
	}
	return Ethernet(p), true
}

// Dst returns the destination address.
func (h Ethernet) Dst() [6]byte { return [6]byte(h[0:6]) }

// Src returns the source address.
func (h Ethernet) Src() [6]byte { return [6]byte(h[6:12]) }

// Type returns the ethertype, or the length of an IEEE 802.3 frame when it is
// below 0x600.
func (h Ethernet) Type() uint16 { return binary.BigEndian.Uint16(h[12:]) }

// SetDst sets the destination address.
func (h Ethernet) SetDst(a [6]byte) { copy(h[0:6], a[:]) }

// SetSrc sets the source address.
func (h Ethernet) SetSrc(a [6]byte) { copy(h[6:12], a[:]) }

// SetType sets the ethertype.
func (h Ethernet) SetType(t uint16) { binary.BigEndian.PutUint16(h[12:], t) }

// Payload returns what follows the header.
func (h Ethernet) Payload() []byte { return h[EthHLen:] }
