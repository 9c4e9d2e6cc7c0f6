package iptables

import (
	"strings"

	"barewire/netfilter/xtables"
)

// idsPerUse is how many option IDs an extension may have ([xtables.Option]).
const idsPerUse = 64

// use begins an extension, and makes its options known to getopt: behind those
// of the command, before those of the extensions there already are.
func (p *parser) use(d *xtables.Def) {
	first := optExtFirst + len(p.c.uses)*idsPerUse
	p.c.uses = append(p.c.uses, &use{def: d, live: d.NewUse(), at: p.g.at})
	n := len(longOptions)
	long := append(make([]option, 0, len(p.g.long)+len(d.Options)), longOptions...)
	for i := range d.Options {
		o := &d.Options[i]
		arg := noArgument
		if o.Args > 0 {
			arg = requiredArgument
		}
		long = append(long, option{o.Name, arg, first + o.ID})
	}
	p.g.long = append(long, p.g.long[n:]...)
}

// protocolMatch returns the match that goes with -p, nil if there is none.
func (p *parser) protocolMatch() *xtables.Def {
	if p.c.proto == "" {
		return nil
	}
	name := p.c.proto
	if n, ok := xtables.ProtoNumber(name); ok {
		name = protocolName(n)
	}
	if d := p.x.cfg.Find(name, false); d != nil {
		return d
	}
	return p.x.cfg.Find(p.c.proto, false)
}

// extension handles what is no option of the command: an option of one of the
// extensions, or one of the protocol's match, which is loaded then.
func (p *parser) extension(id int) *Error {
	g := &p.g
	if n := (id - optExtFirst) / idsPerUse; id >= optExtFirst && n < len(p.c.uses) {
		return p.extensionOption(p.c.uses[n], (id-optExtFirst)%idsPerUse)
	}
	if d := p.protocolMatch(); d != nil && !p.used(d) {
		p.use(d)
		g.again()
		return nil // an inversion before the option stands
	}
	last := g.argv[g.at]
	if id == optNoArg {
		return problemf("option \"%s\" requires an argument", last)
	}
	return problemf("unknown option \"%s\"", last)
}

func (p *parser) used(d *xtables.Def) bool {
	for _, u := range p.c.uses {
		if u.def == d {
			return true
		}
	}
	return false
}

func (p *parser) extensionOption(u *use, id int) *Error {
	g := &p.g
	var o *xtables.Option
	name := strings.TrimPrefix(g.argv[g.at], "--")
	name, _, _ = strings.Cut(name, "=")
	for i := range u.def.Options {
		c := &u.def.Options[i]
		if c.ID != id || o != nil && !better(c.Name, o.Name, name) {
			continue
		}
		o = c
	}
	var args []string
	if o.Args > 0 {
		args = append(args, g.optarg)
	}
	for len(args) < o.Args {
		s, ok := g.word()
		if !ok {
			return problemf("--%s requires two args.", o.Name)
		}
		args = append(args, s)
	}
	op := useOp{o, args, p.invert}
	p.invert = false
	if err := u.live.Set(&p.ctx, o, args, op.invert); err != nil {
		return problemf("%s", err)
	}
	u.ops = append(u.ops, op)
	return nil
}

// better tells which of two names of an option was meant by what was written.
func better(a, b, written string) bool {
	if a == written {
		return true
	}
	return b != written && strings.HasPrefix(a, written) && !strings.HasPrefix(b, written)
}

// instances returns the matches and the target of a rule: those that were
// parsed for the first one, and new ones from the same options for the rest.
func (c *command) instances(x *Iptables, first bool) (matches []xtables.MatchUse, def *xtables.Def, target xtables.Target, err *Error) {
	ctx := xtables.ParseContext{Env: x.cfg.Tables.Env(), Table: c.table, Proto: c.entry.Proto,
		InvProto: c.entry.Inv&xtables.InvProto != 0, Resolve: x.cfg.Resolve}
	for _, u := range c.uses {
		live := u.live
		if !first {
			live = u.def.NewUse()
			for _, op := range u.ops {
				if e := live.Set(&ctx, op.o, op.args, op.invert); e != nil {
					return nil, nil, nil, problemf("%s", e)
				}
			}
			if e := live.Finish(&ctx); e != nil {
				return nil, nil, nil, problemf("%s", e)
			}
		}
		if u.def.IsTarget() {
			def, target = u.def, live.Ext.(xtables.Target)
		} else {
			matches = append(matches, xtables.MatchUse{Def: u.def, Match: live.Ext.(xtables.Match)})
		}
	}
	return matches, def, target, nil
}
