package helper_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/helper"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

type device int32

func (d device) Ifindex() int32 { return int32(d) }
func (d device) Name() string   { return "eth" }

const (
	client = header.Addr(0x0a000001)
	gw     = header.Addr(0xcb007101)
	server = header.Addr(0xc6336401)
)

// box is a router reduced to tracking, NAT and helpers. It gives every packet to
// the helper of its protocol, as a rule in the raw table would, and with nat
// translates sources of 10.0.0.0/8 to gw.
type box struct {
	testing.TB
	ct    *conntrack.Table
	hooks netfilter.Hooks
	cache *skb.Cache
	nat   *nat.NAT
	set   *helper.Set
	now   int64
	tmpl  map[uint8]*conntrack.Conn
}

func newBox(t testing.TB, translate bool) *box {
	x := &box{TB: t, now: 1, cache: skbtest.New(t, skb.PageConfig{}), tmpl: map[uint8]*conntrack.Conn{}}
	seq := uint32(0)
	random := func() uint32 { seq += 0x9e3779b9; return seq }
	x.ct = conntrack.NewTable(conntrack.Config{Now: func() int64 { return x.now }, Max: 1000, Buckets: 256, Rand: func(b []byte) { clear(b) }})
	x.nat = nat.New(nat.Config{Table: x.ct, Hooks: &x.hooks, Random: random,
		RouteMe: func(*skb.Buff) error { return nil }})
	var err error
	if x.set, err = helper.Register(helper.Config{Table: x.ct, NAT: x.nat, Random: random}); err != nil {
		t.Fatal(err)
	}
	for name, proto := range map[string]uint8{"ftp": header.ProtoTCP, "tftp": header.ProtoUDP} {
		h := x.ct.HelperByName(name, proto)
		if h == nil {
			t.Fatalf("no helper %s", name)
		}
		x.tmpl[proto] = x.ct.NewTemplate(conntrack.Zone{}, conntrack.Policy{Helper: h})
	}
	x.hooks.Register(netfilter.PreRouting, netfilter.PriRaw, func(b *skb.Buff, _ *netfilter.State) netfilter.Verdict {
		h := header.IPv4(b.Data())
		if p := b.Data()[20:]; p[2] == 0 && (p[3] == 21 || p[3] == 69) { // to the well-known port
			conntrack.Set(b, x.tmpl[h.Protocol()], conntrack.New)
		}
		return netfilter.Accept
	})
	x.hooks.Register(netfilter.PreRouting, netfilter.PriConntrack, x.ct.In)
	x.hooks.Register(netfilter.PostRouting, netfilter.PriConfirm, x.ct.Confirm)
	x.nat.SetRules(func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		if s.Point == netfilter.PostRouting && translate && header.IPv4(b.Data()).Src()>>24 == 10 {
			return x.nat.SNAT(b, &nat.Range{Flags: nat.MapIPs, MinAddr: gw, MaxAddr: gw})
		}
		return netfilter.Accept
	})
	t.Cleanup(func() { x.ct.Flush(nil) })
	return x
}

// send passes one packet through the router and returns it, nil if dropped, and
// its state in between.
func (x *box) send(b *skb.Buff) (*skb.Buff, conntrack.State) {
	var s conntrack.State
	if !x.hooks.Run(netfilter.PreRouting, b, device(1), nil, nil) {
		return nil, 0
	}
	s = conntrack.StateOf(b)
	if !x.hooks.Run(netfilter.PostRouting, b, device(1), device(2), nil) {
		return nil, s
	}
	return b, s
}

func (x *box) packet(proto uint8, src, dst header.Addr, l4 []byte) *skb.Buff {
	b := x.cache.Alloc(200 + len(l4))
	b.Reserve(100)
	h := header.PutIPv4(b.Put(20), &header.Fields{TotalLen: 20 + len(l4), TTL: 64, Protocol: proto, Src: src, Dst: dst})
	h.UpdateChecksum()
	at := 16
	if proto == header.ProtoUDP {
		at = 6
	}
	c := skb.CsumFold(skb.CsumPartial(l4, header.PseudoSum(src, dst, proto, len(l4))))
	l4[at], l4[at+1] = byte(c>>8), byte(c)
	b.PutData(l4)
	b.ResetNetworkHeader()
	b.SetTransportHeader(20)
	return b
}

// end is one end of a TCP connection, as it sees it.
type end struct {
	addr, peer     header.Addr
	port, peerPort uint16
	seq, ack       uint32
}

// tcp sends a segment of from, and has to, who gets it, take note.
func (x *box) tcp(from, to *end, flags uint8, data string) (got string, ok bool) {
	x.Helper()
	l4 := make([]byte, 20+len(data))
	header.PutTCP(l4, &header.TCPFields{SrcPort: from.port, DstPort: from.peerPort, Seq: from.seq, Ack: from.ack, HeaderLen: 20, Flags: flags, Window: 60000})
	copy(l4[20:], data)
	b, _ := x.send(x.packet(header.ProtoTCP, from.addr, from.peer, l4))
	from.seq += uint32(len(data))
	if flags&header.TCPSyn != 0 {
		from.seq++
	}
	if b == nil {
		return "", false
	}
	defer b.Consume()
	h := header.IPv4(b.Data())
	p := b.Data()[20:]
	if !h.ChecksumOK() || h.TotalLen() != b.Len() || skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(h.Src(), h.Dst(), 6, len(p)))) != 0 {
		x.Fatalf("checksum or length of %x", b.Data())
	}
	t := header.TCP(p)
	if flags&header.TCPSyn != 0 {
		to.peer, to.peerPort, to.ack = h.Src(), t.SrcPort(), t.Seq()
	}
	if t.Seq() != to.ack {
		x.Errorf("segment %q has sequence number %d, the receiver wants %d", data, t.Seq(), to.ack)
	}
	if flags&header.TCPAck != 0 && t.AckSeq() != to.seq {
		x.Errorf("segment %q acknowledges %d, the receiver sent up to %d", data, t.AckSeq(), to.seq)
	}
	to.ack = t.Seq() + uint32(len(p)-20)
	if flags&header.TCPSyn != 0 {
		to.ack++
	}
	return string(p[20:]), true
}

// session opens a control connection from the client to the server at dst.
func (x *box) session() (c, s *end) {
	c = &end{addr: client, port: 4000, peer: server, peerPort: 21, seq: 1000}
	s = &end{addr: server, port: 21, seq: 5000}
	const ack = header.TCPAck
	x.tcp(c, s, header.TCPSyn, "")
	x.tcp(s, c, header.TCPSyn|ack, "")
	x.tcp(c, s, ack, "")
	x.tcp(s, c, ack, "220 ready\r\n")
	x.tcp(c, s, ack, "USER anonymous\r\n")
	x.tcp(s, c, ack, "331 password\r\n")
	x.tcp(c, s, ack, "PASS x@y\r\n")
	x.tcp(s, c, ack, "230 in\r\n")
	return c, s
}

// syn sends the first segment of a data connection and returns where it came
// out, and its state.
func (x *box) syn(src, dst header.Addr, sport, dport uint16) (from, to string, s conntrack.State) {
	l4 := make([]byte, 20)
	header.PutTCP(l4, &header.TCPFields{SrcPort: sport, DstPort: dport, Seq: 9, HeaderLen: 20, Flags: header.TCPSyn, Window: 60000})
	b, s := x.send(x.packet(header.ProtoTCP, src, dst, l4))
	if b == nil {
		return "", "", s
	}
	defer b.Consume()
	h, t := header.IPv4(b.Data()), header.TCP(b.Data()[20:])
	return fmt.Sprint(h.Src(), ":", t.SrcPort()), fmt.Sprint(h.Dst(), ":", t.DstPort()), s
}

func TestFTP_activeWithNAT_addressAndSequence(t *testing.T) {
	for _, cmd := range []struct{ send, want string }{
		{"PORT 10,0,0,1,31,64\r\n", "PORT 203,0,113,1,31,64\r\n"},
		{"EPRT |1|10.0.0.1|8000|\r\n", "EPRT |1|203.0.113.1|8000|\r\n"},
	} {
		x := newBox(t, true)
		c, s := x.session()
		got, ok := x.tcp(c, s, header.TCPAck, cmd.send)
		if !ok || got != cmd.want {
			t.Fatalf("%q became %q", cmd.send, got)
		}
		x.tcp(s, c, header.TCPAck, "200 ok\r\n")
		x.tcp(c, s, header.TCPAck, "RETR file\r\n")
		x.tcp(s, c, header.TCPAck, "150 here it comes\r\n")
		// The data connection comes from the server's port 20.
		from, to, st := x.syn(server, gw, 20, 8000)
		if from != "198.51.100.1:20" || to != "10.0.0.1:8000" || st&conntrack.StateRelated == 0 {
			t.Errorf("data connection %s -> %s, state %x", from, to, st)
		}
		if _, _, st := x.syn(server, gw, 21, 8000); st&conntrack.StateRelated != 0 {
			t.Error("a second connection is expected too")
		}
		// Another command of the same connection moves the numbers again.
		x.tcp(c, s, header.TCPAck, cmd.send)
		x.tcp(s, c, header.TCPAck, "200 ok\r\n")
		x.tcp(c, s, header.TCPAck, "QUIT\r\n")
	}
}

func TestFTP_passive_expected(t *testing.T) {
	for _, a := range []string{"227 Entering Passive Mode (198,51,100,1,31,64)\r\n", "229 Extended Passive (|||8000|)\r\n"} {
		for _, translate := range []bool{false, true} {
			x := newBox(t, translate)
			c, s := x.session()
			x.tcp(c, s, header.TCPAck, "PASV\r\n")
			if got, ok := x.tcp(s, c, header.TCPAck, a); !ok || got != a {
				t.Fatalf("%q became %q", a, got)
			}
			x.tcp(c, s, header.TCPAck, "LIST\r\n")
			_, to, st := x.syn(client, server, 4001, 8000)
			if to != "198.51.100.1:8000" || st&conntrack.StateRelated == 0 {
				t.Errorf("translate %v: data connection to %s, state %x", translate, to, st)
			}
		}
	}
}

// TestFTP_retransmitted_again: the command comes again, and is translated the
// same way.
func TestFTP_retransmitted_again(t *testing.T) {
	x := newBox(t, true)
	c, s := x.session()
	const cmd = "PORT 10,0,0,1,31,64\r\n"
	before, sb := *c, *s
	first, _ := x.tcp(c, s, header.TCPAck, cmd)
	*c, *s = before, sb
	second, ok := x.tcp(c, s, header.TCPAck, cmd)
	if !ok || first != second {
		t.Errorf("%q, then %q", first, second)
	}
	x.tcp(s, c, header.TCPAck, "200 ok\r\n")
}

func TestFTP_foreignAddress_notExpected(t *testing.T) {
	for _, loose := range []bool{false, true} {
		x := newBox(t, false)
		if loose {
			x.set.Loose.Store(1)
		}
		c, s := x.session()
		if got, _ := x.tcp(c, s, header.TCPAck, "PORT 10,0,0,99,31,64\r\n"); !strings.Contains(got, "10,0,0,99") {
			t.Errorf("became %q", got)
		}
		if got := x.ct.ExpectCount() == 1; got != loose {
			t.Errorf("loose %v: %d expectations", loose, x.ct.ExpectCount())
		}
	}
}

func TestFTP_cutCommand_dropped(t *testing.T) {
	x := newBox(t, true)
	c, s := x.session()
	before, sb := *c, *s
	if got, ok := x.tcp(c, s, header.TCPAck, "PORT 10,0,"); ok {
		t.Fatalf("passed as %q", got)
	}
	*c, *s = before, sb
	if got, ok := x.tcp(c, s, header.TCPAck, "PORT 10,0,0,1,31,64\r\n"); !ok || !strings.Contains(got, "203,0,113,1") {
		t.Errorf("whole: %q", got)
	}
}

func TestFTP_insideALine_notACommand(t *testing.T) {
	x := newBox(t, true)
	c, s := x.session()
	x.tcp(c, s, header.TCPAck, "SITE text without an end ")
	if got, _ := x.tcp(c, s, header.TCPAck, "PORT 10,0,0,1,31,64\r\n"); strings.Contains(got, "203") {
		t.Errorf("became %q", got)
	}
}

func TestTFTP_answerFromAnotherPort_related(t *testing.T) {
	for _, translate := range []bool{false, true} {
		x := newBox(t, translate)
		req := func(op byte) []byte {
			l4 := make([]byte, 8, 40)
			l4 = append(l4, 0, op)
			l4 = append(l4, "file\x00octet\x00"...)
			header.PutUDP(l4, 4000, 69, len(l4))
			return l4
		}
		b, _ := x.send(x.packet(header.ProtoUDP, client, server, req(1)))
		if b == nil {
			t.Fatal("request dropped")
		}
		to := header.IPv4(b.Data()).Src()
		b.Consume()
		l4 := make([]byte, 12)
		header.PutUDP(l4, 33000, 4000, 12)
		b, s := x.send(x.packet(header.ProtoUDP, server, to, l4))
		if b == nil || s&conntrack.StateRelated == 0 {
			t.Fatalf("translate %v: state %x", translate, s)
		}
		h := header.IPv4(b.Data())
		if h.Dst() != client || header.UDP(b.Data()[20:]).DstPort() != 4000 {
			t.Errorf("translate %v: to %v", translate, h.Dst())
		}
		b.Consume()
		// A request of no kind is not one.
		x.ct.Flush(nil)
		if b, _ := x.send(x.packet(header.ProtoUDP, client, server, req(7))); b != nil {
			b.Consume()
		}
		if x.ct.ExpectCount() != 0 {
			t.Error("expected an answer to no request")
		}
	}
}

func TestAddPort_ownNames(t *testing.T) {
	x := newBox(t, false)
	for _, p := range []uint16{21, 2121} {
		if err := x.set.AddPort("ftp", p); err != nil {
			t.Error(err)
		}
	}
	if err := x.set.AddPort("tftp", 6969); err != nil {
		t.Error(err)
	}
	for name, proto := range map[string]uint8{"ftp": 6, "ftp-2121": 6, "tftp": 17, "tftp-6969": 17} {
		if x.ct.HelperByName(name, proto) == nil {
			t.Errorf("no helper %s", name)
		}
	}
	if err := x.set.AddPort("irc", 6667); err != syscall.ENOENT {
		t.Errorf("irc: %v", err)
	}
	for p := range uint16(6) {
		x.set.AddPort("ftp", 3000+p)
	}
	if err := x.set.AddPort("ftp", 4000); err != syscall.ENOSPC || len(x.set.Ports("ftp")) != 8 {
		t.Errorf("%v; ports %v", err, x.set.Ports("ftp"))
	}
}

// TestFTP_flood_bounded: a client that announces ports without end has one
// expectation at a time, and many clients not more than the table allows.
func TestFTP_flood_bounded(t *testing.T) {
	x := newBox(t, true)
	c, s := x.session()
	for i := range 500 {
		if _, ok := x.tcp(c, s, header.TCPAck, fmt.Sprintf("PORT 10,0,0,1,%d,%d\r\n", 4+i>>8, i&0xff)); !ok {
			t.Fatal("dropped")
		}
		if n := x.ct.ExpectCount(); n != 1 {
			t.Fatalf("%d expectations of one connection", n)
		}
	}
	x.tcp(s, c, header.TCPAck, "200 ok\r\n") // the numbers still fit
	most := int(x.ct.Conf.ExpectMax.Load())
	drops := 0
	for i := range 4 * most {
		l4 := make([]byte, 8, 40)
		l4 = append(l4, 0, 1, 'f', 0, 'o', 0)
		header.PutUDP(l4, uint16(5000+i), 69, len(l4))
		if b, _ := x.send(x.packet(header.ProtoUDP, client, server, l4)); b != nil {
			b.Consume()
		} else {
			drops++
		}
	}
	if n := x.ct.ExpectCount(); n != most || drops != 3*most+1 {
		t.Errorf("%d expectations, %d requests dropped; there may be %d", n, drops, most)
	}
}
