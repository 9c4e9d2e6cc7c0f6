// Package packet is the AF_PACKET family: sockets that receive and send whole
// frames (SOCK_RAW) or their payload (SOCK_DGRAM) on devices (Linux:
// net/packet/af_packet.c), and [Capture], which writes what passes as a pcapng
// stream.
//
// A socket of protocol ETH_P_ALL is a tap: it sees everything received and
// transmitted, but not what it sent itself. One of another protocol sees what
// is received of that ethertype. A socket filter runs before the packet costs
// anything; what does not fit SO_RCVBUF or the family's memory is counted and
// dropped (PACKET_STATISTICS).
//
// Receiving happens in softirq context, and for what is transmitted in the
// sender's context: nothing there blocks or takes the family's lock, which is
// for configuration and is taken inside the devices' configuration lock.
//
// A program may map rings of any version instead of receiving and sending
// packet by packet (ring.go, ringv3.go, txring.go).
//
// Sockets that join a group share its packets (fanout.go).
//
// Not there: SOCK_PACKET (ESOCKTNOSUPPORT), groups that have fragments put
// together (EINVAL).
package packet
