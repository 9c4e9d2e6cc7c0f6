package inet_test

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"barewire/skb/header"
)

func TestUDP_options_asLinux(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 0)
	get := func(level, name int) (int, error) {
		b := make([]byte, 4)
		_, err := s.GetSockOpt(level, name, b)
		return int(int32(binary.LittleEndian.Uint32(b))), err
	}
	for _, c := range []struct{ level, name, want int }{
		{syscall.SOL_SOCKET, syscall.SO_TYPE, syscall.SOCK_DGRAM},
		{syscall.SOL_SOCKET, 39, syscall.AF_INET}, // SO_DOMAIN
		{syscall.SOL_SOCKET, 38, 17},              // SO_PROTOCOL
		{syscall.SOL_SOCKET, syscall.SO_ERROR, 0},
		{syscall.SOL_SOCKET, syscall.SO_RCVBUF, 212992},
		{syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN, 0},
		{syscall.SOL_IP, syscall.IP_TTL, 64},
		{syscall.SOL_IP, syscall.IP_MTU_DISCOVER, 1},
		{syscall.SOL_IP, syscall.IP_MULTICAST_TTL, 1},
		{syscall.SOL_IP, syscall.IP_MULTICAST_LOOP, 1},
	} {
		if v, err := get(c.level, c.name); v != c.want || err != nil {
			t.Errorf("level %d option %d: %d, %v; want %d", c.level, c.name, v, err, c.want)
		}
	}
	one := []byte{1, 0, 0, 0}
	for _, c := range []struct {
		level, name int
		val         []byte
		want        error
	}{
		{syscall.SOL_SOCKET, 9999, one, syscall.ENOPROTOOPT},
		{syscall.SOL_IP, 9999, one, syscall.ENOPROTOOPT},
		{syscall.SOL_TCP, 1, one, syscall.ENOPROTOOPT},
		{syscall.SOL_SOCKET, syscall.SO_BROADCAST, one[:3], syscall.EINVAL},
		{syscall.SOL_SOCKET, syscall.SO_TYPE, one, syscall.ENOPROTOOPT},
		{syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth9"), syscall.ENODEV},
		{syscall.SOL_IP, syscall.IP_TTL, []byte{0, 1, 0, 0}, syscall.EINVAL},
		{syscall.SOL_IP, syscall.IP_MTU_DISCOVER, []byte{9, 0, 0, 0}, syscall.EINVAL},
		{syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, make([]byte, 8), syscall.EINVAL},
	} {
		if err := s.SetSockOpt(c.level, c.name, c.val); err != c.want {
			t.Errorf("set level %d option %d: %v, want %v", c.level, c.name, err, c.want)
		}
	}
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth0")))
	b := make([]byte, 16)
	if n, err := s.GetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, b); err != nil || string(b[:n]) != "eth0\x00" {
		t.Errorf("SO_BINDTODEVICE %q %v", b[:n], err)
	}
}

func TestSocket_create_errorsAsLinux(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		family, typ, proto int
		want               error
	}{
		{syscall.AF_INET6, syscall.SOCK_DGRAM, 0, syscall.EAFNOSUPPORT},
		{-1, syscall.SOCK_DGRAM, 0, syscall.EAFNOSUPPORT},
		{99, syscall.SOCK_DGRAM, 0, syscall.EAFNOSUPPORT},
		{syscall.AF_INET, 99, 0, syscall.EINVAL},
		{syscall.AF_INET, syscall.SOCK_SEQPACKET, 0, syscall.ESOCKTNOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_TCP, syscall.EPROTONOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_DGRAM, 9999, syscall.EINVAL},
		{syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_UDP, nil},
		{syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, nil},
	} {
		s, err := h.SockCreate(c.family, c.typ, c.proto)
		if err != c.want {
			t.Errorf("socket(%d, %d, %d): %v, want %v", c.family, c.typ, c.proto, err, c.want)
		}
		if s != nil {
			s.Release()
		}
	}
}

func TestSocket_released_callsFailQuietly(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	h.inject(fromPeerUDP(1, 7, []byte("unread")))
	check(t, s.Release())
	check(t, s.Release())
	h.inject(fromPeerUDP(1, 7, []byte("late")))
	if n, _, _, err := recvFrom(s, 9); err != syscall.EAGAIN || len(n) != 0 {
		t.Errorf("receive on a released socket: %q, %v", n, err)
	}
	if _, err := sendTo(s, []byte("x"), peerIP, 9); err == nil {
		t.Error("sent on a released socket")
	}
	h.udpSocket(0, 7) // the port is free again
}

func TestUDP_overflowCount_toldWithTheNext(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, 40, []byte{1, 0, 0, 0})) // SO_RXQ_OVFL
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{1, 0, 0, 0}))
	for range 10 {
		h.inject(fromPeerUDP(1, 7, []byte("x")))
	}
	n := 0
	m := newMsg(9, 64)
	for {
		if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil {
			break
		}
		if m.ControlLen != 0 {
			t.Error("drops reported with a packet from before them")
		}
		n++
	}
	h.inject(fromPeerUDP(1, 7, []byte("y")))
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || m.ControlLen != 24 || int(m.Control[16]) != 10-n {
		t.Errorf("%v, control %x, want %d drops", err, m.Control[:m.ControlLen], 10-n)
	}
}

func TestUDP_dontRoute_onlyOnTheLink(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_DONTROUTE, []byte{1, 0, 0, 0}))
	if _, err := sendTo(s, nil, 0x08080808, 9); err != syscall.ENETUNREACH {
		t.Errorf("through a gateway: %v", err)
	}
	if _, err := sendTo(s, nil, peerIP, 9); err != nil {
		t.Errorf("on the link: %v", err)
	}
}

func TestUDP_originalDestination_told(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_IP, 20, []byte{1, 0, 0, 0})) // IP_ORIGDSTADDR
	h.inject(fromPeerUDP(1, 7, nil))
	m := newMsg(9, 64)
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || m.ControlLen != 32 || !bytes.Equal(m.Control[16:32], sockaddr(hostIP, 7)) {
		t.Errorf("%v, control %x", err, m.Control[:m.ControlLen])
	}
}

func TestUDP_fragNeeded_EMSGSIZE(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 0)
	check(t, s.Connect(sockaddr(peerIP, 99), 0))
	try := func(mtu uint32) error {
		if _, err := sendTo(s, make([]byte, 1400), 0, 0); err != nil {
			t.Fatal(err)
		}
		sent := h.port.take() // in pieces, once the path is known to be narrow
		h.inject(unreachable(header.ICMPDestUnreach, header.ICMPFragNeeded, mtu, parseIP(t, sent[0]).ip[:28]))
		_, _, _, err := recvFrom(s, 10)
		return err
	}
	if err := try(1000); err != syscall.EMSGSIZE {
		t.Errorf("%v, want EMSGSIZE", err)
	}
	if err := try(20); err != syscall.EMSGSIZE {
		t.Errorf("an impossible MTU, which as in Linux means the least: %v", err)
	}
	check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MTU_DISCOVER, []byte{0, 0, 0, 0}))
	if err := try(1000); err != syscall.EAGAIN {
		t.Errorf("without discovery: %v", err)
	}
}

func TestSocket_timestamps_told(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ opt, typ, size int }{{29, 29, 32}, {35, 35, 32}, {63, 63, 32}, {64, 64, 32}} {
		s := h.udpSocket(0, 0)
		check(t, s.Bind(sockaddr(0, uint16(100+c.opt))))
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, c.opt, []byte{1, 0, 0, 0}))
		before := time.Now()
		h.inject(fromPeerUDP(1, uint16(100+c.opt), []byte("x")))
		time.Sleep(2 * time.Millisecond)
		mid := time.Now()
		m := newMsg(9, 64)
		if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || m.ControlLen != c.size || int(m.Control[12]) != c.typ {
			t.Errorf("option %d: %v, control %x", c.opt, err, m.Control[:m.ControlLen])
			continue
		}
		at := int64(binary.LittleEndian.Uint64(m.Control[16:])) * 1e9
		frac := int64(binary.LittleEndian.Uint64(m.Control[24:]))
		if c.opt == 29 || c.opt == 63 {
			frac *= 1000
		}
		// The time of arrival, not of the call; microseconds are cut off.
		if at += frac; at < before.UnixNano()-1e5 || at > mid.UnixNano()-1e6 {
			t.Errorf("option %d: %d, want between %d and %d", c.opt, at, before.UnixNano(), mid.UnixNano())
		}
	}
}
