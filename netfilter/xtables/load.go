package xtables

import (
	"fmt"
	"slices"
	"syscall"

	"barewire/netfilter"
)

// snapshot is a table as packets see it: chains resolved to pointers.
type snapshot struct {
	config   *Config
	entry    [netfilter.NumPoints]*chain
	inUse    bool
	attached []*Rule // by this load, to be let go if it fails
}

// chain is what the walk reads of a Chain.
type chain struct {
	name    string
	rules   []rule
	policy  Verdict  // of a builtin chain
	counter *Counter // of the policy; nil for a user's chain, which returns
	slot    uint8    // of counts
	index   *index   // nil: walk from rule to rule

	src *Chain
	// While loading: the hooks it is reached from, and whether it is being
	// followed.
	hooks  uint8
	onPath bool
}

// op is what a rule does when it matches.
type op uint8

const (
	opContinue op = iota // no target: only counts
	opVerdict
	opReturn
	opJump
	opGoto
	opTarget
)

// rule is what the walk reads of a Rule, in one piece.
type rule struct {
	entry
	op      op
	slot    uint8 // of counts
	verdict Verdict
	matches []Match
	counter *Counter
	to      *chain
	target  Target
	src     *Rule
}

// load checks c and makes what packets see of it (Linux: translate_table). gen
// is larger than in all loads before.
func load(env *Env, c *Config, gen uint64) (*snapshot, error) {
	k := kindOf(c.Name)
	if k == nil {
		return nil, &CheckError{Errno: syscall.ENOENT, Table: c.Name, Text: "Table does not exist"}
	}
	s := &snapshot{config: c}
	byName := make(map[string]*chain, len(c.Chains))
	chains := make([]*chain, len(c.Chains))
	for i, ch := range c.Chains {
		cc := &chain{name: ch.Name, src: ch}
		if byName[ch.Name] != nil {
			return nil, &CheckError{Errno: syscall.EEXIST, Table: c.Name, Chain: ch.Name, Text: "Chain already exists"}
		}
		if ch.Builtin {
			if ch.Hook >= netfilter.NumPoints || k.points&(1<<ch.Hook) == 0 || ch.Name != ch.Hook.String() {
				return nil, &CheckError{Errno: syscall.EINVAL, Table: c.Name, Chain: ch.Name, Text: "the table has no such hook"}
			}
			cc.policy, cc.counter = Accept, ch.Counter
			if ch.Policy == NameDrop {
				cc.policy = Drop
			} else if ch.Policy != NameAccept {
				return nil, &CheckError{Errno: syscall.EINVAL, Table: c.Name, Chain: ch.Name, Text: "bad policy " + ch.Policy}
			}
			if cc.counter == nil {
				ch.Counter = new(Counter)
				cc.counter = ch.Counter
			}
			s.entry[ch.Hook] = cc
		}
		s.inUse = s.inUse || len(ch.Rules) > 0 || ch.Builtin && cc.policy == Drop
		byName[ch.Name], chains[i] = cc, cc
	}
	for p, cc := range s.entry {
		if cc == nil && k.points&(1<<p) != 0 {
			return nil, &CheckError{Errno: syscall.EINVAL, Table: c.Name, Chain: netfilter.Point(p).String(), Text: "builtin chain is missing"}
		}
	}
	var slot uint8
	for _, cc := range chains {
		if err := cc.resolve(c.Name, byName, gen); err != nil {
			return nil, err
		}
		cc.slot, slot = slot, slot+1
		for i := range cc.rules {
			cc.rules[i].slot, slot = slot, slot+1
		}
	}
	for p, cc := range s.entry {
		if cc == nil {
			continue
		}
		if err := cc.follow(1<<p, c.Name); err != nil {
			return nil, err
		}
	}
	for _, cc := range chains {
		if err := s.check(env, cc); err != nil {
			s.undo()
			return nil, err
		}
	}
	if !env.Linear {
		cp := compiler{names: &names{byName: map[string]uint32{}}}
		for _, cc := range chains {
			cc.index = cp.compile(cc.rules)
		}
	}
	return s, nil
}

// resolve makes the rules of a chain, and its jumps lead to chains.
func (cc *chain) resolve(table string, byName map[string]*chain, gen uint64) error {
	cc.rules = make([]rule, len(cc.src.Rules))
	for i, r := range cc.src.Rules {
		refuse := func(e syscall.Errno, text string) error {
			return &CheckError{Errno: e, Table: table, Chain: cc.name, Rule: i + 1, At: r, Text: text}
		}
		if r.gen == gen {
			return refuse(syscall.EINVAL, "the same rule stands twice")
		}
		r.gen = gen
		d := &cc.rules[i]
		if r.Src&^r.SrcMask != 0 || r.Dst&^r.DstMask != 0 {
			return refuse(syscall.EINVAL, "address has bits outside its mask")
		}
		d.entry.set(&r.Entry)
		d.counter, d.src = &r.Counter, r
		for _, m := range r.Matches {
			if m.Def == nil || m.Match == nil {
				return refuse(syscall.EINVAL, "match without definition")
			}
			if _, ok := m.Match.(Inert); !ok {
				d.matches = append(d.matches, m.Match)
			}
		}
		switch to := byName[r.Jump]; {
		case r.Target != nil:
			if r.TargetDef == nil {
				return refuse(syscall.EINVAL, "target without definition")
			}
			d.op, d.target = opTarget, r.Target
		case r.Jump == "":
		case r.Jump == NameAccept:
			d.op, d.verdict = opVerdict, Accept
		case r.Jump == NameDrop:
			d.op, d.verdict = opVerdict, Drop
		case r.Jump == NameQueue:
			d.op, d.verdict = opVerdict, Queue
		case r.Jump == NameReturn:
			d.op = opReturn
		case to == nil || to.src.Builtin:
			return refuse(syscall.ENOENT, "No chain/target/match by that name")
		case r.Goto:
			d.op, d.to = opGoto, to
		default:
			d.op, d.to = opJump, to
		}
	}
	return nil
}

// ends reports whether no packet goes past the rule, so that the kernel does
// not look at what follows it.
func (r *rule) ends() bool {
	return (r.op == opVerdict || r.op == opReturn) && r.src.Entry == Entry{} && len(r.src.Matches) == 0
}

// follow notes that cc is reached from a hook, and refuses a circle (Linux:
// mark_source_chains).
func (cc *chain) follow(hook uint8, table string) error {
	if cc.hooks&hook != 0 {
		return nil
	}
	cc.hooks |= hook
	cc.onPath = true
	for i := range cc.rules {
		r := &cc.rules[i]
		if r.to != nil {
			if r.to.onPath {
				return &CheckError{Errno: syscall.ELOOP, Table: table, Chain: cc.name, Rule: i + 1, At: r.src,
					Text: fmt.Sprintf("loop hook %d: chain %s leads back to chain %s", slices.Index(hookBits, hook), cc.name, r.to.name)}
			}
			if err := r.to.follow(hook, table); err != nil {
				return err
			}
		}
		if r.ends() {
			break
		}
	}
	cc.onPath = false
	return nil
}

var hookBits = []uint8{1, 2, 4, 8, 16} // read-only

// check asks the extensions of a chain's rules (Linux: find_check_entry).
func (s *snapshot) check(env *Env, cc *chain) error {
	c := CheckContext{Env: env, Table: s.config.Name, Chain: cc.name, Hooks: cc.hooks}
	for i := range cc.rules {
		r := cc.rules[i].src
		c.Proto, c.InvProto, c.Rule = r.Proto, r.Inv&InvProto != 0, r
		refuse := func(err error) error {
			e := &CheckError{Errno: syscall.EINVAL, Table: c.Table, Chain: cc.name, Rule: i + 1, At: r, Text: err.Error()}
			if no, ok := err.(interface{ Unwrap() error }); ok {
				if errno, ok := no.Unwrap().(syscall.Errno); ok {
					e.Errno = errno
				}
			}
			return e
		}
		for _, m := range r.Matches {
			if err := m.Def.check(&c, m.Match, "match"); err != nil {
				return refuse(err)
			}
		}
		if r.Target != nil {
			if err := r.TargetDef.check(&c, r.Target, "target"); err != nil {
				return refuse(err)
			}
		}
		if !r.attached {
			if err := r.attach(&c); err != nil {
				return refuse(err)
			}
			s.attached = append(s.attached, r)
		}
		if cc.rules[i].ends() {
			c.Hooks = 0
		}
	}
	return nil
}

// check is xt_check_match and xt_check_target.
func (d *Def) check(c *CheckContext, x Extension, what string) error {
	if d.Tables != nil && !slices.Contains(d.Tables, c.Table) {
		return fmt.Errorf("x_tables: ip_tables: %s %s: only valid in %s table, not %s", d.Name, what, d.Tables[0], c.Table)
	}
	if d.Hooks != 0 && c.Hooks&^d.Hooks != 0 {
		return fmt.Errorf("x_tables: ip_tables: %s %s: used from hooks %s, but only usable from %s",
			d.Name, what, hookNames(c.Hooks), hookNames(d.Hooks))
	}
	if d.Protos != nil && (c.InvProto || !slices.Contains(d.Protos, c.Proto)) {
		return fmt.Errorf("x_tables: ip_tables: %s %s: only valid for protocol %d", d.Name, what, d.Protos[0])
	}
	return x.Check(c)
}

// attach has the rule's extensions take hold of their state.
func (r *Rule) attach(c *CheckContext) error {
	var done []Attacher
	for i := 0; i <= len(r.Matches); i++ {
		var x any = r.Target
		if i < len(r.Matches) {
			x = r.Matches[i].Match
		}
		if a, ok := x.(Attacher); ok {
			if err := a.Attach(c); err != nil {
				for _, d := range done {
					d.Destroy()
				}
				return err
			}
			done = append(done, a)
		}
	}
	r.attached = true
	return nil
}

func (r *Rule) destroy() {
	for _, m := range r.Matches {
		if a, ok := m.Match.(Attacher); ok {
			a.Destroy()
		}
	}
	if a, ok := r.Target.(Attacher); ok {
		a.Destroy()
	}
	r.attached = false
}

// undo lets go what a load took that is not going to be installed.
func (s *snapshot) undo() {
	for _, r := range s.attached {
		r.destroy()
	}
	s.attached = nil
}

// release lets go the rules of s that are not in the table of generation gen
// any more.
func (s *snapshot) release(gen uint64) {
	for _, ch := range s.config.Chains {
		for _, r := range ch.Rules {
			if r.gen != gen && r.attached {
				r.destroy()
			}
		}
	}
}
