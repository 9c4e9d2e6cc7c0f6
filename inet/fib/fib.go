// Package fib is the forwarding information base: which prefix goes where
// (Linux: net/ipv4/fib_*.c).
//
// [Table] is what the IP layer looks routes up in. The one table there is now,
// [Linear], is an immutable list behind a pointer, walked from the longest
// prefix on: right for a host with a handful of routes, and the plain reference
// that a trie is tested against.
package fib

import (
	"sort"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// Type is what happens to packets of a route (Linux: RTN_*).
type Type uint8

// Route types.
const (
	Unspec Type = iota
	Unicast
	Local
	Broadcast
	Anycast
	Multicast
	Blackhole
	Unreachable
	Prohibit
)

var typeNames = [...]string{"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit"} // read-only

// String returns the name iproute2 uses.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Err returns the error of looking up a route of this type, 0 if it can be
// used (Linux: fib_props).
func (t Type) Err() syscall.Errno {
	switch t {
	case Blackhole:
		return syscall.EINVAL
	case Unreachable:
		return syscall.EHOSTUNREACH
	case Prohibit:
		return syscall.EACCES
	}
	return 0
}

// Scope is the distance to a destination (Linux: RT_SCOPE_*).
type Scope uint8

// Scopes.
const (
	ScopeUniverse Scope = 0
	ScopeSite     Scope = 200
	ScopeLink     Scope = 253
	ScopeHost     Scope = 254
	ScopeNowhere  Scope = 255
)

// Numbers of the tables (Linux: RT_TABLE_*).
const (
	TableDefault = 253
	TableMain    = 254
	TableLocal   = 255
)

// Who made a route (Linux: RTPROT_*).
const (
	ProtKernel = 2
	ProtBoot   = 3
	ProtStatic = 4
)

// Flow is the key of a lookup (Linux: struct flowi4).
type Flow struct {
	Dst, Src     header.Addr
	OIF          int32 // must leave by this device, 0 for any
	IIF          int32 // arrived on this device, 0 when sent from here
	Mark         uint32
	TOS          uint8
	Proto        uint8
	OnLink       bool // without a gateway only: SO_DONTROUTE (RTO_ONLINK)
	SPort, DPort uint16
}

// Info is a route without its prefix (Linux: struct fib_info). It does not
// change once it is in a table.
type Info struct {
	Type     Type
	Scope    Scope
	Protocol uint8
	Metric   uint32 // lower wins among equal prefixes (fib_priority)
	PrefSrc  header.Addr
	MTU      int // 0 for the device's
	NH       Nexthop
}

// Nexthop is where a route leads (Linux: struct fib_nh).
type Nexthop struct {
	Dev     *napi.NetDevice
	Gateway header.Addr // 0 when the destination is on the link

	// In and Out are the routing decisions packets of this nexthop share, for
	// received and for sent ones. The IP layer makes them before the route
	// enters a table.
	In, Out skb.Dst
}

// Route is one entry of a table.
type Route struct {
	Dst  header.Addr // masked
	Bits int         // prefix length
	Tab  uint8       // number of the table: local is looked up before main
	*Info
}

// Result is what a lookup found (Linux: struct fib_result).
type Result struct {
	*Info
	Bits int
}

// Table is a set of routes. Lookup is called per packet, from any context, and
// takes no lock; the others serialise themselves.
type Table interface {
	// Lookup finds the longest matching prefix. ENETUNREACH if there is none,
	// the error of its type if that is not usable. The flow is passed by
	// value: through an interface a pointer would put it on the heap.
	Lookup(f Flow) (Result, syscall.Errno)
	// Insert adds a route; EEXIST when prefix, table, metric and device are
	// taken.
	Insert(r Route) error
	// Delete removes the routes for which match returns true, and returns how
	// many there were.
	Delete(match func(r *Route) bool) int
	// Routes returns all routes, longest prefix first.
	Routes() []Route
	// Generation changes with every change of the table: a decision cached
	// under another generation must be made again.
	Generation() uint32
}

// Linear is a Table as a sorted list.
type Linear struct {
	routes atomic.Pointer[[]Route]
	gen    atomic.Uint32
	mu     sync.Mutex
}

// NewLinear returns an empty table.
func NewLinear() *Linear {
	l := &Linear{}
	l.routes.Store(&[]Route{})
	return l
}

// Lookup implements Table.
func (l *Linear) Lookup(f Flow) (Result, syscall.Errno) {
	rs := *l.routes.Load()
	for i := range rs {
		r := &rs[i]
		if (f.Dst^r.Dst)&header.Mask(r.Bits) != 0 {
			continue
		}
		if f.OnLink && r.NH.Gateway != 0 {
			continue
		}
		if dev := r.NH.Dev; dev != nil {
			// As in Linux a route over a device that is down is not there, and
			// one of the local table leads here whatever the device asked for.
			if !dev.IsUp() || f.OIF != 0 && r.Tab != TableLocal && f.OIF != dev.Ifindex() {
				continue
			}
		}
		if e := r.Type.Err(); e != 0 {
			return Result{}, e
		}
		return Result{r.Info, r.Bits}, 0
	}
	return Result{}, syscall.ENETUNREACH
}

// Insert implements Table.
func (l *Linear) Insert(r Route) error {
	if r.Bits < 0 || r.Bits > 32 || r.Dst&^header.Mask(r.Bits) != 0 || r.Info == nil {
		return syscall.EINVAL
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.routes.Load()
	for i := range old {
		o := &old[i]
		if o.Dst == r.Dst && o.Bits == r.Bits && o.Tab == r.Tab && o.Metric == r.Metric && o.Type == r.Type && o.NH.Dev == r.NH.Dev {
			return syscall.EEXIST
		}
	}
	list := append(append(make([]Route, 0, len(old)+1), old...), r)
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		switch {
		case a.Tab != b.Tab: // local 255, main 254, default 253
			return a.Tab > b.Tab
		case a.Bits != b.Bits:
			return a.Bits > b.Bits
		}
		return a.Metric < b.Metric
	})
	l.routes.Store(&list)
	l.gen.Add(1)
	return nil
}

// Delete implements Table.
func (l *Linear) Delete(match func(r *Route) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.routes.Load()
	list := make([]Route, 0, len(old))
	for i := range old {
		if !match(&old[i]) {
			list = append(list, old[i])
		}
	}
	n := len(old) - len(list)
	if n > 0 {
		l.routes.Store(&list)
		l.gen.Add(1)
	}
	return n
}

// Routes implements Table.
func (l *Linear) Routes() []Route { return append([]Route(nil), *l.routes.Load()...) }

// Generation implements Table.
func (l *Linear) Generation() uint32 { return l.gen.Load() }
