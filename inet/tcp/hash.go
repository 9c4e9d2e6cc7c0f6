package tcp

import (
	"math/bits"
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
	dev  int32 // SO_BINDTODEVICE
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
// established one is sharded by a keyed hash of the connection. A shard is a
// map, which grows with what is in it and draws a secret seed of its own; so
// the cost of a lookup does not depend on how many connections there are, nor
// can a peer choose tuples that collide.
type hashinfo struct {
	t      *TCP
	shards [ehashShards]ehashShard
	mix    [2]uint64 // secret, for shard

	bmu     sync.Mutex
	buckets map[uint16]*bindBucket
	spare   *bindBucket // chained by next
	nspare  int
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
	for i := range h.mix {
		h.mix[i] = uint64(t.random())<<32 | uint64(t.random())
	}
}

// shard returns the shard of a connection. Only who waits for whom depends on it,
// so a product with secret numbers does.
func (h *hashinfo) shard(k *tuple) *ehashShard {
	a, b := k.words()
	hi, lo := bits.Mul64(a^h.mix[0], b^h.mix[1])
	return &h.shards[(hi^lo)%ehashShards]
}

// hashTuple is the keyed hash of a connection: its low half chooses queues and
// listeners, its high half where the identifications begin.
func (t *TCP) hashTuple(k *tuple) uint64 { return t.secr.hash.quick2(k.words()) }

// setOrder takes both halves for a connection that begins.
func (s *Sock) setOrder(k *tuple) {
	h := s.tcp.hashTuple(k)
	s.order = uint32(h)
	s.SeedID(uint16(h >> 32))
}

// lookup finds a connection (Linux: __inet_lookup_established). dev is the
// device the packet came by.
func (h *hashinfo) lookup(k *tuple, dev int32) *entry {
	s := h.shard(k)
	s.mu.RLock()
	e := s.m[*k]
	if e != nil && e.dev != 0 && e.dev != dev {
		e = nil
	}
	s.mu.RUnlock()
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
