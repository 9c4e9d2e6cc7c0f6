// Package ipmr is the routing of packets to groups (RFC 1112 appendix I's
// service model, the interface of mrouted and pimd; Linux: net/ipv4/ipmr.c).
//
// A routing daemon opens a raw socket of protocol IGMP and says MRT_INIT. It
// names the links it routes between, the virtual interfaces (vifs), and enters
// into the forwarding cache for each source and group where packets come from
// and by which vifs they go on. What the daemon does not know it is asked: an
// upcall is a packet on its socket that looks like an IP packet of protocol 0
// (struct igmpmsg).
//
// # The way of a packet
//
// The route of a received packet to a group leads here when its device is a
// vif: Input looks for (S,G), then for (*,G) and (*,*), checks that the packet
// came by the parent, and sends a copy by every other vif of the entry whose
// threshold is below the packet's time to live. Each copy passes the FORWARD
// hook. Members on this host get theirs first or last, as ip_mr_input has it.
//
// # Bounds
//
// There are 32 vifs in a table, and 32 tables. The cache of all tables holds
// 16384 entries; more are refused with ENOMEM. Only the administrator makes
// either.
//
// Packets of which the daemon was asked wait for its answer for ten seconds, four
// of each source and group. A stranger can invent sources, so at most 1024
// sources wait and at most 4 MiB, or a sixteenth of the page pool; beyond that
// new ones are dropped until old ones expire. Upcalls are bounded by the receive
// buffer of the daemon's socket: when it is full the packet is dropped and
// nothing waits.
//
// # Not there
//
// Tunnel vifs (VIFF_TUNNEL) are refused with ENOBUFS, as by a Linux without
// IPIP. There are no rules that choose between tables (ip mrule): only the
// default one forwards. PIM version 1 registers (IGMP type 0x14) are not taken.
//
// # Contexts
//
// Options and netlink requests are process context, one at a time. Input and the
// timer are softirq; they hold the read side of a lock while they look something
// up and no lock while they send or wake.
package ipmr
