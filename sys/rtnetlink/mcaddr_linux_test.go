package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"unsafe"
)

// TestGroups_asLinux joins groups on both kernels, sets links down and up, and
// compares what listeners hear and the lists.
func TestGroups_asLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	run := func(e *end) (out []string) {
		for _, s := range append(slices.Clone(setUp), addAddr("a", "192.0.2.1", 24, "d0")) {
			e.links()
			e.do(s.req(e))
		}
		e.links()
		e.member(37)
		note := func(what string, msgs []syscall.NetlinkMessage) {
			out = append(out, what)
			for _, m := range msgs {
				d := m.Data
				s := fmt.Sprintf("  %d %#x %x %s", m.Header.Type, m.Header.Flags, d[:4], e.devName(binary.NativeEndian.Uint32(d[4:])))
				for b := d[8:]; len(b) >= 4; {
					n, t := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
					v := b[4:n]
					if t == 6 {
						v = v[:8] // when it was joined differs
					}
					s += fmt.Sprintf(" %d=%x", t, v)
					b = b[min((n+3)&^3, len(b)):]
				}
				out = append(out, s)
			}
		}
		list := func(fixed ...byte) {
			errno, words, msgs := e.do(request(58, syscall.NLM_F_DUMP, append(fixed, make([]byte, 8-len(fixed))...)))
			note(fmt.Sprintf("list %v: %v %q", fixed, errno, words), msgs)
		}
		flush := func(what string) {
			var msgs []syscall.NetlinkMessage
			for b := e.recv(); b != nil; b = e.recv() {
				l, err := syscall.ParseNetlinkMessage(b)
				if err != nil {
					t.Fatal(err)
				}
				msgs = append(msgs, l...)
			}
			note(what, msgs)
		}
		list(syscall.AF_INET)
		var fd uintptr
		if e.within == nil {
			e.within = func(f func() error) error { return f() }
		}
		if err := e.within(func() error {
			f, errno := e.syscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0, 0, 0, 0)
			fd = f
			if errno != 0 {
				return errno
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		set := func(name uintptr, group string, dev string) {
			v := slices.Concat(addr(group), make([]byte, 4), u32(uint32(e.index[dev])))
			_, errno := e.syscall(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_IP, name, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)), 0)
			flush(fmt.Sprintf("option %d %s %s: %v", name, group, dev, errno))
		}
		set(syscall.IP_ADD_MEMBERSHIP, "239.1.2.3", "d0")
		set(syscall.IP_ADD_MEMBERSHIP, "239.1.2.3", "d0")
		set(syscall.IP_ADD_MEMBERSHIP, "239.1.2.4", "d1")
		set(syscall.IP_ADD_MEMBERSHIP, "239.1.2.5", "d0")
		list(syscall.AF_INET)
		list(0)
		list(syscall.AF_INET, 24)
		set(syscall.IP_DROP_MEMBERSHIP, "239.1.2.3", "d0")
		set(syscall.IP_DROP_MEMBERSHIP, "239.1.2.3", "d0")
		for _, up := range []uint32{0, 1} {
			errno, _, msgs := e.do(setLink("", "d0", up, 1).req(e))
			note(fmt.Sprintf("d0 up %d: %v", up, errno), msgs)
			flush("and then")
			list(syscall.AF_INET)
		}
		e.syscall(syscall.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
		flush("closed")
		list(syscall.AF_INET)
		return out
	}
	sameLines(t, run(x), run(y))
}
