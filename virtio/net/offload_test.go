package net_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
)

// tcpFrame makes an Ethernet frame with IPv4 and TCP headers and n bytes of
// payload, no checksums.
func (r *rig) tcpFrame(n int) []byte {
	f := r.frame(14+20+20+n, 3)
	f[12], f[13] = 0x08, 0x00
	ip := f[14:]
	clear(ip[:40])
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(40+n))
	ip[8], ip[9] = 64, 6
	copy(ip[12:], "\xc0\x00\x02\x01\xc0\x00\x02\x02")
	ip[20+12] = 5 << 4
	return f
}

func TestReceive_checksumStates_asTheHeaderSays(t *testing.T) {
	for _, c := range []struct {
		name  string
		h     device.Hdr
		feats uint64
		want  skb.IPSummed
		drop  bool
	}{
		{name: "nothing", feats: device.AllFeatures, want: skb.ChecksumNone},
		{name: "valid", h: device.Hdr{Flags: 2}, feats: device.AllFeatures, want: skb.ChecksumUnnecessary},
		{name: "validNotNegotiated", h: device.Hdr{Flags: 2}, feats: virtio.FeatVersion1, want: skb.ChecksumNone},
		{name: "partial", h: device.Hdr{Flags: 1, CsumStart: 34, CsumOffset: 16}, feats: device.AllFeatures, want: skb.ChecksumPartial},
		{name: "partialAtEnd", h: device.Hdr{Flags: 1, CsumStart: 90, CsumOffset: 8}, feats: device.AllFeatures, want: skb.ChecksumPartial},
		{name: "partialPastEnd", h: device.Hdr{Flags: 1, CsumStart: 90, CsumOffset: 9}, feats: device.AllFeatures, drop: true},
		{name: "partialHuge", h: device.Hdr{Flags: 1, CsumStart: 0xffff, CsumOffset: 0xffff}, feats: device.AllFeatures, drop: true},
		{name: "partialInLinkHeader", h: device.Hdr{Flags: 1, CsumStart: 13, CsumOffset: 0}, feats: device.AllFeatures, drop: true},
		{name: "partialNotNegotiated", h: device.Hdr{Flags: 1, CsumStart: 34, CsumOffset: 16}, feats: virtio.FeatVersion1, drop: true},
		{name: "gsoNotNegotiated", h: device.Hdr{GSOType: 1, GSOSize: 100}, feats: virtio.FeatVersion1, drop: true},
		{name: "gsoUnknown", h: device.Hdr{Flags: 1, GSOType: 9, GSOSize: 100, CsumStart: 34, CsumOffset: 16}, feats: device.AllFeatures, drop: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, device.Config{Features: c.feats}, "mmio")
			n := 0
			r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) {
				n++
				if b.IPSummed != c.want {
					t.Errorf("state %d, want %d", b.IPSummed, c.want)
				}
				// Data is behind the link header now.
				if c.want == skb.ChecksumPartial && b.CsumStartOffset() != int(c.h.CsumStart)-14 {
					t.Errorf("checksum starts at %d", b.CsumStartOffset())
				}
				b.Consume()
			})
			r.dev.Inject(c.h, r.frame(100, 0))
			r.softirq()
			s := r.nd.GetStats()
			if c.drop != (n == 0) || c.drop != (s.RxFrameErrors == 1) {
				t.Fatalf("%d frames received, %d frame errors", n, s.RxFrameErrors)
			}
			if c.drop && r.stack.SKB().Drops(skb.DevHdr) != 1 {
				t.Fatal("drop has the wrong reason")
			}
		})
	}
}

func TestReceive_superPacket_checkedAndDescribed(t *testing.T) {
	good := device.Hdr{Flags: 1, GSOType: 1, HdrLen: 54, GSOSize: 1448, CsumStart: 34, CsumOffset: 16}
	for _, c := range []struct {
		name string
		edit func(h *device.Hdr, f []byte)
		segs uint16
		drop bool
	}{
		{name: "good", segs: 21},
		{name: "ecn", edit: func(h *device.Hdr, f []byte) { h.GSOType |= 0x80 }, segs: 21},
		{name: "oneSegment", edit: func(h *device.Hdr, f []byte) { h.GSOSize = 30000 }, segs: 0},
		{name: "noSize", edit: func(h *device.Hdr, f []byte) { h.GSOSize = 0 }, drop: true},
		{name: "noChecksum", edit: func(h *device.Hdr, f []byte) { h.Flags = 0 }, drop: true},
		{name: "wrongChecksum", edit: func(h *device.Hdr, f []byte) { h.CsumOffset = 6 }, drop: true},
		{name: "udp", edit: func(h *device.Hdr, f []byte) { f[23] = 17 }, drop: true},
		{name: "ipv6", edit: func(h *device.Hdr, f []byte) { f[14] = 0x65 }, drop: true},
		{name: "longerIPHeader", edit: func(h *device.Hdr, f []byte) { f[14] = 0x46 }, drop: true},
		{name: "otherStart", edit: func(h *device.Hdr, f []byte) { h.CsumStart = 38 }, drop: true},
		{name: "shortTCP", edit: func(h *device.Hdr, f []byte) { f[34+12] = 4 << 4 }, drop: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
			h, f := good, r.tcpFrame(30000)
			if c.edit != nil {
				c.edit(&h, f)
			}
			n := 0
			r.stack.AddPack(napi.ETH_P_IP, nil, func(b *skb.Buff, _ *napi.NetDevice) {
				n++
				si := b.Shinfo()
				if c.segs != 0 && (si.GSOSize != 1448 || si.GSOType&(skb.GSOTCPv4|skb.GSODodgy) != skb.GSOTCPv4|skb.GSODodgy) {
					t.Errorf("size %d, type %#x", si.GSOSize, si.GSOType)
				}
				if si.GSOSegs != c.segs || (si.GSOType&skb.GSOTCPECN != 0) != (h.GSOType&0x80 != 0) && c.segs != 0 {
					t.Errorf("%d segments, type %#x", si.GSOSegs, si.GSOType)
				}
				if b.Len() != 30040 {
					t.Errorf("%d bytes", b.Len())
				}
				b.Consume()
			})
			r.dev.Inject(h, f)
			r.softirq()
			if c.drop != (n == 0) {
				t.Fatalf("%d packets received", n)
			}
		})
	}
}

func TestTransmit_partialChecksumAndSuperPacket_inTheHeader(t *testing.T) {
	tx, frames, hdrs := capture()
	r := newRig(t, device.Config{Features: device.AllFeatures, Transmit: tx}, "pci")
	f := r.tcpFrame(20000)
	b := r.buff(f, 54)
	b.SetCsumPartial(34, 16)
	si := b.Shinfo()
	si.GSOSize, si.GSOSegs, si.GSOType = 1448, 14, skb.GSOTCPv4|skb.GSOTCPECN
	if err := r.stack.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	want := device.Hdr{Flags: 1, GSOType: 0x81, HdrLen: 54, GSOSize: 1448, CsumStart: 34, CsumOffset: 16}
	if len(*hdrs) != 1 || (*hdrs)[0] != want || !bytes.Equal((*frames)[0], f) {
		t.Fatalf("headers %+v, want %+v", *hdrs, want)
	}
}

// Without the feature the stack computes the checksum and the device sees a
// plain frame.
func TestTransmit_partialChecksumNotNegotiated_computed(t *testing.T) {
	tx, frames, hdrs := capture()
	r := newRig(t, device.Config{Features: virtio.FeatVersion1, Transmit: tx}, "pci")
	b := r.buff(r.tcpFrame(100), 154)
	b.SetCsumPartial(34, 16)
	if err := r.stack.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	if len(*hdrs) != 1 || (*hdrs)[0] != (device.Hdr{}) {
		t.Fatalf("headers %+v", *hdrs)
	}
	if sum := skb.CsumFold(skb.CsumPartial((*frames)[0][34:], 0)); sum != 0 {
		t.Fatalf("checksum is off by %#x", sum)
	}
}

func TestTransmit_impossibleOffload_droppedAndCounted(t *testing.T) {
	tx, frames, _ := capture()
	r := newRig(t, device.Config{Features: device.AllFeatures, Transmit: tx}, "pci")
	// A checksum beyond the end, and a super-packet that is not TCP.
	b := r.buff(r.tcpFrame(100), 154)
	b.SetCsumPartial(34, 16)
	b.CsumOffset = 1000
	r.stack.DevQueueXmit(b)
	b = r.buff(r.frame(3000, 0), 54)
	b.SetCsumPartial(34, 16)
	b.Shinfo().GSOSize, b.Shinfo().GSOType = 500, skb.GSOTCPv4
	r.stack.DevQueueXmit(b)
	if s := r.nd.GetStats(); s.TxErrors != 2 || len(*frames) != 0 {
		t.Fatalf("%d errors, %d frames", s.TxErrors, len(*frames))
	}
	// The queue goes on.
	if r.send(r.frame(60, 0), 60); len(*frames) != 1 {
		t.Fatal("nothing transmitted after a drop")
	}
}
