package ip

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// What datagram socks without ports of their own, raw and ping, share.

// SetHdrIncl sets IP_HDRINCL, as IPPROTO_RAW does at creation.
func (s *Sock) SetHdrIncl(on bool) { s.setOpt(OptHdrIncl, on) }

// RecvPacket receives one packet with its sender's address and no port (Linux:
// raw_recvmsg, ping_recvmsg). It returns the bytes copied, or the packet's
// length if flags has MSG_TRUNC.
func (s *Sock) RecvPacket(m *sock.Msg, flags int) (int, error) {
	b, err := s.RecvDatagram(flags)
	if b == nil {
		return 0, err
	}
	defer b.Consume()
	n, err := m.CopyDatagram(b, 0, flags)
	if err != nil {
		return 0, err
	}
	sa := Sockaddr{Family: syscall.AF_INET, Addr: header.IPv4(b.NetworkHeader()).Src()}
	m.NameLen = sa.Put(m.Name[:])
	s.RecvControl(m, b)
	return n, nil
}

// Disconnect ends the association with a peer and returns the identity without
// it (Linux: __udp_disconnect): an address the program did not choose is given
// back. The sock is owned; the caller puts the identity in place.
func (s *Sock) Disconnect() Ident {
	id := *s.Ident()
	id.Daddr, id.Dport = 0, 0
	if !id.UserAddr {
		id.RcvSaddr, id.Saddr = 0, 0
	}
	s.SetState(sock.StateClose)
	return id
}

// SetPeer gives the sock what ConnectTo found. The sock is owned.
func (s *Sock) SetPeer(id *Ident, rt *Rtable, src header.Addr, gen uint32) {
	s.SetIdent(id)
	s.SetState(sock.StateEstablished)
	s.CacheRoute(id, rt, src, gen)
}

// Shutdown is inet_shutdown for a datagram sock: an unconnected one is shut down
// too, but says ENOTCONN.
func (s *Sock) Shutdown(how int) error {
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return syscall.EINVAL
	}
	s.AddShutdown(uint32(how + 1))
	if s.State() == sock.StateClose {
		return syscall.ENOTCONN
	}
	return nil
}
