package conntrack

import (
	"sync"
	"sync/atomic"

	"barewire/skb"
	"barewire/skb/siphash"
)

// Config is what a table needs from above.
type Config struct {
	// Now returns monotonic nanoseconds, greater than zero. Required.
	Now func() int64
	// WallNow returns nanoseconds since 1970, for the times of
	// nf_conntrack_timestamp; nil for Now.
	WallNow func() int64
	// Rand fills b with unpredictable bytes. Required.
	Rand func(b []byte)
	// Logf writes a line of the kernel log; nil for nowhere.
	Logf func(format string, args ...any)
	// LogInvalid is told of packets a tracker refuses, when
	// nf_conntrack_log_invalid asks for it (Linux: nf_ct_l4proto_log_invalid).
	// It borrows b. Nil for nowhere.
	LogInvalid func(b *skb.Buff, proto uint8, why string)
	// Max is how many connections there may be (nf_conntrack_max), and Buckets
	// the chains of the hash, rounded up to a power of two; 0 for
	// DefaultMax and as many buckets as connections.
	Max, Buckets int
}

// DefaultMax is Linux's nf_conntrack_max for machines above 4 GiB.
const DefaultMax = 262144

// Bounds of the hash, both powers of two. A lock guards the chains whose index
// ends like it does, so there are at least as many chains as locks.
const (
	minBuckets = numLocks
	maxBuckets = 1 << 26
	numLocks   = 256
)

// Table is the connections of a network namespace. All methods are safe for
// concurrent use; those on the way of a packet run in softirq context or in the
// sender's and never block on anything but a short lock.
type Table struct {
	cfg  Config
	key  siphash.Key
	Conf Settings
	Stat Stats

	buckets atomic.Pointer[buckets]
	resizes atomic.Uint32 // even when nobody moves chains
	locks   [numLocks]struct {
		sync.Mutex
		_ [56]byte
	}
	resizing sync.Mutex

	count atomic.Int64 // unconfirmed and in the table
	ids   atomic.Uint32

	freeMu sync.Mutex
	free   *Conn
	nfree  int

	gcNext    int // bucket the worker goes on with
	earlyDrop atomic.Bool
	fullLog   ratelimit

	expect  expectTable
	helpers helperTable
	watch   watchers
	onEnd   atomic.Pointer[func(c *Conn)]
}

// buckets is the chains of the hash; it is replaced when their number changes.
type buckets struct {
	mask  uint32
	heads []atomic.Pointer[node]
}

// NewTable makes an empty table. The hash is made when the first connection is
// confirmed.
func NewTable(cfg Config) *Table {
	if cfg.Max == 0 {
		cfg.Max = DefaultMax
	}
	if cfg.Buckets == 0 {
		cfg.Buckets = cfg.Max
	}
	if cfg.WallNow == nil {
		cfg.WallNow = cfg.Now
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	t := &Table{cfg: cfg, key: siphash.NewKey(cfg.Rand)}
	var id [4]byte
	cfg.Rand(id[:])
	t.ids.Store(uint32(id[0]) | uint32(id[1])<<8 | uint32(id[2])<<16 | uint32(id[3])<<24)
	t.Conf.setDefaults(cfg.Max, roundBuckets(cfg.Buckets))
	t.buckets.Store(&buckets{mask: 0, heads: make([]atomic.Pointer[node], 1)})
	t.expect.init()
	return t
}

func roundBuckets(n int) int {
	n = min(max(n, minBuckets), maxBuckets)
	for n&(n-1) != 0 {
		n += n & -n
	}
	return n
}

func (t *Table) now() int64 { return t.cfg.Now() }

// Count returns how many connections there are, unconfirmed ones included
// (nf_conntrack_count).
func (t *Table) Count() int { return int(t.count.Load()) }

// OnEnd has fn called once for every connection that ends, whether it left the
// table or never came into it: for the NAT to forget it (Linux:
// nf_nat_cleanup_conntrack). No lock of the table is held. One function; nil
// turns it off.
func (t *Table) OnEnd(fn func(c *Conn)) {
	if fn == nil {
		t.onEnd.Store(nil)
		return
	}
	t.onEnd.Store(&fn)
}

// alloc returns a connection that is clear but for the table (Linux:
// __nf_conntrack_alloc).
func (t *Table) alloc() *Conn {
	t.freeMu.Lock()
	c := t.free
	if c != nil {
		t.free = c.master
		t.nfree--
	}
	t.freeMu.Unlock()
	if c == nil {
		c = &Conn{}
	} else {
		*c = Conn{}
	}
	c.table = t
	for d := range c.nodes {
		c.nodes[d].conn, c.nodes[d].dir = c, Dir(d)
	}
	c.use.Store(1)
	return c
}

// maxFree bounds how many connections wait to be used again. More at once are
// unconfirmed only when as many packets are on their way.
const maxFree = 1024

// recycle ends an unconfirmed connection no packet refers to any more (Linux:
// nf_ct_destroy).
func (t *Table) recycle(c *Conn) {
	t.ended(c)
	t.freeMu.Lock()
	if t.nfree < maxFree {
		c.master, t.free = t.free, c
		t.nfree++
	}
	t.freeMu.Unlock()
}

// ended is what every end of a connection has in common.
func (t *Table) ended(c *Conn) {
	t.removeExpectations(c)
	if fn := t.onEnd.Load(); fn != nil {
		(*fn)(c)
	}
	t.count.Add(-1)
}

// find returns the direction of the connection that has a tuple, nil if there is
// none (Linux: __nf_conntrack_find). It takes no lock: a connection that was
// taken out meanwhile is still whole, and its chain goes on behind it. One whose
// time is over is passed over, and noted in stale unless that is nil; only who
// holds no lock may delete it, since its end is told to others.
func (t *Table) find(k *Tuple, h uint32, now int64, stale **Conn) *node {
	for {
		seq := t.resizes.Load()
		b := t.buckets.Load()
		for n := b.heads[h&b.mask].Load(); n != nil; n = n.next.Load() {
			if n.hash != h || n.tuple != *k {
				continue
			}
			if n.conn.expires.Load() > now {
				return n
			}
			if stale != nil {
				*stale = n.conn
			}
		}
		// A chain that is being moved may have led somewhere else.
		if seq&1 == 0 && seq == t.resizes.Load() {
			return nil
		}
		t.Stat.SearchRestart.Add(1)
		t.resizing.Lock() // wait for its end
		t.resizing.Unlock()
	}
}

// Lookup returns the connection that has a tuple in either direction, and in
// which; nil if there is none (Linux: nf_conntrack_find_get).
func (t *Table) Lookup(k Tuple) (*Conn, Dir) {
	n := t.find(&k, k.hash(&t.key), t.now(), nil)
	if n == nil {
		return nil, 0
	}
	return n.conn, n.dir
}

// TupleTaken reports whether another connection than c already has a tuple that
// c would have as its reply, or whose packets could not be told from c's (Linux:
// nf_conntrack_tuple_taken).
func (t *Table) TupleTaken(k Tuple, c *Conn) bool {
	k.Zone = c.nodes[Reply].tuple.Zone
	n := t.find(&k, k.hash(&t.key), t.now(), nil)
	if n == nil || n.conn == c {
		return false
	}
	// An entry that differs in the original direction only by who began it is
	// no clash for packets that share it: see resolveClash.
	if clashOK(c.Proto()) && n.conn.nodes[Original].tuple == c.nodes[Original].tuple &&
		n.conn.nodes[Reply].tuple == k {
		return false
	}
	t.Stat.Found.Add(1)
	return true
}

// lock2 locks the chains of two hashes, always in the same order (Linux:
// nf_conntrack_double_lock).
func (t *Table) lock2(a, b uint32) {
	i, j := a%numLocks, b%numLocks
	if i > j {
		i, j = j, i
	}
	t.locks[i].Lock()
	if i != j {
		t.locks[j].Lock()
	}
}

func (t *Table) unlock2(a, b uint32) {
	i, j := a%numLocks, b%numLocks
	t.locks[i].Unlock()
	if i != j {
		t.locks[j].Unlock()
	}
}

// link puts a node at the head of its chain; its lock is held.
func (b *buckets) link(n *node) {
	head := &b.heads[n.hash&b.mask]
	n.next.Store(head.Load())
	head.Store(n)
}

// unlink takes a node out of its chain, if it is there; its lock is held. The
// node still leads on, for readers that are at it.
func (b *buckets) unlink(n *node) {
	at := &b.heads[n.hash&b.mask]
	for m := at.Load(); m != nil; m = at.Load() {
		if m == n {
			at.Store(n.next.Load())
			return
		}
		at = &m.next
	}
}

// start makes the hash, with the first connection.
func (t *Table) start() *buckets {
	b := t.buckets.Load()
	if b.mask == 0 {
		t.Resize(int(t.Conf.Buckets.Load()))
		b = t.buckets.Load()
	}
	return b
}

// Resize changes the number of chains (Linux: nf_conntrack_hash_resize). Lookups
// go on meanwhile.
func (t *Table) Resize(n int) {
	n = roundBuckets(n)
	t.resizing.Lock()
	defer t.resizing.Unlock()
	t.Conf.Buckets.Store(int32(n))
	// Every connection is in the hash twice, and each step along a chain waits
	// for memory: so there are two chains for one that is asked for.
	next := &buckets{mask: uint32(2*n - 1), heads: make([]atomic.Pointer[node], 2*n)}
	for i := range t.locks {
		t.locks[i].Lock()
	}
	t.resizes.Add(1)
	old := t.buckets.Load()
	for i := range old.heads {
		// A node is linked in front of what was linked before, so no reader
		// walks in a circle.
		for m := old.heads[i].Load(); m != nil; {
			after := m.next.Load()
			next.link(m)
			m = after
		}
	}
	t.buckets.Store(next)
	t.resizes.Add(1)
	for i := range t.locks {
		t.locks[i].Unlock()
	}
}

// Each calls fn for every connection in the table, in the order of the hash,
// outside all locks, until it returns false. What comes and goes meanwhile may be
// missed.
func (t *Table) Each(fn func(c *Conn) bool) {
	for i := 0; ; i++ {
		b := t.buckets.Load()
		if i >= len(b.heads) {
			return
		}
		now := t.now()
		for n := b.heads[i].Load(); n != nil; n = n.next.Load() {
			if n.dir == Original && n.conn.expires.Load() > now && !n.conn.IsDying() && !fn(n.conn) {
				return
			}
		}
	}
}

// Delete takes a connection out of the table (Linux: nf_ct_kill). It reports
// false when it was not there any more.
func (t *Table) Delete(c *Conn) bool {
	st := c.Status()
	if st&Confirmed == 0 || c.SetStatus(Dying)&Dying != 0 {
		return false
	}
	if a := c.acct; a != nil && a.Start != 0 {
		a.stop.Store(t.cfg.WallNow())
	}
	o, r := &c.nodes[Original], &c.nodes[Reply]
	t.lock2(o.hash, r.hash)
	b := t.buckets.Load()
	b.unlink(o)
	b.unlink(r)
	t.unlock2(o.hash, r.hash)
	t.ended(c)
	t.notify(EventDestroy, c)
	return true
}

// Flush deletes every connection for which match says so, all for nil, and
// returns how many (Linux: nf_ct_iterate_cleanup).
func (t *Table) Flush(match func(c *Conn) bool) int {
	n := 0
	t.Each(func(c *Conn) bool {
		if (match == nil || match(c)) && t.Delete(c) {
			n++
		}
		return true
	})
	return n
}
