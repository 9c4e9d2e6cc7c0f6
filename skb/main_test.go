package skb_test

import (
	"testing"

	"barewire/skb"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// newCache makes a cache of small pages that is leak-checked.
func newCache(t testing.TB, pages int) *skb.Cache {
	return skbtest.New(t, skb.PageConfig{PageSize: 512, MaxPages: pages})
}

// pattern returns n bytes that differ from their neighbours and from those of
// another seed.
func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = seed + byte(i)*7 + byte(i>>8)
	}
	return p
}

// contents returns all bytes of b.
func contents(b *skb.Buff) []byte {
	p := make([]byte, b.Len())
	if n := b.CopyBits(0, p); n != len(p) {
		panic("CopyBits stopped short")
	}
	return p
}

// filled returns a packet of n bytes with some headroom.
func filled(t testing.TB, c *skb.Cache, headroom int, p []byte) *skb.Buff {
	t.Helper()
	b := c.Alloc(headroom + len(p))
	if b == nil {
		t.Fatal("out of pages")
	}
	b.Reserve(headroom)
	b.PutData(p)
	return b
}

// addFrag appends p in pages of its own.
func addFrag(t testing.TB, c *skb.Cache, b *skb.Buff, p []byte) {
	t.Helper()
	for len(p) > 0 {
		pg := c.Pool().Alloc()
		if pg == nil {
			t.Fatal("out of pages")
		}
		n := copy(pg.Bytes(), p)
		if !b.AddFrag(pg, 0, n, len(pg.Bytes())) {
			t.Fatal("no fragment slot")
		}
		p = p[n:]
	}
}
