package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"barewire/inet"
	"barewire/napi"
	"barewire/sys"
	"barewire/sys/rtnetlink"

	"github.com/vishvananda/netlink/nl"
)

// end is one of two kernels, ours or Linux, behind its system calls.
type end struct {
	testing.TB
	name    string
	syscall func(num, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, syscall.Errno)
	fd      uintptr
	index   map[string]int32
	sysctl  func(name, value string) error // of net.ipv4
	within  func(f func() error) error     // runs f where sockets are made
}

// ours is a namespace of this stack.
func ours(t testing.TB) (*end, *inet.Net) {
	t.Helper()
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := rtnetlink.New(in)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { n.SoftNet().Run(stop); close(done) }()
	t.Cleanup(func() { rt.Close(); in.Close(); close(stop); <-done })
	k := sys.New(sys.Config{Clock: n.Clock(), SockCreate: in.SockCreate, Net: n})
	e := &end{within: func(f func() error) error { return f() }, TB: t, name: "ours", syscall: func(num, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, syscall.Errno) {
		r, _, e := k.Syscall(num, a1, a2, a3, a4, a5, a6)
		return r, syscall.Errno(e)
	}}
	e.sysctl = func(name, value string) error { return n.Sysctl().Set("net.ipv4."+name, value) }
	e.open()
	return e, in
}

func (e *end) check(what string, errno syscall.Errno) {
	e.Helper()
	if errno != 0 {
		e.Fatalf("%s: %s: %v", e.name, what, errno)
	}
}

func (e *end) open() {
	var errno syscall.Errno
	e.fd, errno = e.syscall(syscall.SYS_SOCKET, syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE, 0, 0, 0)
	e.check("socket", errno)
	one := new(int32)
	*one = 1
	_, errno = e.syscall(syscall.SYS_SETSOCKOPT, e.fd, 270, 11, uintptr(unsafe.Pointer(one)), 4, 0)
	e.check("NETLINK_EXT_ACK", errno)
}

func (e *end) send(b []byte) syscall.Errno {
	_, errno := e.syscall(syscall.SYS_SENDTO, e.fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return errno
}

// recv returns the next datagram, nil if there is none.
func (e *end) recv() []byte {
	b := make([]byte, 65536)
	n, errno := e.syscall(syscall.SYS_RECVFROM, e.fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
	if errno == syscall.EAGAIN {
		return nil
	}
	e.check("recvfrom", errno)
	return b[:n]
}

// do makes a request and returns its error, the words that came with it, and
// the other messages.
func (e *end) do(req []byte) (errno syscall.Errno, words string, msgs []syscall.NetlinkMessage) {
	e.Helper()
	e.check("sendto", e.send(req))
	for {
		b := e.recv()
		if b == nil {
			return errno, words, msgs
		}
		list, err := syscall.ParseNetlinkMessage(b)
		if err != nil {
			e.Fatalf("%s: %v in %x", e.name, err, b)
		}
		for _, m := range list {
			switch m.Header.Type {
			case syscall.NLMSG_DONE:
				if errno = syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data))); errno != 0 {
					words = "done: " + extAck(&m, 4)
				}
			case syscall.NLMSG_ERROR:
				errno = syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
				at := 4 + syscall.NLMSG_HDRLEN
				if m.Header.Flags&0x100 == 0 {
					at = 4 + int(binary.NativeEndian.Uint32(m.Data[4:]))
				}
				words = extAck(&m, at)
			default:
				msgs = append(msgs, m)
			}
		}
	}
}

// extAck reads the words and the offset that stand at a place behind an error.
func extAck(m *syscall.NetlinkMessage, at int) (words string) {
	if m.Header.Flags&0x200 == 0 {
		return ""
	}
	for b := m.Data[(at+3)&^3:]; len(b) >= 4; {
		l := int(binary.NativeEndian.Uint16(b))
		switch binary.NativeEndian.Uint16(b[2:]) {
		case 1:
			words = strings.TrimRight(string(b[4:l]), "\x00")
		case 2:
			words += fmt.Sprintf(" @%d", binary.NativeEndian.Uint32(b[4:]))
		case 5:
			words += fmt.Sprintf(" !%d", binary.NativeEndian.Uint32(b[4:]))
		}
		b = b[min((l+3)&^3, len(b)):]
	}
	return words
}

// raw is the fixed part of a message.
type raw []byte

func (r raw) Len() int          { return len(r) }
func (r raw) Serialize() []byte { return r }

// request makes a message: a fixed part and attributes.
func request(typ, flags int, fixed []byte, attrs ...*nl.RtAttr) []byte {
	r := nl.NewNetlinkRequest(typ, flags)
	r.Flags = uint16(flags) | syscall.NLM_F_REQUEST
	if flags&syscall.NLM_F_DUMP != syscall.NLM_F_DUMP || typ&3 != 2 {
		r.Flags |= syscall.NLM_F_ACK
	}
	r.AddData(raw(fixed))
	for _, a := range attrs {
		r.AddData(a)
	}
	return r.Serialize()
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func str(s string) []byte { return append([]byte(s), 0) }
func addr(s string) []byte {
	return netip.MustParseAddr(s).AsSlice()
}
func attr(typ int, v []byte) *nl.RtAttr { return nl.NewRtAttr(typ, v) }

// ifinfo is a struct ifinfomsg.
func ifinfo(index int32, flags, mask uint32) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], mask)
	return b
}

// links learns the indexes of the devices.
func (e *end) links() {
	e.Helper()
	e.index = map[string]int32{}
	_, _, msgs := e.do(request(syscall.RTM_GETLINK, syscall.NLM_F_DUMP, ifinfo(0, 0, 0)))
	for i := range msgs {
		attrs, err := syscall.ParseNetlinkRouteAttr(&msgs[i])
		if err != nil {
			e.Fatal(e.name, err)
		}
		for _, a := range attrs {
			if a.Attr.Type == syscall.IFLA_IFNAME {
				e.index[strings.TrimRight(string(a.Value), "\x00")] = int32(binary.NativeEndian.Uint32(msgs[i].Data[4:]))
			}
		}
	}
}

func (e *end) devName(index uint32) string {
	for n, i := range e.index {
		if uint32(i) == index {
			return n
		}
	}
	return fmt.Sprint("if", index)
}

// fixed lengths of the messages by type&^3, and which attributes hold indexes
// and which are not compared.
var layouts = map[uint16]struct {
	fixed, index int
	indexAttrs   []uint16
	skip         []uint16
}{
	16: {16, 4, []uint16{5}, linkSkip},
	20: {8, 4, nil, []uint16{6}},
	24: {12, -1, []uint16{3, 4}, []uint16{12}},
	28: {12, 4, nil, []uint16{3, 4}},
	32: {12, -1, nil, nil},
	80: {4, -1, []uint16{1}, nil},
}

// text makes a message comparable: devices by name, attributes sorted.
func (e *end) text(m *syscall.NetlinkMessage) string {
	l := layouts[m.Header.Type&^3]
	f := append([]byte(nil), m.Data[:l.fixed]...)
	dev := ""
	if l.index >= 0 {
		dev = " " + e.devName(binary.NativeEndian.Uint32(f[l.index:]))
		clear(f[l.index : l.index+4])
	}
	var list []string
attrs:
	for b := m.Data[l.fixed:]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		typ := binary.NativeEndian.Uint16(b[2:]) & 0x3fff
		v := b[4:n]
		b = b[min((n+3)&^3, len(b)):]
		for _, s := range l.skip {
			if s == typ {
				continue attrs
			}
		}
		for _, s := range l.indexAttrs {
			if s == typ {
				list = append(list, fmt.Sprintf("%d=%s", typ, e.devName(binary.NativeEndian.Uint32(v))))
				continue attrs
			}
		}
		if m.Header.Type&^3 == 24 && typ == 9 { // nexthops
			s := ""
			for len(v) >= 8 {
				n := int(binary.NativeEndian.Uint16(v))
				s += fmt.Sprintf("[%x %s %x]", v[2:4], e.devName(binary.NativeEndian.Uint32(v[4:])), v[8:n])
				v = v[min(n, len(v)):]
			}
			list = append(list, "9="+s)
			continue
		}
		list = append(list, fmt.Sprintf("%d=%x", typ, v))
	}
	sort.Strings(list)
	return fmt.Sprintf("%d %x%s %s", m.Header.Type, f, dev, strings.Join(list, " "))
}

// list dumps and sorts.
func (e *end) list(typ, family int) []string {
	e.Helper()
	fixed := make([]byte, layouts[uint16(typ)&^3].fixed)
	fixed[0] = byte(family)
	errno, _, msgs := e.do(request(typ, syscall.NLM_F_DUMP, fixed))
	e.check("dump", errno)
	var out []string
	for i := range msgs {
		out = append(out, e.text(&msgs[i]))
	}
	sort.Strings(out)
	return out
}
