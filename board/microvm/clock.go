//go:build tamago

package microvm

import (
	"math/bits"
	_ "unsafe" // for go:linkname
)

// clk turns the TSC into nanoseconds: base + (tsc - tsc0) * mult >> 32.
var clk struct {
	tsc0 uint64
	base int64
	mult uint64
}

//go:linkname clockNow runtime/goos.Nanotime
//go:nosplit
func clockNow() int64 {
	hi, lo := bits.Mul64(rdtsc()-clk.tsc0, clk.mult)
	return clk.base + int64(hi<<32|lo>>32)
}

// WallClock is the time of day since the Unix epoch.
func WallClock() (sec int64, nsec int32) {
	t := clockNow() + wallOffset
	return t / 1e9, int32(t % 1e9)
}

// Channel 0 of the 8254 interval timer counts down all the time; latching it needs no gate and no speaker port, which
// microvm does not have.
const (
	pitCh0  = 0x40
	pitMode = 0x43
	pitHz   = 1193182
)

func pitRead() uint16 {
	out8(pitMode, 0) // latch channel 0
	return uint16(in8(pitCh0)) | uint16(in8(pitCh0))<<8
}

func clockSetup() {
	out8(pitMode, 0x34) // channel 0, both bytes, mode 2 (rate generator)
	out8(pitCh0, 0)
	out8(pitCh0, 0)
	p0 := pitRead()
	t0 := rdtsc()
	var dp uint16
	var t1 uint64
	for {
		p1 := pitRead()
		t1 = rdtsc()
		if dp = p0 - p1; dp > pitHz/100 {
			break
		}
	}
	hz := (t1 - t0) * pitHz / uint64(dp)
	clk.tsc0 = t0
	clk.base = 1
	clk.mult, _ = bits.Div64(1000000000>>32, 1000000000<<32, hz)
}
