package sock

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
)

// waitQueue is a queue of goroutines that wait for an event (Linux:
// wait_queue_head_t). A waiter enters before it looks at the condition, so a
// wake-up between the look and the sleep is kept. Wake-ups happen outside all
// locks of the sock; the queue's own lock is held only to unlink.
type waitQueue struct {
	mu   sync.Mutex
	head *waiter
	tail *waiter
	idle *waiter // kept for reuse, so that blocking calls do not allocate

	// n is how many wait. Who makes the condition true looks at it afterwards
	// and mostly need not take the lock (Linux: wq_has_sleeper).
	n atomic.Int32
}

type waiter struct {
	next, prev *waiter
	queued     bool
	*napi.Parker
}

// enter puts the caller on the queue (prepare_to_wait), to sleep by clock c.
func (q *waitQueue) enter(c napi.Clock) *waiter {
	q.mu.Lock()
	w := q.idle
	if w != nil {
		q.idle = w.next
		w.next = nil
	} else {
		w = &waiter{Parker: napi.NewParker(c)}
	}
	w.prev = q.tail
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	w.queued = true
	q.n.Add(1)
	q.mu.Unlock()
	return w
}

// leave takes w off the queue (finish_wait). If w was woken and its event is
// not used, the caller passes the wake-up on with wakeOne.
func (q *waitQueue) leave(w *waiter) (woken bool) {
	q.mu.Lock()
	// Off the queue means that somebody chose w to wake, even if the signal
	// has not come yet; a signal that comes later is a spurious wake-up.
	if woken = !w.queued; !woken {
		q.unlink(w)
	}
	w.Forget()
	w.next = q.idle
	q.idle = w
	q.mu.Unlock()
	return woken
}

func (q *waitQueue) unlink(w *waiter) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	w.queued = false
	q.n.Add(-1)
}

// wakeOne wakes the goroutine that waits longest (wake_up).
func (q *waitQueue) wakeOne() {
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	w := q.head
	if w != nil {
		q.unlink(w)
	}
	q.mu.Unlock()
	if w != nil {
		w.Unpark()
	}
}

// wakeAll wakes everybody (wake_up_all).
func (q *waitQueue) wakeAll() {
	if q.n.Load() == 0 {
		return
	}
	for {
		q.mu.Lock()
		w := q.head
		if w != nil {
			q.unlink(w)
		}
		q.mu.Unlock()
		if w == nil {
			return
		}
		w.Unpark()
	}
}

// waitUntil blocks until ready returns true, the timeout passes (EAGAIN) or
// ready returns an error. timeout is in ns; 0 means for ever.
func (sk *Sock) waitUntil(q *waitQueue, timeout int64, ready func() (bool, error)) error {
	var deadline int64
	if timeout > 0 {
		deadline = sk.clock.Now() + timeout
	}
	for {
		w := q.enter(sk.clock)
		ok, err := ready()
		if ok || err != nil {
			if q.leave(w) {
				q.wakeOne() // ours was not needed; it may be another's
			}
			return err
		}
		if timeout > 0 && sk.clock.Now() >= deadline {
			if q.leave(w) {
				q.wakeOne()
			}
			return syscall.EAGAIN
		}
		if timeout > 0 {
			w.ParkUntil(deadline)
		} else {
			w.Park()
		}
		q.leave(w)
	}
}
