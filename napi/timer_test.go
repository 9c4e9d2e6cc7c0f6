package napi_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
)

const ms = int64(time.Millisecond)

// timed is a timer that notes when it went off.
type timed struct {
	napi.Timer
	id    int
	fired []int64
	again int64 // set anew by this much from inside
}

// bench is a wheel on a clock that stands still.
type bench struct {
	t     testing.TB
	net   *napi.Net
	clock *fakeClock
}

func newBench(t testing.TB) *bench {
	c := newFakeClock()
	return &bench{t, newNet(t, napi.Config{Clock: c}), c}
}

func (b *bench) timer(id int) *timed {
	t := &timed{id: id}
	t.Init(b.net.Timers(), func(x *napi.Timer) {
		t.fired = append(t.fired, b.clock.Now())
		if t.again != 0 {
			x.Mod(b.clock.Now() + t.again)
		}
	})
	return t
}

// pass lets time pass, running softirqs as the alarm asks for them.
func (b *bench) pass(d time.Duration) {
	end := b.clock.Now() + int64(d)
	for {
		b.net.SoftNet().DoSoftirq()
		at := b.clock.next()
		if at == 0 || at > end {
			break
		}
		b.clock.advance(time.Duration(at - b.clock.Now()))
	}
	b.clock.advance(time.Duration(end - b.clock.Now()))
	b.net.SoftNet().DoSoftirq()
}

// slack is how late a timer set d ahead may be: the span of its bucket and the
// rest of a tick. Both ends are rounded to ticks, hence the 2.
func slack(d int64) int64 {
	span := ms
	for ticks, lim := d/ms+2, int64(63); ticks >= lim && lim < 63<<24; lim <<= 3 {
		span <<= 3
	}
	return span
}

func TestTimer_goesOffInTime(t *testing.T) {
	b := newBench(t)
	for _, d := range []int64{0, 1, ms / 2, ms, 5 * ms, 62 * ms, 63 * ms, 64 * ms, 100*ms + 1, 504 * ms, 1000 * ms, 4032 * ms, 60_000 * ms, 3600_000 * ms, 86400_000 * ms} {
		x := b.timer(0)
		b.pass(time.Duration(rand.Int64N(20 * ms)))
		at := b.clock.Now() + d
		if x.Mod(at) || !x.Pending() || x.Expires() != at {
			t.Fatalf("%v: not set", time.Duration(d))
		}
		b.pass(time.Duration(d + slack(d)))
		if len(x.fired) != 1 || x.Pending() {
			t.Fatalf("%v: went off %d times", time.Duration(d), len(x.fired))
		}
		if late := x.fired[0] - at; late < 0 || late > slack(d) {
			t.Errorf("%v: %v late", time.Duration(d), time.Duration(late))
		}
	}
	if b.clock.next() != 0 {
		t.Error("the alarm is set with no timer pending")
	}
}

func TestTimer_pastAndFarFuture(t *testing.T) {
	b := newBench(t)
	x, y := b.timer(0), b.timer(1)
	x.Mod(-1 << 63)
	y.Mod(1<<63 - 1)
	b.pass(0)
	if len(x.fired) != 1 {
		t.Error("a timer in the past did not go off at once")
	}
	b.pass(24 * time.Hour)
	if len(y.fired) != 0 || !y.Pending() || !y.Del() {
		t.Error("the end of time came early")
	}
}

func TestTimer_modAndDel(t *testing.T) {
	b := newBench(t)
	x := b.timer(0)
	if x.Del() || x.Pending() {
		t.Error("pending before it was set")
	}
	now := b.clock.Now()
	x.Mod(now + 10*ms)
	if !x.Mod(now + 30*ms) {
		t.Error("was not pending")
	}
	b.pass(20 * time.Millisecond)
	if len(x.fired) != 0 {
		t.Error("went off at the old time")
	}
	if !x.Mod(now + 25*ms) {
		t.Error("was not pending")
	}
	b.pass(6 * time.Millisecond)
	if len(x.fired) != 1 {
		t.Error("did not go off at the new time")
	}
	x.Mod(b.clock.Now() + 5*ms)
	if !x.Del() || x.Del() || x.Pending() {
		t.Error("not deleted")
	}
	b.pass(time.Second)
	if len(x.fired) != 1 {
		t.Error("went off after Del")
	}
}

func TestTimer_periodic(t *testing.T) {
	b := newBench(t)
	x := b.timer(0)
	x.again = 10 * ms
	x.Mod(b.clock.Now() + 10*ms)
	b.pass(time.Second)
	if n := len(x.fired); n < 95 || n > 100 {
		t.Errorf("%d times in 1 s", n)
	}
	x.again = 0
	b.pass(time.Second)
}

func TestTimer_delFromAnother(t *testing.T) {
	// Both are due in the same run; the first takes the second back.
	b := newBench(t)
	y := b.timer(1)
	deleted := false
	var x napi.Timer
	x.Init(b.net.Timers(), func(*napi.Timer) { deleted = y.Del() })
	at := b.clock.Now() + 10*ms
	x.Mod(at)
	y.Mod(at)
	b.pass(time.Second)
	if !deleted || len(y.fired) != 0 {
		t.Errorf("deleted %v, went off %d times", deleted, len(y.fired))
	}
}

func TestTimer_longSleepThenShort(t *testing.T) {
	// The wheel's hand stood still for a day: a short timer is still exact.
	b := newBench(t)
	far := b.timer(0)
	far.Mod(b.clock.Now() + int64(48*time.Hour))
	b.clock.advance(24 * time.Hour)
	x := b.timer(1)
	at := b.clock.Now() + 7*ms
	x.Mod(at)
	b.pass(10 * time.Millisecond)
	if len(x.fired) != 1 || x.fired[0]-at > ms {
		t.Errorf("went off at %v", x.fired)
	}
	far.Del()
}

// FuzzTimers compares the wheel with the plainest timers there are: a map of
// times.
func FuzzTimers(f *testing.F) {
	f.Add(uint64(1), uint16(200))
	f.Add(uint64(77), uint16(2000))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) { timersAgainstMap(t, seed, int(steps%3000)) })
}

func TestTimers_againstMap(t *testing.T) {
	for seed := range uint64(60) {
		timersAgainstMap(t, seed, 600)
	}
}

func timersAgainstMap(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t)
	type want struct{ at, from int64 }
	model := map[int]want{}
	timers := make([]*timed, 40)
	for i := range timers {
		timers[i] = b.timer(i)
	}
	distance := func() int64 { return r.Int64N(int64(1) << (16 + r.IntN(28))) }
	for step := range steps {
		i := r.IntN(len(timers))
		x := timers[i]
		switch r.IntN(4) {
		case 0, 1:
			d := distance()
			now := b.clock.Now()
			_, was := model[i]
			if x.Mod(now+d) != was {
				t.Fatalf("seed %d step %d: Mod says pending %v", seed, step, !was)
			}
			model[i] = want{now + d, now}
		case 2:
			_, was := model[i]
			if x.Del() != was {
				t.Fatalf("seed %d step %d: Del says pending %v", seed, step, !was)
			}
			delete(model, i)
		default:
			b.pass(time.Duration(distance()))
		}
		now := b.clock.Now()
		for i, x := range timers {
			w, pending := model[i]
			if len(x.fired) > 0 {
				late := x.fired[0] - w.at
				if !pending || len(x.fired) > 1 || late < 0 || late > slack(w.at-w.from) {
					t.Fatalf("seed %d step %d: timer %d set %v ahead went off %d times, %v late (pending %v)", seed, step, i, time.Duration(w.at-w.from), len(x.fired), time.Duration(late), pending)
				}
				delete(model, i)
				x.fired = nil
			} else if pending && now > w.at+slack(w.at-w.from) {
				t.Fatalf("seed %d step %d: timer %d set %v ahead is overdue by %v", seed, step, i, time.Duration(w.at-w.from), time.Duration(now-w.at))
			}
			_, pending = model[i]
			if x.Pending() != pending {
				t.Fatalf("seed %d step %d: timer %d pending %v", seed, step, i, x.Pending())
			}
		}
	}
	for _, x := range timers {
		x.Del()
	}
}

func TestTimers_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t, napi.Config{})
		run(t, n)
		start := time.Now()
		var at time.Duration
		done := make(chan struct{})
		var x napi.Timer
		x.Init(n.Timers(), func(*napi.Timer) { at = time.Since(start); close(done) })
		x.Mod(n.Clock().Now() + int64(time.Hour))
		<-done
		if at < time.Hour || at > time.Hour+time.Hour/8 {
			t.Errorf("went off after %v", at)
		}
	})
}

func TestTimers_concurrent(t *testing.T) {
	n := newNet(t, napi.Config{})
	run(t, n)
	var fired atomic.Int64
	var wg sync.WaitGroup
	timers := make([]napi.Timer, 32)
	for i := range timers {
		timers[i].Init(n.Timers(), func(x *napi.Timer) {
			if fired.Add(1)%3 == 0 {
				x.Mod(n.Clock().Now() + ms)
			}
		})
	}
	for g := range uint64(4) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(g, 0))
			for range 3000 {
				x := &timers[r.IntN(len(timers))]
				switch r.IntN(3) {
				case 0:
					x.Del()
				case 1:
					x.Pending()
				default:
					x.Mod(n.Clock().Now() + r.Int64N(3*ms))
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "timers go off", func() bool { return fired.Load() > 0 })
	eventually(t, "all timers go off", func() bool {
		for i := range timers {
			if timers[i].Pending() {
				return false
			}
		}
		return true
	})
}
