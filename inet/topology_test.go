package inet_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb/header"
)

// city is many namespaces in virtual time: one router, a hub with faults on one
// side of it, a veth pair to each house on the other.
type city struct {
	testing.TB
	stop chan struct{}
	run  sync.WaitGroup
	nets []*inet.Net
	cpus int // of each namespace; 0 is 1
}

func (c *city) space() *inet.Net {
	c.Helper()
	cfg := napi.Config{CPUs: c.cpus}
	if c.cpus > 1 {
		cfg.CPU = func() int { return rand.IntN(c.cpus) } // a goroutine may be anywhere
	}
	dev, err := napi.New(cfg)
	check(c, err)
	n, err := inet.New(inet.Config{Net: dev})
	check(c, err)
	for cpu := range dev.CPUs() {
		c.run.Go(func() { dev.SoftNetOf(cpu).Run(c.stop) })
	}
	if c.cpus > 1 {
		check(c, dev.Sysctl().Set("net.core.rps_sock_flow_entries", "64"))
		steer(c, dev.DevByName("lo"))
	}
	c.nets = append(c.nets, n)
	return n
}

// steer has what dev receives spread over the processors, and follow the readers,
// unless it has queues enough.
func steer(t testing.TB, dev *napi.NetDevice) {
	t.Helper()
	q := dev.RxQueues()
	if n := dev.Net().CPUs(); n > 1 && len(q) == 1 {
		var m napi.CPUMask
		for cpu := range n {
			m.Add(cpu)
		}
		q[0].SetRPS(m)
		check(t, q[0].SetFlowCount(32))
	}
}

func (c *city) up(n *inet.Net, dev *napi.NetDevice, prefix string) {
	c.Helper()
	steer(c, dev)
	check(c, dev.Open())
	check(c, n.AddAddr(dev, netip.MustParsePrefix(prefix)))
}

func (c *city) socket(n *inet.Net, port uint16) *sock.Socket {
	c.Helper()
	s, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(c, err)
	check(c, s.Bind(sockaddr(0, port)))
	tv := make([]byte, 16)
	binary.LittleEndian.PutUint64(tv, 2)
	check(c, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, tv))
	return s
}

// house makes a namespace behind the router, 10.1.i.2/24, and returns it with the
// router's end of the link.
func (c *city) house(router *inet.Net, i int) (*inet.Net, *napi.NetDevice) {
	c.Helper()
	h := c.space()
	// Made in the router's namespace and moved, as a container's is.
	a, b, err := napi.NewVethPair(router.Dev(), "veth%d", router.Dev(), "tmp%d")
	check(c, err)
	check(c, router.Dev().MoveDevice(b, h.Dev(), "eth0"))
	c.up(router, a, fmt.Sprintf("10.1.%d.1/24", i))
	c.up(h, b, fmt.Sprintf("10.1.%d.2/24", i))
	check(c, h.AddDefaultRoute(netip.MustParseAddr(fmt.Sprintf("10.1.%d.1", i)), nil))
	return h, a
}

// down ends the namespaces, whose sockets are released, and looks for what is
// left.
func (c *city) down() {
	c.Helper()
	for _, n := range c.nets {
		for _, d := range n.Dev().Devs() {
			d.Close()
		}
		n.Close()
		for range 20 {
			for cpu := range n.Dev().CPUs() {
				n.Dev().SoftNetOf(cpu).DoSoftirq()
			}
		}
		for _, d := range n.Dev().Devs() {
			n.Dev().UnregisterNetdev(d)
		}
	}
	for i, n := range c.nets {
		if b, p := n.Dev().SKB().InUse(), n.Dev().SKB().Pool().InUse(); b != 0 || p != 0 {
			c.Errorf("namespace %d: %d packets, %d pages not returned", i, b, p)
		}
	}
}

func TestTopology_housesBehindARouterAndALossyHub_everyQuestionAnswered(t *testing.T) {
	const houses, clients, seed = 6, 6, 3
	synctest.Test(t, func(t *testing.T) {
		c := &city{TB: t, stop: make(chan struct{})}
		wire, err := hosted.NewWire(hosted.WireConfig{
			Seed: seed, Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, ReorderBy: 5 * time.Millisecond,
			Delay: 2 * time.Millisecond, Jitter: time.Millisecond,
		})
		check(t, err)
		router := c.space()
		check(t, router.Dev().Sysctl().Set("net.ipv4.ip_forward", "1"))
		lan, err := wire.Attach(router.Dev(), "lan", [6]byte{2, 0, 0, 0, 0, 1})
		check(t, err)
		c.up(router, lan, "10.0.0.1/24")

		var sockets []*sock.Socket
		for i := range houses {
			h, _ := c.house(router, i)
			s := c.socket(h, 7)
			sockets = append(sockets, s)
			c.run.Go(func() {
				for {
					m := &sock.Msg{Iov: [][]byte{make([]byte, 2000)}}
					n, err := s.RecvMsg(m, 0)
					select {
					case <-c.stop:
						return
					default:
					}
					if err != nil {
						continue
					}
					m.Iov[0] = m.Iov[0][:n]
					s.SendMsg(m, 0)
				}
			})
		}
		var asking sync.WaitGroup
		lost := make([]int, clients)
		for i := range clients {
			n := c.space()
			d, err := wire.Attach(n.Dev(), "eth0", [6]byte{2, 0, 0, 0, 0, byte(10 + i)})
			check(t, err)
			c.up(n, d, fmt.Sprintf("10.0.0.%d/24", 10+i))
			check(t, n.AddDefaultRoute(netip.MustParseAddr("10.0.0.1"), nil))
			s := c.socket(n, 0)
			sockets = append(sockets, s)
			asking.Go(func() {
				for q := range 20 {
					house := header.AddrFrom4([4]byte{10, 1, byte((i + q) % houses), 2})
					question := fmt.Sprintf("client %d question %d", i, q)
					answered := false
					for try := 0; try < 20 && !answered; try++ {
						if _, err := sendTo(s, []byte(question), house, 7); err != nil {
							t.Errorf("seed %d: %s: %v", seed, question, err)
							return
						}
						for {
							m := &sock.Msg{Iov: [][]byte{make([]byte, 2000)}}
							k, err := s.RecvMsg(m, 0)
							if err != nil {
								lost[i]++
								break
							}
							if string(m.Iov[0][:k]) == question { // not an older one's, twice
								answered = true
								break
							}
						}
					}
					if !answered {
						t.Errorf("seed %d: %s: no answer", seed, question)
						return
					}
				}
			})
		}
		asking.Wait()
		all := 0
		for _, n := range lost {
			all += n
		}
		if all == 0 {
			t.Errorf("seed %d: nothing was lost: the wire has no faults", seed)
		}
		close(c.stop)
		for _, s := range sockets {
			s.Shutdown(syscall.SHUT_RD)
			s.Release()
		}
		c.run.Wait()
		wire.Close()
		c.down()
	})
}
