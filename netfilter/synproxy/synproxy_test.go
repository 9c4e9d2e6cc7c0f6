package synproxy_test

import (
	"bytes"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/synproxy"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

const client, server = header.Addr(0x0a000001), header.Addr(0xc0000201)

// world notes what the proxy sends.
type world struct {
	*synproxy.Proxy
	cache *skb.Cache
	table *conntrack.Table
	hooks netfilter.Hooks
	sent  []header.TCP
}

func newWorld(t testing.TB) *world {
	w := &world{cache: skbtest.New(t, skb.PageConfig{})}
	w.table = conntrack.NewTable(conntrack.Config{Now: func() int64 { return 1 << 40 }, Rand: func(b []byte) { clear(b) }, Max: 16})
	w.Proxy = synproxy.New(synproxy.Config{
		Table: w.table, Hooks: &w.hooks,
		Now: func() int64 { return 123_456_789e6 },
		Cookie: func(_ synproxy.Flow, seq uint32, mss *uint16) uint32 {
			*mss = min(*mss, 1300)
			return seq + 1000
		},
		CheckCookie: func(_ synproxy.Flow, cookie, seq uint32) uint16 {
			if cookie != seq+1000 {
				return 0
			}
			return 1300
		},
		Send: func(b *skb.Buff, src, dst header.Addr) {
			if !b.ChecksumHelp() || skb.CsumFold(skb.CsumPartial(b.Data(), header.PseudoSum(src, dst, header.ProtoTCP, b.Len()))) != 0 {
				t.Errorf("checksum of % x", b.Data())
			}
			w.sent = append(w.sent, bytes.Clone(b.Data()))
			b.Consume()
		},
		SumOK: func(*skb.Buff) bool { return true },
	})
	return w
}

func (w *world) packet(p []byte) *skb.Buff {
	b := w.cache.Alloc(64 + len(p))
	b.Reserve(64)
	b.PutData(p)
	b.ResetNetworkHeader()
	return b
}

// give hands the proxy a segment of the client.
func (w *world) give(f header.TCPFields, options []byte, offer synproxy.Offer) (netfilter.Verdict, bool) {
	w.sent = nil
	f.SrcPort, f.DstPort, f.HeaderLen = 4000, 80, header.TCPMinLen+len(options)
	p := make([]byte, header.IPv4MinLen+f.HeaderLen)
	header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 64, Protocol: header.ProtoTCP, Src: client, Dst: server})
	copy(header.PutTCP(p[header.IPv4MinLen:], &f).Options(), options)
	b := w.packet(p)
	v, mine := w.Target(b, offer)
	if v != netfilter.Stolen {
		b.Consume()
	}
	return v, mine
}

// options of a usual SYN: MSS 1460, SACK, timestamp 7, window scale 3.
var synOptions = []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 3} // read-only

// TestTarget_syn_isAnsweredWithWhatBothCan: the options of the answer are those
// that the client and the rule name, and the client's travel in the timestamp.
func TestTarget_syn_isAnsweredWithWhatBothCan(t *testing.T) {
	all := synproxy.Offer{MSS: 1400, WScale: 9, WScaleOK: true, SACK: true, Timestamp: true, ECN: true}
	const time = 123_456_789 &^ 63
	for _, c := range []struct {
		name    string
		flags   uint8
		options []byte
		offer   synproxy.Offer
		want    []byte // options of the answer
		ece     bool
	}{
		{"all", 0, synOptions, all, []byte{2, 4, 5, 120, 4, 2, 8, 10, time >> 24, time >> 16 & 255, time >> 8 & 255, time&255 | 0x13, 0, 0, 0, 7, 1, 3, 3, 9}, false},
		{"ECN", header.TCPEce | header.TCPCwr, synOptions, all,
			[]byte{2, 4, 5, 120, 4, 2, 8, 10, time >> 24, time >> 16 & 255, time >> 8 & 255, time&255 | 0x33, 0, 0, 0, 7, 1, 3, 3, 9}, true},
		{"no offer", 0, synOptions, synproxy.Offer{}, nil, false},
		{"no timestamp offered", 0, synOptions, synproxy.Offer{MSS: 1400, WScaleOK: true, SACK: true}, []byte{2, 4, 5, 120}, false},
		{"plain client", 0, synOptions[:4], all, []byte{2, 4, 5, 120}, false},
		{"no scaling", 0, synOptions[:16], all,
			[]byte{2, 4, 5, 120, 4, 2, 8, 10, time >> 24, time >> 16 & 255, time >> 8 & 255, time&255 | 0x1f, 0, 0, 0, 7}, false},
		{"cut option", 0, []byte{2, 4, 5, 180, 8, 10, 0, 0}, all, []byte{2, 4, 5, 120}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if v, mine := w.give(header.TCPFields{Seq: 77, Flags: header.TCPSyn | c.flags}, c.options, c.offer); v != netfilter.Stolen || !mine {
				t.Fatalf("verdict %d, %v", v, mine)
			}
			a := w.sent[0]
			if a.Seq() != 1077 || a.AckSeq() != 78 || a.Window() != 0 || a.SrcPort() != 80 || a.Flags()&^header.TCPEce != header.TCPSyn|header.TCPAck ||
				a.Flags()&header.TCPEce != 0 != c.ece {
				t.Errorf("answer % x", a)
			}
			if !bytes.Equal(a.Options(), c.want) {
				t.Errorf("options % x, want % x", a.Options(), c.want)
			}
		})
	}
}

// TestTarget_ack_opensWhatTheCookieSays.
func TestTarget_ack_opensWhatTheCookieSays(t *testing.T) {
	w := newWorld(t)
	ts := []byte{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 1, 0x13}
	if v, _ := w.give(header.TCPFields{Seq: 78, Ack: 1078, Flags: header.TCPAck, Window: 500}, ts, synproxy.Offer{}); v != netfilter.Stolen {
		t.Fatalf("verdict %d", v)
	}
	a := w.sent[0]
	if a.Seq() != 77 || a.AckSeq() != 1077 || a.Flags() != header.TCPSyn || a.Window() != 500 || a.DstPort() != 80 {
		t.Errorf("SYN % x", a)
	}
	if want := []byte{2, 4, 5, 20, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 1, 0x13, 1, 3, 3, 3}; !bytes.Equal(a.Options(), want) {
		t.Errorf("options % x, want % x", a.Options(), want)
	}
	if v, mine := w.give(header.TCPFields{Seq: 78, Ack: 1079, Flags: header.TCPAck}, nil, synproxy.Offer{}); v != netfilter.Drop || !mine || w.sent != nil {
		t.Errorf("no cookie: verdict %d, %v, %d sent", v, mine, len(w.sent))
	}
	for _, f := range []uint8{header.TCPRst, header.TCPFin | header.TCPAck, header.TCPSyn | header.TCPAck, 0} {
		if v, mine := w.give(header.TCPFields{Flags: f}, nil, synproxy.Offer{}); mine || v != netfilter.Accept || w.sent != nil {
			t.Errorf("flags %#x: verdict %d, %v", f, v, mine)
		}
	}
}

// FuzzTarget_anyPacket: whatever comes, the proxy keeps to itself.
func FuzzTarget_anyPacket(f *testing.F) {
	p := make([]byte, header.IPv4MinLen+header.TCPMinLen+len(synOptions))
	header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 64, Protocol: header.ProtoTCP, Src: client, Dst: server})
	copy(header.PutTCP(p[20:], &header.TCPFields{HeaderLen: 40, Flags: header.TCPSyn}).Options(), synOptions)
	f.Add(p)
	f.Add(p[:30])
	w := newWorld(f)
	done := w.Use()
	defer done()
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 || len(p) > 2000 {
			return
		}
		b := w.packet(p)
		if v, _ := w.Target(b, synproxy.Offer{MSS: 1400, WScaleOK: true, SACK: true, Timestamp: true, ECN: true}); v != netfilter.Stolen {
			b.Consume()
		}
		w.sent = nil
	})
}
