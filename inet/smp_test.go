package inet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
)

// smpWorld is newNATWorld on machines with four processors: the hub's devices have
// a pair of queues for each, the veths and loopbacks one that is steered.
func smpWorld(t *testing.T, seed uint64, cfg hosted.WireConfig) *natWorld {
	cfg.Seed, cfg.Queues = seed, 4
	return newNATWorld(t, seed, cfg)
}

// usedAll complains when a processor of a namespace received nothing.
func (w *natWorld) usedAll(n *inet.Net) {
	w.Helper()
	for cpu := range n.Dev().CPUs() {
		if n.Dev().SoftNetOf(cpu).Stats().Processed == 0 {
			w.Errorf("processor %d received nothing", cpu)
		}
	}
}

// TestSMP_world_everythingAtOnce: connections with loss and reordering through a
// router that translates and filters, large datagrams in fragments, and talk over
// loopback, while softirqs of every namespace run on four processors.
func TestSMP_world_everythingAtOnce(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			w := smpWorld(t, seed, hosted.WireConfig{Loss: 0.01 * float64(seed%3), Delay: 2 * time.Millisecond, Reorder: 0.05, ReorderBy: time.Millisecond})
			if seed%2 != 0 {
				check(t, w.router.Dev().Sysctl().Set("net.netfilter.nf_flowtable", "1"))
			}
			var hits atomic.Int64
			defer w.router.IP().Hooks.Register(netfilter.Forward, netfilter.PriFilter, func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
				hits.Add(1)
				return netfilter.Accept
			})()
			var all sync.WaitGroup
			// Connections: of both houses to the server, and on the server by loopback.
			const conns = 8
			l := w.tcp(w.server)
			check(t, l.Bind(sockaddr(0, 80)))
			check(t, l.Listen(3*conns))
			for i := range 3 * conns {
				all.Go(func() {
					s, err := l.Accept(0)
					if err != nil {
						w.Errorf("accept: %v", err)
						return
					}
					w.speak("server", s, 20000, 30000, 2, 1, rand.New(rand.NewPCG(seed, uint64(i))))
					check(w, s.Release())
				})
				from, to := []*inet.Net{w.client, w.peer, w.server}[i%3], ip4(192, 0, 2, 2)
				if from == w.server {
					to = ip4(127, 0, 0, 1)
				}
				all.Go(func() {
					c := w.tcp(from)
					if err := c.Connect(sockaddr(to, 80), 0); err != nil {
						w.Errorf("seed %d: connect: %v", seed, err)
					} else {
						w.speak(fmt.Sprint("client ", i), c, 30000, 20000, 1, 2, rand.New(rand.NewPCG(seed, uint64(100+i))))
					}
					check(w, c.Release())
				})
			}
			// Datagrams in fragments, answered.
			echo := w.socket(w.server, 7)
			stop := make(chan struct{})
			var echoing sync.WaitGroup
			echoing.Go(func() {
				for {
					m := newMsg(10000, 0)
					if n, err := echo.RecvMsg(m, 0); err == nil {
						echo.SendMsg(&sock.Msg{Iov: [][]byte{m.Iov[0][:n]}, Name: m.Name, NameLen: m.NameLen}, 0)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			for i := range 6 {
				from := []*inet.Net{w.client, w.peer}[i%2]
				all.Go(func() {
					s := w.socket(from, 0)
					defer s.Release()
					data := make([]byte, 4000)
					answers := 0
					for q := range 20 {
						binary.LittleEndian.PutUint32(data, uint32(i<<16|q))
						got, err := ask(s, data, ip4(192, 0, 2, 2), 7)
						if err == syscall.EAGAIN {
							continue // lost
						}
						if err != nil || !bytes.Equal(got[4:], data[4:]) {
							w.Errorf("seed %d: %d bytes, %v", seed, len(got), err)
							return
						}
						answers++
					}
					if answers < 8 {
						w.Errorf("seed %d: %d of 20 large datagrams answered", seed, answers)
					}
				})
			}
			all.Wait()
			close(stop)
			echoing.Wait()
			check(t, echo.Release())
			check(t, l.Release())
			w.usedAll(w.router)
			w.usedAll(w.server)
			if n := hits.Load(); n < 100 {
				t.Errorf("the rule saw %d packets", n)
			}
			time.Sleep(11 * time.Minute) // TIME_WAIT of both, the table's timeouts
			if n := w.router.NF().Conntrack.Count(); n != 0 {
				t.Errorf("%d connections left:\n%s", n, w.router.NF().Conntrack.Proc(nil))
			}
			w.finish()
		})
	}
}

// TestSMP_devices_comeAndGoUnderTraffic: devices are closed and opened, moved to
// another namespace and taken away while packets flow through them on every
// processor. Nothing is lost but packets.
func TestSMP_devices_comeAndGoUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := smpWorld(t, 1, hosted.WireConfig{Delay: 100 * time.Microsecond})
		spare := w.space()
		stop := make(chan struct{})
		var all sync.WaitGroup
		echo := w.socket(w.server, 7)
		all.Go(func() {
			for {
				m := newMsg(2000, 0)
				if n, err := echo.RecvMsg(m, 0); err == nil {
					echo.SendMsg(&sock.Msg{Iov: [][]byte{m.Iov[0][:n]}, Name: m.Name, NameLen: m.NameLen}, 0)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		var answers atomic.Int64
		for i := range 16 {
			from := []*inet.Net{w.client, w.peer}[i%2]
			all.Go(func() {
				s := w.socket(from, 0)
				defer s.Release()
				for {
					sendTo(s, make([]byte, 1400), ip4(192, 0, 2, 2), 7)
					if _, _, _, err := recvFrom(s, 2000); err == nil {
						answers.Add(1)
					}
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Microsecond):
					}
				}
			})
		}
		house := w.peer.Dev().DevByName("eth0")
		for range 40 {
			time.Sleep(3 * time.Millisecond)
			w.up.Close()
			time.Sleep(time.Millisecond)
			check(t, w.up.Open())
			w.down.Close()
			check(t, w.down.Open())
			check(t, w.peer.Dev().MoveDevice(house, spare.Dev(), "x"))
			check(t, house.Open())
			time.Sleep(time.Millisecond)
			check(t, spare.Dev().MoveDevice(house, w.peer.Dev(), "eth0"))
			w.city.up(w.peer, house, "10.1.2.2/24")
			w.peer.AddDefaultRoute(netip.MustParseAddr("10.1.2.1"), nil)
		}
		napi.UnregisterVeth(w.down)
		time.Sleep(10 * time.Millisecond)
		close(stop)
		all.Wait()
		if answers.Load() == 0 {
			t.Error("nothing was answered")
		}
		check(t, echo.Release())
		w.finish()
	})
}
