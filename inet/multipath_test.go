package inet_test

import (
	"testing"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb/header"
)

// TestMultipath_hashPolicies_whatCounts: packets that differ in what a policy
// looks at take both ways, those that differ otherwise take one.
func TestMultipath_hashPolicies_whatCounts(t *testing.T) {
	h := linkRouter(t)
	check(t, h.net.Sysctl().Set("net.ipv4.conf.all.send_redirects", "0"))
	check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.send_redirects", "0"))
	check(t, h.route(ip4(10, 0, 0, 0), 8, 0, func(c *fib.Config) {
		c.Multipath = []fib.NexthopConfig{{Gateway: peerIP, Weight: 1}, {Gateway: peerIP + 1, Weight: 1}}
	}))
	nb, err := h.IP().Neigh.Get(h.port.dev, peerIP+1)
	check(t, err)
	nb.Update([6]byte{2, 0, 0, 0, 0, 7}, neigh.NUDPermanent, true)
	// 48 packets that differ all take the same way once in 2^47 runs; few that
	// differ would do it every now and then, whatever the hash.
	src, dst := peerIP+7, ip4(10, 1, 1, 1)
	ipp := func(proto uint8, src, dst header.Addr, payload []byte) []byte {
		return ipPacket(header.Fields{Protocol: proto, Src: src, Dst: dst}, payload)
	}
	gre := func(p []byte) []byte { return append([]byte{0x20, 0, 8, 0, 1, 2, 3, 4}, p...) } // with a key
	vary := map[string]func(i int) []byte{
		"src":  func(i int) []byte { return ipp(17, src+header.Addr(i), dst, udpPacket(0, 0, 1, 2, nil)) },
		"dst":  func(i int) []byte { return ipp(17, src, dst+header.Addr(i), udpPacket(0, 0, 1, 2, nil)) },
		"port": func(i int) []byte { return ipp(17, src, dst, udpPacket(0, 0, uint16(i), 2, nil)) },
		"dport of a fragment": func(i int) []byte {
			return ipPacket(header.Fields{Protocol: 17, Src: src, Dst: dst, Frag: header.IPMF}, udpPacket(0, 0, 1, uint16(i), nil))
		},
		"proto":     func(i int) []byte { return ipp(uint8(60+i), src, dst, make([]byte, 8)) },
		"inner src": func(i int) []byte { return ipp(4, src, dst, ipp(17, header.Addr(i), dst, udpPacket(0, 0, 1, 2, nil))) },
		"inner src in GRE": func(i int) []byte {
			return ipp(47, src, dst, gre(ipp(17, header.Addr(i), dst, udpPacket(0, 0, 1, 2, nil))))
		},
		"inner port": func(i int) []byte { return ipp(4, src, dst, ipp(17, 9, 8, udpPacket(0, 0, uint16(i), 2, nil))) },
		"error about": func(i int) []byte {
			m := make([]byte, 8)
			header.PutICMP(m, 3, 1, 0)
			return ipp(1, src, dst, append(m, ipp(17, header.Addr(i), 8, make([]byte, 8))...))
		},
	}
	ways := func(f func(i int) []byte) int {
		seen := map[[6]byte]bool{}
		for i := range 48 {
			h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP, f(i)))
			for _, f := range h.port.take() {
				seen[header.Ethernet(f).Dst()] = true
			}
		}
		return len(seen)
	}
	for _, c := range []struct {
		policy, fields string
		both           []string
	}{
		{"0", "7", []string{"src", "dst", "error about"}},
		{"1", "7", []string{"src", "dst", "port", "proto"}},
		{"2", "7", []string{"src", "dst", "inner src", "inner src in GRE", "error about"}},
		{"3", "7", []string{"src", "dst", "proto"}},
		{"3", "16", []string{"port"}},
		{"3", "64", []string{"inner src", "inner src in GRE"}},
		{"3", "1024", []string{"inner port"}},
		{"3", "5", []string{"src", "proto"}},
	} {
		check(t, h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_policy", c.policy))
		check(t, h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_fields", c.fields))
		want := map[string]int{}
		for _, name := range c.both {
			want[name] = 2
		}
		for name, f := range vary {
			if n := ways(f); n != max(1, want[name]) {
				t.Errorf("policy %s, fields %s: packets of another %s take %d ways", c.policy, c.fields, name, n)
			}
		}
	}
	for _, bad := range []string{"0", "4096"} {
		if h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_fields", bad) == nil {
			t.Errorf("fields %s accepted", bad)
		}
	}
}

func TestMultipath_seed_sameChoiceEverywhere(t *testing.T) {
	choice := func() (s string) {
		h := newHost(t)
		check(t, h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_seed", "12345"))
		check(t, h.route(ip4(10, 0, 0, 0), 8, 0, func(c *fib.Config) {
			c.Multipath = []fib.NexthopConfig{{Gateway: peerIP, Weight: 1}, {Gateway: peerIP + 1, Weight: 1}}
		}))
		for i := range header.Addr(64) {
			gw, _ := h.gatewayOf(fib.Flow{Dst: ip4(10, 0, 0, 0) + i})
			s += string(rune('a' + gw - peerIP))
		}
		return s
	}
	if a, b := choice(), choice(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestMultipath_useNeigh_deadGatewayAvoided(t *testing.T) {
	h := newHost(t)
	check(t, h.route(ip4(10, 0, 0, 0), 8, 0, func(c *fib.Config) {
		c.Multipath = []fib.NexthopConfig{{Gateway: peerIP, Weight: 1}, {Gateway: peerIP + 1, Weight: 1}}
	}))
	count := func() (n int) {
		for i := range header.Addr(64) {
			if gw, _ := h.gatewayOf(fib.Flow{Dst: ip4(10, 0, 0, 0) + i}); gw == peerIP {
				n++
			}
		}
		return n
	}
	nb, err := h.IP().Neigh.Get(h.port.dev, peerIP)
	check(t, err)
	nb.Resolve() // nobody answers
	if n := count(); n == 0 || n == 64 {
		t.Errorf("without use_neigh: %d of 64", n)
	}
	check(t, h.net.Sysctl().Set("net.ipv4.fib_multipath_use_neigh", "1"))
	if n := count(); n != 0 {
		t.Errorf("%d of 64 by a gateway that does not answer", n)
	}
	nb.Update(peerMAC, neigh.NUDReachable, true)
	if n := count(); n == 0 || n == 64 {
		t.Errorf("when it answers again: %d of 64", n)
	}
}
