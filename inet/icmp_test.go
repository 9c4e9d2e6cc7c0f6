package inet_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"barewire/skb"
	"barewire/skb/header"
)

func TestICMP_badMessages_countedAndSilent(t *testing.T) {
	for _, c := range []struct {
		name   string
		msg    []byte
		csum   uint64
		reason skb.Reason
	}{
		{"checksum", func() []byte { m := icmpEcho(1, 1, nil); m[2] ^= 1; return m }(), 1, skb.ICMPCsum},
		{"seven bytes", []byte{8, 0, 0xf7, 0xff, 0, 0, 0}, 0, skb.HdrTrunc},
		{"unknown type", func() []byte {
			m := make([]byte, 8)
			header.PutICMP(m, 200, 0, 0).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
			return m
		}(), 0, skb.UnhandledProto},
		{"error with half a quote", func() []byte {
			m := make([]byte, 20)
			header.PutICMP(m, 3, 3, 0).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
			return m
		}(), 0, skb.HdrTrunc},
	} {
		h := newHost(t)
		h.know()
		h.inject(fromPeer(1, c.msg))
		h.none()
		m := &h.MIB().ICMP
		if m.InErrors.Load() != 1 || m.InCsumErrors.Load() != c.csum || h.Drops(c.reason) != 1 {
			t.Errorf("%s: InErrors %d InCsumErrors %d, %v %d", c.name, m.InErrors.Load(), m.InCsumErrors.Load(), c.reason, h.Drops(c.reason))
		}
	}
}

func TestICMP_broadcastEcho_ignored(t *testing.T) {
	h := newHost(t)
	h.know()
	for _, dst := range []header.Addr{hostIP | 0xff, header.AddrBroadcast, header.AddrAllHosts} {
		h.inject(ethFrame(bcast, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: peerIP, Dst: dst}, icmpEcho(1, 1, nil))))
		h.none()
	}
}

func TestICMP_noErrorsAboutTheWrongThings(t *testing.T) {
	ipf := header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP}
	dgram := udpPacket(peerIP, hostIP, 1, 99, make([]byte, 16))
	about := func(typ uint8) []byte {
		m := make([]byte, 8+28)
		header.PutICMP(m, typ, 0, 0)
		copy(m[8:], ipPacket(header.Fields{Protocol: 253, Src: hostIP, Dst: peerIP}, make([]byte, 8)))
		header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
		return m
	}
	for name, f := range map[string][]byte{
		"link broadcast": ethFrame(bcast, peerMAC, header.EthPIP, ipPacket(ipf, dgram)),
		"IP broadcast":   ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP | 0xff}, dgram)),
		"ICMP error":     fromPeer(1, about(3)),
		"source 0.0.0.0": ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Dst: hostIP}, udpPacket(0, hostIP, 1, 99, nil))),
		"later fragment": fromPeer(253, make([]byte, 16), func(h header.IPv4) { h.SetFragField(1) }),
		"malformed IP":   func() []byte { f := fromPeer(17, dgram); f[14] = 0x46; return f }(),
		"bad UDP":        fromPeer(17, dgram[:8]),
		"echo reply":     fromPeer(1, func() []byte { m := icmpEcho(1, 1, nil); m[0] = 0; m[2] += 8; return m }()),
	} {
		h := newHost(t)
		h.know()
		h.inject(f)
		if sent := h.port.take(); len(sent) != 0 {
			t.Errorf("%s: answered with %x", name, sent)
		}
	}
}

func TestICMP_errorFlood_rateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		f := fromPeerUDP(1, 99, nil)
		for range 500 {
			h.inject(f)
		}
		// Six at once to one host, then one a second.
		if n := len(h.port.take()); n != 6 {
			t.Errorf("%d errors in a burst to one host, want 6", n)
		}
		if n := h.MIB().ICMP.OutRateLimitHost.Load(); n != 494 {
			t.Errorf("OutRateLimitHost %d, want 494", n)
		}
		time.Sleep(1100 * time.Millisecond)
		h.know() // its entry is stale by now and would be probed
		for range 500 {
			h.inject(f)
		}
		if n := len(h.port.take()); n != 1 {
			t.Errorf("%d errors after a second, want 1", n)
		}
		// Without the limit per host that of the stack holds: 50 on average,
		// each message costing 0, 1 or 2.
		check(t, h.net.Sysctl().Set("net.ipv4.icmp_ratelimit", "0"))
		time.Sleep(1100 * time.Millisecond)
		h.know()
		for range 500 {
			h.inject(f)
		}
		n := len(h.port.take())
		if n < 25 || n > 250 { // a timer that comes between lets time pass, and credit come
			t.Errorf("%d errors in a burst to all hosts, want about 50", n)
		}
		if l := h.MIB().ICMP.OutRateLimitGlobal.Load(); l != uint64(500-n) {
			t.Errorf("OutRateLimitGlobal %d, want %d", l, 500-n)
		}
		// Replies are no errors and have no limit.
		for range 200 {
			h.inject(fromPeer(1, icmpEcho(1, 1, nil)))
		}
		if n := len(h.port.take()); n != 200 {
			t.Errorf("%d echo replies, want 200", n)
		}
	})
}

func TestPing_everyChecksumState_replyIsRight(t *testing.T) {
	// The device may have verified the sum, given its own, or left it open.
	for _, state := range []skb.IPSummed{skb.ChecksumNone, skb.ChecksumUnnecessary, skb.ChecksumComplete, skb.ChecksumPartial} {
		h := newHost(t)
		h.know()
		for size := range 40 {
			msg := icmpEcho(0xffff, uint16(size), bytes.Repeat([]byte{0xff}, size))
			f := fromPeer(1, msg)
			b := h.buff(f)
			b.IPSummed = state
			switch state {
			case skb.ChecksumComplete:
				b.Csum = skb.CsumPartial(f[14:], 0)
			case skb.ChecksumPartial:
				f := b.Data()
				f[14+20+2], f[14+20+3] = 0, 0
				b.IPSummed = skb.ChecksumNone
				if !b.SetCsumPartial(34, 2) {
					t.Fatal("SetCsumPartial")
				}
			}
			h.port.rx.PushBack(b)
			h.port.napi.Schedule()
			h.run()
			r := h.one() // parse checks the sum
			if m := header.ICMP(r.data); m.Type() != 0 || !bytes.Equal(m.Payload(), msg[8:]) {
				t.Errorf("state %d size %d: wrong reply %x", state, size, r.data)
			}
		}
	}
}

func TestPing_tapHoldsAClone_tapSeesTheRequest(t *testing.T) {
	h := newHost(t)
	h.know()
	var held []*skb.Buff
	remove := h.net.AddPack(3, nil, func(b *skb.Buff, _ *devType) { held = append(held, b) })
	defer remove()
	f := fromPeer(1, icmpEcho(1, 1, []byte("payload")))
	h.inject(f)
	h.one()
	if len(held) != 2 {
		t.Fatalf("tap saw %d packets, want 2", len(held))
	}
	if !bytes.Equal(held[0].MacHeader(), f) {
		t.Errorf("the request changed under the tap:\n%x\n%x", held[0].MacHeader(), f)
	}
	for _, b := range held {
		b.Consume()
	}
}
