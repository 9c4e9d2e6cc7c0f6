package inet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// ctDuel is a duel between two routers that track connections: all packets come
// from the peer's link and go back there. Of the state that rules would see the
// TTL tells, of ASSURED and the like the TOS.
type ctDuel struct {
	*duel
	rng *rand.Rand
	log []string
}

// stateTTL is the TTL by which a forwarded packet tells its state.
var stateTTL = []struct { // read-only
	name string
	bit  conntrack.State
	ttl  uint8
}{
	{"NEW", conntrack.StateNew, 101}, {"ESTABLISHED", conntrack.StateEstablished, 102},
	{"RELATED", conntrack.StateRelated, 103}, {"INVALID", conntrack.StateInvalid, 104},
	{"UNTRACKED", conntrack.StateUntracked, 105},
}

const (
	tosAssured = 0x10
	tosSeen    = 0x08
)

func newCTDuel(t *testing.T) *ctDuel {
	if _, err := exec.LookPath("iptables-legacy"); err != nil {
		t.Skip(err)
	}
	d := &ctDuel{duel: newDuel(t)}
	d.set("ip_forward", "1")
	d.set("conf.all.send_redirects", "0")
	d.set("conf.tap0.send_redirects", "0")
	rule := func(args string) {
		t.Helper()
		if out, err := d.l.ns.Run(10*time.Second, "iptables-legacy", strings.Fields("-w -t mangle -A FORWARD "+args)...); err != nil {
			t.Skipf("iptables %s: %v\n%s", args, err, out)
		}
	}
	for _, s := range stateTTL {
		rule(fmt.Sprintf("-m conntrack --ctstate %s -j TTL --ttl-set %d", s.name, s.ttl))
	}
	rule("-m conntrack --ctstatus SEEN_REPLY -j TOS --set-tos 0x08/0x08")
	rule("-m conntrack --ctstatus ASSURED -j TOS --set-tos 0x10/0x10")
	t.Cleanup(d.h.NF().UseConntrack())
	remove := d.h.Hooks().Register(netfilter.Forward, netfilter.PriMangle, func(b *skb.Buff, _ *netfilter.State) netfilter.Verdict {
		h := header.IPv4(b.Data())
		st := conntrack.StateOf(b)
		for _, s := range stateTTL {
			if st&s.bit != 0 {
				h.SetTTL(s.ttl)
			}
		}
		if c, _ := conntrack.Get(b); c != nil {
			if c.Status()&conntrack.SeenReply != 0 {
				h[1] |= tosSeen
			}
			if c.Status()&conntrack.Assured != 0 {
				h[1] |= tosAssured
			}
		}
		h.UpdateChecksum()
		return netfilter.Accept
	})
	t.Cleanup(remove)
	return d
}

// pass has frames pass through both and compares what comes out.
func (d *ctDuel) pass(what string, frames ...[]byte) {
	d.Helper()
	d.log = append(d.log, what)
	for _, f := range frames {
		if _, err := d.l.tap.Write(f); err != nil {
			d.Fatal(err)
		}
	}
	d.h.inject(frames...)
	var own []string
	for _, f := range d.h.port.take() {
		if a := describe(f); a != "" {
			own = append(own, a)
		}
	}
	want := d.l.expect(len(own), time.Millisecond)
	for range 50 { // a busy machine
		if len(want) >= len(own) {
			break
		}
		want = append(want, d.l.expect(len(own)-len(want), time.Millisecond)...)
	}
	if g, w := strings.Join(own, "\n"), strings.Join(want, "\n"); g != w {
		d.Fatalf("after %d packets:\n%s\nLinux sends\n%.150s\nwe send\n%.150s\nLinux has\n%s\nwe have\n%s", len(d.log),
			d.story(), w, g, d.linuxProc(), d.h.NF().Conntrack.Proc(nil))
	}
}

// story is how it came to this.
func (d *ctDuel) story() string {
	n := min(6, len(d.log))
	return strings.Join(append(d.log[:n:n], d.log[max(n, len(d.log)-60):]...), "\n")
}

func (d *ctDuel) linuxProc() (s string) {
	check(d, d.l.ns.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		s = string(b)
		return err
	}))
	return s
}

var procTime = regexp.MustCompile(`^(ipv4 +2 \w+ +\d+ )(\d+) `)

// sameTable compares the listings, in which times may differ by the seconds the
// test takes.
func (d *ctDuel) sameTable() {
	d.Helper()
	read := func(s string) map[string]int {
		m := map[string]int{}
		for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
			if p := procTime.FindStringSubmatch(l); p != nil {
				sec, _ := strconv.Atoi(p[2])
				m[procTime.ReplaceAllString(l, "$1")] = sec
			} else if l != "" {
				m[l] = -1
			}
		}
		return m
	}
	linux, own := d.linuxProc(), string(d.h.NF().Conntrack.Proc(nil))
	a, b := read(linux), read(own)
	for l, sec := range a {
		if o, ok := b[l]; !ok || o-sec > 2 || sec-o > 2 {
			d.Fatalf("after %d packets:\n%s\nLinux has %q %d s\nLinux has\n%s\nwe have\n%s", len(d.log),
				d.story(), l, sec, linux, own)
		}
	}
	for l := range b {
		if _, ok := a[l]; !ok {
			d.Fatalf("after %d packets:\n%s\nwe have %q, Linux not", len(d.log), d.story(), l)
		}
	}
}

// ctSetting sets net.netfilter.nf_conntrack_* on both.
func (d *ctDuel) ctSetting(name, v string) {
	d.Helper()
	d.log = append(d.log, name+"="+v)
	check(d, d.l.ns.Sysctl("netfilter/nf_conntrack_"+name, v))
	check(d, d.h.net.Sysctl().Set("net.netfilter.nf_conntrack_"+name, v))
}

// flush empties both tables.
func (d *ctDuel) flush() {
	d.Helper()
	if out, err := d.l.ns.Run(10*time.Second, "conntrack", "-F"); err != nil {
		d.Skipf("conntrack -F: %v %s", err, out)
	}
	d.h.NF().Conntrack.Flush(nil)
}

// ctEnd is what one end of a made-up TCP connection has sent.
type ctEnd struct {
	addr header.Addr
	port uint16
	nxt  uint32 // next sequence number
	una  uint32 // acknowledged by the other
	win  uint16
}

// ctConn is such a connection.
type ctConn struct{ end [2]ctEnd }

// pick returns one of the choices.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// random makes the next segment of a connection: mostly one that fits what was
// sent before, often one that does not quite, sometimes nonsense.
func (c *ctConn) random(r *rand.Rand) (what string, frame []byte) {
	d := r.IntN(2)
	s, o := &c.end[d], &c.end[1-d]
	const fin, syn, rst, psh, ack, urg = header.TCPFin, header.TCPSyn, header.TCPRst, header.TCPPsh, header.TCPAck, header.TCPUrg
	flags := pick[uint8](r, ack, ack, ack, ack, ack, ack|psh, ack|psh, syn, syn, syn|ack, syn|ack, fin|ack, fin|ack, rst, rst|ack, ack|urg)
	switch r.IntN(40) {
	case 0:
		flags = uint8(r.IntN(256))
	case 1:
		flags = syn | urg | header.TCPEce | header.TCPCwr
	}
	n := pick(r, 0, 0, 0, 1, 10, 500, 1400)
	if flags&(syn|rst) != 0 && r.IntN(8) != 0 {
		n = 0
	}
	seq, ackSeq, win := s.nxt, o.nxt, s.win
	switch r.IntN(12) {
	case 0:
		seq = s.una
	case 1:
		seq += uint32(r.IntN(3)) - 1
	case 2:
		seq += pick[uint32](r, 1000, 60000, 70000, 200000, 1<<31, ^uint32(999), ^uint32(69999))
	case 3:
		seq = 0
	}
	switch r.IntN(12) {
	case 0:
		ackSeq = o.una
	case 1:
		ackSeq += uint32(r.IntN(3)) - 1
	case 2:
		ackSeq += pick[uint32](r, 1000, 70000, 1<<31, ^uint32(999), ^uint32(65999), ^uint32(66001), ^uint32(199999))
	case 3:
		ackSeq = 0
	}
	if r.IntN(6) == 0 {
		s.win = pick[uint16](r, 0, 1, 100, 5000, 65535)
		win = s.win
	}
	if flags&ack == 0 && r.IntN(3) != 0 {
		ackSeq = 0
	}
	var opt []byte
	if flags&syn != 0 {
		if r.IntN(2) == 0 {
			opt = append(opt, header.TCPOptWScale, 3, pick[byte](r, 0, 2, 7, 14, 15, 200), header.TCPOptNOP)
		}
		if r.IntN(2) == 0 {
			opt = append(opt, header.TCPOptSACKOK, 2, 1, 1)
		}
	} else if r.IntN(10) == 0 {
		lo := o.nxt + pick[uint32](r, 0, 100, 5000, 100000)
		hi := lo + pick[uint32](r, 1, 100, 5000)
		opt = append(opt, 1, 1, header.TCPOptSACK, 10, byte(lo>>24), byte(lo>>16), byte(lo>>8), byte(lo), byte(hi>>24), byte(hi>>16), byte(hi>>8), byte(hi))
	}
	if r.IntN(10) == 0 {
		opt = append(opt, 1, 1, header.TCPOptTimestamp, 10, 1, 2, 3, 4, 5, 6, 7, 8)
	}
	if r.IntN(60) == 0 {
		opt = append(opt, pick(r, []byte{5, 1, 0, 0}, []byte{3, 40, 0, 0}, []byte{5, 9, 1, 1}, []byte{0, 3, 3, 9})...)
	}
	if len(opt) > 40 {
		opt = opt[:40]
	}
	if int32(seq+uint32(n)-s.nxt) > 0 && seq-s.nxt < 2000 {
		s.nxt = seq + uint32(n)
	}
	if flags&syn != 0 && (r.IntN(4) != 0) {
		s.nxt = seq + uint32(n) + 1
	}
	if flags&fin != 0 && seq+uint32(n) == s.nxt {
		s.nxt++
	}
	if flags&ack != 0 && int32(ackSeq-o.una) > 0 && int32(ackSeq-o.nxt) <= 0 {
		o.una = ackSeq
	}
	f := header.TCPFields{SrcPort: s.port, DstPort: o.port, Seq: seq, Ack: ackSeq, HeaderLen: 20 + len(opt), Flags: flags, Window: win}
	p := tcpSegment(s.addr, o.addr, &f, opt, n)
	switch r.IntN(100) {
	case 0:
		p[16]++ // the checksum
	case 1:
		p[12] = pick[byte](r, 0, 0x40, 0xf0)
	case 2:
		p = p[:r.IntN(len(p))]
	}
	what = fmt.Sprintf("%v:%d>%v:%d flags %#02x seq %d ack %d win %d len %d opt %x", s.addr, s.port, o.addr, o.port, flags, seq, ackSeq, win, n, opt)
	return what, ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 6, Src: s.addr, Dst: o.addr, ID: 1}, p))
}

func tcpSegment(src, dst header.Addr, f *header.TCPFields, opt []byte, n int) []byte {
	p := make([]byte, f.HeaderLen+n)
	h := header.PutTCP(p, f)
	copy(h.Options(), opt)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(src, dst, 6, len(p)))))
	return p
}

// ctRounds is how many seeds a comparison tries: CONNTRACK_ROUNDS, or so many.
func ctRounds(usual int) int {
	if s := os.Getenv("CONNTRACK_ROUNDS"); s != "" {
		usual, _ = strconv.Atoi(s)
	}
	return usual
}

// TestLinux_conntrackTCP_sameStates: segments that fit a connection more or less
// have the same state, and leave the same connections, as in Linux.
func TestLinux_conntrackTCP_sameStates(t *testing.T) {
	d := newCTDuel(t)
	rounds, each := ctRounds(15), 100
	for seed := range uint64(rounds) {
		d.flush()
		d.log = []string{fmt.Sprint("seed ", seed)}
		r := rand.New(rand.NewPCG(seed, 9))
		d.ctSetting("tcp_be_liberal", strconv.Itoa(pick(r, 0, 0, 0, 0, 1)))
		d.ctSetting("tcp_loose", strconv.Itoa(pick(r, 1, 1, 1, 0)))
		d.ctSetting("tcp_ignore_invalid_rst", strconv.Itoa(pick(r, 0, 0, 0, 1)))
		d.ctSetting("tcp_max_retrans", strconv.Itoa(pick(r, 3, 3, 1)))
		d.ctSetting("acct", strconv.Itoa(pick(r, 0, 1)))
		var conns []*ctConn
		for i := range 3 {
			c := &ctConn{}
			for e := range c.end {
				c.end[e] = ctEnd{addr: ip4(10, byte(1+e), 0, byte(i+1)), port: uint16(1000 + 1000*e + i), nxt: r.Uint32(), win: 8000}
				c.end[e].una = c.end[e].nxt
			}
			conns = append(conns, c)
		}
		for i := range each {
			d.pass(pick(r, conns...).random(r))
			if i%5 == 0 {
				d.sameTable()
			}
		}
		d.sameTable()
	}
}

// TestLinux_conntrackRest_sameStates: the same for everything that is not TCP,
// fragments and errors about connections included.
func TestLinux_conntrackRest_sameStates(t *testing.T) {
	d := newCTDuel(t)
	rounds := ctRounds(10)
	for seed := range uint64(rounds) {
		d.flush()
		d.log = []string{fmt.Sprint("seed ", seed)}
		r := rand.New(rand.NewPCG(seed, 10))
		sums := int(seed % 2)
		d.ctSetting("checksum", strconv.Itoa(sums))
		var past [][]byte // packets that errors may be about
		for i := range 80 {
			a, b := ip4(10, 1, 0, byte(1+r.IntN(2))), ip4(10, 2, 0, 1)
			if r.IntN(2) == 0 {
				a, b = b, a
			}
			proto := pick[uint8](r, 1, 1, 1, 17, 17, 17, 136, 47, 50)
			if proto == 136 && sums == 1 {
				continue // Linux takes every sum of UDP-Lite for wrong here
			}
			data := make([]byte, pick(r, 0, 4, 8, 40, 3000))
			var p []byte
			switch proto {
			case 1:
				typ := pick[uint8](r, 8, 0, 8, 0, 13, 14, 15, 16, 17, 18, 3, 3, 11, 12, 4, 5, 10, 9, 30, 42)
				p = append(make([]byte, 8), data...)
				header.PutICMP(p, typ, pick[uint8](r, 0, 0, 0, 1), uint32(pick(r, 1, 2))<<16|1)
				if len(past) > 0 && (typ == 3 || typ == 11 || typ == 12 || typ == 4 || typ == 5) {
					q := past[r.IntN(len(past))]
					q = q[:min(len(q), pick(r, 28, 28, 60, 27, 24, 20, 19))]
					p = append(p[:8], q...)
					if r.IntN(4) != 0 && len(q) >= 20 { // to its sender
						b = header.IPv4(q).Src()
					}
				}
				if typ == 5 {
					continue // a router does not forward what tells it another way
				}
				header.ICMP(p).SetChecksum(skb.CsumFold(skb.CsumPartial(p, 0)))
			case 17, 136:
				sp, dp := uint16(pick(r, 1, 2)), uint16(pick(r, 1, 2))
				p = udpPacket(a, b, sp, dp, data)
				if proto == 136 {
					header.UDP(p).SetLength(pick(r, 0, 8, 8, len(p), len(p)+1, 7))
					n := header.UDP(p).Length()
					if n == 0 || n > len(p) || n < 8 {
						n = len(p)
					}
					header.UDP(p).SetChecksum(0)
					header.UDP(p).SetChecksum(skb.CsumFold(skb.CsumPartial(p[:n], header.PseudoSum(a, b, 136, len(p)))))
				} else if r.IntN(10) == 0 {
					header.UDP(p).SetLength(pick(r, 7, 8, len(p)+1))
				}
				if r.IntN(15) == 0 {
					header.UDP(p).SetChecksum(0)
				}
			case 47:
				p = append([]byte{0x30, pick[byte](r, 0, 1, 0x81), 0x88, 0x0b, 0, 4, 0, pick[byte](r, 7, 8)}, data...)
				if r.IntN(8) == 0 {
					p[2]++
				}
				p = p[:min(len(p), pick(r, 2000, 2000, 2000, 6, 2))]
			default:
				p = data
			}
			if r.IntN(25) == 0 && len(p) > 10 {
				p[r.IntN(len(p))]++
			}
			if r.IntN(40) == 0 {
				p = p[:r.IntN(len(p)+1)]
			}
			ip := ipPacket(header.Fields{Protocol: proto, Src: a, Dst: b, ID: uint16(i)}, p)
			if len(ip) < 1500 {
				past = append(past, bytes.Clone(ip))
			}
			var frames [][]byte
			if size := pick(r, 1480, 512); len(p) > size {
				for off := 0; off < len(p); off += size {
					more, end := uint16(header.IPMF), off+size
					if end >= len(p) {
						more, end = 0, len(p)
					}
					frames = append(frames, ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(
						header.Fields{Protocol: proto, Src: a, Dst: b, ID: uint16(i), Frag: uint16(off/8) | more}, p[off:end])))
				}
				r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
				if r.IntN(10) == 0 {
					frames = frames[1:]
				}
			} else {
				frames = [][]byte{ethFrame(hostMAC, peerMAC, header.EthPIP, ip)}
			}
			d.pass(fmt.Sprintf("%v > %v proto %d in %d frames %.120x", a, b, proto, len(frames), p), frames...)
			if i%5 == 0 {
				d.sameTable()
			}
		}
		d.sameTable()
	}
}

// TestLinux_conntrackLocal_sameTable: what is for this host and what it answers
// is tracked as in Linux, the counters of the stack included.
func TestLinux_conntrackLocal_sameTable(t *testing.T) {
	d := newCTDuel(t)
	d.flush()
	d.ctSetting("acct", "1")
	syn := func(port uint16) []byte {
		f := header.TCPFields{SrcPort: 999, DstPort: port, Seq: 1, HeaderLen: 20, Flags: header.TCPSyn, Window: 1000}
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 6, Src: peerIP, Dst: hostIP, ID: 1}, tcpSegment(peerIP, hostIP, &f, nil, 0)))
	}
	step := func(name string, frames ...[]byte) {
		t.Helper()
		d.feed(name, frames...)
		d.sameTable()
	}
	step("ping", fragments(1, 1, icmpEcho(7, 1, randomBytes(100)), 1480)...)
	step("ping in pieces", fragments(2, 1, icmpEcho(8, 1, randomBytes(4000)), 1480)...)
	step("datagram answered", fragments(3, 17, udpPacket(peerIP, hostIP, 5, 7, randomBytes(64)), 1480)...)
	step("datagram in pieces, answered in pieces", fragments(4, 17, udpPacket(peerIP, hostIP, 6, 7, randomBytes(5000)), 1480)...)
	step("datagram refused", fragments(5, 17, udpPacket(peerIP, hostIP, 5, 9999, randomBytes(64)), 1480)...)
	step("connection refused", syn(9))
	step("no protocol", fromPeer(200, []byte("abcdefgh")))
	step("answer nobody asked for", fromPeer(1, func() []byte {
		p := icmpEcho(9, 9, nil)
		header.ICMP(p).SetType(header.ICMPEchoReply)
		header.ICMP(p).SetChecksum(0)
		header.ICMP(p).SetChecksum(skb.CsumFold(skb.CsumPartial(p, 0)))
		return p
	}()))
	step("half a datagram", fragments(6, 17, udpPacket(peerIP, hostIP, 5, 7, randomBytes(3000)), 1480)[:1]...)
	d.flush()
	d.sameTable()
}

// sctpEnd is what one end of a made-up association knows.
type sctpEnd struct {
	addr header.Addr
	port uint16
	tag  uint32 // of the packets it sends
}

// TestLinux_conntrackSCTP_sameStates: the same for associations.
func TestLinux_conntrackSCTP_sameStates(t *testing.T) {
	d := newCTDuel(t)
	rounds := ctRounds(5)
	for seed := range uint64(rounds) {
		d.flush()
		d.log = []string{fmt.Sprint("seed ", seed)}
		r := rand.New(rand.NewPCG(seed, 11))
		var conns [2][2]sctpEnd
		for i := range conns {
			for e := range conns[i] {
				conns[i][e] = sctpEnd{ip4(10, byte(1+e), 0, byte(1+i)), uint16(100 + e), 0}
			}
		}
		for i := range 80 {
			c := &conns[r.IntN(len(conns))]
			from := r.IntN(2)
			s, o := &c[from], &c[1-from]
			tag := s.tag
			if r.IntN(10) == 0 {
				tag = pick[uint32](r, 0, 5, o.tag)
			}
			p := binary.BigEndian.AppendUint16(nil, s.port)
			p = binary.BigEndian.AppendUint16(p, o.port)
			var what string
			for range pick(r, 1, 1, 1, 1, 2, 3) {
				typ := pick[byte](r, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 11, 14, 77)
				body := make([]byte, pick(r, 0, 4, 16, 16, 17, 40))
				if len(body) >= 4 {
					binary.BigEndian.PutUint32(body, pick[uint32](r, 1, 2, 3)<<8|uint32(from))
				}
				if typ == 1 && r.IntN(10) != 0 {
					tag = 0
				}
				if (typ == 1 || typ == 2) && len(body) >= 16 && r.IntN(8) != 0 {
					o.tag = binary.BigEndian.Uint32(body)
				}
				if len(p) == 4 {
					p = append(p, 0, 0, 0, 0, 0, 0, 0, 0)
				}
				n := len(body) + 4
				if r.IntN(60) == 0 {
					n = pick(r, 0, 1, 3, 9999)
				}
				p = append(p, typ, pick[byte](r, 0, 0, 0, 1), byte(n>>8), byte(n))
				p = append(p, body...)
				for len(p)%4 != 0 {
					p = append(p, 0)
				}
				what += fmt.Sprintf(" chunk %d len %d %x", typ, n, body[:min(len(body), 4)])
				if r.IntN(4) != 0 && (typ == 1 || typ == 2 || typ == 14) {
					break
				}
			}
			binary.BigEndian.PutUint32(p[4:], tag)
			if r.IntN(60) == 0 {
				p = p[:r.IntN(len(p))]
			}
			if len(p) >= 12 {
				binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
				if r.IntN(40) == 0 {
					p[11]++
					what += " BADCRC"
				}
			}
			d.pass(fmt.Sprintf("%v > %v tag %x%s", s.addr, o.addr, tag, what), ethFrame(hostMAC, peerMAC, header.EthPIP,
				ipPacket(header.Fields{Protocol: 132, Src: s.addr, Dst: o.addr, ID: uint16(i)}, p)))
			if i%4 == 0 {
				d.sameTable()
			}
		}
		d.sameTable()
	}
}
