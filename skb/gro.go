package skb

// Merger puts received packets together that are one piece of a stream (Linux:
// skb_gro_receive). It gathers what is left of them, so that their memory goes
// back in bulk: Flush it at the end of a poll. For one goroutine; the zero value
// is ready.
type Merger struct {
	spent bulk
	any   bool
}

// Merge appends what b holds behind its first off bytes, which are linear, to
// the packet p. No byte is copied: the pages of b become fragments of p. On true b
// is gone. False, with both as they were, means that p has no fragment slots
// left, that somebody else looks at one of them, or that b is a chain or belongs
// to somebody.
//
// Linux goes on with a frag list when the slots are used up. Here a super-packet
// ends there, at 18 frames of the usual MTU: every device with TSO can take it,
// and a second costs less than cutting the chain again.
func (m *Merger) Merge(p, b *Buff, off int) bool {
	if off < 0 || off > b.Headlen() {
		panic("skb: Merge behind the linear part")
	}
	si, bi := &p.page.shinfo, &b.page.shinfo
	need := int(bi.NrFrags)
	lin := b.Headlen() - off
	if lin > 0 {
		need++
	}
	if int(si.NrFrags)+need > MaxFrags || si.FragList != nil || bi.FragList != nil || p.Cloned() || b.Cloned() || b.Shared() ||
		b.Destructor != nil || b.NFCT != nil {
		return false
	}
	size := b.truesize - buffSize
	if lin > 0 {
		// The page keeps its reference and changes hands.
		si.Frags[si.NrFrags] = Frag{Page: b.page, Off: b.data + uint32(off), Size: uint32(lin)}
		si.NrFrags++
	} else {
		size -= min(size, uint32(len(b.head)))
	}
	for i := range bi.Frags[:bi.NrFrags] {
		si.Frags[si.NrFrags] = bi.Frags[i]
		si.NrFrags++
		bi.Frags[i] = Frag{}
	}
	bi.NrFrags = 0
	p.dataLen += uint32(lin) + b.dataLen
	p.truesize += size
	m.drop(b, lin == 0)
	return true
}

// drop ends what is left of a merged packet, with its page if that held headers
// only.
func (m *Merger) drop(b *Buff, page bool) {
	if c := b.home; m.spent.cache != c {
		m.Flush()
		m.spent.cache = c
	}
	m.any = true
	p := b.page
	*b = Buff{}
	if page && p.unref() {
		m.spent.page(p)
	}
	m.spent.buff(b)
}

// Flush gives back what is left of merged packets.
func (m *Merger) Flush() {
	if m.any {
		m.spent.flush()
		m.any = false
	}
}

// Unmerge undoes Merge: it takes a packet of hdr bytes of headers and of payload,
// whose first size bytes are linear and each further size bytes one fragment,
// apart into packets of their own, each with a copy of the headers in front, and
// appends them to l in order; b is the first. It works because a merged frame
// still has the room of its own headers. False, with b as it was, when the packet
// is not of that form or somebody else looks at the pages: then it is to be cut.
func (b *Buff) Unmerge(hdr, size int, l *List) bool {
	si := &b.page.shinfo
	n := int(si.NrFrags)
	if n == 0 || si.FragList != nil || b.Headlen() != hdr+size || b.Destructor != nil || b.Cloned() || b.Shared() {
		return false
	}
	for i := range si.Frags[:n] {
		f := &si.Frags[i]
		if f.Off < uint32(hdr) || f.Size > uint32(size) || f.Size < uint32(size) && i < n-1 || f.Page.Refs() != 1 {
			return false
		}
	}
	var bs [MaxFrags]*Buff
	b.cache.getBatch(bs[:n])
	l.PushBack(b)
	head := b.Data()[:hdr]
	for i, f := range si.Frags[:n] {
		s := bs[i]
		s.attach(f.Page, int(f.Off)-hdr, hdr+int(f.Size))
		copy(s.head[s.data:], head)
		s.CopyMeta(b)
		d := s.data - b.data
		for _, o := range [...][2]*uint32{{&s.transport, &b.transport}, {&s.network, &b.network}, {&s.mac, &b.mac}} {
			if *o[1] != unset {
				*o[0] = *o[1] + d
			}
		}
		b.truesize -= min(b.truesize, s.truesize-buffSize)
		si.Frags[i] = Frag{}
		l.PushBack(s)
	}
	si.NrFrags, b.dataLen = 0, 0
	si.GSOSize, si.GSOSegs, si.GSOType = 0, 0, 0
	return true
}
