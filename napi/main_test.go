package napi_test

import (
	"sync"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// fakeClock stands still until it is advanced.
type fakeClock struct {
	mu     sync.Mutex
	now    int64
	alarms []*fakeAlarm
}

type fakeAlarm struct {
	c  *fakeClock
	at int64
	f  func()
	on bool
}

func newFakeClock() *fakeClock { return &fakeClock{now: int64(time.Hour)} }

func (c *fakeClock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) napi.Alarm {
	a := &fakeAlarm{c: c, f: f}
	c.mu.Lock()
	c.alarms = append(c.alarms, a)
	c.mu.Unlock()
	a.Reset(d)
	return a
}

func (a *fakeAlarm) Stop() bool {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	on := a.on
	a.on = false
	return on
}

func (a *fakeAlarm) Reset(d time.Duration) bool {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	on := a.on
	a.on, a.at = true, a.c.now+int64(max(d, 0))
	return on
}

// next returns the time of the next alarm, 0 if there is none.
func (c *fakeClock) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := int64(0)
	for _, a := range c.alarms {
		if a.on && (at == 0 || a.at < at) {
			at = a.at
		}
	}
	return at
}

// advance moves the time on and fires the alarms on the way.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	end := c.now + int64(d)
	c.mu.Unlock()
	for {
		var due *fakeAlarm
		c.mu.Lock()
		for _, a := range c.alarms {
			if a.on && a.at <= end && (due == nil || a.at < due.at) {
				due = a
			}
		}
		if due == nil {
			c.now = end
			c.mu.Unlock()
			return
		}
		c.now = max(c.now, due.at)
		due.on = false
		c.mu.Unlock()
		due.f()
	}
}

// newNet makes a leak-checked stack.
func newNet(t testing.TB, cfg napi.Config) *napi.Net {
	t.Helper()
	n, err := napi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	skbtest.Check(t, n.SKB())
	return n
}

// run runs ksoftirqd for the time of the test.
func run(t testing.TB, n *napi.Net) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		n.SoftNet().Run(stop)
		close(done)
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		n.SoftNet().DoSoftirq() // what it left
	})
}

// card is a network card: a receive ring with an interrupt that is masked
// while polled, and a transmit ring.
type card struct {
	t    testing.TB
	net  *napi.Net
	dev  *napi.NetDevice
	napi *napi.NAPI

	mu     sync.Mutex
	rx     skb.List
	masked bool
	polls  int

	// Hooks of the races, called in Poll without the lock.
	beforeComplete, beforeUnmask, polled func()

	tx       []*skb.Buff // in the transmit ring
	ring     int         // its size, 0 unlimited: completed at once
	batches  []int       // sizes StartXmit was called with
	sent     func(b *skb.Buff)
	openErr  error
	opened   bool
	inXmit   bool
	onXmit   func(q *napi.TxQueue)
	stopFull bool // call Stop when the ring is full
}

var cardAddr = [6]byte{0x52, 0x54, 0, 1, 2, 3}

func newCard(t testing.TB, n *napi.Net) *card {
	t.Helper()
	c := &card{t: t, net: n, stopFull: true}
	c.dev = napi.AllocNetdev("eth%d", c, 1)
	napi.EtherSetup(c.dev)
	if err := c.dev.SetHardwareAddr(cardAddr); err != nil {
		t.Fatal(err)
	}
	c.napi = c.dev.AddNAPI(c, 0)
	if err := n.RegisterNetdev(c.dev); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.UnregisterNetdev(c.dev) })
	return c
}

// up makes a card and opens it.
func up(t testing.TB, n *napi.Net) *card {
	t.Helper()
	c := newCard(t, n)
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *card) Open(*napi.NetDevice) error {
	if c.openErr != nil {
		return c.openErr
	}
	c.mu.Lock()
	c.opened, c.masked = true, false
	c.mu.Unlock()
	c.napi.Enable()
	return nil
}

func (c *card) Stop(*napi.NetDevice) error {
	c.napi.Disable()
	c.mu.Lock()
	c.opened = false
	var l skb.List
	l.Splice(&c.rx)
	tx := c.tx
	c.tx = nil
	c.mu.Unlock()
	l.Purge(skb.DevReady)
	for _, b := range tx {
		b.Consume()
	}
	return nil
}

// frame returns an Ethernet frame to the card with one byte of payload to
// tell it by.
func (c *card) frame(typ uint16, id byte) *skb.Buff {
	b := c.net.SKB().Alloc(64)
	if b == nil {
		c.t.Fatal("out of pages")
	}
	p := b.Put(60)
	clear(p)
	copy(p, cardAddr[:])
	copy(p[6:], []byte{0x52, 0x54, 0, 9, 9, 9})
	p[12], p[13], p[14] = byte(typ>>8), byte(typ), id
	return b
}

// arrive puts frames into the ring and interrupts if that is not masked.
func (c *card) arrive(bs ...*skb.Buff) {
	c.mu.Lock()
	if !c.opened {
		c.mu.Unlock()
		for _, b := range bs {
			b.Free(skb.DevReady)
		}
		return
	}
	for _, b := range bs {
		c.rx.PushBack(b)
	}
	fire := !c.masked
	c.masked = true
	c.mu.Unlock()
	if fire {
		c.napi.Schedule()
	}
}

func (c *card) Poll(n *napi.NAPI, budget int) int {
	c.polls++
	var l skb.List
	c.mu.Lock()
	c.masked = true // a reader polls without an interrupt before
	for l.Len() < budget && c.rx.Len() > 0 {
		l.PushBack(c.rx.PopFront())
	}
	c.mu.Unlock()
	work := l.Len()
	for b := l.Head(); b != nil; b = b.Next() {
		napi.EthTypeTrans(b, c.dev)
	}
	n.ReceiveList(&l)
	if c.polled != nil {
		c.polled()
	}
	if work == budget {
		return work
	}
	if n.Defers(work) { // stays masked
		n.CompleteDone(work)
		return work
	}
	if c.beforeComplete != nil {
		c.beforeComplete()
	}
	if !n.CompleteDone(work) {
		return work
	}
	if c.beforeUnmask != nil {
		c.beforeUnmask()
	}
	c.mu.Lock()
	again := c.rx.Len() > 0
	c.masked = again
	c.mu.Unlock()
	if again {
		n.Schedule()
	}
	return work
}

func (c *card) StartXmit(_ *napi.NetDevice, q *napi.TxQueue, batch []*skb.Buff) int {
	c.mu.Lock()
	if c.inXmit {
		c.t.Error("StartXmit runs twice at a time")
	}
	c.inXmit = true
	c.batches = append(c.batches, len(batch))
	n := 0
	for ; n < len(batch) && (c.ring == 0 || len(c.tx) < c.ring); n++ {
		if c.sent != nil {
			c.sent(batch[n])
		}
		if c.ring > 0 {
			c.tx = append(c.tx, batch[n]) // complete may end it from now on
		}
	}
	if c.ring > 0 && len(c.tx) == c.ring && c.stopFull {
		q.Stop()
	}
	c.mu.Unlock()
	for _, b := range batch[:n] {
		if c.ring == 0 {
			b.Consume()
		}
	}
	if c.onXmit != nil {
		c.onXmit(q)
	}
	c.mu.Lock()
	c.inXmit = false
	c.mu.Unlock()
	return n
}

// complete ends up to n packets of the transmit ring and wakes the queue.
func (c *card) complete(n int) int {
	c.mu.Lock()
	n = min(n, len(c.tx))
	done := c.tx[:n]
	c.tx = append([]*skb.Buff(nil), c.tx[n:]...)
	c.mu.Unlock()
	c.net.SKB().ConsumeBatch(done)
	c.dev.TxQueues[0].Wake()
	return n
}

// ids collects the payload bytes of packets that a handler gets.
type ids struct {
	mu sync.Mutex
	l  []byte
}

func (x *ids) handler(b *skb.Buff, _ *napi.NetDevice) {
	x.mu.Lock()
	x.l = append(x.l, b.NetworkHeader()[0])
	x.mu.Unlock()
	b.Consume()
}

func (x *ids) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.l)
}

// eventually fails when ok does not come true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}
