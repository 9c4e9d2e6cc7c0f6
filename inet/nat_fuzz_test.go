package inet_test

import (
	"testing"

	"barewire/inet/neigh"
	"barewire/skb"
	"barewire/skb/header"
)

// FuzzFirewall: any frame to a router with rules of every kind, helpers and flow
// table. What it sends in answer or forwards has checksums in order, or those it
// came with.
func FuzzFirewall(f *testing.F) {
	h := newFuzzHost(f)
	check(f, h.net.Sysctl().Set("net.ipv4.ip_forward", "1"))
	check(f, h.net.Sysctl().Set("net.netfilter.nf_flowtable", "1"))
	check(f, h.net.Sysctl().Set("net.netfilter.nf_conntrack_max", "500"))
	n, err := h.IP().Neigh.Get(h.port.dev, peerIP)
	check(f, err)
	n.Update(peerMAC, neigh.NUDPermanent, true)
	f.Cleanup(func() { h.net.Sysctl().Set("net.netfilter.nf_flowtable", "0") })
	const rules = `*raw
-A PREROUTING -p tcp --dport 21 -j CT --helper ftp
-A PREROUTING -p udp --dport 69 -j CT --helper tftp
-A PREROUTING -s 1.2.3.4 -j CT --notrack
COMMIT
*nat
-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 7
-A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 10.1.0.0/24
-A PREROUTING -d 198.51.100.0/24 -j DNAT --to-destination 10.1.0.1-10.1.0.9
-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE --random
-A POSTROUTING -p icmp -j SNAT --to-source 198.51.100.7
-A POSTROUTING -p tcp -j SNAT --to-source 198.51.100.1-198.51.100.9:2000-2010
COMMIT
*filter
-A FORWARD -m conntrack --ctstate INVALID -j REJECT
-A FORWARD -p tcp --dport 25 -j REJECT --reject-with tcp-reset
-A INPUT -p udp --dport 9 -j REJECT
COMMIT
`
	if status, _, stderr := h.NF().Run([]string{"iptables-restore"}, []byte(rules)); status != 0 {
		f.Fatalf("%s", stderr)
	}
	to := func(dst header.Addr, proto uint8, l4 []byte) []byte {
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: proto, Src: ip4(10, 0, 0, 5), Dst: dst}, l4))
	}
	c := ip4(10, 0, 0, 5)
	for _, dst := range []header.Addr{hostIP, ip4(8, 8, 8, 8), ip4(203, 0, 113, 4), ip4(198, 51, 100, 3)} {
		f.Add(to(dst, 17, udpPacket(c, dst, 5, 69, []byte{0, 1, 'x', 0})), uint8(0), uint8(0))
		f.Add(to(dst, 6, tcpSegmentOf(c, dst, header.TCPFields{SrcPort: 5, DstPort: 21, Flags: header.TCPSyn}, "PORT 10,0,0,5,4,4\r\n")), uint8(1), uint8(40))
		f.Add(to(dst, 6, tcpSegmentOf(c, dst, header.TCPFields{SrcPort: 5, DstPort: 25, Flags: header.TCPAck}, "")), uint8(0), uint8(60))
		f.Add(to(dst, 1, icmpEcho(3, 1, []byte("x"))), uint8(0), uint8(0))
		f.Add(to(dst, 1, icmpError(3, 3, 0, to(dst, 17, udpPacket(c, dst, 5, 69, nil))[14:])), uint8(0), uint8(50))
	}
	h.port.discard = false
	f.Fuzz(func(t *testing.T, frame []byte, state, split uint8) {
		if len(frame) < 34 {
			return
		}
		frame = repair(frame)
		h.feed(frame, skb.IPSummed(state), split)
		for _, s := range h.port.take() {
			if header.Ethernet(s).Type() != header.EthPIP {
				continue
			}
			p, ok := header.ParseIPv4(s[14:])
			if !ok || !p.ChecksumOK() || p.TotalLen() != len(s)-14 {
				t.Fatalf("%x\ngave\n%x", frame, s)
			}
		}
	})
}
