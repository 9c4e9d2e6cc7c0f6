// Package udp is UDP of one stack (RFC 768, RFC 1122 section 4.1; Linux:
// net/ipv4/udp.c).
//
// [UDP] is the protocol: it receives from the IP layer, finds the sock and
// queues the packet, or answers port unreachable. [Sock] is a UDP socket's
// packet half with the calls of the socket layer. A table of immutable entries
// joins them, so that the lookup per packet takes no lock.
//
// A datagram is copied once on the way out, into pool pages, and once on the
// way in, from the page it arrived in to the program's buffer.
//
// UDP-Lite is the same with another checksum, a table and counters of its own.
// A datagram that several sends put together (UDP_CORK, MSG_MORE) is kept in
// pages until it is whole.
//
// Datagrams of one size reach a program that asks for it as one (UDP_GRO,
// offload.go), and are sent as one (UDP_SEGMENT). Not here: the encapsulations of
// IPsec (tunnels of this stack use [Sock.SetEncap]).
package udp
