package net_test

import (
	"bytes"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

// script is the fuzzer's input, read from the front; it is all zeros behind its
// end.
type script struct{ p []byte }

func (s *script) byte() byte {
	if len(s.p) == 0 {
		return 0
	}
	b := s.p[0]
	s.p = s.p[1:]
	return b
}

func (s *script) u16() uint16 { return uint16(s.byte()) | uint16(s.byte())<<8 }

func (s *script) u32() uint32 { return uint32(s.u16()) | uint32(s.u16())<<16 }

// id is a descriptor id: often one that exists.
func (s *script) id() uint32 {
	if b := s.byte(); b < 0xf8 {
		return uint32(b) % 70
	}
	return s.u32()
}

// FuzzHostileDevice lets a script play the device. Whatever it does, the driver
// carries on or marks it broken, no memory is written that was not posted, and
// no page or packet is lost.
func FuzzHostileDevice(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xff, 0, 1, 60, 0, 2, 5, 4, 3, 0, 0x40, 0})
	f.Add([]byte("\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	f.Add([]byte{0x55, 1, 1, 1, 1, 3, 3, 3, 9, 9, 11, 12, 13, 3, 0xff, 1, 2, 3, 4, 5})
	// Merged frames with wrong counts; transmit completions for nobody; resets.
	f.Add(bytes.Repeat([]byte{0x01, 6, 12, 2, 0, 64, 6, 12, 0, 0, 64}, 10))
	f.Add(bytes.Repeat([]byte{0x01, 2, 2, 2, 7, 1, 3, 0, 8, 1, 9}, 10))
	f.Add(bytes.Repeat([]byte{0x03, 10, 2, 12, 13, 0}, 10))
	f.Add(append([]byte{0x80}, bytes.Repeat([]byte{1, 6, 12, 2, 0, 64, 4, 3, 9, 1}, 10)...))
	f.Add(append([]byte{0xc0}, bytes.Repeat([]byte{2, 2, 2, 7, 1, 3, 0, 8, 1, 9}, 10)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 400 {
			return
		}
		s := &script{in}
		// The first byte takes features away, the second picks the bus.
		feats := uint64(device.AllFeatures)
		drop := s.byte()
		for i, m := range []uint64{virtio.FeatEventIdx, virtio.FeatIndirectDesc, 1 << 15, 1 << 17, 1 << 1, 1 << 0} {
			if drop>>i&1 != 0 {
				feats &^= m
			}
		}
		cpus := 1
		if drop>>7 != 0 {
			feats |= vnet.FeatMQ
			cpus = 4
		}
		r := newStackOn(t, device.Config{Features: feats, QueueMax: 64, Manual: true, Pairs: 3}, cpus)
		r.dev.Hostile().RefusePairs = drop>>6&1 != 0
		r.lax = true
		r.probe(transports[s.byte()%4], r.options())
		r.open()
		pool := r.stack.SKB().Pool()

		// Canaries: pages that are not the device's.
		var canaries []*skb.Page
		for range 32 {
			p := pool.Alloc()
			for i := range p.Bytes() {
				p.Bytes()[i] = 0xc5
			}
			canaries = append(canaries, p)
		}
		held := 0
		var kept []*skb.Buff
		r.stack.AddPack(napi.ETH_P_ALL, nil, func(b *skb.Buff, _ *napi.NetDevice) {
			// Every other packet is looked at later.
			if held++; held%2 == 0 {
				b.Consume()
				return
			}
			kept = append(kept, b)
		})
		h := r.dev.Hostile()
		h.BeforeReset = func() { h.ScribbleBuffers(0xee) }
		for range 200 {
			if len(s.p) == 0 {
				break
			}
			step(r, h, s)
			if s.byte()&1 == 0 {
				r.softirq()
			}
		}
		r.settle(time.Second)
		for _, b := range kept {
			b.CopyBits(0, make([]byte, b.Len()))
			b.Consume()
		}
		r.drv.Remove()
		r.softirq()
		for _, p := range canaries {
			for _, c := range p.Bytes() {
				if c != 0xc5 {
					t.Fatal("memory of somebody else was written")
				}
			}
			p.Put()
		}
		if n := pool.InUse(); n != 0 {
			t.Fatalf("%d pages leaked, log %q", n, r.log)
		}
		if n := r.stack.SKB().InUse(); n != 0 {
			t.Fatalf("%d skbs leaked, log %q", n, r.log)
		}
	})
}

// step does one thing of a script.
func step(r *rig, h *device.Hostile, s *script) {
	q := int(s.byte() % 3)
	switch s.byte() % 16 {
	case 0, 1: // honest frame
		r.dev.Inject(device.Hdr{}, r.frame(14+int(s.u16())%9000, s.byte()))
	case 2: // packet out
		r.send(r.frame(14+int(s.u16())%9000, 0), 14+int(s.byte()))
	case 3: // used entry from nowhere
		h.Used(q, s.id(), s.u32()%0x2000)
	case 4:
		h.Used(q, s.u32(), s.u32())
	case 5:
		h.UsedIndex(q, s.u16())
	case 6: // frame with a header of the script's
		id, in, ok := h.Take(device.QueueRX)
		if !ok {
			return
		}
		p := make([]byte, 12+60)
		for i := range 12 {
			p[i] = s.byte()
		}
		if s.byte()&1 == 0 {
			p[10], p[11] = s.byte()%4, 0
		}
		for i := 12; i < len(p) && len(s.p) > 20; i++ {
			p[i] = s.byte()
		}
		h.Write(device.QueueRX, id, p)
		h.Used(device.QueueRX, id, s.u32()%uint32(in+2))
	case 7: // completion of something taken
		if id, _, ok := h.Take(q); ok {
			h.Used(q, id, uint32(s.byte()%2)*s.u32())
		}
	case 8:
		r.dev.Process(device.QueueTX)
	case 9:
		h.Interrupt(q - 1)
	case 10:
		h.NeedsReset()
	case 11:
		h.Config(int(s.byte()%12), s.byte())
		h.Interrupt(-1)
	case 12:
		h.Event(q, s.u16(), uint32(s.byte()))
	case 13:
		r.clock.advance(time.Duration(s.u16()) * time.Millisecond / 8)
	case 14:
		h.ScribbleBuffers(s.byte())
	case 15:
		switch s.byte() % 4 {
		case 0:
			h.Scribble(q, int(s.byte()), uint64(s.u32())<<32|uint64(s.u32()))
		case 1:
			h.CtrlNack = s.byte()&1 != 0
		case 2:
			r.nd.Close()
			r.nd.Open()
		case 3:
			h.ForgetHeads(q)
		}
	}
}
