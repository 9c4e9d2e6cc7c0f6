package udp

import (
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb"
)

// Sock is the packet half of a UDP socket (Linux: struct udp_sock).
type Sock struct {
	ip.Sock
	udp   *UDP
	entry *entry // guarded by the table
	group *group // SO_REUSEPORT, guarded by the table
	late  bool   // it had a port before it had SO_REUSEPORT, and nobody joined; by the table

	cork     ip.Cork // guarded by the owner lock
	corkPort uint16
	pending  atomic.Bool // cork holds something
	corkOn   atomic.Bool // UDP_CORK

	noCheck6 [2]atomic.Bool // UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX

	gro     atomic.Bool  // UDP_GRO
	gsoSize atomic.Int32 // UDP_SEGMENT

	cov   coverage
	encap atomic.Pointer[EncapRcv]
}

// EncapRcv takes packets of a tunnel off a UDP sock (Linux:
// udp_sock.encap_rcv). Data is at the UDP header. It returns true when it
// consumed b; otherwise b goes on as a datagram. Softirq context.
type EncapRcv func(b *skb.Buff) bool

// SetEncap makes the sock the end of a tunnel (Linux:
// setup_udp_tunnel_sock); nil undoes it.
func (s *Sock) SetEncap(fn EncapRcv) {
	if fn == nil {
		s.encap.Store(nil)
		return
	}
	s.encap.Store(&fn)
}

// NewSock makes a sock (Linux: udp_init_sock).
func (u *UDP) NewSock() *Sock {
	s := &Sock{udp: u}
	s.InitSock(u.ip, sock.Config{Type: syscall.SOCK_DGRAM, Protocol: int(u.proto), Memory: u.memory, PeekOff: true})
	s.Changed = s.optionsChanged
	s.ReusePortFilter = s.setSelector
	s.cov.send.Store(-1)
	s.cov.recv.Store(-1)
	return s
}

// optionsChanged makes the table follow SO_REUSEADDR, SO_REUSEPORT and
// SO_BINDTODEVICE.
func (s *Sock) optionsChanged() {
	s.Lock()
	defer s.Unlock()
	id := *s.Ident()
	id.BoundDev = s.BoundDev()
	s.udp.table.rehash(s, &id)
}

// Bind gives the sock a local address and port (Linux: inet_bind). Errors:
// EINVAL when it is bound already, EADDRNOTAVAIL, EADDRINUSE.
func (s *Sock) Bind(sa ip.Sockaddr) error {
	id, err := s.Sock.Bind(sa)
	if err != nil {
		return err
	}
	s.Lock()
	defer s.Unlock()
	if s.Ident().Num != 0 || s.State() != sock.StateClose {
		return syscall.EINVAL
	}
	if sa.Port == 0 && s.Opt(ip.OptBindNoPort) {
		s.SetIdent(id)
		return nil
	}
	if !s.udp.table.getPort(s, id) {
		return syscall.EADDRINUSE
	}
	return nil
}

// autobind gives an unbound sock a port (Linux: inet_autobind). EAGAIN when
// there is none left.
func (s *Sock) autobind() error {
	s.Lock()
	defer s.Unlock()
	return s.autobindLocked()
}

func (s *Sock) autobindLocked() error {
	id := *s.Ident()
	if id.Num != 0 {
		return nil
	}
	id.BoundDev = s.BoundDev()
	if !s.udp.table.getPort(s, &id) {
		return syscall.EAGAIN
	}
	return nil
}

// Connect sets the peer (Linux: ip4_datagram_connect); AF_UNSPEC dissolves the
// association. Errors: those of routing, EACCES for a broadcast address without
// SO_BROADCAST.
func (s *Sock) Connect(sa ip.Sockaddr) error {
	s.Lock()
	defer s.Unlock()
	if sa.Family == syscall.AF_UNSPEC {
		s.disconnect()
		return nil
	}
	if sa.Family != syscall.AF_INET {
		return syscall.EAFNOSUPPORT
	}
	if err := s.autobindLocked(); err != nil {
		return err
	}
	id, rt, src, gen, err := s.ConnectTo(sa)
	if err != nil {
		return err
	}
	s.udp.table.rehash(s, &id)
	s.SetState(sock.StateEstablished)
	s.CacheRoute(&id, rt, src, gen)
	return nil
}

// disconnect is __udp_disconnect: what the program did not choose itself is
// given back. The sock is owned.
func (s *Sock) disconnect() {
	id := s.Disconnect()
	if !id.UserPort {
		id.Num = 0
		s.udp.table.unhash(s, &id)
		return
	}
	s.udp.table.rehash(s, &id)
}

// Close ends the sock (Linux: udp_destroy_sock).
func (s *Sock) Close() {
	s.Destroy() // from here on nothing is queued and no port is given
	s.Leave()
	s.setGRO(false)
	s.Lock()
	s.flush()
	s.udp.table.unhash(s, &ip.Ident{})
	s.SetState(sock.StateClose)
	s.Unlock()
}
