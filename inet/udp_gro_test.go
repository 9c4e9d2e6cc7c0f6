package inet_test

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// udpFrames are datagrams for the host of the given sizes, one after the other,
// each filled with its number.
func udpFrames(port uint16, sizes ...int) (l [][]byte) {
	for i, n := range sizes {
		l = append(l, ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(
			header.Fields{Protocol: 17, TTL: 64, ID: uint16(i), Src: peerIP, Dst: hostIP},
			udpPacket(peerIP, hostIP, 7, port, bytes.Repeat([]byte{byte(i)}, n)))))
	}
	return l
}

// udpGot reads all that waits: the length of each datagram and what UDP_GRO said.
func udpGot(t *testing.T, s *sock.Socket) (lens, sizes []int) {
	t.Helper()
	buf := make([]byte, 65536)
	for {
		m := &sock.Msg{Iov: [][]byte{buf}, Control: make([]byte, 64)}
		n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT)
		if err == syscall.EAGAIN {
			return lens, sizes
		}
		check(t, err)
		size := 0
		if c := m.Control[:m.ControlLen]; len(c) >= 20 {
			if l, typ := binary.NativeEndian.Uint32(c[8:]), binary.NativeEndian.Uint32(c[12:]); l != 17 || typ != 104 {
				t.Errorf("control message %d of level %d", typ, l)
			}
			size = int(binary.NativeEndian.Uint32(c[16:]))
		}
		lens, sizes = append(lens, n), append(sizes, size)
	}
}

func wantInts(t *testing.T, what string, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

func TestUDPGRO_datagramsOfOneSize_areOne(t *testing.T) {
	h, in, _ := groRouter(t)
	open := func(port uint16, gro byte) *sock.Socket {
		s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		check(t, err)
		check(t, s.Bind(sockaddr(0, port)))
		if gro != 0 {
			check(t, s.SetSockOpt(17, 104, []byte{gro, 0, 0, 0}))
		}
		t.Cleanup(func() { s.Release() })
		return s
	}
	s, plain := open(9, 1), open(10, 0)
	in.pass(udpFrames(9, 500, 500, 500, 500, 500)...)
	lens, sizes := udpGot(t, s)
	wantInts(t, "lengths", lens, 2500)
	wantInts(t, "sizes", sizes, 500)

	// A shorter one ends it, a longer one begins anew, one alone is one alone.
	in.pass(udpFrames(9, 500, 500, 100, 500, 501, 501, 7)...)
	lens, sizes = udpGot(t, s)
	wantInts(t, "lengths", lens, 1100, 500, 1009)
	wantInts(t, "sizes", sizes, 500, 0, 501)

	// Sixteen more than there are slots, and no checksum.
	in.pass(udpFrames(9, make([]int, 3)...)...) // empty
	lens, _ = udpGot(t, s)
	wantInts(t, "lengths", lens, 0, 0, 0)
	frames := udpFrames(9, 10, 10, 10)
	frames[1][14+20+6], frames[1][14+20+7] = 0, 0
	in.pass(frames...)
	lens, _ = udpGot(t, s)
	wantInts(t, "lengths", lens, 10, 10, 10)
	frames = udpFrames(9, 10, 10, 10)
	frames[1][14+28] ^= 1
	in.pass(frames...)
	lens, _ = udpGot(t, s)
	wantInts(t, "lengths with a bad checksum", lens, 10, 10)

	// Others are not asked.
	in.pass(udpFrames(10, 500, 500, 500)...)
	lens, sizes = udpGot(t, plain)
	wantInts(t, "lengths", lens, 500, 500, 500)
	wantInts(t, "sizes", sizes, 0, 0, 0)
	check(t, s.SetSockOpt(17, 104, []byte{0, 0, 0, 0}))
	in.pass(udpFrames(9, 500, 500, 500)...)
	lens, _ = udpGot(t, s)
	wantInts(t, "lengths when off", lens, 500, 500, 500)
}

// TestUDPGRO_sockDidNotAsk_getsThemApart: what was merged for one sock and
// reaches another, or a device, is what came.
func TestUDPGRO_sockDidNotAsk_getsThemApart(t *testing.T) {
	h, in, _ := groRouter(t)
	s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(t, err)
	defer s.Release()
	check(t, s.Bind(sockaddr(0, 9)))
	all := napi.UDPWantsGRO(func(*skb.Buff) bool { return true })
	h.net.SetUDPGRO(&all)
	in.pass(udpFrames(9, 500, 500, 500, 20)...)
	lens, sizes := udpGot(t, s)
	wantInts(t, "lengths", lens, 500, 500, 500, 20)
	wantInts(t, "sizes", sizes, 0, 0, 0, 0)
	if in.napi.GRO.Merged.Load() != 3 {
		t.Errorf("%d merged", in.napi.GRO.Merged.Load())
	}
	var frames [][]byte
	for i := range 30 {
		frames = append(frames, groSeg{udp: true, n: 700, id: uint16(i), seq: uint32(i)}.frame())
	}
	for _, f := range []napi.Features{0, napi.FeatureSG | napi.FeatureTSO | napi.FeatureHWCsum} {
		var got [2]map[string][]string
		for i := range got {
			h, in, out := groRouter(t)
			h.net.SetUDPGRO(&all)
			in.dev.SetGRO(i == 0)
			out.dev.SetFeatures(f &^ napi.FeatureHWCsum)
			in.pass(frames...)
			got[i] = byFlow(out.out)
			if m := in.napi.GRO.Merged.Load(); i == 0 && m < 25 {
				t.Errorf("%d merged", m)
			}
		}
		for k, want := range got[1] {
			for i := range want {
				if len(got[0][k]) != len(want) || got[0][k][i] != want[i] {
					t.Fatalf("flow %s, frame %d is another", k, i)
				}
			}
		}
	}
}
