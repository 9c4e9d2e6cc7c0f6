package ping

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Sock is a ping socket's packet half.
type Sock struct {
	ip.Sock
	ping *Ping
}

// NewSock makes a sock (Linux: ping_init_sock). EACCES for who is not in
// net.ipv4.ping_group_range.
func (p *Ping) NewSock() (*Sock, error) {
	if !p.allowed() {
		return nil, syscall.EACCES
	}
	s := &Sock{ping: p}
	s.InitSock(p.ip, sock.Config{Type: syscall.SOCK_DGRAM, Protocol: header.ProtoICMP, Memory: p.memory})
	s.SetFlag(sock.FlagReuse, true) // INET_PROTOSW_REUSE
	return s, nil
}

// Bind gives the sock an address and an identifier (Linux: ping_bind).
func (s *Sock) Bind(sa ip.Sockaddr) error {
	id, err := s.Sock.Bind(sa)
	if err != nil {
		return err
	}
	s.Lock()
	defer s.Unlock()
	if s.Ident().Num != 0 {
		return syscall.EINVAL
	}
	if !s.ping.getPort(s, id) {
		return syscall.EADDRINUSE
	}
	return nil
}

// autobind gives an unbound sock an identifier; the sock is owned.
func (s *Sock) autobind() error {
	id := *s.Ident()
	if id.Num == 0 && !s.ping.getPort(s, &id) {
		return syscall.EAGAIN
	}
	return nil
}

// Connect sets the peer; AF_UNSPEC dissolves the association.
func (s *Sock) Connect(sa ip.Sockaddr) error {
	s.Lock()
	defer s.Unlock()
	switch sa.Family {
	case syscall.AF_UNSPEC:
		s.disconnect()
		return nil
	case syscall.AF_INET:
	default:
		return syscall.EAFNOSUPPORT
	}
	if err := s.autobind(); err != nil {
		return err
	}
	id, rt, src, gen, err := s.ConnectTo(sa)
	if err != nil {
		return err
	}
	s.SetPeer(&id, rt, src, gen)
	return nil
}

// disconnect is __udp_disconnect.
func (s *Sock) disconnect() {
	id := s.Disconnect()
	if !id.UserPort {
		id.Num = 0
		s.ping.unhash(s, &id)
		return
	}
	s.SetIdent(&id)
}

// Close ends the sock.
func (s *Sock) Close() {
	s.Destroy()
	s.Leave()
	s.Lock()
	s.ping.unhash(s, &ip.Ident{})
	s.SetState(sock.StateClose)
	s.Unlock()
}

// SendMsg sends one echo request (Linux: ping_v4_sendmsg): identifier and
// checksum are written here. Errors: EINVAL for any other message, EMSGSIZE,
// EDESTADDRREQ, EACCES for broadcast without SO_BROADCAST, and those of routing
// and output.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	if s.Ident().Num == 0 {
		s.Lock()
		err := s.autobind()
		s.Unlock()
		if err != nil {
			return 0, err
		}
	}
	n := m.Len()
	if n > 0xffff {
		return 0, syscall.EMSGSIZE
	}
	if n < header.ICMPLen {
		return 0, syscall.EINVAL
	}
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	var h [header.ICMPLen]byte
	it := sock.Iter{Iov: m.Iov}
	it.Read(h[:])
	if !supported(h[0], h[1]) {
		return 0, syscall.EINVAL
	}
	id := s.Ident()
	w := ip.Way{C: s.InitCookie(flags), X: ip.Xmit{Dst: id.Daddr, Proto: header.ProtoICMP}}
	if m.NameLen != 0 {
		sa, err := ip.ParseSockaddr(m.Name[:min(m.NameLen, sock.MaxAddr)])
		if err != nil {
			return 0, err
		}
		if sa.Family != syscall.AF_INET {
			return 0, syscall.EAFNOSUPPORT
		}
		w.X.Dst = sa.Addr
	} else if s.State() != sock.StateEstablished {
		return 0, syscall.EDESTADDRREQ
	}
	if len(m.Control) > 0 {
		if err := s.ParseControl(&w.C, m.Control); err != nil {
			return 0, err
		}
	}
	if err := s.Route(&w, id, id.Num, 0, false); err != nil {
		return 0, err
	}
	if flags&syscall.MSG_CONFIRM != 0 {
		s.IP.ConfirmNeigh(w.Rt, w.X.Dst)
	}
	if flags&sock.MSG_PROBE != 0 {
		return n, nil
	}
	if err := s.CheckSize(&w, n); err != nil {
		return 0, err
	}
	if err := s.WaitSendSpace(flags); err != nil {
		return 0, err
	}
	b := s.NewDatagram(&it, &w, n-header.ICMPLen, header.ICMPLen)
	if b == nil {
		return 0, syscall.ENOBUFS
	}
	seq := uint32(h[6])<<8 | uint32(h[7])
	e := header.PutICMP(b.Push(header.ICMPLen), h[0], 0, uint32(id.Num)<<16|seq)
	e.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), 0)))
	s.IP.MIB.ICMP.OutMsgs.Add(1)
	s.IP.MIB.ICMP.OutType[h[0]].Add(1)
	if err := s.Send(b, id, &w); err != nil && (err != syscall.ENOBUFS || s.Opt(ip.OptRecvErr)) {
		return 0, err
	}
	return n, nil
}

// supported reports whether a socket sends and hears errors of messages of a
// type and code (Linux: ping_supported).
func supported(typ, code uint8) bool {
	return (typ == header.ICMPEcho || typ == header.ICMPExtEcho) && code == 0
}

// RecvMsg receives one message from its ICMP header on (Linux: ping_recvmsg).
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return s.RecvError(m)
	}
	return s.RecvPacket(m, flags)
}
