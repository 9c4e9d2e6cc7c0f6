package xtables_test

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb/header"
)

// shapes are rule sets of the usual kinds; rule returns the i-th.
var shapes = []struct {
	name string
	rule func(g *gen, i int) string
}{
	{"addr", func(g *gen, i int) string {
		return fmt.Sprintf("-A FORWARD -s 10.%d.%d.%d -j DROP", 1+i>>16, i>>8&255, i&255)
	}},
	{"prefix", func(g *gen, i int) string {
		return fmt.Sprintf("-A FORWARD -d %d.%d.%d.0/%d -j DROP", 11+g.Intn(80), g.Intn(256), g.Intn(256), 16+g.Intn(9))
	}},
	{"addr+port", func(g *gen, i int) string {
		return fmt.Sprintf("-A FORWARD -d 10.%d.%d.%d -p tcp -m tcp --dport %d -j DROP", 1+i>>12, i>>4&255, i&15, 1000+i&15)
	}},
	{"mixed", func(g *gen, i int) string {
		s := "-A FORWARD"
		if i%3 != 0 {
			s += fmt.Sprintf(" -s 10.%d.%d.0/%d", 1+g.Intn(200), g.Intn(256), 22+g.Intn(10))
		}
		if i%5 != 0 {
			s += fmt.Sprintf(" -d 172.%d.%d.%d", 16+g.Intn(16), g.Intn(256), g.Intn(256))
		}
		if i%7 == 0 {
			s += fmt.Sprintf(" -i eth%d", g.Intn(4))
		}
		lo := 1 + g.Intn(60000)
		return s + fmt.Sprintf(" -p %s --dport %d:%d -j DROP", pick(g, "tcp -m tcp", "udp -m udp"), lo, lo+pick(g, 0, 0, 10, 1000))
	}},
}

// bars are what issue 5 asks of the whole way of a packet, in ns; here is the
// part of one table.
func BenchmarkTable(b *testing.B) {
	for _, sh := range shapes {
		for _, n := range []int{10, 100, 1000, 100000} {
			g := &gen{Rand: rand.New(rand.NewSource(1))}
			lines := make([]string, n)
			for i := range lines {
				lines[i] = sh.rule(g, i)
			}
			cfg := config(b, "filter", lines...)
			w := newWorld(false)
			at := time.Now()
			if err := w.Replace(cfg); err != nil {
				b.Fatal(err)
			}
			load := time.Since(at)
			c := newCache(b)
			b.Run(fmt.Sprintf("%s/%d", sh.name, n), func(b *testing.B) {
				k := pkt{src: header.AddrFrom4([4]byte{10, 9, 8, 7}), dst: header.AddrFrom4([4]byte{172, 17, 1, 1}), proto: 6, sport: 4000, dport: 80, in: "eth0", out: "eth1", point: netfilter.Forward}
				p := k.build(c)
				in, out := k.state()
				b.ReportAllocs()
				i := uint32(0)
				for b.Loop() {
					i += 0x9e3779b1 // another flow each time
					p.Data()[19] = byte(i >> 8)
					p.Data()[14], p.Data()[15] = byte(i>>16), byte(i>>24)
					if !w.hooks.Run(netfilter.Forward, p, in, out, nil) {
						p = k.build(c)
					}
				}
				p.Consume()
				b.ReportMetric(float64(load.Milliseconds()), "load-ms")
			})
		}
	}
}
