package skb

import "testing"

// FuzzVnetHdr applies any header to any frame: offsets that pass lie in
// the frame, and what the receive side takes the transmit side can say again.
func FuzzVnetHdr(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 1, 0}, make([]byte, 100), 60)
	tcp := make([]byte, 3000)
	tcp[12], tcp[14], tcp[23], tcp[34+12] = 8, 0x45, 6, 5<<4
	f.Add([]byte{1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 1, 0}, tcp, 54)
	f.Add([]byte{1, 0x81, 54, 0, 0xa8, 5, 34, 0, 16, 0, 1, 0}, tcp, 20)
	vlan := append(append(append([]byte{}, tcp[:12]...), 0x81, 0, 0, 5), tcp[12:]...)
	f.Add([]byte{1, 1, 58, 0, 100, 0, 38, 0, 16, 0, 1, 0}, vlan, 3000)
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, tcp[:14], 14)
	f.Fuzz(func(t *testing.T, hdr, frame []byte, head int) {
		if len(hdr) < VnetHdrMrgLen || len(frame) < 14 || len(frame) > 66000 || head < 0 {
			return
		}
		pool, err := NewPagePool(PageConfig{MaxPages: 64})
		if err != nil {
			t.Fatal(err)
		}
		cache := NewCache(pool)
		head = min(head, len(frame), 4030)
		b := cache.Build(pool.Alloc(), Pad, head)
		copy(b.Data(), frame)
		for rest := frame[head:]; len(rest) > 0; {
			p := pool.Alloc()
			n := copy(p.Bytes(), rest)
			rest = rest[n:]
			if !b.AddFrag(p, 0, n, len(p.Bytes())) {
				t.Fatal("frame has too many fragments")
			}
		}
		h := ParseVnetHdr(hdr)
		const all = VnetCsum | VnetTSO4 | VnetECN
		if h.ToSkb(b, false, all) {
			checkHdr(t, &h, b)
		}
		// Nothing of it without the features.
		if (h.Flags&VnetNeedsCsum != 0 || h.GSOType != VnetGSONone) && h.ToSkb(b, false, 0) {
			t.Fatal("a header was taken that was not negotiated")
		}
		b.Consume()
		if pool.InUse() != 0 || cache.InUse() != 0 {
			t.Fatal("leak")
		}
	})
}

func checkHdr(t *testing.T, h *VnetHdr, b *Buff) {
	if b.IPSummed == ChecksumPartial {
		start := b.CsumStartOffset()
		if start < 14 || start+int(b.CsumOffset)+2 > b.Headlen() {
			t.Fatalf("checksum at %d+%d of %d linear bytes", start, b.CsumOffset, b.Headlen())
		}
	}
	if b.IsGSO() && (b.IPSummed != ChecksumPartial || int(b.Shinfo().GSOSize) >= b.Len() || b.Shinfo().GSOSegs < 2) {
		t.Fatalf("segments %d of %d bytes, frame %d, checksum %d", b.Shinfo().GSOSegs, b.Shinfo().GSOSize, b.Len(), b.IPSummed)
	}
	var out VnetHdr
	if !out.FromSkb(b, false, false) {
		t.Fatal("cannot be transmitted")
	}
	if out.Flags != h.Flags&VnetNeedsCsum || out.Flags != 0 && (out.CsumStart != h.CsumStart || out.CsumOffset != h.CsumOffset) {
		t.Fatalf("%+v came out as %+v", h, out)
	}
	if b.IsGSO() && (out.GSOSize != h.GSOSize || out.GSOType != h.GSOType) {
		t.Fatalf("%+v came out as %+v", h, out)
	}
}
