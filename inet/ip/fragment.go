package ip

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// fragment sends a packet in pieces (Linux: ip_fragment, ip_do_fragment; RFC
// 791 section 3.2). The payload is not copied: a packet whose frag list is cut
// in the right places already, as reassembly and NewDatagram leave it, falls
// apart into its members; of any other the pieces share the pages. Consumes b.
func (n *Net) fragment(b *skb.Buff, rt *Rtable, mtu int) error {
	if b.CB[2]&cbLinkMTU != 0 { // the path's may not be why this one is too long
		if mtu = min(rt.Dev.MTU(), header.IPv4MaxPacket); b.Len() <= mtu {
			return n.finishOutput2(b, rt)
		}
	}
	m := &n.MIB.IP
	h := header.IPv4(b.Data())
	if m := fragMax(b); m != 0 {
		mtu = min(mtu, m)
	}
	if h.DF() && (!b.IgnoreDF || fragMax(b) > mtu) {
		m.FragFails.Add(1)
		n.sendError(b, header.ICMPDestUnreach, header.ICMPFragNeeded, uint32(mtu))
		n.drop(b, skb.PktTooBig)
		return syscall.EMSGSIZE
	}
	hlen := h.HeaderLen()
	if mtu-hlen < 8 {
		m.FragFails.Add(1)
		n.drop(b, skb.PktTooBig)
		return syscall.EMSGSIZE
	}
	// The device would sum each piece by itself: the sum over the whole is due
	// before cutting.
	if b.IPSummed == skb.ChecksumPartial && !b.ChecksumHelp() {
		m.FragFails.Add(1)
		n.drop(b, skb.NoMem)
		return syscall.ENOMEM
	}
	h = header.IPv4(b.Data())
	c := cutter{n: n, b: b, rt: rt, hlen: hlen, room: mtu - hlen, base: h.FragOffset(), more: h.FragField() & header.IPMF}
	c.sk, _ = b.Sk.(*sock.Sock)
	copy(c.hdr[:], h[:hlen])
	if b.CB[2]&cbFragPMTU != 0 {
		c.df = header.IPDF // the pieces it came in had it
	}
	var err error
	if c.inPieces() {
		err = c.fallApart()
	} else {
		err = c.cut()
	}
	if err != nil {
		// The rest would only be thrown away by the receiver.
		m.FragFails.Add(1)
		return err
	}
	m.FragOKs.Add(1)
	return nil
}

// cutter is a packet on its way to pieces.
type cutter struct {
	n    *Net
	b    *skb.Buff
	rt   *Rtable
	sk   *sock.Sock
	hdr  [header.IPv4MaxLen]byte
	hlen int
	room int    // payload that fits a piece
	base int    // of the packet's own payload in its datagram
	more uint16 // the packet itself is not the last fragment
	df   uint16
}

// inPieces reports whether the members of the frag list can go as they are:
// none too long, all but the last of a multiple of eight bytes, each with room
// for the headers and nobody else looking (Linux: the conditions of the fast
// path).
func (c *cutter) inPieces() bool {
	b, need := c.b, c.hlen+c.rt.Dev.HardHeaderLen
	f := b.Shinfo().FragList
	if f == nil || b.Cloned() || c.base != 0 || c.more != 0 || b.Headroom() < c.rt.Dev.HardHeaderLen {
		return false
	}
	first := b.Len() - c.hlen
	for ; f != nil; f = f.Next() {
		l := f.Len()
		first -= l
		if l > c.room || l&7 != 0 && f.Next() != nil || f.Headroom() < need || f.Shared() || f.Cloned() {
			return false
		}
	}
	// Linux has pulled the header of TCP to look for a socket, and with it out of
	// place cuts the packet anew.
	if c.hdr[9] == header.ProtoTCP && first < header.TCPMinLen {
		return false
	}
	return first > 0 && first <= c.room && first&7 == 0
}

// fallApart sends b and the members of its frag list as the pieces they are.
func (c *cutter) fallApart() error {
	b := c.b
	total := b.Len() - c.hlen
	var l skb.List
	b.Orphan() // what it paid for the members they pay themselves from now on
	b.TakeFragList(&l)
	for f := l.Head(); f != nil; f = f.Next() {
		f.Push(c.hlen)
		c.dress(f)
	}
	l.PushFront(b)
	for off := 0; ; {
		f := l.PopFront()
		if f == nil {
			return nil
		}
		size := f.Len() - c.hlen
		off += size
		if err := c.send(f, off-size, size, off < total); err != nil {
			l.Consume()
			return err
		}
	}
}

// cut makes the pieces, of which each has a page for its header and otherwise
// those of b; a copy where the device takes one page only, where somebody else
// may write to the pages, or where there are too many. Consumes b.
func (c *cutter) cut() error {
	share := c.rt.Dev.Features()&napi.FeatureSG != 0 && !c.b.Cloned()
	total := c.b.Len() - c.hlen
	for off := 0; off < total; {
		size := min(total-off, c.room&^7)
		if total-off <= c.room {
			size = total - off
		}
		f := c.piece(off, size, share)
		if f == nil {
			c.n.drop(c.b, skb.NoMem)
			return syscall.ENOMEM
		}
		c.dress(f)
		if err := c.send(f, off, size, off+size < total); err != nil {
			c.b.Consume()
			return err
		}
		off += size
	}
	c.b.Consume()
	return nil
}

// piece makes a packet of the payload from off on, with room for the header in
// front. Nil when memory ran out.
func (c *cutter) piece(off, size int, share bool) *skb.Buff {
	cache := c.n.Dev.SKB()
	if share {
		f := cache.Alloc(Headroom + c.hlen)
		if f == nil {
			return nil
		}
		f.Reserve(Headroom)
		f.Put(c.hlen)
		if c.b.ShareBits(c.hlen+off, size, f) {
			return f
		}
		f.Consume()
	}
	f := cache.Alloc(Headroom + c.hlen + size)
	if f == nil {
		return nil
	}
	f.Reserve(Headroom)
	c.b.CopyBits(c.hlen+off, f.Put(c.hlen + size)[c.hlen:])
	return f
}

// dress gives a piece what the packet has beside its bytes (Linux:
// ip_copy_metadata). Data is where the header goes.
func (c *cutter) dress(f *skb.Buff) {
	b := c.b
	f.ResetNetworkHeader()
	f.SetTransportHeader(c.hlen)
	f.Dev, f.Dst, f.Protocol = b.Dev, b.Dst, b.Protocol
	f.Priority, f.Mark, f.PktType, f.Hash = b.Priority, b.Mark, b.PktType, b.Hash
	f.QueueMapping, f.Tstamp, f.Iif = b.QueueMapping, b.Tstamp, b.Iif
	f.IPSummed, f.IgnoreDF = b.IPSummed, b.IgnoreDF
	f.CopyNF(b)
	f.CB = [6]uint64{}
}

// send gives a piece its header and lets it go. Consumes f.
func (c *cutter) send(f *skb.Buff, off, size int, more bool) error {
	p := f.Data()[:c.hlen]
	copy(p, c.hdr[:c.hlen])
	if c.base+off == 0 {
		// Options that are for the first piece only go no further (RFC 791
		// section 3.1: the copied flag).
		header.BlankOptions(c.hdr[header.IPv4MinLen:c.hlen])
	}
	h := header.IPv4(p)
	h.SetTotalLen(c.hlen + size)
	ff := uint16((c.base+off)/8) | c.more | c.df
	if more {
		ff |= header.IPMF
	}
	h.SetFragField(ff)
	h.UpdateChecksum()
	if c.sk != nil {
		c.sk.SetOwnerW(f)
	}
	if err := c.n.finishOutput2(f, c.rt); err != nil {
		return err
	}
	c.n.MIB.IP.FragCreates.Add(1)
	return nil
}
