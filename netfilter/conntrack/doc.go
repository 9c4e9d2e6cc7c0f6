// Package conntrack follows connections through the IPv4 path (Linux:
// net/netfilter/nf_conntrack_core.c and its neighbours): whose packet is this,
// and has anybody answered yet.
//
// [Table.In] stands in PREROUTING and OUTPUT and gives each packet its
// connection, which [Get] returns from then on; [Table.Confirm] stands last in
// INPUT and POSTROUTING and puts a connection into the table once its first
// packet got so far. Between the two only the packets on their way know it, so
// what rules drop costs no room.
//
// # The table
//
// A connection is in the hash twice, by the tuple of each direction (with the
// zone of that direction). The hash is keyed by a secret. Lookups take no lock
// and write nothing: nodes are never used again while somebody may read them,
// because confirmed connections are the garbage collector's. Writers lock the
// chains of both tuples, out of 256 locks, always the lower one first. A
// connection's own lock guards what its protocol remembers; nothing is locked
// under it. Neither is held while functions of others are called.
//
// What bounds it: nf_conntrack_max connections, unconfirmed ones included. Beyond
// it a new one takes the place of one that is not assured, out of a few chains
// (early drop); when there is none the packet is dropped, counted and, within a
// rate, logged. Expired connections go when they are met, and by [Table.GC].
// Expectations are bounded by nf_conntrack_expect_max and, for each connection,
// by its helper, where the oldest gives way.
//
// # Lifetime of a Conn
//
// An unconfirmed one is held by packets ([skb.Buff.NFCT]) and used again for
// another connection when the last of them ends: keep no pointer to it beyond the
// packet. A confirmed one may be kept for ever; [Conn.IsDying] tells that it left
// the table.
//
// # Not here
//
// IPv6; the trackers' timeouts by rule (CT --timeout); SYNPROXY; the keys PPTP's
// helper gives GRE; helpers in programs. Fragments of two zones with the same
// addresses and identification are put together as one datagram. UDP-Lite's
// checksum is verified as RFC 3828 says, where Linux's PREROUTING takes every one
// for wrong.
package conntrack
