package ip

import (
	"sync/atomic"
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Flags of a routing decision (Linux: RTCF_*).
const (
	RTCFRedirected = 0x00040000
	RTCFBroadcast  = 0x10000000
	RTCFMulticast  = 0x20000000
	RTCFLocal      = 0x80000000
)

// What Input and Output do with a packet.
const (
	inLocal uint8 = iota
	inForward
	inError
	inMRoute
	outUnicast uint8 = iota
	outMC
	outBug
)

// Rtable is a routing decision (Linux: struct rtable). It is shared and does
// not change.
type Rtable struct {
	net     *Net
	Dev     *napi.NetDevice // device to send on; for local packets the one they came by
	Type    fib.Type
	Flags   uint32
	Gateway header.Addr // 0: the destination itself is the next hop
	Err     syscall.Errno

	nh      *fib.Nexthop // nil for decisions that belong to a device
	info    *fib.Info    // the route, nil if there is none
	mtu     int          // metric of the route, 0 for the device's
	pmtu    int          // of an exception, 0 for none
	locked  bool         // of an exception: pmtu is the least, not what was said
	expires int64        // of an exception, on the instance's clock; 0 never
	in, out uint8
}

// MTU returns the largest packet the route takes, what was learnt about the
// path included (Linux: ip_dst_mtu, ipv4_mtu).
func (rt *Rtable) MTU() int {
	if rt.pmtu != 0 && !rt.Expired() {
		return rt.pmtu
	}
	return rt.linkMTU()
}

// linkMTU is MTU without what was learnt about the path.
func (rt *Rtable) linkMTU() int {
	if rt.mtu != 0 {
		return min(rt.mtu, rt.Dev.MTU())
	}
	mtu := min(rt.Dev.MTU(), header.IPv4MaxPacket)
	if rt.Gateway != 0 && mtu > 576 && rt.MTULocked() {
		return 576 // what every path takes (RFC 1122 section 3.3.3)
	}
	return mtu
}

// Expired reports whether the exception the decision stands for is over: who
// keeps it must decide again.
func (rt *Rtable) Expired() bool {
	return rt.expires != 0 && rt.net.Dev.Clock().Now() >= rt.expires
}

// Metric returns a metric of the route by its RTAX number, 0 if it has none
// (Linux: dst_metric). The maximum segment size follows from the MTU when it is
// not set (Linux: ipv4_default_advmss).
func (rt *Rtable) Metric(i int) uint32 {
	var v uint32
	if rt.info != nil {
		v = rt.info.Metric(i)
	}
	if i == fib.RTAXAdvMSS && v == 0 {
		mss := max(rt.MTU()-40, int(rt.net.Route.MinAdvMSS.Load()))
		return uint32(min(mss, 65535-40))
	}
	return v
}

// Route returns the route the decision was made by, nil if by none.
func (rt *Rtable) Route() *fib.Info { return rt.info }

// Nexthop returns the address the neighbour is looked up by (Linux:
// rt_nexthop).
func (rt *Rtable) Nexthop(dst header.Addr) header.Addr {
	if rt.Gateway != 0 {
		return rt.Gateway
	}
	return dst
}

// Toward returns the decision with the next hop known to be a, whatever the
// packet's header says (Linux: FLOWI_FLAG_KNOWN_NH). A gateway stays.
func (rt *Rtable) Toward(a header.Addr) *Rtable {
	if rt.Gateway != 0 {
		return rt
	}
	to := *rt
	to.Gateway = a
	return &to
}

// Input implements skb.Dst (Linux: dst_input). Consumes b.
func (rt *Rtable) Input(b *skb.Buff) error {
	switch rt.in {
	case inLocal:
		rt.net.LocalDeliver(b)
	case inError:
		rt.net.inputError(b, rt)
	case inMRoute:
		rt.net.MR.Input(b, rt)
	default:
		rt.net.forward(b, rt)
	}
	return nil
}

// Output implements skb.Dst (Linux: dst_output). Consumes b.
func (rt *Rtable) Output(b *skb.Buff) error {
	switch rt.out {
	case outUnicast:
		return rt.net.output(b, rt)
	case outMC:
		return rt.net.mcOutput(b, rt)
	}
	rt.net.drop(b, skb.IPOutNoRoutes) // a received packet's decision (Linux: ip_rt_bug)
	return syscall.EINVAL
}

// nhState is what the IP layer keeps with a nexthop (Linux: nhc_pcpu_rth_output
// and nhc_exceptions of struct fib_nh_common).
type nhState struct {
	out Rtable // the decision all packets of the nexthop share
	exc exceptions
}

// fibEnv is what the routing tables see of the IP layer.
type fibEnv struct{ n *Net }

func (e fibEnv) Device(ifindex int32) *napi.NetDevice {
	if d := e.n.InDev(ifindex); d != nil {
		return d.Dev
	}
	return nil
}

func (e fibEnv) AddrType(a header.Addr) fib.Type { return e.n.AddrType(a) }

func (e fibEnv) IgnoreLinkDown(dev *napi.NetDevice) bool {
	d := e.n.InDev(dev.Ifindex())
	return d != nil && OrConf(&e.n.ConfAll.IgnoreLinkdown, &d.Conf.IgnoreLinkdown)
}

func (e fibEnv) InitNexthop(i *fib.Info, nh *fib.Nexthop) {
	nh.Priv = &nhState{out: Rtable{net: e.n, Dev: nh.Dev, Type: i.Type, Gateway: nh.Gateway,
		nh: nh, info: i, mtu: int(i.Metric(fib.RTAXMTU)), in: inForward, out: outUnicast}}
}

// nexthopRoute returns the decision for packets to dst by a nexthop: the shared
// one, or what is known otherwise of this destination.
func (n *Net) nexthopRoute(nh *fib.Nexthop, dst header.Addr) *Rtable {
	s := nh.Priv.(*nhState)
	if s.exc.used.Load() {
		if rt := s.exc.find(n, dst); rt != nil {
			return rt
		}
	}
	return &s.out
}

// RouteConf is net.ipv4.route.* and what belongs to it (Linux: ip_rt_*).
type RouteConf struct {
	MTUExpires atomic.Int64 // ns
	MinPMTU    atomic.Int32
	MinAdvMSS  atomic.Int32
	GCTimeout  atomic.Int64 // ns: how long a redirect is followed

	// MultipathHash is fib_multipath_hash_policy: 0 addresses, 1 also ports, 2
	// addresses inside a tunnel, 3 the fields of HashFields.
	MultipathHash atomic.Int32
	HashFields    atomic.Int32
	HashSeed      atomic.Int64 // 0: random
	UseNeigh      atomic.Int32
}

// RouteStats counts received packets that were routed or refused (Linux:
// struct rt_cache_stat).
type RouteStats struct {
	InSlowTot, InSlowMC, InNoRoute, InBrd   atomic.Uint64
	InMartianDst, InMartianSrc              atomic.Uint64
	OutSlowTot, OutSlowMC, PMTU, Redirected atomic.Uint64
}
