//go:build tamago

package microvm

import "unsafe"

// Instructions Go has no words for (cpu_amd64.s, entry_amd64.s).

func in8(port uint16) uint8
func out8(port uint16, v uint8)
func out16(port uint16, v uint16)

//go:noescape
func ins8(port uint16, p *byte, n int) // n bytes from the same port
func in32(port uint16) uint32
func out32(port uint16, v uint32)
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func rdmsr(reg uint32) uint64
func wrmsr(reg uint32, v uint64)
func rdtsc() uint64
func xsetbv(v uint64)

//go:noescape
func lgdt(p *[10]byte)

//go:noescape
func lidt(p *[10]byte)
func ltr(sel uint16)
func setCR3(v uintptr)
func invlpg(p uintptr)
func cli() (flags uint64)
func restore(flags uint64)
func tripleFault()
func rdrand() (v uint64, ok bool)
func mmioRead32(p uintptr) uint32
func mmioWrite32(p uintptr, v uint32)

func boot() (area uintptr)
func image() (text, etext, data, end uintptr)

// bootArea's parts, see entry_amd64.s.
const (
	bootGuard = 0x6000
	bootEnd   = 0x18000
)

var startInfo uint64 // set by cpuinit

const page = 4096

// phys is the memory at physical address p.
func phys[T any](p uintptr) *T { return (*T)(unsafe.Pointer(p)) }

// features of the CPU that the board cares about.
type features struct {
	xsave, rdrand, x2apic, deadline, hypervisor bool
	maxLeaf, maxHyper                           uint32
	kvm, tcg                                    bool
	xcr0                                        uint64 // what of the vector state is on; 0 without XSAVE
}

var cpu features

// cpuSetup finds out about the CPU and switches on the vector state it has.
func cpuSetup() {
	const (
		bitX2APIC     = 1 << 21
		bitDeadline   = 1 << 24
		bitXSAVE      = 1 << 26
		bitRDRAND     = 1 << 30
		bitHypervisor = 1 << 31
	)
	cpu.maxLeaf, _, _, _ = cpuid(0, 0)
	_, _, c, _ := cpuid(1, 0)
	cpu.xsave = c&bitXSAVE != 0 && cpu.maxLeaf >= 0xd
	cpu.rdrand = c&bitRDRAND != 0
	cpu.x2apic = c&bitX2APIC != 0
	cpu.deadline = c&bitDeadline != 0
	if cpu.hypervisor = c&bitHypervisor != 0; cpu.hypervisor {
		var b uint32
		cpu.maxHyper, b, _, _ = cpuid(0x40000000, 0)
		cpu.kvm = b == 0x4b4d564b // "KVMK"
		cpu.tcg = b == 0x54474354 // "TCGT"
		if cpu.tcg {
			plainMove = 1
		}
	}
	if !cpu.xsave {
		return
	}
	// x87, SSE, AVX, and AVX-512 if all three parts of it are there (Intel SDM vol. 1, 13.3). Not what has no use
	// here (MPX, PKRU, AMX): it would only make the saved state larger.
	lo, _, _, _ := cpuid(0xd, 0)
	want := uint64(lo) & 0xe7
	if want&0xe0 != 0xe0 || want&4 == 0 {
		want &^= 0xe0
	}
	cpu.xcr0 = want
	xsetbv(want)
	_, size, _, _ := cpuid(0xd, 0)
	xsaveSize = uintptr(size)
}
