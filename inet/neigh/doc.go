// Package neigh is the neighbour table: it maps the address of a next hop on a
// link to its hardware address, and holds packets back while the mapping is
// sought (Linux: net/core/neighbour.c; RFC 4861 section 7.3 for the states).
//
//	NONE → INCOMPLETE → REACHABLE ⇄ STALE → DELAY → PROBE → FAILED
//
// The table knows nothing of ARP: [Ops] sends the solicitations and hears of
// failures. Answers come in through [Table.Update].
//
// # Bounds
//
// The packets waiting for one neighbour are bounded in bytes (unres_qlen_bytes);
// the oldest goes first. So are those waiting for all neighbours together, since
// a stranger can make us answer to many that do not exist. The table holds at
// most gc_thresh3 entries. When it is full, or over gc_thresh2 and not cleaned
// for five seconds, entries are evicted, oldest first, until gc_thresh2 are left.
// An entry may be evicted if it is FAILED, if it was only ever learnt and never
// used to send, or if it is STALE and was not used for five seconds. One that is
// being resolved or is known to be reachable stays: a flood of unknown
// neighbours cannot push out those that work, it makes creation fail with
// ENOBUFS, counted and logged, until its own entries have failed.
//
// What the administrator entered as PERMANENT, or as learnt or validated
// elsewhere, is neither collected nor counted, as in Linux. Proxy entries are
// bounded to 16384.
//
// Periodic collection runs every half of base_reachable_time, once there are
// gc_thresh1 entries, and takes what is FAILED or was not used for
// gc_stale_time. Neighbours with NTF_MANAGED are asked every
// interval_probe_time_ms, so that they are known before they are needed.
//
// # Settings
//
// net.ipv4.neigh.default.* and, for each device, net.ipv4.neigh.DEV.*; see
// [Parms]. A device starts with the defaults of that moment.
//
// # Contexts
//
// Lookups and the fast path of Output take no lock and allocate nothing. Timers
// run in softirq context. No lock is held while a packet is transmitted.
package neigh
