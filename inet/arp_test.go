package inet_test

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb/header"
)

func (h *host) setctl(name, v string) {
	h.Helper()
	if err := h.net.Sysctl().Set(name, v); err != nil {
		h.Fatalf("%s: %v", name, err)
	}
}

// answered reports whether a request for tip gets an answer.
func (h *host) answered(sip, tip header.Addr) bool {
	h.Helper()
	h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, sip, [6]byte{}, tip))
	a, _ := h.arps()
	for _, p := range a {
		if p.Op() != header.ARPReply || p.SenderIP() != tip || p.SenderHW() != hostMAC || p.TargetIP() != sip {
			h.Errorf("answer %x", []byte(p))
		}
	}
	return len(a) == 1
}

// secondPort gives the host another Ethernet device, eth1, with an address.
func (h *host) secondPort(p netip.Prefix) *port {
	h.Helper()
	q := &port{}
	q.dev = napi.AllocNetdev("eth%d", q, 1)
	napi.EtherSetup(q.dev)
	check(h, q.dev.SetHardwareAddr([6]byte{2, 0, 0, 0, 0, 0x11}))
	q.napi = q.dev.AddNAPI(q, 0)
	check(h, h.net.RegisterNetdev(q.dev))
	check(h, q.dev.Open())
	check(h, h.AddAddr(q.dev, p))
	h.Cleanup(func() { h.net.UnregisterNetdev(q.dev) })
	return q
}

func TestARP_ignore_levels(t *testing.T) {
	h := newHost(t)
	h.secondPort(netip.MustParsePrefix("10.2.0.1/24"))
	const other, far header.Addr = 0x0a020001, 0x0a090909
	for _, c := range []struct {
		level    string
		sip, tip header.Addr
		want     bool
	}{
		{"0", peerIP, other, true},
		{"1", peerIP, other, false}, {"1", peerIP, hostIP, true},
		{"2", far, hostIP, false}, {"2", peerIP, hostIP, true},
		{"3", peerIP, other, true}, {"8", peerIP, hostIP, false},
	} {
		h.setctl("net.ipv4.conf.all.arp_ignore", c.level)
		if got := h.answered(c.sip, c.tip); got != c.want {
			t.Errorf("arp_ignore %s: %v asks for %v: answered %v", c.level, c.sip, c.tip, got)
		}
	}
}

func TestARP_filter_answersWhereItWouldSend(t *testing.T) {
	h := newHost(t)
	h.secondPort(netip.MustParsePrefix("10.2.0.1/24"))
	h.setctl("net.ipv4.conf.eth0.arp_filter", "1")
	if h.answered(0x0a020002, hostIP) {
		t.Error("answered on a device that packets to the asker do not leave by")
	}
	if !h.answered(peerIP, hostIP) {
		t.Error("not answered on the right device")
	}
}

func TestARP_rpFilter_askerMustBeReachableThere(t *testing.T) {
	h := newHost(t)
	h.secondPort(netip.MustParsePrefix("10.2.0.1/24"))
	h.setctl("net.ipv4.conf.eth0.rp_filter", "1")
	if h.answered(0x0a020002, hostIP) {
		t.Error("answered on a device that packets to the asker do not leave by")
	}
	for _, n := range h.Neighbours() {
		if n.Addr == 0x0a020002 {
			t.Errorf("learnt who cannot be there: %+v", n)
		}
	}
	if !h.answered(peerIP, hostIP) {
		t.Error("not answered on the right device")
	}
}

func TestARP_announce_sourceByLevel(t *testing.T) {
	for level, want := range map[string]header.Addr{"0": 0x0a020001, "1": hostIP, "2": hostIP} {
		h := newHost(t)
		h.secondPort(netip.MustParsePrefix("10.2.0.1/24"))
		h.setctl("net.ipv4.conf.all.arp_announce", level)
		s := h.udpSocket(0x0a020001, 7)
		sendTo(s, nil, peerIP, 9)
		if a, _ := h.arps(); len(a) != 1 || a[0].SenderIP() != want {
			t.Errorf("arp_announce %s: %x", level, a)
		}
	}
}

func TestARP_accept_unaskedMakesEntry(t *testing.T) {
	garp := func(sip header.Addr) []byte {
		return arpFrame(header.ARPRequest, bcast, peerMAC, sip, [6]byte{}, sip)
	}
	for level, want := range map[string]int{"0": 0, "1": 2, "2": 1} {
		h := newHost(t)
		h.setctl("net.ipv4.conf.eth0.arp_accept", level)
		h.inject(garp(peerIP), garp(0x0a030303))
		if n := len(h.Neighbours()); n != want {
			t.Errorf("arp_accept %s: %d entries, want %d", level, n, want)
		}
	}
	h := newHost(t)
	h.setctl("net.ipv4.conf.eth0.arp_accept", "1")
	h.setctl("net.ipv4.conf.all.drop_gratuitous_arp", "1")
	h.inject(garp(peerIP))
	if len(h.Neighbours()) != 0 {
		t.Error("a gratuitous ARP was heard with drop_gratuitous_arp")
	}
}

func TestARP_notify_announcesOnUpAndCarrier(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		announced := func() int {
			synctest.Wait()
			a, _ := h.arps()
			for _, p := range a {
				if p.Op() != header.ARPRequest || p.SenderIP() != hostIP || p.TargetIP() != hostIP {
					t.Errorf("announcement %x", []byte(p))
				}
			}
			return len(a)
		}
		h.port.dev.Close()
		check(t, h.port.dev.Open())
		if n := announced(); n != 0 {
			t.Errorf("%d announcements with arp_notify off", n)
		}
		h.setctl("net.ipv4.conf.eth0.arp_notify", "1")
		h.port.dev.CarrierOff()
		synctest.Wait()
		h.port.dev.CarrierOn()
		if n := announced(); n != 1 {
			t.Errorf("%d announcements when the carrier came", n)
		}
		h.setctl("net.ipv4.conf.eth0.arp_notify", "0")
		h.Announce(h.port.dev)
		if n := announced(); n != 1 {
			t.Errorf("%d announcements when asked for", n)
		}
	})
}

func TestARP_proxy_answersLaterAndBounded(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.secondPort(netip.MustParsePrefix("10.2.0.1/24"))
		const behind header.Addr = 0x0a020007
		if h.answered(peerIP, behind) {
			t.Error("answered without forwarding")
		}
		h.setctl("net.ipv4.conf.eth0.forwarding", "1")
		if h.answered(peerIP, behind) {
			t.Error("answered without proxy_arp")
		}
		h.setctl("net.ipv4.conf.eth0.proxy_arp", "1")
		if h.answered(peerIP, behind) {
			t.Error("answered at once")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if a, _ := h.arps(); len(a) != 1 || a[0].SenderIP() != behind || a[0].SenderHW() != hostMAC {
			t.Errorf("answers %x", a)
		}
		// To us alone: at once.
		h.inject(arpFrame(header.ARPRequest, hostMAC, peerMAC, peerIP, [6]byte{}, behind))
		if a, _ := h.arps(); len(a) != 1 {
			t.Errorf("%d answers to a unicast request", len(a))
		}
		for i := range 1000 {
			h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, behind&^0xff+2+header.Addr(i%200)))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if a, _ := h.arps(); len(a) != 64 {
			t.Errorf("%d answers of 1000 asked for, want proxy_qlen", len(a))
		}
		// An entry for one host, without proxy_arp.
		h.setctl("net.ipv4.conf.eth0.proxy_arp", "0")
		h.setctl("net.ipv4.neigh.eth0.proxy_delay", "0")
		check(t, h.IP().Neigh.AddProxy(h.port.dev, behind, 0, 0))
		if !h.answered(peerIP, behind) || h.answered(peerIP, behind+1) {
			t.Error("a proxy entry is for its address alone")
		}
		check(t, h.IP().Neigh.DelProxy(h.port.dev, behind))
		if h.answered(peerIP, behind) || h.IP().Neigh.DelProxy(h.port.dev, behind) != syscall.ENOENT {
			t.Error("the proxy entry is still there")
		}
	})
}

func TestARP_probe_conflictFound(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		const a header.Addr = 0xc0000263
		start := time.Now()
		if err := h.ProbeAddr(h.port.dev, a.Netip()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 800*time.Millisecond {
			t.Errorf("took %v", d)
		}
		if p, _ := h.arps(); len(p) != 3 || p[0].SenderIP() != 0 || p[0].TargetIP() != a {
			t.Errorf("probes %x", p)
		}
		for what, f := range map[string][]byte{
			"owner's answer": arpFrame(header.ARPReply, hostMAC, peerMAC, a, hostMAC, 0),
			"other's probe":  arpFrame(header.ARPRequest, bcast, peerMAC, 0, [6]byte{}, a),
		} {
			got := make(chan error, 1)
			go func() { got <- h.ProbeAddr(h.port.dev, a.Netip()) }()
			synctest.Wait()
			h.inject(f)
			if err := <-got; err != syscall.EADDRINUSE {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestNeigh_byHand_statesAndErrors(t *testing.T) {
	h := newHost(t)
	tb, dev := h.IP().Neigh, h.port.dev
	var told atomic.Int32
	tb.Notify = func(neigh.Entry) { told.Add(1) }
	if err := tb.Add(dev, peerIP, nil, neigh.NUDPermanent, 0); err != syscall.EINVAL {
		t.Errorf("valid without an address: %v", err)
	}
	if _, err := tb.Set(&neigh.Request{Dev: dev, Addr: peerIP + 1, HW: &peerMAC, State: neigh.NUDStale}); err != syscall.ENOENT {
		t.Errorf("change of none: %v", err)
	}
	check(t, tb.Add(dev, peerIP, peerMAC[:], neigh.NUDPermanent, 0))
	h.inject(arpFrame(header.ARPReply, hostMAC, [6]byte{2, 9, 9, 9, 9, 9}, peerIP, hostMAC, hostIP))
	if e := h.Neighbours()[0]; e.HW != peerMAC || e.State != neigh.NUDPermanent {
		t.Errorf("a permanent entry changed: %+v", e)
	}
	arp, _ := h.net.Proc().Lookup("arp")
	if want := "IP address       HW type     Flags       HW address            Mask     Device\n" +
		"192.0.2.2        0x1         0x6         02:00:00:00:00:02     *        eth0\n"; string(arp(nil)) != want {
		t.Errorf("/proc/net/arp:\n%s", arp(nil))
	}
	if _, err := tb.Set(&neigh.Request{Dev: dev, Addr: peerIP, HW: &[6]byte{2, 9}, State: neigh.NUDReachable}); err != nil {
		t.Error(err)
	}
	if e := h.Neighbours()[0]; e.HW != peerMAC || e.State != neigh.NUDPermanent {
		t.Errorf("another address is taken without replacement: %+v", e)
	}
	check(t, tb.Add(dev, peerIP, nil, neigh.NUDReachable, 0))
	if st := h.stateOf(peerIP); st != neigh.NUDReachable {
		t.Errorf("state %#x", st)
	}
	check(t, tb.Delete(dev, peerIP))
	if err := tb.Delete(dev, peerIP); err != syscall.ENOENT {
		t.Errorf("second removal: %v", err)
	}
	if told.Load() != 4 {
		t.Errorf("%d notifications, want 4: new, changed, failed, gone", told.Load())
	}
	stat, _ := h.net.Proc().Lookup("stat/arp_cache")
	if l := strings.Split(string(stat(nil)), "\n"); len(l) != 3 || len(strings.Fields(l[0])) != 13 || len(strings.Fields(l[1])) != 13 {
		t.Errorf("stat/arp_cache:\n%s", stat(nil))
	}
}

func TestNeigh_permanent_notCounted(t *testing.T) {
	h := newHost(t)
	h.setctl("net.ipv4.neigh.default.gc_thresh2", "4")
	h.setctl("net.ipv4.neigh.default.gc_thresh3", "8")
	for i := range 100 {
		check(t, h.IP().Neigh.Add(h.port.dev, hostIP+10+header.Addr(i), peerMAC[:], neigh.NUDPermanent, 0))
	}
	h.know()
	if n := len(h.Neighbours()); n != 101 {
		t.Errorf("%d entries", n)
	}
	for i := range 100 {
		h.inject(arpFrame(header.ARPRequest, bcast, peerMAC, 0xc0000290+header.Addr(i), [6]byte{}, hostIP))
	}
	if n := len(h.Neighbours()); n > 108 {
		t.Errorf("%d entries, want at most 100 permanent and 8 more", n)
	}
	h.port.take()
}

func TestNeigh_settings_perDevice(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.eth0.mcast_solicit", "5")
		h.setctl("net.ipv4.neigh.eth0.retrans_time_ms", "100")
		if v, _ := h.net.Sysctl().Get("net.ipv4.neigh.eth0.retrans_time"); v != "10" {
			t.Errorf("retrans_time %s", v)
		}
		if v, _ := h.net.Sysctl().Get("net.ipv4.neigh.default.mcast_solicit"); v != "3" {
			t.Errorf("default changed: %s", v)
		}
		s := h.udpSocket(0, 7)
		sendTo(s, nil, peerIP, 9)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if a, _ := h.arps(); len(a) != 5 {
			t.Errorf("%d requests, want 5", len(a))
		}
		if st := h.stateOf(peerIP); st != neigh.NUDFailed {
			t.Errorf("state %#x", st)
		}
	})
}

func TestNeigh_appSolicit_asksTheProgram(t *testing.T) {
	bubble(t, func(t *testing.T, h *host) {
		h.setctl("net.ipv4.neigh.eth0.app_solicit", "2")
		var asked atomic.Int32
		h.IP().Neigh.AppSolicit = func(e neigh.Entry) {
			if e.Addr == peerIP {
				asked.Add(1)
			}
		}
		s := h.udpSocket(0, 7)
		sendTo(s, nil, peerIP, 9)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if a, _ := h.arps(); asked.Load() != 2 || len(a) != 3 {
			t.Errorf("%d times asked the program, %d the link; want 2 and 3", asked.Load(), len(a))
		}
	})
}
