package udp

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// maxDatagram is the largest payload of a datagram in bytes.
const maxDatagram = header.IPv4MaxPacket - header.IPv4MinLen - header.UDPLen

// SendMsg sends one datagram (Linux: udp_sendmsg). Errors: EMSGSIZE,
// EDESTADDRREQ without a destination, EACCES for broadcast without
// SO_BROADCAST, EAGAIN, the pending error, and those of routing and output.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	if s.Ident().Num == 0 {
		if err := s.autobind(); err != nil {
			return 0, err
		}
	}
	n := m.Len()
	if n > 0xffff {
		return 0, syscall.EMSGSIZE
	}
	if flags&(syscall.MSG_OOB|sock.MSG_MORE) != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	id := s.Ident()
	dst, dport := id.Daddr, id.Dport
	connected := m.NameLen == 0
	if connected {
		if s.State() != sock.StateEstablished {
			return 0, syscall.EDESTADDRREQ
		}
	} else {
		sa, err := ip.ParseSockaddr(m.Name[:min(m.NameLen, sock.MaxAddr)])
		if err != nil {
			return 0, err
		}
		if sa.Family != syscall.AF_INET && sa.Family != syscall.AF_UNSPEC {
			return 0, syscall.EAFNOSUPPORT
		}
		if sa.Port == 0 {
			return 0, syscall.EINVAL
		}
		dst, dport = sa.Addr, sa.Port
	}
	c := ip.Cookie{TOS: -1, OIF: s.BoundDev()}
	if len(m.Control) > 0 {
		if err := c.ParseControl(m.Control); err != nil {
			return 0, err
		}
		connected = false
	}
	c.OnLink = flags&syscall.MSG_DONTROUTE != 0 || s.Flag(sock.FlagDontRoute)
	x := ip.Xmit{Src: c.Src, Dst: dst, Proto: header.ProtoUDP, TOS: s.TOS(), TTL: c.TTL}
	if c.TOS >= 0 {
		x.TOS = uint8(c.TOS)
	}
	rt, err := s.sendRoute(id, &x, &c, dport, connected && !c.OnLink)
	if err != nil {
		return 0, err
	}
	if rt.Flags&ip.RTCFBroadcast != 0 && !s.Flag(sock.FlagBroadcast) {
		return 0, syscall.EACCES
	}
	if x.TTL == 0 {
		x.TTL = s.TTL(x.Dst.IsMulticast())
	}
	if flags&syscall.MSG_CONFIRM != 0 {
		s.IP.ConfirmNeigh(rt, x.Dst)
	}
	return s.transmit(m, n, flags, id, rt, &x, dport)
}

// sendRoute finds the way of a datagram: the one kept with a connected sock, or
// a new one.
func (s *Sock) sendRoute(id *ip.Ident, x *ip.Xmit, c *ip.Cookie, dport uint16, connected bool) (*ip.Rtable, error) {
	if connected {
		if rt, src := s.CachedRoute(id); rt != nil {
			x.Src = src
			return rt, nil
		}
	}
	if x.Src == 0 {
		x.Src = id.Saddr
	}
	f := fib.Flow{Dst: x.Dst, Src: x.Src, OIF: c.OIF, Mark: s.Mark(), TOS: x.TOS, Proto: header.ProtoUDP, OnLink: c.OnLink, SPort: id.Num, DPort: dport}
	rt, gen, errno := s.routeOutput(&f)
	if errno != 0 {
		return nil, errno
	}
	x.Src, x.Dst = f.Src, f.Dst
	if connected {
		s.CacheRoute(id, rt, f.Src, gen)
	}
	return rt, nil
}

// routeOutput decides on the way of a flow (Linux: ip_route_output_flow) and
// returns the generation of the table it is good for.
func (s *Sock) routeOutput(f *fib.Flow) (rt *ip.Rtable, gen uint32, errno syscall.Errno) {
	if f.Dst.IsMulticast() && f.OIF == 0 {
		f.OIF = s.MulticastDev()
	}
	gen = s.IP.FIB.Generation()
	if rt, errno = s.IP.RouteOutput(f); errno == syscall.ENETUNREACH {
		s.IP.MIB.IP.OutNoRoutes.Add(1)
	}
	return rt, gen, errno
}

// transmit makes the packet and sends it (Linux: ip_make_skb and
// udp_send_skb).
func (s *Sock) transmit(m *sock.Msg, n, flags int, id *ip.Ident, rt *ip.Rtable, x *ip.Xmit, dport uint16) (int, error) {
	stats := s.udp.stats
	mtu := rt.MTU()
	total := header.IPv4MinLen + header.UDPLen + n
	if n > maxDatagram || total > mtu && !s.IgnoreDF() {
		return 0, syscall.EMSGSIZE
	}
	if err := s.WaitSendSpace(flags); err != nil {
		if err == syscall.EAGAIN {
			stats.SndbufErrors.Add(1)
		}
		return 0, err
	}
	b := build(s.IP.Dev.SKB(), m, n)
	if b == nil {
		stats.SndbufErrors.Add(1)
		return 0, syscall.ENOBUFS
	}
	b.Priority, b.Mark = s.Priority(), s.Mark()
	b.IgnoreDF = s.IgnoreDF()
	h := header.PutUDP(b.Push(header.UDPLen), id.Num, dport, header.UDPLen+n)
	s.checksum(b, h, rt, x, total <= mtu)
	x.DF = s.DontFragment(total, mtu)
	if id.Connected() {
		x.ID, x.FixedID = s.NextID(), true
	}
	s.SetOwnerW(b)
	s.IP.Push(b, rt, x)
	if err := s.IP.LocalOut(b); err != nil {
		if err == syscall.ENOBUFS {
			stats.SndbufErrors.Add(1)
			if !s.Opt(ip.OptRecvErr) {
				// As in Linux a full device queue is a lost packet, which the
				// program is told of only if it asked for errors.
				return n, nil
			}
		}
		return 0, err
	}
	stats.OutDatagrams.Add(1)
	return n, nil
}

// build copies the payload into a packet with headroom: one page, or a page and
// page fragments for what does not fit it. Nil when memory ran out.
func build(c *skb.Cache, m *sock.Msg, n int) *skb.Buff {
	const front = ip.Headroom + header.UDPLen
	pool := c.Pool()
	it := sock.Iter{Iov: m.Iov}
	b := c.Alloc(min(front+n, pool.PageSize()))
	if b == nil {
		return nil
	}
	b.Reserve(front)
	linear := min(n, b.Tailroom())
	it.Read(b.Put(linear))
	for left := n - linear; left > 0; {
		p := pool.Alloc()
		if p == nil {
			b.Free(skb.NoMem)
			return nil
		}
		size := min(left, len(p.Bytes()))
		it.Read(p.Bytes()[:size])
		if !b.AddFrag(p, 0, size, len(p.Bytes())) {
			p.Put()
			b.Free(skb.NoMem)
			return nil
		}
		left -= size
	}
	return b
}

// checksum fills in the checksum of a packet whose Data is the UDP header, or
// leaves it to the device if that can and the packet stays whole (Linux:
// udp4_hwcsum and the cases of udp_send_skb).
func (s *Sock) checksum(b *skb.Buff, h header.UDP, rt *ip.Rtable, x *ip.Xmit, whole bool) {
	if s.Flag(sock.FlagNoCheckTx) {
		return
	}
	l := b.Len()
	pseudo := header.PseudoSum(x.Src, x.Dst, header.ProtoUDP, l)
	if whole && rt.Dev.Features()&napi.FeatureHWCsum != 0 && b.SetCsumPartial(0, 6) {
		h.SetChecksum(^skb.CsumFold(pseudo))
		return
	}
	sum := skb.CsumFold(b.Checksum(0, l, pseudo))
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means none
	}
	h.SetChecksum(sum)
	b.IPSummed = skb.ChecksumNone
}

// RecvMsg receives one datagram (Linux: udp_recvmsg). It returns the bytes
// copied, or the datagram's length if flags has MSG_TRUNC. Errors: the pending
// error, EAGAIN.
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return 0, syscall.EAGAIN // it is always empty
	}
	b, err := s.RecvDatagram(flags)
	if b == nil {
		return 0, err
	}
	n := b.Len()
	want := min(n, m.Len())
	got := sock.CopyToIter(b, 0, want, m.Iov)
	if got < want {
		b.Consume()
		return 0, syscall.EFAULT
	}
	if want < n {
		m.Flags |= syscall.MSG_TRUNC
	}
	sa := ip.Sockaddr{
		Family: syscall.AF_INET,
		Port:   header.UDP(b.TransportHeader()).SrcPort(),
		Addr:   header.IPv4(b.NetworkHeader()).Src(),
	}
	m.NameLen = sa.Put(m.Name[:])
	s.RecvControl(m, b)
	b.Consume()
	if flags&syscall.MSG_TRUNC != 0 {
		return n, nil
	}
	return want, nil
}
