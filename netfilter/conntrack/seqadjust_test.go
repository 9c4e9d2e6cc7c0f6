package conntrack

import (
	"encoding/binary"
	"testing"

	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

// movedSegment is a TCP segment with options and data in an IP packet, its checksum
// right.
func movedSegment(c *skb.Cache, seq, ack uint32, flags uint8, opts, data []byte, partial bool) *skb.Buff {
	for len(opts)%4 != 0 {
		opts = append(opts, header.TCPOptEOL)
	}
	n := header.TCPMinLen + len(opts)
	p := make([]byte, 20+n+len(data))
	src, dst := header.Addr(0x0a000001), header.Addr(0x0a000002)
	header.PutIPv4(p, &header.Fields{TotalLen: len(p), Protocol: 6, Src: src, Dst: dst}).UpdateChecksum()
	h := header.PutTCP(p[20:], &header.TCPFields{SrcPort: 1, DstPort: 2, Seq: seq, Ack: ack, HeaderLen: n, Flags: flags})
	copy(h.Options(), opts)
	copy(p[20+n:], data)
	pseudo := header.PseudoSum(src, dst, 6, len(p)-20)
	b := c.Alloc(len(p) + 64)
	b.Reserve(64)
	if partial {
		h.SetChecksum(^skb.CsumFold(pseudo))
	} else {
		h.SetChecksum(skb.CsumFold(skb.CsumPartial(p[20:], pseudo)))
	}
	b.PutData(p)
	if partial {
		b.SetCsumPartial(20, 16)
	}
	return b
}

func segmentOK(b *skb.Buff) bool {
	if !b.ChecksumHelp() {
		return false
	}
	p := b.Data()
	h := header.IPv4(p)
	return skb.CsumFold(skb.CsumPartial(p[20:], header.PseudoSum(h.Src(), h.Dst(), 6, len(p)-20))) == 0
}

func TestAdjustSeq_bothDirectionsAndSACK(t *testing.T) {
	cache := skbtest.New(t, skb.PageConfig{})
	for _, partial := range []bool{false, true} {
		for odd := range 3 { // where the SACK option stands
			c := &Conn{}
			// The client's segment at 1000 grew by 5, the one at 2000 shrank by 2.
			c.SetSeqAdj(Original, 1000, 5)
			c.SetSeqAdj(Original, 2000, -2)
			c.SetSeqAdj(Original, 2000, -2) // sent again
			for _, s := range []struct{ seq, want uint32 }{{1500, 1505}, {2000, 2005}, {2001, 2004}, {5000, 5003}, {0xffffffff, 4}} {
				b := movedSegment(cache, s.seq, 77, header.TCPAck, nil, []byte("data"), partial)
				if !c.adjustSeq(b, 20, Established) {
					t.Fatal("refused")
				}
				h := header.TCP(b.Data()[20:])
				if s.seq != 0xffffffff && h.Seq() != s.want || h.AckSeq() != 77 || !segmentOK(b) {
					t.Errorf("segment %d became %d, acknowledging %d", s.seq, h.Seq(), h.AckSeq())
				}
				b.Consume()
			}
			opts := append(make([]byte, 0, 40), []byte{1, 1, 1, 1}[:odd]...)
			opts = append(opts, header.TCPOptSACK, 18)
			for _, edge := range []uint32{1105, 2005, 3003, 4003} {
				opts = binary.BigEndian.AppendUint32(opts, edge)
			}
			b := movedSegment(cache, 9, 2005, header.TCPAck, opts, nil, partial)
			if !c.adjustSeq(b, 20, EstablishedReply) {
				t.Fatal("refused")
			}
			h := header.TCP(b.Data()[20:])
			if h.Seq() != 9 || h.AckSeq() != 2000 || !segmentOK(b) {
				t.Errorf("acknowledgment of %d, sequence %d", h.AckSeq(), h.Seq())
			}
			for i, want := range []uint32{1100, 2000, 3000, 4000} {
				if got := binary.BigEndian.Uint32(b.Data()[40+odd+2+4*i:]); got != want {
					t.Errorf("odd %d: SACK edge %d is %d, want %d", odd, i, got, want)
				}
			}
			b.Consume()
		}
	}
}

// FuzzAdjustSeq: whatever the options, the checksum stays as right as it was and
// nothing is written outside the header.
func FuzzAdjustSeq(f *testing.F) {
	f.Add([]byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, uint32(1), uint32(2), uint8(0x10), true)
	f.Add([]byte{5, 9, 0, 0, 0, 0, 0, 0, 0}, uint32(1), uint32(2), uint8(0x10), false)
	f.Add([]byte{5, 255}, uint32(1), uint32(2), uint8(0x10), false)
	f.Add([]byte{1, 5, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, ^uint32(0), ^uint32(0), uint8(0x18), true)
	pool, _ := skb.NewPagePool(skb.PageConfig{})
	cache := skb.NewCache(pool)
	f.Fuzz(func(t *testing.T, opts []byte, seq, ack uint32, flags uint8, reply bool) {
		if len(opts) > 40 {
			return
		}
		c := &Conn{}
		c.SetSeqAdj(Original, seq-5, 7)
		c.SetSeqAdj(Reply, ack, -3)
		info := Established
		if reply {
			info = EstablishedReply
		}
		b := movedSegment(cache, seq, ack, flags, append([]byte(nil), opts...), []byte("payload"), false)
		defer b.Consume()
		if !c.adjustSeq(b, 20, info) {
			t.Fatal("refused")
		}
		if !segmentOK(b) {
			t.Fatalf("checksum of %x", b.Data())
		}
		if p := b.Data(); string(p[len(p)-7:]) != "payload" {
			t.Fatal("the payload changed")
		}
	})
}
