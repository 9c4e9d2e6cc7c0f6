package abitest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// epoll is one instance whose events are told apart by a letter.
type epoll struct {
	*world
	fd uintptr
}

func (w *world) epoll() *epoll {
	return &epoll{w, w.open("epoll_create1", syscall.SYS_EPOLL_CREATE1, syscall.EPOLL_CLOEXEC)}
}

func (e *epoll) ctl(op int, fd uintptr, events uint32, name byte) {
	ev := e.mem(12)
	binary.NativeEndian.PutUint32(ev, events)
	ev[4] = name
	e.do(fmt.Sprintf("epoll_ctl %d %c %#x", op, name, events), syscall.SYS_EPOLL_CTL, e.fd, uintptr(op), fd, at(ev))
}

// wait notes what is ready, sorted: Linux's order is that of becoming so, ours
// too, but not where one packet makes several so.
func (e *epoll) wait(what string, n int) {
	e.settle()
	ev := e.mem(12 * n)
	r, errno := e.sys(syscall.SYS_EPOLL_WAIT, e.fd, at(ev), uintptr(n), 0)
	var list []string
	for i := range int(max(int(r), 0)) {
		list = append(list, fmt.Sprintf("%c:%#x", ev[12*i+4], binary.NativeEndian.Uint32(ev[12*i:])))
	}
	slices.Sort(list)
	e.note("epoll_wait %s = %d %s %v", what, int(r), errName(errno), list)
}

const (
	epET, epOneshot, epExclusive, epWakeup = 1 << 31, 1 << 30, 1 << 28, 1 << 29

	add, del, mod = 1, 2, 3
)

func TestEpoll_ofSockets(t *testing.T) {
	compare(t, func(w *world) {
		a, b, c := w.udp(), w.udp(), w.udp()
		to := sa4(lo4, 4001)
		w.bind(a, sa4(lo4, 4000))
		w.bind(b, to)
		e := w.epoll()
		const all = 0x27ff
		e.ctl(add, b, all, 'b')
		e.wait("fresh", 9)
		e.wait("level again", 9)
		w.send(a, []byte("x"), to, nil, 0)
		e.wait("readable", 9)
		e.ctl(mod, b, 1, 'B')
		e.wait("readable only", 9)
		w.recv(b, 9, 0, 0)
		e.wait("drained", 9)
		// Edges.
		e.ctl(mod, b, 1|epET, 'e')
		e.wait("edge, none", 9)
		w.send(a, []byte("x"), to, nil, 0)
		e.wait("edge", 9)
		e.wait("edge gone", 9)
		w.send(a, []byte("y"), to, nil, 0)
		e.wait("second edge without reading", 9)
		w.recv(b, 9, 0, 0)
		e.wait("read one of two", 9)
		e.ctl(mod, b, 1|epET, 'e')
		e.wait("armed again while ready", 9)
		w.recv(b, 9, 0, 0)
		e.wait("drained", 9)
		// Once.
		e.ctl(mod, b, 1|epOneshot, 'o')
		w.send(a, []byte("x"), to, nil, 0)
		e.wait("oneshot", 9)
		w.send(a, []byte("x"), to, nil, 0)
		e.wait("oneshot gone", 9)
		e.ctl(mod, b, 1|epOneshot, 'o')
		e.wait("oneshot again", 9)
		e.ctl(mod, b, 0, 'z')
		e.wait("no events wanted", 9)
		w.do("shutdown", syscall.SYS_SHUTDOWN, b, 2)
		e.wait("no events wanted, hung up", 9)
		e.ctl(mod, b, 0x2001, 'h')
		e.wait("hung up", 9)
		e.ctl(mod, b, 0x2000|epET, 'h')
		e.wait("hung up, edge", 9)
		e.wait("hung up, edge", 9)
		e.ctl(del, b, 0, 'b')
		e.wait("removed", 9)
		// Errors.
		e.ctl(add, c, 1, 'c')
		w.connect(c, sa4(lo4, 4009))
		w.send(c, []byte("nobody"), nil, nil, 0)
		e.wait("refused", 9)
		e.wait("refused again", 9)
		w.recv(c, 9, 0, 0)
		e.wait("told", 9)
		w.on(c, 0, syscall.IP_RECVERR)
		w.send(c, []byte("nobody"), nil, nil, 0)
		e.wait("error queue", 9)
		w.getsockopt(c, 1, syscall.SO_ERROR, 4)
		e.wait("error queue, error taken", 9)
		w.poll("error queue", 0x3fff, c)
		w.on(c, 1, 45)
		w.poll("with SO_SELECT_ERR_QUEUE", 0x3fff, c)
		w.recv(c, 9, 99, syscall.MSG_ERRQUEUE)
		e.wait("error queue empty", 9)
		// More ready than room.
		d := []uintptr{w.udp(), w.udp(), w.udp()}
		for i, fd := range d {
			e.ctl(add, fd, 4, byte('0'+i))
		}
		e.wait("room for 2", 2)
		e.wait("room for 9", 9)
		w.close(d[1])
		e.wait("one closed", 9)
		dup := w.open("dup", syscall.SYS_DUP, d[0])
		w.close(d[0])
		e.wait("closed with a copy", 9)
		w.close(dup)
		e.wait("copy closed", 9)
	})
}

func TestEpoll_errors(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		b := w.mem(1024)
		e := w.epoll()
		const cwd = ^uintptr(99) // AT_FDCWD
		dir := w.open("open", syscall.SYS_OPENAT, cwd, at(w.bytes([]byte("/\x00"))), 0)
		null := w.open("open", syscall.SYS_OPENAT, cwd, at(w.bytes([]byte("/dev/null\x00"))), 2)
		e.ctl(add, dir, 1, 'd')
		e.ctl(add, null, 1, 'n')
		e.ctl(add, badFd, 1, 'x')
		e.ctl(add, e.fd, 1, 'e')
		for _, op := range []int{-1, 0, 4, 9} {
			e.ctl(op, fd, 1, 'u')
		}
		e.ctl(mod, fd, 1, 'u')
		e.ctl(del, fd, 1, 'u')
		e.ctl(add, fd, 1, 'u')
		e.ctl(add, fd, 1, 'u')
		w.do("epoll_ctl null", syscall.SYS_EPOLL_CTL, e.fd, add, fd, 0)
		w.do("epoll_ctl del null", syscall.SYS_EPOLL_CTL, e.fd, del, fd, 0)
		w.do("epoll_ctl on a socket", syscall.SYS_EPOLL_CTL, fd, add, e.fd, at(b))
		w.do("epoll_ctl bad", syscall.SYS_EPOLL_CTL, badFd, add, fd, at(b))
		// Exclusive.
		for _, ev := range []uint32{epExclusive, epExclusive | 1, epExclusive | 1 | epOneshot, epExclusive | 0x2000, epExclusive | 2, epExclusive | 1 | epET, epExclusive | 0x1f, epExclusive | epWakeup | 4, epExclusive | 0x40} {
			e.ctl(add, fd, ev, 'u')
			e.ctl(mod, fd, ev, 'u')
			e.ctl(mod, fd, 1, 'u')
			e.ctl(del, fd, 0, 'u')
		}
		// Nesting.
		var chain []*epoll
		for range 8 {
			chain = append(chain, w.epoll())
		}
		chain[0].ctl(add, fd, 4, 'u')
		for i := 1; i < len(chain); i++ {
			chain[i].ctl(add, chain[i-1].fd, 1, byte('0'+i))
		}
		for i, c := range chain {
			c.wait(fmt.Sprint("chain ", i), 9)
			w.poll("chain", 0x3fff, c.fd)
		}
		chain[0].ctl(add, chain[1].fd, 1, 'r')
		chain[0].ctl(add, chain[4].fd, 1, 'r')
		chain[2].ctl(add, e.fd, 1|epExclusive, 'x')
		chain[2].ctl(add, e.fd, 1, 'x')
		chain[2].ctl(mod, e.fd, 5, 'x')
		chain[2].ctl(del, e.fd, 1, 'x')
		chain[1].ctl(del, chain[0].fd, 0, 'r')
		chain[0].ctl(add, chain[1].fd, 1, 'r')
		chain[1].ctl(add, chain[0].fd, 1, 'r')
		for _, c := range chain {
			w.close(c.fd)
		}
		// The other calls.
		for _, fl := range []uintptr{1, 0x800, 0x80000 | 1, 1 << 31} {
			w.do(fmt.Sprintf("epoll_create1 %#x", fl), syscall.SYS_EPOLL_CREATE1, fl)
		}
		w.do("epoll_create 0", syscall.SYS_EPOLL_CREATE, 0)
		w.do("epoll_create -1", syscall.SYS_EPOLL_CREATE, ^uintptr(0))
		for _, n := range []uintptr{0, ^uintptr(0), 1 << 31, 178956970, 178956971} {
			w.do(fmt.Sprint("epoll_wait of ", int(n)), syscall.SYS_EPOLL_WAIT, e.fd, at(b), n, 0)
		}
		e.ctl(add, fd, 4, 'u')
		w.do("epoll_wait null, ready", syscall.SYS_EPOLL_WAIT, e.fd, 0, 1, 0)
		e.wait("after that", 9)
		w.do("epoll_wait on a socket", syscall.SYS_EPOLL_WAIT, fd, at(b), 1, 0)
		w.do("epoll_wait bad", syscall.SYS_EPOLL_WAIT, badFd, at(b), 1, 0)
		w.do("epoll_pwait", syscall.SYS_EPOLL_PWAIT, e.fd, at(b), 1, 0, 0, 0)
		w.do("epoll_pwait mask", syscall.SYS_EPOLL_PWAIT, e.fd, at(b), 1, 0, at(b), 8)
		w.do("epoll_pwait mask of 7", syscall.SYS_EPOLL_PWAIT, e.fd, at(b), 1, 0, at(b), 7)
		w.do("epoll_pwait2", unix.SYS_EPOLL_PWAIT2, e.fd, at(b), 1, at(w.mem(16)), 0, 0)
		bad := w.mem(16)
		binary.NativeEndian.PutUint64(bad[8:], 1e9)
		w.do("epoll_pwait2 bad time", unix.SYS_EPOLL_PWAIT2, e.fd, at(b), 1, at(bad), 0, 0)
		w.do("epoll_pwait2 mask of 7", unix.SYS_EPOLL_PWAIT2, e.fd, at(b), 1, at(w.mem(16)), at(b), 7)
		w.do("read of epoll", syscall.SYS_READ, e.fd, at(b), 9)
		w.do("write of epoll", syscall.SYS_WRITE, e.fd, at(b), 9)
	})
}

func TestEpoll_ofOtherFiles(t *testing.T) {
	compare(t, func(w *world) {
		e := w.epoll()
		p := w.mem(8)
		w.do("pipe2", syscall.SYS_PIPE2, at(p), syscall.O_NONBLOCK)
		r, wr := uintptr(binary.NativeEndian.Uint32(p)), uintptr(binary.NativeEndian.Uint32(p[4:]))
		ev := w.open("eventfd2", syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK)
		const all = 0x27ff
		e.ctl(add, r, all, 'r')
		e.ctl(add, wr, all, 'w')
		e.ctl(add, ev, all, 'e')
		e.wait("fresh", 9)
		b := w.mem(1 << 17)
		w.do("write", syscall.SYS_WRITE, wr, at(b), 5)
		b[0] = 1
		w.do("write event", syscall.SYS_WRITE, ev, at(b), 8)
		e.wait("written", 9)
		w.do("read", syscall.SYS_READ, r, at(b), 9)
		w.do("read event", syscall.SYS_READ, ev, at(b), 8)
		e.wait("read", 9)
		for i := range 7 {
			b[i] = 0xff
		}
		b[7], b[0] = 0xff, 0xfe
		w.do("event at its most", syscall.SYS_WRITE, ev, at(b), 8)
		w.do("fill", syscall.SYS_WRITE, wr, at(b), 1<<17)
		e.wait("full", 9)
		w.poll("full", all, r, wr, ev)
		w.do("read a page", syscall.SYS_READ, r, at(b), 4096)
		e.wait("a page less", 9)
		w.do("close reader", syscall.SYS_CLOSE, r)
		e.wait("reader gone", 9)
		w.poll("reader gone", all, wr)
		w.do("close writer", syscall.SYS_CLOSE, wr)
		e.wait("both gone", 9)
	})
}

func TestPoll_tables(t *testing.T) {
	compare(t, func(w *world) {
		fd, a := w.udp(), w.udp()
		w.bind(fd, sa4(lo4, 4001))
		w.poll("one", 0x3fff, fd)
		w.poll("nothing wanted", 0, fd)
		w.poll("pri", 2, fd)
		w.poll("with gaps", 1, ^uintptr(0), fd, badFd, ^uintptr(1)+1)
		w.poll("twice", 5, fd, fd)
		w.send(a, []byte("x"), sa4(lo4, 4001), nil, 0)
		w.poll("readable", 0x3fff, fd, a)
		w.do("shutdown rd", syscall.SYS_SHUTDOWN, fd, 0)
		w.poll("shut for reading", 0x3fff, fd)
		w.connect(fd, sa4(lo4, 4002))
		w.do("shutdown rd", syscall.SYS_SHUTDOWN, fd, 0)
		w.poll("shut for reading", 0x3fff, fd)
		w.do("shutdown wr", syscall.SYS_SHUTDOWN, fd, 1)
		w.poll("shut", 0x3fff, fd)
		w.poll("shut, nothing wanted", 0, fd)
		b := w.mem(128)
		w.do("poll null", syscall.SYS_POLL, 0, 1, 0)
		w.do("poll of none", syscall.SYS_POLL, 0, 0, 0)
		w.do("poll of too many", syscall.SYS_POLL, at(b), 1<<31, 0)
		w.do("ppoll", syscall.SYS_PPOLL, at(b), 0, at(w.mem(16)), 0, 0)
		w.do("ppoll mask of 7", syscall.SYS_PPOLL, at(b), 0, at(w.mem(16)), at(b), 7)
		w.do("ppoll mask", syscall.SYS_PPOLL, at(b), 0, at(w.mem(16)), at(b), 8)
		w.do("ppoll null time", syscall.SYS_PPOLL, at(b), 0, 8, 0, 0)
		for _, ts := range [][2]int64{{-1, 0}, {0, -1}, {0, 1e9}, {0, 999999999}} {
			p := w.mem(16)
			binary.NativeEndian.PutUint64(p, uint64(ts[0]))
			binary.NativeEndian.PutUint64(p[8:], uint64(ts[1]))
			if ts[1] != 999999999 {
				w.do(fmt.Sprint("ppoll ", ts), syscall.SYS_PPOLL, at(b), 0, at(p), 0, 0)
				w.do(fmt.Sprint("pselect6 ", ts), syscall.SYS_PSELECT6, 0, 0, 0, 0, at(p), 0)
			}
			if ts[0] < 0 || ts[1] < 0 {
				w.do(fmt.Sprint("select ", ts), syscall.SYS_SELECT, 0, 0, 0, 0, at(p))
			}
		}
		w.do("select of -1", syscall.SYS_SELECT, ^uintptr(0), 0, 0, 0, at(w.mem(16)))
		sel := func(what string, nr uintptr, n uintptr, in, out, ex []uintptr, more ...uintptr) {
			sets := [3][]byte{}
			var addr [3]uintptr
			for i, l := range [][]uintptr{in, out, ex} {
				if l == nil {
					continue
				}
				sets[i] = w.mem(2048)
				for _, f := range l {
					sets[i][f/8] |= 1 << (f % 8)
				}
				addr[i] = at(sets[i])
			}
			v := append([]uintptr{n, addr[0], addr[1], addr[2], at(w.mem(16))}, more...)
			w.do(what, nr, v...)
			s := ""
			for i, l := range [][]uintptr{in, out, ex} {
				for _, f := range l {
					s += fmt.Sprint(" ", sets[i][f/8]&(1<<(f%8)) != 0)
				}
				s += ";"
			}
			w.note("sets%s", s)
		}
		all := []uintptr{fd, a}
		for _, nr := range []uintptr{syscall.SYS_SELECT, syscall.SYS_PSELECT6} {
			sel("select", nr, 1024, all, all, all)
			sel("select in", nr, 1024, all, nil, nil)
			sel("select too few", nr, fd, all, all, nil)
			sel("select bad", nr, 1024, []uintptr{300}, nil, nil)
			sel("select beyond the table", nr, 1<<20, all, nil, nil)
		}
		m := w.mem(16)
		binary.NativeEndian.PutUint64(m, uint64(at(b)))
		for _, n := range []uint64{0, 7, 8, 9} {
			binary.NativeEndian.PutUint64(m[8:], n)
			w.do(fmt.Sprint("pselect6 mask of ", n), syscall.SYS_PSELECT6, 0, 0, 0, 0, at(w.mem(16)), at(m))
		}
		w.do("pselect6 wild mask", syscall.SYS_PSELECT6, 0, 0, 0, 0, at(w.mem(16)), 8)
	})
}
