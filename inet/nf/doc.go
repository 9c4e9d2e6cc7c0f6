// Package nf wires the packet filter of one namespace together: the rooms below
// netfilter with the IP layer, the clock, the settings and the files of /proc/net
// (Linux: the pernet_operations and hook registrations of net/netfilter and
// net/ipv4/netfilter).
//
// [New] makes everything and registers nothing: a namespace without rules has
// empty hook points. Connection tracking begins with the first user of it
// ([NF.UseConntrack]) and ends with the last. Translation begins with the first
// rule of the nat table and stays ready from then on, so that connections outlive
// their rule. The helpers ftp and tftp see what a rule gives them (CT --helper).
//
// The flow table takes connections that a rule says (FLOWOFFLOAD), or with
// net.netfilter.nf_flowtable = 1 every one that may be.
package nf
