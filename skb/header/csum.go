package header

import (
	"math/bits"

	"barewire/skb"
)

// CsumReplace2 returns the checksum sum after a 16-bit word it covers changed
// from old to new (RFC 1624, equation 3; Linux: csum_replace2). The word must
// stand at an even offset of what is summed.
func CsumReplace2(sum, old, new uint16) uint16 {
	s := uint32(^sum) + uint32(^old) + uint32(new)
	return skb.CsumFold(s)
}

// CsumReplace4At is CsumReplace4 for a word at an offset that may be odd, where its
// bytes count in the other order.
func CsumReplace4At(sum uint16, at int, old, new uint32) uint16 {
	if at&1 != 0 {
		old, new = bits.RotateLeft32(old, 8), bits.RotateLeft32(new, 8)
	}
	return CsumReplace4(sum, old, new)
}

// CsumReplace4 is CsumReplace2 for a 32-bit word (Linux: csum_replace4).
func CsumReplace4(sum uint16, old, new uint32) uint16 {
	s := uint64(^sum) + uint64(^old) + uint64(new)
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return skb.CsumFold(uint32(s))
}
