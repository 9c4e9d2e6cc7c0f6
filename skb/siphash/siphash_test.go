package siphash

import "testing"

// The vectors are of the paper's appendix A and of its reference code: key
// 00..0f, input 00, 01, 02 ...
func TestSum_vectorsOfThePaper(t *testing.T) {
	k := Key{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	if got := k.Sum([]uint64{0x0706050403020100, 0x000e0d0c0b0a0908 | 15<<56}); got != 0xa129ca6149be45e5 {
		t.Errorf("15 bytes: %#x", got)
	}
	if got := k.Sum2(0x0706050403020100, 0x0f0e0d0c0b0a0908); got != 0x3f2acc7f57c29bdb {
		t.Errorf("16 bytes: %#x", got)
	}
}

// TestQuick2_rounds: it is SipHash with one round a word and three at the end.
func TestQuick2_rounds(t *testing.T) {
	for i := range uint64(100) {
		k, a, b := Key{i * 0x9e3779b97f4a7c15, ^i << 17}, i<<40^i, ^i*0x123456789
		s := k.start()
		s.v3 ^= a
		s = s.round()
		s.v0, s.v3 = s.v0^a, s.v3^b
		s = s.round()
		s.v0, s.v2 = s.v0^b, s.v2^0xff
		s = s.round().round().round()
		if got, want := k.Quick2(a, b), s.v0^s.v1^s.v2^s.v3; got != want {
			t.Fatalf("%#x, %#x: %#x, want %#x", a, b, got, want)
		}
	}
}

func TestQuick2_everyBitCounts(t *testing.T) {
	k := NewKey(func(b []byte) {
		for i := range b {
			b[i] = byte(i * 7)
		}
	})
	seen := map[uint64]bool{k.Quick2(0, 0): true}
	for i := range 64 {
		for _, h := range []uint64{k.Quick2(1<<i, 0), k.Quick2(0, 1<<i)} {
			if seen[h] {
				t.Errorf("bit %d does not count", i)
			}
			seen[h] = true
		}
	}
}
