package ip

import (
	"barewire/skb"
	"barewire/skb/header"
)

// ControlSock stands, as the Sk of a packet, for the socket that ICMP and TCP send
// their own packets by: it is one, but no program holds it (Linux:
// inet_ctl_sock_create).
type ControlSock struct{ _ byte }

// SockInfo is what the packet filter may ask of the socket a packet is for.
type SockInfo struct {
	// Any says that it takes packets for every address of the machine.
	Any bool
	// Transparent says that it may use addresses of others (IP_TRANSPARENT).
	Transparent bool
	// Full says that it is a socket of a program, not one that is being made or
	// is over; only then the mark is known.
	Full bool
	Mark uint32
}

// Info returns what the packet filter may know of s.
func (s *Sock) Info() SockInfo {
	return SockInfo{Any: s.Ident().RcvSaddr == 0, Transparent: s.Opt(OptTransparent), Full: true, Mark: s.Mark()}
}

// SockFinder is a transport protocol as the packet filter sees it.
type SockFinder interface {
	// FindSock returns what is known of the socket that gets packets from src
	// to dst which come by a device, false if there is none (Linux:
	// nf_socket_get_sock_v4).
	FindSock(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32) (SockInfo, bool)
	// TProxy finds the socket of the packet's connection, or else the one that
	// waits at addr and port, and gives it the packet whatever the packet's
	// destination is. False, and nothing is changed, when there is none or it is
	// not transparent (Linux: nf_tproxy_get_sock_v4, nf_tproxy_assign_sock).
	// Data is the IP header, and the first four bytes behind it are there.
	TProxy(b *skb.Buff, addr header.Addr, port uint16) bool
}
