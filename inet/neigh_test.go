package inet_test

import (
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// bubble runs f with virtual time and ksoftirqd on its goroutine.
func bubble(t *testing.T, f func(t *testing.T, h *host)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		stop := make(chan struct{})
		go h.net.SoftNet().Run(stop)
		h.settle = synctest.Wait // or a packet may be in its hands when run finds none
		f(t, h)
		close(stop)
		synctest.Wait()
	})
}

func (h *host) stateOf(a header.Addr) uint32 {
	for _, n := range h.Neighbours() {
		if n.Addr == a {
			return n.State
		}
	}
	return neigh.NUDNone
}

// arps returns the ARP packets sent since the last take and how many other
// frames there were.
func (h *host) arps() (a []header.ARP, other int) {
	for _, f := range h.port.take() {
		if p, ok := header.ParseARP(header.Ethernet(f).Payload()); ok && header.Ethernet(f).Type() == header.EthPARP {
			a = append(a, p)
			continue
		}
		other++
	}
	return a, other
}

func TestNeigh_silent_threeProbesThenUnreachable(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_RECVERR, []byte{1, 0, 0, 0}))
		for range 3 {
			if _, err := sendTo(s, []byte("anyone"), peerIP, 9); err != nil {
				t.Fatal(err)
			}
		}
		total := 0
		for range 5 {
			time.Sleep(time.Second)
			synctest.Wait()
			a, other := h.arps()
			total += len(a)
			if other != 0 {
				t.Fatal("a datagram left without an address")
			}
		}
		if total != 3 {
			t.Errorf("%d requests, want 3", total)
		}
		if st := h.stateOf(peerIP); st != neigh.NUDFailed {
			t.Errorf("state %#x, want FAILED", st)
		}
		if _, _, _, err := recvFrom(s, 9); err != syscall.EHOSTUNREACH {
			t.Errorf("socket heard %v, want EHOSTUNREACH", err)
		}
		if n := h.Drops(skb.NeighFailed); n != 3 {
			t.Errorf("%d packets dropped as NEIGH_FAILED, want 3", n)
		}
		if h.MIB().ARP.ResFailed.Load() != 1 {
			t.Error("res_failed not counted")
		}
		// The next datagram tries anew.
		sendTo(s, []byte("again"), peerIP, 9)
		if a, _ := h.arps(); len(a) != 1 {
			t.Errorf("%d requests after failure, want 1", len(a))
		}
	})
}

func TestNeigh_life_reachableStaleDelayProbe(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		s := h.udpSocket(0, 7)
		send := func() {
			if _, err := sendTo(s, []byte("x"), peerIP, 9); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, want uint32) {
			t.Helper()
			synctest.Wait()
			if st := h.stateOf(peerIP); st != want {
				t.Fatalf("%s: state %#x, want %#x", what, st, want)
			}
		}
		send()
		expect("first packet", neigh.NUDIncomplete)
		answer := arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP)
		h.inject(answer)
		expect("answer", neigh.NUDReachable)
		h.port.take()
		time.Sleep(52 * time.Second)
		expect("one and a half reachable times, and the wheel's eighth, later", neigh.NUDStale)
		send()
		expect("packet to a stale neighbour", neigh.NUDDelay)
		if a, other := h.arps(); len(a) != 0 || other != 1 {
			t.Fatalf("a stale neighbour is used at once: %d requests, %d packets", len(a), other)
		}
		time.Sleep(5900 * time.Millisecond)
		expect("delay passed", neigh.NUDProbe)
		a, _ := h.arps()
		if len(a) != 1 {
			t.Fatalf("%d probes", len(a))
		}
		h.inject(answer)
		expect("probe answered", neigh.NUDReachable)
		time.Sleep(52 * time.Second)
		send()
		time.Sleep(5900*time.Millisecond + 4*time.Second)
		expect("probes unanswered", neigh.NUDFailed)
		if a, _ := h.arps(); len(a) != 3 {
			t.Errorf("%d unicast probes, want 3", len(a))
		}
	})
}

func TestNeigh_probe_isUnicast(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		s := h.udpSocket(0, 7)
		h.know() // STALE
		sendTo(s, nil, peerIP, 9)
		h.port.take()
		time.Sleep(5900 * time.Millisecond)
		synctest.Wait()
		f := h.port.take()
		if len(f) != 1 || header.Ethernet(f[0]).Dst() != peerMAC {
			t.Errorf("probe: %x", f)
		}
	})
}

func TestNeigh_queue_boundedInBytes(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, []byte{0, 0, 0x10, 0}))
	for i := range 100 {
		if _, err := sendTo(s, []byte{byte(i)}, peerIP, 9); err != nil {
			t.Fatal(err)
		}
	}
	dropped := h.Drops(skb.NeighQueueFull)
	if dropped < 50 || h.MIB().ARP.UnresolvedDiscards.Load() != dropped {
		t.Errorf("%d dropped, counter %d", dropped, h.MIB().ARP.UnresolvedDiscards.Load())
	}
	h.port.take()
	h.inject(arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP))
	f := h.port.take()
	if uint64(len(f)) != 100-dropped {
		t.Fatalf("%d sent, %d dropped, of 100", len(f), dropped)
	}
	// The newest are kept, in order.
	for i, f := range f {
		if p := parseIP(t, f); int(p.data[8]) != int(dropped)+i {
			t.Fatalf("packet %d is number %d", i, p.data[8])
		}
	}
}

func TestNeigh_floodOfAsked_bounded(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, h.AddRoute(netip.MustParsePrefix("10.0.0.0/8"), netip.Addr{}, h.port.dev))
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, []byte{0, 0, 0, 0x10}))
	h.port.discard = true
	full := 0
	for i := range 3000 {
		if _, err := sendTo(s, nil, 0x0a000001+header.Addr(i), 9); err == syscall.ENOBUFS {
			full++
		}
		h.net.SoftNet().DoSoftirq()
	}
	if n := len(h.Neighbours()); n > 1024 {
		t.Errorf("%d neighbours", n)
	}
	if h.MIB().ARP.TableFulls.Load() == 0 || h.Drops(skb.NeighCreateFail) == 0 {
		t.Error("full table not counted")
	}
}

func TestNeigh_floodOfAskers_boundedAndKnownStay(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	if _, err := sendTo(s, nil, peerIP, 9); err != nil {
		t.Fatal(err)
	}
	h.port.discard = true
	for i := range 5000 {
		spa := 0xc0000200 + header.Addr(i*7)
		if spa == hostIP || spa == peerIP {
			continue
		}
		h.inject(arpFrame(header.ARPRequest, bcast, [6]byte{2, 1, byte(i >> 8), byte(i), 0, 0}, spa, [6]byte{}, hostIP))
	}
	if n := len(h.Neighbours()); n > 1024 {
		t.Errorf("%d neighbours", n)
	}
	if st := h.stateOf(peerIP); st != neigh.NUDDelay {
		t.Errorf("the neighbour in use has state %#x", st)
	}
	if h.MIB().ARP.ForcedGCRuns.Load() == 0 {
		t.Error("nothing was collected")
	}
}

func TestARP_badPackets_ignored(t *testing.T) {
	req := func(edit func(p []byte)) []byte {
		f := arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP)
		edit(f[14:])
		return f
	}
	for name, f := range map[string][]byte{
		"27 bytes":         req(func([]byte) {})[:14+27],
		"hardware type":    req(func(p []byte) { p[1] = 7 }),
		"protocol type":    req(func(p []byte) { p[2] = 0x86 }),
		"hardware length":  req(func(p []byte) { p[4] = 8 }),
		"protocol length":  req(func(p []byte) { p[5] = 16 }),
		"operation":        req(func(p []byte) { p[7] = 3 }),
		"loopback target":  req(func(p []byte) { p[24] = 127 }),
		"group target":     req(func(p []byte) { p[24] = 225 }),
		"group sender":     req(func(p []byte) { p[14] = 225 }),
		"not for us":       req(func(p []byte) { p[27] = 77 }),
		"from our address": arpFrame(header.ARPRequest, bcast, peerMAC, hostIP, [6]byte{}, hostIP),
		"other station":    arpFrame(header.ARPRequest, [6]byte{2, 9}, peerMAC, peerIP, [6]byte{}, hostIP),
		"unasked reply":    arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP),
		"announcement":     arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, peerIP),
	} {
		h := newHost(t)
		h.inject(f)
		if sent := h.port.take(); len(sent) != 0 {
			t.Errorf("%s: answered", name)
		}
		if n := h.Neighbours(); len(n) != 0 {
			t.Errorf("%s: learnt %+v", name, n)
		}
	}
}

func TestARP_probeForOurAddress_defendedNotLearnt(t *testing.T) {
	h := newHost(t)
	h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, 0, [6]byte{}, hostIP))
	a, _ := h.arps()
	if len(a) != 1 || a[0].Op() != header.ARPReply || a[0].SenderIP() != hostIP {
		t.Errorf("probe not answered: %x", a)
	}
	if n := h.Neighbours(); len(n) != 0 {
		t.Errorf("learnt from a probe: %+v", n)
	}
}

func TestARP_announcement_updatesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.know()
		other := [6]byte{2, 0, 0, 0, 0, 3}
		hw := func() [6]byte { return h.Neighbours()[0].HW }
		// An ordinary packet cannot change a fresh entry: it might be an
		// attack in a race with the true answer.
		h.inject(arpFrame(header.ARPReply, hostMAC, other, peerIP, hostMAC, hostIP))
		if hw() != peerMAC {
			t.Error("entry changed within locktime")
		}
		time.Sleep(1100 * time.Millisecond)
		h.inject(arpFrame(header.ARPReply, hostMAC, other, peerIP, hostMAC, hostIP))
		if hw() != other {
			t.Error("entry not changed after locktime")
		}
		h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, peerIP))
		if hw() != peerMAC {
			t.Error("announcement did not change the entry")
		}
		// The cached header follows.
		s := h.udpSocket(0, 7)
		h.port.take()
		sendTo(s, nil, peerIP, 9)
		if r := h.one(); r.eth.Dst() != peerMAC {
			t.Errorf("sent to %x", r.eth.Dst())
		}
	})
}

func TestRoute_offLink_throughGateway(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	if _, err := sendTo(s, nil, 0x08080808, 53); err != nil {
		t.Fatal(err)
	}
	if r := h.one(); r.eth.Dst() != peerMAC || r.ip.Dst() != 0x08080808 || r.ip.Src() != hostIP {
		t.Errorf("%x", []byte(r.eth))
	}
}

func TestRoute_none_ENETUNREACH(t *testing.T) {
	h := newHost(t)
	h.IP().FIB.Delete(func(r *fibRoute) bool { return r.Bits == 0 })
	s := h.udpSocket(0, 7)
	if _, err := sendTo(s, nil, 0x08080808, 53); err != syscall.ENETUNREACH {
		t.Errorf("send: %v", err)
	}
	if err := s.Connect(sockaddr(0x08080808, 53), 0); err != syscall.ENETUNREACH {
		t.Errorf("connect: %v", err)
	}
	if h.MIB().IP.OutNoRoutes.Load() != 2 {
		t.Errorf("OutNoRoutes %d", h.MIB().IP.OutNoRoutes.Load())
	}
	h.port.dev.Close()
	if _, err := sendTo(s, nil, peerIP, 53); err != syscall.ENETUNREACH {
		t.Errorf("device down: %v", err)
	}
	check(t, h.port.dev.Open())
}

func TestRoute_connectedSocket_followsChanges(t *testing.T) {
	h := newHost(t)
	h.know()
	gw2 := peerIP + 1
	mac2 := [6]byte{2, 0, 0, 0, 0, 9}
	h.inject(arpFrame(header.ARPRequest, hostMAC, mac2, gw2, [6]byte{}, hostIP))
	s := h.udpSocket(0, 0)
	check(t, s.Connect(sockaddr(0x08080808, 53), 0))
	h.port.take()
	sendTo(s, nil, 0, 0)
	if r := h.one(); r.eth.Dst() != peerMAC {
		t.Fatalf("sent to %x", r.eth.Dst())
	}
	check(t, h.AddRoute(netip.MustParsePrefix("8.0.0.0/8"), gw2.Netip(), nil))
	sendTo(s, nil, 0, 0)
	if r := h.one(); r.eth.Dst() != mac2 {
		t.Errorf("old route kept: sent to %x", r.eth.Dst())
	}
}

func TestAddr_removed_nothingLeft(t *testing.T) {
	h := newHost(t)
	h.know()
	check(t, h.DelAddr(h.port.dev, netip.PrefixFrom(hostIP.Netip(), 24)))
	for _, r := range h.Routes() {
		if r.Dev == h.port.dev && r.Gateway == (netip.Addr{}) {
			t.Errorf("route left: %+v", r)
		}
	}
	h.inject(fromPeer(1, icmpEcho(1, 1, nil)))
	h.none()
	if err := h.DelAddr(h.port.dev, netip.PrefixFrom(hostIP.Netip(), 24)); err != syscall.EADDRNOTAVAIL {
		t.Errorf("second removal: %v", err)
	}
}

func TestAddr_second_sourceOfItsSubnet(t *testing.T) {
	h := newHost(t)
	check(t, h.AddAddr(h.port.dev, netip.MustParsePrefix("10.1.1.1/24")))
	h.know()
	s := h.udpSocket(0, 7)
	sendTo(s, nil, 0x0a010105, 9)
	a, _ := h.arps()
	if len(a) != 1 || a[0].SenderIP() != 0x0a010101 || a[0].TargetIP() != 0x0a010105 {
		t.Errorf("request %x", a)
	}
	// A device of its own chosen by option.
	d := napi.AllocNetdev("down%d", &port{}, 1)
	napi.EtherSetup(d)
	check(t, h.net.RegisterNetdev(d))
	defer h.net.UnregisterNetdev(d)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("down0")))
	if _, err := sendTo(s, nil, peerIP, 9); err != syscall.ENETUNREACH {
		t.Errorf("bound to a device that is down: %v", err)
	}
}

func TestNeigh_pingsFromManyWhoDoNotExist_boundedTogether(t *testing.T) {
	h := newHost(t)
	h.port.discard = true
	max := 8 << 20 / 4096
	for i := range 20000 {
		src := hostIP&^0xff | header.Addr(3+i%250)
		h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: src, Dst: hostIP}, icmpEcho(1, 1, nil))))
		if n := h.net.SKB().Pool().InUse(); n > max {
			t.Fatalf("%d pages in use after %d pings, want at most %d", n, i, max)
		}
	}
	if h.Drops(skb.NeighQueueFull) == 0 {
		t.Error("nothing was dropped")
	}
}

func TestFloods_smallPool_receivingGoesOn(t *testing.T) {
	h := newSmallHost(t, 512)
	h.know()
	h.port.discard = true
	s := h.udpSocket(0, 7)
	for i := range 100 {
		h.udpSocket(0, uint16(1000+i))
	}
	for i := range 3000 {
		src := hostIP&^0xff | header.Addr(3+i%250)
		h.inject(
			ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: src, Dst: hostIP}, icmpEcho(1, 1, nil))),
			fragments(uint16(i), 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 100)), 56)[0],
			fromPeerUDP(1, uint16(1000+i%100), make([]byte, 100)),
			arpFrame(header.ARPRequest, bcast, peerMAC, src, [6]byte{}, hostIP),
		)
	}
	if n := h.net.SKB().Pool().InUse(); n > 450 {
		t.Errorf("%d of 512 pages in use", n)
	}
	// UDP's own bound is used up by the unread sockets; pings go on.
	before := h.MIB().ICMP.OutType[0].Load()
	h.inject(fromPeer(1, icmpEcho(1, 1, nil)))
	if h.MIB().ICMP.OutType[0].Load() != before+1 {
		t.Error("no answer to a ping")
	}
	if _, err := sendTo(s, []byte("x"), peerIP, 9); err != nil {
		t.Errorf("send: %v", err)
	}
}
