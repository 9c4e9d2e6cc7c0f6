package flow_test

import (
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/flow"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

type device int32

func (d device) Ifindex() int32 { return int32(d) }
func (d device) Name() string   { return "eth" }

const (
	lan device = 1
	wan device = 2

	client = header.Addr(0x0a000001)
	server = header.Addr(0xc6336401)
)

// route is a routing decision that only is there.
type route struct{ by device }

func (route) Input(b *skb.Buff) error  { b.Consume(); return nil }
func (route) Output(b *skb.Buff) error { b.Consume(); return nil }

// box is a router reduced to its hooks, with a flow table that takes over what it
// may.
type box struct {
	testing.TB
	ct    *conntrack.Table
	flows *flow.Table
	hooks netfilter.Hooks
	cache *skb.Cache
	now   int64
	fits  bool
	way   bool // there is a way back
	sent  [][]byte
}

func newBox(t testing.TB, most int) *box {
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	x := &box{TB: t, now: 1, fits: true, way: true, cache: skb.NewCache(pool)}
	skbtest.Check(t, x.cache)
	now := func() int64 { return x.now }
	random := func(b []byte) { clear(b) }
	x.ct = conntrack.NewTable(conntrack.Config{Now: now, Rand: random, Max: 1000, Buckets: 256})
	x.ct.Conf.Acct.Store(1)
	x.flows = flow.New(flow.Config{Conntrack: x.ct, Hooks: &x.hooks, Now: now, Rand: random, Max: most,
		Fits: func(*skb.Buff, skb.Dst) bool { return x.fits },
		Route: func(_ header.Addr, by skb.Device, _ uint32) skb.Dst {
			if !x.way {
				return nil
			}
			return route{by.(device)}
		},
		Send: func(b *skb.Buff, d skb.Dst) {
			p := make([]byte, b.Len())
			b.CopyBits(0, p)
			x.sent = append(x.sent, p)
			b.Consume()
		}})
	x.flows.SetAuto(true)
	x.hooks.Register(netfilter.PreRouting, netfilter.PriConntrack, x.ct.In)
	x.hooks.Register(netfilter.PostRouting, netfilter.PriConfirm, x.ct.Confirm)
	t.Cleanup(func() { x.flows.Close(); x.ct.Flush(nil) })
	return x
}

// pass sends a packet through and reports whether it took the short way.
func (x *box) pass(p []byte, in device) (short bool) {
	b := x.cache.Alloc(100 + len(p))
	b.Reserve(64)
	b.PutData(p)
	b.ResetNetworkHeader()
	x.sent = nil
	if !x.hooks.Run(netfilter.PreRouting, b, in, nil, nil) {
		return len(x.sent) == 1
	}
	b.Dst = route{3 - in}
	if x.hooks.Run(netfilter.Forward, b, in, 3-in, nil) && x.hooks.Run(netfilter.PostRouting, b, in, 3-in, nil) {
		b.Consume()
	}
	return false
}

func udp(src, dst header.Addr, sport, dport uint16) []byte {
	p := make([]byte, 40)
	h := header.PutIPv4(p, &header.Fields{TotalLen: 40, TTL: 9, Protocol: header.ProtoUDP, Src: src, Dst: dst})
	h.UpdateChecksum()
	u := header.PutUDP(p[20:], sport, dport, 20)
	u.SetChecksum(skb.CsumFold(skb.CsumPartial(p[20:], header.PseudoSum(src, dst, 17, 20))))
	return p
}

// talk makes an established conversation from a port.
func (x *box) talk(sport uint16) {
	x.Helper()
	for i, short := range []bool{x.pass(udp(client, server, sport, 53), lan), x.pass(udp(server, client, 53, sport), wan)} {
		if short {
			x.Errorf("packet %d took the short way", i)
		}
	}
}

func TestFlow_answered_takenOver(t *testing.T) {
	x := newBox(t, 0)
	x.talk(1000)
	if x.flows.Count() != 1 {
		t.Fatalf("%d flows", x.flows.Count())
	}
	if !x.pass(udp(client, server, 1000, 53), lan) || !x.pass(udp(server, client, 53, 1000), wan) {
		t.Error("the long way")
	}
	p := x.sent[0]
	if h := header.IPv4(p); h.TTL() != 8 || !h.ChecksumOK() {
		t.Errorf("sent %x", p)
	}
	if x.pass(udp(client, server, 1000, 53), wan) {
		t.Error("by another device, too")
	}
	x.fits = false
	if x.pass(udp(client, server, 1000, 53), lan) || x.flows.Count() != 1 {
		t.Error("one that does not fit took the short way, or ended the flow")
	}
	x.ct.Each(func(c *conntrack.Conn) bool {
		if a := c.Acct(); a.Packets[0].Load() != 4 || a.Packets[1].Load() != 2 {
			t.Errorf("counted %d and %d packets", a.Packets[0].Load(), a.Packets[1].Load())
		}
		return true
	})
}

func TestFlow_idle_backToTracking(t *testing.T) {
	x := newBox(t, 0)
	x.talk(1000)
	conn := func() (c *conntrack.Conn) {
		x.ct.Each(func(o *conntrack.Conn) bool { c = o; return true })
		return c
	}
	for range 300 { // its own timeout is 30 s
		x.now += 1e9
		x.flows.GC()
		x.ct.GC()
		if !x.pass(udp(client, server, 1000, 53), lan) {
			t.Fatal("ended while packets come")
		}
	}
	if left := conn().Expires(); left < 3600e9 {
		t.Errorf("the connection expires in %d ns", left)
	}
	x.now += 31e9
	x.flows.GC()
	if x.flows.Count() != 0 || conn() == nil || conn().Status()&conntrack.Offload != 0 {
		t.Fatalf("%d flows after 31 s", x.flows.Count())
	}
	// Less what it was idle for.
	if left := conn().Expires(); left > 91e9 || left < 60e9 {
		t.Errorf("%d ns left", left)
	}
	if !x.hooks.Empty(netfilter.Forward) && x.pass(udp(client, server, 1000, 53), lan) {
		t.Error("still the short way")
	}
	if x.flows.Count() != 1 {
		t.Error("did not come back")
	}
}

func TestFlow_endings(t *testing.T) {
	x := newBox(t, 0)
	for what, end := range map[string]func(){
		"routes changed":         x.flows.Changed,
		"connection deleted":     func() { x.ct.Flush(nil) },
		"no packets, nor the GC": func() { x.now += 31e9 },
	} {
		x.talk(1000)
		if x.flows.Count() != 1 {
			t.Fatalf("%s: %d flows before", what, x.flows.Count())
		}
		end()
		x.way = false
		if x.pass(udp(client, server, 1000, 53), lan) || x.flows.Count() != 0 {
			t.Errorf("%s: %d flows after", what, x.flows.Count())
		}
		x.way = true
		x.ct.Flush(nil)
	}
	x.talk(1000)
	x.flows.SetAuto(false)
	x.flows.Close()
	if x.flows.Count() != 0 || !x.hooks.Empty(netfilter.Forward) || x.flows.Offload(stranger(x), &netfilter.State{}) {
		t.Error("alive after Close")
	}
}

// stranger is a packet of no connection.
func stranger(x *box) *skb.Buff {
	b := x.cache.Alloc(100)
	x.Cleanup(b.Consume)
	return b
}

func TestFlow_full_restIsTracked(t *testing.T) {
	x := newBox(t, 3)
	for i := range uint16(5) {
		x.talk(1000 + i)
	}
	if x.flows.Count() != 3 || x.flows.Full.Load() == 0 {
		t.Errorf("%d flows, %d refused", x.flows.Count(), x.flows.Full.Load())
	}
	if x.pass(udp(client, server, 1004, 53), lan) {
		t.Error("the fifth took the short way")
	}
}

// FuzzFlow: arbitrary packets past flows: none crashes, and what is sent has
// checksums as right as it came with.
func FuzzFlow(f *testing.F) {
	f.Add(udp(client, server, 1000, 53), true)
	f.Add(udp(server, client, 53, 1000), false)
	f.Add(udp(client, server, 1000, 53)[:27], true)
	x := newBox(f, 0)
	x.talk(1000)
	x.flows.SetAuto(false)
	f.Fuzz(func(t *testing.T, p []byte, there bool) {
		if len(p) > 2000 {
			return
		}
		if _, ok := header.ParseIPv4(p); !ok {
			return // IP's receive routine refuses it
		}
		in := wan
		if there {
			in = lan
		}
		right := func(p []byte) bool {
			h := header.IPv4(p)
			return h.ChecksumOK() && skb.CsumFold(skb.CsumPartial(p[h.HeaderLen():], header.PseudoSum(h.Src(), h.Dst(), h.Protocol(), len(p)-h.HeaderLen()))) == 0
		}
		was := right(p)
		if x.pass(p, in) && was != right(x.sent[0]) {
			t.Fatalf("%x\nbecame\n%x", p, x.sent[0])
		}
	})
}

// TestFlow_many_GCComesRound: in steps, those that still have packets kept.
func TestFlow_many_GCComesRound(t *testing.T) {
	x := newBox(t, 0)
	const n = 900
	for i := range uint16(n) {
		x.talk(1000 + i)
	}
	x.now += 20e9
	for i := uint16(0); i < n; i += 3 {
		if !x.pass(udp(client, server, 1000+i, 53), lan) {
			t.Fatalf("flow %d: the long way", i)
		}
	}
	x.now += 11e9
	for range 16 {
		x.flows.GC()
	}
	if got := x.flows.Count(); got != n/3 {
		t.Errorf("%d flows left, want %d", got, n/3)
	}
	for i := uint16(0); i < n; i += 3 {
		if !x.pass(udp(client, server, 1000+i, 53), lan) {
			t.Fatalf("flow %d is gone", i)
		}
	}
}
