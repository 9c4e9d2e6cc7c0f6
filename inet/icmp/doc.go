// Package icmp is ICMP of one stack (RFC 792, RFC 1122 section 3.2.2; Linux:
// net/ipv4/icmp.c).
//
// Echo requests are answered out of the packet they came in: no copy, no
// allocation. Errors about packets are made by [ICMP.Send], which holds the
// rules about when none may be sent and a rate limit for the whole stack.
// Errors received are passed to the protocol that sent the quoted packet.
//
// Requests to broadcast addresses are not answered
// (icmp_echo_ignore_broadcasts is 1, as in Linux).
package icmp
