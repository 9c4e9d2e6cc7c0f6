package fib

import (
	"math/bits"
	"sync/atomic"
)

// trie is an LC-trie of prefixes: a node skips the bits all below it have in
// common (path compression) and branches over several bits at once, as many as
// keep it well filled (level compression).
//
// A slot of a node holds the longest of the prefixes that end within the bits
// of the node and cover the slot, and what is below: another node, or a leaf
// when it is one prefix only. So a lookup goes down once, and the last prefix it
// saw is the longest that matches; it never goes back up. Prefixes of a node
// that a longer one hides are found through the entries: each links to the next
// shorter one (cover).
//
// Everything lies in arrays of numbers, not in objects: a million prefixes are
// no work for the garbage collector, and cost 16 bytes each and 8 per slot.
// Words change one by one and atomically. What is taken out of the trie may
// still be read by a lookup on its way, so it is used again only after the
// epoch has changed; a lookup that sees the epoch change begins again. Arrays
// that are full are copied, and lookups on their way read the old one.
type trie struct {
	snap  atomic.Pointer[snap]
	epoch atomic.Uint32

	// The rest belongs to the writer.
	count     int // prefixes
	usedWords uint32
	usedEnts  uint32
	freeNodes [maxBits + 1][]uint32
	freeEnts  []uint32
	limboN    []uint32 // nodes taken out, not yet to be used again
	limboE    []uint32
	groups    map[alias]uint32 // groups of one route
	groupRefs []int32
	freeGrps  []uint32
	limboG    []uint32
}

// snap is the arrays lookups read. Their length is what is allocated, not what
// is in use.
type snap struct {
	// words are nodes: a header, the writer's counts, and 1<<bits slots. The
	// root is at 0.
	words []uint64
	// ents are pairs of words, one pair a prefix: address and length; group
	// and cover. Entry 0 is not used.
	ents   []uint64
	groups []atomic.Pointer[aliases]
}

const (
	maxBits  = 22 // of the root
	nodeHead = 2  // words in front of the slots
	leafBit  = 1 << 31
	// limboMax is how much is taken out before the epoch changes: that costs
	// every lookup under way a second try.
	limboMax = 256
)

// A header is address<<32 | pos<<8 | bits: the node branches over bits bits
// behind the first pos of the address.
func header64(key uint32, pos, bits int) uint64 {
	return uint64(key)<<32 | uint64(pos)<<8 | uint64(bits)
}

// A slot is below<<32 | best. Best is an entry; below is a node, an entry with
// leafBit, or 0.
func slot64(below, best uint32) uint64 { return uint64(below)<<32 | uint64(best) }

func mask32(n int) uint32 { return ^uint32(0) << (32 - uint(n)) }

// common returns how many leading bits two addresses share.
func common(a, b uint32) int { return bits.LeadingZeros32(a ^ b) }

func (t *trie) init() {
	t.groups = make(map[alias]uint32)
	t.build(nil, &snap{ents: make([]uint64, 2), groups: make([]atomic.Pointer[aliases], 4)})
}

// cursor is how far a lookup has come.
type cursor struct {
	key  uint32
	bits int // length of the prefix found last
}

// first returns the routes of the longest prefix that matches, nil if none.
func (t *trie) first(key uint32, c *cursor) aliases {
	c.key = key
	for {
		epoch := t.epoch.Load()
		s := t.snap.Load()
		if e, ok := s.find(key); ok {
			if e == 0 {
				if t.epoch.Load() == epoch {
					return nil
				}
				continue
			}
			if l, n := s.entry(e); l != nil && t.epoch.Load() == epoch {
				c.bits = n
				return l
			}
		}
	}
}

// find returns the entry of the longest match, 0 if there is none. When ok is
// false it has come upon something that was being changed.
func (s *snap) find(key uint32) (best uint32, ok bool) {
	words := s.words
	for at, from := uint(0), uint(0); ; {
		if at >= uint(len(words)) {
			return 0, false
		}
		h := atomic.LoadUint64(&words[at])
		pos, n := uint(h>>8&0xff), uint(h&0xff)
		if pos < from || pos+n > 32 || n == 0 {
			return 0, false // not a node below the last one
		}
		if (key^uint32(h>>32))>>(32-pos) != 0 {
			return best, true
		}
		i := at + nodeHead + uint(key<<pos>>(32-n))
		if i >= uint(len(words)) {
			return 0, false
		}
		w := atomic.LoadUint64(&words[i])
		if b := uint32(w); b != 0 {
			best = b
		}
		below := uint32(w >> 32)
		if below == 0 {
			return best, true
		}
		if below&leafBit != 0 {
			e := below &^ leafBit
			if uint(e)*2 >= uint(len(s.ents)) {
				return 0, false
			}
			a := atomic.LoadUint64(&s.ents[e*2])
			if (key^uint32(a>>32))&mask32(int(a&0xff)) == 0 {
				best = e
			}
			return best, true
		}
		at, from = uint(below), pos+n
	}
}

// entry returns the routes and the length of an entry, nil if it is none.
func (s *snap) entry(e uint32) (aliases, int) {
	if uint(e)*2+1 >= uint(len(s.ents)) {
		return nil, 0
	}
	a, b := atomic.LoadUint64(&s.ents[e*2]), atomic.LoadUint64(&s.ents[e*2+1])
	g := uint32(b >> 32)
	if uint(g) >= uint(len(s.groups)) {
		return nil, 0
	}
	l := s.groups[g].Load()
	if l == nil || a&0xff > 32 {
		return nil, 0 // removed meanwhile
	}
	return *l, int(a & 0xff)
}

// next returns the routes of the longest match that is shorter than the last
// one, nil if there is none. It goes down again: it is for routes that match by
// address and not otherwise, which are few.
func (t *trie) next(c *cursor) aliases {
	for {
		epoch := t.epoch.Load()
		s := t.snap.Load()
		e, ok := s.findShorter(c.key, c.bits)
		if !ok {
			continue
		}
		if e == 0 {
			if t.epoch.Load() == epoch {
				return nil
			}
			continue
		}
		if l, n := s.entry(e); l != nil && t.epoch.Load() == epoch {
			c.bits = n
			return l
		}
	}
}

// findShorter is find for prefixes shorter than limit.
func (s *snap) findShorter(key uint32, limit int) (best uint32, ok bool) {
	for at, from := uint32(0), 0; ; {
		if uint(at) >= uint(len(s.words)) {
			return 0, false
		}
		h := atomic.LoadUint64(&s.words[at])
		k, pos, n := unpack(h)
		if pos < from || pos+n > 32 || n == 0 {
			return 0, false
		}
		if pos > 0 && (key^k)&mask32(pos) != 0 {
			return best, true
		}
		i := at + nodeHead + key<<uint(pos)>>uint(32-n)
		if uint(i) >= uint(len(s.words)) {
			return 0, false
		}
		w := atomic.LoadUint64(&s.words[i])
		for e, l := uint32(w), 33; e != 0; {
			ln, good := s.covers(e, key, l)
			if !good || !ends(ln, pos) {
				break
			}
			if ln < limit {
				best = e
				break
			}
			e, l = s.cover(e), ln
		}
		below := uint32(w >> 32)
		switch {
		case below == 0:
			return best, true
		case below&leafBit != 0:
			if e := below &^ leafBit; e != 0 {
				if _, good := s.covers(e, key, limit); good {
					best = e
				}
			}
			return best, true
		}
		at, from = below, pos+n
	}
}

// covers reports whether an entry is a prefix of key shorter than limit, and
// its length. Links between entries may be out of date after a rebuild, so all
// are checked.
func (s *snap) covers(e, key uint32, limit int) (n int, ok bool) {
	if uint(e)*2+1 >= uint(len(s.ents)) {
		return 0, false
	}
	a := atomic.LoadUint64(&s.ents[e*2])
	n = int(a & 0xff)
	return n, n < limit && (key^uint32(a>>32))&mask32(n) == 0
}

func (s *snap) cover(e uint32) uint32 { return uint32(atomic.LoadUint64(&s.ents[e*2+1])) }

func unpack(h uint64) (key uint32, pos, n int) {
	return uint32(h >> 32), int(h >> 8 & 0xff), int(h & 0xff)
}
