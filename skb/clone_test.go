package skb_test

import (
	"bytes"
	"testing"

	"barewire/skb"
)

func TestCounts_getCloneFree(t *testing.T) {
	c := newCache(t, 2)
	b := filled(t, c, 0, []byte("x"))
	b.Get()
	if b.Users() != 2 || !b.Shared() || b.Cloned() || b.Dataref() != 1 {
		t.Fatal("after Get")
	}
	cl := b.Clone()
	if b.Users() != 2 || cl.Users() != 1 || b.Dataref() != 2 || !b.Cloned() || !cl.Cloned() {
		t.Fatal("after Clone")
	}
	b.Consume()
	b.Consume()
	if cl.Dataref() != 1 || cl.Cloned() || string(cl.Data()) != "x" {
		t.Fatal("after the original went")
	}
	if c.InUse() != 1 || c.Pool().InUse() != 1 {
		t.Fatalf("%d packets, %d pages", c.InUse(), c.Pool().InUse())
	}
	cl.Consume()
	mustPanic(t, "second release", func() { cl.Consume() })
}

func TestFree_countsAndMonitors(t *testing.T) {
	c := newCache(t, 4)
	var seen []skb.Reason
	c.SetDropMonitor(func(b *skb.Buff, r skb.Reason) {
		if b.Len() != 3 {
			t.Errorf("monitor got %d bytes", b.Len())
		}
		seen = append(seen, r)
	})
	b := filled(t, c, 0, []byte("abc"))
	b.Get()
	b.Free(skb.NoSocket) // not the last user: no drop yet
	b.Free(skb.UDPCsum)
	filled(t, c, 0, []byte("abc")).Consume()
	c.SetDropMonitor(nil)
	filled(t, c, 0, nil).Free(skb.IPInHdr)
	(*skb.Buff)(nil).Free(skb.NoMem)
	(*skb.Buff)(nil).Consume()
	if len(seen) != 1 || seen[0] != skb.UDPCsum {
		t.Errorf("monitor saw %v", seen)
	}
	if c.Drops(skb.NoSocket) != 0 || c.Drops(skb.UDPCsum) != 1 || c.Drops(skb.IPInHdr) != 1 || c.Consumed() != 1 {
		t.Error("wrong counters")
	}
}

func TestReason_names(t *testing.T) {
	seen := map[string]bool{}
	for r := skb.Reason(0); r < skb.NumReasons; r++ {
		if s := r.String(); s == "" || s == "UNKNOWN" || seen[s] {
			t.Errorf("reason %d is called %q", r, s)
		} else {
			seen[s] = true
		}
	}
	if skb.NumReasons.String() != "UNKNOWN" {
		t.Error("a reason beyond the last has a name")
	}
}

func TestDestructor_runsOnce(t *testing.T) {
	c := newCache(t, 4)
	charged := new(int)
	b := filled(t, c, 0, []byte("x"))
	charge := func(b *skb.Buff) {
		*charged += b.Truesize()
		b.Sk = charged
		b.Destructor = func(b *skb.Buff) { *b.Sk.(*int) -= b.Truesize() }
	}
	charge(b)
	cl := b.Clone()
	if cl.Sk != nil || cl.Destructor != nil {
		t.Error("the clone is charged to the sock too")
	}
	// A bigger head must not change what is given back to the sock.
	if !b.Cow(1000) {
		t.Fatal("no memory")
	}
	b.Consume()
	cl.Consume()
	if *charged != 0 {
		t.Errorf("%d bytes still charged", *charged)
	}
	b = filled(t, c, 0, nil)
	charge(b)
	b.Orphan()
	if *charged != 0 || b.Sk != nil || b.Destructor != nil {
		t.Error("not orphaned")
	}
	b.Consume()
}

func TestShareCheck(t *testing.T) {
	c := newCache(t, 2)
	b := filled(t, c, 0, []byte("x"))
	if b.ShareCheck() != b {
		t.Error("cloned without need")
	}
	b.Get()
	n := b.ShareCheck()
	if n == b || b.Users() != 1 || n.Shared() || n.Dataref() != 2 {
		t.Error("not a clone of its own")
	}
	b.Consume()
	n.Consume()
}

func TestUnshare(t *testing.T) {
	c := newCache(t, 2)
	b := filled(t, c, 8, pattern(1, 9))
	if b.Unshare() != b {
		t.Error("copied without need")
	}
	cl := b.Clone()
	n := cl.Unshare()
	if n == cl || n.Cloned() || b.Cloned() || n.HeadPage() == b.HeadPage() || !bytes.Equal(n.Data(), b.Data()) || n.Headroom() != 8 {
		t.Error("not a copy of its own")
	}
	cl = b.Clone()
	if cl.Unshare() != nil || b.Cloned() || c.Drops(skb.NoMem) != 1 {
		t.Error("out of memory: the packet must be dropped")
	}
	b.Consume()
	n.Consume()
}

func TestCopy_metadata(t *testing.T) {
	c := newCache(t, 16)
	b := filled(t, c, 30, pattern(1, 40))
	addFrag(t, c, b, pattern(2, 600))
	b.Mark, b.Protocol, b.CB[0] = 7, 0x800, 42
	b.Shinfo().GSOSize, b.Shinfo().GSOSegs, b.Shinfo().GSOType = 100, 7, skb.GSOTCPv4
	b.SetTransportHeader(20)
	if !b.SetCsumPartial(20, 16) {
		t.Fatal("refused")
	}
	n := b.Copy()
	if n.Mark != 7 || n.Protocol != 0x800 || n.CB[0] != 42 || n.Shinfo().GSOSize != 100 || n.Shinfo().GSOType != skb.GSOTCPv4 {
		t.Error("metadata lost")
	}
	if n.IPSummed != skb.ChecksumPartial || n.CsumStartOffset() != 20 || n.TransportOffset() != 20 {
		t.Errorf("checksum start %d transport %d", n.CsumStartOffset(), n.TransportOffset())
	}
	if n.IsNonlinear() || !bytes.Equal(contents(n), contents(b)) {
		t.Error("not the same bytes in one piece")
	}
	b.Consume()
	n.Consume()
}

func TestFragList_cutAndCloned(t *testing.T) {
	c := newCache(t, 64)
	all := pattern(1, 100)
	// head 10, frag 10, then members: 10 linear, 10 linear + 20 frag, 40 linear.
	build := func() *skb.Buff {
		b := filled(t, c, 4, all[:10])
		addFrag(t, c, b, all[10:20])
		m1 := filled(t, c, 4, all[20:30])
		m2 := filled(t, c, 4, all[30:40])
		addFrag(t, c, m2, all[40:60])
		m3 := filled(t, c, 4, all[60:])
		for _, m := range []*skb.Buff{m1, m2, m3} {
			if !b.AddFragList(m) {
				t.Fatal("not taken")
			}
		}
		return b
	}
	for cut := 0; cut <= 100; cut++ {
		b := build()
		one, two, three := b.Clone(), b.Clone(), b.Clone()
		if !one.Trim(cut) || !bytes.Equal(contents(one), all[:cut]) {
			t.Fatalf("Trim(%d): %d bytes", cut, one.Len())
		}
		if !two.PullAny(cut) || !bytes.Equal(contents(two), all[cut:]) {
			t.Fatalf("PullAny(%d): %d bytes", cut, two.Len())
		}
		if !three.MayPull(cut) || three.Headlen() < cut || !bytes.Equal(contents(three), all) {
			t.Fatalf("MayPull(%d): %d bytes linear", cut, three.Headlen())
		}
		if !bytes.Equal(contents(b), all) {
			t.Fatalf("cut at %d: the original changed", cut)
		}
		// What is appended after a cut goes to the end of the chain.
		if !one.AddFragList(filled(t, c, 0, []byte("end"))) || !bytes.Equal(contents(one), append(all[:cut:cut], "end"...)) {
			t.Fatalf("append after Trim(%d)", cut)
		}
		for _, x := range []*skb.Buff{b, one, two, three} {
			x.Consume()
		}
	}
	if c.Consumed() != 4*101 {
		t.Errorf("%d packets consumed: members must not count", c.Consumed())
	}
}

func TestFragList_heldElsewhere(t *testing.T) {
	c := newCache(t, 4)
	b, m := filled(t, c, 0, nil), filled(t, c, 0, []byte("m"))
	m.Get()
	mustPanic(t, "member with two users", func() { b.AddFragList(m) })
	m.Consume()
	var l skb.List
	l.PushBack(m)
	l.PushBack(b.Clone())
	mustPanic(t, "member on a list", func() { b.AddFragList(m) })
	l.Consume()
	b.Consume()
}
