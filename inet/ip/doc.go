// Package ip is IPv4 of one stack (Linux: net/ipv4/ip_input.c, ip_output.c,
// route.c, devinet.c, ip_fragment.c).
//
// In, on softirq context, reads top to bottom in input.go:
//
//	Rcv → PREROUTING → rcvFinish → route → Rtable.Input
//	    → LocalDeliver → (reassembly) → LOCAL_IN → localDeliverFinish → Protocol
//
// Out, in the sender's context or in softirq, in output.go:
//
//	LocalOut → LOCAL_OUT → Rtable.Output → POSTROUTING → finishOutput
//	    → (fragmentation) → neighbour → napi.DevQueueXmit
//
// A routing decision is an [Rtable]. It says nothing of the particular
// destination, so that all packets of a next hop share one and routing
// allocates nothing; it is made when an address or a route is configured.
//
// Forwarding is off, as net.ipv4.ip_forward is by default: a packet for
// somebody else is counted in InAddrErrors and dropped. The options of received
// packets are obeyed; source routes are refused unless accept_source_route
// allows them.
//
// # Settings
//
// The settings of Linux's IP layer are there under their names and do what they
// do there, with these exceptions, which are absent:
//
//	disable_policy, disable_xfrm, xfrm4_gc_thresh   there is no IPsec
//	raw_l3mdev_accept, udp_l3mdev_accept            there are no VRFs
//	nexthop_compat_mode                             there are no nexthop objects
//	fib_notify_on_flag_change                       no hardware takes routes over
//	fib_sync_mem                                    tries need no grace period
//	ip_dynaddr                                      rewrites connections in the making; obsolete
//	ip_autobind_reuse                               of TCP's bind
//	udp_hash_entries, udp_child_hash_entries        tables grow by themselves
//	cipso_*                                         there are no labels
//	icmp_errors_extension_mask                      errors carry no extensions
//	route.gc_elasticity, route.gc_interval,         of the cache Linux gave up
//	route.gc_min_interval, route.gc_min_interval_ms,
//	route.gc_thresh, route.max_size
//
// Of ip_early_demux's protocols TCP has a part in it: its connections know how the
// last packet came. udp_early_demux is kept without a use, since there the lookup
// costs more than the route.
//
// ipfrag_low_thresh, ipfrag_secret_interval, inet_peer_* and the settings of
// conf that no longer do anything in Linux either (tag, bootp_relay) are kept
// and shown without a use.
package ip
