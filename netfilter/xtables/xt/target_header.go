package xt

import (
	"encoding/binary"
	"errors"
	"strconv"

	"barewire/netfilter/nat"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// The targets that change fields of the IP header, and ECN of TCP.

var (
	mangleOnly = []string{"mangle"} // read-only

	ttlTarget = &xtables.Def{ // read-only
		Name: "TTL", Tables: mangleOnly,
		Options: []xtables.Option{
			{Name: "ttl-set", ID: 0, Args: 1, Excl: 6},
			{Name: "ttl-dec", ID: 1, Args: 1, Excl: 5},
			{Name: "ttl-inc", ID: 2, Args: 1, Excl: 3},
		},
		NewTarget: func() xtables.Target { return &ttlTG{mode: -1} },
	}
	tosTarget = &xtables.Def{ // read-only
		Name: "TOS", Tables: mangleOnly,
		Options: []xtables.Option{
			{Name: "set-tos", ID: 0, Args: 1, Excl: 14},
			{Name: "and-tos", ID: 1, Args: 1, Excl: 13},
			{Name: "or-tos", ID: 2, Args: 1, Excl: 11},
			{Name: "xor-tos", ID: 3, Args: 1, Excl: 7},
		},
		NewTarget: func() xtables.Target { return new(tosTG) },
	}
	dscpTarget = &xtables.Def{ // read-only
		Name: "DSCP", Tables: mangleOnly,
		Options: []xtables.Option{
			{Name: "set-dscp", ID: 0, Args: 1, Excl: 2},
			{Name: "set-dscp-class", ID: 1, Args: 1, Excl: 1},
		},
		NewTarget: func() xtables.Target { return new(dscpTG) },
	}
	ecnTarget = &xtables.Def{ // read-only
		Name: "ECN", Tables: mangleOnly,
		Options:   []xtables.Option{{Name: "ecn-tcp-remove"}},
		NewTarget: func() xtables.Target { return new(ecnTG) },
	}
)

// setWord changes the 16-bit word at offset at of the IP header and keeps the
// header's checksum right.
func setWord(p *xtables.Packet, at int, word uint16) bool {
	if !nat.EnsureWritable(p.B, p.Off) {
		return false
	}
	h := header.IPv4(p.B.Data())
	old := binary.BigEndian.Uint16(h[at:])
	binary.BigEndian.PutUint16(h[at:], word)
	binary.BigEndian.PutUint16(h[10:], header.CsumReplace2(h.Checksum(), old, word))
	return true
}

// setTOS gives the packet another TOS byte.
func setTOS(p *xtables.Packet, tos uint8) xtables.Verdict {
	if tos != p.IP.TOS() && !setWord(p, 0, uint16(p.IP[0])<<8|uint16(tos)) {
		return xtables.Drop
	}
	return xtables.Continue
}

// ttlTG is ipt_TTL.
type ttlTG struct {
	xtables.Plain
	mode int // ttl-set, ttl-dec, ttl-inc
	n    uint8
}

// Set implements xtables.Extension.
func (t *ttlTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	n, err := number("TTL", []string{"ttl-set", "ttl-dec", "ttl-inc"}[id], args[0], uint64(min(id, 1)), 255)
	if err != nil {
		return err
	}
	t.mode, t.n = id, uint8(n)
	return nil
}

// Done implements xtables.Extension.
func (t *ttlTG) Done(*xtables.ParseContext) error {
	if t.mode < 0 {
		return errors.New("TTL: You must specify an action")
	}
	return nil
}

// Save implements xtables.Extension.
func (t *ttlTG) Save(b []byte) []byte {
	b = append(append(append(b, " --"...), ttlTarget.Options[t.mode].Name...), ' ')
	return strconv.AppendUint(b, uint64(t.n), 10)
}

// Print implements xtables.Extension.
func (t *ttlTG) Print(b []byte, _ bool) []byte {
	b = append(b, []string{" TTL set to ", " TTL decrement by ", " TTL increment by "}[t.mode]...)
	return strconv.AppendUint(b, uint64(t.n), 10)
}

// Target implements xtables.Target (Linux: ttl_tg).
func (t *ttlTG) Target(p *xtables.Packet) xtables.Verdict {
	n := int(t.n)
	switch old := int(p.IP.TTL()); t.mode {
	case 1:
		n = max(old-n, 0)
	case 2:
		n = min(old+n, 255)
	}
	if uint8(n) != p.IP.TTL() && !setWord(p, 8, uint16(n)<<8|uint16(p.Proto)) {
		return xtables.Drop
	}
	return xtables.Continue
}

// tosTG is the target of xt_DSCP's TOS.
type tosTG struct {
	xtables.Plain
	tos, mask uint8
	set       bool
}

// Set implements xtables.Extension.
func (t *tosTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) (err error) {
	t.set = true
	if id == 0 {
		t.tos, t.mask, err = parseTOS(args[0])
		return err
	}
	n, err := number("TOS", []string{"", "and-tos", "or-tos", "xor-tos"}[id], args[0], 0, 255)
	if err != nil {
		return err
	}
	switch v := uint8(n); id {
	case 1:
		t.tos, t.mask = 0, ^v
	case 2:
		t.tos, t.mask = v, v
	case 3:
		t.tos, t.mask = v, 0
	}
	return nil
}

// Done implements xtables.Extension.
func (t *tosTG) Done(*xtables.ParseContext) error {
	if !t.set {
		return errors.New("TOS: An action is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (t *tosTG) Save(b []byte) []byte { return appendTOS(append(b, " --set-tos "...), t.tos, t.mask) }

// Print implements xtables.Extension.
func (t *tosTG) Print(b []byte, numeric bool) []byte {
	b = append(b, " TOS "...)
	if !numeric {
		if s, ok := tosName(nil, t.tos, t.mask); ok {
			return append(append(b[:len(b)-5], "  TOS set"...), s[1:]...) // iptables puts the spaces so
		}
		switch {
		case t.tos == 0:
			return appendLowHex2(append(b, "and "...), ^t.mask)
		case t.tos == t.mask:
			return appendLowHex2(append(b, "or "...), t.tos)
		case t.mask == 0:
			return appendLowHex2(append(b, "xor "...), t.tos)
		}
	}
	return appendTOS(append(b, "set "...), t.tos, t.mask)
}

// Target implements xtables.Target (Linux: tos_tg).
func (t *tosTG) Target(p *xtables.Packet) xtables.Verdict {
	return setTOS(p, p.IP.TOS()&^t.mask^t.tos)
}

// dscpTG is xt_DSCP.
type dscpTG struct {
	xtables.Plain
	dscp uint8
	set  bool
}

// Set implements xtables.Extension.
func (t *dscpTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) (err error) {
	t.set = true
	t.dscp, err = parseDSCP(id, "DSCP", "set-dscp", args[0])
	return err
}

// Done implements xtables.Extension.
func (t *dscpTG) Done(*xtables.ParseContext) error {
	if !t.set {
		return errors.New("DSCP target: Parameter --set-dscp is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (t *dscpTG) Save(b []byte) []byte { return appendLowHex2(append(b, " --set-dscp "...), t.dscp) }

// Print implements xtables.Extension.
func (t *dscpTG) Print(b []byte, _ bool) []byte {
	return appendLowHex2(append(b, " DSCP set "...), t.dscp)
}

// Target implements xtables.Target (Linux: dscp_tg).
func (t *dscpTG) Target(p *xtables.Packet) xtables.Verdict {
	return setTOS(p, p.IP.TOS()&3|t.dscp<<2)
}

// ecnTG is ipt_ECN: it takes ECN out of a connection being made, for peers that
// cannot bear it.
type ecnTG struct {
	xtables.Plain
	set bool
}

// Set implements xtables.Extension.
func (t *ecnTG) Set(*xtables.ParseContext, int, []string, bool) error {
	t.set = true
	return nil
}

// Done implements xtables.Extension.
func (t *ecnTG) Done(*xtables.ParseContext) error {
	if !t.set {
		return errors.New("ECN target: An operation is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (t *ecnTG) Save(b []byte) []byte { return append(b, " --ecn-tcp-remove"...) }

// Print implements xtables.Extension.
func (t *ecnTG) Print(b []byte, _ bool) []byte { return append(b, " ECN TCP remove"...) }

// Check implements xtables.Extension (Linux: ecn_tg_check).
func (t *ecnTG) Check(c *xtables.CheckContext) error {
	if c.Proto != header.ProtoTCP || c.InvProto {
		return errors.New("cannot use operation on non-tcp rule")
	}
	return nil
}

// Target implements xtables.Target (Linux: ecn_tg).
func (t *ecnTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.FragOff != 0 {
		return xtables.Continue
	}
	h := p.Transport(header.TCPMinLen)
	if h == nil {
		return xtables.Drop
	}
	if h[13]&(header.TCPEce|header.TCPCwr) == 0 {
		return xtables.Continue
	}
	if !nat.EnsureWritable(p.B, p.Off+header.TCPMinLen) {
		return xtables.Drop
	}
	th := header.TCP(p.B.Data()[p.Off:])
	setTCPWord(p, th, 12, uint16(th[12])<<8|uint16(th.Flags()&^(header.TCPEce|header.TCPCwr)))
	return xtables.Continue
}
