package xt

import (
	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
)

var (
	markOptions = []xtables.Option{{Name: "mark", Args: 1, Invert: true, Must: true}} // read-only

	markDef = &xtables.Def{ // read-only
		Name: "mark", Options: markOptions, NewMatch: func() xtables.Match { return &markMatch{markValue{who: "mark"}} },
	}
	connmarkDef = &xtables.Def{ // read-only
		Name: "connmark", Options: markOptions, NewMatch: func() xtables.Match { return &connmarkMatch{markValue: markValue{who: "connmark"}} },
	}
)

// markValue is what both matches ask of a mark.
type markValue struct {
	xtables.Plain
	who        string
	mark, mask uint32
	invert     bool
}

// Set implements xtables.Extension.
func (m *markValue) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.mark, m.mask, err = markMask(m.who, "mark", args[0])
	return err
}

// Save implements xtables.Extension.
func (m *markValue) Save(b []byte) []byte { return m.text(append(not(b, m.invert), " --mark "...)) }

func (m *markValue) text(b []byte) []byte {
	b = appendHex(b, m.mark)
	if m.mask != ^uint32(0) {
		b = appendHex(append(b, '/'), m.mask)
	}
	return b
}

func (m *markValue) has(mark uint32) bool { return (mark&m.mask == m.mark) != m.invert }

// markMatch is the match of xt_mark.
type markMatch struct{ markValue }

// Print implements xtables.Extension.
func (m *markMatch) Print(b []byte, _ bool) []byte {
	return m.text(append(not(append(b, " mark match"...), m.invert), ' '))
}

// Match implements xtables.Match (Linux: mark_mt).
func (m *markMatch) Match(p *xtables.Packet) bool { return m.has(p.B.Mark) }

// Pure implements xtables.Pure.
func (m *markMatch) Pure() {}

// Constrain implements xtables.Constrainer.
func (m *markMatch) Constrain(add func(xtables.Field, ...xtables.Constraint)) {
	if !m.invert && m.mask != 0 {
		add(xtables.FieldMark, xtables.Constraint{Mask: m.mask, Lo: m.mark})
	}
}

// connmarkMatch is the match of xt_connmark.
type connmarkMatch struct {
	markValue
	tracked
}

// Print implements xtables.Extension.
func (m *connmarkMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " connmark match "...)
	if m.invert {
		b = append(b, '!')
	}
	return m.text(append(b, ' '))
}

// Match implements xtables.Match (Linux: connmark_mt).
func (m *connmarkMatch) Match(p *xtables.Packet) bool {
	c, _ := conntrack.Get(p.B)
	return c != nil && m.has(c.Mark())
}

// Pure implements xtables.Pure.
func (m *connmarkMatch) Pure() {}
