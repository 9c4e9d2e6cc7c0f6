package fib

// Reach is what is known of a gateway (Linux: the states of a neighbour, as far
// as fib_detect_death tells them apart).
type Reach uint8

// What is known of a gateway.
const (
	ReachUnknown Reach = iota // nobody asked for it yet
	ReachAsking               // asked, no answer so far
	ReachFailed               // does not answer
	ReachMaybe                // answered once
	ReachSure                 // answered just now
)

// SelectDefault chooses among several default routes of one priority in res, of
// which the first was found: the first whose gateway answers, and of those that
// may the next one each time, so that a dead one is found out (Linux:
// fib_select_default, fib_detect_death; RFC 1122 section 3.3.1.4). reach says
// what is known of the gateway of a nexthop.
func (f *FIB) SelectDefault(fl *Flow, res *Result, reach func(nh *Nexthop) Reach) {
	t := f.Table(res.Table)
	if t == nil || t.defaults.Load() < 2 || res.Bits != 0 || res.Type != Unicast {
		return
	}
	g, _ := t.trie.match(uint32(fl.Dst), 1)
	if g == nil {
		return
	}
	var (
		last  *Info // the one looked at
		first *Info // keeps which was chosen
		d     = dead{lastIdx: -1, reach: reach}
		order = int32(-1)
		prio  = res.Priority
		tos   uint8
	)
	for k := range g.list {
		a := &g.list[k]
		if a.TOS != 0 && a.TOS != fl.TOS&tosMask {
			continue
		}
		if a.Priority > prio && a.TOS == tos {
			if tos != 0 {
				continue
			}
			break
		}
		if a.Dead() {
			continue
		}
		tos, prio = a.TOS, a.Priority
		nh := a.NH()
		if a.Scope != res.Scope || a.Type != Unicast || nh == nil || nh.Gateway == 0 || nh.Scope != ScopeLink {
			continue
		}
		if last == nil {
			if a.Info != res.Info {
				break
			}
			first = a.Info
		} else if !d.detect(last, order, first.chosen()) {
			res.use(last)
			first.choose(order)
			return
		}
		last = a.Info
		order++
	}
	if order <= 0 || last == nil {
		if first != nil {
			first.choose(-1)
		}
		return
	}
	if !d.detect(last, order, first.chosen()) {
		res.use(last)
		first.choose(order)
		return
	}
	if d.lastIdx >= 0 {
		res.use(d.last)
	}
	first.choose(d.lastIdx)
}

// dead looks for gateways that are, and remembers the least bad one.
type dead struct {
	last    *Info
	lastIdx int32
	reach   func(nh *Nexthop) Reach
}

// detect reports whether the gateway of a route, the order-th, may be dead.
func (d *dead) detect(i *Info, order, chosen int32) bool {
	r := d.reach(i.NH())
	maybe := r == ReachMaybe
	switch {
	case r == ReachUnknown, r == ReachSure, maybe && order != chosen:
		return false
	case maybe, d.lastIdx < 0 && order > chosen && r != ReachAsking:
		d.last, d.lastIdx = i, order
	}
	return true
}

// use makes i the route of a result.
func (res *Result) use(i *Info) { res.Info, res.NH = i, i.NH() }

// chosen is which of the default routes this is the first of was chosen last,
// -1 for none (Linux: fa_default).
func (i *Info) chosen() int32 { return i.dflt.Load() - 1 }

func (i *Info) choose(order int32) { i.dflt.Store(order + 1) }
