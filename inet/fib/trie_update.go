package fib

import (
	"slices"
	"sync/atomic"
)

// This file is the writer's half of the trie. One writer at a time.

func (t *trie) rootBits() int { return int(32 - t.cur.shift) }

// path goes down to the node where a prefix of n bits ends, or the last above
// it, and returns the nodes on the way. The root is not among them.
func (t *trie) path(key uint32, n int, p []node) []node {
	s := t.cur
	for v := s.root[key>>s.shift]; v&childBit != 0; {
		nd := s.node(v)
		if n <= nd.pos || common(key, nd.key) < nd.pos {
			break // it belongs in between
		}
		p = append(p, nd)
		if n <= nd.end() {
			break
		}
		v, _ = s.slot(&nd, nd.slotOf(key))
	}
	return p
}

// exact returns the group of a prefix, 0 if it is not there.
func (t *trie) exact(key uint32, n int) uint32 {
	if n <= t.rootBits() {
		return t.cur.own[ownIndex(key, n)]
	}
	var buf [32]node
	p := t.path(key, n, buf[:0])
	if len(p) == 0 || n > p[len(p)-1].end() {
		return 0
	}
	want := newPrefix(key, n, 0)
	for _, o := range t.cur.prefixes(&p[len(p)-1]) {
		if want.same(prefix(o)) {
			return prefix(o).group()
		}
	}
	return 0
}

func (t *trie) get(key uint32, n int) aliases { return t.cur.groups[t.exact(key, n)].list }

// put makes l the routes of a prefix.
func (t *trie) put(key uint32, n int, l aliases) {
	t.tidy()
	g := t.group(l)
	if old := t.exact(key, n); old != 0 {
		t.change(newPrefix(key, n, g), 0)
		t.ungroup(old)
		return
	}
	t.count++
	t.change(newPrefix(key, n, g), 1)
	if rootFor(t.count) > t.rootBits() {
		t.build(t.all())
	}
}

// del removes a prefix.
func (t *trie) del(key uint32, n int) {
	t.tidy()
	g := t.exact(key, n)
	if g == 0 {
		return
	}
	t.count--
	t.change(newPrefix(key, n, g), -1)
	t.ungroup(g)
	if rootFor(t.count) < t.rootBits()-2 {
		t.build(t.all())
	}
}

// change enters a prefix that was not there (d is 1), takes one out (-1), or
// gives it other routes (0).
func (t *trie) change(p prefix, d int) {
	defer t.seq.Add(1)
	n := p.len()
	if n <= t.rootBits() {
		t.changeRoot(p, d)
		return
	}
	var buf [32]node
	path := t.path(p.key(), n, buf[:0])
	for i := range path {
		below, built := t.cur.counts(&path[i])
		below += d
		if below == 0 || below < built/2 || below > built+built/2+1 {
			// The highest that has got out of shape takes another one, with
			// all below it.
			t.reshape(path[:i+1], p, d)
			return
		}
		t.cur.setCounts(&path[i], below, built)
	}
	from := t.rootBits()
	if len(path) > 0 {
		last := &path[len(path)-1]
		if from = last.end(); n <= from {
			var own [64]prefix
			var kids [64]kid
			t.remake(path, edit(t.cur.ownOf(last, own[:0]), p, d), t.cur.kids(last, kids[:0]))
			return
		}
	}
	ref := t.cur.root[p.key()>>t.cur.shift]
	if len(path) > 0 {
		last := &path[len(path)-1]
		ref, _ = t.cur.slot(last, last.slotOf(p.key()))
	}
	if ref&childBit != 0 {
		ref = t.split(ref, p, from)
	} else {
		ref = t.shape([]prefix{p}, from)
	}
	t.place(path, p.key(), ref)
}

// edit changes a sorted list as change does the trie.
func edit(list []prefix, p prefix, d int) []prefix {
	i, _ := slices.BinarySearch(list, p>>groupBits<<groupBits)
	switch d {
	case 0:
		list[i] = p
	case 1:
		return slices.Insert(list, i, p)
	default:
		return slices.Delete(list, i, i+1)
	}
	return list
}

// ownOf appends the prefixes that end in a node.
func (s *snap) ownOf(n *node, l []prefix) []prefix {
	for _, o := range s.prefixes(n) {
		l = append(l, prefix(o))
	}
	return l
}

// changeRoot changes a prefix that ends in the root.
func (t *trie) changeRoot(p prefix, d int) {
	s := t.cur
	g, v := p.group(), p.value()
	if d < 0 {
		g, v = 0, 0
		for n := p.len() - 1; n >= 0 && v == 0; n-- {
			if c := s.own[ownIndex(p.key(), n)]; c != 0 {
				v = newPrefix(0, n, c).value()
			}
		}
	}
	atomic.StoreUint32(&s.own[ownIndex(p.key(), p.len())], g)
	first, num := p.slots(0, t.rootBits())
	for i := range s.root[first : first+num] {
		r := &s.root[int(first)+i]
		best := *r
		if *r&childBit != 0 {
			best = s.inherited(*r)
		}
		if best != 0 && int(best&lenMask) > p.len() {
			continue // a longer one hides it
		}
		if *r&childBit != 0 {
			s.setInherit(*r, v)
		} else {
			atomic.StoreUint32(r, v)
		}
	}
}

// place puts a node, 0 for none, into the slot that key has in the last node of
// a path.
func (t *trie) place(path []node, key, ref uint32) {
	s := t.cur
	if len(path) == 0 {
		r := &s.root[key>>s.shift]
		best := *r
		if best&childBit != 0 {
			best = s.inherited(best)
		}
		if ref == 0 {
			ref = best
		} else {
			s.setInherit(ref, best)
		}
		atomic.StoreUint32(r, ref)
		return
	}
	last := &path[len(path)-1]
	slot := last.slotOf(key)
	old, _ := s.slot(last, slot)
	if ref != 0 && old&childBit != 0 {
		s.setInherit(ref, s.inherited(old))
		s.setChild(last, slot, ref)
		return
	}
	var own [64]prefix
	var buf [64]kid
	kids := s.kids(last, buf[:0])
	if ref == 0 {
		kids = slices.DeleteFunc(kids, func(k kid) bool { return k.slot == slot })
	} else {
		kids = append(kids, kid{slot, ref})
	}
	t.remake(path, s.ownOf(last, own[:0]), kids)
}

// again makes a node anew from other parts.
func (t *trie) again(n *node, skip bool, own []prefix, kids []kid) uint32 {
	below, built := t.cur.counts(n)
	ref := t.make(&plan{n.key, n.pos, n.b, skip, n.inherit, below, built, own, kids})
	t.retire(n)
	return ref
}

// remake makes the last node of a path anew, in the place of the old one.
func (t *trie) remake(path []node, own []prefix, kids []kid) {
	last := &path[len(path)-1]
	t.place(path[:len(path)-1], last.key, t.again(last, last.skip, own, kids))
}

// split returns a node for a prefix and the node ref, which is either below the
// prefix or apart from it.
func (t *trie) split(ref uint32, p prefix, from int) uint32 {
	n := t.cur.node(ref)
	pos := min(common(p.key(), n.key), p.len()-1)
	s := plan{key: p.key() & mask32(pos), pos: pos, b: 1, skip: pos > from}
	slot := func(key uint32) uint32 { return key << uint(pos) >> 31 }
	if p.len() == pos+1 {
		s.own = []prefix{p}
	} else {
		s.kids = append(s.kids, kid{slot(p.key()), t.shape([]prefix{p}, pos+1)})
	}
	// It will inherit something else, and who meets it on the old way must not
	// see that.
	var own [64]prefix
	var kids [64]kid
	again := t.again(&n, n.pos > pos+1, t.cur.ownOf(&n, own[:0]), t.cur.kids(&n, kids[:0]))
	s.kids = append(s.kids, kid{slot(n.key), again})
	below, _ := t.cur.counts(&n)
	s.below, s.built = below+1, below+1
	return t.make(&s)
}

// reshape gives the last node of a path and all below it another shape, with a
// change made on the way.
func (t *trie) reshape(path []node, p prefix, d int) {
	top := &path[len(path)-1]
	from := t.rootBits()
	if len(path) > 1 {
		from = path[len(path)-2].end()
	}
	var buf [64]prefix
	list := edit(t.collect(top, buf[:0], true), p, d)
	t.place(path[:len(path)-1], p.key(), t.shape(list, from))
}

// collect appends the prefixes below a node, sorted. With retire they are
// meant to be put elsewhere.
func (t *trie) collect(n *node, list []prefix, retire bool) []prefix {
	var buf [64]kid
	own := t.cur.prefixes(n)
	for _, k := range t.cur.kids(n, buf[:0]) {
		start := n.key | k.slot<<uint(32-n.end())
		for len(own) > 0 && prefix(own[0]).key() <= start {
			list, own = append(list, prefix(own[0])), own[1:]
		}
		below := t.cur.node(k.ref)
		list = t.collect(&below, list, retire)
	}
	for _, o := range own {
		list = append(list, prefix(o))
	}
	if retire {
		t.retire(n)
	}
	return list
}

// all returns all prefixes, sorted.
func (t *trie) all() []prefix { return t.allBelow(1, 0, make([]prefix, 0, t.count)) }

// allBelow appends the prefixes from number i of the root's down, which has n
// bits.
func (t *trie) allBelow(i uint32, n int, list []prefix) []prefix {
	s := t.cur
	if g := s.own[i]; g != 0 {
		list = append(list, newPrefix(uint32(uint64(i)<<uint(32-n)), n, g))
	}
	if n < t.rootBits() {
		return t.allBelow(2*i+1, n+1, t.allBelow(2*i, n+1, list))
	}
	if v := s.root[i-1<<uint(n)]; v&childBit != 0 {
		nd := s.node(v)
		list = t.collect(&nd, list, false)
	}
	return list
}

func (t *trie) walk(fn func(key uint32, n int, l aliases) bool) {
	for _, p := range t.all() {
		if !fn(p.key(), p.len(), t.cur.groups[p.group()].list) {
			return
		}
	}
}
