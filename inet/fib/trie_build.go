package fib

import (
	"math/bits"
	"slices"
)

// writer is what belongs to the writer of a trie.
type writer struct {
	cur   *snap // what is worked on: the one in use, or one not yet published
	count int   // prefixes

	// Of the words and lists of cur: how many are in use, and how many of
	// those no longer.
	used, dead extent
	// skipped of the words in use are between nodes.
	skipped int

	numbers map[alias]uint32 // groups of one route
	refs    []int32          // prefixes by group
	free    []uint32         // groups to be given out, the lowest last
	idle    []uint32         // groups that lookups may still meet in cur
}

// extent is a number of words and of list words.
type extent struct{ words, lists int }

// lineWords is a line of the processor's caches. What a lookup reads first of a
// node, head and bits, is in one: words in front are skipped if need be.
const lineWords = 8

const (
	rootMin = 4
	rootMax = 16
	idleMax = 4096
)

func (t *trie) init() {
	t.numbers = make(map[alias]uint32)
	t.refs = make([]int32, 1)
	t.cur = &snap{groups: make([]group, 4)}
	t.build(nil)
}

// rootFor returns over how many bits the root branches for so many prefixes.
func rootFor(n int) int { return min(max(bits.Len(uint(n)), rootMin), rootMax) }

// build gives the whole trie the shape that fits the prefixes of a sorted list,
// and publishes it.
func (t *trie) build(list []prefix) {
	b := rootFor(len(list))
	s := &snap{shift: uint(32 - b), root: make([]uint32, 1<<b), own: make([]uint32, 2<<b),
		words: make([]uint64, len(list)+16), lists: make([]uint64, len(list)+len(list)/4+16), groups: t.cur.groups}
	t.cur, t.used, t.dead, t.skipped = s, extent{}, extent{}, 0
	for i := 0; i < len(list); {
		p := list[i]
		if p.len() <= b {
			t.changeRoot(p, 1)
			i++
			continue
		}
		slot := p.key() >> s.shift
		j := i + 1
		for j < len(list) && list[j].key()>>s.shift == slot {
			j++
		}
		t.place(nil, p.key(), t.shape(list[i:j], b))
		i = j
	}
	t.snap.Store(t.cur)
}

// shape makes nodes of a sorted list of prefixes longer than from and returns
// the first, 0 for an empty list.
func (t *trie) shape(list []prefix, from int) uint32 {
	if len(list) == 0 {
		return 0
	}
	least, most := 32, 0
	for _, p := range list {
		least, most = min(least, p.len()), max(most, p.len())
	}
	pos := max(from, min(common(list[0].key(), list[len(list)-1].key()), least-1))
	b := stride(list, pos, most)
	var ownBuf [64]prefix
	var kidBuf [64]kid
	own, kids := ownBuf[:0], kidBuf[:0]
	for i := 0; i < len(list); {
		p := list[i]
		if p.len() <= pos+b {
			own = append(own, p)
			i++
			continue
		}
		slot := p.key() << uint(pos) >> uint(32-b)
		j := i + 1
		for j < len(list) && list[j].key()<<uint(pos)>>uint(32-b) == slot {
			j++
		}
		kids = append(kids, kid{slot, t.shape(list[i:j], pos+b)})
		i = j
	}
	return t.make(&plan{list[0].key() & mask32(pos), pos, b, pos > from, 0, len(list), len(list), own, kids})
}

// stride returns over how many bits a node is to branch so that it and what is
// below take the fewest words; of equals the most bits. A prefix in a slot of its
// own makes a node of about six words, list and value counted; where several
// share a slot, as many less one are nodes that tell them apart.
func stride(list []prefix, pos, longest int) (b int) {
	const leaf, fork = 6, 5
	for n, best := min(maxBits, longest-pos), 1<<30; n > 0; n-- {
		cost, last := int(bitWords(n)), ^uint32(0)
		for _, p := range list {
			if p.len() <= pos+n {
				continue
			}
			cost += leaf + fork
			if s := p.key() << uint(pos) >> uint(32-n); s != last {
				cost, last = cost-fork, s
			}
		}
		if cost < best {
			b, best = n, cost
		}
	}
	return b
}

// alloc returns room for a node and its list. The first words of the node,
// first, are not to be parted.
func (t *trie) alloc(first, words, list int) (at, l uint32) {
	skip := 0
	if in := t.used.words % lineWords; in+first > lineWords {
		skip = lineWords - in
	}
	w, n := t.used.words+skip+words, t.used.lists+list
	if w > len(t.cur.words) || n > len(t.cur.lists) {
		t.grow(extent{w, n}, len(t.cur.groups))
	}
	at, l = uint32(t.used.words+skip), uint32(t.used.lists)
	t.used = extent{w, n}
	t.skipped += skip
	return at, l
}

// roomy is what is allocated for n words, so that what is given up before the
// next tidy finds room too.
func roomy(n int) int { return n + n/4 + n/16 + 128 }

// retire counts a node as no longer in use.
func (t *trie) retire(n *node) {
	w, l := t.cur.size(n)
	t.dead.words += int(w)
	t.dead.lists += int(l)
}

// grow moves everything to larger arrays. All move at once: what was put into
// one of the new ones must not be met from one of the old ones.
func (t *trie) grow(need extent, groups int) {
	s := t.cur
	n := &snap{shift: s.shift, root: slices.Clone(s.root), own: slices.Clone(s.own),
		words: make([]uint64, max(roomy(need.words), len(s.words))), lists: make([]uint64, max(roomy(need.lists), len(s.lists))),
		groups: make([]group, groups)}
	copy(n.words, s.words[:t.used.words])
	copy(n.lists, s.lists[:t.used.lists])
	copy(n.groups, s.groups)
	t.publish(n)
}

// publish makes n what is worked on, and what lookups see if they saw the last.
func (t *trie) publish(n *snap) {
	seen := t.snap.Load() == t.cur
	t.cur = n
	if seen {
		t.snap.Store(n)
	}
}

// tidy leaves behind what is no longer in use, once it is a quarter. Afterwards
// nodes lie next to those below them.
func (t *trie) tidy() {
	live := extent{t.used.words - t.dead.words - t.skipped, t.used.lists - t.dead.lists}
	if t.dead.words <= live.words/4+64 && t.dead.lists <= live.lists/4+64 && len(t.idle) < idleMax+len(t.refs)/4 {
		return
	}
	old := t.cur
	n := &snap{shift: old.shift, root: slices.Clone(old.root), own: slices.Clone(old.own),
		words: make([]uint64, roomy(live.words+t.skipped)), lists: make([]uint64, roomy(live.lists)), groups: slices.Clone(old.groups)}
	for _, g := range t.idle {
		n.groups[g] = group{}
	}
	t.free = append(t.free, t.idle...)
	slices.SortFunc(t.free, func(a, b uint32) int { return int(b) - int(a) })
	t.idle = t.idle[:0]
	t.cur, t.used, t.dead, t.skipped = n, extent{}, extent{}, 0
	for i, v := range old.root {
		if v&childBit != 0 {
			// In this order, as there may be larger arrays by then.
			v = t.move(old, v)
			t.cur.root[i] = v
		}
	}
	t.snap.Store(t.cur)
}

// move copies a node and all below it here from where all was before.
func (t *trie) move(old *snap, ref uint32) uint32 {
	n := old.node(ref)
	words, list := old.size(&n)
	at, l := t.alloc(int(n.values-n.at), int(words), int(list))
	copy(t.cur.words[at:], old.words[n.at:n.at+words])
	copy(t.cur.lists[l:], old.lists[n.list:n.list+list])
	t.cur.words[at+1] = uint64(l)<<32 | uint64(n.ranks)
	var buf [64]kid
	for _, k := range old.kids(&n, buf[:0]) {
		below := t.move(old, k.ref)
		moved := t.cur.node(at)
		t.cur.setChild(&moved, k.slot, below)
	}
	return at | childBit
}

// group returns the number of a list of routes. Prefixes that have one and the
// same route share it.
func (t *trie) group(l aliases) (g uint32) {
	if len(l) == 1 {
		if g, ok := t.numbers[l[0]]; ok {
			t.refs[g]++
			return g
		}
	}
	if n := len(t.free); n > 0 {
		g, t.free = t.free[n-1], t.free[:n-1]
	} else {
		g = uint32(len(t.refs))
		t.refs = append(t.refs, 0)
		if len(t.refs) > len(t.cur.groups) {
			t.grow(t.used, 2*len(t.cur.groups))
		}
	}
	t.cur.groups[g] = newGroup(l)
	t.refs[g] = 1
	if len(l) == 1 {
		t.numbers[l[0]] = g
	}
	return g
}

func (t *trie) ungroup(g uint32) {
	if t.refs[g]--; t.refs[g] > 0 {
		return
	}
	if l := t.cur.groups[g].list; len(l) == 1 {
		delete(t.numbers, l[0])
	}
	t.idle = append(t.idle, g)
}
