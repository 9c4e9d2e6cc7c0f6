package xtables_test

import (
	"fmt"
	"testing"

	"barewire/netfilter"
)

// What polls add up apart is what rules count at once, when the polls have ended: of more rules than are added up at a
// time, at all hooks, on both processors.
func TestCountAtPollEnd_asIfCountedAtOnce(t *testing.T) {
	c := newCache(t)
	var lines []string
	for port := range 70 {
		lines = append(lines, fmt.Sprintf("-A FORWARD -p udp -m udp --dport %d", port), fmt.Sprintf("-A OUTPUT -p udp -m udp --dport %d", port))
	}
	var want string
	for _, apart := range []bool{false, true} {
		w := newWorld(false)
		asked := [2]int{}
		if apart {
			w.Env().AtPollEnd = func(cpu int) { asked[cpu]++ }
			w.Env().Settle = func() {}
			w.CountAtPollEnd(2)
		}
		if err := w.Replace(config(t, "filter", lines...)); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			k := udpTo(2, uint16(i*i%71))
			if i%3 == 0 {
				k.point = netfilter.LocalOut
			}
			b := k.build(c)
			if b.CPU = uint16(i / 2 % 2); k.point == netfilter.LocalOut {
				b.CPU = 77 // it means nothing in a packet made here
			}
			in, out := k.state()
			if !w.hooks.Run(k.point, b, in, out, nil) {
				t.Fatal("dropped")
			}
			b.Consume()
		}
		if !apart {
			want = w.counters("filter")
			continue
		}
		if asked != [2]int{1, 1} {
			t.Errorf("the end of the poll was asked for %d times", asked)
		}
		if w.counters("filter") == want {
			t.Error("counted before the polls ended")
		}
		w.EndPoll(0)
		w.EndPoll(1)
		if got := w.counters("filter"); got != want {
			t.Errorf("counted\n%s\nwant\n%s", got, want)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	for _, apart := range []bool{false, true} {
		b.Run(fmt.Sprintf("apart=%v", apart), func(b *testing.B) {
			w := newWorld(false)
			if apart {
				w.Env().AtPollEnd, w.Env().Settle = func(int) {}, func() {}
				w.CountAtPollEnd(64)
			}
			if err := w.Replace(config(b, "filter", "-A FORWARD -p udp", "-A FORWARD -p udp -j ACCEPT")); err != nil {
				b.Fatal(err)
			}
			cpu := make(chan uint16, 64)
			for i := range cap(cpu) {
				cpu <- uint16(i)
			}
			cache := newCache(b)
			b.RunParallel(func(pb *testing.PB) {
				k := udpTo(1, 2)
				skb := k.build(cache)
				skb.CPU = <-cpu
				in, out := k.state()
				for pb.Next() {
					w.hooks.Run(k.point, skb, in, out, nil)
				}
				if apart {
					w.EndPoll(int(skb.CPU))
				}
				skb.Consume()
			})
		})
	}
}
