package skb_test

import (
	"bytes"
	"testing"

	"barewire/skb"
)

func TestHandOver_packet_countedThereMemoryReturnsHere(t *testing.T) {
	pa, _ := skb.NewPagePool(skb.PageConfig{})
	pb, _ := skb.NewPagePool(skb.PageConfig{})
	a, b := skb.NewCache(pa), skb.NewCache(pb)
	p := a.Alloc(100)
	p.PutData([]byte("bytes"))
	p.Mark, p.CB[0], p.Iif = 7, 1, 3
	if !p.HandOver(b) {
		t.Fatal("not handed over")
	}
	if p.Mark != 0 || p.CB[0] != 0 || p.Iif != 0 || !bytes.Equal(p.Data(), []byte("bytes")) {
		t.Errorf("mark %d, iif %d, data %q", p.Mark, p.Iif, p.Data())
	}
	c := p.Clone() // the new owner's, over the old one's page
	if a.InUse() != 1 || b.InUse() != 1 || pa.InUse() != 1 {
		t.Errorf("in use %d, %d, pages %d", a.InUse(), b.InUse(), pa.InUse())
	}
	c.Consume()
	p.Free(skb.NoMem)
	if a.Drops(skb.NoMem) != 0 || b.Drops(skb.NoMem) != 1 || b.Consumed() != 1 {
		t.Error("counted by the sender")
	}
	if a.InUse()+b.InUse()+pa.InUse()+pb.InUse() != 0 {
		t.Error("memory is missing")
	}
}

func TestHandOver_merged_memoryReturnsHere(t *testing.T) {
	pa, _ := skb.NewPagePool(skb.PageConfig{})
	pb, _ := skb.NewPagePool(skb.PageConfig{})
	a, b := skb.NewCache(pa), skb.NewCache(pb)
	p, q := a.Alloc(100), a.Alloc(100)
	p.PutData([]byte("one "))
	q.PutData([]byte("two"))
	if !p.HandOver(b) || !q.HandOver(b) {
		t.Fatal("not handed over")
	}
	var m skb.Merger
	if !m.Merge(p, q, 0) {
		t.Fatal("not merged")
	}
	m.Flush()
	if a.InUse() != 1 || b.InUse() != 0 {
		t.Errorf("in use %d here, %d there", a.InUse(), b.InUse())
	}
	p.Consume()
	if a.InUse()+b.InUse()+pa.InUse()+pb.InUse() != 0 {
		t.Error("memory is missing")
	}
}

func TestHandOver_heldElsewhere_refused(t *testing.T) {
	pool, _ := skb.NewPagePool(skb.PageConfig{})
	a := skb.NewCache(pool)
	p := a.Alloc(100)
	p.Get()
	p.Mark = 7
	if p.HandOver(a) || p.Mark != 7 {
		t.Error("handed over, or changed")
	}
	p.Consume()
	p.Consume()
}

func TestLends_pools_whenMemoryIsTheSameAndLeft(t *testing.T) {
	pool := func(c skb.PageConfig) *skb.PagePool {
		p, err := skb.NewPagePool(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	to := pool(skb.PageConfig{})
	mapped := pool(skb.PageConfig{Map: func([]byte) (uint64, error) { return 1 << 40, nil }})
	if mapped.Lends(to) || to.Lends(mapped) || !mapped.Lends(mapped) {
		t.Error("devices see other addresses")
	}
	few := pool(skb.PageConfig{MaxPages: 4})
	var held []*skb.Page
	for i := range 4 {
		if few.Lends(to) != (i <= 2) {
			t.Errorf("%d of 4 pages in use: %v", i, few.Lends(to))
		}
		held = append(held, few.Alloc())
	}
	for _, p := range held {
		p.Put()
	}
}
