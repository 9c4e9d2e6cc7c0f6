package iptables

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"barewire/netfilter/xtables"
)

// place is where in a restore file a rule stands.
type place struct{ line, col int }

// session changes copies of tables, which replace those in place at its end, or
// never.
type session struct {
	x      *Iptables
	get    func(table string) *xtables.Config
	tables []*tableEdit // in the order they were asked for
	out    io.Writer
	err    io.Writer

	now    place // of the command being run
	places map[*xtables.Rule]place
}

// tableEdit is a table being changed.
type tableEdit struct {
	cfg   *xtables.Config
	dirty bool
	// chains finds chains by name.
	chains map[string]*xtables.Chain
	refs   map[string]int // how many rules jump to a chain
	zero   []*xtables.Counter
}

// table returns the copy of a table, nil if there is no such table.
func (s *session) table(name string) *tableEdit {
	for _, t := range s.tables {
		if t.cfg.Name == name {
			return t
		}
	}
	cfg := s.get(name)
	if cfg == nil {
		return nil
	}
	t := &tableEdit{cfg: cfg.Clone(), chains: map[string]*xtables.Chain{}, refs: map[string]int{}}
	for _, c := range t.cfg.Chains {
		t.chains[c.Name] = c
		for _, r := range c.Rules {
			t.refs[r.Jump]++
		}
	}
	s.tables = append(s.tables, t)
	return t
}

// dirty returns the tables to be replaced.
func (s *session) dirty() (l []*xtables.Config) {
	for _, t := range s.tables {
		if t.dirty {
			l = append(l, t.cfg)
		}
	}
	return l
}

// done is called when the tables were replaced. It sets counters to zero that
// live on in rules which stay.
func (s *session) done() {
	for _, t := range s.tables {
		s.x.load(t.cfg.Name)
		for _, c := range t.zero {
			c.Set(0, 0)
		}
	}
}

// refusal makes the message for what Replace refused.
func (s *session) refusal(err error) *Error {
	var e *xtables.CheckError
	if c, ok := err.(*xtables.CheckError); ok {
		e = c
	} else {
		return &Error{Status: OtherProblem, Msg: err.Error(), Failed: true}
	}
	r := errno(e.Errno, "")
	r.Note = e.Text
	if p, ok := s.places[e.At]; ok && e.At != nil {
		r.Line, r.Column = p.line, p.col
	} else {
		r.Line, r.Column = s.now.line, s.now.col
	}
	return r
}

// eachChain calls fn for one chain, or for all if name is empty; ENOENT if there
// is none of that name.
func (t *tableEdit) eachChain(name string, fn func(*xtables.Chain)) *Error {
	if name == "" {
		for _, c := range slices.Clone(t.cfg.Chains) {
			fn(c)
		}
		return nil
	}
	c := t.chains[name]
	if c == nil {
		return errno(syscall.ENOENT, "")
	}
	fn(c)
	return nil
}

// run carries out a command on its table's copy.
func (s *session) run(c *command) *Error {
	t := s.table(c.table)
	if t == nil {
		return &Error{Status: VersionProblem,
			Msg: fmt.Sprintf("can't initialize iptables table `%s': Table does not exist (do you need to insmod?)", c.table)}
	}
	say := func(what string) func(*xtables.Chain) {
		return func(ch *xtables.Chain) {
			if c.verbose > 0 {
				fmt.Fprintf(s.out, "%s chain `%s'\n", what, ch.Name)
			}
		}
	}
	switch c.cmd {
	case cmdAppend, cmdInsert, cmdReplace, cmdDelete, cmdCheck:
		return s.rule(t, c)
	case cmdDeleteNum:
		ch := t.chains[c.chain]
		switch {
		case ch == nil:
			return errno(syscall.ENOENT, "")
		case c.number > len(ch.Rules):
			return errno(syscall.E2BIG, "Index of deletion too big")
		}
		t.remove(ch, c.number-1)
	case cmdFlush:
		tell := say("Flushing")
		return t.eachChain(c.chain, func(ch *xtables.Chain) {
			tell(ch)
			t.flush(ch)
		})
	case cmdZero:
		tell := say("Zeroing")
		return t.eachChain(c.chain, func(ch *xtables.Chain) {
			tell(ch)
			t.zeroChain(ch)
		})
	case cmdZeroNum:
		return t.eachChainNumber(c, func(r *xtables.Rule) { t.zero = append(t.zero, &r.Counter) })
	case cmdList, cmdListRules, cmdList | cmdZero, cmdListRules | cmdZero, cmdList | cmdZeroNum, cmdListRules | cmdZeroNum:
		if err := s.listing(t, c); err != nil || c.cmd&(cmdZero|cmdZeroNum) == 0 {
			return err
		}
		return t.eachChain(c.chain, t.zeroChain)
	case cmdNewChain:
		if t.chains[c.chain] != nil {
			return errno(syscall.EEXIST, "Chain already exists")
		}
		t.newChain(c.chain)
	case cmdDeleteChain:
		return s.deleteChains(t, c)
	case cmdSetPolicy:
		packets, bytes := uint64(0), uint64(0)
		if c.opts&optCounters != 0 {
			packets, bytes = c.packets, c.bytes
		}
		return t.setPolicy(c.chain, c.policy, packets, bytes)
	case cmdRenameChain:
		return t.rename(c.chain, c.newName)
	default:
		return &Error{Status: ParameterProblem, Quiet: true}
	}
	return nil
}

// eachChainNumber calls fn for the rule a command names by its number.
func (t *tableEdit) eachChainNumber(c *command, fn func(*xtables.Rule)) *Error {
	ch := t.chains[c.chain]
	switch {
	case ch == nil:
		return errno(syscall.ENOENT, "")
	case c.number > len(ch.Rules):
		return errno(syscall.E2BIG, "Index of counter too big")
	}
	t.dirty = true
	fn(ch.Rules[c.number-1])
	return nil
}

func (t *tableEdit) insert(ch *xtables.Chain, at int, r *xtables.Rule) {
	ch.Rules = slices.Insert(ch.Rules, at, r)
	t.refs[r.Jump]++
	t.dirty = true
}

func (t *tableEdit) remove(ch *xtables.Chain, at int) {
	t.refs[ch.Rules[at].Jump]--
	ch.Rules = slices.Delete(ch.Rules, at, at+1)
	t.dirty = true
}

func (t *tableEdit) flush(ch *xtables.Chain) {
	for _, r := range ch.Rules {
		t.refs[r.Jump]--
	}
	ch.Rules = nil
	t.dirty = true
}

func (t *tableEdit) zeroChain(ch *xtables.Chain) {
	for _, r := range ch.Rules {
		t.zero = append(t.zero, &r.Counter)
	}
	if ch.Counter != nil {
		t.zero = append(t.zero, ch.Counter)
	}
	t.dirty = true
}

// newChain enters a user chain: those stand behind the builtin ones, in order of
// their names.
func (t *tableEdit) newChain(name string) {
	t.place(&xtables.Chain{Name: name})
}

func (t *tableEdit) place(ch *xtables.Chain) {
	t.chains[ch.Name] = ch
	builtin := 0
	for builtin < len(t.cfg.Chains) && t.cfg.Chains[builtin].Builtin {
		builtin++
	}
	i, _ := slices.BinarySearchFunc(t.cfg.Chains[builtin:], ch.Name, func(c *xtables.Chain, name string) int {
		return strings.Compare(c.Name, name)
	})
	t.cfg.Chains = slices.Insert(t.cfg.Chains, builtin+i, ch)
	t.dirty = true
}

func (t *tableEdit) drop(ch *xtables.Chain) {
	delete(t.chains, ch.Name)
	t.cfg.Chains = slices.DeleteFunc(t.cfg.Chains, func(c *xtables.Chain) bool { return c == ch })
	t.dirty = true
}

func (s *session) deleteChains(t *tableEdit, c *command) (err *Error) {
	one := func(ch *xtables.Chain) {
		if c.chain == "" && ch.Builtin {
			return
		}
		if c.verbose > 0 {
			fmt.Fprintf(s.out, "Deleting chain `%s'\n", ch.Name)
		}
		switch {
		case ch.Builtin:
			err = errno(syscall.EINVAL, "")
		case t.refs[ch.Name] > 0:
			err = errno(syscall.EMLINK, "")
		case len(ch.Rules) > 0:
			err = errno(syscall.ENOTEMPTY, "")
		default:
			t.drop(ch)
		}
	}
	if e := t.eachChain(c.chain, one); e != nil {
		return e
	}
	return err
}

func (t *tableEdit) setPolicy(chain, policy string, packets, bytes uint64) *Error {
	ch := t.chains[chain]
	if ch == nil || !ch.Builtin {
		return errno(syscall.ENOENT, "Bad built-in chain name")
	}
	if policy != xtables.NameAccept && policy != xtables.NameDrop {
		return errno(syscall.EINVAL, "Bad policy name")
	}
	ch.Policy, ch.Counter = policy, xtables.NewCounter(packets, bytes)
	t.dirty = true
	return nil
}

// rename gives a chain another name, and the rules that jump to it another
// target. Rules in place are not changed: others stand in for them.
func (t *tableEdit) rename(from, to string) *Error {
	ch := t.chains[from]
	switch {
	case t.chains[to] != nil || standard(to):
		return errno(syscall.EEXIST, "")
	case ch == nil || ch.Builtin:
		return errno(syscall.ENOENT, "")
	case to == "" || len(to) >= maxName:
		return errno(syscall.EINVAL, "")
	}
	t.drop(ch)
	ch.Name = to
	t.place(ch)
	for _, c := range t.cfg.Chains {
		for i, r := range c.Rules {
			if r.Jump == from && r.TargetDef == nil {
				n := &xtables.Rule{Entry: r.Entry, Matches: r.Matches, Jump: to, Goto: r.Goto}
				n.Counter.Set(r.Counter.Load())
				c.Rules[i] = n
			}
		}
	}
	t.refs[to], t.refs[from] = t.refs[from], 0
	return nil
}

// rule carries out the commands that describe a rule.
func (s *session) rule(t *tableEdit, c *command) *Error {
	target := c.jump
	isChain := t.chains[target] != nil && target != ""
	if isChain && len(c.uses) > 0 && c.uses[len(c.uses)-1].def.IsTarget() {
		fmt.Fprintf(s.err, "Warning: using chain %s, not extension\n", target)
	}
	if isChain {
		c.uses = slices.DeleteFunc(c.uses, func(u *use) bool { return u.def.IsTarget() })
	}
	if c.isGoto && !isChain {
		return problemf("goto '%s' is not a chain", target)
	}
	if !isChain && target != "" && !standard(target) && s.x.cfg.Find(target, true) == nil {
		return problemf("Couldn't load target `%s':No such file or directory\n", target)
	}
	if isChain && t.chains[target].Builtin {
		return errno(syscall.EINVAL, "")
	}
	ch := t.chains[c.chain]
	if ch == nil {
		return errno(syscall.ENOENT, "")
	}
	switch {
	case c.cmd == cmdInsert && c.number > len(ch.Rules)+1:
		return errno(syscall.E2BIG, "Index of insertion too big")
	case c.cmd == cmdReplace && c.number > len(ch.Rules):
		return errno(syscall.E2BIG, "Index of replacement too big")
	}
	first := true
	for _, src := range c.src {
		for _, dst := range c.dst {
			matches, def, tg, err := c.instances(s.x, first)
			if err != nil {
				return err
			}
			r := &xtables.Rule{Entry: c.entry, Matches: matches, Jump: target, Goto: c.isGoto, TargetDef: def, Target: tg}
			r.Src, r.SrcMask, r.Dst, r.DstMask = src.addr, src.mask, dst.addr, dst.mask
			r.Counter.Set(c.packets, c.bytes)
			if c.verbose > 0 {
				s.out.Write(printRule(nil, r, format{verbose: true, numeric: true, line: true}, 0))
			}
			if err := s.place(t, c, ch, r); err != nil {
				return err
			}
			first = false
		}
	}
	return nil
}

// place does with a rule what the command says.
func (s *session) place(t *tableEdit, c *command, ch *xtables.Chain, r *xtables.Rule) *Error {
	switch c.cmd {
	case cmdAppend:
		t.insert(ch, len(ch.Rules), r)
	case cmdInsert:
		t.insert(ch, c.number-1, r)
	case cmdReplace:
		t.remove(ch, c.number-1)
		t.insert(ch, c.number-1, r)
	case cmdDelete, cmdCheck:
		want := saveRule(nil, "", r)
		i := slices.IndexFunc(ch.Rules, func(o *xtables.Rule) bool { return bytes.Equal(saveRule(nil, "", o), want) })
		if i < 0 {
			return errno(syscall.ENOENT, "Bad rule (does a matching rule exist in that chain?)")
		}
		if c.cmd == cmdDelete {
			t.remove(ch, i)
		}
		return nil
	}
	if s.places != nil {
		s.places[r] = s.now
	}
	return nil
}
