package napi_test

import (
	"testing"

	"barewire/napi"
	"barewire/skb"
)

// line is a device that costs nothing: it makes frames and swallows them.
type line struct {
	net    *napi.Net
	dev    *napi.NetDevice
	napi   *napi.NAPI
	frames int // to make at the next poll
	pages  [64]*skb.Page
	list   skb.List
	taken  int
}

func newLine(t testing.TB) *line {
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &line{net: n}
	l.dev = napi.AllocNetdev("eth%d", l, 1)
	napi.EtherSetup(l.dev)
	l.dev.SetHardwareAddr(cardAddr)
	l.dev.SetFeatures(napi.FeatureSG | napi.FeatureHWCsum)
	l.napi = l.dev.AddNAPI(l, 0)
	if err := n.RegisterNetdev(l.dev); err != nil {
		t.Fatal(err)
	}
	if err := l.dev.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.UnregisterNetdev(l.dev) })
	return l
}

func (l *line) Open(*napi.NetDevice) error { l.napi.Enable(); return nil }
func (l *line) Stop(*napi.NetDevice) error { l.napi.Disable(); return nil }

func (l *line) Poll(n *napi.NAPI, budget int) int {
	work := min(budget, l.frames)
	l.frames -= work
	// As a ring does: the pages are there, filled by the device.
	for _, p := range l.pages[:l.net.SKB().Pool().AllocBatch(l.pages[:work])] {
		copy(p.Bytes()[skb.Pad:], cardAddr[:])
		p.Bytes()[skb.Pad+12], p.Bytes()[skb.Pad+13] = testType>>8, testType&0xff
		b := l.net.SKB().Build(p, skb.Pad, 60)
		napi.EthTypeTrans(b, l.dev)
		l.list.PushBack(b)
	}
	n.ReceiveList(&l.list)
	if work < budget {
		n.CompleteDone(work)
	}
	return work
}

func (l *line) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	l.taken += len(batch)
	l.net.SKB().ConsumeBatch(batch)
	return len(batch)
}

// receive passes n frames from the poll to the handler.
func (l *line) receive(n int) {
	l.frames = n
	l.net.SoftNet().IRQEnter()
	l.napi.Schedule()
	l.net.SoftNet().DoSoftirq()
}

func (l *line) xmit() {
	b := l.net.SKB().Alloc(128)
	b.Reserve(skb.MaxHeader)
	b.Put(46)
	l.dev.HardHeader(b, testType, nil, nil)
	b.Dev = l.dev
	if err := l.net.DevQueueXmit(b); err != nil {
		panic(err)
	}
}

func TestAllocs_receiveAndTransmit(t *testing.T) {
	l := newLine(t)
	got := 0
	handler := func(b *skb.Buff, _ *napi.NetDevice) { got++; b.Consume() }
	defer l.net.AddPack(testType, nil, handler)()
	check := func(what string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(300, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	check("receive", func() { l.receive(1) })
	check("receive 50", func() { l.receive(50) })
	check("transmit", l.xmit)
	check("backlog", func() {
		b := l.net.SKB().Alloc(64)
		b.Put(60)
		napi.EthTypeTrans(b, l.dev)
		b.Protocol = testType
		l.net.NetifRx(b)
		l.net.SoftNet().DoSoftirq()
	})
	defer l.net.AddPack(napi.ETH_P_ALL, nil, handler)()
	check("receive with a tap", func() { l.receive(2) })
	check("transmit with a tap", l.xmit)
	var x napi.Timer
	x.Init(l.net.Timers(), func(*napi.Timer) {})
	check("timer", func() { x.Mod(l.net.Clock().Now() + 50*ms); x.Del() })
	check("timer sooner and sooner", func() {
		for i := int64(20); i > 10; i-- {
			x.Mod(l.net.Clock().Now() + i*ms)
		}
	})
	x.Del()
	if got < 50*300 || l.taken < 600 {
		t.Errorf("%d received, %d sent", got, l.taken)
	}
}

// BenchmarkReceive is one packet from the driver's poll to the handler's
// Consume, in interrupts of 1, 16 and 64 packets.
func BenchmarkReceive(b *testing.B) {
	for _, bm := range []struct {
		name string
		n    int
	}{{"1", 1}, {"16", 16}, {"64", 64}} {
		b.Run(bm.name, func(b *testing.B) {
			l := newLine(b)
			defer l.net.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) { b.Consume() })()
			b.ReportAllocs()
			for i := 0; i < b.N; i += bm.n {
				l.receive(bm.n)
			}
		})
	}
}

// BenchmarkXmit is one packet from Alloc by way of DevQueueXmit to the driver.
func BenchmarkXmit(b *testing.B) {
	l := newLine(b)
	b.ReportAllocs()
	for b.Loop() {
		l.xmit()
	}
}

// BenchmarkXmitBatch is one packet of 64 that waited for a stopped queue.
func BenchmarkXmitBatch(b *testing.B) {
	l := newLine(b)
	q := l.dev.TxQueues[0]
	b.ReportAllocs()
	for i := 0; i < b.N; i += 64 {
		q.Stop()
		for range 64 {
			l.xmit()
		}
		l.net.SoftNet().IRQEnter()
		q.Wake()
		l.net.SoftNet().DoSoftirq()
	}
}

func BenchmarkBacklog(b *testing.B) {
	l := newLine(b)
	defer l.net.AddPack(testType, nil, func(b *skb.Buff, _ *napi.NetDevice) { b.Consume() })()
	b.ReportAllocs()
	for i := 0; i < b.N; i += 64 {
		l.net.SoftNet().IRQEnter()
		for range 64 {
			p := l.net.SKB().Alloc(64)
			p.Put(60)
			p.Dev, p.Protocol = l.dev, testType
			l.net.NetifRx(p)
		}
		l.net.SoftNet().DoSoftirq()
	}
}

func BenchmarkTimerMod(b *testing.B) {
	n, err := napi.New(napi.Config{})
	if err != nil {
		b.Fatal(err)
	}
	timers := make([]napi.Timer, 10000)
	for i := range timers {
		timers[i].Init(n.Timers(), func(*napi.Timer) {})
		timers[i].Mod(n.Clock().Now() + int64(i+1000)*ms)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		timers[i%len(timers)].Mod(n.Clock().Now() + int64(i%1000+1000)*ms)
	}
}
