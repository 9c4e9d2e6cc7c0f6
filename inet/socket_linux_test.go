package inet_test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"unsafe"

	"barewire/inet/sock"
	"barewire/qemu"
	"barewire/skb/header"
)

// This test makes the same socket calls here and on the Linux kernel, over
// loopback, and compares every result.

// calls is the socket calls of one kernel.
type calls interface {
	socket(typ, proto int) (int, error)
	bind(fd int, sa []byte) error
	connect(fd int, sa []byte) error
	setsockopt(fd, level, name int, val []byte) error
	getsockopt(fd, level, name, size int) ([]byte, error)
	send(fd int, data []byte, sa []byte, control []byte, flags int) (int, error)
	recv(fd, size, control, flags int) (n int, data, name, cmsg []byte, mflags int, err error)
	close(fd int)
}

type ownCalls struct {
	*host
	socks []*sock.Socket
}

func (o *ownCalls) socket(typ, proto int) (int, error) {
	s, err := o.SockCreate(syscall.AF_INET, typ, proto)
	if err != nil {
		return -1, err
	}
	o.socks = append(o.socks, s)
	return len(o.socks) - 1, nil
}
func (o *ownCalls) bind(fd int, sa []byte) error    { return o.socks[fd].Bind(sa) }
func (o *ownCalls) connect(fd int, sa []byte) error { return o.socks[fd].Connect(sa, 0) }
func (o *ownCalls) close(fd int)                    { o.socks[fd].Release() }
func (o *ownCalls) setsockopt(fd, level, name int, val []byte) error {
	return o.socks[fd].SetSockOpt(level, name, val)
}
func (o *ownCalls) getsockopt(fd, level, name, size int) ([]byte, error) {
	b := make([]byte, size)
	n, err := o.socks[fd].GetSockOpt(level, name, b)
	return b[:n], err
}
func (o *ownCalls) send(fd int, data, sa, control []byte, flags int) (int, error) {
	m := &sock.Msg{Iov: [][]byte{data}, Control: control}
	m.NameLen = copy(m.Name[:], sa)
	n, err := o.socks[fd].SendMsg(m, flags|syscall.MSG_DONTWAIT)
	o.run()
	return n, err
}
func (o *ownCalls) recv(fd, size, control, flags int) (int, []byte, []byte, []byte, int, error) {
	m := newMsg(size, control)
	n, err := o.socks[fd].RecvMsg(m, flags|syscall.MSG_DONTWAIT)
	return n, m.Iov[0][:min(n, size)], m.Name[:m.NameLen], m.Control[:m.ControlLen], m.Flags, err
}

type linuxCalls struct{}

// do makes a call with up to six arguments.
func do(nr uintptr, a ...uintptr) (int, error) {
	var v [6]uintptr
	copy(v[:], a)
	r, _, e := syscall.Syscall6(nr, v[0], v[1], v[2], v[3], v[4], v[5])
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}

func at(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (linuxCalls) socket(typ, proto int) (int, error) {
	return do(syscall.SYS_SOCKET, syscall.AF_INET, uintptr(typ), uintptr(proto))
}
func (linuxCalls) bind(fd int, sa []byte) error {
	_, err := do(syscall.SYS_BIND, uintptr(fd), at(sa), uintptr(len(sa)))
	return err
}
func (linuxCalls) connect(fd int, sa []byte) error {
	_, err := do(syscall.SYS_CONNECT, uintptr(fd), at(sa), uintptr(len(sa)))
	return err
}
func (linuxCalls) close(fd int) { syscall.Close(fd) }
func (linuxCalls) setsockopt(fd, level, name int, val []byte) error {
	_, err := do(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), at(val), uintptr(len(val)))
	return err
}
func (linuxCalls) getsockopt(fd, level, name, size int) ([]byte, error) {
	b, n := make([]byte, size+1), int32(size)
	_, err := do(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), at(b), uintptr(unsafe.Pointer(&n)))
	if err != nil {
		return nil, err
	}
	return b[:min(int(n), size)], nil
}
func (linuxCalls) send(fd int, data, sa, control []byte, flags int) (int, error) {
	return msgCall(syscall.SYS_SENDMSG, fd, data, sa, control, flags|syscall.MSG_DONTWAIT, nil)
}
func (linuxCalls) recv(fd, size, control, flags int) (int, []byte, []byte, []byte, int, error) {
	data, name, c := make([]byte, size), make([]byte, 16), make([]byte, control)
	var h syscall.Msghdr
	n, err := msgCall(syscall.SYS_RECVMSG, fd, data, name, c, flags|syscall.MSG_DONTWAIT, &h)
	if err != nil {
		return n, nil, nil, nil, 0, err
	}
	return n, data[:min(n, size)], name[:h.Namelen], c[:h.Controllen], int(h.Flags), nil
}

func msgCall(nr uintptr, fd int, data, name, control []byte, flags int, h *syscall.Msghdr) (int, error) {
	if h == nil {
		h = &syscall.Msghdr{}
	}
	iov := syscall.Iovec{Base: unsafe.SliceData(data), Len: uint64(len(data))}
	h.Iov, h.Iovlen = &iov, 1
	if len(name) > 0 {
		h.Name, h.Namelen = unsafe.SliceData(name), uint32(len(name))
	}
	if len(control) > 0 {
		h.Control, h.Controllen = unsafe.SliceData(control), uint64(len(control))
	}
	return do(nr, uintptr(fd), uintptr(unsafe.Pointer(h)), uintptr(flags))
}

// script runs calls and writes down what they gave.
type script struct {
	calls
	out []string
	fds []int
}

func (s *script) note(what string, v ...any) {
	s.out = append(s.out, fmt.Sprintf("%d %s: ", len(s.out), what)+fmt.Sprint(v...))
}

func (s *script) open(typ, proto int) int {
	fd, err := s.socket(typ, proto)
	s.note(fmt.Sprintf("socket(%d,%d)", typ, proto), err)
	if err == nil {
		s.fds = append(s.fds, fd)
	}
	return fd
}

func (s *script) read(fd, size, control, flags int) {
	n, d, name, c, fl, err := s.recv(fd, size, control, flags)
	s.note(fmt.Sprintf("recv(%d,%#x)", size, flags), n, fmt.Sprintf(" %q %x %x %#x ", d, name, c, fl&^syscall.MSG_CMSG_CLOEXEC), err)
}

var socketScripts = []struct { // read-only
	name string
	run  func(s *script)
}{
	{"options", func(s *script) {
		for _, c := range []struct{ typ, proto int }{{syscall.SOCK_DGRAM, 0}, {syscall.SOCK_RAW, 1}, {syscall.SOCK_RAW, 255}} {
			fd := s.open(c.typ, c.proto)
			for _, l := range []struct{ level, from, to int }{{syscall.SOL_IP, 1, 34}, {syscall.SOL_IP, 49, 52}, {17, 1, 1}, {17, 50, 60}, {255, 0, 2}} {
				for name := l.from; name <= l.to; name++ {
					if l.level == syscall.SOL_IP && (name >= 16 && name <= 18 || name == 9) {
						continue // policies, security labels: not there
					}
					for _, v := range [][]byte{nil, {1}, {1, 0, 0, 0}, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 1, 0, 0}, {9, 0, 9, 0}} {
						if l.level == syscall.SOL_IP && name == 4 {
							v = append([]byte(nil), v...)[:0]
						}
						s.note(fmt.Sprintf("set %d/%d %x", l.level, name, v), s.setsockopt(fd, l.level, name, v))
						g, err := s.getsockopt(fd, l.level, name, 4)
						s.note(fmt.Sprintf("get %d/%d", l.level, name), fmt.Sprintf("%x ", g), err)
					}
				}
			}
		}
	}},
	{"SOL_SOCKET", func(s *script) {
		fd := s.open(syscall.SOCK_DGRAM, 0)
		for _, name := range []int{2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 15, 18, 29, 30, 35, 36, 38, 39, 40, 42, 44, 45, 62, 63, 64, 75} {
			for _, v := range [][]byte{{1}, {1, 0, 0, 0}, {0, 0, 0, 0}, {0, 16, 0, 0}, {1, 0, 0, 0, 2, 0, 0, 0}} {
				if name == 7 || name == 62 { // sndbuf: below; no such device
					continue
				}
				s.note(fmt.Sprintf("set %d %x", name, v), s.setsockopt(fd, syscall.SOL_SOCKET, name, v))
			}
			g, err := s.getsockopt(fd, syscall.SOL_SOCKET, name, 8)
			s.note(fmt.Sprintf("get %d", name), fmt.Sprintf("%x ", g), err)
		}
	}},
	{"send and receive", func(s *script) {
		a, b := s.open(syscall.SOCK_DGRAM, 0), s.open(syscall.SOCK_DGRAM, 0)
		to := sockaddr(header.AddrLoopback, 4001)
		s.note("bind", s.bind(a, sockaddr(header.AddrLoopback, 4000)), s.bind(b, to), s.bind(b, to))
		for _, o := range []int{8, 12, 13} {
			s.note("set", s.setsockopt(b, syscall.SOL_IP, o, optOn))
		}
		write := func(data []byte, sa, control []byte, flags int) {
			n, err := s.send(a, data, sa, control, flags)
			s.note(fmt.Sprintf("send %d %x %x %#x", len(data), sa, control, flags), n, err)
		}
		write([]byte("hello"), to, nil, 0)
		s.read(b, 99, 200, syscall.MSG_PEEK)
		s.read(b, 3, 60, syscall.MSG_TRUNC)
		s.read(b, 99, 200, 0)
		write([]byte("no peer"), nil, nil, 0)
		write([]byte("short"), to[:8], nil, 0)
		write(nil, to, nil, 0)
		s.read(b, 99, 10, 0)
		fam := append([]byte(nil), to...)
		fam[0] = 10
		write([]byte("family"), fam, nil, 0)
		write([]byte("oob"), to, nil, syscall.MSG_OOB)
		write([]byte("port 0"), sockaddr(header.AddrLoopback, 0), nil, 0)
		write([]byte("bcast"), sockaddr(header.AddrLoopback|0xffffff, 9), nil, 0)
		write(make([]byte, 65507), to, nil, 0)
		s.read(b, 1, 0, syscall.MSG_TRUNC)
		write(make([]byte, 65508), to, nil, 0)
		write(make([]byte, 65536), to, nil, 0)
		write([]byte("one "), to, nil, sock.MSG_MORE)
		write([]byte("two"), nil, nil, 0)
		s.read(b, 99, 0, 0)
		for _, c := range []struct {
			level, typ int
			data       []byte
		}{
			{0, 2, []byte{9, 0, 0, 0}}, {0, 2, []byte{0, 0, 0, 0}}, {0, 2, []byte{9}}, {0, 1, []byte{0x10}}, {0, 1, []byte{0, 1, 0, 0}},
			{0, 8, make([]byte, 12)}, {0, 8, make([]byte, 11)}, {0, 99, optOn}, {1, 99, optOn}, {1, 36, optOn}, {7, 7, optOn},
			{0, 7, []byte{7, 7, 4, 0, 0, 0, 0}}, {0, 7, []byte{7, 2}}, {0, 52, []byte{0, 0, 0, 0}},
		} {
			p := make([]byte, 16, 40)
			binary.LittleEndian.PutUint64(p, uint64(16+len(c.data)))
			binary.LittleEndian.PutUint32(p[8:], uint32(c.level))
			binary.LittleEndian.PutUint32(p[12:], uint32(c.typ))
			p = append(p, c.data...)
			for len(p)%8 != 0 {
				p = append(p, 0)
			}
			write([]byte("cmsg"), to, p, 0)
			s.read(b, 99, 200, 0)
		}
	}},
	{"errors", func(s *script) {
		fd := s.open(syscall.SOCK_DGRAM, 0)
		s.note("bind", s.bind(fd, sockaddr(header.AddrLoopback, 4000)))
		s.note("connect", s.connect(fd, sockaddr(header.AddrLoopback, 4009)))
		for _, on := range []byte{0, 1} {
			s.note("recverr", s.setsockopt(fd, syscall.SOL_IP, syscall.IP_RECVERR, []byte{on, 0, 0, 0}))
			for range 3 {
				n, err := s.send(fd, []byte("ping"), nil, nil, 0)
				s.note("send", n, err)
			}
			s.read(fd, 9, 0, 0)
			for range 4 {
				s.read(fd, 3, 100, syscall.MSG_ERRQUEUE)
			}
			g, err := s.getsockopt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR, 4)
			s.note("SO_ERROR", g, err)
		}
	}},
	{"creation", func(s *script) {
		for _, typ := range []int{1, 2, 3, 4, 5} {
			for _, proto := range []int{0, 1, 6, 17, 255, 300} {
				if typ == 2 && proto == 1 || typ == 1 || typ == 3 && proto == 6 {
					continue // by ping_group_range; TCP is not there
				}
				s.open(typ, proto)
			}
		}
	}},
	{"binding", func(s *script) {
		var fds []int
		for range 4 {
			fds = append(fds, s.open(syscall.SOCK_DGRAM, 0))
		}
		set := func(i, name int) {
			s.note("set", s.setsockopt(fds[i], syscall.SOL_SOCKET, name, optOn))
		}
		bind := func(i int, a header.Addr, port uint16) {
			s.note(fmt.Sprintf("bind %d %v:%d", i, a, port), s.bind(fds[i], sockaddr(a, port)))
		}
		bind(0, header.AddrLoopback, 4000)
		bind(1, 0, 4000)
		set(1, syscall.SO_REUSEADDR)
		bind(1, 0, 4000)
		set(0, syscall.SO_REUSEADDR)
		bind(1, 0, 4000)
		set(2, 15)
		bind(2, 0, 4000)
		set(3, syscall.SO_REUSEADDR)
		bind(3, 0x0a0b0c0d, 4001)
		bind(3, 0xe0000105, 4001)
		s.note("connect", s.connect(fds[2], sockaddr(header.AddrLoopback|0xffffff, 9)), s.connect(fds[2], nil), s.connect(fds[2], []byte{0, 0}))
	}},
}

func TestLinux_sameSocketCalls_sameResults(t *testing.T) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	for _, c := range socketScripts {
		t.Run(c.name, func(t *testing.T) {
			ns, err := qemu.NewNamespace("inet")
			if err != nil {
				t.Skip(err)
			}
			defer ns.Close()
			check(t, ns.IP("link", "set", "lo", "up"))
			sameCalls(t, ns, c.run)
		})
	}
}

// sameCalls runs a script in the namespace and here, and compares what it noted.
func sameCalls(t *testing.T, ns *qemu.Namespace, run func(s *script)) {
	t.Helper()
	play := func(c calls) []string {
		s := &script{calls: c}
		run(s)
		for _, fd := range s.fds {
			s.close(fd)
		}
		return s.out
	}
	var linux []string
	check(t, ns.Do(func() error {
		linux = play(linuxCalls{})
		return nil
	}))
	own := play(&ownCalls{host: newHost(t)})
	for i := range linux {
		if linux[i] != own[i] {
			t.Errorf("Linux %.1000s\n\t   we %.1000s", linux[i], own[i])
		}
	}
}
