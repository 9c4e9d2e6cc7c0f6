package ipset

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// errNo is why an operation on a set failed, as the ipset program says it.
type errNo string

func (e errNo) Error() string { return string(e) }

// What the kernel may answer.
const (
	errNoSet    = errNo("The set with the given name does not exist")
	errExist    = errNo("Element cannot be added to the set: it's already added")
	errNotThere = errNo("Element cannot be deleted from the set: it's not added")
	errFull     = errNo("Hash is full, cannot add more elements")
	errListFull = errNo("The set is full, more elements cannot be added.")
	errRange    = errNo("Element is out of the range of the set")
	errNull     = errNo("Null-valued element, cannot be stored in a hash type of set")
	errCidr     = errNo("The value of the CIDR parameter of the IP address is invalid")
	errTooMany  = errNo("The range covers too many elements")
)

// maxSets bounds how many sets there are, CONFIG_IP_SET_MAX.
const maxSets = 65534

// maxTimeout is the longest timeout, in seconds.
const maxTimeout = (1<<31 - 1) / 1000

// Sets are the sets of one instance.
type Sets struct {
	now    func() int64
	random func() uint32
	ports  Services

	types []typeInfo
	mu    sync.Mutex
	sets  map[string]*slot
	order []*slot
}

// Services looks up the names that stand for ports; a nil function knows none.
type Services struct {
	Port  func(name string, proto uint8) (uint16, bool)
	Proto func(name string) (uint8, bool)
	Name  func(proto uint8) string
}

// New returns an instance without sets. now is a clock in nanoseconds, random
// must be unpredictable for those outside.
func New(now func() int64, random func() uint32, names Services) *Sets {
	return &Sets{now: now, random: random, ports: names, types: types(), sets: map[string]*slot{}}
}

// slot is the place of a name: what a rule or a list refers to (Linux: an index
// of ip_set_list).
type slot struct {
	name string // under Sets.mu
	refs int    // under Sets.mu
	set  atomic.Pointer[Set]
}

// Set is a set.
type Set struct {
	typ    *typeInfo
	parent *Sets
	options
	mu      sync.Mutex // held by whoever changes the set
	t       table
	members []*member // of list:set, under mu
	view    atomic.Pointer[[]*member]
}

// options are what create may say.
type options struct {
	hashsize   uint32
	maxelem    uint32
	bucketsize uint32
	initval    uint32
	netmask    uint8
	timeout    uint32 // seconds, with hasTimeout
	size       uint32 // of a list
	first      uint32 // of a bitmap
	last       uint32
	hasTimeout bool
	counters   bool
	comment    bool
	forceadd   bool
}

// member is an entry of a list.
type member struct {
	entry
	slot *slot
}

// create makes a set. With exist a set of the same kind may be there.
func (s *Sets) create(name string, t *typeInfo, o options, exist bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.sets[name]; old != nil {
		if set := old.set.Load(); exist && set.typ == t && set.sameOptions(&o) {
			return nil
		}
		return errNo("Set cannot be created: set with the same name already exists")
	}
	if len(s.sets) >= maxSets {
		return errNo("Cannot create set: maximal number of sets reached.")
	}
	if o.initval == 0 {
		o.initval = s.random()
	}
	set := &Set{typ: t, parent: s, options: o}
	// The table begins no larger than what it can come to hold.
	size := min(o.hashsize, 1<<bits.Len32(min(o.maxelem, 1<<20)))
	if t.kind != hash {
		size = 16
	}
	set.t.init(int(max(size, 16)), uint64(o.initval)<<32|uint64(s.random()))
	set.view.Store(new([]*member))
	sl := &slot{name: name}
	sl.set.Store(set)
	s.sets[name] = sl
	s.order = append(s.order, sl)
	return nil
}

func (set *Set) sameOptions(o *options) bool {
	a, b := set.options, *o
	a.hashsize, b.hashsize, a.initval, b.initval = 0, 0, 0, 0
	return a == b
}

// find returns a set by name.
func (s *Sets) find(name string) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.sets[name]
	if sl == nil {
		return nil, errNoSet
	}
	return sl, nil
}

// all returns the sets in order of creation, those that refer to others last; one
// if name is not empty.
func (s *Sets) all(name string) ([]*slot, error) {
	if name != "" {
		sl, err := s.find(name)
		if err != nil {
			return nil, err
		}
		return []*slot{sl}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := append([]*slot(nil), s.order...)
	slices.SortStableFunc(l, func(a, b *slot) int {
		return int(a.set.Load().typ.kind/list) - int(b.set.Load().typ.kind/list)
	})
	return l, nil
}

// destroy removes a set, or all; none if one is in use.
func (s *Sets) destroy(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	const busy = errNo("Set cannot be destroyed: it is in use by a kernel component")
	if name != "" {
		sl := s.sets[name]
		switch {
		case sl == nil:
			return errNoSet
		case sl.refs > 0:
			return busy
		}
		s.remove(sl)
		return nil
	}
	inner := map[*slot]int{} // references by lists, which go too
	for _, sl := range s.order {
		for _, m := range *sl.set.Load().view.Load() {
			inner[m.slot]++
		}
	}
	for _, sl := range s.order {
		if sl.refs > inner[sl] {
			return busy
		}
	}
	clear(s.sets)
	s.order = nil
	return nil
}

// remove takes a slot out, under mu.
func (s *Sets) remove(sl *slot) {
	delete(s.sets, sl.name)
	for i, o := range s.order {
		if o == sl {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
	for _, m := range *sl.set.Load().view.Load() {
		m.slot.refs--
	}
}

// rename gives a set that nothing refers to another name.
func (s *Sets) rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.sets[from]
	switch {
	case sl == nil:
		return errNoSet
	case sl.refs > 0:
		return errNo("Set cannot be renamed: it is in use by another system")
	case s.sets[to] != nil:
		return errNo("Set cannot be renamed: a set with the new name already exists")
	}
	delete(s.sets, from)
	sl.name = to
	s.sets[to] = sl
	return nil
}

// swap exchanges what two names stand for.
func (s *Sets) swap(a, b string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, y := s.sets[a], s.sets[b]
	switch {
	case x == nil:
		return errNoSet
	case y == nil:
		return errNo("Sets cannot be swapped: the second set does not exist")
	}
	p, q := x.set.Load(), y.set.Load()
	if p.typ.feature != q.typ.feature {
		return errNo("The sets cannot be swapped: their type does not match")
	}
	x.set.Store(q)
	y.set.Store(p)
	return nil
}

// flush empties a set.
func (s *Sets) flush(set *Set) {
	s.mu.Lock() // for the references of a list
	defer s.mu.Unlock()
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, m := range set.members {
		m.slot.refs--
	}
	set.setMembers(nil)
	set.t.clear()
}

// extras are what an element may carry.
type extras struct {
	timeout                                      uint32
	packets, bytes                               uint64
	comment                                      string
	nomatch                                      bool
	hasTimeout, hasPackets, hasBytes, hasComment bool
}

// put enters an element, or with exist changes what it carries.
func (set *Set) put(k Key, x *extras, exist bool) error {
	now := set.parent.now()
	if set.typ.kind == hash && k == (Key{CIDR: k.CIDR, CIDR2: k.CIDR2}) && !set.typ.nets() {
		return errNull
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	e := set.t.lookup(&k)
	if e != nil && !e.expired(now) {
		if !exist {
			return errExist
		}
	} else {
		if e != nil { // it timed out: begin anew
			set.t.remove(e)
		} else if err := set.room(now); err != nil {
			return err
		}
		e = set.t.insert(k)
	}
	set.carry(e, x, now)
	return nil
}

// room makes sure that an element can be added.
func (set *Set) room(now int64) error {
	if set.typ.kind != hash || set.t.count < int(set.maxelem) {
		return nil
	}
	if set.hasTimeout {
		set.t.reap(now)
	}
	if set.t.count < int(set.maxelem) {
		return nil
	}
	if !set.forceadd {
		return errFull
	}
	set.t.each(func(e *entry) bool {
		set.t.remove(e)
		return false
	})
	return nil
}

// carry sets what goes with an element.
func (set *Set) carry(e *entry, x *extras, now int64) {
	e.nomatch.Store(x.nomatch)
	if set.hasTimeout {
		t := set.timeout
		if x.hasTimeout {
			t = x.timeout
		}
		if t == 0 {
			e.expires.Store(0)
		} else {
			e.expires.Store(now + int64(t)*1e9)
		}
	}
	if x.hasPackets {
		e.packets.Store(x.packets)
	}
	if x.hasBytes {
		e.bytes.Store(x.bytes)
	}
	if set.comment {
		e.comment.Store(&x.comment)
	}
}

// take removes an element.
func (set *Set) take(k Key) error {
	set.mu.Lock()
	defer set.mu.Unlock()
	e := set.t.lookup(&k)
	if e == nil {
		return errNotThere
	}
	gone := e.expired(set.parent.now())
	set.t.remove(e)
	if gone {
		return errNotThere
	}
	return nil
}

// Errno returns the error number of a failure of this package for those who
// have no text.
func Errno(err error) syscall.Errno {
	switch err {
	case nil:
		return 0
	case errNoSet:
		return syscall.ENOENT
	case errExist:
		return syscall.EEXIST
	}
	return syscall.EINVAL
}
