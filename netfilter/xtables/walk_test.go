package xtables_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

func TestWalk_gotoAndReturn_whereLinuxGoes(t *testing.T) {
	c := newCache(t)
	for _, linear := range []bool{false, true} {
		w := newWorld(linear)
		err := w.Replace(config(t, "filter", ":a -", ":b -", "-P FORWARD DROP",
			"-A FORWARD -p udp -m udp --dport 1 -j a",      // b by goto ends there: back to FORWARD
			"-A FORWARD -p udp -m udp --dport 2 -g b",      // its end is the policy
			"-A FORWARD -p udp -m udp --dport 3 -j RETURN", // in a builtin chain: the policy
			"-A FORWARD -p udp -m udp --dport 4 -j b",
			"-A FORWARD -j ACCEPT",
			"-A a -g b", "-A a -j DROP",
			"-A b -p udp -m udp --dport 4 -j RETURN", "-A b -p udp -m udp --dport 5 -j DROP"))
		if err != nil {
			t.Fatal(err)
		}
		for port, want := range map[uint16]bool{1: true, 2: false, 3: false, 4: true, 5: true} {
			k := udpTo(2, port)
			if got := w.send(c, &k); got != want {
				t.Errorf("linear %v, port %d: %v, want %v", linear, port, got, want)
			}
		}
		if p, n := w.Get("filter").Chain("FORWARD").Counter.Load(); p != 2 || n != 56 {
			t.Errorf("policy counted %d packets, %d bytes", p, n)
		}
	}
}

func TestReplace_whatLinuxRefuses(t *testing.T) {
	w := newWorld(false)
	good := config(t, "filter", "-A FORWARD -j DROP")
	if err := w.Replace(good); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		table string
		lines []string
		errno syscall.Errno
		text  string
	}{
		{"filter", []string{":a -", ":b -", "-A FORWARD -j a", "-A a -j b", "-A b -j a"}, syscall.ELOOP, "leads back"},
		{"filter", []string{":a -", "-A FORWARD -g a", "-A a -s 1.2.3.4 -g a"}, syscall.ELOOP, "leads back"},
		{"filter", []string{"-A FORWARD -j nowhere"}, syscall.ENOENT, "No chain"},
		{"filter", []string{"-A FORWARD -j INPUT"}, syscall.ENOENT, "No chain"},
		{"filter", []string{"-A FORWARD -j TTL --ttl-set 1"}, syscall.EINVAL, "only valid in mangle table, not filter"},
		{"filter", []string{":a -", "-A OUTPUT -j a", "-A a -m mac --mac-source 1:2:3:4:5:6"}, syscall.EINVAL, "used from hooks OUTPUT, but only usable from PREROUTING/INPUT/FORWARD"},
		{"filter", []string{"-A FORWARD -p udp -m tcp --dport 5"}, syscall.EINVAL, "only valid for protocol 6"},
		{"filter", []string{"-A FORWARD ! -p tcp -m tcp --dport 5"}, syscall.EINVAL, "only valid for protocol 6"},
		{"filter", []string{"-A FORWARD -m state --state NEW"}, syscall.EINVAL, "conntrack"},
		{"mangle", []string{"-A FORWARD -p tcp -j TCPMSS --set-mss 5"}, syscall.EINVAL, "Only works on TCP SYN packets"},
	} {
		err := w.Replace(config(t, k.table, k.lines...))
		var ce *xtables.CheckError
		if !errors.As(err, &ce) || !errors.Is(err, k.errno) || !strings.Contains(ce.Text, k.text) {
			t.Errorf("%s: %v", k.lines, err)
		}
	}
	// All or none: the second table is refused, so the first stays as it was.
	if err := w.Replace(config(t, "filter"), config(t, "mangle", "-A FORWARD -j nowhere")); err == nil {
		t.Error("a jump to nowhere was taken")
	}
	if w.Get("filter") != good {
		t.Error("a failed Replace changed a table")
	}
}

// A circle that no packet can reach is none to Linux.
func TestReplace_circleNobodyReaches_accepted(t *testing.T) {
	w := newWorld(false)
	for _, l := range [][]string{
		{":a -", "-A a -j a"},
		{":a -", "-A FORWARD -j ACCEPT", "-A FORWARD -j a", "-A a -j a"},
	} {
		if err := w.Replace(config(t, "filter", l...)); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
}

func TestHooks_onlyOfTablesInUse(t *testing.T) {
	w := newWorld(false)
	at := func(want ...netfilter.Point) {
		t.Helper()
		for p := range netfilter.NumPoints {
			has := false
			for _, x := range want {
				has = has || x == p
			}
			if w.hooks.Empty(p) == has {
				t.Errorf("%v: empty is %v", p, !has)
			}
		}
	}
	at()
	for _, table := range xtables.TableNames() {
		if err := w.Replace(xtables.NewConfig(table)); err != nil {
			t.Fatal(err)
		}
	}
	at()
	if err := w.Replace(config(t, "raw", "-P OUTPUT DROP")); err != nil {
		t.Fatal(err)
	}
	at(netfilter.PreRouting, netfilter.LocalOut)
	if err := w.Replace(config(t, "raw"), config(t, "filter", ":a -", "-A a")); err != nil {
		t.Fatal(err)
	}
	at(netfilter.LocalIn, netfilter.Forward, netfilter.LocalOut)
	if err := w.Replace(config(t, "filter")); err != nil {
		t.Fatal(err)
	}
	at()
}

func TestTrace_everyRuleMet(t *testing.T) {
	w := newWorld(false)
	if err := w.Replace(config(t, "raw", "-A PREROUTING -s 0.0.0.1 -j TRACE", "-A PREROUTING -j ACCEPT"),
		config(t, "filter", ":uu -", "-A FORWARD -d 9.9.9.9", "-A FORWARD -j uu", "-A uu -p udp", "-A uu -p udp -j RETURN")); err != nil {
		t.Fatal(err)
	}
	c := newCache(t)
	b := (&pkt{src: 1, dst: 2, proto: header.ProtoUDP, dport: 5}).build(c)
	for _, p := range []netfilter.Point{netfilter.PreRouting, netfilter.Forward} {
		if !w.hooks.Run(p, b, dev("eth0"), nil, nil) {
			t.Fatal("dropped")
		}
	}
	b.Consume()
	var got []string
	for _, l := range w.log {
		at := strings.Index(l, " IN=eth0 OUT= MAC= SRC=0.0.0.1 DST=0.0.0.2 ")
		if !strings.HasPrefix(l, "4 TRACE: ") || at < 0 {
			t.Fatalf("line %q", l)
		}
		got = append(got, l[len("4 TRACE: "):at])
	}
	const want = "raw:PREROUTING:policy:2 filter:FORWARD:rule:2 filter:uu:rule:1 filter:uu:rule:2 filter:FORWARD:policy:3"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("traced %s\nwant %s", s, want)
	}
}

// local packets are routed again when what the route was chosen by has changed.
func TestMangleOutput_changed_routedAgain(t *testing.T) {
	w := newWorld(false)
	routed := 0
	fail := false
	w.Env().RouteMe = func(b *skb.Buff, _ netfilter.State) bool { routed++; return !fail }
	if err := w.Replace(config(t, "mangle", "-A OUTPUT -p udp -m udp --dport 1 -j MARK --set-mark 7",
		"-A OUTPUT -p udp -m udp --dport 2 -j TOS --set-tos 8", "-A OUTPUT -p udp -m udp --dport 3 -j TTL --ttl-set 9")); err != nil {
		t.Fatal(err)
	}
	c := newCache(t)
	for port, want := range map[uint16]int{1: 1, 2: 1, 3: 0, 4: 0} {
		k := udpTo(2, port)
		k.point, k.in = netfilter.LocalOut, ""
		if routed = 0; !w.send(c, &k) || routed != want {
			t.Errorf("port %d: routed %d times, want %d", port, routed, want)
		}
	}
	fail = true
	k := udpTo(2, 1)
	k.point, k.in = netfilter.LocalOut, ""
	if w.send(c, &k) {
		t.Error("without a route: went on")
	}
}

func TestTable_perPacket_noAllocation(t *testing.T) {
	c := newCache(t)
	for _, n := range []int{3, 200} {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf("-A FORWARD -s 10.1.%d.%d -p udp -m udp --dport %d -j DROP", i/256, i%256, i))
		}
		w := newWorld(false)
		if err := w.Replace(config(t, "filter", lines...)); err != nil {
			t.Fatal(err)
		}
		k := udpTo(2, 5)
		b := k.build(c)
		in, out := k.state()
		if a := testing.AllocsPerRun(200, func() { w.hooks.Run(netfilter.Forward, b, in, out, nil) }); a != 0 {
			t.Errorf("%d rules: %v allocations", n, a)
		}
		b.Consume()
	}
}
