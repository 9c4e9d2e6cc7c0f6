//go:build tamago

package microvm

import "unsafe"

// The runtime port's side of the contract: toolchain/port/_src/runtime/{os,mem,irq,trap}_barewire.go says what each means.

//go:linkname argc runtime.bwArgc
var argc int32

//go:linkname argv runtime.bwArgv
var argv **byte

//go:linkname wallOffset runtime.bwWallOffset
var wallOffset int64

//go:linkname hookSetStacks runtime.bwSetStacks
var hookSetStacks func(lo, hi uintptr)

//go:linkname hookCrash runtime.bwCrashReport
var hookCrash func(heap bool, pc, trap, code, addr uintptr)

//go:linkname hookTimer runtime.bwSetTimer
var hookTimer func(t int64)

//go:linkname hookPause runtime.bwPause
var hookPause func()

//go:linkname hookTurn runtime.bwTurn
var hookTurn func()

//go:linkname plainMove runtime.bwPlainMove
var plainMove uint8

//go:linkname xsaveSize runtime.bwXsaveSize
var xsaveSize uintptr

//go:linkname irqEOI runtime.irqEOI
var irqEOI uintptr

//go:linkname irqTickVector runtime.irqTickVector
var irqTickVector uint32

//go:linkname irqIOLock runtime.irqIOLock
var irqIOLock uint32

//go:linkname cpuCount runtime.bwNCPU
var cpuCount uint32

//go:linkname hookIPI runtime.bwSendIPI
var hookIPI func(cpu, vector uint32)

//go:linkname hookStop runtime.bwStopIPI
var hookStop func()

//go:linkname cpuBase runtime.bwCPUBase
func cpuBase(cpu uint32) uintptr

//go:linkname irqCounts runtime.bwIRQCounts
func irqCounts(cpu uint32) (count, ticks, spurious uint64)

//go:linkname irqLines runtime.irqLines
var irqLines [256]irqLine

type irqLine struct{ ioapic, reg uintptr }

//go:linkname addMemory runtime.bwAddMemory
func addMemory(lo, hi uintptr)

//go:linkname reserved runtime.bwReserved
var reserved struct {
	base   uintptr
	tables unsafe.Pointer // one after the other, reservedTables of them
	flags  uint64
	used   uintptr
}

//go:linkname memLimit runtime.bwMemLimit
func memLimit() uintptr

//go:linkname consoleWrite runtime.barewire_console
func consoleWrite(p unsafe.Pointer, n int32)

//go:linkname trapTable runtime.bwTrapTable
func trapTable() uintptr

//go:linkname syscallAddr runtime.bwSyscallAddr
func syscallAddr() uintptr

//go:linkname irqWait runtime.barewire_irqWait
func irqWait(cpu uint32, bits *[4]uint64)

//go:linkname tickBy runtime.barewire_tickBy
func tickBy(t int64)

// trapStub is the size of one vector's stub, runtime.bwTrapStub.
const trapStub = 5
