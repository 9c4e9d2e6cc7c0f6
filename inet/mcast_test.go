package inet_test

import (
	"syscall"
	"testing"

	"barewire/skb/header"
)

func TestMulticast_sockets_receiveWhatTheyJoined(t *testing.T) {
	h := newHost(t)
	a, b := h.udpSocket(grp, 7), h.udpSocket(0, 8)
	frame := func(src header.Addr, port uint16) []byte {
		f := groupFrame(grp, header.ProtoUDP, udpPacket(src, grp, 5, port, []byte("x")))
		p := header.IPv4(f[14:34])
		copy(p[12:], be(src))
		p.UpdateChecksum()
		return f
	}
	got := func() bool { _, _, _, err := recvFrom(a, 9); return err == nil }
	h.inject(frame(peerIP, 7))
	if got() {
		t.Error("received without a membership")
	}
	check(t, a.SetSockOpt(syscall.SOL_IP, 35, concat(be(grp), be(hostIP))))
	h.inject(frame(peerIP, 7))
	if !got() {
		t.Error("not received after joining")
	}
	check(t, a.SetSockOpt(syscall.SOL_IP, 38, concat(be(grp), be(hostIP), be(peerIP))))
	h.inject(frame(peerIP, 7))
	if got() {
		t.Error("received from a blocked source")
	}
	h.inject(frame(peerIP+1, 7))
	if !got() {
		t.Error("not received from another source")
	}
	// What we send to the group comes back to members, unless told not to.
	h.port.take()
	if _, err := sendTo(b, []byte("y"), grp, 7); err != nil {
		t.Fatal(err)
	}
	h.run()
	if !got() {
		t.Error("no copy for the member on this host")
	}
	sent := 0
	for _, f := range h.port.take() {
		if p := header.IPv4(f[14:]); header.Ethernet(f).Type() == header.EthPIP && p.Protocol() == header.ProtoUDP {
			sent++
			if header.Ethernet(f).Dst() != [6]byte{1, 0, 0x5e, 1, 2, 3} || p.TTL() != 1 {
				t.Errorf("sent %x", f)
			}
		}
	}
	if sent != 1 {
		t.Errorf("%d packets on the link, want 1", sent)
	}
	check(t, b.SetSockOpt(syscall.SOL_IP, syscall.IP_MULTICAST_LOOP, []byte{0, 0, 0, 0}))
	sendTo(b, []byte("y"), grp, 7)
	h.run()
	if got() {
		t.Error("a copy came back with IP_MULTICAST_LOOP off")
	}
	a.Release()
	h.run()
	if h.IP().MC.Check(h.IP().InDev(h.port.dev.Ifindex()), grp, 0, header.ProtoUDP) {
		t.Error("the closed socket is still a member")
	}
}
