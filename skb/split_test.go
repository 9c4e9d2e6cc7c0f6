package skb_test

import (
	"bytes"
	"testing"

	"barewire/skb"
)

// splittable is 100 bytes as head, page fragment and two frag list members, of
// which the second has a fragment too.
func splittable(t testing.TB, c *skb.Cache) (b *skb.Buff, all []byte) {
	all = pattern(3, 100)
	b = filled(t, c, 4, all[:10])
	addFrag(t, c, b, all[10:25])
	m1, m2 := filled(t, c, 4, all[25:60]), filled(t, c, 4, all[60:61])
	addFrag(t, c, m2, all[61:])
	for _, m := range []*skb.Buff{m1, m2} {
		if !b.AddFragList(m) {
			t.Fatal("not taken")
		}
	}
	return b, all
}

func TestShareBits_everyRange_sameBytesAfterTheSourceIsGone(t *testing.T) {
	c := newCache(t, 64)
	for from := 0; from <= 100; from++ {
		for to := from; to <= 100; to += 7 {
			b, all := splittable(t, c)
			dst := filled(t, c, 0, []byte("head"))
			used := c.Pool().InUse()
			if !b.ShareBits(from, to-from, dst) {
				t.Fatalf("%d to %d refused", from, to)
			}
			if c.Pool().InUse() != used {
				t.Fatalf("%d to %d took %d pages", from, to, c.Pool().InUse()-used)
			}
			b.Consume()
			if got := contents(dst); !bytes.Equal(got, append([]byte("head"), all[from:to]...)) {
				t.Fatalf("%d to %d: %x", from, to, got)
			}
			dst.Consume()
		}
	}
}

func TestShareBits_moreThanSlots_refusedAndNothingLeaks(t *testing.T) {
	c := newCache(t, 64)
	b, dst := filled(t, c, 0, nil), filled(t, c, 0, nil)
	for range skb.MaxFrags + 1 {
		if !b.AddFragList(filled(t, c, 0, []byte("x"))) {
			t.Fatal("not taken")
		}
	}
	if b.ShareBits(0, skb.MaxFrags+1, dst) {
		t.Error("more pieces than slots were taken")
	}
	mustPanic(t, "beyond the packet", func() { b.ShareBits(1, b.Len(), dst) })
	b.Consume()
	dst.Consume()
}

func TestTakeFragList_membersBecomePackets(t *testing.T) {
	c := newCache(t, 64)
	b, all := splittable(t, c)
	whole := b.Truesize()
	var l skb.List
	n := b.Clone()
	mustPanic(t, "shared", func() { b.TakeFragList(&l) })
	n.Consume()
	b.TakeFragList(&l)
	sum, at := b.Truesize(), b.Len()
	if at != 25 || l.Len() != 2 || b.Shinfo().FragList != nil {
		t.Fatalf("%d bytes left, %d members", at, l.Len())
	}
	for m := l.PopFront(); m != nil; m = l.PopFront() {
		if !bytes.Equal(contents(m), all[at:at+m.Len()]) {
			t.Errorf("member at %d: %x", at, contents(m))
		}
		at += m.Len()
		sum += m.Truesize()
		m.Consume()
	}
	if at != 100 || sum != whole {
		t.Errorf("%d bytes, truesize %d of %d", at, sum, whole)
	}
	b.Consume()
}
