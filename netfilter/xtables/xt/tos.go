package xt

import (
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter/xtables"
)

var (
	tosDef = &xtables.Def{ // read-only
		Name:     "tos",
		Options:  []xtables.Option{{Name: "tos", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(tosMatch) },
	}
	dscpDef = &xtables.Def{ // read-only
		Name: "dscp",
		Options: []xtables.Option{
			{Name: "dscp", ID: 0, Args: 1, Invert: true, Excl: 2},
			{Name: "dscp-class", ID: 1, Args: 1, Invert: true, Excl: 1},
		},
		NewMatch: func() xtables.Match { return new(dscpMatch) },
	}
)

// tosNames are the old meanings of the TOS field (RFC 1349). They are values of
// six bits. read-only
var tosNames = []struct {
	name string
	tos  uint8
}{{"Minimize-Delay", 0x10}, {"Maximize-Throughput", 0x08}, {"Maximize-Reliability", 0x04}, {"Minimize-Cost", 0x02}, {"Normal-Service", 0}}

const tosNameMask = 0x3f

// parseTOS takes "value[/mask]" or a name.
func parseTOS(s string) (tos, mask uint8, err error) {
	for _, n := range tosNames {
		if strings.EqualFold(n.name, s) {
			return n.tos, tosNameMask, nil
		}
	}
	v, m, is := strings.Cut(s, "/")
	n, ok := parseUint(v, 0, 255)
	if !ok {
		return 0, 0, fmt.Errorf("Symbolic name \"%s\" is unknown", s)
	}
	k := uint64(255)
	if is {
		if k, ok = parseUint(m, 0, 255); !ok {
			return 0, 0, fmt.Errorf("Illegal value: \"%s\"", s)
		}
	}
	return uint8(n), uint8(k), nil
}

// appendLowHex2 appends "0x0a".
func appendLowHex2(b []byte, n uint8) []byte {
	const digits = "0123456789abcdef"
	return append(b, '0', 'x', digits[n>>4], digits[n&15])
}

func appendTOS(b []byte, tos, mask uint8) []byte {
	return appendLowHex2(append(appendLowHex2(b, tos), '/'), mask)
}

// tosName appends a space and the name of a value, if it has one.
func tosName(b []byte, tos, mask uint8) ([]byte, bool) {
	if mask == tosNameMask {
		for _, n := range tosNames {
			if n.tos == tos {
				return append(append(b, ' '), n.name...), true
			}
		}
	}
	return b, false
}

// tosMatch is the match of xt_tos.
type tosMatch struct {
	xtables.Plain
	tos, mask uint8
	invert    bool
}

// Set implements xtables.Extension.
func (m *tosMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.tos, m.mask, err = parseTOS(args[0])
	return err
}

// Save implements xtables.Extension.
func (m *tosMatch) Save(b []byte) []byte {
	return appendTOS(append(not(b, m.invert), " --tos "...), m.tos, m.mask)
}

// Print implements xtables.Extension.
func (m *tosMatch) Print(b []byte, numeric bool) []byte {
	b = append(b, " tos match"...)
	if m.invert {
		b = append(b, '!')
	}
	if !numeric {
		if b, ok := tosName(b, m.tos, m.mask); ok {
			return b
		}
	}
	return appendTOS(b, m.tos, m.mask)
}

// Match implements xtables.Match (Linux: tos_mt).
func (m *tosMatch) Match(p *xtables.Packet) bool { return (p.IP.TOS()&m.mask == m.tos) != m.invert }

// Pure implements xtables.Pure.
func (m *tosMatch) Pure() {}

// dscpClasses are the names of code points (RFC 2474, 2597, 3246). read-only
var dscpClasses = []struct {
	name string
	dscp uint8
}{
	{"CS0", 0x00}, {"CS1", 0x08}, {"CS2", 0x10}, {"CS3", 0x18}, {"CS4", 0x20}, {"CS5", 0x28}, {"CS6", 0x30}, {"CS7", 0x38},
	{"BE", 0x00}, {"AF11", 0x0a}, {"AF12", 0x0c}, {"AF13", 0x0e}, {"AF21", 0x12}, {"AF22", 0x14}, {"AF23", 0x16},
	{"AF31", 0x1a}, {"AF32", 0x1c}, {"AF33", 0x1e}, {"AF41", 0x22}, {"AF42", 0x24}, {"AF43", 0x26}, {"EF", 0x2e},
}

// parseDSCP takes a value or the name of a class. opt is the option of values.
func parseDSCP(id int, who, opt, s string) (uint8, error) {
	if id == 0 {
		n, err := number(who, opt, s, 0, 63)
		if err != nil {
			return 0, err
		}
		return uint8(n), nil
	}
	for _, c := range dscpClasses {
		if strings.EqualFold(c.name, s) {
			return c.dscp, nil
		}
	}
	return 0, fmt.Errorf("Invalid DSCP value `%s'", s)
}

// dscpMatch is the match of xt_dscp.
type dscpMatch struct {
	xtables.Plain
	dscp   uint8
	set    bool
	invert bool
}

// Set implements xtables.Extension.
func (m *dscpMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	m.set, m.invert = true, invert
	m.dscp, err = parseDSCP(id, "dscp", "dscp", args[0])
	return err
}

// Done implements xtables.Extension.
func (m *dscpMatch) Done(*xtables.ParseContext) error {
	if !m.set {
		return errors.New("DSCP match: Parameter --dscp is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *dscpMatch) Save(b []byte) []byte {
	return appendLowHex2(append(not(b, m.invert), " --dscp "...), m.dscp)
}

// Print implements xtables.Extension.
func (m *dscpMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " DSCP match "...)
	if m.invert {
		b = append(b, '!')
	}
	return appendLowHex2(b, m.dscp)
}

// Match implements xtables.Match (Linux: dscp_mt).
func (m *dscpMatch) Match(p *xtables.Packet) bool { return (p.IP.TOS()>>2 == m.dscp) != m.invert }

// Pure implements xtables.Pure.
func (m *dscpMatch) Pure() {}
