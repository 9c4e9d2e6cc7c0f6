package inet_test

import (
	"fmt"
	"math/rand"
	"testing"

	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
	"barewire/skb/header"
)

// ruleSet is n rules for FORWARD of the kinds a firewall has: blocked addresses
// and networks, ports of hosts, ranges of ports, some with a device or a state.
// None but the last matches the flows of natRouter, so that a packet has to get
// past all of them.
func ruleSet(t testing.TB, n int) *xtables.Config {
	rng := rand.New(rand.NewSource(1))
	cfg := xtables.NewConfig("filter")
	fw := cfg.Chain("FORWARD")
	c := &xtables.ParseContext{Table: "filter"}
	match := func(r *xtables.Rule, name string, opts ...string) {
		d := xt.FindMatch(name)
		u := d.NewUse()
		c.Proto = r.Proto
		for i := 0; i < len(opts); i += 2 {
			o, err := d.FindOption(opts[i])
			check(t, err)
			check(t, u.Set(c, o, opts[i+1:i+2], false))
		}
		check(t, u.Finish(c))
		r.Matches = append(r.Matches, xtables.MatchUse{Def: d, Match: u.Ext.(xtables.Match)})
	}
	for i := range n - 1 {
		r := &xtables.Rule{Jump: xtables.NameDrop}
		a := header.Addr(10<<24 | rng.Intn(1<<24))
		switch i % 5 {
		case 0:
			r.Src, r.SrcMask = a, ^header.Addr(0)
		case 1:
			r.DstMask = ^header.Addr(0) << rng.Intn(9)
			r.Dst = a & r.DstMask
			match(r, "state", "state", "NEW,ESTABLISHED")
		case 2:
			r.Dst, r.DstMask, r.Proto = a, ^header.Addr(0), header.ProtoTCP
			match(r, "tcp", "dport", fmt.Sprint(1+rng.Intn(65535)))
		case 3:
			r.Proto = header.ProtoUDP
			lo := 100 + rng.Intn(60000)
			r.Src, r.SrcMask = a&^255, ^header.Addr(255)
			match(r, "udp", "dport", fmt.Sprintf("%d:%d", lo, lo+rng.Intn(100)))
		case 4:
			r.In, r.Proto = "eth1", header.ProtoTCP
			r.Dst, r.DstMask = a, ^header.Addr(0)
			match(r, "multiport", "dports", "80,443,8000:8100")
		}
		fw.Rules = append(fw.Rules, r)
	}
	last := &xtables.Rule{Jump: xtables.NameAccept}
	last.Proto = header.ProtoUDP
	match(last, "conntrack", "ctstate", "ESTABLISHED")
	fw.Rules = append(fw.Rules, last)
	return cfg
}

func benchRules(b *testing.B, rules, flows int, translate bool, bar float64) {
	h, in, out := natRouter(b, 64, flows, translate)
	cfg := ruleSet(b, rules)
	check(b, h.NF().Tables.Replace(cfg))
	last := &cfg.Chain("FORWARD").Rules[rules-1].Counter
	before, _ := last.Load()
	benchForwarded(b, h, in, out, bar)
	if n, _ := last.Load(); n == before {
		b.Fatal("no packet came to the last rule")
	}
}

func BenchmarkForwardRules10(b *testing.B)     { benchRules(b, 10, 64, false, 450) }
func BenchmarkForwardRules100(b *testing.B)    { benchRules(b, 100, 64, false, 450) }
func BenchmarkForwardRules1000(b *testing.B)   { benchRules(b, 1000, 64, false, 550) }
func BenchmarkForwardRules100000(b *testing.B) { benchRules(b, 100000, 64, false, 550) }

// With masquerading too.
func BenchmarkForwardNATRules100(b *testing.B)    { benchRules(b, 100, 64, true, 450) }
func BenchmarkForwardNATRules100000(b *testing.B) { benchRules(b, 100000, 64, true, 550) }

func TestAllocs_forwardRules_none(t *testing.T) {
	for _, rules := range []int{10, 1000} {
		h, in, out := natRouter(t, 64, 4, false)
		check(t, h.NF().Tables.Replace(ruleSet(t, rules)))
		before := out.sent
		noAllocs(t, "forward", func() { pass(h.net, in, 64) })
		if out.sent-before < 64*100 {
			t.Errorf("%d packets forwarded", out.sent-before)
		}
	}
}
