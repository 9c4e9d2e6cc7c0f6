package xt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter/xtables"
)

var (
	ahDef = &xtables.Def{ // read-only
		Name:     "ah",
		Protos:   []uint8{51},
		Options:  []xtables.Option{{Name: "ahspi", Args: 1, Invert: true}},
		NewMatch: func() xtables.Match { return &spiMatch{name: "ah", at: 4, hi: 1<<32 - 1} },
	}
	espDef = &xtables.Def{ // read-only
		Name:     "esp",
		Protos:   []uint8{50},
		Options:  []xtables.Option{{Name: "espspi", Args: 1, Invert: true}},
		NewMatch: func() xtables.Match { return &spiMatch{name: "esp", hi: 1<<32 - 1} },
	}
	ipcompDef = &xtables.Def{ // read-only
		Name:     "ipcomp",
		Options:  []xtables.Option{{Name: "ipcompspi", ID: 0, Args: 1, Invert: true}, {Name: "compres", ID: 1}},
		NewMatch: func() xtables.Match { return new(ipcompMatch) },
	}
)

// spiMatch is ipt_ah and xt_esp: the security parameter index.
type spiMatch struct {
	xtables.Plain
	name   string
	at     int // of the index in the header
	lo, hi uint32
	invert bool
}

// parseRange32 takes "n", "lo:hi", "lo:" and ":hi" (XTTYPE_UINT32RC). As in
// iptables the first may be the larger, and then nothing is between.
// one takes either end.
func parseRange32(s string, one func(string) (uint64, error)) (lo, hi uint32, err error) {
	a, b, is := strings.Cut(s, ":")
	n, m := uint64(0), uint64(1<<32-1)
	if a != "" || !is {
		if n, err = one(a); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case !is:
		m = n
	case b != "":
		if m, err = one(b); err != nil {
			return 0, 0, err
		}
	}
	return uint32(n), uint32(m), nil
}

func appendRange32(b []byte, lo, hi uint32) []byte {
	b = fmt.Appendf(b, "%d", lo)
	if hi != lo {
		b = fmt.Appendf(b, ":%d", hi)
	}
	return b
}

// Set implements xtables.Extension.
func (m *spiMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.lo, m.hi, err = parseRange32(args[0], func(s string) (uint64, error) { return number(m.name, m.name+"spi", s, 0, 1<<32-1) })
	return err
}

// Save implements xtables.Extension.
func (m *spiMatch) Save(b []byte) []byte {
	if m.lo == 0 && m.hi == 1<<32-1 {
		return b
	}
	b = append(append(not(b, m.invert), " --"...), m.name...)
	return appendRange32(append(b, "spi "...), m.lo, m.hi)
}

// Print implements xtables.Extension.
func (m *spiMatch) Print(b []byte, _ bool) []byte {
	b = append(append(b, ' '), m.name...)
	if m.lo == 0 && m.hi == 1<<32-1 && !m.invert {
		if m.at != 0 {
			b = append(b, ' ')
		}
		return b
	}
	b = append(b, " spi"...)
	if m.lo != m.hi {
		b = append(b, 's')
	}
	b = append(b, ':')
	if m.invert {
		b = append(b, '!')
	}
	return appendRange32(b, m.lo, m.hi)
}

// Match implements xtables.Match (Linux: ah_mt, esp_mt).
func (m *spiMatch) Match(p *xtables.Packet) bool {
	h := firstTransport(p, m.at+8)
	if h == nil {
		return false
	}
	n := binary.BigEndian.Uint32(h[m.at:])
	return (n >= m.lo && n <= m.hi) != m.invert
}

// Pure implements xtables.Pure.
func (m *spiMatch) Pure() {}

// ipcompMatch is xt_ipcomp: the compression parameter index.
type ipcompMatch struct {
	xtables.Plain
	lo, hi           uint32
	reserved, invert bool
}

// Set implements xtables.Extension.
func (m *ipcompMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	if id == 1 {
		m.reserved = true // said, and printed, and nothing else: as in Linux
		return nil
	}
	m.invert = invert
	m.lo, m.hi, err = parseRange32(args[0], func(s string) (uint64, error) { return bound("ipcomp", "ipcompspi", s, 1<<32-1) })
	return err
}

// Save implements xtables.Extension.
func (m *ipcompMatch) Save(b []byte) []byte {
	b = appendRange32(append(not(b, m.invert), " --ipcompspi "...), m.lo, m.hi)
	if m.reserved {
		b = append(b, " --compres"...)
	}
	return b
}

// Print implements xtables.Extension.
func (m *ipcompMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " comp spi"...)
	if m.lo != m.hi {
		b = append(b, 's')
	}
	b = append(b, ':')
	if m.invert {
		b = append(b, '!')
	}
	if b = appendRange32(b, m.lo, m.hi); m.reserved {
		b = append(b, " reserved"...)
	}
	return b
}

// Check implements xtables.Extension.
func (m *ipcompMatch) Check(c *xtables.CheckContext) error {
	if c.Proto != 108 || c.InvProto {
		return errors.New("xt_ipcomp: only for -p ipcomp")
	}
	return nil
}

// Match implements xtables.Match (Linux: comp_mt).
func (m *ipcompMatch) Match(p *xtables.Packet) bool {
	h := firstTransport(p, 4)
	if h == nil {
		return false
	}
	n := uint32(binary.BigEndian.Uint16(h[2:]))
	return (n >= m.lo && n <= m.hi) != m.invert
}

// Pure implements xtables.Pure.
func (m *ipcompMatch) Pure() {}
