package fib

import (
	"barewire/skb/header"
)

// Flags of a request to add something (Linux: NLM_F_*).
const (
	FlagReplace = 0x100 // take the place of what is there
	FlagExcl    = 0x200 // EEXIST if something is there
	FlagCreate  = 0x400 // make it if it is not there
	FlagAppend  = 0x800 // behind what is there
)

// Flags of a nexthop (Linux: RTNH_F_*).
const (
	NHDead     = 1  // the device is down
	NHOnLink   = 4  // the gateway is on the link, whatever the routes say
	NHLinkDown = 16 // the device has no carrier
)

// Config is a request to add or delete a route (Linux: struct fib_config).
type Config struct {
	Dst      header.Addr
	Bits     int // prefix length
	TOS      uint8
	Table    uint32 // 0 means main
	Type     Type   // when deleting, Unspec means any
	Scope    Scope  // when deleting, ScopeNowhere means any
	Protocol uint8  // RTPROT_*; when deleting, 0 means any
	Priority uint32 // lower wins; when deleting, 0 means any
	PrefSrc  header.Addr
	OIF      int32
	Gateway  header.Addr
	NHFlags  uint32 // NHOnLink
	Metrics  Metrics

	// Multipath replaces OIF and Gateway when it is not empty.
	Multipath []NexthopConfig
}

// NexthopConfig is one nexthop of a multipath route (Linux: struct rtnexthop).
type NexthopConfig struct {
	OIF     int32
	Gateway header.Addr
	Weight  int // 1 to 256; 0 means 1 (rtnh_hops + 1)
	Flags   uint32
}

// nexthops returns the nexthops asked for as one list.
func (c *Config) nexthops() []NexthopConfig {
	if len(c.Multipath) > 0 {
		return c.Multipath
	}
	return []NexthopConfig{{OIF: c.OIF, Gateway: c.Gateway, Weight: 1, Flags: c.NHFlags}}
}

// Action is what a policy rule does (Linux: FR_ACT_*).
type Action uint8

// Actions of rules.
const (
	ActUnspec Action = iota
	ActToTable
	ActGoto
	ActNop
	ActRes3
	ActRes4
	ActBlackhole
	ActUnreachable
	ActProhibit
)

// PortRange is a range of ports, both ends in it. The zero value is any port.
type PortRange struct{ Start, End uint16 }

// Rule is a policy rule (Linux: struct fib_rule, struct fib4_rule). Rules are
// tried by ascending Priority; the first that matches and whose table has a
// route decides.
type Rule struct {
	Priority uint32
	Src, Dst header.Addr
	SrcBits  int
	DstBits  int
	TOS      uint8
	Mark     uint32
	MarkMask uint32
	IIF, OIF string // names of devices, "" for any; they need not exist
	IPProto  uint8
	SPort    PortRange
	DPort    PortRange
	Invert   bool // matches what it would not
	Action   Action
	Table    uint32 // of ActToTable
	Goto     uint32 // priority of the rule to go on with, of ActGoto
	Protocol uint8  // RTPROT_* of who made it
	L3mdev   bool

	// SuppressPrefixlen drops a route found whose prefix is no longer than
	// this; -1 for none. As a zero Rule would suppress default routes, start
	// from NewRule.
	SuppressPrefixlen int
	SuppressIfGroup   int // -1 for none
}

// NewRule returns a rule that matches everything and looks into a table.
func NewRule(priority, table uint32) Rule {
	return Rule{Priority: priority, Action: ActToTable, Table: table, SuppressPrefixlen: -1, SuppressIfGroup: -1}
}
