package inet_test

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// idle opens n connections from the peer's network to the host and leaves them
// alone.
func (h *host) idle(l *sock.Socket, n int) []*sock.Socket {
	var synack header.TCP
	h.port.onSend = func(f []byte) {
		if _, s := segmentOf(f); s.Flags() == header.TCPSyn|header.TCPAck {
			synack = append(synack[:0], s...)
		}
	}
	socks := make([]*sock.Socket, 0, n)
	for i := range n {
		if i%1000 == 0 { // the neighbour stays reachable
			h.inject(arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP))
		}
		src := header.AddrFrom4([4]byte{198, 18, byte(i >> 15), 1})
		f := header.TCPFields{SrcPort: uint16(1024 + i&0x7fff), DstPort: 80, Seq: uint32(i), Flags: header.TCPSyn, Window: 1000}
		h.inject(tcpFrame(src, f, 2, 4, 5, 180))
		if synack == nil {
			h.Fatalf("no answer to SYN %d", i)
		}
		f.Seq, f.Ack, f.Flags = f.Seq+1, synack.Seq()+1, header.TCPAck
		h.inject(tcpFrame(src, f))
		s, err := l.Accept(syscall.O_NONBLOCK)
		if err != nil {
			h.Fatalf("connection %d: %v", i, err)
		}
		socks = append(socks, s)
	}
	h.port.onSend = nil
	return socks
}

// probe times a segment that finds its connection among n, with as many
// connections in use as the caches hold: it is the table that is measured.
func (h *host) probe(n int) time.Duration {
	const count = 2000
	h.port.discard = true
	frames := make([][]byte, count)
	for i := range frames {
		k := i % 64 * 7919 % n
		frames[i] = tcpFrame(header.AddrFrom4([4]byte{198, 18, byte(k >> 15), 1}), header.TCPFields{SrcPort: uint16(1024 + k&0x7fff), DstPort: 80, Seq: uint32(k) + 1, Window: 1000})
	}
	best := time.Hour
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // its work is not the table's
	for range 20 {
		start := time.Now()
		for i := 0; i < count; i += 50 {
			h.inject(frames[i : i+50]...)
		}
		best = min(best, time.Since(start)/count)
	}
	h.port.discard = false
	return best
}

// Bytes of the Go heap for one idle connection: what is aimed at, and what it
// may not exceed again. A sock of more than 1784 bytes takes 256 more: the next
// size that the heap has.
const (
	idleGoal  = 2048
	idleBound = 2048
)

// manyIdle measures n idle connections beside a thousand: bytes for each and
// the time a segment needs to find its own.
func manyIdle(t testing.TB, n int) (per uint64, few, many time.Duration) {
	h := newHost(t)
	h.know()
	l := h.tcpSocket(0, 80)
	check(t, l.Listen(128))
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	abort := func(socks []*sock.Socket) {
		h.port.discard = true
		for _, s := range socks {
			check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
			check(t, s.Release())
		}
		h.run()
		h.port.discard = false
	}
	socks := h.idle(l, 1000)
	few = h.probe(1000)
	abort(socks)
	socks = nil
	before, pages := heap(), h.net.SKB().Pool().InUse()
	socks = h.idle(l, n)
	per = (heap() - before) / uint64(n)
	if p := h.net.SKB().Pool().InUse() - pages; p > 16 {
		t.Errorf("%d pages are held", p)
	}
	many = h.probe(n)
	abort(socks)
	return per, few, many
}

// TestTCP_idleConnections_areSmallAndFound holds many connections open: what one
// takes is bounded, and a segment finds its own as fast as with few.
func TestTCP_idleConnections_areSmallAndFound(t *testing.T) {
	per, few, many := manyIdle(t, 20_000)
	t.Logf("%d bytes a connection (goal %d); a segment takes %v, with 1000 connections %v", per, idleGoal, many, few)
	if per > idleBound {
		t.Errorf("%d bytes a connection", per)
	}
	if many > 3*few+time.Microsecond {
		t.Errorf("%v for a segment, %v with 1000 connections", many, few)
	}
}

// BenchmarkTCP_idle200k prints what 200 000 idle connections take.
func BenchmarkTCP_idle200k(b *testing.B) {
	for b.Loop() {
		per, few, many := manyIdle(b, 200_000)
		b.ReportMetric(float64(per), "B/conn")
		b.ReportMetric(idleGoal, "goal-B/conn")
		b.ReportMetric(float64(few.Nanoseconds()), "ns/seg@1k")
		b.ReportMetric(float64(many.Nanoseconds()), "ns/seg@200k")
	}
}
