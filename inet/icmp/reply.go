package icmp

import (
	"encoding/binary"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

// echo answers an echo request with its own packet (Linux: icmp_echo; RFC 1122
// section 3.2.2.6). Consumes b.
func (i *ICMP) echo(b *skb.Buff) {
	if i.conf.ICMPEchoIgnoreAll.Load() != 0 {
		b.Consume()
		return
	}
	whole := b.IPSummed == skb.ChecksumPartial
	var r reply
	if !i.prepare(&r, b, header.ICMPEchoReply) {
		return
	}
	h := header.ICMP(b.Data())
	if whole {
		// The sender left the sum to its device, so there is none to adjust.
		h.SetType(header.ICMPEchoReply)
		h.SetChecksum(0)
		h.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), 0)))
	} else {
		// Only the type changes, from 8 to 0 (RFC 1624).
		h.SetType(header.ICMPEchoReply)
		sum := uint32(h.Checksum()) + header.ICMPEcho<<8
		h.SetChecksum(uint16(sum + sum>>16))
	}
	i.send(&r, b)
}

// timestamp answers a request for the time (Linux: icmp_timestamp; RFC 792,
// RFC 1122 section 3.2.2.8). Consumes b.
func (i *ICMP) timestamp(b *skb.Buff) {
	const size = header.ICMPLen + 12
	if b.Len() < header.ICMPLen+4 {
		i.inError(b, skb.PktTooSmall)
		return
	}
	if b.Len() < size {
		// As in Linux a request may leave out the fields that we fill in.
		c := i.ip.Dev.SKB().Alloc(ip.Headroom + header.IPv4MaxLen + size)
		if c == nil {
			b.Free(skb.NoMem)
			return
		}
		c.Reserve(ip.Headroom)
		n := b.NetworkHeader()
		c.PutData(n[:header.IPv4(n).HeaderLen()])
		c.ResetNetworkHeader()
		c.Pull(c.Len())
		p := c.Put(size)
		clear(p)
		b.CopyBits(0, p)
		c.Dev, c.Dst, c.CB, c.Mark = b.Dev, b.Dst, b.CB, b.Mark
		b.Consume()
		b = c
	}
	var r reply
	if !b.MayPull(size) || !b.Trim(size) {
		b.Free(skb.NoMem)
		return
	}
	if !i.prepare(&r, b, header.ICMPTimestampReply) {
		return
	}
	h := header.ICMP(b.Data())
	now := ip.Timestamp()
	binary.BigEndian.PutUint32(h[12:], now)
	binary.BigEndian.PutUint32(h[16:], now)
	h[0], h[1] = header.ICMPTimestampReply, 0
	h.SetChecksum(0)
	h.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), 0)))
	i.send(&r, b)
}

// reply is an answer that is made out of the packet it answers.
type reply struct {
	x   ip.Xmit
	rt  *ip.Rtable
	opt header.OptionSet
}

// prepare decides about an answer of a type, finds its way, and makes b ready
// to be rewritten: Data is the message, with headroom (Linux: icmp_reply). On
// false b is gone.
func (i *ICMP) prepare(r *reply, b *skb.Buff, typ uint8) bool {
	in := header.IPv4(b.NetworkHeader())
	if !i.ip.EchoOptions(&r.opt, b) {
		b.Consume()
		return false
	}
	limited := i.limited(typ, 0)
	if limited && !i.limit.allow() {
		i.stats.OutRateLimitGlobal.Add(1)
		b.Consume()
		return false
	}
	r.x = ip.Xmit{Src: i.ip.SpecDst(b), Dst: in.Src(), Proto: header.ProtoICMP, TOS: in.TOS(), TTL: i.ip.DefaultTTL()}
	f := fib.Flow{Dst: r.x.Dst, Src: r.x.Src, Proto: header.ProtoICMP, TOS: r.x.TOS, Mark: i.mark(b)}
	if r.opt.Len > 0 {
		if r.opt.SourceRoute != 0 {
			f.Dst = r.opt.FirstHop
		}
	}
	rt, err := i.ip.RouteOutput(&f)
	if err != 0 {
		b.Free(skb.IPOutNoRoutes)
		return false
	}
	r.rt, r.x.Src = rt, f.Src
	if limited && !i.allowHost(rt, f.Dst) {
		b.Consume()
		return false
	}
	// Headers are rewritten in place: nobody else may see the bytes, and there
	// must be room in front for ours. Frames leave that room anyway; a tap that
	// holds a clone costs a copy.
	if !b.Cow(header.IPv4MinLen + r.opt.Len + rt.Dev.HardHeaderLen) {
		b.Free(skb.NoMem)
		return false
	}
	mark := f.Mark
	recycle(b)
	b.Mark = mark
	return true
}

// send gives an answer its header and lets it go. Consumes b.
func (i *ICMP) send(r *reply, b *skb.Buff) {
	x := r.x
	if r.opt.Len > 0 {
		x.Opt = &r.opt
	}
	i.ip.Push(b, r.rt, &x)
	i.stats.OutMsgs.Add(1)
	// Linux counts every answer as an echo reply (its flow names no type), and
	// so do we, for who compares.
	i.stats.OutType[header.ICMPEchoReply].Add(1)
	b.Sk = &i.ip.Control
	i.ip.LocalOut(b) // its errors are counted on the way
}

// recycle turns a received packet into one made here (Linux: skb_scrub_packet,
// for the same packet).
func recycle(b *skb.Buff) {
	b.Orphan()
	b.ResetNF() // the answer is tracked as a packet of its own
	b.CB = [6]uint64{}
	b.IPSummed = skb.ChecksumNone
	b.PktType = skb.PacketHost
	b.Iif = 0
	b.Tstamp = 0
	b.Dev, b.Dst = nil, nil
	b.IgnoreDF = true // an answer may be as large as the question was
	b.QueueMapping = 0
	b.VlanProto, b.VlanTCI = 0, 0
}

// mark is the mark of an answer (Linux: IP4_REPLY_MARK).
func (i *ICMP) mark(b *skb.Buff) uint32 {
	if i.conf.FwmarkReflect.Load() != 0 {
		return b.Mark
	}
	return 0
}
