package nat_test

import (
	"encoding/binary"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// FuzzNAT sends packets through a router whose rules translate both ends: each
// input is a list of packets of eight bytes, and what is behind a zero byte is one
// packet as it stands. Whatever comes, checksums that were right stay right, and
// nothing is left when all connections end.
func FuzzNAT(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{0x11, 0, 0, 0, 0, 2, 0, 0, 0x21, 0, 0, 0, 0, 0x12, 0, 0, 0x31, 1, 1, 1, 1, 1, 1, 1})
	f.Add(append([]byte{0}, []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 5, 6, 7, 8, 1, 2, 3, 4, 0, 8, 0, 0}...))
	f.Add(append([]byte{0}, []byte{0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 9, 0, 0, 1, 203, 0, 113, 1, 3, 1, 0, 0, 0, 0, 0, 0,
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 1, 5, 6, 7, 8, 1, 2, 3, 4, 0, 8, 0, 0}...))
	x := newBox(f)
	ranges := []nat.Range{
		{Flags: nat.MapIPs, MinAddr: gw, MaxAddr: gw},
		{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: gw, MaxAddr: gw + 3, MinPort: 5, MaxPort: 9},
		{Flags: nat.MapIPs | nat.ProtoSpecified | nat.ProtoOffset, MinAddr: src, MaxAddr: src + 1, MinPort: 9, MaxPort: 5, BasePort: 3},
		{Flags: nat.ProtoSpecified | nat.ProtoRandom, MinPort: 65535, MaxPort: 0},
		{Flags: nat.MapIPs | nat.Persistent, MinAddr: 0, MaxAddr: 0xffffffff},
	}
	choice := byte(0)
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		switch choice % 4 {
		case 0:
			return x.nat.DNAT(b, &ranges[choice/4%5])
		case 1:
			return x.nat.Redirect(b, s, &ranges[choice/4%5])
		case 2:
			return x.nat.Netmap(b, s, &ranges[choice/4%5])
		}
		return netfilter.Accept
	}
	x.rules[netfilter.PostRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		switch choice / 4 % 4 {
		case 0:
			return x.nat.SNAT(b, &ranges[choice/16%5])
		case 1:
			return x.nat.Masquerade(b, s, &ranges[choice/16%5])
		case 2:
			return x.nat.Netmap(b, s, &ranges[choice/16%5])
		}
		return netfilter.Accept
	}
	x.masq = gw
	send := func(t *testing.T, b *skb.Buff, d device) []byte {
		before := bytesOf(b)
		right := wellFormed(before) && sumsRight(b)
		for _, p := range []netfilter.Point{netfilter.PreRouting, netfilter.Forward, netfilter.PostRouting} {
			if !x.hooks.Run(p, b, d, 3-d, nil) {
				return nil
			}
		}
		after := bytesOf(b)
		if right && !sumsRight(b) {
			t.Fatalf("%x\nbecame\n%x", before, after)
		}
		b.Consume()
		return after
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var last []byte
		for n := 0; len(in) >= 8 && n < 60; n++ {
			choice = in[1]
			d := lan + device(in[0]>>3&1)
			if in[0] == 0 {
				if p := in[1:]; len(p) >= 20 && len(p) < 2000 && p[0]>>4 == 4 && p[0]&15 >= 5 && int(p[0]&15)*4 <= len(p) {
					b := x.cache.Alloc(100 + len(p))
					b.Reserve(64)
					b.PutData(p)
					b.ResetNetworkHeader()
					send(t, b, d)
				}
				break
			}
			fl := flow{proto: protocols[in[0]&7%4], src: src + header.Addr(in[2]&3), dst: gw + header.Addr(in[3]&3),
				sport: uint16(in[4] & 7), dport: uint16(in[5] & 7), flags: in[6], seq: uint32(in[7]), data: "data"}
			switch {
			case fl.proto == header.ProtoUDPLite:
				fl.proto = header.ProtoUDP
			case fl.proto == header.ProtoICMP && last != nil && in[6]&1 != 0:
				fl.icmpType, fl.errorOf = header.ICMPDestUnreach, last[:min(len(last), int(in[7]))]
			case fl.proto == header.ProtoICMP:
				fl.icmpType = in[6] & 0x1f
			}
			if in[0]&16 != 0 && last != nil && len(last) >= 28 { // an answer
				h := header.IPv4(last)
				fl.proto, fl.src, fl.dst = h.Protocol(), h.Dst(), h.Src()
				fl.sport, fl.dport = binary.BigEndian.Uint16(last[22:]), binary.BigEndian.Uint16(last[20:])
				if fl.proto != header.ProtoTCP && fl.proto != header.ProtoUDP {
					fl.proto, fl.icmpType, fl.sport = header.ProtoICMP, 0, binary.BigEndian.Uint16(last[24:])
				}
			}
			if p := send(t, x.packet(fl), d); p != nil {
				last = p
			}
			x.now += int64(in[7]) << 26
			in = in[8:]
		}
		x.now += 1e18 // everything expires
		for range 2000 {
			x.ct.GC()
		}
		x.now = 1
		if n := x.ct.Count(); n != 0 {
			t.Fatalf("%d connections left", n)
		}
	})
}

// wellFormed reports whether sumsRight can tell.
func wellFormed(p []byte) bool {
	h := header.IPv4(p)
	if h.IsFragment() || h.HeaderLen() > len(p) {
		return false
	}
	q := p[h.HeaderLen():]
	switch h.Protocol() {
	case header.ProtoTCP:
		return len(q) >= 20
	case header.ProtoUDP, header.ProtoUDPLite:
		return len(q) >= 8 && binary.BigEndian.Uint16(q[6:]) != 0
	case 132:
		return len(q) >= 12
	}
	return true
}
