package inet_test

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb/header"
)

func (h *host) rawSocket(proto int) *sock.Socket {
	h.Helper()
	s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_RAW, proto)
	check(h, err)
	h.Cleanup(func() { s.Release() })
	return s
}

func TestRaw_copiesBesideTheProtocol(t *testing.T) {
	h := newHost(t)
	u := h.udpSocket(0, 7)
	a, b, other := h.rawSocket(17), h.rawSocket(17), h.rawSocket(1)
	check(t, b.Bind(sockaddr(header.AddrLoopback, 0)))
	f := fromPeerUDP(5, 7, []byte("hello"))
	f[14+28] ^= 1 // the first byte of the data: its checksum is wrong
	h.inject(f, fromPeerUDP(5, 7, []byte("hello")))
	for i := range 2 {
		d, src, port, err := recvFrom(a, 99)
		if err != nil || len(d) != 33 || d[0] != 0x45 || src != peerIP || port != 0 {
			t.Fatalf("packet %d: %x from %v:%d, %v", i, d, src, port, err)
		}
	}
	if d, _, _, err := recvFrom(u, 99); string(d) != "hello" {
		t.Errorf("UDP socket got %q, %v", d, err)
	}
	for _, s := range []*sock.Socket{b, other} {
		if _, _, _, err := recvFrom(s, 99); err != syscall.EAGAIN {
			t.Errorf("a socket it was not for: %v", err)
		}
	}
}

func TestRaw_unknownProtocol_noUnreachable(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.rawSocket(200)
	h.inject(fromPeer(200, []byte("data")))
	if d, _, _, err := recvFrom(s, 99); len(d) != 24 {
		t.Errorf("%x %v", d, err)
	}
	h.none()
	if h.MIB().IP.InDelivers.Load() == 0 || h.MIB().IP.InUnknownProtos.Load() != 0 {
		t.Error("counted as unknown")
	}
}

func TestRaw_icmpFilter(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.rawSocket(1)
	check(t, s.SetSockOpt(syscall.SOL_RAW, 1, []byte{0xff, 0xfe, 0xff, 0xff})) // all but echo
	h.inject(fromPeer(1, icmpEcho(1, 2, nil)))
	reply := icmpEcho(1, 2, nil)
	header.ICMP(reply).SetType(0)
	header.ICMP(reply).SetChecksum(header.ICMP(reply).Checksum() + 0x0800)
	h.inject(fromPeer(1, reply))
	if d, _, _, err := recvFrom(s, 99); err != nil || d[20] != 8 {
		t.Errorf("%x %v", d, err)
	}
	if _, _, _, err := recvFrom(s, 99); err != syscall.EAGAIN {
		t.Error("a filtered type came through")
	}
	if err := h.rawSocket(2).SetSockOpt(syscall.SOL_RAW, 1, optOn); err != syscall.EOPNOTSUPP {
		t.Errorf("on another protocol: %v", err)
	}
}

func TestRaw_send_headerMade(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.rawSocket(200)
	if _, err := sendTo(s, []byte("data"), 0, 0); err != syscall.EDESTADDRREQ {
		t.Errorf("without a destination: %v", err)
	}
	if n, err := sendTo(s, []byte("data"), peerIP, 1); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if r := h.one(); r.ip.Protocol() != 200 || r.ip.Src() != hostIP || string(r.data) != "data" || !r.ip.DF() {
		t.Errorf("%x", r.ip)
	}
	check(t, s.Connect(sockaddr(peerIP, 0), 0))
	if _, err := sendTo(s, []byte("more"), 0, 0); err != nil {
		t.Error(err)
	}
	h.one()
}

func TestRaw_hdrincl_filledIn(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.rawSocket(header.ProtoRaw)
	p := ipPacket(header.Fields{Protocol: 99, Src: 0, Dst: peerIP, TTL: 3}, []byte("data"))
	p[2], p[3], p[10], p[11] = 1, 2, 3, 4 // length and checksum are ours to write
	if n, err := sendTo(s, p, peerIP, 1); n != len(p) || err != nil {
		t.Fatal(n, err)
	}
	if r := h.one(); r.ip.Src() != hostIP || r.ip.TTL() != 3 || r.ip.ID() == 0 || r.ip.Protocol() != 99 {
		t.Errorf("%x", r.ip)
	}
	for name, c := range map[string]struct {
		p    []byte
		want error
	}{
		"short":      {p[:19], syscall.EINVAL},
		"ihl beyond": {append([]byte{0x4f}, p[1:]...), syscall.EINVAL},
		"too long":   {append(append([]byte(nil), p...), make([]byte, 1500)...), syscall.EMSGSIZE},
	} {
		if _, err := sendTo(s, c.p, peerIP, 1); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	h.none()
	// It receives nothing, whatever its own protocol says.
	h.inject(fromPeer(99, nil))
	if _, _, _, err := recvFrom(s, 9); err != syscall.EAGAIN {
		t.Error(err)
	}
}

func TestRaw_errors_asAsked(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.rawSocket(200)
	refuse := func() error {
		if _, err := sendTo(s, []byte("datadata"), peerIP, 1); err != nil {
			t.Fatal(err)
		}
		h.inject(unreachable(header.ICMPDestUnreach, header.ICMPProtUnreach, 0, h.one().ip))
		_, _, _, err := recvFrom(s, 10)
		return err
	}
	if err := refuse(); err != syscall.EAGAIN {
		t.Errorf("unconnected: %v", err)
	}
	setOpt(t, s, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	if err := refuse(); err != syscall.ENOPROTOOPT {
		t.Errorf("with IP_RECVERR: %v", err)
	}
	m := newMsg(99, 99)
	if n, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE); err != nil || string(m.Iov[0][:n]) != "datadata" {
		t.Errorf("%q %v", m.Iov[0][:n], err)
	}
}

func TestPing_socket(t *testing.T) {
	h := newHost(t)
	h.know()
	if _, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 1); err != syscall.EACCES {
		t.Fatalf("outside ping_group_range: %v", err)
	}
	check(t, h.net.Sysctl().Set("net.ipv4.ping_group_range", "0 100"))
	s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
	check(t, err)
	defer s.Release()
	for name, msg := range map[string][]byte{"short": make([]byte, 7), "no echo": make([]byte, 8), "code": {8, 1, 0, 0, 0, 0, 0, 0}} {
		if _, err := sendTo(s, msg, peerIP, 1); err != syscall.EINVAL {
			t.Errorf("%s: %v", name, err)
		}
	}
	echo := append([]byte{8, 0, 9, 9, 9, 9, 0, 5}, "payload"...)
	if n, err := sendTo(s, echo, peerIP, 1); n != len(echo) || err != nil {
		t.Fatal(n, err)
	}
	r := h.one()
	m := header.ICMP(append([]byte(nil), r.data...))
	if m.EchoSeq() != 5 || string(m.Payload()) != "payload" {
		t.Fatalf("sent %x", r.data)
	}
	sa := make([]byte, 16)
	s.Getname(false, sa)
	if binary.BigEndian.Uint16(sa[2:]) != m.EchoID() {
		t.Errorf("identifier %d, name %x", m.EchoID(), sa)
	}
	m.SetType(0)
	m.SetChecksum(m.Checksum() + 0x0800)
	h.inject(fromPeer(1, m))
	if d, a, p, err := recvFrom(s, 99); !bytes.Equal(d, m) || a != peerIP || p != 0 {
		t.Errorf("received %x from %v:%d, %v", d, a, p, err)
	}
	m[4] ^= 1
	m.SetChecksum(m.Checksum() ^ 0x0100)
	h.inject(fromPeer(1, m))
	if _, _, _, err := recvFrom(s, 99); err != syscall.EAGAIN {
		t.Errorf("another's reply: %v", err)
	}
	h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, r.ip))
	if _, _, _, err := recvFrom(s, 99); err != syscall.EAGAIN {
		t.Errorf("an error nobody asked for: %v", err)
	}
	check(t, s.Connect(sockaddr(peerIP, 0), 0))
	h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, r.ip))
	if _, _, _, err := recvFrom(s, 99); err != syscall.ECONNREFUSED {
		t.Errorf("connected: %v", err)
	}
}
