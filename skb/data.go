package skb

// AddFrag appends a page fragment and takes over the caller's page reference
// (Linux: skb_add_rx_frag). truesize is the memory the fragment costs. It
// reports false, taking nothing, when all fragment slots are used or the
// shared data area could not be made private.
func (b *Buff) AddFrag(p *Page, off, size, truesize int) bool {
	if off < 0 || size < 0 || off > len(p.buf) || size > len(p.buf)-off {
		panic("skb: fragment beyond its page")
	}
	if int(b.page.shinfo.NrFrags) == MaxFrags || b.page.shinfo.FragList != nil || !b.private() {
		return false
	}
	si := &b.page.shinfo
	si.Frags[si.NrFrags] = Frag{Page: p, Off: uint32(off), Size: uint32(size)}
	si.NrFrags++
	b.dataLen += uint32(size)
	b.truesize += uint32(truesize)
	return true
}

// AddFragList appends f, which only the caller holds, to the chain of Buffs
// behind b and takes it over, as reassembly does. It reports false, taking
// nothing, when the shared data area could not be made private.
func (b *Buff) AddFragList(f *Buff) bool {
	if f.Shared() || f.next != nil || f.prev != nil {
		panic("skb: frag list member is held elsewhere")
	}
	if !b.private() {
		return false
	}
	b.page.shinfo.appendList(f)
	b.dataLen += uint32(f.Len())
	b.truesize += f.truesize
	return true
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
	if !b.private() {
		return false
	}
	si := &b.page.shinfo
	left := n - b.Headlen()
	// First the member of the frag list that the cut goes through: the only
	// step that can fail.
	rest := left - si.fragBytes()
	for f := si.FragList; f != nil && rest > 0; f = f.next {
		l := f.Len()
		if rest < l && !f.Trim(rest) {
			return false
		}
		rest -= l
	}
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
	var last *Buff
	f := si.FragList
	for ; f != nil && left > 0; f = f.next {
		left -= f.Len()
		last = f
	}
	if last == nil {
		si.FragList = nil
	} else {
		last.next = nil
	}
	si.fragLast = last
	releaseList(f, nil)
	return true
}

// TrimRcsum is Trim for a received packet: it keeps the checksum state true
// (Linux: pskb_trim_rcsum). It also reports false when the cut would go
// through a checksum still to be filled in.
func (b *Buff) TrimRcsum(n int) bool {
	if n < 0 {
		return false
	}
	l := b.Len()
	if n >= l {
		return true
	}
	switch b.IPSummed {
	case ChecksumComplete:
		cut := b.Checksum(n, l-n, 0)
		if !b.Trim(n) {
			return false
		}
		b.Csum = CsumBlockSub(b.Csum, cut, n)
		return true
	case ChecksumPartial:
		if b.CsumStartOffset()+int(b.CsumOffset)+2 > n {
			return false
		}
	}
	return b.Trim(n)
}

// PullRcsum is Pull for a received packet: it keeps the checksum state true
// (Linux: skb_pull_rcsum).
func (b *Buff) PullRcsum(n int) []byte {
	if n < 0 || n > b.Headlen() {
		return nil
	}
	switch b.IPSummed {
	case ChecksumComplete:
		// The rest keeps its place: with n odd its bytes change sides.
		b.Csum = CsumSub(b.Csum, CsumPartial(b.Data()[:n], 0))
		if n&1 != 0 {
			b.Csum = CsumBlockAdd(0, b.Csum, 1)
		}
	case ChecksumPartial:
		if b.CsumStartOffset() < n {
			b.IPSummed = ChecksumNone
		}
	}
	return b.Pull(n)
}

// pullTail moves n bytes from the fragments to the end of the linear part
// (Linux: __pskb_pull_tail). n is at most DataLen.
func (b *Buff) pullTail(n int) bool {
	if b.Cloned() || int(b.tail)+n > len(b.head) {
		if !b.expandHead(b.Headroom(), n) {
			return false
		}
	}
	if !b.mayEat(n) {
		return false
	}
	b.CopyBits(b.Headlen(), b.head[b.tail:int(b.tail)+n])
	b.tail += uint32(n)
	b.eatFrags(n)
	return true
}

// mayEat prepares for eatFrags(n): a frag list member that loses only part of
// its fragments must not share them. False means memory ran out.
func (b *Buff) mayEat(n int) bool {
	si := &b.page.shinfo
	n -= si.fragBytes()
	for f := si.FragList; f != nil && n > 0; f = f.next {
		l := f.Len()
		if n < l {
			n -= f.Headlen()
			return n <= 0 || f.private() && f.mayEat(n)
		}
		n -= l
	}
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
		left := copy(si.Frags[:], si.Frags[drop:si.NrFrags])
		clear(si.Frags[left:si.NrFrags])
		si.NrFrags = uint8(left)
	}
	for n > 0 {
		f := si.FragList
		l := f.Len()
		if n < l {
			f.skip(n)
			return
		}
		n -= l
		if si.FragList = f.next; si.FragList == nil {
			si.fragLast = nil
		}
		f.next = nil
		releaseList(f, nil)
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
// them linear. It reports false, changing nothing, when the packet is shorter
// or a shared data area could not be made private.
func (b *Buff) PullAny(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	if n > b.Headlen() && !(b.private() && b.mayEat(n-b.Headlen())) {
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
	if off >= 0 && off < b.Headlen() {
		// Nearly always all of it is here.
		n := copy(dst, b.Data()[off:])
		if n == len(dst) || b.dataLen == 0 {
			return n
		}
	}
	n := 0
	b.Walk(off, len(dst), func(p []byte) bool {
		n += copy(dst[n:], p)
		return true
	})
	return n
}

// Walk calls fn with consecutive non-empty pieces of the n bytes from offset
// off, fewer if the packet is shorter, until fn returns false; then Walk does.
func (b *Buff) Walk(off, n int, fn func(p []byte) bool) bool {
	if off < 0 || n <= 0 {
		return true
	}
	w := walk{off, n}
	if !w.piece(b.Data(), fn) {
		return false
	}
	if b.dataLen == 0 {
		return true
	}
	si := &b.page.shinfo
	for i := 0; i < int(si.NrFrags) && w.n > 0; i++ {
		if !w.piece(si.Frags[i].Bytes(), fn) {
			return false
		}
	}
	for f := si.FragList; f != nil && w.n > 0; f = f.next {
		l := f.Len()
		if w.off < l {
			if !f.Walk(w.off, w.n, fn) {
				return false
			}
			w.n -= min(w.n, l-w.off)
		}
		w.off = max(0, w.off-l)
	}
	return true
}

// walk is what is left of a Walk: n bytes, off bytes from here.
type walk struct{ off, n int }

func (w *walk) piece(p []byte, fn func(p []byte) bool) bool {
	if w.off >= len(p) {
		w.off -= len(p)
		return true
	}
	p = p[w.off:]
	w.off = 0
	if len(p) > w.n {
		p = p[:w.n]
	}
	if len(p) == 0 {
		return true
	}
	w.n -= len(p)
	return fn(p)
}
