package inet_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// sgHost is a quiet host whose device takes page fragments, as virtio-net
// does.
func sgHost(t testing.TB, mtu int) *host {
	h := quietHost(t)
	h.port.dev.SetFeatures(napi.FeatureSG)
	check(t, h.port.dev.SetMTU(mtu))
	return h
}

// bigSend returns a function that sends a datagram of size bytes.
func bigSend(h *host, size int) func() {
	s := h.udpSocket(0, 7)
	m := &sock.Msg{Iov: [][]byte{make([]byte, size)}}
	m.NameLen = copy(m.Name[:], sockaddr(peerIP, 9))
	return func() {
		if n, err := s.SendMsg(m, syscall.MSG_DONTWAIT); n != size || err != nil {
			h.Fatal(n, err)
		}
	}
}

// bigPing returns a function that has an echo request of size bytes arrive in
// pieces.
func bigPing(h *host, size int) func() {
	fs := fragments(1, 1, icmpEcho(1, 1, randomBytes(size)), 1480)
	return func() {
		h.port.mu.Lock()
		for _, f := range fs {
			h.port.rx.PushBack(h.buff(f))
		}
		h.port.mu.Unlock()
		h.port.napi.Schedule()
		h.net.SoftNet().DoSoftirq()
	}
}

func TestAllocs_fragments_none(t *testing.T) {
	for _, mtu := range []int{1500, 576} {
		for name, op := range map[string]func(h *host, size int) func(){"send": bigSend, "ping": bigPing} {
			h := sgHost(t, mtu)
			check(t, h.net.Sysctl().Set("net.ipv4.ipfrag_max_dist", "0"))
			noAllocs(t, fmt.Sprint(name, " by MTU ", mtu), op(h, 8000))
			if m := &h.MIB().IP; m.FragOKs.Load() < 500 || m.FragFails.Load() != 0 {
				t.Errorf("%s: %d datagrams cut, %d not", name, m.FragOKs.Load(), m.FragFails.Load())
			}
		}
	}
}

// TestFragment_everyWay_sameDatagram: pieces of the frag list, pieces that
// share pages, and copies are the same on the wire.
func TestFragment_everyWay_sameDatagram(t *testing.T) {
	for _, feat := range []napi.Features{0, napi.FeatureSG, napi.FeatureSG | napi.FeatureFragList} {
		for _, tapped := range []bool{false, true} {
			h := newHost(t)
			h.know()
			h.port.dev.SetFeatures(feat)
			h.port.holdTx = true // the pages of the pieces outlive the datagram
			if tapped {
				var seen skb.List
				h.Cleanup(func() { seen.Purge(skb.QueuePurge) })
				defer h.net.AddPack(napi.ETH_P_ALL, h.port.dev, func(b *skb.Buff, _ *napi.NetDevice) { seen.PushBack(b) })()
			}
			for _, mtu := range []int{1500, 1499, 576, 68} {
				check(t, h.port.dev.SetMTU(mtu))
				for _, size := range []int{mtu - 27, 1480, 5000, 9001} {
					msg := icmpEcho(7, uint16(size), randomBytes(size))
					h.inject(fragments(uint16(size), 1, msg, 1480)...)
					if got := join(t, h.port.take(), mtu); !bytes.Equal(got[8:], msg[8:]) {
						t.Fatalf("features %#x MTU %d: wrong reply to a ping of %d", feat, mtu, size)
					}
				}
				s := h.udpSocket(0, 7)
				for _, size := range []int{mtu - 27, 1480, 5000, 40001} {
					data := randomBytes(size)
					if _, err := sendTo(s, data, peerIP, 1); err != nil {
						t.Fatal(err)
					}
					p := join(t, h.port.take(), mtu)
					if !bytes.Equal(p[8:], data) || skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(hostIP, peerIP, 17, len(p)))) != 0 {
						t.Fatalf("features %#x MTU %d: wrong datagram of %d", feat, mtu, size)
					}
					h.port.hold.Purge(skb.QueuePurge)
				}
				s.Release()
			}
		}
	}
}

// TestFragment_tinyPieces_cutAnew: a datagram of more pieces than a packet has
// slots for is copied where it must be.
func TestFragment_tinyPieces_cutAnew(t *testing.T) {
	h := newHost(t)
	h.know()
	h.port.dev.SetFeatures(napi.FeatureSG)
	msg := icmpEcho(7, 7, randomBytes(3000))
	h.inject(fragments(9, 1, msg, 8)...)
	if got := join(t, h.port.take(), 1500); !bytes.Equal(got[8:], msg[8:]) {
		t.Fatal("wrong reply")
	}
}

// TestFragment_shared_noPagesBesideHeaders: pages hold the payload once, however it is
// cut.
func TestFragment_shared_noPagesBesideHeaders(t *testing.T) {
	for _, c := range []struct{ mtu, pages int }{{1500, 28}, {3600, 12}} {
		h := newHost(t)
		h.know()
		check(t, h.port.dev.SetMTU(c.mtu))
		h.port.dev.SetFeatures(napi.FeatureSG)
		h.port.holdTx = true
		s := h.udpSocket(0, 7)
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, []byte{0, 0, 8, 0}))
		before := h.net.SKB().Pool().InUse()
		if _, err := sendTo(s, make([]byte, 40000), peerIP, 1); err != nil {
			t.Fatal(err)
		}
		h.run()
		if n := h.net.SKB().Pool().InUse() - before; n > c.pages {
			t.Errorf("MTU %d: %d pages, want %d at most", c.mtu, n, c.pages)
		}
	}
}

func TestFragment_options_copiedByTheCopiedBit(t *testing.T) {
	for _, size := range []int{3000, 5} {
		h := newHost(t)
		h.know()
		h.port.dev.SetFeatures(napi.FeatureSG)
		s := h.udpSocket(0, 7)
		// Router alert has the copied bit, record route has not.
		opts := []byte{148, 4, 0, 0, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_OPTIONS, opts))
		if _, err := sendTo(s, make([]byte, size), peerIP, 1); err != nil {
			t.Fatal(err)
		}
		for i, f := range h.port.take() {
			p := parseIP(t, f)
			o := p.ip.Options()
			if len(o) != 16 || !bytes.Equal(o[:4], opts[:4]) {
				t.Fatalf("piece %d: options %x", i, o)
			}
			if rr := o[4] == 7; rr != (i == 0) {
				t.Errorf("piece %d: options %x", i, o)
			}
		}
	}
}

func TestFragment_poolEmpty_failsAndNothingLeaks(t *testing.T) {
	h := newSmallHost(t, 40)
	h.know()
	h.port.dev.SetFeatures(napi.FeatureSG)
	check(t, h.port.dev.SetMTU(576))
	check(t, h.net.Sysctl().Set("net.ipv4.ipfrag_high_thresh", "1000000"))
	h.port.holdTx = true // with the request 7 pages, each reply 17 more
	for range 2 {
		h.inject(fragments(9, 1, icmpEcho(7, 7, randomBytes(9000)), 1480)...)
	}
	m := &h.MIB().IP
	if m.FragFails.Load() == 0 || m.FragOKs.Load() == 0 {
		t.Errorf("FragOKs %d FragFails %d", m.FragOKs.Load(), m.FragFails.Load())
	}
}

func BenchmarkFragment(b *testing.B) {
	for _, c := range []struct {
		name string
		mtu  int
		op   func(h *host, size int) func()
		size int
	}{
		{"UDPSend", 1500, bigSend, 8192}, {"UDPSend", 1500, bigSend, 65507}, {"UDPSend", 576, bigSend, 65507},
		{"PingReply", 1500, bigPing, 8192}, {"PingReply", 1500, bigPing, 65507}, {"PingReply", 576, bigPing, 65507},
	} {
		b.Run(fmt.Sprintf("%s/%d/mtu%d", c.name, c.size, c.mtu), func(b *testing.B) {
			h := sgHost(b, c.mtu)
			check(b, h.net.Sysctl().Set("net.ipv4.ipfrag_max_dist", "0"))
			f := c.op(h, c.size)
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				f()
			}
			if m := &h.MIB().IP; m.FragOKs.Load() < uint64(b.N) || m.FragFails.Load() != 0 {
				b.Fatalf("%d datagrams cut, %d not", m.FragOKs.Load(), m.FragFails.Load())
			}
		})
	}
}
