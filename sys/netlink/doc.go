// Package netlink is the AF_NETLINK family (Linux: net/netlink/af_netlink.c):
// datagram sockets between programs and the kernel's configuration.
//
// A [Table] holds the sockets of one namespace. Protocols, NETLINK_ROUTE for
// one, are entered with [Table.Register]; a socket of another protocol is
// refused with EPROTONOSUPPORT. A program's message is cut into requests, each
// is handed to its protocol's handler in the sender's context, and the answers
// are on the socket's queue when sendmsg returns.
//
// A request may start a dump. Its parts are made when the reader has room for
// them, so that a long list never waits in memory whole; a dump whose subject
// changed between parts is marked NLM_F_DUMP_INTR, and the reader starts again.
//
// The queue of a socket is bounded by SO_RCVBUF. A message that does not fit is
// dropped, the reader's next call fails with ENOBUFS, and nothing more is taken
// until the queue was read empty, as in Linux.
//
// Everything a program sends is hostile until it was checked: [Header] lengths
// by the loop that cuts messages, attributes by [Parse] against a [Policy].
package netlink
