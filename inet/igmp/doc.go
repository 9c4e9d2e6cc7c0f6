// Package igmp is IPv4 group membership: which groups the sockets of this host
// want, from which sources, and the protocol that tells the routers (RFC 1112,
// RFC 2236, RFC 3376; Linux: net/ipv4/igmp.c). It implements ip.Multicast.
//
// A socket joins a group on a device with a filter: the sources it wants
// (INCLUDE) or does not want (EXCLUDE). The filters of all sockets are combined
// per device and group as RFC 3376 section 3.2 says; the combination decides
// what is received and what is reported.
//
// # Reports
//
// Version 3 is spoken until a router of an older version is heard; then that
// version, until it has been silent for its time (section 7.2.1).
// force_igmp_version settles it by hand. Changes are reported igmp_qrv times,
// the querier's robustness. 224.0.0.1 is never reported.
//
// # Bounds
//
// A socket joins at most igmp_max_memberships groups and has at most
// igmp_max_msf sources in each. What is remembered of groups that were left,
// to report it, is bounded to 256 groups per device, the oldest goes first; the
// group is then left without a word, which queriers find out by themselves.
//
// # Contexts
//
// Check and Allow read immutable snapshots: they take no lock and allocate
// nothing. Everything else is under one mutex, never held while a packet is
// sent. Changes of membership are process context; timers and received packets
// softirq.
package igmp
