package skb

import "sync/atomic"

// Get takes another reference on the Buff (Linux: skb_get).
func (b *Buff) Get() *Buff {
	atomic.AddInt32(&b.users, 1)
	return b
}

// Shared reports whether somebody else holds this Buff (Linux: skb_shared).
func (b *Buff) Shared() bool { return atomic.LoadInt32(&b.users) != 1 }

// Users returns the reference count of the Buff.
func (b *Buff) Users() int { return int(atomic.LoadInt32(&b.users)) }

// Dataref returns the number of Buffs that share the data area.
func (b *Buff) Dataref() int { return int(atomic.LoadInt32(&b.page.shinfo.dataref)) }

// Cloned reports whether the data area is shared with another Buff (Linux:
// skb_cloned).
func (b *Buff) Cloned() bool { return b.Dataref() != 1 }

// Free ends the caller's use of a packet that is dropped for reason r (Linux:
// kfree_skb_reason). A nil b is ignored.
func (b *Buff) Free(r Reason) {
	if b == nil || !b.unref() {
		return
	}
	b.cache.dropped(b, r)
	b.release(nil)
}

// Consume ends the caller's use of a packet that reached its destination
// (Linux: consume_skb). A nil b is ignored.
func (b *Buff) Consume() {
	if b == nil || !b.unref() {
		return
	}
	b.cache.ended(1)
	b.release(nil)
}

// ConsumeBatch is Consume for many packets of this cache at the cost of one
// lock on the cache and one on the page pool (Linux: napi_consume_skb). Nil
// entries are ignored; bs is not changed.
func (c *Cache) ConsumeBatch(bs []*Buff) {
	if len(bs) == 1 { // a quiet device: nothing to gather
		bs[0].Consume()
		return
	}
	k := bulk{cache: c}
	n := 0
	for _, b := range bs {
		if b != nil && b.unref() {
			n++
			b.release(&k)
		}
	}
	k.flush()
	c.ended(uint64(n))
}

func (c *Cache) dropped(b *Buff, r Reason) {
	c.drops[r].Add(1)
	if fn := c.onDrop.Load(); fn != nil {
		(*fn)(b, r)
	}
}

// unref drops one reference and reports whether it was the last.
func (b *Buff) unref() bool {
	// A sole holder needs no read-modify-write: nobody can take another
	// reference but through one.
	if atomic.LoadInt32(&b.users) == 1 {
		b.users = 0
		return true
	}
	n := atomic.AddInt32(&b.users, -1)
	if n < 0 {
		panic("skb: packet released twice")
	}
	return n == 0
}

// release ends a Buff without users, by way of k if that is not nil.
func (b *Buff) release(k *bulk) {
	b.Orphan()
	if b.NFCT != nil {
		b.NFCT.NFPut()
	}
	c := b.home
	p := b.releaseData(k)
	*b = Buff{}
	switch {
	case k != nil && k.cache == c:
		if p != nil {
			k.page(p)
		}
		k.buff(b)
	case p != nil && p.pool == c.pool && len(p.buf) == c.pool.size:
		c.putOne(b, p)
	default:
		if p != nil {
			p.pool.release(p)
		}
		c.putChain(b, b, 1)
	}
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

// releaseData drops b's share of the data area (Linux: skb_release_data). It
// returns the linear part when nobody has it any more: for the caller to give
// back.
func (b *Buff) releaseData(k *bulk) *Page {
	p := b.page
	si := &p.shinfo
	if atomic.LoadInt32(&si.dataref) != 1 && atomic.AddInt32(&si.dataref, -1) != 0 {
		return nil
	}
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		f.Page.put(k)
		f.Page = nil
	}
	si.NrFrags = 0
	if si.FragList != nil {
		releaseList(si.FragList, k)
		si.FragList, si.fragLast = nil, nil
	}
	if !p.unref() {
		return nil
	}
	return p
}

// releaseList ends the chain of frag list members from f on. They are parts
// of a packet, not packets: neither consumed nor dropped.
func releaseList(f *Buff, k *bulk) {
	for f != nil {
		next := f.next
		f.next = nil
		if f.unref() {
			f.release(k)
		}
		f = next
	}
}

// bulkSize is how many pages or Buffs go back under one lock.
const bulkSize = 64

// bulk gathers what many packets give back (Linux: the napi_alloc_cache and
// page_pool bulk paths). For one goroutine, on its stack.
type bulk struct {
	cache       *Cache
	first, last *Buff
	buffs       int
	pages       [bulkSize]*Page
	npages      int
}

func (k *bulk) buff(b *Buff) {
	if b.next = k.first; k.first == nil {
		k.last = b
	}
	k.first = b
	if k.buffs++; k.buffs == bulkSize {
		k.flushBuffs()
	}
}

func (k *bulk) page(p *Page) {
	if p.pool != k.cache.pool {
		p.pool.release(p)
		return
	}
	k.pages[k.npages] = p
	if k.npages++; k.npages == bulkSize {
		k.flushPages()
	}
}

func (k *bulk) flushBuffs() {
	if k.buffs > 0 {
		k.cache.putChain(k.first, k.last, k.buffs)
		k.first, k.last, k.buffs = nil, nil, 0
	}
}

func (k *bulk) flushPages() {
	if k.npages > 0 {
		k.cache.pool.releaseBatch(k.pages[:k.npages])
		k.npages = 0
	}
}

func (k *bulk) flush() {
	k.flushPages()
	k.flushBuffs()
}
