// Package inet is the Internet family of one stack: it wires IP, ICMP, UDP,
// neighbours and routes together in the order of Linux's inet_init and creates
// their sockets (Linux: net/ipv4/af_inet.c).
//
// A [Net] is the protocol part of a network namespace; the device part is a
// napi.Net. Nothing is global: any number of Nets live in one process and share
// nothing.
//
// The packet's way in is ip_rcv → PREROUTING → route → LOCAL_IN → udp_rcv or
// icmp_rcv → receive queue; the way out is sendmsg → route → LOCAL_OUT →
// POSTROUTING → neighbour → napi.DevQueueXmit. The rooms below hold one layer
// each: header, neigh, arp, fib, ip, icmp, igmp, ipmr, udp, tcp, raw, ping, packet,
// bpf, sock, mib, ipconfig.
//
// Where this stack answers or counts other than Linux is listed, with reasons,
// in linux_test.go, which compares the two frame by frame; for TCP in
// qemu/packetdrill, whose scripts judge both, and in tcp/doc.go, which says what it
// lacks. Not there yet: IPsec and tunnels.
package inet
