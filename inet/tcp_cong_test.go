package inet_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/neigh"
	"barewire/skb/header"
)

// congFlow is one bulk transfer by one algorithm.
type congFlow struct {
	cc      string
	bytes   int           // received after the warm-up
	srtt    time.Duration // at the end
	retrans uint32
}

// congWorld has flows send as much as they can for warm and then for span, in
// virtual time, over a wire of that kind.
func congWorld(t *testing.T, cfg hosted.WireConfig, warm, span time.Duration, flows ...*congFlow) {
	synctest.Test(t, func(t *testing.T) {
		w := &tcpWorld{city: city{TB: t, stop: make(chan struct{})}}
		var err error
		w.wire, err = hosted.NewWire(cfg)
		check(t, err)
		for i, n := range []**inet.Net{&w.a, &w.b} {
			*n = w.space()
			d, err := w.wire.Attach((*n).Dev(), "eth0", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
			check(t, err)
			w.up(*n, d, fmt.Sprintf("10.0.0.%d/24", i+1))
			check(t, (*n).IP().Neigh.Add(d, header.AddrFrom4([4]byte{10, 0, 0, byte(2 - i)}), []byte{2, 0, 0, 0, 0, byte(2 - i)}, neigh.NUDPermanent, 0))
		}
		l := w.tcp(w.b)
		check(t, l.Bind(sockaddr(0, 80)))
		check(t, l.Listen(5))
		start := time.Now()
		var all sync.WaitGroup
		for _, f := range flows {
			c := w.tcp(w.a)
			check(t, c.SetSockOpt(syscall.SOL_TCP, syscall.TCP_CONGESTION, []byte(f.cc)))
			check(t, c.Connect(sockaddr(header.AddrFrom4([4]byte{10, 0, 0, 2}), 80), 0))
			s, err := l.Accept(0)
			check(t, err)
			all.Go(func() {
				buf := make([]byte, 64<<10)
				for time.Since(start) < warm+span {
					if _, err := (conn{c}).Write(buf); err != nil {
						t.Errorf("%s: %v", f.cc, err)
						break
					}
				}
				var info [248]byte
				c.GetSockOpt(syscall.SOL_TCP, syscall.TCP_INFO, info[:])
				f.srtt = time.Duration(binary.LittleEndian.Uint32(info[68:])) * time.Microsecond
				f.retrans = binary.LittleEndian.Uint32(info[100:])
				check(t, c.Release())
			})
			all.Go(func() {
				defer s.Release()
				buf := make([]byte, 64<<10)
				for {
					n, err := (conn{s}).Read(buf)
					if err != nil {
						return
					}
					if at := time.Since(start); at > warm && at < warm+span {
						f.bytes += n
					}
				}
			})
		}
		all.Wait()
		check(t, l.Release())
		time.Sleep(20 * time.Minute) // TIME_WAIT ends
		close(w.stop)
		w.run.Wait()
		w.wire.Close()
		w.down()
	})
}

func (f *congFlow) mbps(span time.Duration) float64 {
	return float64(f.bytes) * 8 / span.Seconds() / 1e6
}

// TestTCP_bbr_bottleneck wants the link full and its queue short, where
// algorithms that need losses fill the queue.
func TestTCP_bbr_bottleneck(t *testing.T) {
	const rate, rtt, warm, span = 10e6, 40 * time.Millisecond, 2 * time.Second, 8 * time.Second
	cfg := hosted.WireConfig{Seed: 1, Rate: rate, Delay: rtt / 2, Queue: 200 << 10}
	f := &congFlow{cc: "bbr"}
	congWorld(t, cfg, warm, span, f)
	t.Logf("bbr: %.2f Mbit/s of %.0f, rtt %v of %v, %d retransmitted", f.mbps(span), rate/1e6, f.srtt, rtt, f.retrans)
	if f.mbps(span) < 0.88*rate/1e6 {
		t.Errorf("%.2f Mbit/s of %.0f", f.mbps(span), rate/1e6)
	}
	if f.srtt > 3*rtt/2 {
		t.Errorf("a queue: rtt %v of %v", f.srtt, rtt)
	}
	x := &congFlow{cc: "bbr"}
	y := &congFlow{cc: "bbr"}
	congWorld(t, cfg, 4*time.Second, 20*time.Second, x, y)
	sum := x.mbps(20*time.Second) + y.mbps(20*time.Second)
	t.Logf("two: %.2f and %.2f Mbit/s", x.mbps(20*time.Second), y.mbps(20*time.Second))
	if least := min(x.bytes, y.bytes); sum < 0.85*rate/1e6 || float64(least)/float64(x.bytes+y.bytes) < 0.25 {
		t.Errorf("they share badly: %d and %d bytes", x.bytes, y.bytes)
	}
}

// TestTCP_throughputTable holds each algorithm's throughput against the bound of
// Mathis et al. for its like, MSS/RTT*sqrt(3/2)/sqrt(p), which BBR ignores: it is
// held against the bottleneck. make bench prints the table.
func TestTCP_throughputTable(t *testing.T) {
	const warm = 2 * time.Second
	row := func(cc string, rate int64, rtt, span time.Duration, loss, least float64) {
		link := float64(rate) / 1e6
		bound := link
		if loss > 0 {
			bound = min(link, 1448*8/rtt.Seconds()*math.Sqrt(1.5/loss)/1e6)
		}
		f := &congFlow{cc: cc}
		// A slow start takes longer over a longer way.
		congWorld(t, hosted.WireConfig{Seed: 7, Rate: rate, Delay: rtt / 2, Loss: loss}, warm+20*rtt, span, f)
		got := f.mbps(span)
		t.Logf("%-5s  link %3.0f Mbit/s, %3d ms  loss %4.1f %%  %6.2f Mbit/s  Mathis %6.2f  share of the link %3.0f %%",
			cc, link, rtt.Milliseconds(), loss*100, got, bound, 100*got/link)
		if cc == "bbr" {
			bound = link
		}
		if got < least*bound || got > link {
			t.Errorf("%s: loss %.3f, link %.0f: %.2f Mbit/s, want %.2f", cc, loss, link, got, least*bound)
		}
	}
	for _, loss := range []float64{0, 0.001, 0.01, 0.03} {
		row("reno", 20e6, 50*time.Millisecond, 16*time.Second, loss, 0.35)
		row("cubic", 20e6, 50*time.Millisecond, 16*time.Second, loss, 0.35)
		row("bbr", 20e6, 50*time.Millisecond, 16*time.Second, loss, 0.7)
	}
	for _, rate := range []int64{2e6, 40e6} {
		for _, rtt := range []time.Duration{10 * time.Millisecond, 200 * time.Millisecond} {
			row("bbr", rate, rtt, 5*time.Second, 0.01, 0.7)
			row("cubic", rate, rtt, 5*time.Second, 0, 0.7)
		}
	}
}
