package inet_test

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/neigh"
	"barewire/skb/header"
)

func ip4(a, b, c, d byte) header.Addr { return header.AddrFrom4([4]byte{a, b, c, d}) }

func (h *host) route(dst header.Addr, bits int, gw header.Addr, edit ...func(c *fib.Config)) error {
	c := &fib.Config{Dst: dst, Bits: bits, Type: fib.Unicast, Gateway: gw, Protocol: fib.ProtStatic}
	for _, e := range edit {
		e(c)
	}
	return h.IP().NewRoute(c, fib.FlagCreate|fib.FlagExcl)
}

func (h *host) gatewayOf(f fib.Flow) (header.Addr, syscall.Errno) {
	rt, err := h.IP().RouteOutput(&f)
	if err != 0 {
		return 0, err
	}
	return rt.Gateway, 0
}

func TestNewRoute_flags_asLinux(t *testing.T) {
	h := newHost(t)
	n := h.IP()
	c := func(gw header.Addr) *fib.Config {
		return &fib.Config{Dst: ip4(10, 0, 0, 0), Bits: 8, Type: fib.Unicast, Gateway: gw}
	}
	for i, s := range []struct {
		c     *fib.Config
		flags uint16
		want  error
	}{
		{c(peerIP), fib.FlagReplace, syscall.ENOENT},
		{c(peerIP), fib.FlagCreate | fib.FlagExcl, nil},
		{c(peerIP), fib.FlagCreate | fib.FlagExcl, syscall.EEXIST},
		{c(peerIP), fib.FlagCreate | fib.FlagAppend, syscall.EEXIST},
		{c(peerIP + 1), fib.FlagCreate | fib.FlagReplace, nil},
		{c(peerIP + 2), fib.FlagCreate | fib.FlagAppend, nil},
		{c(ip4(172, 16, 0, 1)), fib.FlagCreate | fib.FlagAppend, syscall.ENETUNREACH},
		{&fib.Config{Dst: 1, Bits: 8, Type: fib.Unicast, OIF: h.port.dev.Ifindex()}, fib.FlagCreate, syscall.EINVAL},
		{&fib.Config{Dst: 0, Bits: 8, Type: fib.Unicast, OIF: 99}, fib.FlagCreate, syscall.ENODEV},
		{&fib.Config{Dst: ip4(11, 0, 0, 0), Bits: 8, Type: fib.Blackhole, OIF: 1}, fib.FlagCreate, syscall.EINVAL},
	} {
		if err := n.NewRoute(s.c, s.flags); err != s.want {
			t.Errorf("%d: %v, want %v", i, err, s.want)
		}
	}
	if gw, err := h.gatewayOf(fib.Flow{Dst: ip4(10, 1, 1, 1)}); gw != peerIP+1 || err != 0 {
		t.Errorf("by %v %v", gw, err)
	}
	for i, want := range []error{nil, nil, syscall.ESRCH} {
		if err := n.DelRoute(&fib.Config{Dst: ip4(10, 0, 0, 0), Bits: 8, Scope: fib.ScopeNowhere}); err != want {
			t.Errorf("delete %d: %v, want %v", i, err, want)
		}
	}
}

func TestRule_firstThatMatches_decides(t *testing.T) {
	h := newHost(t)
	n := h.IP()
	in := func(table uint32) func(c *fib.Config) { return func(c *fib.Config) { c.Table = table } }
	check(t, h.route(0, 0, peerIP+10, in(100)))
	check(t, h.route(0, 0, 0, in(101), func(c *fib.Config) { c.Type, c.Gateway = fib.Prohibit, 0 }))
	r := fib.NewRule(1000, 100)
	r.Mark, r.MarkMask = 7, 0xff
	check(t, n.NewRule(&r, fib.FlagCreate|fib.FlagExcl))
	if err := n.NewRule(&r, fib.FlagCreate|fib.FlagExcl); err != syscall.EEXIST {
		t.Errorf("twice: %v", err)
	}
	r2 := fib.NewRule(1001, 101)
	r2.IPProto, r2.DPort = 17, fib.PortRange{Start: 50, End: 60}
	check(t, n.NewRule(&r2, fib.FlagCreate))
	r3 := fib.NewRule(900, fib.TableMain)
	r3.SuppressPrefixlen = 0
	check(t, n.NewRule(&r3, fib.FlagCreate))
	for _, c := range []struct {
		f    fib.Flow
		gw   header.Addr
		want syscall.Errno
	}{
		{fib.Flow{Dst: 0x08080808}, peerIP, 0},
		{fib.Flow{Dst: 0x08080808, Mark: 7}, peerIP + 10, 0},
		{fib.Flow{Dst: peerIP, Mark: 7}, 0, 0},
		{fib.Flow{Dst: 0x08080808, Proto: 17, DPort: 53}, 0, syscall.EACCES},
		{fib.Flow{Dst: 0x08080808, Proto: 17, DPort: 61}, peerIP, 0},
	} {
		if gw, err := h.gatewayOf(c.f); gw != c.gw || err != c.want {
			t.Errorf("%+v: %v %v, want %v %v", c.f, gw, err, c.gw, c.want)
		}
	}
	check(t, n.DelRule(&fib.Rule{Priority: 1000, SuppressPrefixlen: -1}))
	if gw, _ := h.gatewayOf(fib.Flow{Dst: 0x08080808, Mark: 7}); gw != peerIP {
		t.Errorf("after the rule is gone: %v", gw)
	}
}

func TestMultipath_weights_share(t *testing.T) {
	h := newHost(t)
	check(t, h.route(ip4(10, 0, 0, 0), 8, 0, func(c *fib.Config) {
		c.Multipath = []fib.NexthopConfig{{Gateway: peerIP, Weight: 1}, {Gateway: peerIP + 1, Weight: 3}}
	}))
	count := map[header.Addr]int{}
	for i := range header.Addr(4000) {
		gw, err := h.gatewayOf(fib.Flow{Dst: ip4(10, 0, 0, 0) + i})
		if err != 0 {
			t.Fatal(err)
		}
		count[gw]++
	}
	if n := count[peerIP]; n < 800 || n > 1200 || count[peerIP]+count[peerIP+1] != 4000 {
		t.Errorf("%v, want one to three", count)
	}
}

func TestException_pmtuAndRedirect_keptAndFlushed(t *testing.T) {
	h := newHost(t)
	n := h.IP()
	dst := ip4(10, 1, 2, 3)
	get := func(d header.Addr) *ip.Rtable {
		rt, err := n.RouteOutput(&fib.Flow{Dst: d})
		if err != 0 {
			t.Fatal(err)
		}
		return rt
	}
	get(dst).UpdatePMTU(dst, 1000)
	get(dst).UpdatePMTU(dst, 1400) // grows again only by expiry
	if get(dst).MTU() != 1000 || get(dst+1).MTU() != 1500 {
		t.Errorf("MTU %d, of the next %d", get(dst).MTU(), get(dst+1).MTU())
	}
	get(dst).UpdatePMTU(dst, 100)
	if get(dst).MTU() != 552 {
		t.Errorf("below min_pmtu: %d", get(dst).MTU())
	}
	get(dst).Redirect(dst, peerIP+9, peerIP+5) // not by the gateway in use
	if get(dst).Gateway != peerIP {
		t.Error("a stranger's redirect was followed")
	}
	get(dst).Redirect(dst, peerIP, peerIP+5)
	if get(dst).Gateway != peerIP {
		t.Error("a redirect to who is not there was followed")
	}
	nb, err := n.Neigh.Get(h.port.dev, peerIP+5)
	check(t, err)
	nb.Update(peerMAC, neigh.NUDReachable, true)
	get(dst).Redirect(dst, peerIP, peerIP+5)
	if rt := get(dst); rt.Gateway != peerIP+5 || rt.MTU() != 552 || get(dst+1).Gateway != peerIP {
		t.Errorf("after a redirect by %v, MTU %d", rt.Gateway, rt.MTU())
	}
	for i := range header.Addr(50000) { // bounded: the test ends
		get(dst+i).UpdatePMTU(dst+i, 1200)
	}
	check(t, h.net.Sysctl().Set("net.ipv4.route.flush", "1"))
	if rt := get(dst); rt.Gateway != peerIP || rt.MTU() != 1500 {
		t.Errorf("after flush by %v, MTU %d", rt.Gateway, rt.MTU())
	}
}

func TestRPFilter_strictAndLoose(t *testing.T) {
	h := newHost(t)
	h.know()
	check(t, h.IP().DelRoute(&fib.Config{Scope: fib.ScopeNowhere}))
	for _, c := range []struct {
		mode string
		src  header.Addr
		ok   bool
	}{{"0", 0x0a000001, true}, {"1", 0x0a000001, false}, {"2", 0x0a000001, false}, {"1", peerIP, true}, {"2", peerIP, true}} {
		check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.rp_filter", c.mode))
		before := h.MIB().UDP.NoPorts.Load()
		h.inject(ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: c.src, Dst: hostIP}, udpPacket(c.src, hostIP, 1, 9, nil))))
		if got := h.MIB().UDP.NoPorts.Load() != before; got != c.ok {
			t.Errorf("rp_filter %s, source %v: taken %v", c.mode, c.src, got)
		}
		h.port.take()
	}
}

func TestDevice_downAndUp_routesAsLinux(t *testing.T) {
	h := newHost(t)
	var gone, come int
	defer h.IP().RegisterRTNotifier(func(ev ip.RTEvent) {
		switch ev.Kind {
		case ip.RouteDel:
			gone++
		case ip.RouteNew:
			come++
		}
	})()
	h.port.dev.Close()
	if _, err := h.gatewayOf(fib.Flow{Dst: peerIP}); err != syscall.ENETUNREACH {
		t.Errorf("down: %v", err)
	}
	check(t, h.port.dev.Open())
	if _, err := h.gatewayOf(fib.Flow{Dst: peerIP}); err != 0 {
		t.Errorf("up: %v", err)
	}
	if _, err := h.gatewayOf(fib.Flow{Dst: 0x08080808}); err != syscall.ENETUNREACH {
		t.Errorf("the default route came back: %v", err)
	}
	if gone != 3 || come != 2 {
		t.Errorf("told of %d routes gone and %d new, want 3 and 2", gone, come)
	}
}

func TestAddr_secondary_promotedOrGone(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		h := newHost(t)
		check(t, h.net.Sysctl().Set("net.ipv4.conf.eth0.promote_secondaries", promote))
		check(t, h.AddAddr(h.port.dev, netip.MustParsePrefix("192.0.2.9/24")))
		check(t, h.DelAddr(h.port.dev, netip.PrefixFrom(hostIP.Netip(), 24)))
		a := h.IP().InDev(h.port.dev.Ifindex()).Addrs()
		_, err := h.gatewayOf(fib.Flow{Dst: peerIP})
		if promote == "0" && (len(a) != 0 || err != syscall.ENETUNREACH) ||
			promote == "1" && (len(a) != 1 || a[0].Secondary || err != 0) {
			t.Errorf("promote %s: %+v, route %v", promote, a, err)
		}
	}
}

func TestProcRoute_format(t *testing.T) {
	h := newHost(t)
	show, _ := h.net.Proc().Lookup("route")
	got := string(show(nil))
	want := []string{
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
		"eth0\t00000000\t020200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if strings.TrimRight(lines[i], " ") != want[i] || len(lines[i]) != 127 {
			t.Errorf("%q, want %q", lines[i], want[i])
		}
	}
}
