package xtables

import (
	"sync/atomic"

	"barewire/netfilter"
	"barewire/skb/header"
)

// Counter counts the packets and bytes of a rule or a policy.
type Counter struct{ packets, bytes atomic.Uint64 }

// NewCounter returns a counter that begins at the given values.
func NewCounter(packets, bytes uint64) *Counter {
	c := new(Counter)
	c.Set(packets, bytes)
	return c
}

// Load returns packets and bytes.
func (c *Counter) Load() (packets, bytes uint64) { return c.packets.Load(), c.bytes.Load() }

// Set replaces both values.
func (c *Counter) Set(packets, bytes uint64) {
	c.packets.Store(packets)
	c.bytes.Store(bytes)
}

func (c *Counter) add(packets, bytes uint64) {
	c.packets.Add(packets)
	c.bytes.Add(bytes)
}

// Inv says which parts of an Entry are inverted, with Linux's IPT_INV_* bits.
type Inv uint8

// Bits of Inv.
const (
	InvIn    Inv = 0x01
	InvOut   Inv = 0x02
	InvSrc   Inv = 0x08
	InvDst   Inv = 0x10
	InvFrag  Inv = 0x20
	InvProto Inv = 0x40
)

// Entry is what every rule can ask of a packet without an extension (Linux:
// struct ipt_ip). The zero value matches every packet.
type Entry struct {
	// Src and Dst are compared under their masks, which need not be prefixes.
	// The address must have no bit outside its mask.
	Src, SrcMask, Dst, DstMask header.Addr
	// In and Out are device names, empty for any; a '+' at the end stands for
	// any rest of the name.
	In, Out string
	Proto   uint8 // 0 for any
	// Frag asks for fragments other than the first (-f), with InvFrag for all
	// other packets.
	Frag bool
	Inv  Inv
}

// MatchUse is a match in a rule.
type MatchUse struct {
	Def *Def
	Match
}

// Rule is one rule of a chain. After it was installed only its counter
// changes.
type Rule struct {
	Entry
	Matches []MatchUse
	// Jump is the target's name: ACCEPT, DROP, QUEUE, RETURN, a user chain or
	// an extension, empty for none.
	Jump      string
	Goto      bool // Jump is a user chain that does not come back here
	TargetDef *Def // with Target
	Target    Target
	Counter   Counter

	// Under Tables.edit: its extensions hold their state; the load that saw the
	// rule last.
	attached bool
	gen      uint64
}

// Names of the standard targets.
const (
	NameAccept = "ACCEPT"
	NameDrop   = "DROP"
	NameQueue  = "QUEUE"
	NameReturn = "RETURN"
)

// Chain is an ordered list of rules.
type Chain struct {
	Name string
	// Builtin chains are where a hook begins; Policy is their verdict at the
	// end, ACCEPT or DROP, with its counter.
	Builtin bool
	Hook    netfilter.Point // of a builtin chain
	Policy  string
	Counter *Counter
	Rules   []*Rule
}

// Config describes one table. Chains stand in the order of iptables-save: the
// builtin ones in order of their hooks, then the user's.
type Config struct {
	Name   string
	Chains []*Chain
}

// kind is what is fixed of a table.
type kind struct {
	name     string
	points   uint8 // mask of hooks
	priority int
	noHook   bool // asked by NAT, not by the hook
	reroute  bool // locally made packets are routed again when it changed them
}

// kinds are the tables, in the order of /proc/net/ip_tables_names. read-only
var kinds = []kind{
	{name: "raw", points: 1<<netfilter.PreRouting | 1<<netfilter.LocalOut, priority: netfilter.PriRaw},
	{name: "mangle", points: 1<<netfilter.NumPoints - 1, priority: netfilter.PriMangle, reroute: true},
	{name: "nat", points: 1<<netfilter.PreRouting | 1<<netfilter.LocalIn | 1<<netfilter.LocalOut | 1<<netfilter.PostRouting, noHook: true},
	{name: "filter", points: 1<<netfilter.LocalIn | 1<<netfilter.Forward | 1<<netfilter.LocalOut, priority: netfilter.PriFilter},
	{name: "security", points: 1<<netfilter.LocalIn | 1<<netfilter.Forward | 1<<netfilter.LocalOut, priority: netfilter.PriSecurity},
}

func kindOf(table string) *kind {
	for i := range kinds {
		if kinds[i].name == table {
			return &kinds[i]
		}
	}
	return nil
}

// TableNames returns the names of all tables there can be.
func TableNames() []string {
	l := make([]string, len(kinds))
	for i := range kinds {
		l[i] = kinds[i].name
	}
	return l
}

// NewConfig returns a table with its builtin chains, all empty with policy
// ACCEPT; nil if there is no table of that name.
func NewConfig(table string) *Config {
	k := kindOf(table)
	if k == nil {
		return nil
	}
	c := &Config{Name: table}
	for p := netfilter.Point(0); p < netfilter.NumPoints; p++ {
		if k.points&(1<<p) != 0 {
			c.Chains = append(c.Chains, &Chain{Name: p.String(), Builtin: true, Hook: p, Policy: NameAccept, Counter: new(Counter)})
		}
	}
	return c
}

// Chain returns the chain of that name, nil if there is none.
func (c *Config) Chain(name string) *Chain {
	for _, ch := range c.Chains {
		if ch.Name == name {
			return ch
		}
	}
	return nil
}

// Clone returns a copy to be changed: chains and their lists of rules are new,
// the rules and counters are shared.
func (c *Config) Clone() *Config {
	n := &Config{Name: c.Name, Chains: make([]*Chain, len(c.Chains))}
	for i, ch := range c.Chains {
		d := *ch
		d.Rules = append([]*Rule(nil), ch.Rules...)
		n.Chains[i] = &d
	}
	return n
}
