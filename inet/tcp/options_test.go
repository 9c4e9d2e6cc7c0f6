package tcp

import (
	"testing"

	"barewire/skb/header"
)

func synWith(opts []byte) header.TCP {
	for len(opts)%4 != 0 {
		opts = append(opts, header.TCPOptEOL)
	}
	p := make([]byte, header.TCPMinLen+len(opts))
	h := header.PutTCP(p, &header.TCPFields{HeaderLen: len(p), Flags: header.TCPSyn})
	copy(h.Options(), opts)
	return h
}

func TestOptions_written_readBack(t *testing.T) {
	for i, o := range []outOpts{
		{mss: 1460, ts: true, tsval: 1, tsecr: 2, sackOK: true, wscale: true, ws: 7},
		{mss: 536, sackOK: true},
		{mss: 536, wscale: true, ws: 14},
		{ts: true, tsval: 9, nblocks: 2, blocks: [sackBlocks]sackBlock{{1, 2}, {5, 9}}},
		{mss: 1460, foCookie: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{mss: 1460, foCookie: []byte{1, 2, 3, 4}, foExp: true},
		{mss: 1460, foCookie: []byte{}},
	} {
		var buf [header.TCPMaxOption]byte
		n := o.put(buf[:])
		if n%4 != 0 {
			t.Errorf("%d: %d bytes", i, n)
		}
		var p parsedOpts
		parseOptions(synWith(buf[:n]), &p)
		if p.mss != o.mss || p.hasTS != o.ts || p.tsval != o.tsval || p.tsecr != o.tsecr || p.sackOK != o.sackOK ||
			p.wscaleOK != o.wscale || p.wscale != o.ws || len(p.sack) != 8*o.nblocks || string(p.fo) != string(o.foCookie) || (p.fo != nil) != (o.foCookie != nil) {
			t.Errorf("%d: wrote %+v, read %+v from %x", i, o, p, buf[:n])
		}
	}
}

func TestOptions_malformed_endTheList(t *testing.T) {
	for _, c := range []struct {
		opts []byte
		mss  uint16
	}{
		{[]byte{2, 4, 5, 180}, 1460},
		{[]byte{2, 3, 5, 180, 2, 4, 5, 180}, 0},      // a length that is not its own, and what follows is off
		{[]byte{8, 1, 2, 4, 5, 180, 0, 0}, 0},        // length below two
		{[]byte{8, 60, 2, 4, 5, 180, 0, 0}, 0},       // beyond the end
		{[]byte{77, 4, 1, 1, 2, 4, 5, 180}, 1460},    // unknown, skipped
		{[]byte{1, 0, 2, 4, 5, 180, 0, 0}, 0},        // behind the end of the list
		{[]byte{3, 3, 200, 1, 2, 4, 5, 180}, 1460},   // a scale beyond 14
		{[]byte{2, 4, 1, 1, 2, 4, 5, 180}, 1460},     // twice: the last
		{[]byte{253, 2, 253, 2, 2, 4, 5, 180}, 1460}, // experiments
		{[]byte{1, 1, 1, 2}, 0},                      // cut
	} {
		var p parsedOpts
		parseOptions(synWith(c.opts), &p)
		if p.mss != c.mss || p.wscale > maxWScale {
			t.Errorf("%v: MSS %d scale %d, want %d", c.opts, p.mss, p.wscale, c.mss)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7})
	f.Add([]byte{1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4})
	f.Add([]byte{34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 254, 4, 0xf9, 0x89})
	f.Fuzz(func(t *testing.T, opts []byte) {
		if len(opts) > header.TCPMaxOption {
			opts = opts[:header.TCPMaxOption]
		}
		var p parsedOpts
		parseOptions(synWith(opts), &p)
		if p.wscale > maxWScale || len(p.sack)%8 != 0 || len(p.fo) > 16 {
			t.Errorf("%x: %+v", opts, p)
		}
	})
}

func TestSequence_around_wraps(t *testing.T) {
	for _, c := range []struct {
		a, b   uint32
		before bool
	}{{1, 2, true}, {2, 1, false}, {0xfffffff0, 5, true}, {5, 0xfffffff0, false}, {7, 7, false}} {
		if before(c.a, c.b) != c.before || after(c.b, c.a) != c.before {
			t.Errorf("before(%#x, %#x) != %v", c.a, c.b, c.before)
		}
	}
	if !between(3, 0xfffffff0, 5) || between(6, 0xfffffff0, 5) || !between(5, 5, 5) {
		t.Error("between")
	}
}

func TestModelTimeout_fifteenRetransmissions_924seconds(t *testing.T) {
	s := &Sock{}
	s.params = &params{rtoMax: 120 * sec}
	// What Documentation/networking/ip-sysctl says of tcp_retries2.
	if got := s.modelTimeout(15, 200*ms); got != 924600*ms {
		t.Errorf("%d ms", got/ms)
	}
}
