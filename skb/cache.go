package skb

import (
	"sync"
	"sync/atomic"
)

// buffSlab is how many Buffs the cache takes from the Go heap at once.
const buffSlab = 64

// Cache hands out Buffs and takes them back (Linux: skbuff_head_cache, with
// the data areas from a PagePool). It also keeps the drop counters, since every
// packet of a stack ends here. Safe for concurrent use.
type Cache struct {
	pool *PagePool

	mu    *sync.Mutex // the pool's: a packet and its page come and go under one lock
	free  *Buff       // chained by next
	inUse int

	stores []cacheStore // by processor; nil for one

	drops    [NumReasons]atomic.Uint64
	consumed atomic.Uint64

	// onDrop is the drop monitor; see SetDropMonitor.
	onDrop atomic.Pointer[func(b *Buff, r Reason)]
}

// NewCache makes a cache whose data areas come from pool.
func NewCache(pool *PagePool) *Cache { return &Cache{pool: pool, mu: &pool.mu} }

// Pool returns the pool that Alloc takes data areas from.
func (c *Cache) Pool() *PagePool { return c.pool }

// InUse returns the number of Buffs alive.
func (c *Cache) InUse() int {
	n := 0
	for i := range c.stores {
		mu := &c.pool.stores[i].mu
		mu.Lock()
		n += c.stores[i].inUse
		mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return n + c.inUse
}

// Drops returns how many packets were dropped for a reason.
func (c *Cache) Drops(r Reason) uint64 { return c.drops[r].Load() }

// Consumed returns how many packets ended normally.
func (c *Cache) Consumed() uint64 {
	n := c.consumed.Load()
	for i := range c.stores {
		n += c.stores[i].consumed.Load()
	}
	return n
}

// ended counts packets that ended normally.
func (c *Cache) ended(n uint64) {
	if c.stores != nil {
		c.stores[c.pool.cpu()].consumed.Add(n)
		return
	}
	c.consumed.Add(n)
}

// SetDropMonitor has fn called for every dropped packet, before its memory is
// given back; nil turns it off (Linux: the kfree_skb tracepoint). fn borrows
// the packet and runs in the dropper's context: it must not block.
func (c *Cache) SetDropMonitor(fn func(b *Buff, r Reason)) {
	if fn == nil {
		c.onDrop.Store(nil)
		return
	}
	c.onDrop.Store(&fn)
}

// get returns a Buff without a data area.
func (c *Cache) get() *Buff {
	var b *Buff
	if c.stores == nil {
		c.mu.Lock()
		b = c.take()
		c.mu.Unlock()
	} else {
		i := c.pool.cpu()
		mu := &c.pool.stores[i].mu
		mu.Lock()
		b = c.takeFrom(&c.stores[i])
		mu.Unlock()
	}
	b.init(c)
	return b
}

// take returns a Buff that is not set up; the caller holds mu.
func (c *Cache) take() *Buff {
	if c.free == nil {
		c.grow()
	}
	b := c.free
	c.free = b.next
	c.inUse++
	return b
}

// getBatch fills dst with Buffs without a data area.
func (c *Cache) getBatch(dst []*Buff) {
	if c.stores == nil {
		c.mu.Lock()
		for i := range dst {
			if c.free == nil {
				c.grow()
			}
			dst[i] = c.free
			c.free = c.free.next
		}
		c.inUse += len(dst)
		c.mu.Unlock()
	} else {
		k := c.pool.cpu()
		mu := &c.pool.stores[k].mu
		mu.Lock()
		for i := range dst {
			dst[i] = c.takeFrom(&c.stores[k])
		}
		mu.Unlock()
	}
	for _, b := range dst {
		b.init(c)
	}
}

// grow adds one slab; the caller holds mu. Buffs are small, and bounded by the
// pages and clones that exist, so there is no limit of their own.
func (c *Cache) grow() {
	slab := make([]Buff, buffSlab)
	for i := range slab {
		slab[i].next = c.free
		c.free = &slab[i]
	}
}

// init makes a cleared Buff usable. Nobody else knows it yet: plain stores do.
func (b *Buff) init(c *Cache) {
	b.next = nil
	b.cache, b.home = c, c
	b.users = 1
	b.transport, b.network, b.mac = unset, unset, unset
}

// putChain takes back n Buffs, cleared and chained by next from first to last.
func (c *Cache) putChain(first, last *Buff, n int) {
	if c.stores != nil {
		i := c.pool.cpu()
		mu := &c.pool.stores[i].mu
		mu.Lock()
		for b := first; n > 0; n-- {
			next := b.next
			c.giveTo(&c.stores[i], b)
			b = next
		}
		mu.Unlock()
		return
	}
	c.mu.Lock()
	last.next = c.free
	c.free = first
	c.inUse -= n
	c.mu.Unlock()
}

// putOne takes back a cleared Buff and its page.
func (c *Cache) putOne(b *Buff, p *Page) {
	if c.stores != nil {
		i := c.pool.cpu()
		s := &c.pool.stores[i]
		s.mu.Lock()
		c.pool.giveTo(s, p)
		c.giveTo(&c.stores[i], b)
		s.mu.Unlock()
		return
	}
	c.mu.Lock()
	c.pool.give(p)
	b.next = c.free
	c.free = b
	c.inUse--
	c.mu.Unlock()
}

// buffSize is what the metadata of one packet costs in truesize: struct
// sk_buff plus skb_shared_info, rounded to what Linux accounts on amd64.
const buffSize = 256 + 320

// Alloc returns an empty Buff with room for size bytes (Linux: alloc_skb), or
// nil when the page pool is at its limit. Nothing is reserved: call Reserve
// for headroom. The room is at least a page whatever the size.
func (c *Cache) Alloc(size int) *Buff {
	if size > c.pool.size {
		if p := c.pool.allocLarge(size); p != nil {
			return c.Build(p, 0, 0)
		}
		return nil
	}
	var p [1]*Page
	if c.stores != nil {
		i := c.pool.cpu()
		s := &c.pool.stores[i]
		s.mu.Lock()
		if c.pool.takeFrom(s, p[:]) == 1 {
			b := c.takeFrom(&c.stores[i])
			s.mu.Unlock()
			b.init(c)
			b.attach(p[0], 0, 0)
			return b
		}
		s.mu.Unlock()
		if c.pool.allocStored(p[:]) == 0 {
			return nil
		}
		return c.Build(p[0], 0, 0)
	}
	c.mu.Lock()
	if c.pool.take(p[:]) == 0 {
		c.mu.Unlock()
		return nil
	}
	b := c.take()
	c.mu.Unlock()
	b.init(c)
	b.attach(p[0], 0, 0)
	return b
}

// area returns memory for a data area of at least size bytes.
func (c *Cache) area(size int) *Page {
	if size <= c.pool.size {
		return c.pool.Alloc()
	}
	return c.pool.allocLarge(size)
}

// AllocBatch fills dst with empty Buffs of one page each and returns how many
// it got; fewer than len(dst) means the page pool is at its limit.
func (c *Cache) AllocBatch(dst []*Buff) int {
	done := 0
	for done < len(dst) {
		var pages [bulkSize]*Page
		want := min(bulkSize, len(dst)-done)
		n := c.pool.AllocBatch(pages[:want])
		part := dst[done : done+n]
		c.getBatch(part)
		for i, b := range part {
			b.attach(pages[i], 0, 0)
		}
		if done += n; n < want {
			break
		}
	}
	return done
}

// Build makes a Buff around a page that holds n bytes of packet at offset
// headroom (Linux: build_skb). It takes over the caller's page reference. It
// panics when the page is too small: lengths a device reports are checked
// before they get here.
func (c *Cache) Build(p *Page, headroom, n int) *Buff {
	if headroom < 0 || n < 0 || headroom > len(p.buf) || n > len(p.buf)-headroom {
		panic("skb: Build beyond the page")
	}
	b := c.get()
	b.attach(p, headroom, n)
	return b
}

func (b *Buff) attach(p *Page, headroom, n int) {
	b.page = p
	b.head = p.buf
	b.data = uint32(headroom)
	b.tail = uint32(headroom + n)
	b.truesize = uint32(len(p.buf)) + buffSize
	p.shinfo.reset()
}
