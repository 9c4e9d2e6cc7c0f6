package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
)

var (
	connbytesDef = &xtables.Def{ // read-only
		Name: "connbytes",
		Options: []xtables.Option{
			{Name: "connbytes", ID: 0, Args: 1, Invert: true, Must: true},
			{Name: "connbytes-dir", ID: 1, Args: 1, Must: true},
			{Name: "connbytes-mode", ID: 2, Args: 1, Must: true},
		},
		NewMatch: func() xtables.Match { return new(connbytesMatch) },
	}
	helperDef = &xtables.Def{ // read-only
		Name:     "helper",
		Options:  []xtables.Option{{Name: "helper", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(helperMatch) },
	}
	connlabelDef = &xtables.Def{ // read-only
		Name: "connlabel",
		Options: []xtables.Option{
			{Name: "label", ID: 0, Args: 1, Invert: true, Must: true},
			{Name: "set", ID: 1},
		},
		NewMatch: func() xtables.Match { return new(connlabelMatch) },
	}
)

// connbytesMatch is xt_connbytes: how much a connection has moved.
type connbytesMatch struct {
	xtables.Plain
	tracked
	from, to  uint64
	invert    bool
	dir, mode uint8
}

var (
	connbytesDirs  = []string{"original", "reply", "both"}  // read-only
	connbytesModes = []string{"packets", "bytes", "avgpkt"} // read-only
)

// Set implements xtables.Extension.
func (m *connbytesMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case 0:
		m.invert, m.to = invert, ^uint64(0)
		a, b, is := strings.Cut(args[0], ":")
		for _, e := range []struct {
			s  string
			to *uint64
		}{{a, &m.from}, {b, &m.to}} {
			if e.s == "" {
				continue
			}
			n, err := number("connbytes", "connbytes", e.s, 0, ^uint64(0))
			if err != nil {
				return err
			}
			*e.to = n
		}
		if is && m.to < m.from {
			return fmt.Errorf("%d should be less than %d", m.from, m.to)
		}
		if !is && a == "" {
			return errors.New("connbytes: bad value for option \"--connbytes\"")
		}
	case 1:
		return oneOf(&m.dir, connbytesDirs, "--connbytes-dir", args[0])
	case 2:
		return oneOf(&m.mode, connbytesModes, "--connbytes-mode", args[0])
	}
	return nil
}

func oneOf(to *uint8, names []string, opt, s string) error {
	for i, n := range names {
		if n == s {
			*to = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("Unknown %s `%s'", opt, s)
}

func (m *connbytesMatch) bounds(b []byte) []byte {
	b = strconv.AppendUint(b, m.from, 10)
	if m.to != ^uint64(0) {
		b = strconv.AppendUint(append(b, ':'), m.to, 10)
	}
	return b
}

// Save implements xtables.Extension.
func (m *connbytesMatch) Save(b []byte) []byte {
	b = m.bounds(append(not(b, m.invert), " --connbytes "...))
	return fmt.Appendf(b, " --connbytes-mode %s --connbytes-dir %s", connbytesModes[m.mode], connbytesDirs[m.dir])
}

// Print implements xtables.Extension.
func (m *connbytesMatch) Print(b []byte, _ bool) []byte {
	b = m.bounds(append(not(b, m.invert), " connbytes "...))
	return fmt.Appendf(b, " connbytes mode %s connbytes direction %s", connbytesModes[m.mode], connbytesDirs[m.dir])
}

// Attach implements xtables.Attacher: connections are counted from now on
// (Linux: connbytes_mt_check turns nf_conntrack_acct on).
func (m *connbytesMatch) Attach(c *xtables.CheckContext) error {
	if c.Env.Conntrack == nil {
		return errNoConntrack
	}
	c.Env.Conntrack.Conf.Acct.Store(1)
	return m.tracked.Attach(c)
}

// Match implements xtables.Match (Linux: connbytes_mt).
func (m *connbytesMatch) Match(p *xtables.Packet) bool {
	c, _ := conntrack.Get(p.B)
	if c == nil {
		return false
	}
	a := c.Acct()
	if a == nil {
		return false
	}
	var packets, bytes uint64
	for d := range conntrack.NumDirs {
		if m.dir == 2 || int(m.dir) == int(d) {
			packets += a.Packets[d].Load()
			bytes += a.Bytes[d].Load()
		}
	}
	n := bytes
	switch m.mode {
	case 0:
		n = packets
	case 2:
		n = 0
		if packets != 0 {
			n = bytes / packets
		}
	}
	return (n >= m.from && n <= m.to) != m.invert
}

// helperMatch is xt_helper: connections that a helper expected.
type helperMatch struct {
	xtables.Plain
	tracked
	name   string
	invert bool
}

// Set implements xtables.Extension.
func (m *helperMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	if m.name, m.invert = args[0], invert; len(m.name) > 29 {
		return errors.New("helper: option \"--helper\" is too long (max 29)")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *helperMatch) Save(b []byte) []byte {
	return xtables.AppendString(append(not(b, m.invert), " --helper"...), m.name)
}

// Print implements xtables.Extension.
func (m *helperMatch) Print(b []byte, _ bool) []byte {
	b = not(append(b, " helper match"...), m.invert)
	return append(append(append(b, " \""...), m.name...), '"')
}

// Match implements xtables.Match (Linux: helper_mt).
func (m *helperMatch) Match(p *xtables.Packet) bool {
	c, _ := conntrack.Get(p.B)
	if c == nil || c.Master() == nil {
		return m.invert
	}
	h := c.Master().Helper()
	if h == nil {
		return m.invert
	}
	return (m.name == "" || h.Name == m.name) != m.invert
}

// connlabelMatch is xt_connlabel: a bit of a connection's label.
type connlabelMatch struct {
	xtables.Plain
	tracked
	bit         uint16
	invert, set bool
}

// Set implements xtables.Extension.
func (m *connlabelMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	if id == 1 {
		m.set = true
		return nil
	}
	n, ok := parseUint(args[0], 0, 127)
	if !ok {
		return fmt.Errorf("label '%s' not found or invalid value", args[0])
	}
	m.bit, m.invert = uint16(n), invert
	return nil
}

// Save implements xtables.Extension.
func (m *connlabelMatch) Save(b []byte) []byte {
	b = fmt.Appendf(not(b, m.invert), " --label \"%d\"", m.bit)
	if m.set {
		b = append(b, " --set"...)
	}
	return b
}

// Print implements xtables.Extension.
func (m *connlabelMatch) Print(b []byte, _ bool) []byte {
	b = fmt.Appendf(not(append(b, " connlabel"...), m.invert), " %d", m.bit)
	if m.set {
		b = append(b, " set"...)
	}
	return b
}

// Match implements xtables.Match (Linux: connlabel_mt).
func (m *connlabelMatch) Match(p *xtables.Packet) bool {
	c, info := conntrack.Get(p.B)
	if c == nil || info == conntrack.Untracked {
		return m.invert
	}
	if l := c.Labels(); l != nil && l[m.bit/64].Load()&(1<<(m.bit%64)) != 0 {
		return !m.invert
	}
	if m.set {
		c.SetLabel(uint(m.bit))
		return !m.invert
	}
	return m.invert
}
