package tcp

import (
	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// Local ports and who has them (Linux: struct inet_bind_hashbucket, bhash and
// bhash2).

// bindClass is all that matters of an owner of a port to somebody else who wants
// it. A port has as many owners as there are connections, but they fall into few
// classes, so that looking for a conflict does not take longer with every
// connection (Linux has a second hash, by port and address, for that).
type bindClass struct {
	addr  header.Addr
	dev   int32
	flags uint8
}

// Bits of bindClass.flags.
const (
	bindReuse uint8 = 1 << iota
	bindReusePort
	bindListen
)

// bindBucket is a local port in use (Linux: struct inet_bind_bucket).
type bindBucket struct {
	port   uint16
	auto   bool // every owner got it by connecting without a bind
	owners int
	class  bindClass // of count of them
	count  int
	more   map[bindClass]int // of the others
	next   *bindBucket       // while it is in no use
}

// maxSpareBuckets is how many buckets are kept for reuse.
const maxSpareBuckets = 64

// binding is one owner of a local port: a sock, or what TIME_WAIT keeps of one.
// Guarded by hashinfo.bmu.
type binding struct {
	bucket *bindBucket
	bindClass
}

func (h *hashinfo) bucket(port uint16) *bindBucket {
	b := h.buckets[port]
	if b == nil {
		if b = h.spare; b != nil {
			h.spare = b.next
			h.nspare--
			*b = bindBucket{more: b.more}
		} else {
			b = &bindBucket{}
		}
		b.port, b.auto = port, true
		h.buckets[port] = b
	}
	return b
}

// classOf returns the class of s under an address.
func (s *Sock) classOf(addr header.Addr) bindClass {
	c := bindClass{addr: addr, dev: s.BoundDev()}
	if s.Flag(sock.FlagReuse) {
		c.flags |= bindReuse
	}
	if s.Flag(sock.FlagReusePort) {
		c.flags |= bindReusePort
	}
	if s.State() == Listen {
		c.flags |= bindListen
	}
	return c
}

// own makes o an owner of bucket b; bmu is held.
func (b *bindBucket) own(o *binding, c bindClass) {
	o.bucket, o.bindClass = b, c
	b.owners++
	switch {
	case b.count > 0 && b.class == c:
		b.count++
	case b.count == 0 && b.more[c] == 0:
		b.class, b.count = c, 1
	default:
		if b.more == nil {
			b.more = make(map[bindClass]int)
		}
		b.more[c]++
	}
}

// disown takes o from its bucket, which stays; bmu is held.
func (o *binding) disown() {
	b := o.bucket
	o.bucket = nil
	b.owners--
	if b.count > 0 && b.class == o.bindClass {
		b.count--
	} else if b.more[o.bindClass]--; b.more[o.bindClass] == 0 {
		delete(b.more, o.bindClass)
	}
}

// drop gives a port up; bmu is held.
func (h *hashinfo) drop(o *binding) {
	b := o.bucket
	if b == nil {
		return
	}
	o.disown()
	if b.owners > 0 {
		return
	}
	delete(h.buckets, b.port)
	if h.nspare < maxSpareBuckets {
		b.next = h.spare
		h.spare = b
		h.nspare++
	}
}

// conflict reports whether s may not share the bucket's port under an address
// (Linux: inet_csk_bind_conflict). relax allows what SO_REUSEADDR does;
// reusePortOK what SO_REUSEPORT does.
func (b *bindBucket) conflict(s *Sock, addr header.Addr, relax, reusePortOK bool) bool {
	me := s.classOf(addr)
	with := func(c bindClass, n int) bool {
		if s.bind.bucket == b && s.bind.bindClass == c {
			n-- // that is s itself
		}
		if n == 0 || me.dev != 0 && c.dev != 0 && me.dev != c.dev {
			return false
		}
		if addr != 0 && c.addr != 0 && addr != c.addr {
			return false
		}
		both := me.flags&c.flags&bindReusePort != 0
		if me.flags&c.flags&bindReuse != 0 && c.flags&bindListen == 0 {
			return !relax || !reusePortOK && both
		}
		return !reusePortOK || !both
	}
	if b.count > 0 && with(b.class, b.count) {
		return true
	}
	for c, n := range b.more {
		if with(c, n) {
			return true
		}
	}
	return false
}

// getPort gives s the identity id with a port (Linux: inet_csk_get_port): the
// one asked for, or one that is free. It reports false when there is none.
func (h *hashinfo) getPort(s *Sock, id *ip.Ident) bool {
	h.bmu.Lock()
	defer h.bmu.Unlock()
	if id.Num != 0 {
		if b := h.buckets[id.Num]; b != nil && b.conflict(s, id.RcvSaddr, true, true) {
			return false
		}
	} else if id.Num = h.openPort(s, id.RcvSaddr); id.Num == 0 {
		return false
	}
	h.drop(&s.bind) // bound again by listen
	b := h.bucket(id.Num)
	b.auto = false
	b.own(&s.bind, s.classOf(id.RcvSaddr))
	s.SetIdent(id)
	return true
}

// openPort finds a port for bind (Linux: inet_csk_find_open_port): of the half
// of the range connect does not prefer. bmu is held.
func (h *hashinfo) openPort(s *Sock, addr header.Addr) uint16 {
	lo, hi := s.LocalPortRange()
	for _, relax := range [...]bool{false, true} {
		if p := h.searchPorts(lo, hi, h.t.random()|1, func(port uint16) bool {
			b := h.buckets[port]
			return b == nil || !b.conflict(s, addr, relax, false)
		}); p != 0 {
			return p
		}
	}
	return 0
}

// searchPorts tries every port of a range from a start on: those of its parity
// first. 0 when none will do.
func (h *hashinfo) searchPorts(lo, hi uint16, start uint32, ok func(port uint16) bool) uint16 {
	size := uint32(hi) - uint32(lo) + 1
	off := start % size
	for pass := range uint32(2) {
		parity := (start + pass) & 1
		for i := range size {
			o := (off + i) % size
			if o&1 != parity {
				continue
			}
			if p := uint16(uint32(lo) + o); !h.t.ip.PortReserved(p) && ok(p) {
				return p
			}
		}
	}
	return 0
}

// connectPort enters s, which is about to connect, in the established hash
// (Linux: inet_hash_connect), with a port of its own if it has none: any port
// will do whose connections all go elsewhere. Nil, with s untouched, when there
// is none left.
func (h *hashinfo) connectPort(s *Sock, id *ip.Ident) *entry {
	h.bmu.Lock()
	defer h.bmu.Unlock()
	e := &s.e
	e.dev, e.key = s.BoundDev(), tuple{laddr: id.RcvSaddr, raddr: id.Daddr, lport: id.Num, rport: id.Dport}
	if id.Num != 0 {
		if !h.established(s, e, true) {
			return nil
		}
		h.reclass(s, id.RcvSaddr)
		return e
	}
	lo, hi := s.LocalPortRange()
	a, b := e.key.words()
	start := uint32(h.t.secr.port.sum2(a, b)) + h.perturb
	port := h.searchPorts(lo, hi, start&^1, func(port uint16) bool {
		if b := h.buckets[port]; b != nil && !b.auto {
			return false
		}
		e.key.lport = port
		return h.established(s, e, false)
	})
	if port == 0 {
		return nil
	}
	h.perturb += 2
	h.bucket(port).own(&s.bind, s.classOf(id.RcvSaddr))
	id.Num = port
	return e
}

// established enters e if its tuple is free, or taken by a TIME_WAIT that may be
// reused, chosen if the program chose its port (Linux: __inet_check_established);
// bmu is held.
func (h *hashinfo) established(s *Sock, e *entry, chosen bool) bool {
	if h.insert(e, nil) {
		return true
	}
	old := h.lookup(&e.key, e.dev)
	if old == nil || old.tw() == nil || !old.tw().reuse(s, chosen) || !h.insert(e, old) {
		return false
	}
	if w := old.tw(); w.end() {
		h.drop(&w.bind)
	}
	return true
}

// inheritPort makes a connection an owner of its listener's port (Linux:
// __inet_inherit_port).
func (h *hashinfo) inheritPort(s *Sock, port uint16, addr header.Addr) {
	h.bmu.Lock()
	b := h.bucket(port)
	b.auto = false
	b.own(&s.bind, s.classOf(addr))
	h.bmu.Unlock()
}

// putPort gives the port of s up (Linux: inet_put_port).
func (h *hashinfo) putPort(s *Sock) {
	if s.bind.bucket != nil { // only who holds s changes that
		h.bmu.Lock()
		h.drop(&s.bind)
		h.bmu.Unlock()
	}
	if old := s.Ident(); old.Num != 0 && !s.Flag(sock.FlagDead) { // who asks a dead one?
		id := *old
		id.Num = 0
		s.SetIdent(&id)
	}
}

// optionsChanged follows SO_REUSEADDR, SO_REUSEPORT and SO_BINDTODEVICE of a
// bound sock, and whether it listens.
func (h *hashinfo) optionsChanged(s *Sock) {
	h.bmu.Lock()
	h.reclass(s, s.bind.addr)
	h.bmu.Unlock()
}

// reclass makes what s is known by what it is; bmu is held.
func (h *hashinfo) reclass(s *Sock, addr header.Addr) {
	if b := s.bind.bucket; b != nil {
		s.bind.disown()
		b.own(&s.bind, s.classOf(addr))
	}
}
