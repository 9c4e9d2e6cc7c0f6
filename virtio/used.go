package virtio

import (
	"fmt"
	"sync/atomic"
)

// Get takes the next used buffer: its id and how many bytes the device wrote
// into it. It returns false when there is none, or the queue is broken. What
// the device claims is checked: the id is that of a published outstanding
// buffer and the length not above what the buffer holds. Publish first.
func (q *Queue) Get() (id, n int, ok bool) {
	if q.lastUsed == q.usedSeen && !q.refresh() {
		return 0, 0, false
	}
	// Read once each: the device may change them meanwhile.
	e := &q.used[q.lastUsed&q.mask]
	h, l := atomic.LoadUint32(&e.id), atomic.LoadUint32(&e.len)
	if h >= uint32(len(q.slots)) {
		q.Fail(fmt.Errorf("used id %d, ring has %d", h, len(q.slots)))
		return 0, 0, false
	}
	s := &q.slots[h]
	// A buffer added but not published is not the device's to use: handed
	// back now, it would be in its hands after the next Publish.
	hidden := q.next - q.published
	if s.count == 0 || hidden != 0 && q.next-s.seq <= hidden {
		q.Fail(fmt.Errorf("used id %d is not outstanding", h))
		return 0, 0, false
	}
	if l > s.in {
		if s.in != 0 {
			q.Fail(fmt.Errorf("used id %d with %d bytes, buffer holds %d", h, l, s.in))
			return 0, 0, false
		}
		// Nothing to write, so nothing can be wrong: some devices report
		// the bytes they read.
		l = 0
	}
	q.lastUsed++
	q.release(uint16(h))
	return int(h), int(l), true
}

// refresh looks for new used entries.
func (q *Queue) refresh() bool {
	if q.err != nil {
		return false
	}
	seen := uint16(atomic.LoadUint32(q.usedWord) >> 16)
	if seen-q.lastUsed > q.published-q.lastUsed {
		q.Fail(fmt.Errorf("used index %d, taken %d, published %d", seen, q.lastUsed, q.published))
		return false
	}
	q.usedSeen = seen
	return seen != q.lastUsed
}

// release puts the descriptors of the chain at h on the free list.
func (q *Queue) release(h uint16) {
	s := &q.slots[h]
	last := h
	for range s.count - 1 {
		last = q.slots[last].next
	}
	q.slots[last].next = q.head
	q.head = h
	q.free += int(s.count)
	s.count = 0
}

// Available returns the number of used buffers that wait to be taken.
func (q *Queue) Available() int {
	q.refresh()
	return int(q.usedSeen - q.lastUsed)
}

// Outstanding calls yield with the id of every buffer that is out, for the
// owner to take back after the device confirmed a reset.
func (q *Queue) Outstanding(yield func(id int) bool) {
	for i := range q.slots {
		if q.slots[i].count != 0 && !yield(i) {
			return
		}
	}
}

// DisableCB asks the device not to interrupt for used buffers (2.7.7). It is a
// hint, and one interrupt may be under way.
func (q *Queue) DisableCB() {
	if !q.cfg.EventIdx {
		if q.flags == 0 {
			q.flags = availNoInterrupt
			atomic.StoreUint32(q.availWord, uint32(q.published)<<16|q.flags)
		}
		return
	}
	// used_event fires once, when the used index passes it; what lies behind
	// is off already. Otherwise it goes where no outstanding buffer gets.
	if q.event-q.lastUsed <= uint16(q.cfg.Size) {
		q.event = q.lastUsed + 1<<15
		atomic.StoreUint32(q.usedEvent, uint32(q.event))
	}
}

// EnableCB asks for an interrupt at the next used buffer. Used buffers that
// are there already raise none: pass the result to Poll afterwards (Linux:
// virtqueue_enable_cb_prepare).
func (q *Queue) EnableCB() (seen uint16) {
	if q.cfg.EventIdx {
		q.setEvent(q.lastUsed)
	} else {
		q.flags = 0
		q.store(q.availWord, uint32(q.published)<<16)
	}
	return q.lastUsed
}

// EnableCBDelayed asks for an interrupt when three quarters of what is
// outstanding have been used, where the device can do that, and reports
// whether so much is there already that none may come (Linux:
// virtqueue_enable_cb_delayed).
func (q *Queue) EnableCBDelayed() (pending bool) {
	if !q.cfg.EventIdx {
		return q.Poll(q.EnableCB())
	}
	n := (q.published - q.lastUsed) / 4 * 3
	q.setEvent(q.lastUsed + n)
	return uint16(atomic.LoadUint32(q.usedWord)>>16)-q.lastUsed > n
}

// Armed reports whether an interrupt is asked for that one of the buffers which
// are out will raise.
func (q *Queue) Armed() bool {
	if !q.cfg.EventIdx {
		return q.flags == 0 && q.published != q.lastUsed
	}
	return q.event-q.lastUsed < q.published-q.lastUsed
}

func (q *Queue) setEvent(ev uint16) {
	q.event = ev
	q.store(q.usedEvent, uint32(ev))
}

// Poll reports whether buffers were used since EnableCB returned seen (Linux:
// virtqueue_poll). It changes nothing and may run beside other methods.
func (q *Queue) Poll(seen uint16) bool {
	return uint16(atomic.LoadUint32(q.usedWord)>>16) != seen
}
