package hosted

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
	"barewire/skb"
)

const testType = 0x88b5 // IEEE 802 local experimental ethertype 1

// station is a stack with one device that notes the numbered frames it gets.
type station struct {
	net *napi.Net
	dev *napi.NetDevice

	mu   sync.Mutex
	got  []arrival
	hold bool // keep nothing: for benchmarks
}

type arrival struct {
	seq  uint32
	at   time.Time
	size int
	good bool // the payload is as it was sent
}

// newStation makes a stack whose softirqs run until the test ends, when nothing
// of its memory may be in use.
func newStation(t testing.TB, cfg napi.Config) *station {
	t.Helper()
	n, err := napi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &station{net: n}
	n.AddPack(testType, nil, s.receive)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { n.SoftNet().Run(stop); close(done) }()
	t.Cleanup(func() {
		if s.dev != nil {
			n.UnregisterNetdev(s.dev)
		}
		close(stop)
		<-done
		if b, p := n.SKB().InUse(), n.SKB().Pool().InUse(); b != 0 || p != 0 {
			t.Errorf("%d skbs and %d pages were not given back", b, p)
		}
	})
	return s
}

func (s *station) receive(b *skb.Buff, _ *napi.NetDevice) {
	p := b.Data()
	if len(p) >= 4 && !s.hold {
		a := arrival{seq: binary.BigEndian.Uint32(p), at: time.Now(), size: len(p), good: true}
		for i := 4; i < len(p); i++ {
			a.good = a.good && p[i] == byte(int(a.seq)+i)
		}
		s.mu.Lock()
		s.got = append(s.got, a)
		s.mu.Unlock()
	}
	b.Consume()
}

func (s *station) arrivals() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// send transmits frame number seq with a payload of size bytes to everybody.
func (s *station) send(t testing.TB, seq, size int) {
	b := s.net.SKB().Alloc(skb.MaxHeader + size)
	if b == nil {
		t.Error("no memory for a frame")
		return
	}
	b.Reserve(skb.MaxHeader)
	p := b.Put(size)
	binary.BigEndian.PutUint32(p, uint32(seq))
	for i := 4; i < size; i++ {
		p[i] = byte(seq + i)
	}
	b.Dev = s.dev
	s.dev.HardHeader(b, testType, &s.dev.Broadcast, nil)
	if err := s.net.DevQueueXmit(b); err != nil {
		t.Errorf("frame %d: %v", seq, err)
	}
}

// newWire makes n stations on a wire, all up. A failed test prints the wire.
func newWire(t testing.TB, cfg WireConfig, n int) (*Wire, []*station) {
	t.Helper()
	w, err := NewWire(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all []*station
	for i := range n {
		s := newStation(t, napi.Config{})
		s.dev, err = w.Attach(s.net, "eth%d", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
		if err == nil {
			err = s.dev.Open()
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	t.Cleanup(func() {
		w.Close()
		if t.Failed() {
			t.Log(w)
		}
	})
	return w, all
}

func TestWire_PerfectKeepsEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := newWire(t, WireConfig{}, 2)
		const count = 500 // more would be more than a ring holds
		for i := range count {
			s[0].send(t, i, 46+i)
			s[1].send(t, i, 1500-i)
		}
		synctest.Wait()
		for n, st := range s {
			got := st.arrivals()
			if len(got) != count {
				t.Fatalf("station %d got %d of %d frames", n, len(got), count)
			}
			for i, a := range got {
				if int(a.seq) != i || !a.good || a.size != [2]int{1500 - i, 46 + i}[n] {
					t.Fatalf("station %d: frame %d is %+v", n, i, a)
				}
			}
		}
	})
}

func TestWire_HubReachesAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := newWire(t, WireConfig{}, 3)
		s[1].send(t, 7, 60)
		synctest.Wait()
		for n, want := range []int{1, 0, 1} {
			if got := len(s[n].arrivals()); got != want {
				t.Errorf("station %d got %d frames, want %d", n, got, want)
			}
		}
	})
}

func TestWire_DelayAndRateInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 1000 bytes at 8 Mbit/s are a millisecond.
		_, s := newWire(t, WireConfig{Delay: 50 * time.Millisecond, Rate: 8_000_000}, 2)
		start := time.Now()
		for i := range 5 {
			s[0].send(t, i, 1000-napi.EthHdrLen)
		}
		time.Sleep(time.Second)
		got := s[1].arrivals()
		if len(got) != 5 {
			t.Fatalf("%d frames", len(got))
		}
		for i, a := range got {
			want := 50*time.Millisecond + time.Duration(i+1)*time.Millisecond
			if d := a.at.Sub(start); d != want {
				t.Errorf("frame %d after %v, want %v", i, d, want)
			}
		}
	})
}

func TestWire_RateDropsWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWire(t, WireConfig{Rate: 8_000_000, Queue: 10_000}, 2)
		for i := range 100 {
			s[0].send(t, i, 1000-napi.EthHdrLen)
		}
		time.Sleep(time.Second)
		got, st := len(s[1].arrivals()), w.Stats(s[0].dev)
		if got != 11 || st.Overflowed != 89 { // one on the wire, ten waiting
			t.Fatalf("%d frames arrived, %+v", got, st)
		}
	})
}

func TestWire_JitterKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := newWire(t, WireConfig{Delay: time.Millisecond, Jitter: 20 * time.Millisecond}, 2)
		for i := range 200 {
			s[0].send(t, i, 100)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		got := s[1].arrivals()
		if len(got) != 200 || !slices.IsSortedFunc(got, func(a, b arrival) int { return int(a.seq) - int(b.seq) }) {
			t.Fatalf("%d frames, in order: no", len(got))
		}
	})
}

// faults sends count frames through a wire of every fault and returns what
// arrived.
func faults(t *testing.T, seed uint64, count int) (out []string, st WireStats) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWire(t, WireConfig{Seed: seed, Loss: 0.1, Duplicate: 0.05, Corrupt: 0.02, Reorder: 0.1, Delay: 5 * time.Millisecond,
			Jitter: time.Millisecond, ReorderBy: 10 * time.Millisecond}, 2)
		start := time.Now()
		for i := range count {
			s[0].send(t, i, 100)
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Second)
		for _, a := range s[1].arrivals() {
			out = append(out, fmt.Sprint(a.seq, a.good, a.at.Sub(start)))
		}
		st = w.Stats(s[0].dev)
	})
	return out, st
}

func TestWire_SameSeedSameFaults(t *testing.T) {
	const count = 4000
	a, st := faults(t, 42, count)
	b, _ := faults(t, 42, count)
	c, _ := faults(t, 43, count)
	if !slices.Equal(a, b) {
		t.Error("the same seed gave two outcomes")
	}
	if slices.Equal(a, c) {
		t.Error("two seeds gave one outcome")
	}
	// A corrupted header may keep a frame from its handler; no more than that.
	arrived := uint64(len(a))
	want := st.Sent - st.Lost + st.Duplicated
	if st.Sent != count || arrived > want || arrived+2*st.Corrupted < want {
		t.Errorf("%d arrived of %+v", arrived, st)
	}
	for name, x := range map[string][2]float64{
		"lost": {float64(st.Lost), 0.1}, "duplicated": {float64(st.Duplicated), 0.05 * 0.9},
		"corrupted": {float64(st.Corrupted), 0.02 * 0.9}, "reordered": {float64(st.Reordered), 0.1 * 0.9},
	} {
		if share := x[0] / count; share < x[1]*0.7 || share > x[1]*1.3 {
			t.Errorf("%s: a share of %.3f, asked for %.3f", name, share, x[1])
		}
	}
}

func TestWire_CorruptFlipsOneBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := newWire(t, WireConfig{Corrupt: 1}, 2)
		var heard [][]byte
		s[1].net.AddPack(napi.ETH_P_ALL, s[1].dev, func(b *skb.Buff, _ *napi.NetDevice) {
			heard = append(heard, slices.Clone(b.MacHeader()))
			b.Consume()
		})
		for range 50 {
			s[0].send(t, 1, 60)
			synctest.Wait()
		}
		if len(heard) != 50 {
			t.Fatalf("%d frames heard", len(heard))
		}
		clean := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 0, 0, 0, 1}, make([]byte, 56)...)
		for i := 4; i < 60; i++ {
			clean[14+i] = byte(1 + i)
		}
		for _, f := range heard {
			flipped := 0
			for i := range f {
				flipped += bits.OnesCount8(f[i] ^ clean[i])
			}
			if flipped != 1 {
				t.Fatalf("%d bits flipped in %x", flipped, f)
			}
		}
	})
}

func TestWire_ReceiverDownOrFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := NewWire(WireConfig{Ring: 4, Delay: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		a, b := newStation(t, napi.Config{}), newStation(t, napi.Config{})
		a.dev, _ = w.Attach(a.net, "eth%d", [6]byte{2, 0, 0, 0, 0, 1})
		b.dev, _ = w.Attach(b.net, "eth%d", [6]byte{2, 0, 0, 0, 0, 2})
		if err := a.dev.Open(); err != nil {
			t.Fatal(err)
		}
		a.send(t, 0, 60) // b is not up
		time.Sleep(10 * time.Millisecond)
		if err := b.dev.Open(); err != nil {
			t.Fatal(err)
		}
		a.send(t, 1, 60) // b goes down while it flies
		b.dev.Close()
		time.Sleep(10 * time.Millisecond)
		b.dev.Open()
		for i := range 10 { // all arrive at once, on a ring of four
			a.send(t, 10+i, 60)
		}
		time.Sleep(10 * time.Millisecond)
		got := b.arrivals()
		if len(got) != 4 || got[0].seq != 10 {
			t.Fatalf("arrived: %+v", got)
		}
		if n := b.dev.Stats.RxMissedErrors.Load(); n != 6 {
			t.Errorf("%d frames counted as missed", n)
		}
		w.SetCarrier(false)
		synctest.Wait()
		a.send(t, 99, 60)
		time.Sleep(10 * time.Millisecond)
		if len(b.arrivals()) != 4 {
			t.Error("a frame came through a cut cable")
		}
	})
}

func TestNewWire_RefusesNonsense(t *testing.T) {
	for _, cfg := range []WireConfig{{Loss: -0.1}, {Duplicate: 1.1}, {Delay: -1}, {Rate: -1}} {
		if w, err := NewWire(cfg); err == nil {
			t.Errorf("%v was made", w)
		}
	}
	w, err := NewWire(WireConfig{})
	if err != nil || w.Seed() == 0 {
		t.Errorf("no seed was drawn: %v %v", w, err)
	}
}

// The way over a perfect wire allocates nothing: one frame sent, carried,
// received.
func TestWire_NoAllocationPerFrame(t *testing.T) {
	w, err := NewWire(WireConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var s [2]*station
	for i := range s {
		n, err := napi.New(napi.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s[i] = &station{net: n, hold: true}
		n.AddPack(testType, nil, s[i].receive)
		s[i].dev, _ = w.Attach(n, "eth%d", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
		if err := s[i].dev.Open(); err != nil {
			t.Fatal(err)
		}
	}
	one := func() {
		s[0].send(t, 1, 1000)
		s[1].net.SoftNet().DoSoftirq()
	}
	one()
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	if got := s[1].dev.GetStats().RxPackets; got < 1000 {
		t.Errorf("only %d frames arrived", got)
	}
}

func BenchmarkWire(b *testing.B) {
	w, _ := NewWire(WireConfig{})
	defer w.Close()
	var s [2]*station
	for i := range s {
		n, err := napi.New(napi.Config{})
		if err != nil {
			b.Fatal(err)
		}
		s[i] = &station{net: n, hold: true}
		n.AddPack(testType, nil, s[i].receive)
		s[i].dev, _ = w.Attach(n, "eth%d", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
		s[i].dev.Open()
	}
	b.ReportAllocs()
	b.SetBytes(1014)
	for b.Loop() {
		s[0].send(b, 1, 1000)
		s[1].net.SoftNet().DoSoftirq()
	}
}
