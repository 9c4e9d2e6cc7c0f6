package inet_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb"
	"barewire/skb/header"
)

// route gives both the same route: what "ip route add" takes.
func (d *duel) route(text string, c *fib.Config) {
	d.Helper()
	check(d, d.l.ns.IP(append([]string{"route", "add"}, strings.Fields(text)...)...))
	check(d, d.h.IP().NewRoute(c, fib.FlagCreate|fib.FlagExcl))
}

// TestLinux_router_samePieces: what passes through is cut, refused and reported
// as Linux does.
func TestLinux_router_samePieces(t *testing.T) {
	d := newDuel(t)
	feed := d.feed
	d.set("ip_forward", "1")
	d.set("conf.all.send_redirects", "0")
	d.set("conf.tap0.send_redirects", "0")
	narrow := &fib.Config{Dst: ip4(9, 0, 0, 0), Bits: 8, Type: fib.Unicast, Gateway: peerIP}
	narrow.Metrics[fib.RTAXMTU] = 600
	d.route("9.0.0.0/8 via 192.0.2.2 mtu 600", narrow)
	for i, typ := range []string{"blackhole", "unreachable", "prohibit"} {
		d.route(fmt.Sprintf("%s 7.%d.0.0/16", typ, i), &fib.Config{Dst: ip4(7, byte(i), 0, 0), Bits: 16, Type: []fib.Type{fib.Blackhole, fib.Unreachable, fib.Prohibit}[i]})
	}
	to := func(dst header.Addr, size int, frag uint16, opts ...byte) []byte {
		data := udpPacket(peerIP, dst, 5, 99, make([]byte, size))
		for i := range data[8:] {
			data[8+i] = byte(i * 7)
		}
		p := ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: dst, ID: 77, Frag: frag}, data)
		if len(opts) > 0 {
			p = optionPacket(opts, 17, data)
			h := header.IPv4(p)
			h.SetDst(dst)
			h.SetFragField(frag)
			h.UpdateChecksum()
		}
		return ethFrame(hostMAC, peerMAC, header.EthPIP, p)
	}
	far := ip4(9, 1, 1, 1)
	for _, size := range []int{100, 571, 572, 573, 580, 1000, 1143, 1144, 1145, 1400} {
		feed(fmt.Sprint("forward ", size), to(far, size, 0))
		feed(fmt.Sprint("forward DF ", size), to(far, size, header.IPDF))
	}
	feed("forward a first fragment", to(far, 1200, header.IPMF))
	feed("forward a middle fragment", to(far, 1200, header.IPMF|100))
	feed("forward a last fragment", to(far, 1201, 100))
	feed("forward a first fragment, DF", to(far, 1200, header.IPMF|header.IPDF))
	feed("forward a middle fragment, DF", to(far, 1200, header.IPMF|header.IPDF|100))
	feed("forward with options", to(far, 1200, 0, 148, 4, 0, 0, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	feed("forward with options, fragment", to(far, 1200, 50, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	feed("forward with options, DF", to(far, 1200, header.IPDF, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	feed("forward with 40 bytes of options", to(far, 1200, 0, append([]byte{7, 39, 4}, make([]byte, 37)...)...))
	for i := range byte(3) {
		feed(fmt.Sprint("refused ", i), to(ip4(7, i, 0, 1), 10, 0))
		feed(fmt.Sprint("refused, a fragment ", i), to(ip4(7, i, 0, 1), 10, 5))
		feed(fmt.Sprint("refused, an ICMP error ", i), ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 1, Src: peerIP, Dst: ip4(7, i, 0, 1)}, []byte{3, 1, 0xfc, 0xfe, 0, 0, 0, 0})))
	}
	// What is said of the sender's addresses.
	for _, src := range []header.Addr{0, 1, 0x7f000001, 0xe0000001, 0xffffffff, 0xf0000001, hostIP, hostIP | 0xff, hostIP &^ 0xff} {
		feed(fmt.Sprint("forward from ", src), addrsOf(src, far))
	}
	for _, dst := range []header.Addr{0, 1, 0x7f000001, 0xe0000009, 0xefffffff, 0xf0000001, 0xfffffffe} {
		feed(fmt.Sprint("forward to ", dst), addrsOf(peerIP, dst))
	}
	check(t, d.l.ns.IP("route", "del", "default"))
	check(t, d.h.IP().DelRoute(&fib.Config{Scope: fib.ScopeNowhere}))
	feed("no route", to(ip4(8, 8, 8, 8), 10, 0))
	feed("no route, TTL 1", ethFrame(hostMAC, peerMAC, header.EthPIP,
		ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: ip4(8, 8, 8, 8), TTL: 1}, make([]byte, 8))))
	d.set("ip_forward", "0")
	feed("no route, not a router", to(ip4(8, 8, 8, 8), 10, 0))
	feed("refused, not a router", to(ip4(7, 1, 0, 1), 10, 0))
}

// TestLinux_settings_sameAnswers: the settings of ICMP and of devices change the
// answers as Linux's do.
func TestLinux_settings_sameAnswers(t *testing.T) {
	d := newDuel(t)
	feed := d.feed
	ping := icmpEcho(1, 1, []byte("data"))
	stamp := func() []byte {
		m := make([]byte, 20)
		header.PutICMP(m, header.ICMPTimestamp, 0, 0x10001)
		header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
		return m
	}()
	to := func(dst header.Addr, mac [6]byte, m []byte) []byte {
		return ethFrame(mac, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: peerIP, Dst: dst}, m))
	}
	group := [6]byte{1, 0, 0x5e, 0, 0, 1}
	all := func(when string) {
		t.Helper()
		for name, m := range map[string][]byte{"ping": ping, "timestamp": stamp} {
			feed(name+" to us, "+when, to(hostIP, hostMAC, m))
			feed(name+" to everybody, "+when, to(header.AddrBroadcast, bcast, m))
			feed(name+" to the subnet, "+when, to(hostIP|0xff, bcast, m))
			feed(name+" to all hosts, "+when, to(header.AddrAllHosts, group, m))
			feed(name+" to us in a broadcast frame, "+when, to(hostIP, bcast, m))
			feed(name+" to us in a multicast frame, "+when, to(hostIP, group, m))
		}
	}
	all("defaults")
	d.set("icmp_echo_ignore_broadcasts", "0")
	all("broadcasts answered")
	d.set("icmp_echo_ignore_all", "1")
	all("nothing answered")
	d.set("icmp_echo_ignore_all", "0")
	d.set("conf.all.drop_unicast_in_l2_multicast", "1")
	all("unicast in multicast refused")
	d.set("conf.all.drop_unicast_in_l2_multicast", "0")
	d.set("conf.all.rp_filter", "1")
	all("rp_filter strict")
	for _, src := range []header.Addr{0, 1, 0x7f000001, hostIP, hostIP | 0xff, hostIP &^ 0xff, ip4(8, 8, 8, 8), ip4(240, 0, 0, 1)} {
		feed(fmt.Sprint("ping from ", src, " with rp_filter"), addrsOf(src, hostIP))
	}
	d.set("conf.all.rp_filter", "0")
	d.set("conf.all.accept_local", "1")
	feed("ping from us, accepted", addrsOf(hostIP, hostIP))
	d.set("conf.all.accept_local", "0")
	d.set("conf.all.route_localnet", "1")
	feed("ping from 127.0.0.5, routed", addrsOf(0x7f000005, hostIP))
	feed("ping to 127.0.0.1, routed", addrsOf(peerIP, header.AddrLoopback))
	d.set("conf.all.route_localnet", "0")
	for _, ttl := range []string{"1", "255"} {
		d.set("ip_default_ttl", ttl)
		feed("ping, default TTL "+ttl, to(hostIP, hostMAC, ping))
		feed("closed port, default TTL "+ttl, fromPeerUDP(5, 99, nil))
	}
	d.set("ip_default_ttl", "64")
	d.set("icmp_ignore_bogus_error_responses", "0")
	bogus := make([]byte, 8, 64)
	header.PutICMP(bogus, header.ICMPDestUnreach, header.ICMPHostUnreach, 0)
	bogus = append(bogus, ipPacket(header.Fields{Protocol: 17, Src: hostIP, Dst: hostIP | 0xff}, udpPacket(hostIP, peerIP, 7, 9, nil))...)
	header.ICMP(bogus).SetChecksum(skb.CsumFold(skb.CsumPartial(bogus, 0)))
	feed("error about a broadcast", to(hostIP, hostMAC, bogus))
}

// TestLinux_rateLimit_sameBurst: six errors to a host that never got one, one a
// second after that; what icmp_ratemask leaves out does not count.
func TestLinux_rateLimit_sameBurst(t *testing.T) {
	d := newDuel(t)
	peers := []header.Addr{peerIP + 1, peerIP + 2, peerIP + 3}
	for _, a := range peers {
		check(t, d.l.ns.IP("neigh", "replace", a.String(), "lladdr", "02:00:00:00:00:02", "dev", "tap0", "nud", "permanent"))
		n, err := d.h.IP().Neigh.Get(d.h.port.dev, a)
		check(t, err)
		n.Update(peerMAC, neigh.NUDPermanent, true)
	}
	burst := func(src header.Addr, proto uint8, payload []byte) (l [][]byte) {
		for range 20 {
			l = append(l, ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: proto, Src: src, Dst: hostIP}, payload)))
		}
		return l
	}
	d.set("icmp_ratelimit", "1000")
	d.feed("burst", burst(peers[0], 17, udpPacket(peers[0], hostIP, 5, 99, nil))...)
	d.feed("burst again", burst(peers[0], 17, udpPacket(peers[0], hostIP, 5, 99, nil))...)
	d.feed("burst of pings", burst(peers[0], 1, icmpEcho(1, 1, nil))...)
	d.set("icmp_ratemask", "1") // echo replies
	d.feed("burst, not limited", burst(peers[1], 17, udpPacket(peers[1], hostIP, 5, 99, nil))...)
	d.feed("burst of pings, limited", burst(peers[1], 1, icmpEcho(1, 1, nil))...)
	d.set("icmp_ratemask", "6168")
	d.set("icmp_ratelimit", "0")
	d.feed("no limit", burst(peers[2], 17, udpPacket(peers[2], hostIP, 5, 99, nil))...)
	d.set("icmp_ratelimit", "1000")
	d.feed("no credit", burst(peers[2], 17, udpPacket(peers[2], hostIP, 5, 99, nil))...)
}

// TestLinux_probes_sameAnswers: RFC 8335.
func TestLinux_probes_sameAnswers(t *testing.T) {
	d := newDuel(t)
	probe := func(code uint8, bits byte, object ...byte) []byte {
		m := make([]byte, 12, 64)
		header.PutICMP(m, header.ICMPExtEcho, code, 0x12340000|0x500|uint32(bits))
		m[8] = 0x20
		m = append(m, object...)
		binary.BigEndian.PutUint16(m[10:], skb.CsumFold(skb.CsumPartial(m[8:], 0)))
		header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
		return fromPeer(1, m)
	}
	byName := func(n string, pad int) []byte {
		b := append([]byte{0, byte(4 + len(n) + pad), 3, 1}, n...)
		return append(b, make([]byte, pad)...)
	}
	byAddr := func(afi, length byte, a ...byte) []byte {
		return append([]byte{0, byte(8 + len(a)), 3, 3, 0, afi, length, 0}, a...)
	}
	cases := map[string][]byte{
		"by name":                   probe(0, 1, byName("lo", 2)...),
		"by name, not padded":       probe(0, 1, byName("lo", 0)...),
		"by name of nobody":         probe(0, 1, byName("nobody", 2)...),
		"by a long name":            probe(0, 1, byName("0123456789abcdef", 0)...),
		"by no name":                probe(0, 1, byName("", 0)...),
		"by index":                  probe(0, 1, 0, 8, 3, 2, 0, 0, 0, 1),
		"by index of nobody":        probe(0, 1, 0, 8, 3, 2, 0, 0, 0, 99),
		"by index, short":           probe(0, 1, 0, 7, 3, 2, 0, 0, 0, 1),
		"by index, long":            probe(0, 1, 0, 12, 3, 2, 0, 0, 0, 1, 0, 0, 0, 0),
		"by address":                probe(0, 1, byAddr(1, 4, 192, 0, 2, 1)...),
		"by loopback":               probe(0, 1, byAddr(1, 4, 127, 0, 0, 1)...),
		"by another's address":      probe(0, 1, byAddr(1, 4, 192, 0, 2, 2)...),
		"by a broadcast address":    probe(0, 1, byAddr(1, 4, 192, 0, 2, 255)...),
		"by address, wrong length":  probe(0, 1, byAddr(1, 8, 192, 0, 2, 1)...),
		"by address, AFI 9":         probe(0, 1, byAddr(9, 4, 192, 0, 2, 1)...),
		"by address, cut":           probe(0, 1, byAddr(1, 4, 192, 0)...),
		"of a neighbour":            probe(0, 0, byAddr(1, 4, 192, 0, 2, 2)...),
		"of a neighbour, us":        probe(0, 0, byAddr(1, 4, 192, 0, 2, 1)...),
		"of code 1":                 probe(1, 1, 0, 8, 3, 2, 0, 0, 0, 1),
		"without an object":         probe(0, 1),
		"object longer than it is":  probe(0, 1, 0, 20, 3, 2, 0, 0, 0, 1),
		"object of another class":   probe(0, 1, 0, 8, 2, 2, 0, 0, 0, 1),
		"object of another type":    probe(0, 1, 0, 8, 3, 9, 0, 0, 0, 1),
		"two objects":               probe(0, 1, 0, 8, 3, 2, 0, 0, 0, 1, 0, 8, 3, 2, 0, 0, 0, 99),
		"empty object":              probe(0, 1, 0, 4, 3, 2),
		"reserved bits":             probe(0, 0xff, 0, 8, 3, 2, 0, 0, 0, 1),
		"nothing behind the header": fromPeer(1, []byte{42, 0, 0xd5, 0xff, 0, 0, 0, 0}),
	}
	for name, f := range cases {
		d.feed(name+", not enabled", f)
	}
	d.set("icmp_echo_enable_probe", "1")
	check(t, d.l.ns.Sysctl("ipv6/conf/all/disable_ipv6", "1")) // lo has no other family here
	for name, f := range cases {
		d.feed(name, f)
	}
	d.set("icmp_echo_ignore_all", "1")
	d.feed("by index, echo ignored", cases["by index"])
}
