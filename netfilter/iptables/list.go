package iptables

import (
	"fmt"
	"strconv"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// format says how rules are listed.
type format struct {
	verbose bool // devices, and unless line is set counters
	numeric bool
	exact   bool
	numbers bool
	line    bool // one rule by itself, without columns
}

// listing is -L and -S.
func (s *session) listing(t *tableEdit, c *command) *Error {
	f := format{verbose: c.verbose > 0, numeric: c.opts&optNumeric != 0,
		exact: c.opts&optExpanded != 0, numbers: c.opts&optLineNumbers != 0}
	if c.cmd&cmdListRules != 0 {
		return s.listRules(t, c)
	}
	first := true
	return t.eachChain(c.chain, func(ch *xtables.Chain) {
		var b []byte
		if !first {
			b = append(b, '\n')
		}
		first = false
		if c.number == 0 {
			b = t.header(b, ch, f)
		}
		for i, r := range ch.Rules {
			if c.number == 0 || c.number == i+1 {
				b = printRule(b, r, f, i+1)
			}
			if len(b) > 1<<16 {
				s.out.Write(b)
				b = b[:0]
			}
		}
		s.out.Write(b)
	})
}

// header appends the lines above the rules of a chain.
func (t *tableEdit) header(b []byte, ch *xtables.Chain, f format) []byte {
	b = append(append(b, "Chain "...), ch.Name...)
	if ch.Builtin {
		b = append(append(b, " (policy "...), ch.Policy...)
		if f.verbose {
			packets, bytes := ch.Counter.Load()
			b = appendCount(append(b, ' '), packets, f, 0)
			b = append(b, "packets, "...)
			b = appendCount(b, bytes, f, 0)
			b = append(b, "bytes"...)
		}
		b = append(b, ")\n"...)
	} else {
		b = fmt.Appendf(b, " (%d references)\n", t.refs[ch.Name])
	}
	if f.numbers {
		b = append(b, "num  "...)
	}
	switch {
	case f.verbose && f.exact:
		b = append(b, "    pkts      bytes "...)
	case f.verbose:
		b = append(b, " pkts bytes "...)
	}
	b = append(b, "target     prot opt "...)
	if f.verbose {
		b = append(b, "in     out     "...)
	}
	return append(b, "source               destination         \n"...)
}

// appendCount appends a counter and a space; with a width, in columns (Linux:
// xtables_print_num).
func appendCount(b []byte, n uint64, f format, width int) []byte {
	if f.exact {
		if width > 0 {
			width = 8
		}
		return fmt.Appendf(b, "%*d ", width, n)
	}
	if n <= 99999 {
		return fmt.Appendf(b, "%*d ", width, n)
	}
	if width > 0 {
		width--
	}
	for _, unit := range "KMGT" {
		n = (n + 500) / 1000
		if n <= 9999 || unit == 'T' {
			return fmt.Appendf(b, "%*d%c ", width, n, unit)
		}
	}
	return b
}

// appendPadded appends s in a column of the given width, and a space.
func appendPadded(b []byte, s string, width int, f format) []byte {
	b = append(b, s...)
	if !f.line {
		for n := len(s); n < width; n++ {
			b = append(b, ' ')
		}
	}
	return append(b, ' ')
}

func bang(b []byte, inv bool) []byte {
	if inv {
		return append(b, '!')
	}
	return append(b, ' ')
}

// printRule appends the line of a rule in -L, or what -v prints of one.
func printRule(b []byte, r *xtables.Rule, f format, number int) []byte {
	if f.numbers {
		b = fmt.Appendf(b, "%-4d ", number)
	}
	if f.verbose && !f.line {
		packets, bytes := r.Counter.Load()
		b = appendCount(b, packets, f, 5)
		b = appendCount(b, bytes, f, 5)
	}
	name := r.Jump
	if r.TargetDef != nil && r.TargetDef.ListName != "" {
		name = r.TargetDef.ListName
	}
	b = appendPadded(b, name, 9, f)
	b = bang(b, r.Inv&xtables.InvProto != 0)
	switch {
	case f.line:
		b = appendPadded(b, chainProtocol(r.Proto), 4, f)
		b = append(b, "opt "...)
	case f.numeric:
		b = appendPadded(b, strconv.Itoa(int(r.Proto)), 4, f)
	default:
		b = appendPadded(b, protocolName(r.Proto), 4, f)
	}
	b = append(b, "-"...)
	if r.Frag {
		b = append(b, 'f')
	} else {
		b = append(b, '-')
	}
	if r.Inv&xtables.InvFrag != 0 {
		b[len(b)-2] = '!'
	}
	b = append(b, ' ')
	if f.verbose {
		b = appendDevice(b, " ", "in ", r.In, r.Inv&xtables.InvIn != 0, f)
		b = appendDevice(b, "", "out ", r.Out, r.Inv&xtables.InvOut != 0, f)
	}
	b = bang(b, r.Inv&xtables.InvSrc != 0)
	b = appendPadded(b, addressText(r.Src, r.SrcMask, f), 19, f)
	b = bang(b, r.Inv&xtables.InvDst != 0)
	if f.line {
		b = append(b, "-> "...)
	}
	b = appendPadded(b, addressText(r.Dst, r.DstMask, f), 19, f)
	if f.line {
		b = append(b[:len(b)-1], "  "...)
	}
	if r.Goto {
		b = append(b, "[goto] "...)
	}
	for _, m := range r.Matches {
		b = m.Print(b, f.numeric)
	}
	if r.Target != nil {
		b = r.Target.Print(b, f.numeric)
	}
	return append(b, '\n')
}

func appendDevice(b []byte, before, word, name string, inv bool, f format) []byte {
	switch {
	case name != "":
	case f.numeric:
		name = "*"
	default:
		name = "any"
	}
	if inv {
		name = "!" + name
	}
	if f.line {
		b = append(b, word...)
	} else {
		b = append(b, before...)
	}
	return appendPadded(b, name, 6, f)
}

func addressText(a, mask header.Addr, f format) string {
	if mask == 0 && a == 0 && !f.numeric {
		return "anywhere"
	}
	b := appendAddr(nil, a)
	if mask != ^header.Addr(0) {
		b = appendMask(b, mask)
	}
	return string(b)
}

// listRules is -S: the chains, then the rules, as commands.
func (s *session) listRules(t *tableEdit, c *command) *Error {
	err := t.eachChain(c.chain, func(ch *xtables.Chain) {
		switch {
		case c.number != 0:
		case !ch.Builtin:
			fmt.Fprintf(s.out, "-N %s\n", ch.Name)
		case c.verbose > 0:
			packets, bytes := ch.Counter.Load()
			fmt.Fprintf(s.out, "-P %s %s -c %d %d\n", ch.Name, ch.Policy, packets, bytes)
		default:
			fmt.Fprintf(s.out, "-P %s %s\n", ch.Name, ch.Policy)
		}
	})
	if err != nil {
		return err
	}
	return t.eachChain(c.chain, func(ch *xtables.Chain) {
		var b []byte
		for i, r := range ch.Rules {
			if c.number == 0 || c.number == i+1 {
				b = appendRule(b[:0], ch.Name, r, c.verbose > 0)
				s.out.Write(append(b, '\n'))
			}
		}
	})
}
