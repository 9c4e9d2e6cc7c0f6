package inet_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"barewire/skb"
	"barewire/skb/header"
)

// both feeds connections from inside whose source becomes gw, and what answers
// them: everything keeps its port, so that every byte can be compared.
func (d *natDuel) both(what string, gw header.Addr) {
	d.Helper()
	feed := func(name string, frames ...[]byte) { d.Helper(); d.feed(what+": "+name, frames...) }
	c, s := inside+0x203, ip4(8, 8, 4, 4)
	q := udpOf(c, s, 5353, 53, 33)
	feed("UDP", d.ip(17, c, s, q))
	feed("UDP answer", d.ip(17, s, gw, udpOf(s, gw, 53, 5353, 70)))
	feed("UDP again", d.ip(17, c, s, udpOf(c, s, 5353, 53, 1)))
	feed("UDP without checksum", d.ip(17, c, s, func() []byte { p := udpOf(c, s, 5353, 53, 9); p[6], p[7] = 0, 0; return p }()))
	feed("UDP from another server", d.ip(17, s+1, gw, udpOf(s+1, gw, 53, 5353, 70)))
	sent := func(p []byte) []byte { return p[14:] }
	out := d.ip(17, gw, s, udpOf(gw, s, 5353, 53, 1200), func(h header.IPv4) { h.SetTTL(40) })
	for _, e := range []struct{ typ, code uint8 }{{3, 1}, {3, 3}, {3, 4}, {11, 0}, {12, 0}, {5, 1}, {4, 0}} {
		for _, n := range []int{28, 60, 548} {
			feed(fmt.Sprintf("error %d/%d, quote %d", e.typ, e.code, n), d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(e.typ, e.code, 1400, sent(out)[:n])))
		}
	}
	feed("error, quote of 20", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(out)[:20])))
	feed("error, quote cut", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(out)[:25])))
	feed("error, bad checksum", d.ip(1, ip4(9, 9, 9, 9), gw, func() []byte { m := icmpError(3, 1, 0, sent(out)[:60]); m[3] ^= 1; return m }()))
	feed("error about another", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(d.ip(17, gw, s, udpOf(gw, s, 5354, 53, 30)))[:40])))
	feed("ping", d.ip(1, c, s, icmpEcho(77, 1, []byte("hello"))))
	reply := icmpEcho(77, 1, []byte("hello"))
	reply[0] = 0
	reply[2], reply[3] = 0, 0
	header.ICMP(reply).SetChecksum(skb.CsumFold(skb.CsumPartial(reply, 0)))
	feed("ping, answer", d.ip(1, s, gw, reply))
	feed("ping, error", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(11, 0, 0, sent(d.ip(1, gw, s, icmpEcho(77, 1, []byte("hello")))))))
	syn := header.TCPFields{SrcPort: 6000, DstPort: 80, Seq: 1000, Flags: header.TCPSyn}
	feed("SYN", d.ip(6, c, s, tcpSegmentOf(c, s, syn, "")))
	feed("SYN-ACK", d.ip(6, s, gw, tcpSegmentOf(s, gw, header.TCPFields{SrcPort: 80, DstPort: 6000, Seq: 7000, Ack: 1001, Flags: header.TCPSyn | header.TCPAck}, "")))
	ack := header.TCPFields{SrcPort: 6000, DstPort: 80, Seq: 1001, Ack: 7001, Flags: header.TCPAck}
	feed("ACK with data", d.ip(6, c, s, tcpSegmentOf(c, s, ack, "GET /")))
	back := header.TCPFields{SrcPort: 80, DstPort: 6000, Seq: 7001, Ack: 1006, Flags: header.TCPAck}
	feed("data back", d.ip(6, s, gw, tcpSegmentOf(s, gw, back, "HTTP")))
	feed("TCP error, quote of 8", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(d.ip(6, gw, s, tcpSegmentOf(gw, s, ack, "GET /")))[:28])))
	feed("TCP error, whole quote", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 4, 1400, sent(d.ip(6, gw, s, tcpSegmentOf(gw, s, ack, "GET /"))))))
	back.Flags |= header.TCPRst
	feed("RST", d.ip(6, s, gw, tcpSegmentOf(s, gw, back, "")))
	feed("stray ACK", d.ip(6, s, gw, tcpSegmentOf(s, gw, header.TCPFields{SrcPort: 81, DstPort: 6000, Seq: 7001, Ack: 1006, Flags: header.TCPAck}, "")))
	// No UDP-Lite: Linux verifies its checksum with the protocol number of UDP, so
	// that no true packet is ever tracked.
	feed("protocol 47", d.ip(47, c, s, []byte{0, 0, 8, 0, 1, 2, 3, 4}))
	feed("protocol 99", d.ip(99, c, s, []byte("something else")))
	feed("protocol 99 back", d.ip(99, s, gw, []byte("something else")))
	feed("SCTP INIT", d.ip(132, c, s, sctpInit()))
	feed("fragments", fragmentsOf(c, s, 321, udpOf(c, s, 5355, 53, 3000))...)
	feed("fragments back", fragmentsOf(s, gw, 322, udpOf(s, gw, 53, 5355, 4000))...)
	feed("one fragment", fragmentsOf(c, s, 323, udpOf(c, s, 5356, 53, 3000))[1])
	feed("TTL 1", d.ip(17, c, s, q, func(h header.IPv4) { h.SetTTL(1) }))
	feed("UDP, bad checksum", d.ip(17, c, s, func() []byte { p := udpOf(c, s, 5353, 53, 9); p[7] ^= 1; return p }()))
	feed("UDP of 7 bytes", d.ip(17, c, s, make([]byte, 7)))
	feed("too large, DF", d.ip(17, c, s, udpOf(c, s, 5353, 53, 1400), func(h header.IPv4) { h.SetFragField(header.IPDF) }))
	rnd := rand.New(rand.NewPCG(7, uint64(gw)))
	for i := range uint16(*natConns) {
		c, s, sp, dp := inside+header.Addr(rnd.IntN(60000)), ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(60000)), 10000+i, uint16(rnd.IntN(65535)+1)
		p := udpOf(c, s, sp, dp, rnd.IntN(900))
		feed(fmt.Sprint("random UDP ", i), d.ip(17, c, s, p))
		feed(fmt.Sprint("random UDP back ", i), d.ip(17, s, gw, udpOf(s, gw, dp, sp, rnd.IntN(900))))
	}
}

func sctpInit() []byte {
	p := append(make([]byte, 12), 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 5)
	binary.BigEndian.PutUint16(p, 5000)
	binary.BigEndian.PutUint16(p[2:], 5001)
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}

// fragmentsOf cuts an IP payload of protocol UDP.
func fragmentsOf(src, dst header.Addr, id uint16, data []byte) [][]byte {
	return fragmentsOfProto(17, src, dst, id, data)
}

func fragmentsOfProto(proto uint8, src, dst header.Addr, id uint16, data []byte) [][]byte {
	l := fragments(id, proto, data, 1480)
	for _, f := range l {
		h := header.IPv4(f[14:])
		binary.BigEndian.PutUint32(h[12:], uint32(src))
		h.SetDst(dst)
		h.UpdateChecksum()
	}
	return l
}

// spread feeds many connections, whose addresses the rule chooses: the choice is
// Linux's. With in they come from outside.
func (d *natDuel) spread(what string, in bool) {
	d.Helper()
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range uint16(*natConns) {
		src, dst := inside+0x300+header.Addr(rnd.IntN(300)), ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(3))
		if in {
			src, dst = ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(60000)), outside+header.Addr(rnd.IntN(200)+1)
		}
		d.feed(fmt.Sprintf("%s: UDP %d", what, i), d.ip(17, src, dst, udpOf(src, dst, 2000+i, 53, 20)))
		d.feed(fmt.Sprintf("%s: UDP %d again", what, i), d.ip(17, src, dst, udpOf(src, dst, 2000+i, 53, 2)))
		d.feed(fmt.Sprintf("%s: SYN %d", what, i), d.ip(6, src, dst, tcpSegmentOf(src, dst, header.TCPFields{SrcPort: 3000 + i, DstPort: 80, Flags: header.TCPSyn}, "")))
		d.feed(fmt.Sprintf("%s: ping %d", what, i), d.ip(1, src, dst, icmpEcho(i, 1, nil)))
	}
}

// natTraffic makes packets, some of them of those that came out before.
type natTraffic struct {
	d    *natDuel
	rnd  *rand.Rand
	seen [][]byte // that came out, as IP packets
	sent [][]byte // that went in
}

func (g *natTraffic) note(frames [][]byte) {
	for _, f := range frames {
		if header.Ethernet(f).Type() == header.EthPIP && len(f) > 14+28 {
			g.seen = append(g.seen, f[14:])
		}
	}
}

func (g *natTraffic) next() (string, [][]byte) {
	r := g.rnd
	switch k := r.IntN(10); {
	case k < 3 && len(g.seen) > 0: // an answer
		p := g.seen[r.IntN(len(g.seen))]
		h := header.IPv4(p)
		q := append([]byte(nil), p[h.HeaderLen():]...)
		if h.IsFragment() || len(q) < 8 {
			break
		}
		switch h.Protocol() {
		case header.ProtoTCP, header.ProtoUDP:
			if len(q) < 20 && h.Protocol() == header.ProtoTCP {
				break
			}
			q[0], q[1], q[2], q[3] = q[2], q[3], q[0], q[1]
			if h.Protocol() == header.ProtoTCP && len(q) >= 20 {
				seq, ack := binary.BigEndian.Uint32(q[8:]), binary.BigEndian.Uint32(q[4:])+1
				binary.BigEndian.PutUint32(q[4:], seq)
				binary.BigEndian.PutUint32(q[8:], ack)
				q[13] = []byte{0x12, 0x10, 0x18, 0x11, 0x14, 0x04}[r.IntN(6)]
			}
		case header.ProtoICMP:
			if q[0] == header.ICMPEcho {
				q[0] = 0
			}
		}
		return "answer", g.wrap(h.Protocol(), h.Dst(), h.Src(), q)
	case k < 5 && len(g.seen) > 0: // an error
		p := g.seen[r.IntN(len(g.seen))]
		h := header.IPv4(p)
		t := []byte{3, 3, 3, 11, 12, 4, 5}[r.IntN(7)]
		quote := append([]byte(nil), p[:min(len(p), 20+r.IntN(600))]...)
		if len(quote) < 20 {
			break
		}
		return fmt.Sprintf("error %d", t), g.wrap(1, []header.Addr{ip4(9, 9, 9, 9), h.Dst()}[r.IntN(2)], h.Src(), icmpError(t, byte(r.IntN(5)), 1400, quote))
	case k < 6 && len(g.sent) > 0:
		return "again", [][]byte{g.sent[r.IntN(len(g.sent))]}
	}
	from, to := r.IntN(36), r.IntN(100)
	src := ip4(10, 1, byte(from/12), byte(from%12))
	if from >= 24 {
		src = ip4(8, 8, 1, byte(from))
	}
	var dst header.Addr
	switch {
	case to < 30:
		dst = ip4(8, 8, 8, byte(to%3))
		to %= 3
	case to < 40:
		dst, to = hostIP, 30
	case to < 50:
		dst, to = ip4(198, 51, 100, 1), 31
	default:
		dst = ip4(203, 0, 113, byte(to))
	}
	sport := uint16(2048 + (from*100+to)*4 + r.IntN(4))
	dport := []uint16{53, 80, 7, 4000}[r.IntN(4)]
	var l4 []byte
	proto := []uint8{17, 17, 6, 6, 1, 99}[r.IntN(6)]
	n := []int{0, 1, 40, 700, 2000}[r.IntN(5)]
	switch proto {
	case 17:
		l4 = udpOf(src, dst, sport, dport, n)
		if r.IntN(6) == 0 {
			l4[6], l4[7] = 0, 0
		}
	case 6:
		flags := []uint8{header.TCPSyn, header.TCPSyn, header.TCPAck, header.TCPAck | header.TCPFin, header.TCPRst, 0, 0x3f}[r.IntN(7)]
		l4 = tcpSegmentOf(src, dst, header.TCPFields{SrcPort: sport, DstPort: dport, Seq: uint32(r.IntN(3)), Ack: uint32(r.IntN(3)), Flags: flags}, string(randomBytes(min(n, 1000))))
	case 1:
		l4 = icmpEcho(sport, 1, randomBytes(min(n, 1000)))
	case 99:
		l4 = randomBytes(n/2 + 1)
	}
	if r.IntN(12) == 0 {
		l4[len(l4)-1] ^= 1 // whose checksum is wrong
	}
	if r.IntN(30) == 0 {
		l4 = l4[:r.IntN(min(len(l4), 24))]
	}
	return fmt.Sprintf("protocol %d, %d bytes", proto, len(l4)), g.wrap(proto, src, dst, l4)
}

// wrap puts the IP header in front, with the checksum of the transport header
// made right where that is no business of what is tested, and cuts what is long.
func (g *natTraffic) wrap(proto uint8, src, dst header.Addr, l4 []byte) [][]byte {
	r := g.rnd
	if len(l4) > 1400 {
		return fragmentsOfProto(proto, src, dst, uint16(r.Uint32()), l4)
	}
	f := g.d.ip(proto, src, dst, l4, func(h header.IPv4) {
		switch r.IntN(20) {
		case 0:
			h.SetTTL(byte(r.IntN(3)))
		case 1:
			h.SetFragField(header.IPDF)
		case 2:
			h[1] = byte(r.Uint32())
		}
	})
	g.sent = append(g.sent, f)
	return [][]byte{f}
}
