package inet

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/inet/tcp"
)

// stream is a TCP sock with the operations of its socket (Linux:
// inet_stream_ops): the same memory, so that it costs none.
type stream tcp.Sock

func createStream(n *Net, s *sock.Socket) error {
	sk := n.tcp.NewSock()
	s.SK, s.Ops = &sk.Sock.Sock, (*stream)(sk)
	return nil
}

// tcp returns the sock.
func (s *stream) tcp() *tcp.Sock { return (*tcp.Sock)(s) }

func (s *stream) Release() error { return s.tcp().Release() }

func (s *stream) Bind(sa []byte) error {
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return s.tcp().Bind(a)
}

// Connect is inet_stream_connect. For AF_UNSPEC the family alone suffices.
func (s *stream) Connect(sa []byte, flags int) error {
	if len(sa) < 2 {
		return syscall.EINVAL
	}
	nonblock := flags&syscall.O_NONBLOCK != 0
	if sa[0] == syscall.AF_UNSPEC && sa[1] == 0 {
		return s.tcp().Connect(ip.Sockaddr{}, nonblock)
	}
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return s.tcp().Connect(a, nonblock)
}

func (s *stream) Listen(backlog int) error { return s.tcp().Listen(backlog) }

// Accept is inet_accept.
func (s *stream) Accept(flags int) (*sock.Socket, error) {
	c, err := s.tcp().Accept(flags&syscall.O_NONBLOCK != 0)
	if err != nil {
		return nil, err
	}
	return &sock.Socket{SK: &c.Sock.Sock, Ops: (*stream)(c)}, nil // Linux: sock_graft
}

func (s *stream) Getname(peer bool, buf []byte) (int, error) {
	if peer && s.tcp().State() == tcp.SynSent {
		return 0, syscall.ENOTCONN
	}
	return s.tcp().Getname(peer, buf)
}

// AcceptedName implements sock.Accepted.
func (s *stream) AcceptedName(buf []byte) (int, error) { return s.tcp().AcceptedName(buf) }

func (s *stream) SendMsg(m *sock.Msg, flags int) (int, error) { return s.tcp().SendMsg(m, flags) }

func (s *stream) RecvMsg(m *sock.Msg, flags int) (int, error) { return s.tcp().RecvMsg(m, flags) }

func (s *stream) SetSockOpt(level, name int, val []byte) error {
	return s.tcp().SetSockOpt(level, name, val)
}

func (s *stream) GetSockOpt(level, name int, b []byte) (int, error) {
	return s.tcp().GetSockOpt(level, name, b)
}

func (s *stream) Shutdown(how int) error { return s.tcp().Shutdown(how) }

func (s *stream) Poll() uint16 { return s.tcp().Poll() }

func (s *stream) Ioctl(cmd uint, arg []byte) error {
	const siocGstamp, siocGstampNS = 0x8906, 0x8907
	switch cmd {
	case siocGstamp, siocGstampNS:
		return s.tcp().GetStamp(arg, cmd == siocGstampNS)
	}
	return s.tcp().Ioctl(cmd, arg)
}
