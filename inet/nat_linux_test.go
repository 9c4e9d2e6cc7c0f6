package inet_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"barewire/inet/fib"
	"barewire/skb"
	"barewire/skb/header"
)

var natSeeds = flag.Uint64("natseeds", 1, "seeds of TestLinux_nat_randomPackets")
var natConns = flag.Uint("natconns", 8, "connections for each rule of TestLinux_nat")

// natDuel is a duel of two routers with the same rules.
type natDuel struct{ *duel }

func newNATDuel(t *testing.T) *natDuel {
	d := &natDuel{duel: newDuel(t)}
	d.set("ip_forward", "1")
	d.set("conf.all.send_redirects", "0")
	d.set("conf.tap0.send_redirects", "0")
	for _, p := range []string{"iptables-legacy", "conntrack"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	return d
}

// rules gives both the same rules, in place of all before, and ends all
// connections. Each line is the table and the rest of an iptables command with
// the device tap0.
func (d *natDuel) rules(lines ...string) {
	d.Helper()
	d.restore([]string{"raw", "mangle", "nat", "filter"}, lines)
	if out, err := d.l.ns.Run(10*time.Second, "conntrack", "-F"); err != nil {
		d.Fatalf("conntrack: %v\n%s", err, out)
	}
	d.h.NF().Conntrack.Flush(nil)
}

// restore gives both the same tables.
func (d *natDuel) restore(tables, lines []string) {
	d.Helper()
	text := ""
	for _, table := range tables {
		text += "*" + table + "\n"
		for _, l := range lines {
			if rest, ok := strings.CutPrefix(l, table+" "); ok {
				text += rest + "\n"
			}
		}
		text += "COMMIT\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	restore := d.l.ns.Command(ctx, "iptables-legacy-restore")
	restore.Stdin = strings.NewReader(text)
	if out, err := restore.CombinedOutput(); err != nil {
		d.Fatalf("%v: %s\n%s", err, out, text)
	}
	text = strings.ReplaceAll(text, "tap0", "eth0")
	if status, _, stderr := d.h.NF().Run([]string{"iptables-restore"}, []byte(text)); status != 0 {
		d.Fatalf("iptables-restore: %s\n%s", stderr, text)
	}
}

// iptables runs the command on both.
func (d *natDuel) iptables(args ...string) {
	d.Helper()
	if out, err := d.l.ns.Run(10*time.Second, "iptables-legacy", args...); err != nil {
		d.Fatalf("%v: %v\n%s", args, err, out)
	}
	if status, _, stderr := d.h.NF().Run(append([]string{"iptables"}, args...), nil); status != 0 {
		d.Fatalf("%v: %s", args, stderr)
	}
}

var (
	inside  = ip4(10, 1, 0, 0)
	outside = ip4(203, 0, 113, 0)
)

func tcpSegmentOf(src, dst header.Addr, f header.TCPFields, data string) []byte {
	if f.HeaderLen == 0 {
		f.HeaderLen = header.TCPMinLen
	}
	f.Window = 5000
	p := make([]byte, f.HeaderLen, f.HeaderLen+len(data))
	h := header.PutTCP(p, &f)
	p = append(p, data...)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(src, dst, header.ProtoTCP, len(p)))))
	return p
}

func (d *natDuel) ip(proto uint8, src, dst header.Addr, payload []byte, edit ...func(header.IPv4)) []byte {
	return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: proto, Src: src, Dst: dst, ID: 99}, payload, edit...))
}

func udpOf(src, dst header.Addr, sport, dport uint16, n int) []byte {
	return udpPacket(src, dst, sport, dport, randomBytes(n))
}

// icmpError is an error with a quote.
func icmpError(typ, code uint8, rest uint32, quote []byte) []byte {
	m := make([]byte, header.ICMPLen, header.ICMPLen+len(quote))
	header.PutICMP(m, typ, code, rest)
	m = append(m, quote...)
	header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
	return m
}

// TestLinux_nat_sameRewriting: connections through each kind of rule, both ways,
// with what goes wrong on the way, come out as from Linux.
func TestLinux_nat_sameRewriting(t *testing.T) {
	d := newNATDuel(t)
	gw := ip4(198, 51, 100, 1)
	d.rules("nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1")
	d.both("SNAT", gw)
	d.rules("nat -A POSTROUTING -s 10.1.0.0/16 -o tap0 -j MASQUERADE")
	d.both("MASQUERADE", hostIP)
	for _, r := range []string{
		"-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1-198.51.100.30",
		"-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1-198.51.100.30 --persistent",
		"-s 10.1.0.0/16 -j NETMAP --to 198.51.100.0/24",
		"-s 10.1.0.0/16 -p udp -j SNAT --to-source 198.51.100.1:7000",
	} {
		d.rules("nat -A POSTROUTING " + r)
		d.spread(r, false)
	}
	for _, r := range []string{
		"-j DNAT --to-destination 10.1.9.1-10.1.9.200",
		"-j DNAT --to-destination 10.1.9.1-10.1.9.200 --persistent",
		"-p udp -j DNAT --to-destination 10.1.9.1:8000",
		"-p tcp --dport 80 -j DNAT --to-destination 10.1.9.1:3000-3100",
		"-p tcp --dport 80 -j DNAT --to-destination 10.1.9.1:3000-3100/80",
		"-j NETMAP --to 10.1.9.0/24",
	} {
		d.rules("nat -A PREROUTING -d 203.0.113.0/24 " + r)
		d.spread(r, true)
	}
	d.rules("nat -A PREROUTING -d 203.0.113.0/24 -p udp -j REDIRECT --to-ports 7")
	d.feed("REDIRECT to the echo server", d.ip(17, peerIP, outside+5, udpOf(peerIP, outside+5, 4444, 53, 100)))
	d.feed("REDIRECT again", d.ip(17, peerIP, outside+5, udpOf(peerIP, outside+5, 4444, 53, 10)))
	d.feed("REDIRECT, TCP is not", d.ip(6, peerIP, outside+5, tcpSegmentOf(peerIP, outside+5, header.TCPFields{SrcPort: 1, DstPort: 2, Flags: header.TCPSyn}, "")))
	// Both ends: a client inside reaches a server inside by an outside address.
	d.rules("nat -A PREROUTING -d 203.0.113.0/24 -j DNAT --to-destination 10.1.9.1",
		"nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1")
	c := inside + 0x101
	d.feed("hairpin", d.ip(17, c, outside+9, udpOf(c, outside+9, 3000, 53, 20)))
	d.feed("hairpin, answer", d.ip(17, ip4(10, 1, 9, 1), gw, udpOf(ip4(10, 1, 9, 1), gw, 53, 3000, 20)))
	// What the router itself says of translated packets.
	narrow := &fib.Config{Dst: ip4(9, 0, 0, 0), Bits: 8, Type: fib.Unicast, Gateway: peerIP}
	narrow.Metrics[fib.RTAXMTU] = 600
	d.route("9.0.0.0/8 via 192.0.2.2 mtu 600", narrow)
	d.route("prohibit 7.0.0.0/8", &fib.Config{Dst: ip4(7, 0, 0, 0), Bits: 8, Type: fib.Prohibit})
	d.rules("nat -A PREROUTING -d 203.0.113.0/25 -j DNAT --to-destination 9.1.1.1", "nat -A PREROUTING -d 203.0.113.128/25 -j DNAT --to-destination 7.1.1.1",
		"nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", "filter -A OUTPUT -m conntrack --ctstate INVALID,NEW -j DROP")
	for i, dst := range []header.Addr{ip4(9, 1, 1, 9), outside + 1, outside + 129} {
		for again := range 2 {
			p := udpOf(c, dst, uint16(4000+i), 53, 900)
			df := func(h header.IPv4) { h.SetFragField(header.IPDF) }
			d.feed(fmt.Sprint("too large for the way ", i, again), d.ip(17, c, dst, p, df))
			d.feed(fmt.Sprint("TTL over ", i, again), d.ip(17, c, dst, p, func(h header.IPv4) { h.SetTTL(1) }))
			d.feed(fmt.Sprint("cut on the way ", i, again), d.ip(17, c, dst, p))
			d.feed(fmt.Sprint("in pieces, too large ", i, again), fragmentsOf(c, dst, uint16(500+i), udpOf(c, dst, uint16(4100+i), 53, 3000))...)
		}
	}
	// The rule goes, the connection stays.
	d.rules("nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", "filter -A FORWARD -m conntrack --ctstate INVALID -j DROP")
	far := ip4(8, 8, 4, 4)
	d.feed("before the rule goes", d.ip(17, c, far, udpOf(c, far, 3000, 53, 20)))
	d.iptables("-t", "nat", "-F")
	d.feed("after the rule went", d.ip(17, c, far, udpOf(c, far, 3000, 53, 21)))
	d.feed("after the rule went, back", d.ip(17, far, gw, udpOf(far, gw, 53, 3000, 21)))
	d.feed("after the rule went, another", d.ip(17, c, far, udpOf(c, far, 3001, 53, 21)))
	// A port that all have to share, which only one can for each server.
	d.rules("nat -A POSTROUTING -s 10.1.0.0/16 -p udp -j SNAT --to-source 198.51.100.1:7000")
	s := ip4(8, 8, 4, 4)
	for i := range header.Addr(3) {
		d.feed(fmt.Sprint("exhausted ", i), d.ip(17, c+i, s, udpOf(c+i, s, 3000, 53, 20)))
		d.feed(fmt.Sprint("exhausted, another server ", i), d.ip(17, c+i, s+i, udpOf(c+i, s+i, 3000, 53, 20)))
	}
}

// TestLinux_nat_randomPackets: any packets, answers to them and errors about them,
// in fragments and with wrong sums, through rules of every kind. No two sources
// have a port in common, so that nothing is left to chance.
func TestLinux_nat_randomPackets(t *testing.T) {
	d := newNATDuel(t)
	files := [][]string{
		{"nat -A POSTROUTING -s 10.1.0.0/16 -o tap0 -j MASQUERADE"},
		{"nat -A POSTROUTING -s 10.1.0.0/24 -j SNAT --to-source 198.51.100.1-198.51.100.4 --persistent", "nat -A PREROUTING -d 203.0.113.0/24 -p tcp -j DNAT --to-destination 10.1.1.1-10.1.1.9"},
		{"nat -A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 10.1.0.0/24", "nat -A POSTROUTING -s 10.1.0.0/24 -j NETMAP --to 198.51.100.0/24"},
		{"nat -A PREROUTING -d 203.0.113.0/26 -j DNAT --to-destination 10.1.0.7", "nat -A POSTROUTING -d 10.1.0.0/16 -j SNAT --to-source 198.51.100.9",
			"nat -A PREROUTING -p udp --dport 53 -j REDIRECT --to-ports 7"},
		{"nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", "filter -A FORWARD -m conntrack --ctstate INVALID -j DROP",
			"filter -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "filter -A FORWARD -s 10.1.0.0/16 -j ACCEPT", "filter -A FORWARD -j REJECT"},
		{"nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", "raw -A PREROUTING -p tcp -j CT --notrack", "filter -A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset"},
		{"nat -A PREROUTING -m conntrack --ctstate NEW -d 203.0.113.0/24 -j DNAT --to-destination 10.1.0.3", "filter -A FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
			"filter -A FORWARD -m conntrack --ctorigdst 8.8.0.0/16 -j REJECT --reject-with icmp-host-prohibited"},
		{"nat -A INPUT -p udp --dport 7 -j SNAT --to-source 192.0.2.2", "nat -A OUTPUT -p icmp -j ACCEPT", "nat -A POSTROUTING -j ACCEPT"},
		{"mangle -A PREROUTING -p udp -j MARK --set-mark 7", "nat -A POSTROUTING -m mark --mark 7 -j SNAT --to-source 198.51.100.3", "mangle -A POSTROUTING -j TTL --ttl-set 33"},
	}
	for n, rules := range files {
		d.rules(rules...)
		for seed := range uint64(*natSeeds) {
			g := &natTraffic{d: d, rnd: rand.New(rand.NewPCG(seed, uint64(n)))}
			for i := range 40 {
				name, frames := g.next()
				d.feed(fmt.Sprintf("rules %d, seed %d, packet %d: %s", n, seed, i, name), frames...)
				g.note(d.sent)
			}
			if t.Failed() {
				t.Fatalf("rules %q", rules)
			}
		}
	}
}

// TestLinux_nat_chosenPorts: where Linux draws the port, ours is out of the same
// range, kept for the connection, and another's never.
func TestLinux_nat_chosenPorts(t *testing.T) {
	d := newNATDuel(t)
	s := ip4(8, 8, 4, 4)
	for _, c := range []struct {
		rule   string
		sport  uint16
		lo, hi uint16
	}{
		{"-j SNAT --to-source 198.51.100.1", 5000, 1024, 65535},
		{"-j SNAT --to-source 198.51.100.1", 300, 1, 511},
		{"-j SNAT --to-source 198.51.100.1", 900, 600, 1023},
		{"-p udp -j SNAT --to-source 198.51.100.1:7000-7049", 5000, 7000, 7049},
		{"-p udp -j SNAT --to-source 198.51.100.1:7000-7049 --random", 5000, 7000, 7049},
		{"-p udp -j MASQUERADE --to-ports 7000-7049 --random-fully", 5000, 7000, 7049},
		{"-j MASQUERADE --random", 5000, 1024, 65535},
		{"-j MASQUERADE --random-fully", 5000, 1024, 65535},
	} {
		d.rules("nat -A POSTROUTING -s 10.1.0.0/16 " + c.rule)
		for _, own := range []bool{false, true} {
			seen := map[uint16]int{}
			for i := range 40 {
				src := inside + 0x100 + header.Addr(i)
				f := d.ip(17, src, s, udpOf(src, s, c.sport, 53, 20))
				for again := range 2 {
					p, ok := d.through(own, f)
					if !ok {
						t.Fatalf("%s, ours %v: packet %d was dropped", c.rule, own, i)
					}
					port := header.UDP(p[20:]).SrcPort()
					if port < c.lo || port > c.hi {
						t.Errorf("%s, ours %v: port %d", c.rule, own, port)
					}
					if was, ok := seen[port]; ok && was != i || !ok && again == 1 {
						t.Errorf("%s, ours %v: port %d of %d is also %d's", c.rule, own, port, i, was)
					}
					seen[port] = i
					// The port was free: it is kept, unless it is to be drawn.
					free := c.lo <= c.sport && c.sport <= c.hi && i == 0
					if free && (port == c.sport) == strings.Contains(c.rule, "random") {
						t.Errorf("%s, ours %v: port %d", c.rule, own, port)
					}
				}
			}
		}
	}
}

// through has one of the two forward a frame, and returns what comes out of it.
func (d *natDuel) through(own bool, f []byte) (p []byte, ok bool) {
	d.Helper()
	if own {
		d.h.inject(f)
		for _, g := range d.h.port.take() {
			if q := parseIP(d, g); q.ip.Dst() == header.IPv4(f[14:]).Dst() {
				return q.ip, true
			}
		}
		return nil, false
	}
	if _, err := d.l.tap.Write(f); err != nil {
		d.Fatal(err)
	}
	b := make([]byte, 2000)
	for end := time.Now().Add(time.Second); ; {
		d.l.tap.SetReadDeadline(end)
		n, err := d.l.tap.Read(b)
		if err != nil {
			return nil, false
		}
		if header.Ethernet(b).Type() == header.EthPIP && header.IPv4(b[14:]).Dst() == header.IPv4(f[14:]).Dst() {
			return b[14:n], true
		}
	}
}

// TestLinux_helpers_samePayload: FTP, active and passive, and TFTP through a
// translation: commands and sequence numbers are rewritten as by Linux, and what
// is expected gets through.
func TestLinux_helpers_samePayload(t *testing.T) {
	d := newNATDuel(t)
	gw, c, s := ip4(198, 51, 100, 1), inside+0x203, ip4(8, 8, 4, 4)
	for _, translate := range []bool{true, false} {
		for _, inPayload := range []bool{true, false} { // a longer address, a shorter one
			rules := []string{"raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp", "raw -A PREROUTING -p udp --dport 69 -j CT --helper tftp",
				"filter -A FORWARD -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "filter -A FORWARD -p tcp --dport 21 -j ACCEPT",
				"filter -A FORWARD -p udp --dport 69 -j ACCEPT", "filter -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "filter -P FORWARD DROP"}
			seen := c
			if translate {
				seen = gw
				if !inPayload {
					seen = ip4(9, 9, 9, 1)
				}
				rules = append(rules, "nat -A POSTROUTING -s 10.1.0.0/16 -j SNAT --to-source "+seen.String())
			}
			d.rules(rules...)
			d.ftp(fmt.Sprintf("FTP, seen as %v", seen), c, seen, s)
			tftp := append([]byte{0, 1}, "file\x00octet\x00"...)
			d.feed(fmt.Sprintf("TFTP, seen as %v: request", seen), d.ip(17, c, s, udpPacket(c, s, 3000, 69, tftp)))
			d.feed(fmt.Sprintf("TFTP, seen as %v: answer", seen), d.ip(17, s, seen, udpPacket(s, seen, 3333, 3000, []byte{0, 3, 0, 1, 'x'})))
			d.feed(fmt.Sprintf("TFTP, seen as %v: acknowledgment", seen), d.ip(17, c, s, udpPacket(c, s, 3000, 3333, []byte{0, 4, 0, 1})))
			d.feed(fmt.Sprintf("TFTP, seen as %v: another answer", seen), d.ip(17, s, seen, udpPacket(s, seen, 3334, 3000, []byte{0, 3, 0, 1, 'x'})))
		}
	}
}

// ftp plays a session of c with s, who sees it as seen.
func (d *natDuel) ftp(what string, c, seen, s header.Addr) {
	d.Helper()
	cseq, sseq := uint32(1000), uint32(9000)
	moved := uint32(0) // by how much the server sees the client's numbers moved
	say := func(flags uint8, data string) {
		d.Helper()
		d.feed(fmt.Sprintf("%s: client %q", what, data), d.ip(6, c, s, tcpSegmentOf(c, s, header.TCPFields{SrcPort: 4000, DstPort: 21, Seq: cseq, Ack: sseq, Flags: flags}, data)))
		cseq += uint32(len(data)) + uint32(flags>>1&1) + uint32(flags&1)
	}
	answer := func(flags uint8, data string) {
		d.Helper()
		d.feed(fmt.Sprintf("%s: server %q", what, data), d.ip(6, s, seen, tcpSegmentOf(s, seen, header.TCPFields{SrcPort: 21, DstPort: 4000, Seq: sseq, Ack: cseq + moved, Flags: flags}, data)))
		sseq += uint32(len(data)) + uint32(flags>>1&1) + uint32(flags&1)
	}
	data := func(name string, src, dst header.Addr, sport, dport uint16) {
		d.Helper()
		d.feed(fmt.Sprintf("%s: %s", what, name), d.ip(6, src, dst, tcpSegmentOf(src, dst, header.TCPFields{SrcPort: sport, DstPort: dport, Seq: 5, Flags: header.TCPSyn}, "")))
	}
	comma := func(a header.Addr) string { return strings.ReplaceAll(a.String(), ".", ",") }
	const ack = header.TCPAck
	say(header.TCPSyn, "")
	answer(header.TCPSyn|ack, "")
	say(ack, "")
	answer(ack, "220 ready\r\n")
	say(ack, "USER me\r\n")
	answer(ack, "230 in\r\n")
	data("data before anything", s, seen, 20, 8000)
	say(ack, "PORT "+comma(c)+",31,64\r\n")
	moved += uint32(len(comma(seen)) - len(comma(c)))
	answer(ack, "200 ok\r\n")
	data("active data", s, seen, 20, 8000)
	data("active data once more", s, seen, 21, 8000)
	say(ack, "EPRT |1|"+c.String()+"|8001|\r\n")
	moved += uint32(len(seen.String()) - len(c.String()))
	answer(ack, "200 ok\r\n")
	data("active data by EPRT", s, seen, 20, 8001)
	say(ack, "PASV\r\n")
	answer(ack, "227 Entering Passive Mode ("+comma(s)+",31,70).\r\n")
	data("passive data", c, s, 4001, 8006)
	say(ack, "EPSV\r\n")
	answer(ack, "229 Extended Passive (|||8007|)\r\n")
	data("passive data by EPSV", c, s, 4002, 8007)
	say(ack, "PORT "+comma(c+1)+",31,64\r\n")
	answer(ack, "500 no\r\n")
	say(ack, "PORT 1,2,3\r\n")
	cseq -= uint32(len("PORT 1,2,3\r\n")) // dropped
	say(ack, "QUIT\r\n")
	answer(ack|header.TCPFin, "221 bye\r\n")
	say(ack|header.TCPFin, "")
	answer(ack, "")
}

// TestLinux_reject_sameAnswers: each type, for each kind of packet.
func TestLinux_reject_sameAnswers(t *testing.T) {
	d := newNATDuel(t)
	far := ip4(8, 8, 8, 8)
	for _, with := range []string{"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable",
		"icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited", "tcp-reset"} {
		for chain, dst := range map[string]header.Addr{"FORWARD": far, "INPUT": hostIP} {
			rule := "filter -A " + chain + " -j REJECT --reject-with " + with
			if with == "tcp-reset" {
				rule += " -p tcp"
			}
			d.rules(rule)
			d.rejects(with+" "+chain, dst)
		}
	}
	// With tracking and translation: answers find back through it.
	d.rules("nat -A PREROUTING -d 203.0.113.0/24 -j DNAT --to-destination 10.1.9.1", "filter -A FORWARD -p tcp -j REJECT --reject-with tcp-reset",
		"filter -A FORWARD -j REJECT", "filter -A OUTPUT -m conntrack --ctstate INVALID -j DROP")
	d.rejects("translated", outside+5)
}

func (d *natDuel) rejects(what string, dst header.Addr) {
	d.Helper()
	feed := func(name string, frames ...[]byte) { d.Helper(); d.feed(what+": "+name, frames...) }
	feed("UDP", d.ip(17, peerIP, dst, udpOf(peerIP, dst, 5, 99, 100)))
	feed("UDP, bad checksum", d.ip(17, peerIP, dst, func() []byte { p := udpOf(peerIP, dst, 5, 99, 9); p[7] ^= 1; return p }()))
	feed("UDP, no checksum", d.ip(17, peerIP, dst, func() []byte { p := udpOf(peerIP, dst, 5, 99, 9); p[6], p[7] = 0, 0; return p }()))
	feed("UDP of 7 bytes", d.ip(17, peerIP, dst, make([]byte, 7)))
	feed("UDP, long", d.ip(17, peerIP, dst, udpOf(peerIP, dst, 5, 99, 1400)))
	tcp := func(f header.TCPFields, data string) []byte {
		f.SrcPort, f.DstPort = 4000, 80
		return d.ip(6, peerIP, dst, tcpSegmentOf(peerIP, dst, f, data))
	}
	feed("SYN", tcp(header.TCPFields{Flags: header.TCPSyn, Seq: 77}, ""))
	feed("SYN with data", tcp(header.TCPFields{Flags: header.TCPSyn, Seq: 77}, "hello"))
	feed("ACK", tcp(header.TCPFields{Flags: header.TCPAck, Seq: 77, Ack: 99}, "hello"))
	feed("FIN", tcp(header.TCPFields{Flags: header.TCPFin, Seq: 77, Ack: 99}, "hello"))
	feed("FIN-ACK", tcp(header.TCPFields{Flags: header.TCPFin | header.TCPAck, Seq: 0xffffffff, Ack: 99}, ""))
	feed("RST", tcp(header.TCPFields{Flags: header.TCPRst, Seq: 77}, ""))
	feed("options", tcp(header.TCPFields{Flags: header.TCPSyn, Seq: 77, HeaderLen: 40}, "hello"))
	feed("TCP, bad checksum", func() []byte { f := tcp(header.TCPFields{Flags: header.TCPSyn}, ""); f[50] ^= 1; return f }())
	feed("TCP of 12 bytes", d.ip(6, peerIP, dst, make([]byte, 12)))
	feed("TCP, header too long", func() []byte {
		p := tcpSegmentOf(peerIP, dst, header.TCPFields{Flags: header.TCPSyn}, "")
		p[12] = 0xf0
		header.TCP(p).SetChecksum(0)
		header.TCP(p).SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(peerIP, dst, 6, len(p)))))
		return d.ip(6, peerIP, dst, p)
	}())
	feed("ping", d.ip(1, peerIP, dst, icmpEcho(1, 2, []byte("x"))))
	feed("an ICMP error", d.ip(1, peerIP, dst, icmpError(3, 1, 0, make([]byte, 28))))
	feed("protocol 99", d.ip(99, peerIP, dst, []byte("something")))
	feed("protocol 99, sum right", d.ip(99, peerIP, dst, []byte{0xff, 0xff, 0, 0}))
	feed("GRE", d.ip(47, peerIP, dst, []byte{0, 0, 8, 0, 1}))
	feed("SCTP", d.ip(132, peerIP, dst, sctpInit()))
	feed("to the subnet in a broadcast frame", ethFrame(bcast, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP | 0xff}, udpOf(peerIP, hostIP|0xff, 5, 99, 9))))
	feed("from nobody", d.ip(17, 0, dst, udpOf(0, dst, 5, 99, 9)))
	feed("fragments", fragmentsOf(peerIP, dst, 30, udpOf(peerIP, dst, 5, 99, 2000))...)
}
