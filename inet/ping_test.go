package inet_test

import (
	"bytes"
	"testing"

	"barewire/inet/neigh"
	"barewire/skb/header"
)

func TestARP_requestForUs_answered(t *testing.T) {
	h := newHost(t)
	h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP))
	f := h.port.take()
	if len(f) != 1 {
		t.Fatalf("%d frames sent, want 1", len(f))
	}
	e, _ := header.ParseEthernet(f[0])
	a, ok := header.ParseARP(e.Payload())
	if !ok || e.Type() != header.EthPARP || e.Dst() != peerMAC || a.Op() != header.ARPReply {
		t.Fatalf("not a reply to the peer: %x", f[0])
	}
	if a.SenderHW() != hostMAC || a.SenderIP() != hostIP || a.TargetHW() != peerMAC || a.TargetIP() != peerIP {
		t.Errorf("wrong addresses in reply: %x", f[0])
	}
	n := h.Neighbours()
	if len(n) != 1 || n[0].Addr != peerIP || n[0].HW != peerMAC || n[0].State != neigh.NUDStale {
		t.Errorf("asker not learnt as STALE: %+v", n)
	}
}

func TestPing_known_replied(t *testing.T) {
	h := newHost(t)
	h.know()
	data := bytes.Repeat([]byte("0123456789abcdef"), 4)
	h.inject(fromPeer(header.ProtoICMP, icmpEcho(0x1234, 5, data), func(ip header.IPv4) { ip[1] = 0x48 }))
	r := h.one()
	if r.eth.Dst() != peerMAC || r.eth.Src() != hostMAC || r.ip.Src() != hostIP || r.ip.Dst() != peerIP {
		t.Errorf("wrong addresses: %x", []byte(r.eth))
	}
	if r.ip.TTL() != 64 || r.ip.TOS() != 0x48 || r.ip.DF() {
		t.Errorf("ttl %d tos %#x df %v", r.ip.TTL(), r.ip.TOS(), r.ip.DF())
	}
	m := header.ICMP(r.data)
	if m.Type() != header.ICMPEchoReply || m.EchoID() != 0x1234 || m.EchoSeq() != 5 || !bytes.Equal(m.Payload(), data) {
		t.Errorf("wrong reply: %x", r.data)
	}
	if c := &h.MIB().ICMP; c.InType[8].Load() != 1 || c.OutType[0].Load() != 1 || c.InMsgs.Load() != 1 {
		t.Errorf("ICMP counters: in %d out %d", c.InType[8].Load(), c.OutType[0].Load())
	}
}

func TestPing_unknownSender_resolvedThenReplied(t *testing.T) {
	h := newHost(t)
	h.inject(fromPeer(header.ProtoICMP, icmpEcho(1, 1, []byte("x"))))
	f := h.port.take()
	if len(f) != 1 || header.Ethernet(f[0]).Type() != header.EthPARP {
		t.Fatalf("want one ARP request, got %x", f)
	}
	a, _ := header.ParseARP(header.Ethernet(f[0]).Payload())
	if a.Op() != header.ARPRequest || a.TargetIP() != peerIP || a.SenderIP() != hostIP || header.Ethernet(f[0]).Dst() != bcast {
		t.Fatalf("wrong request: %x", f[0])
	}
	h.inject(arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP))
	if r := h.one(); header.ICMP(r.data).Type() != header.ICMPEchoReply {
		t.Errorf("waiting reply not sent: %x", r.data)
	}
	if n := h.Neighbours(); len(n) != 1 || n[0].State != neigh.NUDReachable {
		t.Errorf("not REACHABLE after the answer: %+v", n)
	}
}
