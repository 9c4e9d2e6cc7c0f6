package fib

import (
	"slices"
	"syscall"

	"barewire/skb/header"
)

// ruleSet is an immutable list of rules by priority.
type ruleSet struct {
	list   []Rule
	custom bool // not just the three that Linux starts with
}

// Priorities of the rules Linux starts with.
const (
	prioLocal   = 0
	prioMain    = 0x7ffe
	prioDefault = 0x7fff
)

func (f *FIB) resetRules() {
	l := []Rule{NewRule(prioLocal, TableLocal), NewRule(prioMain, TableMain), NewRule(prioDefault, TableDefault)}
	for i := range l {
		l[i].Protocol = ProtKernel
	}
	f.rules.Store(&ruleSet{list: l})
}

// Lookup finds the route of a flow by the rules (Linux: fib_lookup).
// ENETUNREACH if there is none, else 0 or the error of the rule or of the
// route's type.
func (f *FIB) Lookup(fl *Flow, res *Result) syscall.Errno {
	rs := f.rules.Load()
	if rs.custom {
		return f.ruleLookup(rs, fl, res)
	}
	// As long as nobody made rules, the three tables in their order.
	err := syscall.EAGAIN
	if !f.local.trie.none(uint32(fl.Dst)) {
		err = f.local.Lookup(f, fl, res)
	}
	if err == syscall.EAGAIN {
		err = f.main.Lookup(f, fl, res)
	}
	if err == syscall.EAGAIN {
		err = f.def.Lookup(f, fl, res)
	}
	if err == syscall.EAGAIN {
		return syscall.ENETUNREACH
	}
	return err
}

// ruleLookup is fib_rules_lookup.
func (f *FIB) ruleLookup(rs *ruleSet, fl *Flow, res *Result) syscall.Errno {
	for k := 0; k < len(rs.list); k++ {
		r := &rs.list[k]
		if f.match(r, fl) == r.Invert {
			continue
		}
		switch r.Action {
		case ActGoto:
			// Only forwards, so this ends. A rule whose target is not there
			// does nothing.
			if to := rs.target(r.Goto); to > k {
				k = to - 1
			}
		case ActToTable:
			t := f.Table(r.Table)
			if t == nil {
				continue
			}
			err := t.Lookup(f, fl, res)
			if err == syscall.EAGAIN || err == 0 && r.SuppressPrefixlen >= 0 && res.Bits <= r.SuppressPrefixlen {
				continue
			}
			return err
		case ActUnreachable:
			return syscall.ENETUNREACH
		case ActProhibit:
			return syscall.EACCES
		case ActBlackhole:
			return syscall.EINVAL
		}
	}
	return syscall.ENETUNREACH
}

// target returns the first rule of a priority, -1 if there is none.
func (rs *ruleSet) target(prio uint32) int {
	for k := range rs.list {
		if rs.list[k].Priority == prio {
			return k
		}
	}
	return -1
}

// match is fib4_rule_match and the device part of fib_rule_match.
func (f *FIB) match(r *Rule, fl *Flow) bool {
	switch {
	case (fl.Dst^r.Dst)&header.Mask(r.DstBits) != 0, (fl.Src^r.Src)&header.Mask(r.SrcBits) != 0:
		return false
	case r.TOS != 0 && r.TOS != fl.TOS&tosMask, (r.Mark^fl.Mark)&r.MarkMask != 0:
		return false
	case r.IPProto != 0 && r.IPProto != fl.Proto:
		return false
	case r.SPort != PortRange{} && (fl.SPort < r.SPort.Start || fl.SPort > r.SPort.End):
		return false
	case r.DPort != PortRange{} && (fl.DPort < r.DPort.Start || fl.DPort > r.DPort.End):
		return false
	case r.IIF != "" && !f.isDev(fl.IIF, r.IIF), r.OIF != "" && !f.isDev(fl.OIF, r.OIF):
		return false
	}
	return true
}

// isDev reports whether a device has a name. What is sent from here comes by
// the loopback device.
func (f *FIB) isDev(ifindex int32, name string) bool {
	if ifindex == 0 {
		return name == "lo"
	}
	d := f.env.Device(ifindex)
	return d != nil && d.Name() == name
}

// CustomRules reports whether anybody ever changed the rules (Linux:
// fib_has_custom_rules).
func (f *FIB) CustomRules() bool { return f.rules.Load().custom }

// CustomLocal reports whether somebody made a route of type Local, beside those
// that addresses bring (Linux: fib_has_custom_local_routes).
func (f *FIB) CustomLocal() bool { return f.customLocal.Load() }

// SetCustomLocal notes that somebody did.
func (f *FIB) SetCustomLocal() { f.customLocal.Store(true) }

// Rules returns the rules in the order in which they are tried.
func (f *FIB) Rules() []Rule { return slices.Clone(f.rules.Load().list) }

// AddRule adds a rule (Linux: fib_nl_newrule). A zero Priority means one less
// than the second rule's. EEXIST with FlagExcl when the same rule is there;
// EINVAL. It returns the rule as it was added.
func (f *FIB) AddRule(r Rule, flags uint16) (Rule, error) {
	if err := r.check(); err != nil {
		return r, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.rules.Load().list
	if r.Priority == 0 && len(old) > 1 && old[1].Priority > 0 {
		r.Priority = old[1].Priority - 1
	}
	if r.Action == ActGoto && r.Goto <= r.Priority {
		return r, syscall.EINVAL
	}
	if flags&FlagExcl != 0 && slices.ContainsFunc(old, func(o Rule) bool { return o.same(&r) }) {
		return r, syscall.EEXIST
	}
	if r.Action == ActToTable {
		// Without a table the rule gets one of its own (Linux:
		// fib_empty_table).
		for id := uint32(1); r.Table == TableUnspec && id < 256; id++ {
			if f.Table(id) == nil {
				r.Table = id
			}
		}
		if r.Table == TableUnspec {
			return r, syscall.ENOBUFS
		}
		f.newTable(r.Table)
	}
	at := slices.IndexFunc(old, func(o Rule) bool { return o.Priority > r.Priority })
	if at < 0 {
		at = len(old)
	}
	f.rules.Store(&ruleSet{list: slices.Insert(slices.Clone(old), at, r), custom: true})
	f.gen.Add(1)
	return r, nil
}

// same compares rules without who made them (Linux: rule_exists).
func (r *Rule) same(o *Rule) bool {
	a, b := *r, *o
	a.Protocol, b.Protocol = 0, 0
	return a == b
}

func (r *Rule) check() error {
	switch {
	case r.SrcBits < 0 || r.SrcBits > 32 || r.DstBits < 0 || r.DstBits > 32,
		r.TOS&3 != 0, // the bits of ECN
		len(r.IIF) > 15 || len(r.OIF) > 15,
		r.SPort != PortRange{} && (r.SPort.Start == 0 || r.SPort.End < r.SPort.Start || r.SPort.End == 0xffff),
		r.DPort != PortRange{} && (r.DPort.Start == 0 || r.DPort.End < r.DPort.Start || r.DPort.End == 0xffff):
		return syscall.EINVAL
	}
	switch r.Action {
	case ActToTable, ActGoto, ActNop, ActBlackhole, ActUnreachable, ActProhibit:
		return nil
	}
	return syscall.EINVAL
}

// DelRule removes the first rule that fits what is set in r (Linux:
// fib_nl_delrule, rule_find). ENOENT when there is none.
func (f *FIB) DelRule(r Rule) (Rule, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.rules.Load().list
	at := slices.IndexFunc(old, func(o Rule) bool { return o.fits(&r) })
	if at < 0 {
		return r, syscall.ENOENT
	}
	gone := old[at]
	f.rules.Store(&ruleSet{list: slices.Delete(slices.Clone(old), at, at+1), custom: true})
	f.gen.Add(1)
	return gone, nil
}

// fits reports whether a request to delete means o: what it leaves open may be
// anything.
func (o *Rule) fits(r *Rule) bool {
	type pair struct{ set, same bool }
	for _, p := range []pair{
		{r.Action != ActUnspec, o.Action == r.Action},
		{r.Table != 0, o.Table == r.Table},
		{r.Priority != 0, o.Priority == r.Priority},
		{r.IIF != "", o.IIF == r.IIF}, {r.OIF != "", o.OIF == r.OIF},
		{r.Mark != 0, o.Mark == r.Mark}, {r.MarkMask != 0, o.MarkMask == r.MarkMask},
		{r.SuppressPrefixlen > 0, o.SuppressPrefixlen == r.SuppressPrefixlen},
		{r.Protocol != 0, o.Protocol == r.Protocol},
		{r.IPProto != 0, o.IPProto == r.IPProto},
		{r.SPort != PortRange{}, o.SPort == r.SPort}, {r.DPort != PortRange{}, o.DPort == r.DPort},
		{r.SrcBits != 0, o.SrcBits == r.SrcBits && o.Src == r.Src},
		{r.DstBits != 0, o.DstBits == r.DstBits && o.Dst == r.Dst},
		{r.TOS != 0, o.TOS == r.TOS}, {r.Invert, o.Invert},
	} {
		if p.set && !p.same {
			return false
		}
	}
	return true
}
