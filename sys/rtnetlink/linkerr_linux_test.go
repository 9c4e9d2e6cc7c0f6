package rtnetlink_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
)

// newLink asks for a link of a kind with further attributes.
func newLink(what string, flags int, index int32, kind string, attrs ...*nl.RtAttr) step {
	return step{what, func(e *end) []byte {
		l := append([]*nl.RtAttr(nil), attrs...)
		if kind != "" {
			li := attr(18, nil)
			li.AddRtAttr(1, str(kind))
			l = append(l, li)
		}
		return request(syscall.RTM_NEWLINK, flags, ifinfo(index, 0, 0), l...)
	}}
}

func name(s string) *nl.RtAttr { return attr(syscall.IFLA_IFNAME, str(s)) }

// Requests about links that are odd, or that this stack has nothing for, end
// with Linux's errors and words.
func TestOddLinks_AsLinux(t *testing.T) {
	del := func(what string, index int32, attrs ...*nl.RtAttr) step {
		return step{what, func(*end) []byte { return request(syscall.RTM_DELLINK, 0, ifinfo(index, 0, 0), attrs...) }}
	}
	nested := func(typ int, sub ...*nl.RtAttr) *nl.RtAttr {
		a := attr(typ, nil)
		for _, s := range sub {
			a.AddRtAttr(int(s.Type), s.Data)
		}
		return a
	}
	compare(t, []step{
		newLink("at an index", create|excl, 100, "veth", name("i0")),
		newLink("at a taken index", create|excl, 100, "veth", name("i1")),
		newLink("at an index, not exclusive", create, 101, "veth", name("i2")),
		newLink("change a kind", create, 100, "dummy"),
		newLink("same kind", create, 100, "veth"),
		newLink("without a name", create|excl, 0, "veth"),
		newLink("with a template", create|excl, 0, "veth", name("tp%d")),
		newLink("with a bad template", create|excl, 0, "veth", name("tp%s")),
		newLink("empty name", create|excl, 0, "veth", name("")),
		newLink("dot", create|excl, 0, "veth", name(".")),
		newLink("two dots", create|excl, 0, "veth", name("..")),
		newLink("with a colon", create|excl, 0, "veth", name("a:b")),
		newLink("unknown kind", create|excl, 0, "nosuchkind", name("u0")),
		newLink("kind of 60 bytes", create|excl, 0, strings.Repeat("k", 60), name("u0")),
		newLink("no such link", 0, 0, "", name("nosuch")),
		newLink("nothing named", 0, 0, ""),
		newLink("nothing named, to be made", create, 0, ""),
		newLink("group of nobody", 0, 0, "", attr(27, u32(77)), attr(4, u32(1300))),
		setLink("master that is not there", "d0", 0, 0, attr(10, u32(999))),
		setLink("no master", "d0", 0, 0, attr(10, u32(0))),
		setLink("carrier", "d0", 0, 0, attr(33, []byte{0})),
		setLink("map", "d0", 0, 0, attr(14, make([]byte, 32))),
		setLink("short map", "d0", 0, 0, attr(14, make([]byte, 8))),
		setLink("link mode", "d0", 0, 0, attr(17, []byte{1})),
		setLink("operstate", "d0", 0, 0, attr(16, []byte{6})),
		setLink("negative queue", "d0", 0, 0, attr(13, u32(^uint32(0)))),
		setLink("mtu of nothing", "d0", 0, 0, attr(4, u32(0))),
		setLink("huge mtu", "d0", 0, 0, attr(4, u32(70000))),
		setLink("negative mtu", "d0", 0, 0, attr(4, u32(^uint32(0)))),
		setLink("mtu of lo", "lo", 0, 0, attr(4, u32(70000))),
		setLink("address of lo", "lo", 0, 0, attr(1, []byte{2, 0, 0, 0, 0, 1})),
		setLink("zero address", "d0", 0, 0, attr(1, make([]byte, 6))),
		setLink("long address", "d0", 0, 0, attr(1, make([]byte, 33))),
		setLink("eight-byte address", "d0", 0, 0, attr(1, []byte{2, 0, 0, 0, 0, 1, 0, 0})),
		setLink("broadcast", "d0", 0, 0, attr(2, []byte{255, 255, 255, 255, 255, 254})),
		setLink("long alias", "d0", 0, 0, attr(20, str(strings.Repeat("a", 256)))),
		setLink("alias", "d0", 0, 0, attr(20, str(strings.Repeat("a", 255)))),
		setLink("no alias", "d0", 0, 0, attr(20, []byte{0})),
		setLink("empty alias", "d0", 0, 0, attr(20, nil)),
		setLink("rename while up", "d0", 0, 0, name("d9")),
		setLink("rename to itself", "d9", 0, 0, name("d9")),
		setLink("rename to a template", "d9", 0, 0, name("dd%d")),
		setLink("rename to nothing", "d1", 0, 0, name("")),
		setLink("unknown attribute", "d1", 0, 0, attr(200, u32(1))),
		setLink("numbers of queues", "d1", 0, 0, attr(31, u32(4))),
		setLink("both namespaces", "d1", 0, 0, attr(19, u32(1)), attr(28, u32(1))),
		setLink("namespace of no process", "d1", 0, 0, attr(19, u32(4000000))),
		setLink("namespace of no file", "d1", 0, 0, attr(28, u32(4000000))),
		setLink("namespace without number", "d1", 0, 0, attr(46, u32(4000000))),
		setLink("noarp", "d1", 0x80, 0x80),
		setLink("multicast off", "d1", 0, 0x1000),
		setLink("all flags", "d1", 0x1, 0),
		setLink("settings of IPv4", "d1", 0, 0, nested(26, attr(2, append([]byte{8, 0, 1, 0}, 1, 0, 0, 0)))),
		del("by name", 0, name("i2")),
		del("by a name that is not there", 0, name("nosuch")),
		del("lo", 1),
		del("group of nobody", 0, attr(27, u32(77))),
		del("by index", 100),
		newLink("one of a group", create|excl, 0, "veth", name("g0"), attr(27, u32(5))),
		newLink("another", create|excl, 0, "veth", name("g1"), attr(27, u32(5))),
		newLink("mtu of a group", 0, 0, "", attr(27, u32(5)), attr(4, u32(1333))),
		newLink("bad mtu of a group", 0, 0, "", attr(27, u32(5)), attr(4, u32(3))),
		del("group 0", 0, attr(27, u32(0))),
		del("group", 0, attr(27, u32(5))),
		del("group again", 0, attr(27, u32(5))),
		del("negative", -5),
		{"set short", func(e *end) []byte { return request(syscall.RTM_SETLINK, 0, []byte{0, 0, 0, 0}) }},
		{"set by name", func(e *end) []byte {
			return request(syscall.RTM_SETLINK, 0, ifinfo(0, 0, 0), name("d1"), attr(4, u32(1280)))
		}},
		{"set unnamed", func(e *end) []byte { return request(syscall.RTM_SETLINK, 0, ifinfo(0, 0, 0), attr(4, u32(1280))) }},
		{"set missing", func(e *end) []byte { return request(syscall.RTM_SETLINK, 0, ifinfo(999, 0, 0), attr(4, u32(1280))) }},
		{"numbers: missing", func(e *end) []byte { return request(88, 0, []byte{0, 0, 0, 0}) }},
		{"numbers: no namespace", func(e *end) []byte { return request(88, 0, []byte{0, 0, 0, 0}, attr(1, u32(3))) }},
		{"numbers: bad descriptor", func(e *end) []byte { return request(88, 0, []byte{0, 0, 0, 0}, attr(1, u32(3)), attr(3, u32(4000000))) }},
		{"numbers: get nothing", func(e *end) []byte { return request(90, 0, []byte{0, 0, 0, 0}) }},
		{"numbers: get of no process", func(e *end) []byte { return request(90, 0, []byte{0, 0, 0, 0}, attr(2, u32(4000000))) }},
		{"numbers: get of no number", func(e *end) []byte { return request(90, 0, []byte{0, 0, 0, 0}, attr(1, u32(3))) }},
	}, syscall.RTM_GETADDR)
}

// An index far from all others would make long tables, and is refused.
func TestNewLink_farIndex_isRefused(t *testing.T) {
	x, _ := ours(t)
	x.links()
	for _, index := range []int32{1<<16 + 1, 0x53000000, 1<<31 - 1} {
		if errno, _, _ := x.do(newLink("", create|excl, index, "veth", name("far")).req(x)); errno != syscall.EINVAL {
			t.Errorf("index %d: %v", index, errno)
		}
	}
}
