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

	mu    sync.Mutex
	free  *Buff // chained by next
	inUse int

	drops    [NumReasons]atomic.Uint64
	consumed atomic.Uint64

	// onDrop is the drop monitor; see SetDropMonitor.
	onDrop atomic.Pointer[func(b *Buff, r Reason)]
}

// NewCache makes a cache whose data areas come from pool.
func NewCache(pool *PagePool) *Cache { return &Cache{pool: pool} }

// Pool returns the pool that Alloc takes data areas from.
func (c *Cache) Pool() *PagePool { return c.pool }

// InUse returns the number of Buffs alive.
func (c *Cache) InUse() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inUse
}

// Drops returns how many packets were dropped for a reason.
func (c *Cache) Drops(r Reason) uint64 { return c.drops[r].Load() }

// Consumed returns how many packets ended normally.
func (c *Cache) Consumed() uint64 { return c.consumed.Load() }

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
	c.mu.Lock()
	if c.free == nil {
		slab := make([]Buff, buffSlab)
		for i := range slab {
			slab[i].next = c.free
			c.free = &slab[i]
		}
	}
	b := c.free
	c.free = b.next
	c.inUse++
	c.mu.Unlock()
	b.next = nil
	b.cache = c
	b.users.Store(1)
	b.transport, b.network, b.mac = unset, unset, unset
	return b
}

// put takes back a Buff that let go of its data area.
func (c *Cache) put(b *Buff) {
	*b = Buff{}
	c.mu.Lock()
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
	var p *Page
	if size <= c.pool.size {
		p = c.pool.Alloc()
	} else {
		p = c.pool.allocLarge(size)
	}
	if p == nil {
		return nil
	}
	return c.Build(p, 0, 0)
}

// Build makes a Buff around a page that holds n bytes of packet at offset
// headroom (Linux: build_skb). It takes over the caller's page reference. It
// panics when the page is too small: lengths a device reports are checked
// before they get here.
func (c *Cache) Build(p *Page, headroom, n int) *Buff {
	if headroom < 0 || n < 0 || headroom+n > len(p.buf) {
		panic("skb: Build beyond the page")
	}
	b := c.get()
	b.page = p
	b.head = p.buf
	b.data = uint32(headroom)
	b.tail = uint32(headroom + n)
	b.truesize = uint32(len(p.buf)) + buffSize
	si := &p.shinfo
	si.dataref.Store(1)
	si.NrFrags, si.TxFlags, si.GSOSize, si.GSOSegs, si.GSOType = 0, 0, 0, 0, 0
	si.FragList = nil
	return b
}

// Get takes another reference on the Buff (Linux: skb_get).
func (b *Buff) Get() *Buff {
	b.users.Add(1)
	return b
}

// Shared reports whether somebody else holds this Buff (Linux: skb_shared).
func (b *Buff) Shared() bool { return b.users.Load() != 1 }

// Cloned reports whether the data area is shared with another Buff (Linux:
// skb_cloned).
func (b *Buff) Cloned() bool { return b.cloned && b.page.shinfo.dataref.Load() != 1 }

// Users returns the reference count of the Buff.
func (b *Buff) Users() int { return int(b.users.Load()) }

// Dataref returns the number of Buffs that share the data area.
func (b *Buff) Dataref() int { return int(b.page.shinfo.dataref.Load()) }

// Free ends the caller's use of a packet that is dropped for reason r (Linux:
// kfree_skb_reason). A nil b is ignored.
func (b *Buff) Free(r Reason) {
	if b == nil || !b.unref() {
		return
	}
	c := b.cache
	c.drops[r].Add(1)
	if fn := c.onDrop.Load(); fn != nil {
		(*fn)(b, r)
	}
	b.release()
}

// Consume ends the caller's use of a packet that reached its destination
// (Linux: consume_skb). A nil b is ignored.
func (b *Buff) Consume() {
	if b == nil || !b.unref() {
		return
	}
	b.cache.consumed.Add(1)
	b.release()
}

func (b *Buff) unref() bool {
	switch n := b.users.Add(-1); {
	case n == 0:
		return true
	case n < 0:
		panic("skb: packet released twice")
	}
	return false
}

func (b *Buff) release() {
	b.Orphan()
	b.releaseData()
	b.cache.put(b)
}

// Orphan detaches the packet from its sock, running the destructor (Linux:
// skb_orphan).
func (b *Buff) Orphan() {
	if fn := b.Destructor; fn != nil {
		b.Destructor = nil
		fn(b)
	}
	b.Sk = nil
}

// releaseData drops b's share of the data area (Linux: skb_release_data).
func (b *Buff) releaseData() {
	p := b.page
	si := &p.shinfo
	if si.dataref.Add(-1) != 0 {
		return
	}
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		f.Page.Put()
		f.Page = nil
	}
	si.NrFrags = 0
	for f := si.FragList; f != nil; {
		next := f.next
		f.next = nil
		f.Consume()
		f = next
	}
	si.FragList = nil
	p.Put()
}

// Clone returns a second Buff over the same data area (Linux: skb_clone): new
// metadata, same bytes. Neither may write to the bytes afterwards without
// Unshare or Cow. The clone belongs to no sock and no queue.
func (b *Buff) Clone() *Buff {
	n := b.cache.get()
	b.copyMeta(n)
	n.page, n.head = b.page, b.head
	n.data, n.tail, n.dataLen, n.truesize = b.data, b.tail, b.dataLen, b.truesize
	n.transport, n.network, n.mac = b.transport, b.network, b.mac
	n.CsumStart = b.CsumStart
	n.cloned, b.cloned = true, true
	b.page.shinfo.dataref.Add(1)
	return n
}

func (b *Buff) copyMeta(n *Buff) {
	n.CB = b.CB
	n.Dev, n.Dst = b.Dev, b.Dst
	n.Tstamp = b.Tstamp
	n.Protocol, n.VlanTCI, n.VlanProto, n.QueueMapping = b.Protocol, b.VlanTCI, b.VlanProto, b.QueueMapping
	n.Hash, n.Mark, n.Priority, n.Iif = b.Hash, b.Mark, b.Priority, b.Iif
	n.Csum, n.CsumOffset, n.CsumLevel = b.Csum, b.CsumOffset, b.CsumLevel
	n.PktType, n.IPSummed, n.L4Hash, n.IgnoreDF = b.PktType, b.IPSummed, b.L4Hash, b.IgnoreDF
}

// ShareCheck returns a Buff the caller alone holds (Linux: skb_share_check): b
// itself, or a clone in exchange for the caller's reference on b.
func (b *Buff) ShareCheck() *Buff {
	if !b.Shared() {
		return b
	}
	n := b.Clone()
	b.Consume()
	return n
}

// Unshare returns a Buff whose data area nobody else sees (Linux:
// skb_unshare): b itself, or a copy in exchange for b. It returns nil, and b
// is gone, when memory ran out.
func (b *Buff) Unshare() *Buff {
	if !b.Cloned() {
		return b
	}
	n := b.Copy()
	if n == nil {
		b.Free(NoMem)
		return nil
	}
	b.Consume()
	return n
}

// Copy returns a packet with its own data area and the same bytes, all of
// them private and, where a page can hold them, linear (Linux: skb_copy). Nil
// means memory ran out; b is untouched.
func (b *Buff) Copy() *Buff { return b.copyExpand(b.Headroom()) }

// copyExpand copies b into a fresh linear area with the given headroom.
func (b *Buff) copyExpand(headroom int) *Buff {
	n := b.cache.Alloc(headroom + b.Len())
	if n == nil {
		return nil
	}
	b.copyMeta(n)
	n.Reserve(headroom)
	b.CopyBits(0, n.Put(b.Len()))
	n.moveHeaders(b, headroom-int(b.data))
	si, ns := b.Shinfo(), n.Shinfo()
	ns.GSOSize, ns.GSOSegs, ns.GSOType = si.GSOSize, si.GSOSegs, si.GSOType
	return n
}

// moveHeaders takes from's header offsets, shifted by delta.
func (b *Buff) moveHeaders(from *Buff, delta int) {
	shift := func(o uint32) uint32 {
		if o == unset || int(o)+delta < 0 {
			return unset
		}
		return uint32(int(o) + delta)
	}
	b.transport, b.network, b.mac = shift(from.transport), shift(from.network), shift(from.mac)
	if from.IPSummed == ChecksumPartial {
		b.CsumStart = uint16(int(from.CsumStart) + delta)
	}
}

// Cow makes the linear part private and its headroom at least headroom bytes,
// so that headers may be written and pushed (Linux: skb_cow). It reports
// false, leaving b as it was, when memory ran out.
func (b *Buff) Cow(headroom int) bool {
	if !b.Cloned() && b.Headroom() >= headroom {
		return true
	}
	return b.expandHead(max(headroom, b.Headroom()))
}

// expandHead gives b a private linear area with the given headroom (Linux:
// pskb_expand_head). Fragments stay shared pages: they are never written.
func (b *Buff) expandHead(headroom int) bool {
	old := b.page
	size := headroom + b.Headlen()
	var p *Page
	if size <= b.cache.pool.size {
		p = b.cache.pool.Alloc()
	} else {
		p = b.cache.pool.allocLarge(size)
	}
	if p == nil {
		return false
	}
	copy(p.buf[headroom:], b.Data())
	si, osi := &p.shinfo, &old.shinfo
	si.dataref.Store(1)
	si.NrFrags, si.TxFlags = osi.NrFrags, osi.TxFlags
	si.GSOSize, si.GSOSegs, si.GSOType = osi.GSOSize, osi.GSOSegs, osi.GSOType
	for i := range osi.Frags[:osi.NrFrags] {
		si.Frags[i] = osi.Frags[i]
		si.Frags[i].Page.Get()
	}
	si.FragList = nil
	for f := osi.FragList; f != nil; f = f.next {
		// The chain is linked through its members: sharing it means a clone
		// of every member.
		si.FragList = appendList(si.FragList, f.Clone())
	}
	delta := headroom - int(b.data)
	hl := uint32(b.Headlen())
	dl := b.dataLen
	b.releaseData()
	b.page, b.head = p, p.buf
	b.data, b.tail, b.dataLen = uint32(headroom), uint32(headroom)+hl, dl
	b.cloned = false
	b.truesize += uint32(len(p.buf)) - uint32(len(old.buf))
	b.moveHeaders(b, delta)
	return true
}

func appendList(list, f *Buff) *Buff {
	if list == nil {
		return f
	}
	last := list
	for last.next != nil {
		last = last.next
	}
	last.next = f
	return list
}
