package skb_test

import (
	"bytes"
	"testing"

	"barewire/skb"
	"barewire/skb/skbtest"
)

// frame is a packet of a header of four bytes and n bytes of payload, of which lin
// are linear.
func groFrame(c *skb.Cache, mark byte, n, lin int) *skb.Buff {
	b := c.Alloc(200)
	b.Reserve(skb.Pad)
	b.PutData([]byte{'h', 'd', 'r', mark})
	b.ResetNetworkHeader()
	b.PutData(bytes.Repeat([]byte{mark}, lin))
	if n > lin {
		p := c.Pool().Alloc()
		copy(p.Bytes()[8:], bytes.Repeat([]byte{mark}, n-lin))
		b.AddFrag(p, 8, n-lin, len(p.Bytes()))
	}
	return b
}

func content(b *skb.Buff) []byte {
	p := make([]byte, b.Len())
	b.CopyBits(0, p)
	return p
}

func TestMerge_unmerge_samePacketsAgain(t *testing.T) {
	for _, lin := range []int{10, 4, 0} {
		c := skbtest.New(t, skb.PageConfig{})
		var m skb.Merger
		p := groFrame(c, 'a', 10, lin)
		want := content(p)
		for i := range byte(5) {
			b := groFrame(c, 'b'+i, 10, lin)
			want = append(want, content(b)[4:]...)
			if !m.Merge(p, b, 4) {
				t.Fatal("not merged")
			}
		}
		m.Flush()
		if !bytes.Equal(content(p), want) {
			t.Errorf("%q, want %q", content(p), want)
		}
		var l skb.List
		if p.Unmerge(4, 10, &l) != (lin == 10) {
			t.Fatalf("linear %d: taken apart is %v", lin, lin != 10)
		}
		if lin < 10 {
			p.Consume()
			continue
		}
		for i := byte(0); l.Len() > 0; i++ {
			b := l.PopFront()
			if got := content(b); !bytes.Equal(got, append([]byte("hdra"), bytes.Repeat([]byte{'a' + i}, 10)...)) || b.NetworkOffset() != 0 {
				t.Errorf("packet %d is %q", i, got)
			}
			if b.Truesize() < len(content(b)) || b.Cloned() {
				t.Errorf("packet %d: truesize %d", i, b.Truesize())
			}
			b.Consume()
		}
	}
}

// TestMerge_refused_nothingHappens: what somebody else looks at, what is charged
// and what does not fit stays as it is.
func TestMerge_refused_nothingHappens(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	var m skb.Merger
	p, b := groFrame(c, 'a', 10, 10), groFrame(c, 'b', 10, 10)
	refuse := func(what string) {
		t.Helper()
		if m.Merge(p, b, 4) || p.Len() != 14 || b.Len() != 14 {
			t.Errorf("merged: %s", what)
		}
	}
	clone := p.Clone()
	refuse("its data is shared")
	clone.Consume()
	clone = b.Clone()
	refuse("the next one's data is shared")
	clone.Consume()
	b.Get()
	refuse("the next one is held")
	b.Consume()
	b.Destructor = func(*skb.Buff) {}
	refuse("the next one is charged")
	b.Destructor = nil
	n := 0
	for ; m.Merge(p, b, 4); n++ {
		b = groFrame(c, 'c', 10, 10)
	}
	if n != skb.MaxFrags {
		t.Errorf("%d merged, want %d", n, skb.MaxFrags)
	}
	m.Flush()
	// Shared, it cannot be taken apart either.
	clone = p.Clone()
	var l skb.List
	if p.Unmerge(4, 10, &l) || l.Len() != 0 {
		t.Error("taken apart under somebody's eyes")
	}
	clone.Consume()
	if !p.Unmerge(4, 10, &l) || l.Len() != skb.MaxFrags+1 {
		t.Errorf("%d packets", l.Len())
	}
	l.Consume()
	b.Consume()
}
