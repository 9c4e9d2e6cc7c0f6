package fib

import (
	"math/bits"
	"sync/atomic"
)

// A node in snap.words is
//
//	inherited value<<32 | flags | bits<<8 | pos
//	list<<32 | number of values in front of each of the (up to four) bit words
//	the address, with headSkip
//	a bit for each slot: its value differs from that of the slot before
//	values: two in a word with headWide, else four of 16 bits
//
// It branches over bits bits behind the first pos of the address. In snap.lists
// it has
//
//	address<<32 | number of prefixes
//	prefixes below<<32 | as many as there were when it got its shape
//	prefixes that end in the node
const (
	nodeHead = 2
	headSkip = 1 << 16 // there is a gap between the node above and pos
	headWide = 1 << 17
	maxBits  = 8
	narrow   = 1 << 16 // values below fit in 16 bits
	listHead = 2
)

// prefix is address<<32 | length<<groupBits | group, so that they sort by
// address, and shorter ones first.
type prefix uint64

func newPrefix(key uint32, n int, g uint32) prefix {
	return prefix(key)<<32 | prefix(n)<<groupBits | prefix(g)
}

func (p prefix) key() uint32   { return uint32(p >> 32) }
func (p prefix) len() int      { return int(p >> groupBits & lenMask) }
func (p prefix) group() uint32 { return uint32(p & (1<<groupBits - 1)) }
func (p prefix) value() uint32 { return p.group()<<lenBits | uint32(p.len()) }

// same reports whether two are the same prefix, whatever their routes.
func (p prefix) same(o prefix) bool { return (p^o)>>groupBits == 0 }

// slots returns which slots of a node a prefix that ends in it covers.
func (p prefix) slots(pos, b int) (first, num uint32) {
	return p.key() << uint(pos) >> uint(32-b), 1 << uint(pos+b-p.len())
}

// node is a node as the writer reads it.
type node struct {
	at, list uint32
	key      uint32
	pos, b   int
	wide     bool
	skip     bool
	inherit  uint32
	ranks    uint32
	bitmap   uint32 // index of the first word
	values   uint32
	own      int // prefixes that end in it
}

func (s *snap) node(ref uint32) node {
	at := ref &^ childBit
	head, more := atomic.LoadUint64(&s.words[at]), s.words[at+1]
	n := node{at: at, list: uint32(more >> 32), ranks: uint32(more), inherit: uint32(head >> 32),
		pos: int(head & 31), b: int(head >> 8 & 15), wide: head&headWide != 0, skip: head&headSkip != 0, bitmap: at + nodeHead}
	if n.skip {
		n.bitmap++
	}
	n.values = n.bitmap + bitWords(n.b)
	l := s.lists[n.list]
	n.key, n.own = uint32(l>>32), int(uint32(l))
	return n
}

// bitWords is how many words have a bit for each of 1<<b slots.
func bitWords(b int) uint32 { return (1<<uint(b) + 63) >> 6 }

// end is the first bit of the address behind those of the node.
func (n *node) end() int { return n.pos + n.b }

func (n *node) slotOf(key uint32) uint32 { return key << uint(n.pos) >> uint(32-n.b) }

// prefixes returns the prefixes that end in a node, sorted. They do not change.
func (s *snap) prefixes(n *node) []uint64 {
	return s.lists[n.list+listHead:][:n.own]
}

// slot returns the value of a slot and which of the values it is.
func (s *snap) slot(n *node, slot uint32) (v, i uint32) {
	w := slot >> 6
	i = n.ranks>>(8*w)&0xff + uint32(bits.OnesCount64(s.words[n.bitmap+w]<<(63-slot&63))) - 1
	return s.value(n, i), i
}

func (s *snap) value(n *node, i uint32) uint32 {
	if n.wide {
		return uint32(atomic.LoadUint64(&s.words[n.values+i/2]) >> (i & 1 * 32))
	}
	return uint32(uint16(s.words[n.values+i/4] >> (i & 3 * 16)))
}

// size returns how many words a node and its list have.
func (s *snap) size(n *node) (words, list uint32) {
	_, last := s.slot(n, 1<<uint(n.b)-1)
	per := uint32(4)
	if n.wide {
		per = 2
	}
	return n.values - n.at + last/per + 1, listHead + uint32(n.own)
}

// counts returns how many prefixes are below a node, and how many there were
// when it got its shape.
func (s *snap) counts(n *node) (below, built int) {
	w := s.lists[n.list+1]
	return int(w >> 32), int(uint32(w))
}

func (s *snap) setCounts(n *node, below, built int) {
	s.lists[n.list+1] = uint64(below)<<32 | uint64(built)
}

// inherited returns what a node has from above.
func (s *snap) inherited(ref uint32) uint32 { return uint32(s.words[ref&^childBit] >> 32) }

// setInherit makes v what a node has from above.
func (s *snap) setInherit(ref, v uint32) {
	at := ref &^ childBit
	if w := s.words[at]; uint32(w>>32) != v {
		atomic.StoreUint64(&s.words[at], uint64(v)<<32|uint64(uint32(w)))
	}
}

// setChild puts another node in the place of the one in a slot.
func (s *snap) setChild(n *node, slot, ref uint32) {
	_, i := s.slot(n, slot)
	p := &s.words[n.values+i/2]
	by := i & 1 * 32
	atomic.StoreUint64(p, *p&^(0xffffffff<<by)|uint64(ref)<<by)
}

// kid is a node in a slot of another.
type kid struct{ slot, ref uint32 }

// kids appends the nodes in the slots of a node.
func (s *snap) kids(n *node, l []kid) []kid {
	if !n.wide {
		return l // a reference needs 32 bits
	}
	i := uint32(0)
	for w := range bitWords(n.b) {
		for m := s.words[n.bitmap+w]; m != 0; m &= m - 1 {
			if v := s.value(n, i); v&childBit != 0 {
				l = append(l, kid{w*64 + uint32(bits.TrailingZeros64(m)), v})
			}
			i++
		}
	}
	return l
}

// plan is what a node is made of.
type plan struct {
	key          uint32
	pos, b       int
	skip         bool // the node above ends before pos
	inherit      uint32
	below, built int
	own          []prefix // sorted
	kids         []kid
}

// make writes a node and returns its reference. The nodes in its slots get to
// know what they inherit, which takes effect at once for those in use: they are
// to be below the same prefixes in the node that is replaced, except for the one
// that comes or goes.
func (t *trie) make(p *plan) uint32 {
	var paint [1 << maxBits]uint32
	slots := paint[:1<<uint(p.b)]
	for _, o := range p.own { // longer ones come later
		first, num := o.slots(p.pos, p.b)
		v := o.value()
		for i := range slots[first : first+num] {
			slots[int(first)+i] = v
		}
	}
	s := t.cur
	for _, k := range p.kids {
		s.setInherit(k.ref, slots[k.slot])
		slots[k.slot] = k.ref
	}
	var bm [1 << maxBits / 64]uint64
	var values [1 << maxBits]uint32
	n, most := 0, uint32(0)
	ranks := uint64(0)
	for i, v := range slots {
		if i&63 == 0 {
			ranks |= uint64(n) << (i >> 6 * 8)
		}
		if i == 0 || v != slots[i-1] {
			bm[i>>6] |= 1 << (i & 63)
			values[n] = v
			most |= v
			n++
		}
	}
	head := uint64(p.inherit)<<32 | uint64(p.b)<<8 | uint64(p.pos)
	per := 4
	if most >= narrow {
		head |= headWide
		per = 2
	}
	if p.skip {
		head |= headSkip
	}
	first := nodeHead + int(bitWords(p.b))
	if p.skip {
		first++
	}
	at, list := t.alloc(first, first+(n+per-1)/per, listHead+len(p.own))
	s = t.cur
	s.lists[list] = uint64(p.key)<<32 | uint64(len(p.own))
	s.lists[list+1] = uint64(p.below)<<32 | uint64(p.built)
	for i, o := range p.own {
		s.lists[int(list)+listHead+i] = uint64(o)
	}
	w := s.words[at:]
	w[0], w[1] = head, uint64(list)<<32|ranks
	w = w[nodeHead:]
	if p.skip {
		w[0] = uint64(p.key)
		w = w[1:]
	}
	copy(w, bm[:bitWords(p.b)])
	w = w[bitWords(p.b):]
	for i := 0; i < n; i += per {
		x := uint64(0)
		for k := range min(per, n-i) {
			x |= uint64(values[i+k]) << (k * 64 / per)
		}
		w[i/per] = x
	}
	return at | childBit
}
