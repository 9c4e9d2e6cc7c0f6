package iptables

import (
	"strings"

	"barewire/netfilter/xtables"
)

// targetName checks the argument of -j or -g (Linux: xt_parse_target).
func targetName(s string) (string, *Error) {
	switch {
	case s == "":
		return "", problemf("Invalid target name (too short)")
	case len(s) >= maxName:
		return "", problemf("Invalid target name `%s' (%d chars max)", s, maxName-1)
	case strings.ContainsAny(s, " \t\n\v\f\r"):
		return "", problemf("Invalid target name `%s'", s)
	}
	return s, nil
}

// checkChainName checks the name of a new chain (Linux: parse_chain).
func (x *Iptables) checkChainName(s string) *Error {
	switch {
	case len(s) >= maxName:
		return problemf("chain name `%s' too long (must be under %d chars)", s, maxName)
	case strings.HasPrefix(s, "-") || strings.HasPrefix(s, "!"):
		return problemf("chain name not allowed to start with `%c'", s[0])
	case s == "" || standard(s) || x.cfg.Find(s, true) != nil:
		return problemf("chain name may not clash with target name")
	case strings.ContainsAny(s, " \t\n\v\f\r"):
		return problemf("Invalid chain name `%s'", s)
	}
	return nil
}

// standard reports whether a target is one of the verdicts.
func standard(s string) bool {
	switch s {
	case xtables.NameAccept, xtables.NameDrop, xtables.NameQueue, xtables.NameReturn:
		return true
	}
	return false
}

// finish checks what can only be checked at the end.
func (p *parser) finish() *Error {
	c, g := &p.c, &p.g
	if c.table == "nat" && (c.policy == xtables.NameDrop || c.jump == xtables.NameDrop) {
		return problemf("\nThe \"nat\" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n")
	}
	at := g.at
	for _, u := range c.uses {
		g.at = u.at
		if err := u.live.Finish(&p.ctx); err != nil {
			return problemf("%s", err)
		}
	}
	g.at = at
	switch {
	case g.optind < len(g.argv):
		g.at = g.optind
		return problemf("unknown arguments found on commandline")
	case p.wait[0] && !p.wait[1]:
		return problemf("--wait-interval only makes sense with --wait\n")
	case c.cmd == 0:
		return problemf("no command specified")
	case p.invert:
		return problemf("nothing appropriate following !")
	}
	if err := p.addresses(); err != nil {
		return err
	}
	if c.cmd == cmdReplace && (len(c.src) != 1 || len(c.dst) != 1) {
		return problemf("Replacement rule does not specify a unique address")
	}
	for i := range optLetters {
		if o := opt(1) << i; c.opts&o != 0 && !p.legal(o) {
			return problemf("Illegal option `-%c' with this command", optLetters[i])
		}
	}
	if len(c.chain) >= maxName {
		return problemf("chain name `%s' too long (must be under %d chars)", c.chain, maxName)
	}
	if c.cmd&(cmdAppend|cmdDelete|cmdCheck|cmdInsert|cmdReplace) != 0 {
		if (c.chain == "PREROUTING" || c.chain == "INPUT") && c.opts&optOut != 0 {
			return problemf("Can't use -o with %s\n", c.chain)
		}
		if (c.chain == "POSTROUTING" || c.chain == "OUTPUT") && c.opts&optIn != 0 {
			return problemf("Can't use -i with %s\n", c.chain)
		}
	}
	return nil
}

// legal reports whether one of the commands given takes the option.
func (p *parser) legal(o opt) bool {
	for i := range cmdLetters {
		if c := cmd(1) << i; p.c.cmd&c != 0 && c.allowed()&o != 0 {
			return true
		}
	}
	return false
}

func (p *parser) addresses() (err *Error) {
	c := &p.c
	one := func(o opt, text string, at int) []address {
		if c.opts&o == 0 || err != nil {
			return []address{{}}
		}
		p.g.at = at
		var l []address
		l, err = p.x.parseAddresses(text)
		return l
	}
	at := p.g.at
	c.src = one(optSource, p.src, p.srcAt)
	c.dst = one(optDestination, p.dst, p.dstAt)
	if err != nil {
		return err
	}
	p.g.at = at
	if (len(c.src) > 1 || len(c.dst) > 1) && c.entry.Inv&(xtables.InvSrc|xtables.InvDst) != 0 {
		return problemf("! not allowed with multiple source or destination IP addresses")
	}
	if len(c.src)*len(c.dst) > maxAddresses {
		return problemf("too many addresses")
	}
	return nil
}
