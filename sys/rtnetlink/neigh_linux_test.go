package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
)

// neighText writes a neighbour message down with its attributes in order, and
// without its ages.
func (e *end) neighText(m *syscall.NetlinkMessage) string {
	d := m.Data
	s := fmt.Sprintf("%d %#x %x %s %x", m.Header.Type, m.Header.Flags, d[:4], e.devName(binary.NativeEndian.Uint32(d[4:])), d[8:12])
	for b := d[12:]; len(b) >= 4; {
		n, t := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		v := b[4:n]
		if t == 3 {
			s += fmt.Sprintf(" %d of %d", t, len(v))
			if m.Header.Flags&syscall.NLM_F_MULTI != 0 { // otherwise Linux counts who asks, too
				s += fmt.Sprintf(", %d references", v[12])
			}
		} else {
			s += fmt.Sprintf(" %d=%x", t, v)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return s
}

// member joins a notification group.
func (e *end) member(group uint32) {
	_, errno := e.syscall(syscall.SYS_SETSOCKOPT, e.fd, 270, syscall.NETLINK_ADD_MEMBERSHIP, uintptr(unsafe.Pointer(&group)), 4, 0)
	e.check("join", errno)
}

// quiet keeps the timers of a device's neighbours from doing anything during a
// test.
func quiet(e *end, dev string) []byte {
	ms := func(t int, v uint64) *nl.RtAttr { return attr(t, binary.NativeEndian.AppendUint64(nil, v)) }
	p := attr(6, nil)
	p.AddRtAttr(1, u32(uint32(e.index[dev])))
	for _, a := range []*nl.RtAttr{ms(5, 1000000), ms(7, 1000000), ms(4, 1000000)} {
		p.AddRtAttr(int(a.Type), a.Data)
	}
	return request(67, 0, []byte{syscall.AF_INET, 0, 0, 0}, attr(1, str("arp_cache")), p)
}

// TestNeighbours_randomRequests_asLinux makes random requests of both kernels
// and compares every error, notification, answer and in the end the list.
func TestNeighbours_randomRequests_asLinux(t *testing.T) {
	for _, seed := range []uint64{3, 4} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomNeighbours(t, seed) })
	}
}

func randomNeighbours(t *testing.T, seed uint64) {
	x, _ := ours(t)
	y := linux(t)
	run := func(e *end) (out []string) {
		for _, s := range append(slices.Clone(setUp), addAddr("", "10.0.0.1", 24, "d0")) {
			e.links()
			e.do(s.req(e))
		}
		e.links()
		for _, dev := range []string{"d0", "d1"} {
			errno, _, _ := e.do(quiet(e, dev))
			e.check("settings", errno)
		}
		e.member(3)
		macs := [][]byte{{2, 0, 0, 0, 0, 7}, {2, 0, 0, 0, 0, 8}}
		r := rand.New(rand.NewPCG(seed, 3))
		pick := func(l ...int) int { return l[r.IntN(len(l))] }
		for i := range 600 {
			ip := []byte{10, 0, 0, byte(7 + r.IntN(4))}
			switch r.IntN(40) {
			case 0:
				ip = []byte{10, 0, 0, 255}
			case 1:
				ip = []byte{239, 1, 2, 3}
			case 2:
				ip = []byte{10, 0, 0, 1}
			}
			dev := []string{"d0", "d0", "d0", "d1"}[r.IntN(4)]
			typ := pick(syscall.RTM_NEWNEIGH, syscall.RTM_NEWNEIGH, syscall.RTM_NEWNEIGH, syscall.RTM_DELNEIGH, syscall.RTM_GETNEIGH)
			flags := pick(create, create|replace, create|replace, create|excl, replace, 0)
			// PROBE and DELAY by hand ask at once and go on by time.
			state := pick(0, 1, 2, 4, 4, 0x20, 0x40, 0x80, 0x80, 0x82, 6, 0x100)
			ndFlags := byte(pick(0, 0, 0, 0x10, 0x80, 8, 0x02, 0x40, 0x90))
			var attrs []*nl.RtAttr
			attrs = append(attrs, attr(1, ip))
			hw := r.IntN(3)
			if ext := r.IntN(12); typ == syscall.RTM_NEWNEIGH {
				if hw < 2 {
					attrs = append(attrs, attr(2, macs[hw]))
				}
				switch ext {
				case 0:
					attrs = append(attrs, attr(15, u32(4)))
				case 1:
					attrs = append(attrs, attr(15, u32(5)))
				case 2:
					attrs = append(attrs, attr(15, u32(8)))
				case 3:
					attrs = append(attrs, attr(12, []byte{42}))
				}
			} else {
				flags, state = 0, 0
				if typ == syscall.RTM_GETNEIGH && r.IntN(2) == 0 {
					ndFlags &= 8
				}
			}
			f := make([]byte, 12)
			f[0] = syscall.AF_INET
			binary.NativeEndian.PutUint32(f[4:], uint32(e.index[dev]))
			binary.NativeEndian.PutUint16(f[8:], uint16(state))
			f[10] = ndFlags
			errno, words, msgs := e.do(request(typ, flags, f, attrs...))
			out = append(out, fmt.Sprintf("%d: type %d flags %#x state %#x ntf %#x %v %s hw %d, %d attributes: %v %q", i, typ, flags, state, ndFlags, ip, dev, hw, len(attrs), errno, words))
			for i := range msgs {
				out = append(out, "  "+e.neighText(&msgs[i]))
			}
		}
		for _, ntf := range []byte{0, 8} {
			f := make([]byte, 12)
			f[0], f[10] = syscall.AF_INET, ntf
			errno, _, msgs := e.do(request(syscall.RTM_GETNEIGH, syscall.NLM_F_DUMP, f))
			e.check("dump", errno)
			var l []string
			for i := range msgs {
				l = append(l, e.neighText(&msgs[i]))
			}
			slices.Sort(l)
			out = append(out, fmt.Sprintf("list %d", ntf))
			out = append(out, l...)
		}
		return out
	}
	sameLines(t, run(x), run(y))
}

// sameLines compares what two kernels gave, line by line.
func sameLines(t *testing.T, a, b []string) {
	t.Helper()
	bad := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("line %d\nhere  %s\nLinux %s\nafter\n%s", i, a[i], b[i], strings.Join(b[max(0, i-6):i], "\n"))
			if bad++; bad == 3 {
				return
			}
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d lines here, %d in Linux", len(a), len(b))
	}
}

// TestNeighTables_asLinux compares the settings of the neighbour tables, before
// and after changes, and the errors of these.
func TestNeighTables_asLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	run := func(e *end) (out []string) {
		for _, s := range setUp {
			e.links()
			e.do(s.req(e))
		}
		e.links()
		list := func(fixed []byte) {
			errno, words, msgs := e.do(request(66, syscall.NLM_F_DUMP, fixed))
			out = append(out, fmt.Sprintf("list: %v %q", errno, words))
			var l []string
			for i := range msgs {
				if s := e.tableText(&msgs[i]); s != "" {
					l = append(l, s)
				}
			}
			slices.Sort(l)
			out = append(out, l...)
		}
		ms := func(t int, v uint64) *nl.RtAttr { return attr(t, binary.NativeEndian.AppendUint64(nil, v)) }
		set := func(what string, attrs []*nl.RtAttr, parms ...*nl.RtAttr) {
			if parms != nil {
				p := attr(6, nil)
				for _, a := range parms {
					p.AddRtAttr(int(a.Type), a.Data)
				}
				attrs = append(slices.Clone(attrs), p)
			}
			errno, words, _ := e.do(request(67, 0, []byte{syscall.AF_INET, 0, 0, 0}, attrs...))
			out = append(out, fmt.Sprintf("%s: %v %q", what, errno, words))
		}
		arp := []*nl.RtAttr{attr(1, str("arp_cache"))}
		d0 := attr(1, u32(uint32(e.index["d0"])))
		list([]byte{syscall.AF_INET, 0, 0, 0})
		set("no name", nil)
		set("no such table", []*nl.RtAttr{attr(1, str("nosuch"))})
		set("nothing", arp)
		set("no such device", arp, attr(1, u32(999)))
		set("all of them", arp, d0, ms(4, 20000), ms(5, 500), ms(6, 70000), ms(7, 3000), attr(9, u32(2)), attr(10, u32(5)),
			attr(11, u32(6)), ms(12, 700), ms(13, 900), attr(14, u32(9)), ms(15, 1100), attr(16, u32(10000)), attr(17, u32(1)), ms(19, 7000))
		set("queue of packets", arp, d0, attr(8, u32(7)))
		set("short number", arp, d0, attr(10, []byte{1}))
		set("interval of zero", arp, d0, ms(19, 0))
		set("short time", arp, d0, attr(7, u32(1)))
		list([]byte{syscall.AF_INET, 0, 0, 0})
		list([]byte{syscall.AF_PACKET, 0, 0, 0})
		return out
	}
	sameLines(t, run(x), run(y))
}

// tableText writes the settings of a device down; those of the default, which
// are the first namespace's in Linux, and what is random or a reference count,
// are left out.
func (e *end) tableText(m *syscall.NetlinkMessage) string {
	s, dev := fmt.Sprintf("%d %#x %x", m.Header.Type, m.Header.Flags, m.Data[:4]), ""
	for b := m.Data[4:]; len(b) >= 4; {
		n, t := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		v := b[4:n]
		b = b[min((n+3)&^3, len(b)):]
		switch t {
		case 6:
			s += " parms"
			for ; len(v) >= 4; v = v[min((int(binary.NativeEndian.Uint16(v))+3)&^3, len(v)):] {
				pt, pv := binary.NativeEndian.Uint16(v[2:]), v[4:binary.NativeEndian.Uint16(v)]
				switch pt {
				case 1:
					dev = e.devName(binary.NativeEndian.Uint32(pv))
					pv = []byte(dev)
				case 2, 3:
					pv = make([]byte, len(pv))
				}
				s += fmt.Sprintf(" %d=%x", pt, pv)
			}
		default:
			s += fmt.Sprintf(" %d=%x", t, v)
		}
	}
	if dev == "" {
		return ""
	}
	return s
}
