package ip

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/mib"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// DefaultTTL is the time to live of packets sent from here (RFC 1340; Linux:
// IPDEFTTL).
const DefaultTTL = 64

// Protocol receives the packets of one IP protocol number (Linux:
// net_protocol). Both functions run in softirq context.
type Protocol struct {
	// Handler consumes b. Data is at the transport header, NetworkHeader is
	// the checked IP header, Dst the *Rtable of the packet.
	Handler func(b *skb.Buff)
	// EarlyDemux finds the socket of a packet before it is routed: it sets
	// b.Sk and returns the decision the socket keeps, or nil. Data is the IP
	// header in. May be nil.
	EarlyDemux func(b *skb.Buff, in header.IPv4) *Rtable
	// Err hears of an ICMP error about a packet this protocol sent. Data is at
	// the quoted IP header, of which the header and eight more bytes are
	// linear. It borrows b. info is the MTU or the pointer of the message.
	Err func(b *skb.Buff, typ, code uint8, info uint32)
	// StrictTag says that Err checks more of the quote than addresses and ports
	// before it believes that a packet was too large, as TCP does with the
	// sequence number (Linux: icmp_strict_tag_validation; ip_no_pmtu_disc 3).
	StrictTag bool
}

// ErrorSender makes ICMP errors about a packet (Linux: icmp_send). It borrows
// b and decides by itself whether one may be sent.
type ErrorSender interface {
	Send(b *skb.Buff, typ, code uint8, info uint32)
}

// RawHandler is the raw sockets (Linux: net/ipv4/raw.c).
type RawHandler interface {
	// Deliver gives each raw socket that wants it a copy of a packet for this
	// host, and reports whether there was one (Linux: raw_local_deliver). It
	// borrows b, whose Data is at the transport header. Softirq context.
	Deliver(b *skb.Buff, proto uint8) bool
	// Err hears of an ICMP error as Protocol.Err does (Linux: raw_icmp_error).
	Err(b *skb.Buff, typ, code uint8, info uint32)
}

// PingHandler is the ICMP datagram sockets (Linux: net/ipv4/ping.c).
type PingHandler interface {
	// Rcv takes an echo reply whose Data is at the ICMP header (Linux:
	// ping_rcv). It consumes b.
	Rcv(b *skb.Buff)
	// Err hears of an ICMP error about an echo request sent from here (Linux:
	// ping_err). Data is at the quoted IP header.
	Err(b *skb.Buff, typ, code uint8, info uint32)
}

// Multicast is group membership (Linux: net/ipv4/igmp.c). Filters are per
// socket and combined per device.
type Multicast interface {
	// Check reports whether packets of src to group are wanted on d (Linux:
	// ip_check_mc_rcu). Softirq context, no lock.
	Check(d *InDev, group, src header.Addr, proto uint8) bool
	// Allow reports whether the sock's own filters let a packet in that came
	// by the device ifindex (Linux: ip_mc_sf_allow). Softirq context.
	Allow(s *Sock, group, src header.Addr, ifindex int32) bool
	// SetSockOpt and GetSockOpt are the membership options of level SOL_IP:
	// IP_ADD_MEMBERSHIP and the like, MCAST_*, IP_MSFILTER. handled is false
	// for other options.
	SetSockOpt(s *Sock, name int, val []byte) (handled bool, err error)
	GetSockOpt(s *Sock, name int, buf []byte) (n int, handled bool, err error)
	// Drop leaves every group of a sock that is closed (Linux:
	// ip_mc_drop_socket).
	Drop(s *Sock)
}

// Net is the IPv4 part of a network namespace (Linux: struct netns_ipv4).
type Net struct {
	Dev   *napi.Net
	MIB   *mib.MIB
	FIB   *fib.FIB
	Hooks netfilter.Hooks

	// Control is the Sk of what the protocols send without a program's socket.
	Control ControlSock

	// Neigh and ICMP are set when the stack is wired, before packets flow.
	Neigh *neigh.Table
	ICMP  ErrorSender
	Raw   RawHandler
	Ping  PingHandler
	MC    Multicast       // nil while there is no IGMP: all hosts is the only group
	MR    MulticastRouter // nil while there is none

	lastRoute atomic.Pointer[cachedRoute] // what socks that connect next may share

	OriginalDst OriginalDst // nil while there is none

	// Sock and Limits are what the sockets obey.
	Sock   SockConf
	Limits *sock.Limits

	// ConfAll and ConfDefault are net.ipv4.conf.all and .default.
	ConfAll, ConfDefault DevConf

	// Conf is the settings of the data path, net.ipv4.*.
	Conf Conf

	// Route is the settings of routing, RouteStats counts it.
	Route      RouteConf
	RouteStats RouteStats

	protos    [256]atomic.Pointer[Protocol]
	indevs    atomic.Pointer[[]*InDev] // by ifindex
	locals    atomic.Pointer[map[header.Addr]*InDev]
	mu        sync.Mutex // writers of the two above, and lifetimes
	lifetimes lifetimes
	loop      atomic.Pointer[InDev]
	hashKey   uint64 // of flow hashes; random
	martians  ratelimit
	rtnotify  rtNotifier
	alerts    raChain
	frags     fragTable
	peers     peerTable
	stat      sockstat
	idents    identTable
	rx        []rxCount                       // by processor, skb.Buff.CPU
	reach     func(nh *fib.Nexthop) fib.Reach // gatewayReach; made once
	portMin   atomic.Uint32
	portMax   atomic.Uint32
}

// Default local port range (net.ipv4.ip_local_port_range).
const (
	DefaultPortMin = 32768
	DefaultPortMax = 60999
)

// NewNet makes the IPv4 part of the namespace whose devices are in dev.
// fragMemory bounds what fragments that wait for others may cost, in bytes; see
// DefaultFragMemory.
func NewNet(dev *napi.Net, m *mib.MIB, fragMemory int64) *Net {
	n := &Net{Dev: dev, MIB: m, Limits: sock.NewLimits(dev)}
	n.FIB = fib.New(fibEnv{n})
	n.indevs.Store(&[]*InDev{})
	n.locals.Store(&map[header.Addr]*InDev{})
	n.portMin.Store(DefaultPortMin)
	n.portMax.Store(DefaultPortMax)
	n.initSockConf()
	n.ConfAll.setDefaults()
	n.ConfDefault.setDefaults()
	n.ConfDefault.AcceptSourceRoute.Store(1)
	n.registerConf(&n.ConfAll, "all")
	n.registerConf(&n.ConfDefault, "default")
	n.Conf.setDefaults(fragMemory)
	dev.Sysctl().RegisterFunc(n.confSysctls)
	n.Hooks.SetFinish(n.finish)
	n.reach = n.gatewayReach
	n.frags.init(n)
	n.idents.init(dev)
	n.peers.init(dev)
	n.initRxCount()
	n.registerProc()
	n.initRoute()
	return n
}

// AddProtocol enters a protocol handler (Linux: inet_add_protocol). EEXIST
// when the number is taken.
func (n *Net) AddProtocol(num uint8, p *Protocol) error {
	if !n.protos[num].CompareAndSwap(nil, p) {
		return syscall.EEXIST
	}
	return nil
}

// DelProtocol removes a protocol handler (Linux: inet_del_protocol).
func (n *Net) DelProtocol(num uint8, p *Protocol) { n.protos[num].CompareAndSwap(p, nil) }

// Proto returns the handler of a protocol number, nil if there is none.
func (n *Net) Proto(num uint8) *Protocol { return n.protos[num].Load() }

// LocalPortRange returns the range ephemeral ports are taken from.
func (n *Net) LocalPortRange() (lo, hi uint16) {
	return uint16(n.portMin.Load()), uint16(n.portMax.Load())
}

// SetLocalPortRange sets the range; EINVAL unless 1 ≤ lo ≤ hi.
func (n *Net) SetLocalPortRange(lo, hi uint16) error {
	if lo < 1 || lo > hi {
		return syscall.EINVAL
	}
	n.portMin.Store(uint32(lo))
	n.portMax.Store(uint32(hi))
	return nil
}

// Close drops what is being reassembled and waits for no address any more; for
// the end of a namespace.
func (n *Net) Close() {
	n.stopLifetimes()
	n.frags.close()
}

// drop ends a packet that is refused.
func (n *Net) drop(b *skb.Buff, r skb.Reason) { b.Free(r) }
