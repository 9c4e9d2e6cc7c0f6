// Package netfilter is the hook layer of the IPv4 path: five points where
// functions in order of priority may look at a packet and decide over it
// (Linux: net/netfilter/core.c).
//
//	in:  PREROUTING → route → INPUT (LOCAL_IN)   → socket
//	                        → FORWARD            → POSTROUTING → device
//	out: OUTPUT (LOCAL_OUT) → route              → POSTROUTING → device
//
// Before the first of them, at the device, is INGRESS, which sees packets of
// every protocol.
//
// The path is written in halves joined at the hook: the code before calls
// [Hooks.Run], and goes on with the second half only when it returns true. An
// empty hook point costs one atomic load.
//
// Connection tracking, NAT and the tables of iptables stand on this package
// and register here; nothing below knows them.
package netfilter
