package skb_test

import (
	"errors"
	"sync"
	"testing"

	"barewire/skb"
)

func TestPagePool_badConfig(t *testing.T) {
	for _, cfg := range []skb.PageConfig{{PageSize: 511}, {PageSize: 256}, {PageSize: 1000}, {PageSize: -512}, {PageSize: 1 << 30}, {MaxPages: -1}} {
		if _, err := skb.NewPagePool(cfg); !errors.Is(err, skb.ErrPageConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if p, err := skb.NewPagePool(skb.PageConfig{}); err != nil || p.PageSize() != 4096 {
		t.Errorf("default: %v", err)
	}
}

func TestPagePool_recycles(t *testing.T) {
	c := newCache(t, 1000)
	pool := c.Pool()
	p := pool.Alloc()
	p.Get()
	p.Put()
	if p.Refs() != 1 || pool.InUse() != 1 {
		t.Fatalf("%d references, %d in use", p.Refs(), pool.InUse())
	}
	p.Put()
	if q := pool.Alloc(); q != p {
		t.Error("not the page used last")
	} else {
		q.Put()
	}
	for range 10000 {
		pool.Alloc().Put()
	}
	if s := pool.Stats(); s.Slab != 1 || s.Alloc != 10002 || s.Recycle != 10002 || s.InUse != 0 || s.Peak != 1 {
		t.Errorf("%+v", s)
	}
	mustPanic(t, "Put of a free page", func() { p.Put() })
}

func TestPagePool_atTheLimit(t *testing.T) {
	c := newCache(t, 70) // one slab and a bit
	pool := c.Pool()
	var ps [100]*skb.Page
	if n := pool.AllocBatch(ps[:]); n != 70 {
		t.Fatalf("got %d pages of 70", n)
	}
	if pool.Alloc() != nil || c.Alloc(1) != nil || c.Alloc(5000) != nil || c.AllocBatch(make([]*skb.Buff, 3)) != 0 {
		t.Fatal("a page beyond the limit")
	}
	if s := pool.Stats(); s.InUse != 70 || s.Total != 70 || s.Limit != 70 || s.Peak != 70 || s.Slab != 2 || s.Empty != 5 {
		t.Errorf("%+v", s)
	}
	for _, p := range ps[:10] {
		p.Put()
	}
	// Oversized buffers count by their size: ten pages are left.
	if c.Alloc(10*512+1) != nil {
		t.Error("eleven pages' worth of ten")
	}
	b := c.Alloc(10 * 512)
	if b == nil || pool.InUse() != 70 || pool.Alloc() != nil {
		t.Fatalf("in use %d", pool.InUse())
	}
	b.Consume()
	if pool.InUse() != 60 {
		t.Errorf("in use %d", pool.InUse())
	}
	for _, p := range ps[10:70] {
		p.Put()
	}
	seen := map[*skb.Page]bool{}
	n := pool.AllocBatch(ps[:])
	for _, p := range ps[:n] {
		seen[p] = true
		p.Put()
	}
	if len(seen) != 70 {
		t.Errorf("%d different pages of 70", len(seen))
	}
}

func TestPagePool_deviceAddresses(t *testing.T) {
	next := uint64(1) << 40
	mapped := map[uint64]int{}
	cache := func(fail bool) *skb.Cache {
		pool, err := skb.NewPagePool(skb.PageConfig{PageSize: 512, MaxPages: 200,
			Map: func(mem []byte) (uint64, error) {
				if fail {
					return 0, errors.New("no room in the IOMMU")
				}
				at := next
				next += 1 << 20
				mapped[at] = len(mem)
				return at, nil
			},
			Unmap: func(mem []byte, dma uint64) {
				if mapped[dma] != len(mem) {
					t.Errorf("unmap of %d bytes at %#x", len(mem), dma)
				}
				delete(mapped, dma)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return skb.NewCache(pool)
	}
	c := cache(false)
	seen := map[uint64]bool{}
	var ps [100]*skb.Page
	for _, p := range ps[:c.Pool().AllocBatch(ps[:])] {
		base := p.DMA() &^ (1<<20 - 1)
		if mapped[base] == 0 || int(p.DMA()-base)+512 > mapped[base] || seen[p.DMA()] {
			t.Fatalf("page at %#x", p.DMA())
		}
		seen[p.DMA()] = true
		p.Put()
	}
	before := len(mapped)
	b := c.Alloc(2000)
	if len(mapped) != before+1 || mapped[b.DMA()] != 2000 {
		t.Errorf("oversized buffer at %#x", b.DMA())
	}
	b.Consume()
	if len(mapped) != before {
		t.Error("oversized buffer still mapped")
	}
	c = cache(true)
	if c.Alloc(1) != nil || c.Alloc(2000) != nil || c.Pool().InUse() != 0 {
		t.Error("memory that could not be mapped was handed out")
	}
}

func TestPagePool_identityByDefault(t *testing.T) {
	c := newCache(t, 64)
	a, b := c.Pool().Alloc(), c.Pool().Alloc()
	if d := int64(a.DMA() - b.DMA()); a.DMA() == 0 || d != 512 && d != -512 {
		t.Errorf("neighbours at %#x and %#x", a.DMA(), b.DMA())
	}
	a.Put()
	b.Put()
}

func TestCache_concurrent(t *testing.T) {
	c := newCache(t, 300)
	ch := make(chan *skb.Buff, 64)
	var wg, freers sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var bs [16]*skb.Buff
			for j := range 500 {
				n := c.AllocBatch(bs[:])
				for _, b := range bs[:n] {
					b.PutData(pattern(byte(i), 32))
					ch <- b.Clone()
					if j%2 == 0 {
						ch <- b.Get()
					}
				}
				c.ConsumeBatch(bs[:n])
			}
		}()
	}
	for range 3 {
		freers.Add(1)
		go func() {
			defer freers.Done()
			for b := range ch {
				if n := b.Len(); n != 32 {
					t.Errorf("%d bytes", n)
				}
				b.Free(skb.QueuePurge)
			}
		}()
	}
	wg.Wait()
	close(ch)
	freers.Wait()
}

func TestBatch_countsEveryPacketOnce(t *testing.T) {
	c := newCache(t, 400)
	var bs [150]*skb.Buff
	if n := c.AllocBatch(bs[:]); n != 150 {
		t.Fatalf("got %d", n)
	}
	addFrag(t, c, bs[3], make([]byte, 2000))
	if !bs[4].AddFragList(c.Alloc(1)) {
		t.Fatal("not taken")
	}
	large := c.Alloc(3000)
	held := bs[5].Get()
	bs[6].Consume()
	bs[6] = nil
	c.ConsumeBatch(append(bs[:], large))
	if c.Consumed() != 150 || c.InUse() != 1 || c.Pool().InUse() != 1 {
		t.Errorf("%d consumed, %d packets and %d pages in use", c.Consumed(), c.InUse(), c.Pool().InUse())
	}
	held.Consume()

	other := newCache(t, 100) // a batch may hold strangers
	c.ConsumeBatch([]*skb.Buff{c.Alloc(1), other.Alloc(1)})
	if other.InUse() != 0 || other.Pool().InUse() != 0 {
		t.Error("the other cache's packet is not back")
	}
}
