package hosted_test

import (
	"slices"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/napi"
)

// Two goroutines that sleep different times meet in the order of the clock, and
// a day passes at once.
func TestVirtualClock_sleepers_wakeInOrder(t *testing.T) {
	c := hosted.NewVirtualClock()
	begin := c.Now()
	var got []time.Duration
	step := func(d time.Duration) {
		c.Sleep(d)
		got = append(got, time.Duration(c.Now()-begin)) // one runs at a time
	}
	err := c.Run(func() {
		c.Go(func() { step(2 * time.Hour); step(22 * time.Hour) })
		step(time.Hour)
		step(2 * time.Hour)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !slices.Equal(got, want) {
		t.Errorf("woke at %v, want %v", got, want)
	}
	c.Advance(21 * time.Hour)
	if want := 24 * time.Hour; got[len(got)-1] != want {
		t.Errorf("then at %v, want %v", got[3:], want)
	}
}

func TestVirtualClock_wakeUps_countedOnce(t *testing.T) {
	c := hosted.NewVirtualClock()
	ping, pong := napi.NewParker(c), napi.NewParker(c)
	const n = 10000
	turns := 0
	err := c.Run(func() {
		c.Go(func() {
			for range n {
				ping.Park()
				turns++
				pong.Unpark()
			}
		})
		for range n {
			ping.Unpark()
			pong.Park()
		}
	})
	if err != nil || turns != n {
		t.Errorf("%d turns, %v", turns, err)
	}
}

func TestVirtualClock_nobodyWakes_deadlock(t *testing.T) {
	c := hosted.NewVirtualClock()
	p := napi.NewParker(c)
	if err := c.Run(p.Park); err != hosted.ErrDeadlock {
		t.Errorf("%v, want %v", err, hosted.ErrDeadlock)
	}
	if err := c.Run(p.Unpark); err != nil { // it goes on, and ends
		t.Error(err)
	}
}

func TestVirtualClock_alarms_stopAndReset(t *testing.T) {
	c := hosted.NewVirtualClock()
	var fired []string
	set := func(name string, d time.Duration) napi.Alarm {
		return c.AfterFunc(d, func() { fired = append(fired, name) })
	}
	a, b := set("a", 3*time.Second), set("b", 2*time.Second)
	set("c", 2*time.Second)
	set("far", 1<<62)
	if !b.Stop() || b.Stop() {
		t.Error("b was pending once")
	}
	if !a.(interface{ Reset(time.Duration) bool }).Reset(time.Second) {
		t.Error("a was pending")
	}
	c.Advance(time.Hour)
	if want := []string{"a", "c"}; !slices.Equal(fired, want) {
		t.Errorf("%v went off, want %v", fired, want)
	}
	if a.Stop() {
		t.Error("a had gone off")
	}
}

func TestVirtualClock_idleWork_beforeTimePasses(t *testing.T) {
	c := hosted.NewVirtualClock()
	p, pending := napi.NewParker(c), false
	c.AtIdle(func() bool {
		was := pending
		if pending = false; was {
			p.Unpark()
		}
		return was
	})
	begin := c.Now()
	err := c.Run(func() {
		pending = true
		p.ParkUntil(begin + 1e9)
	})
	if err != nil || c.Now() != begin {
		t.Errorf("%v, %d ns passed", err, c.Now()-begin)
	}
}
