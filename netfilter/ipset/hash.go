package ipset

import (
	"sync/atomic"
)

// entry is an element of a set and what it carries.
type entry struct {
	key     Key
	seq     uint64 // order of insertion, in which elements are listed
	hash    uint64
	nomatch atomic.Bool
	comment atomic.Pointer[string]
	expires atomic.Int64 // nanoseconds of the clock, 0 for never
	packets atomic.Uint64
	bytes   atomic.Uint64
}

func (e *entry) expired(now int64) bool {
	t := e.expires.Load()
	return t != 0 && t <= now
}

// node is the link of an entry in the chain of one table; a table that grows has
// links of its own, so that who reads the old one is not led astray.
type node struct {
	e    *entry
	next atomic.Pointer[node]
}

// buckets is one generation of the table.
type buckets []atomic.Pointer[node]

// table is the hash table of a set. Lookup takes no lock; the rest is called
// under the set's mutex.
type table struct {
	seed uint64
	b    atomic.Pointer[buckets]
	// nets are the pairs of prefix lengths (first<<8 | second) among the
	// elements, longest first; a set without networks has one pair.
	nets  atomic.Pointer[[]uint16]
	count int
	seq   uint64
	lens  map[uint16]int
}

// chainMax is how many elements there are for each bucket before a table grows.
const chainMax = 2

func (t *table) init(size int, seed uint64) {
	b := make(buckets, size)
	t.seed = seed
	t.b.Store(&b)
	t.clear()
}

func (t *table) clear() {
	b := make(buckets, len(*t.b.Load()))
	t.b.Store(&b)
	t.nets.Store(new([]uint16))
	t.lens = make(map[uint16]int)
	t.count = 0
}

// lookup finds the entry of a key, timed out or not.
func (t *table) lookup(k *Key) *entry {
	h := k.hash(t.seed)
	b := *t.b.Load()
	for n := b[h&uint64(len(b)-1)].Load(); n != nil; n = n.next.Load() {
		if n.e.hash == h && n.e.key == *k {
			return n.e
		}
	}
	return nil
}

// insert enters a new key.
func (t *table) insert(k Key) *entry {
	b := *t.b.Load()
	if t.count >= chainMax*len(b) {
		b = t.grow(b)
	}
	t.seq++
	e := &entry{key: k, seq: t.seq, hash: k.hash(t.seed)}
	t.count++
	if l := pair(&k); t.lens[l] == 0 {
		t.lens[l] = 1
		t.setNets()
	} else {
		t.lens[l]++
	}
	link(b, e)
	return e
}

func link(b buckets, e *entry) {
	at := &b[e.hash&uint64(len(b)-1)]
	n := &node{e: e}
	n.next.Store(at.Load())
	at.Store(n)
}

func (t *table) grow(old buckets) buckets {
	b := make(buckets, 2*len(old))
	for i := range old {
		for n := old[i].Load(); n != nil; n = n.next.Load() {
			link(b, n.e)
		}
	}
	t.b.Store(&b)
	return b
}

// remove takes an entry out.
func (t *table) remove(e *entry) {
	b := *t.b.Load()
	at := &b[e.hash&uint64(len(b)-1)]
	for n := at.Load(); n != nil; n = at.Load() {
		if n.e == e {
			at.Store(n.next.Load())
			t.count--
			l := pair(&e.key)
			if t.lens[l]--; t.lens[l] == 0 {
				delete(t.lens, l)
				t.setNets()
			}
			return
		}
		at = &n.next
	}
}

// pair is the two prefix lengths of a key in one number that orders them.
func pair(k *Key) uint16 { return uint16(k.CIDR)<<8 | uint16(k.CIDR2) }

func (t *table) setNets() {
	var l []uint16
	for c1 := 32; c1 >= 0; c1-- {
		for c2 := 32; c2 >= 0; c2-- {
			if p := uint16(c1)<<8 | uint16(c2); t.lens[p] > 0 {
				l = append(l, p)
			}
		}
	}
	t.nets.Store(&l)
}

// each calls fn for all entries, which it may remove.
func (t *table) each(fn func(*entry) bool) {
	b := *t.b.Load()
	for i := range b {
		for n := b[i].Load(); n != nil; n = n.next.Load() {
			if !fn(n.e) {
				return
			}
		}
	}
}

// reap throws away what has timed out.
func (t *table) reap(now int64) {
	t.each(func(e *entry) bool {
		if e.expired(now) {
			t.remove(e)
		}
		return true
	})
}
