package net_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
)

// broken waits for the driver to have noticed and recovered, and checks that
// the device is in service again.
func (r *rig) broken(want string) {
	r.t.Helper()
	before := r.dev.Resets.Load()
	r.softirq()
	if s := r.drv.Stats(); s.Broken != 1 {
		r.t.Fatalf("broken %d times, log %q", s.Broken, r.log)
	}
	if r.nd.CarrierOK() {
		r.t.Error("broken device has a carrier")
	}
	if len(r.log) != 1 || !strings.Contains(r.log[0], want) {
		r.t.Errorf("log is %q, want one line with %q", r.log, want)
	}
	r.settle(time.Millisecond)
	if r.dev.Resets.Load() == before {
		r.t.Error("broken device was not reset")
	}
	if s := r.drv.Stats(); s.Recovered != 1 || !r.nd.CarrierOK() {
		r.t.Fatalf("not recovered: %+v, log %q", s, r.log)
	}
	r.works()
}

// works passes a frame each way.
func (r *rig) works() {
	r.t.Helper()
	got := r.receive()
	f := r.frame(100, 9)
	if !r.dev.Inject(device.Hdr{}, f) {
		r.t.Fatal("no receive buffers")
	}
	r.softirq()
	if len(*got) != 1 || !bytes.Equal((*got)[0], f) {
		r.t.Fatal("frame not received")
	}
	n := r.nd.GetStats().TxPackets
	if err := r.send(f, 50); err != nil {
		r.t.Fatal(err)
	}
	if r.nd.GetStats().TxPackets != n+1 {
		r.t.Fatal("frame not transmitted")
	}
}

func TestHostile_lieOnTheReceiveRing_brokenResetAndBack(t *testing.T) {
	short := make([]byte, 64)
	short[10] = 1
	for _, c := range []struct {
		name, want string
		lie        func(h *device.Hostile)
	}{
		{"idOutOfRange", "used id 256", func(h *device.Hostile) { h.Used(device.QueueRX, 256, 60) }},
		{"idHuge", "used id 4294967295", func(h *device.Hostile) { h.Used(device.QueueRX, 0xffffffff, 60) }},
		{"idTwice", "not outstanding", func(h *device.Hostile) {
			id, _, _ := h.Take(device.QueueRX)
			h.Write(device.QueueRX, id, short)
			h.Used(device.QueueRX, id, 64)
			h.Used(device.QueueRX, id, 64)
		}},
		{"lengthPastBuffer", "buffer holds", func(h *device.Hostile) {
			id, in, _ := h.Take(device.QueueRX)
			h.Used(device.QueueRX, id, uint32(in)+1)
		}},
		{"lengthHuge", "buffer holds", func(h *device.Hostile) {
			id, _, _ := h.Take(device.QueueRX)
			h.Used(device.QueueRX, id, 0xffffffff)
		}},
		{"indexJumps", "used index", func(h *device.Hostile) { h.UsedIndex(device.QueueRX, 257) }},
		{"indexBackwards", "used index", func(h *device.Hostile) { h.UsedIndex(device.QueueRX, 0xffff) }},
		{"indexWithoutEntries", "not outstanding", func(h *device.Hostile) {
			// 256 entries that all name descriptor 0.
			h.UsedIndex(device.QueueRX, 256)
		}},
		{"numBuffersZero", "frame of 0 buffers", func(h *device.Hostile) { rawFrame(h, 0, 64) }},
		{"numBuffersMissing", "frame of 2 buffers, 0 more", func(h *device.Hostile) { rawFrame(h, 2, 64) }},
		{"numBuffersHuge", "frame of 65535 buffers", func(h *device.Hostile) { rawFrame(h, 0xffff, 64) }},
		{"needsReset", "asks for a reset", func(h *device.Hostile) { h.NeedsReset() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tr := range []string{"mmio", "pci"} {
				r := newRig(t, device.Config{Features: device.AllFeatures}, tr)
				c.lie(r.dev.Hostile())
				r.dev.Hostile().Interrupt(device.QueueRX)
				if c.name == "needsReset" {
					r.clock.advance(0)
					r.settle(time.Millisecond)
					if s := r.drv.Stats(); s.Recovered != 1 {
						t.Fatalf("%+v, log %q", s, r.log)
					}
					r.works()
					continue
				}
				r.broken(c.want)
			}
		})
	}
}

// rawFrame uses one receive buffer for a header with that num_buffers.
func rawFrame(h *device.Hostile, nbufs uint16, n uint32) {
	p := make([]byte, n)
	p[10], p[11] = byte(nbufs), byte(nbufs>>8)
	id, _, _ := h.Take(device.QueueRX)
	h.Write(device.QueueRX, id, p)
	h.Used(device.QueueRX, id, n)
}

func TestHostile_lieOnTheTransmitRing_brokenResetAndBack(t *testing.T) {
	for _, c := range []struct {
		name, want string
		lie        func(h *device.Hostile)
	}{
		{"idOutOfRange", "used id 999", func(h *device.Hostile) { h.Used(device.QueueTX, 999, 0) }},
		{"idNotOutstanding", "not outstanding", func(h *device.Hostile) { h.Used(device.QueueTX, 200, 0) }},
		{"indexJumps", "used index", func(h *device.Hostile) { h.UsedIndex(device.QueueTX, 1000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "mmio")
			for i := range 10 {
				r.send(r.frame(100, byte(i)), 100)
			}
			c.lie(r.dev.Hostile())
			// Noticed by the next transmit, which is lost with the others.
			r.send(r.frame(100, 0), 100)
			r.broken(c.want)
		})
	}
}

// Frames that are merely wrong are dropped and counted; the device works on.
func TestHostile_wrongFrames_droppedWithoutReset(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	h := r.dev.Hostile()
	for n := uint32(0); n < 12+14; n++ {
		rawFrame2(h, 1, int(n))
	}
	// Frames of more buffers than a packet can have fragments.
	p := make([]byte, 64)
	for _, n := range []int{skb.MaxFrags + 2, 40} {
		p[10] = byte(n)
		for range n {
			id, _, _ := h.Take(device.QueueRX)
			h.Write(device.QueueRX, id, p)
			h.Used(device.QueueRX, id, 64)
		}
	}
	// An empty buffer in the middle of a frame.
	p[10] = 3
	for _, n := range []uint32{64, 0, 64} {
		id, _, _ := h.Take(device.QueueRX)
		h.Write(device.QueueRX, id, p)
		h.Used(device.QueueRX, id, n)
	}
	h.Interrupt(device.QueueRX)
	r.softirq()
	if s := r.nd.GetStats(); s.RxLengthErrors != 29 || s.RxErrors != 29 || s.RxPackets != 0 {
		t.Fatalf("%+v", s)
	}
	if r.drv.Stats().Broken != 0 {
		t.Fatalf("log %q", r.log)
	}
	r.works()
}

func rawFrame2(h *device.Hostile, nbufs byte, n int) {
	p := make([]byte, max(n, 12))
	p[10] = nbufs
	id, _, _ := h.Take(device.QueueRX)
	h.Write(device.QueueRX, id, p)
	h.Used(device.QueueRX, id, uint32(n))
}

// Interrupts without a cause, thousands of them, change nothing.
func TestHostile_interruptStorm_harmless(t *testing.T) {
	for _, tr := range transports {
		r := newRig(t, device.Config{Features: device.AllFeatures}, tr)
		h := r.dev.Hostile()
		for range 5000 {
			h.Interrupt(device.QueueRX)
			h.Interrupt(device.QueueTX)
			h.Interrupt(-1)
		}
		r.settle(time.Millisecond)
		r.works()
		r.nd.Close()
		h.Interrupt(device.QueueRX)
		h.Interrupt(-1)
		r.settle(time.Millisecond)
	}
}

// A device may write into posted buffers until it has confirmed its reset, so
// none of them may be anywhere else before that.
func TestHostile_writesUntilResetIsOver_nobodyElseSeesIt(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	h := r.dev.Hostile()
	pool := r.stack.SKB().Pool()
	scribbled := 0
	h.BeforeReset = func() {
		// Whatever the pool would hand out now is not the device's.
		var pages []*skb.Page
		for range 200 {
			p := pool.Alloc()
			if p == nil {
				break
			}
			for i := range p.Bytes() {
				p.Bytes()[i] = 0x11
			}
			pages = append(pages, p)
		}
		scribbled += h.ScribbleBuffers(0xee)
		for _, p := range pages {
			if bytes.IndexByte(p.Bytes(), 0xee) >= 0 {
				t.Error("a free page is still posted to the device")
			}
			p.Put()
		}
	}
	got := r.receive()
	for i := range 20 {
		r.dev.Inject(device.Hdr{}, r.frame(100, byte(i)))
	}
	h.Used(device.QueueRX, 999, 0)
	h.Interrupt(device.QueueRX)
	r.softirq()
	r.settle(time.Millisecond)
	if scribbled < 200 {
		t.Fatalf("only %d buffers were posted", scribbled)
	}
	for i, f := range *got {
		if !bytes.Equal(f, r.frame(100, byte(i))) {
			t.Fatal("a received frame was overwritten")
		}
	}
	h.BeforeReset = nil
}

// A device that never confirms its reset keeps its buffers for good.
func TestHostile_resetNotConfirmed_buffersStayOut(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	h := r.dev.Hostile()
	h.IgnoreReset = true
	r.nd.Close()
	if n := r.stack.SKB().Pool().InUse(); n != 256 || r.drv.Stats().HeldPages != 256 {
		t.Fatalf("%d pages out, %d counted as held, want 256", n, r.drv.Stats().HeldPages)
	}
	if err := r.nd.Open(); err == nil {
		t.Fatal("a device that was not reset is given more memory")
	}
	// Once it comes to its senses everything is as before.
	h.IgnoreReset = false
	r.open()
	if r.drv.Stats().HeldPages != 0 {
		t.Fatal("pages still held")
	}
	r.works()
}

// A device that breaks each time is given up, and tried again by hand.
func TestHostile_breaksAgainAndAgain_givenUp(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "pci")
	h := r.dev.Hostile()
	for range 20 {
		h.Used(device.QueueRX, 999, 0)
		h.Interrupt(device.QueueRX)
		r.settle(3 * time.Second / 2)
	}
	s := r.drv.Stats()
	if s.Broken != 6 || s.Recovered != 5 || r.nd.CarrierOK() || r.dev.Live() {
		t.Fatalf("%+v, carrier %v, live %v, log %q", s, r.nd.CarrierOK(), r.dev.Live(), r.log)
	}
	if n := r.stack.SKB().Pool().InUse(); n != 0 {
		t.Fatalf("a device given up holds %d pages", n)
	}
	if err := r.send(r.frame(60, 0), 60); err != nil {
		t.Fatalf("transmit without carrier: %v", err) // as Linux: dropped silently
	}
	r.nd.Close()
	r.open()
	r.works()
}

// What waits behind a full ring when the device dies is dropped, not kept for a
// recovery that does not come.
func TestHostile_breaksWithFullQueueForGood_queueEmptied(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "mmio")
	for i := range 300 {
		r.send(r.frame(60, byte(i)), 60)
	}
	q := r.nd.TxQueues[0]
	if !q.Stopped() || q.Len() == 0 {
		t.Fatal("nothing waits")
	}
	h := r.dev.Hostile()
	h.IgnoreReset = true
	h.Used(device.QueueTX, 999, 0)
	h.Interrupt(device.QueueTX)
	r.settle(time.Minute)
	if q.Len() != 0 {
		t.Errorf("%d packets wait for a dead device", q.Len())
	}
	h.IgnoreReset = false
	r.nd.Close()
	r.open() // takes the memory back
	r.works()
}

// Other features, or smaller rings, after a reset: the stack was told
// otherwise, so the device stays down.
func TestHostile_otherDeviceAfterReset_notTaken(t *testing.T) {
	for name, change := range map[string]func(h *device.Hostile){
		"features": func(h *device.Hostile) { h.Features(virtio.FeatVersion1) },
		"queue":    func(h *device.Hostile) { h.QueueMax(16) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, device.Config{Features: device.AllFeatures}, "pci")
			change(r.dev.Hostile())
			r.dev.Hostile().NeedsReset()
			r.settle(time.Minute)
			if r.nd.CarrierOK() || r.drv.Stats().Recovered != 0 {
				t.Fatal("device is in service")
			}
			if n := r.stack.SKB().Pool().InUse(); n != 0 {
				t.Fatalf("%d pages out", n)
			}
		})
	}
}

func TestHostile_notifyRegisterOutsideBAR_refused(t *testing.T) {
	r := newStack(t, device.Config{Features: device.AllFeatures})
	r.dev.Hostile().NotifyOff = 0x400
	r.probe("pci", r.options())
	if err := r.nd.Open(); err == nil || !strings.Contains(err.Error(), "input/output") || !strings.Contains(err.Error(), "notify register") {
		t.Fatalf("error %v", err)
	}
}

func TestHostile_controlQueueSilent_timesOut(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	r.dev.Hostile().CtrlMute = true
	err := r.drv.SetRxMode(true, true)
	if err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Fatalf("error %v", err)
	}
	r.dev.Hostile().CtrlMute = false
	r.settle(time.Millisecond)
	if r.drv.Stats().Recovered != 1 || !r.dev.Promisc.Load() {
		t.Fatalf("%+v, log %q", r.drv.Stats(), r.log)
	}
	r.works()
}

// A device that takes packets and never completes one is noticed.
func TestHostile_noTransmitCompletion_watchdogResets(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "mmio")
	for i := range 300 {
		r.send(r.frame(60, byte(i)), 60)
	}
	if !r.nd.TxQueues[0].Stopped() {
		t.Fatal("queue is not stopped")
	}
	r.settle(10 * time.Second)
	if s := r.drv.Stats(); s.Broken != 1 || s.Recovered != 1 {
		t.Fatalf("%+v, log %q", s, r.log)
	}
	if r.nd.TxQueues[0].Stopped() || r.nd.TxQueues[0].Len() != 0 {
		t.Fatal("packets are stuck in the queue")
	}
	r.works()
}

// Packets that were in flight are dropped for the right reason.
func TestHostile_resetInFlight_packetsCounted(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "pci")
	for i := range 7 {
		r.send(r.frame(60, byte(i)), 60)
	}
	r.dev.Hostile().NeedsReset()
	r.settle(time.Millisecond)
	if n := r.stack.SKB().Drops(skb.DeviceBroken); n != 7 {
		t.Fatalf("%d dropped", n)
	}
}

// What the device scribbles over the driver's parts of the ring hurts only the
// device.
func TestHostile_ringScribbled_driverUnmoved(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "mmio")
	r.lax = true // the device trips over its own scribbling
	for i := range 50 {
		r.send(r.frame(60, byte(i)), 60)
	}
	for at := range 256 {
		r.dev.Hostile().Scribble(device.QueueTX, at, 0x0123456789abcdef*uint64(at+1))
		r.dev.Hostile().Scribble(device.QueueRX, at, 0xfedcba9876543210*uint64(at+1))
	}
	r.dev.Hostile().Interrupt(device.QueueRX)
	r.settle(time.Second)
	r.nd.Close()
	if n := r.stack.SKB().Pool().InUse(); n != 0 {
		t.Fatalf("%d pages leaked", n)
	}
}
