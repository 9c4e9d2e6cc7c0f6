package fib

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"barewire/skb/header"
)

// linear is the plain reference of the trie: a list of prefixes.
type linear []linearRoute

type linearRoute struct {
	key  uint32
	bits int
	l    aliases
}

func (l *linear) find(key uint32, bits int) int {
	return slices.IndexFunc(*l, func(r linearRoute) bool { return r.key == key && r.bits == bits })
}

func (l *linear) put(key uint32, bits int, a aliases) {
	if i := l.find(key, bits); i >= 0 {
		(*l)[i].l = a
		return
	}
	*l = append(*l, linearRoute{key, bits, a})
}

func (l *linear) del(key uint32, bits int) {
	if i := l.find(key, bits); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

// matches returns the prefixes of key, longest first.
func (l linear) matches(key uint32) (out []linearRoute) {
	for _, r := range l {
		if (key^r.key)&mask32(r.bits) == 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b linearRoute) int { return b.bits - a.bits })
	return out
}

// compare fails the test when the trie does not find what the list does.
func compare(t *testing.T, tr *trie, l linear, key uint32) {
	t.Helper()
	want := l.matches(key)
	got, n := tr.match(key, anyLength)
	for _, w := range want {
		if got == nil {
			t.Fatalf("%#x: ends before /%d", key, w.bits)
		}
		if n != w.bits || got.list[0] != w.l[0] {
			t.Fatalf("%#x: found /%d, want /%d", key, n, w.bits)
		}
		got, n = tr.match(key, n)
	}
	if got != nil {
		t.Fatalf("%#x: /%d too many", key, n)
	}
}

func newTrie() *trie {
	t := &trie{}
	t.init()
	return t
}

func same(t *testing.T, tr *trie, l linear) {
	t.Helper()
	if tr.count != len(l) {
		t.Fatalf("%d prefixes, want %d", tr.count, len(l))
	}
	n, last := 0, uint64(0)
	tr.walk(func(key uint32, bits int, a aliases) bool {
		if i := l.find(key, bits); i < 0 || l[i].l[0] != a[0] {
			t.Fatalf("walk: %#x/%d is not there", key, bits)
		}
		if at := uint64(key)<<8 | uint64(bits); n > 0 && at <= last {
			t.Fatalf("walk: %#x/%d out of order", key, bits)
		} else {
			last = at
		}
		n++
		return true
	})
	if n != len(l) {
		t.Fatalf("walk: %d prefixes, want %d", n, len(l))
	}
	sound(t, tr)
}

// sound fails the test when nodes, their counts and what is counted as out of
// use do not agree.
func sound(t *testing.T, tr *trie) {
	t.Helper()
	s := tr.cur
	if s != tr.snap.Load() {
		t.Fatal("what is worked on is not published")
	}
	var live extent
	var visit func(ref uint32, from int) int
	visit = func(ref uint32, from int) int {
		n := s.node(ref)
		w, l := s.size(&n)
		live.words += int(w)
		live.lists += int(l)
		if n.pos < from || n.skip != (n.pos > from) || n.end() > 32 {
			t.Fatalf("node of %d bits behind %d below one that ends at %d, skip %v", n.b, n.pos, from, n.skip)
		}
		below := n.own
		for _, k := range s.kids(&n, nil) {
			below += visit(k.ref, n.end())
		}
		if c, _ := s.counts(&n); c != below {
			t.Fatalf("%d prefixes below a node, %d counted", below, c)
		}
		return below
	}
	for _, v := range s.root {
		if v&childBit != 0 {
			visit(v, tr.rootBits())
		}
	}
	if want := (extent{tr.used.words - tr.dead.words - tr.skipped, tr.used.lists - tr.dead.lists}); live != want {
		t.Fatalf("%v in use, %v counted", live, want)
	}
}

func TestTrie_randomChanges_asList(t *testing.T) {
	infos := make([]*Info, 8)
	for i := range infos {
		infos[i] = &Info{Priority: uint32(i)}
	}
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 1))
		// Few address bits make prefixes that contain each other.
		space := []uint32{0x0f0f0fff, 0xffffffff, 0x00ff00ff, 0xc0a8ffff, 0x3}[seed%5]
		tr, l := newTrie(), linear(nil)
		steps := 600
		if seed%10 == 0 {
			steps = 3000
		}
		for step := range steps {
			bits := r.IntN(33)
			key := r.Uint32() & space & mask32(bits)
			if len(l) > 0 && (r.IntN(5) < 2 || step > steps*3/4) {
				k := l[r.IntN(len(l))]
				tr.del(k.key, k.bits)
				l.del(k.key, k.bits)
			} else {
				a := aliases{{0, infos[r.IntN(8)]}}
				tr.put(key, bits, a)
				l.put(key, bits, a)
			}
			for range 3 {
				compare(t, tr, l, r.Uint32()&space)
			}
			if step%100 == 0 {
				same(t, tr, l)
			}
		}
		same(t, tr, l)
		for len(l) > 0 {
			tr.del(l[0].key, l[0].bits)
			l.del(l[0].key, l[0].bits)
		}
		same(t, tr, l)
	}
}

func FuzzTrie(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 0, 8, 0, 10, 1, 0, 0, 16, 1, 10, 0, 0, 0, 8})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3, 32, 0, 10, 1, 2, 2, 31, 0, 10, 1, 2, 0, 24})
	f.Fuzz(func(t *testing.T, p []byte) {
		tr, l := newTrie(), linear(nil)
		infos := [2]*Info{{}, {Priority: 1}}
		for n := 0; len(p) >= 6 && n < 400; p, n = p[6:], n+1 {
			bits := int(p[5]) % 33
			key := binary.BigEndian.Uint32(p[1:]) & mask32(bits)
			if p[0]&1 == 0 {
				a := aliases{{0, infos[p[0]>>1&1]}}
				tr.put(key, bits, a)
				l.put(key, bits, a)
			} else {
				tr.del(key, bits)
				l.del(key, bits)
			}
			compare(t, tr, l, key)
			compare(t, tr, l, key|^mask32(bits))
			compare(t, tr, l, key^1<<uint(p[0]>>3))
		}
		same(t, tr, l)
	})
}

// TestTrie_lookupsWhileChanging_neverWrong has lookups run while routes around
// them come and go: what stays must always be found.
func TestTrie_lookupsWhileChanging_neverWrong(t *testing.T) {
	tr := newTrie()
	stay, come := &Info{Priority: 1}, &Info{Priority: 2}
	keep := map[uint32]bool{}
	r := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		k := r.Uint32() & 0x0fff0000 & mask32(16)
		keep[k] = true
		tr.put(k, 16, aliases{{0, stay}})
	}
	var keys []uint32
	for k := range keep {
		keys = append(keys, k)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for !stop.Load() {
				k := keys[r.IntN(len(keys))] | r.Uint32()&0xffff
				l, n := tr.match(k, anyLength)
				for l != nil && n > 16 {
					if l.list[0].Info != come {
						t.Errorf("%#x/%d: wrong route", k, n)
						return
					}
					l, n = tr.match(k, n)
				}
				if l == nil || n != 16 || l.list[0].Info != stay {
					t.Errorf("%#x: the /16 is gone (found /%d)", k, n)
					return
				}
			}
		})
	}
	type pfx struct {
		key  uint32
		bits int
	}
	var there []pfx
	for range 20000 {
		if len(there) > 800 || len(there) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(there))
			tr.del(there[i].key, there[i].bits)
			there[i] = there[len(there)-1]
			there = there[:len(there)-1]
			continue
		}
		b := 17 + r.IntN(16)
		k := (keys[r.IntN(len(keys))] | r.Uint32()&0xffff) & mask32(b)
		if tr.exact(k, b) == 0 {
			tr.put(k, b, aliases{{0, come}})
			there = append(there, pfx{k, b})
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestTableLookup_perPacket_noAllocation(t *testing.T) {
	f := New(nil)
	f.main.put(header.Addr(10<<24), 8, aliases{{0, &Info{Type: Unicast, NHs: make([]Nexthop, 1)}}})
	fl := Flow{Dst: 10<<24 + 1}
	var res Result
	if n := testing.AllocsPerRun(100, func() {
		if f.Lookup(&fl, &res) != 0 || res.Bits != 8 {
			t.Fatal(res)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	fl.Dst = 1
	if err := f.Lookup(&fl, &res); err != syscall.ENETUNREACH {
		t.Error(err)
	}
}

// TestTrie_routeMovesBetweenLengths_neverMissing has a destination covered now
// by one prefix, now by another, of lengths that end in different nodes, the new
// one always entered before the old one goes: no lookup may find neither.
func TestTrie_routeMovesBetweenLengths_neverMissing(t *testing.T) {
	tr := newTrie()
	i := &Info{}
	const key = 0x0a0b0c0d
	for n := range uint32(64) { // nodes on the way, and beside it
		tr.put(key&mask32(20)|n<<6, 28, aliases{{0, i}})
		tr.put(key&mask32(24)|n^0x3f, 32, aliases{{0, i}})
		tr.put(n<<26, 8, aliases{{0, i}})
	}
	tr.del(key&mask32(28), 28)
	tr.del(key, 32)
	tr.del(key&mask32(8), 8)
	lens := []int{3, 24, 6, 30, 12, 21, 29, 0, 18, 27}
	tr.put(key&mask32(lens[0]), lens[0], aliases{{0, i}})
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if g, _ := tr.match(key, anyLength); g == nil {
				t.Error("no route")
				return
			}
		}
	})
	for k := range 20000 {
		from, to := lens[k%len(lens)], lens[(k+1)%len(lens)]
		tr.put(key&mask32(to), to, aliases{{0, i}})
		tr.del(key&mask32(from), from)
	}
	stop.Store(true)
	wg.Wait()
	l := linear{}
	tr.walk(func(key uint32, n int, a aliases) bool { l.put(key, n, a); return true })
	same(t, tr, l)
}
