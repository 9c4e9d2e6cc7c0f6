// Package header has checked views of the wire formats: Ethernet (RFC 894),
// ARP (RFC 826), IPv4 (RFC 791), ICMP (RFC 792) and UDP (RFC 768).
//
// A view is a byte slice with accessors. Its Parse function is the one place
// where lengths are checked; on a view that Parse returned, no accessor can
// fail. A view made by converting a slice directly, as the transmit side does
// for headers it is about to write, needs at least the format's minimum length.
//
// Parse checks only what the accessors need. Whether the values make sense, and
// what is counted when they do not, is the business of the protocol.
package header
