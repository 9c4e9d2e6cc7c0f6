package inet

import (
	"syscall"

	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/inet/udp"
)

// protosw says how sockets of one type and protocol are made (Linux: struct
// inet_protosw).
type protosw struct {
	typ, protocol int
	create        func(n *Net, s *sock.Socket)
}

// inetsw is the table inet_create looks through (Linux: inetsw_array).
var inetsw = [...]protosw{ // read-only
	{syscall.SOCK_STREAM, header.ProtoTCP, createStream},
	{syscall.SOCK_DGRAM, header.ProtoUDP, createDgram},
}

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
		if protocol == p.protocol || protocol == 0 {
			s.Protocol = p.protocol
			p.create(n, s)
			return nil
		}
		err = syscall.EPROTONOSUPPORT
	}
	return err
}

// dgram is the operations of UDP sockets (Linux: inet_dgram_ops).
type dgram struct {
	sock.NoOps
	sk *udp.Sock
}

func createDgram(n *Net, s *sock.Socket) {
	sk := n.udp.NewSock()
	s.SK = &sk.Sock.Sock
	s.Ops = &dgram{sk: sk}
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
func (d *dgram) Shutdown(how int) error           { return d.sk.Shutdown(how) }
func (d *dgram) Ioctl(cmd uint, arg []byte) error { return d.sk.Ioctl(cmd, arg) }
func (d *dgram) Poll() uint16                     { return d.sk.DatagramPoll() }

// stream is the operations of TCP sockets while there is no TCP: such a socket
// exists, so that programs which try whether the family works find that it
// does, takes options, and refuses everything else with EOPNOTSUPP.
type stream struct {
	sock.NoOps
	sk ip.Sock
}

func createStream(n *Net, s *sock.Socket) {
	st := &stream{}
	st.sk.InitSock(n.ip, sock.Config{Type: syscall.SOCK_STREAM, Protocol: header.ProtoTCP})
	s.SK = &st.sk.Sock
	s.Ops = st
}

func (s *stream) Release() error {
	s.sk.Destroy()
	return nil
}

func (s *stream) Getname(peer bool, buf []byte) (int, error) { return s.sk.Getname(peer, buf) }

func (s *stream) SetSockOpt(level, name int, val []byte) error {
	return s.sk.SetSockOpt(level, name, val)
}

func (s *stream) GetSockOpt(level, name int, b []byte) (int, error) {
	return s.sk.GetSockOpt(level, name, b)
}

// Poll is what tcp_poll says of a socket in state CLOSE.
func (s *stream) Poll() uint16 { return sock.EventOut | sock.EventWrNorm | sock.EventHup }
