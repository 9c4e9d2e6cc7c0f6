package napi

import (
	"math/bits"
	"sync"
	"time"
)

// The wheel has wheelLevels levels of 64 buckets. A bucket of level n spans
// 8^n ticks, so a timer goes off late by at most an eighth of its distance and
// never moves between levels (Linux: kernel/time/timer.c).
const (
	tick        = int64(time.Millisecond)
	wheelLevels = 9
	wheelSize   = 64
	wheelMask   = wheelSize - 1
	levelShift  = 3

	notPending = -1
	noAlarm    = -1
	expired    = wheelLevels * wheelSize // bucket of timers about to run
)

// Timers is a timer wheel. Its timers run in softirq context.
type Timers struct {
	clock Clock
	raise func()

	mu      sync.Mutex
	clk     int64 // next tick to look at
	buckets [expired + 1]timerList
	pending [wheelLevels]uint64 // buckets in use
	alarm   Alarm
	armed   int64 // tick the alarm is set for, noAlarm if none
}

type timerList struct{ head, tail *Timer }

// Timer is one timer, to be embedded. Set it up with Init.
type Timer struct {
	next, prev *Timer
	w          *Timers
	fn         func(t *Timer)
	expires    int64
	bucket     int32
	slack      uint32 // ticks that its bucket comes after expires
}

func newTimers(c Clock, raise func()) *Timers {
	return &Timers{clock: c, raise: raise, clk: c.Now() / tick, armed: noAlarm}
}

// Init sets a timer up: fn runs in softirq context each time it goes off. Not
// to be called on a pending timer.
func (t *Timer) Init(w *Timers, fn func(t *Timer)) {
	*t = Timer{w: w, fn: fn, bucket: notPending}
}

// Expires returns the time the timer was last set to.
func (t *Timer) Expires() int64 {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.expires
}

// Due returns when the timer that was set last goes off, which is somewhat later
// than it was set to. For who alone calls Mod.
func (t *Timer) Due() int64 { return (ticks(t.expires) + int64(t.slack)) * tick }

// ticks rounds a time up.
func ticks(ns int64) int64 {
	n := ns / tick
	if ns%tick > 0 {
		n++
	}
	return n
}

// Pending reports whether the timer is set and has not gone off.
func (t *Timer) Pending() bool {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.bucket != notPending
}

// Mod sets the timer to go off at expires, in nanoseconds of the stack's
// clock; the past means at once (Linux: mod_timer). It reports whether the
// timer was pending. Any context, also inside fn.
func (t *Timer) Mod(expires int64) bool { return t.ModAt(expires, t.w.clock.Now()) }

// ModAt is Mod for who read the clock a moment ago: now is what it said.
func (t *Timer) ModAt(expires, now int64) bool {
	w := t.w
	w.mu.Lock()
	was := t.bucket != notPending
	if was {
		w.unlink(t)
	}
	t.expires = expires
	if due := w.insert(t, now); w.armed == noAlarm || w.armed > due {
		w.armAt(due, now)
	}
	w.mu.Unlock()
	return was
}

// Del stops the timer (Linux: timer_delete). It reports whether it was
// pending; if not, fn may be running at this moment.
func (t *Timer) Del() bool {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.bucket == notPending {
		return false
	}
	w.unlink(t)
	return true
}

// insert files t under its expiry and returns the tick when it is due; the
// caller holds mu.
func (w *Timers) insert(t *Timer, now int64) int64 {
	// The wheel's hand moves only when something expires. Bring it up to date
	// first: distance from it decides how exact the timer is. Nothing expires
	// before the alarm goes off, and without one there is nothing.
	hand := now / tick
	if w.armed != noAlarm {
		hand = min(hand, w.armed)
	}
	w.clk = max(w.clk, hand)
	at := max(ticks(t.expires), w.clk)
	bucket, due := w.bucketOf(at)
	t.slack = uint32(max(due-at, 0))
	w.link(t, bucket)
	return max(due, at)
}

// bucketOf returns the bucket for a timer at tick at, which is not before clk, and
// the tick when that is due.
func (w *Timers) bucketOf(at int64) (bucket int32, due int64) {
	delta := at - w.clk
	for lvl := 0; lvl < wheelLevels; lvl++ {
		shift := lvl * levelShift
		if delta < (wheelSize-1)<<shift { // one bucket is lost to rounding
			// Up, so that it is never early.
			i := (at + 1<<shift - 1) >> shift
			return int32(lvl*wheelSize + int(i&wheelMask)), i << shift
		}
	}
	// Beyond the wheel (about 3 years): as far as it goes.
	const top = (wheelLevels - 1) * levelShift
	i := (w.clk + (wheelSize-1)<<top) >> top
	return int32((wheelLevels-1)*wheelSize + int(i&wheelMask)), i << top
}

func (w *Timers) link(t *Timer, bucket int32) {
	l := &w.buckets[bucket]
	t.bucket, t.next, t.prev = bucket, nil, l.tail
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
	if bucket != expired {
		w.pending[bucket/wheelSize] |= 1 << (bucket % wheelSize)
	}
}

func (w *Timers) unlink(t *Timer) {
	l := &w.buckets[t.bucket]
	if t.prev == nil {
		l.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	if l.head == nil && t.bucket != expired {
		w.pending[t.bucket/wheelSize] &^= 1 << (t.bucket % wheelSize)
	}
	t.next, t.prev, t.bucket = nil, nil, notPending
}

// nextExpiry returns the tick of the next bucket in use, -1 if none.
func (w *Timers) nextExpiry() int64 {
	next := int64(-1)
	for lvl, p := range w.pending {
		if p == 0 {
			continue
		}
		shift := lvl * levelShift
		// The hand of this level, rounded up: a bucket is due at the first
		// tick of its span.
		hand := (w.clk + 1<<shift - 1) >> shift
		ahead := int64(bits.TrailingZeros64(bits.RotateLeft64(p, -int(hand&wheelMask))))
		if at := (hand + ahead) << shift; next < 0 || at < next {
			next = at
		}
	}
	return next
}

// armAt sets the alarm to a tick; the caller holds mu.
func (w *Timers) armAt(next, now int64) {
	w.armed = next
	d := time.Duration(max(next*tick-now, 0))
	if r, ok := w.alarm.(interface{ Reset(time.Duration) bool }); ok {
		r.Reset(d)
		return
	}
	if w.alarm != nil {
		w.alarm.Stop()
	}
	w.alarm = w.clock.AfterFunc(d, w.raise)
}

// run calls what is due (Linux: run_timer_softirq). Softirq context.
func (w *Timers) run() {
	w.mu.Lock()
	now := w.clock.Now() / tick
	for {
		next := w.nextExpiry()
		if next < 0 || next > now {
			break
		}
		w.clk = max(w.clk, next)
		w.collect()
		w.clk++
	}
	w.clk = max(w.clk, now)
	l := &w.buckets[expired]
	for t := l.head; t != nil; t = l.head {
		w.unlink(t)
		fn := t.fn
		w.mu.Unlock()
		fn(t)
		w.mu.Lock()
	}
	w.armed = noAlarm
	if next := w.nextExpiry(); next >= 0 {
		w.armAt(next, w.clock.Now())
	}
	w.mu.Unlock()
}

// collect moves the buckets due at tick clk to the expired list.
func (w *Timers) collect() {
	for lvl := range wheelLevels {
		shift := lvl * levelShift
		if w.clk&(1<<shift-1) != 0 {
			return
		}
		b := int32(lvl*wheelSize + int(w.clk>>shift&wheelMask))
		for t := w.buckets[b].head; t != nil; t = w.buckets[b].head {
			w.unlink(t)
			w.link(t, expired)
		}
	}
}

// Len returns how many timers are pending. It looks at each: for the tests
// that look for timers left behind.
func (w *Timers) Len() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.buckets {
		for t := w.buckets[i].head; t != nil; t = t.next {
			n++
		}
	}
	return n
}
