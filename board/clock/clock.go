// Package clock is the arithmetic of a clock made of a fast counter (the TSC) whose rate is measured against a slow one
// of known rate.
package clock

import "math/bits"

// Params turn a counter into nanoseconds. A set is never changed once it is in use: a reader may be preempted in its
// middle. The zero Params are no clock.
type Params struct {
	start  uint64 // counter value
	base   int64  // ns at start
	mult   uint64 // ns per count, <<32
	before uint64 // the same for counter values before start
}

// New starts a clock of a counter that counts hz times a second: at is now, base its time in ns.
func New(at uint64, base int64, hz uint64) Params {
	const ns = 1000000000
	m, _ := bits.Div64(ns>>32, ns<<32&(1<<64-1), max(hz, 2))
	return Params{at, base, m, m}
}

// At is the time in ns at counter value c. That may lie before start: a clock is adjusted ahead of time, so that readers who still
// have the old one and those who have the new one agree.
//
//go:nosplit
func (p *Params) At(c uint64) int64 {
	if ago := p.start - c; ago-1 < ahead {
		hi, lo := bits.Mul64(ago, p.before)
		return p.base - int64(hi<<32|lo>>32)
	}
	hi, lo := bits.Mul64(c-p.start, p.mult)
	return p.base + int64(hi<<32|lo>>32)
}

// Adjust returns a clock that is p up to counter value c, not before p's start, and goes on at another rate.
func (p *Params) Adjust(c, hz uint64) Params {
	q := New(c, p.At(c), hz)
	q.before = p.mult
	return q
}

// Begun tells whether counter value c is not before p's start.
func (p *Params) Begun(c uint64) bool { return p.start-c-1 >= ahead }

// ahead bounds how far before start a counter value may be, in counts: a day, of the centuries that the counter has.
const ahead = 1 << 48

// A Reading is a slow counter's value and the fast counter's at the same moment.
type Reading struct {
	Slow uint32
	Fast uint64
}

// A Slow counter counts up Hz times a second and wraps at Mask+1.
type Slow struct {
	Hz   uint64
	Mask uint32
}

// Elapsed is the slow counter's counts from a to b. It may have wrapped any number of times: as many are taken as agree best with
// the fast counter at about hz, which must be right to half a period.
func (s Slow) Elapsed(a, b Reading, hz uint64) uint64 {
	d := uint64((b.Slow - a.Slow) & s.Mask)
	period := uint64(s.Mask) + 1
	hi, lo := bits.Mul64(b.Fast-a.Fast, s.Hz)
	if hi >= hz {
		return d
	}
	if about, _ := bits.Div64(hi, lo, hz); about > d {
		d += (about - d + period/2) / period * period
	}
	return d
}

// Rate is the fast counter's rate from a to b, in which the slow one counted n. 0 if it cannot be told.
func (s Slow) Rate(a, b Reading, n uint64) uint64 {
	hi, lo := bits.Mul64(b.Fast-a.Fast, s.Hz)
	if hi >= n {
		return 0
	}
	hz, _ := bits.Div64(hi, lo, n)
	return hz
}
