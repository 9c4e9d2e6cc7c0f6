package fib

import (
	"sync/atomic"
	"syscall"

	"barewire/skb/header"
)

// alias is one of the routes of a prefix (Linux: struct fib_alias).
type alias struct {
	TOS uint8
	*Info
}

// aliases are the routes of one prefix: by falling TOS, then by rising
// priority. They do not change; a change makes others.
type aliases []alias

// position returns where a route of a TOS and priority belongs: at the first
// that is not before it (Linux: fib_find_alias).
func (l aliases) position(tos uint8, prio uint32) int {
	for k := range l {
		if l[k].TOS > tos || l[k].TOS == tos && l[k].Priority < prio {
			continue
		}
		return k
	}
	return len(l)
}

// group is the routes of a prefix as the trie has them.
type group struct {
	list aliases
	// info and nh are the first route and its first nexthop, if they will do
	// for a flow that asks for nothing but a destination while nh has no flags.
	info *Info
	nh   *Nexthop
}

func newGroup(l aliases) group {
	g := group{list: l}
	if i := l[0].Info; l[0].TOS == 0 && i.Type.Err() == 0 && len(i.NHs) > 0 {
		g.info, g.nh = i, &i.NHs[0]
	}
	return g
}

// Table is one routing table (Linux: struct fib_table).
type Table struct {
	id       uint32
	trie     trie
	defaults atomic.Int32 // how many default routes
}

func newTable(id uint32) *Table {
	t := &Table{id: id}
	t.trie.init()
	return t
}

// ID returns the number of the table.
func (t *Table) ID() uint32 { return t.id }

// Len returns the number of prefixes.
func (t *Table) Len() int { return t.trie.count }

func (t *Table) get(dst header.Addr, bits int) aliases { return t.trie.get(uint32(dst), bits) }

func (t *Table) put(dst header.Addr, bits int, l aliases) {
	t.trie.put(uint32(dst), bits, l)
	if bits == 0 {
		t.defaults.Store(int32(len(l)))
	}
}

func (t *Table) del(dst header.Addr, bits int) {
	t.trie.del(uint32(dst), bits)
	if bits == 0 {
		t.defaults.Store(0)
	}
}

func (t *Table) walk(fn func(dst header.Addr, bits int, l aliases) bool) {
	t.trie.walk(func(key uint32, bits int, l aliases) bool { return fn(header.Addr(key), bits, l) })
}

// Lookup finds the route of a flow in this table (Linux: fib_table_lookup).
// EAGAIN when there is none, else 0 or the error of the route's type.
func (t *Table) Lookup(f *FIB, fl *Flow, res *Result) syscall.Errno {
	for limit := anyLength; ; {
		g, n := t.trie.match(uint32(fl.Dst), limit)
		if g == nil {
			return syscall.EAGAIN
		}
		if nh := g.nh; nh != nil && fl.OIF == 0 && fl.Scope == 0 && !fl.OnLink && nh.flags.Load() == 0 {
			*res = Result{Info: g.info, NH: nh, Bits: n, Table: t.id}
			return 0
		}
		for k := range g.list {
			a := &g.list[k]
			if nh, err, ok := f.usable(a, fl); ok {
				if err == 0 {
					*res = Result{Info: a.Info, NH: nh, Bits: n, TOS: a.TOS, Table: t.id}
				}
				return err
			}
		}
		limit = n
	}
}

// usable reports whether a route will do for a flow, by which nexthop, or with
// what error it ends the lookup.
func (f *FIB) usable(a *alias, fl *Flow) (*Nexthop, syscall.Errno, bool) {
	i := a.Info
	if a.TOS != 0 && a.TOS != fl.TOS&tosMask || i.Scope < fl.Scope || i.dead.Load() {
		return nil, 0, false
	}
	if err := i.Type.Err(); err != 0 {
		return nil, err, true
	}
	for k := range i.NHs {
		nh := &i.NHs[k]
		if flags := nh.flags.Load(); flags != 0 {
			if flags&NHDead != 0 || flags&NHLinkDown != 0 && !fl.IgnoreLinkDown && f.env.IgnoreLinkDown(nh.Dev) {
				continue
			}
		}
		if fl.OIF != 0 && fl.OIF != nh.OIF {
			continue
		}
		if fl.OnLink && nh.Gateway != 0 {
			continue
		}
		return nh, 0, true
	}
	return nil, 0, false
}
