package napi_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"barewire/napi"
)

const pause = 20 * time.Microsecond

// interruptible reports whether the card may interrupt.
func (c *card) interruptible() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.masked
}

// moderated makes a card on a clock that stands still.
func moderated(t *testing.T) (*fakeClock, *napi.Net, *card, *ids) {
	clock := newFakeClock()
	n := newNet(t, napi.Config{Clock: clock})
	c := up(t, n)
	var got ids
	n.AddPack(testType, nil, got.handler)
	return clock, n, c, &got
}

func TestModeration_isOff(t *testing.T) {
	clock, n, c, got := moderated(t)
	c.arrive(c.frame(testType, 1))
	n.SoftNet().DoSoftirq()
	if got.len() != 1 || !c.interruptible() || clock.next() != 0 || c.napi.Polls.Deferred.Load() != 0 {
		t.Errorf("%d packets, interrupts on: %v, timer at %d", got.len(), c.interruptible(), clock.next())
	}
}

// napi_defer_hard_irqs: the timer polls that many times in vain before
// interrupts are on; a packet among them starts the count again.
func TestDefer_timerPollsInsteadOfInterrupts(t *testing.T) {
	clock, n, c, got := moderated(t)
	if err := errors.Join(c.dev.SetDeferHardIRQs(2), c.dev.SetGROFlushTimeout(pause)); err != nil {
		t.Fatal(err)
	}
	c.arrive(c.frame(testType, 1))
	n.SoftNet().DoSoftirq()
	if got.len() != 1 || c.interruptible() {
		t.Fatalf("%d packets, interrupts on: %v", got.len(), c.interruptible())
	}
	c.arrive(c.frame(testType, 2)) // no interrupt
	if n.SoftNet().DoSoftirq(); got.len() != 1 {
		t.Fatal("polled before the timer")
	}
	if clock.advance(pause); got.len() != 2 || c.interruptible() {
		t.Fatalf("%d packets after the timer, interrupts on: %v", got.len(), c.interruptible())
	}
	polls := c.polls
	if clock.advance(pause); c.polls != polls+1 || c.interruptible() {
		t.Fatalf("%d polls in vain, interrupts on: %v; want one and off", c.polls-polls, c.interruptible())
	}
	if clock.advance(pause); c.polls != polls+2 || !c.interruptible() {
		t.Fatalf("%d polls in vain, interrupts on: %v; want two and on", c.polls-polls, c.interruptible())
	}
	if clock.next() != 0 {
		t.Error("the timer goes on")
	}
}

// rx-usecs in software: a poll with packets is followed by a pause, one without
// switches interrupts on.
func TestPollPause_followsPacketsOnly(t *testing.T) {
	clock, n, c, got := moderated(t)
	c.dev.SetPollPause(pause)
	for i := range byte(3) {
		c.arrive(c.frame(testType, i))
		if i == 0 {
			n.SoftNet().DoSoftirq() // of the interrupt
		} else {
			clock.advance(pause)
		}
		if got.len() != int(i)+1 || c.interruptible() {
			t.Fatalf("%d packets, interrupts on: %v", got.len(), c.interruptible())
		}
	}
	if clock.advance(pause); !c.interruptible() || clock.next() != 0 {
		t.Errorf("interrupts on: %v, timer at %d", c.interruptible(), clock.next())
	}
	if d := c.napi.Polls.Deferred.Load(); d != 3 {
		t.Errorf("%d polls deferred, want 3", d)
	}
}

// A device that is closed while its timer runs is not polled.
func TestDefer_closedMeanwhile(t *testing.T) {
	clock, n, c, _ := moderated(t)
	c.dev.SetPollPause(pause)
	c.arrive(c.frame(testType, 1))
	n.SoftNet().DoSoftirq()
	c.dev.Close()
	polls := c.polls
	if clock.advance(2 * pause); c.polls != polls {
		t.Errorf("%d polls of a closed device", c.polls-polls)
	}
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	c.arrive(c.frame(testType, 2))
	n.SoftNet().DoSoftirq()
	if clock.advance(pause); c.polls != polls+2 || !c.interruptible() {
		t.Errorf("%d polls after it was opened again, interrupts on: %v", c.polls-polls, c.interruptible())
	}
}

func TestDefer_settingsOutOfRange(t *testing.T) {
	_, _, c, _ := moderated(t)
	for _, v := range []int64{-1, 1 << 31} {
		if err := c.dev.SetDeferHardIRQs(v); !errors.Is(err, syscall.ERANGE) {
			t.Errorf("napi_defer_hard_irqs %d: %v", v, err)
		}
	}
	if err := c.dev.SetGROFlushTimeout(-1); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("gro_flush_timeout -1: %v", err)
	}
}

func TestPolls_sizes(t *testing.T) {
	_, n, c, _ := moderated(t)
	for _, k := range []int{1, 3, 70} {
		for i := range k {
			c.arrive(c.frame(testType, byte(i)))
		}
		n.SoftNet().DoSoftirq()
	}
	want := map[string]uint64{"1": 1, "2_3": 1, "4_7": 1, "64": 1} // 70 are 64 and 6
	for i, name := range napi.PollSizeNames {
		if got := c.napi.Polls.Sizes[i].Load(); got != want[name] {
			t.Errorf("%d polls of %s packets, want %d", got, name, want[name])
		}
	}
	if n := c.napi.Polls.Count.Load(); n != 4 {
		t.Errorf("%d polls, want 4", n)
	}
}

// A reader gets packets without an interrupt, which is on again when it is
// done.
func TestBusyLoop_pollsWithoutInterrupts(t *testing.T) {
	_, n, c, got := moderated(t)
	rounds := 0
	n.BusyLoop(c.napi.ID(), napi.BusyPoll{Done: func() bool {
		if rounds++; rounds == 1 && c.interruptible() {
			t.Error("interrupts are on while a reader polls")
		}
		if rounds < 5 {
			c.arrive(c.frame(testType, byte(rounds)))
		}
		return got.len() >= 4
	}})
	if got.len() != 4 || !c.interruptible() {
		t.Errorf("%d packets, interrupts on: %v", got.len(), c.interruptible())
	}
	c.arrive(c.frame(testType, 9))
	if n.SoftNet().DoSoftirq(); got.len() != 5 {
		t.Error("the interrupt after it brings nothing")
	}
	if c.napi.Polls.Busy.Load() == 0 {
		t.Error("no busy poll is counted")
	}
}

// What a reader leaves because its budget is small is softirq's.
func TestBusyLoop_leavesTheRestToSoftirq(t *testing.T) {
	_, n, c, got := moderated(t)
	run(t, n)
	for i := range 50 {
		c.mu.Lock()
		c.rx.PushBack(c.frame(testType, byte(i)))
		c.mu.Unlock()
	}
	n.BusyLoop(c.napi.ID(), napi.BusyPoll{Budget: 2})
	eventually(t, "all packets", func() bool { return got.len() == 50 })
	eventually(t, "interrupts", c.interruptible)
}

// With a preference interrupts stay off after the loop, until the timer finds
// nothing.
func TestBusyLoop_prefer(t *testing.T) {
	clock, n, c, got := moderated(t)
	if err := errors.Join(c.dev.SetDeferHardIRQs(1), c.dev.SetGROFlushTimeout(pause)); err != nil {
		t.Fatal(err)
	}
	n.BusyLoop(c.napi.ID(), napi.BusyPoll{Prefer: true})
	if c.interruptible() {
		t.Fatal("interrupts are on")
	}
	c.arrive(c.frame(testType, 1))
	n.BusyLoop(c.napi.ID(), napi.BusyPoll{Prefer: true})
	if got.len() != 1 || c.interruptible() {
		t.Errorf("%d packets, interrupts on: %v", got.len(), c.interruptible())
	}
	clock.advance(pause)
	if clock.advance(pause); !c.interruptible() {
		t.Error("interrupts stay off though nobody polls")
	}
}

func TestBusyLoop_nobodyOfThatNumber(t *testing.T) {
	_, n, c, _ := moderated(t)
	id := c.napi.ID()
	never := napi.BusyPoll{Done: func() bool { t.Error("asked"); return true }}
	n.BusyLoop(0, never)
	n.BusyLoop(id+1, never)
	c.dev.Close()
	n.BusyLoop(id, never)
	if err := c.dev.Open(); err != nil || c.napi.ID() != id {
		t.Errorf("number %d after it was opened again, was %d; %v", c.napi.ID(), id, err)
	}
}

// One reader polls, another goes on; closing the device ends it; packets arrive
// once and in order whoever polls.
func TestBusyLoop_concurrent(t *testing.T) {
	n := newNet(t, napi.Config{})
	run(t, n)
	c := up(t, n)
	var got ids
	n.AddPack(testType, nil, got.handler)
	var stop atomic.Bool
	done := make(chan bool)
	for range 3 {
		go func() {
			for !stop.Load() {
				n.BusyLoop(c.napi.ID(), napi.BusyPoll{Done: func() bool { return stop.Load() || got.len()%7 == 6 }})
				time.Sleep(10 * time.Microsecond)
			}
			done <- true
		}()
	}
	const packets = 2000
	for i := range packets {
		c.arrive(c.frame(testType, byte(i)))
		if i%64 == 0 {
			n.SoftNet().DoSoftirq()
			time.Sleep(10 * time.Microsecond)
		}
	}
	eventually(t, "all packets", func() bool { return got.len() == packets })
	c.dev.Close() // returns, though readers poll
	stop.Store(true)
	for range 3 {
		<-done
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	for i, id := range got.l {
		if id != byte(i) {
			t.Fatalf("packet %d is number %d", i, id)
		}
	}
}
