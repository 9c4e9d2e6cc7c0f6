package inet_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"

	"barewire/inet/bpf"
	"barewire/inet/sock"
	"barewire/skb/header"
)

var optOn = []byte{1, 0, 0, 0} // read-only

func setOpt(t testing.TB, s *sock.Socket, level, name int, v uint32) {
	t.Helper()
	check(t, s.SetSockOpt(level, name, binary.LittleEndian.AppendUint32(nil, v)))
}

// le32 returns the i-th 32-bit word of a control message's data.
func le32(m *sock.Msg, i int) uint32 { return binary.LittleEndian.Uint32(m.Control[16+4*i:]) }

func TestErrQueue_portUnreachable_toldWithOffender(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 555)
	setOpt(t, s, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	if _, err := sendTo(s, []byte("ping"), peerIP, 99); err != nil {
		t.Fatal(err)
	}
	h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, h.one().ip))
	if s.Poll()&sock.EventErr == 0 {
		t.Error("no EPOLLERR")
	}
	m := newMsg(100, 200)
	n, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE)
	if err != nil || string(m.Iov[0][:n]) != "ping" || m.Flags&syscall.MSG_ERRQUEUE == 0 {
		t.Fatalf("%q %v flags %#x", m.Iov[0][:n], err, m.Flags)
	}
	if !bytes.Equal(m.Name[:m.NameLen], sockaddr(peerIP, 99)) {
		t.Errorf("name %x", m.Name[:m.NameLen])
	}
	if syscall.Errno(le32(m, 0)) != syscall.ECONNREFUSED || m.Control[20] != 2 || m.Control[21] != 3 || m.Control[22] != 3 {
		t.Errorf("extended error %x", m.Control[16:32])
	}
	if !bytes.Equal(m.Control[32:48], sockaddr(peerIP, 0)) {
		t.Errorf("offender %x", m.Control[32:48])
	}
	// Reading the queue takes the pending error with it.
	if _, _, _, err := recvFrom(s, 9); err != syscall.EAGAIN {
		t.Errorf("after reading the queue: %v", err)
	}
	if _, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE); err != syscall.EAGAIN {
		t.Errorf("empty queue: %v", err)
	}
	if s.Poll()&sock.EventErr != 0 {
		t.Error("EPOLLERR stays")
	}
}

func TestErrQueue_tooBigWithDF_localError(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 555)
	setOpt(t, s, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	setOpt(t, s, syscall.SOL_IP, syscall.IP_MTU_DISCOVER, 2)
	if _, err := sendTo(s, make([]byte, 1473), peerIP, 99); err != syscall.EMSGSIZE {
		t.Fatal(err)
	}
	m := newMsg(100, 200)
	n, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE)
	if n != 0 || err != nil || syscall.Errno(le32(m, 0)) != syscall.EMSGSIZE || m.Control[20] != 1 || le32(m, 2) != 1500 {
		t.Errorf("%d %v %x", n, err, m.Control[:m.ControlLen])
	}
	h.none()
}

func TestErrQueue_flood_bounded(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 555)
	setOpt(t, s, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	setOpt(t, s, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	sendTo(s, []byte("ping"), peerIP, 99)
	f := unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, h.one().ip)
	for range 1000 {
		h.inject(f)
	}
	n := 0
	for m := newMsg(10, 64); ; n++ {
		if _, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE); err != nil {
			break
		}
	}
	if n < 2 || n > 20 {
		t.Errorf("%d of 1000 errors were kept in 8192 bytes", n)
	}
}

func TestCork_parts_oneDatagram(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	m := &sock.Msg{Iov: [][]byte{[]byte("one ")}}
	m.NameLen = copy(m.Name[:], sockaddr(peerIP, 9))
	if n, err := s.SendMsg(m, sock.MSG_MORE); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	h.none()
	if n, err := sendTo(s, []byte("two"), 0, 0); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if r := h.one(); string(r.data[8:]) != "one two" || header.UDP(r.data).DstPort() != 9 {
		t.Errorf("sent %q", r.data)
	}
	// UDP_CORK holds until it is taken off.
	setOpt(t, s, 17, 1, 1)
	big := bytes.Repeat([]byte("0123456789abcdef"), 64)
	for range 63 {
		if _, err := sendTo(s, big, peerIP, 9); err != nil {
			t.Fatal(err)
		}
	}
	h.none()
	// One more would be too long: everything is lost, as in Linux.
	if _, err := sendTo(s, big, peerIP, 9); err != syscall.EMSGSIZE {
		t.Fatalf("beyond 64 KiB: %v", err)
	}
	setOpt(t, s, 17, 1, 0)
	h.none()
	setOpt(t, s, 17, 1, 1)
	for range 63 {
		sendTo(s, big, peerIP, 9)
	}
	setOpt(t, s, 17, 1, 0)
	got := 0
	for _, f := range h.port.take() {
		got += len(parseIP(t, f).data)
	}
	if got != 63*1024+8 {
		t.Errorf("fragments of %d bytes", got)
	}
}

func TestFilter_cutsAndDrops(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	ret := func(n uint32) []byte { return bpf.Append(nil, []bpf.Insn{{Code: 0x06, K: n}}) }
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, ret(12)))
	h.inject(fromPeerUDP(1, 7, []byte("0123456789")))
	if d, _, _, err := recvFrom(s, 99); string(d) != "0123" {
		t.Errorf("cut to %q, %v", d, err)
	}
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, ret(0)))
	h.inject(fromPeerUDP(1, 7, []byte("0123456789")))
	if _, _, _, err := recvFrom(s, 99); err != syscall.EAGAIN || s.SK.Drops() != 1 {
		t.Errorf("%v, %d drops", err, s.SK.Drops())
	}
	setOpt(t, s, syscall.SOL_SOCKET, 44, 1)
	if err := s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_DETACH_FILTER, optOn); err != syscall.EPERM {
		t.Errorf("detach a locked filter: %v", err)
	}
	o := h.udpSocket(0, 0)
	if err := o.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_DETACH_FILTER, optOn); err != syscall.ENOENT {
		t.Errorf("detach none: %v", err)
	}
	if err := o.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, ret(0)[:7]); err != syscall.EINVAL {
		t.Errorf("half an instruction: %v", err)
	}
}

func TestPeekOff_walksTheQueue(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	setOpt(t, s, syscall.SOL_SOCKET, 42, 0)
	h.inject(fromPeerUDP(1, 7, []byte("abcdef")), fromPeerUDP(1, 7, []byte("gh")))
	for _, want := range []string{"abc", "def", "gh"} {
		m := newMsg(3, 0)
		if n, err := s.RecvMsg(m, syscall.MSG_PEEK|syscall.MSG_DONTWAIT); string(m.Iov[0][:n]) != want {
			t.Fatalf("peeked %q, %v, want %q", m.Iov[0][:n], err, want)
		}
	}
	if d, _, _, _ := recvFrom(s, 9); string(d) != "abcdef" {
		t.Errorf("read %q", d)
	}
}

func TestReuse_lastBoundWins(t *testing.T) {
	h := newHost(t)
	var last *sock.Socket
	for range 3 {
		last = h.udpSocket(0, 0)
		setOpt(t, last, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		check(t, last.Bind(sockaddr(0, 7)))
	}
	h.inject(fromPeerUDP(1, 7, []byte("x")))
	if d, _, _, err := recvFrom(last, 9); string(d) != "x" {
		t.Errorf("%q %v", d, err)
	}
}

func TestReusePort_selectorChooses(t *testing.T) {
	h := newHost(t)
	var group []*sock.Socket
	for range 3 {
		s := h.udpSocket(0, 0)
		setOpt(t, s, syscall.SOL_SOCKET, 15, 1)
		check(t, s.Bind(sockaddr(0, 7)))
		group = append(group, s)
	}
	// The first byte of the payload is the index.
	prog := bpf.Append(nil, []bpf.Insn{{Code: 0x30, K: 0}, {Code: 0x16}})
	check(t, group[0].SetSockOpt(syscall.SOL_SOCKET, 51, prog))
	for i, s := range group {
		for port := range 5 {
			h.inject(fromPeerUDP(uint16(1000+port), 7, []byte{byte(i)}))
			if d, _, _, err := recvFrom(s, 9); len(d) != 1 || int(d[0]) != i {
				t.Errorf("socket %d got %x, %v", i, d, err)
			}
		}
	}
}

func TestUDP_sendOptions_inTheHeader(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_OPTIONS, []byte{7, 7, 4, 0, 0, 0, 0}))
	if _, err := sendTo(s, []byte("x"), peerIP, 9); err != nil {
		t.Fatal(err)
	}
	r := h.one()
	want := []byte{7, 7, 8, 192, 0, 2, 1, 0}
	if !bytes.Equal(r.ip.Options(), want) || string(r.data[8:]) != "x" {
		t.Errorf("options %x, want %x", r.ip.Options(), want)
	}
	if err := s.SetSockOpt(syscall.SOL_IP, syscall.IP_OPTIONS, []byte{7, 2}); err != syscall.EINVAL {
		t.Errorf("bad options: %v", err)
	}
}

func TestUDPLite_partialCoverage(t *testing.T) {
	h := newHost(t)
	lite := func(port uint16) *sock.Socket {
		s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 136)
		check(t, err)
		t.Cleanup(func() { s.Release() })
		check(t, s.Bind(sockaddr(header.AddrLoopback, port)))
		return s
	}
	a, b := lite(1), lite(2)
	setOpt(t, a, 136, 10, 12)
	send := func() error {
		if _, err := sendTo(a, []byte("covered, not covered"), header.AddrLoopback, 2); err != nil {
			t.Fatal(err)
		}
		h.run()
		_, _, _, err := recvFrom(b, 99)
		return err
	}
	if err := send(); err != nil {
		t.Errorf("partial coverage: %v", err)
	}
	setOpt(t, b, 136, 11, 13)
	if err := send(); err != syscall.EAGAIN {
		t.Errorf("less coverage than asked for: %v", err)
	}
	if c := &h.MIB().UDPLite; c.InDatagrams.Load() != 1 || c.OutDatagrams.Load() != 2 || c.InErrors.Load() != 1 {
		t.Errorf("in %d out %d errors %d", c.InDatagrams.Load(), c.OutDatagrams.Load(), c.InErrors.Load())
	}
}

func TestProc_socketFiles(t *testing.T) {
	h := newHost(t)
	h.udpSocket(hostIP, 7)
	for name, want := range map[string]string{
		"udp":      ": 010200C0:0007 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ",
		"sockstat": "UDP: inuse 1 mem 0\n",
	} {
		show, ok := h.net.Proc().Lookup(name)
		if !ok {
			t.Errorf("no /proc/net/%s", name)
			continue
		}
		text := string(show(nil))
		if !strings.Contains(text, want) {
			t.Errorf("/proc/net/%s:\n%s\nwant %q", name, text, want)
		}
	}
	show, _ := h.net.Proc().Lookup("udp")
	for _, l := range strings.Split(strings.TrimSuffix(string(show(nil)), "\n"), "\n") {
		if len(l) != 127 {
			t.Errorf("line of %d bytes: %q", len(l), l)
		}
	}
}

func TestSysctl_sockets(t *testing.T) {
	h := newHost(t)
	tab := h.net.Sysctl()
	check(t, tab.Set("net.ipv4.ip_local_port_range", "40000 40003"))
	check(t, tab.Set("net.ipv4.ip_local_reserved_ports", "40000-40002"))
	if v, _ := tab.Get("net.ipv4.ip_local_reserved_ports"); v != "40000-40002" {
		t.Errorf("reserved %q", v)
	}
	s := h.udpSocket(0, 0)
	check(t, s.Bind(sockaddr(0, 0)))
	sa := make([]byte, 16)
	s.Getname(false, sa)
	if p := binary.BigEndian.Uint16(sa[2:]); p != 40003 {
		t.Errorf("port %d", p)
	}
	if err := h.udpSocket(0, 0).Bind(sockaddr(0, 0)); err != syscall.EADDRINUSE {
		t.Errorf("no port left: %v", err)
	}
	check(t, tab.Set("net.core.rmem_max", "8192"))
	setOpt(t, s, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1<<20)
	b := make([]byte, 4)
	if s.GetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, b); binary.LittleEndian.Uint32(b) != 16384 {
		t.Errorf("SO_RCVBUF %d", binary.LittleEndian.Uint32(b))
	}
	if err := h.udpSocket(0, 0).Bind(sockaddr(peerIP, 1)); err != syscall.EADDRNOTAVAIL {
		t.Errorf("foreign address: %v", err)
	}
	check(t, tab.Set("net.ipv4.ip_nonlocal_bind", "1"))
	check(t, h.udpSocket(0, 0).Bind(sockaddr(peerIP, 1)))
}
