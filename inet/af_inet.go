package inet

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/inet/udp"
	"barewire/skb/header"
)

// protosw says how sockets of one type and protocol are made (Linux: struct
// inet_protosw).
type protosw struct {
	typ, protocol int
	create        func(n *Net, s *sock.Socket) error
}

// inetsw is the table inet_create looks through (Linux: inetsw_array).
var inetsw = [...]protosw{ // read-only
	{syscall.SOCK_STREAM, header.ProtoTCP, createStream},
	{syscall.SOCK_DGRAM, header.ProtoUDP, createDgram},
	{syscall.SOCK_DGRAM, header.ProtoICMP, createPing},
	{syscall.SOCK_DGRAM, header.ProtoUDPLite, createLite},
	{syscall.SOCK_RAW, anyProtocol, createRaw},
}

// anyProtocol is the wild entry of SOCK_RAW (Linux: IPPROTO_IP in inetsw).
const anyProtocol = 0

// ipprotoMax is IPPROTO_MAX: protocol arguments are below it.
const ipprotoMax = 263

// create is inet_create. ESOCKTNOSUPPORT when no protocol has the type,
// EPROTONOSUPPORT when one has, but not the protocol asked for.
func (n *Net) create(s *sock.Socket, protocol int) error {
	if protocol < 0 || protocol >= ipprotoMax {
		return syscall.EINVAL
	}
	err := syscall.ESOCKTNOSUPPORT
	for i := range inetsw {
		p := &inetsw[i]
		if p.typ != s.Type {
			continue
		}
		switch {
		case p.protocol == anyProtocol && protocol != 0:
			s.Protocol = protocol
			return p.create(n, s)
		case p.protocol != anyProtocol && (protocol == p.protocol || protocol == 0):
			s.Protocol = p.protocol
			return p.create(n, s)
		}
		err = syscall.EPROTONOSUPPORT
	}
	return err
}

// dgramSock is what UDP, raw and ping socks have in common.
type dgramSock interface {
	Close()
	Bind(sa ip.Sockaddr) error
	Connect(sa ip.Sockaddr) error
	Getname(peer bool, buf []byte) (int, error)
	SendMsg(m *sock.Msg, flags int) (int, error)
	RecvMsg(m *sock.Msg, flags int) (int, error)
	SetSockOpt(level, name int, val []byte) error
	GetSockOpt(level, name int, buf []byte) (int, error)
	Shutdown(how int) error
	QueueIoctl(cmd uint, arg []byte) error
	DatagramPoll() uint16
	GetStamp(arg []byte, nano bool) error
}

// dgram is the operations of datagram sockets (Linux: inet_dgram_ops,
// inet_sockraw_ops).
type dgram struct {
	sock.NoOps
	sk dgramSock
}

func createDgram(n *Net, s *sock.Socket) error { return createUDP(n.udp, s) }

func createLite(n *Net, s *sock.Socket) error { return createUDP(n.lite, s) }

func createUDP(u *udp.UDP, s *sock.Socket) error {
	sk := u.NewSock()
	s.SK, s.Ops = &sk.Sock.Sock, &dgram{sk: sk}
	return nil
}

func createRaw(n *Net, s *sock.Socket) error {
	sk := n.raw.NewSock(s.Protocol)
	s.SK, s.Ops = &sk.Sock.Sock, &dgram{sk: sk}
	return nil
}

func createPing(n *Net, s *sock.Socket) error {
	sk, err := n.ping.NewSock()
	if err != nil {
		return err
	}
	s.SK, s.Ops = &sk.Sock.Sock, &dgram{sk: sk}
	return nil
}

func (d *dgram) Release() error {
	d.sk.Close()
	return nil
}

func (d *dgram) Bind(sa []byte) error {
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return d.sk.Bind(a)
}

// Connect is inet_dgram_connect. For AF_UNSPEC the family alone suffices.
func (d *dgram) Connect(sa []byte, _ int) error {
	if len(sa) < 2 {
		return syscall.EINVAL
	}
	if sa[0] == syscall.AF_UNSPEC && sa[1] == 0 {
		return d.sk.Connect(ip.Sockaddr{})
	}
	a, err := ip.ParseSockaddr(sa)
	if err != nil {
		return err
	}
	return d.sk.Connect(a)
}

func (d *dgram) Getname(peer bool, buf []byte) (int, error)  { return d.sk.Getname(peer, buf) }
func (d *dgram) SendMsg(m *sock.Msg, flags int) (int, error) { return d.sk.SendMsg(m, flags) }
func (d *dgram) RecvMsg(m *sock.Msg, flags int) (int, error) { return d.sk.RecvMsg(m, flags) }
func (d *dgram) SetSockOpt(level, name int, val []byte) error {
	return d.sk.SetSockOpt(level, name, val)
}
func (d *dgram) GetSockOpt(level, name int, b []byte) (int, error) {
	return d.sk.GetSockOpt(level, name, b)
}
func (d *dgram) Shutdown(how int) error { return d.sk.Shutdown(how) }
func (d *dgram) Poll() uint16           { return d.sk.DatagramPoll() }

// Ioctl is inet_ioctl: the time of the last packet, and what the protocol has.
func (d *dgram) Ioctl(cmd uint, arg []byte) error {
	const siocGstamp, siocGstampNS = 0x8906, 0x8907
	switch cmd {
	case siocGstamp, siocGstampNS:
		return d.sk.GetStamp(arg, cmd == siocGstampNS)
	}
	return d.sk.QueueIoctl(cmd, arg)
}
