// Package xtables holds the packet tables of iptables: raw, mangle, nat, filter
// and security, their chains and rules, and what walks them (Linux:
// net/netfilter/x_tables.c, net/ipv4/netfilter/ip_tables.c).
//
//	language (netfilter/iptables) → Config → Tables.Replace → snapshot → hooks
//	extensions (xtables/xt)       → Def: options, printing, Match or Target
//
// A [Config] describes one table: its chains in order, their rules, policies
// and counters. [Tables.Replace] checks a Config as the kernel checks a new
// table (jumps lead somewhere and never in a circle, every extension agrees
// with its table, hooks and protocol) and puts it in place of the old one at
// once: a packet sees either all of the old table or all of the new one.
//
// Rules are shared between the Configs of a table's life. A rule that was once
// installed must not be changed; to change it make another. Its counter and
// the state of its extensions live on as long as it stays in the table.
//
// A table that has no rules and only ACCEPT policies registers no hook and
// costs nothing. It does not count its policies either, as a table whose module
// is not loaded.
//
// A chain is walked in one of two ways with the same result: rule after rule
// (walk.go, the reference), or by the compiled index of compile.go, which names
// in order the few rules that can match at all.
//
// A known difference from Linux: TCPMSS keeps the checksum right when the option
// stands at an odd place, where Linux gets it wrong.
//
// Everything from outside this room comes with [Env].
package xtables
