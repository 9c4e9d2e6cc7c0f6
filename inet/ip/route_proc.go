package ip

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/napi/sysctl"
	"barewire/skb/header"
)

// initRoute sets Linux's defaults and registers the settings and files of
// routing.
func (n *Net) initRoute() {
	var key [8]byte
	n.Dev.Rand(key[:])
	n.hashKey = binary.LittleEndian.Uint64(key[:])
	c := &n.Route
	c.MTUExpires.Store(int64(10 * time.Minute))
	c.MinPMTU.Store(552)
	c.MinAdvMSS.Store(256)
	c.GCTimeout.Store(int64(5 * time.Minute))
	c.HashFields.Store(fieldDefault)
	const most = 1<<31 - 1
	flush := sysctl.Entry{Name: "net.ipv4.route.flush", Get: func() string { return "" }, Set: func(s string) error {
		var v atomic.Int32
		if err := sysctl.Int("", &v, -most-1, most).Set(s); err != nil {
			return err
		}
		n.FlushRoutes()
		return nil
	}}
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			flush,
			sysctl.Duration("net.ipv4.route.mtu_expires", &c.MTUExpires, time.Second),
			sysctl.Int("net.ipv4.route.min_pmtu", &c.MinPMTU, 68, most),
			sysctl.Int("net.ipv4.route.min_adv_mss", &c.MinAdvMSS, 0, most),
			sysctl.Duration("net.ipv4.route.gc_timeout", &c.GCTimeout, time.Second),
			sysctl.Int("net.ipv4.fib_multipath_hash_policy", &c.MultipathHash, hashL3, hashCustom),
			sysctl.Int("net.ipv4.fib_multipath_hash_fields", &c.HashFields, 1, fieldsAll),
			sysctl.Long("net.ipv4.fib_multipath_hash_seed", &c.HashSeed, 0, 1<<32-1),
			sysctl.Int("net.ipv4.fib_multipath_use_neigh", &c.UseNeigh, 0, 1),
		}
	})
	n.Dev.Proc().Register("route", n.procRoute)
	n.Dev.Proc().Register("stat/rt_cache", n.procRtCache)
	n.Dev.Proc().Register("fib_trie", n.procFibTrie)
	n.Dev.Proc().Register("fib_triestat", n.procFibTrieStat)
	// There has been no cache of routes since Linux 3.6; the file has its
	// header still.
	n.Dev.Proc().Register("rt_cache", func(b []byte) []byte {
		return append(b, fmt.Sprintf("%-127s\n", "Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst")...)
	})
}

// Flags of a line of /proc/net/route (Linux: RTF_*).
const (
	rtfUp      = 1
	rtfGateway = 2
	rtfHost    = 4
	rtfReject  = 0x200
)

// procRoute is the text of /proc/net/route: the main table by address (Linux:
// fib_route_seq_show). Lines have 127 characters. Addresses are in hexadecimal
// as they lie in memory.
func (n *Net) procRoute(b []byte) []byte {
	line := func(format string, args ...any) { b = fmt.Appendf(b, "%-127s\n", fmt.Sprintf(format, args...)) }
	line("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT")
	for _, e := range n.FIB.DumpTable(fib.TableMain) {
		if e.Type == fib.Broadcast || e.Type == fib.Multicast {
			continue
		}
		flags := rtfUp
		if e.Type == fib.Unreachable || e.Type == fib.Prohibit {
			flags = rtfReject | rtfUp
		}
		if e.Bits == 32 {
			flags |= rtfHost
		}
		dev, mss := "*", uint32(0)
		var gw header.Addr
		if nh := e.NH(); nh != nil {
			if gw = nh.Gateway; gw != 0 {
				flags |= rtfGateway
			}
			if nh.Dev != nil {
				dev = nh.Dev.Name()
			}
			if mss = e.Metric(fib.RTAXAdvMSS); mss != 0 {
				mss += 40
			}
		}
		line("%s\t%08X\t%08X\t%04X\t%d\t%d\t%d\t%08X\t%d\t%d\t%d", dev, wire(e.Dst), wire(gw), flags, 0, 0, e.Priority,
			wire(header.Mask(e.Bits)), mss, e.Metric(fib.RTAXWindow), e.Metric(fib.RTAXRTT)>>3)
	}
	return b
}

// wire is an address as a little-endian machine reads it from the wire.
func wire(a header.Addr) uint32 {
	p := a.As4()
	return binary.LittleEndian.Uint32(p[:])
}

// procRtCache is the text of /proc/net/stat/rt_cache (Linux:
// rt_cpu_seq_show), as of one processor.
func (n *Net) procRtCache(b []byte) []byte {
	n.settleRxCount()
	s := &n.RouteStats
	b = append(b, "entries  in_hit   in_slow_tot in_slow_mc in_no_route in_brd   in_martian_dst in_martian_src out_hit  out_slow_tot out_slow_mc gc_total gc_ignored gc_goal_miss gc_dst_overflow in_hlist_search out_hlist_search\n"...)
	v := func(c *atomic.Uint64) uint32 { return uint32(c.Load()) }
	return fmt.Appendf(b, "%08x %08x %08x    %08x   %08x    %08x %08x       %08x       %08x %08x     %08x    %08x %08x   %08x     %08x        %08x        %08x\n",
		0, 0, v(&s.InSlowTot), v(&s.InSlowMC), v(&s.InNoRoute), v(&s.InBrd), v(&s.InMartianDst), v(&s.InMartianSrc),
		0, v(&s.OutSlowTot), v(&s.OutSlowMC), 0, 0, 0, 0, 0, 0)
}

// DevEvent follows a device (Linux: fib_netdev_event). It is called after the
// device has, or as long as it has, its IPv4 side.
func (n *Net) DevEvent(ev napi.Event, dev *napi.NetDevice) {
	switch ev {
	case napi.EventUp:
		n.mu.Lock()
		d := n.InDev(dev.Ifindex())
		var evs []RTEvent
		if d != nil {
			for i := range d.addrs {
				evs = append(evs, n.addIfaddrRoutes(d, &d.addrs[i])...)
			}
		}
		n.mu.Unlock()
		n.FIB.SyncUp(dev)
		n.FIB.SyncCarrier(dev, dev.CarrierOK()) // what it did while it was down was not told
		n.Notify(evs...)
	case napi.EventDown:
		n.Notify(routesFlushed(n.FIB.SyncDown(dev, false))...)
	case napi.EventChange:
		n.FIB.SyncCarrier(dev, dev.CarrierOK())
	case napi.EventChangeMTU:
		n.FIB.Bump()
	}
}
