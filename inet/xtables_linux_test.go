package inet_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"barewire/skb"
	"barewire/skb/header"
)

var ruleSeeds = flag.Uint64("ruleseeds", 6, "rule files of TestLinux_rules")

// ruleGen makes rule files at random: every kind of match and target whose
// outcome does not hang on the time or on chance.
type ruleGen struct {
	*rand.Rand
	track bool // rules may ask for connections
}

func (g *ruleGen) of(l ...string) string { return l[g.IntN(len(l))] }
func (g *ruleGen) not() string           { return g.of("", "", "", "", "! ") }

func (g *ruleGen) addr() string {
	return g.of("10.1.0.0/16", "10.1.1.0/24", "10.1.0.3", "8.8.8.0/30", "8.8.8.1", "203.0.113.0/25", "203.0.113.64/26",
		"198.51.100.1", "10.0.0.5/255.0.0.7", "0.0.0.0/0", fmt.Sprintf("203.0.113.%d", 50+g.IntN(50)), fmt.Sprintf("10.1.0.%d", g.IntN(12)))
}

func (g *ruleGen) port() string {
	p := g.IntN(16000)
	return g.of("53", "80", "7", "4000", "50:100", ":80", "80:", fmt.Sprintf("%d:%d", p, p+4000))
}

// match returns the protocol a match needs, empty for any, and its text.
func (g *ruleGen) match() (proto, text string) {
	kinds := 17
	if g.track {
		kinds = 24
	}
	switch g.IntN(kinds) {
	case 0, 1:
		return "tcp", "-m tcp " + g.not() + "--" + g.of("dport", "sport") + " " + g.port()
	case 2, 3:
		return "udp", "-m udp " + g.not() + "--" + g.of("dport", "sport") + " " + g.port()
	case 4:
		return "tcp", "-m tcp " + g.not() + g.of("--syn", "--tcp-flags ALL SYN", "--tcp-flags SYN,ACK ACK", "--tcp-flags FIN,RST NONE", "--tcp-option 2")
	case 5:
		return "icmp", "-m icmp " + g.not() + "--icmp-type " + g.of("echo-request", "0", "3", "3/1", "time-exceeded", "any")
	case 6:
		return g.of("tcp", "udp"), "-m multiport " + g.not() + g.of("--dports", "--sports", "--ports") + " " + g.of("53,80", "7,4000:5000", "1:1000,3000:9000", "80")
	case 7:
		return "", "-m iprange " + g.not() + g.of("--src-range 10.1.0.2-10.1.0.7", "--dst-range 203.0.113.60-203.0.113.80", "--dst-range 8.8.8.0-8.8.8.1")
	case 8:
		return "", "-m mark " + g.not() + "--mark " + g.of("0", "1", "2/3", "0x10/0xf0", "5")
	case 9:
		return "", "-m length " + g.not() + "--length " + g.of("28", ":100", "60:800", "700:")
	case 10:
		return "", "-m ttl " + g.of("--ttl-eq 64", "! --ttl-eq 64", "--ttl-lt 64", "--ttl-gt 1")
	case 11:
		return "", "-m tos " + g.not() + "--tos " + g.of("0", "0x10/0x1c", "Minimize-Delay")
	case 12:
		return "", "-m dscp " + g.not() + g.of("--dscp 0", "--dscp-class EF", "--dscp 0x1f")
	case 13:
		return "", "-m addrtype " + g.not() + g.of("--src-type", "--dst-type") + " " + g.of("LOCAL", "UNICAST", "BROADCAST,MULTICAST", "UNICAST,LOCAL")
	case 14:
		return "", "-m limit --limit 1/hour --limit-burst " + fmt.Sprint(1+g.IntN(9))
	case 15:
		return "", "-m comment --comment x"
	case 16:
		return "", "-m statistic --mode nth --every " + fmt.Sprint(2+g.IntN(3)) + " --packet 0"
	case 17, 18:
		return "", "-m conntrack " + g.not() + "--ctstate " + g.of("NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "NEW,UNTRACKED", "DNAT", "SNAT,INVALID")
	case 19:
		return "", "-m conntrack " + g.not() + g.of("--ctproto tcp", "--ctproto udp --ctorigdstport 53", "--ctorigsrc 10.1.0.0/24", "--ctorigdst 203.0.113.0/24",
			"--ctreplsrc 8.8.8.0/24", "--ctrepldst 10.1.0.0/16", "--ctstatus SEEN_REPLY", "--ctstatus NONE", "--ctstatus CONFIRMED,ASSURED", "--ctexpire 1:40", "--ctexpire 100:")
	case 20:
		return "", "-m conntrack --ctdir " + g.of("ORIGINAL", "REPLY")
	case 21:
		return "", "-m state " + g.not() + "--state " + g.of("NEW", "ESTABLISHED", "RELATED", "INVALID")
	default:
		return "", "-m connmark " + g.not() + "--mark " + g.of("0", "1", "2/3", "0x10/0xf0")
	}
}

func (g *ruleGen) rule(chain string, targets ...string) string {
	s := "-A " + chain
	if g.IntN(3) == 0 {
		s += " " + g.not() + "-s " + g.addr()
	}
	if g.IntN(3) == 0 {
		s += " " + g.not() + "-d " + g.addr()
	}
	if g.IntN(8) == 0 && chain == "FORWARD" {
		s += " " + g.not() + g.of("-i tap0", "-o tap0", "-i ppp+", "-o x")
	}
	if g.IntN(12) == 0 {
		s += " " + g.not() + "-f"
	}
	proto, texts := "", []string{}
	for range g.IntN(3) {
		p, t := g.match()
		if p == "" || proto == "" || p == proto {
			texts = append(texts, t)
			if p != "" {
				proto = p
			}
		}
	}
	target := g.of(targets...)
	if strings.Contains(target, "tcp-reset") || strings.Contains(target, "TCP") || strings.Contains(target, "ECN") {
		if proto != "" && proto != "tcp" {
			target = ""
		} else if proto = "tcp"; strings.Contains(target, "TCPMSS") {
			texts = append([]string{"-m tcp --tcp-flags SYN,RST SYN"}, texts...)
		}
	}
	if proto != "" {
		s += " -p " + proto
	} else if g.IntN(6) == 0 {
		s += " " + g.not() + "-p " + g.of("tcp", "udp", "icmp", "99")
	}
	for _, t := range texts {
		s += " " + t
	}
	return strings.TrimSpace(s + " " + target)
}

var (
	verdicts      = []string{"-j ACCEPT", "-j DROP", "-j RETURN", "-j RETURN"}
	anyTargets    = []string{"", "-j MARK --set-mark 1", "-j MARK --or-mark 2", "-j MARK --set-xmark 0x10/0xf3", "-j MARK --xor-mark 7"}
	trackTargets  = []string{"-j CONNMARK --set-mark 1", "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark", "-j CONNMARK --set-xmark 2/3", "-j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf0"}
	filterTargets = []string{"-j REJECT", "-j REJECT --reject-with tcp-reset", "-j REJECT --reject-with icmp-host-prohibited"}
	mangleTargets = []string{"-j TTL --ttl-set 40", "-j TTL --ttl-inc 1", "-j TTL --ttl-dec 3", "-j TOS --set-tos 0x10/0x3f", "-j TOS --xor-tos 0x24",
		"-j DSCP --set-dscp 46", "-j ECN --ecn-tcp-remove", "-j CHECKSUM --checksum-fill", "-j TCPOPTSTRIP --strip-options 2,timestamp"}
	mssTargets = []string{"-j CLASSIFY --set-class 1:2", "-j TCPMSS --set-mss 500", "-j TCPMSS --clamp-mss-to-pmtu"}
)

func lists(l ...[]string) []string {
	var out []string
	for _, s := range l {
		out = append(out, s...)
	}
	return out
}

// file makes rules for raw, mangle and filter.
func (g *ruleGen) file() []string {
	var l []string
	add := func(table, line string) { l = append(l, table+" "+line) }
	targets := anyTargets
	if g.track {
		targets = lists(anyTargets, trackTargets)
		add("filter", "-A INPUT -m conntrack --ctstate INVALID") // so that both track
		if g.IntN(3) == 0 {
			t := *g
			t.track = false // nothing is known there yet
			for range 3 {
				add("raw", t.rule("PREROUTING", "-j NOTRACK", "-j CT --notrack", "-j MARK --set-mark 5", "-j ACCEPT", "-j CT --zone 3"))
			}
		}
	}
	for _, c := range []string{"PREROUTING", "FORWARD", "POSTROUTING"} {
		for range g.IntN(5) {
			own := mangleTargets
			if c != "PREROUTING" {
				own = lists(mangleTargets, mssTargets)
			}
			add("mangle", g.rule(c, lists(targets, own, own, []string{"-j RETURN"})...))
		}
	}
	for _, c := range []string{"u1", "u2", "u3"} {
		add("filter", ":"+c+" - [0:0]")
	}
	for range 10 + g.IntN(40) {
		add("filter", g.rule("FORWARD", lists(verdicts, targets, filterTargets, []string{"-j u1", "-j u1", "-j u2", "-g u2", "-j u3", "-g u3"})...))
	}
	for range g.IntN(30) {
		add("filter", g.rule("u1", lists(verdicts, targets, filterTargets, []string{"-j u2", "-g u3", "-j u3"})...))
		add("filter", g.rule("u2", lists(verdicts, targets, []string{"-j u3"})...))
		add("filter", g.rule("u3", lists(verdicts, targets)...))
	}
	return l
}

var timestamps = regexp.MustCompile(`(?m)^#.*\n`)

// sameCounters compares what both would save, with the counters.
func (d *natDuel) sameCounters(name string) {
	d.Helper()
	want, err := d.l.ns.Run(10*time.Second, "iptables-legacy-save", "-c")
	if err != nil {
		d.Fatalf("%v: %s", err, want)
	}
	status, got, stderr := d.h.NF().Run([]string{"iptables-save", "-c"}, nil)
	if status != 0 {
		d.Fatalf("iptables-save: %s", stderr)
	}
	theirs, ours := byTable(want), byTable(strings.ReplaceAll(string(got), "eth0", "tap0"))
	for _, table := range []string{"raw", "mangle", "filter"} {
		a, b := theirs[table], ours[table]
		for i := range max(len(a), len(b)) {
			// The policies of a table without rules are not counted by ours.
			if i < len(a) && i < len(b) && (a[i] == b[i] || strings.HasPrefix(a[i], ":") && !strings.Contains(strings.Join(a, "\n"), "-A")) {
				continue
			}
			x, y := "", ""
			if i < len(a) {
				x = a[i]
			}
			if i < len(b) {
				y = b[i]
			}
			d.Errorf("%s, %s: Linux %q, we %q", name, table, x, y)
		}
	}
}

func byTable(save string) map[string][]string {
	m, table := map[string][]string{}, ""
	for l := range strings.Lines(timestamps.ReplaceAllString(save, "")) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "*") {
			table = l[1:]
		}
		m[table] = append(m[table], l)
	}
	return m
}

// syn is a connection being made, with options to be read and changed. No MSS
// stands at an odd place: there Linux gets the checksum wrong.
func (g *natTraffic) syn() [][]byte {
	r := g.rnd
	opts := []string{"", "\x02\x04\x05\xb4", "\x02\x04\x01\x00\x01\x03\x03\x07", "\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00", "\x01\x01\x02\x04\x05\xb4\x00\x00", "\x08\x20\x00\x00"}[r.IntN(6)]
	src, dst := ip4(10, 1, byte(r.IntN(3)), byte(r.IntN(12))), ip4(203, 0, 113, byte(50+r.IntN(50)))
	f := header.TCPFields{SrcPort: uint16(20000 + r.IntN(3000)), DstPort: []uint16{53, 80, 7, 4000}[r.IntN(4)], HeaderLen: 20 + len(opts),
		Flags: []uint8{header.TCPSyn, header.TCPSyn, header.TCPSyn | header.TCPEce | header.TCPCwr}[r.IntN(3)]}
	return g.wrap(6, src, dst, tcpSegmentWith(src, dst, f, opts))
}

func tcpSegmentWith(src, dst header.Addr, f header.TCPFields, opts string) []byte {
	f.Window = 5000
	p := make([]byte, f.HeaderLen)
	h := header.PutTCP(p, &f)
	copy(p[20:], opts)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(src, dst, header.ProtoTCP, len(p)))))
	return p
}

// TestLinux_rules_sameVerdicts: random rule files and random packets: what comes
// out, and every counter of every rule, as in Linux.
func TestLinux_rules_sameVerdicts(t *testing.T) {
	for _, track := range []bool{false, true} {
		t.Run(fmt.Sprint("track ", track), func(t *testing.T) {
			d := newNATDuel(t)
			for seed := range *ruleSeeds {
				g := &ruleGen{Rand: rand.New(rand.NewPCG(seed, 5)), track: track}
				rules := g.file()
				d.tables(track, rules...)
				tr := &natTraffic{d: d, rnd: g.Rand}
				for i := range 30 {
					name, frames := tr.next()
					if g.IntN(4) == 0 {
						name, frames = "SYN", tr.syn()
					}
					d.feed(fmt.Sprintf("seed %d, packet %d: %s", seed, i, name), frames...)
					tr.note(d.sent)
				}
				d.sameCounters(fmt.Sprint("seed ", seed))
				if t.Failed() {
					t.Fatalf("rules\n%s", strings.Join(rules, "\n"))
				}
			}
		})
	}
}

// tables is rules without the nat table, which has Linux track connections and
// put fragments together from then on.
func (d *natDuel) tables(track bool, lines ...string) {
	d.Helper()
	if track {
		d.rules(lines...)
		return
	}
	d.restore([]string{"raw", "mangle", "filter"}, lines)
}
