package abitest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badFd is a descriptor nobody has.
const badFd = 9999

// kinds are the sockets whose calls are compared.
var kinds = []struct { // read-only
	name              string
	family, typ, prot int
}{
	{"udp", syscall.AF_INET, syscall.SOCK_DGRAM, 0},
	{"udplite", syscall.AF_INET, syscall.SOCK_DGRAM, 136},
	{"ping", syscall.AF_INET, syscall.SOCK_DGRAM, 1},
	{"raw", syscall.AF_INET, syscall.SOCK_RAW, 1},
	{"rawraw", syscall.AF_INET, syscall.SOCK_RAW, 255},
	{"packet", syscall.AF_PACKET, syscall.SOCK_RAW, 0},
	{"packetdgram", syscall.AF_PACKET, syscall.SOCK_DGRAM, 0x0008},
	{"netlink", syscall.AF_NETLINK, syscall.SOCK_RAW, 0},
}

func eachKind(t *testing.T, script func(w *world, fd func() uintptr, name string)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			compare(t, func(w *world) {
				must(w, w.sysctl("ipv4/ping_group_range", "0 2147483647"))
				script(w, func() uintptr { return w.socket(k.family, k.typ, k.prot) }, k.name)
			})
		})
	}
}

func (w *world) poll(what string, events uint16, fds ...uintptr) {
	b := w.mem(8 * len(fds))
	for i, fd := range fds {
		binary.NativeEndian.PutUint32(b[8*i:], uint32(fd))
		binary.NativeEndian.PutUint16(b[8*i+4:], events)
	}
	r, e := w.sys(syscall.SYS_POLL, at(b), uintptr(len(fds)), 0)
	s := ""
	for i := range fds {
		s += fmt.Sprintf(" %#x", binary.NativeEndian.Uint16(b[8*i+6:]))
	}
	w.note("poll %s %#x = %d %s%s", what, events, int(r), errName(e), s)
}

func TestCalls_onEveryKindOfSocket(t *testing.T) {
	eachKind(t, func(w *world, open func() uintptr, name string) {
		fd := open()
		b := w.mem(4096)
		l := func(n int) uintptr { return at(w.bytes(i32(n))) }
		w.poll("fresh", 0x3fff, fd)
		w.do("listen", syscall.SYS_LISTEN, fd, 5)
		w.do("accept", syscall.SYS_ACCEPT, fd, 0, 0)
		w.do("accept4", syscall.SYS_ACCEPT4, fd, 0, 0, 0)
		w.do("accept4 flags", syscall.SYS_ACCEPT4, fd, 0, 0, 1)
		w.do("lseek", syscall.SYS_LSEEK, fd, 0, 0)
		w.do("pread", syscall.SYS_PREAD64, fd, at(b), 1, 0)
		w.do("pwrite", syscall.SYS_PWRITE64, fd, at(b), 1, 0)
		iov := w.mem(32)
		binary.NativeEndian.PutUint64(iov, uint64(at(b)))
		binary.NativeEndian.PutUint64(iov[8:], 3)
		binary.NativeEndian.PutUint64(iov[16:], uint64(at(b)))
		binary.NativeEndian.PutUint64(iov[24:], 5)
		w.do("preadv", syscall.SYS_PREADV, fd, at(iov), 2, 0)
		w.do("pwritev", syscall.SYS_PWRITEV, fd, at(iov), 2, 0)
		w.do("ftruncate", syscall.SYS_FTRUNCATE, fd, 0)
		w.do("fsync", syscall.SYS_FSYNC, fd)
		w.do("fallocate", syscall.SYS_FALLOCATE, fd, 0, 0, 1)
		w.do("getdents", syscall.SYS_GETDENTS64, fd, at(b), 100)
		w.do("fchdir", syscall.SYS_FCHDIR, fd)
		sb := w.mem(144)
		w.do("fstat", syscall.SYS_FSTAT, fd, at(sb))
		w.note("mode %o", binary.NativeEndian.Uint32(sb[24:]))
		if !strings.HasPrefix(name, "packet") { // those have rings
			w.do("mmap", syscall.SYS_MMAP, 0, 4096, 1, 1, fd, 0)
		}
		w.do("fcntl getfl", syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
		w.do("fcntl nonblock", syscall.SYS_FCNTL, fd, syscall.F_SETFL, syscall.O_NONBLOCK)
		w.do("fcntl getfl", syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
		w.do("read of 0", syscall.SYS_READ, fd, at(b), 0)
		w.do("readv of nothing", syscall.SYS_READV, fd, 0, 0)
		w.do("read", syscall.SYS_READ, fd, at(b), 9)
		w.do("readv", syscall.SYS_READV, fd, at(iov), 2)
		w.do("recvfrom", syscall.SYS_RECVFROM, fd, at(b), 9, 0, 0, 0)
		w.do("recv wild", syscall.SYS_RECVFROM, fd, ^uintptr(0)-4095, 9, 0, 0, 0)
		for _, fl := range []uintptr{1, 4, 2, 0x20, 0x100, 0x2000, 0x40, 0x80, 0x200, 0x400, 0x4000, 0x8000, 0x10000, 0x40000, 0x4000000, 0x40000000} {
			w.do(fmt.Sprintf("recv flags %#x", fl), syscall.SYS_RECVFROM, fd, at(b), 9, fl, 0, 0)
		}
		for _, n := range []int{-1, 0, 4, 16, 200} {
			p := w.mem(200)
			nl := w.bytes(i32(n))
			w.do(fmt.Sprintf("getsockname %d", n), syscall.SYS_GETSOCKNAME, fd, at(p), at(nl))
			if name != "netlink" {
				w.note("%x %x", nl, p[:32])
			}
			w.do(fmt.Sprintf("getpeername %d", n), syscall.SYS_GETPEERNAME, fd, at(p), at(nl))
		}
		w.do("getsockname null", syscall.SYS_GETSOCKNAME, fd, 0, l(16))
		w.do("getsockname null length", syscall.SYS_GETSOCKNAME, fd, at(b), 0)
		for _, how := range []uintptr{0, 1, 2, 3, ^uintptr(0)} {
			f2 := open()
			w.do(fmt.Sprintf("shutdown %d", int(how)), syscall.SYS_SHUTDOWN, f2, how)
			w.poll("after it", 0x3fff, f2)
			w.recv(f2, 9, 0, 0)
			if name != "netlink" {
				w.send(f2, []byte("x"), nil, nil, 0)
			}
		}
		for _, n := range []int{-1, 0, 1, 2, 3, 8, 12, 15, 16, 17, 18, 19, 20, 28, 128, 129} {
			for _, fam := range []byte{0, 2, 10, 16, 17, 99} {
				f2 := open()
				sa := w.mem(256)
				sa[0] = fam
				if name != "netlink" || fam != 16 {
					w.do(fmt.Sprintf("bind %d of %d", fam, n), syscall.SYS_BIND, f2, at(sa), uintptr(n))
				}
				w.do(fmt.Sprintf("connect %d of %d", fam, n), syscall.SYS_CONNECT, f2, at(sa), uintptr(n))
				sa[3], sa[4], sa[7] = 99, 127, 1
				w.do(fmt.Sprintf("connect 127.0.0.1 %d of %d", fam, n), syscall.SYS_CONNECT, f2, at(sa), uintptr(n))
				w.do(fmt.Sprintf("sendto %d of %d", fam, n), syscall.SYS_SENDTO, f2, at(b), 20, syscall.MSG_DONTWAIT, at(sa), uintptr(n))
				w.close(f2)
			}
		}
		w.do("bind null", syscall.SYS_BIND, fd, 0, 16)
		w.do("connect null", syscall.SYS_CONNECT, fd, 0, 16)
		w.do("send nothing", syscall.SYS_SENDTO, fd, 0, 0, 0, 0, 0)
		if name != "netlink" {
			for i := range 31 {
				if fl := uintptr(1) << i; fl != 0x2000000 { // zero copy
					w.do(fmt.Sprintf("send flags %#x", fl), syscall.SYS_SENDTO, fd, at(b), 9, fl|syscall.MSG_DONTWAIT, 0, 0)
				}
			}
			w.do("write", syscall.SYS_WRITE, fd, at(b), 9)
			w.do("writev", syscall.SYS_WRITEV, fd, at(iov), 2)
		}
	})
}

func TestCalls_thatAreWrong(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		b := w.mem(4096)
		pipe := w.mem(8)
		w.do("pipe", syscall.SYS_PIPE2, at(pipe), syscall.O_NONBLOCK)
		r, wr := uintptr(binary.NativeEndian.Uint32(pipe)), uintptr(binary.NativeEndian.Uint32(pipe[4:]))
		w.fds = append(w.fds, r, wr)
		for _, f := range []uintptr{badFd, r} {
			for _, nr := range []uintptr{
				syscall.SYS_BIND, syscall.SYS_CONNECT, syscall.SYS_LISTEN, syscall.SYS_ACCEPT, syscall.SYS_ACCEPT4, syscall.SYS_GETSOCKNAME,
				syscall.SYS_GETPEERNAME, syscall.SYS_SHUTDOWN, syscall.SYS_SETSOCKOPT, syscall.SYS_GETSOCKOPT, syscall.SYS_SENDTO,
				syscall.SYS_RECVFROM, syscall.SYS_SENDMSG, syscall.SYS_RECVMSG, unix.SYS_SENDMMSG, syscall.SYS_RECVMMSG,
			} {
				w.do(fmt.Sprintf("call %d", nr), nr, f, 0, 0, 0, 0, 0)
				w.do(fmt.Sprintf("call %d memory", nr), nr, f, at(b), 16, 0, 0, 0)
			}
		}
		for _, family := range []int{-1, 0, 1, 2, 17, 45, 46, 99} {
			for _, typ := range []int{-1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 15, 16, 2 | 0x10000, 2 | 0x800, 2 | 0x80000, 0x12} {
				if family == 0 || family == 1 || family == 45 || typ&15 == 1 && family == 2 {
					continue // unix sockets are not there; TCP is another's
				}
				if typ&15 == 10 {
					continue // SOCK_PACKET, obsolete since Linux 2.0
				}
				w.socket(family, typ, 0)
				p := w.mem(8)
				w.do(fmt.Sprintf("socketpair(%d,%d)", family, typ), syscall.SYS_SOCKETPAIR, uintptr(family), uintptr(typ), 0, at(p))
			}
		}
		for _, proto := range []int{-1, 1, 2, 6, 17, 136, 255, 256, 261, 262, 263, 264, 1 << 20} {
			w.socket(2, 2, proto)
			if proto != 6 && proto != 262 {
				w.socket(2, 3, proto)
			}
		}
		w.do("socketpair null", syscall.SYS_SOCKETPAIR, 2, 2, 0, 0)
		// Messages.
		h := w.msghdr([]byte("hello"), sa4(lo4, 9), nil)
		put := func(at int, v uint64) { binary.NativeEndian.PutUint64(h[at:], v) }
		try := func(what string) {
			w.do("sendmsg "+what, syscall.SYS_SENDMSG, fd, at(h), 0)
			w.do("recvmsg "+what, syscall.SYS_RECVMSG, fd, at(h), syscall.MSG_DONTWAIT)
			h = w.msghdr([]byte("hello"), sa4(lo4, 9), nil)
		}
		try("plain")
		put(8, 0xffffffff)
		try("name of -1")
		put(8, 200)
		try("name of 200")
		put(8, 0)
		try("name of 0")
		put(0, 0)
		try("null name")
		put(0, ^uint64(0)-99)
		try("wild name")
		put(24, 1025)
		try("too many iovecs")
		put(24, 0)
		try("no iovec")
		put(16, 0)
		try("null iovec")
		put(40, 1<<32)
		try("control without a pointer")
		put(40, 16)
		try("control without a pointer, short")
		put(32, uint64(at(b)))
		put(40, 1<<32)
		try("control of 4 GiB")
		put(32, uint64(at(b)))
		put(40, 15)
		try("control of 15")
		put(32, uint64(at(b)))
		put(40, 16)
		try("control of zeros")
		put(32, 8)
		put(40, 16)
		try("control nowhere")
		big := w.mem(16)
		binary.NativeEndian.PutUint64(big, uint64(at(b)))
		binary.NativeEndian.PutUint64(big[8:], 1<<63)
		put(16, uint64(at(big)))
		try("negative iovec")
		binary.NativeEndian.PutUint64(big[8:], 1<<40)
		put(16, uint64(at(big)))
		try("an iovec of 1 TiB")
		w.do("sendto of 1 TiB", syscall.SYS_SENDTO, fd, at(b), 1<<40, 0, 0, 0)
		// Options.
		for _, n := range []int{-1, 0, 1, 3, 4, 5} {
			w.do(fmt.Sprintf("setsockopt of %d", n), syscall.SYS_SETSOCKOPT, fd, 1, 2, at(b), uintptr(n))
			w.do(fmt.Sprintf("setsockopt null of %d", n), syscall.SYS_SETSOCKOPT, fd, 1, 2, 0, uintptr(n))
			w.do(fmt.Sprintf("getsockopt of %d", n), syscall.SYS_GETSOCKOPT, fd, 1, 2, at(b), at(w.bytes(i32(n))))
			w.do(fmt.Sprintf("getsockopt null of %d", n), syscall.SYS_GETSOCKOPT, fd, 1, 2, 0, at(w.bytes(i32(n))))
			w.do(fmt.Sprintf("getsockopt IP null of %d", n), syscall.SYS_GETSOCKOPT, fd, 0, 2, 0, at(w.bytes(i32(n))))
		}
		w.do("getsockopt without length", syscall.SYS_GETSOCKOPT, fd, 1, 2, at(b), 0)
		for _, level := range []int{-1, 2, 3, 6, 17, 41, 58, 136, 254, 255, 263, 270, 999} {
			w.setsockopt(fd, level, 1, i32(0))
			w.getsockopt(fd, level, 1, 4)
		}
	})
}

func TestCalls_manyMessages(t *testing.T) {
	compare(t, func(w *world) {
		a, b := w.udp(), w.udp()
		w.bind(a, sa4(lo4, 4000))
		w.bind(b, sa4(lo4, 4001))
		w.do("nonblock", syscall.SYS_FCNTL, b, syscall.F_SETFL, syscall.O_NONBLOCK)
		vec := func(n, size int, name bool) []byte {
			v := w.mem(64 * n)
			for i := range n {
				var sa []byte
				if name {
					sa = sa4(lo4, 4001)
				}
				data := make([]byte, size)
				for j := range data {
					data[j] = byte('a' + i)
				}
				copy(v[64*i:], w.msghdr(data, sa, nil))
			}
			return v
		}
		lens := func(v []byte) {
			s := ""
			for i := 0; i < len(v); i += 64 {
				s += fmt.Sprintf(" %d/%#x", binary.NativeEndian.Uint32(v[i+56:]), binary.NativeEndian.Uint32(v[i+48:])&^0x40000000)
			}
			w.note("lengths%s", s)
		}
		do := func(what string, nr, fd uintptr, v []byte, n, flags, timeout uintptr) {
			w.do(what, nr, fd, at(v), n, flags, timeout)
			w.settle()
			lens(v)
		}
		do("sendmmsg", unix.SYS_SENDMMSG, a, vec(3, 5, true), 3, 0, 0)
		do("sendmmsg of 0", unix.SYS_SENDMMSG, a, vec(3, 5, true), 0, 0, 0)
		v := vec(4, 5, true)
		clear(v[64*2 : 64*2+8]) // the third has nobody to go to
		do("sendmmsg, third wrong", unix.SYS_SENDMMSG, a, v, 4, 0, 0)
		do("sendmmsg, first wrong", unix.SYS_SENDMMSG, a, v[128:], 2, 0, 0)
		do("sendmmsg, none there", unix.SYS_SENDMMSG, a, nil, 2, 0, 0)
		do("recvmmsg of 2", syscall.SYS_RECVMMSG, b, vec(2, 9, false), 2, syscall.MSG_DONTWAIT, 0)
		do("recvmmsg of 5", syscall.SYS_RECVMMSG, b, vec(5, 3, false), 5, syscall.MSG_DONTWAIT, 0)
		do("recvmmsg empty", syscall.SYS_RECVMMSG, b, vec(5, 3, false), 5, syscall.MSG_DONTWAIT, 0)
		do("sendmmsg", unix.SYS_SENDMMSG, a, vec(3, 5, true), 3, 0, 0)
		do("recvmmsg wait for one", syscall.SYS_RECVMMSG, b, vec(5, 9, false), 5, 0x10000, 0)
		ts := func(sec, nsec int64) uintptr {
			p := w.mem(16)
			binary.NativeEndian.PutUint64(p, uint64(sec))
			binary.NativeEndian.PutUint64(p[8:], uint64(nsec))
			return at(p)
		}
		do("sendmmsg", unix.SYS_SENDMMSG, a, vec(3, 5, true), 3, 0, 0)
		do("recvmmsg timeout 0", syscall.SYS_RECVMMSG, b, vec(5, 9, false), 5, syscall.MSG_DONTWAIT, ts(0, 0))
		do("recvmmsg timeout bad", syscall.SYS_RECVMMSG, b, vec(5, 9, false), 5, syscall.MSG_DONTWAIT, ts(0, 1e9))
		do("recvmmsg timeout -1", syscall.SYS_RECVMMSG, b, vec(5, 9, false), 5, syscall.MSG_DONTWAIT, ts(-1, 0))
		do("recvmmsg rest", syscall.SYS_RECVMMSG, b, vec(5, 9, false), 5, syscall.MSG_DONTWAIT, ts(9, 0))
		// An error behind a message is told by the next call.
		w.send(a, []byte("x"), sa4(lo4, 4001), nil, 0)
		w.send(a, []byte("x"), sa4(lo4, 4001), nil, 0)
		v = vec(2, 9, false)
		binary.NativeEndian.PutUint64(v[64+24:], 5000)
		do("recvmmsg, second wrong", syscall.SYS_RECVMMSG, b, v, 2, syscall.MSG_DONTWAIT, 0)
		w.getsockopt(b, 1, syscall.SO_ERROR, 4)
		w.recv(b, 9, 0, 0)
		w.recv(b, 9, 0, 0)
		w.do("recvmmsg cmsg compat", syscall.SYS_RECVMMSG, b, at(v), 1, 1<<31)
		w.do("sendmmsg cmsg compat", unix.SYS_SENDMMSG, b, at(v), 1, 1<<31)
		// Vectors.
		iov := func(sizes ...int) (uintptr, []byte) {
			p, data := w.mem(16*len(sizes)), w.mem(100)
			off := 0
			for i, n := range sizes {
				binary.NativeEndian.PutUint64(p[16*i:], uint64(at(data[off:])))
				binary.NativeEndian.PutUint64(p[16*i+8:], uint64(n))
				off += n
			}
			return at(p), data
		}
		w.connect(a, sa4(lo4, 4001))
		p, data := iov(3, 0, 4)
		copy(data, "gathered")
		w.do("writev", syscall.SYS_WRITEV, a, p, 3)
		w.settle()
		p, data = iov(2, 1, 0, 9)
		w.do("readv", syscall.SYS_READV, b, p, 4)
		w.note("%q", data)
		w.do("write", syscall.SYS_WRITE, a, at(data), 5)
		w.do("write of nothing", syscall.SYS_WRITE, a, at(data), 0)
		w.settle()
		for range 3 {
			w.recv(b, 9, 0, 0)
		}
		w.do("preadv2 at -1", unix.SYS_PREADV2, b, p, 4, ^uintptr(0), ^uintptr(0), 0)
		w.do("pwritev2 at -1", unix.SYS_PWRITEV2, a, p, 4, ^uintptr(0), ^uintptr(0), 0)
		w.do("preadv2 unknown flag", unix.SYS_PREADV2, b, p, 4, ^uintptr(0), ^uintptr(0), 0x1000)
	})
}

func TestCalls_timeouts(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		w.bind(fd, sa4(lo4, 4001))
		b := w.mem(64)
		timed := func(what string, from, to time.Duration, nr uintptr, a ...uintptr) {
			start := time.Now()
			r, e := w.sys(nr, a...)
			d := time.Since(start)
			w.note("%s = %d %s, in time %v", what, int(r), errName(e), d >= from && d < to)
		}
		tv := w.mem(16)
		binary.NativeEndian.PutUint64(tv[8:], 20000)
		w.setsockopt(fd, 1, syscall.SO_RCVTIMEO, tv)
		w.setsockopt(fd, 1, syscall.SO_SNDTIMEO, tv)
		timed("recv", 19*time.Millisecond, time.Second, syscall.SYS_RECVFROM, fd, at(b), 9, 0, 0, 0)
		timed("recv dontwait", 0, 15*time.Millisecond, syscall.SYS_RECVFROM, fd, at(b), 9, syscall.MSG_DONTWAIT, 0, 0)
		timed("read", 19*time.Millisecond, time.Second, syscall.SYS_READ, fd, at(b), 9)
		vec := w.bytes(w.msghdr(make([]byte, 9), nil, nil))
		vec = append(vec, make([]byte, 8)...)
		vec = w.bytes(vec)
		timed("recvmmsg", 19*time.Millisecond, time.Second, syscall.SYS_RECVMMSG, fd, at(vec), 1, 0, 0)
		p := w.mem(8)
		binary.NativeEndian.PutUint32(p, uint32(fd))
		p[4] = 1
		timed("poll", 19*time.Millisecond, time.Second, syscall.SYS_POLL, at(p), 1, 20)
		timed("poll nothing", 19*time.Millisecond, time.Second, syscall.SYS_POLL, 0, 0, 20)
		ts := w.mem(16)
		binary.NativeEndian.PutUint64(ts[8:], 20e6)
		timed("ppoll", 19*time.Millisecond, time.Second, syscall.SYS_PPOLL, at(p), 1, at(ts), 0, 8)
		w.note("left %v", ts)
		ep := w.open("epoll", syscall.SYS_EPOLL_CREATE1, 0)
		timed("epoll_wait", 19*time.Millisecond, time.Second, syscall.SYS_EPOLL_WAIT, ep, at(b), 1, 20)
		binary.NativeEndian.PutUint64(ts[8:], 20e6)
		timed("epoll_pwait2", 19*time.Millisecond, time.Second, unix.SYS_EPOLL_PWAIT2, ep, at(b), 1, at(ts), 0, 8)
		set := w.mem(128 * 2)
		set[fd/8] |= 1 << (fd % 8)
		binary.NativeEndian.PutUint64(tv, 0)
		binary.NativeEndian.PutUint64(tv[8:], 20000)
		timed("select", 19*time.Millisecond, time.Second, syscall.SYS_SELECT, 1024, at(set), 0, 0, at(tv))
		w.note("left %v set %v", tv, set[fd/8])
		set[fd/8] |= 1 << (fd % 8)
		binary.NativeEndian.PutUint64(ts, 0)
		binary.NativeEndian.PutUint64(ts[8:], 20e6)
		timed("pselect6", 19*time.Millisecond, time.Second, syscall.SYS_PSELECT6, 1024, at(set), 0, 0, at(ts), 0)
		w.note("left %v set %v", ts, set[fd/8])
	})
}
