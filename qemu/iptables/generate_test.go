package main

import (
	"encoding/binary"
	"math/rand/v2"

	"barewire/skb"
	"barewire/skb/header"
)

// generator makes packets of a few hosts and ports, so that they meet the rules
// and each other.
type generator struct {
	r     *rand.Rand
	queue []queued
	rare  bool // SCTP and DCCP too
}

type queued struct {
	dev int
	p   []byte
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// next returns a packet and where it arrives.
func (g *generator) next() (dev int, p []byte) {
	if len(g.queue) == 0 {
		g.make()
	}
	q := g.queue[0]
	g.queue = g.queue[1:]
	if r := g.r; r.IntN(25) == 0 { // something is wrong with it
		switch h := header.IPv4(q.p); r.IntN(4) {
		case 0:
			q.p = q.p[:20+r.IntN(len(q.p)-19)]
			h = header.IPv4(q.p)
			h.SetTotalLen(len(q.p))
			h.UpdateChecksum()
		case 1:
			q.p[r.IntN(len(q.p))] ^= 1 << r.IntN(8)
		case 2:
			if len(q.p) > 20 {
				q.p[20+r.IntN(len(q.p)-20)] = byte(r.Uint32())
			}
		case 3:
			q.p = append(q.p, 0, 0, 0, 0) // what stands behind the packet
		}
	}
	return q.dev, q.p
}

func (g *generator) make() {
	r := g.r
	dev := r.IntN(2)
	host := header.Addr(1 + r.IntN(4))
	src := 0x0a000000 | header.Addr(dev)<<8 | host
	dst := 0x0a000000 | header.Addr(1-dev)<<8 | header.Addr(1+r.IntN(4))
	switch r.IntN(16) {
	case 0:
		dst = 0x0a000000 | header.Addr(dev)<<8 | 254 // the router
	case 1:
		dst = pick[header.Addr](r, 0x01020304, 0x01020305, 0xc0a80101)
		if dev == 1 {
			dst = 0x0a000001
		}
	case 2:
		src = pick[header.Addr](r, 0x05060708, 0x0a000100|host)
		if dev == 0 {
			src = 0x0a000000 | host
		}
	}
	f := header.Fields{Src: src, Dst: dst, ID: uint16(r.Uint32()), TTL: pick[uint8](r, 64, 64, 64, 63, 128, 255, 5, 2, 1),
		TOS: pick[uint8](r, 0, 0, 0, 0x10, 0x08, 0x2e<<2, 1, 2, 3)}
	if r.IntN(3) == 0 {
		f.Frag = header.IPDF
	}
	var data []byte
	switch r.IntN(8) {
	case 0, 1, 2:
		f.Protocol, data = 6, g.tcp(src, dst, int(host))
	case 3, 4, 5:
		f.Protocol, data = 17, g.udp(src, dst, int(host))
	case 6:
		f.Protocol, data = 1, g.icmp(src, dst, int(host))
	default:
		if f.Protocol = pick[uint8](r, 47, 50, 51, 99); g.rare {
			f.Protocol = pick[uint8](r, 50, 51, 132, 132, 33, 33)
		}
		data = g.payload(pick(r, 0, 4, 12, 16, 40))
		if len(data) >= 16 {
			binary.BigEndian.PutUint16(data, g.port(int(host)))
			binary.BigEndian.PutUint16(data[2:], g.service())
			copy(data[12:], []byte{uint8(r.IntN(4)), 0, 0, 4})
			binary.BigEndian.PutUint32(data[8:], uint32(r.IntN(20)))
			if f.Protocol == 51 || f.Protocol == 50 {
				binary.BigEndian.PutUint32(data, uint32(r.IntN(600)))
				binary.BigEndian.PutUint32(data[4:], uint32(r.IntN(600)))
			}
		}
	}
	g.add(dev, f, data)
}

// add queues a packet, in pieces now and then.
func (g *generator) add(dev int, f header.Fields, data []byte) {
	r := g.r
	if len(data) < 32 || r.IntN(10) != 0 {
		g.queue = append(g.queue, queued{dev, packet(f, data)})
		return
	}
	f.Frag &^= header.IPDF
	cut := 8 * (1 + r.IntN(len(data)/8-1))
	if r.IntN(4) == 0 {
		cut = 8
	}
	first, last := f, f
	first.Frag |= header.IPMF
	last.Frag |= uint16(cut / 8)
	a, b := queued{dev, packet(first, data[:cut])}, queued{dev, packet(last, data[cut:])}
	if r.IntN(3) == 0 {
		a, b = b, a
	}
	g.queue = append(g.queue, a)
	if r.IntN(8) != 0 {
		g.queue = append(g.queue, b)
	}
}

func packet(f header.Fields, data []byte) []byte {
	p := make([]byte, header.IPv4MinLen+len(data))
	f.TotalLen = len(p)
	header.PutIPv4(p, &f).UpdateChecksum()
	copy(p[header.IPv4MinLen:], data)
	return p
}

// port is a client's port, of which each host has its own: a translation never
// has to choose another.
func (g *generator) port(host int) uint16 {
	return uint16(1000*host + 1024 + g.r.IntN(6))
}

func (g *generator) service() uint16 {
	return pick[uint16](g.r, 22, 53, 80, 80, 443, 8080, 5000, 5001, 6000, uint16(1024+g.r.IntN(6)+1000*(1+g.r.IntN(4))))
}

func (g *generator) payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.r.IntN(256))
	}
	if text := pick(g.r, "", "GET /index.html", "needle", "NeEdLe", "\xde\xad\xbe\xef"); len(text) < n {
		copy(b[g.r.IntN(n-len(text)):], text)
	}
	return b
}

func (g *generator) tcp(src, dst header.Addr, host int) []byte {
	r := g.r
	opts := []byte(nil)
	flags := pick[uint8](r, 2, 2, 2, 0x12, 0x10, 0x10, 0x18, 0x11, 4, 0x14, 0, 0x29, 0xc2, 0x50)
	if flags&2 != 0 && r.IntN(2) == 0 {
		opts = []byte{2, 4, 5, 0xb4, 4, 2, 1, 1}
		if r.IntN(3) == 0 {
			opts = []byte{2, 4, 2, 0x18}
		}
	}
	data := g.payload(pick(r, 0, 0, 10, 100, 600, 1300))
	b := make([]byte, 20+len(opts)+len(data))
	binary.BigEndian.PutUint16(b, g.port(host))
	binary.BigEndian.PutUint16(b[2:], g.service())
	binary.BigEndian.PutUint32(b[4:], 1000)
	binary.BigEndian.PutUint32(b[8:], 2000)
	b[12], b[13] = byte(5+len(opts)/4)<<4, flags
	binary.BigEndian.PutUint16(b[14:], 60000)
	copy(b[20:], opts)
	copy(b[20+len(opts):], data)
	binary.BigEndian.PutUint16(b[16:], skb.CsumFold(skb.CsumPartial(b, header.PseudoSum(src, dst, 6, len(b)))))
	return b
}

func (g *generator) udp(src, dst header.Addr, host int) []byte {
	data := g.payload(pick(g.r, 0, 1, 20, 100, 600, 1400))
	b := make([]byte, 8+len(data))
	binary.BigEndian.PutUint16(b, g.port(host))
	binary.BigEndian.PutUint16(b[2:], g.service())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	copy(b[8:], data)
	c := skb.CsumFold(skb.CsumPartial(b, header.PseudoSum(src, dst, 17, len(b))))
	if c == 0 {
		c = 0xffff
	}
	if g.r.IntN(8) != 0 {
		binary.BigEndian.PutUint16(b[6:], c)
	}
	return b
}

func (g *generator) icmp(src, dst header.Addr, host int) []byte {
	r := g.r
	b := make([]byte, 8, 64)
	b[0] = pick[uint8](r, 8, 8, 8, 0, 3, 5, 11, 17, 42) // no timestamps: they differ
	b[1] = pick[uint8](r, 0, 0, 0, 1, 3)
	binary.BigEndian.PutUint16(b[4:], uint16(10*host+r.IntN(3)))
	binary.BigEndian.PutUint16(b[6:], uint16(r.IntN(3)))
	if b[0] == 3 || b[0] == 11 { // about a packet of the other side
		binary.BigEndian.PutUint32(b[4:], 0)
		inner := packet(header.Fields{Src: dst, Dst: src, Protocol: 17, TTL: 60}, make([]byte, 8))
		u := inner[20:]
		binary.BigEndian.PutUint16(u, g.port(int(dst&7)))
		binary.BigEndian.PutUint16(u[2:], g.service())
		u[5] = 8
		b = append(b, inner...)
	} else {
		b = append(b, g.payload(pick(r, 0, 8, 56))...)
	}
	binary.BigEndian.PutUint16(b[2:], skb.CsumFold(skb.CsumPartial(b, 0)))
	return b
}
