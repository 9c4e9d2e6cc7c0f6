package inet_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// mcHost is a host whose memberships are set without a socket in between.
type mcHost struct{ *host }

func (h mcHost) sock() *ip.Sock {
	s := &ip.Sock{}
	s.InitSock(h.IP(), sock.Config{Type: syscall.SOCK_DGRAM})
	h.Cleanup(func() { h.IP().MC.Drop(s) })
	return s
}

func (h mcHost) set(s *ip.Sock, name int, val ...[]byte) error {
	h.Helper()
	ok, err := h.IP().MC.SetSockOpt(s, name, concat(val...))
	if !ok {
		h.Fatalf("option %d is not handled", name)
	}
	return err
}

func concat(l ...[]byte) (b []byte) {
	for _, p := range l {
		b = append(b, p...)
	}
	return b
}

func be(a header.Addr) []byte { return binary.BigEndian.AppendUint32(nil, uint32(a)) }
func le(v uint32) []byte      { return binary.LittleEndian.AppendUint32(nil, v) }

func storage(a header.Addr) []byte {
	b := make([]byte, 128)
	copy(b, sockaddr(a, 0))
	return b
}

const (
	grp  header.Addr = 0xef010203 // 239.1.2.3
	src1 header.Addr = 0x0a000001
	src2 header.Addr = 0x0a000002
)

// igmps describes the IGMP messages sent since the last call, and checks what
// all of them have in common.
func (h *host) igmps() (out []string) {
	h.Helper()
	for _, f := range h.port.take() {
		if header.Ethernet(f).Type() != header.EthPIP {
			continue
		}
		p := parseIP(h, f)
		if p.ip.Protocol() != header.ProtoIGMP {
			continue
		}
		if p.ip.TTL() != 1 || p.ip.TOS() != 0xc0 || p.ip.HeaderLen() != 24 || string(p.ip.Options()) != "\x94\x04\x00\x00" {
			h.Errorf("header %x", []byte(p.ip[:24]))
		}
		if skb.CsumFold(skb.CsumPartial(p.data, 0)) != 0 {
			h.Errorf("checksum of %x", p.data)
		}
		want := [6]byte{1, 0, 0x5e, f[31] & 0x7f, f[32], f[33]}
		if header.Ethernet(f).Dst() != want {
			h.Errorf("to %x, want %x", header.Ethernet(f).Dst(), want)
		}
		out = append(out, describeIGMP(p.ip.Dst(), p.data))
	}
	return out
}

// describeIGMP is a message in words.
func describeIGMP(dst header.Addr, p []byte) string {
	m, ok := header.ParseIGMP(p)
	if !ok {
		return fmt.Sprintf("short %x", p)
	}
	if m.Type() != header.IGMPv3Report {
		return fmt.Sprintf("%#x %v to %v", m.Type(), m.Group(), dst)
	}
	s := fmt.Sprintf("v3 to %v", dst)
	n := int(binary.BigEndian.Uint16(p[6:]))
	p = p[8:]
	for range n {
		k := int(binary.BigEndian.Uint16(p[2:]))
		s += fmt.Sprintf(" %d(%v", p[0], header.Addr(binary.BigEndian.Uint32(p[4:])))
		p = p[8:]
		for range k {
			s += fmt.Sprintf(" %v", header.Addr(binary.BigEndian.Uint32(p)))
			p = p[4:]
		}
		s += ")"
	}
	if len(p) != 0 {
		s += fmt.Sprintf(" and %x", p)
	}
	return s
}

// query makes an IGMP query from the peer.
func query(group header.Addr, code uint8, v3 bool, srcs ...header.Addr) []byte {
	p := concat([]byte{header.IGMPQuery, code, 0, 0}, be(group))
	if v3 {
		p = append(p, 2, 125, 0, byte(len(srcs)))
		for _, s := range srcs {
			p = append(p, be(s)...)
		}
	}
	binary.BigEndian.PutUint16(p[2:], skb.CsumFold(skb.CsumPartial(p, 0)))
	dst := group
	if group == 0 {
		dst = header.AddrAllHosts
	}
	return groupFrame(dst, header.ProtoIGMP, p)
}

func groupFrame(dst header.Addr, proto uint8, p []byte) []byte {
	a := dst.As4()
	return ethFrame([6]byte{1, 0, 0x5e, a[1] & 0x7f, a[2], a[3]}, peerMAC, header.EthPIP,
		ipPacket(header.Fields{Protocol: proto, Src: peerIP, Dst: dst, TTL: 1}, p))
}

// mcBubble is bubble with a host of memberships.
func mcBubble(t *testing.T, f func(t *testing.T, h mcHost)) {
	bubble(t, func(t *testing.T, h *host) { f(t, mcHost{h}) })
}

// after lets d pass and returns the messages.
func (h mcHost) after(d time.Duration) []string {
	h.Helper()
	time.Sleep(d)
	synctest.Wait()
	return h.igmps()
}

func (h mcHost) want(what string, got []string, want ...string) {
	h.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestIGMP_joinLeave_reportedTwice(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		const ex = "v3 to 224.0.0.22 4(239.1.2.3)"
		// The delay of the second is random and may be next to nothing: only that
		// of the first is known.
		got := h.after(50 * time.Millisecond)
		if len(got) == 0 {
			t.Error("nothing at once")
		}
		h.want("twice", append(got, h.after(2*time.Second)...), ex, ex)
		h.want("then silence", h.after(10*time.Second))
		check(t, h.set(s, 36, be(grp), be(hostIP)))
		const in = "v3 to 224.0.0.22 3(239.1.2.3)"
		h.want("leave", h.after(3*time.Second), in, in)
	})
}

func TestIGMP_sources_reportedAsChanges(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 39, be(grp), be(hostIP), be(src1)))
		h.want("first source", h.after(3*time.Second), "v3 to 224.0.0.22 5(239.1.2.3 10.0.0.1)", "v3 to 224.0.0.22 5(239.1.2.3 10.0.0.1)")
		check(t, h.set(s, 39, be(grp), be(hostIP), be(src2)))
		h.want("second", h.after(3*time.Second), "v3 to 224.0.0.22 5(239.1.2.3 10.0.0.2)", "v3 to 224.0.0.22 5(239.1.2.3 10.0.0.2)")
		check(t, h.set(s, 40, be(grp), be(hostIP), be(src1)))
		h.want("without the first", h.after(3*time.Second), "v3 to 224.0.0.22 6(239.1.2.3 10.0.0.1)", "v3 to 224.0.0.22 6(239.1.2.3 10.0.0.1)")
		// Another socket that wants all sources changes the mode.
		o := h.sock()
		check(t, h.set(o, 35, be(grp), be(hostIP)))
		h.want("mode", h.after(3*time.Second), "v3 to 224.0.0.22 4(239.1.2.3)", "v3 to 224.0.0.22 4(239.1.2.3)")
		check(t, h.set(o, 36, be(grp), be(hostIP)))
		h.want("mode back", h.after(3*time.Second), "v3 to 224.0.0.22 3(239.1.2.3 10.0.0.2)", "v3 to 224.0.0.22 3(239.1.2.3 10.0.0.2)")
	})
}

func TestIGMP_queries_answeredByTheirVersion(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		check(t, h.set(s, 35, be(grp+1), be(hostIP)))
		h.after(5 * time.Second)
		h.inject(query(0, 10, true))
		h.want("general v3", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.4) 2(239.1.2.3)")
		h.inject(query(grp, 10, true))
		h.want("group v3", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.3)")
		h.inject(query(grp+7, 10, true))
		h.want("group not joined", h.after(2*time.Second))
		h.inject(query(grp, 10, true, src1))
		h.want("source of a group that wants all", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.3)")
		h.inject(query(grp, 10, false))
		h.want("group v2", h.after(2*time.Second), "0x16 239.1.2.3 to 239.1.2.3")
		check(t, h.set(s, 36, be(grp), be(hostIP)))
		h.want("leave v2", h.after(time.Second), "0x17 239.1.2.3 to 224.0.0.2")
		h.inject(query(0, 0, false))
		got := h.after(12 * time.Second)
		h.want("general v1", got, "0x12 239.1.2.4 to 239.1.2.4")
		text, _ := h.net.Proc().Lookup("igmp")
		if !strings.Contains(string(text(nil)), "V1") {
			t.Errorf("%s", text(nil))
		}
		// The old querier is silent for its time: version 3 again.
		time.Sleep(10 * time.Minute)
		h.inject(query(0, 10, true))
		h.want("v3 again", h.after(2*time.Second), "v3 to 224.0.0.22 2(239.1.2.4)")
	})
}

func TestIGMP_otherReports_suppressOurs(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.force_igmp_version", "2"))
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		h.after(30 * time.Second)
		h.inject(query(grp, 100, false))
		p := concat([]byte{header.IGMPv2Report, 0, 0, 0}, be(grp))
		binary.BigEndian.PutUint16(p[2:], skb.CsumFold(skb.CsumPartial(p, 0)))
		h.inject(groupFrame(grp, header.ProtoIGMP, p))
		h.want("after another's report", h.after(15*time.Second))
		check(t, h.set(s, 36, be(grp), be(hostIP)))
		h.want("leave when the last report was another's", h.after(time.Second))
	})
}

func TestIGMP_linkLocal_settingDecides(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		const mdns header.Addr = 0xe00000fb
		s := h.sock()
		check(t, h.set(s, 35, be(mdns), be(hostIP)))
		h.want("on", h.after(3*time.Second), "v3 to 224.0.0.22 4(224.0.0.251)", "v3 to 224.0.0.22 4(224.0.0.251)")
		check(t, h.net.Sysctl().Set("net.ipv4.igmp_link_local_mcast_reports", "0"))
		check(t, h.set(s, 36, be(mdns), be(hostIP)))
		check(t, h.set(s, 35, be(mdns), be(hostIP)))
		h.want("off", h.after(3*time.Second))
	})
}

func TestIGMP_device_followsGroups(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		has := func(a [6]byte) bool {
			for _, m := range h.port.dev.Multicast() {
				if m.Addr == a {
					return true
				}
			}
			return false
		}
		if !has([6]byte{1, 0, 0x5e, 0, 0, 1}) {
			t.Error("all hosts is not received")
		}
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		if !has([6]byte{1, 0, 0x5e, 1, 2, 3}) {
			t.Error("the group is not received")
		}
		h.after(5 * time.Second)
		h.port.dev.Close()
		check(t, h.port.dev.Open())
		if !has([6]byte{1, 0, 0x5e, 1, 2, 3}) {
			t.Error("the group is not received after the device was down")
		}
		h.want("up again", h.after(3*time.Second), "v3 to 224.0.0.22 4(239.1.2.3)", "v3 to 224.0.0.22 4(239.1.2.3)")
		h.IP().MC.Drop(s)
		if has([6]byte{1, 0, 0x5e, 1, 2, 3}) {
			t.Error("the group is still received")
		}
	})
}

func TestIGMP_options_LinuxErrors(t *testing.T) {
	h := mcHost{newHost(t)}
	s := h.sock()
	idx := le(uint32(h.port.dev.Ifindex()))
	pad := make([]byte, 4)
	for _, c := range []struct {
		what string
		name int
		val  []byte
		want error
	}{
		{"short", 35, be(grp), syscall.EINVAL},
		{"not a group", 35, concat(be(peerIP), be(hostIP)), syscall.EINVAL},
		{"no such address", 35, concat(be(grp), be(peerIP)), syscall.ENODEV},
		{"no such index", 35, concat(be(grp), be(0), le(77)), syscall.ENODEV},
		{"leave before join", 36, concat(be(grp), be(hostIP)), syscall.EADDRNOTAVAIL},
		{"block before join", 38, concat(be(grp), be(hostIP), be(src1)), syscall.EINVAL},
		{"by route", 35, concat(be(grp), be(0)), nil},
		{"twice", 35, concat(be(grp), be(0), idx), syscall.EADDRINUSE},
		{"unblock what is not", 37, concat(be(grp), be(hostIP), be(src1)), syscall.EADDRNOTAVAIL},
		{"block", 38, concat(be(grp), be(hostIP), be(src1)), nil},
		{"block twice", 38, concat(be(grp), be(hostIP), be(src1)), syscall.EADDRNOTAVAIL},
		{"include in an excluding filter", 39, concat(be(grp), be(hostIP), be(src2)), syscall.EINVAL},
		{"filter of too many", 41, concat(be(grp), be(hostIP), le(0), le(11), make([]byte, 44)), syscall.ENOBUFS},
		{"filter cut short", 41, concat(be(grp), be(hostIP), le(0), le(3), be(src1)), syscall.EINVAL},
		{"filter of no mode", 41, concat(be(grp), be(hostIP), le(2), le(0)), syscall.EINVAL},
		{"filter", 41, concat(be(grp), be(hostIP), le(1), le(2), be(src1), be(src2)), nil},
		{"join by sockaddr", 42, concat(idx, pad, storage(grp+1)), nil},
		{"join by sockaddr, short", 42, concat(idx, pad, storage(grp + 1)[:16]), syscall.EINVAL},
		{"join another family", 42, concat(idx, pad, make([]byte, 128)), syscall.EINVAL},
		{"join source", 46, concat(idx, pad, storage(grp+2), storage(src1)), nil},
		{"join source of another family", 46, concat(idx, pad, storage(grp+2), make([]byte, 128)), syscall.EADDRNOTAVAIL},
		{"leave source", 47, concat(idx, pad, storage(grp+2), storage(src1)), nil},
		{"leave source again", 47, concat(idx, pad, storage(grp+2), storage(src1)), syscall.EINVAL},
		{"group filter", 48, concat(idx, pad, storage(grp+1), le(0), le(1), storage(src2)), nil},
		{"leave by sockaddr", 45, concat(idx, pad, storage(grp+1)), nil},
		{"filter of nothing leaves", 41, concat(be(grp), be(hostIP), le(1), le(0)), nil},
		{"filter of what was left", 41, concat(be(grp), be(hostIP), le(0), le(0)), syscall.EINVAL},
	} {
		if err := h.set(s, c.name, c.val); err != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	for i := range 20 {
		check(t, h.set(s, 35, be(grp+header.Addr(i)), be(hostIP)))
	}
	if err := h.set(s, 35, be(grp+20), be(hostIP)); err != syscall.ENOBUFS {
		t.Errorf("membership 21: %v", err)
	}
}

func TestIGMP_limits_asSet(t *testing.T) {
	h := mcHost{newHost(t)}
	h.setctl("net.ipv4.igmp_max_memberships", "2")
	h.setctl("net.ipv4.igmp_max_msf", "3")
	s := h.sock()
	for i, want := range []error{nil, nil, syscall.ENOBUFS} {
		if err := h.set(s, 35, be(grp+header.Addr(i)), be(hostIP)); err != want {
			t.Errorf("membership %d: %v, want %v", i+1, err, want)
		}
	}
	for i, want := range []error{nil, nil, nil, syscall.ENOBUFS} {
		if err := h.set(s, 38, be(grp), be(hostIP), be(src1+header.Addr(i))); err != want {
			t.Errorf("source %d: %v, want %v", i+1, err, want)
		}
	}
	if err := h.set(s, 41, be(grp), be(hostIP), le(0), le(4), make([]byte, 16)); err != syscall.ENOBUFS {
		t.Errorf("filter of four: %v", err)
	}
	// What is there stays when the limits fall.
	h.setctl("net.ipv4.igmp_max_memberships", "0")
	h.setctl("net.ipv4.igmp_max_msf", "0")
	check(t, h.set(s, 37, be(grp), be(hostIP), be(src1)))
	check(t, h.set(s, 36, be(grp+1), be(hostIP)))
	if err := h.set(s, 35, be(grp+1), be(hostIP)); err != syscall.ENOBUFS {
		t.Errorf("membership beyond a limit of none: %v", err)
	}
}

func TestIGMP_filter_readBack(t *testing.T) {
	h := mcHost{newHost(t)}
	s := h.sock()
	check(t, h.set(s, 35, be(grp), be(hostIP)))
	check(t, h.set(s, 41, be(grp), be(hostIP), le(1), le(2), be(src1), be(src2)))
	buf := concat(be(grp), be(hostIP), le(9), le(1), be(0))
	n, ok, err := h.IP().MC.GetSockOpt(s, 41, buf)
	if !ok || err != nil || n != 20 || string(buf) != string(concat(be(grp), be(hostIP), le(1), le(2), be(src1))) {
		t.Errorf("%d %v %v %x", n, ok, err, buf)
	}
	buf = concat(le(uint32(h.port.dev.Ifindex())), make([]byte, 4), storage(grp), le(9), le(5), make([]byte, 5*128))
	if n, _, err = h.IP().MC.GetSockOpt(s, 48, buf); err != nil || n != 144+256 || binary.LittleEndian.Uint32(buf[140:]) != 2 {
		t.Errorf("%d %v", n, err)
	}
	f, _ := h.net.Proc().Lookup("mcfilter")
	want := "Idx Device        MCA        SRC    INC    EXC\n" +
		"  2   eth0 0xef010203 0x0a000001      1      0\n" +
		"  2   eth0 0xef010203 0x0a000002      1      0\n"
	if got := string(f(nil)); got != want {
		t.Errorf("mcfilter:\n%s", got)
	}
}

func TestIGMP_check_combinesFilters(t *testing.T) {
	h := mcHost{newHost(t)}
	in := h.IP().InDev(h.port.dev.Ifindex())
	wants := func(what string, src header.Addr, want bool) {
		t.Helper()
		if got := h.IP().MC.Check(in, grp, src, header.ProtoUDP); got != want {
			t.Errorf("%s: %v from %v", what, got, src)
		}
	}
	wants("nobody joined", src1, false)
	a, b := h.sock(), h.sock()
	check(t, h.set(a, 39, be(grp), be(hostIP), be(src1)))
	wants("one includes", src1, true)
	wants("one includes", src2, false)
	check(t, h.set(b, 35, be(grp), be(hostIP)))
	check(t, h.set(b, 38, be(grp), be(hostIP), be(src1)))
	wants("other excludes, one includes", src1, true)
	wants("other takes the rest", src2, true)
	dev := h.port.dev.Ifindex()
	mc := h.IP().MC
	if !mc.Allow(a, grp, src1, dev) || mc.Allow(a, grp, src2, dev) || mc.Allow(b, grp, src1, dev) || !mc.Allow(b, grp, src2, dev) {
		t.Error("the sockets' own filters are not kept apart")
	}
	if n := testing.AllocsPerRun(100, func() { mc.Check(in, grp, src1, 17); mc.Allow(a, grp, src1, dev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	mc.Drop(a)
	wants("only the excluding one is left", src1, false)
}

func TestIGMP_badMessages_ignored(t *testing.T) {
	mcBubble(t, func(t *testing.T, h mcHost) {
		s := h.sock()
		check(t, h.set(s, 35, be(grp), be(hostIP)))
		h.after(5 * time.Second)
		good := query(0, 10, true)
		sum := append([]byte(nil), good...)
		sum[14+20+2]++
		lie := query(grp, 10, true, src1)
		lie[14+20+11] = 200 // sources that are not there
		binary.BigEndian.PutUint16(lie[14+20+2:], 0)
		binary.BigEndian.PutUint16(lie[14+20+2:], skb.CsumFold(skb.CsumPartial(lie[34:], 0)))
		odd := groupFrame(header.AddrAllHosts, header.ProtoIGMP, concat(good[34:34+8], []byte{0})[:9])
		withSrc := query(0, 10, true, src1)
		h.inject(sum, lie, odd, withSrc, groupFrame(header.AddrAllHosts, header.ProtoIGMP, []byte{0x11, 0, 0}))
		h.want("bad ones", h.after(30*time.Second))
	})
}

func TestIGMP_churn_whatIsLeftIsBounded(t *testing.T) {
	h := mcHost{newHost(t)}
	h.port.discard = true
	s := h.sock()
	for i := range 5000 {
		g := grp + header.Addr(i)
		check(t, h.set(s, 35, be(g), be(hostIP)))
		check(t, h.set(s, 36, be(g), be(hostIP)))
	}
	f, _ := h.net.Proc().Lookup("igmp")
	if n := strings.Count(string(f(nil)), "\t\t\t\t"); n != 2 {
		t.Errorf("%d groups listed, want all hosts on both devices:\n%s", n, f(nil))
	}
	if n := len(h.port.dev.Multicast()); n != 1 {
		t.Errorf("%d addresses received", n)
	}
}
