package napi

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
)

// Busy polling: a reader that finds nothing polls the device itself for a while
// instead of waiting for an interrupt (Linux: napi_busy_loop). It saves the
// interrupt, the wake-ups and, on a virtual machine, the exits of a processor that
// halts. While it lasts interrupts of the queue are off. One reader polls a
// context at a time, and it gives way to every other goroutine between two
// polls, so that nobody else waits longer because of it.

// napiBusy: a busy poller holds the context, which is scheduled meanwhile.
const napiBusy = 1 << 4

// BusyPollBudget is how many packets one busy poll hands up unless the socket
// says otherwise (Linux: BUSY_POLL_BUDGET).
const BusyPollBudget = 8

// minNAPIID is the first number of a context (Linux: MIN_NAPI_ID, more than there
// can be processors, whose numbers have the same place in a packet).
const minNAPIID = 8192 + 1

// napiTable finds contexts by number.
type napiTable struct {
	byID atomic.Pointer[map[uint32]*NAPI]
	mu   sync.Mutex
	last uint32
}

// add gives n, which is being enabled, its number: the one it had if that is
// free.
func (t *napiTable) add(n *NAPI) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := map[uint32]*NAPI{}
	if old := t.byID.Load(); old != nil {
		maps.Copy(ids, *old)
	}
	id := n.id.Load()
	for id == 0 || ids[id] != nil {
		t.last++
		id = minNAPIID - 1 + t.last
	}
	n.id.Store(id)
	ids[id] = n
	t.byID.Store(&ids)
}

func (t *napiTable) remove(n *NAPI) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.byID.Load()
	if old == nil || (*old)[n.id.Load()] != n {
		return
	}
	ids := maps.Clone(*old)
	delete(ids, n.id.Load())
	t.byID.Store(&ids)
}

// ID returns the number that packets of the context carry, 0 before it was first
// enabled (Linux: napi_id, SO_INCOMING_NAPI_ID).
func (n *NAPI) ID() uint32 { return n.id.Load() }

// NAPIByID returns the enabled context with that number, nil if there is none
// (Linux: napi_by_id).
func (net *Net) NAPIByID(id uint32) *NAPI {
	if ids := net.napis.byID.Load(); ids != nil {
		return (*ids)[id]
	}
	return nil
}

// BusyPoll says how a context is polled by a reader.
type BusyPoll struct {
	// Done ends the loop when it is true: packets have come for the reader, or
	// its time is over. Nil polls once.
	Done func() bool
	// Prefer keeps interrupts off after the loop too, until gro_flush_timeout
	// passes without another, if napi_defer_hard_irqs is set (Linux:
	// SO_PREFER_BUSY_POLL).
	Prefer bool
	// Budget is how many packets a poll hands up; 0 means BusyPollBudget.
	Budget int
}

// BusyLoop polls the context with number id until b.Done (Linux:
// napi_busy_loop). It returns at once when there is none of that number or
// another reader polls it already. Process context: packets are handed up on the
// caller's goroutine.
func (net *Net) BusyLoop(id uint32, b BusyPoll) {
	n := net.NAPIByID(id)
	if n == nil {
		return
	}
	if b.Budget <= 0 {
		b.Budget = BusyPollBudget
	}
	held := false
	for {
		if !held {
			var other bool
			if held, other = n.busyTake(); other {
				return
			}
		}
		if held {
			n.busyPoll(b.Budget)
			n.Polls.Busy.Add(1)
		}
		if b.Done == nil || b.Done() || n.state.Load()&(napiDisable|napiOff) != 0 {
			break
		}
		runtime.Gosched()
	}
	if held {
		n.busyStop(&b)
	}
}

// busyTake makes the caller the poller unless the context is scheduled; other
// says that this is because somebody else is the poller, or it is disabled.
func (n *NAPI) busyTake() (ok, other bool) {
	old := n.state.Load()
	if old&(napiBusy|napiDisable|napiOff) != 0 {
		return false, true
	}
	return old&napiSched == 0 && n.state.CompareAndSwap(old, old|napiSched|napiBusy), false
}

// busyPoll polls once as softirq of the context's processor, unless others are
// running there, and reports whether that filled the budget.
func (n *NAPI) busyPoll(budget int) (full, ok bool) {
	s := n.soft
	if !s.take(ownerDo) {
		return false, false
	}
	full = n.run(budget) >= budget
	s.endPoll()
	s.netTxAction()
	s.stats.processed.Add(s.processed)
	s.processed = 0
	s.release()
	return full, true
}

// busyStop gives the context back: a last poll switches interrupts on, or, if
// packets are left, softirq goes on (Linux: busy_poll_stop).
func (n *NAPI) busyStop(b *BusyPoll) {
	if b.Prefer {
		n.emptyLeft = n.dev.mod.deferIRQs.Load()
	}
	n.state.And(^uint32(napiBusy | napiMissed)) // what was missed is polled now
	if full, ok := n.busyPoll(b.Budget); full || !ok {
		n.soft.pollAdd(n)
	}
}
