package fib

import "sync/atomic"

// rebuild gives the whole trie the shape that fits what is in it, in new
// arrays. Lookups on their way stay in the old ones.
func (t *trie) rebuild() {
	old := t.snap.Load()
	list := t.collect(nil, 0)
	ents := make([]uint64, 2, grown(2*len(list)+2))
	for _, e := range list {
		ents = append(ents, old.ents[e*2], old.ents[e*2+1]>>32<<32)
	}
	for i := range list {
		list[i] = uint32(i + 1)
	}
	t.build(list, &snap{ents: ents[:cap(ents)], groups: old.groups})
}

// build makes the trie of a sorted list of entries of s, and publishes it.
func (t *trie) build(list []uint32, s *snap) {
	t.freeNodes, t.limboN = [maxBits + 1][]uint32{}, nil
	t.freeEnts, t.limboE = nil, nil
	t.usedWords, t.usedEnts = 0, uint32(len(list)+1)
	s.words = make([]uint64, grown(3*len(list)+8))
	// Lookups must not see it before it is whole: work on the side.
	w := &trie{groups: t.groups}
	w.snap.Store(s)
	w.usedEnts = t.usedEnts
	w.link(list)
	w.node(list, 0, w.fill(list, 0, 1, true))
	t.usedWords, t.freeNodes = w.usedWords, w.freeNodes
	t.snap.Store(w.snap.Load())
}

// shape makes the node or leaf of a sorted list below a node that ends at from,
// and returns it as a slot has it; 0 for an empty list.
func (t *trie) shape(list []uint32, from int) uint32 {
	switch len(list) {
	case 0:
		return 0
	case 1:
		return list[0] | leafBit
	}
	least := 32
	for _, e := range list {
		least = min(least, t.len(e))
	}
	pos := max(from, min(common(t.key(list[0]), t.key(list[len(list)-1])), least-1))
	return t.node(list, pos, t.fill(list, pos, 2, false))
}

// fill returns over how many bits a node may branch: as long as it is half
// full, the root a third, and there are prefixes long enough.
func (t *trie) fill(list []uint32, pos, part int, root bool) int {
	longest := 0
	for _, e := range list {
		longest = max(longest, t.len(e))
	}
	limit := 12
	if root {
		limit, part = maxBits, 3
	}
	b := 1
	for b < limit && pos+b < longest {
		n, last := 0, uint32(0)
		for i, e := range list {
			if s := t.key(e) << uint(pos) >> uint(31-b); i == 0 || s != last {
				n, last = n+1, s
			}
		}
		if n*part < 1<<uint(b+1) {
			break
		}
		b++
	}
	return b
}

// node makes a node of b bits and all below it.
func (t *trie) node(list []uint32, pos, b int) uint32 {
	var key uint32
	if len(list) > 0 {
		key = t.key(list[0]) & mask32(pos)
	}
	node := t.newNode(key, pos, b)
	atomic.StoreUint64(&t.snap.Load().words[node+1], counts(len(list), len(list)))
	for i := 0; i < len(list); {
		e := list[i]
		k, n := t.key(e), t.len(e)
		if n <= pos+b {
			// Shorter ones come first, so the longest stays.
			first, num := t.slots(node, k, n, pos, b)
			words := t.snap.Load().words
			for j := first; j < first+num; j++ {
				atomic.StoreUint64(&words[j], uint64(e))
			}
			i++
			continue
		}
		slot := k << uint(pos) >> uint(32-b)
		j := i + 1
		for j < len(list) && t.key(list[j])<<uint(pos)>>uint(32-b) == slot {
			j++
		}
		below := t.shape(list[i:j], pos+b)
		words := t.snap.Load().words
		at := node + nodeHead + slot
		atomic.StoreUint64(&words[at], slot64(below, uint32(words[at])))
		i = j
	}
	return node
}

// grown is how large an array becomes that must hold n words.
func grown(n int) int {
	if n < 1<<16 {
		return n + n/2 + 8
	}
	return n + n/16
}

// newNode returns an empty node. Nobody sees it yet.
func (t *trie) newNode(key uint32, pos, b int) uint32 {
	size := uint32(nodeHead + 1<<uint(b))
	s := t.snap.Load()
	if l := t.freeNodes[b]; len(l) > 0 {
		node := l[len(l)-1]
		t.freeNodes[b] = l[:len(l)-1]
		for i := range size {
			atomic.StoreUint64(&s.words[node+i], 0)
		}
		atomic.StoreUint64(&s.words[node], header64(key, pos, b))
		return node
	}
	if int(t.usedWords+size) > len(s.words) {
		n := *s
		n.words = make([]uint64, grown(int(t.usedWords+size)))
		copy(n.words, s.words[:t.usedWords])
		t.snap.Store(&n)
		s = &n
	}
	node := t.usedWords
	t.usedWords += size
	atomic.StoreUint64(&s.words[node], header64(key, pos, b))
	return node
}

// newEntry returns a new entry. Nobody sees it yet.
func (t *trie) newEntry(key uint32, n int, g uint32) uint32 {
	s := t.snap.Load()
	var e uint32
	if l := t.freeEnts; len(l) > 0 {
		e = l[len(l)-1]
		t.freeEnts = l[:len(l)-1]
	} else {
		e = t.usedEnts
		t.usedEnts++
		if int(e)*2+2 > len(s.ents) {
			n := *s
			n.ents = make([]uint64, grown(int(e)*2+2)&^1)
			copy(n.ents, s.ents)
			t.snap.Store(&n)
			s = &n
		}
	}
	atomic.StoreUint64(&s.ents[e*2+1], uint64(g)<<32)
	atomic.StoreUint64(&s.ents[e*2], uint64(key)<<32|uint64(n))
	return e
}

// group returns the number of a list of routes. Prefixes that have one and the
// same route share it.
func (t *trie) group(l aliases) uint32 {
	if len(l) == 1 {
		if g, ok := t.groups[l[0]]; ok {
			t.groupRefs[g]++
			return g
		}
	}
	var g uint32
	s := t.snap.Load()
	if f := t.freeGrps; len(f) > 0 {
		g = f[len(f)-1]
		t.freeGrps = f[:len(f)-1]
	} else {
		if len(t.groupRefs) == 0 {
			t.groupRefs = append(t.groupRefs, 0) // 0 is not used
		}
		g = uint32(len(t.groupRefs))
		t.groupRefs = append(t.groupRefs, 0)
		if int(g) >= len(s.groups) {
			n := *s
			n.groups = make([]atomic.Pointer[aliases], 2*len(s.groups))
			for i := range s.groups {
				n.groups[i].Store(s.groups[i].Load())
			}
			t.snap.Store(&n)
			s = &n
		}
	}
	s.groups[g].Store(&l)
	t.groupRefs[g] = 1
	if len(l) == 1 {
		t.groups[l[0]] = g
	}
	return g
}

func (t *trie) ungroup(g uint32) {
	if t.groupRefs[g]--; t.groupRefs[g] > 0 {
		return
	}
	if l := *t.snap.Load().groups[g].Load(); len(l) == 1 {
		delete(t.groups, l[0])
	}
	t.limboG = append(t.limboG, g)
}

// recycle lets what was taken out be used again, once there is enough of it to
// be worth the second try of the lookups under way.
func (t *trie) recycle() {
	if len(t.limboN)+len(t.limboE)+len(t.limboG) < limboMax {
		return
	}
	t.epoch.Add(1)
	s := t.snap.Load()
	for _, n := range t.limboN {
		_, _, b := unpack(s.words[n])
		t.freeNodes[b] = append(t.freeNodes[b], n)
	}
	for _, g := range t.limboG {
		s.groups[g].Store(nil)
	}
	t.freeEnts = append(t.freeEnts, t.limboE...)
	t.freeGrps = append(t.freeGrps, t.limboG...)
	t.limboN, t.limboE, t.limboG = t.limboN[:0], t.limboE[:0], t.limboG[:0]
}
