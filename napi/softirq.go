package napi

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"barewire/skb"
)

// Limits of the receive softirq, with Linux's defaults.
const (
	Budget            = 300                  // net.core.netdev_budget, packets
	BudgetTime        = 2 * time.Millisecond // net.core.netdev_budget_usecs
	DefaultMaxBacklog = 1000                 // net.core.netdev_max_backlog, packets

	maxRestart = 10 // MAX_SOFTIRQ_RESTART
)

// Softirq numbers as bits of pending, in the order they are served.
const (
	softirqTimer = 1 << iota
	softirqNetTx
	softirqNetRx
)

// Who runs softirqs.
const (
	ownerNone  = iota
	ownerDo    // a DoSoftirq call
	ownerD     // ksoftirqd
	ownerYield // nobody, while ksoftirqd yields between rounds: it is left to go on, but a section may

	ownerMask = 3
	ownerTurn = 4 // added whenever a round, or the rounds of a DoSoftirq, begin
)

// SoftNet is the softirq state of one processor (Linux: softnet_data and the
// softirq machinery).
type SoftNet struct {
	net     *Net
	cpu     int // which of the net's
	pending atomic.Uint32
	owner   atomic.Uint64 // who runs softirqs, and a multiple of ownerTurn
	inIRQ   atomic.Bool
	bh      atomic.Int32            // sections of BHDisable
	peer    atomic.Pointer[SoftNet] // whose softirqs such a section runs too
	wake    chan struct{}           // holds one token

	polls   atomic.Pointer[NAPI]    // scheduled, newest first
	outputs atomic.Pointer[TxQueue] // to be run by NET_TX, newest first
	list    napiList                // being worked through; softirq only

	backlog   *NAPI
	backlogMu sync.Mutex
	input     skb.List
	taken     int           // off input, and not received yet; under backlogMu
	inputHead atomic.Uint32 // packets of the backlog that are through, for flows that move

	endHead, endTail *PollEnd // softirq only

	processed uint64 // softirq only; published in stats
	stats     softStats

	_ [64]byte // what stands behind it is another processor's
}

// softConf is the settings that all SoftNets of a net obey, net.core.*.
type softConf struct {
	maxBacklog  atomic.Int32 // packets, of each SoftNet
	budget      atomic.Int32 // packets
	budgetUsecs atomic.Int32
	weight      atomic.Int32 // packets: of the backlog's polls and of queue runs
}

func (c *softConf) setDefaults(maxBacklog int) {
	c.maxBacklog.Store(int32(maxBacklog))
	c.budget.Store(Budget)
	c.budgetUsecs.Store(int32(BudgetTime / time.Microsecond))
	c.weight.Store(DefaultWeight)
}

type softStats struct {
	processed, dropped, timeSqueeze, wakeups, receivedRPS atomic.Uint64
}

// SoftStats is a copy of the counters (Linux: /proc/net/softnet_stat).
type SoftStats struct {
	Processed   uint64 // packets passed to protocols
	Dropped     uint64 // packets the backlog had no room for
	TimeSqueeze uint64 // rounds ended by budget or time with work left
	Wakeups     uint64 // times ksoftirqd was woken
	ReceivedRPS uint64 // times another processor began to put packets on the backlog
	BacklogLen  int    // packets waiting now
}

// napiList is a queue of NAPI contexts by their next pointers.
type napiList struct{ head, tail *NAPI }

func (l *napiList) push(n *NAPI) {
	n.next = nil
	if l.tail == nil {
		l.head = n
	} else {
		l.tail.next = n
	}
	l.tail = n
}

func (l *napiList) pop() *NAPI {
	n := l.head
	if n != nil {
		if l.head = n.next; l.head == nil {
			l.tail = nil
		}
		n.next = nil
	}
	return n
}

func newSoftNet(n *Net, cpu int) *SoftNet {
	s := &SoftNet{net: n, cpu: cpu, wake: make(chan struct{}, 1)}
	s.backlog = &NAPI{poller: (*backlogPoller)(s), net: n, soft: s}
	return s
}

// CPU returns the number of the processor whose softirqs these are.
func (s *SoftNet) CPU() int { return s.cpu }

// Stats returns a copy of the counters.
func (s *SoftNet) Stats() SoftStats {
	s.backlogMu.Lock()
	l := s.input.Len()
	s.backlogMu.Unlock()
	return SoftStats{
		Processed: s.stats.processed.Load(), Dropped: s.stats.dropped.Load(),
		TimeSqueeze: s.stats.timeSqueeze.Load(), Wakeups: s.stats.wakeups.Load(),
		ReceivedRPS: s.stats.receivedRPS.Load(), BacklogLen: l,
	}
}

// Pending reports whether softirqs wait to be run.
func (s *SoftNet) Pending() bool { return s.pending.Load() != 0 }

// IRQEnter says that interrupt handlers are about to run on this goroutine and
// that DoSoftirq follows (Linux: irq_enter), so that what they raise need not
// wake ksoftirqd. Calling it is an optimisation; forgetting it is not an error.
func (s *SoftNet) IRQEnter() { s.inIRQ.Store(true) }

// raise marks softirqs pending and sees to it that somebody runs them (Linux:
// raise_softirq). Any context.
func (s *SoftNet) raise(bits uint32) {
	s.pending.Or(bits)
	// Whoever runs softirqs, or will at the end of the interrupt, gives up
	// its role before it looks at pending for the last time; so either it
	// sees the bits or we see that it is gone.
	if s.attended() {
		return
	}
	s.wakeup()
}

// attended reports whether somebody runs softirqs, or will.
func (s *SoftNet) attended() bool {
	return s.owner.Load()&ownerMask != ownerNone || s.inIRQ.Load() || s.bh.Load() > 0
}

func (s *SoftNet) wakeup() {
	select {
	case s.wake <- struct{}{}:
		s.stats.wakeups.Add(1)
	default:
	}
}

// DoSoftirq runs what is pending at the end of an interrupt (Linux: irq_exit,
// __do_softirq). It leaves the work to ksoftirqd when that is running already,
// when the receive budget is used up, or when new work keeps coming. It never
// blocks; any goroutine may call it.
func (s *SoftNet) DoSoftirq() {
	if s.inIRQ.Load() {
		s.inIRQ.Store(false)
	}
	if s.pending.Load() != 0 && s.take(ownerDo) {
		s.rounds()
	}
}

// rounds is DoSoftirq for who has become the owner.
func (s *SoftNet) rounds() {
	// The rounds share one budget: with a single busy device, whose poll is
	// one round, it would otherwise bound nothing.
	a := s.allowance()
	for i := 0; i < maxRestart; i++ {
		if squeezed := s.round(&a); squeezed || s.pending.Load() == 0 && s.outputs.Load() == nil || a.late() {
			break
		}
	}
	s.release()
}

// take makes the caller the one who runs softirqs, if there is none.
func (s *SoftNet) take(who uint64) bool {
	o := s.owner.Load()
	return o&ownerMask == ownerNone && s.owner.CompareAndSwap(o, o+ownerTurn|who)
}

// allowance is what may be received in a row.
type allowance struct {
	clock  Clock
	budget int   // packets
	usecs  int64 // from the first time somebody asks
	limit  int64
}

func (s *SoftNet) allowance() allowance {
	return allowance{s.net.clock, int(s.net.conf.budget.Load()), int64(s.net.conf.budgetUsecs.Load()), 0}
}

// late reports whether the time is used up. It is counted from the first
// question, which comes when something is left to do after a poll: a device that
// keeps up costs no reading of the clock.
func (a *allowance) late() bool {
	now := a.clock.Now()
	if a.limit == 0 {
		a.limit = now + a.usecs*int64(time.Microsecond)
	}
	return now >= a.limit
}

func (s *SoftNet) release() {
	s.owner.And(^uint64(ownerMask))
	// Who scheduled a queue saw an owner, who may not have looked any more.
	if s.outputs.Load() != nil {
		s.pending.Or(softirqNetTx)
	}
	if s.pending.Load() != 0 {
		s.wakeup()
	}
}

// Run is ksoftirqd: it parks until softirqs are raised that nobody runs, and
// yields to other goroutines after every round. It returns when stop is
// closed; a nil stop runs it for ever. One goroutine per SoftNet.
func (s *SoftNet) Run(stop <-chan struct{}) {
outer:
	for {
		select {
		case <-s.wake:
		case <-stop:
			return
		}
		if !s.take(ownerD) {
			continue // a DoSoftirq is at it and wakes us if it leaves something
		}
		for s.pending.Load() != 0 {
			a := s.allowance()
			s.round(&a)
			select {
			case <-stop:
				s.release()
				return
			default:
			}
			if !s.yield() {
				continue outer // who took over wakes us if it leaves something
			}
		}
		s.release()
	}
}

// yield lets other goroutines run between two rounds of ksoftirqd. It reports
// false when a section took over meanwhile.
func (s *SoftNet) yield() bool {
	o := s.owner.Add(ownerTurn + ownerYield - ownerD)
	runtime.Gosched()
	return s.owner.CompareAndSwap(o, o+ownerD-ownerYield)
}

// Synchronize returns when every softirq round that was running when it was
// called has ended (Linux: synchronize_net): after it, nothing that was taken
// off a table is in use on the receive path. Process context only.
func (s *SoftNet) Synchronize() {
	at := s.owner.Load()
	if at&ownerMask == ownerNone {
		return
	}
	for wait := minWait; s.owner.Load() == at; wait = min(2*wait, maxWait) {
		time.Sleep(wait)
	}
}

// gathers reports whether a transmit queue had better wait for more packets:
// while softirqs run, more are likely to follow (Linux: xmit_more), and they end
// with passing on what was scheduled.
func (s *SoftNet) gathers() bool {
	o := s.owner.Load() & ownerMask
	return o == ownerDo || o == ownerD
}

// round serves everything pending once, receiving what is left of the
// allowance. It reports whether that ran out with work left.
func (s *SoftNet) round(a *allowance) (squeezed bool) {
	p := s.pending.Swap(0)
	if p&softirqTimer != 0 {
		s.net.timers.run()
		s.endPoll() // a packet may go on from a timer as if it had just come
	}
	s.netTxAction()
	if p&softirqNetRx != 0 {
		squeezed = s.netRxAction(a)
	}
	return squeezed
}

// pollAdd puts a context whose napiSched the caller set on the poll list.
func (s *SoftNet) pollAdd(n *NAPI) {
	for {
		old := s.polls.Load()
		n.next = old
		if s.polls.CompareAndSwap(old, n) {
			break
		}
	}
	s.raise(softirqNetRx)
}

// takePolls moves newly scheduled contexts to the end of the list, oldest
// first.
func (s *SoftNet) takePolls() {
	var oldest *NAPI
	for n := s.polls.Swap(nil); n != nil; {
		next := n.next
		n.next = oldest
		oldest = n
		n = next
	}
	for oldest != nil {
		next := oldest.next
		s.list.push(oldest)
		oldest = next
	}
}

// netRxAction polls every scheduled context once, as far as budget and time
// go; those that have more to do, and those not reached, stay for the next
// round (Linux: net_rx_action).
func (s *SoftNet) netRxAction(a *allowance) (squeezed bool) {
	var repeat napiList
	s.takePolls()
	for n := s.list.pop(); n != nil; n = s.list.pop() {
		work, again := n.poll()
		s.endPoll()
		s.netTxAction()
		if again {
			repeat.push(n)
		}
		a.budget -= work
		left := s.list.head != nil || repeat.head != nil
		if a.budget <= 0 || left && a.late() {
			squeezed = true
			break
		}
	}
	for n := repeat.pop(); n != nil; n = repeat.pop() {
		s.list.push(n)
	}
	s.stats.processed.Add(s.processed)
	s.processed = 0
	if s.list.head == nil {
		// Contexts scheduled meanwhile raised NET_RX themselves.
		return false
	}
	if squeezed {
		s.stats.timeSqueeze.Add(1)
	}
	s.raise(softirqNetRx)
	return squeezed
}

// enqueueBacklog is enqueue_to_backlog, for a sender whose softirqs are from. The
// place of the flow, if it has one, is noted.
func (s *SoftNet) enqueueBacklog(b *skb.Buff, from *SoftNet, flow *atomic.Uint64) bool {
	dev, ok := b.Dev.(*NetDevice)
	if !ok {
		b.Free(skb.DevReady)
		return false
	}
	s.backlogMu.Lock()
	// Under the lock: close clears the flag and then flushes.
	if !dev.IsUp() {
		s.backlogMu.Unlock()
		b.Free(skb.DevReady)
		return false
	}
	if s.input.Len() >= int(s.net.conf.maxBacklog.Load()) {
		s.backlogMu.Unlock()
		s.stats.dropped.Add(1)
		dev.Stats.RxDropped.Add(1)
		b.Free(skb.CPUBacklog)
		return false
	}
	s.input.PushBack(b)
	first := s.input.Len() == 1
	if flow != nil {
		flow.Store(flowAt(s.cpu, s.inputHead.Load()+uint32(s.taken+s.input.Len())))
	}
	s.backlogMu.Unlock()
	if first && from != s && from.net == s.net {
		s.stats.receivedRPS.Add(1)
	}
	switch {
	case !first:
		// Somebody is to run it already, but who knows when: a section's end is
		// sooner.
		if from != s {
			from.attends(s)
		}
	case from == s:
		s.backlog.schedule()
	default:
		s.scheduleFor(from)
	}
	return true
}

// backlogPoller polls the backlog (Linux: process_backlog).
type backlogPoller SoftNet

// Poll hands up to budget packets up.
func (p *backlogPoller) Poll(n *NAPI, budget int) int {
	s := (*SoftNet)(p)
	t := s.net.ptypes.Load()
	var batch [backlogBatch]*skb.Buff
	done := 0
	for done < budget {
		k := 0
		s.backlogMu.Lock()
		s.through()
		for ; k < min(backlogBatch, budget-done); k++ {
			if batch[k] = s.input.PopFront(); batch[k] == nil {
				break
			}
		}
		s.taken = k
		s.backlogMu.Unlock()
		for _, b := range batch[:k] {
			s.receiveSkb(t, b)
		}
		if done += k; k < backlogBatch && done < budget {
			break
		}
	}
	if s.taken > 0 && len(s.net.softs) > 1 {
		s.backlogMu.Lock()
		s.through()
		s.backlogMu.Unlock()
	}
	if done < budget {
		n.completeDone(done)
	}
	return done
}

// backlogBatch is how many packets are taken off the backlog under one lock.
const backlogBatch = 16

// through counts what was taken off the backlog and is received by now; the caller
// holds backlogMu.
func (s *SoftNet) through() {
	if s.taken > 0 && len(s.net.softs) > 1 {
		s.inputHead.Store(s.inputHead.Load() + uint32(s.taken))
	}
	s.taken = 0
}

// flushBacklog drops what waits for a device that goes away.
func (s *SoftNet) flushBacklog(dev *NetDevice) {
	var keep, drop skb.List
	s.backlogMu.Lock()
	for b := s.input.PopFront(); b != nil; b = s.input.PopFront() {
		if b.Dev == skb.Device(dev) {
			drop.PushBack(b)
		} else {
			keep.PushBack(b)
		}
	}
	s.input = keep
	s.inputHead.Add(uint32(drop.Len()))
	s.backlogMu.Unlock()
	drop.Purge(skb.DevReady)
}
