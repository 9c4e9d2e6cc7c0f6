package napi_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"barewire/napi"
	"barewire/skb"
)

func (c *card) send(id byte) error {
	b := c.frame(testType, id)
	b.Dev = c.dev
	return c.net.DevQueueXmit(b)
}

func TestXmit_order(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	var got []byte
	c.sent = func(b *skb.Buff) { got = append(got, b.Data()[14]) }
	c.ring = 4
	for i := range 10 {
		if err := c.send(byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	q := c.dev.TxQueues[0]
	if len(got) != 4 || !q.Stopped() || q.Len() != 6 {
		t.Fatalf("%d sent, stopped %v, %d wait", len(got), q.Stopped(), q.Len())
	}
	for want := 8; want <= 10; want += 2 {
		c.complete(4)
		n.SoftNet().DoSoftirq()
		if len(got) != min(want, 10) {
			t.Fatalf("%d sent, want %d", len(got), want)
		}
	}
	c.complete(4)
	for i, id := range got {
		if int(id) != i {
			t.Fatalf("order %v", got)
		}
	}
	if q.Stats.Packets.Load() != 10 || q.Stats.Bytes.Load() != 600 {
		t.Errorf("%d packets, %d bytes", q.Stats.Packets.Load(), q.Stats.Bytes.Load())
	}
	if s := c.dev.GetStats(); s.TxPackets != 10 || s.TxBytes != 600 || s.TxDropped != 0 {
		t.Errorf("%+v", s)
	}
	// What waited went in one batch.
	if c.batches[len(c.batches)-2] < 4 {
		t.Errorf("batches %v", c.batches)
	}
}

func TestXmit_queueFull(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	c.dev.TxQueueLen = 20
	c.ring = 1
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	for i := range 21 {
		if err := c.send(byte(i)); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if err := c.send(21); err != syscall.ENOBUFS {
		t.Errorf("packet beyond the queue: %v", err)
	}
	if n.SKB().Drops(skb.QdiscDrop) != 1 || c.dev.TxQueues[0].Dropped.Load() != 1 || c.dev.GetStats().TxDropped != 1 {
		t.Error("not counted")
	}
	c.dev.Close()
	if n.SKB().InUse() != 0 {
		t.Errorf("%d packets left after Close", n.SKB().InUse())
	}
	if err := c.send(0); err != syscall.ENETDOWN {
		t.Errorf("device down: %v", err)
	}
}

func TestXmit_refusedWithoutStop(t *testing.T) {
	// A driver that is busy for a moment only: NET_TX tries again.
	n := newNet(t, napi.Config{})
	c := up(t, n)
	c.ring, c.stopFull = 1, false
	var got []byte
	c.sent = func(b *skb.Buff) { got = append(got, b.Data()[14]) }
	for i := range 5 {
		if err := c.send(byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		c.complete(1)
		n.SoftNet().DoSoftirq()
	}
	c.complete(1)
	if string(got) != "\x00\x01\x02\x03\x04" {
		t.Errorf("sent % x", got)
	}
	if c.dev.TxQueues[0].Requeues.Load() == 0 {
		t.Error("no requeue counted")
	}
}

func TestXmit_wakeDuringStop(t *testing.T) {
	// The completion comes between Stop and the return of StartXmit.
	n := newNet(t, napi.Config{})
	c := up(t, n)
	c.ring = 2
	c.onXmit = func(q *napi.TxQueue) { c.complete(2) }
	for i := range 9 {
		if err := c.send(byte(i)); err != nil {
			t.Fatal(err)
		}
		n.SoftNet().DoSoftirq()
	}
	n.SoftNet().DoSoftirq()
	if got := c.dev.TxQueues[0].Stats.Packets.Load(); got != 9 {
		t.Errorf("%d sent", got)
	}
}

func TestXmit_stopWakeConcurrent(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	c.ring, c.dev.TxQueueLen = 16, 1<<20
	const senders, each = 4, 3000
	var mu sync.Mutex
	var next [senders]uint32
	total := 0
	c.sent = func(b *skb.Buff) {
		p := b.Data()
		i := binary.BigEndian.Uint32(p[16:])
		mu.Lock()
		defer mu.Unlock()
		if i != next[p[14]] {
			t.Errorf("sender %d: packet %d, want %d", p[14], i, next[p[14]])
		}
		next[p[14]] = i + 1
		total++
	}
	if err := c.dev.Open(); err != nil {
		t.Fatal(err)
	}
	run(t, n)
	stop := make(chan struct{})
	var wg, completer sync.WaitGroup
	completer.Add(1)
	go func() {
		defer completer.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if c.complete(5) == 0 {
				runtime.Gosched()
			}
		}
	}()
	for s := range senders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				b := c.frame(testType, byte(s))
				binary.BigEndian.PutUint32(b.Data()[16:], uint32(i))
				b.Dev = c.dev
				if err := n.DevQueueXmit(b); err != nil {
					t.Error(err)
				}
				for n.SKB().InUse() > 4000 {
					runtime.Gosched()
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "everything sent", func() bool { mu.Lock(); defer mu.Unlock(); return total == senders*each })
	close(stop)
	completer.Wait()
}

func TestXmit_runIsBounded(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	q := c.dev.TxQueues[0]
	q.Stop()
	for i := range 200 {
		if err := c.send(byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	// The sender that finds the queue open sends a batch; NET_TX the rest.
	c.onXmit = func(*napi.TxQueue) { c.onXmit = nil; q.Stop() }
	q.Wake()
	n.SoftNet().DoSoftirq()
	if got := q.Stats.Packets.Load(); got != 64 {
		t.Fatalf("%d sent in one batch", got)
	}
	q.Wake()
	n.SoftNet().DoSoftirq()
	if got := q.Stats.Packets.Load(); got != 200 || q.Len() != 0 {
		t.Errorf("%d sent, %d wait", got, q.Len())
	}
	for _, b := range c.batches {
		if b > 64 {
			t.Errorf("batch of %d", b)
		}
	}
}

func TestXmit_noCarrier(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	c.dev.CarrierOff()
	if err := c.send(0); err != nil {
		t.Errorf("the sender is told of a missing carrier: %v", err)
	}
	if c.dev.TxQueues[0].Dropped.Load() != 1 || len(c.batches) != 0 {
		t.Error("not dropped")
	}
	c.dev.CarrierOn()
	if err := c.send(0); err != nil || len(c.batches) != 1 {
		t.Error("not sent")
	}
}

func TestXmit_withoutDevice(t *testing.T) {
	n := newNet(t, napi.Config{})
	if err := n.DevQueueXmit(n.SKB().Alloc(1)); err != syscall.ENODEV {
		t.Error(err)
	}
}

// scatter returns a packet with a fragment and, with list, a frag list.
func scatter(c *card, list bool) *skb.Buff {
	b := c.frame(testType, 0)
	p := c.net.SKB().Pool().Alloc()
	copy(p.Bytes(), "fragment")
	b.AddFrag(p, 0, 8, 4096)
	if list {
		m := c.net.SKB().Alloc(4)
		m.PutData([]byte("list"))
		b.AddFragList(m)
	}
	b.Dev = c.dev
	return b
}

func TestXmit_madeFitForTheDevice(t *testing.T) {
	for _, tc := range []struct {
		name           string
		feat           napi.Features
		list, nonlin   bool
		gso            bool
		csum, csumDone bool
		err            error
	}{
		{name: "nothing, fragments", csum: true, csumDone: true},
		{name: "sg, fragments", feat: napi.FeatureSG, nonlin: true, csum: true, csumDone: true},
		{name: "sg and checksum", feat: napi.FeatureSG | napi.FeatureHWCsum, nonlin: true, csum: true},
		{name: "sg, frag list", feat: napi.FeatureSG, list: true},
		{name: "sg and frag list", feat: napi.FeatureSG | napi.FeatureFragList, list: true, nonlin: true},
		{name: "no tso", feat: napi.FeatureSG, gso: true, err: syscall.EMSGSIZE},
		{name: "tso", feat: napi.FeatureSG | napi.FeatureTSO | napi.FeatureHWCsum, gso: true, csum: true, nonlin: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNet(t, napi.Config{})
			c := up(t, n)
			c.dev.SetFeatures(tc.feat)
			seen := false
			c.sent = func(b *skb.Buff) {
				seen = true
				if b.IsNonlinear() != tc.nonlin {
					t.Errorf("nonlinear %v", b.IsNonlinear())
				}
				if tc.csum && (b.IPSummed == skb.ChecksumNone) != tc.csumDone {
					t.Errorf("checksum state %d", b.IPSummed)
				}
				if tc.csumDone && skb.CsumFold(b.Checksum(14, b.Len()-14, 0)) != 0 {
					t.Error("wrong checksum")
				}
			}
			b := scatter(c, tc.list)
			if tc.csum && !b.SetCsumPartial(14, 10) {
				t.Fatal("refused")
			}
			if tc.gso {
				b.Shinfo().GSOSize = 20
			}
			if err := n.DevQueueXmit(b); !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if seen != (tc.err == nil) {
				t.Errorf("sent %v", seen)
			}
		})
	}
}

func TestXmit_badChecksumRequest(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := up(t, n)
	b := c.frame(testType, 0)
	b.Dev = c.dev
	b.SetCsumPartial(50, 4)
	b.Trim(52)
	if err := n.DevQueueXmit(b); err != syscall.EINVAL || c.dev.GetStats().TxDropped != 1 {
		t.Error(err)
	}
}

func TestXmit_outOfMemory(t *testing.T) {
	n := newNet(t, napi.Config{Pages: skb.PageConfig{MaxPages: 2}})
	c := up(t, n)
	b := scatter(c, false)
	cl := b.Clone() // so that it cannot be made linear in place
	if err := n.DevQueueXmit(b); err != syscall.ENOMEM || n.SKB().Drops(skb.NoMem) != 1 {
		t.Error(err)
	}
	cl.Consume()
}

func TestTaps_seeBothDirections(t *testing.T) {
	n := newNet(t, napi.Config{})
	c, other := up(t, n), up(t, n)
	type seen struct {
		typ  skb.PktType
		id   byte
		full int
	}
	var all, mine []seen
	tap := func(l *[]seen) napi.PacketHandler {
		return func(b *skb.Buff, dev *napi.NetDevice) {
			p := b.MacHeader()
			*l = append(*l, seen{b.PktType, p[14], len(p)})
			b.Consume()
		}
	}
	removeAll := n.AddPack(napi.ETH_P_ALL, nil, tap(&all))
	defer n.AddPack(napi.ETH_P_ALL, c.dev, tap(&mine))()
	var got ids
	defer n.AddPack(testType, nil, got.handler)()
	c.arrive(c.frame(testType, 1))
	n.SoftNet().DoSoftirq()
	c.ring = 1
	for id := byte(2); id <= 4; id++ { // two of them wait
		if err := c.send(id); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		c.complete(1)
		n.SoftNet().DoSoftirq()
		if i == 0 { // 4 was shown and refused; it goes with a new one
			if err := c.send(7); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := other.send(5); err != nil {
		t.Fatal(err)
	}
	removeAll()
	if err := other.send(6); err != nil {
		t.Fatal(err)
	}
	want := []seen{{skb.PacketHost, 1, 60}, {skb.PacketOutgoing, 2, 60}, {skb.PacketOutgoing, 3, 60}, {skb.PacketOutgoing, 4, 60}, {skb.PacketOutgoing, 7, 60}, {skb.PacketOutgoing, 5, 60}}
	check := func(name string, got, want []seen) {
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", name, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
	check("all devices", all, want)
	check("one device", mine, want[:5])
	if len(got.l) != 1 {
		t.Errorf("the protocol got %d packets", len(got.l))
	}
}

func TestPtypes_dispatch(t *testing.T) {
	n := newNet(t, napi.Config{})
	c, other := up(t, n), up(t, n)
	var a, b, onOther ids
	remove := n.AddPack(testType, nil, a.handler)
	defer n.AddPack(testType, c.dev, b.handler)()
	defer n.AddPack(testType, other.dev, onOther.handler)()
	defer n.AddPack(testType+16, nil, func(b *skb.Buff, _ *napi.NetDevice) { t.Error("wrong type"); b.Consume() })()
	c.arrive(c.frame(testType, 1), c.frame(0x0801, 2))
	n.SoftNet().DoSoftirq()
	remove()
	remove()
	c.arrive(c.frame(testType, 3))
	n.SoftNet().DoSoftirq()
	if string(a.l) != "\x01" || string(b.l) != "\x01\x03" || len(onOther.l) != 0 {
		t.Errorf("% x, % x, % x", a.l, b.l, onOther.l)
	}
	if n.SKB().Drops(skb.PTypeAbsent) != 1 || c.dev.GetStats().RxDropped != 1 {
		t.Error("the packet without a handler is not counted")
	}
	s := c.dev.GetStats()
	if s.RxPackets != 3 || s.RxBytes != 180 {
		t.Errorf("%+v", s)
	}
	if n.SoftNet().Stats().Processed != 3 {
		t.Errorf("%+v", n.SoftNet().Stats())
	}
}

func TestXmit_closeUnderTraffic(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	c.ring = 8
	run(t, n)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.send(1); err != nil && err != syscall.ENETDOWN && err != syscall.ENOBUFS {
					t.Error(err)
				}
			}
		}()
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c.complete(3) == 0 {
					time.Sleep(10 * time.Microsecond)
				}
			}
		}()
	}
	for range 30 {
		if err := c.dev.Open(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Microsecond)
		c.dev.Close()
		c.mu.Lock()
		if len(c.tx) != 0 || c.inXmit {
			t.Error("packets in the ring of a closed device")
		}
		c.mu.Unlock()
	}
	close(stop)
	wg.Wait()
}
