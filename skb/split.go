package skb

// ShareBits appends n bytes of b from offset off to dst as page fragments over
// the same pages, without copying (Linux: skb_zerocopy). Each piece costs dst
// its size in truesize. It reports false, and dst has what fitted, when dst has
// no slots left. Nobody may write to the bytes from then on, so b must not be
// Cloned: the other one could not know.
func (b *Buff) ShareBits(off, n int, dst *Buff) bool {
	if off < 0 || n < 0 || n > b.Len()-off {
		panic("skb: ShareBits beyond the packet")
	}
	left, ok := b.shareBits(off, n, dst)
	return ok && left == 0
}

// shareBits returns how many of the n bytes are behind the end of b.
func (b *Buff) shareBits(off, n int, dst *Buff) (left int, ok bool) {
	piece := func(p *Page, at, size int) bool {
		if off >= size || n == 0 {
			off -= min(off, size)
			return true
		}
		c := min(size-off, n)
		p.Get()
		if !dst.AddFrag(p, at+off, c, c) {
			p.Put()
			return false
		}
		off, n = 0, n-c
		return true
	}
	if !piece(b.page, int(b.data), b.Headlen()) {
		return n, false
	}
	si := &b.page.shinfo
	for i := range si.Frags[:si.NrFrags] {
		f := &si.Frags[i]
		if !piece(f.Page, int(f.Off), int(f.Size)) {
			return n, false
		}
	}
	for f := si.FragList; f != nil && n > 0; f = f.next {
		l := f.Len()
		if off >= l {
			off -= l
			continue
		}
		if n, ok = f.shareBits(off, n, dst); !ok {
			return n, false
		}
		off = 0
	}
	return n, true
}

// TakeFragList moves the members of the frag list to l: b is left without them,
// each becomes a packet of its own. The data area must not be shared, nor b
// charged to a sock, which would get back less than it paid: Orphan first.
func (b *Buff) TakeFragList(l *List) {
	if b.Cloned() || b.Destructor != nil {
		panic("skb: TakeFragList of a packet that is shared or charged")
	}
	si := &b.page.shinfo
	for f := si.FragList; f != nil; {
		next := f.next
		f.next = nil
		b.dataLen -= uint32(f.Len())
		b.truesize -= f.truesize
		l.PushBack(f)
		f = next
	}
	si.FragList, si.fragLast = nil, nil
}
