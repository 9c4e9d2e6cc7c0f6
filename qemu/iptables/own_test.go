package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"barewire/netfilter/iptables/iptablestest"
	"barewire/skb/header"
)

// passes sends a UDP packet through and reports whether it left.
func (o *ownRouter) passes(src, dst header.Addr, ttl uint8) bool {
	b := make([]byte, 12)
	b[0], b[1], b[3], b[5] = 4, 4, 53, 12
	return len(o.send(0, packet(header.Fields{Src: src, Dst: dst, TTL: ttl, Protocol: 17}, b))) > 0
}

// rules has an instance with forwarding on run command lines.
func rules(t *testing.T, lines ...string) *ownRouter {
	t.Helper()
	o := newOwnRouter(t, 1)
	o.set("net.ipv4.ip_forward", "1")
	o.must(lines...)
	return o
}

func (o *ownRouter) must(lines ...string) string {
	o.t.Helper()
	cmds, err := iptablestest.ParseScript(strings.Join(lines, "\n"))
	if err != nil {
		o.t.Fatal(err)
	}
	out := ""
	for _, c := range cmds {
		r, err := o.Run(c)
		if err != nil || r.Status != 0 {
			o.t.Fatalf("%s: %v %s", c.String(), err, r.Stderr)
		}
		out += r.Stdout
	}
	return out
}

const (
	hostA = header.Addr(0x0a000001)
	hostB = header.Addr(0x0a000002)
	far   = header.Addr(0x0a000101)
)

func TestRecent_secondsPass_forgotten(t *testing.T) {
	o := rules(t,
		"iptables -A FORWARD -m recent --name x --rcheck --seconds 10 --hitcount 3 --reap -j DROP",
		"iptables -A FORWARD -m recent --name x --set -j ACCEPT")
	for i, want := range []bool{true, true, true, false} {
		if got := o.passes(hostA, far, 64); got != want {
			t.Fatalf("packet %d: %v", i, got)
		}
	}
	if !o.passes(hostB, far, 64) {
		t.Error("another host is counted with the first")
	}
	o.clock.Advance(11 * time.Second)
	if !o.passes(hostA, far, 64) {
		t.Error("not forgotten after its time")
	}
}

func TestRecent_file_readAndWritten(t *testing.T) {
	o := rules(t, "iptables -A FORWARD -m recent --name x --rcheck -j DROP")
	f, ok := o.in.Net().Proc().File("xt_recent/x")
	if !ok {
		t.Fatal("no file for the list")
	}
	if !o.passes(hostA, far, 64) {
		t.Error("dropped before it was in the list")
	}
	if err := f.Write([]byte("+10.0.0.1\n")); err != nil {
		t.Fatal(err)
	}
	if s := string(f.Show(nil)); !strings.HasPrefix(s, "src=10.0.0.1 ttl: 0 last_seen: ") || strings.Count(s, "\n") != 1 {
		t.Errorf("%q", s)
	}
	if o.passes(hostA, far, 64) || !o.passes(hostB, far, 64) {
		t.Error("the list does not do what was written")
	}
	if f.Write([]byte("x")) == nil || f.Write([]byte("+1.2.3")) == nil {
		t.Error("nonsense was taken")
	}
	if err := f.Write([]byte("-10.0.0.1")); err != nil || !o.passes(hostA, far, 64) {
		t.Error("not removed", err)
	}
	f.Write([]byte("+10.0.0.1"))
	if err := f.Write([]byte("/")); err != nil || len(f.Show(nil)) != 0 {
		t.Error("not emptied", err)
	}
	o.must("iptables -F")
	if _, ok := o.in.Net().Proc().File("xt_recent/x"); ok {
		t.Error("the file outlives the list")
	}
}

func TestRecent_manyAddresses_bounded(t *testing.T) {
	o := rules(t, "iptables -A FORWARD -m recent --name x --set")
	for i := range 300 {
		o.passes(0x0a000000|header.Addr(i%250), 0x0a000100|header.Addr(i/250), 64)
	}
	f, _ := o.in.Net().Proc().File("xt_recent/x")
	if n := strings.Count(string(f.Show(nil)), "\n"); n != 100 {
		t.Error(n, "entries")
	}
}

// TestTime_clock_insideAndOutside: the virtual clock begins on Saturday 1
// January 2000 at midnight, UTC.
func TestTime_clock_insideAndOutside(t *testing.T) {
	for _, c := range []struct {
		args string
		at   time.Duration
		want bool
	}{
		{"--weekdays Sat", 0, true}, {"--weekdays Sun", 0, false}, {"--weekdays Sun", 24 * time.Hour, true},
		{"! --weekdays Sat", 0, false}, {"--monthdays 1", 0, true}, {"--monthdays 2", 23 * time.Hour, false},
		{"--monthdays 2", 25 * time.Hour, true}, {"--monthdays 29", 59 * 24 * time.Hour, true},
		{"--timestart 10:00 --timestop 11:00", 10*time.Hour + time.Minute, true},
		{"--timestart 10:00 --timestop 11:00", 11*time.Hour + time.Minute, false},
		{"--timestart 23:00 --timestop 01:00", 30 * time.Minute, true},
		{"--timestart 23:00 --timestop 01:00", 2 * time.Hour, false},
		{"--timestart 23:00 --timestop 01:00 --weekdays Fri", 30 * time.Minute, false},
		{"--timestart 23:00 --timestop 01:00 --weekdays Fri --contiguous", 30 * time.Minute, true},
		{"--datestart 2000-01-01T05:00", 4 * time.Hour, false}, {"--datestart 2000-01-01T05:00", 6 * time.Hour, true},
		{"--datestop 2000-01-01T05:00", 4 * time.Hour, true}, {"--datestop 2000-01-01T05:00", 6 * time.Hour, false},
	} {
		o := rules(t, "iptables -P FORWARD DROP", "iptables -A FORWARD -m time "+c.args+" -j ACCEPT")
		o.clock.Advance(c.at)
		if got := o.passes(hostA, far, 64); got != c.want {
			t.Errorf("%s after %v: %v", c.args, c.at, got)
		}
	}
}

func TestSet_timeout_addedByRuleAndGone(t *testing.T) {
	o := rules(t, "ipset create s hash:ip timeout 10",
		"iptables -A FORWARD -m set --match-set s src -j DROP",
		"iptables -A FORWARD -j SET --add-set s src --timeout 5")
	if !o.passes(hostA, far, 64) || o.passes(hostA, far, 64) {
		t.Error("not added by the first packet")
	}
	o.clock.Advance(6 * time.Second)
	if !o.passes(hostA, far, 64) {
		t.Error("still there after its time")
	}
	if out, _ := o.Run(iptablestest.Command{Argv: []string{"ipset", "destroy", "s"}}); out.Status == 0 {
		t.Error("a set in use was destroyed")
	}
	o.must("iptables -F", "ipset destroy s")
}

func TestConnlimit_connectionsEnd_roomAgain(t *testing.T) {
	o := rules(t, "iptables -A FORWARD -p udp -m connlimit --connlimit-above 2 --connlimit-mask 24 -j DROP")
	for i, want := range []bool{true, true, false} {
		if got := o.passes(hostA+header.Addr(i), far, 64); got != want {
			t.Fatalf("connection %d: %v", i, got)
		}
	}
	if !o.passes(hostA, far, 64) {
		t.Error("a connection that counts already is dropped")
	}
	o.clock.Advance(10 * time.Minute)
	if !o.passes(hostA+2, far, 64) {
		t.Error("connections that are over still count")
	}
}

// FuzzPackets: no packet upsets an instance with any of the rules.
func FuzzPackets(f *testing.F) {
	g := &generator{r: rand.New(rand.NewPCG(1, 2)), rare: true}
	for i := range byte(60) {
		dev, p := g.next()
		f.Add(i, byte(dev), p)
	}
	files, err := filepath.Glob("testdata/duel/*.sh")
	if err != nil || len(files) == 0 {
		f.Fatal("no scripts", err)
	}
	var own []*ownRouter
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		o := newOwnRouter(f, 1)
		o.set("net.ipv4.ip_forward", "1")
		o.must(string(text))
		own = append(own, o)
	}
	f.Fuzz(func(t *testing.T, script, dev byte, p []byte) {
		o := own[int(script)%len(own)]
		for _, s := range o.send(int(dev)%2, p) {
			if h, ok := header.ParseIPv4(s.packet); !ok || !h.ChecksumOK() {
				t.Fatalf("what leaves is no packet: %x", s.packet)
			}
		}
	})
}
