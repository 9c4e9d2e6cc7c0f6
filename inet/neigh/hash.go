package neigh

import (
	"math/bits"
	"sync/atomic"

	"barewire/napi"
	"barewire/skb/header"
)

// firstBits is the size a hash begins with, as in Linux: eight chains.
const firstBits = 3

// hash is the chains of a table (Linux: struct neigh_hash_table). Readers take
// no lock; writers hold the table's.
type hash struct {
	key     uint64
	shift   int
	buckets []atomic.Pointer[Neigh]
}

func newHash(bits int, key uint64) *hash {
	return &hash{key: key, shift: 64 - bits, buckets: make([]atomic.Pointer[Neigh], 1<<bits)}
}

func (h *hash) bucket(dev *napi.NetDevice, addr header.Addr) *atomic.Pointer[Neigh] {
	x := (uint64(addr)<<32 | uint64(uint32(dev.Ifindex()))) ^ h.key
	hi, lo := bits.Mul64(x, 0x9e3779b97f4a7c15^h.key<<1)
	return &h.buckets[(hi^lo)>>h.shift]
}

func (h *hash) insert(n *Neigh) {
	b := h.bucket(n.dev, n.addr)
	n.hashNext.Store(b.Load())
	b.Store(n)
}

// grow doubles the hash (Linux: neigh_hash_grow); mu is held. A reader that is on
// its way meanwhile may miss an entry, which who makes entries looks for again
// under the lock, but never walks in a circle: what is linked anew points only
// to what was so before.
func (t *Table) grow() {
	old := t.hash.Load()
	h := newHash(64-old.shift+1, t.key)
	for n := t.list; n != nil; n = n.next {
		h.insert(n)
	}
	t.hash.Store(h)
	t.stats.HashGrows.Add(1)
}
