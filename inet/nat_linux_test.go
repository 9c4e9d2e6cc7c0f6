package inet_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/netfilter/reject"
	"barewire/skb"
	"barewire/skb/header"
)

// natDuel is a duel of two routers with the same rules: Linux's set by iptables,
// ours by functions, so that what is compared is the translation alone.
type natDuel struct {
	*duel
	rules [netfilter.NumPoints]netfilter.Func
}

func newNATDuel(t *testing.T) *natDuel {
	d := newRouterDuel(t)
	t.Cleanup(d.h.NF().UseNAT(func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
		if fn := d.rules[s.Point]; fn != nil {
			return fn(b, s)
		}
		return netfilter.Accept
	}))
	return d
}

// newRouterDuel is newNATDuel without tracking and translation.
func newRouterDuel(t *testing.T) *natDuel {
	d := &natDuel{duel: newDuel(t)}
	d.set("ip_forward", "1")
	d.set("conf.all.send_redirects", "0")
	d.set("conf.tap0.send_redirects", "0")
	if out, err := d.l.ns.Run(10*time.Second, "iptables-legacy", "-t", "nat", "-L", "-n"); err != nil {
		t.Skipf("no iptables here: %v\n%s", err, out)
	}
	return d
}

// rule gives both the same rule, in place of all before at that point.
func (d *natDuel) rule(p netfilter.Point, args string, fn netfilter.Func) {
	d.Helper()
	d.iptables("-t", "nat", "-F", p.String())
	d.iptables(append([]string{"-t", "nat", "-A", p.String()}, strings.Fields(args)...)...)
	d.rules[p] = fn
}

func (d *natDuel) iptables(args ...string) {
	d.Helper()
	if out, err := d.l.ns.Run(10*time.Second, "iptables-legacy", args...); err != nil {
		d.Fatalf("iptables %v: %v\n%s", args, err, out)
	}
}

// forget ends all rules and connections of both.
func (d *natDuel) forget() {
	d.Helper()
	d.iptables("-t", "nat", "-F")
	d.rules = [netfilter.NumPoints]netfilter.Func{}
	if out, err := d.l.ns.Run(10*time.Second, "conntrack", "-F"); err != nil {
		d.Skipf("no conntrack here: %v\n%s", err, out)
	}
	d.h.NF().Conntrack.Flush(nil)
}

func inNet(a, net header.Addr, bits int) bool { return (a^net)&header.Mask(bits) == 0 }

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
	snat := func(r nat.Range) netfilter.Func {
		return func(b *skb.Buff, _ netfilter.State) netfilter.Verdict {
			if !inNet(header.IPv4(b.Data()).Src(), inside, 16) {
				return netfilter.Accept
			}
			return d.h.NF().NAT.SNAT(b, &r)
		}
	}
	dnat := func(r nat.Range) netfilter.Func {
		return func(b *skb.Buff, _ netfilter.State) netfilter.Verdict {
			if !inNet(header.IPv4(b.Data()).Dst(), outside, 24) {
				return netfilter.Accept
			}
			return d.h.NF().NAT.DNAT(b, &r)
		}
	}
	addrs := func(a, b header.Addr) nat.Range { return nat.Range{Flags: nat.MapIPs, MinAddr: a, MaxAddr: b} }
	ports := func(r nat.Range, a, b uint16) nat.Range {
		r.Flags |= nat.ProtoSpecified
		r.MinPort, r.MaxPort = a, b
		return r
	}
	gw := ip4(198, 51, 100, 1)

	d.rule(netfilter.PostRouting, "-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", snat(addrs(gw, gw)))
	d.both("SNAT", gw)
	d.forget()
	d.rule(netfilter.PostRouting, "-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1-198.51.100.30", snat(addrs(gw, gw+29)))
	d.spread("SNAT to a range", false)
	d.forget()
	d.rule(netfilter.PostRouting, "-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1-198.51.100.30 --persistent", func() netfilter.Func {
		r := addrs(gw, gw+29)
		r.Flags |= nat.Persistent
		return snat(r)
	}())
	d.spread("SNAT to a range, persistent", false)
	d.forget()
	d.rule(netfilter.PreRouting, "-d 203.0.113.0/24 -j DNAT --to-destination 10.1.9.1-10.1.9.200", dnat(addrs(ip4(10, 1, 9, 1), ip4(10, 1, 9, 200))))
	d.spread("DNAT to a range", true)
	d.forget()
	r := ports(addrs(ip4(10, 1, 9, 1), ip4(10, 1, 9, 1)), 8000, 8000)
	d.rule(netfilter.PreRouting, "-d 203.0.113.0/24 -p udp -j DNAT --to-destination 10.1.9.1:8000", func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
		if header.IPv4(b.Data()).Protocol() != 17 {
			return netfilter.Accept
		}
		return dnat(r)(b, s)
	})
	d.spread("DNAT to a port", true)
	d.forget()
	d.rule(netfilter.PreRouting, "-d 203.0.113.0/24 -j NETMAP --to 10.1.9.0/24", func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
		if !inNet(header.IPv4(b.Data()).Dst(), outside, 24) {
			return netfilter.Accept
		}
		n := addrs(ip4(10, 1, 9, 0), ip4(10, 1, 9, 255))
		return d.h.NF().NAT.Netmap(b, s, &n)
	})
	d.spread("NETMAP", true)
	d.forget()
	d.rule(netfilter.PostRouting, "-s 10.1.0.0/16 -j MASQUERADE", func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
		if !inNet(header.IPv4(b.Data()).Src(), inside, 16) {
			return netfilter.Accept
		}
		return d.h.NF().NAT.Masquerade(b, s, &nat.Range{})
	})
	d.both("MASQUERADE", hostIP)
	d.forget()
	d.rule(netfilter.PreRouting, "-d 203.0.113.0/24 -p udp -j REDIRECT --to-ports 7", func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
		h := header.IPv4(b.Data())
		if h.Protocol() != 17 || !inNet(h.Dst(), outside, 24) {
			return netfilter.Accept
		}
		n := ports(nat.Range{}, 7, 7)
		return d.h.NF().NAT.Redirect(b, s, &n)
	})
	d.feed("REDIRECT to the echo server", d.ip(17, peerIP, outside+5, udpOf(peerIP, outside+5, 4444, 53, 100)))
	d.feed("REDIRECT again", d.ip(17, peerIP, outside+5, udpOf(peerIP, outside+5, 4444, 53, 10)))
	d.feed("REDIRECT, TCP is not", d.ip(6, peerIP, outside+5, tcpSegmentOf(peerIP, outside+5, header.TCPFields{SrcPort: 1, DstPort: 2, Flags: header.TCPSyn}, "")))
	d.forget()
	// Both ends: a client inside reaches a server inside by an outside address.
	d.rule(netfilter.PreRouting, "-d 203.0.113.0/24 -j DNAT --to-destination 10.1.9.1", dnat(addrs(ip4(10, 1, 9, 1), ip4(10, 1, 9, 1))))
	d.rule(netfilter.PostRouting, "-s 10.1.0.0/16 -j SNAT --to-source 198.51.100.1", snat(addrs(gw, gw)))
	c := inside + 0x101
	d.feed("hairpin", d.ip(17, c, outside+9, udpOf(c, outside+9, 3000, 53, 20)))
	d.feed("hairpin, answer", d.ip(17, ip4(10, 1, 9, 1), gw, udpOf(ip4(10, 1, 9, 1), gw, 53, 3000, 20)))
}

// both feeds connections from inside whose source becomes gw, and what answers
// them: everything keeps its port, so that every byte can be compared.
func (d *natDuel) both(what string, gw header.Addr) {
	d.Helper()
	feed := func(name string, frames ...[]byte) { d.Helper(); d.feed(what+": "+name, frames...) }
	c, s := inside+0x203, ip4(8, 8, 4, 4)
	q := udpOf(c, s, 5353, 53, 33)
	feed("UDP", d.ip(17, c, s, q))
	feed("UDP answer", d.ip(17, s, gw, udpOf(s, gw, 53, 5353, 70)))
	feed("UDP again", d.ip(17, c, s, udpOf(c, s, 5353, 53, 1)))
	feed("UDP without checksum", d.ip(17, c, s, func() []byte { p := udpOf(c, s, 5353, 53, 9); p[6], p[7] = 0, 0; return p }()))
	feed("UDP from another server", d.ip(17, s+1, gw, udpOf(s+1, gw, 53, 5353, 70)))
	sent := func(p []byte) []byte { return p[14:] }
	out := d.ip(17, gw, s, udpOf(gw, s, 5353, 53, 1200), func(h header.IPv4) { h.SetTTL(40) })
	for _, e := range []struct{ typ, code uint8 }{{3, 1}, {3, 3}, {3, 4}, {11, 0}, {12, 0}, {5, 1}, {4, 0}} {
		for _, n := range []int{28, 60, 548} {
			feed(fmt.Sprintf("error %d/%d, quote %d", e.typ, e.code, n), d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(e.typ, e.code, 1400, sent(out)[:n])))
		}
	}
	feed("error, quote of 20", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(out)[:20])))
	feed("error, quote cut", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(out)[:25])))
	feed("error, bad checksum", d.ip(1, ip4(9, 9, 9, 9), gw, func() []byte { m := icmpError(3, 1, 0, sent(out)[:60]); m[3] ^= 1; return m }()))
	feed("error about another", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(d.ip(17, gw, s, udpOf(gw, s, 5354, 53, 30)))[:40])))
	feed("ping", d.ip(1, c, s, icmpEcho(77, 1, []byte("hello"))))
	reply := icmpEcho(77, 1, []byte("hello"))
	reply[0] = 0
	reply[2], reply[3] = 0, 0
	header.ICMP(reply).SetChecksum(skb.CsumFold(skb.CsumPartial(reply, 0)))
	feed("ping, answer", d.ip(1, s, gw, reply))
	feed("ping, error", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(11, 0, 0, sent(d.ip(1, gw, s, icmpEcho(77, 1, []byte("hello")))))))
	syn := header.TCPFields{SrcPort: 6000, DstPort: 80, Seq: 1000, Flags: header.TCPSyn}
	feed("SYN", d.ip(6, c, s, tcpSegmentOf(c, s, syn, "")))
	feed("SYN-ACK", d.ip(6, s, gw, tcpSegmentOf(s, gw, header.TCPFields{SrcPort: 80, DstPort: 6000, Seq: 7000, Ack: 1001, Flags: header.TCPSyn | header.TCPAck}, "")))
	ack := header.TCPFields{SrcPort: 6000, DstPort: 80, Seq: 1001, Ack: 7001, Flags: header.TCPAck}
	feed("ACK with data", d.ip(6, c, s, tcpSegmentOf(c, s, ack, "GET /")))
	back := header.TCPFields{SrcPort: 80, DstPort: 6000, Seq: 7001, Ack: 1006, Flags: header.TCPAck}
	feed("data back", d.ip(6, s, gw, tcpSegmentOf(s, gw, back, "HTTP")))
	feed("TCP error, quote of 8", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 1, 0, sent(d.ip(6, gw, s, tcpSegmentOf(gw, s, ack, "GET /")))[:28])))
	feed("TCP error, whole quote", d.ip(1, ip4(9, 9, 9, 9), gw, icmpError(3, 4, 1400, sent(d.ip(6, gw, s, tcpSegmentOf(gw, s, ack, "GET /"))))))
	back.Flags |= header.TCPRst
	feed("RST", d.ip(6, s, gw, tcpSegmentOf(s, gw, back, "")))
	feed("stray ACK", d.ip(6, s, gw, tcpSegmentOf(s, gw, header.TCPFields{SrcPort: 81, DstPort: 6000, Seq: 7001, Ack: 1006, Flags: header.TCPAck}, "")))
	// No UDP-Lite: Linux verifies its checksum with the protocol number of UDP, so
	// that no true packet is ever tracked.
	feed("protocol 47", d.ip(47, c, s, []byte{0, 0, 8, 0, 1, 2, 3, 4}))
	feed("protocol 99", d.ip(99, c, s, []byte("something else")))
	feed("protocol 99 back", d.ip(99, s, gw, []byte("something else")))
	sctp := func() []byte {
		p := append(make([]byte, 12), 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 5)
		binary.BigEndian.PutUint16(p, 5000)
		binary.BigEndian.PutUint16(p[2:], 5001)
		binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
		return p
	}()
	feed("SCTP INIT", d.ip(132, c, s, sctp))
	feed("fragments", fragmentsOf(c, s, 321, udpOf(c, s, 5355, 53, 3000))...)
	feed("fragments back", fragmentsOf(s, gw, 322, udpOf(s, gw, 53, 5355, 4000))...)
	feed("one fragment", fragmentsOf(c, s, 323, udpOf(c, s, 5356, 53, 3000))[1])
	feed("TTL 1", d.ip(17, c, s, q, func(h header.IPv4) { h.SetTTL(1) }))
	feed("UDP, bad checksum", d.ip(17, c, s, func() []byte { p := udpOf(c, s, 5353, 53, 9); p[7] ^= 1; return p }()))
	feed("UDP of 7 bytes", d.ip(17, c, s, make([]byte, 7)))
	feed("too large, DF", d.ip(17, c, s, udpOf(c, s, 5353, 53, 1400), func(h header.IPv4) { h.SetFragField(header.IPDF) }))
	rnd := rand.New(rand.NewPCG(7, uint64(gw)))
	for i := range uint16(60) {
		c, s, sp, dp := inside+header.Addr(rnd.IntN(60000)), ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(60000)), 10000+i, uint16(rnd.IntN(65535)+1)
		p := udpOf(c, s, sp, dp, rnd.IntN(900))
		feed(fmt.Sprint("random UDP ", i), d.ip(17, c, s, p))
		feed(fmt.Sprint("random UDP back ", i), d.ip(17, s, gw, udpOf(s, gw, dp, sp, rnd.IntN(900))))
	}
}

// fragmentsOf cuts an IP payload of protocol UDP.
func fragmentsOf(src, dst header.Addr, id uint16, data []byte) [][]byte {
	l := fragments(id, 17, data, 1480)
	for _, f := range l {
		h := header.IPv4(f[14:])
		binary.BigEndian.PutUint32(h[12:], uint32(src))
		h.SetDst(dst)
		h.UpdateChecksum()
	}
	return l
}

// spread feeds many connections, whose addresses the rule chooses: the choice is
// Linux's. With in they come from outside.
func (d *natDuel) spread(what string, in bool) {
	d.Helper()
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range uint16(80) {
		src, dst := inside+0x300+header.Addr(rnd.IntN(300)), ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(3))
		if in {
			src, dst = ip4(8, 8, 0, 0)+header.Addr(rnd.IntN(60000)), outside+header.Addr(rnd.IntN(200)+1)
		}
		d.feed(fmt.Sprintf("%s: UDP %d", what, i), d.ip(17, src, dst, udpOf(src, dst, 2000+i, 53, 20)))
		d.feed(fmt.Sprintf("%s: UDP %d again", what, i), d.ip(17, src, dst, udpOf(src, dst, 2000+i, 53, 2)))
		d.feed(fmt.Sprintf("%s: SYN %d", what, i), d.ip(6, src, dst, tcpSegmentOf(src, dst, header.TCPFields{SrcPort: 3000 + i, DstPort: 80, Flags: header.TCPSyn}, "")))
		d.feed(fmt.Sprintf("%s: ping %d", what, i), d.ip(1, src, dst, icmpEcho(i, 1, nil)))
	}
}

// TestLinux_reject_sameAnswers: each type, for each kind of packet.
func TestLinux_reject_sameAnswers(t *testing.T) {
	d := newRouterDuel(t)
	remove := func() {}
	types := map[string]reject.With{"icmp-net-unreachable": reject.NetUnreachable, "icmp-host-unreachable": reject.HostUnreachable,
		"icmp-proto-unreachable": reject.ProtUnreachable, "icmp-port-unreachable": reject.PortUnreachable,
		"icmp-net-prohibited": reject.NetProhibited, "icmp-host-prohibited": reject.HostProhibited,
		"icmp-admin-prohibited": reject.AdminProhibited, "tcp-reset": reject.TCPReset}
	far := ip4(8, 8, 8, 8)
	for name, with := range types {
		for _, p := range []netfilter.Point{netfilter.Forward, netfilter.LocalIn} {
			args := []string{"-A", p.String(), "-j", "REJECT", "--reject-with", name}
			if with == reject.TCPReset {
				args = append(args, "-p", "tcp")
			}
			d.iptables(args...)
			remove = d.h.Hooks().Register(p, netfilter.PriFilter, func(b *skb.Buff, s netfilter.State) netfilter.Verdict {
				if with == reject.TCPReset && header.IPv4(b.Data()).Protocol() != header.ProtoTCP {
					return netfilter.Accept
				}
				d.h.NF().Reject.Reject(b, s, with)
				return netfilter.Drop
			})
			dst := far
			if p == netfilter.LocalIn {
				dst = hostIP
			}
			feed := func(what string, frames ...[]byte) { d.feed(fmt.Sprint(name, " ", p, ": ", what), frames...) }
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
			feed("SCTP", d.ip(132, peerIP, dst, make([]byte, 16)))
			feed("to the subnet in a broadcast frame", ethFrame(bcast, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP | 0xff}, udpOf(peerIP, hostIP|0xff, 5, 99, 9))))
			feed("from nobody", d.ip(17, 0, dst, udpOf(0, dst, 5, 99, 9)))
			feed("fragments", fragmentsOf(peerIP, dst, 30, udpOf(peerIP, dst, 5, 99, 2000))...)
			d.iptables("-F")
			remove()
		}
	}
}
