package nat

import "math/bits"

// JHash is Bob Jenkins's lookup3 over words, as Linux's jhash2 computes it: the
// choice among several addresses follows it, so that a cluster of routers, some
// with Linux, chooses the same.
func JHash(k []uint32, initval uint32) uint32 {
	a := uint32(0xdeadbeef) + uint32(len(k))<<2 + initval
	b, c := a, a
	for len(k) > 3 {
		a += k[0]
		b += k[1]
		c += k[2]
		for _, r := range [...]int{4, 6, 8, 16, 19, 4} {
			a -= c
			a ^= bits.RotateLeft32(c, r)
			c += b
			a, b, c = b, c, a // the three take turns
		}
		k = k[3:]
	}
	switch len(k) {
	case 3:
		c += k[2]
		fallthrough
	case 2:
		b += k[1]
		fallthrough
	case 1:
		a += k[0]
	default:
		return c
	}
	for _, r := range [...]int{14, 11, 25, 16, 4, 14, 24} {
		c ^= b
		c -= bits.RotateLeft32(b, r)
		a, b, c = b, c, a
	}
	return b // which was c at the last turn
}
