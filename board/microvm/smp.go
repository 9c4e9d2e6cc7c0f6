//go:build tamago

package microvm

import (
	"sync/atomic"
	"unsafe"

	"barewire/board/acpi"
	"barewire/board/cmdline"
)

// The other processors (Intel SDM vol. 3, 9.4 and 11.6): they are started before the heap exists, one after another, and wait,
// halted, until the runtime gives them an M (toolchain/port/_src/runtime/smp_barewire.go).

const (
	maxCPUs = acpi.MaxCPUs // the runtime's bwMaxCPUs

	msrFSBase = 0xc0000100
	msrGSBase = 0xc0000101

	// Interrupt command register: delivery modes, level assert, all but self.
	lapicICR    = 0x300
	lapicICRHi  = 0x310
	icrNMI      = 4 << 8
	icrInit     = 5 << 8
	icrStartup  = 6 << 8
	icrAssert   = 1 << 14
	icrAllOther = 3 << 18
)

var apicIDs [maxCPUs]uint32 // local APICs of the CPUs that run

// CPUs is the number of processors that run: 1, and more where the machine has more that came up. It does not change after
// the board's setup. Linux's parameters nosmp and maxcpus=N limit it.
func CPUs() int { return int(cpuCount) }

// CPU is the index of the processor that the caller runs on now, from 0. It is a hint: a goroutine may be moved after the call.
func CPU() int

// apicID is the local APIC of a CPU.
func apicID(cpu int) uint32 { return apicIDs[cpu] }

// command has the local APIC send an interrupt. A hypervisor delivers it at the write, so nobody waits for that.
//
//go:nosplit
func command(id, what uint32) {
	if apic.base == 0 {
		wrmsr(msrX2APIC+lapicICR/16, uint64(id)<<32|uint64(what))
		return
	}
	flags := cli() // the register has two halves
	mmioWrite32(apic.base+lapicICRHi, id<<24)
	mmioWrite32(apic.base+lapicICR, what)
	restore(flags)
}

// sendIPI raises a vector on a CPU.
//
//go:nosplit
func sendIPI(cpu, vector uint32) { command(apicIDs[cpu], icrAssert|vector) }

// stopOthers interrupts all other CPUs with an NMI.
//
//go:nosplit
func stopOthers() { command(0, icrAllOther|icrAssert|icrNMI) }

// A starterState is what the boot CPU and one that comes up tell each other.
type starterState struct {
	area *cpuArea // these four are read from assembly
	gs   uintptr
	leaf uint32 // where CPUID tells the APIC's id: 1 or 0xb
	id   uint32 // the one that is meant: a CPU that was given up and comes late stops

	up uint32 // how far it is

	lock       uint32
	last, back uint64 // the latest reading of a TSC, the most that one was behind it
}

// How far a CPU is.
const (
	apUp       = iota + 1 // it runs
	apCompare             // the clocks may be compared
	apCompared            // and have been
	apGo                  // it is one of us
)

var starter starterState

// others calls f for the APIC ids of the CPUs to start, until it returns false.
func others(f func(id uint32) bool) {
	params, _ := cmdline.Split(CommandLine())
	n := cmdline.CPUs(params, maxCPUs)
	for _, id := range platform.CPUs() {
		if id == apicIDs[0] || apic.base != 0 && id > 254 { // xAPIC ids have 8 bits
			continue
		}
		if n--; n < 1 || !f(id) {
			return
		}
	}
}

// areasSetup takes memory for the other CPUs from the free RAM.
func areasSetup() {
	n := 1
	others(func(uint32) bool {
		const size = (unsafe.Sizeof(cpuArea{}) + page - 1) &^ (page - 1)
		for _, r := range heap.Ranges() {
			if r.Size() >= uint64(size) {
				area[n] = phys[cpuArea](uintptr(r.Lo))
				heap.Remove(r.Lo, r.Lo+uint64(size))
				n++
				return true
			}
		}
		return false
	})
}

// patience is how long a CPU may take to come up. The host of a virtual one may be busy (Linux waits for 10 s).
const patience = 5e9

// startCPUs starts the other CPUs. One that does not come up is told on the console, and left out.
func startCPUs() {
	n := uint32(1)
	base := lowPage()
	others(func(id uint32) bool {
		if area[n] == nil || base == 0 {
			print("barewire: no memory to start CPU ", n, "\n")
			return false
		}
		trampoline(base)
		if !startCPU(n, id, base) {
			command(id, icrInit|icrAssert) // whatever it does, it stops
			return true
		}
		n++
		cpuCount = n
		return true
	})
}

// lowPage finds a page of RAM that real mode reaches and nobody uses. 0: there is none.
func lowPage() uintptr {
	for _, r := range ram.Ranges() {
		p := max(uintptr(r.Lo), 0x8000) // below it is the firmware's, by custom
		if p+page > uintptr(min(r.Hi, 0xa0000)) {
			continue
		}
		for _, m := range info.Modules() {
			if m.Addr < uint64(p)+page && m.Addr+m.Size > uint64(p) {
				return 0
			}
		}
		return p
	}
	return 0
}

// trampoline writes the code that a CPU begins with, in real mode, to the page at base: it turns on long mode with the
// boot map, in which the program's code is where it is, and jumps to startAP.
func trampoline(base uintptr) {
	const gdtr = 0x80
	entry, cr3, table := uint32(startAPAddr()), uint32(boot()), uint32(earlyTable())
	d := func(v uint32) [4]byte { return [4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }
	e, c, t := d(entry), d(cr3), d(table)
	code := [...]byte{
		0xfa,       // CLI
		0xfc,       // CLD
		0x8c, 0xc8, // MOV AX, CS
		0x8e, 0xd8, // MOV DS, AX
		0x66, 0x0f, 0x01, 0x16, gdtr, 0, // LGDT [gdtr]
		0x66, 0xb8, 0xa0, 0x06, 0, 0, // MOV EAX, the CR4 of entry_amd64.s
		0x0f, 0x22, 0xe0, // MOV CR4, EAX
		0x66, 0xb8, c[0], c[1], c[2], c[3], // MOV EAX, the boot map
		0x0f, 0x22, 0xd8, // MOV CR3, EAX
		0x66, 0xb9, 0x80, 0, 0, 0xc0, // MOV ECX, IA32_EFER
		0x0f, 0x32, // RDMSR
		0x66, 0x0d, 0x01, 0x09, 0, 0, // OR EAX, SCE | LME | NXE
		0x0f, 0x30, // WRMSR
		0x66, 0xb8, 0x33, 0, 0x01, 0x80, // MOV EAX, the CR0 of entry_amd64.s
		0x0f, 0x22, 0xc0, // MOV CR0, EAX
		0x66, 0xea, e[0], e[1], e[2], e[3], selCode, 0, // JMP selCode:startAP
	}
	mem := phys[[page]byte](base)
	copy(mem[:], code[:])
	copy(mem[gdtr:], []byte{23, 0, t[0], t[1], t[2], t[3]})
}

// wait waits up to ns for a CPU to get to a point.
func (s *starterState) wait(up uint32, ns int64) bool {
	for until := clockNow() + ns; atomic.LoadUint32(&s.up) != up; {
		if clockNow() > until {
			return false
		}
	}
	return true
}

// startCPU starts the CPU with the given APIC id as number n.
func startCPU(n, id uint32, base uintptr) bool {
	apicIDs[n] = id
	starter = starterState{area: area[n], gs: cpuBase(n), leaf: 1, id: id}
	if _, b, _, d := cpuid(0xb, 0); cpu.maxLeaf >= 0xb && b != 0 && d == apicIDs[0] {
		starter.leaf = 0xb
	}
	command(id, icrInit|icrAssert)
	for until := clockNow() + 10e3; clockNow() < until; { // processors of this century need no 10 ms (Linux: cpu_init_udelay)
	}
	command(id, icrStartup|icrAssert|uint32(base>>12))
	if !starter.wait(apUp, 10e6) {
		command(id, icrStartup|icrAssert|uint32(base>>12)) // the first one may be lost
		if !starter.wait(apUp, patience) {
			print("barewire: CPU ", n, " (APIC ", id, ") does not start\n")
			return false
		}
	}
	atomic.StoreUint32(&starter.up, apCompare)
	starter.compare()
	if !starter.wait(apCompared, patience) {
		print("barewire: CPU ", n, " has stopped\n")
		return false
	}
	if b := starter.back; b > maxWarp {
		print("barewire: CPU ", n, ": its clock is off by ", b, " TSC ticks; not used\n")
		return false
	}
	atomic.StoreUint32(&starter.up, apGo)
	return true
}

// maxWarp is the difference of two TSCs, in ticks, at which time does not yet go backwards: a goroutine takes longer to get
// from one CPU to another.
const maxWarp = 200

// compare looks for TSCs that differ: two CPUs read theirs in turns, under a lock, and no reading may be smaller than the
// one before (Linux: check_tsc_warp).
//
//go:nosplit
func (s *starterState) compare() {
	for range 2000 {
		for n := 0; !atomic.CompareAndSwapUint32(&s.lock, 0, 1); n++ {
			if n == 1<<30 { // the other one is gone
				return
			}
		}
		t := rdtsc()
		if t < s.last {
			s.back = max(s.back, s.last-t)
		}
		s.last = t
		atomic.StoreUint32(&s.lock, 0)
	}
}

// apMain is another CPU's first Go code, on its interrupt stack, with no g: nothing here may split the stack. The runtime's
// bwAPRun follows.
//
//go:nosplit
func apMain() {
	starter.area.load()
	if cpu.xcr0 != 0 {
		xsetbv(cpu.xcr0)
	}
	apicOn()
	timerOn()
	atomic.StoreUint32(&starter.up, apUp)
	for atomic.LoadUint32(&starter.up) != apCompare {
	}
	starter.compare()
	atomic.StoreUint32(&starter.up, apCompared)
	for atomic.LoadUint32(&starter.up) != apGo {
	}
	growTLB()
}

// apStack is where in a cpuArea apMain's stack begins: the top of the interrupt stack, which bwAPRun needs no more.
const apStack = unsafe.Offsetof(cpuArea{}.double) &^ 15

func startAPAddr() uintptr
func earlyTable() uintptr
