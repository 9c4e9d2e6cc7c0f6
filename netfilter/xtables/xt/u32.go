package xt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"barewire/netfilter/xtables"
)

var u32Def = &xtables.Def{ // read-only
	Name:     "u32",
	Options:  []xtables.Option{{Name: "u32", Args: 1, Invert: true, Must: true}},
	NewMatch: func() xtables.Match { return new(u32Match) },
}

// Bound of a program: XT_U32_MAXSIZE tests, numbers and ranges.
const u32Max = 10

// u32Step is a number and what is done with it.
type u32Step struct {
	op byte // 0 for the first, '&', '<', '>' or '@'
	n  uint32
}

// u32Test is a location and the ranges its value must be in one of.
type u32Test struct {
	steps  []u32Step
	ranges [][2]uint32
}

// u32Match is xt_u32: words of the packet, masked, shifted and compared.
type u32Match struct {
	xtables.Plain
	tests  []u32Test
	invert bool
}

// u32Parser reads the little language of u32.
type u32Parser struct {
	s string
	i int
}

func (p *u32Parser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
}

func (p *u32Parser) number() (uint32, error) {
	j := p.i
	for j < len(p.s) && (p.s[j] >= '0' && p.s[j] <= '9' || p.s[j]|0x20 >= 'a' && p.s[j]|0x20 <= 'f' || p.s[j]|0x20 == 'x') {
		j++
	}
	for ; j > p.i; j-- {
		if n, ok := parseUint(p.s[p.i:j], 0, 1<<32-1); ok {
			p.i = j
			return uint32(n), nil
		}
	}
	return 0, fmt.Errorf("u32: at char %d: not a number or out of range", p.i)
}

func (p *u32Parser) peek() byte {
	p.space()
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// location reads numbers and operators up to '='.
func (p *u32Parser) location() (t u32Test, err error) {
	op := byte(0)
	for {
		p.space()
		n, err := p.number()
		if err != nil {
			return t, err
		}
		if t.steps = append(t.steps, u32Step{op, n}); len(t.steps) > u32Max {
			return t, fmt.Errorf("u32: at char %d: too many operators", p.i)
		}
		switch op = p.peek(); op {
		case 0:
			return t, errors.New("u32: abrupt end of input after location specifier")
		case '=':
			p.i++
			return t, nil
		case '&', '@':
			p.i++
		case '<', '>':
			if p.i++; p.i >= len(p.s) || p.s[p.i] != op {
				return t, fmt.Errorf("u32: at char %d: a second '%c' was expected", p.i, op)
			}
			p.i++
		default:
			return t, fmt.Errorf("u32: at char %d: operator expected", p.i)
		}
	}
}

// values reads ranges up to "&&" or the end.
func (p *u32Parser) values(t *u32Test) (more bool, err error) {
	for {
		p.space()
		lo, err := p.number()
		if err != nil {
			return false, err
		}
		hi := lo
		if p.peek() == ':' {
			p.i++
			p.space()
			if hi, err = p.number(); err != nil {
				return false, err
			}
		}
		if t.ranges = append(t.ranges, [2]uint32{lo, hi}); len(t.ranges) > u32Max {
			return false, fmt.Errorf("u32: at char %d: too many value elements", p.i)
		}
		switch p.peek() {
		case 0:
			return false, nil
		case ',':
			p.i++
		case '&':
			if p.i++; p.i >= len(p.s) || p.s[p.i] != '&' {
				return false, fmt.Errorf("u32: at char %d: a second '&' was expected", p.i)
			}
			p.i++
			return true, nil
		default:
			return false, fmt.Errorf("u32: at char %d: a ',' or \"&&\" was expected", p.i)
		}
	}
}

// Set implements xtables.Extension.
func (m *u32Match) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	if m.invert = invert; len(args[0]) > 1023 {
		return errors.New("u32: option \"--u32\" takes at most 1023 characters")
	}
	p := &u32Parser{s: args[0]}
	for {
		t, err := p.location()
		if err != nil {
			return err
		}
		more, err := p.values(&t)
		if err != nil {
			return err
		}
		if m.tests = append(m.tests, t); len(m.tests) > u32Max {
			return fmt.Errorf("u32: at char %d: too many \"&&\"s", p.i)
		}
		if !more {
			return nil
		}
	}
}

func (m *u32Match) text(b []byte) []byte {
	for i, t := range m.tests {
		if i > 0 {
			b = append(b, "&&"...)
		}
		for _, s := range t.steps {
			switch s.op {
			case '<', '>':
				b = append(b, s.op, s.op)
			case '&', '@':
				b = append(b, s.op)
			}
			b = appendHex(b, s.n)
		}
		b = append(b, '=')
		for j, r := range t.ranges {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendHex(b, r[0])
			if r[1] != r[0] {
				b = appendHex(append(b, ':'), r[1])
			}
		}
	}
	return append(b, '"')
}

// Save implements xtables.Extension.
func (m *u32Match) Save(b []byte) []byte { return m.text(append(not(b, m.invert), " --u32 \""...)) }

// Print implements xtables.Extension.
func (m *u32Match) Print(b []byte, _ bool) []byte {
	return m.text(append(not(append(b, " u32"...), m.invert), " \""...))
}

// Match implements xtables.Match (Linux: u32_match_it). Reading behind the end
// of the packet is no match.
func (m *u32Match) Match(p *xtables.Packet) bool {
	for i := range m.tests {
		if !m.tests[i].holds(p) {
			return m.invert
		}
	}
	return !m.invert
}

func (t *u32Test) holds(p *xtables.Packet) bool {
	n := uint64(p.B.Len())
	word := func(at uint64) (uint32, bool) {
		if at+4 > n {
			return 0, false
		}
		b := p.Bytes(int(at), 4)
		if b == nil {
			return 0, false
		}
		return binary.BigEndian.Uint32(b), true
	}
	at := uint64(0)
	v, ok := word(uint64(t.steps[0].n))
	if !ok {
		return false
	}
	for _, s := range t.steps[1:] {
		switch s.op {
		case '&':
			v &= s.n
		case '<':
			v <<= s.n & 31
		case '>':
			v >>= s.n & 31
		case '@':
			if at += uint64(v); at > n {
				return false
			}
			if v, ok = word(at + uint64(s.n)); !ok {
				return false
			}
		}
	}
	for _, r := range t.ranges {
		if v >= r[0] && v <= r[1] {
			return true
		}
	}
	return false
}

// Pure implements xtables.Pure.
func (m *u32Match) Pure() {}

// parseInt takes decimal digits and nothing else.
func parseInt(s string, lo, hi int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= lo && n <= hi && s[0] != '+' && s[0] != '-'
}
