package skb_test

import (
	"bytes"
	"testing"

	"barewire/skb"
)

// mustPanic fails unless f panics.
func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}

func TestLayout_reservePutPushPullTrim(t *testing.T) {
	c := newCache(t, 4)
	b := c.Alloc(512)
	defer b.Consume()
	check := func(step string, headroom, n, tailroom int) {
		t.Helper()
		if b.Headroom() != headroom || b.Len() != n || b.Headlen() != n || b.DataLen() != 0 || b.Tailroom() != tailroom || len(b.Data()) != n {
			t.Fatalf("%s: headroom %d len %d tailroom %d, want %d %d %d", step, b.Headroom(), b.Len(), b.Tailroom(), headroom, n, tailroom)
		}
	}
	check("alloc", 0, 0, 512)
	b.Reserve(100)
	check("reserve", 100, 0, 412)
	copy(b.Put(50), pattern(1, 50))
	check("put", 100, 50, 362)
	copy(b.Push(20), pattern(9, 20))
	check("push", 80, 70, 362)
	if got := b.Pull(20); !bytes.Equal(got, pattern(1, 50)) {
		t.Fatalf("pull left %x", got)
	}
	check("pull", 100, 50, 362)
	if !b.Trim(30) {
		t.Fatal("trim failed")
	}
	check("trim", 100, 30, 382)
	if !bytes.Equal(b.Data(), pattern(1, 50)[:30]) {
		t.Fatalf("data %x", b.Data())
	}
	if b.Pull(31) != nil || b.Pull(-1) != nil {
		t.Error("pull of more than there is succeeded")
	}
	if !b.Trim(31) || b.Len() != 30 {
		t.Error("trim to more than there is changed the packet")
	}
	if b.Trim(-1) {
		t.Error("trim to a negative length succeeded")
	}
	if b.DMA() != b.HeadPage().DMA()+100 {
		t.Error("DMA is not that of Data")
	}
}

func TestLayout_beyondTheBuffer(t *testing.T) {
	c := newCache(t, 4)
	b := filled(t, c, 10, make([]byte, 500))
	defer b.Consume()
	mustPanic(t, "Put beyond the end", func() { b.Put(3) })
	mustPanic(t, "Put of a negative length", func() { b.Put(-1) })
	mustPanic(t, "Push beyond the head", func() { b.Push(11) })
	mustPanic(t, "Push of a negative length", func() { b.Push(-1) })
	mustPanic(t, "Reserve on a filled buffer", func() { b.Reserve(1) })
	p := c.Pool().Alloc()
	defer p.Put()
	mustPanic(t, "Build beyond the page", func() { c.Build(p, 500, 13) })
	mustPanic(t, "Build with a huge headroom", func() { c.Build(p, int(^uint(0)>>1), 1) })
	mustPanic(t, "fragment beyond its page", func() { b.AddFrag(p, 512, 1, 0) })
	e := c.Alloc(0)
	defer e.Consume()
	mustPanic(t, "Reserve beyond the end", func() { e.Reserve(513) })
	mustPanic(t, "Reserve of a negative length", func() { e.Reserve(-1) })
}

func TestHeaders_followTheData(t *testing.T) {
	c := newCache(t, 8)
	b := filled(t, c, 20, pattern(3, 60))
	defer func() { b.Consume() }()
	if b.MacHeader() != nil || b.NetworkHeader() != nil || b.TransportHeader() != nil || b.MacHeaderWasSet() || b.MacOffset() != 0 {
		t.Fatal("headers known before they were set")
	}
	b.ResetMacHeader()
	b.Pull(14)
	b.ResetNetworkHeader()
	b.SetTransportHeader(20)
	want := pattern(3, 60)
	check := func(step string) {
		t.Helper()
		if !bytes.Equal(b.MacHeader(), want) || !bytes.Equal(b.NetworkHeader(), want[14:]) || !bytes.Equal(b.TransportHeader(), want[34:]) {
			t.Fatalf("%s: headers moved", step)
		}
		if b.MacLen() != 14 {
			t.Fatalf("%s: MacLen %d", step, b.MacLen())
		}
	}
	check("set")
	if b.MacOffset() != -14 || b.NetworkOffset() != 0 || b.TransportOffset() != 20 {
		t.Fatalf("offsets %d %d %d", b.MacOffset(), b.NetworkOffset(), b.TransportOffset())
	}
	if !b.Cow(200) || b.Headroom() < 200 {
		t.Fatal("no headroom")
	}
	check("cow")
	cl := b.Clone()
	if !b.Cow(0) {
		t.Fatal("no private head")
	}
	cl.Consume()
	check("cow of a clone: the pulled link header must come along")
	b.Pull(20)
	check("pull")
	cp := b.Copy()
	b.Consume()
	b = cp
	check("copy")
}

func TestBuild_overAReceivedPage(t *testing.T) {
	c := newCache(t, 2)
	p := c.Pool().Alloc()
	copy(p.Bytes()[64:], pattern(5, 100))
	b := c.Build(p, 64, 100)
	if !bytes.Equal(b.Data(), pattern(5, 100)) || b.Headroom() != 64 || b.HeadPage() != p {
		t.Fatal("not the page's bytes")
	}
	if b.Truesize() <= 512 || b.Users() != 1 || b.Dataref() != 1 {
		t.Fatalf("truesize %d users %d dataref %d", b.Truesize(), b.Users(), b.Dataref())
	}
	b.Consume()
}

func TestBuff_comesBackClean(t *testing.T) {
	c := newCache(t, 2)
	b := c.Alloc(10)
	b.CB[5], b.Mark, b.Hash, b.Protocol, b.Iif, b.Tstamp = 1, 2, 3, 4, 5, 6
	b.IPSummed, b.PktType, b.IgnoreDF, b.VlanProto, b.Priority = skb.ChecksumPartial, skb.PacketOutgoing, true, 7, 8
	b.Sk = t
	b.Shinfo().GSOSize = 99
	b.ResetMacHeader()
	b.Consume()
	b = c.Alloc(10)
	defer b.Consume()
	if b.CB != [6]uint64{} || b.Mark != 0 || b.Hash != 0 || b.Protocol != 0 || b.Iif != 0 || b.Tstamp != 0 ||
		b.IPSummed != skb.ChecksumNone || b.PktType != skb.PacketHost || b.IgnoreDF || b.VlanProto != 0 || b.Priority != 0 ||
		b.Sk != nil || b.IsGSO() || b.MacHeaderWasSet() {
		t.Errorf("leftovers: %+v", b)
	}
}

func TestMayPull_fromFragments(t *testing.T) {
	c := newCache(t, 16)
	all := pattern(1, 900)
	b := filled(t, c, 16, all[:20])
	defer func() { b.Consume() }()
	addFrag(t, c, b, all[20:])
	if b.Headlen() != 20 || b.DataLen() != 880 || len(b.Frags()) != 2 || b.Tailroom() != 0 || !b.IsNonlinear() {
		t.Fatalf("headlen %d datalen %d frags %d", b.Headlen(), b.DataLen(), len(b.Frags()))
	}
	for _, n := range []int{20, 21, 100, 600, 900} {
		if !b.MayPull(n) || b.Headlen() < n || b.Len() != 900 || !bytes.Equal(contents(b), all) {
			t.Fatalf("MayPull(%d): headlen %d len %d", n, b.Headlen(), b.Len())
		}
	}
	if b.MayPull(901) || b.MayPull(-1) {
		t.Error("pulled what is not there")
	}
	if b.IsNonlinear() || len(b.Frags()) != 0 {
		t.Error("fragments left")
	}
	mustPanic(t, "Put on a nonlinear packet", func() { addFrag(t, c, b, all[:1]); b.Put(1) })
}

func TestMayPull_leavesAClone(t *testing.T) {
	c := newCache(t, 16)
	all := pattern(1, 700)
	b := filled(t, c, 16, all[:20])
	addFrag(t, c, b, all[20:])
	cl := b.Clone()
	if !b.Linearize() || b.Cloned() || cl.Cloned() {
		t.Fatal("not private")
	}
	copy(b.Data(), make([]byte, 700))
	if cl.Headlen() != 20 || !bytes.Equal(contents(cl), all) {
		t.Error("the clone changed")
	}
	b.Consume()
	cl.Consume()
}

func TestAddFrag_slotsUsedUp(t *testing.T) {
	c := newCache(t, 32)
	b := c.Alloc(0)
	defer b.Consume()
	addFrag(t, c, b, make([]byte, skb.MaxFrags*512))
	p := c.Pool().Alloc()
	if b.AddFrag(p, 0, 1, 512) {
		t.Fatal("took an 18th fragment")
	}
	p.Put()
	if b.Len() != skb.MaxFrags*512 {
		t.Errorf("len %d", b.Len())
	}
}

func TestAddFrag_onACloneLeavesTheOther(t *testing.T) {
	c := newCache(t, 8)
	b := filled(t, c, 0, pattern(1, 10))
	cl := b.Clone()
	addFrag(t, c, b, pattern(2, 5))
	if cl.Len() != 10 || len(cl.Frags()) != 0 || b.Len() != 15 {
		t.Errorf("clone %d bytes, %d frags", cl.Len(), len(cl.Frags()))
	}
	b.Consume()
	cl.Consume()
}

func TestPullAny_acrossPieces(t *testing.T) {
	c := newCache(t, 16)
	all := pattern(1, 800)
	for _, cut := range []int{0, 5, 20, 21, 531, 532, 533, 800} {
		b := filled(t, c, 0, all[:20])
		addFrag(t, c, b, all[20:])
		cl := b.Clone()
		if !b.PullAny(cut) || !bytes.Equal(contents(b), all[cut:]) {
			t.Errorf("PullAny(%d) left %d bytes", cut, b.Len())
		}
		if b.PullAny(800-cut+1) || b.PullAny(-1) {
			t.Errorf("PullAny beyond %d succeeded", cut)
		}
		if !bytes.Equal(contents(cl), all) {
			t.Errorf("PullAny(%d) changed the clone", cut)
		}
		b.Consume()
		cl.Consume()
	}
}

func TestWalk_stops(t *testing.T) {
	c := newCache(t, 16)
	b := filled(t, c, 0, make([]byte, 20))
	defer b.Consume()
	addFrag(t, c, b, make([]byte, 600))
	calls := 0
	if b.Walk(0, 620, func(p []byte) bool { calls++; return calls < 2 }) || calls != 2 {
		t.Errorf("%d calls", calls)
	}
	if !b.Walk(0, 20, func(p []byte) bool { return true }) {
		t.Error("a full walk reports a stop")
	}
	if b.Walk(0, 20, func(p []byte) bool { return false }) {
		t.Error("a stop at the last piece is not reported")
	}
	if n := b.CopyBits(610, make([]byte, 100)); n != 10 {
		t.Errorf("CopyBits past the end: %d", n)
	}
	if n := b.CopyBits(-1, make([]byte, 1)); n != 0 {
		t.Errorf("CopyBits before the start: %d", n)
	}
}
