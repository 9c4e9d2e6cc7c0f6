// Package fib is the forwarding information base: which prefix goes where
// (Linux: net/ipv4/fib_*.c).
//
// A [FIB] is that of one namespace: any number of tables, each an LC-trie of
// prefixes, the policy rules that choose among them, and the fib_infos that
// routes of all tables share. Lookups take no lock, allocate nothing and come
// from any context. Changes are serialised by the FIB and visible to lookups
// one at a time.
package fib

import (
	"syscall"

	"barewire/skb/header"
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
	Throw // not in this table: the next rule decides

	typeMax = Throw
)

var typeNames = [...]string{"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw"} // read-only

// String returns the name iproute2 uses.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Err returns the error of looking up a route of this type, 0 if it can be
// used (Linux: fib_props). EAGAIN means that the next rule decides.
func (t Type) Err() syscall.Errno {
	switch t {
	case Blackhole:
		return syscall.EINVAL
	case Unreachable:
		return syscall.EHOSTUNREACH
	case Prohibit:
		return syscall.EACCES
	case Throw:
		return syscall.EAGAIN
	}
	return 0
}

// minScope is the widest scope a route of the type may have (Linux: the scope
// of fib_props).
func (t Type) minScope() Scope {
	switch t {
	case Unspec:
		return ScopeNowhere
	case Local:
		return ScopeHost
	case Broadcast, Anycast:
		return ScopeLink
	}
	return ScopeUniverse
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
	TableUnspec  = 0
	TableDefault = 253
	TableMain    = 254
	TableLocal   = 255
)

// Who made a route (Linux: RTPROT_*).
const (
	ProtRedirect = 1
	ProtKernel   = 2
	ProtBoot     = 3
	ProtStatic   = 4
)

// Metrics of a route, the indexes of [Metrics] (Linux: RTAX_*).
const (
	RTAXLock = iota + 1 // bit mask of metrics that do not change
	RTAXMTU
	RTAXWindow
	RTAXRTT
	RTAXRTTVar
	RTAXSSThresh
	RTAXCwnd
	RTAXAdvMSS
	RTAXReordering
	RTAXHopLimit
	RTAXInitCwnd
	RTAXFeatures
	RTAXRTOMin
	RTAXInitRwnd
	RTAXQuickAck
	RTAXCCAlgo
	RTAXFastOpenNoCookie

	RTAXMax = RTAXFastOpenNoCookie
)

// Metrics are the metrics of a route by RTAX number; 0 is not set.
type Metrics [RTAXMax + 1]uint32

// tosMask is the bits of a flow's type of service that routes and rules are
// compared with: those RFC 1349 gave a meaning, without precedence and ECN
// (Linux: INET_DSCP_LEGACY_TOS_MASK).
const tosMask = 0x1c

// Flow is the key of a lookup (Linux: struct flowi4).
type Flow struct {
	Dst, Src     header.Addr
	OIF          int32 // must leave by this device, 0 for any
	IIF          int32 // arrived on this device, 0 when sent from here
	Mark         uint32
	TOS          uint8
	Proto        uint8
	Scope        Scope // no route of a wider scope: ScopeLink is on-link only
	OnLink       bool  // without a gateway only: SO_DONTROUTE (RTO_ONLINK)
	SPort, DPort uint16
	// AnySrc lets Src be an address of others, for a transparent proxy (Linux:
	// FLOWI_FLAG_ANYSRC).
	AnySrc bool

	// IgnoreLinkDown takes nexthops without carrier for usable whatever
	// ignore_routes_with_linkdown says (Linux: FIB_LOOKUP_IGNORE_LINKSTATE).
	IgnoreLinkDown bool
}

// Entry is one route: a prefix and what it shares with others (Linux: struct
// fib_alias). It is a value; changing it changes nothing in the table.
type Entry struct {
	Dst   header.Addr // masked
	Bits  int         // prefix length
	TOS   uint8
	Table uint32
	*Info
}

// Route is an Entry.
type Route = Entry

// Result is what a lookup found (Linux: struct fib_result). Info and NH do not
// change, except for the flags of nexthops.
type Result struct {
	*Info
	NH    *Nexthop // of several the first that will do; see Info.Select
	Bits  int
	TOS   uint8 // of the route
	Table uint32
}
