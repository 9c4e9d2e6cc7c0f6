package rtnetlink

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/sys/netlink"
)

// Types of requests (Linux: RTM_*).
const (
	rtmNewLink  = 16
	rtmDelLink  = 17
	rtmGetLink  = 18
	rtmSetLink  = 19
	rtmNewAddr  = 20
	rtmDelAddr  = 21
	rtmGetAddr  = 22
	rtmNewRoute = 24
	rtmDelRoute = 25
	rtmGetRoute = 26
	rtmNewNeigh = 28
	rtmDelNeigh = 29
	rtmGetNeigh = 30
	rtmNewRule  = 32
	rtmDelRule  = 33
	rtmGetRule  = 34
	rtmNewQdisc = 36
	rtmGetQdisc = 38

	rtmNewNetconf  = 80
	rtmDelNetconf  = 81
	rtmGetNetconf  = 82
	rtmNewNSID     = 88
	rtmDelNSID     = 89
	rtmGetNSID     = 90
	rtmNewLinkProp = 108
	rtmDelLinkProp = 109

	rtmMax = 123
)

// Multicast groups (Linux: RTNLGRP_*).
const (
	groupLink    = 1
	groupNeigh   = 3
	groupIfaddr  = 5
	groupRoute   = 7
	groupRule    = 8
	groupNetconf = 24
	groupNSID    = 28
	groupMax     = 38
)

// Families beside AF_INET.
const (
	afUnspec        = 0
	afInet          = syscall.AF_INET
	afInet6         = syscall.AF_INET6
	rtnlFamilyIPMR  = 128
	rtnlFamilyIP6MR = 129
)

// Route is NETLINK_ROUTE of one namespace.
type Route struct {
	// FindNet returns the namespace that an open file stands for, or with fd
	// false a process, to the calling program. Nil: there are no others. It is
	// set before the first socket is made.
	FindNet func(fd bool, n uint32) (*napi.Net, error)

	current atomic.Pointer[netlink.Request] // being carried out, under mu
	nsids   nsids
	flags   map[*napi.NetDevice]uint32 // as last announced; used by the notifier chain alone
	net     *inet.Net
	dev     *napi.Net
	ip      *ip.Net
	nl      *netlink.Table
	mu      sync.Mutex // one request at a time
	gen     [gens]atomic.Uint32
	stop    []func()
}

// What changed, for NLM_F_DUMP_INTR. As in Linux the list of devices changes when
// one comes or goes, not when its state does, which it may at any time; and for the
// same reason dumps of neighbours are never marked.
const (
	genLink = iota
	genAddr
	genRoute
	genRule
	gens
)

// initPid is the port of a process's first socket: programs here are init.
const initPid = 1

// New makes the netlink sockets of a namespace and enters their family. The
// error is that of a family that is there already.
func New(n *inet.Net) (*Route, error) {
	r := &Route{net: n, dev: n.Dev(), ip: n.IP(), flags: map[*napi.NetDevice]uint32{}}
	r.nl = netlink.New(n.Dev().Clock(), n.Dev().Rand, initPid)
	if err := r.nl.Register(syscall.NETLINK_ROUTE, &netlink.Protocol{Groups: groupMax, Rcv: r.rcv}); err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	if err := n.SockRegister(syscall.AF_NETLINK, r.nl.Create); err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	r.stop = append(r.stop, r.dev.RegisterNotifier(r.devEvent))
	r.dev.Sysctl().OnChange(r.settingChanged)
	r.dev.Proc().Register("netlink", r.nl.Show)
	r.listen()
	return r, nil
}

// Netlink returns the namespace's sockets, where other protocols are entered.
func (r *Route) Netlink() *netlink.Table { return r.nl }

// Close ends the notifications; for the end of a namespace.
func (r *Route) Close() {
	for _, f := range r.stop {
		f()
	}
	r.stop = nil
	r.dev.Sysctl().OnChange(nil)
}

// request is a netlink request with the family from its first byte.
type request struct {
	*netlink.Request
	family uint8
}

func (q *request) fail(err syscall.Errno, msg string) error { return q.Ack.Fail(err, msg) }

// rcv is rtnetlink_rcv_msg.
func (r *Route) rcv(nr *netlink.Request) error {
	if nr.Type > rtmMax {
		return syscall.EOPNOTSUPP
	}
	if len(nr.Data) < 1 {
		return nil
	}
	q := &request{nr, nr.Data[0]}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Store(nr)
	defer r.current.Store(nil)
	const kindNew, kindDel, kindGet = 0, 1, 2
	switch kind := nr.Type & 3; {
	case kind == kindGet && nr.Flags&netlink.FlagDump != 0:
		return r.dump(q)
	case kind == kindDel && nr.Flags&netlink.FlagBulk != 0 && nr.Type != rtmDelNeigh:
		return q.fail(syscall.EOPNOTSUPP, "Bulk delete is not supported")
	}
	switch nr.Type {
	case rtmGetLink:
		return r.getLink(q)
	case rtmNewLink:
		return r.newLink(q)
	case rtmSetLink:
		return r.setLink(q)
	case rtmDelLink:
		return r.delLink(q)
	case rtmNewLinkProp, rtmDelLinkProp:
		return r.linkProp(q)
	case rtmGetQdisc:
		return r.getQdisc(q)
	case rtmSetNeighTbl:
		return r.setNeighTbl(q)
	case rtmNewNSID:
		return r.newNSID(q)
	case rtmGetNSID:
		return r.getNSID(q)
	}
	if q.family == rtnlFamilyIPMR {
		return r.mroute(q)
	}
	// The families without a room fall back to AF_UNSPEC, which has these for
	// links only.
	if q.family != afInet {
		if nr.Type == rtmGetNeigh || nr.Type == rtmNewNeigh || nr.Type == rtmDelNeigh ||
			nr.Type == rtmNewRule || nr.Type == rtmDelRule {
			return syscall.EAFNOSUPPORT
		}
		return syscall.EOPNOTSUPP
	}
	switch nr.Type {
	case rtmGetNetconf:
		return r.getNetconf(q)
	case rtmNewAddr:
		return r.newAddr(q)
	case rtmDelAddr:
		return r.delAddr(q)
	case rtmNewRoute:
		return r.newRoute(q)
	case rtmDelRoute:
		return r.delRoute(q)
	case rtmGetRoute:
		return r.getRoute(q)
	case rtmNewNeigh:
		return r.newNeigh(q)
	case rtmDelNeigh:
		return r.delNeigh(q)
	case rtmGetNeigh:
		return r.getNeigh(q)
	case rtmNewRule:
		return r.newRule(q)
	case rtmDelRule:
		return r.delRule(q)
	}
	return syscall.EOPNOTSUPP
}

// dump starts a list. An error of the room is told where the list would end,
// as Linux's dumpit functions do.
func (r *Route) dump(q *request) error {
	err := r.startDump(q)
	if e, ok := err.(syscall.Errno); ok && !netlink.Dumping(err) && e != syscall.EOPNOTSUPP {
		return q.Dump(netlink.Dump{Next: func(*netlink.Builder) (bool, error) { return false, e }})
	}
	return err
}

// only reports whether a has no other attributes than those of types.
func only(a netlink.Attrs, types ...int) bool {
	for t := range a {
		if a.Has(t) && !slices.Contains(types, t) {
			return false
		}
	}
	return true
}

func (r *Route) startDump(q *request) error {
	switch q.Type {
	case rtmGetLink:
		if q.family == rtnlFamilyIPMR {
			return r.dumpMRouteTables(q)
		}
		return r.dumpLinks(q)
	case rtmGetQdisc:
		return r.dumpQdiscs(q)
	case rtmGetNeighTbl:
		return r.dumpNeighTbls(q)
	case rtmGetNSID:
		return r.dumpNSIDs(q)
	case rtmGetAddr, rtmGetMulticast, rtmGetRoute, rtmGetNetconf:
		// A family that has no lists of its own gets those of AF_UNSPEC, which
		// is all; netlink libraries say -1 for it (Linux: rtnl_get_link).
		if q.family == afInet6 || q.Type == rtmGetRoute && q.family == rtnlFamilyIP6MR {
			return q.Dump(empty())
		}
		if q.Type == rtmGetRoute && q.family == rtnlFamilyIPMR {
			return r.dumpMRoutes(q)
		}
		if q.Type == rtmGetMulticast && q.family != afInet {
			return syscall.EOPNOTSUPP // AF_UNSPEC has no list of them
		}
	case rtmGetNeigh:
		if q.family != afUnspec && q.family != afInet {
			return q.Dump(empty())
		}
	case rtmGetRule:
		if q.family != afUnspec && q.family != afInet {
			return syscall.EAFNOSUPPORT
		}
	}
	switch q.Type {
	case rtmGetNetconf:
		return r.dumpNetconf(q)
	case rtmGetAddr:
		return r.dumpAddrs(q)
	case rtmGetMulticast:
		return r.dumpGroups(q)
	case rtmGetRoute:
		return r.dumpRoutes(q)
	case rtmGetNeigh:
		return r.dumpNeighs(q)
	case rtmGetRule:
		return r.dumpRules(q)
	}
	return syscall.EOPNOTSUPP
}

// empty is the dump of nothing.
func empty() netlink.Dump {
	return netlink.Dump{Next: func(*netlink.Builder) (bool, error) { return false, nil }}
}

func (r *Route) seq(what int) func() uint32 { return r.gen[what].Load }

// tellFor is tell for what requests of a kind, which is the type of the one
// that makes, bring about: while one is carried out, the message is an answer
// to it.
func (r *Route) tellFor(kind uint16, group int, put func(b *netlink.Builder)) {
	if q := r.current.Load(); q != nil && q.Type&^3 == kind {
		q.Notify(group, put)
		return
	}
	r.tell(group, put)
}

// tell announces a message to a group. It does not block.
func (r *Route) tell(group int, put func(b *netlink.Builder)) { r.tellBy(0, group, put) }

// tellBy is tell of something that a port brought about.
func (r *Route) tellBy(port uint32, group int, put func(b *netlink.Builder)) {
	if !r.nl.HasListeners(syscall.NETLINK_ROUTE, group) {
		return
	}
	b := netlink.NewBuilder(port)
	put(b)
	r.nl.Broadcast(syscall.NETLINK_ROUTE, group, b.Bytes())
}
