package reject_test

import (
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/reject"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

const src, dst = header.Addr(0x0a000001), header.Addr(0xc0000201)

// world answers nothing: it notes what would have been sent.
type world struct {
	*reject.Engine
	cache  *skb.Cache
	resets [][]byte // TCP headers, checksums filled in
	errors []uint8  // codes
	routed bool     // there is a way to the sender
	toMany bool
}

func newWorld(t testing.TB) *world {
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{cache: skb.NewCache(pool), routed: true}
	skbtest.Check(t, w.cache)
	w.Engine = reject.New(reject.Config{
		SendICMP:  func(_ *skb.Buff, typ, code uint8, _ uint32) { w.errors = append(w.errors, code) },
		RouteBack: func(*skb.Buff) bool { return w.routed },
		ToMany:    func(*skb.Buff) bool { return w.toMany },
		Mark:      func(b *skb.Buff) uint32 { return b.Mark },
		SendReset: func(r *skb.Buff, from, to header.Addr) {
			if !r.ChecksumHelp() || skb.CsumFold(skb.CsumPartial(r.Data(), header.PseudoSum(from, to, 6, r.Len()))) != 0 {
				t.Errorf("checksum of the reset %x", r.Data())
			}
			w.resets = append(w.resets, append([]byte(nil), r.Data()...))
			r.Consume()
		},
	})
	return w
}

// give has a packet rejected.
func (w *world) give(p []byte, with reject.With) {
	w.resets, w.errors = nil, nil
	b := w.cache.Alloc(64 + len(p))
	b.PutData(p)
	b.ResetNetworkHeader()
	w.Reject(b, netfilter.State{}, with)
	b.Consume()
}

func packet(proto uint8, l4 []byte, frag uint16) []byte {
	p := make([]byte, 20, 20+len(l4))
	header.PutIPv4(p, &header.Fields{TotalLen: 20 + len(l4), TTL: 9, Protocol: proto, Src: src, Dst: dst, Frag: frag}).UpdateChecksum()
	return append(p, l4...)
}

func segment(flags uint8, seq, ack uint32, data string) []byte {
	p := append(make([]byte, 20), data...)
	h := header.PutTCP(p, &header.TCPFields{SrcPort: 5, DstPort: 80, Seq: seq, Ack: ack, HeaderLen: 20, Flags: flags})
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(src, dst, 6, len(p)))))
	return p
}

// TestReset_numbers: RFC 9293 section 3.10.7.1.
func TestReset_numbers(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		flags    uint8
		data     string
		seq, ack uint32
		has      uint8
	}{
		{header.TCPSyn, "", 0, 101, header.TCPRst | header.TCPAck},
		{header.TCPSyn, "abc", 0, 104, header.TCPRst | header.TCPAck},
		{header.TCPFin, "abc", 0, 104, header.TCPRst | header.TCPAck},
		{0, "abc", 0, 103, header.TCPRst | header.TCPAck},
		{header.TCPAck, "abc", 900, 0, header.TCPRst},
		{header.TCPAck | header.TCPSyn, "", 900, 0, header.TCPRst},
	} {
		w.give(packet(6, segment(c.flags, 100, 900, c.data), header.IPDF), reject.TCPReset)
		if len(w.resets) != 1 {
			t.Errorf("flags %#x: %d resets", c.flags, len(w.resets))
			continue
		}
		h := header.TCP(w.resets[0])
		if h.Seq() != c.seq || h.AckSeq() != c.ack || h.Flags() != c.has || h.SrcPort() != 80 || h.DstPort() != 5 || h.Window() != 0 {
			t.Errorf("flags %#x: reset %x", c.flags, h)
		}
	}
}

func TestReject_noAnswer(t *testing.T) {
	w := newWorld(t)
	syn := segment(header.TCPSyn, 1, 0, "")
	bad := append([]byte(nil), syn...)
	bad[4] ^= 1
	for what, p := range map[string][]byte{
		"reset":          packet(6, segment(header.TCPRst, 1, 0, ""), 0),
		"later fragment": packet(6, syn, 5),
		"wrong checksum": packet(6, bad, 0),
		"short":          packet(6, syn[:19], 0),
		"UDP":            packet(17, syn, 0),
	} {
		if w.give(p, reject.TCPReset); len(w.resets) != 0 {
			t.Errorf("%s: %x", what, w.resets[0])
		}
	}
	for what, p := range map[string][]byte{"later fragment": packet(6, syn, 5), "wrong checksum": packet(6, bad, 0), "no IP": {0x45, 0}} {
		if w.give(p, reject.PortUnreachable); len(w.errors) != 0 {
			t.Errorf("%s: an error", what)
		}
	}
	w.toMany = true
	if w.give(packet(6, syn, 0), reject.TCPReset); len(w.resets) != 0 {
		t.Error("a reset for a packet to many")
	}
	w.toMany, w.routed = false, false
	w.give(packet(6, syn, 0), reject.TCPReset)
	w.give(packet(6, syn, 0), reject.PortUnreachable)
	w.routed = true
	w.give(packet(6, syn, 0), reject.EchoReply)
	w.give(packet(6, syn, 0), reject.With(200))
	if len(w.resets)+len(w.errors) != 0 {
		t.Error("an answer without a way, or of no kind")
	}
}

func TestReject_codes(t *testing.T) {
	w := newWorld(t)
	for with, code := range map[reject.With]uint8{reject.NetUnreachable: 0, reject.HostUnreachable: 1, reject.ProtUnreachable: 2,
		reject.PortUnreachable: 3, reject.NetProhibited: 9, reject.HostProhibited: 10, reject.AdminProhibited: 13} {
		if w.give(packet(6, segment(header.TCPSyn, 1, 0, ""), 0), with); len(w.errors) != 1 || w.errors[0] != code {
			t.Errorf("%d: codes %v, want %d", with, w.errors, code)
		}
	}
}

// FuzzReject: no packet makes it crash, and every reset has a right checksum.
func FuzzReject(f *testing.F) {
	f.Add(packet(6, segment(header.TCPSyn, 1, 0, "x"), 0), uint8(reject.TCPReset))
	f.Add(packet(17, make([]byte, 8), 0), uint8(reject.PortUnreachable))
	f.Add([]byte{0x46, 0, 0, 0, 0, 0, 0, 0, 0, 6}, uint8(reject.TCPReset))
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, p []byte, with uint8) {
		if len(p) < 4000 {
			w.give(p, reject.With(with%12))
		}
	})
}
