package net_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

var transports = []string{"mmio", "pci", "pci-shared", "pci-intx"}

// echo sends back what the stack receives, address fields swapped.
func (r *rig) echo() {
	r.stack.AddPack(testType, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		b.Push(14)
		if !b.Cow(0) {
			b.Free(skb.NoMem)
			return
		}
		p := b.Data()
		var a [6]byte
		copy(a[:], p)
		copy(p, p[6:12])
		copy(p[6:], a[:])
		b.Dev = dev
		r.stack.DevQueueXmit(b)
	})
}

func TestEcho_everyFeatureSetAndTransport_byteForByte(t *testing.T) {
	base := virtio.FeatVersion1 | vnet.FeatMAC
	opts := []struct {
		name string
		feat uint64
	}{
		{"mrg", vnet.FeatMrgRxbuf}, {"event", virtio.FeatEventIdx}, {"indirect", virtio.FeatIndirectDesc},
		{"csum", vnet.FeatCSUM | vnet.FeatGuestCSUM | vnet.FeatHostTSO4 | vnet.FeatGuestTSO4},
		{"ctrl", vnet.FeatCtrlVQ | vnet.FeatCtrlRX | vnet.FeatCtrlMACAddr | vnet.FeatStatus},
	}
	for _, tr := range transports {
		for set := range 1 << len(opts) {
			feats, name := uint64(base), tr
			for i, o := range opts {
				if set>>i&1 != 0 {
					feats |= o.feat
					name += "," + o.name
				}
			}
			t.Run(name, func(t *testing.T) {
				tx, frames, _ := capture()
				r := newRig(t, device.Config{Features: feats, Transmit: tx, Paranoid: true}, tr)
				r.echo()
				sizes := []int{14, 60, 61, 590, 1514, 4030, 4031}
				if feats&vnet.FeatMrgRxbuf != 0 {
					sizes = append(sizes, 4043, 8072, 8073, 9014, 20000, 65535, 65549)
				}
				for i, n := range sizes {
					if n == 4031 && feats&vnet.FeatMrgRxbuf == 0 {
						continue
					}
					in := r.frame(n, byte(i))
					if !r.dev.Inject(device.Hdr{}, in) {
						t.Fatalf("%d bytes: no room", n)
					}
					r.softirq()
					if len(*frames) != 1 {
						t.Fatalf("%d bytes: %d frames came back", n, len(*frames))
					}
					out := (*frames)[0]
					want := bytes.Clone(in)
					copy(want, in[6:12])
					copy(want[6:], in[:6])
					if !bytes.Equal(out, want) {
						t.Fatalf("%d bytes: differ", n)
					}
					*frames = nil
				}
			})
		}
	}
}

func TestReceive_ringWrapsPast65536_allInOrder(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, QueueMax: 64}, "mmio")
	next := uint32(0)
	r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) {
		p := b.Data()
		if got := uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16; got != next {
			t.Fatalf("frame %d, want %d", got, next)
		}
		next++
		b.Consume()
	})
	f := r.frame(60, 0)
	for i := range uint32(70_000) {
		f[14], f[15], f[16] = byte(i), byte(i>>8), byte(i>>16)
		if !r.dev.Inject(device.Hdr{}, f) {
			t.Fatalf("frame %d: no room", i)
		}
		if i%3 == 2 {
			r.softirq()
		}
	}
	r.softirq()
	if next != 70_000 {
		t.Fatalf("got %d frames", next)
	}
}

func TestTransmit_ringWrapsPast65536_allInOrder(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, virtio.FeatVersion1, virtio.FeatVersion1 | virtio.FeatIndirectDesc} {
		next := uint32(0)
		r := newRig(t, device.Config{Features: feats, QueueMax: 64, Transmit: func(h device.Hdr, p []byte) {
			if got := uint32(p[14]) | uint32(p[15])<<8 | uint32(p[16])<<16; got != next {
				t.Fatalf("frame %d, want %d", got, next)
			}
			next++
		}}, "pci")
		f := r.frame(60, 0)
		for i := range uint32(70_000) {
			f[14], f[15], f[16] = byte(i), byte(i>>8), byte(i>>16)
			if err := r.send(f, 20+int(i%50)); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
		if next != 70_000 {
			t.Fatalf("device got %d frames", next)
		}
	}
}

// A device that takes its time: the ring fills, the queue stops, completions
// wake it, and nothing is lost or reordered on the way.
func TestTransmit_slowDevice_queueStopsAndWakes(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx,
		device.AllFeatures &^ virtio.FeatIndirectDesc, virtio.FeatVersion1} {
		t.Run(fmt.Sprintf("%#x", feats), func(t *testing.T) {
			next := uint32(0)
			r := newRig(t, device.Config{Features: feats, QueueMax: 32, Manual: true, Transmit: func(h device.Hdr, p []byte) {
				if got := uint32(p[14]) | uint32(p[15])<<8; got != next {
					t.Fatalf("frame %d, want %d", got, next)
				}
				next++
			}}, "mmio")
			f := r.frame(5000, 0)
			const total = 400
			for i := range uint32(total) {
				f[14], f[15] = byte(i), byte(i>>8)
				if err := r.send(f, 40); err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
			}
			if !r.nd.TxQueues[0].Stopped() {
				t.Fatal("queue of a full ring is not stopped")
			}
			for range total {
				r.dev.Process(device.QueueTX)
				r.softirq()
			}
			if next != total {
				t.Fatalf("device got %d of %d frames, %d wait", next, total, r.nd.TxQueues[0].Len())
			}
			if r.nd.TxQueues[0].Stopped() {
				t.Fatal("queue of an empty ring is stopped")
			}
		})
	}
}

// A sock that waits for its packets to be sent gets them back without another
// transmit or receive coming along.
func TestTransmit_packetWithDestructor_completionInterrupts(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx} {
		r := newRig(t, device.Config{Features: feats, Manual: true}, "pci")
		ended := 0
		if err := r.stack.DevQueueXmit(r.owned(&ended)); err != nil {
			t.Fatal(err)
		}
		r.softirq()
		if ended != 0 {
			t.Fatal("packet ended before it was sent")
		}
		r.dev.Process(device.QueueTX)
		r.softirq()
		if ended != 1 {
			t.Fatalf("features %#x: packet ended %d times", feats, ended)
		}
	}
}

// owned makes a packet that counts its end.
func (r *rig) owned(ended *int) *skb.Buff {
	b := r.buff(r.frame(100, 0), 100)
	b.Sk = ended
	b.Destructor = func(b *skb.Buff) { *b.Sk.(*int)++ }
	return b
}

// A device may complete in any order (2.7.8): each packet ends when it is done.
func TestTransmit_completedOutOfOrder_eachPacketItsOwn(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, Manual: true}, "pci")
	ended := make([]int, 8)
	var ids []uint32
	for i := range ended {
		if err := r.stack.DevQueueXmit(r.owned(&ended[i])); err != nil {
			t.Fatal(err)
		}
		id, _, ok := r.dev.Hostile().Take(device.QueueTX)
		if !ok {
			t.Fatal("not on the ring")
		}
		ids = append(ids, id)
	}
	for n, i := range []int{7, 0, 3, 4, 1, 6, 5, 2} {
		r.dev.Hostile().Used(device.QueueTX, ids[i], 0)
		r.dev.Hostile().Interrupt(device.QueueTX)
		r.softirq()
		sum := 0
		for _, e := range ended {
			sum += e
		}
		if ended[i] != 1 || sum != n+1 {
			t.Fatalf("packet %d completed, ended are %v", i, ended)
		}
	}
}

// The device is so quick that the packet is sent before the driver has asked
// for an interrupt: there will be none, and nobody may wait for it.
func TestTransmit_sentBeforeInterruptAskedFor_completed(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx} {
		r := newRig(t, device.Config{Features: feats, Manual: true}, "mmio")
		ended, once := 0, true
		r.barrier = func() { // that of Publish
			if once {
				once = false
				r.dev.Process(device.QueueTX)
			}
		}
		if err := r.stack.DevQueueXmit(r.owned(&ended)); err != nil {
			t.Fatal(err)
		}
		r.softirq()
		if once || ended != 1 {
			t.Fatalf("features %#x: packet ended %d times", feats, ended)
		}
	}
}

// The same inside a poll, after it collected completions.
func TestPoll_sentBetweenCollectAndUnmask_completed(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx} {
		r := newRig(t, device.Config{Features: feats, Manual: true}, "mmio")
		ended := 0
		r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) {
			b.Consume()
			r.dev.Process(device.QueueTX)
		})
		if err := r.stack.DevQueueXmit(r.owned(&ended)); err != nil {
			t.Fatal(err)
		}
		r.dev.Inject(device.Hdr{}, r.frame(60, 0))
		r.softirq()
		if ended != 1 {
			t.Fatalf("features %#x: packet ended %d times", feats, ended)
		}
	}
}

// Packets nobody waits for ask for no interrupt.
func TestTransmit_packetsWithoutDestructor_noInterrupt(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "pci")
	before := r.dev.Interrupts.Load()
	for i := range 100 {
		if err := r.send(r.frame(100, byte(i)), 100); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.dev.Interrupts.Load() - before; n != 0 {
		t.Fatalf("%d interrupts for 100 packets", n)
	}
}

// The header goes in front of a private packet and beside a shared one.
func TestTransmit_clonedPacket_headroomUntouched(t *testing.T) {
	tx, frames, _ := capture()
	r := newRig(t, device.Config{Features: device.AllFeatures, Transmit: tx}, "mmio")
	f := r.frame(200, 1)
	b := r.buff(f, 200)
	copy(b.Push(14), "do not touch..")
	b.Pull(14)
	c := b.Clone()
	if err := r.stack.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	if got := string(c.Push(14)); got != "do not touch.." {
		t.Fatalf("headroom of the clone is %q", got)
	}
	c.Consume()
	if len(*frames) != 1 || !bytes.Equal((*frames)[0], f) {
		t.Fatal("frame differs")
	}
}

func TestTransmit_noHeadroom_headerInItsOwnSegment(t *testing.T) {
	tx, frames, _ := capture()
	r := newRig(t, device.Config{Features: device.AllFeatures, Transmit: tx}, "mmio")
	f := r.frame(200, 1)
	b := r.stack.SKB().Alloc(300)
	b.PutData(f)
	b.Dev = r.nd
	if err := r.stack.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	if len(*frames) != 1 || !bytes.Equal((*frames)[0], f) {
		t.Fatal("frame differs")
	}
}

// More fragments than a small ring has descriptors: the packet is made linear.
func TestTransmit_moreSegmentsThanRing_linearised(t *testing.T) {
	tx, frames, _ := capture()
	r := newRig(t, device.Config{Features: virtio.FeatVersion1 | vnet.FeatMAC, QueueMax: 4, Transmit: tx}, "mmio")
	f := r.frame(60000, 1)
	if err := r.send(f, 100); err != nil {
		t.Fatal(err)
	}
	if len(*frames) != 1 || !bytes.Equal((*frames)[0], f) {
		t.Fatal("frame differs")
	}
}

func TestNotify_batch_oneKick(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures &^ virtio.FeatEventIdx}, "mmio")
	got := r.receive()
	before := r.dev.Notified.Load()
	var fs [][]byte
	for i := range 200 {
		fs = append(fs, r.frame(60, byte(i)))
	}
	if n := r.dev.InjectBatch(device.Hdr{}, fs); n != 200 {
		t.Fatalf("room for %d", n)
	}
	r.softirq()
	if len(*got) != 200 {
		t.Fatalf("got %d frames", len(*got))
	}
	// 200 frames are four polls of 64, each refilling with one kick at most.
	if n := r.dev.Notified.Load() - before; n > 4 {
		t.Fatalf("%d notifications for 200 frames", n)
	}
}

// The classic race: a frame arrives after the poll last looked and before it
// turned interrupts on. Nobody may wait for ever.
func TestPoll_frameBetweenLastLookAndUnmask_received(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx} {
		for _, tr := range transports {
			r := newRig(t, device.Config{Features: feats, Manual: true}, tr)
			count := 0
			var again []byte
			r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) {
				count++
				b.Consume()
				// Inside the poll, after the ring was found empty: the list
				// is handed up when receive is through.
				if again != nil {
					f := again
					again = nil
					r.dev.Inject(device.Hdr{}, f)
				}
			})
			for i := range 500 {
				again = r.frame(60, byte(i))
				r.dev.Inject(device.Hdr{}, again)
				r.softirq()
				if count != 2*(i+1) {
					t.Fatalf("%s, features %#x: frame %d of %d is stuck", tr, feats, count, 2*(i+1))
				}
			}
		}
	}
}

// Injecting from another goroutine, with ksoftirqd and interrupts, in real
// concurrency: every frame arrives, and comes back.
func TestEcho_concurrentInjection_nothingStuck(t *testing.T) {
	for _, feats := range []uint64{device.AllFeatures, device.AllFeatures &^ virtio.FeatEventIdx} {
		back := make(chan struct{}, 1<<16)
		r := newRig(t, device.Config{Features: feats, Transmit: func(device.Hdr, []byte) { back <- struct{}{} }}, "pci")
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { r.stack.SoftNet().Run(stop); close(done) }()
		r.echo()
		f := r.frame(100, 0)
		const total = 20_000
		window := make(chan struct{}, 100)
		go func() {
			for range total {
				window <- struct{}{}
				for !r.dev.Inject(device.Hdr{}, f) {
					time.Sleep(10 * time.Microsecond)
				}
			}
		}()
		for i := range total {
			select {
			case <-back:
				<-window
			case <-time.After(5 * time.Second):
				t.Fatalf("features %#x: %d of %d came back, then none", feats, i, total)
			}
		}
		close(stop)
		<-done
	}
}

func TestReceive_poolEmpty_recoversByTimer(t *testing.T) {
	r := newStack(t, device.Config{Features: device.AllFeatures, QueueMax: 64})
	r.probe("mmio", r.options())
	r.open()
	// Eat the pool.
	pool := r.stack.SKB().Pool()
	var held []*skb.Page
	for p := pool.Alloc(); p != nil; p = pool.Alloc() {
		held = append(held, p)
	}
	var kept []*skb.Buff
	n := 0
	r.stack.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) { n++; kept = append(kept, b) })
	for i := range 64 {
		if !r.dev.Inject(device.Hdr{}, r.frame(60, byte(i))) {
			t.Fatalf("frame %d: no room", i)
		}
	}
	r.softirq()
	if n != 64 || r.dev.Inject(device.Hdr{}, r.frame(60, 0)) {
		t.Fatalf("%d frames, and the ring is not empty", n)
	}
	if r.drv.Stats().RxNoPage == 0 {
		t.Fatal("an empty pool is not counted")
	}
	for _, b := range kept {
		b.Consume()
	}
	for _, p := range held {
		p.Put()
	}
	r.settle(100 * time.Millisecond)
	if !r.dev.Inject(device.Hdr{}, r.frame(60, 0)) {
		t.Fatal("ring is not refilled after the pool had pages again")
	}
	r.softirq()
	for _, b := range kept[64:] {
		b.Consume()
	}
}
