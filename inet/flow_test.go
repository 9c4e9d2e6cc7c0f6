package inet_test

import (
	"strings"
	"testing"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb/header"
)

// flowRouter is natRouter whose established flows take the short way.
func flowRouter(t testing.TB, size, flows int, translate bool) (h *host, in, out *benchNIC) {
	h, in, out = natRouter(t, size, flows, translate)
	check(t, h.net.Sysctl().Set("net.netfilter.nf_flowtable", "1"))
	t.Cleanup(func() { h.net.Sysctl().Set("net.netfilter.nf_flowtable", "0") })
	pass(h.net, in, flows) // the packets that bring them in
	if n := h.NF().Flow.Count(); n != flows {
		t.Fatalf("%d flows, want %d", n, flows)
	}
	return h, in, out
}

func TestFlow_established_shortWayBothDirections(t *testing.T) {
	for _, translate := range []bool{false, true} {
		h, in, out := flowRouter(t, 64, 4, translate)
		f := h.NF().Flow
		before, sent, back := f.Packets.Load(), out.sent, in.sent
		pass(h.net, in, 9)
		pass(h.net, out, 9)
		if n := f.Packets.Load() - before; n != 18 {
			t.Errorf("translate %v: %d of 18 packets took the short way", translate, n)
		}
		if out.sent-sent != 9 || in.sent-back != 9 {
			t.Errorf("translate %v: %d and %d packets sent", translate, out.sent-sent, in.sent-back)
		}
	}
}

// TestFlow_rule_takesOver: only what the rule says takes the short way.
func TestFlow_rule_takesOver(t *testing.T) {
	h, in, _ := natRouter(t, 64, 2, false)
	rule := "*filter\n-A FORWARD -d 192.0.3.9 -m conntrack --ctstate ESTABLISHED -j FLOWOFFLOAD\nCOMMIT\n"
	if status, _, stderr := h.NF().Run([]string{"iptables-restore"}, []byte(rule)); status != 0 {
		t.Fatalf("%s", stderr)
	}
	pass(h.net, in, 8)
	if n := h.NF().Flow.Count(); n != 1 {
		t.Errorf("%d flows", n)
	}
	if n := h.NF().Flow.Packets.Load(); n != 3 {
		t.Errorf("%d packets took the short way", n)
	}
	if _, out, _ := h.NF().Run([]string{"iptables-save", "-t", "filter"}, nil); !strings.Contains(string(out), "-j FLOWOFFLOAD\n") {
		t.Errorf("saved as\n%s", out)
	}
}

func TestFlow_ends(t *testing.T) {
	h, in, _ := flowRouter(t, 64, 2, true)
	f := h.NF().Flow
	again := func(why string) {
		t.Helper()
		ended := f.Ended.Load()
		pass(h.net, in, 2) // found out of date, and brought back by the same packets
		if f.Ended.Load()-ended != 2 || f.Count() != 2 {
			t.Errorf("%s: %d ended, %d flows", why, f.Ended.Load()-ended, f.Count())
		}
		n := f.Packets.Load()
		pass(h.net, in, 2)
		if f.Packets.Load()-n != 2 {
			t.Errorf("%s: did not come back", why)
		}
	}
	check(t, h.IP().NewRoute(&fib.Config{Dst: ip4(7, 0, 0, 0), Bits: 8, Type: fib.Blackhole}, fib.FlagCreate))
	again("another route")
	ended := f.Ended.Load()
	if n := h.NF().Conntrack.Flush(nil); n != 2 {
		t.Fatalf("%d connections deleted", n)
	}
	pass(h.net, in, 2)
	if f.Ended.Load()-ended != 2 || f.Count() != 0 {
		t.Errorf("connection deleted: %d ended, %d flows", f.Ended.Load()-ended, f.Count())
	}
	if !h.Hooks().Empty(0) && f.Count() != 0 {
		t.Error("the hook stays")
	}
}

// TestFlow_frames_asWithout: what comes out by the short way is what would have
// come out by the long one, and what may not take it does not.
func TestFlow_frames_asWithout(t *testing.T) {
	h := newHost(t)
	check(t, h.net.Sysctl().Set("net.ipv4.ip_forward", "1"))
	check(t, h.net.Sysctl().Set("net.ipv4.conf.all.send_redirects", "0"))
	check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.send_redirects", "0"))
	check(t, h.net.Sysctl().Set("net.netfilter.nf_conntrack_acct", "1"))
	n, err := h.IP().Neigh.Get(h.port.dev, peerIP)
	check(t, err)
	n.Update(peerMAC, neigh.NUDPermanent, true)
	c, s := ip4(10, 1, 2, 3), ip4(8, 8, 4, 4)
	check(t, h.IP().NewRoute(&fib.Config{Dst: ip4(10, 0, 0, 0), Bits: 8, Gateway: peerIP, Type: fib.Unicast}, fib.FlagCreate))
	t.Cleanup(h.NF().UseConntrack())
	there := func(f header.TCPFields, data string, edit ...func(header.IPv4)) []byte {
		f.SrcPort, f.DstPort = 4000, 80
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 6, Src: c, Dst: s, ID: 5}, tcpSegmentOf(c, s, f, data), edit...))
	}
	back := func(f header.TCPFields, data string) []byte {
		f.SrcPort, f.DstPort = 80, 4000
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 6, Src: s, Dst: c, ID: 6}, tcpSegmentOf(s, c, f, data)))
	}
	const ack = header.TCPAck
	send := func(f []byte) string {
		t.Helper()
		h.inject(f)
		l := h.port.take()
		if len(l) != 1 {
			return ""
		}
		return string(l[0])
	}
	send(there(header.TCPFields{Seq: 1, Flags: header.TCPSyn}, ""))
	send(back(header.TCPFields{Seq: 100, Ack: 2, Flags: header.TCPSyn | ack}, ""))
	send(there(header.TCPFields{Seq: 2, Ack: 101, Flags: ack}, ""))
	data := there(header.TCPFields{Seq: 2, Ack: 101, Flags: ack}, "hello")
	slow := send(data)
	f := h.NF().Flow
	if f.Count() != 0 || slow == "" {
		t.Fatalf("%d flows while switched off", f.Count())
	}
	check(t, h.net.Sysctl().Set("net.netfilter.nf_flowtable", "1"))
	t.Cleanup(func() { h.net.Sysctl().Set("net.netfilter.nf_flowtable", "0") })
	send(data)
	if f.Count() != 1 {
		t.Fatalf("%d flows", f.Count())
	}
	if l := string(h.NF().Conntrack.Proc(nil)); !strings.Contains(l, "OFFLOAD") {
		t.Errorf("listing: %s", l)
	}
	short := func(what string, want uint64, f []byte) string {
		t.Helper()
		n := h.NF().Flow.Packets.Load()
		got := send(f)
		if h.NF().Flow.Packets.Load()-n != want {
			t.Errorf("%s: %d packets by the short way, want %d", what, h.NF().Flow.Packets.Load()-n, want)
		}
		return got
	}
	if fast := short("data", 1, data); fast != slow {
		t.Errorf("the long way gives\n%x, the short way\n%x", slow, fast)
	}
	short("answer", 1, back(header.TCPFields{Seq: 101, Ack: 7, Flags: ack}, "world"))
	short("far outside the window", 1, back(header.TCPFields{Seq: 1e9, Ack: 7, Flags: ack}, "world"))
	short("TTL 1", 0, there(header.TCPFields{Seq: 7, Ack: 101, Flags: ack}, "x", func(h header.IPv4) { h.SetTTL(1) }))
	short("another connection", 0, there(header.TCPFields{Seq: 7, Ack: 101, Flags: ack}, "x", func(h header.IPv4) { h.SetDst(s + 1) }))
	short("fragment", 0, there(header.TCPFields{Seq: 7, Ack: 101, Flags: ack}, "x", func(h header.IPv4) { h.SetFragField(header.IPMF) }))
	check(t, h.port.dev.SetMTU(68))
	short("too long", 0, there(header.TCPFields{Seq: 7, Ack: 101, Flags: ack}, strings.Repeat("x", 100)))
	check(t, h.port.dev.SetMTU(1500))
	l := string(h.NF().Conntrack.Proc(nil))
	// Seven there, of which the fragment is not one yet, and three back.
	if !strings.Contains(l, "packets=7 ") || !strings.Contains(l, "packets=3 ") {
		t.Errorf("the packets of the short way are not counted: %s", l)
	}
	short("FIN", 0, there(header.TCPFields{Seq: 7, Ack: 101, Flags: ack | header.TCPFin}, ""))
	if f.Count() != 0 {
		t.Error("the flow outlived its FIN")
	}
	if l := string(h.NF().Conntrack.Proc(nil)); !strings.Contains(l, "FIN_WAIT") {
		t.Errorf("listing: %s", l)
	}
	short("after the FIN", 0, back(header.TCPFields{Seq: 101, Ack: 8, Flags: ack}, "rest"))
}

func benchFlow(b *testing.B, size, flows int, translate bool) {
	h, in, out := flowRouter(b, size, flows, translate)
	benchSlices(b, 400, func() {
		sent := out.sent
		for range slice / 64 {
			pass(h.net, in, 64)
		}
		if out.sent-sent != slice {
			b.Fatalf("%d of %d packets forwarded", out.sent-sent, slice)
		}
	})
}

// Masqueraded flows by the short way: 64 in turn, and one.
func BenchmarkForwardFlowTable64(b *testing.B)     { benchFlow(b, 64, 64, true) }
func BenchmarkForwardFlowTableFlow64(b *testing.B) { benchFlow(b, 64, 1, true) }

func TestAllocs_flowTable_none(t *testing.T) {
	h, in, _ := flowRouter(t, 64, 4, true)
	noAllocs(t, "short way", func() { pass(h.net, in, 64) })
}
