package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var tcpDef = &xtables.Def{ // read-only
	Name:   "tcp",
	Protos: []uint8{header.ProtoTCP},
	Options: []xtables.Option{
		{Name: "source-port", ID: 0, Args: 1, Invert: true, Multi: true},
		{Name: "sport", ID: 0, Args: 1, Invert: true, Multi: true},
		{Name: "destination-port", ID: 1, Args: 1, Invert: true, Multi: true},
		{Name: "dport", ID: 1, Args: 1, Invert: true, Multi: true},
		{Name: "syn", ID: 2, Invert: true, Multi: true},
		{Name: "tcp-flags", ID: 2, Args: 2, Invert: true, Multi: true},
		{Name: "tcp-option", ID: 3, Args: 1, Invert: true, Multi: true},
	},
	NewMatch: func() xtables.Match { return &tcpMatch{sport: allPorts, dport: allPorts} },
}

// tcpMatch is xt_tcp: ports, flags and the presence of an option.
type tcpMatch struct {
	xtables.Plain
	sport, dport        portRange
	mask, cmp           uint8
	option              uint8 // 0 for none
	invSport, invDport  bool
	invFlags, invOption bool
}

var tcpFlagNames = []struct { // read-only
	name string
	bits uint8
}{{"FIN", 1}, {"SYN", 2}, {"RST", 4}, {"PSH", 8}, {"ACK", 16}, {"URG", 32}, {"ALL", 63}, {"NONE", 0}}

func parseTCPFlags(s string) (uint8, error) {
	var f uint8
next:
	for name := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' }) {
		for _, n := range tcpFlagNames {
			if strings.EqualFold(n.name, name) {
				f |= n.bits
				continue next
			}
		}
		return 0, fmt.Errorf("Unknown TCP flag `%s'", name)
	}
	return f, nil
}

func appendTCPFlags(b []byte, f uint8) []byte {
	if f == 0 {
		return append(b, "NONE"...)
	}
	first := true
	for _, n := range tcpFlagNames[:6] {
		if f&n.bits != 0 {
			if !first {
				b = append(b, ',')
			}
			b, first = append(b, n.name...), false
		}
	}
	return b
}

// Set implements xtables.Extension.
func (m *tcpMatch) Set(c *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	if err := onlyOne(c, id); err != nil {
		return err
	}
	switch id {
	case 0:
		m.invSport = invert
		m.sport, err = parsePorts(args[0], header.ProtoTCP)
	case 1:
		m.invDport = invert
		m.dport, err = parsePorts(args[0], header.ProtoTCP)
	case 2:
		m.invFlags = invert
		if len(args) == 0 {
			m.mask, m.cmp = header.TCPSyn|header.TCPRst|header.TCPAck|header.TCPFin, header.TCPSyn
			return nil
		}
		if m.mask, err = parseTCPFlags(args[0]); err == nil {
			m.cmp, err = parseTCPFlags(args[1])
		}
	case 3:
		m.invOption = invert
		n, ok := parseUint(args[0], 1, 255)
		if !ok {
			return fmt.Errorf("Bad TCP option \"%s\"", args[0])
		}
		m.option = uint8(n)
	}
	return err
}

// onlyOne refuses an option of tcp or udp that was there before, in the words
// these two have for it.
func onlyOne(c *xtables.ParseContext, id int) error {
	if !c.Seen(id) {
		return nil
	}
	return errors.New([]string{"Only one `--source-port' allowed", "Only one `--destination-port' allowed",
		"Only one of `--syn' or `--tcp-flags'  allowed", "Only one `--tcp-option' allowed"}[id])
}

// Save implements xtables.Extension.
func (m *tcpMatch) Save(b []byte) []byte {
	b = m.sport.save(b, "sport", m.invSport)
	b = m.dport.save(b, "dport", m.invDport)
	if m.option != 0 || m.invOption {
		b = strconv.AppendUint(append(not(b, m.invOption), " --tcp-option "...), uint64(m.option), 10)
	}
	if m.mask|m.cmp != 0 || m.invFlags {
		b = append(not(b, m.invFlags), " --tcp-flags "...)
		b = appendTCPFlags(b, m.mask)
		b = appendTCPFlags(append(b, ' '), m.cmp)
	}
	return b
}

// Print implements xtables.Extension.
func (m *tcpMatch) Print(b []byte, numeric bool) []byte {
	b = append(b, " tcp"...)
	b = m.sport.print(b, "spt", m.invSport, numeric, header.ProtoTCP)
	b = m.dport.print(b, "dpt", m.invDport, numeric, header.ProtoTCP)
	if m.option != 0 || m.invOption {
		b = append(b, " option="...)
		if m.invOption {
			b = append(b, '!')
		}
		b = strconv.AppendUint(b, uint64(m.option), 10)
	}
	if m.mask|m.cmp != 0 || m.invFlags {
		b = append(b, " flags:"...)
		if m.invFlags {
			b = append(b, '!')
		}
		if numeric {
			b = append(appendHex2(b, m.mask), '/')
			return appendHex2(b, m.cmp)
		}
		b = append(appendTCPFlags(b, m.mask), '/')
		b = appendTCPFlags(b, m.cmp)
	}
	return b
}

// Match implements xtables.Match (Linux: tcp_mt).
func (m *tcpMatch) Match(p *xtables.Packet) bool {
	if p.FragOff != 0 {
		// The second fragment may begin inside the header: that is an attempt
		// to change the flags behind our back (RFC 1858).
		p.Hotdrop = p.FragOff == 1
		return false
	}
	h := p.Transport(header.TCPMinLen)
	if h == nil {
		p.Hotdrop = true
		return false
	}
	t := header.TCP(h)
	if m.sport.has(t.SrcPort()) == m.invSport || m.dport.has(t.DstPort()) == m.invDport {
		return false
	}
	if (t.Flags()&m.mask == m.cmp) == m.invFlags {
		return false
	}
	if m.option == 0 {
		return true
	}
	n := t.HeaderLen()
	if n < header.TCPMinLen {
		p.Hotdrop = true
		return false
	}
	return m.hasOption(p, n-header.TCPMinLen) != m.invOption && !p.Hotdrop
}

func (m *tcpMatch) hasOption(p *xtables.Packet, n int) bool {
	if n == 0 {
		return false
	}
	o := p.Bytes(p.Off+header.TCPMinLen, n)
	if o == nil {
		p.Hotdrop = true
		return false
	}
	return optionAt(o, m.option) >= 0
}

// Pure implements xtables.Pure.
func (m *tcpMatch) Pure() {}

// Constrain implements xtables.Constrainer.
func (m *tcpMatch) Constrain(add func(xtables.Field, ...xtables.Constraint)) {
	if !m.invSport && m.sport != allPorts {
		add(xtables.FieldSport, m.sport.constraint())
	}
	if !m.invDport && m.dport != allPorts {
		add(xtables.FieldDport, m.dport.constraint())
	}
}
