package skb_test

import (
	"testing"

	"barewire/skb"
	"barewire/skb/skbtest"
)

type fakeConn struct{ refs int }

func (c *fakeConn) NFGet() { c.refs++ }
func (c *fakeConn) NFPut() { c.refs-- }

func TestNFCT_copiesAndEnds_countReferences(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	ct, other := &fakeConn{refs: 1}, &fakeConn{refs: 1}
	want := func(n int, what string) {
		t.Helper()
		if ct.refs != n {
			t.Errorf("%s: %d references, want %d", what, ct.refs, n)
		}
	}
	b := c.Alloc(100)
	b.PutData(make([]byte, 40))
	b.SetNFCT(ct, 2)
	b.NFTrace = true
	clone, whole, piece := b.Clone(), b.Copy(), c.Alloc(100)
	want(3, "clone and copy")
	piece.SetNFCT(other, 0)
	piece.CopyNF(b)
	want(4, "CopyNF")
	if other.refs != 0 {
		t.Error("what it referred to before was not released")
	}
	for _, n := range []*skb.Buff{clone, whole, piece} {
		if n.NFCT != ct || n.NFCTInfo != 2 || !n.NFTrace {
			t.Error("a copy is not of the same connection")
		}
	}
	piece.CopyNF(piece)
	want(4, "of itself")
	whole.ResetNF()
	want(3, "ResetNF")
	if whole.NFCT != nil || whole.NFCTInfo != 0 || whole.NFTrace {
		t.Error("not forgotten")
	}
	b.Consume()
	clone.Free(skb.NetfilterDrop)
	piece.Consume()
	whole.Consume()
	want(0, "all ended")
}
