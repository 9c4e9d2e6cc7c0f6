package net_test

import (
	"bytes"
	"fmt"
	"strings"
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
		b := r.buff(r.frame(100, 0), 100)
		b.Sk = &ended
		b.Destructor = func(b *skb.Buff) { *b.Sk.(*int)++ }
		if err := r.stack.DevQueueXmit(b); err != nil {
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

func TestLink_configurationInterrupt_carrierFollows(t *testing.T) {
	for _, tr := range transports {
		r := newRig(t, device.Config{Features: device.AllFeatures}, tr)
		if !r.nd.CarrierOK() {
			t.Fatal("no carrier on an open interface with a link")
		}
		r.dev.SetLink(false, false)
		r.settle(time.Millisecond)
		if r.nd.CarrierOK() {
			t.Fatalf("%s: carrier after the link went down", tr)
		}
		r.dev.SetLink(true, false)
		r.settle(time.Millisecond)
		if !r.nd.CarrierOK() {
			t.Fatalf("%s: no carrier after the link came up", tr)
		}
	}
}

func TestLink_noStatusFeature_alwaysUp(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures &^ vnet.FeatStatus, LinkDown: true}, "mmio")
	if !r.nd.CarrierOK() {
		t.Fatal("no carrier")
	}
}

func TestAnnounce_requested_acknowledgedOnceDone(t *testing.T) {
	r := newStack(t, device.Config{Features: device.AllFeatures})
	o := r.options()
	called := make(chan *napi.NetDevice, 1)
	o.Announce = func(d *napi.NetDevice) { called <- d }
	r.probe("pci", o)
	r.open()
	r.dev.SetLink(true, true)
	r.settle(time.Millisecond)
	if d := <-called; d != r.nd {
		t.Fatal("announcement of another interface")
	}
	if r.dev.AnnounceAcks() != 1 {
		t.Fatalf("%d acknowledgements", r.dev.AnnounceAcks())
	}
}

func TestControl_rxModeAndAddress_reachTheDeviceAndSurviveReset(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	if r.dev.Promisc.Load() || !r.dev.Allmulti.Load() {
		t.Fatal("filter as set up is not: own address and all multicast")
	}
	if err := r.drv.SetRxMode(true, false); err != nil {
		t.Fatal(err)
	}
	mac := [6]byte{2, 1, 2, 3, 4, 5}
	if err := r.nd.SetHardwareAddr(mac); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !r.dev.Promisc.Load() || r.dev.Allmulti.Load() || r.dev.CtrlMAC() != mac {
			t.Fatalf("device has promisc %v, allmulti %v, address %x", r.dev.Promisc.Load(), r.dev.Allmulti.Load(), r.dev.CtrlMAC())
		}
		r.dev.Promisc.Store(false)
		r.dev.Allmulti.Store(true)
		r.nd.Close()
		r.open()
	}
}

func TestControl_refused_addressStays(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	old := r.nd.HardwareAddr()
	r.dev.Hostile().CtrlNack = true
	if err := r.nd.SetHardwareAddr([6]byte{2, 1, 2, 3, 4, 5}); err == nil {
		t.Fatal("a refused address was taken")
	}
	if r.nd.HardwareAddr() != old {
		t.Fatal("address changed")
	}
	if s := r.drv.Stats(); s.Broken != 0 {
		t.Fatal("a refusal broke the device")
	}
}

func TestOpen_twice_noMemoryBetween(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "pci")
	got := r.receive()
	for i := range 3 {
		r.dev.Inject(device.Hdr{}, r.frame(100, byte(i)))
		r.softirq()
		if len(*got) != i+1 {
			t.Fatalf("round %d: %d frames", i, len(*got))
		}
		r.nd.Close()
		if n := r.stack.SKB().Pool().InUse(); n != 0 {
			t.Fatalf("closed interface holds %d pages", n)
		}
		if r.dev.Live() {
			t.Fatal("device of a closed interface is live")
		}
		r.open()
	}
}

// Refusals, each with what to do about it.
func TestProbe_impossibleDevice_refusedWithReason(t *testing.T) {
	for _, c := range []struct {
		name, want string
		cfg        device.Config
		set        func(r *rig, o *vnet.Options)
	}{
		{name: "noVersion1", cfg: device.Config{Features: device.AllFeatures &^ virtio.FeatVersion1}, want: "force-legacy=false"},
		{name: "featuresRefused", cfg: device.Config{Features: device.AllFeatures}, want: "device refuses",
			set: func(r *rig, o *vnet.Options) { r.dev.Hostile().RefuseFeatures = true }},
		{name: "tinyMTU", cfg: device.Config{Features: device.AllFeatures, MTU: 67}, want: "MTU of 67"},
		{name: "jumboWithoutMerge", cfg: device.Config{Features: device.AllFeatures &^ vnet.FeatMrgRxbuf, MTU: 9000}, want: "merged receive buffers"},
		{name: "noQueue", cfg: device.Config{Features: device.AllFeatures, QueueMax: -1}, want: "queue of 0 descriptors"},
		{name: "hugeQueue", cfg: device.Config{Features: device.AllFeatures, QueueMax: 1 << 16}, want: "65536 descriptors"},
		{name: "tinyQueue", cfg: device.Config{Features: device.AllFeatures, QueueMax: 2}, want: "2 descriptors"},
		{name: "unstableConfig", cfg: device.Config{Features: device.AllFeatures}, want: "changed during",
			set: func(r *rig, o *vnet.Options) { r.dev.Hostile().UnstableConfig = true }},
		{name: "noReset", cfg: device.Config{Features: device.AllFeatures}, want: "reset",
			set: func(r *rig, o *vnet.Options) { r.dev.Hostile().IgnoreReset = true }},
		{name: "unmappedPool", cfg: device.Config{Features: device.AllFeatures}, want: "not mapped",
			set: func(r *rig, o *vnet.Options) { o.Map = nil }},
		{name: "ringSize", cfg: device.Config{Features: device.AllFeatures}, want: "ring size 3",
			set: func(r *rig, o *vnet.Options) { o.RingSize = 3 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newStack(t, c.cfg)
			o := r.options()
			if c.set != nil {
				c.set(r, &o)
			}
			_, err := vnet.Probe(r.transport("mmio"), r.stack, o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if len(r.stack.Devs()) != 0 {
				t.Fatal("a refused device is registered")
			}
		})
	}
}

// A queue size that is no power of two is cut to one.
func TestProbe_oddQueueSize_cutToPowerOfTwo(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, QueueMax: 100}, "mmio")
	got := r.receive()
	n := 0
	for r.dev.Inject(device.Hdr{}, r.frame(60, 0)) {
		n++
	}
	r.softirq()
	if n != 64 || len(*got) != 64 {
		t.Fatalf("ring took %d, stack got %d", n, len(*got))
	}
}

func TestProbe_featureWithoutWhatItNeeds_notTaken(t *testing.T) {
	for _, c := range []struct{ without, gone uint64 }{
		{vnet.FeatMrgRxbuf, vnet.FeatGuestTSO4 | vnet.FeatGuestECN},
		{vnet.FeatCSUM, vnet.FeatHostTSO4 | vnet.FeatHostECN},
		{vnet.FeatGuestCSUM, vnet.FeatGuestTSO4 | vnet.FeatGuestECN},
		{vnet.FeatCtrlVQ, vnet.FeatCtrlRX | vnet.FeatCtrlMACAddr | vnet.FeatGuestAnnounce},
		{0, vnet.FeatGuestAnnounce}, // nobody to announce it
	} {
		r := newRig(t, device.Config{Features: device.AllFeatures &^ c.without}, "mmio")
		want := device.AllFeatures &^ c.without &^ c.gone &^ vnet.FeatGuestAnnounce
		if f := r.dev.Features(); f != want {
			t.Errorf("without %#x: accepted %#x, want %#x", c.without, f, want)
		}
	}
}

func TestProbe_identity_taken(t *testing.T) {
	mac := [6]byte{0x52, 0x54, 0, 9, 8, 7}
	r := newRig(t, device.Config{Features: device.AllFeatures, MAC: mac, MTU: 1400}, "pci")
	if r.nd.HardwareAddr() != mac || r.nd.MTU() != 1400 || r.nd.MaxMTU != 1400 || r.nd.Name() != "eth0" {
		t.Fatalf("address %x, MTU %d (at most %d), name %s", r.nd.HardwareAddr(), r.nd.MTU(), r.nd.MaxMTU, r.nd.Name())
	}
	r = newRig(t, device.Config{Features: device.AllFeatures &^ (vnet.FeatMAC | vnet.FeatMTU), MTU: 9}, "pci")
	if a := r.nd.HardwareAddr(); a[0] != 0x5a|2 || r.nd.MTU() != 1500 || r.dev.CtrlMAC() != a {
		t.Fatalf("made-up address %x, on the device %x, MTU %d", a, r.dev.CtrlMAC(), r.nd.MTU())
	}
	r = newRig(t, device.Config{Features: device.AllFeatures, MAC: [6]byte{1, 2, 3, 4, 5, 6}}, "pci")
	if a := r.nd.HardwareAddr(); a[0]&1 != 0 {
		t.Fatalf("multicast address %x taken", a)
	}
}
