package inet_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// natWorld is two clients behind a router that masquerades, and a server on the
// other side of a wire, in virtual time.
type natWorld struct {
	tcpWorld
	router       *inet.Net
	up, down     *napi.NetDevice // of the router
	client, peer *inet.Net       // in the LAN: 10.1.1.2, 10.1.2.2
	server       *inet.Net       // 192.0.2.2; the router is 192.0.2.1
	forwards     map[uint16]header.Addr
}

func newNATWorld(t *testing.T, seed uint64, cfg hosted.WireConfig) *natWorld {
	w := &natWorld{tcpWorld: tcpWorld{city: city{TB: t, stop: make(chan struct{}), cpus: cfg.Queues}, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))},
		forwards: map[uint16]header.Addr{}}
	var err error
	w.wire, err = hosted.NewWire(cfg)
	check(t, err)
	w.router = w.space()
	check(t, w.router.Dev().Sysctl().Set("net.ipv4.ip_forward", "1"))
	w.up, err = w.wire.Attach(w.router.Dev(), "wan", [6]byte{2, 0, 0, 0, 0, 1})
	check(t, err)
	w.city.up(w.router, w.up, "192.0.2.1/24")
	w.client, w.down = w.house(w.router, 1)
	w.peer, _ = w.house(w.router, 2)
	w.server = w.space()
	d, err := w.wire.Attach(w.server.Dev(), "eth0", [6]byte{2, 0, 0, 0, 0, 2})
	check(t, err)
	w.city.up(w.server, d, "192.0.2.2/24")
	w.a, w.b = w.client, w.server
	f := w.router.NF()
	w.nets[0], w.nets[len(w.nets)-1] = w.nets[len(w.nets)-1], w.nets[0] // the router ends last
	done := f.UseNAT(func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		h := header.IPv4(b.Data())
		switch s.Point {
		case netfilter.PostRouting:
			if h.Src()>>24 == 10 {
				return f.NAT.Masquerade(b, s, &nat.Range{})
			}
		case netfilter.PreRouting:
			if p := b.Data()[h.HeaderLen():]; h.Dst() == ip4(192, 0, 2, 1) && len(p) > 4 {
				port := uint16(p[2])<<8 | uint16(p[3])
				if to := w.forwards[port]; to != 0 && h.Protocol() != header.ProtoICMP {
					return f.NAT.DNAT(b, &nat.Range{Flags: nat.MapIPs, MinAddr: to, MaxAddr: to})
				}
			}
		}
		return netfilter.Accept
	})
	_ = done // ends with the router
	return w
}

// finish takes the world down.
func (w *natWorld) finish() {
	close(w.stop)
	w.run.Wait()
	w.wire.Close()
	w.city.down()
}

// TestNAT_world_tcpBothWays: transfers through the translation over a bad wire:
// every byte arrives, and the table follows the connections to their end.
// With a flow table they take the short way in between.
func TestNAT_world_tcpBothWays(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			w := newNATWorld(t, seed, hosted.WireConfig{Seed: seed, Loss: 0.01 * float64(seed), Delay: 5 * time.Millisecond, Reorder: 0.05, ReorderBy: 3 * time.Millisecond})
			offload := seed%2 != 0
			if offload {
				check(t, w.router.Dev().Sysctl().Set("net.netfilter.nf_flowtable", "1"))
			}
			l := w.tcp(w.server)
			check(t, l.Bind(sockaddr(0, 80)))
			check(t, l.Listen(5))
			var all sync.WaitGroup
			for i, from := range []*inet.Net{w.client, w.peer} {
				all.Go(func() {
					c := w.tcp(from)
					check(w, c.Bind(sockaddr(0, 5000))) // the same port: one has to change
					if err := c.Connect(sockaddr(ip4(192, 0, 2, 2), 80), 0); err != nil {
						w.Errorf("seed %d: connect: %v", seed, err)
						c.Release()
						return
					}
					w.speak(fmt.Sprint("client ", i), c, 60000, 90000, 1, 2, rand.New(rand.NewPCG(seed, uint64(i))))
					check(w, c.Release())
				})
				all.Go(func() {
					s, err := l.Accept(0)
					if err != nil {
						w.Errorf("accept: %v", err)
						return
					}
					var sa [16]byte
					s.Getname(true, sa[:])
					if header.Addr(uint32(sa[4])<<24|uint32(sa[5])<<16|uint32(sa[6])<<8|uint32(sa[7])) != ip4(192, 0, 2, 1) {
						w.Errorf("the server sees % x", sa[:8])
					}
					w.speak("server", s, 90000, 60000, 2, 1, rand.New(rand.NewPCG(seed, 9)))
					check(w, s.Release())
				})
			}
			all.Wait()
			check(t, l.Release())
			// A port forward: the server is the client now.
			w.forwards[8080] = ip4(10, 1, 1, 2)
			l = w.tcp(w.client)
			check(t, l.Bind(sockaddr(0, 8080)))
			check(t, l.Listen(5))
			for who, from := range map[string]*inet.Net{"outside": w.server, "inside": w.peer} {
				all.Go(func() {
					s, err := l.Accept(0)
					check(w, err)
					w.speak("forwarded", s, 5000, 7000, 3, 4, rand.New(rand.NewPCG(seed, 11)))
					check(w, s.Release())
				})
				c := w.tcp(from)
				if err := c.Connect(sockaddr(ip4(192, 0, 2, 1), 8080), 0); err != nil {
					t.Fatalf("%s: %v", who, err)
				}
				w.speak(who, c, 7000, 5000, 4, 3, rand.New(rand.NewPCG(seed, 12)))
				check(t, c.Release())
				all.Wait()
			}
			check(t, l.Release())
			if x := w.router.NF().Conntrack.Stat.InsertFailed.Load(); x != 0 {
				t.Errorf("%d insertions failed", x)
			}
			if n := w.router.NF().Flow.Packets.Load(); offload != (n > 100) {
				t.Errorf("%d packets by the short way", n)
			}
			time.Sleep(3 * time.Minute) // TIME_WAIT of both, and of the table
			if n := w.router.NF().Flow.Count(); n != 0 {
				t.Errorf("%d flows left", n)
			}
			if n := w.router.NF().Conntrack.Count(); n != 0 {
				t.Errorf("%d connections left:\n%s", n, w.router.NF().Conntrack.Proc(nil))
			}
			w.finish()
		})
	}
}

// ask sends a datagram and returns the answer, "" for none.
func ask(s *sock.Socket, data []byte, a header.Addr, port uint16) ([]byte, error) {
	if _, err := sendTo(s, data, a, port); err != nil {
		return nil, err
	}
	m := &sock.Msg{Iov: [][]byte{make([]byte, 10000)}}
	n, err := s.RecvMsg(m, 0)
	if err != nil {
		return nil, err
	}
	return m.Iov[0][:n], nil
}

func TestNAT_world_datagramsErrorsAndAddressChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{Seed: 1, Delay: time.Millisecond})
		echo := w.socket(w.server, 7)
		var from []string
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				m := &sock.Msg{Iov: [][]byte{make([]byte, 10000)}}
				n, err := echo.RecvMsg(m, 0)
				if err == syscall.EAGAIN {
					continue
				}
				if err != nil {
					return
				}
				if n == 0 {
					return
				}
				from = append(from, fmt.Sprint(m.Name[4:8], int(m.Name[2])<<8|int(m.Name[3])))
				m.Iov[0] = m.Iov[0][:n]
				echo.SendMsg(m, 0)
			}
		})
		c := w.socket(w.client, 4000)
		srv := ip4(192, 0, 2, 2)
		for _, size := range []int{1, 100, 1472, 1473, 5000, 9000} { // with fragments
			data := randomBytes(size)
			if got, err := ask(c, data, srv, 7); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: %d back, %v", size, len(got), err)
			}
		}
		// An ICMP error finds back to the socket inside.
		d := w.socket(w.client, 4001)
		check(t, d.Connect(sockaddr(srv, 9), 0))
		if _, err := d.SendMsg(&sock.Msg{Iov: [][]byte{[]byte("x")}}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := d.RecvMsg(newMsg(9, 0), 0); err != syscall.ECONNREFUSED {
			t.Errorf("to a closed port: %v", err)
		}
		// Another address: the mapping ends, and the next datagram has a new one.
		listing := func() string { return string(w.router.NF().Conntrack.Proc(nil)) }
		if !strings.Contains(listing(), "dst=192.0.2.1 sport=7 dport=4000") {
			t.Errorf("listing:\n%s", listing())
		}
		check(t, w.router.AddAddr(w.up, netip.MustParsePrefix("192.0.2.77/24")))
		check(t, w.router.DelAddr(w.up, netip.MustParsePrefix("192.0.2.1/24")))
		check(t, w.router.AddAddr(w.up, netip.MustParsePrefix("192.0.2.77/24")))
		if strings.Contains(listing(), "192.0.2.1") {
			t.Errorf("after the address went:\n%s", listing())
		}
		if got, err := ask(c, []byte("hello"), srv, 7); err != nil || string(got) != "hello" {
			t.Fatalf("after the change: %q, %v", got, err)
		}
		if last := from[len(from)-1]; last != "[192 0 2 77] 4000" {
			t.Errorf("the server sees %s", last)
		}
		w.up.Close()
		if l := listing(); strings.Contains(l, "192.0.2.77") {
			t.Errorf("after the device went down:\n%s", l)
		}
		check(t, w.up.Open())
		echo.Shutdown(syscall.SHUT_RD)
		serving.Wait()
		for _, s := range []*sock.Socket{echo, c, d} {
			s.Release()
		}
		w.finish()
	})
}

// TestNAT_world_proxy: a proxy on the router takes connections that go elsewhere,
// and learns where.
func TestNAT_world_proxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{Seed: 1, Delay: time.Millisecond})
		rules := "*nat\n-A PREROUTING -s 10.0.0.0/8 -p tcp --dport 80 -j REDIRECT --to-ports 3128\nCOMMIT\n"
		if status, _, stderr := w.router.NF().Run([]string{"iptables-restore"}, []byte(rules)); status != 0 {
			t.Fatalf("%s", stderr)
		}
		l := w.tcp(w.router)
		check(t, l.Bind(sockaddr(0, 3128)))
		check(t, l.Listen(5))
		const soOriginalDst = 80
		var sa [16]byte
		if _, err := l.GetSockOpt(syscall.SOL_IP, soOriginalDst, sa[:]); err != syscall.ENOENT {
			t.Errorf("of a listener: %v", err)
		}
		c := w.tcp(w.client)
		check(t, c.Connect(sockaddr(ip4(198, 51, 100, 9), 80), 0)) // there is no such host
		s, err := l.Accept(0)
		check(t, err)
		n, err := s.GetSockOpt(syscall.SOL_IP, soOriginalDst, sa[:])
		if want := sockaddr(ip4(198, 51, 100, 9), 80); err != nil || !bytes.Equal(sa[:n], want) {
			t.Errorf("% x, %v; want % x", sa[:n], err, want)
		}
		if _, err := s.GetSockOpt(syscall.SOL_IP, soOriginalDst, sa[:8]); err != syscall.EINVAL {
			t.Errorf("into eight bytes: %v", err)
		}
		u := w.socket(w.router, 0)
		if _, err := u.GetSockOpt(syscall.SOL_IP, soOriginalDst, sa[:]); err != syscall.ENOPROTOOPT {
			t.Errorf("of a datagram socket: %v", err)
		}
		for _, s := range []*sock.Socket{c, s, l, u} {
			check(t, s.Release())
		}
		time.Sleep(5 * time.Minute)
		w.finish()
	})
}

// TestReject_output_programsHear: what the host itself may not send is refused to
// the program, over loopback.
func TestReject_output_programsHear(t *testing.T) {
	for _, c := range []struct {
		with string
		tcp  error
	}{{"tcp-reset", syscall.ECONNREFUSED}, {"icmp-port-unreachable", syscall.ECONNREFUSED}, {"icmp-host-prohibited", syscall.EHOSTUNREACH}} {
		synctest.Test(t, func(t *testing.T) {
			w := newNATWorld(t, 1, hosted.WireConfig{Seed: 1, Delay: time.Millisecond})
			rules := "*filter\n-A OUTPUT -p tcp -d 192.0.2.2 -j REJECT --reject-with " + c.with + "\n-A OUTPUT -p udp -d 192.0.2.2 -j REJECT\nCOMMIT\n"
			if status, _, stderr := w.router.NF().Run([]string{"iptables-restore"}, []byte(rules)); status != 0 {
				t.Fatalf("%s", stderr)
			}
			s := w.tcp(w.router)
			begin := time.Now()
			if err := s.Connect(sockaddr(ip4(192, 0, 2, 2), 80), 0); err != c.tcp || time.Since(begin) > time.Second {
				t.Errorf("%s: connect: %v after %v", c.with, err, time.Since(begin))
			}
			check(t, s.Release())
			u := w.socket(w.router, 0)
			check(t, u.Connect(sockaddr(ip4(192, 0, 2, 2), 9), 0))
			_, err := u.SendMsg(&sock.Msg{Iov: [][]byte{[]byte("x")}}, 0)
			if err != syscall.EPERM {
				t.Errorf("%s: send: %v", c.with, err)
			}
			if _, err := u.RecvMsg(newMsg(9, 0), 0); err != syscall.ECONNREFUSED {
				t.Errorf("%s: receive: %v", c.with, err)
			}
			check(t, u.Release())
			w.finish()
		})
	}
}

// TestNAT_world_local: what the router itself sends is translated, and takes the
// way of its new destination.
func TestNAT_world_local(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNATWorld(t, 1, hosted.WireConfig{Seed: 1, Delay: time.Millisecond})
		f := w.router.NF()
		f.NAT.SetRules(func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
			if s.Point == netfilter.LocalOut && header.IPv4(b.Data()).Dst() == ip4(192, 0, 2, 99) {
				to := ip4(10, 1, 1, 2)
				return f.NAT.DNAT(b, &nat.Range{Flags: nat.MapIPs, MinAddr: to, MaxAddr: to})
			}
			if s.Point == netfilter.LocalOut && header.IPv4(b.Data()).Dst() == ip4(192, 0, 2, 98) {
				return f.NAT.Redirect(b, s, &nat.Range{Flags: nat.ProtoSpecified, MinPort: 7, MaxPort: 7})
			}
			return netfilter.Accept
		})
		var serving sync.WaitGroup
		var all []*sock.Socket
		for _, n := range []*inet.Net{w.client, w.router} {
			s := w.socket(n, 7)
			all = append(all, s)
			serving.Go(func() {
				m := &sock.Msg{Iov: [][]byte{make([]byte, 100)}}
				n, err := s.RecvMsg(m, 0)
				if err != nil {
					t.Error(err)
					return
				}
				m.Iov[0] = append(m.Iov[0][:n], '!')
				s.SendMsg(m, 0)
			})
		}
		c := w.socket(w.router, 0)
		all = append(all, c)
		if got, err := ask(c, []byte("inside"), ip4(192, 0, 2, 99), 7); err != nil || string(got) != "inside!" {
			t.Errorf("DNAT of the router's own: %q, %v", got, err)
		}
		if got, err := ask(c, []byte("here"), ip4(192, 0, 2, 98), 1234); err != nil || string(got) != "here!" {
			t.Errorf("REDIRECT of the router's own: %q, %v", got, err)
		}
		serving.Wait()
		l := string(f.Conntrack.Proc(nil))
		for _, want := range []string{"dst=192.0.2.99 sport=", "src=10.1.1.2 dst=192.0.2.1 sport=7", "dst=192.0.2.98 sport=", "src=127.0.0.1 dst=192.0.2.1 sport=7"} {
			if !strings.Contains(l, want) {
				t.Errorf("no %q in\n%s", want, l)
			}
		}
		for _, s := range all {
			s.Release()
		}
		w.finish()
	})
}
