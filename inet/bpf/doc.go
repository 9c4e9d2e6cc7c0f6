// Package bpf is the classic packet filter of SO_ATTACH_FILTER (Linux:
// net/core/filter.c; the machine is that of McCanne and Jacobson, 1993).
//
// [New] checks a program as bpf_check_classic does: every jump goes forward and
// stays inside, the last instruction returns, scratch memory is written before
// it is read, and no constant divides by zero or shifts beyond the word. A
// checked program therefore ends after at most as many steps as it has
// instructions, whatever the packet; [Program.Run] needs no further guard than
// the bounds of its loads, allocates nothing and blocks nowhere. A load beyond
// the packet ends the program with 0, which drops the packet.
//
// Offsets count from the packet's Data, which is where the socket's type says
// (link header for SOCK_RAW packet sockets, network header for SOCK_DGRAM).
// Offsets from SKF_NET_OFF and SKF_LL_OFF count from those headers and reach
// the linear part only, as in Linux; those from SKF_AD_OFF read what is known
// about the packet beside its bytes.
//
// Not supported: the ancillary loads for netlink attributes and for the payload
// offset, which the checker refuses, and translation to eBPF.
package bpf
