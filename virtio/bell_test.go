package virtio_test

import (
	"testing"

	"barewire/virtio"
)

// scheduler is a clock that stands still and the time of the next turn.
type scheduler struct{ now, turn int64 }

const ms = 1_000_000

// belled is a ring and its bell, which has just rung.
func belled(t *testing.T) (*ring, *virtio.Bells, *virtio.Bell, *scheduler) {
	r := newRing(t, 64, 0, virtio.FeatEventIdx)
	s := &scheduler{now: 1000 * ms}
	set := virtio.NewBells(virtio.Pauses{Now: func() int64 { return s.now }, TurnBy: func(at int64) { s.turn = at }})
	b := set.Bell(r.Queue)
	b.Ring(true, 1)
	if n := r.dev.Notified.Load(); n != 1 {
		t.Fatalf("%d notifications after a long silence, want 1", n)
	}
	return r, set, b, s
}

func TestBell_manyBuffersAtOnce_fewNotifications(t *testing.T) {
	r, _, b, s := belled(t)
	for range 64 {
		b.Ring(true, 1)
		s.now += 1000
	}
	if n := r.dev.Notified.Load(); n != 1+4 {
		t.Errorf("%d notifications of 65 buffers, want 5", n)
	}
}

func TestBell_idle_notifiesOnce(t *testing.T) {
	r, set, b, _ := belled(t)
	b.Ring(true, 1)
	b.Ring(false, 2)
	if n := r.dev.Notified.Load(); n != 1 {
		t.Fatalf("%d notifications before the processor was idle, want 1", n)
	}
	set.Idle()
	set.Idle()
	if n := r.dev.Notified.Load(); n != 2 {
		t.Errorf("%d notifications, want 2", n)
	}
}

func TestBell_goroutineComputes_timerNotifies(t *testing.T) {
	r, set, b, s := belled(t)
	b.Ring(true, 1)
	if s.turn != 0 {
		t.Fatal("a timer was set where nobody had waited for too long")
	}
	set.Turn()
	if n := r.dev.Notified.Load(); n != 1 {
		t.Fatalf("%d notifications before the time, want 1", n)
	}
	s.now += 10 * ms // the end of its time slice
	set.Turn()
	if n := r.dev.Notified.Load(); n != 2 {
		t.Fatalf("%d notifications, want 2", n)
	}
	for i := range int64(3) { // it goes on like that
		b.Ring(true, 1)
		if s.turn <= s.now || s.turn > s.now+ms {
			t.Fatalf("a turn was asked for in %d ns", s.turn-s.now)
		}
		s.now = s.turn
		set.Turn()
		if n := int64(r.dev.Notified.Load()); n != 3+i {
			t.Errorf("%d notifications, want %d", n, 3+i)
		}
	}
	b.Ring(true, 1)
	set.Idle() // and ends
	s.turn = 0
	b.Ring(true, 1)
	if s.turn != 0 {
		t.Error("a timer was set after a notification that waited for none")
	}
}

func TestBell_deviceLooksAnyway_nothingHeld(t *testing.T) {
	r, set, b, s := belled(t)
	b.Ring(false, 1)
	set.Idle()
	if n := r.dev.Notified.Load(); n != 1 || s.turn != 0 {
		t.Errorf("%d notifications, a turn at %d", n, s.turn)
	}
}

func TestBell_quietSender_atOnce(t *testing.T) {
	r, _, b, s := belled(t)
	for i := range int64(5) {
		s.now += ms
		b.Ring(true, 1)
		if n := int64(r.dev.Notified.Load()); n != 2+i {
			t.Fatalf("%d notifications, want %d", n, 2+i)
		}
	}
}

func TestBell_noSet_ringsAtOnce(t *testing.T) {
	r := newRing(t, 64, 0, 0)
	b := (*virtio.Bells)(nil).Bell(r.Queue)
	b.Ring(true, 1)
	b.Ring(false, 1)
	b.Ring(true, 1)
	b.Flush()
	if n := r.dev.Notified.Load(); n != 2 {
		t.Errorf("%d notifications, want 2", n)
	}
}

func TestBell_hotPath_allocatesNothing(t *testing.T) {
	_, set, b, s := belled(t)
	if n := testing.AllocsPerRun(100, func() {
		b.Ring(true, 1)
		s.now += 1000
		set.Turn()
		set.Idle()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
