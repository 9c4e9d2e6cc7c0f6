package inet_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"barewire/skb"
	"barewire/skb/header"
)

// knownDifferences are the cases where we do not do as Linux, and why.
var knownDifferences = map[string]string{ // read-only
	"CIPSO":                "Linux echoes the label in its complaint; we have no labels",
	"CIPSO without domain": "Linux echoes the label in its complaint; we have no labels",
}

// TestLinux_counterNames_sameColumns: the files have Linux's lines and columns
// in Linux's order.
func TestLinux_counterNames_sameColumns(t *testing.T) {
	h := newHost(t)
	for file, own := range map[string]string{"snmp": string(h.SNMP()), "netstat": string(h.Netstat())} {
		b, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Skip(err)
		}
		want := map[string]string{}
		for _, l := range strings.Split(string(b), "\n") {
			if name, rest, _ := strings.Cut(l, ": "); want[name] == "" {
				want[name] = rest
			}
		}
		seen := map[string]bool{}
		for _, l := range strings.Split(strings.TrimSpace(own), "\n") {
			name, rest, _ := strings.Cut(l, ": ")
			if !seen[name] && name != "IcmpMsg" && len(strings.Fields(rest)) == len(strings.Fields(want[name])) && rest != want[name] {
				t.Errorf("%s: %s has\n%s, in Linux\n%s", file, name, rest, want[name])
			}
			seen[name] = true
			for _, c := range strings.Fields(rest) { // of another version of Linux
				if _, err := strconv.Atoi(c); err != nil && !strings.Contains(" "+want[name]+" ", " "+c+" ") && name != "IcmpMsg" {
					t.Logf("%s: %s has %s, this Linux not", file, name, c)
				}
			}
		}
	}
	if s := string(h.SNMP()); !strings.Contains(s, "\nTcp: 1 200 120000 -1 0 ") {
		t.Errorf("%s", s)
	}
}

func TestLinux_sameFrames_sameAnswersAndCounters(t *testing.T) {
	d := newDuel(t)
	feed, set := d.feed, d.set
	feed("ARP", arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP))
	for _, c := range linuxCases() {
		feed(c.name, c.frame)
	}
	for i, size := range []int{1472, 1473, 2000, 5000, 65507} {
		feed(fmt.Sprint("ping of ", size), fragments(uint16(100+i), 1, icmpEcho(7, 7, randomBytes(size)), 1480)...)
		feed(fmt.Sprint("datagram of ", size), fragments(uint16(200+i), 17, udpPacket(peerIP, hostIP, 5, 7, randomBytes(size)), 1480)...)
	}
	data := udpPacket(peerIP, hostIP, 5, 7, randomBytes(92))
	piece := func(id uint16, off, end int, more bool, edit ...func(h header.IPv4)) []byte {
		ff := uint16(off / 8)
		if more {
			ff |= header.IPMF
		}
		return fromPeer(17, data[off:end], append(edit, func(h header.IPv4) {
			h.SetID(id)
			h.SetFragField(h.FragField()&header.IPDF | ff)
		})...)
	}
	tos := func(v byte) func(h header.IPv4) { return func(h header.IPv4) { h[1] = v } }
	df := func(h header.IPv4) { h.SetFragField(header.IPDF) }
	feed("fragments overlap", piece(301, 0, 40, true), piece(301, 32, 64, true), piece(301, 64, 100, false))
	feed("fragments overlap from behind", piece(302, 32, 64, true), piece(302, 0, 40, true))
	feed("fragment covers another", piece(303, 32, 40, true), piece(303, 0, 64, true))
	feed("fragment twice", piece(304, 0, 40, true), piece(304, 0, 40, true), piece(304, 40, 100, false))
	feed("fragment within another", piece(305, 0, 40, true), piece(305, 8, 24, true), piece(305, 40, 100, false))
	feed("two last fragments", piece(306, 32, 64, false), piece(306, 64, 100, false))
	feed("fragment beyond the end", piece(307, 32, 64, false), piece(307, 64, 96, true))
	feed("fragment of four bytes", piece(308, 8, 12, true))
	feed("fragments of odd size", piece(309, 0, 44, true), piece(309, 40, 100, false))
	feed("fragments in reverse", piece(310, 64, 100, false), piece(310, 32, 64, true), piece(310, 0, 32, true))
	feed("fragments with CE", piece(311, 0, 40, true, tos(2)), piece(311, 40, 100, false, tos(3)))
	feed("fragments with CE and not ECT", piece(312, 0, 40, true, tos(0)), piece(312, 40, 100, false, tos(3)))
	feed("fragments with ECT(0) and ECT(1)", piece(313, 0, 40, true, tos(1)), piece(313, 40, 100, false, tos(2)))
	feed("fragments with ECT and none", piece(314, 0, 40, true, tos(2)), piece(314, 40, 100, false, tos(0)))
	feed("fragments with DF", piece(315, 0, 40, true, df), piece(315, 40, 100, false, df))
	feed("fragment past 64 KiB", fromPeer(17, data, func(h header.IPv4) { h.SetFragField(0x1fff) }))
	// As a router: everything that is for elsewhere goes back to the peer.
	set("ip_forward", "1")
	away := func(proto uint8, payload []byte, edit ...func(h header.IPv4)) []byte {
		return fromPeer(proto, payload, append([]func(h header.IPv4){func(h header.IPv4) { h.SetDst(0x08080808) }}, edit...)...)
	}
	awayOptions := func(o ...byte) []byte {
		f := withOptions(o, data)
		header.IPv4(f[14:]).SetDst(0x08080808)
		header.IPv4(f[14:]).UpdateChecksum()
		return f
	}
	ttl := func(v byte) func(h header.IPv4) { return func(h header.IPv4) { h.SetTTL(v) } }
	feed("forward, first with a redirect", away(17, data))
	set("conf.all.send_redirects", "0")
	set("conf.tap0.send_redirects", "0")
	feed("forward", away(17, data))
	feed("forward, TOS", away(17, data, tos(0xff)))
	feed("forward, DF", away(17, data, df))
	feed("forward, TTL 2", away(17, data, ttl(2)))
	feed("forward, TTL 1", away(17, data, ttl(1)))
	feed("forward, TTL 0", away(17, data, ttl(0)))
	feed("forward, TTL 1 of an ICMP error", away(1, []byte{3, 1, 0, 0, 0, 0, 0, 0}, ttl(1)))
	feed("forward, TTL 1 of a later fragment", away(17, data, ttl(1), func(h header.IPv4) { h.SetFragField(5) }))
	feed("forward, fragment", away(17, data[:96], func(h header.IPv4) { h.SetFragField(header.IPMF | 3) }))
	feed("forward, every carry", away(17, data, func(h header.IPv4) { h.SetID(0xfeff) }))
	feed("forward, record route", awayOptions(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	feed("forward, record route full", awayOptions(7, 7, 8, 1, 2, 3, 4, 0))
	feed("forward, timestamps", awayOptions(append([]byte{68, 12, 5, 0}, make([]byte, 8)...)...))
	feed("forward, timestamps with addresses", awayOptions(append([]byte{68, 20, 5, 1}, make([]byte, 16)...)...))
	feed("forward, router alert", awayOptions(148, 4, 0, 0))
	feed("forward, loose source route refused", awayOptions(131, 7, 4, 192, 0, 2, 9, 0))
	feed("forward, bad option", awayOptions(7, 3, 3, 0))
	feed("forward in a broadcast frame", ethFrame(bcast, peerMAC, header.EthPIP, away(17, data)[14:]))
	feed("forward to class E", addrsOf(peerIP, 0xf0000001))
	set("conf.all.accept_source_route", "1")
	set("conf.tap0.accept_source_route", "1")
	feed("forward, loose source route", withOptions([]byte{131, 7, 4, 8, 8, 8, 8, 0}, data))
	feed("forward, strict source route", withOptions([]byte{137, 7, 4, 8, 8, 8, 8, 0}, data))
	feed("forward, strict source route in between", awayOptions(137, 7, 4, 8, 8, 8, 8, 0))
	feed("source route that ends here", withOptions([]byte{131, 7, 8, 192, 0, 2, 9, 0}, icmpEcho(1, 1, nil)))
	feed("source route with a bad pointer", withOptions([]byte{131, 7, 6, 192, 0, 2, 9, 0}, icmpEcho(1, 1, nil)))
	set("ip_forward", "0")
	for seed := uint64(1); seed <= 150 && !t.Failed(); seed++ {
		feed(fmt.Sprint("seed ", seed), mutated(seed))
	}
}

type linuxCase struct {
	name  string
	frame []byte
}

// linuxCases are packets with one thing odd.
func linuxCases() []linuxCase {
	ping := icmpEcho(1, 1, []byte("data"))
	addrs := func(src, dst header.Addr) []byte {
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: src, Dst: dst}, ping))
	}
	with := func(edit func(h header.IPv4)) []byte { return fromPeer(1, ping, edit) }
	noSum := func(edit func(p []byte)) []byte {
		p := fromPeer(1, ping)
		edit(p[14:])
		return p
	}
	udp := func(edit func(p []byte)) []byte {
		p := udpPacket(peerIP, hostIP, 5, 7, []byte("hi"))
		edit(p)
		return fromPeer(17, p)
	}
	arp := func(dst, sha [6]byte, spa, tpa header.Addr) []byte {
		return arpFrame(header.ARPRequest, dst, sha, spa, [6]byte{}, tpa)
	}
	subnet := hostIP | 0xff
	list := []linuxCase{
		{"ping", fromPeer(1, ping)},
		{"ping with DF", with(func(h header.IPv4) { h.SetFragField(header.IPDF) })},
		{"ping with the reserved bit", with(func(h header.IPv4) { h.SetFragField(header.IPCE) })},
		{"ping with TOS", with(func(h header.IPv4) { h[1] = 0xff })},
		{"ping with TTL 0", with(func(h header.IPv4) { h.SetTTL(0) })},
		{"19 bytes", ethFrame(hostMAC, peerMAC, header.EthPIP, fromPeer(1, nil)[14:33])},
		{"version 5", with(func(h header.IPv4) { h[0] = 0x55 })},
		{"header of four words", noSum(func(p []byte) { p[0] = 0x44 })},
		{"header of 15 words", noSum(func(p []byte) { p[0] = 0x4f })},
		{"header checksum", noSum(func(p []byte) { p[10] ^= 1 })},
		{"total length 1000", with(func(h header.IPv4) { h.SetTotalLen(1000) })},
		{"total length 19", with(func(h header.IPv4) { h.SetTotalLen(19) })},
		{"total length 20", with(func(h header.IPv4) { h.SetTotalLen(20) })},
		{"total length 24", with(func(h header.IPv4) { h.SetTotalLen(24) })},
		{"to another host", addrs(peerIP, peerIP+5)},
		{"to another network", addrs(peerIP, 0x08080808)},
		{"from our address", addrs(hostIP, hostIP)},
		{"from a group", addrs(header.AddrAllHosts, hostIP)},
		{"from everybody", addrs(header.AddrBroadcast, hostIP)},
		{"from the subnet's broadcast", addrs(subnet, hostIP)},
		{"from the subnet's zero", addrs(hostIP&^0xff, hostIP)},
		{"to the subnet's zero", addrs(peerIP, hostIP&^0xff)},
		{"from loopback", addrs(header.AddrLoopback, hostIP)},
		{"to loopback", addrs(peerIP, header.AddrLoopback)},
		{"from 0.0.0.1", addrs(1, hostIP)},
		{"from nobody", addrs(0, hostIP)},
		{"to nobody", addrs(peerIP, 0)},
		{"from nobody to nobody", addrs(0, 0)},
		{"from class E", addrs(0xf0000001, hostIP)},
		{"to class E", addrs(peerIP, 0xf0000001)},
		{"to a group", addrs(peerIP, 0xe0000099)},
		{"to the subnet", addrs(peerIP, subnet)},
		{"to all hosts", ethFrame([6]byte{1, 0, 0x5e, 0, 0, 1}, peerMAC, header.EthPIP, addrs(peerIP, header.AddrAllHosts)[14:])},
		{"to everybody", ethFrame(bcast, peerMAC, header.EthPIP, addrs(peerIP, header.AddrBroadcast)[14:])},
		{"to us in a broadcast frame", ethFrame(bcast, peerMAC, header.EthPIP, addrs(peerIP, hostIP)[14:])},
		{"to another station", ethFrame([6]byte{2, 0, 0, 0, 0, 9}, peerMAC, header.EthPIP, addrs(peerIP, hostIP)[14:])},
		{"protocol 253", fromPeer(253, []byte("experimental"))},
		{"protocol 253, empty", fromPeer(253, nil)},
		{"protocol 253, long", fromPeer(253, make([]byte, 1400))},
		{"protocol 0", fromPeer(0, []byte("x"))},
		{"protocol 255", fromPeer(255, []byte("x"))},
		{"IGMP", fromPeer(2, make([]byte, 9))},
		{"UDP to a closed port", fromPeerUDP(5, 99, []byte("hi"))},
		{"UDP to a closed port, long", fromPeerUDP(5, 99, make([]byte, 1400))},
		{"UDP to a closed port, TOS", fromPeer(17, udpPacket(peerIP, hostIP, 5, 99, nil), func(h header.IPv4) { h[1] = 0xff })},
		{"UDP to a closed port, checksum", udp(func(p []byte) { p[3] = 99; p[6] ^= 1 })},
		{"UDP echo", fromPeerUDP(5, 7, []byte("hi"))},
		{"UDP echo, empty", fromPeerUDP(5, 7, nil)},
		{"UDP from port 0", fromPeerUDP(0, 7, []byte("hi"))},
		{"UDP to port 0", fromPeerUDP(5, 0, []byte("hi"))},
		{"UDP without checksum", udp(func(p []byte) { p[6], p[7] = 0, 0 })},
		{"UDP checksum", udp(func(p []byte) { p[6] ^= 1 })},
		{"UDP too long", udp(func(p []byte) { p[5]++ })},
		{"UDP of 7 bytes", udp(func(p []byte) { p[5] = 7 })},
		{"UDP header cut", fromPeer(17, make([]byte, 7))},
		{"UDP with a rest", fromPeer(17, append(udpPacket(peerIP, hostIP, 5, 7, []byte("hi")), 1, 2, 3))},
		{"ICMP checksum", func() []byte { m := icmpEcho(1, 1, nil); m[2] ^= 1; return fromPeer(1, m) }()},
		{"ICMP of 7 bytes", fromPeer(1, []byte{8, 0, 0xf7, 0xff, 0, 0, 0})},
		{"ICMP of no bytes", fromPeer(1, nil)},
		{"no operations", withOptions([]byte{1, 1, 1, 0}, ping)},
		{"record route", withOptions([]byte{7, 7, 4, 0, 0, 0, 0, 0}, ping)},
		{"router alert", withOptions([]byte{148, 4, 0, 0}, ping)},
		{"timestamp option", withOptions([]byte{68, 8, 5, 0, 0, 0, 0, 0}, ping)},
		{"record route, full", withOptions([]byte{7, 7, 8, 1, 2, 3, 4, 0}, ping)},
		{"record route of nine", withOptions(append([]byte{7, 39, 8, 9, 9, 9, 9}, make([]byte, 33)...), ping)},
		{"timestamps with addresses", withOptions(append([]byte{68, 36, 5, 1}, make([]byte, 32)...), ping)},
		{"timestamps, one taken", withOptions(append([]byte{68, 20, 13, 1, 1, 2, 3, 4, 5, 6, 7, 8}, make([]byte, 8)...), ping)},
		{"timestamps of named hosts, us", withOptions([]byte{68, 12, 5, 3, 192, 0, 2, 1, 0, 0, 0, 0}, ping)},
		{"timestamps of named hosts, us twice", withOptions([]byte{68, 20, 5, 3, 192, 0, 2, 1, 0, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0}, ping)},
		{"timestamps of named hosts, others", withOptions([]byte{68, 12, 5, 3, 192, 0, 2, 7, 0, 0, 0, 0}, ping)},
		{"timestamps, full", withOptions([]byte{68, 8, 9, 0, 1, 2, 3, 4}, ping)},
		{"timestamps, overflow full", withOptions([]byte{68, 8, 9, 0xf0, 1, 2, 3, 4}, ping)},
		{"timestamps, kind 2", withOptions([]byte{68, 8, 5, 2, 1, 2, 3, 4}, ping)},
		{"record route and timestamps", withOptions([]byte{7, 7, 4, 0, 0, 0, 0, 68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ping)},
		{"record route, then an error", withOptions([]byte{7, 7, 4, 0, 0, 0, 0, 7, 3, 4, 0, 0}, ping)},
		{"CIPSO", withOptions([]byte{134, 10, 0, 0, 0, 1, 1, 4, 0, 0, 0, 0}, ping)},
		{"CIPSO without domain", withOptions([]byte{134, 10, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0}, ping)},
		{"security", withOptions([]byte{130, 4, 0, 0}, ping)},
		{"record route, closed port", ethFrame(hostMAC, peerMAC, header.EthPIP, optionPacket([]byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 17, udpPacket(peerIP, hostIP, 5, 99, []byte("hi"))))},
		{"two timestamps", withOptions([]byte{68, 4, 5, 0, 68, 4, 5, 0}, ping)},
		{"option of length 0", withOptions([]byte{7, 0, 0, 0}, ping)},
		{"option of length 1", withOptions([]byte{99, 1, 8, 192}, ping)},
		{"option too long", withOptions([]byte{1, 7, 9, 4}, ping)},
		{"option cut", withOptions([]byte{1, 1, 1, 99}, ping)},
		{"record route pointing at itself", withOptions([]byte{7, 3, 3, 0}, ping)},
		{"loose source route", withOptions([]byte{131, 7, 4, 192, 0, 2, 9, 0}, ping)},
		{"loose source route, done", withOptions([]byte{131, 7, 8, 192, 0, 2, 9, 0}, ping)},
		{"unknown option", withOptions([]byte{99, 4, 8, 192}, ping)},
		{"ARP probe", arp(bcast, peerMAC, 0, hostIP)},
		{"ARP by unicast", arp(hostMAC, peerMAC, peerIP, hostIP)},
		{"ARP for loopback", arp(bcast, peerMAC, peerIP, header.AddrLoopback)},
		{"ARP for another", arp(bcast, peerMAC, peerIP, peerIP+3)},
		{"ARP for the subnet", arp(bcast, peerMAC, peerIP, subnet)},
		{"ARP from our address", arp(bcast, peerMAC, hostIP, hostIP)},
		{"ARP from another network", arp(bcast, peerMAC, 0x08080808, hostIP)},
		{"ARP from the subnet", arp(bcast, peerMAC, subnet, hostIP)},
		{"ARP from everybody", arp(bcast, peerMAC, header.AddrBroadcast, hostIP)},
		{"ARP from a group", arp(bcast, peerMAC, 0xe0000005, hostIP)},
		{"ARP from loopback", arp(bcast, peerMAC, 0x7f000005, hostIP)},
		{"ARP from a group station", arp(bcast, [6]byte{3, 0, 0, 0, 0, 1}, peerIP+100, hostIP)},
	}
	for typ := range 45 {
		for _, code := range []uint8{0, 1, 16} {
			m := make([]byte, 60)
			header.PutICMP(m, uint8(typ), code, 0x12345678)
			copy(m[8:], ipPacket(header.Fields{Protocol: 17, Src: hostIP, Dst: peerIP}, udpPacket(hostIP, peerIP, 9, 9, []byte("quoted"))))
			header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
			list = append(list, linuxCase{fmt.Sprintf("ICMP type %d code %d", typ, code), fromPeer(1, m)})
		}
	}
	return list
}

// mutated makes a frame with a bit or two flipped, mostly with checksums made
// right again. Addresses and fragment fields stay: they have cases of their
// own.
func mutated(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 9))
	var f []byte
	switch r.IntN(3) {
	case 0:
		f = fromPeer(1, icmpEcho(1, 1, []byte("0123456789abcdef0123456789abcdef")))
	case 1:
		f = fromPeerUDP(5, uint16(7+r.IntN(2)), []byte("0123456789abcdef0123456789abcdef"))
	case 2:
		f = arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP)
		f[14+r.IntN(8)] ^= 1 << r.IntN(8)
		return f
	}
	for range 1 + r.IntN(2) {
		i := 14 + r.IntN(28)
		if i >= 26 && i < 34 || i >= 20 && i < 22 || i == 23 || i == 34 {
			continue
		}
		f[i] ^= 1 << r.IntN(8)
	}
	if r.IntN(4) > 0 {
		f = repair(f)
	}
	return f
}
