package inet_test

import (
	"net/netip"
	"syscall"
	"testing"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// TestPoll_flowRoutedOnce_othersByThemselves: within a poll the decision over a
// packet serves those of its flow that follow, and none that differs; it counts as
// one, as in Linux.
func TestPoll_flowRoutedOnce_othersByThemselves(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	udp := func(src, dst header.Addr, tos uint8) []byte {
		return ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, TOS: tos, Src: src, Dst: dst}, udpPacket(src, dst, 1, 7, []byte("x"))))
	}
	poll := func(frames ...[]byte) (got int) {
		t.Helper()
		h.port.mu.Lock()
		for _, f := range frames {
			h.port.rx.PushBack(h.buff(f))
		}
		h.port.mu.Unlock()
		h.port.napi.Schedule()
		h.net.SoftNet().DoSoftirq()
		m := &sock.Msg{Iov: [][]byte{make([]byte, 16)}}
		for {
			if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil {
				return got
			}
			got++
		}
	}
	good := udp(peerIP, hostIP, 0)
	routed := h.IP().RouteStats.InSlowTot.Load
	was := routed()
	if got := poll(good, good, good, udp(peerIP, hostIP, 8)); got != 4 || routed()-was != 2 {
		t.Errorf("%d of 4 arrived, %d times routed, want 2", got, routed()-was)
	}
	// What comes right behind a good packet is looked at all the same.
	ours, foreign := udp(hostIP, hostIP, 0), udp(peerIP, hostIP+77, 0)
	if got := poll(good, ours, good, foreign, good); got != 3 {
		t.Errorf("%d arrived, want 3", got)
	}
	if n := h.IP().RouteStats.InMartianSrc.Load(); n != 1 {
		t.Errorf("%d martian sources", n)
	}
	check(t, h.DelAddr(h.port.dev, netip.MustParsePrefix("192.0.2.1/24")))
	if got := poll(good); got != 0 {
		t.Errorf("%d arrived for an address that is gone", got)
	}
}

// TestHint_changes_decidedAnew: a decision that was kept from an earlier packet
// does not outlive a change of anything it depends on, whichever flow's it is.
func TestHint_changes_decidedAnew(t *testing.T) {
	sysctl := func(name, v string) func(h *host, out *benchNIC) {
		return func(h *host, _ *benchNIC) { check(h.TB, h.net.Sysctl().Set("net.ipv4."+name, v)) }
	}
	const flows = 9
	dsts := hostIP + 0x100 // of out's subnet, and of no host
	for name, change := range map[string]func(h *host, out *benchNIC){
		"ip_forward":        sysctl("ip_forward", "0"),
		"forwarding of one": sysctl("conf.eth0.forwarding", "0"),
		"rp_filter": func(h *host, out *benchNIC) {
			// The way back to the sender is another.
			check(h.TB, h.route(peerIP, 32, 0, func(c *fib.Config) { c.OIF = out.dev.Ifindex(); c.Scope = fib.ScopeLink }))
			sysctl("conf.all.rp_filter", "1")(h, out)
		},
		"route": func(h *host, out *benchNIC) {
			check(h.TB, h.route(dsts&^255, 25, 0, func(c *fib.Config) { c.Type = fib.Blackhole }))
		},
		"rule": func(h *host, out *benchNIC) {
			r := fib.NewRule(10, 0)
			r.Action = fib.ActBlackhole
			check(h.TB, h.IP().NewRule(&r, fib.FlagCreate))
		},
		"device down":  func(h *host, out *benchNIC) { out.dev.Close() },
		"address gone": func(h *host, out *benchNIC) { check(h.TB, h.DelAddr(out.dev, netip.MustParsePrefix("192.0.3.1/24"))) },
		"the sender's address is ours": func(h *host, out *benchNIC) {
			check(h.TB, h.AddAddr(out.dev, netip.PrefixFrom(peerIP.Netip(), 32)))
		},
		"the destinations are ours": func(h *host, out *benchNIC) {
			for i := range flows {
				check(h.TB, h.AddAddr(out.dev, netip.PrefixFrom((dsts+8+header.Addr(i)).Netip(), 32)))
			}
		},
		"what the path takes": func(h *host, out *benchNIC) {
			sysctl("ip_forward_use_pmtu", "1")(h, out)
			for i := range flows {
				dst := dsts + 8 + header.Addr(i)
				rt, _ := h.IP().RouteOutput(&fib.Flow{Dst: dst})
				rt.UpdatePMTU(dst, 600)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, in, out := benchRouterHost(t, 1000, flows)
			for range 3 {
				sent := out.sent
				if pass(h.net, in, flows); out.sent-sent != flows {
					t.Fatalf("%d of %d forwarded", out.sent-sent, flows)
				}
			}
			change(h, out)
			want := 0
			if name == "what the path takes" {
				want = 2 * flows // fragments
			}
			sent := out.sent
			pass(h.net, in, flows)
			if out.sent-sent != want {
				t.Errorf("%d packets for %d after the change, want %d", out.sent-sent, flows, want)
			}
		})
	}
}

// TestHint_moreFlowsThanHints_eachItsOwnWay: flows that share a place are not
// taken for one another.
func TestHint_moreFlowsThanHints_eachItsOwnWay(t *testing.T) {
	h, in, out := benchHost(t)
	const flows = 1024
	nb, err := h.IP().Neigh.Get(out.dev, hostIP+0x100+8)
	check(t, err)
	nb.Update(peerMAC, neigh.NUDPermanent, true)
	want := 0
	for i := range flows {
		dst := header.Addr(10<<24 + i*37)
		if i%3 != 0 { // every third has no route
			check(t, h.route(dst, 32, hostIP+0x100+8))
			want++
		}
		in.frames = append(in.frames, ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: dst}, udpPacket(peerIP, dst, 1, 2, make([]byte, 20)))))
	}
	in.fresh = len(in.frames[0])
	for range 3 {
		sent := out.sent
		pass(h.net, in, flows)
		if out.sent-sent != want {
			t.Errorf("%d of %d forwarded, %d have a route", out.sent-sent, flows, want)
		}
	}
}
