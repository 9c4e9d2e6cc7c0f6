package header

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// slowSum is the checksum as RFC 1071 section 4.1 writes it down.
func slowSum(p []byte) uint16 {
	var sum uint32
	for len(p) > 1 {
		sum += uint32(p[0])<<8 | uint32(p[1])
		p = p[2:]
	}
	if len(p) > 0 {
		sum += uint32(p[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func TestIPv4_written_readBack(t *testing.T) {
	p := make([]byte, 40)
	f := Fields{TOS: 0x2e, TotalLen: 40, ID: 0xbeef, Frag: IPDF | 3, TTL: 61, Protocol: 17, Src: 0x01020304, Dst: 0xfffefdfc}
	PutIPv4(p, &f)
	IPv4(p).UpdateChecksum()
	h, ok := ParseIPv4(p)
	if !ok || !h.ChecksumOK() {
		t.Fatalf("%x", p)
	}
	got := Fields{TOS: h.TOS(), TotalLen: h.TotalLen(), ID: h.ID(), Frag: h.FragField(), TTL: h.TTL(), Protocol: h.Protocol(), Src: h.Src(), Dst: h.Dst()}
	if got != f || !h.DF() || !h.IsFragment() || h.FragOffset() != 24 || h.HeaderLen() != 20 || len(h.Options()) != 0 {
		t.Errorf("%+v", got)
	}
	for i := range 20 {
		p[i] ^= 0x10
		if h, ok := ParseIPv4(p); ok && h.ChecksumOK() {
			t.Errorf("byte %d flipped: the checksum holds", i)
		}
		p[i] ^= 0x10
	}
}

func TestIPv4_checksum_asRFC1071(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := make([]byte, 60)
		for i := range p {
			p[i] = byte(r.Uint32())
			if seed%5 == 0 {
				p[i] = 0xff
			}
		}
		p[0] = 0x40 | byte(5+r.IntN(11))
		h, ok := ParseIPv4(p)
		if !ok {
			t.Fatal("not parsed")
		}
		h.UpdateChecksum()
		got := h.Checksum()
		p[10], p[11] = 0, 0
		if want := slowSum(p[:h.HeaderLen()]); got != want {
			t.Fatalf("seed %d: %#x, want %#x", seed, got, want)
		}
	}
}

func TestPseudoSum_asHeader(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		src, dst, n := Addr(r.Uint32()), Addr(r.Uint32()), r.IntN(65536)
		p := make([]byte, 12)
		binary.BigEndian.PutUint32(p, uint32(src))
		binary.BigEndian.PutUint32(p[4:], uint32(dst))
		p[9] = 17
		binary.BigEndian.PutUint16(p[10:], uint16(n))
		s := PseudoSum(src, dst, 17, n)
		s = s>>16 + s&0xffff
		if got, want := ^uint16(s+s>>16), slowSum(p); got != want {
			t.Fatalf("seed %d: %#x, want %#x", seed, got, want)
		}
	}
}

func TestAddr_kinds_told(t *testing.T) {
	a := func(s string) Addr {
		v, ok := AddrFrom(netip.MustParseAddr(s))
		if !ok {
			t.Fatal(s)
		}
		return v
	}
	if a("10.1.2.3") != 0x0a010203 || a("10.1.2.3").String() != "10.1.2.3" || a("::ffff:1.2.3.4") != 0x01020304 {
		t.Error("conversion")
	}
	if _, ok := AddrFrom(netip.MustParseAddr("fe80::1")); ok {
		t.Error("IPv6 taken")
	}
	if !a("224.0.0.5").IsLocalMulticast() || a("224.0.1.5").IsLocalMulticast() || !a("239.255.255.255").IsMulticast() || a("240.0.0.1").IsMulticast() {
		t.Error("multicast")
	}
	if !a("127.5.5.5").IsLoopback() || !a("0.0.0.0").IsZeronet() || a("0.1.1.1").IsZeronet() || !a("255.255.255.255").IsLBcast() {
		t.Error("special")
	}
	if Mask(0) != 0 || Mask(32) != ^Addr(0) || Mask(24) != 0xffffff00 || Mask(1) != 0x80000000 {
		t.Error("masks")
	}
}

func TestARP_written_readBack(t *testing.T) {
	p := make([]byte, 30)
	sha, tha := [6]byte{1, 2, 3, 4, 5, 6}, [6]byte{7, 8, 9, 10, 11, 12}
	PutARP(p, ARPReply, sha, 0x0a000001, tha, 0x0a000002)
	h, ok := ParseARP(p)
	if !ok || h.HType() != 1 || h.PType() != EthPIP || h.Op() != ARPReply || h.SenderHW() != sha || h.TargetHW() != tha || h.SenderIP() != 0x0a000001 || h.TargetIP() != 0x0a000002 {
		t.Errorf("%x", p)
	}
}

func FuzzEthernet(f *testing.F) {
	f.Add(make([]byte, 14))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := ParseEthernet(p)
		if !ok {
			return
		}
		c := make([]byte, 14)
		e := Ethernet(c)
		e.SetDst(h.Dst())
		e.SetSrc(h.Src())
		e.SetType(h.Type())
		if !bytes.Equal(append(c, h.Payload()...), p) {
			t.Errorf("%x", p)
		}
	})
}

func FuzzARPParse(f *testing.F) {
	p := make([]byte, 28)
	PutARP(p, ARPRequest, [6]byte{1}, 2, [6]byte{3}, 4)
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := ParseARP(p)
		if !ok {
			return
		}
		c := make([]byte, 28)
		PutARP(c, h.Op(), h.SenderHW(), h.SenderIP(), h.TargetHW(), h.TargetIP())
		if !bytes.Equal(c[4:], p[4:28]) {
			t.Errorf("%x", p)
		}
	})
}

func FuzzIPv4(f *testing.F) {
	p := make([]byte, 60)
	PutIPv4(p, &Fields{TotalLen: 60, TTL: 1, Protocol: 1})
	f.Add(p)
	f.Add([]byte{0x46, 0, 0, 24, 0, 0, 0, 0, 64, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 3, 4, 0})
	f.Add([]byte{0x48, 0, 0, 32, 0, 0, 0, 0, 64, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := ParseIPv4(p)
		if !ok {
			return
		}
		h.ChecksumOK()
		h.FragOffset()
		h.Options()
		o, at, ok := h.ParseOptions()
		if !ok && (at < 20 || at >= h.HeaderLen()+3) {
			t.Errorf("error at %d of a header of %d bytes", at, h.HeaderLen())
		}
		for _, i := range []int{o.SourceRoute, o.RecordRoute, o.Timestamp, o.RouterAlert} {
			if i != 0 && (i < 20 || i >= h.HeaderLen()) {
				t.Errorf("option at %d of a header of %d bytes", i, h.HeaderLen())
			}
		}
		h.UpdateChecksum()
		if !h.ChecksumOK() {
			t.Error("the checksum written is wrong")
		}
	})
}

func FuzzICMPParse(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := ParseICMP(p)
		if !ok {
			return
		}
		c := append([]byte(nil), p...)
		PutICMP(c, h.Type(), h.Code(), h.Rest()).SetChecksum(h.Checksum())
		if !bytes.Equal(c, p) || h.EchoID() != uint16(h.Rest()>>16) || h.EchoSeq() != uint16(h.Rest()) || h.MTU() != int(uint16(h.Rest())) {
			t.Errorf("%x", p)
		}
	})
}

func FuzzUDPParse(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := ParseUDP(p)
		if !ok {
			return
		}
		c := append([]byte(nil), p...)
		PutUDP(c, h.SrcPort(), h.DstPort(), h.Length()).SetChecksum(h.Checksum())
		if !bytes.Equal(c, p) {
			t.Errorf("%x", p)
		}
	})
}
