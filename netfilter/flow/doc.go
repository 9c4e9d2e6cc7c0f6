// Package flow is a software flow table (Linux: nf_flow_table_core.c,
// nf_flow_table_ip.c): packets of connections that are established and translated
// the same way for ever go from device to device past routing, tables and
// tracking.
//
// A connection comes in by [Table.Offload], for a rule that says so, or by itself
// with SetAuto: TCP once established, UDP once answered; not one with a helper or
// with moved sequence numbers. The hook stands first in PREROUTING. It takes
// packets without options and not in fragments, whose TTL allows another hop and
// that fit the way out; all others go on as if there were no flow table. It
// translates, decreases the TTL, counts for the connection, and sends.
//
// A flow ends, and its connection goes back to tracking, with a FIN, RST or SYN;
// when no packet came for net.netfilter.nf_flowtable_tcp_timeout (udp: 30 s); when
// the connection is deleted; when a route, rule or address changed or a device
// went down; and when its route expired. The next packet that may brings it back.
// While a flow lives, the connection does not expire.
//
// Readers take no lock: entries do not change while they are in the hash. What
// bounds it: [Config.Max] flows; when they are there, further connections stay
// with tracking.
package flow
