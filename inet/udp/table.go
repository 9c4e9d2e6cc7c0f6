package udp

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// tableSize is the number of slots of each hash (Linux: UDP_HTABLE_SIZE_MIN).
const tableSize = 256

// longSlot is how many socks may share a port slot before the lookup turns to
// the hash over address and port (Linux: the same number in udp.c).
const longSlot = 10

// entry is a sock in the table with what the lookup compares. It does not
// change; a sock that changes gets a new one.
type entry struct {
	sk        *Sock
	id        *ip.Ident
	reuse     bool
	reusePort bool
	group     *group // nil without SO_REUSEPORT
}

// slot is one chain of a hash: an immutable list.
type slot struct{ list atomic.Pointer[[]*entry] }

func (s *slot) load() []*entry {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (s *slot) add(e *entry) {
	old := s.load()
	// The newest first: of two that fit equally well it gets the packet.
	l := append(append(make([]*entry, 0, len(old)+1), e), old...)
	s.list.Store(&l)
}

func (s *slot) del(e *entry) {
	old := s.load()
	l := make([]*entry, 0, len(old))
	for _, o := range old {
		if o != e {
			l = append(l, o)
		}
	}
	if len(l) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&l)
}

// table holds all bound socks of a stack (Linux: struct udp_table): once by
// port, which binding needs, and once by address and port, which keeps the
// lookup short when many socks share a port.
type table struct {
	key   uint64
	mu    sync.Mutex // writers
	hash  [tableSize]slot
	hash2 [tableSize]slot
}

func (t *table) init(n *napi.Net) {
	var k [8]byte
	n.Rand(k[:])
	t.key = binary.LittleEndian.Uint64(k[:]) | 1
}

func (t *table) slot1(port uint16) *slot {
	return &t.hash[uint8((uint64(port)+t.key>>32)*t.key>>56)]
}

func (t *table) slot2(addr header.Addr, port uint16) *slot {
	hi, lo := bits.Mul64((uint64(addr)<<16|uint64(port))^t.key, 0x9e3779b97f4a7c15)
	return &t.hash2[uint8((hi^lo)>>40)]
}

// insert enters a sock under its identity, in exchange for its old entry; mu is
// held.
func (t *table) insert(sk *Sock, id *ip.Ident) {
	old := sk.entry
	t.unlink(sk)
	sk.udp.inuse.Add(1)
	e := &entry{sk: sk, id: id, reuse: sk.Flag(sock.FlagReuse), reusePort: sk.Flag(sock.FlagReusePort)}
	sk.late = e.reusePort && (old != nil && !old.reusePort || sk.late)
	switch {
	case !e.reusePort:
		sk.leaveGroup()
	case old != nil && old.reusePort && old.id.RcvSaddr == id.RcvSaddr && old.id.BoundDev == id.BoundDev:
		e.group = sk.group // it keeps its place
	default:
		if old != nil {
			sk.leaveGroup()
		}
		t.joinGroup(e)
	}
	sk.entry = e
	t.slot1(id.Num).add(e)
	t.slot2(id.RcvSaddr, id.Num).add(e)
}

// remove takes a sock out; mu is held.
func (t *table) remove(sk *Sock) {
	if sk.entry != nil {
		t.unlink(sk)
		sk.leaveGroup()
	}
}

// unlink takes a sock's entry off the hashes; mu is held.
func (t *table) unlink(sk *Sock) {
	e := sk.entry
	if e == nil {
		return
	}
	sk.entry = nil
	sk.udp.inuse.Add(-1)
	t.slot1(e.id.Num).del(e)
	t.slot2(e.id.RcvSaddr, e.id.Num).del(e)
}

// conflict reports whether binding sk as id would clash with another sock
// (Linux: udp_lib_lport_inuse). Two socks may share address and port if both
// have SO_REUSEADDR or both SO_REUSEPORT, or are bound to different devices. mu
// is held.
func (t *table) conflict(sk *Sock, id *ip.Ident) bool {
	reuse, reusePort := sk.Flag(sock.FlagReuse), sk.Flag(sock.FlagReusePort)
	for _, e := range t.slot1(id.Num).load() {
		if e.sk == sk || e.id.Num != id.Num || e.reuse && reuse || e.reusePort && reusePort {
			continue
		}
		if e.id.BoundDev != 0 && id.BoundDev != 0 && e.id.BoundDev != id.BoundDev {
			continue
		}
		if e.id.RcvSaddr != 0 && id.RcvSaddr != 0 && e.id.RcvSaddr != id.RcvSaddr {
			continue
		}
		return true
	}
	return false
}

// score says how well an entry fits a packet, -1 if it does not (Linux:
// compute_score). A sock bound to the address beats every wildcard; then a
// connected sock beats an unconnected one, and one bound to the device beats
// one that is not.
func (e *entry) score(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32) int {
	id := e.id
	if id.Num != dport {
		return -1
	}
	s := 0
	if id.RcvSaddr != 0 {
		if id.RcvSaddr != dst {
			return -1
		}
		s += 32
	}
	if id.Daddr != 0 {
		if id.Daddr != src {
			return -1
		}
		s += 4
	}
	if id.Dport != 0 {
		if id.Dport != sport {
			return -1
		}
		s += 4
	}
	if id.BoundDev != 0 {
		if id.BoundDev != dev {
			return -1
		}
		s += 4
	}
	return s
}

// lookup finds the sock for a packet, nil if there is none (Linux:
// __udp4_lib_lookup). Of a group that shares a port with SO_REUSEPORT its
// selector or the hash of the flow chooses one. b is the packet with Data at the
// UDP header, nil if there is only a quote of it.
func (t *table) lookup(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32, b *skb.Buff) *Sock {
	l := t.slot1(dport).load()
	if len(l) <= longSlot {
		return t.best(l, src, sport, dst, dport, dev, b)
	}
	if sk := t.best(t.slot2(dst, dport).load(), src, sport, dst, dport, dev, b); sk != nil {
		return sk
	}
	return t.best(t.slot2(0, dport).load(), src, sport, dst, dport, dev, b)
}

func (t *table) best(l []*entry, src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32, b *skb.Buff) *Sock {
	var found *entry
	best, same := -1, uint32(0)
	for _, e := range l {
		s := e.score(src, sport, dst, dport, dev)
		switch {
		case s > best:
			best, found, same = s, e, 1
		case s == best && s >= 0 && found.group != nil && e.group == found.group:
			same++
		}
	}
	if found == nil {
		return nil
	}
	if same > 1 {
		pick := t.choose(found.group, b, same, t.flowHash(src, sport, dst, dport))
		if order := found.group.order.Load(); order != nil && len(*order) == int(same) {
			return (*order)[pick]
		}
		for i := len(l) - 1; i >= 0; i-- { // some are connected elsewhere
			e := l[i]
			if e.group == found.group && e.score(src, sport, dst, dport, dev) == best {
				if pick == 0 {
					return e.sk
				}
				pick--
			}
		}
	}
	return found.sk
}

func (t *table) flowHash(src header.Addr, sport uint16, dst header.Addr, dport uint16) uint32 {
	hi, lo := bits.Mul64((uint64(src)<<32|uint64(dst))^t.key, (uint64(sport)<<16|uint64(dport))<<1|0x9e3779b900000001)
	return uint32((hi ^ lo) >> 16)
}

// group is the socks that share an address and port with SO_REUSEPORT (Linux:
// struct sock_reuseport).
type group struct {
	selector atomic.Pointer[sock.Filter]
	// order is the socks by the number a selector gives: that of their bind; the
	// last takes the place of one that leaves, so that the others keep theirs.
	order atomic.Pointer[[]*Sock]
}

// joinGroup gives a sock the group of those it shares its port with; mu is
// held.
func (t *table) joinGroup(e *entry) {
	for _, o := range t.slot1(e.id.Num).load() {
		if o.reusePort && o.sk.group != nil && o.id.Num == e.id.Num && o.id.RcvSaddr == e.id.RcvSaddr && o.id.BoundDev == e.id.BoundDev {
			e.sk.group = o.sk.group
			e.sk.late, o.sk.late = false, false
			break
		}
	}
	if e.sk.group == nil {
		e.sk.group = &group{}
	}
	e.group = e.sk.group
	var l []*Sock
	if p := e.group.order.Load(); p != nil {
		l = append(l, *p...)
	}
	l = append(l, e.sk)
	e.group.order.Store(&l)
}

// leaveGroup takes a sock out of its group, if it is in one (Linux:
// reuseport_detach_sock); the table's mu is held.
func (s *Sock) leaveGroup() {
	g := s.group
	s.group = nil
	if g == nil {
		return
	}
	p := g.order.Load()
	if p == nil {
		return
	}
	l := slices.Clone(*p)
	if i := slices.Index(l, s); i >= 0 {
		l[i] = l[len(l)-1]
		l = l[:len(l)-1]
		g.order.Store(&l)
	}
}

// setSelector installs the filter that chooses among the socks of a group by
// what it returns, their number in the group (Linux:
// reuseport_attach_prog, SO_DETACH_REUSEPORT_BPF). EINVAL without SO_REUSEPORT
// or when that came after the bind, ENOENT when there is none to take off.
func (s *Sock) setSelector(f sock.Filter) error {
	t := s.udp.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.late || s.group == nil && (s.entry != nil || !s.Flag(sock.FlagReusePort)) {
		if f == nil && s.Flag(sock.FlagReusePort) {
			return syscall.ENOENT
		}
		return syscall.EINVAL // it is in no group
	}
	if f == nil {
		if s.group == nil || s.group.selector.Swap(nil) == nil {
			return syscall.ENOENT
		}
		return nil
	}
	if s.group == nil {
		s.group = &group{}
	}
	s.group.selector.Store(&f)
	return nil
}

// choose says which of same socks gets a packet (Linux: reuseport_select_sock):
// the one the selector names, or the flow's.
func (t *table) choose(g *group, b *skb.Buff, same, flow uint32) uint32 {
	if g != nil && b != nil {
		if f := g.selector.Load(); f != nil {
			// The selector sees the payload.
			if i := runAt(*f, b, header.UDPLen); i < same {
				return i
			}
		}
	}
	return flow % same
}

// runAt runs a filter on what follows the first n bytes.
func runAt(f sock.Filter, b *skb.Buff, n int) uint32 {
	if b.Pull(n) == nil {
		return ^uint32(0)
	}
	v := f.Run(b)
	b.Push(n)
	return v
}

// each calls fn for every sock that takes a broadcast or multicast packet
// (Linux: __udp_is_mcast_sock).
func (t *table) each(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32, fn func(sk *Sock)) {
	for _, e := range t.slot1(dport).load() {
		if e.score(src, sport, dst, dport, dev) >= 0 && (!dst.IsMulticast() || e.sk.McAllow(dst, src, dev)) {
			fn(e.sk)
		}
	}
}

// getPort gives sk the identity id, with a port from the local range if it has
// none (Linux: udp_lib_get_port). It reports false when the port, or every
// port, is taken.
func (t *table) getPort(sk *Sock, id *ip.Ident) bool {
	n := sk.IP
	t.mu.Lock()
	defer t.mu.Unlock()
	if sk.Flag(sock.FlagDead) {
		return false
	}
	if id.Num == 0 {
		lo, hi := sk.LocalPortRange()
		size := uint32(hi) - uint32(lo) + 1
		var r [4]byte
		n.Dev.Rand(r[:])
		// Anywhere in the range, and on from there (RFC 6056 section 3.3.1).
		off := binary.LittleEndian.Uint32(r[:]) % size
		for i := uint32(0); ; i++ {
			if i == size {
				id.Num = 0
				return false
			}
			id.Num = uint16(uint32(lo) + (off+i)%size)
			if !n.PortReserved(id.Num) && !t.conflict(sk, id) {
				break
			}
		}
	} else if t.conflict(sk, id) {
		return false
	}
	t.insert(sk, id)
	sk.SetIdent(id)
	return true
}

// rehash moves a bound sock to a new identity of the same port (Linux:
// udp_lib_rehash).
func (t *table) rehash(sk *Sock, id *ip.Ident) {
	t.mu.Lock()
	if sk.entry != nil {
		t.insert(sk, id)
	}
	sk.SetIdent(id)
	t.mu.Unlock()
}

// unhash takes a sock out and leaves it with identity id (Linux:
// udp_lib_unhash).
func (t *table) unhash(sk *Sock, id *ip.Ident) {
	t.mu.Lock()
	t.remove(sk)
	sk.SetIdent(id)
	t.mu.Unlock()
}
