package nat_test

import (
	"encoding/binary"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

const gw, server = header.Addr(0xcb007101), header.Addr(0xc6336401)

func TestSNAT_udp_bothWays(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	f := udp(src, 5000, server, 53)
	got := x.must(f, lan, wan)
	if got.src != gw || got.sport != 5000 || got.dst != server {
		t.Fatalf("%+v", got)
	}
	back := x.must(got.back(), wan, lan)
	if !eq(back, f.back()) {
		t.Errorf("answer %+v, want %+v", back, f.back())
	}
}

// eq compares flows, whose quote is a slice.
func eq(a, b flow) bool {
	q, p := a.errorOf, b.errorOf
	a.errorOf, b.errorOf = nil, nil
	return string(q) == string(p) && a.src == b.src && a.dst == b.dst && a.sport == b.sport && a.dport == b.dport && a.data == b.data && a.proto == b.proto
}

func TestSNAT_samePortTwice_another(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	a := x.must(udp(src, 5000, server, 53), lan, wan)
	b := x.must(udp(src+1, 5000, server, 53), lan, wan)
	if a.sport != 5000 || b.sport == 5000 || b.sport < 1024 || b.src != gw {
		t.Errorf("%+v %+v", a, b)
	}
	low := x.must(udp(src, 300, server, 53), lan, wan)
	low2 := x.must(udp(src+1, 300, server, 53), lan, wan)
	if low.sport != 300 || low2.sport < 1 || low2.sport > 511 || low2.sport == 300 {
		t.Errorf("below 512: %+v %+v", low, low2)
	}
	mid := x.must(udp(src, 700, server, 53), lan, wan)
	mid2 := x.must(udp(src+1, 700, server, 53), lan, wan)
	if mid.sport != 700 || mid2.sport < 600 || mid2.sport > 1023 || mid2.sport == 700 {
		t.Errorf("below 1024: %+v %+v", mid, mid2)
	}
}

// TestSNAT_sameSource_sameMapping: one socket is seen as one by all servers,
// even when its own port was not free.
func TestSNAT_sameSource_sameMapping(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	x.must(udp(src+1, 5000, server, 53), lan, wan)
	a := x.must(udp(src, 5000, server, 53), lan, wan)
	for i := range header.Addr(20) {
		if b := x.must(udp(src, 5000, server+1+i, 53), lan, wan); b.sport != a.sport || b.src != a.src {
			t.Fatalf("server %d sees %v:%d, the first %v:%d", i, b.src, b.sport, a.src, a.sport)
		}
	}
	x.ct.Flush(nil)
	if b := x.must(udp(src, 5000, server, 53), lan, wan); b.sport != 5000 {
		t.Errorf("the mapping outlived its connections: port %d", b.sport)
	}
}

func TestSNAT_rangeOfPorts_exhausted(t *testing.T) {
	x := newBox(t)
	r := addr(gw)
	r.Flags |= nat.ProtoSpecified
	r.MinPort, r.MaxPort = 2000, 2009
	x.snat(r)
	seen := map[uint16]bool{}
	for i := range header.Addr(10) {
		f := x.must(udp(src+i, 5000, server, 53), lan, wan)
		if f.sport < 2000 || f.sport > 2009 || seen[f.sport] {
			t.Fatalf("port %d", f.sport)
		}
		seen[f.sport] = true
	}
	if f, ok := x.pass(udp(src+10, 5000, server, 53), lan, wan); ok {
		t.Fatalf("the eleventh got %+v", f)
	}
	if x.nat.Exhausted.Load() != 1 || x.ct.Stat.InsertFailed.Load() != 1 {
		t.Errorf("%d exhausted, %d insert_failed", x.nat.Exhausted.Load(), x.ct.Stat.InsertFailed.Load())
	}
	if f := x.must(udp(src+10, 5000, server+1, 53), lan, wan); f.sport < 2000 || f.sport > 2009 {
		t.Errorf("another server: %+v", f)
	}
	x.now += 31e9 // the connections expire
	x.must(udp(src+10, 5000, server, 53), lan, wan)
}

func TestSNAT_persistentRange_followsSource(t *testing.T) {
	x := newBox(t)
	x.snat(&nat.Range{Flags: nat.MapIPs | nat.Persistent, MinAddr: gw, MaxAddr: gw + 15})
	seen := map[header.Addr]bool{}
	for i := range header.Addr(64) {
		a := x.must(udp(src+i, 1000, server, 53), lan, wan)
		b := x.must(udp(src+i, 1001, server+7, 80), lan, wan)
		if a.src != b.src || a.src < gw || a.src > gw+15 {
			t.Fatalf("%v %v", a.src, b.src)
		}
		seen[a.src] = true
	}
	if len(seen) < 8 {
		t.Errorf("%d of 16 addresses used by 64 sources", len(seen))
	}
}

func TestSNAT_randomFully_anotherPort(t *testing.T) {
	x := newBox(t)
	r := addr(gw)
	r.Flags |= nat.ProtoRandomAll
	x.snat(r)
	same := 0
	for i := range uint16(50) {
		if f := x.must(udp(src, 5000+i, server, 53), lan, wan); f.sport == 5000+i {
			same++
		}
	}
	if same > 2 {
		t.Errorf("%d of 50 ports kept", same)
	}
}

func TestDNAT_portForward_bothWays(t *testing.T) {
	x := newBox(t)
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.DNAT(b, &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: src, MaxAddr: src, MinPort: 80, MaxPort: 80})
	}
	f := flow{proto: header.ProtoTCP, src: server, sport: 4000, dst: gw, dport: 8080, flags: header.TCPSyn, seq: 1}
	got := x.must(f, wan, lan)
	if got.dst != src || got.dport != 80 || got.src != server || got.sport != 4000 {
		t.Fatalf("%+v", got)
	}
	a := got.back()
	a.flags, a.seq, a.ack = header.TCPSyn|header.TCPAck, 100, 2
	if back := x.must(a, lan, wan); back.src != gw || back.sport != 8080 || back.dst != server {
		t.Errorf("%+v", back)
	}
}

// TestDNAT_portRange_offset: --to-destination addr:3000-3009/2000.
func TestDNAT_portRange_offset(t *testing.T) {
	x := newBox(t)
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.DNAT(b, &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified | nat.ProtoOffset, MinAddr: src, MaxAddr: src,
			MinPort: 3000, MaxPort: 3009, BasePort: 2000})
	}
	for i := range uint16(10) {
		if f := x.must(udp(server, 9, gw, 2000+i), wan, lan); f.dport != 3000+i {
			t.Errorf("port %d became %d", 2000+i, f.dport)
		}
	}
}

// TestHairpin_insideByOutsideAddress: a client of the LAN reaches a server of the
// LAN by the router's address, which needs both ends translated.
func TestHairpin_insideByOutsideAddress(t *testing.T) {
	x := newBox(t)
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.DNAT(b, &nat.Range{Flags: nat.MapIPs | nat.ProtoSpecified, MinAddr: src + 9, MaxAddr: src + 9, MinPort: 80, MaxPort: 80})
	}
	x.masq = src + 100
	x.rules[netfilter.PostRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.Masquerade(b, s, &nat.Range{})
	}
	f := udp(src, 7000, gw, 8080)
	got := x.must(f, lan, lan)
	if got.src != src+100 || got.dst != src+9 || got.dport != 80 {
		t.Fatalf("%+v", got)
	}
	if back := x.must(got.back(), lan, lan); !eq(back, f.back()) {
		t.Errorf("%+v, want %+v", back, f.back())
	}
}

func TestICMPError_aboutTranslated_translatedBack(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	f := udp(src, 5000, server, 53)
	sent := x.packet(f)
	orig := bytesOf(sent)
	sent.Consume()
	got := x.must(f, lan, wan)
	b := x.packet(got)
	quote := bytesOf(b)
	b.Consume()
	const router = server + 77
	e := flow{proto: header.ProtoICMP, icmpType: header.ICMPDestUnreach, errorMessage: header.ICMPHostUnreach, src: router, dst: gw, errorOf: quote}
	back := x.must(e, wan, lan)
	if back.dst != src || back.src != router || string(back.errorOf) != string(orig) {
		t.Errorf("to %v, quote\n%x, sent was\n%x", back.dst, back.errorOf, orig)
	}
}

func TestEcho_sameID_translated(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	ping := flow{proto: header.ProtoICMP, icmpType: header.ICMPEcho, src: src, dst: server, sport: 7}
	a := x.must(ping, lan, wan)
	ping.src++
	b := x.must(ping, lan, wan)
	if a.sport != 7 || b.sport == 7 || b.src != gw {
		t.Fatalf("%+v %+v", a, b)
	}
	r := flow{proto: header.ProtoICMP, icmpType: header.ICMPEchoReply, src: server, dst: gw, sport: b.sport}
	if back := x.must(r, wan, lan); back.dst != src+1 || back.sport != 7 {
		t.Errorf("%+v", back)
	}
}

func TestMasquerade_deviceAndAddress_flushed(t *testing.T) {
	x := newBox(t)
	x.masq = gw
	x.rules[netfilter.PostRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.Masquerade(b, s, &nat.Range{})
	}
	f := udp(src, 5000, server, 53)
	if got := x.must(f, lan, wan); got.src != gw {
		t.Fatalf("%+v", got)
	}
	if n := x.nat.AddressGone(int32(wan), gw+1); n != 0 {
		t.Errorf("another address: %d ended", n)
	}
	if n := x.nat.AddressGone(int32(wan), gw); n != 1 {
		t.Errorf("%d ended with the address", n)
	}
	x.masq = gw + 1
	if got := x.must(f, lan, wan); got.src != gw+1 {
		t.Errorf("after the change %+v", got)
	}
	if n := x.nat.DeviceDown(int32(lan)); n != 0 {
		t.Errorf("another device: %d ended", n)
	}
	// The packets of a connection that leave elsewhere end it.
	if _, ok := x.pass(f, lan, wan+1); ok || x.ct.Count() != 0 {
		t.Errorf("left by another device; %d connections", x.ct.Count())
	}
	x.must(f, lan, wan)
	if n := x.nat.DeviceDown(int32(wan)); n != 1 {
		t.Errorf("%d ended with the device", n)
	}
	x.masq = 0
	if _, ok := x.pass(f, lan, wan); ok || x.nat.NoAddress.Load() != 1 {
		t.Error("masqueraded without an address")
	}
}

func TestNetmap_hostPartKept(t *testing.T) {
	x := newBox(t)
	r := &nat.Range{Flags: nat.MapIPs, MinAddr: 0xac100000, MaxAddr: 0xac1000ff} // 172.16.0.0/24
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict { return x.nat.Netmap(b, s, r) }
	if f := x.must(udp(server, 9, 0x0a000037, 80), wan, lan); f.dst != 0xac100037 {
		t.Errorf("%v", f.dst)
	}
}

func TestRedirect_deviceAddress(t *testing.T) {
	x := newBox(t)
	x.masq = 0xc0a80001
	x.rules[netfilter.PreRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		return x.nat.Redirect(b, s, &nat.Range{Flags: nat.ProtoSpecified, MinPort: 3128, MaxPort: 3128})
	}
	b := x.packet(udp(src, 5000, server, 80))
	if !x.hooks.Run(netfilter.PreRouting, b, lan, nil, nil) || !x.hooks.Run(netfilter.LocalIn, b, lan, nil, nil) {
		t.Fatal("dropped")
	}
	if f := x.read(b); f.dst != 0xc0a80001 || f.dport != 3128 {
		t.Errorf("%+v", f)
	}
	b.Consume()
}

// TestNull_clash_anotherPort: a connection no rule speaks about is moved away
// from answers that would be another's.
func TestNull_clash_anotherPort(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	x.must(udp(src, 5000, server, 53), lan, wan)
	delete(x.rules, netfilter.PostRouting)
	f := x.must(udp(gw, 5000, server, 53), lan, wan)
	if f.src != gw || f.sport == 5000 {
		t.Errorf("%+v", f)
	}
}

// TestRules_gone_oldStayTranslated: what was translated goes on when the rules
// are gone, and new connections stay as they are.
func TestRules_gone_oldStayTranslated(t *testing.T) {
	x := newBox(t)
	x.snat(addr(gw))
	f := udp(src, 5000, server, 53)
	got := x.must(f, lan, wan)
	x.nat.SetRules(nil)
	if again := x.must(f, lan, wan); !eq(again, got) {
		t.Errorf("%+v, was %+v", again, got)
	}
	if got := x.must(udp(src, 5001, server, 53), lan, wan); got.src != src {
		t.Errorf("a new one: %+v", got)
	}
	x.nat.Close()
	if got := x.must(f, lan, wan); got.src != src {
		t.Errorf("after Close: %+v", got)
	}
}

// established returns a function that sends a packet of a translated connection,
// one packet made new.
func established(t testing.TB) (send func()) {
	x := newBox(t)
	x.snat(addr(gw))
	f := udp(src, 5000, server, 53)
	got := x.must(f, lan, wan)
	x.must(got.back(), wan, lan)
	b := x.packet(f)
	t.Cleanup(b.Consume)
	orig := bytesOf(b)
	return func() {
		copy(b.Data(), orig)
		b.ResetNF()
		x.hooks.Run(netfilter.PreRouting, b, lan, nil, nil)
		x.hooks.Run(netfilter.PostRouting, b, lan, wan, nil)
	}
}

func TestAllocs_translateEstablished_none(t *testing.T) {
	if n := testing.AllocsPerRun(100, established(t)); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTranslate(b *testing.B) {
	send := established(b)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

// TestPort_ofFinishedConnection_reused: when few tries are left, a connection in
// TIME_WAIT gives its port to a new one whose numbers are beyond it.
func TestPort_ofFinishedConnection_reused(t *testing.T) {
	for _, seq := range []uint32{5000, 500} {
		x := newBox(t)
		r := addr(gw)
		r.Flags |= nat.ProtoSpecified | nat.ProtoRandomAll
		r.MinPort, r.MaxPort = 2000, 2000
		x.snat(r)
		f := flow{proto: header.ProtoTCP, src: src, sport: 4000, dst: server, dport: 80, flags: header.TCPSyn, seq: 1000}
		got := x.must(f, lan, wan)
		b := got.back()
		b.flags, b.seq, b.ack = header.TCPSyn|header.TCPAck, 9000, 1001
		x.must(b, wan, lan)
		f.flags, f.seq, f.ack = header.TCPAck, 1001, 9001
		x.must(f, lan, wan)
		other := f
		other.sport, other.flags, other.seq, other.ack = 4001, header.TCPSyn, seq, 0
		if _, ok := x.pass(other, lan, wan); ok {
			t.Error("took the port of an open connection")
		}
		f.flags = header.TCPFin | header.TCPAck
		x.must(f, lan, wan)
		b.flags, b.seq, b.ack = header.TCPFin|header.TCPAck, 9001, 1002
		x.must(b, wan, lan)
		f.flags, f.seq, f.ack = header.TCPAck, 1002, 9002
		x.must(f, lan, wan)
		if _, ok := x.pass(other, lan, wan); ok != (seq > 1000) {
			t.Errorf("a connection that begins at %d: passed %v", seq, ok)
		}
	}
}

// BenchmarkNewConnection is the first packet of a connection, translated, out of
// ten thousand sources, and its end.
func BenchmarkNewConnection(b *testing.B) {
	x := newBox(b)
	x.ct.Resize(1 << 16)
	x.snat(addr(gw))
	p := x.packet(udp(src, 5000, server, 53))
	defer p.Consume()
	orig := bytesOf(p)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		copy(p.Data(), orig)
		binary.BigEndian.PutUint32(p.Data()[12:], uint32(src)+i%10000)
		binary.BigEndian.PutUint16(p.Data()[20:], uint16(1024+i%50000))
		p.Data()[26], p.Data()[27] = 0, 0
		p.ResetNF()
		x.hooks.Run(netfilter.PreRouting, p, lan, nil, nil)
		x.hooks.Run(netfilter.PostRouting, p, lan, wan, nil)
		if i%10000 == 9999 {
			x.ct.Flush(nil)
		}
	}
}
