package inet_test

import (
	"fmt"
	"testing"

	"barewire/inet/neigh"
	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// natRouter is the router of benchRouter with its netfilter at work: tracking,
// and with translate the source of everything that leaves masqueraded. The flows
// are established: each has been answered.
func natRouter(t testing.TB, size, flows int, translate bool) (h *host, in, out *benchNIC) {
	h, in, out = benchHost(t)
	t.Cleanup(h.NF().UseConntrack())
	if translate {
		t.Cleanup(h.NF().UseNAT(func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
			if s.Point == netfilter.PostRouting && s.Out == skb.Device(out.dev) {
				return h.NF().NAT.Masquerade(b, s, &nat.Range{})
			}
			return netfilter.Accept
		}))
	}
	gw := hostIP + 0x100 // 192.0.3.1, of out
	var answers [][]byte
	for i := range flows {
		dst := hostIP + 0x100 + 8 + header.Addr(i) // 192.0.3.9 and on
		nb, err := h.IP().Neigh.Get(out.dev, dst)
		check(t, err)
		nb.Update(peerMAC, neigh.NUDPermanent, true)
		in.frames = append(in.frames, ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: dst}, udpPacket(peerIP, dst, 1, 2, make([]byte, size-28)))))
		from := peerIP
		if translate {
			from = gw
		}
		mac := hostMAC
		mac[4] = 1
		answers = append(answers, ethFrame(mac, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: dst, Dst: from}, udpPacket(dst, from, 2, 1, make([]byte, size-28)))))
	}
	nb, err := h.IP().Neigh.Get(in.dev, peerIP)
	check(t, err)
	nb.Update(peerMAC, neigh.NUDPermanent, true)
	in.fresh, out.fresh = size+14, size+14
	pass(h.net, in, flows)
	out.frames = answers
	pass(h.net, out, flows)
	in.fresh = 42
	if in.sent != flows || out.sent != flows {
		t.Fatalf("%d packets out, %d answers back, want %d", out.sent, in.sent, flows)
	}
	return h, in, out
}

func benchNAT(b *testing.B, size, flows int, translate bool, bar float64) {
	h, in, out := natRouter(b, size, flows, translate)
	benchForwarded(b, h, in, out, bar)
}

// benchForwarded measures the way from in to out.
func benchForwarded(b *testing.B, h *host, in, out *benchNIC, bar float64) {
	benchSlices(b, bar, func() {
		sent := out.sent
		for range slice / 64 {
			pass(h.net, in, 64)
		}
		if out.sent-sent != slice {
			b.Fatalf("%d of %d packets forwarded", out.sent-sent, slice)
		}
	})
}

func BenchmarkForwardConntrack64(b *testing.B) { benchNAT(b, 64, 64, false, 400) }

// Masqueraded flows: 64 in turn, and one.
func BenchmarkForwardNAT64(b *testing.B)     { benchNAT(b, 64, 64, true, 400) }
func BenchmarkForwardNAT1500(b *testing.B)   { benchNAT(b, 1500, 64, true, 400) }
func BenchmarkForwardNATFlow64(b *testing.B) { benchNAT(b, 64, 1, true, 400) }

func TestAllocs_forwardNAT_none(t *testing.T) {
	for _, translate := range []bool{false, true} {
		t.Run(fmt.Sprint("translate ", translate), func(t *testing.T) {
			h, in, out := natRouter(t, 64, 4, translate)
			before := out.sent
			noAllocs(t, "forward", func() { pass(h.net, in, 64) })
			if out.sent-before < 64*100 {
				t.Errorf("%d packets forwarded", out.sent-before)
			}
		})
	}
}
