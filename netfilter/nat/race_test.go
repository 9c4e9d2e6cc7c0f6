package nat_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb/header"
)

// TestNAT_manyAtOnce: packets of the same and of other sources, from several
// goroutines, while connections are deleted; the race detector and the leak check
// judge, and that every packet that got through was translated.
func TestNAT_manyAtOnce(t *testing.T) {
	x := newBox(t)
	x.nat.Random = rand.Uint32
	r := &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: gw, MaxAddr: gw + 1, MinPort: 2000, MaxPort: 2040}
	x.snat(r)
	var all, flush sync.WaitGroup
	stop := make(chan struct{})
	for g := range 4 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(g)))
			for range 3000 {
				f := udp(src+header.Addr(rnd.IntN(8)), uint16(1000+rnd.IntN(8)), server+header.Addr(rnd.IntN(3)), 53)
				b := x.packet(f)
				if !x.hooks.Run(netfilter.PreRouting, b, lan, nil, nil) || !x.hooks.Run(netfilter.PostRouting, b, lan, wan, nil) {
					continue // no port, or lost against another
				}
				if h := header.IPv4(b.Data()); !inRange(r, h.Src(), header.UDP(b.Data()[20:]).SrcPort()) || !sumsRight(b) {
					t.Errorf("%v:%d got out", h.Src(), header.UDP(b.Data()[20:]).SrcPort())
				}
				b.Consume()
			}
		})
	}
	flush.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				x.ct.Flush(nil)
			}
		}
	})
	all.Wait()
	close(stop)
	flush.Wait()
	x.ct.Flush(nil)
	x.now += 2e9 // those that lost a clash live for a second
	for range 2000 {
		x.ct.GC()
	}
	if n := x.ct.Count(); n != 0 {
		t.Errorf("%d connections left", n)
	}
}

func inRange(r *nat.Range, a header.Addr, port uint16) bool {
	return a >= r.MinAddr && a <= r.MaxAddr && port >= r.MinPort && port <= r.MaxPort
}
