package virtio

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// MaxQueueSize is the most descriptors a queue may have (virtio 1.2, 2.7).
const MaxQueueSize = 32768

// MinQueueSize is the fewest this package works with.
const MinQueueSize = 4

// Descriptor flags (virtio 1.2, 2.7.5) and ring flags (2.7.6, 2.7.8).
const (
	descNext     = 1
	descWrite    = 2
	descIndirect = 4

	availNoInterrupt = 1
	usedNoNotify     = 1
)

// desc is a descriptor (struct virtq_desc).
type desc struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16
}

// usedElem is an entry of the used ring (struct virtq_used_elem).
type usedElem struct {
	id  uint32
	len uint32
}

// slot is what the driver knows of one descriptor. The device cannot see it.
type slot struct {
	in    uint32 // bytes the device may write; of a chain's head
	next  uint16 // next of the free list, and of a chain while it is out
	count uint16 // descriptors of the chain whose head this is, 0 if none
	seq   uint16 // available index under which the head was added
}

// Seg is one piece of a buffer: a device address and a length in bytes.
type Seg struct {
	Addr uint64
	Len  uint32
}

// QueueConfig describes a [Queue].
type QueueConfig struct {
	Index int
	// Size in descriptors: a power of two from MinQueueSize to MaxQueueSize.
	Size int
	// Indirect is the most segments a buffer may have that takes one
	// descriptor by way of an indirect table; 0 when INDIRECT_DESC was not
	// negotiated. It is cut to Size (2.7.5.3.1).
	Indirect int
	// EventIdx says that EVENT_IDX was negotiated.
	EventIdx bool
	// Map gives device addresses; nil means the virtual ones.
	Map Mapper
}

// Queue is a split virtqueue (virtio 1.2, 2.7), the driver's side.
//
// A buffer is added under a head id, published, used by the device in any
// order, and taken back with Get. The caller keeps its own table by id. All
// methods are for one caller at a time; only Poll may run beside them.
//
// Ordering. The 16-bit flags and idx of a ring form one aligned 32-bit word,
// which is read and written with sync/atomic: Go has no other way to order
// memory accesses, and no 16-bit atomics. A Go atomic is sequentially
// consistent, so
//   - everything written to descriptors and the ring before the store of the
//     available idx is visible to a device that sees it (2.7.13.3.1);
//   - everything the device wrote before its store of the used idx is visible
//     after our load of it (2.7.14);
//   - the store of the available idx comes before the load of avail_event or
//     the used flags (2.7.13.4.1), and the store of used_event or the flags
//     before the load of the used idx. Each pair is a store followed by a load
//     of another word, which even amd64 reorders; the store is an XCHG there,
//     which is the full barrier that forbids it. Without it driver and device
//     could each miss the other's last word and both wait for ever. Where even
//     that is not enough the platform says so by Transport.Barrier.
//
// A device that breaks the rules breaks the queue: Get returns nothing more,
// Add takes nothing, Err says why. What is outstanding stays so until the
// device confirmed a reset and the owner calls Reset.
type Queue struct {
	t       Transport
	cfg     QueueConfig
	mask    uint16
	barrier func() // nil almost everywhere

	mem    DMA
	tables DMA

	desc       []desc
	avail      []uint16
	availWord  *uint32 // flags, idx
	usedEvent  *uint32 // low half
	used       []usedElem
	usedWord   *uint32 // flags, idx
	availEvent *uint32 // low half
	indirect   []desc

	slots []slot
	head  uint16 // of the free list
	free  int

	next      uint16 // available index of the next buffer
	published uint16 // available index the device knows
	lastUsed  uint16 // used entries taken
	usedSeen  uint16 // used entries there are, as last looked
	event     uint16 // used_event, or with flags: as if
	flags     uint32 // availNoInterrupt or 0

	err error

	kicks atomic.Uint64
}

// ErrBroken is what Err wraps: the device broke the rules of the ring.
var ErrBroken = errors.New("virtqueue broken")

// RingSize returns the size a ring should have: the largest power of two that
// is neither above the device's limit max nor above limit. A max that is no
// size at all is an error.
func RingSize(max, limit int) (int, error) {
	if max < MinQueueSize || max > MaxQueueSize {
		return 0, fmt.Errorf("%w: queue of %d descriptors, need %d to %d", ErrBadDevice, max, MinQueueSize, MaxQueueSize)
	}
	n := min(max, limit)
	return 1 << (bits.Len(uint(n)) - 1), nil
}

// NewQueue allocates a queue. The device hears of it by Enable.
func NewQueue(t Transport, cfg QueueConfig) (*Queue, error) {
	n := cfg.Size
	if n < MinQueueSize || n > MaxQueueSize || n&(n-1) != 0 {
		return nil, fmt.Errorf("virtio: queue %d of %d descriptors", cfg.Index, n)
	}
	cfg.Indirect = min(cfg.Indirect, n)
	q := &Queue{t: t, cfg: cfg, mask: uint16(n - 1), slots: make([]slot, n)}

	// One allocation: descriptors, available ring with used_event, used ring
	// with avail_event on its own cache line. Both events are accessed as
	// 32-bit words, hence two bytes more each.
	availAt := 16 * n
	usedAt := (availAt + 4 + 2*n + 4 + 63) &^ 63
	var err error
	if q.mem, err = NewDMA(usedAt+4+8*n+4, cfg.Map); err != nil {
		return nil, err
	}
	at := func(off int) unsafe.Pointer { return unsafe.Pointer(&q.mem.Mem[off]) }
	q.desc = unsafe.Slice((*desc)(at(0)), n)
	q.availWord = (*uint32)(at(availAt))
	q.avail = unsafe.Slice((*uint16)(at(availAt+4)), n)
	q.usedEvent = (*uint32)(at(availAt + 4 + 2*n))
	q.usedWord = (*uint32)(at(usedAt))
	q.used = unsafe.Slice((*usedElem)(at(usedAt+4)), n)
	q.availEvent = (*uint32)(at(usedAt + 4 + 8*n))
	if cfg.Indirect > 1 {
		if q.tables, err = NewDMA(16*n*cfg.Indirect, cfg.Map); err != nil {
			return nil, err
		}
		q.indirect = unsafe.Slice((*desc)(unsafe.Pointer(&q.tables.Mem[0])), n*cfg.Indirect)
	}
	q.barrier = t.Barrier()
	q.Reset()
	return q, nil
}

// Reset returns the queue to its initial state, callbacks off, forgetting what
// is outstanding. Only while the device is reset, or has never seen the queue:
// a device that still runs would write into buffers that are the owner's again.
func (q *Queue) Reset() {
	clear(q.mem.Mem)
	for i := range q.slots {
		q.slots[i] = slot{next: uint16(i + 1)}
	}
	q.head, q.free = 0, len(q.slots)
	q.next, q.published, q.lastUsed, q.usedSeen = 0, 0, 0, 0
	q.flags, q.event = 0, 0
	q.err = nil
	q.DisableCB()
}

// Enable tells the device of the queue.
func (q *Queue) Enable() error {
	base := q.mem.Addr
	off := func(p *uint32) uint64 {
		return uint64(uintptr(unsafe.Pointer(p)) - uintptr(unsafe.Pointer(&q.mem.Mem[0])))
	}
	return q.t.EnableQueue(q.cfg.Index, QueueAddrs{
		Size:   q.cfg.Size,
		Desc:   base,
		Driver: base + off(q.availWord),
		Device: base + off(q.usedWord),
	})
}

// Size returns the number of descriptors; ids are below it.
func (q *Queue) Size() int { return q.cfg.Size }

// Index returns the queue's number within the device.
func (q *Queue) Index() int { return q.cfg.Index }

// Free returns the number of free descriptors.
func (q *Queue) Free() int { return q.free }

// Inflight returns the number of buffers added and not yet taken back.
func (q *Queue) Inflight() int { return int(q.next - q.lastUsed) }

// NextID returns the id that the next Add will give.
func (q *Queue) NextID() int { return int(q.head) }

// Cost returns how many descriptors a buffer of n segments takes.
func (q *Queue) Cost(n int) int {
	if n > 1 && n <= q.cfg.Indirect {
		return 1
	}
	return n
}

// Err returns why the queue is broken, nil if it is not.
func (q *Queue) Err() error { return q.err }

// Fail breaks the queue for a reason that its owner found.
func (q *Queue) Fail(err error) {
	if q.err == nil {
		q.err = fmt.Errorf("%s: queue %d: %w: %w", q.t.Name(), q.cfg.Index, ErrBroken, err)
	}
}

// Add adds a buffer: the first out segments are read by the device, the others
// written. It returns the buffer's id, or false when too few descriptors are
// free. The device sees it after Publish. A segment has a length above zero.
func (q *Queue) Add(segs []Seg, out int) (id int, ok bool) {
	n := len(segs)
	if n == 0 || q.err != nil || q.Cost(n) > q.free {
		return 0, false
	}
	h := q.head
	var last uint16
	count := 1
	if q.Cost(n) == 1 && n > 1 {
		base := int(h) * q.cfg.Indirect
		chain(q.indirect[base:base+n], segs, out)
		d := &q.desc[h]
		d.addr = q.tables.Addr + 16*uint64(base)
		d.len = 16 * uint32(n)
		d.flags = descIndirect
		last = h
	} else {
		count = n
		i := h
		for k, s := range segs {
			d := &q.desc[i]
			d.addr, d.len = s.Addr, s.Len
			var f uint16
			if k >= out {
				f = descWrite
			}
			last = i
			i = q.slots[i].next
			if k < n-1 {
				// The free list's order becomes the chain's.
				f |= descNext
				d.next = i
			}
			d.flags = f
		}
	}
	in := uint32(0)
	for _, s := range segs[out:] {
		in += s.Len
	}
	s := &q.slots[h]
	q.head = q.slots[last].next
	q.free -= count
	s.in, s.count, s.seq = in, uint16(count), q.next
	q.avail[q.next&q.mask] = h
	q.next++
	return int(h), true
}

// chain writes segs into an indirect table.
func chain(table []desc, segs []Seg, out int) {
	for k, s := range segs {
		d := &table[k]
		d.addr, d.len = s.Addr, s.Len
		var f uint16
		if k >= out {
			f = descWrite
		}
		if k < len(segs)-1 {
			f |= descNext
			d.next = uint16(k + 1)
		}
		d.flags = f
	}
}

// Publish shows the device everything added since the last time and reports
// whether it wants to be told by Notify.
func (q *Queue) Publish() (notify bool) {
	old := q.published
	if q.next == old || q.err != nil {
		return false
	}
	q.published = q.next
	q.store(q.availWord, uint32(q.published)<<16|q.flags)
	if !q.cfg.EventIdx {
		return atomic.LoadUint32(q.usedWord)&usedNoNotify == 0
	}
	// 2.7.10: told when the index passed avail_event.
	ev := uint16(atomic.LoadUint32(q.availEvent))
	return q.published-ev-1 < q.published-old
}

// Show is Publish to a device that will be notified anyhow: nothing needs to be
// read from it, so no barrier is needed either.
func (q *Queue) Show() {
	if q.next != q.published && q.err == nil {
		q.published = q.next
		atomic.StoreUint32(q.availWord, uint32(q.published)<<16|q.flags)
	}
}

// store writes a word of the ring before anything is loaded from it.
func (q *Queue) store(p *uint32, v uint32) {
	atomic.StoreUint32(p, v)
	if q.barrier != nil {
		q.barrier()
	}
}

// Notify tells the device to look at the queue. It needs no lock.
func (q *Queue) Notify() {
	q.kicks.Add(1)
	q.t.Notify(q.cfg.Index)
}

// Kicks returns how often the device was notified, resets notwithstanding.
func (q *Queue) Kicks() uint64 { return q.kicks.Load() }

// Kick is Publish and, where wanted, Notify.
func (q *Queue) Kick() {
	if q.Publish() {
		q.Notify()
	}
}
