package inet_test

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"
	"testing/synctest"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb/header"
)

const ipTransparent, ipRecvOrigDst = 19, 20

// transparent makes a router that gives connections to 192.0.2.2 to a proxy of its
// own at port 3129, and routes what it marks to itself.
func transparent(t *testing.T, w *natWorld) {
	r := w.router
	rules(t, r,
		"-t mangle -A PREROUTING -m socket --transparent --nowildcard -j MARK --set-mark 1",
		"-t mangle -A PREROUTING -m mark --mark 1 -j ACCEPT",
		"-t mangle -A PREROUTING -d 192.0.2.2 -p tcp --dport 80 -j TPROXY --on-port 3129 --tproxy-mark 1",
		"-t mangle -A PREROUTING -d 192.0.2.2 -p udp --dport 53 -j TPROXY --on-port 3129 --tproxy-mark 1")
	f := r.IP().FIB
	rule := fib.NewRule(100, 100)
	rule.Mark, rule.MarkMask = 1, 1<<32-1
	_, err := f.AddRule(rule, 0)
	check(t, err)
	_, err = f.Insert(&fib.Config{Table: 100, Type: fib.Local, Scope: fib.ScopeHost, OIF: r.Dev().DevByName("lo").Ifindex()}, syscall.NLM_F_CREATE)
	check(t, err)
}

func on(t *testing.T, s *sock.Socket, name int) {
	t.Helper()
	check(t, s.SetSockOpt(syscall.IPPROTO_IP, name, []byte{1, 0, 0, 0}))
}

// TestTPROXY_connectionToAnother_isTheProxys: the proxy's end of a connection has
// the address the client asked for, and what it says comes from there.
func TestTPROXY_connectionToAnother_isTheProxys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{})
		defer w.finish()
		transparent(t, w)
		l := w.tcp(w.router)
		defer l.Release()
		check(t, l.Bind(sockaddr(0, 3129)))
		check(t, l.Listen(4))
		to := sockaddr(ip4(192, 0, 2, 2), 80)

		refused := w.tcp(w.client)
		tv := make([]byte, 16)
		binary.LittleEndian.PutUint64(tv, 5)
		check(t, refused.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, tv))
		if err := refused.Connect(to, 0); err != syscall.EINPROGRESS {
			t.Errorf("the listener is not transparent, and connect says %v", err)
		}
		refused.Release()

		on(t, l, ipTransparent)
		for range 2 { // the second with a TIME_WAIT of the first about
			c := w.tcp(w.client)
			check(t, c.Bind(sockaddr(0, 4000)))
			check(t, c.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
			check(t, c.Connect(to, 0))
			s, err := l.Accept(0)
			check(t, err)
			var name [16]byte
			_, err = s.Getname(false, name[:])
			check(t, err)
			if !bytes.Equal(name[:], to[:16]) {
				t.Errorf("the proxy's end is % x", name)
			}
			if s.SK.Mark() != 0 {
				t.Errorf("mark %d", s.SK.Mark())
			}
			for i, p := range [][2]*sock.Socket{{c, s}, {s, c}} {
				_, err = p[0].SendMsg(&sock.Msg{Iov: [][]byte{[]byte("word")}}, 0)
				check(t, err)
				m := &sock.Msg{Iov: [][]byte{make([]byte, 10)}}
				if n, err := p[1].RecvMsg(m, 0); n != 4 || err != nil {
					t.Fatalf("direction %d: %d bytes, %v", i, n, err)
				}
			}
			s.Release()
			if n, err := c.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 1)}}, 0); n != 0 || err != nil {
				t.Errorf("the end: %d bytes, %v", n, err)
			}
			c.Release()
		}
	})
}

// TestTPROXY_datagramToAnother_saysWhere: the proxy's socket gets datagrams for
// another address with the address they were for, and may answer in its name.
func TestTPROXY_datagramToAnother_saysWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{})
		defer w.finish()
		transparent(t, w)
		p, c := w.socket(w.router, 3129), w.socket(w.client, 4000)
		defer p.Release()
		defer c.Release()
		on(t, p, ipTransparent)
		on(t, p, ipRecvOrigDst)
		to := sockaddr(ip4(192, 0, 2, 2), 53)
		_, err := c.SendMsg(named(to, []byte("who?")), 0)
		check(t, err)
		m := &sock.Msg{Iov: [][]byte{make([]byte, 10)}, Control: make([]byte, 64)}
		n, err := p.RecvMsg(m, 0)
		check(t, err)
		if n != 4 || m.ControlLen < 32 || !bytes.Equal(m.Control[16:24], to[:8]) {
			t.Fatalf("%d bytes, % x", n, m.Control[:m.ControlLen])
		}
		a := w.socketAt(w.router, ip4(192, 0, 2, 2), 53)
		defer a.Release()
		_, err = a.SendMsg(named(m.Name[:m.NameLen], []byte("me")), 0)
		check(t, err)
		m = &sock.Msg{Iov: [][]byte{make([]byte, 10)}}
		if n, err := c.RecvMsg(m, 0); n != 2 || err != nil || !bytes.Equal(m.Name[:8], to[:8]) {
			t.Errorf("%d bytes from % x, %v", n, m.Name, err)
		}
	})
}

// socketAt is a transparent datagram socket at an address that may be another's.
func (w *natWorld) socketAt(n *inet.Net, a header.Addr, port uint16) *sock.Socket {
	s, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(w, err)
	check(w, s.SetSockOpt(syscall.IPPROTO_IP, ipTransparent, []byte{1, 0, 0, 0}))
	check(w, s.Bind(sockaddr(a, port)))
	return s
}

// named is a message to an address.
func named(to, data []byte) *sock.Msg {
	m := &sock.Msg{Iov: [][]byte{data}}
	m.NameLen = copy(m.Name[:], to)
	return m
}
