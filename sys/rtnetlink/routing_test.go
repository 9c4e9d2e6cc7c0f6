package rtnetlink_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
)

// TestRouting_AsLinux sets this stack and the Linux kernel up alike, addresses,
// routes, rules and settings, and asks both thousands of times by RTM_GETROUTE
// which way a packet would go: one sent, or one received by a device.
func TestRouting_AsLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	both := []*end{x, y}
	apply := func(steps ...step) {
		t.Helper()
		for _, s := range steps {
			for _, e := range both {
				if errno, words, _ := e.do(s.req(e)); errno != 0 {
					t.Fatalf("%s: %s: %v %s", e.name, s.name, errno, words)
				}
			}
		}
	}
	set := func(name, value string) {
		t.Helper()
		for _, e := range both {
			if err := e.sysctl(name, value); err != nil {
				t.Fatalf("%s: %s: %v", e.name, name, err)
			}
		}
	}
	links := func() {
		for _, e := range both {
			e.links()
		}
	}
	links()
	apply(addVeth("d0", "d1"), addVeth("d2", "d3"))
	links()
	for _, d := range []string{"lo", "d0", "d1", "d2", "d3"} {
		apply(setLink("up", d, 1, 1))
		set("conf."+d+".rp_filter", "0")
	}
	set("conf.all.rp_filter", "0")
	apply(routingWorld()...)
	q := &questions{T: t, x: x, y: y}
	q.ask("no rules of one's own", 1, 1500)
	apply(neutralRule)
	q.input = true
	q.ask("sent", 2, 1500)
	for i, w := range []struct{ name, settings string }{
		{"host", "ip_forward=0"},
		{"router", "ip_forward=1"},
		{"accept_local", "conf.all.accept_local=1"},
		{"route_localnet", "conf.all.route_localnet=1"},
		{"bc_forwarding", "conf.all.accept_local=0 conf.all.route_localnet=0 conf.all.bc_forwarding=1 conf.d1.bc_forwarding=1"},
		{"rp_filter loose", "conf.all.bc_forwarding=0 conf.all.rp_filter=2"},
		{"rp_filter strict", "conf.all.rp_filter=1"},
		{"rp_filter strict and accept_local", "conf.all.accept_local=1"},
		{"rp_filter loose, host", "conf.all.accept_local=0 conf.all.rp_filter=2 ip_forward=0"},
		{"rp_filter by mark", "ip_forward=1 conf.all.src_valid_mark=1 conf.all.rp_filter=1"},
	} {
		for _, s := range strings.Fields(w.settings) {
			name, v, _ := strings.Cut(s, "=")
			set(name, v)
		}
		q.ask(w.name, uint64(10+i), 700)
	}
	apply(routingRules()...)
	q.ask("rules, rp_filter strict", 30, 1500)
	set("conf.all.rp_filter", "0")
	set("conf.all.src_valid_mark", "0")
	q.ask("rules", 31, 3000)
	set("conf.all.ignore_routes_with_linkdown", "1")
	// down takes a device down and waits until Linux has noticed, by a work
	// queue, that the other end has no carrier, and a question has another
	// answer.
	down := func(dev string, q step) {
		t.Helper()
		before := answer(y, q, false)
		apply(setLink("down", dev, 0, 1))
		links()
		for end := time.Now().Add(5 * time.Second); answer(y, q, false) == before && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	down("d3", fromQuestion("10.0.2.2"))
	q.ask("without carrier", 32, 1500)
	set("conf.all.ignore_routes_with_linkdown", "0")
	q.ask("without carrier, not ignored", 33, 1500)
	down("d0", route("10.0.1.77", syscall.RTM_GETROUTE, 0, rt{bits: 32, flags: 0x2000}, "", attr(1, addr("10.0.1.77"))))
	q.ask("without d0", 34, 1500)
}

// neutralRule changes no answer. With it Linux keeps the local table apart.
var neutralRule = rule("neutral", 32, create|excl, [12]byte{4: 102, 7: 1}, attr(6, u32(30000)))

// fromText makes a step of what "ip route add" takes, as far as needed.
func fromText(text string) step {
	w := strings.Fields(text)
	types := map[string]byte{"unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9}
	p := netip.MustParsePrefix(w[1])
	r := rt{bits: byte(p.Bits()), table: 254, proto: 4, typ: types[w[0]]}
	var attrs []*nl.RtAttr
	if p.Bits() > 0 {
		attrs = append(attrs, attr(1, p.Addr().AsSlice()))
	}
	oif := ""
	var hops []any
	for i := 2; i+1 < len(w); i += 2 {
		v := w[i+1]
		n := func() (n uint32) { fmt.Sscan(v, &n); return }
		switch w[i] {
		case "via":
			attrs = append(attrs, attr(5, addr(v)))
		case "dev":
			oif = v
		case "src":
			attrs = append(attrs, attr(7, addr(v)))
		case "metric":
			attrs = append(attrs, attr(6, u32(n())))
		case "mtu":
			attrs = append(attrs, attr(8, metrics(2, n())))
		case "tos":
			r.tos = byte(n())
		case "table":
			r.table = byte(n())
		case "scope":
			r.scope = byte(n())
		case "flags":
			r.flags = n()
		case "nexthop":
			hops = append(hops, v, 0)
		}
	}
	if hops != nil {
		attrs = append(attrs, attr(9, multipath(hops...)))
	}
	return route(text, syscall.RTM_NEWROUTE, create|appendTo, r, oif, attrs...)
}

func routingWorld() (l []step) {
	local := func(a string, bits byte, dev string, scope byte, brd, peer string) {
		if peer == "" {
			peer = a
		}
		attrs := []*nl.RtAttr{attr(2, addr(a)), attr(1, addr(peer))}
		if brd != "" {
			attrs = append(attrs, attr(4, addr(brd)))
		}
		l = append(l, ifaddr(a, syscall.RTM_NEWADDR, create|excl, dev, bits, scope, attrs...))
	}
	local("10.0.0.1", 24, "d0", 0, "10.0.0.255", "")
	local("10.0.0.200", 24, "d0", 0, "10.0.0.255", "")
	local("10.0.1.1", 24, "d1", 0, "10.0.1.255", "")
	local("10.0.1.65", 26, "d1", 0, "", "")
	local("10.0.2.1", 30, "d2", 0, "10.0.2.3", "")
	local("10.0.2.9", 31, "d2", 0, "", "")
	local("10.0.3.1", 32, "d3", 0, "", "10.0.3.9")
	local("169.254.7.7", 16, "d1", 253, "", "")
	local("192.0.2.77", 32, "lo", 0, "", "")
	for _, s := range []string{
		"unicast 10.1.0.0/16 via 10.0.0.2",
		"unicast 10.1.2.0/24 via 10.0.1.2",
		"unicast 10.1.2.0/24 via 10.0.0.3 tos 16",
		"unicast 10.1.2.0/24 via 10.0.0.4 tos 8",
		"unicast 10.1.2.128/25 via 10.0.2.2 metric 5",
		"unicast 10.1.2.128/25 via 10.0.0.5 metric 7",
		"blackhole 10.6.0.0/16",
		"unreachable 10.7.0.0/16",
		"unicast 10.7.7.0/24 via 10.0.1.3",
		"prohibit 10.8.0.0/16",
		"throw 10.9.0.0/16",
		"unicast 10.11.0.0/16 dev d1 scope 253",
		"unicast 10.12.0.0/16 via 10.0.0.2 src 10.0.1.1",
		"unicast 10.13.0.0/16 via 99.9.9.9 dev d2 flags 4",
		"unicast 10.14.0.0/16 dev lo scope 253",
		"unicast 10.15.0.0/16 via 10.0.0.2 mtu 1400",
		"unicast 10.20.0.0/16 nexthop 10.0.0.2 nexthop 10.0.1.2",
		"local 10.30.0.0/16 dev lo table 255 scope 254",
		"broadcast 10.31.0.1/32 dev d1 table 255 scope 253",
		"anycast 10.32.0.1/32 dev d0 table 255 scope 253",
		"multicast 239.1.0.0/16 dev d1",
		"unicast 0.0.0.0/0 via 10.0.0.9",
		"unicast 0.0.0.0/0 via 10.0.1.9 metric 10",
		"unicast 0.0.0.0/0 via 10.0.2.2 table 100",
		"blackhole 10.1.0.0/16 table 100",
		"throw 10.1.2.0/24 table 100",
		"unicast 10.9.1.0/24 via 10.0.1.4 table 100",
		"unreachable 0.0.0.0/0 table 101",
		"unicast 10.9.2.0/24 via 10.0.1.5 table 102",
		"prohibit 10.9.3.0/24 table 102",
	} {
		l = append(l, fromText(s))
	}
	return l
}

// routingRules are policy rules of every kind.
func routingRules() (l []step) {
	add := func(prio uint32, h [12]byte, attrs ...*nl.RtAttr) {
		l = append(l, rule(fmt.Sprint("rule ", prio), 32, create|excl, h, append(attrs, attr(6, u32(prio)))...))
	}
	// dst_len 1, src_len 2, tos 3, table 4, action 7
	add(1000, [12]byte{2: 26, 4: 100, 7: 1}, attr(2, addr("10.0.1.64")))
	add(1001, [12]byte{4: 101, 7: 1}, attr(10, u32(5)))
	add(1002, [12]byte{4: 100, 7: 1}, attr(10, u32(0x30)), attr(16, u32(0xf0)))
	add(1003, [12]byte{3: 0x10, 4: 100, 7: 1})
	add(1004, [12]byte{4: 100, 7: 1}, attr(3, str("d3")))
	add(1005, [12]byte{4: 102, 7: 1}, attr(17, str("d1")))
	add(1006, [12]byte{1: 16, 7: 8}, attr(1, addr("10.41.0.0")))
	add(1007, [12]byte{1: 16, 7: 7}, attr(1, addr("10.42.0.0")))
	add(1008, [12]byte{1: 16, 7: 6}, attr(1, addr("10.43.0.0")))
	add(1009, [12]byte{4: 101, 7: 1}, attr(22, []byte{17}), attr(24, []byte{53, 0, 54, 0}))
	add(1010, [12]byte{4: 100, 7: 1}, attr(22, []byte{6}), attr(23, []byte{100, 0, 200, 0}))
	add(1011, [12]byte{1: 16, 7: 2}, attr(1, addr("10.44.0.0")), attr(4, u32(32766)))
	add(1012, [12]byte{1: 16, 4: 254, 7: 1}, attr(1, addr("10.45.0.0")), attr(14, u32(0)))
	add(1013, [12]byte{1: 14, 7: 3}, attr(1, addr("10.44.0.0")))
	add(1014, [12]byte{1: 16, 7: 8}, attr(1, addr("10.45.0.0")))
	add(1015, [12]byte{1: 1, 4: 101, 7: 1, 8: 2}, attr(1, addr("0.0.0.0"))) // not to the lower half
	add(1016, [12]byte{2: 32, 4: 100, 7: 1}, attr(2, addr("192.0.2.77")), attr(3, str("lo")))
	return l
}

// questions asks both ends.
type questions struct {
	*testing.T
	x, y  *end
	input bool // ask for received packets too
	wrong int
}

var routingAddrs = strings.Fields(`10.0.0.1 10.0.0.200 10.0.1.1 10.0.1.65 10.0.2.1 10.0.3.1 169.254.7.7 192.0.2.77 127.0.0.1 127.1.2.3
	10.0.0.2 10.0.0.9 10.0.1.2 10.0.1.77 10.0.2.2 10.0.2.8 10.0.3.9 169.254.1.1
	10.0.0.0 10.0.0.255 10.0.1.255 10.0.1.127 10.0.2.3 10.0.2.0 255.255.255.255 0.0.0.0 0.0.0.5 127.255.255.255 127.0.0.0
	224.0.0.1 224.0.0.9 239.1.2.3 239.255.0.1 240.0.0.1 8.8.8.8
	10.1.1.1 10.1.2.3 10.1.2.200 10.6.1.1 10.7.1.1 10.7.7.7 10.8.1.1 10.9.1.1 10.9.2.2 10.9.3.3 10.9.9.9 10.11.1.1 10.12.1.1 10.13.1.1 10.14.1.1 10.15.1.1
	10.20.1.1 10.30.1.1 10.31.0.1 10.32.0.1 10.41.1.1 10.42.1.1 10.43.1.1 10.44.1.1 10.45.1.1 10.46.1.1`)

func (q *questions) ask(world string, seed uint64, n int) {
	q.Helper()
	r := rand.New(rand.NewPCG(seed, 77))
	any := func(l ...string) string { return l[r.IntN(len(l))] }
	for range n {
		m := rt{bits: 32, flags: 0x1000 * uint32(r.IntN(2))} // RTM_F_LOOKUP_TABLE
		dst, src := any(routingAddrs...), ""
		attrs := []*nl.RtAttr{attr(1, addr(dst))}
		words := "to " + dst
		in := ""
		if r.IntN(2) == 0 && q.input {
			in = any("d0", "d1", "d2", "d3", "lo")
			words += " iif " + in
		}
		if in != "" || r.IntN(3) == 0 {
			src = any(routingAddrs...)
			attrs = append(attrs, attr(2, addr(src)))
			words += " from " + src
		}
		if r.IntN(4) == 0 {
			m.tos = []byte{0x10, 8, 4, 0x1c, 0xb8, 0x0c, 0x20, 0x50, 0x90}[r.IntN(9)]
			words += fmt.Sprintf(" tos %#x", m.tos)
		}
		if r.IntN(4) == 0 {
			mark := []uint32{5, 7, 0x31, 0x3f, 0x130}[r.IntN(5)]
			attrs = append(attrs, attr(16, u32(mark)))
			words += fmt.Sprint(" mark ", mark)
		}
		if r.IntN(4) == 0 {
			p := []byte{6, 17, 1}[r.IntN(3)]
			sp, dp := []uint16{100, 200, 300}[r.IntN(3)], []uint16{53, 54, 55}[r.IntN(3)]
			attrs = append(attrs, attr(27, []byte{p}))
			words += fmt.Sprint(" proto ", p)
			if p != 1 {
				attrs = append(attrs, attr(28, binary.BigEndian.AppendUint16(nil, sp)), attr(29, binary.BigEndian.AppendUint16(nil, dp)))
				words += fmt.Sprint(" ports ", sp, " ", dp)
			}
		}
		out := ""
		if in == "" && r.IntN(3) == 0 {
			out = any("d0", "d1", "d2", "d3", "lo")
			words += " oif " + out
		}
		if in == "" && r.IntN(8) == 0 {
			m.flags |= 0x2000 // RTM_F_FIB_MATCH
			words += " fibmatch"
		}
		s := step{words, func(e *end) []byte {
			l := attrs[:len(attrs):len(attrs)]
			if in != "" {
				l = append(l, attr(3, u32(uint32(e.index[in]))))
			}
			if out != "" {
				l = append(l, attr(4, u32(uint32(e.index[out]))))
			}
			return request(syscall.RTM_GETROUTE, 0, m.bytes(), l...)
		}}
		// Which of several nexthops is chosen is between each stack and its
		// hash.
		shared := strings.HasPrefix(dst, "10.20.") && out == "" && m.flags&0x2000 == 0
		a, b := answer(q.x, s, shared), answer(q.y, s, shared)
		if a != b {
			if q.wrong++; q.wrong > 40 {
				q.Fatal("too many differences")
			}
			q.Errorf("%s: %s\n here  %s\n Linux %s", world, words, a, b)
		}
	}
}

func fromQuestion(dst string) step {
	return route("to "+dst, syscall.RTM_GETROUTE, 0, rt{bits: 32}, "", attr(1, addr(dst)))
}

// answer asks one end and says what came back.
func answer(e *end, s step, shared bool) string {
	errno, _, msgs := e.do(s.req(e))
	if errno != 0 {
		return errno.Error()
	}
	if len(msgs) != 1 {
		return fmt.Sprint(len(msgs), " answers")
	}
	w := strings.Fields(e.text(&msgs[0]))
	out := ""
	if shared {
		w[1] = w[1][:16] // without the flags: one way is worth a redirect, the other not
	}
	for _, f := range w {
		if shared && (strings.HasPrefix(f, "4=") || strings.HasPrefix(f, "5=") || strings.HasPrefix(f, "7=")) {
			continue
		}
		out += " " + f
	}
	return out
}
