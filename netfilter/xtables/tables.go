package xtables

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/netfilter"
	"barewire/skb"
)

// Tables are the tables of one instance.
type Tables struct {
	hooks *netfilter.Hooks
	env   *Env
	pool  sync.Pool // of *Packet
	// counts is by processor, skb.Buff.CPU.
	counts []counts

	tables map[string]*table

	edit sync.Mutex // held by Update
	gen  uint64     // of loads
}

// table is one table in place.
type table struct {
	kind   *kind
	parent *Tables
	hook   netfilter.Func
	cur    atomic.Pointer[snapshot]
	remove [netfilter.NumPoints]func()
}

// New returns the tables of an instance, all empty, and registering on hooks
// what comes into use.
func New(hooks *netfilter.Hooks, env *Env) *Tables {
	t := &Tables{hooks: hooks, env: env, tables: map[string]*table{}}
	t.pool.New = func() any { return new(Packet) }
	for i := range kinds {
		tb := &table{kind: &kinds[i], parent: t}
		tb.hook = tb.hookFunc()
		s, err := load(t.env, NewConfig(kinds[i].name), 0)
		if err != nil {
			panic(err) // an empty table has nothing to refuse
		}
		tb.cur.Store(s)
		t.tables[kinds[i].name] = tb
	}
	return t
}

// Env returns what New was given.
func (t *Tables) Env() *Env { return t.env }

// Get returns the table in place, which the caller must not change; nil if
// there is no table of that name. What packets counted by now is counted in it.
// Process context.
func (t *Tables) Get(name string) *Config {
	tb := t.tables[name]
	if tb == nil {
		return nil
	}
	if t.counts != nil {
		t.env.Settle()
	}
	return tb.cur.Load().config
}

// InUse reports whether packets pass the table: it has rules or a policy other
// than ACCEPT.
func (t *Tables) InUse(name string) bool {
	tb := t.tables[name]
	return tb != nil && tb.cur.Load().inUse
}

// Replace checks the given tables and puts them in place of the old ones, all
// or none (Linux: do_replace). A refusal is a *CheckError.
func (t *Tables) Replace(cfgs ...*Config) error {
	return t.Update(func(func(string) *Config) ([]*Config, error) { return cfgs, nil })
}

// Update lets fn make new tables from those in place, with no other change
// between, and replaces them as Replace does.
func (t *Tables) Update(fn func(get func(table string) *Config) ([]*Config, error)) error {
	t.edit.Lock()
	defer t.edit.Unlock()
	cfgs, err := fn(t.Get)
	if err != nil {
		return err
	}
	t.gen++
	snaps := make([]*snapshot, len(cfgs))
	for i, c := range cfgs {
		if t.tables[c.Name] == nil {
			err = &CheckError{Errno: syscall.ENOENT, Table: c.Name, Text: "Table does not exist"}
		} else {
			snaps[i], err = load(t.env, c, t.gen)
		}
		if err != nil {
			for j := range i {
				snaps[j].undo()
			}
			return err
		}
	}
	for _, s := range snaps {
		t.tables[s.config.Name].install(s)
	}
	return nil
}

// install makes s what packets see, and registers or removes the hooks.
func (tb *table) install(s *snapshot) {
	old := tb.cur.Swap(s)
	for p := range netfilter.NumPoints {
		want := s.inUse && !tb.kind.noHook && tb.kind.points&(1<<p) != 0
		switch {
		case want && tb.remove[p] == nil:
			tb.remove[p] = tb.parent.hooks.Register(p, tb.kind.priority, tb.hook)
		case !want && tb.remove[p] != nil:
			tb.remove[p]()
			tb.remove[p] = nil
		}
	}
	if r := tb.parent.env.NATRules; r != nil && tb.kind.noHook && old.inUse != s.inUse {
		if s.inUse {
			r(tb.hook)
		} else {
			r(nil)
		}
	}
	old.release(tb.parent.gen)
}

// Run passes b through a table at the hook s names and returns its verdict: for
// the nat table, which NAT asks once for a connection, instead of a hook of its
// own. Accept if the table is not in use.
func (t *Tables) Run(name string, b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	tb := t.tables[name]
	if tb == nil || !tb.cur.Load().inUse {
		return netfilter.Accept
	}
	return tb.hook(b, s)
}
