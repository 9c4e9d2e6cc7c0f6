package virtio_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"barewire/virtio"
	"barewire/virtio/device"
)

// ring is a queue with a device model behind it that does nothing by itself.
type ring struct {
	*virtio.Queue
	dev *device.Net
	h   *device.Hostile
	mem *device.Memory
	buf uint64 // device address of some memory
	// barrier runs where the platform's barrier does.
	barrier func()
}

const ringQ = device.QueueTX

func newRing(t testing.TB, size, indirect int, feats uint64) *ring {
	t.Helper()
	mem := device.NewMemory()
	dev := device.New(mem, device.Config{Features: feats | virtio.FeatVersion1, QueueMax: 32768, Manual: true, Paranoid: size <= 64})
	cfg := device.NewMMIO(dev).Config()
	r := &ring{dev: dev, h: dev.Hostile(), mem: mem}
	cfg.Barrier = func() {
		if r.barrier != nil {
			r.barrier()
		}
	}
	tr, err := virtio.NewMMIO(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := virtio.Negotiate(tr, func(f uint64) (uint64, error) { return f, nil }); err != nil {
		t.Fatal(err)
	}
	q, err := virtio.NewQueue(tr, virtio.QueueConfig{
		Index: ringQ, Size: size, Indirect: indirect, EventIdx: feats&virtio.FeatEventIdx != 0, Map: mem.Map,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Enable(); err != nil {
		t.Fatal(err)
	}
	virtio.DriverOK(tr)
	addr, err := mem.Map(make([]byte, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range dev.Violations() {
			t.Errorf("driver broke a rule: %s", v)
		}
	})
	r.Queue, r.buf = q, addr
	return r
}

// add posts n segments, the last in of them writable, at distinct addresses.
func (r *ring) add(n, in int, slot int) (int, bool) {
	segs := make([]virtio.Seg, n)
	for i := range segs {
		segs[i] = virtio.Seg{Addr: r.buf + uint64(slot*2048+i*64), Len: 64}
	}
	return r.Add(segs, n-in)
}

// Against a naive model: random buffers of random shapes, completed in random
// order, over many wraps of the index.
func TestQueue_randomOperations_agreesWithModel(t *testing.T) {
	for _, c := range []struct {
		indirect int
		feats    uint64
	}{{0, 0}, {8, virtio.FeatIndirectDesc}, {4, virtio.FeatIndirectDesc | virtio.FeatEventIdx}, {0, virtio.FeatEventIdx}} {
		rnd := rand.New(rand.NewPCG(1, uint64(c.feats)))
		r := newRing(t, 32, c.indirect, c.feats)
		type posted struct{ cost, in, slot int }
		out := map[int]posted{} // by id
		var taken []uint32      // ids the device has
		free := 32
		slots := rnd.Perm(512) // memory not in use
		for step := range 200_000 {
			switch rnd.IntN(4) {
			case 0, 1:
				n := 1 + rnd.IntN(8)
				in := rnd.IntN(n + 1)
				cost := n
				if n > 1 && n <= c.indirect {
					cost = 1
				}
				id, ok := r.add(n, in, slots[0])
				if ok != (cost <= free) {
					t.Fatalf("step %d: add of %d descriptors with %d free: %v", step, cost, free, ok)
				}
				if !ok {
					break
				}
				if _, dup := out[id]; dup {
					t.Fatalf("step %d: id %d given twice", step, id)
				}
				out[id] = posted{cost, in * 64, slots[0]}
				slots = slots[1:]
				free -= cost
				r.Kick()
			case 2:
				if id, in, ok := r.h.Take(ringQ); ok {
					if in != out[int(id)].in {
						t.Fatalf("step %d: device sees %d bytes, want %d", step, in, out[int(id)].in)
					}
					taken = append(taken, id)
				}
			case 3:
				if len(taken) == 0 {
					break
				}
				i := rnd.IntN(len(taken))
				id := taken[i]
				taken[i] = taken[len(taken)-1]
				taken = taken[:len(taken)-1]
				p := out[int(id)]
				n := 0
				if p.in > 0 {
					n = rnd.IntN(p.in + 1)
				}
				r.h.Used(ringQ, id, uint32(n))
				gid, gn, ok := r.Get()
				if !ok || gid != int(id) || gn != n {
					t.Fatalf("step %d: got %d, %d, %v, want %d, %d: %v", step, gid, gn, ok, id, n, r.Err())
				}
				delete(out, gid)
				slots = append(slots, p.slot)
				free += p.cost
			}
			if r.Free() != free || r.Inflight() != len(out) {
				t.Fatalf("step %d: %d free, %d in flight, want %d, %d", step, r.Free(), r.Inflight(), free, len(out))
			}
		}
		if _, _, ok := r.Get(); ok {
			t.Fatal("a buffer out of nothing")
		}
		n := 0
		for id := range r.Outstanding {
			if _, ok := out[id]; !ok {
				t.Fatalf("id %d is not out", id)
			}
			n++
		}
		if n != len(out) {
			t.Fatalf("%d outstanding, want %d", n, len(out))
		}
	}
}

func TestQueue_full_refusesUntilUsed(t *testing.T) {
	for _, size := range []int{4, 256, 32768} {
		r := newRing(t, size, 0, virtio.FeatEventIdx)
		for i := range size {
			if _, ok := r.add(1, 1, i%400); !ok {
				t.Fatalf("size %d: refused at %d", size, i)
			}
		}
		if _, ok := r.add(1, 1, 0); ok {
			t.Fatalf("size %d: took one too many", size)
		}
		if size > 4 {
			continue
		}
		r.Kick()
		id, _, _ := r.h.Take(ringQ)
		r.h.Used(ringQ, id, 1)
		if got, n, ok := r.Get(); !ok || got != int(id) || n != 1 {
			t.Fatalf("got %d, %d, %v", got, n, ok)
		}
		if _, ok := r.add(1, 1, 399); !ok {
			t.Fatal("refused with a free descriptor")
		}
	}
}

func TestQueue_usedBeforePublished_broken(t *testing.T) {
	r := newRing(t, 8, 0, 0)
	r.add(1, 1, 0)
	r.Publish()
	id, _ := r.add(1, 1, 1)
	r.h.Used(ringQ, uint32(id), 0) // the other one is what the device may use
	if _, _, ok := r.Get(); ok || !errors.Is(r.Err(), virtio.ErrBroken) {
		t.Fatalf("took an unpublished buffer: %v", r.Err())
	}
	if _, ok := r.add(1, 1, 2); ok || r.Publish() {
		t.Fatal("a broken queue takes buffers")
	}
}

// Reading a length where nothing was to be written is not held against anyone.
func TestQueue_lengthOfReadOnlyBuffer_ignored(t *testing.T) {
	r := newRing(t, 8, 0, 0)
	r.add(2, 0, 0)
	r.Publish()
	id, _, _ := r.h.Take(ringQ)
	r.h.Used(ringQ, id, 128)
	if _, n, ok := r.Get(); !ok || n != 0 {
		t.Fatalf("%d bytes, %v: %v", n, ok, r.Err())
	}
}

// The device is told exactly when the index passed avail_event (2.7.10).
func TestQueue_availEvent_decidesNotification(t *testing.T) {
	r := newRing(t, 8, 0, virtio.FeatEventIdx)
	for i := range uint16(3000) {
		// All states of the event around the index, over wraps of the ring.
		delta := i%7 - 3
		r.h.Event(ringQ, i+delta, 0)
		if _, ok := r.add(1, 0, 0); !ok {
			t.Fatal("ring is full")
		}
		if got, want := r.Publish(), delta == 0; got != want {
			t.Fatalf("index %d, event %d: notify %v", i, i+delta, got)
		}
		id, _, _ := r.h.Take(ringQ)
		r.h.Used(ringQ, id, 0)
		r.Get()
	}
	// A batch passes it somewhere in the middle.
	r.h.Event(ringQ, 3001, 0)
	r.add(1, 0, 0)
	r.add(1, 0, 1)
	r.add(1, 0, 2)
	if !r.Publish() {
		t.Fatal("batch over the event without notification")
	}
	if r.Publish() {
		t.Fatal("notification for nothing")
	}
}

// What the device does up to the barrier is seen by the load behind it: the
// index is published before it, and whether to notify is decided after.
func TestQueue_deviceSleepsJustBeforeBarrier_notified(t *testing.T) {
	for _, feats := range []uint64{0, virtio.FeatEventIdx} {
		r := newRing(t, 8, 0, feats)
		r.h.Event(ringQ, 1000, 1) // do not tell me
		r.add(1, 0, 0)
		r.barrier = func() {
			if _, _, ok := r.h.Take(ringQ); !ok {
				t.Error("nothing published at the barrier")
			}
			r.h.Event(ringQ, 0, 0) // tell me: the device had not seen it
		}
		if !r.Publish() {
			t.Errorf("features %#x: not notified", feats)
		}
	}
}

// The same the other way round: used just before the barrier, no interrupt.
func TestQueue_usedJustBeforeBarrier_seenByPoll(t *testing.T) {
	for _, feats := range []uint64{0, virtio.FeatEventIdx} {
		r := newRing(t, 8, 0, feats)
		r.add(1, 0, 0)
		r.Publish()
		n := 0
		r.barrier = func() {
			n++
			id, _, _ := r.h.Take(ringQ)
			r.h.Used(ringQ, id, 0)
		}
		if seen := r.EnableCB(); n != 1 || !r.Poll(seen) {
			t.Errorf("features %#x: %d barriers, used buffer not seen", feats, n)
		}
	}
}

func TestQueue_noNotifyFlag_respected(t *testing.T) {
	r := newRing(t, 8, 0, 0)
	r.h.Event(ringQ, 0, 1)
	r.add(1, 0, 0)
	if r.Publish() {
		t.Fatal("notified although asked not to")
	}
	r.h.Event(ringQ, 0, 0)
	r.add(1, 0, 1)
	if !r.Publish() {
		t.Fatal("not notified")
	}
}

// When the driver is interrupted, by mode, over wraps of the ring.
func TestQueue_callbacks_fireWhenAskedFor(t *testing.T) {
	for _, feats := range []uint64{0, virtio.FeatEventIdx} {
		r := newRing(t, 16, 0, feats)
		use := func(n int) int { // interrupts for n buffers
			before := r.dev.Interrupts.Load()
			for i := range n {
				r.add(1, 0, i)
			}
			r.Publish()
			for range n {
				r.dev.ProcessOne(ringQ)
			}
			return int(r.dev.Interrupts.Load() - before)
		}
		drain := func() {
			for {
				if _, _, ok := r.Get(); !ok {
					return
				}
			}
		}
		for round := range 20_000 {
			r.DisableCB()
			if n := use(4); n != 0 {
				t.Fatalf("round %d: %d interrupts while off", round, n)
			}
			drain()
			seen := r.EnableCB()
			if r.Poll(seen) {
				t.Fatal("pending without anything used")
			}
			if n := use(1); n != 1 {
				t.Fatalf("round %d: %d interrupts for the first buffer", round, n)
			}
			if !r.Poll(seen) {
				t.Fatal("used buffer not seen")
			}
			drain()
			if feats == 0 {
				continue
			}
			// The event fired: off until asked for again.
			if n := use(3); n != 0 {
				t.Fatalf("round %d: %d interrupts after the event fired", round, n)
			}
			drain()
			for i := range 8 {
				r.add(1, 0, i)
			}
			r.Publish()
			if r.EnableCBDelayed() {
				t.Fatal("pending without anything used")
			}
			for i := range 8 {
				before := r.dev.Interrupts.Load()
				r.dev.ProcessOne(ringQ)
				if got := r.dev.Interrupts.Load() != before; got != (i == 6) {
					t.Fatalf("round %d: interrupt at buffer %d of 8: %v", round, i, got)
				}
			}
			if !r.EnableCBDelayed() {
				t.Fatal("eight of eight used is not pending")
			}
			drain()
		}
	}
}

func TestRingSize_limits(t *testing.T) {
	for _, c := range []struct{ max, limit, want int }{
		{256, 1024, 256}, {1024, 256, 256}, {100, 256, 64}, {32768, 32768, 32768}, {4, 256, 4}, {256, 5, 4},
		{0, 256, 0}, {3, 256, 0}, {32769, 256, 0}, {1 << 31, 256, 0}, {-1, 256, 0},
	} {
		n, err := virtio.RingSize(c.max, c.limit)
		if n != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("RingSize(%d, %d) = %d, %v, want %d", c.max, c.limit, n, err, c.want)
		}
	}
}

func TestNewDMA_alignedAndMapped(t *testing.T) {
	for _, n := range []int{1, 4096, 4097, 100_000} {
		d, err := virtio.NewDMA(n, nil)
		if err != nil || len(d.Mem) < n || d.Addr&4095 != 0 || len(d.Mem)&4095 != 0 {
			t.Fatalf("%d bytes: %d at %#x: %v", n, len(d.Mem), d.Addr, err)
		}
	}
	if _, err := virtio.NewDMA(1, func([]byte) (uint64, error) { return 0, errors.New("no room") }); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("error %v", err)
	}
	if _, err := virtio.NewDMA(1, func([]byte) (uint64, error) { return 0x1008, nil }); err == nil {
		t.Fatal("unaligned device address taken")
	}
}

func TestNewQueue_impossibleSize_refused(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 5, 255, 65536, -4} {
		if _, err := virtio.NewQueue(nil, virtio.QueueConfig{Size: n}); err == nil {
			t.Errorf("queue of %d descriptors", n)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	for name, c := range map[string]struct {
		segs, indirect int
	}{"1": {1, 0}, "3 direct": {3, 0}, "3 indirect": {3, 8}} {
		b.Run(name, func(b *testing.B) {
			r := newRing(b, 256, c.indirect, virtio.FeatEventIdx|virtio.FeatIndirectDesc)
			segs := make([]virtio.Seg, c.segs)
			for i := range segs {
				segs[i] = virtio.Seg{Addr: r.buf, Len: 64}
			}
			ids := make([]uint32, 0, 32)
			var inRing time.Duration
			b.ReportAllocs()
			for n := 0; n < b.N; n += cap(ids) {
				start := time.Now()
				for range cap(ids) {
					id, _ := r.Add(segs, len(segs))
					ids = append(ids, uint32(id))
				}
				r.Publish()
				inRing += time.Since(start)
				for range ids {
					r.h.Take(ringQ)
				}
				for _, id := range ids {
					r.h.Used(ringQ, id, 0)
				}
				start = time.Now()
				for range ids {
					r.Get()
				}
				inRing += time.Since(start)
				ids = ids[:0]
			}
			b.ReportMetric(float64(inRing)/float64(b.N), "driver-ns/op")
		})
	}
}

func TestQueue_armed_onlyWhileAnOutstandingBufferWillInterrupt(t *testing.T) {
	for _, feats := range []uint64{0, virtio.FeatEventIdx} {
		r := newRing(t, 8, 0, feats)
		if r.Armed() {
			t.Errorf("features %#x: armed with nothing out", feats)
		}
		r.add(1, 0, 0)
		r.Show()
		if r.Armed() {
			t.Errorf("features %#x: armed with callbacks off", feats)
		}
		r.EnableCBDelayed()
		if !r.Armed() {
			t.Errorf("features %#x: not armed with callbacks on", feats)
		}
		r.dev.Process(ringQ)
		if _, _, ok := r.Get(); !ok {
			t.Fatal("what was shown is not used")
		}
		if r.Armed() {
			t.Errorf("features %#x: armed after the last buffer", feats)
		}
		r.DisableCB()
	}
}
