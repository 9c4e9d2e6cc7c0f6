package rtnetlink_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// told returns what the groups were told since the last call, by kind, with
// devices by name. It waits for what comes late.
func (s nlsock) told(links map[string]int32) (out []string) {
	s.index = links
	var b []byte
	for quiet := 0; quiet < 6; {
		n := make([]byte, 65536)
		l, errno := s.syscall(syscall.SYS_RECVFROM, s.fd, addrOf(n), uintptr(len(n)), syscall.MSG_DONTWAIT, 0, 0)
		if errno == syscall.EAGAIN {
			quiet++
			time.Sleep(5 * time.Millisecond)
			continue
		}
		s.check("recvfrom", errno)
		quiet = 0
		b = append(b, n[:l]...)
	}
	msgs, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		s.Fatal(err)
	}
	for i := range msgs {
		m := &msgs[i]
		by := ""
		if m.Header.Pid != 0 || m.Header.Seq != 0 {
			by = "by request: "
		}
		at := len(out)
		switch f := m.Data[0]; {
		case m.Header.Type&^3 == syscall.RTM_NEWLINK && f == 0:
			a := attrs(m.Data[16:])
			name := strings.TrimRight(string(a[syscall.IFLA_IFNAME]), "\x00")
			// Here a carrier is told at once, in Linux within a second, and
			// sometimes twice.
			m.Data[8], m.Data[10], m.Data[12] = m.Data[8]&^0x40, m.Data[10]&^1, m.Data[12]&^0x40
			hw := a[syscall.IFLA_ADDRESS]
			if !bytes.HasPrefix(hw, []byte{2, 0, 0, 0, 0}) {
				hw = nil // random, not one of the script
			}
			state := fmt.Sprintf("flags %x mtu %x hw %x group %x queue %x alias %x others %x", m.Data[8:12], a[syscall.IFLA_MTU], hw, a[27], a[syscall.IFLA_TXQLEN], a[syscall.IFLA_IFALIAS], a[52])
			change := fmt.Sprintf("%x", m.Data[12:16])
			if change == "00000000" && s.last[name] == state {
				continue // of the carrier
			}
			s.last[name] = state
			out = append(out, fmt.Sprintf("link %d %s change %s %s", m.Header.Type, name, change, state))
		case f != syscall.AF_INET: // of IPv6, and of bridges
		case m.Header.Type == 80 || m.Header.Type == 81:
			out = append(out, s.text(m))
		default:
			out = append(out, fmt.Sprintf("flags %x %s", m.Header.Flags, s.text(m)))
		}
		if len(out) > at {
			out[at] = by + out[at]
		}
	}
	return out
}

// What listeners hear of a sequence of changes is what Linux tells.
func TestNotifications_AsLinux(t *testing.T) {
	x, in := ours(t)
	y := linux(t)
	listen := func(e *end) nlsock {
		s, errno := e.nl(syscall.SOCK_RAW, 0)
		e.check("socket", errno)
		e.check("bind", s.bind(nladdr(0, 0)))
		for _, g := range []uint32{1, 3, 5, 7, 8, 24} {
			e.check("join", s.setopt(syscall.NETLINK_ADD_MEMBERSHIP, u32(g)))
		}
		s.last = map[string]string{}
		return s
	}
	lx, ly := listen(x), listen(y)
	_ = in
	all := map[string]map[string]int32{"ours": {}, "linux": {}}
	for _, s := range []step{
		addVeth("d0", "d1"),
		setLink("up", "d0", 1, 1),
		setLink("up", "d1", 1, 1),
		setLink("mtu", "d0", 0, 0, attr(syscall.IFLA_MTU, u32(1400))),
		setLink("address", "d0", 0, 0, attr(syscall.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 9})),
		setLink("promisc", "d0", 0x100, 0x100),
		setLink("promisc off", "d0", 0, 0x100),
		setLink("group", "d0", 0, 0, attr(27, u32(3))),
		setLink("alias", "d0", 0, 0, attr(syscall.IFLA_IFALIAS, str("an alias"))),
		setLink("queue", "d0", 0, 0, attr(syscall.IFLA_TXQLEN, u32(7))),
		linkProp("alternative name", 108, "d0", "another"),
		linkProp("alternative name away", 109, "d0", "another"),
		addAddr("", "10.0.0.1", 24, "d0"),
		addAddr("again", "10.0.0.1", 24, "d0"),
		addAddr("secondary", "10.0.0.2", 24, "d0"),
		route("add", syscall.RTM_NEWROUTE, create|excl, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 1}, "d0", attr(1, addr("10.9.8.0")), attr(5, addr("10.0.0.9"))),
		route("replace", syscall.RTM_NEWROUTE, create|replace, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 1}, "d0", attr(1, addr("10.9.8.0")), attr(5, addr("10.0.0.8"))),
		route("blackhole", syscall.RTM_NEWROUTE, create|excl, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 6}, "", attr(1, addr("10.9.7.0"))),
		route("del", syscall.RTM_DELROUTE, 0, rt{bits: 24, table: 254, scope: 255}, "", attr(1, addr("10.9.7.0"))),
		neighbour("add", syscall.RTM_NEWNEIGH, create|excl, "d0", 0x80, 0, attr(1, addr("10.0.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 1})),
		neighbour("change", syscall.RTM_NEWNEIGH, create|replace, "d0", 0x80, 0, attr(1, addr("10.0.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 2})),
		neighbour("del", syscall.RTM_DELNEIGH, 0, "d0", 0, 0, attr(1, addr("10.0.0.9"))),
		rule("add", 32, create|excl, [12]byte{4: 100, 7: 1}, attr(6, u32(1000))),
		rule("del", 33, 0, [12]byte{4: 100, 7: 1}, attr(6, u32(1000))),
		{"sysctl rp_filter of all", func(e *end) []byte { e.set("conf.all.rp_filter", "2"); return nil }},
		{"sysctl proxy_arp of d0", func(e *end) []byte { e.set("conf.d0.proxy_arp", "1"); return nil }},
		{"sysctl forwarding of default", func(e *end) []byte { e.set("conf.default.forwarding", "1"); return nil }},
		{"sysctl ip_forward", func(e *end) []byte { e.set("ip_forward", "1"); return nil }},
		{"sysctl ip_forward, the same", func(e *end) []byte { e.set("ip_forward", "1"); return nil }},
		{"sysctl send_redirects", func(e *end) []byte { e.set("conf.all.send_redirects", "0"); return nil }},
		setLink("rename", "d1", 0, 0, attr(syscall.IFLA_IFNAME, str("e1"))),
		setLink("down", "d0", 0, 1),
		setLink("up again", "d0", 1, 1),
		delAddr("", "10.0.0.2", 24, "d0"),
		delAddr("", "10.0.0.1", 24, "d0"),
		{"link del", func(e *end) []byte { return request(syscall.RTM_DELLINK, 0, ifinfo(e.index["d0"], 0, 0)) }},
	} {
		var heard [2][]string
		for i, l := range []nlsock{lx, ly} {
			e := []*end{x, y}[i]
			e.links()
			e.learn(all[e.name]) // those that go are told of too
			var errno syscall.Errno
			if b := s.req(e); b != nil {
				errno, _, _ = e.do(b)
			}
			e.links()
			e.learn(all[e.name])
			heard[i] = append(l.told(all[e.name]), fmt.Sprint(errno))
			slices.Sort(heard[i])
		}
		if !slices.Equal(heard[0], heard[1]) {
			t.Errorf("%s:\n here  %s\n Linux %s", s.name, strings.Join(heard[0], "\n       "), strings.Join(heard[1], "\n       "))
		}
	}
}

// learn notes the devices there are, each by the name it had first.
func (e *end) learn(all map[string]int32) {
	for n, v := range e.index {
		if e.first(all, v) == "" {
			all[n] = v
		}
	}
}

func (e *end) first(all map[string]int32, index int32) string {
	for n, v := range all {
		if v == index {
			return n
		}
	}
	return ""
}

// set changes a setting below net.ipv4.
func (e *end) set(name, value string) {
	if err := e.sysctl(name, value); err != nil {
		e.Fatal(e.name, name, err)
	}
}

// With NLM_F_ECHO who asks is told what came of it, and once if it listens too.
func TestEcho_AsLinux(t *testing.T) {
	const echo = 8
	x, _ := ours(t)
	y := linux(t)
	for _, e := range []*end{x, y} {
		s := nlsock{end: e, fd: e.fd}
		for _, g := range []uint32{5, 8} {
			e.check("join", s.setopt(syscall.NETLINK_ADD_MEMBERSHIP, u32(g)))
		}
	}
	a := func(v string) []byte { return addr(v) }
	for _, s := range append(slices.Clone(setUp),
		ifaddr("add", syscall.RTM_NEWADDR, create|excl|echo, "d0", 24, 0, attr(1, a("10.0.0.1")), attr(2, a("10.0.0.1"))),
		route("add", syscall.RTM_NEWROUTE, create|excl|echo, rt{bits: 24, table: 254, proto: 4, typ: 1}, "d0", attr(1, a("10.9.8.0")), attr(5, a("10.0.0.9"))),
		route("del", syscall.RTM_DELROUTE, echo, rt{bits: 24, table: 254, scope: 255}, "", attr(1, a("10.9.8.0"))),
		rule("add", 32, create|excl|echo, [12]byte{4: 100, 7: 1}, attr(6, u32(1000))),
		rule("del", 33, echo, [12]byte{4: 100, 7: 1}, attr(6, u32(1000))),
		neighbour("add", syscall.RTM_NEWNEIGH, create|excl|echo, "d0", 0x80, 0, attr(1, a("10.0.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 1})),
		setLink("mtu", "d0", 0, 0, attr(syscall.IFLA_MTU, u32(1400))),
		ifaddr("del", syscall.RTM_DELADDR, echo, "d0", 24, 0, attr(1, a("10.0.0.1")), attr(2, a("10.0.0.1"))),
	) {
		var got [2]string
		for i, e := range []*end{x, y} {
			e.links()
			errno, words, msgs := e.do(s.req(e))
			got[i] = fmt.Sprintln(errno, words)
			for k := range msgs {
				if m := &msgs[k]; m.Data[0] == syscall.AF_INET {
					got[i] += fmt.Sprintf("flags %x, of a port %v, numbered %v: %s\n", m.Header.Flags, m.Header.Pid != 0, m.Header.Seq != 0, e.text(m))
				}
			}
		}
		if got[0] != got[1] {
			t.Errorf("%s:\n here  %s\n Linux %s", s.name, got[0], got[1])
		}
	}
}
