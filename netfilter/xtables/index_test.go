package xtables_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// gen makes random rule sets, and packets that have a chance to match.
type gen struct {
	*rand.Rand
	targets []string // that do not end the walk, or not always
}

func pick[T any](r *gen, l ...T) T { return l[r.Intn(len(l))] }

// addr is one of few addresses, so that rules and packets meet.
func (g *gen) addr() string {
	return fmt.Sprintf("10.%d.%d.%d", g.Intn(2), g.Intn(3), g.Intn(12))
}

func (g *gen) port() int { return pick(g, 22, 53, 80, 443, 1024, 5000+g.Intn(40), g.Intn(65536)) }

func (g *gen) ports() string {
	switch a := g.port(); g.Intn(5) {
	case 0:
		return fmt.Sprintf("%d:%d", a, a+g.Intn(65536-a))
	case 1:
		return fmt.Sprintf(":%d", a)
	case 2:
		return fmt.Sprintf("%d:", a)
	default:
		return fmt.Sprint(a)
	}
}

func (g *gen) not() string { return pick(g, "", "", "", "", "", "", " !") }

// matches are what a rule may ask for.
var matches = []struct {
	proto string // needed
	text  func(g *gen) string
}{
	{"tcp", func(g *gen) string { return "-m tcp" + g.not() + " --dport " + g.ports() }},
	{"tcp", func(g *gen) string { return "-m tcp" + g.not() + " --sport " + g.ports() + " --dport " + g.ports() }},
	{"tcp", func(g *gen) string { return "-m tcp" + g.not() + " --syn" }},
	{"tcp", func(g *gen) string { return "-m tcp" + g.not() + " --tcp-option " + pick(g, "2", "3", "8") }},
	{"udp", func(g *gen) string { return "-m udp" + g.not() + " --dport " + g.ports() }},
	{"udp", func(g *gen) string { return "-m udp --sport " + g.ports() }},
	{"tcp", func(g *gen) string {
		return "-m multiport" + g.not() + " --dports " + pick(g, "22,80", "53,5000:5030,443", "1:4000,6000:65000")
	}},
	{"udp", func(g *gen) string {
		return "-m multiport" + g.not() + " --" + pick(g, "sports", "ports") + " 53,5000:5030"
	}},
	{"icmp", func(g *gen) string { return "-m icmp" + g.not() + " --icmp-type " + pick(g, "8", "3/4", "any", "5") }},
	{"", func(g *gen) string { return "-m iprange" + g.not() + " --src-range 10.0.0.3-10.1.1.9" }},
	{"", func(g *gen) string { return "-m iprange --dst-range 10.0.1.0-10.0.1.6" }},
	{"", func(g *gen) string {
		return "-m mark" + g.not() + " --mark " + pick(g, "0", "1", "2", "16/0xf0", "0/0", "3/7")
	}},
	{"", func(g *gen) string { return "-m mark --mark " + fmt.Sprint(g.Intn(20)) }},
	{"", func(g *gen) string { return "-m length" + g.not() + " --length 40:80" }},
	{"", func(g *gen) string { return "-m ttl --ttl-gt 63" }},
	{"", func(g *gen) string { return "-m tos" + g.not() + " --tos 8" }},
	{"", func(g *gen) string { return "-m comment --comment x" }},
	{"", func(g *gen) string { return "-m limit --limit 5/s --limit-burst " + fmt.Sprint(1+g.Intn(5)) }},
	{"", func(g *gen) string {
		return "-m hashlimit --hashlimit-upto 2/s --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name h" + fmt.Sprint(g.Intn(100))
	}},
	{"", func(g *gen) string {
		return "-m hashlimit --hashlimit-above 1kb/s --hashlimit-mode dstip,dstport --hashlimit-name b" + fmt.Sprint(g.Intn(100))
	}},
}

func (g *gen) rule(chain string, targets []string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "-A %s", chain)
	if g.Intn(3) == 0 {
		fmt.Fprintf(&s, "%s -s %s%s", g.not(), g.addr(), pick(g, "", "", "/24", "/16", "/8", "/255.255.0.255", "/0"))
	}
	if g.Intn(3) == 0 {
		fmt.Fprintf(&s, "%s -d %s%s", g.not(), g.addr(), pick(g, "", "", "/24", "/30", "/255.0.255.0"))
	}
	if g.Intn(5) == 0 {
		fmt.Fprintf(&s, "%s -i %s", g.not(), pick(g, "eth0", "eth1", "eth+", "ppp0", "+"))
	}
	if g.Intn(8) == 0 {
		fmt.Fprintf(&s, "%s -o %s", g.not(), pick(g, "eth0", "eth1", "eth+"))
	}
	if g.Intn(16) == 0 {
		fmt.Fprintf(&s, "%s -f", g.not())
	}
	proto := pick(g, "", "", "tcp", "tcp", "tcp", "udp", "udp", "icmp", "132", "50")
	inverted := ""
	if proto != "" {
		inverted = g.not()
		fmt.Fprintf(&s, "%s -p %s", inverted, proto)
	}
	for range g.Intn(4) {
		m := matches[g.Intn(len(matches))]
		if m.proto == "" || m.proto == proto && inverted == "" {
			s.WriteString(" " + m.text(g))
		}
	}
	switch g.Intn(8) {
	case 0:
	case 1, 2, 3:
		fmt.Fprintf(&s, " -j %s", pick(g, "ACCEPT", "DROP", "RETURN"))
	default:
		fmt.Fprintf(&s, " %s", targets[g.Intn(len(targets))])
	}
	return s.String()
}

// otherTargets are for any table.
var otherTargets = []string{"", "-j MARK --set-mark 1", "-j MARK --xor-mark 3", "-j MARK --set-xmark 16/0xf0", "-j LOG --log-prefix x"}

// rules makes a filter or mangle table.
func (g *gen) rules(n int) []string {
	var l []string
	user := []string{"u1", "u2", "u3"}
	for _, u := range user {
		l = append(l, ":"+u+" -")
	}
	l = append(l, "-P FORWARD "+pick(g, "ACCEPT", "DROP"))
	chains := append([]string{"FORWARD", "FORWARD", "INPUT"}, user...)
	for range n {
		c := g.Intn(len(chains))
		targets := append([]string{""}, g.targets...)
		for k := max(c, 3) + 1; k < len(chains); k++ { // only downwards: no circles
			targets = append(targets, "-j "+chains[k], "-g "+chains[k])
		}
		if c < 3 {
			targets = append(targets, "-j u1", "-j u2", "-g u3")
		}
		l = append(l, g.rule(chains[c], targets))
	}
	return l
}

func (g *gen) packet() pkt {
	a := func() header.Addr { h, _, _ := addrMask(g.addr()); return h }
	k := pkt{src: a(), dst: a(), proto: pick[uint8](g, 6, 6, 6, 17, 17, 1, 132, 50, 99),
		sport: uint16(g.port()), dport: uint16(g.port()), flags: uint8(g.Intn(64)), size: g.Intn(100),
		in: pick(g, "eth0", "eth1", "ppp0", "e"), out: pick(g, "eth0", "eth1", "ppp0"),
		mark: uint32(pick(g, 0, 0, 1, 2, 16, g.Intn(20))), tos: uint8(pick(g, 0, 0, 8, 16, g.Intn(256))),
		ttl: uint8(pick(g, 64, 63, 1, g.Intn(256))), point: pick(g, netfilter.Forward, netfilter.Forward, netfilter.LocalIn)}
	if k.proto == 1 {
		k.sport, k.dport = uint16(g.Intn(20)), uint16(g.Intn(16))
	}
	if k.point == netfilter.LocalIn {
		k.out = ""
	}
	if g.Intn(8) == 0 {
		k.frag = uint16(pick(g, 1, 2, 185, 0x2000, 0x2001, 0x4000))
	}
	if g.Intn(10) == 0 {
		k.short = 1 + g.Intn(24)
	}
	k.opts = pick(g, "", "", "\x02\x04\x05\xb4", "\x01\x01\x08\x0a12345678", "\x03\x00\x00\x00", "\x02\xff\x00\x00")
	return k
}

// differ passes packets through the walk and the index and compares everything.
func differ(t *testing.T, c *skb.Cache, seed int64, table string, rules, packets int) {
	t.Helper()
	g := &gen{Rand: rand.New(rand.NewSource(seed))}
	mangle := []string{"-j TTL --ttl-dec 1", "-j TOS --set-tos 8", "-j TOS --xor-tos 16"}
	g.targets = otherTargets
	if table == "mangle" {
		g.targets = append(mangle, otherTargets...)
	}
	lines := g.rules(rules)
	lin, ind := newWorld(true), newWorld(false)
	for _, w := range []*world{lin, ind} {
		if err := w.Replace(config(t, table, lines...)); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(lines, "\n"))
		}
	}
	for i := range packets {
		k := g.packet()
		k1, k2 := k, k
		a, b := lin.send(c, &k1), ind.send(c, &k2)
		lin.now, ind.now = lin.now+1e7, ind.now+1e7
		if a != b || k1 != k2 {
			t.Fatalf("seed %d, packet %d: %+v\nwalk: %v %+v\nindex: %v %+v\n%s", seed, i, k, a, k1, b, k2, strings.Join(lines, "\n"))
		}
	}
	if a, b := lin.counters(table), ind.counters(table); a != b {
		for i, l := range strings.Split(a, "\n") {
			if m := strings.Split(b, "\n")[i]; l != m {
				t.Errorf("seed %d: walk %q, index %q", seed, l, m)
			}
		}
		t.Fatalf("seed %d: counters differ\n%s", seed, strings.Join(lines, "\n"))
	}
	if a, b := strings.Join(lin.log, "\n"), strings.Join(ind.log, "\n"); a != b {
		t.Fatalf("seed %d: log differs\n%s\n---\n%s", seed, a, b)
	}
}

func TestIndex_randomRules_asTheWalk(t *testing.T) {
	c := newCache(t)
	for seed := range int64(200) {
		differ(t, c, seed, pick(&gen{Rand: rand.New(rand.NewSource(seed))}, "filter", "mangle"), 30+int(seed)*2, 300)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(int64(1), uint16(50))
	f.Add(int64(2), uint16(400))
	f.Fuzz(func(t *testing.T, seed int64, n uint16) {
		differ(t, newCache(t), seed, "mangle", int(n%2000), 200)
	})
}
