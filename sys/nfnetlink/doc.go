// Package nfnetlink is NETLINK_NETFILTER (Linux: net/netfilter/nfnetlink.c): how
// programs list, change and watch the connections of a namespace's packet filter
// (ctnetlink: conntrack, and the libraries that speak its language), and how they
// get packets: copies of those the target NFLOG shows them, and those the target
// NFQUEUE has them decide over.
//
// [New] enters the protocol. A message's type is a subsystem and a command of it;
// what follows the header is a struct nfgenmsg and attributes, whose numbers are
// in network order.
//
// nf_tables is not here: its messages are refused with EINVAL as on a Linux
// without the module.
package nfnetlink
