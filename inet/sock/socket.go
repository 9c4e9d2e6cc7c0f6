package sock

import (
	"strconv"
	"sync/atomic"
	"syscall"
)

// Ops is what an address family does for its sockets (Linux: struct
// proto_ops). Errors are syscall.Errno. A family embeds [NoOps] for the calls
// that mean nothing to it.
type Ops interface {
	// Release ends the socket; it is called once.
	Release() error
	Bind(sa []byte) error
	Connect(sa []byte, flags int) error
	Listen(backlog int) error
	// Accept returns a socket with SK and Ops set; the rest it has from the
	// listener.
	Accept(flags int) (*Socket, error)
	// Getname writes the local or the peer's address and returns its full
	// length, which may exceed len(buf).
	Getname(peer bool, buf []byte) (int, error)
	SendMsg(m *Msg, flags int) (int, error)
	RecvMsg(m *Msg, flags int) (int, error)
	// SetSockOpt and GetSockOpt see all levels but SOL_SOCKET.
	SetSockOpt(level, name int, val []byte) error
	GetSockOpt(level, name int, buf []byte) (int, error)
	Shutdown(how int) error
	Ioctl(cmd uint, arg []byte) error
	Poll() uint16
}

// Socket is the system-call half of a socket (Linux: struct socket). All
// methods may be called from several goroutines at once.
type Socket struct {
	Family   int // AF_*
	Type     int // SOCK_*
	Protocol int // IPPROTO_*

	// SK is the packet half; Ops are the family's calls. Both are set by the
	// family's create function and do not change.
	SK  *Sock
	Ops Ops

	devIoctl func(cmd uint, arg []byte) error // Families.DevIoctl
	released atomic.Bool
}

// Bind gives the socket a local address (bind(2)).
func (s *Socket) Bind(sa []byte) error {
	if len(sa) > MaxAddr {
		return syscall.EINVAL
	}
	return s.Ops.Bind(sa)
}

// Connect sets the peer (connect(2)); AF_UNSPEC dissolves the association of a
// datagram socket. flags may carry O_NONBLOCK.
func (s *Socket) Connect(sa []byte, flags int) error {
	if len(sa) > MaxAddr {
		return syscall.EINVAL
	}
	return s.Ops.Connect(sa, flags)
}

// Listen makes a stream socket passive (listen(2)).
func (s *Socket) Listen(backlog int) error { return s.Ops.Listen(backlog) }

// Accept takes the next established connection (accept4(2)). flags may carry
// O_NONBLOCK, which governs this call only.
func (s *Socket) Accept(flags int) (*Socket, error) {
	c, err := s.Ops.Accept(flags)
	if err != nil {
		return nil, err
	}
	c.Family, c.Type, c.Protocol, c.devIoctl = s.Family, s.Type, s.Protocol, s.devIoctl
	return c, nil
}

// Getname writes the socket's own address, or its peer's, into buf
// (getsockname(2), getpeername(2)). It returns the address's full length, which
// may exceed len(buf): the caller reports it and the copy was cut.
func (s *Socket) Getname(peer bool, buf []byte) (int, error) { return s.Ops.Getname(peer, buf) }

// Accepted is implemented by sockets whose peer is still to be named when the
// connection has ended between the peer's SYN and accept(2).
type Accepted interface {
	AcceptedName(buf []byte) (int, error)
}

// AcceptedName writes the peer's address of a socket that Accept has returned.
func (s *Socket) AcceptedName(buf []byte) (int, error) {
	if a, ok := s.Ops.(Accepted); ok {
		return a.AcceptedName(buf)
	}
	return s.Ops.Getname(true, buf)
}

// SendMsg sends one message (sendmsg(2)) and returns the bytes taken. flags
// are MSG_*; MSG_DONTWAIT makes it non-blocking. Data is copied out of m.Iov
// before it returns.
func (s *Socket) SendMsg(m *Msg, flags int) (int, error) {
	if m.NameLen < 0 || m.NameLen > MaxAddr {
		return 0, syscall.EINVAL
	}
	s.SK.recordFlow()
	return s.Ops.SendMsg(m, flags)
}

// RecvMsg receives one message (recvmsg(2)) and returns the bytes copied, or
// the message's real length with MSG_TRUNC in flags. m.Name and m.NameLen,
// m.ControlLen and m.Flags are set on return.
func (s *Socket) RecvMsg(m *Msg, flags int) (int, error) {
	m.NameLen, m.ControlLen, m.Flags = 0, 0, 0
	s.SK.recordFlow()
	return s.Ops.RecvMsg(m, flags)
}

// SetSockOpt sets an option (setsockopt(2)). val holds optlen bytes.
func (s *Socket) SetSockOpt(level, name int, val []byte) error {
	if level == syscall.SOL_SOCKET {
		return s.SK.setSockOpt(name, val)
	}
	return s.Ops.SetSockOpt(level, name, val)
}

// GetSockOpt reads an option into buf (getsockopt(2)) and returns the length
// to report. Like Linux it writes no more than len(buf) bytes.
func (s *Socket) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level == syscall.SOL_SOCKET {
		return s.getSockOpt(name, buf)
	}
	return s.Ops.GetSockOpt(level, name, buf)
}

// Shutdown closes one or both directions (shutdown(2)); how is SHUT_RD,
// SHUT_WR or SHUT_RDWR.
func (s *Socket) Shutdown(how int) error { return s.Ops.Shutdown(how) }

// Ioctl performs a socket ioctl (ioctl(2)). arg is the memory the program
// passed: 4 bytes for SIOCINQ and SIOCOUTQ, 40 for those with a struct ifreq.
// Unknown requests give ENOTTY; a short arg gives EFAULT.
func (s *Socket) Ioctl(cmd uint, arg []byte) error {
	err := s.Ops.Ioctl(cmd, arg)
	if err == syscall.ENOTTY && s.devIoctl != nil { // Linux: sock_do_ioctl
		return s.devIoctl(cmd, arg)
	}
	return err
}

// Mapper is what Ops have that give memory to map.
type Mapper interface {
	// Mmap returns the n bytes of memory from off on, both in whole pages; the
	// caller calls unmap when they are no longer mapped. The socket is not
	// released before.
	Mmap(off int64, n int) (mem []byte, unmap func(), err error)
}

// Mmap returns memory of the socket's that the program shares (mmap(2)). ENODEV
// for a family that has none.
func (s *Socket) Mmap(off int64, n int) (mem []byte, unmap func(), err error) {
	if m, ok := s.Ops.(Mapper); ok {
		return m.Mmap(off, n)
	}
	return nil, nil, syscall.ENODEV
}

// Poll returns the events that hold now (Linux: proto_ops.poll), a mask of
// Event*. A caller that finds EventOut missing is notified when it returns.
func (s *Socket) Poll() uint16 { return s.Ops.Poll() }

// SetNotify installs fn to be called with the events that may have become
// true: data_ready, write_space, error_report and state changes. Nil removes
// it. fn runs in any context, softirq included, with no lock held; it must not
// block and must tolerate spurious calls. After SetNotify returned the caller
// should Poll once, for events that came before.
func (s *Socket) SetNotify(fn func(events uint16)) { s.SK.setNotify(fn) }

// KeepNotify is SetNotify with a function that lies in memory of the caller's,
// who does not change it while the socket has it.
func (s *Socket) KeepNotify(fn *func(events uint16)) { s.SK.notify.Store(fn) }

// Release ends the socket (Linux: sock_release): bindings go, queued data is
// freed, waiting calls return. Further calls of Release do nothing.
func (s *Socket) Release() error {
	if s.released.Swap(true) {
		return nil
	}
	s.SK.setNotify(nil)
	return s.Ops.Release()
}

// NoOps refuses every call as Linux's sock_no_* functions do. Families embed
// it and define what they support.
type NoOps struct{}

// Bind refuses (sock_no_bind).
func (NoOps) Bind([]byte) error { return syscall.EOPNOTSUPP }

// Connect refuses (sock_no_connect).
func (NoOps) Connect([]byte, int) error { return syscall.EOPNOTSUPP }

// Listen refuses (sock_no_listen).
func (NoOps) Listen(int) error { return syscall.EOPNOTSUPP }

// Accept refuses (sock_no_accept).
func (NoOps) Accept(int) (*Socket, error) { return nil, syscall.EOPNOTSUPP }

// Getname refuses (sock_no_getname).
func (NoOps) Getname(bool, []byte) (int, error) { return 0, syscall.EOPNOTSUPP }

// SendMsg refuses (sock_no_sendmsg).
func (NoOps) SendMsg(*Msg, int) (int, error) { return 0, syscall.EOPNOTSUPP }

// RecvMsg refuses (sock_no_recvmsg).
func (NoOps) RecvMsg(*Msg, int) (int, error) { return 0, syscall.EOPNOTSUPP }

// SetSockOpt knows no option.
func (NoOps) SetSockOpt(int, int, []byte) error { return syscall.EOPNOTSUPP }

// GetSockOpt knows no option.
func (NoOps) GetSockOpt(int, int, []byte) (int, error) { return 0, syscall.EOPNOTSUPP }

// Shutdown refuses (sock_no_shutdown).
func (NoOps) Shutdown(int) error { return syscall.EOPNOTSUPP }

// Ioctl knows no request.
func (NoOps) Ioctl(uint, []byte) error { return syscall.ENOTTY }

// NeedMore is the error of a request that reads or writes more bytes of the
// program's memory than it was given: that many.
type NeedMore int

func (n NeedMore) Error() string { return "the request is about " + strconv.Itoa(int(n)) + " bytes" }
