package tcp

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// segment cuts a TCP super-packet for a device without TSO (Linux:
// tcp4_gso_segment, skb_segment): each piece gets a copy of the headers, and the
// payload by reference if the device takes fragments. It is a napi.Segmenter.
func segment(b *skb.Buff, sg bool) (out skb.List, err error) {
	bad := func() (skb.List, error) {
		b.Free(skb.PktTooBig)
		return skb.List{}, syscall.EINVAL
	}
	mss := int(b.Shinfo().GSOSize)
	off := b.NetworkOffset()
	if b.Shinfo().GSOType&skb.GSOTCPv4 == 0 || mss == 0 || off < 0 || !b.MayPull(off+header.IPv4MinLen) {
		return bad()
	}
	iph := int(b.Data()[off]&15) * 4
	tcp := off + iph
	if iph < header.IPv4MinLen || !b.MayPull(tcp+header.TCPMinLen) {
		return bad()
	}
	hl := int(b.Data()[tcp+12]>>4) * 4
	hdr := tcp + hl
	if hl < header.TCPMinLen || !b.MayPull(hdr) || b.Len() <= hdr {
		return bad()
	}
	k := pieces{off: off, tcp: tcp, hdr: hdr, total: b.Len() - hdr, step: 1}
	th := header.TCP(b.Data()[tcp:])
	k.accurate = b.Shinfo().GSOType&skb.GSOTCPAccECN != 0
	k.seq, k.flags, k.id = th.Seq(), th.Flags(), header.IPv4(b.Data()[off:]).ID()
	if b.Shinfo().GSOType&skb.GSOTCPFixedID != 0 {
		k.step = 0
	}
	if sg && b.Unmerge(hdr, mss, &out) { // it came in these pieces
		at := 0
		for s := out.Head(); s != nil; s = s.Next() {
			n := s.Len() - hdr
			k.dress(s, at, n)
			at += n
		}
		return out, nil
	}
	c := skb.CacheOf(b)
	owner, _ := b.Sk.(*sock.Sock)
	for at := 0; at < k.total; at += mss {
		n := min(mss, k.total-at)
		room := skb.Pad + hdr
		if !sg {
			room += n
		} else if lin := b.Headlen() - hdr - at; lin > 0 {
			room += min(lin, n)
		}
		s := c.Alloc(room)
		if s == nil || !takePayload(s, b, hdr, at, n, sg) {
			s.Free(skb.NoMem)
			out.Purge(skb.NoMem)
			b.Free(skb.NoMem)
			return skb.List{}, syscall.ENOMEM
		}
		s.CopyMeta(b)
		s.ResetMacHeader()
		s.SetNetworkHeader(off)
		s.SetTransportHeader(tcp)
		k.dress(s, at, n)
		if owner != nil && b.Destructor != nil {
			owner.SetOwnerW(s)
			s.Destructor = wfree
			if at+n == k.total { // the byte that is timed ends the segment
				s.TxFlags, s.TSKey = b.TxFlags, b.TSKey
			}
		}
		out.PushBack(s)
	}
	b.Consume()
	return out, nil
}

// pieces is what the segments of a super-packet get from it.
type pieces struct {
	off, tcp, hdr int // where the IP and TCP headers and the payload begin
	total         int // payload
	seq           uint32
	id, step, i   uint16 // identification of the first, what the next adds
	flags         uint8
	accurate      bool // CWR is part of a number
}

// dress makes the headers of the next segment, a copy of the whole's, those of
// its n bytes at at.
func (k *pieces) dress(s *skb.Buff, at, n int) {
	p := s.Data()
	ip4 := header.IPv4(p[k.off:])
	ip4.SetTotalLen(k.hdr - k.off + n)
	binary.BigEndian.PutUint16(ip4[4:], k.id+k.i*k.step)
	ip4.UpdateChecksum()
	th := header.TCP(p[k.tcp:k.hdr])
	th.SetSeq(k.seq + uint32(at))
	f := k.flags
	if at+n < k.total {
		f &^= header.TCPFin | header.TCPPsh
	}
	if k.i > 0 && !k.accurate {
		f &^= header.TCPCwr
	}
	k.i++
	th.SetFlags(f)
	th.SetChecksum(^skb.CsumFold(header.PseudoSum(ip4.Src(), ip4.Dst(), header.ProtoTCP, k.hdr-k.tcp+n)))
	s.SetCsumPartial(k.tcp, 16)
}

// takePayload gives s the headers of b and n bytes of its payload from at on.
func takePayload(s, b *skb.Buff, hdr, at, n int, sg bool) bool {
	s.Reserve(skb.Pad)
	s.PutData(b.Data()[:hdr])
	if !sg {
		return b.CopyBits(hdr+at, s.Put(n)) == n
	}
	if lin := b.Headlen() - hdr; at < lin {
		k := min(lin-at, n)
		s.PutData(b.Data()[hdr+at : hdr+at+k])
		at, n = at+k, n-k
	}
	at -= b.Headlen() - hdr
	for _, f := range b.Frags() {
		if n == 0 {
			break
		}
		if at >= int(f.Size) {
			at -= int(f.Size)
			continue
		}
		k := min(int(f.Size)-at, n)
		if !s.AppendFrag(f.Page, int(f.Off)+at, k) {
			return false
		}
		at, n = 0, n-k
	}
	return n == 0
}
