package xt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"barewire/netfilter/xtables"
)

// IDs of the options of string.
const (
	stringFrom = iota
	stringTo
	stringAlgo
	stringICase
	stringString
	stringHex
)

// maxPattern is XT_STRING_MAX_PATTERN_SIZE.
const maxPattern = 128

var stringDef = &xtables.Def{ // read-only
	Name: "string",
	Options: []xtables.Option{
		{Name: "from", ID: stringFrom, Args: 1},
		{Name: "to", ID: stringTo, Args: 1},
		{Name: "algo", ID: stringAlgo, Args: 1, Must: true},
		{Name: "icase", ID: stringICase},
		{Name: "string", ID: stringString, Args: 1, Invert: true, Excl: 1 << stringHex},
		{Name: "hex-string", ID: stringHex, Args: 1, Invert: true, Excl: 1 << stringString},
	},
	NewMatch: func() xtables.Match { return &stringMatch{to: 0xffff} },
}

// stringMatch is xt_string: a pattern somewhere in the packet, its headers
// included.
type stringMatch struct {
	xtables.Plain
	from, to uint16
	algo     string
	icase    bool
	invert   bool
	given    bool
	pattern  []byte
	// fold is the pattern in lower case if the case is not to matter.
	fold []byte
}

// Set implements xtables.Extension.
func (m *stringMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	var n uint64
	switch id {
	case stringFrom, stringTo:
		name := [...]string{"from", "to"}[id]
		if n, err = number("string", name, args[0], 0, 0xffff); err != nil {
			return err
		}
		if id == stringFrom {
			m.from = uint16(n)
		} else {
			m.to = uint16(n)
		}
	case stringAlgo:
		if m.algo = args[0]; !isWord(m.algo) || len(m.algo) > 15 {
			return errors.New("string: option \"--algo\" takes at most 15 characters")
		}
	case stringICase:
		m.icase = true
	case stringString:
		m.invert, m.given, m.pattern = invert, true, []byte(args[0])
	case stringHex:
		m.invert, m.given = invert, true
		m.pattern, err = parseHexString(args[0])
	}
	if len(m.pattern) > maxPattern {
		return errors.New("STRING too long")
	}
	return err
}

// parseHexString reads text with bytes in hexadecimal between bars; a backslash
// takes the next character as it is.
func parseHexString(s string) (b []byte, err error) {
	hex := false
	if s == "" {
		return nil, errors.New("STRING must contain at least one char")
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && !hex:
			if i+1 >= len(s) {
				return nil, errors.New("Bad literal placement at end of string")
			}
			b = append(b, s[i+1])
			i += 2
		case c == '|':
			hex = !hex
			i++
			for hex && i < len(s) && s[i] == ' ' {
				i++
			}
		case hex:
			if i+1 >= len(s) || s[i+1] == '|' {
				return nil, errors.New("Odd number of hex digits")
			}
			if i+2 >= len(s) {
				return nil, errors.New("Invalid hex block")
			}
			for _, d := range s[i : i+2] {
				if !strings.ContainsRune("0123456789abcdefABCDEF", d) {
					return nil, fmt.Errorf("Invalid hex char '%c'", d)
				}
			}
			n, _ := parseUint("0x"+s[i:i+2], 0, 255)
			b = append(b, byte(n))
			for i += 2; i < len(s) && s[i] == ' '; i++ {
			}
		default:
			b = append(b, c)
			i++
		}
	}
	return b, nil
}

// Done implements xtables.Extension.
func (m *stringMatch) Done(*xtables.ParseContext) error {
	if !m.given {
		return errors.New("STRING match: You must specify `--string' or `--hex-string'")
	}
	if m.icase {
		m.fold = make([]byte, len(m.pattern))
		for i, c := range m.pattern {
			m.fold[i] = lower(c)
		}
	}
	return nil
}

// isHex says that a pattern has bytes that are no printable characters, or ends
// with a backslash.
func (m *stringMatch) isHex() bool {
	for i, c := range m.pattern {
		if c < 0x20 || c > 0x7e || i == len(m.pattern)-1 && c == '\\' {
			return true
		}
	}
	return false
}

// text appends the pattern in quotes.
func (m *stringMatch) text(b []byte) []byte {
	if m.isHex() {
		b = append(b, "\"|"...)
		for _, c := range m.pattern {
			b = fmt.Appendf(b, "%02x", c)
		}
		return append(b, "|\""...)
	}
	b = append(b, '"')
	for _, c := range m.pattern {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// Save implements xtables.Extension.
func (m *stringMatch) Save(b []byte) []byte {
	b = not(b, m.invert)
	if m.isHex() {
		b = m.text(append(b, " --hex-string "...))
	} else {
		b = m.text(append(b, " --string "...))
	}
	b = append(append(b, " --algo "...), m.algo...)
	if m.from != 0 {
		b = fmt.Appendf(b, " --from %d", m.from)
	}
	if m.to != 0xffff {
		b = fmt.Appendf(b, " --to %d", m.to)
	}
	if m.icase {
		b = append(b, " --icase"...)
	}
	return b
}

// Print implements xtables.Extension.
func (m *stringMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " STRING match "...)
	if m.invert {
		b = append(b, '!')
	}
	b = m.text(append(b, ' '))
	b = append(append(b, " ALGO name "...), m.algo...)
	if m.from != 0 {
		b = fmt.Appendf(b, " FROM %d", m.from)
	}
	if m.to != 0xffff {
		b = fmt.Appendf(b, " TO %d", m.to)
	}
	if m.icase {
		b = append(b, " ICASE"...)
	}
	return b
}

// noSuch is a refusal whose error is that there is nothing of the name.
type noSuch string

func (e noSuch) Error() string { return string(e) }
func (e noSuch) Unwrap() error { return syscall.ENOENT }

// Check implements xtables.Extension (Linux: string_mt_check).
func (m *stringMatch) Check(*xtables.CheckContext) error {
	switch {
	case m.algo != "bm" && m.algo != "kmp" && m.algo != "fsm":
		return noSuch("xt_string: no search algorithm " + m.algo)
	case m.algo == "fsm":
		return errors.New("xt_string: fsm takes no text")
	case len(m.pattern) == 0:
		return errors.New("xt_string: the pattern is empty")
	case m.from > m.to:
		return errors.New("xt_string: --from is behind --to")
	}
	return nil
}

// Match implements xtables.Match (Linux: string_mt): all of the pattern stands
// between from and to, counted from the IP header.
func (m *stringMatch) Match(p *xtables.Packet) bool {
	d := p.B.Data()
	if p.B.Len() != len(d) {
		// The pages behind the header are looked at in pieces that overlap.
		return m.paged(p) != m.invert
	}
	return m.search(d, 0) != m.invert
}

// search looks for the pattern in d, which begins at base in the packet.
func (m *stringMatch) search(d []byte, base int) bool {
	lo := max(int(m.from)-base, 0)
	hi := min(int(m.to)-base, len(d))
	if lo >= hi {
		return false
	}
	d = d[lo:hi]
	if !m.icase {
		return bytes.Contains(d, m.pattern)
	}
	for ; len(d) >= len(m.fold); d = d[1:] {
		if equalFold(d[:len(m.fold)], m.fold) {
			return true
		}
	}
	return false
}

func (m *stringMatch) paged(p *xtables.Packet) bool {
	var buf [512]byte
	keep := len(m.pattern) - 1
	n := p.B.Len()
	for at := 0; at < n; at += len(buf) - keep {
		c := p.B.CopyBits(at, buf[:min(len(buf), n-at)])
		if c <= 0 {
			return false
		}
		if m.search(buf[:c], at) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func equalFold(d, fold []byte) bool {
	for i, c := range d {
		if lower(c) != fold[i] {
			return false
		}
	}
	return true
}

// Pure implements xtables.Pure.
func (m *stringMatch) Pure() {}
