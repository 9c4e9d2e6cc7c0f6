package embed

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"barewire/sys"
)

// Sys is the system calls of an instance's process as methods, for IPv4
// sockets. Errors are syscall.Errno. Everything else is behind
// [Instance.Syscall].
type Sys struct{ k *sys.Kernel }

// result turns what a call returns into Go's form.
func result(r, _, e uintptr) (int, error) {
	if e != 0 {
		return -1, syscall.Errno(e)
	}
	return int(r), nil
}

func failure(_, _, e uintptr) error {
	if e != 0 {
		return syscall.Errno(e)
	}
	return nil
}

// Sockaddr returns addr as struct sockaddr_in.
func Sockaddr(addr netip.AddrPort) []byte {
	b := make([]byte, syscall.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(b, syscall.AF_INET)
	binary.BigEndian.PutUint16(b[2:], addr.Port())
	a := addr.Addr().As4() // panics for IPv6, which the stack does not have
	copy(b[4:], a[:])
	return b
}

// ParseSockaddr reads a struct sockaddr_in; another family gives the zero value.
func ParseSockaddr(b []byte) netip.AddrPort {
	if len(b) < 8 || binary.NativeEndian.Uint16(b) != syscall.AF_INET {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[2:]))
}

// Socket is socket(2).
func (s Sys) Socket(domain, typ, protocol int) (fd int, err error) {
	return result(s.k.Syscall(syscall.SYS_SOCKET, uintptr(domain), uintptr(typ), uintptr(protocol), 0, 0, 0))
}

// Close is close(2).
func (s Sys) Close(fd int) error {
	return failure(s.k.Syscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0))
}

// Bind is bind(2).
func (s Sys) Bind(fd int, addr netip.AddrPort) error {
	sa := Sockaddr(addr)
	return failure(s.k.Syscall(syscall.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa[0])), uintptr(len(sa)), 0, 0, 0))
}

// Connect is connect(2).
func (s Sys) Connect(fd int, addr netip.AddrPort) error {
	sa := Sockaddr(addr)
	return failure(s.k.Syscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa[0])), uintptr(len(sa)), 0, 0, 0))
}

// Listen is listen(2).
func (s Sys) Listen(fd, backlog int) error {
	return failure(s.k.Syscall(syscall.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0, 0, 0, 0))
}

// Accept is accept4(2).
func (s Sys) Accept(fd, flags int) (conn int, peer netip.AddrPort, err error) {
	var m nameBuf
	conn, err = result(s.k.Syscall(syscall.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(m.addr())), uintptr(unsafe.Pointer(&m.n)), uintptr(flags), 0, 0))
	return conn, m.parse(), err
}

// nameBuf is room for an address and its length.
type nameBuf struct {
	b [128]byte
	n uint32
}

func (m *nameBuf) addr() *byte {
	m.n = uint32(len(m.b))
	return &m.b[0]
}

func (m *nameBuf) parse() netip.AddrPort { return ParseSockaddr(m.b[:min(int(m.n), len(m.b))]) }

// Read is read(2).
func (s Sys) Read(fd int, p []byte) (int, error) {
	return result(s.k.Syscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0))
}

// Write is write(2).
func (s Sys) Write(fd int, p []byte) (int, error) {
	return result(s.k.Syscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0))
}

// Sendto is sendto(2); the zero address is none.
func (s Sys) Sendto(fd int, p []byte, flags int, to netip.AddrPort) (int, error) {
	var sa []byte
	if to.IsValid() {
		sa = Sockaddr(to)
	}
	return result(s.k.Syscall(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags),
		uintptr(unsafe.Pointer(unsafe.SliceData(sa))), uintptr(len(sa))))
}

// Recvfrom is recvfrom(2).
func (s Sys) Recvfrom(fd int, p []byte, flags int) (n int, from netip.AddrPort, err error) {
	var m nameBuf
	n, err = result(s.k.Syscall(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags),
		uintptr(unsafe.Pointer(m.addr())), uintptr(unsafe.Pointer(&m.n))))
	return n, m.parse(), err
}

// Shutdown is shutdown(2).
func (s Sys) Shutdown(fd, how int) error {
	return failure(s.k.Syscall(syscall.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0, 0, 0, 0))
}

// Getsockname is getsockname(2).
func (s Sys) Getsockname(fd int) (netip.AddrPort, error) {
	var m nameBuf
	err := failure(s.k.Syscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(m.addr())), uintptr(unsafe.Pointer(&m.n)), 0, 0, 0))
	return m.parse(), err
}

// Getpeername is getpeername(2).
func (s Sys) Getpeername(fd int) (netip.AddrPort, error) {
	var m nameBuf
	err := failure(s.k.Syscall(syscall.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(m.addr())), uintptr(unsafe.Pointer(&m.n)), 0, 0, 0))
	return m.parse(), err
}

// Setsockopt is setsockopt(2).
func (s Sys) Setsockopt(fd, level, name int, value []byte) error {
	return failure(s.k.Syscall(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)), 0))
}

// SetsockoptInt is Setsockopt of an int.
func (s Sys) SetsockoptInt(fd, level, name, value int) error {
	return s.Setsockopt(fd, level, name, binary.NativeEndian.AppendUint32(nil, uint32(value)))
}

// Getsockopt is getsockopt(2); it returns how much of value was filled.
func (s Sys) Getsockopt(fd, level, name int, value []byte) (int, error) {
	n := uint32(len(value))
	_, err := result(s.k.Syscall(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(unsafe.Pointer(&n)), 0))
	return int(n), err
}

// GetsockoptInt is Getsockopt of an int.
func (s Sys) GetsockoptInt(fd, level, name int) (int, error) {
	var b [4]byte
	_, err := s.Getsockopt(fd, level, name, b[:])
	return int(int32(binary.NativeEndian.Uint32(b[:]))), err
}

// SetNonblock sets or clears O_NONBLOCK.
func (s Sys) SetNonblock(fd int, on bool) error {
	flags, err := result(s.k.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0, 0, 0, 0))
	if err != nil {
		return err
	}
	if flags &^= syscall.O_NONBLOCK; on {
		flags |= syscall.O_NONBLOCK
	}
	return failure(s.k.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFL, uintptr(flags), 0, 0, 0))
}

// PollFd is struct pollfd.
type PollFd struct {
	Fd      int32
	Events  int16
	Revents int16
}

// Poll is poll(2): timeout in milliseconds, negative for ever.
func (s Sys) Poll(fds []PollFd, timeout int) (int, error) {
	return result(s.k.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)), uintptr(timeout), 0, 0, 0))
}
