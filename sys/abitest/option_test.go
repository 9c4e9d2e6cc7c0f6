package abitest

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// values are what every option is tried with.
var values = [][]byte{ // read-only
	nil, {1}, {0, 1}, {1, 2, 3}, i32(0), i32(1), i32(-1), i32(2), i32(5), i32(255), i32(256), i32(4096), i32(1 << 20), i32(1 << 30), i32(-1 << 31),
	append(i32(1), i32(7)...), append(i32(3), i32(0)...), make([]byte, 16), append(i32(9), make([]byte, 12)...),
}

// options tries names of a level with all values, and asks for each with
// buffers of several sizes.
func (w *world) options(fd uintptr, level, from, to int, without ...int) {
	for name := from; name <= to; name++ {
		if slices.Contains(without, name) {
			continue
		}
		w.getsockopt(fd, level, name, 4)
		for _, v := range values {
			w.setsockopt(fd, level, name, v)
			w.getsockopt(fd, level, name, 4)
		}
		for _, n := range []int{0, 1, 2, 3, 5, 8, 12, 16, 24, 40} {
			w.getsockopt(fd, level, name, n)
		}
	}
}

// socketOptions that are left out: error and debugging aids, credentials and
// security labels of local sockets, BPF objects by descriptor, memory in use
// (it differs), zero copy and what only streams have.
var notSocketOptions = []int{ // read-only
	1,              // SO_DEBUG: root may
	16,             // SO_PASSCRED
	17,             // SO_PEERCRED
	22,             // security
	23,             // security
	24,             // security
	26,             // attach filter: tested apart
	30,             // SO_ACCEPTCONN
	31,             // SO_PEERSEC
	34,             // SO_PASSSEC
	41,             // SO_WIFI_STATUS
	43,             // SO_NOFCS
	50,             // SO_ATTACH_BPF
	51,             // SO_ATTACH_REUSEPORT_CBPF: tested apart
	52,             // SO_ATTACH_REUSEPORT_EBPF
	55,             // SO_MEMINFO: tested apart
	56,             // SO_INCOMING_NAPI_ID
	57,             // SO_COOKIE
	59,             // SO_PEERGROUPS
	60,             // SO_ZEROCOPY
	71,             // SO_NETNS_COOKIE
	76,             // SO_PASSPIDFD
	77,             // SO_PEERPIDFD
	78, 79, 80, 81, // device memory
	84, // SO_INQ
}

func TestOptions_ofSocketLevel(t *testing.T) {
	eachKind(t, func(w *world, open func() uintptr, name string) {
		for o := 2; o <= 90; o++ {
			if slices.Contains(notSocketOptions, o) {
				continue
			}
			w.options(open(), syscall.SOL_SOCKET, o, o)
			w.closeAll()
		}
	})
}

func TestOptions_ofProtocols(t *testing.T) {
	eachKind(t, func(w *world, open func() uintptr, name string) {
		switch name {
		case "packet", "packetdgram":
			for _, o := range []int{3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 19, 20, 21, 23, 25, 26, 99} {
				fd := open()
				w.options(fd, 263, o, o)
				w.close(fd)
			}
			w.options(open(), 0, 1, 3)
			return
		case "netlink":
			return // another room's
		}
		for o := 0; o <= 60; o++ {
			switch o {
			case 4, // IP_OPTIONS: tested apart
				9,          // IP_PKTOPTIONS: of streams
				16, 17, 18, // policies and security labels of IPsec
				35, 36, // memberships: tested apart
				37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48: // as those
				continue
			}
			w.options(open(), syscall.SOL_IP, o, o)
			w.closeAll()
		}
		for _, level := range []int{17, 136} {
			for _, o := range []int{0, 1, 2, 10, 11, 99, 101, 102} {
				w.options(open(), level, o, o)
				w.closeAll()
			}
		}
		for o := range 3 {
			w.options(open(), 255, o, o)
			w.closeAll()
		}
	})
}

func TestOptions_thatNeedMore(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		name := func(s string) []byte { return append([]byte(s), 0) }
		for _, v := range [][]byte{name("v0"), []byte("v0"), name("lo"), name("nobody"), name(""), nil, name("a name that is far too long"), []byte("v0\x00junk"), name("v1")} {
			w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, v)
			for _, n := range []int{0, 1, 2, 3, 15, 16, 17, 40} {
				w.getsockopt(fd, 1, syscall.SO_BINDTODEVICE, n)
			}
			w.getsockopt(fd, 1, 62, 4)
		}
		for _, i := range []int{0, 1, 2, 3, 4, 99, -1} {
			w.setsockopt(fd, 1, 62, i32(i))
			w.getsockopt(fd, 1, syscall.SO_BINDTODEVICE, 16)
		}
		w.setsockopt(fd, 1, 62, i32(0))
		// Devices for one destination or for groups.
		be := func(i int) []byte { return []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)} }
		for _, i := range []int{0, 1, 2, 3, 4, 99, -1} {
			w.setsockopt(fd, 0, 50, be(i))
			w.getsockopt(fd, 0, 50, 4)
			w.setsockopt(fd, 0, 32, append(make([]byte, 8), i32(i)...))
			w.getsockopt(fd, 0, 32, 4)
			w.getsockopt(fd, 0, 32, 12)
		}
		w.setsockopt(fd, 0, 32, addr0[:])
		w.getsockopt(fd, 0, 32, 4)
		w.setsockopt(fd, 0, 32, []byte{9, 9, 9, 9})
		w.setsockopt(fd, 0, 32, append(make([]byte, 4), addr0[:]...))
		w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, name("v0"))
		for _, i := range []int{0, 1, 2, 3} {
			w.setsockopt(fd, 0, 50, be(i))
			w.setsockopt(fd, 0, 32, append(make([]byte, 8), i32(i)...))
		}
		// IP options.
		u := w.udp()
		for _, v := range [][]byte{nil, {0}, {1}, {1, 1, 1, 0}, {7, 7, 4, 0, 0, 0, 0}, {7, 7, 4, 0, 0, 0, 0, 0}, {7, 3, 4}, {7, 2}, {7}, {131, 7, 4, 192, 0, 2, 9}, {131, 7, 4, 127, 0, 0, 1},
			{137, 7, 4, 192, 0, 2, 9}, {131, 7, 8, 192, 0, 2, 9}, {68, 8, 5, 0, 0, 0, 0, 0}, {68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0}, {68, 12, 5, 3, 192, 0, 2, 1, 0, 0, 0, 0},
			{148, 4, 0, 0}, {148, 4, 0, 1}, {99, 4, 1, 2}, {134, 6, 0, 0, 0, 1}, {130, 4, 0, 0}, make([]byte, 40), make([]byte, 41), make([]byte, 44)} {
			w.setsockopt(u, 0, syscall.IP_OPTIONS, v)
			for _, n := range []int{0, 1, 4, 8, 40, 44} {
				w.getsockopt(u, 0, syscall.IP_OPTIONS, n)
			}
		}
		// A path's MTU.
		c := w.udp()
		w.getsockopt(c, 0, 14, 4)
		w.connect(c, sa4([4]byte{192, 0, 2, 9}, 9))
		w.getsockopt(c, 0, 14, 4)
		w.getsockopt(c, 0, 14, 1)
		w.connect(c, sa4(lo4, 9))
		w.getsockopt(c, 0, 14, 4)
		// What a program may ask about memory.
		m := w.getsockopt(c, 1, 55, 0)
		for _, n := range []int{4, 8, 36, 40} {
			b, l, e := w.getopt(c, 1, 55, n)
			w.note("SO_MEMINFO of %d: %d %s %x", n, l, errName(e), b[4:min(8, n)])
		}
		_ = m
		for _, n := range []int{0, 4, 7, 8, 16} {
			_, l, e := w.getopt(c, 1, 57, n)
			w.note("SO_COOKIE of %d: %d %s", n, l, errName(e))
		}
		x, _, _ := w.getopt(c, 1, 57, 8)
		y, _, _ := w.getopt(fd, 1, 57, 8)
		z, _, _ := w.getopt(c, 1, 57, 8)
		w.note("cookies %v %v", slices.Equal(x, y), slices.Equal(x, z))
		for _, o := range []int{syscall.SO_ERROR, syscall.SO_ACCEPTCONN, syscall.SO_TYPE, 38, 39} {
			w.setsockopt(c, 1, o, i32(1))
			for _, n := range []int{0, 1, 4, 8} {
				w.getsockopt(c, 1, o, n)
			}
		}
	})
}

func TestOptions_bufferSizes(t *testing.T) {
	compare(t, func(w *world) {
		for _, o := range []struct{ plain, force int }{{7, 32}, {8, 33}} {
			for _, name := range []int{o.plain, o.force} {
				for _, v := range []int{0, 1, 1000, 1152, 1153, 2303, 2304, 2305, 4607, 4608, 65536, 106496, 212991, 212992, 212993, 1 << 20, 1 << 29, 1<<30 - 1, 1 << 30, 1<<31 - 1, -1, -2, -1 << 31} {
					fd := w.udp()
					w.setsockopt(fd, 1, name, i32(v))
					w.getsockopt(fd, 1, o.plain, 4)
					w.getsockopt(fd, 1, o.force, 4)
					w.close(fd)
				}
			}
		}
	})
}

// filter is a struct sock_fprog over instructions.
func (w *world) filter(insns ...[8]byte) []byte {
	var code []byte
	for _, i := range insns {
		code = append(code, i[:]...)
	}
	p := make([]byte, 16)
	p[0], p[1] = byte(len(insns)), byte(len(insns)>>8)
	if len(code) > 0 {
		a := at(w.bytes(code))
		for i := range 8 {
			p[8+i] = byte(a >> (8 * i))
		}
	}
	return p
}

func ret(k byte) [8]byte { return [8]byte{6, 0, 0, 0, k} }

func TestOptions_filters(t *testing.T) {
	eachKind(t, func(w *world, open func() uintptr, name string) {
		fd := open()
		attach := func(what string, p []byte) {
			b := w.bytes(p)
			w.do("attach "+what, syscall.SYS_SETSOCKOPT, fd, 1, 26, at(b), uintptr(len(b)))
		}
		w.setsockopt(fd, 1, 27, i32(0))
		w.getsockopt(fd, 1, 26, 0)
		attach("none", w.filter())
		attach("short", w.filter(ret(0))[:15])
		attach("long", append(w.filter(ret(0)), 0))
		attach("null code", append([]byte{1}, make([]byte, 15)...))
		attach("without return", w.filter([8]byte{0}))
		attach("jump out", w.filter([8]byte{5, 0, 0, 0, 9}, ret(0)))
		attach("unknown", w.filter([8]byte{0xff, 0xff}, ret(0)))
		attach("division by zero", w.filter([8]byte{0x34}, ret(0)))
		attach("memory 16", w.filter([8]byte{0x60, 0, 0, 0, 16}, ret(0)))
		attach("memory not stored", w.filter([8]byte{0x60, 0, 0, 0, 1}, ret(0)))
		attach("good", w.filter(ret(9)))
		w.getsockopt(fd, 1, 26, 0)
		w.getsockopt(fd, 1, 26, 1)
		w.getsockopt(fd, 1, 26, 8)
		attach("another", w.filter([8]byte{0, 0, 0, 0, 5}, ret(9)))
		w.getsockopt(fd, 1, 26, 1)
		w.getsockopt(fd, 1, 26, 2)
		w.setsockopt(fd, 1, 44, i32(1))
		attach("locked", w.filter(ret(9)))
		w.setsockopt(fd, 1, 27, i32(0))
		w.setsockopt(fd, 1, 27, nil)
		w.setsockopt(fd, 1, 44, i32(0))
		w.getsockopt(fd, 1, 44, 4)
		f2 := open()
		w.setsockopt(f2, 1, 27, nil)
		w.setsockopt(f2, 1, 27, i32(1))
		w.setsockopt(f2, 1, 44, i32(5))
		w.getsockopt(f2, 1, 44, 4)
		// A group's selector.
		if name == "ping" {
			return // Linux gives it a selector, which nothing asks
		}
		f3, p := open(), w.bytes(w.filter(ret(0)))
		reuse := func(what string) {
			w.do(fmt.Sprint("reuseport program ", what), syscall.SYS_SETSOCKOPT, f3, 1, 51, at(p), 16)
			w.setsockopt(f3, 1, 68, i32(0))
			w.setsockopt(f3, 1, 68, i32(0))
		}
		reuse("alone")
		w.on(f3, 1, 15)
		reuse("with SO_REUSEPORT")
		if name == "udp" {
			w.bind(f3, sa4(lo4, 4001))
			reuse("bound")
			f3 = open()
			w.bind(f3, sa4(lo4, 4002))
			reuse("bound without")
			w.on(f3, 1, 15)
			reuse("bound, then the option")
		}
	})
}
