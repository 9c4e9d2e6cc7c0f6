package xtables

import (
	"barewire/netfilter"
	"barewire/netfilter/ipset"
	"barewire/netfilter/synproxy"
	"barewire/skb"
	"barewire/skb/header"
)

// Extra is what some of the matches need of the world around; each is refused
// where its part is nil.
type Extra struct {
	// Sets finds the sets of -m set and -j SET.
	Sets *ipset.Sets
	// ReversePath reports whether the packet came from where an answer would go
	// to (Linux: rpfilter_lookup_reverse); loose takes any device, mark uses the
	// packet's, and acceptLocal takes addresses of our own.
	ReversePath func(b *skb.Buff, s netfilter.State, loose, mark, acceptLocal bool) bool
	// BPF makes a filter of classic BPF instructions, each opcode, jumps and
	// value as struct sock_filter has them. The filter sees the packet from its
	// IP header and returns what the program does.
	BPF func(program []BPFInsn) (run func(b *skb.Buff) uint32, err error)
	// HasSocket reports whether a socket sent the packet that is not closed yet,
	// and whether a program holds it: the protocols have some of their own.
	HasSocket func(b *skb.Buff) (exists, held bool)
	// SocketOf returns what is known of the socket the packet is for; TProxy
	// gives it to the one of its connection, or to that which waits at addr and
	// port, if that is transparent (Linux: nf_sk_lookup_slow_v4, tproxy_tg4).
	SocketOf func(b *skb.Buff, s netfilter.State) (Socket, bool)
	TProxy   func(b *skb.Buff, s netfilter.State, addr header.Addr, port uint16) bool
	// UseDefrag has packets put together from their fragments until done is
	// called.
	UseDefrag func() (done func())
	// SynProxy answers SYNs in a server's name.
	SynProxy *synproxy.Proxy
	// CPU is the number of the processor that sends a packet; of one received the
	// packet itself knows. nil for 0.
	CPU func() int
	// Shared is what extensions keep for the instance.
	Shared Shared
}

// Socket is what rules may know of a socket.
type Socket struct {
	Any         bool // it takes packets for every address
	Transparent bool // it may use addresses of others
	Full        bool // a program's, whose mark is known
	Mark        uint32
}

// BPFInsn is an instruction of classic BPF (Linux: struct sock_filter).
type BPFInsn struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}
