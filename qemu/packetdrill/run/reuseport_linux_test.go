package run_test

import (
	"encoding/binary"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"barewire/qemu/packetdrill/run"
)

// A selector of SO_ATTACH_REUSEPORT_CBPF gives every connection to the listener
// it names, and to anybody when it names none.
func TestReuseport_selector_choosesTheListener(t *testing.T) {
	kernels(t, func(t *testing.T, _ string, make1 run.Maker) {
		c, err := run.NewConfig(nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := make1(c)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		err = k.Run(func() {
			if err := k.Command("ip link set dev lo up", "/"); err != nil {
				t.Error(err)
				return
			}
			s := &sweep{k: k}
			for _, number := range []uint32{0, 2, 1} {
				if got := s.selected(t, 3, number, 12); got[number] != 12 {
					t.Errorf("selector %d: the listeners got %v", number, got)
				}
			}
			if got := s.selected(t, 3, 7, 48); got[0] == 0 || got[1] == 0 || got[2] == 0 {
				t.Errorf("no such listener: they got %v", got)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// selected makes n listeners with a selector that returns number, connects conns
// times and counts who got them.
func (s *sweep) selected(t *testing.T, n int, number uint32, conns int) []int {
	t.Helper()
	open := func() uintptr {
		fd, _ := s.call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		return fd
	}
	sa := make([]byte, 16)
	binary.NativeEndian.PutUint16(sa, syscall.AF_INET)
	copy(sa[4:], []byte{127, 0, 0, 1})
	addr, one, size := uintptr(unsafe.Pointer(&sa[0])), uint32(1), uint32(16)
	type insn struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	prog := []insn{{code: 6, k: number}} // return number
	fprog := struct {
		n uint16
		p *insn
	}{1, &prog[0]}
	var fds []uintptr
	for range n {
		l := open()
		fds = append(fds, l)
		s.call(syscall.SYS_SETSOCKOPT, l, syscall.SOL_SOCKET, 15, uintptr(unsafe.Pointer(&one)), 4)
		s.call(syscall.SYS_BIND, l, addr, 16)
		s.call(syscall.SYS_LISTEN, l, 100)
		s.call(syscall.SYS_GETSOCKNAME, l, addr, uintptr(unsafe.Pointer(&size)))
	}
	if _, e := s.call(syscall.SYS_SETSOCKOPT, fds[0], syscall.SOL_SOCKET, 51, uintptr(unsafe.Pointer(&fprog)), unsafe.Sizeof(fprog)); e != 0 {
		t.Errorf("SO_ATTACH_REUSEPORT_CBPF: %v", e)
	}
	for range conns {
		c := open()
		fds = append(fds, c)
		s.call(syscall.SYS_CONNECT, c, addr, 16)
	}
	s.k.SleepUntil(s.k.Now() + 1e7)
	got := make([]int, n)
	for i := range n {
		for {
			fd, e := s.call(syscall.SYS_ACCEPT, fds[i], 0, 0)
			if e != 0 {
				break
			}
			got[i]++
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		s.call(syscall.SYS_CLOSE, fd)
	}
	runtime.KeepAlive(prog)
	runtime.KeepAlive(sa)
	return got
}
