package xt

import (
	"errors"
	"fmt"
	"strconv"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// What a transparent proxy needs: a match for packets that a socket of this
// machine takes, and a target that gives packets for others to one.

var (
	socketDef = &xtables.Def{ // read-only
		Name:     "socket",
		Hooks:    1<<netfilter.PreRouting | 1<<netfilter.LocalIn,
		Options:  []xtables.Option{{Name: "transparent", ID: 0}, {Name: "nowildcard", ID: 1}, {Name: "restore-skmark", ID: 2}},
		NewMatch: func() xtables.Match { return new(socketMatch) },
	}
	tproxyTarget = &xtables.Def{ // read-only
		Name: "TPROXY", Tables: mangleOnly,
		Hooks: 1 << netfilter.PreRouting,
		Options: []xtables.Option{
			{Name: "on-port", ID: 0, Args: 1, Must: true}, {Name: "on-ip", ID: 1, Args: 1}, {Name: "tproxy-mark", ID: 2, Args: 1}},
		NewTarget: func() xtables.Target { return new(tproxyTG) },
	}
)

// socketMatch is xt_socket: is there a socket that would take the packet?
type socketMatch struct {
	xtables.Plain
	whole
	flags uint8 // bits of the options
}

// Set implements xtables.Extension.
func (m *socketMatch) Set(_ *xtables.ParseContext, id int, _ []string, _ bool) error {
	m.flags |= 1 << id
	return nil
}

// Save implements xtables.Extension.
func (m *socketMatch) Save(b []byte) []byte {
	for i, o := range socketDef.Options {
		if m.flags&(1<<i) != 0 {
			b = append(append(b, " --"...), o.Name...)
		}
	}
	return b
}

// Print implements xtables.Extension.
func (m *socketMatch) Print(b []byte, _ bool) []byte { return m.Save(append(b, " socket"...)) }

// Check implements xtables.Extension.
func (m *socketMatch) Check(c *xtables.CheckContext) error {
	if c.Env.SocketOf == nil || c.Env.UseDefrag == nil {
		return errors.New("xt_socket: there are no sockets")
	}
	return nil
}

// Match implements xtables.Match (Linux: socket_match). What listens at all
// addresses is taken for none unless --nowildcard says otherwise.
func (m *socketMatch) Match(p *xtables.Packet) bool {
	s, ok := p.Env.SocketOf(p.B, p.State)
	if !ok || s.Full && s.Any && m.flags&2 == 0 || m.flags&1 != 0 && !s.Transparent {
		return false
	}
	if m.flags&4 != 0 && s.Full {
		p.B.Mark = s.Mark
	}
	return true
}

// tproxyTG is xt_TPROXY: the packet goes to a socket of this machine although it
// is for somebody else. A rule for its mark has to route it here.
type tproxyTG struct {
	xtables.Plain
	whole
	addr        header.Addr
	port        uint16
	value, mask uint32
}

// Set implements xtables.Extension.
func (t *tproxyTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) (err error) {
	switch id {
	case 0:
		if n, e := strconv.ParseUint(args[0], 10, 32); e == nil {
			t.port = uint16(n) // as much of it as fits, as iptables does
		} else if n, ok := serviceNumber(args[0], header.ProtoTCP); ok {
			t.port = n
		} else if n, ok := serviceNumber(args[0], header.ProtoUDP); ok {
			t.port = n
		} else {
			return fmt.Errorf("Port \"%s\" does not resolve to anything.\n", args[0])
		}
	case 1:
		var ok bool
		if t.addr, ok = parseAddr(args[0]); !ok {
			return fmt.Errorf("host/network `%s' not found", args[0])
		}
	case 2:
		t.value, t.mask, err = markMask("TPROXY", "tproxy-mark", args[0])
	}
	return err
}

// Save implements xtables.Extension.
func (t *tproxyTG) Save(b []byte) []byte {
	b = strconv.AppendUint(append(b, " --on-port "...), uint64(t.port), 10)
	b = appendHex(append(appendAddr(append(b, " --on-ip "...), t.addr), " --tproxy-mark "...), t.value)
	return appendHex(append(b, '/'), t.mask)
}

// Print implements xtables.Extension.
func (t *tproxyTG) Print(b []byte, _ bool) []byte {
	b = strconv.AppendUint(append(appendAddr(append(b, " TPROXY redirect "...), t.addr), ':'), uint64(t.port), 10)
	return appendHex(append(appendHex(append(b, " mark "...), t.value), '/'), t.mask)
}

// Check implements xtables.Extension (Linux: tproxy_tg4_check).
func (t *tproxyTG) Check(c *xtables.CheckContext) error {
	if c.InvProto || c.Proto != header.ProtoTCP && c.Proto != header.ProtoUDP {
		return errors.New("xt_TPROXY: can be used only with -p tcp or -p udp")
	}
	if c.Env.TProxy == nil || c.Env.UseDefrag == nil {
		return errors.New("xt_TPROXY: there are no sockets")
	}
	return nil
}

// Target implements xtables.Target (Linux: tproxy_tg4).
func (t *tproxyTG) Target(p *xtables.Packet) xtables.Verdict {
	h := p.Transport(4)
	if h == nil || p.FragOff != 0 {
		return xtables.Drop
	}
	port := t.port
	if port == 0 {
		port = uint16(h[2])<<8 | uint16(h[3])
	}
	if !p.Env.TProxy(p.B, p.State, t.addr, port) || !p.Reload() {
		return xtables.Drop
	}
	p.B.Mark = p.B.Mark&^t.mask ^ t.value
	return xtables.Accept
}
