package nat

import "testing"

// TestJhash_lookup3: hashword of lookup3.c by another way of writing it, and the
// sum over no words.
func TestJhash_lookup3(t *testing.T) {
	if h := JHash(nil, 0); h != 0xdeadbeef {
		t.Errorf("of nothing: %#x", h)
	}
	rot := func(x uint32, k int) uint32 { return x<<k | x>>(32-k) }
	one := func(k, init uint32) uint32 { // final(a, b, c) written out
		a := 0xdeadbeef + 4 + init
		b, c := a, a
		a += k
		c ^= b
		c -= rot(b, 14)
		a ^= c
		a -= rot(c, 11)
		b ^= a
		b -= rot(a, 25)
		c ^= b
		c -= rot(b, 16)
		a ^= c
		a -= rot(c, 4)
		b ^= a
		b -= rot(a, 14)
		c ^= b
		c -= rot(b, 24)
		return c
	}
	for _, k := range []uint32{0, 1, 0x0a000001, ^uint32(0)} {
		if got, want := JHash([]uint32{k}, 7), one(k, 7); got != want {
			t.Errorf("%#x: %#x, want %#x", k, got, want)
		}
	}
}
