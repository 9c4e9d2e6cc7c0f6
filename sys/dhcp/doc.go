// Package dhcp is a DHCP client for one interface (RFC 2131): it finds an
// address, has it configured, and keeps it for as long as it runs.
//
// It is the one room of sys that lives above the system calls, as the first
// process of an initial file system does on Linux: it uses package net, packet
// sockets and UDP sockets like any program, and the message formats of
// insomniacslk/dhcp, which u-root's dhclient stands on. The kernel's entry
// (package start) runs it when the kernel is up; only what to configure goes
// through a function it is given. So the same client runs on Linux, where its
// tests meet a real server.
//
// A packet socket is open only while there is no address, so that a machine
// with a lease pays nothing for the client. Renewals go through a UDP socket.
//
// # Times
//
// Messages are repeated after 2, 4, 8 … 64 s, each ± a quarter at random; the
// RFC suggests 4 s for the first, but a machine that boots waits for it, and
// Linux's own client takes 2. It never gives up. A server's NAK and an address
// that somebody else has (asked for by ARP, RFC 5227, in 0.3 s instead of
// several) lead back to the start.
package dhcp
