// Package icmp is ICMP of one stack (RFC 792, RFC 1122 section 3.2.2; Linux:
// net/ipv4/icmp.c).
//
// Requests are answered out of the packet they came in: no copy, no allocation,
// with the options echoed. Answered are echo, timestamp, and, where
// icmp_echo_enable_probe allows it, extended echo (RFC 8335). Errors about
// packets are made by [ICMP.Send], which holds the rules about when none may be
// sent. Errors received are passed to the protocol that sent the quoted packet
// and to the raw sockets; echo replies to the ping sockets.
//
// Types in icmp_ratemask obey two limits: icmp_ratelimit for each destination,
// and icmp_msgs_per_sec with icmp_msgs_burst for the stack.
package icmp
