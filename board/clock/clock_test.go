package clock

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestParams_manyRates_asRationals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		hz := 1e8 + r.Uint64N(5e9)
		at := r.Uint64() // the counter may wrap
		secs := r.Uint64N(100 * 365 * 86400)
		n := new(big.Int).Mul(big.NewInt(int64(secs)), big.NewInt(int64(hz)))
		if !n.IsUint64() {
			continue
		}
		p := New(at, 1, hz)
		got := float64(p.At(at+n.Uint64()) - 1)
		if want := float64(secs) * 1e9; math.Abs(got-want) > want*5e-9+1 {
			t.Fatalf("hz %d after %d s: %v ns, want %v", hz, secs, got, want)
		}
	}
}

func TestAdjust_otherRate_neverSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := uint64(1000)
	p := New(c, 1, 2.6e9)
	last := p.At(c)
	for range 10000 {
		c += r.Uint64N(1e7)
		if r.IntN(10) == 0 {
			before := p.At(c)
			p = p.Adjust(c, 2.6e9-1e6+r.Uint64N(2e6))
			if p.At(c) != before {
				t.Fatalf("at %d: %d before, %d after", c, before, p.At(c))
			}
		}
		if now := p.At(c); now < last {
			t.Fatalf("at %d: %d after %d", c, now, last)
		} else {
			last = now
		}
	}
}

func TestElapsed_anyNumberOfWraps_counted(t *testing.T) {
	const hz = 2600000000
	pit := Slow{1193182, 1<<16 - 1}
	for _, ms := range []uint64{0, 1, 10, 54, 55, 56, 100, 1000, 12345, 600000, 86400000} {
		for _, off := range []float64{0, 1e-7, -1e-7} { // the rate is known that well
			n := ms * pit.Hz / 1000
			a := Reading{65000, 1 << 40}
			b := Reading{uint32(65000+n) & pit.Mask, 1<<40 + ms*hz/1000}
			if got := pit.Elapsed(a, b, uint64(hz*(1+off))); got != n {
				t.Errorf("%d ms: %d counts, want %d", ms, got, n)
			}
		}
	}
}

func TestRate_measuredOverTime_closer(t *testing.T) {
	const hz = 2596123456
	pm := Slow{3579545, 1<<24 - 1}
	for _, s := range []uint64{1, 10, 100} {
		n := s * pm.Hz
		got := pm.Rate(Reading{0, 0}, Reading{0, s*hz + 100}, n)
		if d := int64(got - hz); d < 0 || d > int64(100/s) {
			t.Errorf("%d s: %d Hz, off by %d", s, got, d)
		}
	}
	if got := pm.Rate(Reading{0, 0}, Reading{0, 1 << 60}, 1); got != 0 {
		t.Errorf("nonsense: %d Hz", got)
	}
}

// A processor that still has the old clock and one that has the new one read the same until the new rate begins.
func TestAdjust_aheadOfTime_bothClocksAgreeUntilThen(t *testing.T) {
	old := New(1000, 5000, 2.5e9)
	later := old.Adjust(1e9, 2.6e9)
	for _, c := range []uint64{1000, 1001, 12345, 5e8, 1e9 - 1, 1e9} {
		if d := old.At(c) - later.At(c); d < -1 || d > 1 {
			t.Errorf("at %d: %d and %d", c, old.At(c), later.At(c))
		}
		if later.Begun(c) != (c == 1e9) {
			t.Errorf("begun at %d: %v", c, later.Begun(c))
		}
	}
	if got, want := later.At(1e9+2.6e9)-later.At(1e9), int64(1e9); got < want-1 || got > want+1 {
		t.Errorf("a second of the new rate takes %d ns", got)
	}
	last := int64(0)
	for c := uint64(1e9 - 1000); c < 1e9+1000; c++ {
		now := later.At(c)
		if now < last {
			t.Fatalf("at %d the clock steps back by %d ns", c, last-now)
		}
		last = now
	}
}
