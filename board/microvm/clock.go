//go:build tamago

package microvm

import (
	"math/bits"
	"time"
	"unsafe"
)

// clockParams turn the TSC into nanoseconds: base + (tsc - tsc0) * mult >> 32. A set is never changed once it is
// in use: a reader may be preempted in the middle.
type clockParams struct {
	tsc0 uint64
	base int64
	mult uint64
}

var (
	clockSets [16]clockParams
	clockUse  *clockParams = &clockSets[0]

	clk struct {
		hz     uint64 // TSC ticks per second, as well as it is known
		source string // where from
		ref    reference
		ref0   reading // taken at boot, what later readings are compared with
	}
)

//go:linkname clockNow runtime/goos.Nanotime
//go:nosplit
func clockNow() int64 {
	p := clockUse
	hi, lo := bits.Mul64(rdtsc()-p.tsc0, p.mult)
	return p.base + int64(hi<<32|lo>>32)
}

// WallClock is the time of day since the Unix epoch.
func WallClock() (sec int64, nsec int32) {
	t := clockNow() + wallOffset
	return t / 1e9, int32(t % 1e9)
}

// SetWallClock sets the time of day.
func SetWallClock(sec int64, nsec int32) { wallOffset = sec*1e9 + int64(nsec) - clockNow() }

// ClockSource tells the TSC's frequency and where it is known from.
func ClockSource() (hz uint64, source string) { return clk.hz, clk.source }

// setRate starts a new set of parameters at TSC value tsc: the clock goes on from where it is, at the new rate.
func setRate(tsc, hz uint64) {
	old := clockUse
	i := (uintptr(unsafe.Pointer(old)) - uintptr(unsafe.Pointer(&clockSets))) / unsafe.Sizeof(clockParams{})
	next := &clockSets[(int(i)+1)%len(clockSets)]
	*next = clockParams{tsc0: tsc, base: 1} // nanotime must never be 0
	if old.mult != 0 {
		hi, lo := bits.Mul64(tsc-old.tsc0, old.mult)
		next.base = old.base + int64(hi<<32|lo>>32)
	}
	next.mult, _ = bits.Div64(1000000000>>32, 1000000000<<32, hz)
	clk.hz = hz
	clockUse = next
}

// A reference is a counter of known rate. It counts up and wraps at mask+1; nil read: there is none.
type reference struct {
	name string
	read func() uint32
	hz   uint64
	mask uint32
	once bool // only at boot: it has other work afterwards
}

// A reading is a reference's count at a TSC value.
type reading struct {
	count uint32
	tsc   uint64
}

// take reads the reference a few times and keeps the reading that the host disturbed least.
func (r *reference) take(times int) (best reading) {
	least := ^uint64(0)
	for range times {
		t0 := rdtsc()
		c := r.read()
		t1 := rdtsc()
		if t1-t0 < least {
			least = t1 - t0
			best = reading{c, t0 + (t1-t0)/2}
		}
	}
	return best
}

// elapsed is the counts from a to b, b the later one: as many wraps are added as make it agree with the TSC
// at about hz.
func (r *reference) elapsed(a, b reading, hz uint64) uint64 {
	d := uint64((b.count - a.count) & r.mask)
	period := uint64(r.mask) + 1
	hi, lo := bits.Mul64(b.tsc-a.tsc, r.hz)
	about, _ := bits.Div64(hi, lo, hz)
	if about > d {
		d += (about - d + period/2) / period * period
	}
	return d
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
	clk.ref = reference{name: "PIT", read: pitRead, hz: 1193182, mask: 1<<16 - 1}
	if clk.ref.moves() {
		return
	}
	if platform.PMTimer != 0 {
		clk.ref = reference{name: "ACPI PM timer", read: pmRead, hz: 3579545, mask: 1<<24 - 1}
		if clk.ref.moves() {
			return
		}
	}
	if cpu.tcg {
		// QEMU's emulated APIC timer counts nanoseconds (hw/intc/apic.c). It is the tick's from now on, so no refinement.
		apicWrite(lapicInitial, 1<<32-1)
		clk.ref = reference{name: "APIC timer", read: func() uint32 { return -apicRead(lapicCurrent) }, hz: 1e9, mask: 1<<32 - 1, once: true}
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

// window is how long the TSC is measured at boot, ns: 10 ms give 0.02 %, what comes later improves on it.
const window = 10 * 1000 * 1000

// clockSetup finds the rate of the TSC and of the APIC timer. ACPI and the APIC have been found.
func clockSetup() {
	findReference()
	told, source := toldRate()
	apicWrite(lapicInitial, 1<<32-1)
	a0, t0 := apicRead(lapicCurrent), rdtsc()
	measured := uint64(0)
	switch {
	case clk.ref.read != nil && (told == 0 || !trusted(source)):
		clk.ref0 = clk.ref.take(5)
		end := clk.ref.hz * window / 1e9
		for uint64((clk.ref.read()-clk.ref0.count)&clk.ref.mask) < end {
		}
		r := clk.ref.take(5)
		measured = (r.tsc - clk.ref0.tsc) * clk.ref.hz / uint64((r.count-clk.ref0.count)&clk.ref.mask)
		if clk.ref.once {
			clk.ref0 = reading{}
		}
	case told == 0:
		measured = rtcRate()
	default:
		for rdtsc()-t0 < told/1000 { // 1 ms for the APIC timer
		}
	}
	a1, t1 := apicRead(lapicCurrent), rdtsc()
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
	hi, lo := bits.Mul64(uint64(a0-a1), hz)
	apic.clock, _ = bits.Div64(hi, lo, t1-t0)
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
	if hz := pvclockRate(); plausible(hz) {
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

// pvclock is KVM's per-CPU time structure (Documentation/virt/kvm/x86/msr.rst), aligned as it must be.
type pvclock struct {
	version   uint32
	_         uint32
	timestamp uint64
	system    uint64
	mult      uint32
	shift     int8
	flags     uint8
	_         [2]uint8
}

var pvclockArea [2 * unsafe.Sizeof(pvclock{})]byte

// pvclockRate is the TSC's rate by kvmclock's scale; 0 without KVM.
func pvclockRate() uint64 {
	const (
		features  = 0x40000001
		bitSource = 1 << 3
		msrSystem = 0x4b564d01
	)
	if !cpu.kvm || cpu.maxHyper < features {
		return 0
	}
	if a, _, _, _ := cpuid(features, 0); a&bitSource == 0 {
		return 0
	}
	size := unsafe.Sizeof(pvclock{})
	p := (uintptr(unsafe.Pointer(&pvclockArea)) + size - 1) &^ (size - 1)
	wrmsr(msrSystem, uint64(p)|1)
	pv := phys[pvclock](p)
	mult, shift := uint64(pv.mult), pv.shift
	wrmsr(msrSystem, 0)
	if mult == 0 || shift > 31 || shift < -31 {
		return 0
	}
	// ns = (ticks << shift) * mult >> 32
	hz := (1000000000 << 32) / mult
	if shift < 0 {
		return hz << -shift
	}
	return hz >> shift
}

// refineClock compares the TSC with the reference over ever longer times and corrects the rate. The clock never steps.
func refineClock() {
	if clk.ref.read == nil || clk.ref0.tsc == 0 {
		return
	}
	for wait := 100 * time.Millisecond; ; wait = min(4*wait, 10*time.Minute) {
		time.Sleep(wait)
		flags := cli()
		r := clk.ref.take(5)
		restore(flags)
		n := clk.ref.elapsed(clk.ref0, r, clk.hz)
		if n == 0 {
			continue
		}
		hi, lo := bits.Mul64(r.tsc-clk.ref0.tsc, clk.ref.hz)
		if hi >= n {
			continue
		}
		hz, _ := bits.Div64(hi, lo, n)
		if d := int64(hz - clk.hz); d > int64(clk.hz/500) || -d > int64(clk.hz/500) {
			continue // not a refinement: the reference stood still (a paused machine)
		}
		setRate(rdtsc(), hz)
	}
}
