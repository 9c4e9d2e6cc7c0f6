package net_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/virtio/device"
	vnet "barewire/virtio/net"
)

// counters reads the driver's counters by name, each of which is there once.
func (r *rig) counters() map[string]uint64 {
	m := map[string]uint64{}
	r.drv.DriverStats(r.nd, func(name string, v uint64) {
		if _, twice := m[name]; twice || len(name) > 31 {
			r.t.Errorf("counter %q", name)
		}
		m[name] = v
	})
	return m
}

func TestDriverStats_countWhatHappens(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	got := r.receive()
	before := r.counters()
	for i := range byte(3) {
		r.dev.Inject(device.Hdr{}, r.frame(60, i))
	}
	r.softirq()
	if err := r.send(r.frame(60, 9), 60); err != nil {
		t.Fatal(err)
	}
	r.softirq()
	now := r.counters()
	for name, want := range map[string]uint64{
		"rx_queue_0_packets": 3, "rx_queue_0_bytes": 180, "rx_queue_0_polls_of_2_3": 1, "rx_queue_0_busy_polls": 0,
		"tx_queue_0_packets": 1, "tx_queue_0_bytes": 60, "tx_queue_0_kicks": 1, "tx_queue_0_stops": 0, "interrupts": 1,
	} {
		if d := now[name] - before[name]; d != want {
			t.Errorf("%s: %d, want %d (packets %d)", name, d, want, len(*got))
		}
	}
}

// A device with NOTF_COAL is told, also after a reset, and may refuse.
func TestCoalesce_deviceIsTold(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures}, "mmio")
	if c := r.drv.Coalesce(r.nd); c != (napi.Coalesce{}) {
		t.Errorf("at first %+v", c)
	}
	want := napi.Coalesce{RxUsecs: 50, RxFrames: 16, TxUsecs: 100, TxFrames: 32}
	told := func() (c napi.Coalesce) {
		c.TxFrames, c.TxUsecs = r.dev.Coalescing(false)
		c.RxFrames, c.RxUsecs = r.dev.Coalescing(true)
		return c
	}
	if err := r.drv.SetCoalesce(r.nd, want); err != nil || told() != want || r.drv.Coalesce(r.nd) != want {
		t.Fatalf("%v; the device knows %+v, the driver %+v", err, told(), r.drv.Coalesce(r.nd))
	}
	r.nd.Close()
	if err := r.drv.SetCoalesce(r.nd, napi.Coalesce{RxUsecs: 7}); err != nil {
		t.Fatal(err)
	}
	if r.open(); told() != (napi.Coalesce{RxUsecs: 7}) {
		t.Errorf("after it was opened the device knows %+v", told())
	}
	r.dev.Hostile().CtrlNack = true
	if err := r.drv.SetCoalesce(r.nd, want); err == nil || r.drv.Coalesce(r.nd) != (napi.Coalesce{RxUsecs: 7}) {
		t.Errorf("refused: %v, %+v", err, r.drv.Coalesce(r.nd))
	}
	if s := r.drv.Stats(); s.Broken != 0 {
		t.Errorf("a refusal broke the device: %+v", s)
	}
}

// Without NOTF_COAL the driver waits itself: while packets come, they cause no
// interrupt.
func TestCoalesce_driverWaits(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures &^ vnet.FeatNotfCoal}, "mmio")
	for _, c := range []struct {
		napi.Coalesce
		want error
	}{
		{napi.Coalesce{RxUsecs: 5, RxFrames: 2}, syscall.EINVAL},
		{napi.Coalesce{RxUsecs: 5, RxFrames: 1, TxFrames: 2}, syscall.EINVAL},
		{napi.Coalesce{RxFrames: 1, TxUsecs: 1}, syscall.EOPNOTSUPP},
		{napi.Coalesce{RxFrames: 1, RxUsecs: 1 << 30}, syscall.EINVAL},
		{napi.Coalesce{RxUsecs: 50, RxFrames: 1, TxFrames: 1}, nil},
	} {
		if err := r.drv.SetCoalesce(r.nd, c.Coalesce); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.Coalesce, err, c.want)
		}
	}
	got := r.receive()
	interrupts := r.dev.Interrupts.Load()
	for i := range byte(20) {
		r.dev.Inject(device.Hdr{}, r.frame(60, i))
		if i == 0 {
			r.softirq()
		}
		r.clock.advance(25 * time.Microsecond)
	}
	if n := r.dev.Interrupts.Load() - interrupts; n != 1 {
		t.Errorf("%d interrupts for 20 packets", n)
	}
	r.clock.advance(100 * time.Microsecond)
	if len(*got) != 20 {
		t.Fatalf("%d packets of 20", len(*got))
	}
	// It went quiet: the next packet interrupts.
	r.dev.Inject(device.Hdr{}, r.frame(60, 99))
	if r.softirq(); len(*got) != 21 || r.dev.Interrupts.Load()-interrupts != 2 {
		t.Errorf("%d packets, %d interrupts", len(*got), r.dev.Interrupts.Load()-interrupts)
	}
	r.clock.advance(100 * time.Microsecond)
}

// A reader polls the device: packets come without interrupts, and with them when
// it is done.
func TestBusyPoll_device(t *testing.T) {
	for _, kind := range []string{"mmio", "pci"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, device.Config{Features: device.AllFeatures}, kind)
			got := r.receive()
			interrupts, rounds := r.dev.Interrupts.Load(), 0
			r.stack.BusyLoop(r.nd.NAPIs()[0].ID(), napi.BusyPoll{Done: func() bool {
				if rounds++; rounds <= 10 {
					r.dev.Inject(device.Hdr{}, r.frame(60, byte(rounds)))
				}
				return len(*got) == 10
			}})
			if n := r.dev.Interrupts.Load() - interrupts; n != 0 {
				t.Errorf("%d interrupts while a reader polls", n)
			}
			r.dev.Inject(device.Hdr{}, r.frame(60, 99))
			if r.softirq(); len(*got) != 11 {
				t.Errorf("%d packets, want 11", len(*got))
			}
		})
	}
}

func TestRingParam(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures, QueueMax: 128}, "mmio")
	if p := r.drv.RingParam(r.nd); p != (napi.RingParam{RxMax: 128, TxMax: 128, Rx: 128, Tx: 128}) {
		t.Errorf("%+v", p)
	}
}

// What is sent while a timer is to poll causes no interrupt, and is taken off the
// ring by that poll.
func TestCoalesce_sendingCausesNoInterrupt(t *testing.T) {
	r := newRig(t, device.Config{Features: device.AllFeatures &^ vnet.FeatNotfCoal}, "mmio")
	if err := r.drv.SetCoalesce(r.nd, napi.Coalesce{RxUsecs: 50, RxFrames: 1}); err != nil {
		t.Fatal(err)
	}
	r.receive()
	r.dev.Inject(device.Hdr{}, r.frame(60, 1))
	r.softirq()
	interrupts := r.dev.Interrupts.Load()
	ended := 0
	for i := range byte(5) {
		b := r.buff(r.frame(60, i), 60)
		b.Destructor = func(*skb.Buff) { ended++ } // somebody waits for its end
		if err := r.stack.DevQueueXmit(b); err != nil {
			t.Fatal(err)
		}
	}
	r.softirq()
	if n := r.dev.Interrupts.Load() - interrupts; n != 0 {
		t.Errorf("%d interrupts", n)
	}
	if r.clock.advance(100 * time.Microsecond); ended != 5 {
		t.Errorf("%d packets ended by the timer's polls, want 5", ended)
	}
	// Afterwards, with one.
	b := r.buff(r.frame(60, 9), 60)
	b.Destructor = func(*skb.Buff) { ended++ }
	if err := r.stack.DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	if r.softirq(); ended != 6 {
		t.Errorf("%d packets ended, want 6", ended)
	}
	r.clock.advance(100 * time.Microsecond)
}
