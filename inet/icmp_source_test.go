package inet_test

import (
	"net/netip"
	"testing"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// TestICMP_errorSource_byTheSetting: an error comes from the address of the
// device it leaves by, or with icmp_errors_use_inbound_ifaddr of the one the
// packet came by; one about a packet for this host from where that went.
func TestICMP_errorSource_byTheSetting(t *testing.T) {
	h := newHost(t)
	check(t, h.net.Sysctl().Set("net.ipv4.ip_forward", "1"))
	out, err := napi.NewDummy(h.net, "d0")
	check(t, err)
	t.Cleanup(func() { h.net.UnregisterNetdev(out) })
	check(t, out.Open())
	check(t, h.AddAddr(out, netip.MustParsePrefix("10.9.0.1/24")))
	var from []header.Addr
	defer h.net.AddPack(napi.ETH_P_ALL, out, func(b *skb.Buff, _ *napi.NetDevice) {
		var p [34]byte
		if b.CopyBits(b.MacOffset(), p[:]) == len(p) && p[12] == 8 && p[13] == 0 {
			from = append(from, header.IPv4(p[14:]).Src())
		}
		b.Consume()
	})()
	src := ip4(9, 9, 9, 9)
	check(t, h.route(ip4(9, 0, 0, 0), 8, 0, func(c *fib.Config) { c.OIF, c.Scope = out.Ifindex(), fib.ScopeLink }))
	for i, c := range []struct {
		inbound string
		dst     header.Addr
		want    header.Addr
	}{
		{"0", ip4(8, 8, 8, 8), ip4(10, 9, 0, 1)}, {"1", ip4(8, 8, 8, 8), hostIP},
		{"0", hostIP, hostIP}, {"1", hostIP, hostIP},
	} {
		check(t, h.net.Sysctl().Set("net.ipv4.icmp_errors_use_inbound_ifaddr", c.inbound))
		from = nil
		h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: src, Dst: c.dst, TTL: 1}, udpPacket(src, c.dst, 1, 99, nil))))
		h.run()
		if len(from) != 1 || from[0] != c.want {
			t.Errorf("%d: from %v, want %v", i, from, c.want)
		}
	}
}
