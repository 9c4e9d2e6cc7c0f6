package rtnetlink_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// attrs are the attributes of a message by type.
func attrs(b []byte) map[uint16][]byte {
	m := map[uint16][]byte{}
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		m[binary.NativeEndian.Uint16(b[2:])&0x3fff] = b[4:n]
		b = b[min((n+3)&^3, len(b)):]
	}
	return m
}

// Attributes of links that are not compared: what random addresses, the
// machine's processors and the kernel's configuration decide, and what there is
// no hardware for.
var linkSkip = []uint16{1, 5, 7, 23, 31, 32, 62, 65, 66, 68, 69} // read-only

// links returns all links as lines by name: the fixed part, then an attribute
// each.
func (e *end) linkText() map[string][]string {
	e.Helper()
	e.links()
	out := map[string][]string{}
	_, _, msgs := e.do(request(syscall.RTM_GETLINK, syscall.NLM_F_DUMP, ifinfo(0, 0, 0)))
	for i := range msgs {
		f := slices.Clone(msgs[i].Data[:16])
		a := attrs(msgs[i].Data[16:])
		clear(f[4:8])
		l := []string{fmt.Sprintf("%x", f)}
		for t, v := range a {
			if slices.Contains(linkSkip, t) {
				continue
			}
			if t == 26 { // of the families only IPv4 is ours
				v = attrs(attrs(v)[2])[1]
			}
			l = append(l, fmt.Sprintf("%d %x", t, v))
		}
		if p, ok := a[5]; ok {
			l = append(l, "5 "+e.devName(binary.NativeEndian.Uint32(p)))
		}
		out[strings.TrimRight(string(a[syscall.IFLA_IFNAME]), "\x00")] = l
	}
	return out
}

// A link's message has what Linux's has, attribute by attribute, as a pair goes
// up and down.
func TestLinkMessage_asLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	steps := []step{
		setLink("alias and group", "d0", 0, 0, attr(syscall.IFLA_IFALIAS, str("one")), attr(27, u32(7))),
		setLink("up", "d0", 1, 1),
		setLink("peer up", "d1", 1, 1),
		setLink("promisc", "d1", 0x100, 0x100),
		setLink("allmulti", "d1", 0x200, 0x200),
		linkProp("alternative name", 108, "d0", "another", "third"),
		setLink("peer down", "d1", 0, 1),
		linkProp("alternative name away", 109, "d0", "third"),
		linkProp("alternative name that is taken", 108, "d1", "another"),
		linkProp("alternative name that is a name", 108, "d1", "d0"),
		linkProp("alternative name away, of another", 109, "d1", "another"),
		linkProp("alternative name away, a name", 109, "d1", "d1"),
		linkProp("alternative name away, of nobody", 109, "d1", "nobody"),
		linkProp("long alternative name", 108, "d1", strings.Repeat("n", 128)),
		linkProp("alternative names of nothing", 108, "nodev", "x"),
		setLink("down", "d0", 0, 1),
		{"by alternative name", func(e *end) []byte {
			return request(syscall.RTM_NEWLINK, 0, ifinfo(0, 0, 0), attr(53, str("another")), attr(syscall.IFLA_MTU, u32(1400)))
		}},
		{"get by alternative name", func(e *end) []byte {
			return request(syscall.RTM_GETLINK, 0, ifinfo(0, 0, 0), attr(53, str("another")))
		}},
		{"make with a taken alternative name", addLink("another", "veth").req},
	}
	for _, s := range append([]step{addVeth("d0", "d1")}, steps...) {
		x.links()
		y.links()
		ex, wx, _ := x.do(s.req(x))
		ey, wy, _ := y.do(s.req(y))
		if ex != ey || wx != wy {
			t.Errorf("%s: %q %v here, %q %v in Linux", s.name, wx, ex, wy, ey)
		}
		var diff []string
		for range 30 { // the carrier's turns are told when Linux finds time for it
			if diff = differ(x.linkText(), y.linkText()); len(diff) == 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		for _, d := range diff {
			t.Errorf("%s: %s", s.name, d)
		}
	}
}

// differ lists what one end has and the other has not.
func differ(ours, linux map[string][]string) (out []string) {
	for name, want := range linux {
		for _, l := range want {
			if !slices.Contains(ours[name], l) {
				out = append(out, fmt.Sprintf("%s: Linux has %s, not here: %q", name, l, like(ours[name], l)))
			}
		}
		for _, l := range ours[name] {
			if !slices.Contains(want, l) && like(want, l) == "" {
				out = append(out, fmt.Sprintf("%s: only here: %s", name, l))
			}
		}
	}
	return out
}

// like returns the line of the same attribute.
func like(l []string, line string) string {
	typ, _, _ := strings.Cut(line, " ")
	for _, s := range l {
		if strings.HasPrefix(s, typ+" ") {
			return s
		}
	}
	return ""
}

// linkProp adds (108) or takes away (109) alternative names.
func linkProp(what string, typ int, dev string, names ...string) step {
	return step{what, func(e *end) []byte {
		l := attr(52|syscall.NLA_F_NESTED, nil)
		for _, n := range names {
			l.AddRtAttr(53, str(n))
		}
		return request(typ, create|excl, ifinfo(e.index[dev], 0, 0), l)
	}}
}

// Settings of devices and queueing disciplines are listed as in Linux.
func TestNetconfAndQdisc_asLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	for _, s := range append(setUp, setLink("peer down", "d1", 0, 1)) {
		for _, e := range []*end{x, y} {
			e.links()
			errno, _, _ := e.do(s.req(e))
			e.check(s.name, errno)
		}
	}
	list := func(e *end, typ int) (out []string) {
		e.links()
		errno, _, msgs := e.do(request(typ, syscall.NLM_F_DUMP, make([]byte, map[int]int{82: 4, 38: 20}[typ])))
		e.check("dump", errno)
		for _, m := range msgs {
			if typ == 82 && m.Data[0] != syscall.AF_INET {
				continue
			}
			at := map[int]int{82: 8, 38: 4}[typ]
			name := e.devName(binary.NativeEndian.Uint32(m.Data[at:]))
			clear(m.Data[at : at+4])
			out = append(out, fmt.Sprintf("%d %s %x", m.Header.Type, name, m.Data))
		}
		slices.Sort(out)
		return out
	}
	for _, typ := range []int{82, 38} {
		if a, b := list(x, typ), list(y, typ); !slices.Equal(a, b) {
			t.Errorf("%d:\n here  %s\n Linux %s", typ, strings.Join(a, "\n       "), strings.Join(b, "\n       "))
		}
	}
	gets := []step{
		{"netconf of d0", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(uint32(e.index["d0"])))) }},
		{"netconf of all", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(^uint32(0)))) }},
		{"netconf of default", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(^uint32(1)))) }},
		{"netconf of nothing", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(99))) }},
		{"netconf without index", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}) }},
		{"qdisc of d0", func(e *end) []byte { return request(38, 8, tcm(e.index["d0"], 0, ^uint32(0))) }},
		{"qdisc of nothing", func(e *end) []byte { return request(38, 0, tcm(99, 0, ^uint32(0))) }},
		{"qdisc of no parent", func(e *end) []byte { return request(38, 0, tcm(e.index["d0"], 0, 0)) }},
		{"qdisc by handle", func(e *end) []byte { return request(38, 0, tcm(e.index["d0"], 0x10000, 0)) }},
		{"short qdisc", func(e *end) []byte { return request(38, 0, make([]byte, 8)) }},
	}
	for _, s := range gets {
		x.links()
		y.links()
		ex, wx, mx := x.do(s.req(x))
		ey, wy, my := y.do(s.req(y))
		if ex != ey || wx != wy || len(mx) != len(my) {
			t.Errorf("%s: %q %v, %d answers here, %q %v, %d in Linux", s.name, wx, ex, len(mx), wy, ey, len(my))
		}
		if len(mx) == 1 && len(my) == 1 && (mx[0].Header.Type != my[0].Header.Type || len(mx[0].Data) != len(my[0].Data) || !bytes.Equal(mx[0].Data[20:], my[0].Data[20:])) {
			t.Errorf("%s:\n here  %x\n Linux %x", s.name, mx[0].Data, my[0].Data)
		}
	}
}

// tcm is a struct tcmsg.
func tcm(index int32, handle, parent uint32) []byte {
	b := make([]byte, 20)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], handle)
	binary.NativeEndian.PutUint32(b[12:], parent)
	return b
}
