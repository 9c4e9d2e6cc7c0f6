package fib

import "sync/atomic"

// This file is the writer's half of the trie. One writer at a time.

func (t *trie) key(e uint32) uint32 { return uint32(t.snap.Load().ents[e*2] >> 32) }
func (t *trie) len(e uint32) int    { return int(t.snap.Load().ents[e*2] & 0xff) }

func (t *trie) setCover(e, cover uint32) {
	s := t.snap.Load()
	w := s.ents[e*2+1]
	atomic.StoreUint64(&s.ents[e*2+1], w>>32<<32|uint64(cover))
}

func (t *trie) setSlot(i, below, best uint32) {
	atomic.StoreUint64(&t.snap.Load().words[i], slot64(below, best))
}

// count and built are how many prefixes are below a node, and how many there
// were when it got its shape.
func counts(n, built int) uint64 { return uint64(n)<<32 | uint64(built) }

func (t *trie) nodeCounts(at uint32) (n, built int) {
	w := t.snap.Load().words[at+1]
	return int(w >> 32), int(uint32(w))
}

// step is a place on the way down: a node and the slot taken.
type step struct{ node, slot uint32 }

// path goes down to the node where a prefix of n bits ends or would. at is the
// number of steps. When the last slot has something below that is not the way
// on, the prefix belongs in between.
func (t *trie) path(key uint32, n int, p *[34]step) (at int) {
	s := t.snap.Load()
	for node := uint32(0); ; {
		_, pos, b := unpack(s.words[node])
		slot := node + nodeHead + key<<uint(pos)>>uint(32-b)
		p[at] = step{node, slot}
		at++
		if n <= pos+b {
			return at
		}
		below := uint32(s.words[slot] >> 32)
		if below == 0 || below&leafBit != 0 {
			return at
		}
		k, cpos, _ := unpack(s.words[below])
		if n <= cpos || common(key, k) < cpos {
			return at
		}
		node = below
	}
}

// chain returns the next shorter prefix of a node that covers key, 0 if none.
func (t *trie) chain(e, key uint32, pos int) uint32 {
	s := t.snap.Load()
	c := s.cover(e)
	if c == 0 {
		return 0
	}
	if n, ok := s.covers(c, key, t.len(e)); !ok || !ends(n, pos) {
		return 0
	}
	return c
}

// ends reports whether a prefix of n bits is one of a node that begins at pos.
// The root has the default route too.
func ends(n, pos int) bool { return n > pos || pos == 0 }

// exact returns the entry of a prefix, 0 if there is none.
func (t *trie) exact(key uint32, n int) uint32 {
	var p [34]step
	last := p[t.path(key, n, &p)-1]
	s := t.snap.Load()
	_, pos, b := unpack(s.words[last.node])
	w := s.words[last.slot]
	if n > pos+b {
		if below := uint32(w >> 32); below&leafBit != 0 {
			if e := below &^ leafBit; t.len(e) == n && t.key(e) == key {
				return e
			}
		}
		return 0
	}
	e := uint32(w)
	for e != 0 && t.len(e) > n {
		e = t.chain(e, key, pos)
	}
	if e != 0 && t.len(e) == n {
		return e
	}
	return 0
}

func (t *trie) get(key uint32, n int) aliases {
	e := t.exact(key, n)
	if e == 0 {
		return nil
	}
	l, _ := t.snap.Load().entry(e)
	return l
}

// put makes l the routes of a prefix.
func (t *trie) put(key uint32, n int, l aliases) {
	g := t.group(l)
	if e := t.exact(key, n); e != 0 {
		s := t.snap.Load()
		w := s.ents[e*2+1]
		atomic.StoreUint64(&s.ents[e*2+1], uint64(g)<<32|uint64(uint32(w)))
		t.ungroup(uint32(w >> 32))
		return
	}
	e := t.newEntry(key, n, g)
	t.count++
	var p [34]step
	at := t.path(key, n, &p)
	t.enter(p[at-1], e)
	t.adjust(p[:at], 1)
}

// enter puts an entry into the last node of its path.
func (t *trie) enter(st step, e uint32) {
	key, n := t.key(e), t.len(e)
	s := t.snap.Load()
	_, pos, b := unpack(s.words[st.node])
	if n <= pos+b {
		t.spread(st, e, pos, b)
		return
	}
	w := s.words[st.slot]
	below := uint32(w >> 32)
	if below == 0 {
		t.setSlot(st.slot, e|leafBit, uint32(w))
		return
	}
	// Two ways part here, or one prefix contains the other.
	var k uint32
	var lim, top, have int
	if below&leafBit != 0 {
		o := below &^ leafBit
		k, lim = t.key(o), t.len(o)-1
		top, have = max(t.len(o), n), 1
	} else {
		k, lim, _ = unpack(s.words[below])
		top = lim
		lim--
		have, _ = t.nodeCounts(below)
	}
	npos := min(common(key, k), lim, n-1)
	nb := max(1, min(top-npos, 2))
	node := t.newNode(key&mask32(npos), npos, nb)
	s = t.snap.Load()
	atomic.StoreUint64(&s.words[node+1], counts(have+1, have+1))
	in := func(k uint32) step { return step{node, node + nodeHead + k<<uint(npos)>>uint(32-nb)} }
	if o := below &^ leafBit; below&leafBit != 0 && t.len(o) <= npos+nb {
		// The link of what was a leaf may be of another node.
		t.spread(in(k), o, npos, nb)
	} else {
		t.setSlot(in(k).slot, below, 0)
	}
	t.enter(in(key), e)
	t.setSlot(st.slot, node, uint32(w))
}

// spread enters an entry in all slots it covers.
func (t *trie) spread(st step, e uint32, pos, b int) {
	key, n := t.key(e), t.len(e)
	first, num := t.slots(st.node, key, n, pos, b)
	for i := first; i < first+num; i++ {
		w := t.snap.Load().words[i]
		// The address of a slot is one all its prefixes cover.
		at := key | (i-first)<<uint(32-pos-b)
		prev, o := uint32(0), uint32(w)
		for o != 0 && t.len(o) > n {
			prev, o = o, t.chain(o, at, pos)
		}
		if o == e {
			continue
		}
		if i == first {
			t.setCover(e, o)
		}
		if prev == 0 {
			t.setSlot(i, uint32(w>>32), e)
		} else {
			t.setCover(prev, e)
		}
	}
}

// slots returns the slots of a node that a prefix covers.
func (t *trie) slots(node, key uint32, n, pos, b int) (first, num uint32) {
	return node + nodeHead + key<<uint(pos)>>uint(32-b), 1 << uint(pos+b-n)
}

// del removes a prefix.
func (t *trie) del(key uint32, n int) {
	e := t.exact(key, n)
	if e == 0 {
		return
	}
	var p [34]step
	at := t.path(key, n, &p)
	st := p[at-1]
	s := t.snap.Load()
	_, pos, b := unpack(s.words[st.node])
	if n > pos+b {
		t.setSlot(st.slot, 0, uint32(s.words[st.slot]))
	} else {
		cover := t.chain(e, key, pos)
		first, num := t.slots(st.node, key, n, pos, b)
		for i := first; i < first+num; i++ {
			w := s.words[i]
			if uint32(w) == e {
				t.setSlot(i, uint32(w>>32), cover)
				continue
			}
			at := key | (i-first)<<uint(32-pos-b)
			for o := uint32(w); o != 0; o = t.chain(o, at, pos) {
				if t.snap.Load().cover(o) == e {
					t.setCover(o, cover)
					break
				}
			}
		}
	}
	t.count--
	t.ungroup(uint32(s.ents[e*2+1] >> 32))
	// Links to it that are out of date must not lead to a route that is gone.
	atomic.StoreUint64(&s.ents[e*2], s.ents[e*2]|0xff)
	t.limboE = append(t.limboE, e)
	t.adjust(p[:at], -1)
}

// adjust counts a change on the way to it, and gives the highest node that has
// grown or shrunk out of its shape another one.
func (t *trie) adjust(p []step, d int) {
	words := t.snap.Load().words
	odd := -1
	for i, st := range p {
		n, built := t.nodeCounts(st.node)
		n += d
		atomic.StoreUint64(&words[st.node+1], counts(n, built))
		if odd < 0 && (n > built+built/2+2 || n < built/2 || i > 0 && n < 2) {
			odd = i
		}
	}
	switch {
	case odd == 0:
		t.rebuild()
	case odd > 0:
		st, up := p[odd], p[odd-1]
		list := t.collect(nil, st.node)
		t.link(list)
		_, pos, b := unpack(words[up.node])
		below := t.shape(list, pos+b)
		t.setSlot(up.slot, below, uint32(t.snap.Load().words[up.slot]))
		t.retire(st.node)
	}
	t.recycle()
}

// collect appends the entries below a node: by address, shorter ones first.
func (t *trie) collect(list []uint32, node uint32) []uint32 {
	s := t.snap.Load()
	k, pos, b := unpack(s.words[node])
	for i := range uint32(1) << uint(b) {
		w := s.words[node+nodeHead+i]
		at := k&mask32(pos) | i<<uint(32-pos-b)
		mark := len(list)
		for e := uint32(w); e != 0; e = t.chain(e, at, pos) {
			if t.key(e) == at { // it begins here
				list = append(list, e)
			}
		}
		for x, y := mark, len(list)-1; x < y; x, y = x+1, y-1 {
			list[x], list[y] = list[y], list[x]
		}
		if below := uint32(w >> 32); below&leafBit != 0 {
			list = append(list, below&^leafBit)
		} else if below != 0 {
			list = t.collect(list, below)
		}
	}
	return list
}

func (t *trie) walk(fn func(key uint32, n int, l aliases) bool) {
	for _, e := range t.collect(nil, 0) {
		l, n := t.snap.Load().entry(e)
		if !fn(t.key(e), n, l) {
			return
		}
	}
}

// link sets the covers of a sorted list.
func (t *trie) link(list []uint32) {
	var stack [33]uint32
	n := 0
	for _, e := range list {
		k, l := t.key(e), t.len(e)
		for n > 0 && (t.len(stack[n-1]) >= l || (k^t.key(stack[n-1]))&mask32(t.len(stack[n-1])) != 0) {
			n--
		}
		c := uint32(0)
		if n > 0 {
			c = stack[n-1]
		}
		t.setCover(e, c)
		stack[n] = e
		n++
	}
}

// retire takes the nodes below out of use.
func (t *trie) retire(node uint32) {
	s := t.snap.Load()
	_, _, b := unpack(s.words[node])
	for i := range uint32(1) << uint(b) {
		if below := uint32(s.words[node+nodeHead+i] >> 32); below != 0 && below&leafBit == 0 {
			t.retire(below)
		}
	}
	t.limboN = append(t.limboN, node)
}
