package napi

import (
	"sync/atomic"
	"time"

	"barewire/skb"
)

// State bits of a NAPI context (Linux: NAPI_STATE_*).
const (
	napiSched   = 1 << iota // on the poll list or being polled
	napiMissed              // scheduled again meanwhile: poll once more
	napiDisable             // Disable waits; nobody may schedule
	napiOff                 // disabled
)

// NAPI is a polling context of a device, usually one per receive queue (Linux:
// struct napi_struct).
type NAPI struct {
	dev    *NetDevice
	poller Poller
	weight int

	state atomic.Uint32
	cpu   int      // see SetCPU
	net   *Net     // set by Enable
	soft  *SoftNet // set by Enable: who polls
	rxq   *RxQueue // nil for the backlog's, which steers nothing
	next  *NAPI    // poll list; owned by who set napiSched

	// Stats counts what was handed up.
	Stats     QueueStats
	multicast atomic.Uint64
	count     rxCount // poll only
	gro       *gro    // poll only; nil for the backlog's
	GRO       GROStats

	id        atomic.Uint32 // see ID
	emptyLeft uint32        // poll only; empty polls before interrupts are on
	quiet     int64         // poll only; ns that Defers promised
	watchdog  Alarm         // poll only
	// Polls counts them.
	Polls PollStats
}

// Dev returns the device.
func (n *NAPI) Dev() *NetDevice { return n.dev }

// SetCPU says which processor's softirqs poll the context from the next Enable
// on: that of its interrupt. At first it is 0; one that does not exist stands for
// another that does.
func (n *NAPI) SetCPU(cpu int) { n.cpu = cpu }

// SoftNet returns whose softirqs poll the context, nil before it was enabled.
func (n *NAPI) SoftNet() *SoftNet { return n.soft }

// Enable lets the context be scheduled (Linux: napi_enable). It panics when it
// is enabled already or the device is not registered.
func (n *NAPI) Enable() {
	if n.state.Load() != napiOff || n.dev.net.Load() == nil {
		panic("napi: Enable on an enabled context or an unregistered device")
	}
	n.net = n.dev.net.Load()
	n.soft = n.net.SoftNetOf(n.cpu % n.net.CPUs())
	n.emptyLeft, n.quiet, n.watchdog = 0, 0, nil
	n.net.napis.add(n)
	n.state.Store(0)
}

// Disable waits for the poll that is under way and keeps the context from
// being scheduled again (Linux: napi_disable). A disabled one stays so.
// Process context only: the poll it waits for must be able to run.
func (n *NAPI) Disable() {
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		old := n.state.Load()
		switch {
		case old&napiOff != 0:
			return
		case old&napiSched == 0:
			if n.state.CompareAndSwap(old, napiOff) {
				n.net.napis.remove(n)
				if n.watchdog != nil {
					n.watchdog.Stop()
				}
				return
			}
			continue
		case old&napiDisable == 0:
			n.state.Or(napiDisable)
			continue
		}
		// As local_bh_enable does: who waits for softirq may well run it.
		n.soft.DoSoftirq()
		if n.state.Load()&napiSched != 0 {
			time.Sleep(wait)
		}
	}
}

// How long process context sleeps between looks at something that softirq is
// about to finish (Linux: usleep_range(20, 200) in napi_disable).
const (
	minWait = 20 * time.Microsecond
	maxWait = time.Millisecond
)

// schedule is napi_schedule_prep and __napi_schedule.
func (n *NAPI) schedule() bool {
	for {
		old := n.state.Load()
		if old&(napiDisable|napiOff) != 0 {
			return false
		}
		next := old | napiSched
		if old&napiSched != 0 {
			next |= napiMissed
		}
		if n.state.CompareAndSwap(old, next) {
			if old&napiSched != 0 {
				return false
			}
			n.soft.pollAdd(n)
			return true
		}
	}
}

func (n *NAPI) completeDone(int) bool {
	if n.gro != nil {
		n.groFlush()
	}
	later := n.takeQuiet()
	for {
		old := n.state.Load()
		if old&napiBusy != 0 {
			return false // until the reader has had enough
		}
		next := old &^ (napiSched | napiMissed)
		if old&napiMissed != 0 {
			next |= napiSched
		}
		if n.state.CompareAndSwap(old, next) {
			if old&napiMissed != 0 {
				n.soft.pollAdd(n)
				return false
			}
			return !later
		}
	}
}

// ReceiveList hands up all packets of l, as Receive does for one, and empties
// it.
func (n *NAPI) ReceiveList(l *skb.List) {
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		n.receive(b)
	}
}

// poll runs one poll and reports the packets done and whether the context
// stays on the list (Linux: __napi_poll).
func (n *NAPI) poll() (work int, again bool) {
	weight := n.weight
	if weight == 0 { // the backlog's follows the setting
		weight = int(n.net.conf.weight.Load())
	}
	work = n.run(weight)
	if work < weight {
		return work, false
	}
	if n.state.Load()&napiDisable != 0 {
		n.completeDone(work)
		return work, false
	}
	return work, true
}

// run is one call of the driver and what ends it.
func (n *NAPI) run(budget int) (work int) {
	if n.state.Load()&napiQuiet != 0 {
		n.state.And(^uint32(napiQuiet))
	}
	work = n.poller.Poll(n, budget)
	if n.gro != nil && n.gro.held > 0 {
		n.groFlush()
	}
	n.count.flush(&n.Stats, &n.multicast)
	n.Polls.add(work)
	return work
}
