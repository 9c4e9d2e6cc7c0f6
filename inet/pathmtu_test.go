package inet_test

import (
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// pathMTUSocket is a socket connected to the peer.
func pathMTUSocket(t *testing.T, h *host, typ, proto int) *sock.Socket {
	t.Helper()
	s, err := h.SockCreate(syscall.AF_INET, typ, proto)
	check(t, err)
	t.Cleanup(func() { s.Release() })
	check(t, s.Connect(sockaddr(peerIP, 99), 0))
	return s
}

// echo is an echo request as data.
func echo(n int) []byte {
	b := make([]byte, n)
	b[0], b[2], b[3] = header.ICMPEcho, 0xf7, 0xff // with its checksum
	return b
}

// What a router says of a narrow path is remembered whoever sent the packet, and obeyed in the modes that
// look for the path's MTU, but not in those that look for the link's.
func TestPathMTU_fragNeeded_everySocketLearns(t *testing.T) {
	for _, c := range []struct {
		name       string
		typ, proto int
	}{{"udp", syscall.SOCK_DGRAM, 0}, {"ping", syscall.SOCK_DGRAM, syscall.IPPROTO_ICMP}, {"raw", syscall.SOCK_RAW, syscall.IPPROTO_ICMP}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.know()
			check(t, h.net.Sysctl().Set("net.ipv4.ping_group_range", "0 100"))
			s := pathMTUSocket(t, h, c.typ, c.proto)
			if _, err := sendTo(s, echo(1400), 0, 0); err != nil {
				t.Fatal(err)
			}
			h.inject(unreachable(header.ICMPDestUnreach, header.ICMPFragNeeded, 1000, parseIP(t, h.port.take()[0]).ip[:28]))
			if _, _, _, err := recvFrom(s, 10); err != syscall.EMSGSIZE {
				t.Errorf("the error: %v, want EMSGSIZE", err)
			}
			var mtu [4]byte
			if _, err := s.GetSockOpt(syscall.SOL_IP, syscall.IP_MTU, mtu[:]); err != nil || mtu != [4]byte{1000 & 255, 1000 >> 8} {
				t.Errorf("IP_MTU: % x, %v", mtu, err)
			}
			for mode, want := range map[byte]struct {
				frames int
				err    error
			}{0: {2, nil}, 1: {2, nil}, 2: {0, syscall.EMSGSIZE}, 3: {1, nil}, 4: {1, nil}, 5: {1, nil}} {
				check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MTU_DISCOVER, []byte{mode, 0, 0, 0}))
				_, err := sendTo(s, echo(1400), 0, 0)
				if n := len(h.port.take()); n != want.frames || err != want.err {
					t.Errorf("mode %d: %d frames, %v; want %d, %v", mode, n, err, want.frames, want.err)
				}
			}
		})
	}
}
