package sys

import (
	"sync"
	"sync/atomic"

	"barewire/napi"
)

// Readiness events, with Linux's POLL* and EPOLL* values.
const (
	pollIn   uint16 = 0x001
	pollPri  uint16 = 0x002
	pollOut  uint16 = 0x004
	pollErr  uint16 = 0x008
	pollHup  uint16 = 0x010
	pollNval uint16 = 0x020

	pollRdNorm uint16 = 0x040
	pollRdBand uint16 = 0x080
	pollWrNorm uint16 = 0x100
	pollWrBand uint16 = 0x200
	pollMsg    uint16 = 0x400
	pollRdHup  uint16 = 0x2000

	pollDefault = pollIn | pollOut | pollRdNorm | pollWrNorm // a file that never blocks
)

// waker is told when a file's readiness changes. wakeup runs in any context,
// softirq included, and must not block. It may be called once more after it
// was removed; implementations take that for a spurious wake-up.
type waker interface {
	wakeup(events uint16)
}

// waitQueue is the list of those who wait for a file (Linux:
// wait_queue_head). Wakers come and go rarely and are woken for every packet,
// so the list is an immutable snapshot and waking takes no lock.
type waitQueue struct {
	mu   sync.Mutex
	list atomic.Pointer[[]waker]
}

// wake tells every waker that events happened; of the exclusive ones the first
// for whom that is of use.
func (q *waitQueue) wake(events uint16) {
	l := q.list.Load()
	if l == nil {
		return
	}
	used := false
	for _, w := range *l {
		if it, ok := w.(*epItem); ok && it.exclusive {
			used = used || it.tell(events)
			continue
		}
		w.wakeup(events)
	}
}

// any reports whether somebody waits.
func (q *waitQueue) any() bool { return q.list.Load() != nil }

// add appends w.
func (q *waitQueue) add(w waker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var l []waker
	if old := q.list.Load(); old != nil {
		l = append(l, *old...)
	}
	l = append(l, w)
	q.list.Store(&l)
}

// remove takes the first entry that match accepts off the list and returns it,
// nil if there is none.
func (q *waitQueue) remove(match func(waker) bool) waker {
	q.mu.Lock()
	defer q.mu.Unlock()
	old := q.list.Load()
	if old == nil {
		return nil
	}
	for i, w := range *old {
		if !match(w) {
			continue
		}
		if len(*old) == 1 {
			q.list.Store(nil)
			return w
		}
		l := make([]waker, 0, len(*old)-1)
		l = append(append(l, (*old)[:i]...), (*old)[i+1:]...)
		q.list.Store(&l)
		return w
	}
	return nil
}

// removeWaker takes w off the list.
func (q *waitQueue) removeWaker(w waker) {
	q.remove(func(x waker) bool { return x == w })
}

// sleeper is a goroutine that waits for one or more files. A wake-up that comes
// before it sleeps is kept.
type sleeper struct{ *napi.Parker }

func (k *Kernel) newSleeper() sleeper { return sleeper{napi.NewParker(k.cfg.Clock)} }

func (s sleeper) wakeup(uint16) { s.Unpark() }

// until is park with a timeout as poll and epoll_wait have it, and returns
// whether that has passed. deadline is of the kernel's clock, or forever.
func (s sleeper) until(c napi.Clock, deadline int64) (expired bool) {
	if deadline == forever {
		s.Park()
		return false
	}
	s.ParkUntil(deadline)
	return c.Now() >= deadline
}

// deadline turns a timeout in nanoseconds, or forever, into a time of the clock.
func (k *Kernel) deadline(timeout int64) int64 {
	if timeout == forever {
		return forever
	}
	return k.cfg.Clock.Now() + timeout
}

// block calls try until it returns something other than EAGAIN, sleeping on q
// in between. With nonblock the first EAGAIN is the answer.
func (k *Kernel) block(q *waitQueue, nonblock bool, try func() (int, Errno)) (int, Errno) {
	n, e := try()
	if e != eagain || nonblock {
		return n, e
	}
	s := k.newSleeper()
	q.add(s)
	defer q.removeWaker(s)
	for {
		// Once more after queueing: the event may have come in between.
		if n, e = try(); e != eagain {
			return n, e
		}
		s.Park()
	}
}
