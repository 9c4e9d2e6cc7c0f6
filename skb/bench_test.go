package skb_test

import (
	"fmt"
	"testing"

	"barewire/skb"
)

// allocs fails when f, in the steady state, allocates from the Go heap.
func allocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func TestAllocs_hotPaths(t *testing.T) {
	c := newCache(t, 512)
	p := pattern(1, 1400)
	var bs [64]*skb.Buff
	var ps [64]*skb.Page
	var l skb.List
	var q skb.Queue
	dst := make([]byte, 4096)
	sum := uint32(0)
	big := skbOfPages(t, c)
	defer big.Consume()
	pieces := 0
	for what, f := range map[string]func(){
		"alloc and consume": func() { c.Alloc(100).Consume() },
		"alloc and free":    func() { c.Alloc(100).Free(skb.NoSocket) },
		"clone":             func() { b := c.Alloc(100); b.Clone().Consume(); b.Consume() },
		"copy":              func() { b := c.Alloc(100); b.Copy().Consume(); b.Consume() },
		"cow":               func() { b := c.Alloc(100); n := b.Clone(); b.Cow(64); n.Consume(); b.Consume() },
		"build":             func() { c.Build(c.Pool().Alloc(), 64, 100).Consume() },
		"batch":             func() { c.ConsumeBatch(bs[:c.AllocBatch(bs[:])]) },
		"pages": func() {
			for _, p := range ps[:c.Pool().AllocBatch(ps[:])] {
				p.Put()
			}
		},
		"list": func() {
			for _, b := range bs[:c.AllocBatch(bs[:])] {
				l.PushBack(b)
			}
			l.Purge(skb.QueuePurge)
		},
		"queue": func() { q.Enqueue(c.Alloc(1)); q.Dequeue().Consume() },
		"put, push, pull": func() {
			b := c.Alloc(500)
			b.Reserve(64)
			b.PutData(p[:400])
			b.Push(14)
			b.Pull(14)
			b.Consume()
		},
		"copy bits":         func() { big.CopyBits(0, dst[:big.Len()]) },
		"checksum":          func() { sum += big.Checksum(0, big.Len(), 0) },
		"walk":              func() { big.Walk(0, big.Len(), func(p []byte) bool { pieces++; return true }) },
		"pull from frags":   func() { b := big.Clone(); b.MayPull(120); b.Consume() },
		"trim through frag": func() { b := big.Clone(); b.Trim(120); b.Consume() },
		"fill in checksum": func() {
			b := big.Clone()
			b.SetCsumPartial(0, 16)
			b.ChecksumHelp()
			b.Consume()
		},
	} {
		allocs(t, what, f)
	}
}

// skbOfPages returns a packet of 100 linear bytes, three fragments and a
// frag list member.
func skbOfPages(t testing.TB, c *skb.Cache) *skb.Buff {
	b := filled(t, c, 14, pattern(1, 100))
	addFrag(t, c, b, pattern(2, 1300))
	if !b.AddFragList(filled(t, c, 0, pattern(3, 300))) {
		t.Fatal("not taken")
	}
	return b
}

func benchCache(b *testing.B) *skb.Cache {
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return skb.NewCache(pool)
}

func BenchmarkAllocConsume(b *testing.B) {
	c := benchCache(b)
	for b.Loop() {
		c.Alloc(1500).Consume()
	}
}

// BenchmarkBatch64 is the cost of one packet of a batch.
func BenchmarkBatch64(b *testing.B) {
	c := benchCache(b)
	var bs [64]*skb.Buff
	for i := 0; i < b.N; i += len(bs) {
		c.ConsumeBatch(bs[:c.AllocBatch(bs[:])])
	}
}

func BenchmarkClone(b *testing.B) {
	c := benchCache(b)
	p := c.Alloc(1500)
	for b.Loop() {
		p.Clone().Consume()
	}
	p.Consume()
}

func BenchmarkCopy1500(b *testing.B) {
	c := benchCache(b)
	p := c.Alloc(1500)
	p.Put(1500)
	b.SetBytes(1500)
	for b.Loop() {
		p.Copy().Consume()
	}
	p.Consume()
}

func BenchmarkPage(b *testing.B) {
	pool := benchCache(b).Pool()
	for b.Loop() {
		pool.Alloc().Put()
	}
}

func BenchmarkPageBatch64(b *testing.B) {
	pool := benchCache(b).Pool()
	var ps [64]*skb.Page
	for i := 0; i < b.N; i += len(ps) {
		for _, p := range ps[:pool.AllocBatch(ps[:])] {
			p.Put()
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, n := range []int{20, 64, 1500, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := pattern(1, n)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				skb.CsumPartial(p, 0)
			}
		})
	}
}
