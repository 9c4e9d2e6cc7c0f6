package xt

import (
	"errors"
	"fmt"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
)

const anyMark = 0x1f // the options that set a mark

var (
	markTarget = &xtables.Def{ // read-only
		Name: "MARK",
		Options: []xtables.Option{
			{Name: "set-mark", ID: 0, Args: 1, Excl: anyMark &^ 1},
			{Name: "set-xmark", ID: 1, Args: 1, Excl: anyMark &^ 2},
			{Name: "and-mark", ID: 2, Args: 1, Excl: anyMark &^ 4},
			{Name: "or-mark", ID: 3, Args: 1, Excl: anyMark &^ 8},
			{Name: "xor-mark", ID: 4, Args: 1, Excl: anyMark &^ 16},
		},
		NewTarget: func() xtables.Target { return &setMark{who: "MARK"} },
	}
	connmarkTarget = &xtables.Def{ // read-only
		Name: "CONNMARK",
		Options: append(append([]xtables.Option(nil), markTarget.Options...),
			xtables.Option{Name: "save-mark", ID: connSave, Excl: anyMark | 1<<connRestore},
			xtables.Option{Name: "restore-mark", ID: connRestore, Excl: anyMark | 1<<connSave},
			xtables.Option{Name: "nfmask", ID: connNFMask, Args: 1},
			xtables.Option{Name: "ctmask", ID: connCTMask, Args: 1},
			xtables.Option{Name: "mask", ID: connMask, Args: 1}),
		NewTarget: func() xtables.Target {
			return &connmarkTG{setMark: setMark{who: "CONNMARK"}, nfmask: ^uint32(0), ctmask: ^uint32(0)}
		},
	}
)

// setMark is the target of xt_mark: the bits of mask are cleared, then value is
// combined by exclusive or.
type setMark struct {
	xtables.Plain
	who         string
	value, mask uint32
	set         bool
}

// Set implements xtables.Extension.
func (m *setMark) Set(_ *xtables.ParseContext, id int, args []string, _ bool) (err error) {
	m.set = true
	name := markTarget.Options[id].Name
	if id >= 2 {
		n, ok := parseUint(args[0], 0, 0xffffffff)
		if !ok {
			return fmt.Errorf("%s: bad value for option \"--%s\", or out of range (0-4294967295).\n", m.who, name)
		}
		switch b := uint32(n); id {
		case 2:
			m.value, m.mask = 0, ^b
		case 3:
			m.value, m.mask = b, b
		case 4:
			m.value, m.mask = b, 0
		}
		return nil
	}
	if m.value, m.mask, err = markMask(m.who, name, args[0]); err != nil {
		return err
	}
	if id == 0 {
		m.mask |= m.value
	}
	return nil
}

// Done implements xtables.Extension.
func (m *setMark) Done(*xtables.ParseContext) error {
	if !m.set {
		return fmt.Errorf("%s: One of the --set-xmark, --{and,or,xor,set}-mark options is required", m.who)
	}
	return nil
}

// Save implements xtables.Extension.
func (m *setMark) Save(b []byte) []byte {
	b = appendHex(append(b, " --set-xmark "...), m.value)
	return appendHex(append(b, '/'), m.mask)
}

// Print implements xtables.Extension.
func (m *setMark) Print(b []byte, _ bool) []byte {
	b = append(append(b, ' '), m.who...)
	switch {
	case m.value == 0:
		return appendHex(append(b, " and "...), ^m.mask)
	case m.value == m.mask:
		return appendHex(append(b, " or "...), m.value)
	case m.mask == 0:
		return appendHex(append(b, " xor "...), m.value)
	case m.mask == ^uint32(0):
		return appendHex(append(b, " set "...), m.value)
	}
	b = appendHex(append(b, " xset "...), m.value)
	return appendHex(append(b, '/'), m.mask)
}

// Target implements xtables.Target (Linux: mark_tg).
func (m *setMark) Target(p *xtables.Packet) xtables.Verdict {
	p.B.Mark = p.B.Mark&^m.mask ^ m.value
	return xtables.Continue
}

// IDs of the options that CONNMARK has besides those of MARK.
const (
	connSave = iota + 5
	connRestore
	connNFMask
	connCTMask
	connMask
)

// connmarkTG is the target of xt_connmark.
type connmarkTG struct {
	setMark
	tracked
	mode           int // connSave, connRestore, or 0 for setting
	nfmask, ctmask uint32
}

// Set implements xtables.Extension.
func (m *connmarkTG) Set(c *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case connSave, connRestore:
		m.mode = id
	case connNFMask, connCTMask, connMask:
		n, ok := parseUint(args[0], 0, 0xffffffff)
		if !ok {
			return badInteger("CONNMARK", connmarkTarget.Options[id].Name)
		}
		if id != connCTMask {
			m.nfmask = uint32(n)
		}
		if id != connNFMask {
			m.ctmask, m.mask = uint32(n), uint32(n)
		}
	default:
		return m.setMark.Set(c, id, args, invert)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *connmarkTG) Done(*xtables.ParseContext) error {
	if !m.set && m.mode == 0 {
		return errors.New("CONNMARK target: No operation specified")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *connmarkTG) Save(b []byte) []byte {
	switch m.mode {
	case connSave:
		b = append(b, " --save-mark --nfmask "...)
	case connRestore:
		b = append(b, " --restore-mark --nfmask "...)
	default:
		return m.setMark.Save(b)
	}
	b = append(appendHex(b, m.nfmask), " --ctmask "...)
	return appendHex(b, m.ctmask)
}

// Print implements xtables.Extension.
func (m *connmarkTG) Print(b []byte, numeric bool) []byte {
	if m.mode == 0 {
		return m.setMark.Print(b, numeric)
	}
	word, first, second := " CONNMARK save", " nfmask ", " ctmask ~"
	a, c := m.nfmask, m.ctmask
	if m.mode == connRestore {
		word, first, second = " CONNMARK restore", " ctmask ", " nfmask ~"
		a, c = c, a
	}
	b = append(b, word...)
	switch {
	case a == ^uint32(0) && c == a:
		return b
	case a == c:
		return appendHex(append(b, " mask "...), a)
	}
	b = appendHex(append(b, first...), a)
	return appendHex(append(b, second...), c)
}

// Target implements xtables.Target (Linux: connmark_tg).
func (m *connmarkTG) Target(p *xtables.Packet) xtables.Verdict {
	c, _ := conntrack.Get(p.B)
	if c == nil || c.IsTemplate() {
		return xtables.Continue
	}
	mark, ct := p.B.Mark, c.Mark()
	switch m.mode {
	case connSave:
		c.SetMark(ct&^m.ctmask ^ mark&m.nfmask)
	case connRestore:
		p.B.Mark = mark&^m.nfmask ^ ct&m.ctmask
	default:
		c.SetMark(ct&^m.mask ^ m.value)
	}
	return xtables.Continue
}
