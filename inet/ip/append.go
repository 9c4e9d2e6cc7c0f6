package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Way is how a datagram leaves: what the program said, what becomes of it in
// the header, and the route.
type Way struct {
	C  Cookie
	X  Xmit
	Rt *Rtable
	// GSO, if not 0, says that the packet is cut below into pieces of so many
	// bytes of payload: it may be as large as IP allows.
	GSO int
}

// Route finds the way of a datagram to w.X.Dst (Linux: the routing part of
// udp_sendmsg, raw_sendmsg and ping_v4_sendmsg). It fills in w.Rt and the rest
// of w.X. id is the sock's identity; connected says that its kept route will
// do. Errors: those of routing, EACCES for a broadcast without SO_BROADCAST,
// EINVAL for a source route to nowhere.
func (s *Sock) Route(w *Way, id *Ident, sport, dport uint16, connected bool) error {
	c, x := &w.C, &w.X
	x.Src, x.TTL, x.TOS, x.Opt = c.Src, c.TTL, s.TOS(), c.Opt
	if c.TOS >= 0 {
		x.TOS = uint8(c.TOS)
	}
	if x.Src == 0 {
		x.Src = id.Saddr
	}
	hop := x.Dst
	if c.Opt != nil && c.Opt.SourceRoute != 0 {
		if x.Dst == 0 {
			return syscall.EINVAL
		}
		hop, connected = c.Opt.FirstHop, false
		c.OnLink = c.OnLink || c.Opt.Strict
	}
	switch {
	case x.Dst.IsMulticast():
		if c.OIF == 0 {
			c.OIF = s.mcDev.Load()
		}
		if x.Src == 0 {
			x.Src = header.Addr(s.mcSrc.Load())
		}
		connected = false
	case c.OIF == 0:
		c.OIF = s.ucDev.Load()
	}
	connected = connected && !c.OnLink
	if connected {
		if rt, src := s.CachedRoute(id); rt != nil {
			w.Rt, x.Src = rt, src
		}
	}
	if w.Rt == nil {
		f := fib.Flow{Dst: hop, Src: x.Src, OIF: c.OIF, Mark: c.Mark, TOS: x.TOS, Proto: x.Proto, OnLink: c.OnLink, SPort: sport, DPort: dport}
		rt, gen, errno := s.RouteOutput(&f)
		if errno != 0 {
			return errno
		}
		w.Rt, x.Src = rt, f.Src
		if hop == x.Dst {
			x.Dst = f.Dst
		}
		if rt.Flags&RTCFBroadcast != 0 && !s.Flag(sock.FlagBroadcast) {
			return syscall.EACCES
		}
		if connected {
			s.CacheRoute(id, rt, f.Src, gen)
		}
	}
	if x.TTL == 0 {
		x.TTL = s.TTL(x.Dst.IsMulticast())
	}
	return nil
}

// RouteOutput decides on the way of a flow (Linux: ip_route_output_flow) and
// returns the generation of the table it is good for.
func (s *Sock) RouteOutput(f *fib.Flow) (rt *Rtable, gen uint32, errno syscall.Errno) {
	if f.Dst.IsMulticast() && f.OIF == 0 {
		f.OIF = s.mcDev.Load()
	}
	f.AnySrc = s.Opt(OptTransparent)
	gen = s.IP.FIB.Generation()
	if rt, errno = s.IP.RouteOutput(f); errno == syscall.ENETUNREACH {
		s.IP.MIB.IP.OutNoRoutes.Add(1)
	}
	return rt, gen, errno
}

// fragSize is the largest packet of a way before it is cut: the path's, or the
// link's for a sock that looks for the path's itself (Linux: cork->fragsize).
func (s *Sock) fragSize(rt *Rtable) int {
	if s.disc.Load() >= PMTUDiscProbe {
		return min(rt.Dev.MTU(), header.IPv4MaxPacket)
	}
	return rt.MTU()
}

// CheckSize reports whether n bytes behind the IP header may be sent (Linux: the
// first check of __ip_append_data): EMSGSIZE, also on the error queue, when they
// do not fit a datagram, or the path while the sock must not fragment.
func (s *Sock) CheckSize(w *Way, n int) error {
	hlen := header.IPv4MinLen
	if w.X.Opt != nil {
		hlen += w.X.Opt.Len
	}
	limit, mtu := header.IPv4MaxPacket, 0
	if mtu = s.fragSize(w.Rt); !s.IgnoreDF() && w.GSO == 0 {
		limit = mtu
	}
	if n <= limit-hlen {
		return nil
	}
	s.LocalError(syscall.EMSGSIZE, w.X.Dst, s.Ident().Dport, uint32(mtu-hlen+header.IPv4MinLen))
	return syscall.EMSGSIZE
}

// NewDatagram copies n bytes into a packet with headroom for all headers, front
// bytes of which are the transport's (see [sock.Iter.NewPacket]). What is too
// long for the way is cut here, each piece of it in a member of the frag list,
// so that fragmentation has only headers to add (Linux: __ip_append_data). Nil
// when memory ran out.
func (s *Sock) NewDatagram(it *sock.Iter, w *Way, n, front int) *skb.Buff {
	c := s.IP.Dev.SKB()
	hlen := header.IPv4MinLen
	if w.X.Opt != nil {
		hlen += w.X.Opt.Len
	}
	room := s.fragSize(w.Rt) - hlen
	if w.GSO != 0 || front+n <= room || room < front+8 || Headroom+room > c.Pool().PageSize() {
		return it.NewPacket(c, n, Headroom+front)
	}
	room &^= 7
	b := it.NewPacket(c, room-front, Headroom+front)
	if b == nil {
		return nil
	}
	for left := n - (room - front); left > 0; left -= room {
		f := it.NewPacket(c, min(left, room), Headroom)
		if f == nil || !b.AddFragList(f) {
			f.Consume()
			b.Free(skb.NoMem)
			return nil
		}
	}
	return b
}

// FitsPiece reports whether a packet of n bytes behind the IP header goes the way
// without being cut.
func (s *Sock) FitsPiece(w *Way, n int) bool {
	hlen := header.IPv4MinLen
	if w.X.Opt != nil {
		hlen += w.X.Opt.Len
	}
	return hlen+n <= s.fragSize(w.Rt)
}

// Send gives a packet whose Data is the transport header its IP header and
// sends it (Linux: __ip_make_skb, ip_send_skb). Consumes b. Errors as LocalOut's.
func (s *Sock) Send(b *skb.Buff, id *Ident, w *Way) error {
	x := &w.X
	b.Priority, b.Mark = w.C.Priority, w.C.Mark
	b.IgnoreDF = s.IgnoreDF()
	if s.disc.Load() >= PMTUDiscProbe {
		b.CB[2] |= cbLinkMTU
	}
	total := header.IPv4MinLen + b.Len()
	if x.Opt != nil {
		total += x.Opt.Len
	}
	x.DF = s.DontFragment(total, w.Rt)
	if id.Connected() {
		x.ID, x.FixedID = s.NextIDs(max(int(b.Shinfo().GSOSegs), 1))+1, true
	}
	s.SetOwnerW(b)
	s.WantTimes(b, &w.C.Cookie)
	s.IP.Push(b, w.Rt, x)
	return s.IP.LocalOut(b)
}

// SelectIdent chooses the identification of a packet that may be fragmented
// (Linux: __ip_select_ident).
func (n *Net) SelectIdent(src, dst header.Addr, proto uint8) uint16 {
	return n.idents.next(src, dst, proto)
}

// ConnectTo finds the way to a peer and returns the identity of the sock with
// it (Linux: __ip4_datagram_connect). The sock is owned; the caller puts the
// identity in place and calls CacheRoute with the rest.
func (s *Sock) ConnectTo(sa Sockaddr) (id Ident, rt *Rtable, src header.Addr, gen uint32, err error) {
	id = *s.Ident()
	f := fib.Flow{Dst: sa.Addr, Src: id.Saddr, OIF: s.BoundDev(), Proto: uint8(s.Protocol), SPort: id.Num, DPort: sa.Port, TOS: s.TOS(), Mark: s.Mark(), OnLink: s.Flag(sock.FlagDontRoute)}
	if sa.Addr.IsMulticast() {
		if f.OIF == 0 {
			f.OIF = s.mcDev.Load()
		}
		if f.Src == 0 {
			f.Src = header.Addr(s.mcSrc.Load())
		}
	} else if f.OIF == 0 {
		f.OIF = s.ucDev.Load()
	}
	rt, gen, errno := s.RouteOutput(&f)
	if errno != 0 {
		return id, nil, 0, 0, errno
	}
	if rt.Flags&RTCFBroadcast != 0 && !s.Flag(sock.FlagBroadcast) {
		return id, nil, 0, 0, syscall.EACCES
	}
	if id.Saddr == 0 {
		id.Saddr = f.Src
	}
	if id.RcvSaddr == 0 {
		id.RcvSaddr = f.Src
	}
	id.Daddr, id.Dport = f.Dst, sa.Port
	var seed [2]byte
	s.IP.Dev.Rand(seed[:])
	s.SeedID(uint16(seed[0]) | uint16(seed[1])<<8)
	return id, rt, f.Src, gen, nil
}

// Cork is a datagram that is being put together by several sends (Linux: struct
// inet_cork and the write queue). The zero value is empty. The sock's owner lock
// guards it.
type Cork struct {
	Way Way
	ID  *Ident // the sock's when it began

	pages [skb.MaxFrags]*skb.Page
	np    int
	n     int // bytes of data
	room  int // bytes free in the last page
}

// Len returns the bytes of data so far.
func (k *Cork) Len() int { return k.n }

// Append copies n more bytes (Linux: ip_append_data). front is the length of
// the transport header. Errors: EMSGSIZE, ENOBUFS; the datagram keeps what it
// had and the caller drops it.
func (s *Sock) Append(k *Cork, it *sock.Iter, n, front int) error {
	if err := s.CheckSize(&k.Way, front+k.n+n); err != nil {
		return err
	}
	for n > 0 {
		if k.room == 0 {
			if k.np == len(k.pages) {
				return syscall.ENOBUFS
			}
			p := s.IP.Dev.SKB().Pool().Alloc()
			if p == nil {
				return syscall.ENOBUFS
			}
			k.pages[k.np] = p
			k.np++
			k.room = len(p.Bytes())
		}
		p := k.pages[k.np-1].Bytes()
		at := len(p) - k.room
		c := it.Read(p[at : at+min(k.room, n)])
		if c == 0 {
			return syscall.EFAULT
		}
		k.room -= c
		k.n += c
		n -= c
	}
	return nil
}

// Finish makes the packet, with front bytes of headroom for the transport
// header beside the usual, and empties k. Nil when memory ran out.
func (s *Sock) Finish(k *Cork, front int) *skb.Buff {
	b := s.IP.Dev.SKB().Alloc(Headroom + front)
	if b == nil {
		k.Drop()
		return nil
	}
	b.Reserve(Headroom + front)
	for i, p := range k.pages[:k.np] {
		size := len(p.Bytes())
		if i == k.np-1 {
			size -= k.room
		}
		b.AddFrag(p, 0, size, len(p.Bytes())) // there are no more pages than fragments
	}
	*k = Cork{}
	return b
}

// Drop throws the datagram away (Linux: ip_flush_pending_frames).
func (k *Cork) Drop() {
	for _, p := range k.pages[:k.np] {
		p.Put()
	}
	*k = Cork{}
}
