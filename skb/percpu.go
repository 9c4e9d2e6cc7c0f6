package skb

import (
	"sync"
	"sync/atomic"
)

// On a machine with several processors each has a store of free pages and Buffs of
// its own in front of the common ones (Linux: the per-CPU arrays of kmem_cache and
// the alloc cache of page_pool), so that processors meet at the common lock once in
// many packets. A store is found by the processor the caller runs on, which is a
// hint: it has a lock, which hardly ever is another's.

// Bounds of a store: filled up and emptied by storeBatch.
const (
	storeBatch = 64
	storeMax   = 2 * storeBatch
)

// pageStore is the free pages of one processor. They count as in use of the pool.
type pageStore struct {
	mu    sync.Mutex // also of the cacheStore of the same processor
	pages [storeMax]*Page
	n     int
	out   uint64 // pages handed out, and
	back  uint64 // pages that came back, by way of the store

	_ [64]byte // the next is another processor's
}

// cacheStore is the free Buffs of one processor.
type cacheStore struct {
	free  *Buff
	n     int
	inUse int // of those taken less those given here

	consumed atomic.Uint64

	_ [64]byte
}

// PerCPU gives the cache and its pool a store for each of so many processors; cpu
// tells where the caller runs, as a hint, below cpus. Before packets flow. A pool
// that several caches share has the stores that it was given first.
func (c *Cache) PerCPU(cpus int, cpu func() int) {
	if cpus < 2 || cpu == nil {
		return
	}
	pp := c.pool
	pp.mu.Lock()
	if pp.stores == nil {
		pp.cpu = func() int { return int(uint(cpu()) % uint(cpus)) }
		pp.stores = make([]pageStore, cpus)
	}
	pp.mu.Unlock()
	c.stores = make([]cacheStore, len(pp.stores))
}

// takeFrom is take by way of the store s, whose lock the caller holds. It is less
// than dst at the limit; then empty may find more.
func (pp *PagePool) takeFrom(s *pageStore, dst []*Page) int {
	done := 0
	for done < len(dst) {
		if s.n == 0 {
			pp.mu.Lock()
			s.n = pp.fill(s.pages[:min(storeBatch, max(storeBatch/2, len(dst)-done))])
			pp.mu.Unlock()
			if s.n == 0 {
				break
			}
		}
		k := min(s.n, len(dst)-done)
		s.n -= k
		copy(dst[done:done+k], s.pages[s.n:s.n+k])
		clear(s.pages[s.n : s.n+k])
		done += k
	}
	s.out += uint64(done)
	for _, p := range dst[:done] {
		p.ref = 1
	}
	return done
}

// fill moves free pages to a store; the caller holds mu.
func (pp *PagePool) fill(dst []*Page) int {
	n := min(len(dst), pp.max-pp.inUse)
	for len(pp.free) < n && pp.grow() {
	}
	n = min(n, len(pp.free))
	cut := len(pp.free) - n
	copy(dst[:n], pp.free[cut:])
	pp.free = pp.free[:cut]
	pp.use(n)
	return n
}

// allocStored is AllocBatch of a pool with stores.
func (pp *PagePool) allocStored(dst []*Page) int {
	s := &pp.stores[pp.cpu()]
	s.mu.Lock()
	n := pp.takeFrom(s, dst)
	s.mu.Unlock()
	if n == len(dst) {
		return n
	}
	// At the limit what the stores hold is everybody's.
	pp.empty()
	s.mu.Lock()
	n += pp.takeFrom(s, dst[n:])
	s.mu.Unlock()
	if n < len(dst) {
		pp.mu.Lock()
		pp.stats.Empty++
		pp.mu.Unlock()
	}
	return n
}

// empty gives back what the stores hold.
func (pp *PagePool) empty() {
	for i := range pp.stores {
		s := &pp.stores[i]
		s.mu.Lock()
		pp.spill(s, s.n)
		s.mu.Unlock()
	}
}

// spill gives back n pages of a store, whose lock the caller holds.
func (pp *PagePool) spill(s *pageStore, n int) {
	pp.mu.Lock()
	pp.free = append(pp.free, s.pages[s.n-n:s.n]...)
	pp.inUse -= n
	pp.mu.Unlock()
	clear(s.pages[s.n-n : s.n])
	s.n -= n
}

// giveTo takes a page of the usual size back into a store, whose lock the caller
// holds.
func (pp *PagePool) giveTo(s *pageStore, p *Page) {
	if s.n == storeMax {
		pp.spill(s, storeBatch)
	}
	s.pages[s.n] = p
	s.n++
	s.back++
}

// stored is what the stores hold and counted.
func (pp *PagePool) stored() (held int, out, back uint64) {
	for i := range pp.stores {
		s := &pp.stores[i]
		s.mu.Lock()
		held += s.n
		out += s.out
		back += s.back
		s.mu.Unlock()
	}
	return held, out, back
}

// takeFrom is take by way of the store of processor cpu, whose lock the caller
// holds.
func (c *Cache) takeFrom(s *cacheStore) *Buff {
	if s.free == nil {
		c.mu.Lock()
		for range storeBatch {
			if c.free == nil {
				c.grow()
			}
			b := c.free
			c.free = b.next
			b.next = s.free
			s.free = b
		}
		c.mu.Unlock()
		s.n = storeBatch
	}
	b := s.free
	s.free = b.next
	s.n--
	s.inUse++
	return b
}

// giveTo takes a cleared Buff back into a store, whose lock the caller holds.
func (c *Cache) giveTo(s *cacheStore, b *Buff) {
	if s.n == storeMax {
		first, last := s.free, s.free
		for range storeBatch - 1 {
			last = last.next
		}
		s.free = last.next
		s.n -= storeBatch
		c.mu.Lock()
		last.next = c.free
		c.free = first
		c.mu.Unlock()
	}
	b.next = s.free
	s.free = b
	s.n++
	s.inUse--
}
