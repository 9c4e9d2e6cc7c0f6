// Package memmap keeps sets of address ranges: what of the RAM is free. It allocates nothing, so that it can
// be used before the heap exists.
package memmap

// Max is the number of ranges a Set can hold.
const Max = 256

// A Range is [Lo, Hi).
type Range struct{ Lo, Hi uint64 }

// Size is the number of bytes in r.
func (r Range) Size() uint64 { return r.Hi - r.Lo }

// A Set is a set of addresses: ascending ranges that neither touch nor overlap. The zero Set is empty.
type Set struct {
	r    [Max]Range
	n    int
	full bool
}

// Ranges are the set's ranges, ascending. The slice is valid until the set changes.
func (s *Set) Ranges() []Range { return s.r[:s.n] }

// Overflowed reports whether ranges were lost for lack of room: the set then holds less than was added, never
// what was removed.
func (s *Set) Overflowed() bool { return s.full }

// Size is the number of addresses in the set.
func (s *Set) Size() (n uint64) {
	for _, r := range s.Ranges() {
		n += r.Size()
	}
	return n
}

// Add adds [lo, hi). An empty or inverted range adds nothing.
func (s *Set) Add(lo, hi uint64) {
	if lo >= hi {
		return
	}
	// swallow every range that touches [lo, hi)
	i := 0
	for i < s.n && s.r[i].Hi < lo {
		i++
	}
	j := i
	for j < s.n && s.r[j].Lo <= hi {
		lo, hi = min(lo, s.r[j].Lo), max(hi, s.r[j].Hi)
		j++
	}
	s.replace(i, j, Range{lo, hi})
}

// Remove takes [lo, hi) out of the set.
func (s *Set) Remove(lo, hi uint64) {
	if lo >= hi {
		return
	}
	for i := 0; i < s.n; {
		r := s.r[i]
		if r.Hi <= lo || r.Lo >= hi {
			i++
			continue
		}
		s.replace(i, i+1)
		if r.Lo < lo {
			s.replace(i, i, Range{r.Lo, lo})
			i++
		}
		if hi < r.Hi {
			s.replace(i, i, Range{hi, r.Hi})
			i++
		}
	}
}

// Align shrinks every range to multiples of n, a power of two; ranges that become empty go.
func (s *Set) Align(n uint64) {
	for i := 0; i < s.n; {
		r := &s.r[i]
		lo := (r.Lo + n - 1) &^ (n - 1)
		hi := r.Hi &^ (n - 1)
		if lo < r.Lo || lo >= hi {
			s.replace(i, i+1)
			continue
		}
		*r = Range{lo, hi}
		i++
	}
}

// replace puts at most one range in the place of ranges i to j-1.
func (s *Set) replace(i, j int, with ...Range) {
	n := s.n - (j - i) + len(with)
	if n > Max {
		s.full = true
		return
	}
	copy(s.r[i+len(with):n], s.r[j:s.n])
	copy(s.r[i:], with)
	s.n = n
}
