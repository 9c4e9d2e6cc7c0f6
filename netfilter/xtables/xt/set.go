package xt

import (
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter/ipset"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// IDs of the options of the match set.
const (
	setMatchSet = iota
	setNomatch
	setUpdate
	setSubUpdate
	setPacketsEq
	setPacketsLt
	setPacketsGt
	setBytesEq
	setBytesLt
	setBytesGt
)

// IDs of the options of the target SET.
const (
	setAdd = iota
	setDel
	setExist
	setTimeout
)

var (
	setDef = &xtables.Def{ // read-only
		Name: "set",
		Options: []xtables.Option{
			{Name: "match-set", ID: setMatchSet, Args: 2, Invert: true, Multi: true},
			{Name: "set", ID: setMatchSet, Args: 2, Invert: true, Multi: true},
			{Name: "return-nomatch", ID: setNomatch},
			{Name: "update-counters", ID: setUpdate, Invert: true, Multi: true},
			{Name: "update-subcounters", ID: setSubUpdate, Invert: true, Multi: true},
			{Name: "packets-eq", ID: setPacketsEq, Args: 1, Invert: true, Multi: true},
			{Name: "packets-lt", ID: setPacketsLt, Args: 1, Multi: true},
			{Name: "packets-gt", ID: setPacketsGt, Args: 1, Multi: true},
			{Name: "bytes-eq", ID: setBytesEq, Args: 1, Invert: true, Multi: true},
			{Name: "bytes-lt", ID: setBytesLt, Args: 1, Multi: true},
			{Name: "bytes-gt", ID: setBytesGt, Args: 1, Multi: true},
		},
		NewMatch: func() xtables.Match { return new(setMatch) },
	}
	setTargetDef = &xtables.Def{ // read-only
		Name: "SET",
		Options: []xtables.Option{
			{Name: "add-set", ID: setAdd, Args: 2, Multi: true},
			{Name: "del-set", ID: setDel, Args: 2, Multi: true},
			{Name: "exist", ID: setExist, Multi: true},
			{Name: "timeout", ID: setTimeout, Args: 1},
		},
		NewTarget: func() xtables.Target { return new(setTarget) },
	}
)

// setUse is a set and which side of the packet each part of an element is.
type setUse struct {
	name string
	op   ipset.Op
	ref  *ipset.Ref
	held int
}

// setDims is IPSET_DIM_MAX.
const setDims = 6

// parse takes a name and flags.
func (u *setUse) parse(args []string) error {
	if u.name != "" {
		return errors.New("only one of the same set option is allowed")
	}
	if u.name = args[0]; len(u.name) > 31 || u.name == "" {
		return fmt.Errorf("setname `%s' too long, max 31 characters.", u.name)
	}
	for w := range strings.SplitSeq(args[1], ",") {
		if u.op.Dim == setDims {
			return errors.New("Can't be more src/dst options than 6.")
		}
		switch w {
		case "src":
			u.op.Flags |= 1 << u.op.Dim
		case "dst":
		default:
			return errors.New("You must spefify (the comma separated list of) 'src' or 'dst'.")
		}
		u.op.Dim++
	}
	return nil
}

// text appends name and flags.
func (u *setUse) text(b []byte) []byte {
	b = append(append(append(b, ' '), u.name...), ' ')
	for i := range u.op.Dim {
		if i > 0 {
			b = append(b, ',')
		}
		if u.op.Flags&(1<<i) != 0 {
			b = append(b, "src"...)
		} else {
			b = append(b, "dst"...)
		}
	}
	return b
}

// attach takes hold of the set.
func (u *setUse) attach(env *xtables.Env) error {
	if env.Sets == nil {
		return noSuch("xt_set: there are no sets")
	}
	r, ok := env.Sets.Get(u.name)
	if !ok {
		return noSuch("Set " + u.name + " doesn't exist.")
	}
	if u.ref == nil { // else the rule stands in for one whose chain was renamed
		u.ref = r
	}
	u.held++
	return nil
}

// put lets the set go. Packets on their way may still ask it.
func (u *setUse) put() {
	if u.held > 0 {
		u.held--
		u.ref.Put()
	}
}

// exists refuses a name that no set has, as iptables does before it asks the
// kernel.
func (u *setUse) exists(c *xtables.ParseContext) error {
	if u.name == "" || c.Env == nil || c.Env.Sets == nil || c.Env.Sets.Has(u.name) {
		return nil
	}
	return fmt.Errorf("Set %s doesn't exist.\n", u.name)
}

// setPacket fills what sets ask of a packet.
func setPacket(p *xtables.Packet, s *ipset.Packet) {
	*s = ipset.Packet{Src: uint32(p.Src), Dst: uint32(p.Dst), Proto: p.Proto, In: p.In, Out: p.Out, Mark: p.B.Mark, Len: p.B.Len()}
	n := header.UDPLen // of the header, which must be whole
	switch p.Proto {
	case header.ProtoTCP:
		n = header.TCPMinLen
	case protoSCTP:
		n = 12
	case header.ProtoUDP, header.ProtoUDPLite, header.ProtoICMP:
	default:
		n = 0
		s.HasPort = true // the port is 0, of fragments too
	}
	if n > 0 && p.FragOff == 0 {
		if h := p.Transport(n); h != nil {
			s.SrcPort, s.DstPort, s.HasPort = uint16(h[0])<<8|uint16(h[1]), uint16(h[2])<<8|uint16(h[3]), true
			if p.Proto == header.ProtoICMP {
				s.DstPort = s.SrcPort
			}
		}
	}
	if b := p.B; b.MacHeaderWasSet() && b.MacLen() >= header.EthHLen {
		if h := b.MacHeader(); len(h) >= header.EthHLen {
			s.MAC, s.HasMAC = [6]byte(h[6:12]), true
		}
	}
}

// setMatch is xt_set's match.
type setMatch struct {
	xtables.Plain
	setUse
	invert bool
}

// Set implements xtables.Extension.
func (m *setMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	compare := func(what string, c *ipset.Compare, op uint8) error {
		if c.Op != 0 {
			return fmt.Errorf("only one of the --%s-[eq|lt|gt] is allowed", what)
		}
		n, ok := parseUint(args[0], 0, ^uint64(0))
		if !ok {
			return fmt.Errorf("Invalid value `%s' for --%s", args[0], what)
		}
		if op == ipset.CompareEq && invert {
			op = ipset.CompareNe
		}
		*c = ipset.Compare{Op: op, Value: n}
		return nil
	}
	switch id {
	case setMatchSet:
		if m.name != "" {
			return errors.New("--match-set can be specified only once")
		}
		m.invert = invert
		return m.parse(args)
	case setNomatch:
		m.op.ReturnNomatch = true
	case setUpdate:
		m.op.NoUpdate = invert
	case setSubUpdate:
		m.op.NoSubUpdate = invert
	case setPacketsEq:
		return compare("packets", &m.op.Packets, ipset.CompareEq)
	case setPacketsLt:
		return compare("packets", &m.op.Packets, ipset.CompareLt)
	case setPacketsGt:
		return compare("packets", &m.op.Packets, ipset.CompareGt)
	case setBytesEq:
		return compare("bytes", &m.op.Bytes, ipset.CompareEq)
	case setBytesLt:
		return compare("bytes", &m.op.Bytes, ipset.CompareLt)
	case setBytesGt:
		return compare("bytes", &m.op.Bytes, ipset.CompareGt)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *setMatch) Done(c *xtables.ParseContext) error {
	if m.name == "" {
		return errors.New("You must specify `--match-set' with proper arguments")
	}
	return m.exists(c)
}

func (m *setMatch) all(b []byte, dash string) []byte {
	b = append(append(not(b, m.invert), ' '), dash...)
	b = m.text(append(b, "match-set"...))
	flag := func(on, inv bool, name string) {
		if on {
			b = append(append(append(not(b, inv), ' '), dash...), name...)
		}
	}
	flag(m.op.ReturnNomatch, false, "return-nomatch")
	flag(m.op.NoUpdate, true, "update-counters")
	flag(m.op.NoSubUpdate, true, "update-subcounters")
	for _, c := range []struct {
		name string
		ipset.Compare
	}{{"packets", m.op.Packets}, {"bytes", m.op.Bytes}} {
		switch c.Op {
		case ipset.CompareEq, ipset.CompareNe:
			b = fmt.Appendf(not(b, c.Op == ipset.CompareNe), " %s%s-eq %d", dash, c.name, c.Value)
		case ipset.CompareLt:
			b = fmt.Appendf(b, " %s%s-lt %d", dash, c.name, c.Value)
		case ipset.CompareGt:
			b = fmt.Appendf(b, " %s%s-gt %d", dash, c.name, c.Value)
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *setMatch) Save(b []byte) []byte { return m.all(b, "--") }

// Print implements xtables.Extension.
func (m *setMatch) Print(b []byte, _ bool) []byte { return m.all(b, "") }

// Attach implements xtables.Attacher.
func (m *setMatch) Attach(c *xtables.CheckContext) error { return m.attach(c.Env) }

// Destroy implements xtables.Attacher.
func (m *setMatch) Destroy() { m.put() }

// Match implements xtables.Match (Linux: set_match_v4).
func (m *setMatch) Match(p *xtables.Packet) bool {
	var s ipset.Packet
	setPacket(p, &s)
	return m.ref.Test(&s, &m.op) != m.invert
}

// setTarget is xt_set's target: it adds the packet's element to a set, or takes
// it out of one.
type setTarget struct {
	xtables.Plain
	add, del   setUse
	exist      bool
	hasTimeout bool
	timeout    uint32
}

// Set implements xtables.Extension.
func (t *setTarget) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	switch id {
	case setAdd:
		if t.add.name != "" {
			return errors.New("--add-set can be specified only once")
		}
		return t.add.parse(args)
	case setDel:
		if t.del.name != "" {
			return errors.New("--del-set can be specified only once")
		}
		return t.del.parse(args)
	case setExist:
		t.exist = true
	case setTimeout:
		n, ok := parseUint(args[0], 0, 1<<32-2)
		if !ok {
			return errors.New("Invalid value for option --timeout or out of range 0-4294967294")
		}
		t.timeout, t.hasTimeout = uint32(min(n, (1<<31-1)/1000)), true
	}
	return nil
}

// Done implements xtables.Extension.
func (t *setTarget) Done(c *xtables.ParseContext) error {
	if t.add.name == "" && t.del.name == "" {
		return errors.New("You must specify either `--add-set' or `--del-set' or `--map-set'")
	}
	t.add.op.Exist, t.add.op.HasTimeout, t.add.op.Timeout = t.exist, t.hasTimeout, t.timeout
	if err := t.add.exists(c); err != nil {
		return err
	}
	return t.del.exists(c)
}

func (t *setTarget) all(b []byte, dash string) []byte {
	if t.add.name != "" {
		b = t.add.text(append(append(append(b, ' '), dash...), "add-set"...))
		if t.exist {
			b = append(append(append(b, ' '), dash...), "exist"...)
		}
		if t.hasTimeout {
			b = fmt.Appendf(b, " %stimeout %d", dash, t.timeout)
		}
	}
	if t.del.name != "" {
		b = t.del.text(append(append(append(b, ' '), dash...), "del-set"...))
	}
	return b
}

// Save implements xtables.Extension.
func (t *setTarget) Save(b []byte) []byte { return t.all(b, "--") }

// Print implements xtables.Extension.
func (t *setTarget) Print(b []byte, _ bool) []byte { return t.all(b, "") }

// Attach implements xtables.Attacher.
func (t *setTarget) Attach(c *xtables.CheckContext) error {
	for _, u := range []*setUse{&t.add, &t.del} {
		if u.name == "" {
			continue
		}
		if err := u.attach(c.Env); err != nil {
			t.Destroy()
			return err
		}
	}
	return nil
}

// Destroy implements xtables.Attacher.
func (t *setTarget) Destroy() {
	t.add.put()
	t.del.put()
}

// Target implements xtables.Target (Linux: set_target_v2).
func (t *setTarget) Target(p *xtables.Packet) xtables.Verdict {
	var s ipset.Packet
	setPacket(p, &s)
	if t.add.ref != nil {
		t.add.ref.Add(&s, &t.add.op)
	}
	if t.del.ref != nil {
		t.del.ref.Del(&s, &t.del.op)
	}
	return xtables.Continue
}
