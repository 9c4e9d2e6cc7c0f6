package ip

import (
	"sync"
	"sync/atomic"
	"time"

	"barewire/inet/fib"
	"barewire/skb/header"
)

// exceptions is what is known of single destinations behind a nexthop: a
// smaller path MTU, another gateway (Linux: struct fib_nh_exception). A hash
// of excBuckets chains; a chain that is full loses its oldest entry, so what
// strangers can make us remember is bounded per nexthop.
type exceptions struct {
	used atomic.Bool
	mu   sync.Mutex // writers
	hash atomic.Pointer[[excBuckets]atomic.Pointer[exception]]
}

const (
	excBuckets = 2048 // FNHE_HASH_SIZE
	excDepth   = 5    // FNHE_RECLAIM_DEPTH
)

// exception does not change once it is in a chain, except for next.
type exception struct {
	dst   header.Addr
	rt    Rtable
	since int64 // when it was learnt
	next  atomic.Pointer[exception]
}

func (n *Net) excBucket(dst header.Addr) uint32 {
	return uint32(mix(n.hashKey^uint64(dst))>>32) % excBuckets
}

// find returns the decision for a destination, nil if it is no exception or no
// longer. No lock.
func (e *exceptions) find(n *Net, dst header.Addr) *Rtable {
	h := e.hash.Load()
	if h == nil {
		return nil
	}
	for x := h[n.excBucket(dst)].Load(); x != nil; x = x.next.Load() {
		if x.dst == dst {
			if x.rt.Expired() {
				return nil
			}
			return &x.rt
		}
	}
	return nil
}

// set replaces what is known of a destination (Linux: update_or_create_fnhe).
func (e *exceptions) set(n *Net, dst header.Addr, rt Rtable) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.hash.Load()
	if h == nil {
		h = new([excBuckets]atomic.Pointer[exception])
		e.hash.Store(h)
	}
	now := n.Dev.Clock().Now()
	head := &h[n.excBucket(dst)]
	var prev, old, beforeOld *exception
	depth := 0
	for x := head.Load(); x != nil; x = x.next.Load() {
		depth++
		if x.dst == dst {
			old, beforeOld, depth = x, prev, 0
			break
		}
		if old == nil || x.since < old.since {
			old, beforeOld = x, prev
		}
		prev = x
	}
	if old != nil && (old.dst == dst || depth >= excDepth) {
		if beforeOld == nil {
			head.Store(old.next.Load())
		} else {
			beforeOld.next.Store(old.next.Load())
		}
	}
	x := &exception{dst: dst, rt: rt, since: now}
	x.next.Store(head.Load())
	head.Store(x)
	e.used.Store(true)
}

// Exceptions calls fn for every destination of which more is known than its
// route says (Linux: fib_dump_info_fnhe). fn may not keep rt.
func Exceptions(e *fib.Entry, fn func(dst header.Addr, rt *Rtable)) {
	for k := range e.NHs {
		s, ok := e.NHs[k].Priv.(*nhState)
		if !ok || e.NHs[k].Flags()&fib.NHDead != 0 {
			continue
		}
		h := s.exc.hash.Load()
		if h == nil {
			continue
		}
		for i := range h {
			for x := h[i].Load(); x != nil; x = x.next.Load() {
				if !x.rt.Expired() {
					fn(x.dst, &x.rt)
				}
			}
		}
	}
}

// flush forgets all.
func (e *exceptions) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used.Store(false)
	e.hash.Store(nil)
}

// learn enters an exception of the nexthop of rt and makes kept decisions void.
func (rt *Rtable) learn(dst header.Addr, change func(x *Rtable)) bool {
	if rt.nh == nil {
		return false // of the device, not of a route
	}
	s, ok := rt.nh.Priv.(*nhState)
	if !ok {
		return false
	}
	x := s.out
	if old := s.exc.find(rt.net, dst); old != nil {
		x = *old
	}
	change(&x)
	s.exc.set(rt.net, dst, x)
	rt.net.FIB.Bump()
	return true
}

// MTULocked reports whether nothing is to be learnt about the path's MTU any
// more: the route says so, or it is at its least, where it may be less still
// (Linux: ip_mtu_locked). Then DF is not set either.
func (rt *Rtable) MTULocked() bool {
	return rt.locked && !rt.Expired() || rt.info != nil && rt.info.Metric(fib.RTAXLock)&(1<<fib.RTAXMTU) != 0
}

// Exception returns what is known of this one destination, and for how many
// nanoseconds yet: a smaller MTU than the route's, 0 for none, and whether that
// is locked. ok is false when the decision is the route's own.
func (rt *Rtable) Exception() (pmtu int, locked bool, left int64, ok bool) {
	if rt.expires == 0 || rt.Expired() {
		return 0, false, 0, false
	}
	return rt.pmtu, rt.locked, rt.expires - rt.net.Dev.Clock().Now(), true
}

// UpdatePMTU notes that the path to dst takes packets of mtu bytes at most
// (Linux: __ip_rt_update_pmtu; RFC 1191). What is larger than now is not
// believed. What is less than net.ipv4.route.min_pmtu, like the 0 of routers
// that know no better, is taken as that and locked. All is forgotten after
// mtu_expires. Any context.
func (rt *Rtable) UpdatePMTU(dst header.Addr, mtu int) {
	n := rt.net
	old := rt.MTU()
	if rt.MTULocked() || old < mtu {
		return
	}
	locked := false
	if least := int(n.Route.MinPMTU.Load()); mtu < least {
		locked, mtu = true, min(old, least)
	}
	life, now := n.Route.MTUExpires.Load(), n.Dev.Clock().Now()
	if rt.pmtu == mtu && !locked && now < rt.expires-life/2 {
		return // known, and for a while yet
	}
	change := func(x *Rtable) { x.pmtu, x.locked, x.expires = mtu, locked, now+max(life, 1) }
	if rt.info == nil || len(rt.info.NHs) < 2 {
		if rt.learn(dst, change) {
			n.RouteStats.PMTU.Add(1)
		}
		return
	}
	// Which way the next packet goes may depend on more than its destination.
	for k := range rt.info.NHs {
		if s, ok := rt.info.NHs[k].Priv.(*nhState); ok && s.out.learn(dst, change) {
			n.RouteStats.PMTU.Add(1)
		}
	}
}

// Redirect notes that packets to dst shall go by another gateway, as the one
// they go by said itself (Linux: __ip_do_redirect; RFC 1122 section 3.2.2.2).
// from is that gateway. Redirects that are not allowed, not by the gateway in
// use, or to a gateway that is on no link are ignored. Any context.
func (rt *Rtable) Redirect(dst, from, gw header.Addr) {
	n := rt.net
	d := n.InDev(rt.Dev.Ifindex())
	if d == nil || rt.Gateway != from || gw == from || !n.acceptRedirects(d) ||
		gw.IsMulticast() || gw.IsLBcast() || gw.IsZeronet() {
		return
	}
	if !OrConf(&n.ConfAll.SharedMedia, &d.Conf.SharedMedia) {
		if !d.OnLink(gw, from) || n.secureRedirects(d) && !n.isGateway(gw, rt.Dev.Ifindex()) {
			return
		}
	} else if n.AddrType(gw) != fib.Unicast {
		return
	}
	// Only to who is there: the first redirect asks, a later one is followed.
	nb, err := n.Neigh.Get(rt.Dev, gw)
	if err != nil || !nb.Resolve() {
		return
	}
	expires := n.Dev.Clock().Now() + max(n.Route.GCTimeout.Load(), 1)
	if rt.learn(dst, func(x *Rtable) {
		x.Gateway, x.expires = gw, expires
		x.Flags |= RTCFRedirected
	}) {
		n.RouteStats.Redirected.Add(1)
	}
}

// acceptRedirects is IN_DEV_RX_REDIRECTS: a router must be allowed to by all
// and by the device, a host by either.
func (n *Net) acceptRedirects(d *InDev) bool {
	if d.Conf.Forwarding.Load() != 0 {
		return AndConf(&n.ConfAll.AcceptRedirects, &d.Conf.AcceptRedirects)
	}
	return OrConf(&n.ConfAll.AcceptRedirects, &d.Conf.AcceptRedirects)
}

func (n *Net) secureRedirects(d *InDev) bool {
	return OrConf(&n.ConfAll.SecureRedirects, &d.Conf.SecureRedirects)
}

// isGateway reports whether a route over a device has a gateway (Linux:
// ip_fib_check_default).
func (n *Net) isGateway(gw header.Addr, ifindex int32) bool {
	found := false
	n.FIB.Dump(func(e fib.Entry) bool {
		for k := range e.NHs {
			found = found || e.NHs[k].Gateway == gw && e.NHs[k].OIF == ifindex
		}
		return !found
	})
	return found
}

// UpdatePMTU is Rtable.UpdatePMTU for the route of a flow (Linux:
// ipv4_update_pmtu).
func (n *Net) UpdatePMTU(f fib.Flow, mtu int) {
	if rt, err := n.RouteOutput(&f); err == 0 {
		rt.UpdatePMTU(f.Dst, mtu)
	}
}

// Redirect is Rtable.Redirect for the route of a flow (Linux: ipv4_redirect).
func (n *Net) Redirect(f fib.Flow, from, gw header.Addr) {
	if rt, err := n.RouteOutput(&f); err == 0 {
		rt.Redirect(f.Dst, from, gw)
	}
}

// FlushRoutes forgets all exceptions and makes kept decisions void (Linux:
// rt_cache_flush, writing net.ipv4.route.flush).
func (n *Net) FlushRoutes() {
	n.FIB.Dump(func(e fib.Entry) bool {
		for k := range e.NHs {
			if s, ok := e.NHs[k].Priv.(*nhState); ok {
				s.exc.flush()
			}
		}
		return true
	})
	n.FIB.Bump()
}

// ratelimit lets ten through in five seconds (Linux: net_ratelimit).
type ratelimit struct {
	mu    sync.Mutex
	begin int64
	n     int
}

func (r *ratelimit) allow(now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begin == 0 || now-r.begin > int64(5*time.Second) {
		r.begin, r.n = now, 0
	}
	r.n++
	return r.n <= 10
}
