package run_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"barewire/qemu/packetdrill/run"
)

// optCase is one option of one socket and what was done with it.
type optCase struct {
	state       string
	level, name int
	op          string
}

// optSweep sets and gets every option number and returns what came of it.
func optSweep(t *testing.T, make1 run.Maker) map[optCase]string {
	t.Helper()
	c, err := run.NewConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := make1(c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	out := map[optCase]string{}
	err = k.Run(func() {
		if err := k.Command("ip link set dev lo up\n./defaults.sh", "../testdata/tcp"); err != nil {
			t.Error(err)
			return
		}
		s := &sweep{k: k, out: out}
		for _, state := range []string{"fresh", "listening", "connected"} {
			for _, level := range []int{syscall.SOL_SOCKET, syscall.SOL_TCP, syscall.SOL_IP} {
				for name := range 92 {
					s.option(optCase{state: state, level: level, name: name})
				}
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

type sweep struct {
	k   run.Kernel
	out map[optCase]string
}

func (s *sweep) call(num uintptr, a ...uintptr) (uintptr, syscall.Errno) {
	var p [6]uintptr
	copy(p[:], a)
	return s.k.Syscall(num, p)
}

// sockets makes a socket in a state; all are to be closed.
func (s *sweep) sockets(state string) (fds []uintptr) {
	open := func() uintptr {
		fd, _ := s.call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM, 0)
		fds = append(fds, fd)
		return fd
	}
	l := open()
	if state == "fresh" {
		return fds
	}
	sa := make([]byte, 16)
	binary.NativeEndian.PutUint16(sa, syscall.AF_INET)
	copy(sa[4:], []byte{127, 0, 0, 1})
	n := uint32(16)
	p := uintptr(unsafe.Pointer(&sa[0]))
	s.call(syscall.SYS_BIND, l, p, 16)
	s.call(syscall.SYS_LISTEN, l, 5)
	if state == "connected" {
		s.call(syscall.SYS_GETSOCKNAME, l, p, uintptr(unsafe.Pointer(&n)))
		s.call(syscall.SYS_CONNECT, open(), p, 16)
	}
	runtime.KeepAlive(sa)
	return fds
}

func (s *sweep) get(fd uintptr, c optCase, size uint32) string {
	b := make([]byte, 512)
	n := size
	_, e := s.call(syscall.SYS_GETSOCKOPT, fd, uintptr(c.level), uintptr(c.name), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)))
	if e != 0 {
		return e.Error()
	}
	return fmt.Sprintf("%d bytes, %d", n, int32(binary.NativeEndian.Uint32(b)))
}

func (s *sweep) option(c optCase) {
	fds := s.sockets(c.state)
	fd := fds[len(fds)-1]
	note := func(op, what string) {
		c.op = op
		s.out[c] = what
	}
	for _, size := range []uint32{0, 1, 4, 64} {
		note(fmt.Sprintf("get %d", size), s.get(fd, c, size))
	}
	for _, v := range []int32{-1, 0, 1, 2, 3, 200, 70000, 1<<31 - 1} {
		for _, size := range []int{1, 4, 16} {
			b := make([]byte, 16)
			binary.NativeEndian.PutUint32(b, uint32(v))
			_, e := s.call(syscall.SYS_SETSOCKOPT, fd, uintptr(c.level), uintptr(c.name), uintptr(unsafe.Pointer(&b[0])), uintptr(size))
			what := "ok"
			if e != 0 {
				what = e.Error()
			}
			note(fmt.Sprintf("set %d of %d bytes", v, size), what+", then "+s.get(fd, c, 4))
		}
	}
	for _, fd := range fds {
		s.call(syscall.SYS_CLOSE, fd)
	}
}

// otherOpts are the options that say something else on every host, and those
// that belong to what this stack does not have; by level. read-only.
var otherOpts = map[int]map[int]string{
	syscall.SOL_SOCKET: {28: "the peer's name", 49: "the CPU", 50: "programs of eBPF", 52: "programs of eBPF", 57: "a cookie"},
	syscall.SOL_TCP:    {24: "a clock", 33: "a key, made when it is first needed", 45: "in ticks of the kernel", 46: "in ticks of the kernel"},
	syscall.SOL_IP: {16: "IPsec", 17: "IPsec", 18: "labels", 52: "random", 64: "netfilter", 65: "netfilter", 66: "netfilter", 67: "netfilter",
		80: "netfilter", 83: "netfilter"},
}

func TestSockopts_everyNumber_sameAsLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	want, got := optSweep(t, run.NewLinux), optSweep(t, run.NewBarewire)
	for c, w := range want {
		if _, other := otherOpts[c.level][c.name]; other {
			continue
		}
		if g := got[c]; g != w {
			t.Errorf("%s socket, level %d, option %d, %s: %s, Linux: %s", c.state, c.level, c.name, c.op, g, w)
		}
	}
}
