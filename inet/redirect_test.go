package inet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb/header"
)

// redirectsSent has a packet to elsewhere arrive from a host on the link and
// returns how many redirects it gets.
func (h *host) redirectsSent(src, dst header.Addr) (n int) {
	h.Helper()
	p := ipPacket(header.Fields{Protocol: 17, Src: src, Dst: dst}, udpPacket(src, dst, 1, 2, []byte("data")))
	h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP, p))
	forwarded := 0
	for _, f := range h.port.take() {
		switch p := parseIP(h, f); {
		case p.ip.Protocol() == header.ProtoICMP:
			m := header.ICMP(p.data)
			if m.Type() != header.ICMPRedirect || m.Code() != header.ICMPRedirHost || header.Addr(m.Rest()) != peerIP || p.ip.Dst() != src {
				h.Errorf("type %d code %d gateway %v to %v", m.Type(), m.Code(), header.Addr(m.Rest()), p.ip.Dst())
			}
			n++
		case p.ip.Dst() == dst:
			forwarded++
		}
	}
	if forwarded != 1 {
		h.Errorf("forwarded %d times", forwarded)
	}
	return n
}

// linkRouter is a router whose way to everywhere is on the link its hosts are
// on.
func linkRouter(t testing.TB) *host {
	h := newHost(t)
	check(t, h.net.Sysctl().Set("net.ipv4.ip_forward", "1"))
	for a := peerIP; a < peerIP+10; a++ {
		nb, err := h.IP().Neigh.Get(h.port.dev, a)
		check(t, err)
		nb.Update(peerMAC, neigh.NUDPermanent, true)
	}
	return h
}

// RFC 1812 section 5.2.7.2, and Linux's algorithm: each redirect doubles the
// wait for the next, after redirect_number there is none until the host was
// silent for redirect_silence.
func TestRedirect_hostThatDoesNotListen_everRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := linkRouter(t)
		src, dst := peerIP+7, ip4(8, 8, 8, 8)
		wait := 20 * time.Millisecond
		for i := range 9 {
			if n := h.redirectsSent(src, dst); n != 1 {
				t.Fatalf("redirect %d: %d sent", i+1, n)
			}
			if n := h.redirectsSent(src, dst); n != 0 {
				t.Fatalf("another one at once after %d", i+1)
			}
			if i == 8 {
				break
			}
			wait *= 2
			time.Sleep(wait)
			if n := h.redirectsSent(src, dst); n != 0 {
				t.Fatalf("after %v: already another", wait)
			}
			time.Sleep(time.Millisecond)
		}
		for range 5 {
			time.Sleep(15 * time.Second)
			if n := h.redirectsSent(src, dst); n != 0 {
				t.Fatal("it goes on, and is told again")
			}
		}
		if n := h.redirectsSent(peerIP+8, dst); n != 1 {
			t.Errorf("another host: %d", n)
		}
		time.Sleep(20481 * time.Millisecond)
		if n := h.redirectsSent(src, dst); n != 1 {
			t.Errorf("after silence: %d", n)
		}
	})
}

func TestRedirect_notFit_notSent(t *testing.T) {
	dst := ip4(8, 8, 8, 8)
	for name, c := range map[string]struct {
		src     header.Addr
		sysctls []string
	}{
		"send_redirects off":      {peerIP + 7, []string{"conf.all.send_redirects", "conf.eth0.send_redirects"}},
		"source not on the link":  {ip4(9, 9, 9, 9), nil},
		"source behind a gateway": {ip4(10, 1, 1, 1), nil},
	} {
		h := linkRouter(t)
		check(t, h.route(ip4(10, 0, 0, 0), 8, peerIP+3))
		for _, s := range c.sysctls {
			check(t, h.net.Sysctl().Set("net.ipv4."+s, "0"))
		}
		if n := h.redirectsSent(c.src, dst); n != 0 {
			t.Errorf("%s: %d sent", name, n)
		}
	}
}

// TestException_expires_asLearnt: what was learnt of a path is over after
// mtu_expires, a redirect after gc_timeout; connections that keep their route
// look again.
func TestException_expires_pathIsTriedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		n := h.IP()
		s := h.udpSocket(0, 0)
		dst := ip4(8, 8, 8, 8)
		nb, err := n.Neigh.Get(h.port.dev, peerIP+5)
		check(t, err)
		nb.Update([6]byte{2, 0, 0, 0, 0, 5}, neigh.NUDPermanent, true)
		check(t, s.Connect(sockaddr(dst, 99), 0))
		send := func() [][]byte {
			t.Helper()
			if _, err := sendTo(s, make([]byte, 1400), 0, 0); err != nil {
				t.Fatal(err)
			}
			var out [][]byte
			for _, f := range h.port.take() {
				if header.Ethernet(f).Type() == header.EthPIP {
					out = append(out, f)
				}
			}
			return out
		}
		sent := send()
		quote := parseIP(t, sent[0]).ip[:28]
		h.inject(unreachable(header.ICMPDestUnreach, header.ICMPFragNeeded, 1000, quote))
		recvFrom(s, 1)
		if n := len(send()); n != 2 {
			t.Errorf("%d frames by a path of 1000 bytes", n)
		}
		time.Sleep(599 * time.Second)
		if n := len(send()); n != 2 {
			t.Errorf("%d frames just before the end", n)
		}
		time.Sleep(2 * time.Second)
		if n := len(send()); n != 1 {
			t.Errorf("%d frames when it is over", n)
		}
		h.inject(unreachable(header.ICMPRedirect, header.ICMPRedirHost, uint32(peerIP+5), quote))
		if f := send(); header.Ethernet(f[0]).Dst() != [6]byte{2, 0, 0, 0, 0, 5} {
			t.Error("the redirect was not followed")
		}
		time.Sleep(301 * time.Second)
		rt, _ := n.RouteOutput(&fib.Flow{Dst: dst})
		if f := send(); rt.Gateway != peerIP || len(f) > 0 && header.Ethernet(f[0]).Dst() == [6]byte{2, 0, 0, 0, 0, 5} {
			t.Error("it is followed for ever")
		}
		h.run()
	})
}
