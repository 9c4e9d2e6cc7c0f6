package netfilter

import (
	"slices"
	"syscall"
	"testing"

	"barewire/skb"
	"barewire/skb/skbtest"
)

func newBuff(t testing.TB, c *skb.Cache) *skb.Buff {
	b := c.Alloc(100)
	if b == nil {
		t.Fatal("Alloc")
	}
	return b
}

func TestRun_none_accepts(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	b := newBuff(t, c)
	if !h.Empty(LocalIn) || !h.Run(LocalIn, b, nil, nil, nil) {
		t.Error("an empty hook point did not accept")
	}
	b.Consume()
}

func TestRun_priorities_inOrder(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	var order []int
	add := func(id, pri int) func() {
		return h.Register(Forward, pri, func(*skb.Buff, *State) Verdict {
			order = append(order, id)
			return Accept
		})
	}
	add(3, PriFilter)
	add(1, PriConntrack)
	remove := add(4, PriFilter)
	add(2, PriMangle)
	add(5, PriLast)
	b := newBuff(t, c)
	run := func(want ...int) {
		t.Helper()
		order = nil
		if !h.Run(Forward, b, nil, nil, nil) {
			t.Fatal("not accepted")
		}
		if len(order) != len(want) {
			t.Fatalf("ran %v, want %v", order, want)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("ran %v, want %v", order, want)
			}
		}
	}
	run(1, 2, 3, 4, 5)
	remove()
	remove()
	run(1, 2, 3, 5)
	if !h.Empty(PreRouting) {
		t.Error("hooks leaked to another point")
	}
	b.Consume()
}

func TestRun_verdicts_endTheWalk(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	for _, v := range []Verdict{Drop, Stolen, Queue, Verdict(99)} {
		var h Hooks
		var stolen *skb.Buff
		h.Register(LocalOut, 0, func(b *skb.Buff, _ *State) Verdict {
			if v == Stolen {
				stolen = b
			}
			return v
		})
		h.Register(LocalOut, 1, func(*skb.Buff, *State) Verdict {
			t.Errorf("verdict %d: the next hook ran", v)
			return Accept
		})
		before := c.Drops(skb.NetfilterDrop)
		if h.Run(LocalOut, newBuff(t, c), nil, nil, nil) {
			t.Errorf("verdict %d: went on", v)
		}
		dropped := c.Drops(skb.NetfilterDrop) - before
		if v == Stolen {
			stolen.Consume()
			if dropped != 0 {
				t.Error("a stolen packet was dropped")
			}
		} else if dropped != 1 {
			t.Errorf("verdict %d: %d packets dropped, want 1", v, dropped)
		}
	}
}

func TestRun_queue_handlerTakesOver(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	h.Register(LocalIn, 0, func(*skb.Buff, *State) Verdict { return Queue })
	var got *skb.Buff
	full := false
	if err := h.SetQueueHandler(func(b *skb.Buff, s State, _ Place, _ Verdict) bool {
		if s.Point != LocalIn || full {
			return false
		}
		got = b
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.SetQueueHandler(func(*skb.Buff, State, Place, Verdict) bool { return false }); err != syscall.EBUSY {
		t.Errorf("second handler: %v", err)
	}
	b := newBuff(t, c)
	if h.Run(LocalIn, b, nil, nil, nil) || got != b {
		t.Error("the handler did not get the packet")
	}
	got.Consume()
	full = true
	h.Run(LocalIn, newBuff(t, c), nil, nil, nil)
	if c.Drops(skb.NetfilterDrop) != 1 {
		t.Error("a packet the handler refused was not dropped")
	}
	h.SetQueueHandler(nil)
}

func TestReinject_goesOnBehindTheHook(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	var order []int
	var finished *skb.Buff
	h.SetFinish(func(b *skb.Buff, s State) { finished = b })
	add := func(id, pri int, v Verdict) {
		h.Register(PostRouting, pri, func(*skb.Buff, *State) Verdict {
			order = append(order, id)
			return v
		})
	}
	add(1, 0, Accept)
	add(2, 0, QueueTo(7, false))
	add(3, 0, Accept)
	add(4, 5, Accept)
	var at Place
	h.SetQueueHandler(func(_ *skb.Buff, _ State, p Place, v Verdict) bool {
		if v.QueueNum() != 7 {
			t.Errorf("queue %d, want 7", v.QueueNum())
		}
		at = p
		return true
	})
	for _, tc := range []struct {
		v    Verdict
		want []int
		end  bool
	}{
		{Accept, []int{1, 2, 3, 4}, true},
		{Repeat, []int{1, 2, 2}, false}, // and is queued again
		{Drop, []int{1, 2}, false},
	} {
		b := newBuff(t, c)
		order, finished = nil, nil
		if h.Run(PostRouting, b, nil, nil, nil) {
			t.Fatal("not queued")
		}
		drops := c.Drops(skb.NetfilterDrop)
		h.Reinject(b, State{Point: PostRouting}, at, tc.v)
		if !slices.Equal(order, tc.want) || (finished == b) != tc.end {
			t.Errorf("verdict %d: ran %v, end %v; want %v, %v", tc.v, order, finished == b, tc.want, tc.end)
		}
		if tc.v != Drop {
			b.Consume()
		} else if c.Drops(skb.NetfilterDrop) != drops+1 {
			t.Error("not dropped")
		}
	}
}

func TestRun_queueWithoutHandler_bypass(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	h.Register(LocalIn, 0, func(*skb.Buff, *State) Verdict { return QueueTo(1, true) })
	b := newBuff(t, c)
	if !h.Run(LocalIn, b, nil, nil, nil) {
		t.Fatal("a queue nobody listens to did not let the packet through")
	}
	b.Consume()
}

func TestRun_repeat_againButNotForEver(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	n, limit := 0, 3
	h.Register(LocalIn, 0, func(*skb.Buff, *State) Verdict {
		if n++; n < limit {
			return Repeat
		}
		return Accept
	})
	b := newBuff(t, c)
	if !h.Run(LocalIn, b, nil, nil, nil) || n != 3 {
		t.Errorf("called %d times, want 3", n)
	}
	n, limit = 0, 1000
	if h.Run(LocalIn, b, nil, nil, nil) || h.RepeatLimit() != 1 || n > 100 {
		t.Errorf("called %d times without end", n)
	}
}

func TestRun_perPacket_noAllocation(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	h.Register(LocalIn, 0, func(*skb.Buff, *State) Verdict { return Accept })
	h.Register(LocalIn, 0, func(*skb.Buff, *State) Verdict { return Accept })
	b := newBuff(t, c)
	for _, p := range []Point{LocalIn, Forward} {
		if n := testing.AllocsPerRun(100, func() { h.Run(p, b, nil, nil, nil) }); n != 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
	b.Consume()
}

func BenchmarkRunEmpty(b *testing.B) {
	c := skbtest.New(b, skb.PageConfig{})
	var h Hooks
	p := newBuff(b, c)
	for b.Loop() {
		h.Run(PreRouting, p, nil, nil, nil)
	}
	p.Consume()
}

func BenchmarkRunTwo(b *testing.B) {
	c := skbtest.New(b, skb.PageConfig{})
	var h Hooks
	for range 2 {
		h.Register(PreRouting, 0, func(*skb.Buff, *State) Verdict { return Accept })
	}
	p := newBuff(b, c)
	b.ReportAllocs()
	for b.Loop() {
		h.Run(PreRouting, p, nil, nil, nil)
	}
	p.Consume()
}

// device is a device by its address alone.
type device struct{ skb.Device }

func TestIngress_usedAndPerDevice(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var h Hooks
	var told []bool
	h.OnIngress(func(used bool) { told = append(told, used) })
	a, other := &device{}, &device{new(device)}
	drop := h.RegisterIngress(a, PriFilter, func(*skb.Buff, *State) Verdict { return Drop })
	seen := 0
	count := h.Register(Ingress, PriFirst, func(_ *skb.Buff, s *State) Verdict {
		if seen++; s.Point != Ingress || s.Point.String() != "INGRESS" {
			t.Errorf("point %v", s.Point)
		}
		return Accept
	})
	if h.Run(Ingress, newBuff(t, c), a, nil, nil) {
		t.Error("not dropped")
	}
	b := newBuff(t, c)
	if !h.Run(Ingress, b, other, nil, nil) {
		t.Error("dropped another device's packet")
	}
	drop()
	if !h.Run(Ingress, b, a, nil, nil) || seen != 3 {
		t.Errorf("seen %d", seen)
	}
	h.SetQueueHandler(func(*skb.Buff, State, Place, Verdict) bool { t.Error("queued"); return true })
	queue := h.Register(Ingress, PriLast, func(*skb.Buff, *State) Verdict { return Queue })
	if h.Run(Ingress, b, a, nil, nil) {
		t.Error("a queue took a packet")
	}
	queue()
	count()
	count()
	if !slices.Equal(told, []bool{true, false}) || !h.Empty(Ingress) {
		t.Errorf("told %v", told)
	}
}
