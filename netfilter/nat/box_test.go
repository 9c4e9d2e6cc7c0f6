package nat_test

import (
	"math/rand/v2"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// device is a network device by its index.
type device int32

func (d device) Ifindex() int32 { return int32(d) }
func (d device) Name() string   { return "eth" }

const (
	lan device = 1
	wan device = 2
)

// box is a router reduced to its hooks: tracking, NAT, and what a test decides.
type box struct {
	testing.TB
	ct    *conntrack.Table
	hooks netfilter.Hooks
	nat   *nat.NAT
	cache *skb.Cache
	now   int64
	rules map[netfilter.Point]netfilter.Func
	masq  header.Addr // address of the device masqueraded by
}

func newBox(t testing.TB) *box {
	x := &box{TB: t, now: 1, rules: map[netfilter.Point]netfilter.Func{}, cache: newCache(t)}
	rnd := rand.New(rand.NewPCG(1, 2))
	x.ct = conntrack.NewTable(conntrack.Config{Now: func() int64 { return x.now }, Max: 100000, Buckets: 1024,
		Rand: func(b []byte) {
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
		}})
	x.nat = nat.New(nat.Config{Table: x.ct, Hooks: &x.hooks, Random: rnd.Uint32,
		RouteMe:  func(*skb.Buff) error { return nil },
		MasqAddr: func(*skb.Buff, skb.Device) header.Addr { return x.masq },
		DevAddr:  func(skb.Device) header.Addr { return x.masq }})
	for _, p := range []netfilter.Point{netfilter.PreRouting, netfilter.LocalOut} {
		x.hooks.Register(p, netfilter.PriConntrack, x.ct.In)
	}
	for _, p := range []netfilter.Point{netfilter.PostRouting, netfilter.LocalIn} {
		x.hooks.Register(p, netfilter.PriConfirm, x.ct.Confirm)
	}
	x.nat.SetRules(func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		if fn := x.rules[s.Point]; fn != nil {
			return fn(b, s)
		}
		return netfilter.Accept
	})
	t.Cleanup(func() { x.ct.Flush(nil) })
	return x
}

// flow names a packet.
type flow struct {
	proto        uint8
	src          header.Addr
	sport        uint16
	dst          header.Addr
	dport        uint16
	flags        uint8
	seq, ack     uint32
	data         string
	icmpType     uint8
	errorOf      []byte // the packet an ICMP error is about
	errorMessage uint8
}

func (f flow) back() flow {
	f.src, f.dst, f.sport, f.dport = f.dst, f.src, f.dport, f.sport
	return f
}

func (x *box) packet(f flow) *skb.Buff {
	var p []byte
	switch f.proto {
	case header.ProtoTCP:
		p = make([]byte, header.TCPMinLen+len(f.data))
		header.PutTCP(p, &header.TCPFields{SrcPort: f.sport, DstPort: f.dport, HeaderLen: header.TCPMinLen, Flags: f.flags, Seq: f.seq, Ack: f.ack, Window: 60000})
		copy(p[header.TCPMinLen:], f.data)
	case header.ProtoUDP:
		p = make([]byte, header.UDPLen+len(f.data))
		header.PutUDP(p, f.sport, f.dport, len(p))
		copy(p[header.UDPLen:], f.data)
	case header.ProtoICMP:
		p = make([]byte, header.ICMPLen, 100)
		header.PutICMP(p, f.icmpType, f.errorMessage, uint32(f.sport)<<16|1)
		p = append(p, f.errorOf...)
	}
	b := make([]byte, header.IPv4MinLen, 100)
	h := header.PutIPv4(b, &header.Fields{TotalLen: 20 + len(p), TTL: 64, Protocol: f.proto, Src: f.src, Dst: f.dst})
	h.UpdateChecksum()
	sumTransport(h, p, false)
	s := x.cache.Alloc(200 + len(p))
	s.Reserve(64)
	s.PutData(append(b, p...))
	s.ResetNetworkHeader()
	s.SetTransportHeader(20)
	return s
}

// read is the flow of a packet, its checksums verified.
func (x *box) read(b *skb.Buff) flow {
	x.Helper()
	p := bytesOf(b)
	if !sumsRight(b) {
		x.Fatalf("checksum of %x", p)
	}
	h := header.IPv4(p)
	f := flow{proto: h.Protocol(), src: h.Src(), dst: h.Dst()}
	switch q := p[20:]; f.proto {
	case header.ProtoTCP:
		t := header.TCP(q)
		f.sport, f.dport, f.flags, f.seq, f.ack, f.data = t.SrcPort(), t.DstPort(), t.Flags(), t.Seq(), t.AckSeq(), string(q[t.HeaderLen():])
	case header.ProtoUDP:
		u := header.UDP(q)
		f.sport, f.dport, f.data = u.SrcPort(), u.DstPort(), string(q[8:])
	case header.ProtoICMP:
		m := header.ICMP(q)
		f.icmpType, f.errorMessage = m.Type(), m.Code()
		if f.icmpType == header.ICMPDestUnreach {
			f.errorOf = q[8:]
		} else {
			f.sport = m.EchoID()
		}
	}
	return f
}

// pass sends a packet through the router; ok is false when it was dropped.
func (x *box) pass(f flow, in, out device) (got flow, ok bool) {
	x.Helper()
	b := x.packet(f)
	if !x.hooks.Run(netfilter.PreRouting, b, in, nil, nil) || !x.hooks.Run(netfilter.Forward, b, in, out, nil) ||
		!x.hooks.Run(netfilter.PostRouting, b, in, out, nil) {
		return flow{}, false
	}
	got = x.read(b)
	b.Consume()
	return got, true
}

func (x *box) must(f flow, in, out device) flow {
	x.Helper()
	got, ok := x.pass(f, in, out)
	if !ok {
		x.Fatalf("%+v was dropped", f)
	}
	return got
}

func (x *box) snat(r *nat.Range) {
	x.rules[netfilter.PostRouting] = func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		if s.Out != wan {
			return netfilter.Accept
		}
		return x.nat.SNAT(b, r)
	}
}

func addr(a header.Addr) *nat.Range {
	return &nat.Range{Flags: nat.MapIPs, MinAddr: a, MaxAddr: a}
}

func udp(src header.Addr, sport uint16, dst header.Addr, dport uint16) flow {
	return flow{proto: header.ProtoUDP, src: src, sport: sport, dst: dst, dport: dport, data: "data"}
}
