//go:build tamago

package microvm

import (
	"math/bits"
	"sync/atomic"

	"barewire/board/acpi"
	"github.com/usbarmory/tamago/amd64/lapic"
)

// Interrupt controllers: the CPU's local APIC (Intel SDM vol. 3, chapter 11) with its timer, and the I/O APICs
// (82093AA). tamago's lapic package names the registers and is used for those in memory; its ioapic package is not: it
// knows neither level-triggered lines nor masks.

const (
	vectorTick     = 0xf0
	vectorSpurious = 0xff

	msrAPICBase    = 0x1b
	apicEnable     = 1 << 11 // in it
	apicX2         = 1 << 10
	msrX2APIC      = 0x800 // + register offset / 16
	msrTSCDeadline = 0x6e0

	lapicLVTTimer = lapic.LAPIC_LVT_TIMER
	lapicLVTLint1 = 0x360
	lapicInitial  = 0x380
	lapicCurrent  = 0x390
	lapicDivide   = 0x3e0

	lint1NMI      = 4 << 8 // delivery mode NMI
	timerMasked   = 1 << 16
	timerDeadline = lapic.TIMER_MODE_TSC_DEADLINE << lapic.TIMER_MODE
)

var (
	platform acpi.Info // what ACPI told

	apic struct {
		base   uintptr // registers in memory, the same for every CPU; 0 in x2APIC mode
		clock  uint64  // timer counts per second, divided by 1
		toTick uint64  // timer counts per ns, <<32; TSC ticks per ns in deadline mode
		useTSC bool
	}
)

//go:nosplit
func apicRead(reg uintptr) uint32 {
	if apic.base == 0 {
		return uint32(rdmsr(msrX2APIC + uint32(reg)/16))
	}
	return mmioRead32(apic.base + reg)
}

//go:nosplit
func apicWrite(reg uintptr, v uint32) {
	if apic.base == 0 {
		wrmsr(msrX2APIC+uint32(reg)/16, uint64(v))
		return
	}
	mmioWrite32(apic.base+reg, v)
}

// apicFind turns the local APIC on as firmware left its mode, the timer masked. Before the final page tables.
func apicFind() {
	// The PICs of the PC: every line masked. Their lines also reach the I/O APIC.
	out8(0x21, 0xff)
	out8(0xa1, 0xff)
	if base := rdmsr(msrAPICBase); base&apicX2 == 0 {
		apic.base = uintptr(base & 0xffffff000)
		irqEOI = apic.base + lapic.LAPIC_EOI
	}
	apicIDs[0] = apicOn()
}

// apicOn turns on the local APIC of the CPU that calls, in the mode of the boot CPU's, and returns its id.
//
//go:nosplit
func apicOn() (id uint32) {
	mode := uint64(apicEnable)
	if apic.base == 0 { // x2APIC: registers are MSRs
		mode |= apicX2
	}
	if base := rdmsr(msrAPICBase); base&mode != mode {
		wrmsr(msrAPICBase, base|apicEnable) // the one comes before the other (SDM vol. 3, 11.12.5)
		wrmsr(msrAPICBase, base|mode)
	}
	id = apicRead(lapic.LAPIC_ID)
	if apic.base != 0 {
		id >>= 24
	}
	apicWrite(lapicLVTTimer, timerMasked)
	apicWrite(lapicDivide, 0xb) // by 1
	apicWrite(lapic.LAPIC_SVR, 1<<lapic.SVR_ENABLE|vectorSpurious)
	apicWrite(lapicLVTLint1, lint1NMI) // as a PC's firmware leaves it; microvm has none
	return id
}

// timerSetup hands the timer to the runtime. It interrupts from when interrupts are on.
func timerSetup() {
	apic.useTSC = cpu.deadline
	hz := apic.clock
	if apic.useTSC {
		hz = clk.hz
	}
	apic.toTick, _ = bits.Div64(hz>>32, hz<<32, 1e9)
	timerOn()
	irqTickVector = vectorTick
	hookTimer = setTimer
}

// timerOn makes the timer of the CPU that calls interrupt.
//
//go:nosplit
func timerOn() {
	if !apic.useTSC {
		apicWrite(lapicLVTTimer, vectorTick)
		return
	}
	apicWrite(lapicLVTTimer, vectorTick|timerDeadline)
	apicRead(lapicLVTTimer) // the mode must have reached the APIC before the first deadline (SDM vol. 3, 11.5.4.1)
}

// setTimer has the timer interrupt at nanotime t. A time gone by is as soon as possible.
//
//go:nosplit
func setTimer(t int64) {
	d := t - clockNow()
	if d < 0 {
		d = 0
	}
	if d > 1<<40 { // 18 minutes, or never: look again then
		d = 1 << 40
	}
	hi, lo := bits.Mul64(uint64(d), apic.toTick)
	n := hi<<32 | lo>>32
	n++ // never early by a rounded count
	if apic.useTSC {
		wrmsr(msrTSCDeadline, rdtsc()+n)
		return
	}
	if n > 1<<32-1 {
		n = 1<<32 - 1
	}
	apicWrite(lapicInitial, uint32(n))
}

// An ioapic is one I/O APIC.
type ioapic struct {
	base    uintptr
	gsi     uint32 // first global system interrupt
	entries uint32
}

var ioapics []ioapic

const (
	ioSelect = 0x00
	ioWindow = 0x10

	ioVersion = 1
	ioTable   = 0x10

	ioMasked = 1 << 16
	ioLevel  = 1 << 15
	ioLow    = 1 << 13
)

// The interrupt entry masks entries through the same two registers, so nothing may come between, here or on another CPU.
func (io *ioapic) read(reg uint32) uint32 {
	flags := ioLock()
	mmioWrite32(io.base+ioSelect, reg)
	v := mmioRead32(io.base + ioWindow)
	ioUnlock(flags)
	return v
}

func (io *ioapic) write(reg, v uint32) {
	flags := ioLock()
	mmioWrite32(io.base+ioSelect, reg)
	mmioWrite32(io.base+ioWindow, v)
	ioUnlock(flags)
}

func ioLock() (flags uint64) {
	flags = cli()
	for !atomic.CompareAndSwapUint32(&irqIOLock, 0, 1) {
	}
	return flags
}

func ioUnlock(flags uint64) {
	atomic.StoreUint32(&irqIOLock, 0)
	restore(flags)
}

// ioapicSetup maps the I/O APICs that ACPI names, or the one every PC has, and masks all entries.
func ioapicSetup() {
	list := platform.IOAPICs()
	if len(list) == 0 {
		list = []acpi.IOAPIC{{Addr: 0xfec00000, GSIBase: 0}}
	}
	for _, a := range list {
		if MapMMIO(uintptr(a.Addr), page) == nil {
			continue
		}
		io := ioapic{base: uintptr(a.Addr), gsi: a.GSIBase}
		v := io.read(ioVersion)
		if v == 0 || v == 1<<32-1 {
			continue
		}
		io.entries = v>>16&0xff + 1
		for i := range io.entries {
			io.write(ioTable+2*i, ioMasked)
		}
		ioapics = append(ioapics, io)
	}
}

// pin finds the redirection entry of a global system interrupt.
func pin(gsi uint32) (io *ioapic, reg uint32, ok bool) {
	for i := range ioapics {
		io := &ioapics[i]
		if gsi >= io.gsi && gsi < io.gsi+io.entries {
			return io, ioTable + 2*(gsi-io.gsi), true
		}
	}
	return nil, 0, false
}

// entryBits is the low half of a redirection entry, unmasked.
func entryBits(vector uint8, level, low bool) uint32 {
	v := uint32(vector)
	if level {
		v |= ioLevel
	}
	if low {
		v |= ioLow
	}
	return v
}

// route sends a global system interrupt to a vector of the boot CPU, masked.
func route(gsi uint32, vector uint8, level, low bool) (*ioapic, uint32, bool) {
	io, reg, ok := pin(gsi)
	if ok {
		io.write(reg, ioMasked)
		io.write(reg+1, apicIDs[0]<<24)
		io.write(reg, entryBits(vector, level, low)|ioMasked)
	}
	return io, reg, ok
}
