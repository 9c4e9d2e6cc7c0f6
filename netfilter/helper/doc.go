// Package helper reads the control connections of protocols that open further
// ones, and expects those (Linux: nf_conntrack_ftp.c, nf_nat_ftp.c,
// nf_conntrack_tftp.c, nf_nat_tftp.c): FTP (RFC 959, RFC 2428) and TFTP (RFC
// 1350).
//
// A helper sees only the connections a rule gave to it (CT --helper): as in Linux
// since 6.0 none is chosen by port alone. Where the control connection is
// translated the address inside the payload is too; the TCP sequence numbers that
// moves are adjusted by conntrack.
//
// Payload is hostile: one command or answer per segment is looked at, and only at
// the start of a line; numbers are bounded; a command cut in two is dropped, so
// that it is sent again in one. A connection may have one expectation at a time,
// and a new one replaces it.
package helper
