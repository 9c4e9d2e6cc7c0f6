package conntrack

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// TestTable_manyAtOnce_countsRight: packets of the same few connections from
// several processors while others delete, collect, resize and list; at the end
// everything is gone and counted.
func TestTable_manyAtOnce_countsRight(t *testing.T) {
	w := newWorld(t, 512)
	var clock atomic.Int64
	clock.Store(int64(time.Hour))
	w.cfg.Now = clock.Load
	w.Conf.Acct.Store(1)
	w.Conf.Timestamp.Store(1)
	ended := map[*Conn]int{}
	var emu sync.Mutex
	var confirmed atomic.Int64
	w.OnEnd(func(c *Conn) {
		if !c.IsConfirmed() {
			return // is used again
		}
		emu.Lock()
		ended[c]++
		emu.Unlock()
	})
	w.Watch(&Watcher{Mask: EventAll, Conn: func(ev Event, c *Conn) {
		if ev&EventNew != 0 {
			confirmed.Add(1)
		}
		c.AppendEvent(nil, ev)
	}})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	worker := func(seed uint64, fn func(r *rand.Rand)) {
		wg.Go(func() {
			for r := rand.New(rand.NewPCG(seed, 1)); ; fn(r) {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range uint64(3) {
		worker(i, func(r *rand.Rand) {
			src, dst, sp, dp := hostA+header.Addr(r.IntN(20)), hostB+0x100+header.Addr(r.IntN(20)), uint16(1), uint16(2)
			if r.IntN(2) == 0 {
				src, dst, sp, dp = dst, src, dp, sp
			}
			proto, l4 := uint8(ProtoUDP), udp(sp, dp)
			if r.IntN(2) == 0 {
				proto, l4 = ProtoTCP, tcp(sp, dp, pick[uint8](r, syn, syn|ack, ack, fin|ack, rst), r.Uint32N(3), r.Uint32N(3))
			}
			b := w.packet(proto, src, dst, l4)
			if w.in(b) == netfilter.Accept && r.IntN(4) != 0 {
				w.out(b)
			}
			StateOf(b)
			b.Free(skb.NetfilterDrop)
		})
	}
	worker(9, func(r *rand.Rand) {
		switch r.IntN(40) {
		case 0:
			clock.Add(int64(10 * time.Second))
		case 1:
			w.Resize(256 << r.IntN(4))
		case 2:
			w.Proc(nil)
		case 3:
			w.GC()
		default:
			k := Tuple{Src: hostA + header.Addr(r.IntN(20)), Dst: hostB + 0x100 + header.Addr(r.IntN(20)), SrcPort: 1, DstPort: 2, Proto: ProtoTCP}
			if c, _ := w.Lookup(k); c != nil && r.IntN(3) == 0 {
				w.Delete(c)
			}
		}
	})
	time.Sleep(300 * time.Millisecond)
	close(stop)
	wg.Wait()
	w.Flush(nil)
	clock.Add(int64(1000 * time.Hour))
	for range 2 * gcWhole {
		w.GC()
	}
	w.want(0)
	for _, n := range ended {
		if n != 1 {
			t.Errorf("a connection ended %d times", n)
		}
	}
	if n := int(confirmed.Load()); len(ended) < n || n == 0 {
		t.Errorf("%d began, %d ended", n, len(ended))
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }
