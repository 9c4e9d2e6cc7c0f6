package inet_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb/header"
)

// TestConf_default_followedUntilConfigured compares with Linux who follows what
// is written to conf.default.
func TestConf_default_followedUntilConfigured(t *testing.T) {
	l := newLinux(t)
	h := newHost(t)
	add := func(name string) {
		t.Helper()
		check(t, l.ns.IP("link", "add", name, "type", "veth", "peer", "name", name+"p"))
		d, err := napi.NewDummy(h.net, name)
		check(t, err)
		h.Cleanup(func() { h.net.UnregisterNetdev(d) })
	}
	set := func(name, v string) {
		t.Helper()
		check(t, l.ns.Sysctl("ipv4/conf/"+strings.ReplaceAll(name, ".", "/"), v))
		check(t, h.net.Sysctl().Set("net.ipv4.conf."+name, v))
	}
	same := func(when string, names ...string) {
		t.Helper()
		for _, n := range names {
			want, err := l.ns.Run(5*time.Second, "cat", "/proc/sys/net/ipv4/conf/"+strings.ReplaceAll(n, ".", "/"))
			check(t, err)
			if got, err := h.net.Sysctl().Get("net.ipv4.conf." + n); err != nil || got != strings.TrimSpace(want) {
				t.Errorf("%s: %s is %q, in Linux %q (%v)", when, n, got, want, err)
			}
		}
	}
	add("d0")
	add("d1")
	set("d1.accept_local", "0")
	set("default.accept_local", "1")
	set("default.forwarding", "1")
	add("d2")
	all := []string{"d0.accept_local", "d1.accept_local", "d2.accept_local", "d0.forwarding", "d2.forwarding"}
	same("default written", all...)
	check(t, l.ns.IP("addr", "add", "10.9.0.1/24", "dev", "d0"))
	check(t, h.AddAddr(h.net.DevByName("d0"), netip.MustParsePrefix("10.9.0.1/24")))
	set("default.accept_local", "2")
	same("with an address", all...)
	set("all.accept_local", "3")
	same("all written", all...)
	set("default.shared_media", "0")
	set("all.forwarding", "1")
	same("another", append(all, "d0.shared_media", "d1.shared_media", "d2.shared_media")...)
}

// route_localnet and the like change decisions that sockets keep.
func TestConf_written_keptRoutesVoid(t *testing.T) {
	h := newHost(t)
	before := h.IP().FIB.Generation()
	check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.route_localnet", "1"))
	if h.IP().FIB.Generation() == before {
		t.Error("kept routes are still good")
	}
}

// TestConf_forwardPriority: ip_forward_update_priority.
func TestConf_forwardPriority_byTOS(t *testing.T) {
	for v, want := range map[string]uint32{"1": 6, "0": 0} {
		h := linkRouter(t)
		check(t, h.net.Sysctl().Set("net.ipv4.ip_forward_update_priority", v))
		h.port.holdTx = true
		h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, TOS: 0x10, Src: peerIP + 7, Dst: ip4(8, 8, 8, 8)}, make([]byte, 8))))
		got := uint32(99)
		for b := h.port.hold.Head(); b != nil; b = b.Next() {
			if b.Protocol == header.EthPIP {
				got = b.Priority
			}
		}
		if got != want {
			t.Errorf("ip_forward_update_priority %s: priority %d, want %d", v, got, want)
		}
	}
}

// TestConf_forwardUsePMTU: what was learnt of a path is for packets from here,
// unless ip_forward_use_pmtu says otherwise.
func TestConf_forwardUsePMTU_forOthersToo(t *testing.T) {
	h := linkRouter(t)
	dst := ip4(8, 8, 8, 8)
	rt, _ := h.IP().RouteOutput(&fib.Flow{Dst: dst})
	rt.UpdatePMTU(dst, 1000)
	for v, want := range map[string]int{"0": 1, "1": 2} {
		check(t, h.net.Sysctl().Set("net.ipv4.ip_forward_use_pmtu", v))
		h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: ip4(9, 9, 9, 9), Dst: dst}, make([]byte, 1400))))
		if n := len(h.port.take()); n != want {
			t.Errorf("ip_forward_use_pmtu %s: %d frames, want %d", v, n, want)
		}
	}
}

// TestConf_fwmarkReflect: with fwmark_reflect an answer takes the way of the
// question's mark.
func TestConf_fwmarkReflect_answerByTheMark(t *testing.T) {
	for v, want := range map[string]header.Addr{"0": peerIP, "1": peerIP + 3} {
		h := linkRouter(t)
		check(t, h.net.Sysctl().Set("net.ipv4.fwmark_reflect", v))
		nb, err := h.IP().Neigh.Get(h.port.dev, peerIP+3)
		check(t, err)
		nb.Update([6]byte{2, 0, 0, 0, 0, 3}, 0x80, true)
		check(t, h.route(0, 0, peerIP+3, func(c *fib.Config) { c.Table = 100 }))
		r := fib.NewRule(1000, 100)
		r.Mark, r.MarkMask = 5, ^uint32(0)
		check(t, h.IP().NewRule(&r, fib.FlagCreate))
		b := h.buff(ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: ip4(9, 9, 9, 9), Dst: hostIP}, icmpEcho(1, 1, nil))))
		b.Mark = 5
		h.port.mu.Lock()
		h.port.rx.PushBack(b)
		h.port.mu.Unlock()
		h.port.napi.Schedule()
		h.run()
		f := h.port.take()
		if len(f) != 1 {
			t.Fatalf("%d frames", len(f))
		}
		if got := header.Ethernet(f[0]).Dst()[5] == 3; got != (want == peerIP+3) {
			t.Errorf("fwmark_reflect %s: answer to %x", v, header.Ethernet(f[0]).Dst())
		}
	}
}

func TestConf_minAdvMSS_least(t *testing.T) {
	h := newHost(t)
	dst := ip4(8, 8, 8, 8)
	mss := func() uint32 {
		rt, _ := h.IP().RouteOutput(&fib.Flow{Dst: dst})
		return rt.Metric(fib.RTAXAdvMSS)
	}
	if mss() != 1460 {
		t.Errorf("%d", mss())
	}
	check(t, h.port.dev.SetMTU(100))
	if mss() != 256 {
		t.Errorf("MTU 100: %d, want min_adv_mss", mss())
	}
	check(t, h.net.Sysctl().Set("net.ipv4.route.min_adv_mss", "50"))
	if mss() != 60 {
		t.Errorf("MTU 100, min_adv_mss 50: %d", mss())
	}
}
