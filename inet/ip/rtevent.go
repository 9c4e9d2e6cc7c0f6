package ip

import (
	"slices"
	"sync"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/napi"
)

// RTEventKind says what an RTEvent is about.
type RTEventKind uint8

// Kinds of events (Linux: RTM_NEWROUTE and the like).
const (
	RouteNew RTEventKind = iota + 1
	RouteDel
	AddrNew
	AddrDel
	RuleNew
	RuleDel
	NeighUpdate
)

// RTEvent is a change of the configuration of IPv4 (Linux: what rtmsg_fib,
// rtmsg_ifa and notify_rule_change tell). What it points to is the listener's
// to keep, and not to change.
type RTEvent struct {
	Kind  RTEventKind
	Flags uint16          // fib.FlagReplace or fib.FlagAppend of a RouteNew
	Quiet bool            // of a RouteDel that programs are not told of
	Dev   *napi.NetDevice // of an address
	Route *fib.Entry
	Addr  *Ifaddr
	Rule  *fib.Rule
	Neigh *neigh.Entry
}

// rtNotifier is the listeners of a namespace.
type rtNotifier struct {
	mu   sync.RWMutex
	list []*func(RTEvent)
}

// RegisterRTNotifier has fn called for every change of routes, addresses and
// rules from now on. fn must not block and must not change what it hears of; it
// may be called from any context, after the change is in force.
func (n *Net) RegisterRTNotifier(fn func(ev RTEvent)) (remove func()) {
	r := &n.rtnotify
	p := &fn
	r.mu.Lock()
	r.list = append(slices.Clone(r.list), p)
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		r.list = slices.DeleteFunc(slices.Clone(r.list), func(o *func(RTEvent)) bool { return o == p })
		r.mu.Unlock()
	}
}

// Notify tells the listeners of changes.
func (n *Net) Notify(evs ...RTEvent) {
	n.rtnotify.mu.RLock()
	l := n.rtnotify.list
	n.rtnotify.mu.RUnlock()
	for _, ev := range evs {
		for _, fn := range l {
			(*fn)(ev)
		}
	}
}

// routesFlushed is routesGone for routes that went with their device or their
// source address: programs hear of that, and not of each route (Linux:
// fib_flush).
func routesFlushed(gone []fib.Entry) []RTEvent {
	evs := routesGone(gone)
	for i := range evs {
		evs[i].Quiet = true
	}
	return evs
}

func routesGone(gone []fib.Entry) (evs []RTEvent) {
	for i := range gone {
		evs = append(evs, RTEvent{Kind: RouteDel, Route: &gone[i]})
	}
	return evs
}
