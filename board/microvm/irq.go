//go:build tamago

package microvm

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// An IRQ names an interrupt line of the I/O APICs.
type IRQ struct {
	// GSI is the global system interrupt, ACPI's number of the line.
	GSI uint32
	// Edge is true for an edge-triggered line (the ISA bus); others are level-triggered (virtio-mmio, PCI).
	Edge bool
	// Low is true for a line that is active low (PCI).
	Low bool
}

// What RequestIRQ and RequestMSI refuse.
var (
	ErrNoIRQ    = errors.New("microvm: no I/O APIC serves this interrupt")
	ErrNoVector = errors.New("microvm: all interrupt vectors are taken")
	ErrIRQMode  = errors.New("microvm: the interrupt line is shared with another trigger mode")
)

// maxUnclaimed is the number of interrupts in a row that no handler claims after which a line stays masked. Linux
// (note_interrupt) gives up at 99 900 of 100 000; a machine with a handful of lines need not wait so long.
const maxUnclaimed = 1000

// A line is what one vector stands for.
type line struct {
	irq       IRQ
	msi       bool
	io        *ioapic
	reg       uint32
	entry     uint32 // the redirection entry's low half, unmasked
	handlers  atomic.Pointer[[]func() bool]
	unclaimed int
	off       bool

	count, spurious atomic.Uint64
}

var irqs struct {
	mu     sync.Mutex
	lines  [256]atomic.Pointer[line]
	next   int
	exit   atomic.Pointer[func()]
	rounds atomic.Uint64
}

// vector takes a free vector.
func vector(l *line) (uint8, error) {
	if irqs.next == 0 {
		irqs.next = vectorFirst
	}
	if irqs.next > vectorLast {
		return 0, ErrNoVector
	}
	v := uint8(irqs.next)
	irqs.next++
	irqs.lines[v].Store(l)
	return v, nil
}

// RequestIRQ connects a line to a handler, see the package comment for what a handler may do. Lines may be shared; all must
// then agree on the trigger mode.
func RequestIRQ(irq IRQ, handler func() bool) error {
	irqs.mu.Lock()
	defer irqs.mu.Unlock()
	for i := range irqs.lines {
		if l := irqs.lines[i].Load(); l != nil && !l.msi && l.irq.GSI == irq.GSI {
			if l.irq != irq {
				return ErrIRQMode
			}
			l.add(handler)
			return nil
		}
	}
	l := &line{irq: irq}
	l.add(handler)
	v, err := vector(l)
	if err != nil {
		return err
	}
	io, reg, ok := route(irq.GSI, v, !irq.Edge, irq.Low)
	if !ok {
		irqs.lines[v].Store(nil)
		return fmt.Errorf("%w (GSI %d)", ErrNoIRQ, irq.GSI)
	}
	l.io, l.reg = io, reg
	l.entry = io.read(reg) &^ ioMasked
	if !irq.Edge {
		irqLines[v] = irqLine{io.base, uintptr(reg)}
	}
	io.write(reg, l.entry)
	return nil
}

// RequestMSI takes a vector for a message-signalled interrupt and connects it to handler. MSIMessage tells
// what the device must write.
func RequestMSI(handler func()) (uint8, error) {
	irqs.mu.Lock()
	defer irqs.mu.Unlock()
	l := &line{msi: true}
	l.add(func() bool { handler(); return true })
	return vector(l)
}

// MSIMessage is the address and data of a message that raises vector on this CPU (Intel SDM vol. 3, 11.11).
func MSIMessage(vector uint8) (addr uint64, data uint32) {
	return 0xfee00000 | uint64(apic.id)<<12, uint32(vector)
}

// IRQExit registers the function that runs after the handlers of each round: the kernel's softirq exit.
func IRQExit(f func()) { irqs.exit.Store(&f) }

func (l *line) add(h func() bool) {
	var hs []func() bool
	if old := l.handlers.Load(); old != nil {
		hs = append(hs, *old...)
	}
	hs = append(hs, h)
	l.handlers.Store(&hs)
}

// irqThread is the interrupt goroutine.
func irqThread() {
	var noted [4]uint64
	for {
		irqWait(&noted)
		irqs.rounds.Add(1)
		for i, w := range noted {
			for w != 0 {
				v := i*64 + bits.TrailingZeros64(w)
				w &= w - 1
				if l := irqs.lines[v].Load(); l != nil {
					l.run(v)
				} else {
					stray.Add(1)
				}
			}
		}
		if f := irqs.exit.Load(); f != nil {
			(*f)()
		}
	}
}

// stray counts interrupts of vectors that nobody has asked for.
var stray atomic.Uint64

// run calls a line's handlers and unmasks it.
func (l *line) run(v int) {
	l.count.Add(1)
	claimed := false
	for _, h := range *l.handlers.Load() {
		if h() {
			claimed = true
		}
	}
	if claimed || l.msi || l.irq.Edge {
		l.unclaimed = 0
	} else {
		l.spurious.Add(1)
		if l.unclaimed++; l.unclaimed >= maxUnclaimed {
			l.off = true
			ConsoleWrite(fmt.Appendf(nil, "barewire: irq %d: nobody cared; the line is off\n", l.irq.GSI))
		}
	}
	if !l.msi && !l.irq.Edge && !l.off {
		l.io.write(l.reg, l.entry)
	}
}

// An IRQStat counts one line's interrupts.
type IRQStat struct {
	Vector   uint8
	GSI      uint32 // of an I/O APIC line
	MSI      bool
	Count    uint64 // rounds in which its handlers ran
	Spurious uint64 // of these, rounds in which no handler claimed it
	Off      bool   // given up
}

// Stats counts what the interrupt entry and the interrupt goroutine did.
type Stats struct {
	Interrupts uint64 // device interrupts taken by the CPU
	Ticks      uint64 // timer interrupts
	Spurious   uint64 // the APIC's own spurious vector
	Stray      uint64 // vectors nobody has asked for
	Rounds     uint64 // of the interrupt goroutine
	Lines      []IRQStat
}

// IRQStats returns the counters since boot.
func IRQStats() Stats {
	s := Stats{
		Interrupts: atomic.LoadUint64(&irqCount), Ticks: atomic.LoadUint64(&irqTicks),
		Spurious: atomic.LoadUint64(&irqSpurious), Stray: stray.Load(), Rounds: irqs.rounds.Load(),
	}
	for v := range irqs.lines {
		if l := irqs.lines[v].Load(); l != nil {
			s.Lines = append(s.Lines, IRQStat{uint8(v), l.irq.GSI, l.msi, l.count.Load(), l.spurious.Load(), l.off})
		}
	}
	return s
}

// init starts interrupts: the runtime is up, and m0's signal stack is the CPU's interrupt stack.
func init() {
	ioapicSetup()
	go irqThread()
	timerSetup()
	hookTimer = setTimer
	sti()
	stdinSetup()
	go refineClock()
}
