package inet_test

import (
	"bytes"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
)

// rules gives a namespace rules of its packet filter.
func rules(t testing.TB, n *inet.Net, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var out bytes.Buffer
		if n.NF().Iptables.Run(append([]string{"iptables"}, strings.Fields(line)...), nil, &out, &out) != 0 {
			t.Fatalf("%s: %s", line, out.String())
		}
	}
}

// TestTEE_packetThrough_alsoGoesToTheGateway: the packet goes its way, and a copy
// of it to the gateway, where nothing of it is changed but the hops it has left.
func TestTEE_packetThrough_alsoGoesToTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{})
		defer w.finish()
		// The rule stands where the copies come by too.
		rules(t, w.router, "-t mangle -A PREROUTING -p udp -j TEE --gateway 10.1.2.2",
			"-t mangle -A OUTPUT -p udp -j TEE --gateway 10.1.2.2 --oif "+w.router.Dev().DevByName("veth1").Name())
		check(t, w.peer.AddAddr(w.peer.Dev().DevByName("lo"), netip.MustParsePrefix("192.0.2.2/32")))
		check(t, w.peer.Dev().Sysctl().Set("net.ipv4.conf.all.rp_filter", "0"))
		check(t, w.peer.Dev().Sysctl().Set("net.ipv4.conf.eth0.rp_filter", "0"))
		c, s, p := w.socket(w.client, 4000), w.socket(w.server, 53), w.socket(w.peer, 53)
		for _, k := range []*sock.Socket{c, s, p} {
			defer k.Release()
		}
		check(t, p.SetSockOpt(syscall.IPPROTO_IP, syscall.IP_RECVTTL, []byte{1, 0, 0, 0}))
		big := bytes.Repeat([]byte("0123456789abcdef"), 80)
		for _, data := range [][]byte{[]byte("word"), big} {
			_, err := c.SendMsg(named(sockaddr(ip4(192, 0, 2, 2), 53), data), 0)
			check(t, err)
			for i, k := range []*sock.Socket{s, p} {
				m := &sock.Msg{Iov: [][]byte{make([]byte, 2000)}, Control: make([]byte, 64)}
				n, err := k.RecvMsg(m, 0)
				check(t, err)
				if !bytes.Equal(m.Iov[0][:n], data) {
					t.Errorf("socket %d: %d bytes", i, n)
				}
				if i == 1 && (m.Name[4] != 10 || m.Control[16] != 63) {
					t.Errorf("the copy is from % x with %d hops left", m.Name[:8], m.Control[16])
				}
			}
		}
		for i, k := range []*sock.Socket{s, p} {
			if n, err := k.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 10)}}, syscall.MSG_DONTWAIT); err != syscall.EAGAIN {
				t.Errorf("socket %d has %d bytes more, %v", i, n, err)
			}
		}
	})
}

// TestTEE_unreachableGateway_changesNothing: no way for the copy is no fault of
// the packet.
func TestTEE_unreachableGateway_changesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{})
		defer w.finish()
		rules(t, w.router, "-t mangle -A PREROUTING -j TEE --gateway 172.16.0.1", "-t mangle -A PREROUTING -j TEE --gateway 10.1.2.2 --oif nothere0")
		c, s := w.socket(w.client, 4000), w.socket(w.server, 53)
		defer c.Release()
		defer s.Release()
		_, err := c.SendMsg(named(sockaddr(ip4(192, 0, 2, 2), 53), []byte("word")), 0)
		check(t, err)
		if n, err := s.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 10)}}, 0); n != 4 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
