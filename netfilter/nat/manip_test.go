package nat_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand"
	"testing"

	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

const (
	src, dst = header.Addr(0x0a000001), header.Addr(0xc0000201)
	other    = header.Addr(0xcb007107)
)

func newCache(t testing.TB) *skb.Cache {
	if _, ok := t.(*testing.F); ok { // whose engine has goroutines of its own
		pool, _ := skb.NewPagePool(skb.PageConfig{})
		return skb.NewCache(pool)
	}
	return skbtest.New(t, skb.PageConfig{})
}

// build makes a packet of a protocol with right checksums; partial leaves the
// transport checksum to the device, frags puts what is behind the first 60
// bytes into a fragment.
func build(t testing.TB, c *skb.Cache, proto uint8, options int, payload []byte, partial, frags bool) *skb.Buff {
	p := make([]byte, header.IPv4MinLen+options*4+len(payload))
	h := header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 64, Protocol: proto, Src: src, Dst: dst})
	h[0] = 4<<4 | uint8(5+options)
	for i := range options * 4 {
		p[header.IPv4MinLen+i] = header.OptNop
	}
	h.UpdateChecksum()
	copy(p[h.HeaderLen():], payload)
	sumTransport(h, p[h.HeaderLen():], partial)
	lin := len(p)
	if frags {
		lin = min(lin, h.HeaderLen()+4)
	}
	b := c.Alloc(64 + len(p))
	b.Reserve(64)
	b.PutData(p[:lin])
	if lin < len(p) {
		f := c.Alloc(len(p))
		f.PutData(p[lin:])
		pg := f.HeadPage()
		pg.Get()
		if !b.AddFrag(pg, 0, len(p)-lin, len(p)-lin) {
			t.Fatal("AddFrag")
		}
		f.Consume()
	}
	b.ResetNetworkHeader()
	b.SetTransportHeader(h.HeaderLen())
	if partial {
		b.IPSummed = skb.ChecksumPartial
		b.CsumStart = uint16(b.Headroom() + h.HeaderLen())
		b.CsumOffset = uint16(sumAt(proto))
	}
	return b
}

func sumAt(proto uint8) int {
	if proto == header.ProtoTCP {
		return 16
	}
	return 6
}

// sumTransport fills in the checksum of a transport header, or with partial the
// sum of the pseudo header.
func sumTransport(h header.IPv4, p []byte, partial bool) {
	pseudo := header.PseudoSum(h.Src(), h.Dst(), h.Protocol(), len(p))
	put := func(at int, v uint16) { binary.BigEndian.PutUint16(p[at:], v) }
	switch h.Protocol() {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite:
		at := sumAt(h.Protocol())
		put(at, 0)
		if partial {
			put(at, ^skb.CsumFold(pseudo))
			return
		}
		s := skb.CsumFold(skb.CsumPartial(p, pseudo))
		if s == 0 && h.Protocol() == header.ProtoUDP {
			s = 0xffff
		}
		put(at, s)
	case header.ProtoICMP:
		put(2, 0)
		put(2, skb.CsumFold(skb.CsumPartial(p, 0)))
	case 132:
		clear(p[8:12])
		binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	}
}

func bytesOf(b *skb.Buff) []byte {
	p := make([]byte, b.Len())
	b.CopyBits(0, p)
	return p
}

// sumsRight reports whether the checksums of a packet are right.
func sumsRight(b *skb.Buff) bool {
	if b.IPSummed == skb.ChecksumPartial && !b.ChecksumHelp() {
		return false
	}
	p := bytesOf(b)
	h := header.IPv4(p)
	if !h.ChecksumOK() {
		return false
	}
	q := p[h.HeaderLen():]
	switch h.Protocol() {
	case header.ProtoICMP:
		return skb.CsumFold(skb.CsumPartial(q, 0)) == 0
	case 132:
		got := binary.LittleEndian.Uint32(q[8:])
		clear(q[8:12])
		return got == crc32.Checksum(q, crc32.MakeTable(crc32.Castagnoli))
	case header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite:
		return skb.CsumFold(skb.CsumPartial(q, header.PseudoSum(h.Src(), h.Dst(), h.Protocol(), len(q)))) == 0
	}
	return true
}

var protocols = []uint8{header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite, header.ProtoICMP, 132, 47} // read-only

// FuzzRewrite: whatever the packet, its checksums are right after a rewrite if
// they were before, nothing but the end changed, and a clone sees nothing.
func FuzzRewrite(f *testing.F) {
	for i := range protocols {
		f.Add(uint8(i), uint8(0), uint8(0), uint32(other), uint16(1234), []byte("0123456789012345678901234567890123456789"))
		f.Add(uint8(i), uint8(3), uint8(7), uint32(0), uint16(0), make([]byte, 41))
		f.Add(uint8(i), uint8(10), uint8(15), ^uint32(0), ^uint16(0), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	}
	c := newCache(f)
	f.Fuzz(func(t *testing.T, proto, options, how uint8, addr uint32, port uint16, payload []byte) {
		proto = protocols[int(proto)%len(protocols)]
		if len(payload) < 20 || len(payload) > 3000 {
			return
		}
		m := nat.Manip(how & 1)
		partial := how&2 != 0 && proto != header.ProtoICMP && proto != 132 && proto != 47
		b := build(t, c, proto, int(options%11), payload, partial, how&4 != 0)
		defer b.Consume()
		var clone *skb.Buff
		before := bytesOf(b)
		if how&8 != 0 {
			clone = b.Clone()
			defer clone.Consume()
		}
		if !nat.Rewrite(b, 0, m, nat.End{Addr: header.Addr(addr), Port: port}) {
			if proto == 47 && payload[1]&7 > 1 {
				return // GRE of no known version
			}
			t.Fatal("refused")
		}
		if clone != nil && string(bytesOf(clone)) != string(before) {
			t.Fatal("the clone changed")
		}
		if !sumsRight(b) {
			t.Fatalf("checksum of %x, was %x", bytesOf(b), before)
		}
		after := bytesOf(b)
		h := header.IPv4(after)
		got, kept := h.Src(), h.Dst() == dst
		if m == nat.Dst {
			got, kept = h.Dst(), h.Src() == src
		}
		if got != header.Addr(addr) || !kept {
			t.Fatalf("addresses %v %v", h.Src(), h.Dst())
		}
	})
}

// FuzzRewriteWild: arbitrary bytes are refused or rewritten, never a crash.
func FuzzRewriteWild(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4}, uint8(0))
	f.Add([]byte{0x46, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8, 8}, uint8(1))
	f.Add([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 132, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8, 8}, uint8(1))
	c := newCache(f)
	f.Fuzz(func(t *testing.T, p []byte, how uint8) {
		if len(p) > 4000 {
			return
		}
		b := c.Alloc(64 + len(p))
		defer b.Consume()
		b.Reserve(64)
		b.PutData(p)
		b.IPSummed = skb.IPSummed(how >> 2 & 3)
		if how&2 != 0 {
			nat.RewriteError(b, int(how>>4)*4, nat.Manip(how&1), other, nat.End{Addr: other, Port: 9})
			return
		}
		nat.Rewrite(b, int(how>>4), nat.Manip(how&1), nat.End{Addr: other, Port: 9})
	})
}

func TestRewrite_udpWithoutChecksum_staysWithout(t *testing.T) {
	c := newCache(t)
	b := build(t, c, header.ProtoUDP, 0, make([]byte, 30), false, false)
	defer b.Consume()
	h := header.UDP(b.Data()[20:])
	h.SetChecksum(0)
	if !nat.Rewrite(b, 0, nat.Dst, nat.End{Addr: other, Port: 53}) {
		t.Fatal("refused")
	}
	if h.Checksum() != 0 || h.DstPort() != 53 {
		t.Errorf("checksum %x, port %d", h.Checksum(), h.DstPort())
	}
}

func TestRewrite_shortHeader_refused(t *testing.T) {
	c := newCache(t)
	for _, proto := range []uint8{header.ProtoTCP, header.ProtoUDP, header.ProtoICMP, 132} {
		p := make([]byte, 27)
		header.PutIPv4(p, &header.Fields{TotalLen: 27, Protocol: proto, Src: src, Dst: dst})
		b := c.Alloc(100)
		b.PutData(p)
		if nat.Rewrite(b, 0, nat.Src, nat.End{Addr: other}) {
			t.Errorf("protocol %d: seven bytes behind the header were enough", proto)
		}
		b.Consume()
	}
}

// TestRewriteError_quote_bothEnds: an error about a packet that was translated
// goes back to who sent it, quoting what he sent, its checksums right.
func TestRewriteError_quote_bothEnds(t *testing.T) {
	c := newCache(t)
	for _, proto := range []uint8{header.ProtoTCP, header.ProtoUDP} {
		for _, cut := range []int{28, 40, 100} {
			q := build(t, c, proto, 0, make([]byte, 80), false, false) // src -> dst
			quote := bytesOf(q)[:min(cut, 100)]
			q.Consume()
			msg := make([]byte, header.ICMPLen+len(quote))
			header.PutICMP(msg, header.ICMPDestUnreach, header.ICMPHostUnreach, 0)
			copy(msg[header.ICMPLen:], quote)
			b := build(t, c, header.ProtoICMP, 0, msg, false, false) // src -> dst
			if !nat.RewriteError(b, 20, nat.Dst, other, nat.End{Addr: other, Port: 77}) {
				t.Fatal("refused")
			}
			if !sumsRight(b) {
				t.Errorf("protocol %d, %d bytes: checksum of %x", proto, cut, bytesOf(b))
			}
			p := bytesOf(b)
			in := header.IPv4(p[28:])
			if header.IPv4(p).Dst() != other || in.Src() != other || !in.ChecksumOK() || binary.BigEndian.Uint16(in[20:]) != 77 {
				t.Errorf("protocol %d, %d bytes: %x", proto, cut, p)
			}
			if cut == 100 && skb.CsumFold(skb.CsumPartial(in[20:], header.PseudoSum(other, dst, proto, 80))) != 0 {
				t.Errorf("protocol %d: checksum of the quote", proto)
			}
			b.Consume()
		}
	}
}

// TestRewrite_plainAndCloned_alike: the short way, which a packet takes that is
// nobody else's, gives the same bytes as the long one, whatever the checksums were.
func TestRewrite_plainAndCloned_alike(t *testing.T) {
	c := newCache(t)
	rng := rand.New(rand.NewSource(1))
	for i := range 20000 {
		proto := []uint8{header.ProtoTCP, header.ProtoUDP}[i&1]
		plain := build(t, c, proto, 0, make([]byte, 40), false, false)
		p := plain.Data()
		rng.Read(p[12:]) // addresses, ports, and what happens to stand for the sum
		rng.Read(p[10:12])
		m, to := nat.Manip(rng.Intn(2)), nat.End{Addr: header.Addr(rng.Uint32()), Port: uint16(rng.Uint32())}
		if i%5 == 0 { // sums and words that are all zeros or ones
			for _, at := range []int{10, 12, 14, 16, 18, 20, 22, 26, 36} {
				v := uint16(-rng.Intn(2))
				binary.BigEndian.PutUint16(p[at:], v)
			}
			to = nat.End{Addr: header.Addr(-rng.Intn(2)), Port: uint16(-rng.Intn(2))}
		}
		before := bytes.Clone(p)
		shared := plain.Copy()
		clone := shared.Clone()
		if !nat.Rewrite(plain, 0, m, to) || !nat.Rewrite(shared, 0, m, to) {
			t.Fatal("refused")
		}
		if got, want := bytesOf(plain), bytesOf(shared); !bytes.Equal(got, want) {
			t.Fatalf("%x to %+v, %v: %x, want %x", before, to, m, got, want)
		}
		if !bytes.Equal(bytesOf(clone), before) {
			t.Fatal("the clone changed")
		}
		for _, b := range []*skb.Buff{plain, shared, clone} {
			b.Consume()
		}
	}
}

func TestAllocs_rewrite_none(t *testing.T) {
	c := newCache(t)
	b := build(t, c, header.ProtoTCP, 0, make([]byte, 40), false, false)
	defer b.Consume()
	port := uint16(0)
	if n := testing.AllocsPerRun(100, func() {
		port++
		nat.Rewrite(b, 0, nat.Src, nat.End{Addr: other, Port: port})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRewrite(b *testing.B) {
	c := newCache(b)
	p := build(b, c, header.ProtoTCP, 0, make([]byte, 40), false, false)
	defer p.Consume()
	for i := 0; b.Loop(); i++ {
		nat.Rewrite(p, 0, nat.Src, nat.End{Addr: other + header.Addr(i), Port: uint16(i)})
	}
}
