package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
)

const familyIPMR = 128

// rtmsg is a struct rtmsg of multicast routing.
func mroute(dstLen, proto, typ, scope byte) []byte {
	return []byte{familyIPMR, dstLen, 32, 0, 0, proto, scope, typ, 0, 0, 0, 0}
}

// sockopt opens a raw socket of IGMP if there is none and sets an option.
func (e *end) sockopt(fd *uintptr, name uintptr, val []byte) syscall.Errno {
	if *fd == 0 {
		make := func() error {
			f, errno := e.syscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_IGMP, 0, 0, 0)
			*fd = f
			if errno != 0 {
				return errno
			}
			return nil
		}
		if e.within == nil {
			e.within = func(f func() error) error { return f() }
		}
		if err := e.within(make); err != nil {
			e.Fatal(err)
		}
		e.Cleanup(func() { e.syscall(syscall.SYS_CLOSE, *fd, 0, 0, 0, 0, 0) })
	}
	_, errno := e.syscall(syscall.SYS_SETSOCKOPT, *fd, syscall.SOL_IP, name, uintptr(unsafe.Pointer(&val[0])), uintptr(len(val)), 0)
	return errno
}

// sendGroup sends a datagram to 239.1.2.3 by a device.
func (e *end) sendGroup(dev string) {
	if err := e.within(func() error {
		fd, errno := e.syscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		defer e.syscall(syscall.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
		mreqn := append(make([]byte, 8), u32(uint32(e.index[dev]))...)
		if _, errno = e.syscall(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_IP, syscall.IP_MULTICAST_IF, uintptr(unsafe.Pointer(&mreqn[0])), 12, 0); errno != 0 {
			return errno
		}
		sa := append([]byte{syscall.AF_INET, 0, 0, 9, 239, 1, 2, 3}, make([]byte, 8)...)
		_, errno = e.syscall(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&sa[0])), 3, 0, uintptr(unsafe.Pointer(&sa[0])), 16)
		if errno != 0 {
			return errno
		}
		return nil
	}); err != nil {
		e.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // it comes back in a softirq
}

// exact writes a message down with its attributes in order and devices by
// name.
func (e *end) exact(m *syscall.NetlinkMessage) string {
	fixed := 12
	switch m.Header.Type &^ 3 {
	case 16:
		fixed = 16
	case 80, 96:
		fixed = 4
	}
	d := m.Data
	if fixed == 4 { // what follows the family is not set by Linux
		clear(d[1:4])
	}
	s := fmt.Sprintf("%d %#x %x", m.Header.Type, m.Header.Flags, d[:fixed])
	return s + e.attrs(d[fixed:], m.Header.Type)
}

func (e *end) attrs(b []byte, typ uint16) (s string) {
	for len(b) >= 4 {
		n, t := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		v := b[4:n]
		switch {
		case typ>>2 == 24>>2 && t == 3, (typ == 1001 || typ == 80) && t == 1:
			s += fmt.Sprintf(" %d=%s", t, e.devName(binary.NativeEndian.Uint32(v)))
		case typ == 1001 && t == 8: // of a vif by index, that
		case typ == 96 && t == 5: // of the rest Linux sets nothing
			s += fmt.Sprintf(" %d=%x of %d", t, v[:1], len(v))
		case typ>>2 == 24>>2 && t == 9:
			for ; len(v) >= 8; v = v[8:] {
				s += fmt.Sprintf(" hop[%x %s]", v[:4], e.devName(binary.NativeEndian.Uint32(v[4:])))
			}
		case typ>>2 == 24>>2 && t == 23:
			s += fmt.Sprintf(" %d of %d", t, len(v)) // time since the last packet
		case typ == 16 && t == 26, typ == 1000 && t == 6, typ == 999:
			next := map[uint16]uint16{16: 1000, 1000: 999, 999: 1001}[typ]
			s += fmt.Sprintf(" %d{%s}", t, e.attrs(v, next))
		default:
			s += fmt.Sprintf(" %d=%x", t, v)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return s
}

// TestMRoutes_AsLinux makes the same requests about multicast routes, and
// compares errors, notifications and lists.
func TestMRoutes_AsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	run := func(e *end) (out []string) {
		for _, s := range append(slices.Clone(setUp), addAddr("a", "192.0.2.1", 24, "d0")) {
			e.links()
			e.do(s.req(e))
		}
		e.links()
		note := func(what string, errno syscall.Errno, words string, msgs []syscall.NetlinkMessage) {
			out = append(out, fmt.Sprintf("%s: %v %q", what, errno, words))
			for i := range msgs {
				out = append(out, "  "+e.exact(&msgs[i]))
			}
		}
		ask := func(what string, req []byte) {
			errno, words, msgs := e.do(req)
			note(what, errno, words, msgs)
		}
		for _, g := range []uint32{6, 24, 30} {
			v := g
			_, errno := e.syscall(syscall.SYS_SETSOCKOPT, e.fd, 270, syscall.NETLINK_ADD_MEMBERSHIP, uintptr(unsafe.Pointer(&v)), 4, 0)
			e.check("join", errno)
		}
		var fd uintptr
		opt := func(what string, name uintptr, val []byte) {
			note(what, e.sockopt(&fd, name, val), "", nil)
		}
		vif := func(n byte, dev string) {
			opt("vif "+dev, 202, slices.Concat([]byte{n, 0, 8, 1, 0, 0, 0, 0}, u32(uint32(e.index[dev])), u32(0)))
		}
		group, src := attr(1, addr("239.1.2.3")), attr(2, addr("10.9.9.9"))
		hops := func(ttls ...byte) *nl.RtAttr {
			var b []byte
			for _, t := range ttls {
				b = append(b, 8, 0, 0, t, 1, 0, 0, 0)
			}
			return attr(9, b)
		}
		iif := func(dev string) *nl.RtAttr { return attr(3, u32(uint32(e.index[dev]))) }
		good := mroute(32, 17, 5, 0)
		const add, del, get = syscall.RTM_NEWROUTE, syscall.RTM_DELROUTE, syscall.RTM_GETROUTE
		list := func() {
			ask("list", request(get, syscall.NLM_F_DUMP, mroute(0, 0, 0, 0)))
			ask("tables", request(syscall.RTM_GETLINK, syscall.NLM_F_DUMP, append([]byte{familyIPMR}, make([]byte, 15)...)))
		}
		list()
		ask("no vif", request(add, create, good, group, src, iif("d0")))
		opt("init", 200, u32(1))
		vif(0, "d0")
		vif(1, "d1")
		list()
		e.sendGroup("d0")
		ask("asked for", request(get, syscall.NLM_F_DUMP, mroute(0, 0, 0, 0)))
		ask("answered", request(add, create, good, group, attr(2, addr("192.0.2.1")), iif("d0"), hops(0, 4)))
		ask("add", request(add, create, good, group, src, iif("d0"), hops(0, 4)))
		ask("change", request(add, create, good, group, src, iif("d1"), hops(3, 4)))
		ask("static", request(add, create, mroute(32, 4, 5, 0), group, attr(2, addr("10.9.9.8")), iif("d1"), hops(1)))
		ask("proxy", request(add, create, good, group, attr(2, addr("0.0.0.0")), iif("d1"), attr(7, addr("1.1.1.1")), hops(1)))
		ask("proxy of another", request(add, create, good, group, attr(2, addr("0.0.0.0")), iif("d0"), attr(7, addr("1.1.1.1")), hops(0, 1)))
		list()
		errno, words, msgs := e.do(request(get, syscall.NLM_F_DUMP, make([]byte, 12)))
		note("all families", errno, words, slices.DeleteFunc(msgs, func(m syscall.NetlinkMessage) bool { return m.Data[0] != familyIPMR }))
		for _, c := range []struct {
			what  string
			fixed []byte
			attrs []*nl.RtAttr
		}{
			{"length", mroute(24, 17, 5, 0), []*nl.RtAttr{group, src}},
			{"protocol", mroute(32, 3, 5, 0), []*nl.RtAttr{group, src}},
			{"type", mroute(32, 17, 1, 0), []*nl.RtAttr{group, src}},
			{"scope", mroute(32, 17, 5, 253), []*nl.RtAttr{group, src}},
			{"device", good, []*nl.RtAttr{group, src, attr(3, u32(999))}},
			{"short", good, []*nl.RtAttr{attr(1, []byte{239, 1})}},
			{"table", good, []*nl.RtAttr{group, src, attr(15, u32(77))}},
			{"hops", good, []*nl.RtAttr{group, src, iif("d0"), attr(9, []byte{8, 0, 0, 1, 0, 0, 0, 0, 9})}},
			{"hop of 4", good, []*nl.RtAttr{group, src, iif("d0"), attr(9, []byte{4, 0, 0, 1, 0, 0, 0, 0})}},
			{"no group", good, []*nl.RtAttr{src, attr(1, addr("10.0.0.1")), iif("d0")}},
			{"not there", good, []*nl.RtAttr{group, attr(2, addr("10.9.9.7")), iif("d0")}},
		} {
			ask("del, "+c.what, request(del, 0, c.fixed, c.attrs...))
			ask("add, "+c.what, request(add, create, c.fixed, c.attrs...))
		}
		ask("get", request(get, 0, good, group, src))
		ask("get, not there", request(get, 0, good, group, attr(2, addr("10.9.9.6"))))
		ask("get, no table", request(get, 0, good, group, src, attr(15, u32(77))))
		list()
		ask("del", request(del, 0, good, group, src))
		ask("del twice", request(del, 0, good, group, src))
		ask("del proxy", request(del, 0, good, group, attr(2, addr("0.0.0.0")), iif("d0"), attr(7, addr("1.1.1.1"))))
		ask("new address", request(syscall.RTM_NEWADDR, 0, []byte{familyIPMR, 24, 0, 0, 0, 0, 0, 0}))
		list()
		opt("done", 201, u32(0))
		ask("after done", request(get, 0, good, group, src))
		list()
		return out
	}
	a, b := run(x), run(y)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("line %d\nhere  %s\nLinux %s\nafter %s", i, a[i], b[i], strings.Join(b[max(0, i-3):i], "\n      "))
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d lines here, %d in Linux", len(a), len(b))
	}
}
