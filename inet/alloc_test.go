package inet_test

import (
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb/header"
)

// quietHost is a host whose device throws away what is sent, for counting
// allocations and time.
func quietHost(t testing.TB) *host {
	h := newHost(t)
	h.know()
	h.port.discard = true
	return h
}

// arrive has one frame arrive, without test overhead that allocates.
func (h *host) arrive(frame []byte) {
	h.port.mu.Lock()
	h.port.rx.PushBack(h.buff(frame))
	h.port.mu.Unlock()
	h.port.napi.Schedule()
	h.net.SoftNet().DoSoftirq()
}

func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	for range 200 {
		f() // pools fill
	}
	if n := testing.AllocsPerRun(500, f); n != 0 {
		t.Errorf("%s: %v allocations per packet, want 0", what, n)
	}
}

func TestAllocs_pingReply_none(t *testing.T) {
	h := quietHost(t)
	f := fromPeer(header.ProtoICMP, icmpEcho(1, 1, make([]byte, 56)))
	noAllocs(t, "ping", func() { h.arrive(f) })
	if h.MIB().ICMP.OutType[0].Load() < 500 {
		t.Error("no replies were sent")
	}
}

func TestAllocs_udpReceive_none(t *testing.T) {
	h := quietHost(t)
	s := h.udpSocket(0, 7)
	f := fromPeerUDP(1, 7, make([]byte, 64))
	m := &sock.Msg{Iov: [][]byte{make([]byte, 2048)}}
	noAllocs(t, "UDP receive", func() {
		h.arrive(f)
		if n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); n != 64 || err != nil {
			t.Fatal(n, err)
		}
	})
}

func TestAllocs_udpSend_none(t *testing.T) {
	for _, hw := range []bool{false, true} {
		h := quietHost(t)
		if hw {
			h.port.dev.SetFeatures(napi.FeatureHWCsum)
		}
		s := h.udpSocket(0, 7)
		m := &sock.Msg{Iov: [][]byte{make([]byte, 64)}}
		m.NameLen = copy(m.Name[:], sockaddr(peerIP, 9))
		send := func() {
			if n, err := s.SendMsg(m, syscall.MSG_DONTWAIT); n != 64 || err != nil {
				t.Fatal(n, err)
			}
		}
		noAllocs(t, "UDP sendto", send)
		check(t, s.Connect(sockaddr(peerIP, 9), 0))
		m.NameLen = 0
		noAllocs(t, "UDP send, connected", send)
	}
}

func TestAllocs_udpLoopback_none(t *testing.T) {
	h := quietHost(t)
	s := h.udpSocket(0, 7)
	m := &sock.Msg{Iov: [][]byte{make([]byte, 64)}}
	r := &sock.Msg{Iov: [][]byte{make([]byte, 64)}}
	noAllocs(t, "UDP over loopback", func() {
		m.NameLen = copy(m.Name[:], loSockaddr)
		if _, err := s.SendMsg(m, syscall.MSG_DONTWAIT); err != nil {
			t.Fatal(err)
		}
		h.net.SoftNet().DoSoftirq()
		if n, err := s.RecvMsg(r, syscall.MSG_DONTWAIT); n != 64 || err != nil {
			t.Fatal(n, err)
		}
	})
}

var loSockaddr = sockaddr(header.AddrLoopback, 7) // read-only

func TestAllocs_dropsOfAllKinds_none(t *testing.T) {
	h := quietHost(t)
	for name, f := range map[string][]byte{
		"bad checksum": func() []byte { f := fromPeerUDP(1, 7, nil); f[14+10] ^= 1; return f }(),
		"not ours":     ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: peerIP + 9}, nil)),
		"no port":      fromPeerUDP(1, 7777, make([]byte, 100)),
	} {
		noAllocs(t, name, func() { h.arrive(f) })
	}
}

func BenchmarkPing(b *testing.B) {
	h := quietHost(b)
	f := fromPeer(header.ProtoICMP, icmpEcho(1, 1, make([]byte, 56)))
	b.ReportAllocs()
	for b.Loop() {
		h.arrive(f)
	}
}

func benchSend(b *testing.B, size int, connected bool) {
	h := quietHost(b)
	s := h.udpSocket(0, 7)
	m := &sock.Msg{Iov: [][]byte{make([]byte, size)}}
	m.NameLen = copy(m.Name[:], sockaddr(peerIP, 9))
	if connected {
		check(b, s.Connect(sockaddr(peerIP, 9), 0))
		m.NameLen = 0
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		s.SendMsg(m, syscall.MSG_DONTWAIT)
	}
}

func BenchmarkUDPSend64(b *testing.B)          { benchSend(b, 64, false) }
func BenchmarkUDPSendConnected64(b *testing.B) { benchSend(b, 64, true) }
func BenchmarkUDPSend1472(b *testing.B)        { benchSend(b, 1472, false) }

func BenchmarkUDPEcho64(b *testing.B) {
	h := quietHost(b)
	s := h.udpSocket(0, 7)
	f := fromPeerUDP(1, 7, make([]byte, 64))
	m := &sock.Msg{Iov: [][]byte{make([]byte, 64)}}
	b.ReportAllocs()
	for b.Loop() {
		h.arrive(f)
		s.RecvMsg(m, syscall.MSG_DONTWAIT)
		s.SendMsg(m, syscall.MSG_DONTWAIT)
	}
}
