package tcp

import (
	"sync"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// entry is one connection in the established hash: an open or closing one, a
// request that is not one yet, or what is left of one (Linux: struct
// sock_common). Exactly one of the pointers is set. It does not change.
type entry struct {
	key tuple
	dev int32 // SO_BINDTODEVICE
	sk  *Sock
	req *request
	tw  *timewait
}

// ehashShards is a power of two.
const ehashShards = 64

// hashinfo is the tables of connections (Linux: struct inet_hashinfo). The
// established one is sharded by a keyed hash of the connection. A shard is a
// map, which grows with what is in it and draws a secret seed of its own; so
// the cost of a lookup does not depend on how many connections there are, nor
// can a peer choose tuples that collide.
type hashinfo struct {
	t      *TCP
	shards [ehashShards]ehashShard

	bmu     sync.Mutex
	buckets map[uint16]*bindBucket
	perturb uint32 // moves the start of the search for a port

	lmu    sync.RWMutex
	listen map[uint16][]*Sock // newest first; slices are never changed
}

type ehashShard struct {
	mu sync.RWMutex
	m  map[tuple]*entry
	_  [64]byte // shards do not share cache lines
}

func (h *hashinfo) init(t *TCP) {
	h.t = t
	for i := range h.shards {
		h.shards[i].m = make(map[tuple]*entry)
	}
	h.buckets = make(map[uint16]*bindBucket)
	h.listen = make(map[uint16][]*Sock)
	h.perturb = t.random()
}

func (h *hashinfo) shard(k *tuple) *ehashShard {
	return &h.shards[h.t.hashTuple(k)%ehashShards]
}

// hashTuple is the keyed hash of a connection.
func (t *TCP) hashTuple(k *tuple) uint32 { return uint32(t.secr.hash.sum2(k.words())) }

// lookup finds a connection (Linux: __inet_lookup_established). dev is the
// device the packet came by.
func (h *hashinfo) lookup(k *tuple, dev int32) *entry {
	s := h.shard(k)
	s.mu.RLock()
	e := s.m[*k]
	s.mu.RUnlock()
	if e != nil && e.dev != 0 && e.dev != dev {
		return nil
	}
	return e
}

// insert enters e unless there is one already. With old not nil it takes old's
// place, if that is still there (Linux: inet_ehash_insert).
func (h *hashinfo) insert(e, old *entry) bool {
	s := h.shard(&e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[e.key] != old {
		return false
	}
	s.m[e.key] = e
	return true
}

// remove takes e out, if it is there.
func (h *hashinfo) remove(e *entry) bool {
	s := h.shard(&e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[e.key] != e {
		return false
	}
	delete(s.m, e.key)
	return true
}

// each calls fn for every entry, outside all locks.
func (h *hashinfo) each(fn func(e *entry)) {
	var l []*entry
	for i := range h.shards {
		s := &h.shards[i]
		l = l[:0]
		s.mu.RLock()
		for _, e := range s.m {
			l = append(l, e)
		}
		s.mu.RUnlock()
		for _, e := range l {
			fn(e)
		}
	}
}

// unhash takes a sock out of the established or the listen hash (Linux:
// inet_unhash).
func (h *hashinfo) unhash(s *Sock) {
	if s.State() == Listen {
		h.unlisten(s)
	}
	if s.tab != nil {
		h.remove(s.tab)
		s.tab = nil
	}
}

// addListener enters a listening sock (Linux: inet_hash).
func (h *hashinfo) addListener(s *Sock) {
	port := s.Ident().Num
	h.lmu.Lock()
	h.listen[port] = append([]*Sock{s}, h.listen[port]...)
	h.lmu.Unlock()
}

func (h *hashinfo) unlisten(s *Sock) {
	h.lmu.Lock()
	defer h.lmu.Unlock()
	for port, l := range map[uint16][]*Sock{s.Ident().Num: h.listen[s.Ident().Num]} {
		var keep []*Sock
		for _, o := range l {
			if o != s {
				keep = append(keep, o)
			}
		}
		if len(keep) == 0 {
			delete(h.listen, port)
		} else {
			h.listen[port] = keep
		}
	}
}

// lookupListener finds the listener for a SYN, nil if there is none (Linux:
// __inet_lookup_listener): one bound to the address before one bound to all, one
// bound to the device before one that is not. Of those that share a port with
// SO_REUSEPORT the connection's hash chooses.
func (h *hashinfo) lookupListener(k *tuple, dev int32) *Sock {
	h.lmu.RLock()
	l := h.listen[k.lport]
	h.lmu.RUnlock()
	var found *Sock
	best, same := 0, uint32(0)
	for _, s := range l {
		sc := s.listenScore(k.laddr, dev)
		switch {
		case sc > best:
			best, found, same = sc, s, 1
		case sc == best && sc > 0 && found.Flag(sock.FlagReusePort) && s.Flag(sock.FlagReusePort):
			same++
		}
	}
	if same > 1 {
		pick := uint32(uint64(h.t.hashTuple(k)) * uint64(same) >> 32)
		for i := len(l) - 1; i >= 0; i-- { // in the order of listening
			if l[i].listenScore(k.laddr, dev) == best {
				if pick == 0 {
					return l[i]
				}
				pick--
			}
		}
	}
	return found
}

func (s *Sock) listenScore(dst header.Addr, dev int32) int {
	id := s.Ident()
	sc := 1
	if id.RcvSaddr != 0 {
		if id.RcvSaddr != dst {
			return 0
		}
		sc += 4
	}
	if b := s.BoundDev(); b != 0 {
		if b != dev {
			return 0
		}
		sc += 2
	}
	return sc
}

// close drops what only waits for time: requests, TIME_WAIT and orphans.
func (h *hashinfo) close() {
	h.each(func(e *entry) {
		switch {
		case e.tw != nil:
			e.tw.kill()
		case e.req != nil:
			e.req.drop()
		case e.sk.Flag(sock.FlagDead):
			e.sk.BHLock()
			e.sk.done()
			e.sk.bhUnlock()
		}
	})
}

// bindBucket is a local port in use (Linux: struct inet_bind_bucket).
type bindBucket struct {
	port   uint16
	auto   bool // every owner got it by connecting without a bind
	owners map[*binding]struct{}
}

// binding is one owner of a local port: a sock, or what TIME_WAIT keeps of one.
// Guarded by hashinfo.bmu.
type binding struct {
	bucket           *bindBucket
	sk               *Sock // nil in TIME_WAIT
	addr             header.Addr
	dev              int32
	reuse, reusePort bool
}

func (h *hashinfo) bucket(port uint16) *bindBucket {
	b := h.buckets[port]
	if b == nil {
		b = &bindBucket{port: port, auto: true, owners: make(map[*binding]struct{}, 1)}
		h.buckets[port] = b
	}
	return b
}

// own makes s an owner of bucket b; bmu is held.
func (b *bindBucket) own(s *Sock, addr header.Addr) {
	o := &s.bind
	o.bucket, o.sk, o.addr, o.dev = b, s, addr, s.BoundDev()
	o.reuse, o.reusePort = s.Flag(sock.FlagReuse), s.Flag(sock.FlagReusePort)
	b.owners[o] = struct{}{}
}

// drop gives a port up; bmu is held.
func (h *hashinfo) drop(o *binding) {
	b := o.bucket
	if b == nil {
		return
	}
	o.bucket = nil
	delete(b.owners, o)
	if len(b.owners) == 0 {
		delete(h.buckets, b.port)
	}
}

// conflict reports whether s may not share the bucket's port under an address
// (Linux: inet_csk_bind_conflict). relax allows what SO_REUSEADDR does;
// reusePortOK what SO_REUSEPORT does.
func (b *bindBucket) conflict(s *Sock, addr header.Addr, relax, reusePortOK bool) bool {
	dev, reuse, reusePort := s.BoundDev(), s.Flag(sock.FlagReuse), s.Flag(sock.FlagReusePort)
	for o := range b.owners {
		if o == &s.bind || dev != 0 && o.dev != 0 && dev != o.dev {
			continue
		}
		if addr != 0 && o.addr != 0 && addr != o.addr {
			continue
		}
		both := reusePort && o.reusePort
		if reuse && o.reuse && !(o.sk != nil && o.sk.State() == Listen) {
			if !relax || !reusePortOK && both {
				return true
			}
		} else if !reusePortOK || !both {
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
	b.own(s, id.RcvSaddr)
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
	e := &entry{sk: s, dev: s.BoundDev(), key: tuple{laddr: id.RcvSaddr, raddr: id.Daddr, lport: id.Num, rport: id.Dport}}
	if id.Num != 0 {
		if !h.established(s, e) {
			return nil
		}
		s.bind.addr = id.RcvSaddr
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
		return h.established(s, e)
	})
	if port == 0 {
		return nil
	}
	h.perturb += 2
	h.bucket(port).own(s, id.RcvSaddr)
	id.Num = port
	return e
}

// established enters e if its tuple is free, or taken by a TIME_WAIT that may be
// reused (Linux: __inet_check_established).
func (h *hashinfo) established(s *Sock, e *entry) bool {
	if h.insert(e, nil) {
		return true
	}
	old := h.lookup(&e.key, e.dev)
	if old == nil || old.tw == nil || !old.tw.reuse(s) || !h.insert(e, old) {
		return false
	}
	old.tw.gone()
	return true
}

// inheritPort makes a connection an owner of its listener's port (Linux:
// __inet_inherit_port).
func (h *hashinfo) inheritPort(s *Sock, port uint16, addr header.Addr) {
	h.bmu.Lock()
	b := h.bucket(port)
	b.auto = false
	b.own(s, addr)
	h.bmu.Unlock()
}

// putPort gives the port of s up (Linux: inet_put_port).
func (h *hashinfo) putPort(s *Sock) {
	h.bmu.Lock()
	h.drop(&s.bind)
	h.bmu.Unlock()
	if id := *s.Ident(); id.Num != 0 {
		id.Num = 0
		s.SetIdent(&id)
	}
}

// optionsChanged follows SO_REUSEADDR, SO_REUSEPORT and SO_BINDTODEVICE of a
// bound sock.
func (h *hashinfo) optionsChanged(s *Sock) {
	h.bmu.Lock()
	defer h.bmu.Unlock()
	if o := &s.bind; o.bucket != nil {
		o.dev, o.reuse, o.reusePort = s.BoundDev(), s.Flag(sock.FlagReuse), s.Flag(sock.FlagReusePort)
	}
}
