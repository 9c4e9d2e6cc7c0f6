package xt

import (
	"errors"
	"strconv"

	"barewire/netfilter/xtables"
)

// The matches that look at one field of the IP header, or at nothing.

var (
	commentDef = &xtables.Def{ // read-only
		Name:     "comment",
		Options:  []xtables.Option{{Name: "comment", Args: 1, Must: true}},
		NewMatch: func() xtables.Match { return new(commentMatch) },
	}
	lengthDef = &xtables.Def{ // read-only
		Name:     "length",
		Options:  []xtables.Option{{Name: "length", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(lengthMatch) },
	}
	ttlDef = &xtables.Def{ // read-only
		Name: "ttl",
		Options: []xtables.Option{
			{Name: "ttl-lt", ID: 1, Args: 1, Excl: 5},
			{Name: "ttl-gt", ID: 2, Args: 1, Excl: 3},
			{Name: "ttl-eq", ID: 0, Args: 1, Invert: true, Excl: 6},
			{Name: "ttl", ID: 0, Args: 1, Invert: true, Excl: 6},
		},
		NewMatch: func() xtables.Match { return &ttlMatch{mode: -1} },
	}
)

// commentMatch is xt_comment: words for whoever reads the rules.
type commentMatch struct {
	xtables.Plain
	text string
}

// Set implements xtables.Extension.
func (m *commentMatch) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
	m.text = args[0]
	if len(m.text) > 255 {
		return errors.New("comment: option \"--comment\" is too long (max 255)")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *commentMatch) Save(b []byte) []byte {
	return xtables.AppendString(append(b, " --comment"...), m.text)
}

// Print implements xtables.Extension.
func (m *commentMatch) Print(b []byte, _ bool) []byte {
	return append(append(append(b, " /* "...), m.text...), " */"...)
}

// Match implements xtables.Match.
func (m *commentMatch) Match(*xtables.Packet) bool { return true }

// Inert implements xtables.Inert.
func (m *commentMatch) Inert() {}

// lengthMatch is xt_length: the length of the IP packet.
type lengthMatch struct {
	xtables.Plain
	portRange
	invert bool
}

// Set implements xtables.Extension.
func (m *lengthMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	var err error
	m.invert = invert
	m.portRange, err = parseRange16("length", "length", args[0])
	return err
}

// Save implements xtables.Extension.
func (m *lengthMatch) Save(b []byte) []byte {
	return m.text(append(not(b, m.invert), " --length "...))
}

// Print implements xtables.Extension.
func (m *lengthMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " length "...)
	if m.invert {
		b = append(b, '!')
	}
	return m.text(b)
}

// Match implements xtables.Match (Linux: length_mt).
func (m *lengthMatch) Match(p *xtables.Packet) bool { return m.has(uint16(p.Len)) != m.invert }

// Pure implements xtables.Pure.
func (m *lengthMatch) Pure() {}

// ttlMatch is ipt_ttl.
type ttlMatch struct {
	xtables.Plain
	mode   int // ttl-eq, ttl-lt, ttl-gt
	ttl    uint8
	invert bool // of ttl-eq
}

// Set implements xtables.Extension.
func (m *ttlMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	m.mode, m.invert = id, invert
	name := []string{"ttl-eq", "ttl-lt", "ttl-gt"}[id]
	n, err := number("ttl", name, args[0], 0, 255)
	if err != nil {
		return err
	}
	m.ttl = uint8(n)
	return nil
}

// Done implements xtables.Extension.
func (m *ttlMatch) Done(*xtables.ParseContext) error {
	if m.mode < 0 {
		return errors.New("TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *ttlMatch) Save(b []byte) []byte {
	b = append(not(b, m.invert), []string{" --ttl-eq ", " --ttl-lt ", " --ttl-gt "}[m.mode]...)
	return strconv.AppendUint(b, uint64(m.ttl), 10)
}

// Print implements xtables.Extension.
func (m *ttlMatch) Print(b []byte, _ bool) []byte {
	op := []string{"==", "<", ">"}[m.mode]
	if m.invert {
		op = "!="
	}
	b = append(append(b, " TTL match TTL "...), op...)
	return strconv.AppendUint(append(b, ' '), uint64(m.ttl), 10)
}

// Match implements xtables.Match (Linux: ttl_mt).
func (m *ttlMatch) Match(p *xtables.Packet) bool {
	t := p.IP.TTL()
	switch m.mode {
	case 0:
		return (t == m.ttl) != m.invert
	case 1:
		return t < m.ttl
	}
	return t > m.ttl
}

// Pure implements xtables.Pure.
func (m *ttlMatch) Pure() {}
