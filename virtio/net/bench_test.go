package net_test

import (
	"fmt"
	"testing"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
)

// txBuff makes a packet without allocating.
func (r *rig) txBuff(n int) *skb.Buff {
	b := r.stack.SKB().Alloc(n + 128)
	b.Reserve(128)
	b.Put(n)
	b.Dev = r.nd
	return b
}

var hotFeatures = map[string]uint64{
	"all":         device.AllFeatures,
	"no event":    device.AllFeatures &^ virtio.FeatEventIdx,
	"no indirect": device.AllFeatures &^ virtio.FeatIndirectDesc,
}

func TestReceive_steadyState_noAllocation(t *testing.T) {
	for name, feats := range hotFeatures {
		for _, size := range []int{60, 1514, 9014} {
			r := newRig(t, device.Config{Features: feats}, "pci")
			n := 0
			r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) { n++; b.Consume() })
			frames := make([][]byte, 16)
			for i := range frames {
				frames[i] = r.frame(size, byte(i))
			}
			run := func() {
				r.dev.InjectBatch(device.Hdr{}, frames)
				r.stack.SoftNet().DoSoftirq()
			}
			for range 100 {
				run()
			}
			if a := testing.AllocsPerRun(200, run); a != 0 {
				t.Errorf("%s, %d bytes: %v allocations for 16 frames", name, size, a)
			}
			if n != 301*16 {
				t.Errorf("%d frames received", n)
			}
		}
	}
}

func TestTransmit_steadyState_noAllocation(t *testing.T) {
	for name, feats := range hotFeatures {
		for _, cloned := range []bool{false, true} {
			n := 0
			r := newRig(t, device.Config{Features: feats, Transmit: func(device.Hdr, []byte) { n++ }}, "mmio")
			run := func() {
				b := r.txBuff(1000)
				if cloned {
					c := b.Clone()
					defer c.Consume()
				}
				r.stack.DevQueueXmit(b)
			}
			for range 600 {
				run()
			}
			if a := testing.AllocsPerRun(500, run); a != 0 {
				t.Errorf("%s, cloned %v: %v allocations a packet", name, cloned, a)
			}
			if n != 1101 {
				t.Errorf("%d packets transmitted", n)
			}
		}
	}
}

// The figures include the device model, which copies every transmitted and
// injected frame once.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{60, 1514} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			r := newRig(b, device.Config{Features: device.AllFeatures}, "pci")
			r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) { b.Consume() })
			frames := make([][]byte, 32)
			for i := range frames {
				frames[i] = r.frame(size, byte(i))
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(frames) {
				r.dev.InjectBatch(device.Hdr{}, frames)
				r.stack.SoftNet().DoSoftirq()
			}
		})
	}
}

func BenchmarkTransmit(b *testing.B) {
	for _, size := range []int{60, 1514} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			r := newRig(b, device.Config{Features: device.AllFeatures}, "pci")
			b.ReportAllocs()
			for range b.N {
				r.stack.DevQueueXmit(r.txBuff(size))
			}
		})
	}
}

// BenchmarkTransmitBatch is the driver's part alone: 32 packets per call.
func BenchmarkTransmitBatch(b *testing.B) {
	r := newRig(b, device.Config{Features: device.AllFeatures}, "pci")
	batch := make([]*skb.Buff, 32)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(batch) {
		for k := range batch {
			batch[k] = r.txBuff(60)
		}
		if n := r.drv.StartXmit(r.nd, r.nd.TxQueues[0], batch); n != len(batch) {
			b.Fatalf("took %d", n)
		}
	}
}
