package inet_test

import (
	"bytes"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"barewire/inet/sock"
	"barewire/skb"
)

// pair joins two hosts by a wire and runs their softirqs.
func pair(t testing.TB) (a, b *host) {
	a, b = newHost(t), newHost(t)
	check(t, b.port.dev.SetHardwareAddr(peerMAC))
	check(t, b.DelAddr(b.port.dev, netip.PrefixFrom(hostIP.Netip(), 24)))
	check(t, b.AddAddr(b.port.dev, netip.PrefixFrom(peerIP.Netip(), 24)))
	wire := func(to *host) func(f []byte) {
		return func(f []byte) {
			p := to.net.SKB().Alloc(skb.Pad + len(f))
			if p == nil {
				return
			}
			p.Reserve(skb.Pad)
			p.PutData(f)
			to.port.mu.Lock()
			to.port.rx.PushBack(p)
			to.port.mu.Unlock()
			to.port.napi.Schedule()
		}
	}
	a.port.onSend, b.port.onSend = wire(b), wire(a)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, h := range []*host{a, b} {
		wg.Go(func() { h.net.SoftNet().Run(stop) })
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		for _, h := range []*host{a, b} {
			h.port.onSend = nil
			h.run()
		}
	})
	return a, b
}

func blocking(t testing.TB, s *sock.Socket) {
	// Long enough that only a lost wake-up reaches it.
	tv := make([]byte, 16)
	tv[0] = 10
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, tv))
}

func TestPair_manyClients_everyEchoRight(t *testing.T) {
	a, b := pair(t)
	for _, n := range []*host{a, b} {
		// A sender that is preempted between two fragments may lose the
		// datagram to this: on a busy machine that happens.
		check(t, n.net.Sysctl().Set("net.ipv4.ipfrag_max_dist", "0"))
	}
	server := b.udpSocket(0, 7)
	blocking(t, server)
	var wg sync.WaitGroup
	var stopped atomic.Bool
	for range 2 {
		wg.Go(func() {
			m := &sock.Msg{Iov: [][]byte{make([]byte, 8192)}}
			for !stopped.Load() {
				m.Iov[0] = m.Iov[0][:8192]
				n, err := server.RecvMsg(m, 0)
				if err != nil || stopped.Load() {
					return
				}
				m.Iov[0] = m.Iov[0][:n]
				if _, err := server.SendMsg(m, 0); err != nil {
					t.Error(err)
				}
				m.Iov[0] = m.Iov[0][:8192]
			}
		})
	}
	var clients sync.WaitGroup
	for c := range 6 {
		s := a.udpSocket(0, 0)
		blocking(t, s)
		if c%2 == 0 {
			check(t, s.Connect(sockaddr(peerIP, 7), 0))
		}
		clients.Go(func() {
			for i := range 300 {
				data := bytes.Repeat([]byte{byte(c), byte(i)}, 1+(i*37)%2000)
				m := &sock.Msg{Iov: [][]byte{data}}
				if c%2 == 1 {
					m.NameLen = copy(m.Name[:], sockaddr(peerIP, 7))
				}
				if _, err := s.SendMsg(m, 0); err != nil {
					t.Errorf("client %d: send: %v", c, err)
					return
				}
				r := &sock.Msg{Iov: [][]byte{make([]byte, 8192)}}
				n, err := s.RecvMsg(r, 0)
				if err != nil || !bytes.Equal(r.Iov[0][:n], data) {
					t.Errorf("client %d: echo %d of %d bytes: %d, %v", c, i, len(data), n, err)
					return
				}
			}
		})
	}
	clients.Wait()
	stopped.Store(true)
	server.Shutdown(syscall.SHUT_RD)
	wg.Wait()
}

// TestPair_churn opens, binds, connects and closes sockets while datagrams for
// their ports arrive; the race detector and the leak check judge.
func TestPair_churn_nothingLost(t *testing.T) {
	a, b := pair(t)
	var flood, churn sync.WaitGroup
	var stopped atomic.Bool
	for i := range 2 {
		s := a.udpSocket(0, 0)
		flood.Go(func() {
			for n := 0; !stopped.Load(); n++ {
				sendTo(s, []byte("flood"), peerIP, uint16(100+n%4))
				if n%64 == 63 {
					time.Sleep(time.Duration(i+1) * 100 * time.Microsecond)
				}
			}
		})
	}
	for i := range 4 {
		churn.Go(func() {
			for n := range 200 {
				s, err := b.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
				if err != nil {
					t.Error(err)
					return
				}
				s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0})
				if err := s.Bind(sockaddr(0, uint16(100+i))); err != nil {
					t.Error(err)
				}
				if n%2 == 0 {
					s.Connect(sockaddr(hostIP, 5), 0)
					s.Connect(sockaddr(hostIP, 6), 0)
					s.Connect([]byte{0, 0}, 0)
				}
				recvFrom(s, 10)
				s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth0"))
				s.Poll()
				recvFrom(s, 10)
				s.Release()
			}
		})
	}
	churn.Go(func() {
		for range 50 {
			b.AddAddr(b.port.dev, netip.MustParsePrefix("10.0.0.1/24"))
			b.AddRoute(netip.MustParsePrefix("10.9.0.0/16"), hostIP.Netip(), nil)
			b.IP().FIB.Delete(func(r *fibRoute) bool { return r.Bits == 16 })
			b.DelAddr(b.port.dev, netip.MustParsePrefix("10.0.0.1/24"))
			b.Neighbours()
			b.IP().Neigh.FlushDev(b.port.dev, false)
			b.SNMP()
		}
	})
	churn.Wait()
	stopped.Store(true)
	flood.Wait()
}

func TestPair_deadPort_refusedAcrossTheWire(t *testing.T) {
	a, b := pair(t)
	_ = b
	s := a.udpSocket(0, 0)
	blocking(t, s)
	check(t, s.Connect(sockaddr(peerIP, 4444), 0))
	if _, err := s.SendMsg(&sock.Msg{Iov: [][]byte{[]byte("x")}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RecvMsg(newMsg(9, 0), 0); err != syscall.ECONNREFUSED {
		t.Errorf("%v, want ECONNREFUSED", err)
	}
}

func TestPair_hostGone_unreachable(t *testing.T) {
	a, b := pair(t)
	b.port.dev.Close()
	defer b.port.dev.Open()
	s := a.udpSocket(0, 0)
	blocking(t, s)
	check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_RECVERR, []byte{1, 0, 0, 0}))
	m := &sock.Msg{Iov: [][]byte{[]byte("x")}}
	m.NameLen = copy(m.Name[:], sockaddr(peerIP, 7))
	if _, err := s.SendMsg(m, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RecvMsg(newMsg(9, 0), 0); err != syscall.EHOSTUNREACH {
		t.Errorf("%v, want EHOSTUNREACH", err)
	}
}
