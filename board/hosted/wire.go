package hosted

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"barewire/napi"
	"barewire/skb"
)

// WireConfig says what a cable does to frames. The zero value is a perfect
// cable. Probabilities are from 0 to 1 and drawn for each frame.
type WireConfig struct {
	// Seed makes the same faults again. 0 draws one; [Wire.Seed] tells it, and
	// a failing test prints it.
	Seed uint64

	Loss      float64 // frame vanishes
	Duplicate float64 // frame arrives twice
	Corrupt   float64 // one bit of the frame is flipped
	Reorder   float64 // frame is held back ReorderBy, so that later ones overtake
	ReorderBy time.Duration

	Delay  time.Duration // each frame takes this long
	Jitter time.Duration // and up to this much longer; order is kept

	Rate  int64 // bits a second in each direction, 0 is without limit
	Queue int   // bytes that wait for the rate at most; 0 means 256 KiB

	Ring int // frames that wait for each receiver's NAPI; 0 means DefaultRing
	// Queues is how many each device has, each way; 0 means 1. The packets of a
	// flow arrive on one, which the processor of its number polls.
	Queues int
}

// WireStats counts what a wire did to the frames of one port's sender.
type WireStats struct {
	Sent       uint64 // frames the device took
	Lost       uint64
	Duplicated uint64
	Corrupted  uint64
	Reordered  uint64
	Overflowed uint64 // dropped because too much waited for the rate
	NoMemory   uint64 // dropped because a receiver's page pool was empty
}

// A Wire is a cable that every attached device hears: two devices make a
// point-to-point link, more a hub. Frames are copied into pages of each
// receiver's own pool. All methods are safe for concurrent use.
type Wire struct {
	cfg WireConfig

	mu               sync.Mutex
	ports            []*wirePort
	flying           flightHeap
	serial           uint64
	timer            *time.Timer
	ring             time.Time // when timer is set to ring; zero when it is not
	closed           bool
	landing          []landing // land's own
	isLanding, again bool      // somebody is in land; frames came meanwhile
}

// flight is a frame on its way.
type flight struct {
	due    time.Time
	serial uint64 // frames due at the same time arrive as they were sent
	to     *wirePort
	b      *skb.Buff
}

type landing struct {
	to   *wirePort
	list skb.List
}

type flightHeap []flight

func (h flightHeap) Len() int { return len(h) }
func (h flightHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return h[i].serial < h[j].serial
}
func (h flightHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are not called: launch and collect move elements themselves and
// use heap.Fix, because boxing them would allocate.
func (h *flightHeap) Push(any) { panic("hosted: boxed push") }
func (h *flightHeap) Pop() any { panic("hosted: boxed pop") }

// wirePort is a device on a wire.
type wirePort struct {
	port
	wire *Wire

	// What the wire draws for this port's frames is independent of what other
	// ports send, so that a seed replays whatever the goroutines' order was.
	rng  *rand.Rand
	busy time.Time // when the last frame has left at the wire's rate
	last time.Time // when the last frame that keeps the order arrives

	stats WireStats
}

// NewWire returns a wire without devices. Inside a testing/synctest bubble it
// must be made there.
func NewWire(cfg WireConfig) (*Wire, error) {
	for _, p := range []float64{cfg.Loss, cfg.Duplicate, cfg.Corrupt, cfg.Reorder} {
		if !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("hosted: %v is not a probability", p)
		}
	}
	if cfg.Delay < 0 || cfg.Jitter < 0 || cfg.ReorderBy < 0 || cfg.Rate < 0 {
		return nil, fmt.Errorf("hosted: a wire with a negative delay or rate")
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64() | 1
	}
	if cfg.ReorderBy == 0 {
		cfg.ReorderBy = time.Millisecond
	}
	if cfg.Queue == 0 {
		cfg.Queue = 256 << 10
	}
	return &Wire{cfg: cfg}, nil
}

// Seed returns the seed of the wire's faults.
func (w *Wire) Seed() uint64 { return w.cfg.Seed }

// String describes the wire so that it can be made again.
func (w *Wire) String() string { return fmt.Sprintf("wire %+v", w.cfg) }

// Attach makes a network device on the wire and registers it with the stack.
// The name may end in %d. It is down.
func (w *Wire) Attach(stack *napi.Net, name string, addr [6]byte) (*napi.NetDevice, error) {
	w.mu.Lock()
	n := uint64(len(w.ports))
	w.mu.Unlock()
	p := &wirePort{wire: w, rng: rand.New(rand.NewPCG(w.cfg.Seed, n))}
	if err := newPort(stack, name, addr, w.cfg.Ring, w.cfg.Queues, napi.FeatureSG, p, &p.port); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.ports = append(w.ports, p)
	w.mu.Unlock()
	return p.dev, nil
}

// Stats returns what happened to the frames that dev sent.
func (w *Wire) Stats(dev *napi.NetDevice) WireStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.ports {
		if p.dev == dev {
			return p.stats
		}
	}
	return WireStats{}
}

// SetCarrier cuts the cable or mends it, for all its devices. What is on its
// way when it is cut still arrives.
func (w *Wire) SetCarrier(on bool) {
	w.mu.Lock()
	ports := w.ports[:len(w.ports):len(w.ports)]
	w.mu.Unlock()
	for _, p := range ports {
		if on {
			p.dev.CarrierOn()
		} else {
			p.dev.CarrierOff()
		}
	}
}

// Close drops what is on its way and everything sent later. The devices stay
// registered with their stacks.
func (w *Wire) Close() {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	flying := w.flying
	w.flying = nil
	w.mu.Unlock()
	for _, f := range flying {
		f.b.Free(skb.DevReady)
	}
}

// Open brings the port up.
func (p *wirePort) Open(*napi.NetDevice) error {
	p.start()
	return nil
}

// Stop takes the port down; what is on its way to it is dropped on arrival.
func (p *wirePort) Stop(*napi.NetDevice) error {
	p.stop()
	return nil
}

// StartXmit puts frames on the wire.
func (p *wirePort) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	w := p.wire
	w.mu.Lock()
	for _, b := range batch {
		p.stats.Sent++
		w.send(p, b)
	}
	w.land()
	for _, b := range batch {
		b.Consume()
	}
	return len(batch)
}

// send decides the fate of one frame of p; the caller holds w.mu. The draws are
// made in the same order for every frame, whatever comes of it.
func (w *Wire) send(p *wirePort, b *skb.Buff) {
	c := &w.cfg
	lost := p.draw(c.Loss)
	twice := p.draw(c.Duplicate)
	corrupt := p.draw(c.Corrupt) && b.Len() > 0
	reorder := p.draw(c.Reorder)
	var jitter time.Duration
	if c.Jitter > 0 {
		jitter = time.Duration(p.rng.Int64N(int64(c.Jitter)))
	}
	bit := -1
	if corrupt {
		bit = p.rng.IntN(8 * b.Len())
	}
	if w.closed {
		return
	}

	var due time.Time // zero: at once
	if c.Rate > 0 || c.Delay > 0 || c.Jitter > 0 || reorder {
		due = time.Now()
	}
	if c.Rate > 0 {
		if p.busy.Before(due) {
			p.busy = due
		}
		if waiting := p.busy.Sub(due).Seconds() * float64(c.Rate) / 8; waiting > float64(c.Queue) {
			p.stats.Overflowed++
			return
		}
		p.busy = p.busy.Add(time.Duration(int64(b.Len()) * 8 * int64(time.Second) / c.Rate))
		due = p.busy
	}
	if lost { // after the rate: a frame lost on the way has used it
		p.stats.Lost++
		return
	}
	switch {
	case reorder:
		p.stats.Reordered++
		due = due.Add(c.Delay + jitter + c.ReorderBy)
	case !due.IsZero():
		if due = due.Add(c.Delay + jitter); due.Before(p.last) {
			due = p.last
		}
		if c.Jitter > 0 {
			p.last = due
		}
	}
	if corrupt {
		p.stats.Corrupted++
	}
	copies := 1
	if twice {
		p.stats.Duplicated++
		copies = 2
	}
	for _, to := range w.ports {
		if to == p || !to.isOpen() {
			continue
		}
		for range copies {
			w.launch(p, to, b, due, bit)
		}
	}
}

func (p *wirePort) draw(prob float64) bool { return prob > 0 && p.rng.Float64() < prob }

// launch copies a frame for one receiver and sets it flying; the caller holds
// w.mu.
func (w *Wire) launch(from, to *wirePort, b *skb.Buff, due time.Time, flip int) {
	n := b.Len()
	c := to.stack.SKB().Alloc(skb.Pad + n)
	if c == nil {
		from.stats.NoMemory++
		to.dev.Stats.RxDropped.Add(1)
		return
	}
	c.Reserve(skb.Pad)
	data := c.Put(n)
	b.CopyBits(0, data)
	if flip >= 0 {
		data[flip/8] ^= 1 << (flip % 8)
	}
	w.serial++
	w.flying = append(w.flying, flight{due, w.serial, to, c})
	heap.Fix(&w.flying, len(w.flying)-1)
}

// land delivers the frames that are due and sets the timer for the next. It is
// called with w.mu held and releases it. Receivers are called without a lock,
// and by one goroutine at a time, so that frames cannot pass each other.
func (w *Wire) land() {
	if w.isLanding {
		w.again = true
		w.mu.Unlock()
		return
	}
	w.isLanding = true
	for {
		w.again = false
		w.collect()
		w.mu.Unlock()
		for i := range w.landing {
			w.landing[i].to.deliver(&w.landing[i].list)
		}
		w.mu.Lock()
		if !w.again {
			break
		}
	}
	w.isLanding = false
	w.mu.Unlock()
}

// collect takes what is due off the heap into w.landing, a list for each
// receiver; the caller holds w.mu.
func (w *Wire) collect() {
	w.landing = w.landing[:0]
	var now time.Time
	for len(w.flying) > 0 {
		f := w.flying[0]
		if !f.due.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if f.due.After(now) {
				w.setTimer(f.due)
				return
			}
		}
		last := len(w.flying) - 1
		w.flying.Swap(0, last)
		w.flying[last] = flight{}
		w.flying = w.flying[:last]
		if last > 0 {
			heap.Fix(&w.flying, 0)
		}
		i := 0
		for i < len(w.landing) && w.landing[i].to != f.to {
			i++
		}
		if i == len(w.landing) {
			w.landing = append(w.landing, landing{to: f.to})
		}
		w.landing[i].list.PushBack(f.b)
	}
}

// setTimer sees to it that land runs at due; the caller holds w.mu.
func (w *Wire) setTimer(due time.Time) {
	if !w.ring.IsZero() && !due.Before(w.ring) {
		return // it rings earlier and is set anew then
	}
	w.ring = due
	d := time.Until(due)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() {
			w.mu.Lock()
			w.ring = time.Time{}
			w.land()
		})
		return
	}
	w.timer.Reset(d)
}
