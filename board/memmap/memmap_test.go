package memmap

import (
	"math/rand/v2"
	"testing"
)

// check compares a set with one bit for each address below len(want).
func check(t *testing.T, s *Set, want []bool) {
	t.Helper()
	got := make([]bool, len(want))
	last := uint64(0)
	for i, r := range s.Ranges() {
		if r.Lo >= r.Hi || i > 0 && r.Lo <= last {
			t.Fatalf("ranges %v", s.Ranges())
		}
		last = r.Hi
		for a := r.Lo; a < r.Hi; a++ {
			got[a] = true
		}
	}
	for a := range want {
		if got[a] != want[a] {
			t.Fatalf("address %d: %v, want %v; ranges %v", a, got[a], want[a], s.Ranges())
		}
	}
}

func TestSet_randomOperations_likeBitmap(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var s Set
		want := make([]bool, 100)
		for range 60 {
			lo, hi := r.Uint64N(100), r.Uint64N(100)
			add := r.IntN(2) == 0
			if add {
				s.Add(lo, hi)
			} else {
				s.Remove(lo, hi)
			}
			for a := lo; a < hi; a++ {
				want[a] = add
			}
			check(t, &s, want)
		}
		s.Align(8)
		for a := 0; a < 100; a += 8 {
			all := a+8 <= 100
			for i := a; i < min(a+8, 100); i++ {
				all = all && want[i]
			}
			for i := a; i < min(a+8, 100); i++ {
				want[i] = all
			}
		}
		check(t, &s, want)
	}
}

func TestSet_tooManyRanges_overflowedNeverMore(t *testing.T) {
	var s Set
	for i := range uint64(Max + 10) {
		s.Add(i*10, i*10+5)
	}
	if !s.Overflowed() || len(s.Ranges()) != Max || s.Size() != Max*5 {
		t.Fatalf("overflowed %v, %d ranges, size %d", s.Overflowed(), len(s.Ranges()), s.Size())
	}
	for i := range uint64(Max) { // each removal would make two of one
		s.Remove(i*10+2, i*10+3)
	}
	for _, r := range s.Ranges() {
		if r.Lo <= r.Lo/10*10+2 && r.Hi > r.Lo/10*10+2 {
			t.Fatalf("%v holds what was removed", r)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add([]byte{1, 0, 50, 0, 10, 20, 2, 0, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s Set
		want := make([]bool, 256)
		for ; len(ops) >= 3; ops = ops[3:] {
			lo, hi := uint64(ops[1]), uint64(ops[2])
			switch ops[0] % 2 {
			case 0:
				s.Remove(lo, hi)
			case 1:
				s.Add(lo, hi)
			}
			for a := lo; a < hi; a++ {
				want[a] = ops[0]%2 == 1
			}
		}
		check(t, &s, want)
	})
}
