package virtio

import (
	"sync/atomic"
	"time"
)

// Limits of what waits, and times in ns.
const (
	bellBuffers = 16
	bellTime    = int64(time.Millisecond)
	bellGap     = int64(500 * time.Microsecond)
)

// Bells holds notifications back until the processor has nothing better to do.
//
// A notification leaves the guest: under emulation it takes a lock that the
// device's own thread fights for and wakes that thread, which costs as much as
// several packets do. So while notifications follow each other, no further apart
// than bellGap, a buffer only marks its queue, and the device is told of several
// together
//   - when the processor goes idle: whoever sent something mostly waits for an
//     answer next, and others that run before may send as well;
//   - when bellBuffers wait;
//   - when the first has waited for bellTime and another goroutine is to run. A
//     goroutine that goes on and on is interrupted for it, but not the first time:
//     setting a timer leaves the guest as well, and nearly all that wait are gone
//     long before. So a timer is only set where the last ones have waited too long,
//     and those did for no longer than a time slice.
//
// It is the idea of Linux's xmit_more, with the scheduler to say what else is to
// be done. All methods may be called from anywhere, interrupts included.
type Bells struct {
	m     Pauses
	bells atomic.Pointer[[]*Bell]
}

// Pauses is what Bells knows of the scheduler. All must be set.
type Pauses struct {
	Now    func() int64  // a clock in ns
	TurnBy func(t int64) // has Turn called at that time at the latest
}

// NewBells returns an empty set. The caller has Idle and Turn called at the times
// that these name.
func NewBells(m Pauses) *Bells { return &Bells{m: m} }

// Bell is the notification of one queue.
type Bell struct {
	q     *Queue
	set   *Bells
	held  atomic.Uint32 // buffers that wait, 0: none does
	until atomic.Int64  // no longer than that
	rang  atomic.Int64  // when the last notification was given
	late  atomic.Bool   // the last ones that waited did for too long, or for a timer
}

// Bell returns the bell of a queue. Of a nil set it is one that rings at once.
func (s *Bells) Bell(q *Queue) *Bell {
	b := &Bell{q: q, set: s}
	if s == nil {
		return b
	}
	for {
		old := s.bells.Load()
		var l []*Bell
		if old != nil {
			l = append(l, *old...)
		}
		l = append(l, b)
		if s.bells.CompareAndSwap(old, &l) {
			return b
		}
	}
}

// Ring tells the device of n more buffers, now or soon. notify is what Publish
// said: false means that it looks at the queue anyhow, unless it waits for a
// notification that is held back.
func (b *Bell) Ring(notify bool, n int) {
	if b.set == nil {
		if notify {
			b.q.Notify()
		}
		return
	}
	held := b.held.Load()
	if held == 0 && !notify {
		return
	}
	now := b.set.m.Now()
	first := held == 0
	if held += uint32(n); first && (held >= bellBuffers || now-b.rang.Load() >= bellGap) {
		b.ring(now)
		return
	}
	if held >= bellBuffers {
		b.flush(now)
		return
	}
	b.held.Store(held)
	if first {
		b.until.Store(now + bellTime)
		if b.late.Load() {
			b.set.m.TurnBy(now + bellTime)
		}
	}
}

func (b *Bell) ring(now int64) {
	b.rang.Store(now)
	b.q.Notify()
}

// flush tells the device of what is held back, if nobody else does.
func (b *Bell) flush(now int64) {
	if b.held.Swap(0) == 0 {
		return
	}
	switch over := now - b.until.Load(); {
	case over >= bellTime:
		b.late.Store(true)
	case over < 0:
		b.late.Store(false)
	}
	b.ring(now)
}

// Held reports whether buffers wait. Those that are added to them will be
// notified of together, or, if somebody rang meanwhile, with Ring(true, n).
func (b *Bell) Held() bool { return b.held.Load() != 0 }

// Flush tells the device now of what is held back.
func (b *Bell) Flush() {
	if b.held.Load() != 0 {
		b.flush(b.set.m.Now())
	}
}

// Drop forgets what is held back, of a device that is to be reset.
func (b *Bell) Drop() { b.held.Store(0) }

// all calls f with each bell that is held.
func (s *Bells) all(f func(b *Bell)) {
	if l := s.bells.Load(); l != nil {
		for _, b := range *l {
			if b.held.Load() != 0 {
				f(b)
			}
		}
	}
}

// Idle is called when the processor is about to halt.
func (s *Bells) Idle() { s.all((*Bell).Flush) }

// Turn is called when another goroutine is about to run, and when the timer has
// interrupted one.
func (s *Bells) Turn() {
	s.all(func(b *Bell) {
		if now := s.m.Now(); now >= b.until.Load() {
			b.flush(now)
		}
	})
}
