//go:build tamago

package microvm

import (
	"math/bits"
	"time"
	"unsafe"

	"barewire/board/clock"
)

var (
	clockSets [16]clock.Params
	clockUse  = &clockSets[0] // replaced as a whole, never changed

	clk struct {
		hz     uint64 // TSC ticks per second, as well as it is known
		source string // where from
		ref    reference
		ref0   clock.Reading // taken at boot, what later readings are compared with
	}
)

//go:linkname clockNow runtime/goos.Nanotime
//go:nosplit
func clockNow() int64 {
	return clockUse.At(rdtsc())
}

// Nanotime is the runtime's monotonic clock in nanoseconds.
func Nanotime() int64 { return clockNow() }

// WallClock is the time of day since the Unix epoch.
func WallClock() (sec int64, nsec int32) {
	t := clockNow() + wallOffset
	return t / 1e9, int32(t % 1e9)
}

// SetWallClock sets the time of day.
func SetWallClock(sec int64, nsec int32) { wallOffset = sec*1e9 + int64(nsec) - clockNow() }

// ClockSource tells the TSC's frequency and where it is known from.
func ClockSource() (hz uint64, source string) { return clk.hz, clk.source }

// setRate has the clock go on at another rate, from TSC value tsc.
func setRate(tsc, hz uint64) {
	old := clockUse
	i := (uintptr(unsafe.Pointer(old)) - uintptr(unsafe.Pointer(&clockSets))) / unsafe.Sizeof(clock.Params{})
	next := &clockSets[(int(i)+1)%len(clockSets)]
	if clk.hz == 0 {
		*next = clock.New(tsc, 1, hz) // nanotime must never be 0
	} else {
		*next = old.Adjust(tsc, hz)
	}
	clk.hz = hz
	clockUse = next
}

// A reference is a slow counter and the way to read it; nil: there is none.
type reference struct {
	name string
	read func() uint32
	clock.Slow
	once bool // only at boot: it has other work afterwards
}

// take reads the reference a few times and keeps the reading that the host disturbed least.
func (r *reference) take(times int) (best clock.Reading) {
	least := ^uint64(0)
	for range times {
		t0 := rdtsc()
		c := r.read()
		t1 := rdtsc()
		if t1-t0 < least {
			least = t1 - t0
			best = clock.Reading{Slow: c, Fast: t0 + (t1-t0)/2}
		}
	}
	return best
}

// Channel 0 of the 8254 interval timer. It counts down all the time; latching it needs no gate and no speaker port,
// which microvm does not have.
const (
	pitCh0  = 0x40
	pitMode = 0x43
)

func pitRead() uint32 {
	out8(pitMode, 0) // latch channel 0
	v := uint16(in8(pitCh0))
	v |= uint16(in8(pitCh0)) << 8
	return uint32(-v)
}

func pmRead() uint32 { return in32(platform.PMTimer) }

// findReference looks for a counter that moves.
func findReference() {
	out8(pitMode, 0x34) // channel 0, both bytes, mode 2 (rate generator), the longest period
	out8(pitCh0, 0)
	out8(pitCh0, 0)
	clk.ref = reference{name: "PIT", read: pitRead, Slow: clock.Slow{Hz: 1193182, Mask: 1<<16 - 1}}
	if clk.ref.moves() {
		return
	}
	if platform.PMTimer != 0 {
		clk.ref = reference{name: "ACPI PM timer", read: pmRead, Slow: clock.Slow{Hz: 3579545, Mask: 1<<24 - 1}}
		if clk.ref.moves() {
			return
		}
	}
	if cpu.tcg {
		// QEMU's emulated APIC timer counts nanoseconds (hw/intc/apic.c). It is the tick's from now on, so no refinement.
		apicWrite(lapicInitial, 1<<32-1)
		clk.ref = reference{
			name: "APIC timer", read: func() uint32 { return -apicRead(lapicCurrent) }, Slow: clock.Slow{Hz: 1e9, Mask: 1<<32 - 1}, once: true,
		}
		return
	}
	clk.ref = reference{}
}

func (r *reference) moves() bool {
	first := r.read()
	for range 1000 {
		if r.read() != first {
			return true
		}
	}
	return false
}

// The TSC is measured at boot in this many steps of so many ns: 1.2 ms give 0.2 %. The start waits for it, and
// refineClock improves on it soon.
const (
	steps  = 3
	window = 400 * 1000
)

// measure returns the TSC's rate and the reading its measurement began with. A busy host may stop the machine for longer than the reference
// takes to come round (the PIT: 55 ms), and the TSC then seems to have run many times as fast: so the steps are short, the one with
// the lowest rate was not disturbed, and it tells how often the reference came round in all of them.
func (r *reference) measure() (first clock.Reading, hz uint64) {
	first = r.take(5)
	least, prev := ^uint64(0), first
	for range steps {
		for uint64((r.read()-prev.Slow)&r.Mask) < r.Hz*window/1e9 {
		}
		next := r.take(5)
		if hz := r.Rate(prev, next, uint64((next.Slow-prev.Slow)&r.Mask)); hz != 0 {
			least = min(least, hz)
		}
		prev = next
	}
	return first, r.Rate(first, prev, r.Elapsed(first, prev, least))
}

// clockSetup finds the rate of the TSC and of the APIC timer. ACPI and the APIC have been found.
func clockSetup() {
	findReference()
	told, source := toldRate()
	apicWrite(lapicInitial, 1<<32-1)
	// The APIC timer's rate: a reading the host disturbed would make every timer late.
	ticks := reference{read: func() uint32 { return -apicRead(lapicCurrent) }}
	first := ticks.take(5)
	t0 := first.Fast
	measured := uint64(0)
	switch {
	case clk.ref.read != nil && (told == 0 || !trusted(source)):
		clk.ref0, measured = clk.ref.measure()
		if clk.ref.once {
			clk.ref0 = clock.Reading{}
		}
	case told == 0:
		measured = rtcRate()
	default:
		for rdtsc()-t0 < told/1000 { // 1 ms for the APIC timer
		}
	}
	last := ticks.take(5)
	apicWrite(lapicInitial, 0)

	hz := told
	clk.source = source
	if measured != 0 && (told == 0 || measured > told+told/200 || measured < told-told/200) {
		hz, clk.source = measured, clk.ref.name
		if clk.ref.read == nil {
			clk.source = "RTC"
		}
	}
	if hz == 0 {
		fail("no clock: neither a PIT nor an ACPI PM timer nor an RTC counts, and no CPUID leaf tells the TSC's rate")
	}
	setRate(t0, hz)
	hi, lo := bits.Mul64(uint64(last.Slow-first.Slow), hz)
	apic.clock, _ = bits.Div64(hi, lo, last.Fast-first.Fast)
	if apic.clock == 0 {
		apic.clock = 1
	}
	wallSetup()
}

// toldRate asks the hypervisor, then the CPU.
func toldRate() (hz uint64, source string) {
	plausible := func(hz uint64) bool { return hz >= 100e6 && hz <= 20e9 }
	if cpu.maxHyper >= 0x40000010 { // VMware's and KVM's timing leaf: TSC kHz
		if khz, _, _, _ := cpuid(0x40000010, 0); plausible(uint64(khz) * 1000) {
			return uint64(khz) * 1000, "hypervisor"
		}
	}
	if hz := kvmRate(); plausible(hz) {
		return hz, "kvmclock"
	}
	if cpu.maxLeaf >= 0x15 {
		den, num, crystal, _ := cpuid(0x15, 0)
		if den != 0 && num != 0 && crystal != 0 {
			if hz := uint64(crystal) * uint64(num) / uint64(den); plausible(hz) {
				return hz, "CPUID"
			}
		}
	}
	return 0, ""
}

// trusted tells what need not be measured: a hypervisor knows, a CPUID leaf behind a hypervisor may be another machine's.
func trusted(source string) bool { return source != "CPUID" }

// refineClock compares the TSC with the reference over ever longer times and corrects the rate. The clock never steps.
func refineClock() {
	if clk.ref.read == nil || clk.ref0.Fast == 0 {
		return
	}
	for wait := 25 * time.Millisecond; ; wait = min(4*wait, 10*time.Minute) {
		time.Sleep(wait)
		flags := cli()
		r := clk.ref.take(5)
		restore(flags)
		n := clk.ref.Elapsed(clk.ref0, r, clk.hz)
		hz := clk.ref.Rate(clk.ref0, r, n)
		if hz == 0 {
			continue
		}
		off := int64(clk.hz / 500) // how wrong the rate may be
		if wait < time.Second {
			off *= 5 // it was measured in a hurry
		}
		if d := int64(hz - clk.hz); d > off || -d > off {
			continue // not a refinement: the reference stood still (a paused machine)
		}
		// With other CPUs reading it, the clock is changed ahead of time: whoever reads the old one until the new one
		// is seen everywhere must get what the new one says.
		begin := rdtsc()
		if !clockUse.Begun(begin) {
			continue
		}
		if CPUs() > 1 {
			begin += clk.hz / 4
		}
		setRate(begin, hz)
	}
}
