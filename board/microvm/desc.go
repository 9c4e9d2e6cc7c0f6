//go:build tamago

package microvm

import "unsafe"

// Descriptor tables (Intel SDM vol. 3, 3.5, 6.14, 7.7): flat code and data, for each CPU a task state whose only use is its
// interrupt stacks, and for all an interrupt gate for every vector.

// Entries of the interrupt stack table.
const (
	istException = 1 // exceptions: lower half of the M's signal stack
	istInterrupt = 2 // interrupts: upper half
	istDouble    = 3 // double fault
	istNMI       = 4
	istMachine   = 5 // machine check
)

const (
	selCode = 0x08
	selData = 0x10
	selTSS  = 0x18
)

type gate struct {
	off0 uint16
	sel  uint16
	ist  uint8
	attr uint8
	off1 uint16
	off2 uint32
	_    uint32
}

// A cpuArea is the memory that a CPU needs before the runtime gives it an M and for what may go wrong after.
type cpuArea struct {
	scratch [2]uint64 // first: where FS points until there is an M, so that g is nil
	gdt     [5]uint64
	tss     [104]byte

	// Stacks for what may come at any time, also when every other stack is bad; the first two serve until
	// the runtime has made its signal stack.
	exception [16 << 10]byte
	interrupt [16 << 10]byte
	double    [24 << 10]byte
	nmi       [24 << 10]byte
	machine   [24 << 10]byte
}

var (
	idt  [256]gate
	bsp  cpuArea           // of the CPU that boots
	area [maxCPUs]*cpuArea // of each CPU that runs
)

//go:nosplit
func (a *cpuArea) setIST(i int, top uintptr) {
	*(*[8]byte)(unsafe.Pointer(&a.tss[36+8*(i-1)])) = le64(uint64(top &^ 15))
}

//go:nosplit
func top(s []byte) uintptr { return uintptr(unsafe.Pointer(&s[0])) + uintptr(len(s)) }

//go:nosplit
func le64(v uint64) (b [8]byte) {
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

//go:nosplit
func pointer(limit int, base uintptr) (p [10]byte) {
	p[0], p[1] = byte(limit-1), byte((limit-1)>>8)
	*(*[8]byte)(p[2:]) = le64(uint64(base))
	return p
}

// descSetup makes the vectors' gates and loads the boot CPU's tables.
func descSetup() {
	stubs := trapTable()
	for i := range idt {
		off := stubs + uintptr(i)*trapStub
		ist := uint8(istInterrupt)
		switch {
		case i == 2:
			ist = istNMI
		case i == 8:
			ist = istDouble
		case i == 18:
			ist = istMachine
		case i < 32:
			ist = istException
		}
		idt[i] = gate{off0: uint16(off), sel: selCode, ist: ist, attr: 0x8e, off1: uint16(off >> 16), off2: uint32(off >> 32)}
	}
	area[0] = &bsp
	bsp.load()
}

// load makes a the tables of the CPU that calls.
//
//go:nosplit
func (a *cpuArea) load() {
	a.setIST(istException, top(a.exception[:]))
	a.setIST(istInterrupt, top(a.interrupt[:]))
	a.setIST(istDouble, top(a.double[:]))
	a.setIST(istNMI, top(a.nmi[:]))
	a.setIST(istMachine, top(a.machine[:]))
	a.tss[102] = 104 // I/O map base beyond the limit: no map

	base := uint64(uintptr(unsafe.Pointer(&a.tss)))
	a.gdt = [5]uint64{
		1: 0x00209a0000000000,
		2: 0x0000920000000000,
		3: (104 - 1) | base&0xffffff<<16 | 0x89<<40 | base>>24&0xff<<56,
		4: base >> 32,
	}
	p := pointer(len(a.gdt)*8, uintptr(unsafe.Pointer(&a.gdt)))
	lgdt(&p)
	ltr(selTSS)
	p = pointer(len(idt)*16, uintptr(unsafe.Pointer(&idt)))
	lidt(&p)

	// SYSCALL: both segment bases of STAR so that the code segment is ours; interrupts stay as they are.
	wrmsr(0xc0000081, selCode<<32)
	wrmsr(0xc0000082, uint64(syscallAddr()))
	wrmsr(0xc0000084, 0)
}

// setStacks makes [lo, hi), an M's signal stack, the interrupt and exception stack of the CPU that calls.
//
//go:nosplit
func setStacks(lo, hi uintptr) {
	flags := cli()
	a := area[CPU()]
	a.setIST(istInterrupt, hi)
	a.setIST(istException, lo+(hi-lo)/2)
	restore(flags)
}
