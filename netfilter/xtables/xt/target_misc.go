package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/reject"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// The targets that need few words.

var (
	rejectTarget = &xtables.Def{ // read-only
		Name: "REJECT", Tables: []string{"filter"},
		Hooks:     1<<netfilter.LocalIn | 1<<netfilter.Forward | 1<<netfilter.LocalOut,
		Options:   []xtables.Option{{Name: "reject-with", Args: 1}},
		NewTarget: func() xtables.Target { return &rejectTG{with: reject.PortUnreachable} },
	}
	classifyTarget = &xtables.Def{ // read-only
		Name:      "CLASSIFY",
		Hooks:     1<<netfilter.LocalOut | 1<<netfilter.Forward | 1<<netfilter.PostRouting,
		Options:   []xtables.Option{{Name: "set-class", Args: 1, Must: true}},
		NewTarget: func() xtables.Target { return new(classifyTG) },
	}
	checksumTarget = &xtables.Def{ // read-only
		Name: "CHECKSUM", Tables: mangleOnly,
		Options:   []xtables.Option{{Name: "checksum-fill", Must: true}},
		NewTarget: func() xtables.Target { return new(checksumTG) },
	}
	traceTarget = &xtables.Def{ // read-only
		Name: "TRACE", Tables: []string{"raw"},
		NewTarget: func() xtables.Target { return new(traceTG) },
	}
	auditTarget = &xtables.Def{ // read-only
		Name:      "AUDIT",
		Options:   []xtables.Option{{Name: "type", Args: 1, Must: true}},
		NewTarget: func() xtables.Target { return new(auditTG) },
	}
	teeTarget = &xtables.Def{ // read-only
		Name: "TEE",
		Options: []xtables.Option{
			{Name: "gateway", ID: 0, Args: 1, Must: true},
			{Name: "oif", ID: 1, Args: 1},
		},
		NewTarget: func() xtables.Target { return new(teeTG) },
	}
)

// rejectTG is ipt_REJECT.
type rejectTG struct {
	xtables.Plain
	with reject.With
}

// rejectNames are the answers, each with its short name. read-only
var rejectNames = []struct {
	name, alias string
	with        reject.With
}{
	{"icmp-net-unreachable", "net-unreach", reject.NetUnreachable},
	{"icmp-host-unreachable", "host-unreach", reject.HostUnreachable},
	{"icmp-proto-unreachable", "proto-unreach", reject.ProtUnreachable},
	{"icmp-port-unreachable", "port-unreach", reject.PortUnreachable},
	{"icmp-net-prohibited", "net-prohib", reject.NetProhibited},
	{"icmp-host-prohibited", "host-prohib", reject.HostProhibited},
	{"tcp-reset", "tcp-rst", reject.TCPReset},
	{"icmp-admin-prohibited", "admin-prohib", reject.AdminProhibited},
}

// Set implements xtables.Extension.
func (t *rejectTG) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
	s := args[0]
	prefix := func(name string) bool { return len(s) <= len(name) && strings.EqualFold(name[:len(s)], s) }
	for _, n := range rejectNames {
		if prefix(n.name) || prefix(n.alias) {
			t.with = n.with
			return nil
		}
	}
	return fmt.Errorf("unknown reject type \"%s\"", s)
}

func (t *rejectTG) text(b []byte) []byte {
	for _, n := range rejectNames {
		if n.with == t.with {
			return append(b, n.name...)
		}
	}
	return b
}

// Save implements xtables.Extension.
func (t *rejectTG) Save(b []byte) []byte { return t.text(append(b, " --reject-with "...)) }

// Print implements xtables.Extension.
func (t *rejectTG) Print(b []byte, _ bool) []byte { return t.text(append(b, " reject-with "...)) }

// Check implements xtables.Extension (Linux: reject_tg_check).
func (t *rejectTG) Check(c *xtables.CheckContext) error {
	if t.with == reject.TCPReset && (c.Proto != header.ProtoTCP || c.InvProto) {
		return errors.New("TCP_RESET invalid for non-tcp")
	}
	if c.Env.Reject == nil {
		return errors.New("nothing can be answered here")
	}
	return nil
}

// Target implements xtables.Target (Linux: reject_tg).
func (t *rejectTG) Target(p *xtables.Packet) xtables.Verdict {
	p.Env.Reject.Reject(p.B, p.State, t.with)
	return xtables.Drop
}

// classifyTG is xt_CLASSIFY.
type classifyTG struct {
	xtables.Plain
	class uint32
}

// Set implements xtables.Extension.
func (t *classifyTG) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
	major, minor, is := strings.Cut(args[0], ":")
	a, err := strconv.ParseUint(major, 16, 16)
	b, err2 := strconv.ParseUint(minor, 16, 16)
	if !is || err != nil || err2 != nil {
		return fmt.Errorf("Bad class value \"%s\"", args[0])
	}
	t.class = uint32(a<<16 | b)
	return nil
}

// Save implements xtables.Extension.
func (t *classifyTG) Save(b []byte) []byte {
	return fmt.Appendf(b, " --set-class %04x:%04x", t.class>>16, t.class&0xffff)
}

// Print implements xtables.Extension.
func (t *classifyTG) Print(b []byte, _ bool) []byte {
	return fmt.Appendf(b, " CLASSIFY set %x:%x", t.class>>16, t.class&0xffff)
}

// Target implements xtables.Target (Linux: classify_tg).
func (t *classifyTG) Target(p *xtables.Packet) xtables.Verdict {
	p.B.Priority = t.class
	return xtables.Continue
}

// checksumTG is xt_CHECKSUM.
type checksumTG struct{ xtables.Plain }

// Set implements xtables.Extension.
func (*checksumTG) Set(*xtables.ParseContext, int, []string, bool) error { return nil }

// Save implements xtables.Extension.
func (*checksumTG) Save(b []byte) []byte { return append(b, " --checksum-fill"...) }

// Print implements xtables.Extension.
func (*checksumTG) Print(b []byte, _ bool) []byte { return append(b, " CHECKSUM fill"...) }

// Target implements xtables.Target (Linux: checksum_tg).
func (*checksumTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.B.IPSummed == skb.ChecksumPartial && !p.B.IsGSO() {
		p.B.ChecksumHelp()
	}
	return xtables.Continue
}

// traceTG is xt_TRACE.
type traceTG struct{ xtables.Plain }

// Target implements xtables.Target (Linux: trace_tg).
func (*traceTG) Target(p *xtables.Packet) xtables.Verdict {
	p.B.NFTrace = true
	return xtables.Continue
}

// teeTG is xt_TEE.
type teeTG struct {
	xtables.Plain
	gateway header.Addr
	oif     string
}

// Set implements xtables.Extension.
func (t *teeTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	if id == 1 {
		if len(args[0]) > 15 || !isWord(args[0]) {
			return errors.New("TEE: option \"--oif\" is no name of a device")
		}
		t.oif = args[0]
		return nil
	}
	var ok bool
	if t.gateway, ok = parseAddr(args[0]); !ok {
		return fmt.Errorf("TEE: \"%s\" is no address", args[0])
	}
	return nil
}

// Save implements xtables.Extension.
func (t *teeTG) Save(b []byte) []byte {
	b = appendAddr(append(b, " --gateway "...), t.gateway)
	if t.oif != "" {
		b = append(append(b, " --oif "...), t.oif...)
	}
	return b
}

// Print implements xtables.Extension.
func (t *teeTG) Print(b []byte, _ bool) []byte {
	b = appendAddr(append(b, " TEE gw:"...), t.gateway)
	if t.oif != "" {
		b = append(append(b, " oif="...), t.oif...)
	}
	return b
}

// Check implements xtables.Extension (Linux: tee_tg_check).
func (t *teeTG) Check(c *xtables.CheckContext) error {
	if t.gateway == 0 {
		return errors.New("the gateway is the zero address")
	}
	if c.Env.Tee == nil {
		return errors.New("nothing can be sent from here")
	}
	return nil
}

// Target implements xtables.Target (Linux: tee_tg4). The rules go on with the
// packet.
func (t *teeTG) Target(p *xtables.Packet) xtables.Verdict {
	p.Env.Tee(p.B, p.State, t.gateway, t.oif)
	return xtables.Continue
}

// auditTG is xt_AUDIT, on a machine without an audit daemon: nobody is told.
type auditTG struct {
	xtables.Plain
	typ string
}

// Set implements xtables.Extension.
func (t *auditTG) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
	switch t.typ = strings.ToLower(args[0]); t.typ {
	case "accept", "drop", "reject":
		return nil
	}
	return fmt.Errorf("Bad action type value \"%s\"", args[0])
}

// Save implements xtables.Extension.
func (t *auditTG) Save(b []byte) []byte { return append(append(b, " --type "...), t.typ...) }

// Print implements xtables.Extension.
func (t *auditTG) Print(b []byte, _ bool) []byte { return append(append(b, " AUDIT "...), t.typ...) }

// Target implements xtables.Target (Linux: audit_tg with audit off).
func (t *auditTG) Target(*xtables.Packet) xtables.Verdict { return xtables.Continue }
