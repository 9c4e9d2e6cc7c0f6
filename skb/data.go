package skb

// AddFrag appends a page fragment and takes over the caller's page reference
// (Linux: skb_add_rx_frag). truesize is the memory the fragment costs. It
// reports false, taking nothing, when all fragment slots are used.
func (b *Buff) AddFrag(p *Page, off, size, truesize int) bool {
	si := &b.page.shinfo
	if int(si.NrFrags) == MaxFrags {
		return false
	}
	if off < 0 || size < 0 || off+size > len(p.buf) {
		panic("skb: fragment beyond its page")
	}
	si.Frags[si.NrFrags] = Frag{Page: p, Off: uint32(off), Size: uint32(size)}
	si.NrFrags++
	b.dataLen += uint32(size)
	b.truesize += uint32(truesize)
	return true
}

// AddFragList appends f to the chain of Buffs behind b and takes it over, as
// reassembly does.
func (b *Buff) AddFragList(f *Buff) {
	f.next, f.prev = nil, nil
	b.page.shinfo.FragList = appendList(b.page.shinfo.FragList, f)
	b.dataLen += uint32(f.Len())
	b.truesize += f.truesize
}

// Trim cuts the packet to n bytes from the front; longer packets only (Linux:
// pskb_trim). It reports false, changing nothing, when the data area is shared
// and memory for a private one ran out.
func (b *Buff) Trim(n int) bool {
	if n < 0 {
		return false
	}
	if n >= b.Len() {
		return true
	}
	if b.dataLen == 0 {
		b.tail = b.data + uint32(n)
		return true
	}
	// Fragments belong to the shared info: other Buffs must not see the cut.
	if b.Cloned() && !b.expandHead(b.Headroom()) {
		return false
	}
	si := &b.page.shinfo
	left := n - b.Headlen()
	if left < 0 {
		b.tail = b.data + uint32(n)
		left = 0
	}
	b.dataLen = uint32(left)
	keep := 0
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		if left == 0 {
			f.Page.Put()
			f.Page = nil
			continue
		}
		f.Size = min(f.Size, uint32(left))
		left -= int(f.Size)
		keep = i + 1
	}
	si.NrFrags = uint8(keep)
	link := &si.FragList
	for f := *link; f != nil; f = *link {
		if left == 0 {
			*link = f.next
			f.next = nil
			f.Consume()
			continue
		}
		if l := f.Len(); l > left {
			f.Trim(left)
			left = 0
		} else {
			left -= l
		}
		link = &f.next
	}
	return true
}

// pullTail moves n bytes from the fragments to the end of the linear part
// (Linux: __pskb_pull_tail). n is at most DataLen.
func (b *Buff) pullTail(n int) bool {
	if b.Cloned() || int(b.tail)+n > len(b.head) {
		// A private area that holds what is linear plus n.
		if !b.regrow(n) {
			return false
		}
	}
	b.CopyBits(b.Headlen(), b.head[b.tail:int(b.tail)+n])
	b.tail += uint32(n)
	b.eatFrags(n)
	return true
}

// regrow makes the linear area private with room for n more bytes behind it.
func (b *Buff) regrow(n int) bool {
	room := b.Headroom()
	if size := b.cache.pool.size; room+b.Headlen()+n > size {
		room = max(0, min(room, size-b.Headlen()-n))
	}
	need := room + b.Headlen() + n
	if need <= b.cache.pool.size {
		return b.expandHead(room)
	}
	// Oversized: expandHead allocates for headroom plus head, so ask for the
	// missing bytes as headroom and slide the head down into it.
	if !b.expandHead(room + n) {
		return false
	}
	copy(b.head[room:], b.Data())
	hl := uint32(b.Headlen())
	b.data = uint32(room)
	b.tail = b.data + hl
	b.moveHeaders(b, -n)
	return true
}

// eatFrags removes n bytes from the front of the fragments.
func (b *Buff) eatFrags(n int) {
	si := &b.page.shinfo
	b.dataLen -= uint32(n)
	drop := 0
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		if n < int(f.Size) {
			f.Off += uint32(n)
			f.Size -= uint32(n)
			n = 0
			break
		}
		n -= int(f.Size)
		f.Page.Put()
		f.Page = nil
		drop = i + 1
	}
	if drop > 0 {
		copy(si.Frags[:], si.Frags[drop:si.NrFrags])
		for i := int(si.NrFrags) - drop; i < int(si.NrFrags); i++ {
			si.Frags[i] = Frag{}
		}
		si.NrFrags -= uint8(drop)
	}
	for n > 0 {
		f := si.FragList
		if l := f.Len(); l <= n {
			n -= l
			si.FragList = f.next
			f.next = nil
			f.Consume()
			continue
		}
		f.skip(n)
		n = 0
	}
}

// skip removes n bytes from the front, linear or not.
func (b *Buff) skip(n int) {
	lin := min(n, b.Headlen())
	b.data += uint32(lin)
	if n -= lin; n > 0 {
		b.eatFrags(n)
	}
}

// PullAny removes n bytes from the front wherever they are, without making
// them linear; false when the packet is shorter. The fragments must not be
// shared (see Cloned).
func (b *Buff) PullAny(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	b.skip(n)
	return true
}

// Linearize moves everything into the linear part (Linux: skb_linearize);
// false when memory ran out.
func (b *Buff) Linearize() bool { return b.MayPull(b.Len()) }

// CopyBits copies packet bytes from offset off into dst and returns how many
// there were (Linux: skb_copy_bits).
func (b *Buff) CopyBits(off int, dst []byte) int {
	n := 0
	b.Walk(off, len(dst), func(p []byte) bool {
		n += copy(dst[n:], p)
		return true
	})
	return n
}

// Walk calls fn with consecutive pieces of the n bytes from offset off, less
// if the packet is shorter, until fn returns false.
func (b *Buff) Walk(off, n int, fn func(p []byte) bool) bool {
	if off < 0 || n <= 0 {
		return true
	}
	step := func(p []byte) bool {
		if off >= len(p) {
			off -= len(p)
			return true
		}
		p = p[off:]
		off = 0
		if len(p) > n {
			p = p[:n]
		}
		n -= len(p)
		return fn(p)
	}
	if !step(b.Data()) || n == 0 {
		return n == 0
	}
	if b.dataLen == 0 {
		return true
	}
	for i := range b.Frags() {
		if !step(b.Frags()[i].Bytes()) {
			return false
		}
		if n == 0 {
			return true
		}
	}
	for f := b.page.shinfo.FragList; f != nil && n > 0; f = f.next {
		l := f.Len()
		if off >= l {
			off -= l
			continue
		}
		if !f.Walk(off, n, fn) {
			return false
		}
		n -= min(n, l-off)
		off = 0
	}
	return true
}
