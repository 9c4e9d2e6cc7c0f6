package rtnetlink_test

import (
	"slices"
	"syscall"
	"testing"
	"unsafe"
)

// dumps sends the request, and returns its error, words and messages as text.
func (e *end) dumps(req []byte) (errno syscall.Errno, words string, out []string) {
	errno, words, msgs := e.do(req)
	for i := range msgs {
		if msgs[i].Header.Type&^3 != syscall.RTM_NEWLINK && msgs[i].Header.Type != 80 && msgs[i].Data[0] != syscall.AF_INET {
			continue
		}
		s := e.text(&msgs[i])
		if msgs[i].Header.Flags&0x20 != 0 {
			s = "filtered " + s
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return errno, words, out
}

// With strict checks lists are filtered by the kernel, and what is no filter is
// refused, with the same words as in Linux.
func TestStrictDumps_asLinux(t *testing.T) {
	x, _ := ours(t)
	y := linux(t)
	one := new(int32)
	*one = 1
	const dump = syscall.NLM_F_DUMP
	for _, e := range []*end{x, y} {
		_, errno := e.syscall(syscall.SYS_SETSOCKOPT, e.fd, 270, 12, uintptr(unsafe.Pointer(one)), 4, 0)
		e.check("NETLINK_GET_STRICT_CHK", errno)
		for _, s := range append(slices.Clone(setUp),
			addAddr("", "10.0.0.1", 24, "d0"), addAddr("", "10.1.0.1", 24, "d1"),
			route("", syscall.RTM_NEWROUTE, create, rt{bits: 24, table: 100, proto: 3, scope: 253, typ: 1}, "d0", attr(1, addr("10.9.9.0"))),
			route("", syscall.RTM_NEWROUTE, create, rt{bits: 24, table: 254, proto: 4, scope: 253, typ: 1}, "d1", attr(1, addr("10.9.8.0"))),
			route("", syscall.RTM_NEWROUTE, create, rt{bits: 24, table: 254, proto: 4, scope: 0, typ: 6}, "", attr(1, addr("10.9.7.0"))),
			neighbour("", syscall.RTM_NEWNEIGH, create, "d0", 0x80, 0, attr(1, addr("10.0.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 1})),
			neighbour("", syscall.RTM_NEWNEIGH, create, "d1", 0x80, 0, attr(1, addr("10.1.0.9")), attr(2, []byte{2, 0, 0, 0, 0, 2})),
			neighbour("", syscall.RTM_NEWNEIGH, create, "d1", 0, 8, attr(1, addr("10.1.0.10"))),
		) {
			e.links()
			errno, words, _ := e.do(s.req(e))
			if errno != 0 {
				t.Fatal(e.name, s.name, errno, words)
			}
		}
		e.links()
	}
	set := func(b []byte, i int, v byte) []byte { b = slices.Clone(b); b[i] = v; return b }
	ifa := func(e *end, dev string) []byte { return append([]byte{2, 0, 0, 0}, u32(uint32(e.index[dev]))...) }
	nd := func(e *end) []byte { b := make([]byte, 12); b[0] = 2; return b }
	list := []step{
		{"addrs", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, ifa(e, "")) }},
		{"addrs of d0", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, ifa(e, "d0")) }},
		{"addrs of nothing", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, []byte{2, 0, 0, 0, 99, 0, 0, 0}) }},
		{"addrs with bits", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, set(ifa(e, ""), 1, 24)) }},
		{"addrs with scope", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, set(ifa(e, ""), 3, 24)) }},
		{"addrs with attribute", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, ifa(e, ""), attr(2, addr("10.0.0.1"))) }},
		{"addrs with unknown attribute", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, ifa(e, ""), attr(99, addr("10.0.0.1"))) }},
		{"addrs short", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, []byte{2, 0, 0, 0}) }},
		{"addrs of any family", func(e *end) []byte { return request(syscall.RTM_GETADDR, dump, set(ifa(e, "d0"), 0, 0)) }},
		{"links", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0)) }},
		{"links short", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, []byte{0}) }},
		{"links with index", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(e.index["d0"], 0, 0)) }},
		{"links with flags", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 1, 1)) }},
		{"links with type", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, set(ifinfo(0, 0, 0), 2, 1)) }},
		{"links with name", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), attr(3, str("d0"))) }},
		{"links of veth", func(e *end) []byte {
			li := attr(18, nil)
			li.AddRtAttr(1, str("veth"))
			return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), li)
		}},
		{"links of no kind", func(e *end) []byte {
			li := attr(18, nil)
			li.AddRtAttr(1, str("nosuchkind"))
			return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), li)
		}},
		{"links of a master", func(e *end) []byte {
			return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), attr(10, u32(uint32(e.index["d0"]))))
		}},
		{"links of master 99", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), attr(10, u32(99))) }},
		{"links with mask", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), attr(29, u32(9))) }},
		{"links of nsid", func(e *end) []byte { return request(syscall.RTM_GETLINK, dump, ifinfo(0, 0, 0), attr(46, u32(5))) }},
		{"link", func(e *end) []byte { return request(syscall.RTM_GETLINK, 0, ifinfo(e.index["d0"], 0, 0)) }},
		{"link with flags", func(e *end) []byte { return request(syscall.RTM_GETLINK, 0, ifinfo(e.index["d0"], 1, 0)) }},
		{"link with mtu", func(e *end) []byte {
			return request(syscall.RTM_GETLINK, 0, ifinfo(e.index["d0"], 0, 0), attr(4, u32(1)))
		}},
		{"link with mask", func(e *end) []byte {
			return request(syscall.RTM_GETLINK, 0, ifinfo(e.index["d0"], 0, 0), attr(29, u32(9)))
		}},
		{"routes", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{}.bytes()) }},
		{"routes short", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, []byte{2, 0, 0, 0}) }},
		{"routes of main", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{table: 254}.bytes()) }},
		{"routes of 100", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{table: 100}.bytes()) }},
		{"routes of 101", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{table: 101}.bytes()) }},
		{"routes of table attribute", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{}.bytes(), attr(15, u32(100))) }},
		{"routes of 1234", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{}.bytes(), attr(15, u32(1234))) }},
		{"routes of protocol", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{proto: 4}.bytes()) }},
		{"routes of type", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{typ: 6}.bytes()) }},
		{"routes through d0", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, dump, rt{}.bytes(), attr(4, u32(uint32(e.index["d0"]))))
		}},
		{"routes through 99", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{}.bytes(), attr(4, u32(99))) }},
		{"routes with bits", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{bits: 24}.bytes()) }},
		{"routes with tos", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{tos: 4}.bytes()) }},
		{"routes with scope", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{scope: 253}.bytes()) }},
		{"routes of the cache", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{flags: 0x200}.bytes()) }},
		{"routes with flags", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{flags: 0x1}.bytes()) }},
		{"routes prefix", func(e *end) []byte { return request(syscall.RTM_GETROUTE, dump, rt{flags: 0x800}.bytes()) }},
		{"routes with destination", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, dump, rt{}.bytes(), attr(1, addr("10.9.9.0")))
		}},
		{"neighbours", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, nd(e)) }},
		{"neighbours short", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, []byte{2, 0, 0, 0}) }},
		{"neighbours of d0", func(e *end) []byte {
			return request(syscall.RTM_GETNEIGH, dump, nd(e), attr(8, u32(uint32(e.index["d0"]))))
		}},
		{"neighbours of 99", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, nd(e), attr(8, u32(99))) }},
		{"neighbours of a master", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, nd(e), attr(9, u32(1))) }},
		{"neighbours of d0 by header", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, set(nd(e), 4, byte(e.index["d0"]))) }},
		{"neighbours of state", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, set(nd(e), 8, 0x80)) }},
		{"proxies", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, set(nd(e), 10, 8)) }},
		{"neighbours with flag", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, set(nd(e), 10, 1)) }},
		{"neighbours with destination", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, dump, nd(e), attr(1, addr("10.0.0.9"))) }},
		{"rules", func(e *end) []byte { return request(34, dump, nd(e)) }},
		{"rules short", func(e *end) []byte { return request(34, dump, []byte{2}) }},
		{"rules of table", func(e *end) []byte { return request(34, dump, set(nd(e), 4, 254)) }},
		{"rules with priority", func(e *end) []byte { return request(34, dump, nd(e), attr(6, u32(1))) }},
		{"rules with flags", func(e *end) []byte { return request(34, dump, set(nd(e), 8, 1)) }},
		{"netconf", func(e *end) []byte { return request(82, dump, []byte{2, 0, 0, 0}) }},
		{"netconf with attribute", func(e *end) []byte { return request(82, dump, []byte{2, 0, 0, 0}, attr(1, u32(1))) }},
		{"netconf of d0", func(e *end) []byte { return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(uint32(e.index["d0"])))) }},
		{"netconf with more", func(e *end) []byte {
			return request(82, 0, []byte{2, 0, 0, 0}, attr(1, u32(uint32(e.index["d0"]))), attr(2, u32(1)))
		}},
		{"route", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, 0, rt{bits: 32}.bytes(), attr(1, addr("10.0.0.9")))
		}},
		{"route with scope", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, 0, rt{bits: 32, scope: 3}.bytes(), attr(1, addr("10.0.0.9")))
		}},
		{"route with bits", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, 0, rt{bits: 24}.bytes(), attr(1, addr("10.0.0.9")))
		}},
		{"route with gateway", func(e *end) []byte {
			return request(syscall.RTM_GETROUTE, 0, rt{bits: 32}.bytes(), attr(1, addr("10.0.0.9")), attr(5, addr("10.0.0.9")))
		}},
		{"neighbour", func(e *end) []byte {
			return request(syscall.RTM_GETNEIGH, 0, set(nd(e), 4, byte(e.index["d0"])), attr(1, addr("10.0.0.9")))
		}},
		{"neighbour with state", func(e *end) []byte {
			return request(syscall.RTM_GETNEIGH, 0, set(set(nd(e), 4, byte(e.index["d0"])), 8, 1), attr(1, addr("10.0.0.9")))
		}},
		{"neighbour without destination", func(e *end) []byte { return request(syscall.RTM_GETNEIGH, 0, set(nd(e), 4, byte(e.index["d0"]))) }},
	}
	for _, s := range list {
		ex, wx, mx := x.dumps(s.req(x))
		ey, wy, my := y.dumps(s.req(y))
		if ex != ey || wx != wy {
			t.Errorf("%s: %q %v here, %q %v in Linux", s.name, wx, ex, wy, ey)
		}
		if typ := s.req(x)[4]; typ == syscall.RTM_GETLINK || typ == 82 {
			if len(mx) != len(my) {
				t.Errorf("%s: %d answers here, %d in Linux", s.name, len(mx), len(my))
			}
			continue
		}
		if !slices.Equal(mx, my) {
			t.Errorf("%s:", s.name)
			for _, m := range mx {
				t.Log("  here  ", m)
			}
			for _, m := range my {
				t.Log("  Linux ", m)
			}
		}
	}
}
