//go:build tamago

package microvm

import (
	"errors"
	"fmt"
	"runtime"

	"barewire/board/irq"
)

// An IRQ names an interrupt line of the I/O APICs.
type IRQ = irq.Source

// ErrNoIRQ is RequestIRQ's answer for a line that no I/O APIC has.
var ErrNoIRQ = errors.New("microvm: no I/O APIC serves this interrupt")

// vectors are the CPUs' tables; lines are in the first one's.
var vectors []*irq.Table // read-only once init has run

func vectorsSetup() {
	for range CPUs() {
		vectors = append(vectors, &irq.Table{})
	}
	vectors[0].Controller = lines{}
	vectors[0].Report = func(s irq.Source) {
		ConsoleWrite(fmt.Appendf(nil, "barewire: irq %d: nobody cared; the line is off\n", s.GSI))
	}
}

// lines are the I/O APICs as the table sees them.
type lines struct{}

// Route implements irq.Controller. The interrupt entry is told what to mask before the line can interrupt.
func (lines) Route(s irq.Source, v uint8) error {
	io, reg, ok := route(s.GSI, v, !s.Edge, s.Low)
	if !ok {
		return fmt.Errorf("%w (GSI %d)", ErrNoIRQ, s.GSI)
	}
	if !s.Edge {
		irqLines[v] = irqLine{io.base, uintptr(reg)}
	}
	return nil
}

// Unmask implements irq.Controller.
func (lines) Unmask(s irq.Source, v uint8) {
	if io, reg, ok := pin(s.GSI); ok {
		io.write(reg, entryBits(v, !s.Edge, s.Low))
	}
}

// RequestIRQ connects a line to a handler, see the package comment for what a handler may do. Lines may be shared; all must
// then agree on the trigger mode.
func RequestIRQ(s IRQ, handler func() bool) error { return vectors[0].Request(s, handler) }

// ErrNoCPU says that a CPU was named that does not run.
var ErrNoCPU = errors.New("microvm: no such CPU")

// RequestMSI takes a vector of a CPU for a message-signalled interrupt and connects it to handler. MSIMessage tells
// what the device must write.
func RequestMSI(cpu int, handler func()) (uint8, error) {
	if cpu < 0 || cpu >= len(vectors) {
		return 0, fmt.Errorf("%w (%d)", ErrNoCPU, cpu)
	}
	return vectors[cpu].RequestMessage(handler)
}

// MSIMessage is the address and data of a message that raises vector on a CPU (Intel SDM vol. 3, 11.11).
func MSIMessage(cpu int, vector uint8) (addr uint64, data uint32) {
	return 0xfee00000 | uint64(apicID(cpu))<<12, uint32(vector)
}

// IRQHooks registers the functions that run before and after the handlers of each round of a CPU's interrupts: the kernel's
// irq_enter and irq_exit, where softirqs run.
func IRQHooks(cpu int, enter, exit func()) { vectors[cpu].SetHooks(enter, exit) }

// OnPause registers a function for the moments before a CPU halts, idle, and one for those before another goroutine runs and
// when the timer has interrupted one. They are part of the scheduler, and of the interrupt: no allocation, no lock, no write of a
// pointer to the heap.
func OnPause(idle, turn func()) { hookPause, hookTurn = idle, turn }

// TickBy has the timer interrupt whatever goroutine runs at nanotime t, if not before.
func TickBy(t int64) { tickBy(t) }

// irqThread is a CPU's interrupt goroutine.
func irqThread(cpu int) {
	var noted [4]uint64
	for {
		irqWait(uint32(cpu), &noted)
		vectors[cpu].Round(&noted)
	}
}

// Stats counts what the interrupt entry and the interrupt goroutine did.
type Stats struct {
	Interrupts uint64 // device interrupts taken by the CPUs
	Ticks      uint64 // timer interrupts
	Spurious   uint64 // the APIC's own spurious vector
	Stray      uint64 // vectors nobody has asked for
	Rounds     uint64 // of the interrupt goroutines
	Lines      []irq.LineStat
}

// IRQStats returns the counters since boot.
func IRQStats() Stats {
	var s Stats
	for cpu := range vectors {
		c := IRQStatsOf(cpu)
		s.Interrupts += c.Interrupts
		s.Ticks += c.Ticks
		s.Spurious += c.Spurious
		s.Rounds += c.Rounds
		s.Stray += c.Stray
		s.Lines = append(s.Lines, c.Lines...)
	}
	return s
}

// IRQStatsOf is IRQStats of one CPU.
func IRQStatsOf(cpu int) (s Stats) {
	s.Interrupts, s.Ticks, s.Spurious = irqCounts(uint32(cpu))
	s.Rounds, s.Stray, s.Lines = vectors[cpu].Stats()
	return s
}

// init starts what interrupts are for. They are on since the runtime came up.
func init() {
	ioapicSetup()
	vectorsSetup()
	for cpu := range CPUs() {
		go irqThread(cpu)
	}
	runtime.Gosched() // the scheduler sets the first tick: this goroutine too has a time slice
	stdinSetup()
	go refineClock()
	if cpu.tcg && CPUs() == 1 {
		go growTLBLater()
	}
}
