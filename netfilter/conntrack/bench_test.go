package conntrack

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Goals for a million connections.
const (
	million        = 1 << 20
	bytesPerConn   = 400
	lookupGoalNano = 300 // most of it waiting for memory
)

// fill enters n connections of TCP, confirmed, as if n handshakes had begun.
func fill(w *world, n int) {
	b := w.packet(ProtoTCP, hostA, hostB, tcp(1, 80, header.TCPSyn, 1, 0))
	for i := range n {
		h := header.IPv4(b.Data())
		h[13], h[14], h[15] = byte(i>>16), byte(i>>8), byte(i)
		if w.in(b) != netfilter.Accept || w.out(b) != netfilter.Accept {
			w.Fatalf("connection %d not let in", i)
		}
		b.ResetNF()
	}
	b.Consume()
}

func tupleOf(i int) Tuple {
	return Tuple{Src: 0x0a000000 | header.Addr(i), Dst: hostB, SrcPort: 1, DstPort: 80, Proto: ProtoTCP}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMillion is a lookup among a million connections, and what they cost.
func BenchmarkMillion(b *testing.B) {
	w := newWorld(b, million)
	before := heap()
	fill(w, million)
	used := float64(heap()-before) / million
	if n := w.Count(); n != million {
		b.Fatalf("%d connections", n)
	}
	b.ReportAllocs()
	i, n, least, start := 0, 0, time.Hour, time.Now()
	for b.Loop() {
		i = (i + 7919*31) & (million - 1)
		if c, _ := w.Lookup(tupleOf(i)); c == nil {
			b.Fatal("lost")
		}
		if n++; n%1024 == 0 { // without whoever else uses the machine
			now := time.Now()
			least, start = min(least, now.Sub(start)), now
		}
	}
	b.ReportMetric(float64(least.Nanoseconds())/1024, "least-ns")
	b.ReportMetric(used, "B/conn")
	b.ReportMetric(bytesPerConn, "goal-B/conn")
	b.ReportMetric(lookupGoalNano, "goal-ns")
	runtime.KeepAlive(w)
}

// BenchmarkGC is how long the collector of the runtime takes over a million
// connections, and the worker of the table for one of its steps.
func BenchmarkGC(b *testing.B) {
	w := newWorld(b, million)
	fill(w, million)
	b.Run("runtime", func(b *testing.B) {
		for b.Loop() {
			runtime.GC()
		}
	})
	b.Run("worker", func(b *testing.B) {
		for b.Loop() {
			w.GC()
		}
	})
}

// BenchmarkNew is a packet that begins a connection, and is dropped or confirmed.
func BenchmarkNew(b *testing.B) {
	b.Run("dropped", func(b *testing.B) {
		w := newWorld(b, 1000)
		p := w.packet(ProtoTCP, hostA, hostB, tcp(1, 80, header.TCPSyn, 1, 0))
		b.ReportAllocs()
		for b.Loop() {
			w.in(p)
			p.ResetNF()
		}
		p.Consume()
	})
	b.Run("confirmed", func(b *testing.B) {
		w := newWorld(b, 1<<17)
		p := w.packet(ProtoUDP, hostA, hostB, udp(1, 80))
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			h := header.IPv4(p.Data())
			h[13], h[14], h[15] = byte(i>>16), byte(i>>8), byte(i)
			if w.in(p) == netfilter.Accept {
				w.out(p)
			}
			p.ResetNF()
			if i%1024 == 0 {
				w.pass(time.Second)
				w.GC()
			}
		}
		p.Consume()
	})
}

// established makes a connection of each kind and packets that go to and fro.
func established(w *world) (pkts []*skb.Buff) {
	w.play(opened...)
	w.sendUDP(hostA, hostB, 5, 6)
	w.sendUDP(hostB, hostA, 6, 5)
	w.pass(3 * time.Second)
	w.sendUDP(hostA, hostB, 5, 6)
	return []*skb.Buff{
		w.packet(ProtoTCP, hostA, hostB, tcp(1, 80, ack, 101, 901)),
		w.packet(ProtoUDP, hostA, hostB, udp(5, 6)),
	}
}

func BenchmarkPacket(b *testing.B) {
	w := newWorld(b, 1000)
	for i, p := range established(w) {
		b.Run([]string{"tcp", "udp"}[i], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.in(p)
				w.out(p)
				p.ResetNF()
			}
		})
		p.Consume()
	}
}

func TestAllocs_perPacket_none(t *testing.T) {
	w := newWorld(t, 1000)
	for i, p := range established(w) {
		if n := testing.AllocsPerRun(100, func() {
			w.in(p)
			w.out(p)
			p.ResetNF()
		}); n != 0 {
			t.Errorf("packet %d: %v allocations", i, n)
		}
		p.Consume()
	}
	p := w.packet(ProtoTCP, hostA, hostB, tcp(7, 80, header.TCPSyn, 1, 0))
	if n := testing.AllocsPerRun(100, func() { w.in(p); p.ResetNF() }); n != 0 {
		t.Errorf("one that is dropped: %v allocations", n)
	}
	p.Consume()
}

func TestConn_size_withinGoal(t *testing.T) {
	// With its place in the hash, which has two chains for each.
	if n := unsafe.Sizeof(Conn{}) + 16; n > bytesPerConn {
		t.Errorf("a connection costs %d bytes, goal %d", n, bytesPerConn)
	}
}
