package napi_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
)

func vethUp(t *testing.T) (a, b *napi.Net, x, y *napi.NetDevice) {
	a, b = space(t), space(t)
	x, y, err := napi.NewVethPair(a, "veth0", b, "veth0")
	must(t, err)
	must(t, x.Open())
	must(t, y.Open())
	return a, b, x, y
}

func TestBHEnable_frameSentInSection_receivedByTheSender(t *testing.T) {
	a, b, x, y := vethUp(t)
	got := 0
	// The answer comes back in the same section.
	a.AddPack(0x88b5, nil, func(k *skb.Buff, _ *napi.NetDevice) { got++; k.Consume() })
	b.AddPack(0x88b5, nil, func(k *skb.Buff, _ *napi.NetDevice) {
		k.Consume()
		must(t, b.DevQueueXmit(frame(t, b, y, x.HardwareAddr(), 60)))
	})
	s := a.SoftNet()
	before := s.Stats().Wakeups + b.SoftNet().Stats().Wakeups
	s.BHDisable()
	must(t, a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), 60)))
	if got != 0 || s.Pending() {
		t.Error("received before the section ended")
	}
	s.BHEnable()
	if got != 1 {
		t.Errorf("%d answers when the section ended, want 1", got)
	}
	if w := s.Stats().Wakeups + b.SoftNet().Stats().Wakeups - before; w != 0 {
		t.Errorf("%d wake-ups of ksoftirqd", w)
	}
}

// TestBHEnable_ksoftirqdNeverDone_sectionsTakeOver has so much to do for ksoftirqd
// that it only ever yields. Sections do what they caused themselves all the same.
func TestBHEnable_ksoftirqdNeverDone_sectionsTakeOver(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that it mostly yields when the sender runs
	a, b, x, y := vethUp(t)
	var got, done atomic.Bool
	b.AddPack(0x88b5, nil, func(k *skb.Buff, _ *napi.NetDevice) { got.Store(true); k.Consume() })
	b.AddPack(0x88b6, nil, func(k *skb.Buff, _ *napi.NetDevice) {
		if done.Load() {
			k.Consume()
			return
		}
		b.NetifRx(k) // once more
	})
	stop := make(chan struct{})
	var soft sync.WaitGroup
	soft.Go(func() { b.SoftNet().Run(stop) })
	endless := frame(t, a, x, y.HardwareAddr(), 60)
	endless.Data()[13] = 0xb6
	must(t, a.DevQueueXmit(endless))
	s, at := a.SoftNet(), 0
	for range 1000 {
		got.Store(false)
		s.BHDisable()
		must(t, a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), 60)))
		s.BHEnable()
		if got.Load() {
			at++
		}
		runtime.Gosched()
	}
	done.Store(true)
	close(stop)
	soft.Wait()
	if at < 500 {
		t.Errorf("%d of 1000 frames had arrived at the end of the section that sent them", at)
	}
	b.SoftNet().DoSoftirq() // what is left
}

// TestBHEnable_manySenders_nothingWaits has sections overlap in every way: a
// frame is received by whoever ends one, or by ksoftirqd.
func TestBHEnable_manySenders_nothingWaits(t *testing.T) {
	a, b, x, y := vethUp(t)
	must(t, b.Sysctl().Set("net.core.netdev_max_backlog", "10000")) // ksoftirqd may be late
	var got atomic.Int32
	b.AddPack(0x88b5, nil, func(k *skb.Buff, _ *napi.NetDevice) { got.Add(1); k.Consume() })
	stop := make(chan struct{})
	var soft, senders sync.WaitGroup
	for _, n := range []*napi.Net{a, b} {
		soft.Go(func() { n.SoftNet().Run(stop) })
	}
	const each = 300
	for i := range 4 {
		senders.Go(func() {
			for n := range each {
				inside := (n+i)%3 != 0
				if inside {
					a.SoftNet().BHDisable()
				}
				must(t, a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), 60)))
				if inside {
					a.SoftNet().BHEnable()
				}
				if n%50 == 49 {
					time.Sleep(50 * time.Microsecond)
				}
			}
		})
	}
	senders.Wait()
	for range 5000 {
		if got.Load() == 4*each {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(stop)
	soft.Wait()
	if n := got.Load(); n != 4*each {
		t.Errorf("%d of %d frames arrived", n, 4*each)
	}
}
