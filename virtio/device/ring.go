package device

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"barewire/virtio"
)

// ring is the device's side of a split virtqueue (virtio 1.2, 2.7). mu guards
// everything; the driver's words are read and written with atomics, as the
// driver does.
type ring struct {
	dev   *Net
	index int

	mu       sync.Mutex
	enabled  bool
	eventIdx bool
	indirect bool
	size     int
	mask     uint16

	desc       []byte
	avail      []byte
	availWord  *uint32
	usedEvent  *uint32
	used       []byte
	usedWord   *uint32
	availEvent *uint32

	lastAvail uint16
	usedIdx   uint16
	signalled uint16
	noNotify  uint32 // flags of the used ring

	frame []byte   // a transmit ring's
	heads []uint16 // a receive ring's

	out  []bool  // by head: taken and not yet used
	segs []seg   // of the chain taken last
	was  []chain // by head: what was posted, to notice a page posted twice
}

// seg is one descriptor of a chain.
type seg struct {
	addr  uint64
	buf   []byte
	write bool
}

// chain is a buffer taken from the available ring.
type chain struct {
	head    uint16
	segs    []seg
	in, out int // bytes to write and to read
}

// enable looks at the rings the driver set up.
func (r *ring) enable(a virtio.QueueAddrs, features uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := a.Size
	if n < 1 || n > virtio.MaxQueueSize || n&(n-1) != 0 {
		r.dev.violation("queue %d: size %d", r.index, n)
		return false
	}
	if a.Desc&15 != 0 || a.Driver&1 != 0 || a.Device&3 != 0 {
		r.dev.violation("queue %d: alignment of %+v", r.index, a)
		return false
	}
	r.desc = r.dev.mem.Slice(a.Desc, 16*n)
	r.avail = r.dev.mem.Slice(a.Driver, 4+2*n+4)
	r.used = r.dev.mem.Slice(a.Device, 4+8*n+4)
	if r.desc == nil || r.avail == nil || r.used == nil {
		r.dev.violation("queue %d: %+v is not mapped", r.index, a)
		return false
	}
	word := func(b []byte, off int) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }
	r.availWord, r.usedEvent = word(r.avail, 0), word(r.avail, 4+2*n)
	r.usedWord, r.availEvent = word(r.used, 0), word(r.used, 4+8*n)
	r.size, r.mask = n, uint16(n-1)
	r.eventIdx = features&virtio.FeatEventIdx != 0
	r.indirect = features&virtio.FeatIndirectDesc != 0
	r.lastAvail, r.usedIdx, r.signalled, r.noNotify = 0, 0, 0, 0
	r.out, r.was = make([]bool, n), make([]chain, n)
	if v := atomic.LoadUint32(r.availWord) >> 16; v != 0 {
		r.dev.violation("queue %d: available index %d before it is enabled", r.index, v)
	}
	r.enabled = true
	return true
}

// reset forgets the queue. The device touches no buffer afterwards.
func (r *ring) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enabled = false
	r.desc, r.avail, r.used = nil, nil, nil
	r.out, r.was = nil, nil
}

// pop takes the next available buffer. Its segs are valid until the next pop.
// The caller holds mu.
func (r *ring) pop() (c chain, ok bool) {
	if !r.enabled {
		return c, false
	}
	idx := uint16(atomic.LoadUint32(r.availWord) >> 16)
	if idx == r.lastAvail {
		return c, false
	}
	if int(idx-r.lastAvail) > r.size {
		r.dev.violation("queue %d: available index %d, taken %d", r.index, idx, r.lastAvail)
		return c, false
	}
	head := binary.LittleEndian.Uint16(r.avail[4+2*int(r.lastAvail&r.mask):])
	if int(head) >= r.size || r.out[head] {
		r.dev.violation("queue %d: head %d is out of range or in use", r.index, head)
		return c, false
	}
	r.lastAvail++
	r.segs = r.segs[:0]
	r.walk(r.desc, head, false)
	c = chain{head: head, segs: r.segs}
	for i, s := range r.segs {
		if s.write {
			c.in += len(s.buf)
			continue
		}
		c.out += len(s.buf)
		if i > 0 && r.segs[i-1].write {
			r.dev.violation("queue %d: readable descriptor behind a writable one (2.7.4.2)", r.index)
		}
	}
	r.out[head] = true
	r.remember(c)
	return c, true
}

// walk appends the chain at head of a table to segs.
func (r *ring) walk(table []byte, head uint16, inTable bool) {
	const next, write, indirect = 1, 2, 4
	n := len(table) / 16
	for i, steps := int(head), 0; ; steps++ {
		if i >= n || steps >= n || len(r.segs) > r.size {
			r.dev.violation("queue %d: descriptor chain at %d is broken", r.index, head)
			return
		}
		d := table[16*i : 16*i+16]
		addr := binary.LittleEndian.Uint64(d)
		ln := int(binary.LittleEndian.Uint32(d[8:]))
		flags := binary.LittleEndian.Uint16(d[12:])
		buf := r.dev.mem.Slice(addr, ln)
		if buf == nil || ln == 0 {
			r.dev.violation("queue %d: descriptor %d: %d bytes at %#x are not mapped", r.index, i, ln, addr)
			return
		}
		if flags&indirect != 0 {
			if !r.indirect || inTable || flags&(next|write) != 0 || ln%16 != 0 || ln/16 > r.size {
				r.dev.violation("queue %d: indirect descriptor %d, flags %#x, %d bytes (2.7.5.3.1)", r.index, i, flags, ln)
				return
			}
			r.walk(buf, 0, true)
			return
		}
		r.segs = append(r.segs, seg{addr, buf, flags&write != 0})
		if flags&next == 0 {
			return
		}
		i = int(binary.LittleEndian.Uint16(d[14:]))
	}
}

// remember notes what a head posted and reports writable memory that is posted
// twice.
func (r *ring) remember(c chain) {
	w := &r.was[c.head]
	w.segs = append(w.segs[:0], c.segs...)
	w.head, w.in, w.out = c.head, c.in, c.out
	if !r.dev.cfg.Paranoid || c.in == 0 {
		return
	}
	for h := range r.was {
		if h == int(c.head) || !r.out[h] {
			continue
		}
		for _, a := range r.was[h].segs {
			for _, b := range c.segs {
				if (a.write || b.write) && a.addr < b.addr+uint64(len(b.buf)) && b.addr < a.addr+uint64(len(a.buf)) {
					r.dev.violation("queue %d: %#x posted by heads %d and %d", r.index, b.addr, h, c.head)
				}
			}
		}
	}
}

// unpop gives back the n buffers taken last, none of which was used.
func (r *ring) unpop(heads []uint16) {
	for _, h := range heads {
		r.out[h] = false
		r.lastAvail--
	}
}

// fill writes a used entry without showing it.
func (r *ring) fill(id, n uint32) {
	e := r.used[4+8*int(r.usedIdx&r.mask):]
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&e[0])), id)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&e[4])), n)
	r.usedIdx++
	if int(id) < len(r.out) {
		r.out[id] = false
	}
}

// flush shows the driver the used entries.
func (r *ring) flush() { atomic.StoreUint32(r.usedWord, uint32(r.usedIdx)<<16|r.noNotify) }

// wantIRQ reports whether the driver is to be interrupted for what was flushed
// since it was asked last (2.7.7.2).
func (r *ring) wantIRQ() bool {
	old := r.signalled
	r.signalled = r.usedIdx
	if old == r.usedIdx {
		return false
	}
	if r.eventIdx {
		ev := uint16(atomic.LoadUint32(r.usedEvent))
		return r.usedIdx-ev-1 < r.usedIdx-old
	}
	return atomic.LoadUint32(r.availWord)&1 == 0
}

// rearm asks to be notified of the next buffer and reports whether one is
// there already.
func (r *ring) rearm() (more bool) {
	if r.eventIdx {
		atomic.StoreUint32(r.availEvent, uint32(r.lastAvail))
	}
	return uint16(atomic.LoadUint32(r.availWord)>>16) != r.lastAvail
}
