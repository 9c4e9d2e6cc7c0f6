package header

import "encoding/binary"

// ARPLen is the length of an ARP packet for Ethernet and IPv4 in bytes.
const ARPLen = 28

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARPEther is the ARP hardware type of Ethernet (Linux: ARPHRD_ETHER).
const ARPEther = 1

// ARPIEEE802 is the hardware type some hosts use for the same (Linux accepts
// it too: ARPHRD_IEEE802).
const ARPIEEE802 = 6

// ARP is a view of an ARP packet for Ethernet and IPv4.
type ARP []byte

// ParseARP checks that p holds an ARP packet whose address lengths are those
// of Ethernet and IPv4. Hardware type, protocol type and operation are the
// caller's to judge.
func ParseARP(p []byte) (ARP, bool) {
	if len(p) < ARPLen || p[4] != 6 || p[5] != 4 {
		return nil, false
	}
	return ARP(p), true
}

// HType returns the hardware type (ar$hrd).
func (h ARP) HType() uint16 { return binary.BigEndian.Uint16(h[0:]) }

// PType returns the protocol type (ar$pro).
func (h ARP) PType() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Op returns the operation (ar$op).
func (h ARP) Op() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// SenderHW returns the sender's hardware address (ar$sha).
func (h ARP) SenderHW() [6]byte { return [6]byte(h[8:14]) }

// SenderIP returns the sender's protocol address (ar$spa).
func (h ARP) SenderIP() Addr { return Addr(binary.BigEndian.Uint32(h[14:])) }

// TargetHW returns the target's hardware address (ar$tha).
func (h ARP) TargetHW() [6]byte { return [6]byte(h[18:24]) }

// TargetIP returns the target's protocol address (ar$tpa).
func (h ARP) TargetIP() Addr { return Addr(binary.BigEndian.Uint32(h[24:])) }

// PutARP writes a whole packet for Ethernet and IPv4 into p, which holds at
// least ARPLen bytes.
func PutARP(p []byte, op uint16, sha [6]byte, spa Addr, tha [6]byte, tpa Addr) {
	_ = p[ARPLen-1]
	binary.BigEndian.PutUint16(p[0:], ARPEther)
	binary.BigEndian.PutUint16(p[2:], EthPIP)
	p[4], p[5] = 6, 4
	binary.BigEndian.PutUint16(p[6:], op)
	copy(p[8:14], sha[:])
	binary.BigEndian.PutUint32(p[14:], uint32(spa))
	copy(p[18:24], tha[:])
	binary.BigEndian.PutUint32(p[24:], uint32(tpa))
}
