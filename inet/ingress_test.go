package inet_test

import (
	"testing"

	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
)

// INGRESS sees a device's packets before their protocol does, ARP as well as
// IP, and costs nothing when nobody is there.
func TestIngress_beforeTheProtocols(t *testing.T) {
	h, in, _ := benchHost(t)
	var seen []uint16
	hooks := h.Net.Hooks()
	remove := hooks.RegisterIngress(in.dev, netfilter.PriFilter, func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		if s.In != skb.Device(in.dev) || len(b.MacHeader()) < 14 {
			t.Errorf("state %+v", s)
		}
		seen = append(seen, b.Protocol)
		if b.Protocol == napi.ETH_P_ARP {
			return netfilter.Drop
		}
		return netfilter.Accept
	})
	arp := make([]byte, 42)
	for i := range 6 {
		arp[i] = 0xff
	}
	copy(arp[6:], []byte{2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1})
	in.frames, in.fresh = [][]byte{arp}, len(arp)
	pass(h.net, in, 1)
	if len(seen) != 1 || seen[0] != napi.ETH_P_ARP || in.sent != 0 {
		t.Errorf("seen %x, answered %d", seen, in.sent)
	}
	remove()
	pass(h.net, in, 1)
	if len(seen) != 1 || in.sent != 1 {
		t.Errorf("after removal: seen %x, answered %d", seen, in.sent)
	}
}
