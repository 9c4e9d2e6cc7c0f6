package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// The targets of the nat table. Options are told by these IDs.
const (
	natTo = iota
	natRandom
	natRandomAll
	natPersistent
)

var (
	natOnly = []string{"nat"} // read-only

	natRandomOptions = []xtables.Option{ // read-only
		{Name: "random", ID: natRandom}, {Name: "random-fully", ID: natRandomAll}, {Name: "persistent", ID: natPersistent},
	}
	snatTarget = &xtables.Def{ // read-only
		Name: "SNAT", Tables: natOnly, Hooks: 1<<netfilter.PostRouting | 1<<netfilter.LocalIn,
		Options:   append([]xtables.Option{{Name: "to-source", Args: 1, Must: true}}, natRandomOptions...),
		NewTarget: func() xtables.Target { return &natTG{kind: natSource} },
	}
	dnatTarget = &xtables.Def{ // read-only
		Name: "DNAT", Tables: natOnly, Hooks: 1<<netfilter.PreRouting | 1<<netfilter.LocalOut,
		Options:   []xtables.Option{{Name: "to-destination", Args: 1, Must: true}, natRandomOptions[0], natRandomOptions[2]},
		NewTarget: func() xtables.Target { return &natTG{kind: natDestination} },
	}
	masqueradeTarget = &xtables.Def{ // read-only
		Name: "MASQUERADE", Tables: natOnly, Hooks: 1 << netfilter.PostRouting,
		Options:   append([]xtables.Option{{Name: "to-ports", Args: 1}}, natRandomOptions[:2]...),
		NewTarget: func() xtables.Target { return &natTG{kind: natMasquerade} },
	}
	redirectTarget = &xtables.Def{ // read-only
		Name: "REDIRECT", Tables: natOnly, Hooks: 1<<netfilter.PreRouting | 1<<netfilter.LocalOut,
		Options:   []xtables.Option{{Name: "to-ports", Args: 1}, natRandomOptions[0]},
		NewTarget: func() xtables.Target { return &natTG{kind: natRedirect} },
	}
	netmapTarget = &xtables.Def{ // read-only
		Name: "NETMAP", Tables: natOnly,
		Hooks:     1<<netfilter.PreRouting | 1<<netfilter.PostRouting | 1<<netfilter.LocalOut | 1<<netfilter.LocalIn,
		Options:   []xtables.Option{{Name: "to", Args: 1, Must: true}},
		NewTarget: func() xtables.Target { return &natTG{kind: natNetmap} },
	}
)

type natKind uint8

const (
	natSource natKind = iota
	natDestination
	natMasquerade
	natRedirect
	natNetmap
)

// natTG is any of xt_nat, xt_MASQUERADE, xt_REDIRECT and xt_NETMAP: what the
// connections of the rule's packets are translated to.
type natTG struct {
	xtables.Plain
	tracked
	kind natKind
	r    nat.Range
	base bool // the base port was given
}

func portsAllowed(c *xtables.ParseContext) error {
	switch c.Proto {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoICMP, protoSCTP, protoDCCP:
		return nil
	}
	return errors.New("Need TCP, UDP, SCTP or DCCP with port specification")
}

// Set implements xtables.Extension.
func (t *natTG) Set(c *xtables.ParseContext, id int, args []string, _ bool) error {
	switch id {
	case natRandom:
		t.r.Flags |= nat.ProtoRandom
		return nil
	case natRandomAll:
		t.r.Flags |= nat.ProtoRandomFully
		return nil
	case natPersistent:
		t.r.Flags |= nat.Persistent
		return nil
	}
	s := args[0]
	switch t.kind {
	case natSource, natDestination:
		addr, port, is := strings.Cut(s, ":")
		if is {
			if err := portsAllowed(c); err != nil {
				return err
			}
			if err := t.ports(port, t.kind == natDestination); err != nil {
				return err
			}
		}
		if addr == "" && is {
			return nil
		}
		return t.addrs(addr)
	case natMasquerade, natRedirect:
		if err := portsAllowed(c); err != nil {
			return err
		}
		return t.ports(s, false)
	}
	a, mask, err := parseAddrMask(s)
	if err != nil {
		return err
	}
	if maskLen(mask) < 0 {
		return fmt.Errorf("NETMAP: bad netmask in \"%s\"", s)
	}
	t.r.Flags |= nat.MapIPs | nat.Netmap
	t.r.MinAddr, t.r.MaxAddr = a, a|^mask
	return nil
}

func (t *natTG) addrs(s string) error {
	lo, hi, is := strings.Cut(s, "-")
	if !is {
		hi = lo
	}
	var ok, ok2 bool
	t.r.MinAddr, ok = parseAddr(lo)
	t.r.MaxAddr, ok2 = parseAddr(hi)
	if !ok || !ok2 {
		bad := lo
		if ok {
			bad = hi
		}
		return fmt.Errorf("Bad IP address \"%s\"", bad)
	}
	t.r.Flags |= nat.MapIPs
	return nil
}

// ports takes "port[-port]", with base "[/port]" behind a range.
func (t *natTG) ports(s string, base bool) error {
	lo, hi, is := strings.Cut(s, "-")
	var from string
	if is && base {
		hi, from, t.base = strings.Cut(hi, "/")
	}
	a, ok := natPort(lo)
	if !ok {
		return fmt.Errorf("Port `%s' not valid", s)
	}
	b := a
	if is {
		if b, ok = natPort(hi); !ok {
			return fmt.Errorf("Port `%s' not valid", hi)
		}
		if a > b {
			return fmt.Errorf("Port range `%s' funky", hi)
		}
	}
	if t.base {
		n, ok := natPort(from)
		if !ok || n == 0 {
			return fmt.Errorf("Port `%s' not valid", from)
		}
		t.r.BasePort = n
		t.r.Flags |= nat.ProtoOffset
	}
	t.r.Flags |= nat.ProtoSpecified
	t.r.MinPort, t.r.MaxPort = a, b
	return nil
}

// natPort takes a port number, or a service's name.
func natPort(s string) (uint16, bool) {
	p, err := parsePort(s, 0)
	return p, err == nil
}

// Save implements xtables.Extension.
func (t *natTG) Save(b []byte) []byte {
	switch t.kind {
	case natSource:
		b = t.ends(append(b, " --to-source "...))
	case natDestination:
		b = t.ends(append(b, " --to-destination "...))
	case natNetmap:
		return t.network(append(b, " --to "...))
	default:
		if t.r.Flags&nat.ProtoSpecified != 0 {
			b = t.portText(append(b, " --to-ports "...))
		}
	}
	return t.flags(b, " --")
}

// Print implements xtables.Extension.
func (t *natTG) Print(b []byte, _ bool) []byte {
	switch t.kind {
	case natSource, natDestination:
		b = t.ends(append(b, " to:"...))
	case natNetmap:
		return t.network(append(b, " to:"...))
	case natMasquerade:
		if t.r.Flags&nat.ProtoSpecified != 0 {
			b = t.portText(append(b, " masq ports: "...))
		}
	case natRedirect:
		if t.r.Flags&nat.ProtoSpecified != 0 {
			b = t.portText(append(b, " redir ports "...))
		}
	}
	return t.flags(b, " ")
}

func (t *natTG) ends(b []byte) []byte {
	if t.r.Flags&nat.MapIPs != 0 {
		b = appendAddr(b, t.r.MinAddr)
		if t.r.MaxAddr != t.r.MinAddr {
			b = appendAddr(append(b, '-'), t.r.MaxAddr)
		}
	}
	if t.r.Flags&nat.ProtoSpecified != 0 {
		b = t.portText(append(b, ':'))
	}
	return b
}

func (t *natTG) portText(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(t.r.MinPort), 10)
	if t.r.MaxPort != t.r.MinPort || t.base { // a base belongs to a range
		b = strconv.AppendUint(append(b, '-'), uint64(t.r.MaxPort), 10)
	}
	if t.base {
		b = strconv.AppendUint(append(b, '/'), uint64(t.r.BasePort), 10)
	}
	return b
}

func (t *natTG) network(b []byte) []byte {
	b = append(appendAddr(b, t.r.MinAddr), '/')
	return strconv.AppendInt(b, int64(maskLen(^(t.r.MinAddr ^ t.r.MaxAddr))), 10)
}

func (t *natTG) flags(b []byte, lead string) []byte {
	for _, f := range []struct {
		bit  nat.Flags
		name string
	}{{nat.ProtoRandom, "random"}, {nat.ProtoRandomFully, "random-fully"}, {nat.Persistent, "persistent"}} {
		if t.r.Flags&f.bit != 0 {
			b = append(append(b, lead...), f.name...)
		}
	}
	return b
}

// Check implements xtables.Extension.
func (t *natTG) Check(c *xtables.CheckContext) error {
	if c.Env.NAT == nil {
		return errors.New("no translation of addresses here")
	}
	return nil
}

// Target implements xtables.Target (Linux: xt_snat_target_v2 and its like).
func (t *natTG) Target(p *xtables.Packet) xtables.Verdict {
	n := p.Env.NAT
	var v netfilter.Verdict
	switch t.kind {
	case natSource:
		v = n.SNAT(p.B, &t.r)
	case natDestination:
		v = n.DNAT(p.B, &t.r)
	case natMasquerade:
		v = n.Masquerade(p.B, &p.State, &t.r)
	case natRedirect:
		v = n.Redirect(p.B, &p.State, &t.r)
	case natNetmap:
		v = n.Netmap(p.B, &p.State, &t.r)
	}
	return xtables.Verdict(v)
}
