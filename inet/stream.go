package inet

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/inet/tcp"
)

// stream is the operations of TCP sockets (Linux: inet_stream_ops).
type stream struct {
	sock.NoOps
	s  *sock.Socket
	sk *tcp.Sock
}

func createStream(n *Net, s *sock.Socket) error {
	sk := n.tcp.NewSock()
	s.SK, s.Ops = &sk.Sock.Sock, &stream{s: s, sk: sk}
	return nil
}

func (s *stream) Release() error { return s.sk.Release() }

func (s *stream) Bind(sa []byte) error {
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return s.sk.Bind(a)
}

// Connect is inet_stream_connect. For AF_UNSPEC the family alone suffices.
func (s *stream) Connect(sa []byte, flags int) error {
	if len(sa) < 2 {
		return syscall.EINVAL
	}
	nonblock := flags&syscall.O_NONBLOCK != 0
	if sa[0] == syscall.AF_UNSPEC && sa[1] == 0 {
		return s.sk.Connect(ip.Sockaddr{}, nonblock)
	}
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return s.sk.Connect(a, nonblock)
}

func (s *stream) Listen(backlog int) error { return s.sk.Listen(backlog) }

// Accept is inet_accept.
func (s *stream) Accept(flags int) (*sock.Socket, error) {
	c, err := s.sk.Accept(flags&syscall.O_NONBLOCK != 0)
	if err != nil {
		return nil, err
	}
	n := &struct {
		sock.Socket
		ops stream
	}{}
	n.ops.s, n.ops.sk = &n.Socket, c
	s.s.Sibling(&n.Socket, &c.Sock.Sock, &n.ops) // Linux: sock_graft
	return &n.Socket, nil
}

func (s *stream) Getname(peer bool, buf []byte) (int, error) {
	if peer && s.sk.State() == tcp.SynSent {
		return 0, syscall.ENOTCONN
	}
	return s.sk.Getname(peer, buf)
}

// AcceptedName implements sock.Accepted.
func (s *stream) AcceptedName(buf []byte) (int, error) { return s.sk.AcceptedName(buf) }

func (s *stream) SendMsg(m *sock.Msg, flags int) (int, error) { return s.sk.SendMsg(m, flags) }

func (s *stream) RecvMsg(m *sock.Msg, flags int) (int, error) { return s.sk.RecvMsg(m, flags) }

func (s *stream) SetSockOpt(level, name int, val []byte) error {
	return s.sk.SetSockOpt(level, name, val)
}

func (s *stream) GetSockOpt(level, name int, b []byte) (int, error) {
	return s.sk.GetSockOpt(level, name, b)
}

func (s *stream) Shutdown(how int) error { return s.sk.Shutdown(how) }

func (s *stream) Poll() uint16 { return s.sk.Poll() }

func (s *stream) Ioctl(cmd uint, arg []byte) error {
	const siocGstamp, siocGstampNS = 0x8906, 0x8907
	switch cmd {
	case siocGstamp, siocGstampNS:
		return s.sk.GetStamp(arg, cmd == siocGstampNS)
	}
	return s.sk.Ioctl(cmd, arg)
}
