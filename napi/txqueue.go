package napi

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/skb"
)

const (
	txBatch = 64 // packets per StartXmit
)

// TxQueue is a transmit queue of a device with its queue discipline, a pfifo
// of TxQueueLen packets (Linux: struct netdev_queue and its Qdisc).
type TxQueue struct {
	dev   *NetDevice
	index int

	stopped atomic.Bool // the driver's ring is full
	sched   atomic.Bool // on the NET_TX list
	next    *TxQueue    // owned by who set sched

	mu      sync.Mutex
	active  bool
	running bool     // somebody is in run; stands for HARD_TX_LOCK
	requeue skb.List // taken out before but refused by the driver
	queue   skb.List
	batch   [txBatch]*skb.Buff // the runner's

	// Stats counts what the driver took.
	Stats QueueStats
	// Dropped counts packets dropped because the queue was full or down.
	Dropped atomic.Uint64
	// Requeues counts packets the driver had no room for at first.
	Requeues atomic.Uint64
}

func newTxQueue(d *NetDevice, i int) *TxQueue { return &TxQueue{dev: d, index: i} }

// Index returns the queue's number within the device.
func (q *TxQueue) Index() int { return q.index }

// Dev returns the device.
func (q *TxQueue) Dev() *NetDevice { return q.dev }

// Len returns the number of packets waiting.
func (q *TxQueue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queue.Len() + q.requeue.Len()
}

// Stop keeps packets from being passed to the driver (Linux:
// netif_tx_stop_queue). Any context.
func (q *TxQueue) Stop() { q.stopped.Store(true) }

// Stopped reports whether the driver stopped the queue.
func (q *TxQueue) Stopped() bool { return q.stopped.Load() }

// Wake lets packets flow again and has NET_TX send those that wait (Linux:
// netif_tx_wake_queue). Any context.
func (q *TxQueue) Wake() {
	if q.stopped.Swap(false) {
		if n := q.dev.net.Load(); n != nil {
			q.schedule(n.ThisSoftNet())
		}
	}
}

// schedule has NET_TX of s run the queue (Linux: __netif_schedule).
func (q *TxQueue) schedule(s *SoftNet) {
	if q.sched.Load() || q.sched.Swap(true) {
		return
	}
	for {
		old := s.outputs.Load()
		q.next = old
		if s.outputs.CompareAndSwap(old, q) {
			break
		}
	}
	if s.owner.Load()&ownerMask != ownerDo { // who looks for queues by itself
		s.raise(softirqNetTx)
	}
}

// netTxAction runs the queues that were scheduled (Linux: net_tx_action).
func (s *SoftNet) netTxAction() {
	if s.outputs.Load() == nil {
		return
	}
	for q := s.outputs.Swap(nil); q != nil; {
		next := q.next
		q.next = nil
		q.sched.Store(false)
		q.mu.Lock()
		q.run(s)
		q = next
	}
}

// xmit queues b and runs the queue (Linux: __dev_xmit_skb). Consumes b.
func (q *TxQueue) xmit(b *skb.Buff) error {
	q.mu.Lock()
	if !q.active || !q.dev.CarrierOK() {
		up := q.active
		q.mu.Unlock()
		q.Dropped.Add(1)
		if up {
			// Linux's noop_qdisc: dropped, and the sender is not told.
			b.Free(skb.QdiscDrop)
			return nil
		}
		b.Free(skb.DevReady)
		return syscall.ENETDOWN
	}
	// A length of 0 is "no queue" to who sets it, as of a veth, and not "nothing
	// passes"; here packets may have to wait for the end of a poll.
	limit := q.dev.QueueLen()
	if limit == 0 {
		limit = DefaultTxQueueLen
	}
	if q.queue.Len() >= limit {
		q.mu.Unlock()
		q.Dropped.Add(1)
		b.Free(skb.QdiscDrop)
		return syscall.ENOBUFS
	}
	q.queue.PushBack(b)
	// The driver gets what one poll sends together. Senders in process context
	// that come by meanwhile wait no longer than that.
	var s *SoftNet
	if n := q.dev.net.Load(); n != nil {
		if s = n.softOf(b); s.gathers() && q.queue.Len() < txBatch {
			q.mu.Unlock()
			q.schedule(s)
			return nil
		}
	}
	q.run(s)
	return nil
}

// run passes packets to the driver in batches until the queue is empty or
// stopped, or the weight is used up (Linux: __qdisc_run). The caller holds mu,
// run releases it. When somebody else is running, they see what was queued
// before they stop. What is left is for s, which is nil for a device without a
// net.
func (q *TxQueue) run(s *SoftNet) {
	if q.running {
		q.mu.Unlock()
		return
	}
	q.running = true
	more := false
	quota := DefaultWeight // packets one run sends before NET_TX goes on
	if s != nil {
		quota = int(s.net.conf.weight.Load())
	}
	for q.active && !q.stopped.Load() {
		again := 0
		for again < txBatch && q.requeue.Len() > 0 {
			q.batch[again] = q.requeue.PopFront()
			again++
		}
		n := again
		for n < txBatch && q.queue.Len() > 0 {
			q.batch[n] = q.queue.PopFront()
			n++
		}
		if n == 0 {
			break
		}
		q.mu.Unlock()
		took := q.hardXmit(q.batch[:n], n-again)
		q.mu.Lock()
		for i := n - 1; i >= took; i-- {
			q.requeue.PushFront(q.batch[i])
		}
		clear(q.batch[:n])
		if quota -= took; quota <= 0 || took < n {
			// NET_TX goes on, unless the queue is stopped and Wake has it do so.
			more = q.active && q.queue.Len()+q.requeue.Len() > 0 && !q.stopped.Load()
			break
		}
	}
	q.running = false
	q.mu.Unlock()
	if more && s != nil {
		q.schedule(s)
	}
}

// hardXmit calls the driver and returns how many packets it took (Linux:
// dev_hard_start_xmit). The last fresh ones are new to the taps.
func (q *TxQueue) hardXmit(batch []*skb.Buff, fresh int) int {
	d := q.dev
	if n := d.net.Load(); n != nil && fresh > 0 && len(n.ptypes.Load().all) > 0 {
		n.tapXmit(d, batch[len(batch)-fresh:])
	}
	bytes := uint64(0) // before, as the driver may have freed them on return
	for _, b := range batch {
		bytes += uint64(b.Len())
		b.TxStamp(skb.TxSoftware)
	}
	took := d.Ops.StartXmit(d, q, batch)
	for _, b := range batch[took:] {
		bytes -= uint64(b.Len())
	}
	q.Stats.Packets.Add(uint64(took))
	q.Stats.Bytes.Add(bytes)
	if took < len(batch) {
		q.Requeues.Add(uint64(len(batch) - took))
	}
	return took
}

// activate opens the queue (Linux: dev_activate).
func (q *TxQueue) activate() {
	q.mu.Lock()
	q.active = true
	q.mu.Unlock()
}

// deactivate drops what waits, refuses more, and returns when no packet is on
// its way into the driver (Linux: dev_deactivate).
func (q *TxQueue) deactivate() {
	var drop skb.List
	q.mu.Lock()
	q.active = false
	for wait := minWait; q.running; wait = min(2*wait, maxWait) {
		q.mu.Unlock()
		time.Sleep(wait)
		q.mu.Lock()
	}
	drop.Splice(&q.requeue)
	drop.Splice(&q.queue)
	q.mu.Unlock()
	q.Dropped.Add(uint64(drop.Len()))
	drop.Purge(skb.DevReady)
}

// DevQueueXmit transmits a packet (Linux: dev_queue_xmit). b.Dev is set and
// the link header stands at Data. Consumes b. Errors: ENETDOWN when the device
// is not up, ENOBUFS when its queue is full, ENOMEM when the packet could not
// be made fit for the device, EMSGSIZE when it is a super-packet nobody
// can cut, EINVAL when its checksum request is wrong.
func (n *Net) DevQueueXmit(b *skb.Buff) error {
	d, ok := b.Dev.(*NetDevice)
	if !ok {
		b.Free(skb.DevReady)
		return syscall.ENODEV
	}
	b.TxStamp(skb.TxSched)
	if b.IsGSO() && d.needsGSO(b) {
		return n.xmitGSO(d, b)
	}
	if err := d.validate(b); err != nil {
		d.Stats.TxDropped.Add(1)
		return err
	}
	return d.pickTx(n, b).xmit(b)
}

// validate makes b fit for what the device can do (Linux: validate_xmit_skb).
// It consumes b on error.
func (d *NetDevice) validate(b *skb.Buff) error {
	f := d.Features()
	if b.IsNonlinear() && (f&FeatureSG == 0 || b.Shinfo().FragList != nil && f&FeatureFragList == 0) {
		if !b.Linearize() {
			b.Free(skb.NoMem)
			return syscall.ENOMEM
		}
	}
	if b.IPSummed == skb.ChecksumPartial && f&FeatureHWCsum == 0 && !b.ChecksumHelp() {
		b.Free(skb.NotSpecified)
		return syscall.EINVAL
	}
	return nil
}
