package tcp

import (
	"sync"
	"unsafe"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// entry is one connection in the established hash: an open or closing one, a
// request that is not one yet, or what is left of one (Linux: struct
// sock_common). It is part of what it stands for, and does not change while it
// is in the table.
type entry struct {
	key  tuple
	dev  int32  // SO_BINDTODEVICE
	next *entry // in its chain; the shard guards it
	hash uint32 // of key, since it was entered
	kind uint8
}

// What an entry is part of.
const (
	entrySock uint8 = iota
	entryRequest
	entryTimewait
)

// sk returns the connection, nil if it is none.
func (e *entry) sk() *Sock {
	if e.kind != entrySock {
		return nil
	}
	return (*Sock)(unsafe.Add(unsafe.Pointer(e), -int(unsafe.Offsetof(Sock{}.e))))
}

// req returns the request, nil if it is none.
func (e *entry) req() *request {
	if e.kind != entryRequest {
		return nil
	}
	return (*request)(unsafe.Add(unsafe.Pointer(e), -int(unsafe.Offsetof(request{}.e))))
}

// tw returns what is left of a connection, nil if it is none of that.
func (e *entry) tw() *timewait {
	if e.kind != entryTimewait {
		return nil
	}
	return (*timewait)(unsafe.Add(unsafe.Pointer(e), -int(unsafe.Offsetof(timewait{}.e))))
}

// ehashShards is a power of two.
const ehashShards = 64

// hashinfo is the tables of connections (Linux: struct inet_hashinfo). The
// established one is sharded by a keyed hash of the connection, whose key no
// peer knows, so that nobody can choose tuples that collide. A shard is chains of
// entries, as many as it has entries or more; so the cost of a lookup does not
// depend on how many connections there are.
type hashinfo struct {
	t      *TCP
	shards [ehashShards]ehashShard

	bmu     sync.Mutex
	buckets map[uint16]*bindBucket
	spare   *bindBucket // chained by next
	nspare  int
	perturb uint32 // moves the start of the search for a port

	lmu    sync.RWMutex
	listen map[uint16][]*Sock // newest first; slices are never changed
}

type ehashShard struct {
	mu     sync.RWMutex
	chains []*entry // a power of two, none at first
	n      int      // entries
	_      [64]byte // shards do not share cache lines
}

func (h *hashinfo) init(t *TCP) {
	h.t = t
	h.buckets = make(map[uint16]*bindBucket)
	h.listen = make(map[uint16][]*Sock)
	h.perturb = t.random()
}

// hashTuple is the keyed hash of a connection. Its low half is that of the
// tables.
func (t *TCP) hashTuple(k *tuple) uint64 { return t.secr.hash.quick2(k.words()) }

// shard returns the shard of a hash.
func (h *hashinfo) shard(hash uint32) *ehashShard { return &h.shards[hash%ehashShards] }

// place returns where the entry with a key stands, or would be put: at the end of
// its chain. The shard is locked and has chains.
func (s *ehashShard) place(hash uint32, k *tuple) **entry {
	p := &s.chains[int(hash/ehashShards)&(len(s.chains)-1)]
	for *p != nil && ((*p).hash != hash || (*p).key != *k) {
		p = &(*p).next
	}
	return p
}

// grow makes chains for twice the entries; the shard is locked.
func (s *ehashShard) grow() {
	old := s.chains
	s.chains = make([]*entry, max(2*len(old), 4))
	for _, e := range old {
		for e != nil {
			next := e.next
			p := &s.chains[int(e.hash/ehashShards)&(len(s.chains)-1)]
			e.next, *p = *p, e
			e = next
		}
	}
}

// lookup finds a connection (Linux: __inet_lookup_established). dev is the
// device the packet came by.
func (h *hashinfo) lookup(k *tuple, dev int32) (e *entry) {
	hash := uint32(h.t.hashTuple(k))
	s := h.shard(hash)
	s.mu.RLock()
	if len(s.chains) != 0 {
		e = *s.place(hash, k)
	}
	s.mu.RUnlock()
	if e != nil && e.dev != 0 && e.dev != dev {
		e = nil
	}
	return e
}

// insert enters e unless there is one already. With old not nil it takes old's
// place, if that is still there (Linux: inet_ehash_insert).
func (h *hashinfo) insert(e, old *entry) bool {
	e.hash = uint32(h.t.hashTuple(&e.key))
	s := h.shard(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n >= len(s.chains) {
		s.grow()
	}
	p := s.place(e.hash, &e.key)
	if *p != old {
		return false
	}
	e.next = nil
	if old != nil {
		e.next, old.next = old.next, nil
	} else {
		s.n++
	}
	*p = e
	return true
}

// remove takes e out, if it is there.
func (h *hashinfo) remove(e *entry) bool {
	s := h.shard(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 {
		return false
	}
	p := s.place(e.hash, &e.key)
	if *p != e {
		return false
	}
	*p, e.next = e.next, nil
	s.n--
	return true
}

// each calls fn for every entry, outside all locks.
func (h *hashinfo) each(fn func(e *entry)) {
	var l []*entry
	for i := range h.shards {
		s := &h.shards[i]
		l = l[:0]
		s.mu.RLock()
		for _, e := range s.chains {
			for ; e != nil; e = e.next {
				l = append(l, e)
			}
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
	if s.hashed {
		h.remove(&s.e)
		s.hashed = false
	}
}

// addListener enters a listening sock (Linux: inet_hash).
func (h *hashinfo) addListener(s *Sock) {
	port := s.Ident().Num
	h.lmu.Lock()
	h.joinReuse(s)
	h.listen[port] = append([]*Sock{s}, h.listen[port]...)
	h.lmu.Unlock()
}

func (h *hashinfo) unlisten(s *Sock) {
	h.lmu.Lock()
	defer h.lmu.Unlock()
	s.leaveReuse()
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
// b, which may be nil, is the SYN with its header hdr, for the selector.
func (h *hashinfo) lookupListener(k *tuple, dev int32, b *skb.Buff, hdr header.TCP) *Sock {
	h.lmu.RLock()
	l := h.listen[k.lport]
	h.lmu.RUnlock()
	var found *Sock
	best := 0
	for _, s := range l {
		if sc := s.listenScore(k.laddr, dev); sc > best {
			best, found = sc, s
		}
	}
	if found != nil && found.extra.group != nil {
		if s := found.extra.group.choose(b, hdr, uint32(h.t.hashTuple(k))); s != nil {
			return s
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
		case e.tw() != nil:
			e.tw().kill()
		case e.req() != nil:
			e.req().drop()
		case e.sk().Flag(sock.FlagDead):
			e.sk().BHLock()
			e.sk().done()
			e.sk().bhUnlock()
		}
	})
}
