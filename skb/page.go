package skb

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
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
	ref    int32 // atomic once the page was handed out
	shinfo SharedInfo
}

// Bytes returns the whole page.
func (p *Page) Bytes() []byte { return p.buf }

// DMA returns the address a device uses for the first byte of the page.
func (p *Page) DMA() uint64 { return p.dma }

// Pool returns the pool the page goes back to.
func (p *Page) Pool() *PagePool { return p.pool }

// Refs returns the current reference count (Linux: page_count).
func (p *Page) Refs() int { return int(atomic.LoadInt32(&p.ref)) }

// Get takes another reference (Linux: get_page).
func (p *Page) Get() { atomic.AddInt32(&p.ref, 1) }

// Put drops one reference; the last one gives the page back to its pool
// (Linux: put_page, page_pool_put_page).
func (p *Page) Put() {
	if p.unref() {
		p.pool.release(p)
	}
}

// put is Put by way of k.
func (p *Page) put(k *bulk) {
	switch {
	case !p.unref():
	case k == nil:
		p.pool.release(p)
	default:
		k.page(p)
	}
}

// unref drops one reference and reports whether it was the last.
func (p *Page) unref() bool {
	// A sole holder needs no read-modify-write, as with Buff.unref.
	if atomic.LoadInt32(&p.ref) != 1 {
		switch n := atomic.AddInt32(&p.ref, -1); {
		case n > 0:
			return false
		case n < 0:
			panic("skb: page reference count below zero")
		}
	} else {
		p.ref = 0
	}
	return true
}

// PageConfig describes a pool. The zero value is a usable default.
type PageConfig struct {
	// PageSize in bytes; 0 means DefaultPageSize. Must be a power of two of
	// at least 512.
	PageSize int
	// MaxPages bounds the pages in use at a time, oversized buffers counted by
	// the pages they are worth; 0 means 16384 (64 MiB of default pages).
	// Allocation beyond it fails, which the caller counts as a drop.
	MaxPages int
	// Map gives the device address of memory that devices may access from now
	// on (Linux: dma_map_page): once per slab of pages, which are contiguous
	// for the device too, and once per oversized buffer. It may be called
	// concurrently and must not call back into the pool. Nil means the
	// identity: the machine has no IOMMU and maps memory one to one.
	Map func(mem []byte) (dma uint64, err error)
	// Unmap is told when an oversized buffer goes away; may be nil. Slabs stay.
	Unmap func(mem []byte, dma uint64)
}

// PagePool hands out fixed-size pages and takes them back for reuse (Linux:
// page_pool). It grows by slabs up to its limit and never shrinks. Safe for
// concurrent use; the batch calls take the lock once.
type PagePool struct {
	size  int
	max   int
	mapFn func([]byte) (uint64, error)
	unmap func([]byte, uint64)
	// mapped: the addresses of devices are not those of the machine.
	mapped bool

	stores []pageStore // by processor; nil for one
	cpu    func() int  // which of them

	mu    sync.Mutex
	free  []*Page // a stack: the page used last is warm in the cache
	total int     // pages that exist, without oversized buffers
	inUse int     // in pages
	stats PageStats
}

// PageStats counts what a pool did (Linux: page_pool_stats). Read it with
// [PagePool.Stats].
type PageStats struct {
	Alloc   uint64 // pages handed out
	Recycle uint64 // pages that came back
	Slab    uint64 // slabs taken from the heap
	Large   uint64 // oversized one-off buffers handed out
	Freed   uint64 // oversized buffers that came back
	Empty   uint64 // requests refused, wholly or partly, because of the limit

	InUse int // pages handed out now, oversized buffers by their size
	Peak  int // largest InUse so far
	Total int // pages the pool holds, in use or free
	Limit int // InUse never exceeds it
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
	if cfg.PageSize < 512 || cfg.PageSize > 1<<20 || cfg.PageSize&(cfg.PageSize-1) != 0 {
		return nil, fmt.Errorf("%w: page size %d is not a power of two between 512 and 1048576", ErrPageConfig, cfg.PageSize)
	}
	if cfg.MaxPages < 1 {
		return nil, fmt.Errorf("%w: limit of %d pages", ErrPageConfig, cfg.MaxPages)
	}
	mapped := cfg.Map != nil
	if !mapped {
		cfg.Map = identity
	}
	return &PagePool{size: cfg.PageSize, max: cfg.MaxPages, mapFn: cfg.Map, unmap: cfg.Unmap, mapped: mapped}, nil
}

// identity is the device address where there is no IOMMU and virtual equals
// physical: the Go heap does not move.
func identity(mem []byte) (uint64, error) {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))), nil
}

// PageSize returns the size of the pool's pages in bytes.
func (pp *PagePool) PageSize() int { return pp.size }

// MaxPages returns the most pages the pool hands out, for users that bound
// their share of it.
func (pp *PagePool) MaxPages() int { return pp.max }

// InUse returns the number of pages handed out and not yet returned, oversized
// buffers counted by their size. A test that ends with InUse() != 0 leaked.
func (pp *PagePool) InUse() int {
	held, _, _ := pp.stored()
	pp.mu.Lock()
	defer pp.mu.Unlock()
	return pp.inUse - held
}

// Stats returns a copy of the counters.
func (pp *PagePool) Stats() PageStats {
	held, out, back := pp.stored()
	pp.mu.Lock()
	defer pp.mu.Unlock()
	s := pp.stats
	s.Alloc += out
	s.Recycle += back
	s.InUse, s.Total, s.Limit = pp.inUse-held, pp.total, pp.max
	return s
}

// use accounts n pages more in use; the caller holds mu.
func (pp *PagePool) use(n int) {
	pp.inUse += n
	pp.stats.Peak = max(pp.stats.Peak, pp.inUse)
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
// fewer than len(dst) means the pool is at its limit. What a page holds is
// left over from its last use.
func (pp *PagePool) AllocBatch(dst []*Page) int {
	if pp.stores != nil {
		return pp.allocStored(dst)
	}
	pp.mu.Lock()
	n := pp.take(dst)
	pp.mu.Unlock()
	return n
}

// take is AllocBatch; the caller holds mu.
func (pp *PagePool) take(dst []*Page) int {
	n := min(len(dst), pp.max-pp.inUse)
	for len(pp.free) < n && pp.grow() {
	}
	if n = min(n, len(pp.free)); n < len(dst) {
		pp.stats.Empty++
	}
	cut := len(pp.free) - n
	copy(dst[:n], pp.free[cut:])
	pp.free = pp.free[:cut]
	pp.stats.Alloc += uint64(n)
	pp.use(n)
	for _, p := range dst[:n] {
		p.ref = 1
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
	dma, err := pp.mapFn(mem)
	if err != nil {
		return false
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

// pagesOf returns what a buffer of n bytes counts for.
func (pp *PagePool) pagesOf(n int) int { return (n + pp.size - 1) / pp.size }

// allocLarge makes a one-off page of n bytes for the rare linear area that
// exceeds a page (Linux: kmalloc_reserve of a high order), or returns nil at
// the limit. It goes to the garbage collector when released, so it is for slow
// paths only.
func (pp *PagePool) allocLarge(n int) *Page {
	worth := pp.pagesOf(n)
	pp.mu.Lock()
	if worth > pp.max-pp.inUse && pp.stores != nil {
		pp.mu.Unlock()
		pp.empty()
		pp.mu.Lock()
	}
	if worth > pp.max-pp.inUse {
		pp.stats.Empty++
		pp.mu.Unlock()
		return nil
	}
	pp.use(worth)
	pp.stats.Large++
	pp.mu.Unlock()
	p := &Page{buf: make([]byte, n), pool: pp, ref: 1}
	var err error
	if p.dma, err = pp.mapFn(p.buf); err != nil {
		pp.mu.Lock()
		pp.inUse -= worth
		pp.stats.Freed++
		pp.mu.Unlock()
		return nil
	}
	return p
}

func (pp *PagePool) release(p *Page) {
	if len(p.buf) != pp.size {
		pp.releaseLarge(p)
		return
	}
	if pp.stores != nil {
		s := &pp.stores[pp.cpu()]
		s.mu.Lock()
		pp.giveTo(s, p)
		s.mu.Unlock()
		return
	}
	pp.mu.Lock()
	pp.give(p)
	pp.mu.Unlock()
}

// give takes a page of the usual size back; the caller holds mu.
func (pp *PagePool) give(p *Page) {
	pp.free = append(pp.free, p)
	pp.inUse--
	pp.stats.Recycle++
}

// releaseBatch is release for many at once; ps is not changed.
func (pp *PagePool) releaseBatch(ps []*Page) {
	n := 0
	if pp.stores != nil {
		s := &pp.stores[pp.cpu()]
		s.mu.Lock()
		for _, p := range ps {
			if len(p.buf) == pp.size {
				pp.giveTo(s, p)
				n++
			}
		}
		s.mu.Unlock()
	} else {
		pp.mu.Lock()
		for _, p := range ps {
			if len(p.buf) == pp.size {
				pp.free = append(pp.free, p)
				n++
			}
		}
		pp.inUse -= n
		pp.stats.Recycle += uint64(n)
		pp.mu.Unlock()
	}
	for _, p := range ps {
		if n < len(ps) && len(p.buf) != pp.size {
			pp.releaseLarge(p)
		}
	}
}

func (pp *PagePool) releaseLarge(p *Page) {
	if pp.unmap != nil {
		pp.unmap(p.buf, p.dma)
	}
	pp.mu.Lock()
	pp.inUse -= pp.pagesOf(len(p.buf))
	pp.stats.Freed++
	pp.mu.Unlock()
}
