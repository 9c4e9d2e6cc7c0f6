package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// nlsock is a netlink socket of an end.
type nlsock struct {
	*end
	fd   uintptr
	last map[string]string // what links were last told to be
}

func (e *end) nl(typ, proto uintptr) (s nlsock, errno syscall.Errno) {
	e.within(func() error {
		var fd uintptr
		fd, errno = e.syscall(syscall.SYS_SOCKET, syscall.AF_NETLINK, typ, proto, 0, 0, 0)
		s = nlsock{end: e, fd: fd}
		return nil
	})
	if errno == 0 {
		e.Cleanup(func() { e.syscall(syscall.SYS_CLOSE, s.fd, 0, 0, 0, 0, 0) })
	}
	return s, errno
}

func nladdr(port, groups uint32) []byte {
	b := []byte{syscall.AF_NETLINK, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, port)
	return binary.NativeEndian.AppendUint32(b, groups)
}

func (s nlsock) bind(sa []byte) syscall.Errno {
	_, e := s.syscall(syscall.SYS_BIND, s.fd, addrOf(sa), uintptr(len(sa)), 0, 0, 0)
	return e
}

func (s nlsock) connect(sa []byte) syscall.Errno {
	_, e := s.syscall(syscall.SYS_CONNECT, s.fd, addrOf(sa), uintptr(len(sa)), 0, 0, 0)
	return e
}

func (s nlsock) setopt(name int, v []byte) syscall.Errno {
	_, e := s.syscall(syscall.SYS_SETSOCKOPT, s.fd, 270, uintptr(name), addrOf(append(v, 0)), uintptr(len(v)), 0)
	return e
}

func (s nlsock) getopt(name, size int) string {
	b := make([]byte, size+1)
	l := u32(uint32(size))
	_, e := s.syscall(syscall.SYS_GETSOCKOPT, s.fd, 270, uintptr(name), addrOf(b), addrOfToo(l), 0)
	return fmt.Sprintf("%x %d %v", b[:size], binary.NativeEndian.Uint32(l), e)
}

// addrOfToo is addrOf for a second piece of memory in one call.
func addrOfToo(b []byte) uintptr {
	alsoOnHeap.Store(&b)
	return memory(b)
}

func (s nlsock) name() string {
	b, l := make([]byte, 16), u32(16)
	_, e := s.syscall(syscall.SYS_GETSOCKNAME, s.fd, addrOf(b), addrOfToo(l), 0, 0, 0)
	port := "own"
	if p := binary.NativeEndian.Uint32(b[4:]); p == 0 || p > 1000 && p < 1010 {
		port = fmt.Sprint(p)
	}
	return fmt.Sprintf("%x %s %x %d %v", b[:4], port, b[8:12], binary.NativeEndian.Uint32(l), e)
}

// say sends a message, to an address if there is one.
func (s nlsock) say(b, sa []byte) string {
	var to, n uintptr
	if sa != nil {
		to, n = addrOfToo(sa), uintptr(len(sa))
	}
	var p uintptr
	if len(b) > 0 {
		p = addrOf(b)
	}
	r, e := s.syscall(syscall.SYS_SENDTO, s.fd, p, uintptr(len(b)), syscall.MSG_DONTWAIT, to, n)
	return fmt.Sprintf("%d %v", int(r), e)
}

// hear receives what there is and tells of the messages: types, flags, errors.
func (s nlsock) hear(size int, flags uintptr) string {
	b := make([]byte, size+1)
	n, e := s.syscall(syscall.SYS_RECVFROM, s.fd, addrOf(b), uintptr(size), flags|syscall.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return e.Error()
	}
	out := fmt.Sprintf("%d bytes", n)
	for b = b[:min(int(n), size)]; len(b) >= 16; {
		l := int(binary.NativeEndian.Uint32(b))
		out += fmt.Sprintf(" [%d len %d flags %x seq %d", binary.NativeEndian.Uint16(b[4:]), l, binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:]))
		if t := binary.NativeEndian.Uint16(b[4:]); t == 2 && len(b) >= 20 {
			out += fmt.Sprint(" ", syscall.Errno(-int32(binary.NativeEndian.Uint32(b[16:]))))
		}
		out += "]"
		b = b[min((l+3)&^3, len(b)):]
	}
	return out
}

// nlhdr is a message with its length as given.
func nlhdr(n uint32, typ, flags uint16, seq uint32, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, n)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, data...)
}

// The socket calls of AF_NETLINK end as Linux's do.
func TestNetlinkSocket_asLinux(t *testing.T) {
	run := func(e *end) (out []string) {
		note := func(what string, v ...any) { out = append(out, what+": "+fmt.Sprintln(v...)) }
		for _, c := range [][2]uintptr{{syscall.SOCK_STREAM, 0}, {syscall.SOCK_SEQPACKET, 0}, {syscall.SOCK_RAW, 32}, {syscall.SOCK_RAW, 77}, {syscall.SOCK_RAW, ^uintptr(0)}} {
			_, errno := e.nl(c[0], c[1])
			note(fmt.Sprint("socket ", c), errno)
		}
		open := func() nlsock {
			s, errno := e.nl(syscall.SOCK_RAW, 0)
			e.check("socket", errno)
			return s
		}
		s := open()
		note("name unbound", s.name())
		note("short bind", s.bind(nladdr(0, 0)[:8]))
		note("bind of another family", s.bind(append([]byte{2}, nladdr(0, 0)[1:]...)))
		note("bind", s.bind(nladdr(1001, 0x11)))
		note("name", s.name())
		note("bind again", s.bind(nladdr(1001, 0x1)))
		note("name", s.name())
		note("bind to another port", s.bind(nladdr(1002, 0)))
		note("bind to port 0", s.bind(nladdr(0, 0)))
		o := open()
		note("bind to a taken port", o.bind(nladdr(1001, 0)))
		note("bind to port 0", o.bind(nladdr(0, 0)))
		note("name", o.name() != "")
		for opt := range 16 {
			for _, v := range [][]byte{u32(1), u32(0), {1}, {}, u32(99), u32(12)} {
				if opt == 6 || opt == 7 || opt == 8 { // rings are gone; capabilities
					continue
				}
				note(fmt.Sprintf("setsockopt %d %x", opt, v), s.setopt(opt, v))
			}
			for _, n := range []int{0, 1, 4, 8, 16} {
				if opt == 9 && n > 4 || opt == 8 {
					continue // how many groups there are
				}
				note(fmt.Sprintf("getsockopt %d of %d", opt, n), s.getopt(opt, n))
			}
		}
		note("name", s.name())
		s = open()
		note("empty", s.say(nil, nil))
		note("to a group", s.say(nlhdr(16, 0, 0, 1), nladdr(0, 0x4)))
		note("to nobody", s.say(nlhdr(16, 0, 0, 1), nladdr(1009, 0)))
		note("short address", s.say(nlhdr(16, 0, 0, 1), nladdr(0, 0)[:6]))
		note("other address", s.say(nlhdr(16, 0, 0, 1), append([]byte{2}, nladdr(0, 0)[1:]...)))
		note("too long", s.say(make([]byte, 1<<20), nil))
		for i, m := range [][]byte{
			nlhdr(16, 16, 1, 1), nlhdr(15, 18, 1, 2), nlhdr(17, 18, 1, 3), nlhdr(16, 1, 5, 4), nlhdr(16, 3, 5, 5), nlhdr(16, 18, 4, 6),
			nlhdr(16, 200, 1, 7), nlhdr(16, 200, 5, 8), nlhdr(17, 18, 0x301, 9, 0), append(nlhdr(16, 200, 5, 10), nlhdr(16, 201, 5, 11)...),
			append(nlhdr(18, 200, 5, 12, 0, 0), nlhdr(16, 201, 5, 13)...), nlhdr(16, 15, 5, 14), nlhdr(20, 18, 5, 15, 0, 0, 0, 0),
			append(nlhdr(16, 200, 1, 16), 1, 2, 3), {1, 2, 3}, nlhdr(32, 18, 5, 17, make([]byte, 16)...), nlhdr(20, 19, 1, 18, 7, 0, 0, 0),
			nlhdr(20, 21, 0x301, 19, 0, 0, 0, 0), nlhdr(17, 22, 0x300, 20, 0),
		} {
			note(fmt.Sprint("send ", i), s.say(m, nil))
			for range 4 {
				h := s.hear(65536, 0)
				if strings.Contains(h, "[16 ") || strings.Contains(h, "[20 ") {
					// What a list has differs, and whether its end is a datagram
					// of its own.
					note(fmt.Sprint("  hear ", i), "a list")
					for h != syscall.EAGAIN.Error() {
						h = s.hear(65536, 0)
					}
					break
				}
				note(fmt.Sprint("  hear ", i), h)
			}
		}
		req := nlhdr(32, 18, 5, 30, make([]byte, 16)...)
		s.say(req, nil)
		note("peek", s.hear(65536, syscall.MSG_PEEK))
		note("peek short", s.hear(10, syscall.MSG_PEEK))
		note("peek short, all counted", s.hear(10, syscall.MSG_PEEK|syscall.MSG_TRUNC))
		note("read short", s.hear(20, 0))
		note("nothing left", s.hear(20, 0))
		note("out of band", s.hear(20, syscall.MSG_OOB))
		note("connect", s.connect(nladdr(0, 0)))
		note("connect to a group", s.connect(nladdr(0, 2)))
		note("connect to another", s.connect(nladdr(1001, 0)))
		note("send to it", s.say(nlhdr(16, 0, 0, 1), nil))
		note("disconnect", s.connect([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
		note("connect short", s.connect(nladdr(0, 0)[:6]))
		note("connect very short", s.connect([]byte{16}))
		for _, c := range [][2]uintptr{{syscall.SYS_LISTEN, 1}, {syscall.SYS_SHUTDOWN, 2}, {syscall.SYS_ACCEPT, 0}} {
			_, errno := s.syscall(c[0], s.fd, c[1], 0, 0, 0, 0)
			note(fmt.Sprint("call ", c[0]), errno)
		}
		return out
	}
	x, _ := ours(t)
	a, b := run(x), run(linux(t))
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("\n here  %s Linux %s", a[i], b[i])
		}
	}
}
