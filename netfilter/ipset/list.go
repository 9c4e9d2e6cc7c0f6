package ipset

import (
	"fmt"
	"slices"
)

// What a list:set may answer.
const (
	errRefSet = errNo("Set to be added/deleted/tested as element does not exist.")
	errLoop   = errNo("Sets with list:set type cannot be added to the set.")
	errBefore = errNo("The set to which you referred with 'before' or 'after' is not added to the set.")
)

// setMembers replaces the members of a list, under Set.mu.
func (set *Set) setMembers(l []*member) {
	set.members = l
	view := slices.Clone(l)
	set.view.Store(&view)
}

// change adds, removes or tests a member.
func (set *Set) change(e *element, x *extras, add, exist bool) error {
	s := set.parent
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.sets[e.name]
	if sl == nil {
		return errRefSet
	}
	if sl.set.Load().typ.kind == list {
		return errLoop
	}
	now := s.now()
	set.mu.Lock()
	defer set.mu.Unlock()
	live := set.members[:0:0]
	for _, m := range set.members {
		if m.expired(now) {
			m.slot.refs--
			continue
		}
		live = append(live, m)
	}
	set.setMembers(live)
	at := slices.IndexFunc(live, func(m *member) bool { return m.slot == sl })
	ref := -1
	if e.before != "" {
		other := s.sets[e.before]
		if other == nil {
			return errNo("The set to which you referred with 'before' or 'after' does not exist.")
		}
		if ref = slices.IndexFunc(live, func(m *member) bool { return m.slot == other }); ref < 0 {
			return errBefore
		}
	}
	switch {
	case !add && at < 0:
		return errNotThere
	case !add:
		if e.before != "" && (e.after && at != ref+1 || !e.after && at != ref-1) {
			return errBefore
		}
		live[at].slot.refs--
		set.setMembers(slices.Delete(slices.Clone(live), at, at+1))
		return nil
	case at >= 0 && !exist:
		return errExist
	case at >= 0:
		set.carry(&live[at].entry, x, now)
		return nil
	case len(live) >= maxSets:
		return errListFull
	}
	m := &member{slot: sl}
	set.carry(&m.entry, x, now)
	switch {
	case ref < 0:
		ref = len(live)
	case e.after:
		ref++
	}
	sl.refs++
	set.setMembers(slices.Insert(slices.Clone(live), ref, m))
	return nil
}

// holds reports whether an element as written is in the set, which may be
// within a network if it is an address (Linux: mtype_test).
func (set *Set) holds(e *element, nomatch bool) (bool, error) {
	now := set.parent.now()
	if set.typ.kind == list {
		if _, err := set.parent.find(e.name); err != nil {
			return false, errRefSet
		}
		for _, m := range *set.view.Load() {
			if m.slot.name == e.name && !m.expired(now) {
				return true, nil
			}
		}
		return false, nil
	}
	found := false
	first := true
	err := set.expand(e, func(k Key) error {
		if !first {
			return nil
		}
		first = false
		host := set.typ.nets() && (!set.typ.has(partNet) || k.CIDR == 32) && (!set.typ.has(partNet2) || k.CIDR2 == 32)
		var x *entry
		if host {
			x = set.match(&k, now, func(*entry) bool { return true })
		} else if x = set.t.lookup(&k); x != nil && x.expired(now) {
			x = nil
		}
		found = x != nil && x.nomatch.Load() == nomatch
		return nil
	})
	return found, err
}

// row is a listed element.
type row struct {
	text string // the element and what it carries
	key  Key
	seq  uint64
}

// rows returns the elements as text: in the order they were entered, or sorted.
func (set *Set) rows(sorted bool) []string {
	now := set.parent.now()
	var l []row
	set.mu.Lock()
	for i, m := range set.members {
		if !m.expired(now) {
			l = append(l, row{text: string(set.appendExtras([]byte(m.slot.name), &m.entry, now)), seq: uint64(i)})
		}
	}
	set.t.each(func(e *entry) bool {
		if !e.expired(now) {
			l = append(l, row{text: string(set.appendExtras(set.appendKey(nil, &e.key), e, now)), key: e.key, seq: e.seq})
		}
		return true
	})
	set.mu.Unlock()
	byKey := sorted || set.typ.kind == bitmap
	slices.SortFunc(l, func(a, b row) int {
		if byKey && set.typ.kind != list {
			if c := a.key.compare(&b.key); c != 0 {
				return c
			}
		}
		return int(int64(a.seq) - int64(b.seq))
	})
	out := make([]string, len(l))
	for i := range l {
		out[i] = l[i].text
	}
	return out
}

// appendExtras appends what an element carries.
func (set *Set) appendExtras(b []byte, e *entry, now int64) []byte {
	if set.hasTimeout {
		left := int64(0)
		if t := e.expires.Load(); t != 0 {
			left = max(1, (t-now)/1e9)
		}
		b = fmt.Appendf(b, " timeout %d", left)
	}
	if e.nomatch.Load() {
		b = append(b, " nomatch"...)
	}
	if set.counters {
		b = fmt.Appendf(b, " packets %d bytes %d", e.packets.Load(), e.bytes.Load())
	}
	if c := e.comment.Load(); c != nil && *c != "" {
		b = fmt.Appendf(b, " comment \"%s\"", *c)
	}
	return b
}

// header appends the options of a set as create takes them.
func (set *Set) header(b []byte) []byte {
	switch set.typ.kind {
	case hash:
		size := max(set.hashsize, uint32(len(*set.t.b.Load())))
		b = fmt.Appendf(b, "family inet hashsize %d maxelem %d", size, set.maxelem)
	case bitmap:
		if set.typ.has(partOnlyPort) {
			b = fmt.Appendf(b, "range %d-%d", set.first, set.last)
		} else {
			b = appendIP(append(appendIP(append(b, "range "...), set.first), '-'), set.last)
		}
	case list:
		b = fmt.Appendf(b, "size %d", set.size)
	}
	if set.netmask != 0 && set.netmask != 32 {
		b = fmt.Appendf(b, " netmask %d", set.netmask)
	}
	if set.hasTimeout {
		b = fmt.Appendf(b, " timeout %d", set.timeout)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{set.counters, " counters"}, {set.comment, " comment"}, {set.forceadd, " forceadd"}} {
		if f.on {
			b = append(b, f.name...)
		}
	}
	if set.typ.kind == hash {
		b = fmt.Appendf(b, " bucketsize %d initval 0x%08x", set.bucketsize, set.initval)
	}
	return b
}

// memory estimates how many bytes a set takes.
func (set *Set) memory() int {
	return 200 + 8*len(*set.t.b.Load()) + 160*set.t.count + 120*len(set.members)
}
