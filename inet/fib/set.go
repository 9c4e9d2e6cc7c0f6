package fib

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// Env is what the FIB needs of the IP layer.
type Env interface {
	// Device returns a device that speaks IPv4, nil if there is none.
	Device(ifindex int32) *napi.NetDevice
	// AddrType classifies an address (Linux: inet_addr_type).
	AddrType(a header.Addr) Type
	// InitNexthop completes a nexthop before its route enters a table.
	InitNexthop(i *Info, nh *Nexthop)
	// IgnoreLinkDown reports whether nexthops of a device without carrier are
	// not used (ignore_routes_with_linkdown).
	IgnoreLinkDown(d *napi.NetDevice) bool
}

// FIB is the routes and rules of a namespace (Linux: netns_ipv4.fib_*).
type FIB struct {
	env    Env
	mu     sync.Mutex // writers
	tables atomic.Pointer[map[uint32]*Table]
	local  *Table
	main   *Table
	def    *Table
	rules  atomic.Pointer[ruleSet]
	infos  map[infoKey][]*Info
	gen    atomic.Uint32

	customLocal atomic.Bool
}

// New returns a FIB with the three tables and rules Linux starts with.
func New(env Env) *FIB {
	f := &FIB{env: env, infos: make(map[infoKey][]*Info)}
	f.local, f.main, f.def = newTable(TableLocal), newTable(TableMain), newTable(TableDefault)
	f.tables.Store(&map[uint32]*Table{TableLocal: f.local, TableMain: f.main, TableDefault: f.def})
	f.resetRules()
	return f
}

// Generation changes with every change of routes, rules or nexthops: a decision
// made under another generation must be made again (Linux: rt_genid).
func (f *FIB) Generation() uint32 { return f.gen.Load() }

// Bump makes every cached decision void (Linux: rt_cache_flush).
func (f *FIB) Bump() { f.gen.Add(1) }

// Table returns a table by its number, nil if it has no route yet (Linux:
// fib_get_table).
func (f *FIB) Table(id uint32) *Table {
	switch id {
	case TableMain, TableUnspec:
		return f.main
	case TableLocal:
		return f.local
	case TableDefault:
		return f.def
	}
	return (*f.tables.Load())[id]
}

// newTable returns a table by its number, making it if need be (Linux:
// fib_new_table). mu is held.
func (f *FIB) newTable(id uint32) *Table {
	if t := f.Table(id); t != nil {
		return t
	}
	m := maps.Clone(*f.tables.Load())
	t := newTable(id)
	m[id] = t
	f.tables.Store(&m)
	return t
}

// tableIDs returns the numbers of all tables, ascending.
func (f *FIB) tableIDs() []uint32 {
	return slices.Sorted(maps.Keys(*f.tables.Load()))
}

// Change says what became of the tables.
type Change struct {
	Entry Entry
	Flags uint16 // FlagReplace when another route made place
}

// Insert adds a route (Linux: fib_table_insert). flags are the Flag constants.
// Errors: EINVAL, EEXIST when a route of the prefix, TOS and priority is there
// and FlagExcl says that there must be none, or when it is the very same;
// ENOENT without FlagCreate when there is none; ENODEV, ENETDOWN, ENETUNREACH
// of the nexthops.
func (f *FIB) Insert(c *Config, flags uint16) (Change, error) {
	if c.Bits < 0 || c.Bits > 32 || c.Dst&^header.Mask(c.Bits) != 0 {
		return Change{}, syscall.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c2 := *c
	c = &c2
	if c.Table == TableUnspec {
		c.Table = TableMain
	}
	fi, err := f.createInfo(c)
	if err != nil {
		return Change{}, err
	}
	t := f.newTable(c.Table)
	e := Entry{Dst: c.Dst, Bits: c.Bits, TOS: c.TOS, Table: t.id, Info: fi}
	old := t.get(c.Dst, c.Bits)
	at := old.position(c.TOS, fi.Priority)
	ch := Change{Entry: e}
	if at < len(old) && old[at].TOS == c.TOS && old[at].Priority == fi.Priority {
		if flags&FlagExcl != 0 {
			return Change{}, syscall.EEXIST
		}
		end, match := at, -1
		for ; end < len(old) && old[end].TOS == c.TOS && old[end].Priority == fi.Priority; end++ {
			if old[end].Info == fi && match < 0 {
				match = end
			}
		}
		if flags&FlagReplace != 0 {
			if match == at {
				return ch, nil // it is there already
			}
			if match > 0 {
				return Change{}, syscall.EEXIST
			}
			was := old[at].Info
			l := slices.Clone(old)
			l[at].Info = fi
			f.hold(fi)
			t.put(c.Dst, c.Bits, l)
			f.release(was)
			ch.Flags = FlagReplace
			f.gen.Add(1)
			return ch, nil
		}
		if match >= 0 {
			return Change{}, syscall.EEXIST
		}
		if flags&FlagAppend != 0 {
			at = end
			ch.Flags = FlagAppend
		}
	} else if flags&FlagCreate == 0 {
		return Change{}, syscall.ENOENT
	}
	f.hold(fi)
	t.put(c.Dst, c.Bits, slices.Insert(slices.Clone(old), at, alias{c.TOS, fi}))
	f.gen.Add(1)
	return ch, nil
}

// Remove deletes the first route that fits the request (Linux:
// fib_table_delete). ESRCH when there is none, EINVAL.
func (f *FIB) Remove(c *Config) (Change, error) {
	if c.Bits < 0 || c.Bits > 32 || c.Dst&^header.Mask(c.Bits) != 0 {
		return Change{}, syscall.EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.Table(c.Table)
	if t == nil {
		return Change{}, syscall.ESRCH
	}
	old := t.get(c.Dst, c.Bits)
	for k := range old {
		if old[k].TOS == c.TOS && old[k].matches(c) {
			e := Entry{Dst: c.Dst, Bits: c.Bits, TOS: c.TOS, Table: t.id, Info: old[k].Info}
			f.removeAt(t, c.Dst, c.Bits, old, k)
			f.gen.Add(1)
			return Change{Entry: e}, nil
		}
	}
	return Change{}, syscall.ESRCH
}

// removeAt takes the alias k of a prefix out of the table.
func (f *FIB) removeAt(t *Table, dst header.Addr, bits int, old aliases, k int) {
	fi := old[k].Info
	if len(old) == 1 {
		t.del(dst, bits)
	} else {
		t.put(dst, bits, slices.Delete(slices.Clone(old), k, k+1))
	}
	f.release(fi)
}

// Delete removes the routes for which match returns true, and returns how many
// there were. match must not call the FIB.
func (f *FIB) Delete(match func(r *Entry) bool) int { return len(f.DeleteFunc(match)) }

// DeleteFunc is Delete that returns what it removed (Linux: fib_table_flush).
func (f *FIB) DeleteFunc(match func(r *Entry) bool) []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deleteFunc(match)
}

func (f *FIB) deleteFunc(match func(r *Entry) bool) []Entry {
	var gone []Entry
	for _, id := range f.tableIDs() {
		t := f.Table(id)
		first := len(gone)
		t.walk(func(dst header.Addr, bits int, l aliases) bool {
			for k := range l {
				if e := (Entry{dst, bits, l[k].TOS, id, l[k].Info}); match(&e) {
					gone = append(gone, e)
				}
			}
			return true
		})
		for _, e := range gone[first:] {
			l := t.get(e.Dst, e.Bits)
			if k := slices.Index(l, alias{e.TOS, e.Info}); k >= 0 {
				f.removeAt(t, e.Dst, e.Bits, l, k)
			}
		}
	}
	if len(gone) > 0 {
		f.gen.Add(1)
	}
	return gone
}

// Dump calls fn for every route, table by table and prefix by prefix, until fn
// returns false. It sees the tables as they are when it comes to them. fn may
// change routes.
func (f *FIB) Dump(fn func(e Entry) bool) {
	for _, id := range f.tableIDs() {
		for _, e := range f.DumpTable(id) {
			if !fn(e) {
				return
			}
		}
	}
}

// DumpTable returns the routes of a table by address, shorter prefixes first.
func (f *FIB) DumpTable(id uint32) (out []Entry) {
	t := f.Table(id)
	if t == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.walk(func(dst header.Addr, bits int, l aliases) bool {
		for k := range l {
			out = append(out, Entry{dst, bits, l[k].TOS, t.id, l[k].Info})
		}
		return true
	})
	return out
}

// Routes returns all routes: those of the local table first, longest prefix
// first.
func (f *FIB) Routes() []Entry {
	var out []Entry
	f.Dump(func(e Entry) bool { out = append(out, e); return true })
	slices.SortStableFunc(out, func(a, b Entry) int {
		if a.Table != b.Table {
			if a.Table > b.Table {
				return -1
			}
			return 1
		}
		return b.Bits - a.Bits
	})
	return out
}
