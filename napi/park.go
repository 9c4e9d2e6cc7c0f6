package napi

import (
	"sync/atomic"
	"time"
)

// Tracker is what a [Clock] of virtual time has besides: it moves the time on
// when nobody runs, so it must know who does. Running(-1) says that a goroutine
// goes to sleep in a Parker, Running(1) that one is about to be woken.
type Tracker interface {
	Running(delta int)
}

// Parker is where a goroutine in process context sleeps for an event (Linux:
// set_current_state, schedule_timeout and wake_up_process). All sleeps of
// system calls go through it, so that a clock of virtual time sees them. One
// goroutine parks at a time; anybody may unpark it.
type Parker struct {
	clock   Clock
	tracker Tracker // nil: real time
	state   atomic.Int32
	wake    chan struct{} // capacity 1; written only to a sleeper
}

// States of a Parker.
const (
	parkerAwake    = iota
	parkerNotified // woken before it slept
	parkerAsleep
)

// NewParker makes a Parker by clock c.
func NewParker(c Clock) *Parker {
	p := &Parker{clock: c, wake: make(chan struct{}, 1)}
	p.tracker, _ = c.(Tracker)
	return p
}

// Park sleeps until Unpark. One that came since the last Park ends it at once.
// The caller looks at what it waits for again: a wake-up may be spurious.
func (p *Parker) Park() {
	if p.state.CompareAndSwap(parkerAwake, parkerAsleep) {
		if p.tracker != nil {
			p.tracker.Running(-1) // the waker counts us in again
		}
		<-p.wake
	}
	p.state.Store(parkerAwake)
}

// ParkUntil is Park that ends when the clock reaches deadline.
func (p *Parker) ParkUntil(deadline int64) {
	d := deadline - p.clock.Now()
	if d <= 0 {
		return
	}
	a := p.clock.AfterFunc(time.Duration(d), p.Unpark)
	p.Park()
	a.Stop()
}

// Unpark ends the Park that runs or the next one. Any context, softirq
// included; it does not block.
func (p *Parker) Unpark() {
	if p.state.Swap(parkerNotified) == parkerAsleep {
		if p.tracker != nil {
			p.tracker.Running(1)
		}
		p.wake <- struct{}{}
	}
}

// Forget takes back an Unpark that no Park has used.
func (p *Parker) Forget() { p.state.CompareAndSwap(parkerNotified, parkerAwake) }
