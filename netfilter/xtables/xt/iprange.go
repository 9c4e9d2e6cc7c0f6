package xt

import (
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var iprangeDef = &xtables.Def{ // read-only
	Name: "iprange",
	Options: []xtables.Option{
		{Name: "src-range", ID: 0, Args: 1, Invert: true},
		{Name: "dst-range", ID: 1, Args: 1, Invert: true},
	},
	NewMatch: func() xtables.Match { return new(iprangeMatch) },
}

// addrRange is an inclusive range of addresses.
type addrRange struct {
	lo, hi      header.Addr
	set, invert bool
}

// iprangeMatch is xt_iprange: source and destination.
type iprangeMatch struct {
	xtables.Plain
	r [2]addrRange
}

// Set implements xtables.Extension.
func (m *iprangeMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	lo, hi, is := strings.Cut(args[0], "-")
	if !is {
		hi = lo
	}
	r := &m.r[id]
	r.set, r.invert = true, invert
	var ok bool
	bad := lo
	if r.lo, ok = parseAddr(lo); ok {
		bad = hi
		r.hi, ok = parseAddr(hi)
	}
	if !ok {
		return fmt.Errorf("iprange: Bad value for \"--%s\" option: \"%s\"", []string{"src-range", "dst-range"}[id], bad)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *iprangeMatch) Done(*xtables.ParseContext) error {
	if !m.r[0].set && !m.r[1].set {
		return errors.New("iprange match: You must specify `--src-range' or `--dst-range'")
	}
	return nil
}

func (r *addrRange) text(b []byte) []byte {
	return appendAddr(append(appendAddr(b, r.lo), '-'), r.hi)
}

// Save implements xtables.Extension.
func (m *iprangeMatch) Save(b []byte) []byte {
	for i := range m.r {
		if r := &m.r[i]; r.set {
			b = append(append(not(b, r.invert), " --"...), iprangeDef.Options[i].Name...)
			b = r.text(append(b, ' '))
		}
	}
	return b
}

// Print implements xtables.Extension.
func (m *iprangeMatch) Print(b []byte, _ bool) []byte {
	for i, what := range []string{" source IP range", " destination IP range"} {
		if r := &m.r[i]; r.set {
			b = append(not(append(b, what...), r.invert), ' ')
			b = r.text(b)
		}
	}
	return b
}

func (r *addrRange) has(a header.Addr) bool { return !r.set || (a >= r.lo && a <= r.hi) != r.invert }

// Match implements xtables.Match (Linux: iprange_mt4).
func (m *iprangeMatch) Match(p *xtables.Packet) bool { return m.r[0].has(p.Src) && m.r[1].has(p.Dst) }

// Pure implements xtables.Pure.
func (m *iprangeMatch) Pure() {}

// Constrain implements xtables.Constrainer.
func (m *iprangeMatch) Constrain(add func(xtables.Field, ...xtables.Constraint)) {
	for i, f := range []xtables.Field{xtables.FieldSrc, xtables.FieldDst} {
		if r := &m.r[i]; r.set && !r.invert && r.lo <= r.hi {
			add(f, xtables.Constraint{Lo: uint32(r.lo), Hi: uint32(r.hi)})
		}
	}
}
