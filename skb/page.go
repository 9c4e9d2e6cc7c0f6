package skb

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// DefaultPageSize is the size of a page pool page in bytes. It equals the
// memory page of the machine so that a received frame of any usual MTU, its
// headroom and the virtio-net header fit one page.
const DefaultPageSize = 4096

// slabPages is how many pages the pool takes from the Go heap at once. One
// slab is one garbage collector object without pointers: a full ring of pages
// costs the collector a handful of objects, not hundreds.
const slabPages = 64

// Page is one buffer of a [PagePool] and its bookkeeping (Linux: struct page
// with page_pool fields, plus the skb_shared_info of the sk_buff whose data
// area it is). The descriptor is never in memory a device can write.
type Page struct {
	buf    []byte
	dma    uint64
	pool   *PagePool
	ref    atomic.Int32
	shinfo SharedInfo
}

// Bytes returns the whole page.
func (p *Page) Bytes() []byte { return p.buf }

// DMA returns the address a device uses for the first byte of the page.
func (p *Page) DMA() uint64 { return p.dma }

// Pool returns the pool the page goes back to.
func (p *Page) Pool() *PagePool { return p.pool }

// Refs returns the current reference count (Linux: page_count).
func (p *Page) Refs() int { return int(p.ref.Load()) }

// Get takes another reference (Linux: get_page).
func (p *Page) Get() { p.ref.Add(1) }

// Put drops one reference; the last one gives the page back to its pool
// (Linux: put_page, page_pool_put_page).
func (p *Page) Put() {
	switch n := p.ref.Add(-1); {
	case n == 0:
		p.pool.release(p)
	case n < 0:
		panic("skb: page reference count below zero")
	}
}

// PageConfig describes a pool. The zero value is a usable default.
type PageConfig struct {
	// PageSize in bytes; 0 means DefaultPageSize. Must be a power of two of
	// at least 512.
	PageSize int
	// MaxPages bounds the pool's memory; 0 means 16384 (64 MiB of default
	// pages). Allocation beyond it fails, which the caller counts as a drop.
	MaxPages int
	// Map gives the device address of a slab (Linux: dma_map_page). Nil means
	// that virtual and device addresses are the same thing and that no device
	// looks at them.
	Map func(mem []byte) (dma uint64, err error)
}

// PagePool hands out fixed-size pages and takes them back for reuse (Linux:
// page_pool). It grows by slabs up to its limit and never shrinks. Safe for
// concurrent use; the batch calls take the lock once.
type PagePool struct {
	size   int
	max    int
	mapper func([]byte) (uint64, error)

	mu    sync.Mutex
	free  []*Page // a stack: the page used last is warm in the cache
	total int

	stats PageStats
}

// PageStats counts what a pool did (Linux: page_pool_stats). Read it with
// [PagePool.Stats].
type PageStats struct {
	Alloc   uint64 // pages handed out
	Recycle uint64 // pages that came back
	Slab    uint64 // slabs taken from the heap
	Large   uint64 // oversized one-off buffers handed out
	Empty   uint64 // requests refused because the pool was at its limit
}

// ErrPageConfig reports an impossible PageConfig.
var ErrPageConfig = errors.New("skb: bad page pool configuration")

// NewPagePool makes a pool. It allocates nothing yet.
func NewPagePool(cfg PageConfig) (*PagePool, error) {
	if cfg.PageSize == 0 {
		cfg.PageSize = DefaultPageSize
	}
	if cfg.MaxPages == 0 {
		cfg.MaxPages = 16384
	}
	if cfg.PageSize < 512 || cfg.PageSize&(cfg.PageSize-1) != 0 {
		return nil, fmt.Errorf("%w: page size %d is not a power of two of at least 512", ErrPageConfig, cfg.PageSize)
	}
	if cfg.MaxPages < 1 {
		return nil, fmt.Errorf("%w: limit of %d pages", ErrPageConfig, cfg.MaxPages)
	}
	return &PagePool{size: cfg.PageSize, max: cfg.MaxPages, mapper: cfg.Map}, nil
}

// PageSize returns the size of the pool's pages in bytes.
func (pp *PagePool) PageSize() int { return pp.size }

// InUse returns the number of pages handed out and not yet returned. A test
// that ends with InUse() != 0 leaked.
func (pp *PagePool) InUse() int {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	return int(pp.stats.Alloc + pp.stats.Large - pp.stats.Recycle)
}

// Stats returns a copy of the counters.
func (pp *PagePool) Stats() PageStats {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	return pp.stats
}

// Alloc returns a page with one reference, or nil when the pool is at its
// limit (Linux: page_pool_dev_alloc_pages).
func (pp *PagePool) Alloc() *Page {
	var one [1]*Page
	if pp.AllocBatch(one[:]) == 0 {
		return nil
	}
	return one[0]
}

// AllocBatch fills dst from the front and returns how many pages it got;
// fewer than len(dst) means the pool is at its limit.
func (pp *PagePool) AllocBatch(dst []*Page) int {
	pp.mu.Lock()
	for len(pp.free) < len(dst) {
		if !pp.grow() {
			break
		}
	}
	n := min(len(dst), len(pp.free))
	if n < len(dst) {
		pp.stats.Empty++
	}
	cut := len(pp.free) - n
	copy(dst[:n], pp.free[cut:])
	pp.free = pp.free[:cut]
	pp.stats.Alloc += uint64(n)
	pp.mu.Unlock()
	for _, p := range dst[:n] {
		p.ref.Store(1)
	}
	return n
}

// grow adds one slab; the caller holds mu.
func (pp *PagePool) grow() bool {
	n := min(slabPages, pp.max-pp.total)
	if n <= 0 {
		return false
	}
	mem := make([]byte, n*pp.size)
	var dma uint64
	if pp.mapper != nil {
		var err error
		if dma, err = pp.mapper(mem); err != nil {
			return false
		}
	}
	pages := make([]Page, n)
	pp.total += n
	if cap(pp.free) < pp.total {
		// Room for every page that exists: release never has to grow it.
		bigger := make([]*Page, len(pp.free), max(2*cap(pp.free), pp.total))
		copy(bigger, pp.free)
		pp.free = bigger
	}
	for i := range pages {
		p := &pages[i]
		off := i * pp.size
		p.buf = mem[off : off+pp.size : off+pp.size]
		p.dma = dma + uint64(off)
		p.pool = pp
		pp.free = append(pp.free, p)
	}
	pp.stats.Slab++
	return true
}

// allocLarge makes a one-off page of n bytes for the rare linear area that
// exceeds a page (Linux: kmalloc_reserve of a high order). It is counted
// against nothing but the statistics and goes to the garbage collector when
// released, so it is for slow paths only.
func (pp *PagePool) allocLarge(n int) *Page {
	p := &Page{buf: make([]byte, n), pool: pp}
	if pp.mapper != nil {
		dma, err := pp.mapper(p.buf)
		if err != nil {
			return nil
		}
		p.dma = dma
	}
	p.ref.Store(1)
	pp.mu.Lock()
	pp.stats.Large++
	pp.mu.Unlock()
	return p
}

func (pp *PagePool) release(p *Page) {
	pp.mu.Lock()
	pp.stats.Recycle++
	if len(p.buf) == pp.size {
		pp.free = append(pp.free, p)
	}
	pp.mu.Unlock()
}
