package raw

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Sock is a raw socket's packet half (Linux: struct raw_sock). Its protocol
// stands where others have the local port.
type Sock struct {
	ip.Sock
	raw    *Raw
	filter atomic.Uint32 // ICMP_FILTER: types that are dropped

	cork    ip.Cork // guarded by the owner lock
	pending bool
}

// NewSock makes a sock for an IP protocol (Linux: the SOCK_RAW part of
// inet_create). IPPROTO_RAW is for sending only, with the program's headers.
func (r *Raw) NewSock(protocol int) *Sock {
	s := &Sock{raw: r}
	s.InitSock(r.ip, sock.Config{Type: syscall.SOCK_RAW, Protocol: protocol, Memory: r.memory})
	s.SetFlag(sock.FlagReuse, true) // INET_PROTOSW_REUSE
	s.SetIdent(&ip.Ident{Num: uint16(protocol), UserPort: true})
	if protocol == header.ProtoRaw {
		s.SetHdrIncl(true)
	}
	r.change(uint16(protocol), func(l []*Sock) []*Sock { return append([]*Sock{s}, l...) })
	r.n.Add(1)
	return s
}

// Bind is raw_bind; the family does not matter to it.
func (s *Sock) Bind(sa ip.Sockaddr) error {
	sa.Family = syscall.AF_INET
	id, err := s.Sock.Bind(sa)
	if err != nil {
		return err
	}
	s.Lock()
	defer s.Unlock()
	if s.State() != sock.StateClose {
		return syscall.EINVAL
	}
	id.Num, id.UserPort = s.Ident().Num, true
	s.SetIdent(id)
	return nil
}

// Connect sets the peer; AF_UNSPEC dissolves the association (Linux:
// ip4_datagram_connect, __udp_disconnect).
func (s *Sock) Connect(sa ip.Sockaddr) error {
	s.Lock()
	defer s.Unlock()
	switch sa.Family {
	case syscall.AF_UNSPEC:
		id := s.Disconnect()
		s.SetIdent(&id)
		return nil
	case syscall.AF_INET:
	default:
		return syscall.EAFNOSUPPORT
	}
	id, rt, src, gen, err := s.ConnectTo(sa)
	if err != nil {
		return err
	}
	s.SetPeer(&id, rt, src, gen)
	return nil
}

// Close ends the sock.
func (s *Sock) Close() {
	s.raw.change(s.Ident().Num, func(l []*Sock) []*Sock {
		for i, o := range l {
			if o == s {
				s.raw.n.Add(-1)
				return append(l[:i], l[i+1:]...)
			}
		}
		return l
	})
	s.Destroy()
	s.Leave()
	s.Lock()
	s.cork.Drop()
	s.pending = false
	s.Unlock()
}

// SendMsg sends one packet (Linux: raw_sendmsg). Errors: EMSGSIZE, EDESTADDRREQ
// without a destination, EACCES for broadcast without SO_BROADCAST, EINVAL for
// an impossible header, and those of routing and output.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	n := m.Len()
	if n > 0xffff {
		return 0, syscall.EMSGSIZE
	}
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	incl := s.Opt(ip.OptHdrIncl)
	id := s.Ident()
	w := ip.Way{C: s.InitCookie(flags), X: ip.Xmit{Dst: id.Daddr, Proto: uint8(s.Protocol)}}
	if m.NameLen != 0 {
		sa, err := ip.ParseSockaddr(m.Name[:min(m.NameLen, sock.MaxAddr)])
		if err != nil {
			return 0, err
		}
		if sa.Family != syscall.AF_INET && sa.Family != syscall.AF_UNSPEC {
			return 0, syscall.EAFNOSUPPORT
		}
		w.X.Dst = sa.Addr
	} else if s.State() != sock.StateEstablished {
		return 0, syscall.EDESTADDRREQ
	}
	if incl {
		w.C.Proto = header.ProtoRaw
	}
	if len(m.Control) > 0 {
		if err := s.ParseControl(&w.C, m.Control); err != nil {
			return 0, err
		}
	}
	if incl {
		if w.C.Opt != nil {
			return 0, syscall.EINVAL
		}
		w.X.Proto = uint8(w.C.Proto)
	}
	if err := s.Route(&w, id, 0, 0, false); err != nil {
		return 0, err
	}
	if flags&syscall.MSG_CONFIRM != 0 {
		s.IP.ConfirmNeigh(w.Rt, w.X.Dst)
	}
	var err error
	if incl {
		err = s.sendIncl(m, n, flags, &w)
	} else if flags&sock.MSG_PROBE == 0 {
		err = s.send(m, n, flags, id, &w)
	}
	if err == syscall.ENOBUFS && !s.Opt(ip.OptRecvErr) {
		err = nil // a full device queue is a lost packet
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// send makes the header, or adds to the packet that MSG_MORE began.
func (s *Sock) send(m *sock.Msg, n, flags int, id *ip.Ident, w *ip.Way) error {
	if err := s.WaitSendSpace(flags); err != nil {
		return err
	}
	it := sock.Iter{Iov: m.Iov}
	s.Lock()
	defer s.Unlock()
	if flags&sock.MSG_MORE == 0 && !s.pending {
		if err := s.CheckSize(w, n); err != nil {
			return err
		}
		b := s.NewDatagram(&it, w, n, 0)
		if b == nil {
			return syscall.ENOBUFS
		}
		s.countICMP(b, 0)
		return s.Send(b, id, w)
	}
	if !s.pending {
		s.cork.Way, s.cork.ID, s.pending = *w, id, true
	}
	if err := s.Append(&s.cork, &it, n, 0); err != nil {
		s.cork.Drop()
		s.pending = false
		return err
	}
	if flags&sock.MSG_MORE != 0 {
		return nil
	}
	way, cid := s.cork.Way, s.cork.ID
	b := s.Finish(&s.cork, 0)
	s.pending = false
	if b == nil {
		return syscall.ENOBUFS
	}
	s.countICMP(b, 0)
	return s.Send(b, cid, &way)
}

// countICMP is icmp_out_count.
func (s *Sock) countICMP(b *skb.Buff, off int) {
	var t [1]byte
	if s.Protocol == header.ProtoICMP && b.CopyBits(off, t[:]) == 1 {
		s.IP.MIB.ICMP.OutMsgs.Add(1)
		s.IP.MIB.ICMP.OutType[t[0]].Add(1)
	}
}

// sendIncl sends a packet that has its header already (Linux:
// raw_send_hdrinc): source and identification are filled in where they are
// zero, length and checksum always. It is never cut here.
func (s *Sock) sendIncl(m *sock.Msg, n, flags int, w *ip.Way) error {
	mtu := w.Rt.Dev.MTU()
	if n > mtu {
		s.LocalError(syscall.EMSGSIZE, w.X.Dst, s.Ident().Dport, uint32(mtu))
		return syscall.EMSGSIZE
	}
	if n < header.IPv4MinLen {
		return syscall.EINVAL
	}
	if flags&sock.MSG_PROBE != 0 {
		return nil
	}
	if err := s.WaitSendSpace(flags); err != nil {
		return err
	}
	it := sock.Iter{Iov: m.Iov}
	b := s.NewDatagram(&it, w, n, 0)
	if b == nil {
		return syscall.ENOBUFS
	}
	if !b.MayPull(header.IPv4MinLen) {
		b.Free(skb.NoMem)
		return syscall.ENOBUFS
	}
	h := header.IPv4(b.Data())
	hlen := h.HeaderLen()
	if hlen < header.IPv4MinLen || hlen > n || !b.MayPull(hlen) {
		b.Free(skb.IPInHdr)
		return syscall.EINVAL
	}
	h = header.IPv4(b.Data())
	b.ResetNetworkHeader()
	b.ResetTransportHeader()
	if h.Src() == 0 {
		binary.BigEndian.PutUint32(h[12:], uint32(w.X.Src))
	}
	h.SetTotalLen(n)
	if h.ID() == 0 && !h.DF() {
		h.SetID(s.IP.SelectIdent(h.Src(), h.Dst(), h.Protocol()))
	}
	h.UpdateChecksum()
	b.SetTransportHeader(hlen)
	if h.Protocol() == header.ProtoICMP && n >= hlen+header.ICMPLen {
		s.IP.MIB.ICMP.OutMsgs.Add(1)
		s.IP.MIB.ICMP.OutType[b.Data()[hlen]].Add(1)
	}
	b.Priority, b.Mark = w.C.Priority, w.C.Mark
	rt := w.Rt
	if h.Dst() != w.X.Dst {
		rt = rt.Toward(w.X.Dst) // the header may name another host, further on
	}
	b.Protocol, b.Dst = header.EthPIP, rt
	s.SetOwnerW(b)
	s.WantTimes(b, &w.C.Cookie)
	if !s.IP.Hooks.Run(netfilter.LocalOut, b, nil, rt.Dev, b.Sk) {
		s.IP.MIB.IP.OutDiscards.Add(1)
		return syscall.EPERM
	}
	if err := b.Dst.Output(b); err != nil { // a hook may have found another way
		s.IP.MIB.IP.OutDiscards.Add(1)
		return err
	}
	return nil
}

// RecvMsg receives one packet, IP header and all (Linux: raw_recvmsg).
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return s.RecvError(m)
	}
	return s.RecvPacket(m, flags)
}

// SetSockOpt is raw_setsockopt: ICMP_FILTER beside the options of IP.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != syscall.SOL_RAW {
		return s.Sock.SetSockOpt(level, name, val)
	}
	if name != icmpFilter {
		return syscall.ENOPROTOOPT
	}
	if s.Protocol != header.ProtoICMP {
		return syscall.EOPNOTSUPP
	}
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], s.filter.Load())
	copy(p[:], val)
	s.filter.Store(binary.LittleEndian.Uint32(p[:]))
	return nil
}

const icmpFilter = 1 // ICMP_FILTER

// GetSockOpt is raw_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != syscall.SOL_RAW {
		return s.Sock.GetSockOpt(level, name, buf)
	}
	if name != icmpFilter {
		return 0, syscall.ENOPROTOOPT
	}
	if s.Protocol != header.ProtoICMP {
		return 0, syscall.EOPNOTSUPP
	}
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], s.filter.Load())
	return copy(buf, p[:]), nil
}
