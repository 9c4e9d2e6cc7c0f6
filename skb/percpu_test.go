package skb

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func newStores(t testing.TB, pages, cpus int, cpu func() int) *Cache {
	t.Helper()
	pp, err := NewPagePool(PageConfig{MaxPages: pages})
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(pp)
	c.PerCPU(cpus, cpu)
	return c
}

// What the stores hold is not lost to others at the limit.
func TestPerCPU_limit_reachedWhateverStoresHold(t *testing.T) {
	at := 0
	c := newStores(t, 300, 4, func() int { return at })
	for round := range 8 {
		var l List
		for l.Len() < 300 {
			at = rand.IntN(4)
			b := c.Alloc(100)
			if b == nil {
				t.Fatalf("round %d: %d of 300 packets", round, l.Len())
			}
			l.PushBack(b)
		}
		if c.Alloc(1) != nil || c.Pool().Alloc() != nil || c.Alloc(5000) != nil {
			t.Fatal("more than the limit")
		}
		if n, p := c.InUse(), c.Pool().InUse(); n != 300 || p != 300 {
			t.Fatalf("%d packets, %d pages in use", n, p)
		}
		for b := l.PopFront(); b != nil; b = l.PopFront() {
			at = rand.IntN(4)
			b.Consume()
		}
		if n, p := c.InUse(), c.Pool().InUse(); n != 0 || p != 0 {
			t.Fatalf("%d packets, %d pages left", n, p)
		}
		if b := c.Alloc(299 * 4096); b == nil { // worth what the stores hold
			t.Fatal("no large packet")
		} else {
			b.Consume()
		}
	}
	s := c.Pool().Stats()
	if s.Total > 300 || s.Alloc != s.Recycle || c.Consumed() != 8*301 {
		t.Errorf("%+v, %d consumed", s, c.Consumed())
	}
}

func TestPerCPU_everyWayAtOnce_nothingLost(t *testing.T) {
	c := newStores(t, 1000, 4, func() int { return rand.IntN(5) }) // a wrong hint does no harm
	ends := make(chan *Buff, 100)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			batch := make([]*Buff, 70)
			for i := range 3000 {
				switch i % 4 {
				case 0:
					n := c.AllocBatch(batch)
					c.ConsumeBatch(batch[:n])
				case 1:
					if b := c.Alloc(200); b != nil {
						ends <- b.Clone()
						b.Free(NoMem)
					}
				case 2:
					if p := c.Pool().Alloc(); p != nil {
						ends <- c.Build(p, 0, 100)
					}
				case 3:
					(<-ends).Consume()
					(<-ends).Consume()
				}
			}
		})
	}
	all.Wait()
	close(ends)
	for b := range ends {
		b.Consume()
	}
	if n, p := c.InUse(), c.Pool().InUse(); n != 0 || p != 0 {
		t.Errorf("%d packets, %d pages left", n, p)
	}
}

func TestPerCPU_steadyState_noAllocation(t *testing.T) {
	at := 0
	c := newStores(t, 4096, 2, func() int { return at })
	batch := make([]*Buff, 64)
	run := func() {
		at = 0
		n := c.AllocBatch(batch)
		at = 1 // freed elsewhere
		c.ConsumeBatch(batch[:n])
	}
	for range 20 {
		run()
	}
	if a := testing.AllocsPerRun(200, run); a != 0 {
		t.Errorf("%v allocations for 64 packets", a)
	}
}
