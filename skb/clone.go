package skb

import "sync/atomic"

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
	atomic.AddInt32(&b.page.shinfo.dataref, 1)
	return n
}

// copyMeta copies everything but the data area and what refers to it.
func (b *Buff) copyMeta(n *Buff) {
	n.CB = b.CB
	n.Dev, n.Dst = b.Dev, b.Dst
	n.Tstamp = b.Tstamp
	n.Protocol, n.VlanTCI, n.VlanProto, n.QueueMapping = b.Protocol, b.VlanTCI, b.VlanProto, b.QueueMapping
	n.Hash, n.Mark, n.Priority, n.Iif = b.Hash, b.Mark, b.Priority, b.Iif
	n.Csum, n.CsumOffset, n.CsumLevel = b.Csum, b.CsumOffset, b.CsumLevel
	n.PktType, n.IPSummed, n.L4Hash, n.IgnoreDF, n.CPU = b.PktType, b.IPSummed, b.L4Hash, b.IgnoreDF, b.CPU
	n.NFCT, n.NFCTInfo, n.NFTrace = b.NFCT, b.NFCTInfo, b.NFTrace
	if n.NFCT != nil {
		n.NFCT.NFGet()
	}
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

// Copy returns a packet with its own linear data area and the same bytes, the
// headroom's included, so that headers already pulled are there (Linux:
// skb_copy). Nil means memory ran out; b is untouched.
func (b *Buff) Copy() *Buff {
	headroom := b.Headroom()
	n := b.cache.Alloc(headroom + b.Len())
	if n == nil {
		return nil
	}
	b.copyMeta(n)
	n.Reserve(headroom)
	copy(n.head, b.head[:headroom])
	b.CopyBits(0, n.Put(b.Len()))
	n.transport, n.network, n.mac = b.transport, b.network, b.mac
	n.CsumStart = b.CsumStart
	n.Shinfo().copyGSO(b.Shinfo())
	return n
}

// Cow makes the linear part private and its headroom at least headroom bytes,
// so that headers may be written and pushed (Linux: skb_cow). Tailroom may
// change. It reports false, leaving b as it was, when memory ran out.
func (b *Buff) Cow(headroom int) bool {
	if !b.Cloned() && b.Headroom() >= headroom {
		return true
	}
	return b.expandHead(max(headroom, b.Headroom()), 0)
}

// CowTail makes the linear part private with at least tailroom bytes behind the
// data, so that they may be put. It reports false, leaving b as it was, when
// memory ran out or the packet has fragments, between which nothing can be put.
func (b *Buff) CowTail(tailroom int) bool {
	if b.dataLen != 0 {
		return false
	}
	if !b.Cloned() && b.Tailroom() >= tailroom {
		return true
	}
	return b.expandHead(b.Headroom(), tailroom)
}

// private makes the data area b's own.
func (b *Buff) private() bool { return !b.Cloned() || b.expandHead(b.Headroom(), 0) }

// expandHead gives b a private linear area with the given headroom, which is
// not less than it has, and at least tailroom bytes behind the data (Linux:
// pskb_expand_head). Page fragments stay shared: nobody writes to them.
func (b *Buff) expandHead(headroom, tailroom int) bool {
	old := b.page
	p := b.cache.area(headroom + b.Headlen() + tailroom)
	if p == nil {
		return false
	}
	delta := headroom - int(b.data)
	// What stands in the headroom goes along: headers that were pulled.
	copy(p.buf[delta:], b.head[:b.tail])
	si, osi := &p.shinfo, &old.shinfo
	si.reset()
	si.copyGSO(osi)
	si.NrFrags = osi.NrFrags
	copy(si.Frags[:], osi.Frags[:osi.NrFrags])
	if b.Cloned() {
		for i := range si.Frags[:si.NrFrags] {
			si.Frags[i].Page.Get()
		}
		// The chain is linked through its members: sharing it means a clone
		// of every member.
		for f := osi.FragList; f != nil; f = f.next {
			si.appendList(f.Clone())
		}
	} else {
		si.FragList, si.fragLast = osi.FragList, osi.fragLast
		clear(osi.Frags[:osi.NrFrags])
		osi.NrFrags, osi.FragList, osi.fragLast = 0, nil, nil
	}
	if q := b.releaseData(nil); q != nil {
		q.pool.release(q)
	}
	b.page, b.head = p, p.buf
	b.data += uint32(delta)
	b.tail += uint32(delta)
	if b.Sk == nil {
		// A sock was charged with what truesize was and gets that back.
		b.truesize += uint32(len(p.buf)) - uint32(len(old.buf))
	}
	for _, o := range [...]*uint32{&b.transport, &b.network, &b.mac} {
		if *o != unset {
			*o += uint32(delta)
		}
	}
	if b.IPSummed == ChecksumPartial {
		b.CsumStart += uint16(delta)
	}
	return true
}
