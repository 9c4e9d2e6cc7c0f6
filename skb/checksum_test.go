package skb_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"barewire/skb"
)

// naiveSum is RFC 1071, section 1, read aloud: adjacent bytes paired to 16-bit
// integers, their one's complement sum, an odd byte padded with zero.
func naiveSum(p []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(p); i += 2 {
		word := uint32(p[i]) << 8
		if i+1 < len(p) {
			word |= uint32(p[i+1])
		}
		sum += word
		if sum > 0xffff { // the carry goes round
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// same compares sums, which have two ways to say zero.
func same(a, b uint16) bool { return a == b || a%0xffff == 0 && b%0xffff == 0 }

func TestChecksum_rfc1071Example(t *testing.T) {
	p := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7} // section 3
	if got := skb.CsumPartial(p, 0); got != 0xddf2 {
		t.Errorf("sum %#x", got)
	}
	if got := skb.CsumFold(skb.CsumPartial(p, 0)); got != ^uint16(0xddf2) {
		t.Errorf("checksum %#x", got)
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte{}, uint16(0), uint32(0))
	f.Add([]byte{1}, uint16(0), uint32(0xffffffff))
	f.Add(make([]byte, 65), uint16(7), uint32(1))
	f.Add(pattern(200, 1500), uint16(733), uint32(0x12345678))
	ones := make([]byte, 257)
	for i := range ones {
		ones[i] = 0xff
	}
	f.Add(ones, uint16(128), uint32(0xffff))
	f.Fuzz(func(t *testing.T, p []byte, cut uint16, sum uint32) {
		var s [4]byte
		binary.BigEndian.PutUint32(s[:], sum)
		want := naiveSum(append(s[:], p...))
		if got := ^skb.CsumFold(skb.CsumPartial(p, sum)); !same(got, want) {
			t.Fatalf("sum %#x, want %#x", got, want)
		}
		// In two pieces at any cut, and one taken off again.
		at := int(cut) % (len(p) + 1)
		a, b := skb.CsumPartial(p[:at], sum), skb.CsumPartial(p[at:], 0)
		both := skb.CsumBlockAdd(a, b, at)
		if got := ^skb.CsumFold(both); !same(got, want) {
			t.Fatalf("cut at %d: %#x, want %#x", at, got, want)
		}
		if got := skb.CsumBlockSub(both, b, at); !same(^skb.CsumFold(got), ^skb.CsumFold(a)) {
			t.Fatalf("cut at %d: taking a block off leaves %#x, want %#x", at, got, a)
		}
		if got := skb.CsumSub(skb.CsumAdd(a, b), b); !same(^skb.CsumFold(got), ^skb.CsumFold(a)) {
			t.Fatalf("CsumSub: %#x, want %#x", got, a)
		}
	})
}

func TestCsumFold_edges(t *testing.T) {
	for sum, want := range map[uint32]uint16{0: 0xffff, 0xffff: 0, 0x10000: 0xfffe, 0xffffffff: 0, 0xfffeffff: 0xfffe - 0xfffe + 0, 0x1ffff: 0xfffe} {
		if sum == 0xfffeffff {
			want = ^naiveSum([]byte{0xff, 0xfe, 0xff, 0xff})
		}
		if got := skb.CsumFold(sum); !same(got, want) {
			t.Errorf("fold of %#x: %#x, want %#x", sum, got, want)
		}
	}
}

// scattered returns a packet of these bytes in random pieces.
func scattered(t *testing.T, c *skb.Cache, r *rand.Rand, p []byte) *skb.Buff {
	lin := r.IntN(min(len(p), 300) + 1)
	b := filled(t, c, 32, p[:lin])
	p = p[lin:]
	for len(p) > 0 && r.IntN(6) != 0 && len(b.Frags()) < skb.MaxFrags {
		n := 1 + r.IntN(min(len(p), 200))
		addFrag(t, c, b, p[:n])
		p = p[n:]
	}
	for len(p) > 0 {
		n := 1 + r.IntN(min(len(p), 300))
		if !b.AddFragList(filled(t, c, 0, p[:n])) {
			t.Fatal("not taken")
		}
		p = p[n:]
	}
	return b
}

func TestBuffChecksum_scattered(t *testing.T) {
	c := newCache(t, 2000)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := pattern(byte(seed), 1+r.IntN(1500))
		b := scattered(t, c, r, p)
		off := r.IntN(len(p))
		n := r.IntN(len(p) - off + 1)
		if got, want := ^skb.CsumFold(b.Checksum(off, n, 0)), naiveSum(p[off:off+n]); !same(got, want) {
			t.Fatalf("seed %d: %d bytes from %d: %#x, want %#x", seed, n, off, got, want)
		}
		b.Consume()
	}
}

func TestChecksumHelp_fillsIn(t *testing.T) {
	c := newCache(t, 2000)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := pattern(byte(seed), 60+r.IntN(1400))
		p[40], p[41] = 0, 0
		b := scattered(t, c, r, p)
		if !b.MayPull(42) || !b.SetCsumPartial(34, 6) {
			t.Fatal("refused")
		}
		var clone *skb.Buff
		if seed%2 == 0 {
			clone = b.Clone()
		}
		if !b.ChecksumHelp() || b.IPSummed != skb.ChecksumNone {
			t.Fatalf("seed %d: not done", seed)
		}
		if sum := naiveSum(contents(b)[34:]); sum != 0xffff {
			t.Fatalf("seed %d: sum over the packet %#x", seed, sum)
		}
		if clone != nil {
			if got := contents(clone); got[40] != 0 || got[41] != 0 {
				t.Fatal("the clone's bytes changed")
			}
			clone.Consume()
		}
		b.Consume()
	}
}

func TestChecksumHelp_zeroIsSentAsOnes(t *testing.T) {
	c := newCache(t, 2)
	b := filled(t, c, 0, []byte{0xff, 0xff, 0, 0})
	defer b.Consume()
	b.SetCsumPartial(0, 2)
	if !b.ChecksumHelp() || b.Data()[2] != 0xff || b.Data()[3] != 0xff {
		t.Errorf("% x", b.Data())
	}
}

func TestChecksumHelp_refuses(t *testing.T) {
	c := newCache(t, 4)
	b := filled(t, c, 10, make([]byte, 20))
	defer b.Consume()
	for _, bad := range [][2]int{{-1, 2}, {0, -1}, {0, 19}, {19, 0}, {21, 0}, {1 << 20, 0}, {0, 1 << 20}, {int(^uint(0) >> 1), 2}, {2, int(^uint(0) >> 1)}} {
		if b.SetCsumPartial(bad[0], bad[1]) || b.IPSummed != skb.ChecksumNone {
			t.Errorf("accepted start %d offset %d", bad[0], bad[1])
		}
	}
	if !b.SetCsumPartial(4, 14) {
		t.Fatal("refused the last place there is")
	}
	b.Pull(5) // past the start
	if b.ChecksumHelp() {
		t.Error("summed from before the packet")
	}
	b.Push(5)
	b.Trim(19)
	if b.ChecksumHelp() {
		t.Error("wrote behind the packet")
	}
	b.Put(1)
	b.Shinfo().GSOSize = 4
	if b.ChecksumHelp() {
		t.Error("one checksum for a super-packet")
	}
	b.Shinfo().GSOSize = 0
	b.IPSummed = skb.ChecksumComplete
	if !b.ChecksumHelp() || b.IPSummed != skb.ChecksumNone {
		t.Error("nothing to do, yet refused")
	}
}

func TestCsumPartial_survivesAGrownHead(t *testing.T) {
	c := newCache(t, 8)
	b := filled(t, c, 10, pattern(1, 60))
	defer b.Consume()
	b.SetCsumPartial(20, 16)
	cl := b.Clone()
	b.Push(4)
	if b.CsumStartOffset() != 24 || cl.CsumStartOffset() != 20 {
		t.Errorf("after push: %d, clone %d", b.CsumStartOffset(), cl.CsumStartOffset())
	}
	if !b.Cow(300) || b.CsumStartOffset() != 24 {
		t.Errorf("after growing: %d", b.CsumStartOffset())
	}
	cl.Consume()
}

func TestRcsum_completeStaysTrue(t *testing.T) {
	c := newCache(t, 2000)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := pattern(byte(seed), 2+r.IntN(900))
		b := scattered(t, c, r, p)
		b.IPSummed, b.Csum = skb.ChecksumComplete, skb.CsumPartial(p, 0)
		cut := 1 + r.IntN(len(p))
		if !b.TrimRcsum(cut) || b.Len() != cut {
			t.Fatalf("seed %d: trim", seed)
		}
		if got, want := ^skb.CsumFold(b.Csum), naiveSum(p[:cut]); !same(got, want) {
			t.Fatalf("seed %d: trimmed to %d: %#x, want %#x", seed, cut, got, want)
		}
		pull := r.IntN(b.Headlen() + 1)
		if b.PullRcsum(pull) == nil && pull > 0 && b.Headlen() > 0 {
			t.Fatalf("seed %d: pull", seed)
		}
		if got, want := ^skb.CsumFold(b.Csum), naiveSum(p[pull:cut]); !same(got, want) {
			t.Fatalf("seed %d: pulled %d: %#x, want %#x", seed, pull, got, want)
		}
		b.Consume()
	}
}

func TestRcsum_partial(t *testing.T) {
	c := newCache(t, 4)
	b := filled(t, c, 0, make([]byte, 40))
	defer b.Consume()
	b.SetCsumPartial(20, 6)
	if b.TrimRcsum(27) || b.TrimRcsum(-1) || b.Len() != 40 {
		t.Error("cut through the checksum")
	}
	if !b.TrimRcsum(28) || !b.TrimRcsum(100) || b.Len() != 28 {
		t.Error("refused to cut behind the checksum")
	}
	if b.PullRcsum(20) == nil || b.IPSummed != skb.ChecksumPartial {
		t.Error("state lost")
	}
	if b.PullRcsum(1) == nil || b.IPSummed != skb.ChecksumNone {
		t.Error("the checksum's start was pulled, yet it counts")
	}
	if b.PullRcsum(8) != nil || b.PullRcsum(-1) != nil {
		t.Error("pulled what is not there")
	}
}

func TestChecksum_everyLengthAndAlignment_agreesWithNaive(t *testing.T) {
	ones := make([]byte, 1<<20)
	for i := range ones {
		ones[i] = 0xff
	}
	for _, p := range [][]byte{pattern(9, 400), ones[:400]} {
		for n := range 320 {
			for off := range 16 {
				if got, want := ^skb.CsumFold(skb.CsumPartial(p[off:off+n], 0)), naiveSum(p[off:off+n]); !same(got, want) {
					t.Fatalf("%d bytes from %d: sum %#x, want %#x", n, off, got, want)
				}
			}
		}
	}
	for _, n := range []int{65535, 1<<20 - 1, 1 << 20} {
		if got, want := ^skb.CsumFold(skb.CsumPartial(ones[:n], 0xffffffff)), naiveSum(ones[:n]); !same(got, want) {
			t.Fatalf("%d bytes of ones: sum %#x, want %#x", n, got, want)
		}
	}
}

// Long pieces are added in wide registers where the processor has them, short ones never: both say the same, at every
// length and place, of bytes that carry most.
func TestCsumPartial_longAndShort_theSame(t *testing.T) {
	ones := make([]byte, 2048)
	for i := range ones {
		ones[i] = 0xff
	}
	for _, data := range [][]byte{ones, pattern(3, 2048)} {
		for at := range 33 {
			for n := 250; n < 1600; n += 1 + n%7 {
				p := data[at : at+n]
				pieces := uint32(0x1234)
				for off := 0; off < n; off += 100 {
					pieces = skb.CsumBlockAdd(pieces, skb.CsumPartial(p[off:min(off+100, n)], 0), off)
				}
				if got := skb.CsumPartial(p, 0x1234); !same(skb.CsumFold(got), skb.CsumFold(pieces)) {
					t.Fatalf("%d bytes at %d: %#x, in pieces %#x", n, at, got, pieces)
				}
			}
		}
	}
}
