package hosted

import (
	"container/heap"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"barewire/napi"
)

// ErrDeadlock is what [VirtualClock.Run] returns when everybody sleeps and no
// timer is set that could wake one.
var ErrDeadlock = errors.New("hosted: everybody sleeps and no timer is set")

// VirtualClock is time that passes only while nobody runs: a [napi.Clock] for
// stacks and for the goroutines of the programs above them. Hours pass in
// milliseconds, and a delay is exactly as long as it was asked for.
//
// Goroutines that make system calls are started by Go or are the function of
// Run. When all of them sleep, first the work that AtIdle knows of is done, and
// then the clock goes on to the next alarm. Outside of Run the time stands.
type VirtualClock struct {
	now atomic.Int64

	mu      sync.Mutex
	asleep  sync.Cond // running became 0
	running int
	alarms  alarmHeap
	seq     uint64
	idle    []func() bool
}

// NewVirtualClock makes a clock that shows one second.
func NewVirtualClock() *VirtualClock {
	c := &VirtualClock{}
	c.asleep.L = &c.mu
	c.now.Store(int64(time.Second)) // never zero, which stands for "no time"
	return c
}

// Now returns the virtual time in nanoseconds.
func (c *VirtualClock) Now() int64 { return c.now.Load() }

// WallNow implements [napi.WallClock]: the clock began in the year 2000.
func (c *VirtualClock) WallNow() int64 { return 946684800e9 + c.Now() }

// AfterFunc implements [napi.Clock]. f runs on the goroutine of Run and must not
// block.
func (c *VirtualClock) AfterFunc(d time.Duration, f func()) napi.Alarm {
	a := &virtualAlarm{c: c, f: f, index: -1}
	a.Reset(d)
	return a
}

// Running implements [napi.Tracker].
func (c *VirtualClock) Running(delta int) {
	c.mu.Lock()
	if c.running += delta; c.running == 0 {
		c.asleep.Signal()
	}
	c.mu.Unlock()
}

// AtIdle has fn called whenever everybody sleeps, before the time moves: it does
// what work there is, the softirqs of a stack, and reports whether there was
// any.
func (c *VirtualClock) AtIdle(fn func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, fn)
}

// Go runs f as a goroutine whose sleeps let the time pass.
func (c *VirtualClock) Go(f func()) {
	c.Running(1)
	go func() {
		defer c.Running(-1)
		f()
	}()
}

// Sleep blocks the caller, who was started by Go or Run, for d.
func (c *VirtualClock) Sleep(d time.Duration) { c.SleepUntil(c.Now() + int64(d)) }

// SleepUntil blocks the caller until the clock shows t.
func (c *VirtualClock) SleepUntil(t int64) {
	for p := napi.NewParker(c); c.Now() < t; {
		p.ParkUntil(t)
	}
}

// Yield lets everybody else run, and what AtIdle knows of, until they sleep. No
// time passes.
func (c *VirtualClock) Yield() {
	p := napi.NewParker(c)
	c.AfterFunc(0, p.Unpark)
	p.Park()
}

// Advance lets d pass for the goroutines started by Go.
func (c *VirtualClock) Advance(d time.Duration) {
	c.Run(func() { c.Sleep(d) }) // its own alarm keeps it from a deadlock
}

// Run runs f on a goroutine of its own, and the time on, until f has returned
// and everybody sleeps again. With ErrDeadlock f may go on when something wakes
// it in a later Run. Calls of Run do not overlap.
func (c *VirtualClock) Run(f func()) error {
	var done atomic.Bool
	c.Go(func() {
		defer done.Store(true)
		f()
	})
	for {
		c.mu.Lock()
		for c.running > 0 {
			c.asleep.Wait()
		}
		idle := c.idle
		c.mu.Unlock()
		worked := false
		for _, fn := range idle {
			worked = fn() || worked
		}
		switch {
		case worked:
		case done.Load():
			return nil
		case !c.fire():
			return ErrDeadlock
		}
	}
}

// fire moves the time to the next alarm and lets it go off. False: there is
// none.
func (c *VirtualClock) fire() bool {
	c.mu.Lock()
	if len(c.alarms) == 0 {
		c.mu.Unlock()
		return false
	}
	a := heap.Pop(&c.alarms).(*virtualAlarm)
	c.now.Store(max(c.now.Load(), a.at))
	c.mu.Unlock()
	a.f()
	return true
}

// virtualAlarm is a pending AfterFunc.
type virtualAlarm struct {
	c     *VirtualClock
	f     func()
	at    int64
	seq   uint64 // of alarms for one time the first set goes off first
	index int    // in the heap, -1 outside
}

// Stop implements [napi.Alarm].
func (a *virtualAlarm) Stop() bool {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	if a.index < 0 {
		return false
	}
	heap.Remove(&a.c.alarms, a.index)
	return true
}

// Reset is that of [time.Timer].
func (a *virtualAlarm) Reset(d time.Duration) bool {
	c := a.c
	c.mu.Lock()
	defer c.mu.Unlock()
	was := a.index >= 0
	if was {
		heap.Remove(&c.alarms, a.index)
	}
	now := c.now.Load()
	if a.at = now + int64(max(d, 0)); a.at < now {
		a.at = 1<<63 - 1
	}
	c.seq++
	a.seq = c.seq
	heap.Push(&c.alarms, a)
	return was
}

// alarmHeap implements [heap.Interface].
type alarmHeap []*virtualAlarm

func (h alarmHeap) Len() int { return len(h) }

func (h alarmHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *alarmHeap) Push(x any) {
	a := x.(*virtualAlarm)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *alarmHeap) Pop() any {
	n := len(*h) - 1
	a := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	a.index = -1
	return a
}
