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
	in := header.IPv4(b.Data()[off:])
	src, dst := in.Src(), in.Dst()
	h := header.TCP(b.Data()[tcp:])
	seq, flags := h.Seq(), h.Flags()
	id := binary.BigEndian.Uint16(in[4:])
	c := skb.CacheOf(b)
	owner, _ := b.Sk.(*sock.Sock)
	total := b.Len() - hdr
	for at, i := 0, 0; at < total; at, i = at+mss, i+1 {
		n := min(mss, total-at)
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
		p := s.Data()
		ip4 := header.IPv4(p[off:])
		ip4.SetTotalLen(iph + hl + n)
		binary.BigEndian.PutUint16(ip4[4:], id+uint16(i))
		ip4.UpdateChecksum()
		th := header.TCP(p[tcp:hdr])
		th.SetSeq(seq + uint32(at))
		f := flags
		if at+n < total {
			f &^= header.TCPFin | header.TCPPsh
		}
		if i > 0 {
			f &^= header.TCPCwr
		}
		th.SetFlags(f)
		th.SetChecksum(^skb.CsumFold(header.PseudoSum(src, dst, header.ProtoTCP, hl+n)))
		s.SetCsumPartial(tcp, 16)
		if owner != nil && b.Destructor != nil {
			owner.SetOwnerW(s)
			s.Destructor = wfree
			if at+n == total { // the byte that is timed ends the segment
				s.TxFlags, s.TSKey = b.TxFlags, b.TSKey
			}
		}
		out.PushBack(s)
	}
	b.Consume()
	return out, nil
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
