package xtables

import (
	"strconv"

	"barewire/netfilter"
	"barewire/netfilter/nflog"
	"barewire/skb"
)

// frame is a place to come back to.
type frame struct {
	c    *chain
	next int
}

// walkState is where a packet is in its table.
type walkState struct {
	stack  []frame // grown once, kept with the Packet
	search search
	counts *counts // of the softirq that has the packet, nil if none
}

// hookFunc returns the table as a hook (Linux: ipt_do_table, and ipt_mangle_out
// around it). A literal and no method value: that would hand all arguments on
// once more.
func (tb *table) hookFunc() netfilter.Func {
	return func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		snap := tb.cur.Load()
		c := snap.entry[s.Point]
		if c == nil || !snap.inUse {
			return netfilter.Accept
		}
		t := tb.parent
		p := t.pool.Get().(*Packet)
		p.B, p.Env, p.Table, p.Hotdrop = b, t.env, tb.kind.name, false
		// Word by word, as it was written just now: a copy at once would wait.
		p.State.Point, p.State.In, p.State.Out, p.State.Sk = s.Point, s.In, s.Out, s.Sk
		p.walk.counts = t.countsOf(b, s.Point)
		v := Accept
		switch {
		case p.Reload():
			p.In, p.Out = "", ""
			if s.In != nil {
				p.In = s.In.Name()
			}
			if s.Out != nil {
				p.Out = s.Out.Name()
			}
			if s.Point == netfilter.LocalOut && tb.kind.reroute {
				v = p.runReroute(c)
			} else {
				v = p.run(c)
			}
		case s.Point != netfilter.LocalOut: // a raw socket may send what it likes
			v = Drop
		}
		p.State.Sk = nil // what else it points to lives as long as the instance
		t.pool.Put(p)
		return netfilter.Verdict(v)
	}
}

// runReroute is run for locally made packets, whose route is looked up again
// when what it was chosen by has changed.
func (p *Packet) runReroute(c *chain) Verdict {
	src, dst, tos, mark := p.Src, p.Dst, p.IP.TOS(), p.B.Mark
	v := p.run(c)
	if k := netfilter.Verdict(v).Kind(); k == netfilter.Drop || k == netfilter.Stolen || !p.Reload() {
		return v
	}
	if p.Src != src || p.Dst != dst || p.IP.TOS() != tos || p.B.Mark != mark {
		if p.Env.RouteMe != nil && !p.Env.RouteMe(p.B, p.State) {
			return Drop
		}
	}
	return v
}

// run passes the packet through a builtin chain and the chains it leads to.
func (p *Packet) run(builtin *chain) Verdict {
	p.walk.stack = p.walk.stack[:0]
	p.walk.search.ix, p.walk.search.keyed = nil, 0
	c, next := builtin, 0
	for {
		i := p.find(c, next)
		if p.Hotdrop {
			return Drop
		}
		if i < 0 { // the end of the chain
			if p.B.NFTrace && next <= len(c.rules) && !c.src.Builtin {
				p.trace(c, len(c.rules), nil)
			}
			n := len(p.walk.stack) - 1
			if n < 0 {
				break
			}
			c, next = p.walk.stack[n].c, p.walk.stack[n].next
			p.walk.stack = p.walk.stack[:n]
			continue
		}
		r := &c.rules[i]
		p.count(r.counter, r.slot)
		next = i + 1
		if p.B.NFTrace {
			p.trace(c, i, r)
		}
		switch r.op {
		case opVerdict:
			return r.verdict
		case opReturn:
			next = len(c.rules) + 1 // out, and not by the end
		case opJump:
			p.walk.stack = append(p.walk.stack, frame{c, next})
			c, next = r.to, 0
		case opGoto:
			c, next = r.to, 0
		case opTarget:
			switch v := r.target.Target(p); {
			case p.Hotdrop:
				return Drop
			case v == Return:
				next = len(c.rules) + 1
			case v != Continue:
				return v
			case !p.Reload():
				return Drop
			}
			p.walk.search.keyed = 0
		}
	}
	p.count(builtin.counter, builtin.slot)
	if p.B.NFTrace {
		p.trace(builtin, len(builtin.rules), nil)
	}
	return builtin.policy
}

// find returns the number of the first rule of c from next on that matches, -1
// for none. A match may have set Hotdrop then.
func (p *Packet) find(c *chain, next int) int {
	if c.index != nil {
		return p.findIndexed(c, next)
	}
	for i := next; i < len(c.rules); i++ {
		if c.rules[i].match(p) {
			return i
		}
		if p.Hotdrop {
			break
		}
	}
	return -1
}

// match reports whether the rule matches in all its parts.
func (r *rule) match(p *Packet) bool {
	if !r.entry.matches(p) {
		return false
	}
	for _, m := range r.matches {
		if !m.Match(p) {
			return false
		}
	}
	return true
}

// trace says in the log that a packet marked by TRACE met a rule, or the end of c
// if r is nil (Linux: trace_packet).
func (p *Packet) trace(c *chain, i int, r *rule) {
	if p.Env.Log == nil {
		return
	}
	what := "rule"
	if r == nil || r.ends() {
		// An unconditional verdict counts as the end.
		if what = "return"; c.src.Builtin {
			what = "policy"
		}
	}
	p.Line = nflog.Append(p.Line[:0], p.B, p.State, "TRACE: "+p.Table+":"+c.name+":"+what+":"+strconv.Itoa(i+1)+" ", nflog.Default)
	p.Env.Log(traceLevel, p.Line)
}

const traceLevel = 4 // warning
