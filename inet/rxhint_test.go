package inet_test

import (
	"net/netip"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// TestPoll_flowRoutedOnce_othersByThemselves: within a poll the decision over a
// packet serves those of its flow that follow, and none that differs; the next
// poll decides again.
func TestPoll_flowRoutedOnce_othersByThemselves(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	udp := func(src, dst header.Addr, tos uint8) []byte {
		return ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, TOS: tos, Src: src, Dst: dst}, udpPacket(src, dst, 1, 7, []byte("x"))))
	}
	poll := func(frames ...[]byte) (got int) {
		t.Helper()
		h.port.mu.Lock()
		for _, f := range frames {
			h.port.rx.PushBack(h.buff(f))
		}
		h.port.mu.Unlock()
		h.port.napi.Schedule()
		h.net.SoftNet().DoSoftirq()
		m := &sock.Msg{Iov: [][]byte{make([]byte, 16)}}
		for {
			if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil {
				return got
			}
			got++
		}
	}
	good := udp(peerIP, hostIP, 0)
	routed := h.IP().RouteStats.InSlowTot.Load
	was := routed()
	if got := poll(good, good, good, udp(peerIP, hostIP, 8)); got != 4 || routed()-was != 2 {
		t.Errorf("%d of 4 arrived, %d times routed, want 2", got, routed()-was)
	}
	// What comes right behind a good packet is looked at all the same.
	ours, foreign := udp(hostIP, hostIP, 0), udp(peerIP, hostIP+77, 0)
	if got := poll(good, ours, good, foreign, good); got != 3 {
		t.Errorf("%d arrived, want 3", got)
	}
	if n := h.IP().RouteStats.InMartianSrc.Load(); n != 1 {
		t.Errorf("%d martian sources", n)
	}
	check(t, h.DelAddr(h.port.dev, netip.MustParsePrefix("192.0.2.1/24")))
	if got := poll(good); got != 0 {
		t.Errorf("%d arrived for an address that is gone", got)
	}
}
