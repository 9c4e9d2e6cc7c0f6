package udp

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Datagrams of one size that come one after the other may reach the program as
// one, with UDP_GRO, and be sent as one, with UDP_SEGMENT (Linux: udp_offload.c).

// maxSegments is how many datagrams one send may be (Linux: UDP_MAX_SEGMENTS).
const maxSegments = 128

// parseSegment reads the ancillary data of level SOL_UDP, of which UDP_SEGMENT
// is all (Linux: udp_cmsg_send). others says that there is more. EINVAL for what
// is malformed or unknown.
func parseSegment(size *int, control []byte) (others bool, err error) {
	for {
		c, rest, ok, err := sock.NextCmsg(control)
		if !ok {
			return others, err
		}
		control = rest
		switch {
		case c.Level != solUDP:
			others = true
		case c.Type != udpSegment || len(c.Data) != 2:
			return others, syscall.EINVAL
		default:
			*size = int(binary.LittleEndian.Uint16(c.Data))
		}
	}
}

// checkSegment reports whether n bytes may be sent in the pieces the program
// asked for (Linux: the checks of udp_send_skb): EMSGSIZE when a piece does not
// fit the path, EINVAL for too many or without checksums, EIO for UDP-Lite.
func (s *Sock) checkSegment(w *ip.Way, n int) error {
	switch {
	case w.GSO == 0:
	case !s.FitsPiece(w, header.UDPLen+w.GSO):
		return syscall.EMSGSIZE
	case n > w.GSO*maxSegments, s.Flag(sock.FlagNoCheckTx):
		return syscall.EINVAL
	case s.udp.lite:
		return syscall.EIO
	}
	return nil
}

// superPacket makes a packet of n bytes of payload one that is cut into
// datagrams on its way out. Their checksums are the cutter's.
func (s *Sock) superPacket(b *skb.Buff, h header.UDP, w *ip.Way, n int) {
	h.SetChecksum(^skb.CsumFold(header.PseudoSum(w.X.Src, w.X.Dst, header.ProtoUDP, b.Len())))
	b.SetCsumPartial(0, 6)
	si := b.Shinfo()
	si.GSOSize, si.GSOType = uint16(w.GSO), skb.GSOUDPL4
	si.GSOSegs = uint16((n + w.GSO - 1) / w.GSO)
}

// setGRO turns UDP_GRO on or off. The devices ask for a socket per datagram only
// while there is one that wants it.
func (s *Sock) setGRO(on bool) {
	u := s.udp
	if s.gro.Swap(on) == on || u.lite {
		return
	}
	if on {
		if u.groSocks.Add(1) == 1 {
			u.ip.Dev.SetUDPGRO(&u.wants)
		}
	} else if u.groSocks.Add(-1) == 0 {
		u.ip.Dev.SetUDPGRO(nil)
	}
}

// wantsGRO is a napi.UDPWantsGRO.
func (u *UDP) wantsGRO(b *skb.Buff) bool {
	in := header.IPv4(b.Data())
	hl := in.HeaderLen()
	src, dst := in.Src(), in.Dst()
	h := header.UDP(b.Pull(hl))
	sk := u.table.lookup(src, h.SrcPort(), dst, h.DstPort(), b.DevIndex(), b)
	b.Push(hl)
	return sk != nil && sk.gro.Load() && sk.encap.Load() == nil
}

// segment cuts merged datagrams into what they came as (Linux:
// __udp_gso_segment). It is a napi.Segmenter.
func segment(b *skb.Buff, sg bool) (out skb.List, err error) {
	size := int(b.Shinfo().GSOSize)
	off := b.NetworkOffset()
	if size == 0 || off < 0 || !b.MayPull(off+header.IPv4MinLen) {
		b.Free(skb.PktTooBig)
		return skb.List{}, syscall.EINVAL
	}
	iph := int(b.Data()[off]&15) * 4
	at := off + iph
	hdr := at + header.UDPLen
	if iph < header.IPv4MinLen || !b.MayPull(hdr) || b.Len() <= hdr {
		b.Free(skb.PktTooBig)
		return skb.List{}, syscall.EINVAL
	}
	step := uint16(1)
	if b.Shinfo().GSOType&skb.GSOTCPFixedID != 0 {
		step = 0
	}
	if !sg || !b.Unmerge(hdr, size, &out) {
		if out = copyPieces(b, hdr, size); out.Len() == 0 {
			b.Free(skb.NoMem)
			return out, syscall.ENOMEM
		}
		b.Consume()
	}
	id := header.IPv4(out.Head().Data()[off:]).ID()
	for s := out.Head(); s != nil; s = s.Next() {
		p := s.Data()
		in := header.IPv4(p[off:])
		in.SetTotalLen(s.Len() - off)
		binary.BigEndian.PutUint16(in[4:], id)
		in.UpdateChecksum()
		id += step
		h := header.UDP(p[at:hdr])
		h.SetLength(s.Len() - at)
		h.SetChecksum(^skb.CsumFold(header.PseudoSum(in.Src(), in.Dst(), header.ProtoUDP, s.Len()-at)))
		s.SetCsumPartial(at, 6)
	}
	return out, nil
}

// copyPieces makes packets of size bytes of payload out of b, each with the first
// hdr bytes in front. Empty when memory ran out.
func copyPieces(b *skb.Buff, hdr, size int) (out skb.List) {
	c := skb.CacheOf(b)
	for at := hdr; at < b.Len(); at += size {
		n := min(size, b.Len()-at)
		s := c.Alloc(skb.Pad + hdr + n)
		if s == nil {
			out.Purge(skb.NoMem)
			return skb.List{}
		}
		s.Reserve(skb.Pad)
		s.PutData(b.Data()[:hdr])
		b.CopyBits(at, s.Put(n))
		s.CopyMeta(b)
		s.ResetMacHeader()
		s.SetNetworkHeader(b.NetworkOffset())
		s.SetTransportHeader(hdr - header.UDPLen)
		out.PushBack(s)
	}
	return out
}

// queueApart queues merged datagrams for a sock that did not ask for them, or no
// longer does (Linux: udp_rcv_segment). Data is at the UDP header. Consumes b.
func (u *UDP) queueApart(sk *Sock, b *skb.Buff) {
	hl := -b.NetworkOffset()
	b.Push(hl)
	l, err := segment(b, true)
	if err != nil {
		u.stats.InErrors.Add(1)
		return
	}
	for s := l.PopFront(); s != nil; s = l.PopFront() {
		s.Pull(hl)
		u.queueRcv(sk, s, s.Len())
	}
}

// groSize is the control message of UDP_GRO: how long the datagrams were, but the
// last.
func groSize(b *skb.Buff) (p [4]byte, ok bool) {
	si := b.Shinfo()
	binary.NativeEndian.PutUint32(p[:], uint32(si.GSOSize))
	return p, si.GSOType&skb.GSOUDPL4 != 0
}
