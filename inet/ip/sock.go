package ip

import (
	"sync/atomic"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// SockaddrLen is the size of struct sockaddr_in.
const SockaddrLen = 16

// Sockaddr is the content of a struct sockaddr_in, in host byte order.
type Sockaddr struct {
	Family uint16
	Port   uint16
	Addr   header.Addr
}

// ParseSockaddr reads a struct sockaddr_in. EINVAL when it is too short for
// one. The family is the caller's to judge.
func ParseSockaddr(sa []byte) (Sockaddr, error) {
	if len(sa) < SockaddrLen {
		return Sockaddr{}, syscall.EINVAL
	}
	return Sockaddr{
		Family: uint16(sa[0]) | uint16(sa[1])<<8,
		Port:   uint16(sa[2])<<8 | uint16(sa[3]),
		Addr:   header.Addr(uint32(sa[4])<<24 | uint32(sa[5])<<16 | uint32(sa[6])<<8 | uint32(sa[7])),
	}, nil
}

// Put writes a struct sockaddr_in into p, as much as fits, and returns its full
// length.
func (a Sockaddr) Put(p []byte) int {
	var sa [SockaddrLen]byte
	sa[0], sa[1] = byte(a.Family), byte(a.Family>>8)
	sa[2], sa[3] = byte(a.Port>>8), byte(a.Port)
	ip := a.Addr.As4()
	copy(sa[4:], ip[:])
	copy(p, sa[:])
	return SockaddrLen
}

// Ident is who a sock is: its addresses and ports (Linux: the inet_* fields of
// struct inet_sock). It does not change; a bind or connect replaces it.
type Ident struct {
	RcvSaddr header.Addr // address packets must be for, 0 for any
	Saddr    header.Addr // address packets are sent from, 0 for the route's
	Daddr    header.Addr // peer, 0 for none
	Num      uint16      // local port, 0 while not bound
	Dport    uint16      // peer's port
	BoundDev int32       // SO_BINDTODEVICE as of this identity

	UserAddr bool // the program chose the address (SOCK_BINDADDR_LOCK)
	UserPort bool // the program chose the port (SOCK_BINDPORT_LOCK)
}

// noIdent is who a new sock is.
var noIdent Ident // read-only

// Connected reports whether there is a peer.
func (id *Ident) Connected() bool { return id.Daddr != 0 }

// Option bits of a Sock (Linux: inet_flags and the IP_CMSG_* bits).
const (
	OptPktInfo uint32 = 1 << iota
	OptRecvTTL
	OptRecvTOS
	OptRecvErr
	OptFreeBind
	OptTransparent
	OptMulticastLoop
	OptMulticastAll
	OptOrigDstAddr
	OptRecvOpts
	OptRetOpts
	OptChecksum
	OptRecvFragSize
	OptRecvErrRFC4884
	OptBindNoPort
	OptNoDefrag
	OptHdrIncl

	// optCmsg are those that make ancillary data.
	optCmsg = OptPktInfo | OptRecvTTL | OptRecvTOS | OptOrigDstAddr | OptRecvOpts | OptRetOpts | OptChecksum | OptRecvFragSize
)

// PMTU discovery modes (Linux: IP_PMTUDISC_*).
const (
	PMTUDiscDont = iota
	PMTUDiscWant
	PMTUDiscDo
	PMTUDiscProbe
	PMTUDiscInterface
	PMTUDiscOmit
)

// Sock is a sock of the Internet family (Linux: struct inet_sock). Protocols
// embed it.
type Sock struct {
	sock.Sock
	IP *Net

	ident atomic.Pointer[Ident]
	opts  atomic.Uint32
	tos   atomic.Uint32
	ttl   atomic.Int32 // -1 for the default
	disc  atomic.Uint32
	mcTTL atomic.Uint32
	mcDev atomic.Int32
	mcSrc atomic.Uint32 // address IP_MULTICAST_IF gave
	ucDev atomic.Int32  // IP_UNICAST_IF
	minT  atomic.Uint32 // IP_MINTTL
	ports atomic.Uint32 // IP_LOCAL_PORT_RANGE: low in the low half
	snd   atomic.Pointer[header.OptionSet]
	id    atomic.Uint32 // identification of connected socks' packets
	route atomic.Pointer[cachedRoute]
}

// cachedRoute is the route of a connected sock (Linux: sk_dst_cache): good as
// long as identity and routing table are those it was made for. It does not
// change: socks whose identity changes only with their routes share it.
type cachedRoute struct {
	rt    *Rtable
	ident *Ident // nil: SetIdent sees to it
	gen   uint32
	src   header.Addr
}

// InitSock prepares s for the namespace n (Linux: the inet part of
// inet_create).
func (s *Sock) InitSock(n *Net, c sock.Config) {
	c.Clock = n.Dev.Clock()
	c.Family = syscall.AF_INET
	c.Limits = n.Limits
	s.Sock.Init(c)
	s.IP = n
	sock.FreshPointer(&s.ident, &noIdent)
	sock.Fresh32(&s.ttl, int32(-1))
	disc := uint32(PMTUDiscWant)
	sock.Fresh32(&s.mcTTL, uint32(1))
	sock.Fresh32(&s.opts, OptMulticastLoop|OptMulticastAll)
	if n.Conf.NoPMTUDisc.Load() != 0 {
		disc = PMTUDiscDont
	}
	sock.Fresh32(&s.disc, disc)
}

// Ident returns the identity.
func (s *Sock) Ident() *Ident { return s.ident.Load() }

// SetIdent replaces the identity and forgets the cached route; the sock is
// owned (sock.Sock.Lock).
func (s *Sock) SetIdent(id *Ident) {
	s.ident.Store(id)
	s.route.Store(nil)
}

// Opt reports whether an Opt* bit is set.
func (s *Sock) Opt(o uint32) bool { return s.opts.Load()&o != 0 }

func (s *Sock) setOpt(o uint32, on bool) {
	if on {
		s.opts.Or(o)
	} else {
		s.opts.And(^o)
	}
}

// TTL returns the time to live for packets to dst.
func (s *Sock) TTL(multicast bool) uint8 {
	if multicast {
		return uint8(s.mcTTL.Load())
	}
	if t := s.ttl.Load(); t > 0 {
		return uint8(t)
	}
	return uint8(s.IP.Conf.DefaultTTL.Load())
}

// MinTTL returns IP_MINTTL: packets with less are not for this sock.
func (s *Sock) MinTTL() uint8 { return uint8(s.minT.Load()) }

// SendOptions returns what IP_OPTIONS set, nil for none.
func (s *Sock) SendOptions() *header.OptionSet { return s.snd.Load() }

// LocalPortRange returns the range this sock's ephemeral ports come from
// (Linux: inet_sk_get_local_port_range): the part of the namespace's that
// IP_LOCAL_PORT_RANGE leaves, if it leaves any.
func (s *Sock) LocalPortRange() (lo, hi uint16) {
	lo, hi = s.IP.LocalPortRange()
	if p := s.ports.Load(); p != 0 {
		l, h := max(lo, uint16(p)), hi
		if top := uint16(p >> 16); top != 0 {
			h = min(hi, top)
		}
		if l <= h {
			return l, h
		}
	}
	return lo, hi
}

// Leave gives up every membership and what it routes, for the release of the
// sock.
func (s *Sock) Leave() {
	if mc := s.IP.MC; mc != nil {
		mc.Drop(s)
	}
	if s.Type == syscall.SOCK_RAW {
		s.RouterAlert(false, nil) // ENOBUFS: it was in no chain
		if s.IP.MR != nil {
			s.IP.MR.Drop(s)
		}
	}
}

// McAllow reports whether the sock takes a packet sent to a group (Linux:
// ip_mc_sf_allow). Softirq context.
func (s *Sock) McAllow(group, src header.Addr, ifindex int32) bool {
	mc := s.IP.MC
	return mc == nil || mc.Allow(s, group, src, ifindex)
}

// TOS returns IP_TOS.
func (s *Sock) TOS() uint8 { return uint8(s.tos.Load()) }

// MulticastDev returns the device IP_MULTICAST_IF chose, 0 for the route's.
func (s *Sock) MulticastDev() int32 { return s.mcDev.Load() }

// PMTUDisc returns IP_MTU_DISCOVER, a PMTUDisc* value.
func (s *Sock) PMTUDisc() uint32 { return s.disc.Load() }

// IgnoreDF reports whether packets larger than the path are cut here (Linux:
// ip_sk_ignore_df).
func (s *Sock) IgnoreDF() bool {
	d := s.disc.Load()
	return d < PMTUDiscDo || d == PMTUDiscOmit
}

// DontFragment reports whether a packet of n bytes gets the DF bit on a way
// (Linux: ip_dont_fragment and __ip_make_skb).
func (s *Sock) DontFragment(n int, rt *Rtable) bool {
	switch s.disc.Load() {
	case PMTUDiscDo, PMTUDiscProbe:
		return true
	case PMTUDiscWant:
		return n <= rt.MTU() && !rt.MTULocked()
	}
	return false
}

// NextID returns the next identification of a connected sock's packets (Linux:
// inet_id).
func (s *Sock) NextID() uint16 { return uint16(s.id.Add(1)) }

// NextIDs is NextID for n packets: it returns the first one's.
func (s *Sock) NextIDs(n int) uint16 { return uint16(s.id.Add(uint32(n)) - uint32(n)) }

// SeedID makes the identifications of a new connection start at from, which
// nobody can foresee.
func (s *Sock) SeedID(from uint16) { s.id.Store(uint32(from)) }

// CachedRoute returns the route kept for identity id and the source address it
// goes with; nil when there is none or something changed (Linux:
// sk_dst_check).
func (s *Sock) CachedRoute(id *Ident) (*Rtable, header.Addr) {
	c := s.route.Load()
	if c == nil || c.ident != id && c.ident != nil || c.gen != s.IP.FIB.Generation() || !c.rt.Dev.IsUp() || c.rt.Expired() {
		return nil, 0
	}
	return c.rt, c.src
}

// CacheRoute keeps a route (Linux: sk_dst_set).
func (s *Sock) CacheRoute(id *Ident, rt *Rtable, src header.Addr, gen uint32) {
	s.route.Store(&cachedRoute{rt: rt, ident: id, gen: gen, src: src})
}

// KeepRoute is CacheRoute for a sock whose owner, or the holder of its short lock,
// alone keeps routes and changes the identity. Those by the same route share what
// is kept.
func (s *Sock) KeepRoute(rt *Rtable, src header.Addr, gen uint32) {
	c := s.IP.lastRoute.Load()
	if c == nil || *c != (cachedRoute{rt: rt, gen: gen, src: src}) {
		c = &cachedRoute{rt: rt, gen: gen, src: src}
		s.IP.lastRoute.Store(c)
	}
	s.route.Store(c)
}

// Inherit copies the options of a listener to the sock of a connection it took
// (Linux: the inet part of inet_csk_clone_lock).
func (s *Sock) Inherit(l *Sock) {
	s.Sock.InheritFrom(&l.Sock)
	sock.Fresh32(&s.opts, l.opts.Load())
	sock.Fresh32(&s.tos, l.tos.Load())
	sock.Fresh32(&s.ttl, l.ttl.Load())
	sock.Fresh32(&s.disc, l.disc.Load())
	sock.Fresh32(&s.minT, l.minT.Load())
	sock.Fresh32(&s.ports, l.ports.Load())
	sock.Fresh32(&s.mcTTL, l.mcTTL.Load())
	sock.Fresh32(&s.mcDev, l.mcDev.Load())
	sock.Fresh32(&s.ucDev, l.ucDev.Load())
}

// SetSendOptions replaces what IP_OPTIONS set, nil for none.
func (s *Sock) SetSendOptions(o *header.OptionSet) { s.snd.Store(o) }

// ForgetRoute drops the kept route (Linux: sk_dst_reset).
func (s *Sock) ForgetRoute() { s.route.Store(nil) }

// Bind is inet_bind without the port: it checks the address of sa and returns
// the identity it makes. EADDRNOTAVAIL when the address is not of this host.
func (s *Sock) Bind(sa Sockaddr) (*Ident, error) {
	if sa.Family != syscall.AF_INET {
		// Old programs leave the family zero for the wildcard.
		if sa.Family != syscall.AF_UNSPEC || sa.Addr != 0 {
			return nil, syscall.EAFNOSUPPORT
		}
	}
	t := s.IP.AddrType(sa.Addr)
	if sa.Addr != 0 && t != fib.Local && t != fib.Multicast && t != fib.Broadcast &&
		!s.Opt(OptFreeBind|OptTransparent) && s.IP.Sock.NonlocalBind.Load() == 0 {
		return nil, syscall.EADDRNOTAVAIL
	}
	id := &Ident{RcvSaddr: sa.Addr, Saddr: sa.Addr, Num: sa.Port, BoundDev: s.BoundDev(), UserAddr: sa.Addr != 0, UserPort: sa.Port != 0}
	if t == fib.Multicast || t == fib.Broadcast {
		id.Saddr = 0 // to listen to, not to send from
	}
	return id, nil
}

// Getname is inet_getname.
func (s *Sock) Getname(peer bool, buf []byte) (int, error) {
	id := s.Ident()
	sa := Sockaddr{Family: syscall.AF_INET}
	if peer {
		if s.State() == sock.StateClose {
			return 0, syscall.ENOTCONN
		}
		return s.AcceptedName(buf)
	}
	sa.Port, sa.Addr = id.Num, id.RcvSaddr
	if sa.Addr == 0 {
		sa.Addr = id.Saddr
	}
	return sa.Put(buf), nil
}

// AcceptedName is the peer's address as accept gives it: also of a connection that
// is over already (Linux: inet_getname with peer 2).
func (s *Sock) AcceptedName(buf []byte) (int, error) {
	id := s.Ident()
	if id.Dport == 0 {
		return 0, syscall.ENOTCONN
	}
	sa := Sockaddr{Family: syscall.AF_INET, Port: id.Dport, Addr: id.Daddr}
	return sa.Put(buf), nil
}

// RtableOf returns the routing decision of a packet, nil if it has none.
func RtableOf(b *skb.Buff) *Rtable {
	rt, _ := b.Dst.(*Rtable)
	return rt
}
