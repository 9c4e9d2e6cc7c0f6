// Package nat is network address translation on top of connection tracking
// (Linux: nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c, nf_nat_redirect.c
// and xt_nat.c, xt_NETMAP.c).
//
// What a connection becomes is decided once, when its first packet passes: the
// destination at PREROUTING or OUTPUT, the source at POSTROUTING or INPUT. A rule
// gives a [Range]; [NAT.Setup] chooses from it so that the answers, which are
// what tracking can tell connections apart by, are unlike those of any other
// connection, and writes the choice into the reply tuple. A connection no rule
// speaks about gets a null binding: it stays as it is, unless its answers would
// be mistaken for another's. Every later packet is rewritten from the two tuples
// alone, and an ICMP error about one of them with the packet it quotes.
//
// Order of choice: for a source, what the same source address and port was given
// before; then the addresses of the range, spread by a hash of the addresses;
// then the port, as it is if it may be, else from a random place in the range on
// for at most 128 tries, then from other places for half as many, down to
// fewer than 16. When all were taken the packet is dropped where it is confirmed
// and counted there (insert_failed), as in Linux.
//
// The translations by source are a hash of chains, guarded by one lock per
// bucket; a connection is in it from the decision over its source until it
// leaves the table, so the table's bound is the bound here.
//
// [Rewrite] and [RewriteError] are the writing of headers, without any
// connection.
package nat
