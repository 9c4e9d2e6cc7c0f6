package net

import (
	"fmt"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
)

// Layout of a receive page. The frame begins two bytes behind skb.Pad, so that
// the IP header is aligned (Linux: NET_IP_ALIGN); the device's header is put
// right in front of it (5.1.6.4: it may be written anywhere, in one piece).
const (
	rxFrameOff = skb.Pad + 2
	rxBufOff   = rxFrameOff - skb.VnetHdrMrgLen

	rxBatch     = 32 // pages per refill step
	rxRetry     = 20 * time.Millisecond
	maxRxBufs   = 1 + skb.MaxFrags
	rxRefillDiv = 4
)

// rxQueue is the receive half of a queue pair. The poll owns it while the
// device runs, the device's life otherwise.
type rxQueue struct {
	q     *virtio.Queue
	pages []*skb.Page // by descriptor id
	list  skb.List    // frames of one poll
	batch [rxBatch]*skb.Page
	retry napi.Timer // polls again after the pool was empty
}

func (rx *rxQueue) init(q *virtio.Queue) {
	rx.q = q
	rx.pages = make([]*skb.Page, q.Size())
}

// reclaim gives all posted pages back to the pool.
func (rx *rxQueue) reclaim() {
	for id := range rx.q.Outstanding {
		rx.pages[id].Put()
		rx.pages[id] = nil
	}
	rx.q.Reset()
}

// refill posts pages until the ring is full and notifies the device once. It
// reports false when the pool ran out.
func (p *pair) refill() bool {
	d, rx := p.d, &p.rx
	full := true
	for free := rx.q.Free(); free > 0 && full; free = rx.q.Free() {
		want := min(free, rxBatch)
		n := d.pages.AllocBatch(rx.batch[:want])
		full = n == want
		for i, page := range rx.batch[:n] {
			rx.batch[i] = nil
			seg := [1]virtio.Seg{{Addr: page.DMA() + rxBufOff, Len: uint32(len(page.Bytes()) - rxBufOff)}}
			id, ok := rx.q.Add(seg[:], 0)
			if !ok { // broken
				page.Put()
				full = false
				continue
			}
			rx.pages[id] = page
		}
	}
	rx.q.Kick()
	return full
}

// Poll implements [napi.Poller].
func (p *pair) Poll(n *napi.NAPI, budget int) int {
	d := p.d
	if !d.running.Load() {
		n.CompleteDone(0)
		return 0
	}
	rx := &p.rx
	rx.q.DisableCB()
	txErr := p.tx.poll()
	work := p.receive(budget)
	if work == 0 {
		p.tx.bell.Flush() // somebody who polls busily waits for an answer to it
	}
	n.ReceiveList(&rx.list)
	if rx.q.Free() >= rx.q.Size()/rxRefillDiv && !p.refill() {
		d.stats.rxNoPage.Add(1)
		rx.retry.Mod(d.net.Clock().Now() + int64(rxRetry))
	}
	if err := rx.q.Err(); err != nil {
		d.fail(err)
	} else if txErr != nil {
		d.fail(txErr)
	}
	if work >= budget {
		return work
	}
	if n.Defers(work) {
		n.CompleteDone(work)
		return work
	}
	// Callbacks on, then out of the poll list, then a last look that changes
	// nothing: from CompleteDone on another poll may run (Linux:
	// virtqueue_napi_complete).
	seen := rx.q.EnableCB()
	txPending := p.tx.rearm()
	if n.CompleteDone(work) && (txPending || rx.q.Poll(seen)) && d.running.Load() {
		n.Schedule()
	}
	return work
}

// receive takes up to budget frames off the ring to rx.list and returns how
// many it looked at.
func (p *pair) receive(budget int) int {
	rx := &p.rx
	for work := range budget {
		id, n, ok := rx.q.Get()
		if !ok {
			return work
		}
		page := rx.pages[id]
		rx.pages[id] = nil
		p.receiveOne(page, n)
	}
	return budget
}

// receiveOne makes an skb of the frame that begins in page, which holds n bytes,
// header included. It owns page.
func (p *pair) receiveOne(page *skb.Page, n int) {
	d := p.d
	s := &d.dev.Stats
	if n < skb.VnetHdrMrgLen {
		page.Put()
		s.RxErrors.Add(1)
		s.RxLengthErrors.Add(1)
		return
	}
	h := skb.ParseVnetHdr(page.Bytes()[rxBufOff:rxFrameOff])
	b := d.net.SKB().Build(page, rxFrameOff, n-skb.VnetHdrMrgLen)
	if d.has(FeatMrgRxbuf) && h.NumBuffers != 1 && !p.merge(b, int(h.NumBuffers)) {
		s.RxErrors.Add(1)
		s.RxLengthErrors.Add(1)
		b.Free(skb.DevHdr)
		return
	}
	if b.Len() < napi.EthHdrLen {
		s.RxErrors.Add(1)
		s.RxLengthErrors.Add(1)
		b.Free(skb.PktTooSmall)
		return
	}
	if !h.ToSkb(b, false, d.offloads) {
		s.RxErrors.Add(1)
		s.RxFrameErrors.Add(1)
		b.Free(skb.DevHdr)
		return
	}
	if napi.EthTypeTrans(b, d.dev) == 0 {
		s.RxErrors.Add(1)
		s.RxLengthErrors.Add(1)
		b.Free(skb.PktTooSmall)
		return
	}
	b.QueueMapping = uint16(p.index)
	p.rx.list.PushBack(b)
}

// merge appends the other buffers of a frame that is spread over total. False
// means that the frame is to be dropped; its buffers were taken off the ring.
// A number of buffers that is impossible breaks the queue: all of them are to
// be used together (5.1.6.4.1), and a driver that has lost count would take
// the rest of one frame for the head of another.
func (p *pair) merge(b *skb.Buff, total int) bool {
	q := p.rx.q
	if total == 0 || total-1 > q.Available() {
		q.Fail(fmt.Errorf("frame of %d buffers, %d more are used", total, q.Available()))
		return false
	}
	good := total <= maxRxBufs
	for range total - 1 {
		id, n, ok := q.Get()
		if !ok {
			return false
		}
		page := p.rx.pages[id]
		p.rx.pages[id] = nil
		if n == 0 {
			good = false
		}
		if !good {
			page.Put()
			continue
		}
		b.AddFrag(page, rxBufOff, n, len(page.Bytes()))
	}
	return good
}
