package device

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Hostile is what the device can do to its driver. The switches are set while
// the driver does not run.
type Hostile struct {
	dev *Net

	RefuseFeatures bool   // FEATURES_OK does not stick
	UnstableConfig bool   // the generation changes with each read
	IgnoreReset    bool   // the status never reads 0
	CtrlNack       bool   // every control command is refused
	CtrlMute       bool   // no control command is answered
	RefusePairs    bool   // the number of pairs in use cannot be changed
	BeforeReset    func() // called before the device lets go of its buffers
	NotifyOff      int    // added to queue_notify_off
	Sleep          func(time.Duration)

	mu    sync.Mutex
	noted []string
	many  atomic.Int32
}

// Hostile returns the device's bad side.
func (d *Net) Hostile() *Hostile { return &d.hostile }

func (h *Hostile) sleep(t time.Duration) {
	if h.Sleep != nil {
		h.Sleep(t)
		return
	}
	time.Sleep(t)
}

// note keeps the first violations.
func (h *Hostile) note(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.noted) < 20 {
		h.noted = append(h.noted, s)
	}
	h.many.Add(1)
}

func (h *Hostile) notes() []string {
	if h.many.Load() == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.noted...)
}

// with runs f on a queue that is enabled.
func (h *Hostile) with(q int, f func(r *ring)) {
	r := &h.dev.rings[q]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enabled {
		f(r)
	}
}

// Take takes the next available buffer of a queue, as if to use it, and
// returns its head and the bytes it has room for; ok is false when there is
// none. It stays outstanding until Used names it.
func (h *Hostile) Take(q int) (head uint32, in int, ok bool) {
	h.with(q, func(r *ring) {
		var c chain
		if c, ok = r.pop(); ok {
			head, in = uint32(c.head), c.in
		}
	})
	return head, in, ok
}

// Write puts p into the buffer last taken with that head, as far as it goes.
func (h *Hostile) Write(q int, head uint32, p []byte) {
	h.with(q, func(r *ring) {
		if int(head) >= len(r.was) {
			return
		}
		for _, s := range r.was[head].segs {
			if s.write {
				p = p[copy(s.buf, p):]
			}
		}
	})
}

// Used adds a used entry, whatever it says, and shows it.
func (h *Hostile) Used(q int, id, n uint32) {
	h.with(q, func(r *ring) {
		r.fill(id, n)
		r.flush()
	})
}

// UsedIndex moves the used index by delta without entries behind it.
func (h *Hostile) UsedIndex(q int, delta uint16) {
	h.with(q, func(r *ring) {
		r.usedIdx += delta
		r.flush()
	})
}

// Event sets avail_event and the flags of the used ring.
func (h *Hostile) Event(q int, ev uint16, flags uint32) {
	h.with(q, func(r *ring) {
		r.noNotify = flags & 0xffff
		atomic.StoreUint32(r.availEvent, uint32(ev))
		r.flush()
	})
}

// Scribble overwrites driver-owned parts of the ring, which a device can reach
// but must not write: a descriptor and an entry of the available ring.
func (h *Hostile) Scribble(q int, at int, v uint64) {
	h.with(q, func(r *ring) {
		at %= r.size
		binary.LittleEndian.PutUint64(r.desc[16*at:], v)
		binary.LittleEndian.PutUint64(r.desc[16*at+8:], ^v)
		binary.LittleEndian.PutUint16(r.avail[4+2*at:], uint16(v))
		atomic.StoreUint32(r.availWord, uint32(v))
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&r.used[4])), uint32(v))
	})
}

// ScribbleBuffers fills every buffer that the driver has posted to the receive
// queue and not got back, as the device may until its reset is over.
func (h *Hostile) ScribbleBuffers(v byte) (n int) {
	h.with(QueueRX, func(r *ring) {
		for {
			if _, ok := r.pop(); !ok {
				break
			}
		}
		for head, out := range r.out {
			if !out {
				continue
			}
			for _, s := range r.was[head].segs {
				if !s.write {
					continue
				}
				for i := range s.buf {
					s.buf[i] = v
				}
				n++
			}
		}
	})
	return n
}

// Interrupt raises an interrupt for no reason: of a queue, or -1 of the
// configuration.
func (h *Hostile) Interrupt(queue int) { h.dev.irq(queue) }

// NeedsReset sets DEVICE_NEEDS_RESET and says so (2.1.2).
func (h *Hostile) NeedsReset() {
	d := h.dev
	d.mu.Lock()
	if d.status != 0 {
		d.status |= 64
	}
	d.mu.Unlock()
	d.irq(-1)
}

// Config writes the device configuration without an interrupt.
func (h *Hostile) Config(off int, v byte) {
	h.dev.mu.Lock()
	defer h.dev.mu.Unlock()
	if off < len(h.dev.space) {
		h.dev.space[off] = v
	}
}

// QueueMax changes the size the device claims for its queues.
func (h *Hostile) QueueMax(n int) { h.dev.cfg.QueueMax = n }

// Features changes what the device offers.
func (h *Hostile) Features(f uint64) { h.dev.cfg.Features = f }

// ForgetHeads lets the device use a head twice without its own books noticing.
func (h *Hostile) ForgetHeads(q int) {
	h.with(q, func(r *ring) { clear(r.out) })
}
