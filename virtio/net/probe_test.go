package net_test

import (
	"strings"
	"testing"
	"time"

	"barewire/napi"
	"barewire/virtio"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

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
		{vnet.FeatCtrlVQ, vnet.FeatCtrlRX | vnet.FeatCtrlMACAddr | vnet.FeatGuestAnnounce | vnet.FeatNotfCoal},
	} {
		r := newRig(t, device.Config{Features: device.AllFeatures &^ c.without}, "mmio")
		want := device.AllFeatures &^ c.without &^ c.gone
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
