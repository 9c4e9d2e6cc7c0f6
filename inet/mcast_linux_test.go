package inet_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"barewire/qemu"
	"barewire/skb/header"
)

// Membership options of level SOL_IP.
const (
	optAddMembership = 35 + iota
	optDropMembership
	optUnblockSource
	optBlockSource
	optAddSource
	optDropSource
	optMSFilter
	optJoinGroup
	optBlockGroupSource
	optUnblockGroupSource
	optLeaveGroup
	optJoinGroupSource
	optLeaveGroupSource
	optGroupFilter
	optMulticastAll
)

// mcIndex is the index of the Ethernet device in both worlds: the loopback
// device is the first.
const mcIndex = 2

// getInOut is getsockopt with a buffer that is also the question.
func getInOut(c calls, fd, name int, in []byte) ([]byte, error) {
	b, n := append([]byte(nil), in...), int32(len(in))
	switch c := c.(type) {
	case *ownCalls:
		got, err := c.socks[fd].GetSockOpt(syscall.SOL_IP, name, b)
		if err != nil {
			return nil, err
		}
		return b[:got], nil
	default:
		b = append(b, 0)
		_, err := do(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_IP, uintptr(name), at(b), uintptr(unsafe.Pointer(&n)))
		if err != nil {
			return nil, err
		}
		return b[:n], nil
	}
}

func (s *script) mc(fd, name int, what string, val ...[]byte) {
	v := concat(val...)
	s.note(fmt.Sprintf("%s: set %d of %d bytes", what, name, len(v)), s.setsockopt(fd, syscall.SOL_IP, name, v))
}

// filter notes the source filter of a group, by both options.
func (s *script) filter(fd int, group header.Addr, room uint32) {
	g, err := getInOut(s.calls, fd, optMSFilter, concat(be(group), be(hostIP), le(9), le(room), make([]byte, 4*room)))
	s.note(fmt.Sprintf("IP_MSFILTER %v room %d", group, room), fmt.Sprintf("%x ", g), err)
	g, err = getInOut(s.calls, fd, optGroupFilter, concat(le(mcIndex), le(0), storage(group), le(9), le(room), make([]byte, 128*room)))
	s.note(fmt.Sprintf("MCAST_MSFILTER %v room %d", group, room), fmt.Sprintf("%x ", g), err)
}

func greq(index uint32, group header.Addr) []byte { return concat(le(index), le(0), storage(group)) }
func gsreq(index uint32, group, src header.Addr) []byte {
	return concat(greq(index, group), storage(src))
}
func family(f byte, sa []byte) []byte { sa[0] = f; return sa }

var mcKinds = []struct{ typ, proto int }{{syscall.SOCK_DGRAM, 0}, {syscall.SOCK_RAW, 200}} // read-only

var mcScripts = []struct { // read-only
	name string
	run  func(s *script)
}{
	{"lengths and addresses", func(s *script) {
		for _, k := range mcKinds {
			fd := s.open(k.typ, k.proto)
			for name := optAddMembership; name <= optMulticastAll; name++ {
				for _, n := range []int{0, 1, 4, 7, 8, 11, 12, 13, 15, 16, 17, 20, 135, 136, 137, 143, 144, 145, 263, 264, 265, 272, 20480, 131072, 131073} {
					s.mc(fd, name, "zeros", make([]byte, n))
					g, err := getInOut(s.calls, fd, name, make([]byte, n))
					s.note(fmt.Sprintf("get %d of %d", name, n), fmt.Sprintf("%x ", g), err)
				}
			}
			s.mc(fd, optAddMembership, "no group", be(0x0a000001), be(hostIP))
			s.mc(fd, optAddMembership, "no such address", be(grp), be(peerIP))
			s.mc(fd, optAddMembership, "no such index", be(grp), be(0), le(77))
			s.mc(fd, optAddMembership, "address is of no weight beside the index", be(grp), be(peerIP), le(mcIndex))
			s.mc(fd, optAddMembership, "twice", be(grp), be(hostIP))
			s.mc(fd, optDropMembership, "wrong address", be(grp), be(peerIP))
			s.mc(fd, optDropMembership, "wrong index", be(grp), be(0), le(1))
			s.mc(fd, optDropMembership, "no such index", be(grp), be(0), le(77))
			s.mc(fd, optDropMembership, "other group", be(grp+1), be(0))
			s.mc(fd, optDropMembership, "any device", be(grp), be(0))
			s.mc(fd, optDropMembership, "twice", be(grp), be(0))
			s.mc(fd, optAddMembership, "by route", be(grp), be(0))
			s.mc(fd, optAddMembership, "by loopback", be(grp), be(header.AddrLoopback))
			s.mc(fd, optAddMembership, "13 bytes", be(grp+3), be(0), le(mcIndex), []byte{1})
			s.mc(fd, optJoinGroup, "family", le(mcIndex), le(0), family(10, storage(grp+4)))
			s.mc(fd, optJoinGroup, "no group", greq(mcIndex, hostIP))
			s.mc(fd, optJoinGroup, "no such index", greq(77, grp+4))
			s.mc(fd, optJoinGroup, "", greq(mcIndex, grp+4))
			s.mc(fd, optJoinGroup, "twice", greq(mcIndex, grp+4))
			s.mc(fd, optJoinGroup, "by route", greq(0, grp+5))
			s.mc(fd, optLeaveGroup, "family", le(mcIndex), le(0), family(10, storage(grp+4)))
			s.mc(fd, optLeaveGroup, "wrong index", greq(1, grp+4))
			s.mc(fd, optLeaveGroup, "no such index", greq(77, grp+4))
			s.mc(fd, optLeaveGroup, "", greq(mcIndex, grp+4))
			s.mc(fd, optLeaveGroup, "by route", greq(0, grp+5))
			s.mc(fd, optJoinGroupSource, "families", le(mcIndex), le(0), family(10, storage(grp+6)), storage(src1))
			s.mc(fd, optJoinGroupSource, "families", le(mcIndex), le(0), storage(grp+6), family(10, storage(src1)))
			s.mc(fd, optLeaveGroupSource, "not joined", gsreq(mcIndex, grp+6, src1))
			s.mc(fd, optBlockGroupSource, "not joined", gsreq(mcIndex, grp+6, src1))
			s.mc(fd, optUnblockGroupSource, "not joined", gsreq(mcIndex, grp+6, src1))
			s.mc(fd, optJoinGroupSource, "no such index", gsreq(77, grp+6, src1))
			s.mc(fd, optJoinGroupSource, "no group", gsreq(mcIndex, hostIP, src1))
			s.filter(fd, grp+6, 4)
			s.filter(fd, hostIP, 4)
			s.filter(fd, grp+3, 0)
		}
	}},
	{"filters", func(s *script) {
		for _, k := range mcKinds {
			fd := s.open(k.typ, k.proto)
			mreqs := func(src header.Addr) [][]byte { return [][]byte{be(grp), be(hostIP), be(src)} }
			s.mc(fd, optAddSource, "first", mreqs(src1)...)
			s.mc(fd, optAddSource, "twice", mreqs(src1)...)
			s.mc(fd, optAddSource, "second", mreqs(src2)...)
			s.mc(fd, optBlockSource, "in an including filter", mreqs(src1)...)
			s.mc(fd, optUnblockSource, "in an including filter", mreqs(src1)...)
			s.mc(fd, optAddMembership, "joined by source", be(grp), be(hostIP))
			for room := range uint32(4) {
				s.filter(fd, grp, room)
			}
			s.mc(fd, optDropSource, "", mreqs(src1)...)
			s.mc(fd, optDropSource, "twice", mreqs(src1)...)
			s.mc(fd, optDropSource, "last", mreqs(src2)...)
			s.filter(fd, grp, 2)
			s.mc(fd, optAddMembership, "", be(grp), be(hostIP))
			s.mc(fd, optUnblockSource, "what is not blocked", mreqs(src1)...)
			s.mc(fd, optAddSource, "in an empty excluding filter", mreqs(src1)...)
			s.filter(fd, grp, 2)
			s.mc(fd, optBlockSource, "in an including filter", mreqs(src2)...)
			s.mc(fd, optDropSource, "last", mreqs(src1)...)
			s.mc(fd, optAddMembership, "again", be(grp), be(hostIP))
			for i := range 12 {
				s.mc(fd, optBlockSource, fmt.Sprint("source ", i), mreqs(src1+header.Addr(i))...)
			}
			s.filter(fd, grp, 12)
			s.mc(fd, optBlockSource, "twice", mreqs(src1)...)
			s.mc(fd, optUnblockSource, "", mreqs(src1)...)
			s.mc(fd, optAddSource, "in an excluding filter", mreqs(src1)...)
			list := func(n int) (b []byte) {
				for i := range n {
					b = append(b, be(src1+header.Addr(n-i))...)
				}
				return b
			}
			storages := func(n int) (b []byte) {
				for i := range n {
					b = append(b, storage(src2+header.Addr(n-i))...)
				}
				return b
			}
			for _, c := range []struct {
				mode, n uint32
				have    int
			}{{0, 3, 3}, {1, 3, 3}, {1, 3, 2}, {1, 2, 9}, {2, 1, 1}, {0, 0, 0}, {0, 11, 11}, {0, 10, 10}, {1, 10, 10}, {0, 0xffffffff, 4}, {0, 0x40000000, 0}, {1, 1, 1}} {
				s.mc(fd, optMSFilter, fmt.Sprintf("%+v", c), be(grp), be(hostIP), le(c.mode), le(c.n), list(c.have))
				s.filter(fd, grp, 4)
				s.mc(fd, optGroupFilter, fmt.Sprintf("%+v", c), le(mcIndex), le(0), storage(grp), le(c.mode), le(c.n), storages(c.have))
				s.filter(fd, grp, 4)
			}
			s.mc(fd, optGroupFilter, "family of the group", le(mcIndex), le(0), family(10, storage(grp)), le(0), le(0))
			s.mc(fd, optGroupFilter, "family of a source", le(mcIndex), le(0), storage(grp), le(0), le(1), family(10, storage(src1)))
			s.mc(fd, optMSFilter, "no such address", be(grp), be(peerIP), le(0), le(0))
			s.mc(fd, optMSFilter, "to include nothing is to leave", be(grp), be(hostIP), le(1), le(0))
			s.filter(fd, grp, 1)
			s.mc(fd, optMSFilter, "not joined", be(grp), be(hostIP), le(1), le(0))
			s.mc(fd, optMSFilter, "not joined", be(grp), be(hostIP), le(0), le(0))
			s.mc(fd, optMSFilter, "no group", be(hostIP), be(hostIP), le(0), le(0))
		}
	}},
	{"limits", func(s *script) {
		for _, k := range mcKinds {
			fd := s.open(k.typ, k.proto)
			for i := range 22 {
				s.mc(fd, optAddMembership, fmt.Sprint("group ", i), be(grp+header.Addr(i)), be(hostIP))
			}
			s.mc(fd, optAddSource, "one more by source", be(grp+30), be(hostIP), be(src1))
			s.mc(fd, optJoinGroup, "one more", greq(mcIndex, grp+30))
			s.mc(fd, optJoinGroup, "one of them", greq(mcIndex, grp+3))
			s.mc(fd, optDropMembership, "", be(grp+3), be(0))
			s.mc(fd, optAddMembership, "the place of another", be(grp+31), be(hostIP))
			s.mc(fd, optAddMembership, "full", be(grp+32), be(hostIP))
		}
	}},
	{"IP_MULTICAST_IF", func(s *script) {
		for _, k := range mcKinds {
			fd := s.open(k.typ, k.proto)
			try := func(what string, v ...[]byte) {
				s.mc(fd, syscall.IP_MULTICAST_IF, what, v...)
				for _, n := range []int{0, 1, 3, 4, 5, 8, 12, 16} {
					g, err := s.getsockopt(fd, syscall.SOL_IP, syscall.IP_MULTICAST_IF, n)
					s.note(fmt.Sprint("get of ", n), fmt.Sprintf("%x ", g), err)
				}
			}
			try("nothing")
			try("short", []byte{1, 2, 3})
			try("in_addr", be(hostIP))
			try("five bytes", be(0), []byte{1})
			try("in_addr of another", be(peerIP))
			try("in_addr any", be(0))
			try("in_addr index", be(mcIndex)) // 0.0.0.2
			try("mreq", be(grp), be(hostIP))
			try("mreq of another", be(grp), be(peerIP))
			try("mreq of eleven", be(grp), be(header.AddrLoopback), []byte{1, 2, 3})
			try("mreqn by index", be(grp), be(peerIP), le(mcIndex))
			try("mreqn by address", be(grp), be(hostIP), le(0))
			try("mreqn, no such index", be(grp), be(0), le(77))
			try("mreqn any", be(0), be(0), le(0))
			try("mreqn, negative", be(0), be(0), le(0xffffffff))
			s.note("bind", s.setsockopt(fd, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("lo")))
			try("bound to another device", be(hostIP))
			try("bound to another device, by index", be(0), be(0), le(mcIndex))
			try("bound to it", be(header.AddrLoopback))
			try("bound to it, any", be(0))
		}
	}},
	{"delivery", func(s *script) {
		a, b, c := s.open(syscall.SOCK_DGRAM, 0), s.open(syscall.SOCK_DGRAM, 0), s.open(syscall.SOCK_DGRAM, 0)
		raw := s.open(syscall.SOCK_RAW, syscall.IPPROTO_UDP)
		for _, fd := range []int{b, c} {
			s.note("reuse", s.setsockopt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, optOn), s.bind(fd, sockaddr(0, 4000)))
		}
		s.note("bind", s.bind(a, sockaddr(hostIP, 3999)))
		s.mc(a, syscall.IP_MULTICAST_IF, "", be(hostIP))
		try := func(what string, group header.Addr) {
			n, err := s.send(a, []byte(what), sockaddr(group, 4000), nil, 0)
			s.note("send "+what, n, err)
			for _, fd := range []int{b, c, raw} {
				n, d, _, _, _, err := s.recv(fd, 99, 0, 0)
				if fd == raw && err == nil {
					d = d[20:]
					clear(d[6:8]) // computed late, by Linux's devices
				}
				s.note("recv", n, fmt.Sprintf(" %q ", d), err)
			}
		}
		try("nobody joined", grp)
		s.mc(b, optAddMembership, "b", be(grp), be(hostIP))
		try("b joined, c takes all", grp)
		s.mc(c, optMulticastAll, "c", le(0))
		s.mc(raw, optMulticastAll, "raw", le(0))
		try("c no longer", grp)
		s.mc(c, optMulticastAll, "c", le(2))
		s.mc(b, optBlockSource, "b", be(grp), be(hostIP), be(hostIP))
		try("b blocks the sender", grp)
		s.mc(c, optAddSource, "c", be(grp), be(hostIP), be(hostIP))
		try("c wants the sender", grp)
		s.mc(c, optAddSource, "c", be(grp), be(hostIP), be(peerIP))
		s.mc(c, optDropSource, "c", be(grp), be(hostIP), be(hostIP))
		try("c wants another", grp)
		s.mc(raw, optAddMembership, "raw", be(grp), be(hostIP))
		try("raw joined", grp)
		s.mc(b, optUnblockSource, "b", be(grp), be(hostIP), be(hostIP))
		try("b unblocks", grp)
		s.mc(a, syscall.IP_MULTICAST_LOOP, "", []byte{0})
		try("no loop", grp)
		s.mc(a, syscall.IP_MULTICAST_LOOP, "", []byte{1})
		s.mc(a, syscall.IP_MULTICAST_TTL, "", []byte{0})
		try("this host only", grp)
		try("another group", grp+1)
		try("all hosts", header.AddrAllHosts)
		s.mc(b, optDropMembership, "b", be(grp), be(0))
		try("b left", grp)
	}},
	{"random", func(s *script) {
		r := rand.New(rand.NewPCG(5, 5))
		fds := []int{s.open(syscall.SOCK_DGRAM, 0), s.open(syscall.SOCK_DGRAM, 0), s.open(syscall.SOCK_RAW, 200)}
		groups, sources := []header.Addr{grp, grp + 1, header.AddrAllHosts}, []header.Addr{src1, src2, src1 + 5, hostIP}
		for i := range 1500 {
			k := r.IntN(3)
			fd, g, src := fds[k], groups[r.IntN(3)], sources[r.IntN(4)]
			name := optAddMembership + r.IntN(optMulticastAll-optAddMembership)
			index := []uint32{mcIndex, mcIndex, 1, 0}[r.IntN(4)]
			addr := []header.Addr{hostIP, hostIP, header.AddrLoopback, 0}[r.IntN(4)]
			what := fmt.Sprintf("%d: socket %d, group %v, source %v, device %d or %v", i, k, g, src, index, addr)
			n := r.IntN(4)
			switch {
			case name <= optDropMembership && r.IntN(2) == 0:
				s.mc(fd, name, what, be(g), be(addr), le(index))
			case name <= optDropMembership:
				s.mc(fd, name, what, be(g), be(addr))
			case name <= optDropSource:
				s.mc(fd, name, what, be(g), be(addr), be(src))
			case name == optMSFilter:
				s.mc(fd, name, what, be(g), be(addr), le(uint32(r.IntN(2))), le(uint32(n)), be(src), be(src+1), be(src+2))
			case name == optJoinGroup || name == optLeaveGroup:
				s.mc(fd, name, what, greq(index, g))
			case name == optGroupFilter:
				s.mc(fd, name, what, greq(index, g), le(uint32(r.IntN(2))), le(uint32(n)), storage(src), storage(src+1), storage(src+2))
			default:
				s.mc(fd, name, what, gsreq(index, g, src))
			}
			s.filter(fd, g, uint32(r.IntN(4)))
		}
	}},
}

// TestLinuxMulticast_sameSocketCalls_sameResults makes the same calls about
// membership here and on Linux, with the same devices and addresses, for
// datagram and raw sockets, and compares every result.
func TestLinuxMulticast_sameSocketCalls_sameResults(t *testing.T) {
	t.Parallel() // most of it is waiting
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	for _, c := range mcScripts {
		t.Run(c.name, func(t *testing.T) {
			sameCalls(t, newLinux(t).ns, c.run)
		})
	}
}
