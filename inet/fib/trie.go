package fib

import (
	"math/bits"
	"sync/atomic"
)

// trie is an LC-trie of prefixes: a node skips the bits all below it have in
// common (path compression) and branches over several bits at once (level
// compression). The root has no header and is the widest.
//
// What a lookup reads is kept small, so that it stays in the caches: a million
// prefixes of the Internet's lengths are 7 MiB of it. A node does not store its
// slots. It stores one bit for each, set where the value is not that of the slot
// before, and the values that differ. A value is the answer itself, length and
// routes, or another node. A slot without a prefix of the node has none, and
// the answer is the longest found on the way: what a node inherits from above
// stands in its head. So a lookup goes down once and never back up: one word of
// the root, then head, bit and value of one node, rarely of more.
//
// The prefixes themselves, those that longer ones hide too, are in lists, one a
// node, which lookups read only when the first answer will not do. All is in
// arrays of numbers, of which the garbage collector has no work.
//
// Nodes do not change, except for what they inherit and for which node stands
// in a slot: one word each, written at once. Other changes make the node anew
// behind the others and then put it into the slot of the one above. Arrays that
// are full move to new ones, without what is no longer in use; lookups on their
// way finish in the old ones. So nothing a lookup may see is ever used again for
// something else.
type trie struct {
	snap atomic.Pointer[snap]
	// seq counts changes: an answer put together from what several nodes say
	// holds only if there was none meanwhile.
	seq atomic.Uint32

	writer
}

// snap is the arrays lookups read.
type snap struct {
	shift  uint     // 32 less the bits the root branches over
	root   []uint32 // values
	own    []uint32 // prefixes that end in the root, see ownIndex
	words  []uint64 // nodes, see node.go
	lists  []uint64 // and their prefixes
	groups []group  // routes by the number that stands for them; 0 is none
}

// A value is a node's index in words with childBit, or group<<6 | length of the
// answer, or 0.
const (
	childBit  = 1 << 31
	groupBits = 25
	lenBits   = 6
	lenMask   = 1<<lenBits - 1
	anyLength = 33
)

func mask32(n int) uint32 { return ^uint32(0) << (32 - uint(n)) }

// common returns how many leading bits two addresses share.
func common(a, b uint32) int { return bits.LeadingZeros32(a ^ b) }

// none reports whether nothing matches, when one word tells: in small tables,
// most often.
func (t *trie) none(key uint32) bool {
	s := t.snap.Load()
	return atomic.LoadUint32(&s.root[key>>(s.shift&31)]) == 0
}

// match returns the routes of the longest prefix that matches and is shorter
// than limit, and its length; nil if there is none.
func (t *trie) match(key uint32, limit int) (*group, int) {
	for {
		seq := t.seq.Load()
		s := t.snap.Load()
		words, best := s.words, uint32(0)
		v := atomic.LoadUint32(&s.root[key>>(s.shift&31)])
		for v&childBit != 0 {
			at := uint(v &^ childBit)
			head := atomic.LoadUint64(&words[at])
			ranks := words[at+1]
			if v := uint32(head >> 32); v != 0 {
				best = v
			}
			pos, b := uint(head)&31, uint(head>>8)&15
			at += nodeHead
			if head&headSkip != 0 {
				if (key^uint32(words[at]))>>(32-pos) != 0 {
					v = 0
					break
				}
				at++
			}
			slot := uint(key<<pos) >> ((32 - b) & 31)
			w := slot >> 6
			i := uint(uint8(ranks>>(w*8&31))) + uint(bits.OnesCount64(words[at+w]<<(63-slot&63))) - 1
			at += (1<<b + 63) >> 6
			if head&headWide == 0 {
				v = uint32(uint16(words[at+i>>2] >> (i & 3 * 16)))
				break // no nodes among 16 bits
			}
			v = uint32(atomic.LoadUint64(&words[at+i>>1]) >> (i & 1 * 32))
		}
		one := v != 0 // a single word decided
		if v == 0 {
			v = best // from further up
		}
		if int(v&lenMask) >= limit {
			v, one = s.shorter(key, limit), false
		}
		if t.seq.Load() == seq || one {
			if v == 0 {
				return nil, 0
			}
			return &s.groups[v>>lenBits], int(v & lenMask)
		}
	}
}

// shorter returns the value of the longest match shorter than limit, 0 if there
// is none. It reads the lists: it is for routes that match by address and not
// otherwise, which are few.
func (s *snap) shorter(key uint32, limit int) (best uint32) {
	for n := min(32-int(s.shift), limit-1); n >= 0; n-- {
		if g := atomic.LoadUint32(&s.own[ownIndex(key, n)]); g != 0 {
			best = g<<lenBits | uint32(n)
			break
		}
	}
	for v := atomic.LoadUint32(&s.root[key>>s.shift]); v&childBit != 0; {
		n := s.node(v)
		if common(key, n.key) < n.pos {
			break
		}
		for _, p := range s.prefixes(&n) {
			if p := prefix(p); p.len() < limit && (key^p.key())&mask32(p.len()) == 0 {
				best = p.value() // shorter ones come first
			}
		}
		v, _ = s.slot(&n, n.slotOf(key))
	}
	return best
}

// ownIndex is where the group of a prefix of n bits that ends in the root is: as
// in a heap, the two halves of prefix i are 2i and 2i+1.
func ownIndex(key uint32, n int) uint32 { return uint32(1)<<uint(n) | uint32(uint64(key)>>uint(32-n)) }
