package napi_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
)

const testType = 0x88b5 // IEEE 802 local experimental ethertype 1

func TestSchedule_whileScheduled(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	if !c.napi.Schedule() {
		t.Fatal("not scheduled")
	}
	for range 5 {
		if c.napi.Schedule() {
			t.Fatal("scheduled a second time")
		}
	}
	n.SoftNet().DoSoftirq()
	// Once for the first, and once more for all that came meanwhile: the
	// device may have had something to say.
	if c.polls != 2 {
		t.Errorf("%d polls", c.polls)
	}
	if !c.napi.Schedule() {
		t.Error("not scheduled after completion")
	}
	n.SoftNet().DoSoftirq()
	if c.polls != 3 {
		t.Errorf("%d polls", c.polls)
	}
}

// late is a poller that an interrupt hits in its first poll, before completion
// and again after it was refused.
type late struct {
	polls int
	twice bool
}

func (p *late) Poll(n *napi.NAPI, budget int) int {
	if p.polls++; p.polls == 1 {
		n.Schedule()
	}
	if !n.CompleteDone(0) && p.polls == 1 {
		p.twice = n.Schedule()
	}
	return 0
}

func TestComplete_missedStaysScheduled(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	var p late
	np := c.dev.AddNAPI(&p, 0)
	np.Enable()
	np.Schedule()
	n.SoftNet().DoSoftirq()
	if p.polls != 3 || p.twice {
		t.Errorf("%d polls, put on the list twice: %v", p.polls, p.twice)
	}
	np.Disable()
}

func TestSchedule_whileDisabled(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	if c.napi.Schedule() {
		t.Error("scheduled before Enable")
	}
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	c.napi.Schedule()
	c.dev.Close() // Disable with a poll pending: it runs first
	if c.napi.Schedule() {
		t.Error("scheduled after Disable")
	}
	c.napi.Disable() // of a disabled one
	n.SoftNet().DoSoftirq()
	if c.polls != 1 {
		t.Errorf("%d polls", c.polls)
	}
	if err := c.dev.Open(); err != nil || !c.napi.Schedule() {
		t.Error("not scheduled after the second Enable")
	}
	n.SoftNet().DoSoftirq()
}

func TestEnable_twice(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	c.napi.Enable()
}

// scheduleOnce is a late interrupt, one for the frame that waits.
func scheduleOnce(c *card) {
	c.mu.Lock()
	waits := c.rx.Len() > 0
	c.mu.Unlock()
	if waits {
		c.napi.Schedule()
	}
}

func TestComplete_race(t *testing.T) {
	// A frame arrives at each point between the last look at the ring and the
	// end of the poll; the interrupt is masked, so nothing else announces it.
	for _, tc := range []struct {
		name string
		set  func(c *card, f func())
	}{
		{"after the last look", func(c *card, f func()) { c.polled = f }},
		{"before complete", func(c *card, f func()) { c.beforeComplete = f }},
		{"between complete and unmask", func(c *card, f func()) { c.beforeUnmask = f }},
		{"interrupt that slipped through", func(c *card, f func()) {
			c.beforeComplete = func() { f(); scheduleOnce(c) }
		}},
		{"interrupt before unmask", func(c *card, f func()) {
			c.beforeUnmask = func() { f(); scheduleOnce(c) }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t, napi.Config{})
			c := up(t, n)
			var got ids
			defer n.AddPack(testType, nil, got.handler)()
			left := 3
			tc.set(c, func() {
				if left > 0 {
					left--
					c.arrive(c.frame(testType, byte(left)))
				}
			})
			c.arrive(c.frame(testType, 3))
			n.SoftNet().DoSoftirq()
			if string(got.l) != "\x03\x02\x01\x00" {
				t.Errorf("got % x", got.l)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.masked {
				t.Error("interrupt still masked")
			}
		})
	}
}

func TestComplete_raceConcurrent(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	run(t, n)
	var got ids
	defer n.AddPack(testType, nil, got.handler)()
	const each = 2000
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				c.arrive(c.frame(testType, byte(i)))
				if i%64 == 0 {
					n.SoftNet().DoSoftirq()
					runtime.Gosched()
				}
				for n.SKB().InUse() > 8000 {
					runtime.Gosched()
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "every frame received", func() bool { return got.len() == 3*each })
}

// endless is a poller that always has more.
type endless struct {
	polls atomic.Int64
	delay func()
	quit  atomic.Bool
}

func (e *endless) Poll(n *napi.NAPI, budget int) int {
	e.polls.Add(1)
	if e.delay != nil {
		e.delay()
	}
	if e.quit.Load() {
		n.CompleteDone(0)
		return 0
	}
	return budget
}

// end has e stop at its next poll.
func (e *endless) end(n *napi.Net, np *napi.NAPI) {
	e.quit.Store(true)
	np.Disable()
}

func TestBudget_exhausted(t *testing.T) {
	clock := newFakeClock()
	n := newNet(t, napi.Config{Clock: clock})
	c := newCard(t, n)
	var a, b endless
	na, nb := c.dev.AddNAPI(&a, 0), c.dev.AddNAPI(&b, 20)
	na.Enable()
	nb.Enable()
	na.Schedule()
	nb.Schedule()
	n.SoftNet().DoSoftirq()
	// In turn: 64 and 20 until 300 are reached in the middle of the fourth.
	if a.polls.Load() != 4 || b.polls.Load() != 3 {
		t.Errorf("%d and %d polls", a.polls.Load(), b.polls.Load())
	}
	s := n.SoftNet().Stats()
	if s.TimeSqueeze != 1 {
		t.Errorf("squeezed %d times", s.TimeSqueeze)
	}
	n.SoftNet().DoSoftirq()
	if a.polls.Load()+b.polls.Load() < 14 {
		t.Error("the rest is not taken up again")
	}
	a.end(n, na)
	b.end(n, nb)
}

func TestTimeLimit_exhausted(t *testing.T) {
	clock := newFakeClock()
	n := newNet(t, napi.Config{Clock: clock})
	c := newCard(t, n)
	e := endless{delay: func() { clock.advance(900 * time.Microsecond) }}
	np := c.dev.AddNAPI(&e, 1)
	np.Enable()
	np.Schedule()
	n.SoftNet().DoSoftirq()
	// One packet a round trip through the list; the time counts from the end of
	// the first poll, and the poll after 2 ms ends it. A context that still has
	// work waits for the next round.
	if got := e.polls.Load(); got != 4 {
		t.Errorf("%d polls in 2 ms of 0.9 ms each", got)
	}
	if n.SoftNet().Stats().TimeSqueeze == 0 {
		t.Error("not counted")
	}
	e.end(n, np)
}

func TestStorm_othersProgress(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	run(t, n)
	var e endless
	np := c.dev.AddNAPI(&e, 0)
	np.Enable()
	np.Schedule()
	ticks := 0
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); ticks++ {
		np.Schedule()
		n.SoftNet().DoSoftirq()
		runtime.Gosched()
	}
	if ticks < 100 {
		t.Errorf("another goroutine ran %d times in 50 ms", ticks)
	}
	if e.polls.Load() < 100 {
		t.Errorf("ksoftirqd polled %d times", e.polls.Load())
	}
	e.end(n, np)
}

func TestSpurious_interrupts(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	n.SoftNet().DoSoftirq()
	if c.polls != 0 {
		t.Error("polled without an interrupt")
	}
	for range 100 {
		c.napi.Schedule()
		n.SoftNet().DoSoftirq()
	}
	if c.polls != 100 || n.SoftNet().Stats().Processed != 0 {
		t.Errorf("%d polls, %d packets", c.polls, n.SoftNet().Stats().Processed)
	}
}

func TestKsoftirqd_takesOver(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	in, out := make(chan struct{}), make(chan struct{})
	e := &endless{}
	e.delay = func() {
		if e.polls.Load() == 1 {
			close(in)
			<-out
		}
		e.quit.Store(e.polls.Load() > 50)
	}
	np := c.dev.AddNAPI(e, 0)
	np.Enable()
	var other endless
	no := c.dev.AddNAPI(&other, 0)
	no.Enable()
	other.quit.Store(true)
	run(t, n)
	np.Schedule() // from process context: nobody else would run it
	<-in
	no.Schedule()
	n.SoftNet().DoSoftirq() // ksoftirqd is at it: must return
	if e.polls.Load() != 1 || other.polls.Load() != 0 {
		t.Error("two goroutines run softirqs")
	}
	close(out)
	eventually(t, "ksoftirqd sees what came meanwhile", func() bool { return other.polls.Load() == 1 })
	no.Disable()
	eventually(t, "ksoftirqd finishes", func() bool { return e.polls.Load() == 51 })
	np.Disable()
}

func TestKsoftirqd_getsWhatTheInterruptLeft(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	run(t, n)
	var e endless
	np := c.dev.AddNAPI(&e, 0)
	np.Enable()
	n.SoftNet().IRQEnter()
	np.Schedule() // wakes nobody: the interrupt's end follows
	n.SoftNet().DoSoftirq()
	eventually(t, "ksoftirqd goes on", func() bool { return e.polls.Load() > 20 })
	e.end(n, np)
}

func TestIRQEnter_savesTheWakeup(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	n.SoftNet().IRQEnter()
	c.napi.Schedule()
	n.SoftNet().DoSoftirq()
	if s := n.SoftNet().Stats(); s.Wakeups != 0 || c.polls != 1 {
		t.Errorf("%d wake-ups, %d polls", s.Wakeups, c.polls)
	}
	c.napi.Schedule()
	if n.SoftNet().Stats().Wakeups != 1 {
		t.Error("raised from process context, ksoftirqd not woken")
	}
	n.SoftNet().DoSoftirq()
}

func TestDisable_whilePolled(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	run(t, n)
	for range 50 {
		var e endless
		np := c.dev.AddNAPI(&e, 0)
		np.Enable()
		np.Schedule()
		np.Disable()
		at := e.polls.Load()
		np.Schedule()
		runtime.Gosched()
		if e.polls.Load() != at {
			t.Fatal("polled after Disable")
		}
	}
}

func TestBacklog_overflow(t *testing.T) {
	n := newNet(t, napi.Config{MaxBacklog: 100})
	c := up(t, n)
	var got ids
	defer n.AddPack(testType, nil, got.handler)()
	loop := func(id byte) bool {
		b := c.frame(testType, id)
		napi.EthTypeTrans(b, c.dev)
		return n.NetifRx(b)
	}
	for i := range 100 {
		if !loop(byte(i)) {
			t.Fatalf("packet %d refused", i)
		}
	}
	if loop(100) || loop(101) {
		t.Error("taken beyond the limit")
	}
	s := n.SoftNet().Stats()
	if s.BacklogLen != 100 || s.Dropped != 2 || n.SKB().Drops(skb.CPUBacklog) != 2 || c.dev.GetStats().RxDropped != 2 {
		t.Errorf("%+v", s)
	}
	n.SoftNet().DoSoftirq()
	if len(got.l) != 100 || got.l[0] != 0 || got.l[99] != 99 {
		t.Errorf("%d packets", len(got.l))
	}
	if s := n.SoftNet().Stats(); s.BacklogLen != 0 || s.Processed != 100 {
		t.Errorf("%+v", s)
	}
	if !loop(0) {
		t.Error("refused though there is room again")
	}
	c.dev.Close()
	if n.SoftNet().Stats().BacklogLen != 0 || loop(1) {
		t.Error("packets of a closed device on the backlog")
	}
	if n.SKB().Drops(skb.DevReady) != 2 {
		t.Errorf("%d drops", n.SKB().Drops(skb.DevReady))
	}
	b := c.frame(testType, 0) // of no device
	if n.NetifRx(b) {
		t.Error("took a packet without a device")
	}
}

func TestNew_badBacklog(t *testing.T) {
	if _, err := napi.New(napi.Config{MaxBacklog: -1}); err == nil {
		t.Error("accepted")
	}
	if _, err := napi.New(napi.Config{Pages: skb.PageConfig{PageSize: 3}}); err == nil {
		t.Error("accepted")
	}
}

func TestBacklog_concurrent(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	run(t, n)
	var got ids
	defer n.AddPack(testType, nil, got.handler)()
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 2000 {
				b := c.frame(testType, 1)
				napi.EthTypeTrans(b, c.dev)
				if n.NetifRx(b) {
					taken.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "all taken packets arrive", func() bool { return int64(got.len()) == taken.Load() })
	if taken.Load()+int64(n.SoftNet().Stats().Dropped) != 8000 {
		t.Errorf("%d taken, %d dropped", taken.Load(), n.SoftNet().Stats().Dropped)
	}
}
