package skb

// What a stream protocol does to packets that wait in its queues: it fills them
// piece by piece, cuts them, and joins them.

// AppendFrag adds the n bytes at off of page p to the packet and takes a
// reference of its own on p, unless they continue the last fragment (Linux:
// skb_can_coalesce, skb_fill_page_desc). It reports false, changing nothing,
// when all fragment slots are used or the shared data area could not be made
// private.
func (b *Buff) AppendFrag(p *Page, off, n int) bool {
	if off < 0 || n < 0 || off > len(p.buf) || n > len(p.buf)-off {
		panic("skb: fragment beyond its page")
	}
	if !b.private() {
		return false
	}
	si := &b.page.shinfo
	if k := int(si.NrFrags); k > 0 && si.Frags[k-1].Page == p && int(si.Frags[k-1].Off+si.Frags[k-1].Size) == off {
		si.Frags[k-1].Size += uint32(n)
		b.dataLen += uint32(n)
		b.truesize += uint32(n)
		return true
	}
	p.Get()
	if !b.AddFrag(p, off, n, n) {
		p.Put()
		return false
	}
	return true
}

// CanAppend reports whether AppendFrag at off of page p would find a slot.
func (b *Buff) CanAppend(p *Page, off int) bool {
	si := &b.page.shinfo
	k := int(si.NrFrags)
	return k < MaxFrags || si.Frags[k-1].Page == p && int(si.Frags[k-1].Off+si.Frags[k-1].Size) == off
}

// Split moves everything behind the first at bytes of b to n, an empty packet
// with room for what of it is linear (Linux: skb_split). Fragments move, linear
// bytes are copied. It reports false, changing nothing, when a shared data area
// could not be made private or n has no room.
func (b *Buff) Split(n *Buff, at int) bool {
	if at < 0 || at > b.Len() || b.page.shinfo.FragList != nil || !b.private() {
		return false
	}
	si, ni := &b.page.shinfo, &n.page.shinfo
	if h := b.Headlen(); at < h {
		if n.Tailroom() < h-at {
			return false
		}
		n.PutData(b.Data()[at:])
		b.tail = b.data + uint32(at)
		copy(ni.Frags[:], si.Frags[:si.NrFrags])
		clear(si.Frags[:si.NrFrags])
		ni.NrFrags, si.NrFrags = si.NrFrags, 0
		n.dataLen, b.dataLen = b.dataLen, 0
		n.truesize += n.dataLen
		b.truesize -= n.dataLen
		return true
	}
	left := uint32(at - b.Headlen())
	moved := b.dataLen - left
	k := 0
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		switch {
		case left >= f.Size:
			left -= f.Size
			k = i + 1
			continue
		case left > 0: // the cut goes through it: both keep the page
			f.Page.Get()
			ni.Frags[ni.NrFrags] = Frag{Page: f.Page, Off: f.Off + left, Size: f.Size - left}
			f.Size = left
			left = 0
			k = i + 1
		default:
			ni.Frags[ni.NrFrags] = *f
			*f = Frag{}
		}
		ni.NrFrags++
	}
	si.NrFrags = uint8(k)
	b.dataLen -= moved
	n.dataLen = moved
	b.truesize -= min(moved, b.truesize)
	n.truesize += moved
	return true
}

// Coalesce moves the bytes of from to the end of b without copying large ones
// (Linux: skb_try_coalesce). True means that from is spent: the caller ends it
// with Consume. Both are the caller's alone.
func (b *Buff) Coalesce(from *Buff) bool {
	n := from.Len()
	if b.Cloned() || b.page.shinfo.FragList != nil || from.page.shinfo.FragList != nil {
		return false
	}
	if n <= b.Tailroom() {
		from.CopyBits(0, b.Put(n))
		return true
	}
	si, fi := &b.page.shinfo, &from.page.shinfo
	need := int(fi.NrFrags)
	if from.Headlen() > 0 {
		need++
	}
	if int(si.NrFrags)+need > MaxFrags {
		return false
	}
	add := func(p *Page, off, size uint32) {
		p.Get()
		si.Frags[si.NrFrags] = Frag{Page: p, Off: off, Size: size}
		si.NrFrags++
	}
	if h := from.Headlen(); h > 0 {
		add(from.page, from.data, uint32(h))
	}
	for _, f := range fi.Frags[:fi.NrFrags] {
		add(f.Page, f.Off, f.Size)
	}
	b.dataLen += uint32(n)
	b.truesize += from.truesize
	return true
}

// CopyHeader returns a packet over the same fragments with a linear part of
// its own, so that headers may be pushed while another Buff still uses b's
// (Linux: pskb_copy). Nil when memory ran out.
func (b *Buff) CopyHeader() *Buff {
	n := b.Clone()
	if !n.expandHead(n.Headroom(), 0) {
		n.cache.consumed.Add(1)
		n.unref()
		n.release(nil)
		return nil
	}
	return n
}

// Prev returns the packet before b on its list.
func (b *Buff) Prev() *Buff { return b.prev }

// CacheOf returns the cache a packet came from.
func CacheOf(b *Buff) *Cache { return b.cache }

// CopyMeta takes over what describes from rather than its bytes: device, route,
// mark and so on (Linux: skb_copy_header). Neither checksum state nor control
// buffer of b are kept.
func (b *Buff) CopyMeta(from *Buff) { from.copyMeta(b) }
