// Package nf wires the packet filter of one namespace together: the rooms below
// netfilter with the IP layer, the clock, the settings and the files of /proc/net
// (Linux: the pernet_operations and hook registrations of net/netfilter and
// net/ipv4/netfilter).
//
// [New] makes everything and registers nothing: a namespace without rules has
// empty hook points. Connection tracking begins with the first user of it
// ([NF.UseConntrack]) and ends with the last.
package nf
