// Package reject answers packets that a rule refuses (Linux: nf_reject_ipv4.c,
// ipt_REJECT.c): with an ICMP error, or for TCP with a reset.
//
// No answer is made to a fragment other than the first, to a packet whose
// checksum is wrong, to a reset, nor to what was sent to a group or to everybody.
// ICMP errors obey the limits of icmp_ratelimit and icmp_msgs_per_sec, because
// the ICMP layer makes them; resets have none, as in Linux. The packet itself
// stays the caller's, who drops it.
package reject
