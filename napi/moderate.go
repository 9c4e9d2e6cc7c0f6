package napi

import (
	"math"
	"sync/atomic"
	"syscall"
	"time"
)

// Moderation of interrupts by the context that polls: when a poll has found the
// ring empty, interrupts may stay off for a while and a timer look again. Load is
// then served in larger polls with fewer interrupts, at the price of the time a
// packet waits for the timer. Off unless asked for: a device that is idle
// answers its first packet at once, and under load the polls themselves keep
// interrupts off.

// moderation is what a device's contexts obey.
type moderation struct {
	deferIRQs    atomic.Uint32 // napi_defer_hard_irqs: empty polls in a row before interrupts are on
	flushTimeout atomic.Int64  // gro_flush_timeout, ns: pause before each
	pause        atomic.Int64  // ns between polls that bring packets, for rx-usecs of a card that cannot wait itself
}

// DeferHardIRQs returns napi_defer_hard_irqs: after how many polls in a row that
// found nothing interrupts are switched on. 0: at once.
func (d *NetDevice) DeferHardIRQs() uint32 { return d.mod.deferIRQs.Load() }

// SetDeferHardIRQs changes it. It has an effect only with a GROFlushTimeout.
// ERANGE beyond 31 bits.
func (d *NetDevice) SetDeferHardIRQs(n int64) error {
	if n < 0 || n > math.MaxInt32 {
		return syscall.ERANGE
	}
	d.mod.deferIRQs.Store(uint32(n))
	return nil
}

// GROFlushTimeout returns gro_flush_timeout: how long the timer waits before it
// polls instead of an interrupt, 0 for no timer. Unlike Linux's it never keeps
// packets back to be merged: those go up when a poll ends.
func (d *NetDevice) GROFlushTimeout() time.Duration { return time.Duration(d.mod.flushTimeout.Load()) }

// SetGROFlushTimeout changes it. EINVAL if negative.
func (d *NetDevice) SetGROFlushTimeout(t time.Duration) error {
	if t < 0 {
		return syscall.EINVAL
	}
	d.mod.flushTimeout.Store(int64(t))
	return nil
}

// PollPause returns the pause after a poll that brought packets.
func (d *NetDevice) PollPause() time.Duration { return time.Duration(d.mod.pause.Load()) }

// SetPollPause has the device's contexts wait that long after a poll that
// brought packets, interrupts off, before they look again: what a driver does
// for rx-usecs when the card cannot. 0 ends it.
func (d *NetDevice) SetPollPause(t time.Duration) { d.mod.pause.Store(int64(max(t, 0))) }

// Defers reports whether interrupts stay off though the ring is empty. A driver
// asks when a poll ends with less than its budget, work packets; if so it leaves
// them off and calls CompleteDone: the context will be polled again without one.
// Only inside Poll.
func (n *NAPI) Defers(work int) bool {
	if n.state.Load()&napiBusy != 0 {
		return true
	}
	m := &n.dev.mod
	if work > 0 {
		n.emptyLeft = m.deferIRQs.Load()
	}
	switch {
	case n.emptyLeft > 0:
		n.emptyLeft--
		n.quiet = m.flushTimeout.Load()
	case work > 0:
		n.quiet = m.pause.Load()
	}
	if n.quiet == 0 {
		return false
	}
	n.Polls.Deferred.Add(1)
	return true
}

// napiQuiet: the timer will poll in place of an interrupt.
const napiQuiet = 1 << 5

// PollsSoon reports whether the context will be polled without an interrupt, by
// its timer or by a reader. A driver need not ask for an interrupt then to learn
// what has been sent; it reads this under the lock under which its poll looks at
// what has been sent.
func (n *NAPI) PollsSoon() bool { return n.state.Load()&(napiQuiet|napiBusy) != 0 }

// takeQuiet arms the timer for what Defers promised and reports whether it did.
// The caller still owns the context: the timer may go off at once and then finds
// it scheduled.
func (n *NAPI) takeQuiet() bool {
	d := time.Duration(n.quiet)
	if d == 0 {
		return false
	}
	n.quiet = 0
	n.state.Or(napiQuiet)
	if r, ok := n.watchdog.(interface{ Reset(time.Duration) bool }); ok {
		r.Reset(d)
	} else {
		soft := n.soft
		n.watchdog = n.net.clock.AfterFunc(d, func() { n.watch(soft) })
	}
	return true
}

// watch polls in place of the interrupt that was kept off (Linux:
// napi_watchdog). Not in softirq.
func (n *NAPI) watch(s *SoftNet) {
	s.IRQEnter()
	n.schedule()
	s.DoSoftirq()
}
