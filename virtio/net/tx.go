package net

import (
	"fmt"
	"sync"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
)

const (
	// txMaxSegs is the most segments of a packet: header, linear part, all
	// fragments.
	txMaxSegs = 2 + skb.MaxFrags
	// txSlotHdr is the room of one header in the array beside the ring.
	txSlotHdr = 16
	// txWatchdog is how long a stopped queue may see no completion (Linux:
	// dev_watchdog, 5 s).
	txWatchdog = 5 * time.Second
)

// txQueue is the transmit half of a queue pair.
type txQueue struct {
	nq       *napi.TxQueue
	bell     *virtio.Bell
	watchdog napi.Timer

	// mu is held for the time of a ring operation, never across a wake-up,
	// a notification or the end of a packet.
	mu      sync.Mutex
	q       *virtio.Queue
	bufs    []*skb.Buff // by descriptor id
	owned   int         // packets in flight that have a destructor
	stopped bool        // nq is
	maxSegs int         // per packet, at most the ring
	reserve int         // descriptors that the largest packet takes
	idle    int64       // completions seen when the watchdog was set
	dones   int64       // completions

	stops, reclaims uint64 // see DriverStats
	segs            [txMaxSegs]virtio.Seg
	hdrs            virtio.DMA // txSlotHdr bytes by descriptor id
	ownedBy         []bool     // by descriptor id: counted in owned
}

func (tx *txQueue) init(q *virtio.Queue, m virtio.Mapper) error {
	tx.q = q
	tx.bufs = make([]*skb.Buff, q.Size())
	tx.ownedBy = make([]bool, q.Size())
	tx.maxSegs = min(txMaxSegs, q.Size())
	tx.reserve = q.Cost(tx.maxSegs)
	var err error
	tx.hdrs, err = virtio.NewDMA(txSlotHdr*q.Size(), m)
	return err
}

// StartXmit implements [napi.Ops].
func (d *Device) StartXmit(_ *napi.NetDevice, nq *napi.TxQueue, batch []*skb.Buff) int {
	p := d.pairs[nq.Index()]
	tx := &p.tx
	var done, bad skb.List
	tx.mu.Lock()
	if !d.running.Load() {
		tx.mu.Unlock()
		d.dev.Stats.TxDropped.Add(uint64(len(batch)))
		for _, b := range batch {
			b.Free(skb.DeviceBroken)
		}
		return len(batch)
	}
	tx.collect(&done)
	n := 0
	for ; n < len(batch) && tx.q.Free() >= tx.reserve && tx.q.Err() == nil; n++ {
		if !tx.add(batch[n]) {
			bad.PushBack(batch[n])
		}
	}
	if tx.q.Err() == nil && (n < len(batch) || tx.q.Free() < tx.reserve) {
		tx.stop(d.net.Clock().Now())
	}
	held := tx.bell.Held()
	notify := held
	if held {
		tx.q.Show()
	} else {
		notify = tx.q.Publish()
	}
	// The poll that comes without an interrupt sees what is sent, unless it is to
	// make room.
	pending := false
	if held && tx.q.Armed() && !tx.stopped {
		// An interrupt will come of those that wait.
	} else if tx.stopped || !p.napi.PollsSoon() {
		pending = tx.arm()
	}
	err := tx.q.Err()
	tx.mu.Unlock()

	tx.bell.Ring(notify, n)
	if pending {
		p.napi.Schedule()
	}
	finish(&done)
	if bad.Len() > 0 {
		d.dev.Stats.TxErrors.Add(uint64(bad.Len()))
		bad.Purge(skb.DevHdr)
	}
	if err != nil {
		d.fail(err)
		for _, b := range batch[n:] {
			b.Free(skb.DeviceBroken)
		}
		return len(batch)
	}
	return n
}

// add puts one packet on the ring, of which enough is free. False means that
// the packet cannot be sent at all. The caller holds mu.
func (tx *txQueue) add(b *skb.Buff) bool {
	var h skb.VnetHdr
	if !h.FromSkb(b, false, false) || b.Len() == 0 {
		return false
	}
	if b.Shinfo().FragList != nil || 2+len(b.Frags()) > tx.maxSegs {
		if !b.Linearize() {
			return false
		}
	}
	segs := tx.segs[:0]
	// A shared data area is shared in its headroom as well.
	if b.Headroom() >= skb.VnetHdrMrgLen && !b.Cloned() {
		h.Put(b.Push(skb.VnetHdrMrgLen))
		segs = append(segs, virtio.Seg{Addr: b.DMA(), Len: uint32(b.Headlen())})
		b.Pull(skb.VnetHdrMrgLen)
	} else {
		off := tx.q.NextID() * txSlotHdr
		h.Put(tx.hdrs.Mem[off : off+skb.VnetHdrMrgLen])
		segs = append(segs, virtio.Seg{Addr: tx.hdrs.Addr + uint64(off), Len: skb.VnetHdrMrgLen})
		if n := b.Headlen(); n > 0 {
			segs = append(segs, virtio.Seg{Addr: b.DMA(), Len: uint32(n)})
		}
	}
	for i := range b.Frags() {
		if f := &b.Frags()[i]; f.Size > 0 {
			segs = append(segs, virtio.Seg{Addr: f.DMA(), Len: f.Size})
		}
	}
	id, ok := tx.q.Add(segs, len(segs))
	if !ok {
		return false
	}
	tx.bufs[id] = b
	if b.Destructor != nil {
		tx.ownedBy[id] = true
		tx.owned++
	}
	return true
}

// collect takes completed packets off the ring to done (Linux:
// free_old_xmit_skbs). The caller holds mu, and ends them without it.
func (tx *txQueue) collect(done *skb.List) {
	for first := true; ; first = false {
		id, _, ok := tx.q.Get()
		if !ok {
			return
		}
		if first {
			tx.reclaims++
		}
		done.PushBack(tx.take(id))
		tx.dones++
	}
}

// take removes the packet of a descriptor.
func (tx *txQueue) take(id int) *skb.Buff {
	b := tx.bufs[id]
	tx.bufs[id] = nil
	if tx.ownedBy[id] {
		tx.ownedBy[id] = false
		tx.owned--
	}
	return b
}

// finish ends transmitted packets.
func finish(done *skb.List) {
	for b := done.PopFront(); b != nil; b = done.PopFront() {
		b.Consume()
	}
}

// stop keeps the stack from sending until completions make room. The caller
// holds mu, so the wake-up of a poll comes after.
func (tx *txQueue) stop(now int64) {
	if tx.stopped {
		return
	}
	tx.stopped = true
	tx.stops++
	tx.nq.Stop()
	tx.idle = tx.dones
	tx.watchdog.Mod(now + int64(txWatchdog))
}

// arm asks for a completion interrupt where somebody waits for one and reports
// whether completions are there that will raise none. The caller holds mu.
func (tx *txQueue) arm() (pending bool) {
	if tx.stopped || tx.owned > 0 || tx.q.Free() < tx.q.Size()/4 {
		return tx.q.EnableCBDelayed()
	}
	tx.q.DisableCB()
	return false
}

// poll is the transmit half of Poll: it ends completed packets and wakes the
// queue.
func (tx *txQueue) poll() error {
	var done skb.List
	tx.mu.Lock()
	tx.q.DisableCB()
	tx.collect(&done)
	wake := tx.stopped && tx.q.Free() >= max(tx.reserve, tx.q.Size()/4)
	if wake {
		tx.stopped = false
	}
	err := tx.q.Err()
	tx.mu.Unlock()
	finish(&done)
	if wake {
		tx.watchdog.Del()
		tx.nq.Wake()
	}
	return err
}

// rearm is arm at the end of a poll.
func (tx *txQueue) rearm() (pending bool) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.arm()
}

// txTimeout is the watchdog of a stopped queue. Softirq context.
func (p *pair) txTimeout(*napi.Timer) {
	d, tx := p.d, &p.tx
	tx.mu.Lock()
	stuck := tx.stopped && tx.dones == tx.idle
	tx.idle = tx.dones
	again := tx.stopped && !stuck
	tx.mu.Unlock()
	if stuck {
		d.fail(fmt.Errorf("no transmit completion for %v", txWatchdog))
	} else if again {
		tx.watchdog.Mod(d.net.Clock().Now() + int64(txWatchdog))
	}
}

// reclaim drops all packets in flight. The device is reset and nobody
// transmits.
func (tx *txQueue) reclaim() {
	var drop skb.List
	tx.mu.Lock()
	for id := range tx.q.Outstanding {
		drop.PushBack(tx.take(id))
	}
	tx.q.Reset()
	tx.stopped = false
	tx.mu.Unlock()
	drop.Purge(skb.DeviceBroken)
}
