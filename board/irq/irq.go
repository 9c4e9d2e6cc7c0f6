// Package irq is the half of interrupt handling that runs in goroutine context and needs no hardware: vectors, the
// handlers of each, and the round that calls them and unmasks.
//
// # Contract
//
// The interrupt entry masks a level-triggered line, notes the vector and ends; it knows nothing of this package. The one interrupt
// goroutine takes the notes and calls [Table.Round]. For each noted vector all handlers run, then the line is
// unmasked, then, after the last vector, the exit function runs once. So nothing is lost: a level-triggered line that is
// asserted again after its handler has looked interrupts again when it is unmasked, and a message that comes
// during the round is noted for the next one. Nor can a line take the machine: its handlers run once for each round, and a
// line that nobody claims [MaxUnclaimed] times in a row stays masked.
package irq

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Vectors that are given out. Below are the CPU's exceptions and what firmware may have left; above are the timer and
// the spurious vector.
const (
	First = 0x30
	Last  = 0xef
)

// MaxUnclaimed is the number of rounds in a row in which no handler claims a level-triggered line after which it is given up. Linux
// (note_interrupt) gives up at 99 900 of 100 000; a machine with a handful of lines need not wait so long.
const MaxUnclaimed = 1000

// What Request and RequestMessage refuse.
var (
	ErrNoVector = errors.New("irq: all interrupt vectors are taken")
	ErrMode     = errors.New("irq: the interrupt line is shared with another trigger mode")
)

// A Source names an interrupt line.
type Source struct {
	// GSI is the global system interrupt, ACPI's number of the line.
	GSI uint32
	// Edge is true for an edge-triggered line (the ISA bus); others are level-triggered (virtio-mmio, PCI).
	Edge bool
	// Low is true for a line that is active low (PCI).
	Low bool
}

// A Controller is the hardware that lines come from. Its methods are called by one goroutine at a time.
type Controller interface {
	// Route connects a line to a vector and leaves it masked.
	Route(s Source, vector uint8) error
	// Unmask lets the line interrupt: at once if it is level-triggered and asserted.
	Unmask(s Source, vector uint8)
}

// A Table holds one CPU's vectors.
type Table struct {
	// Controller is set before the first use.
	Controller Controller
	// Report is told of a line that is given up; nil = nobody is.
	Report func(s Source)

	mu    sync.Mutex
	next  int
	lines [256]atomic.Pointer[line]
	hooks atomic.Pointer[hooks]

	rounds, stray atomic.Uint64
}

// A line is what one vector stands for.
type line struct {
	src       Source
	message   bool
	handlers  atomic.Pointer[[]func() bool]
	unclaimed int // by the interrupt goroutine only
	off       atomic.Bool

	count, spurious atomic.Uint64
}

func (l *line) add(h func() bool) {
	var hs []func() bool
	if old := l.handlers.Load(); old != nil {
		hs = append(hs, *old...)
	}
	hs = append(hs, h)
	l.handlers.Store(&hs)
}

// alloc takes a free vector for l. The caller holds t.mu.
func (t *Table) alloc(l *line) (uint8, error) {
	v := max(t.next, First)
	if v > Last {
		return 0, ErrNoVector
	}
	t.next = v + 1
	t.lines[v].Store(l)
	return uint8(v), nil
}

// Request connects a line to a handler, which reports whether its device had asked. A line may be shared: all
// handlers run each time; all must agree on the trigger mode.
func (t *Table) Request(s Source, handler func() bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.lines {
		if l := t.lines[i].Load(); l != nil && !l.message && l.src.GSI == s.GSI {
			if l.src != s {
				return ErrMode
			}
			l.add(handler)
			return nil
		}
	}
	l := &line{src: s}
	l.add(handler)
	v, err := t.alloc(l)
	if err != nil {
		return err
	}
	if err := t.Controller.Route(s, v); err != nil {
		t.lines[v].Store(nil)
		return err
	}
	t.Controller.Unmask(s, v)
	return nil
}

// RequestMessage takes a vector for a message-signalled interrupt (MSI-X) and connects it to handler.
func (t *Table) RequestMessage(handler func()) (uint8, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &line{message: true}
	l.add(func() bool { handler(); return true })
	return t.alloc(l)
}

// hooks stand around the handlers of a round.
type hooks struct{ enter, exit func() }

// SetHooks sets the functions that run at the beginning and at the end of each round (Linux: irq_enter, irq_exit).
func (t *Table) SetHooks(enter, exit func()) { t.hooks.Store(&hooks{enter, exit}) }

// Round serves the noted vectors, one bit each. Only the interrupt goroutine calls it.
func (t *Table) Round(noted *[4]uint64) {
	t.rounds.Add(1)
	h := t.hooks.Load()
	if h != nil {
		h.enter()
	}
	for i, w := range noted {
		for ; w != 0; w &= w - 1 {
			v := i*64 + bits.TrailingZeros64(w)
			if l := t.lines[v].Load(); l != nil {
				t.serve(l, uint8(v))
			} else {
				t.stray.Add(1)
			}
		}
	}
	if h != nil {
		h.exit()
	}
}

func (t *Table) serve(l *line, v uint8) {
	l.count.Add(1)
	claimed := false
	for _, h := range *l.handlers.Load() {
		if h() {
			claimed = true
		}
	}
	if l.message || l.src.Edge { // never masked
		return
	}
	if claimed {
		l.unclaimed = 0
	} else {
		l.spurious.Add(1)
		if l.unclaimed++; l.unclaimed >= MaxUnclaimed {
			l.off.Store(true)
			if t.Report != nil {
				t.Report(l.src)
			}
			return
		}
	}
	t.Controller.Unmask(l.src, v)
}

// A LineStat counts one vector's rounds.
type LineStat struct {
	Vector   uint8
	Source   Source // of a line
	Message  bool
	Count    uint64 // rounds in which its handlers ran
	Spurious uint64 // of these, rounds in which no handler claimed it
	Off      bool   // given up
}

// Stats are the counters since boot: rounds, vectors noted that nobody had asked for, and each vector's.
func (t *Table) Stats() (rounds, stray uint64, lines []LineStat) {
	for v := range t.lines {
		if l := t.lines[v].Load(); l != nil {
			lines = append(lines, LineStat{uint8(v), l.src, l.message, l.count.Load(), l.spurious.Load(), l.off.Load()})
		}
	}
	return t.rounds.Load(), t.stray.Load(), lines
}
