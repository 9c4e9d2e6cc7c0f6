package inet_test

import (
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// rcvConn is a connection whose peer is the test; byte i of its stream is
// pattern(0, i).
func rcvConn(t *testing.T, h *host, opts func(l *sock.Socket)) (*mconn, func()) {
	l := h.tcpSocket(0, 80)
	if opts != nil {
		opts(l)
	}
	check(t, l.Listen(1))
	c := &mconn{host: h, port: 4000, local: 80, rcv: mISN + 1, edge: mISN + 1}
	c.established(l)
	return c, func() {
		check(t, c.s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
		check(t, c.s.Release())
		check(t, l.Release())
		c.collect()
	}
}

// data sends bytes from to to of the stream, with more flags.
func (c *mconn) data(from, to int, flags uint8) {
	m := make([]byte, header.TCPMinLen, header.TCPMinLen+to-from)
	h := header.PutTCP(m, &header.TCPFields{SrcPort: c.port, DstPort: c.local, Seq: mISN + 1 + uint32(from), Ack: c.nxt, HeaderLen: header.TCPMinLen,
		Flags: header.TCPAck | flags, Window: 30000})
	for i := from; i < to; i++ {
		m = append(m, pattern(0, i))
	}
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(m, header.PseudoSum(peerIP, hostIP, header.ProtoTCP, len(m)))))
	c.inject(fromPeer(header.ProtoTCP, m))
	c.collect()
}

// wantBytes reads n bytes of the stream.
func (c *mconn) wantBytes(n int) {
	c.Helper()
	buf := make([]byte, n)
	if k, err := io.ReadFull(conn{c.s}, buf); err != nil {
		c.Fatalf("%d of %d bytes: %v", k, n, err)
	}
	for i, v := range buf {
		if v != pattern(0, i) {
			c.Fatalf("byte %d is wrong", i)
		}
	}
}

func TestTCP_ownedSock_backlogCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		c, end := rcvConn(t, h, nil)
		defer end()
		c.s.SK.Lock()
		at := 0
		for i := range 20 {
			n := 900
			if i%3 == 0 {
				n = 100
			}
			c.data(at, at+n, 0)
			at += n
		}
		if len(c.out) != 0 {
			t.Error("answered while it was owned")
		}
		c.s.SK.Unlock()
		c.collect()
		if n := h.counter("TCPBacklogCoalesce"); n < 15 {
			t.Errorf("%d of 19 segments coalesced", n)
		}
		if len(c.out) != 1 || c.rcv != mISN+1+uint32(at) {
			t.Errorf("%d ACKs, up to %d of %d", len(c.out), c.rcv-mISN-1, at)
		}
		c.wantBytes(at)

		// What must not be part of another is none.
		before := h.counter("TCPBacklogCoalesce")
		c.s.SK.Lock()
		c.data(at, at+10, 0)
		c.data(at+20, at+30, 0)                   // a hole
		c.data(at+10, at+20, header.TCPEce)       // says more
		c.send(header.TCPAck, c.rcv+30, c.nxt, 0) // no data
		c.s.SK.Unlock()
		if n := h.counter("TCPBacklogCoalesce"); n != before {
			t.Errorf("%d segments coalesced that differ", n-before)
		}
	})
}

// TestTCP_backlog_bounded: who owns the sock for long loses what comes, and the
// bound is that of the buffers.
func TestTCP_backlog_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		c, end := rcvConn(t, h, func(l *sock.Socket) {
			check(t, l.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{0, 16, 0, 0}))
			check(t, l.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, []byte{0, 16, 0, 0}))
		})
		defer end()
		c.s.SK.Lock()
		for i := range 200 {
			c.data(2*i*1000, 2*i*1000+1000, 0) // every other: nothing to coalesce
		}
		c.s.SK.Unlock()
		if h.counter("TCPBacklogDrop") < 100 {
			t.Errorf("%d dropped", h.counter("TCPBacklogDrop"))
		}
	})
}

// TestTCP_fullBuffer_anyOrder sends pieces of a stream in any order, again and
// again, into a buffer that they fill with what they cost: what is read is the
// stream, whatever was packed or thrown away.
func TestTCP_fullBuffer_anyOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			h.know()
			c, end := rcvConn(t, h, func(l *sock.Socket) {
				check(t, l.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{0, 32, 0, 0}))
			})
			r := rand.New(rand.NewPCG(seed, 1))
			const total = 40000
			buf := make([]byte, 3000)
			read := 0
			for turn := 0; read < total; turn++ {
				if turn == 3000 {
					t.Fatalf("seed %d: stands still at %d, expects %d, window up to %d", seed, read, c.rcv-mISN-1, c.edge-mISN-1)
				}
				for range 40 {
					have := int(c.rcv - mISN - 1)
					from := max(0, have-300) + r.IntN(6000)
					if r.IntN(4) == 0 {
						from = have
					}
					to := min(from+1+r.IntN(500), int(c.edge-mISN-1), total)
					if from < to {
						c.data(from, to, 0)
					}
				}
				if have := int(c.rcv - mISN - 1); have < total && have < int(c.edge-mISN-1) {
					c.data(have, min(have+400, int(c.edge-mISN-1), total), header.TCPPsh)
				}
				n, err := c.s.RecvMsg(&sock.Msg{Iov: [][]byte{buf}}, syscall.MSG_DONTWAIT)
				if err != nil && err != syscall.EAGAIN {
					t.Fatal(err)
				}
				for i, v := range buf[:max(n, 0)] {
					if v != pattern(0, read+i) {
						t.Fatalf("seed %d: byte %d is wrong", seed, read+i)
					}
				}
				read += max(n, 0)
				time.Sleep(time.Millisecond)
				c.collect()
			}
			if h.counter("PruneCalled") == 0 || h.counter("TCPRcvCollapsed") == 0 {
				t.Errorf("seed %d: pruned %d times, %d segments packed", seed, h.counter("PruneCalled"), h.counter("TCPRcvCollapsed"))
			}
			end()
			if k := h.net.SKB().InUse(); k != 0 {
				t.Errorf("seed %d: %d packets left", seed, k)
			}
		})
	}
}

// TestTCP_earlyDemux_routesOnce: packets of a connection are routed once, until a
// route changes.
func TestTCP_earlyDemux_routesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		c, end := rcvConn(t, h, nil)
		defer end()
		c.data(0, 10, 0)
		slow := func() uint64 { return h.IP().RouteStats.InSlowTot.Load() }
		before := slow()
		for i := 1; i < 5; i++ {
			c.data(10*i, 10*i+10, 0)
		}
		if n := slow() - before; n != 0 {
			t.Errorf("%d packets routed", n)
		}
		h.IP().FIB.Bump()
		c.data(50, 60, 0)
		c.data(60, 70, 0)
		if n := slow() - before; n != 1 {
			t.Errorf("%d packets routed after a change", n)
		}
		for _, name := range []string{"net.ipv4.ip_early_demux", "net.ipv4.tcp_early_demux"} {
			check(t, h.net.Sysctl().Set(name, "0"))
			before = slow()
			c.data(70, 80, 0)
			if n := slow() - before; n != 1 {
				t.Errorf("%d packets routed without %s", n, name)
			}
			check(t, h.net.Sysctl().Set(name, "1"))
		}
		c.wantBytes(80)
	})
}
