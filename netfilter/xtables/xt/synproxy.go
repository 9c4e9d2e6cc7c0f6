package xt

import (
	"errors"
	"strconv"

	"barewire/netfilter"
	"barewire/netfilter/synproxy"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var synproxyTarget = &xtables.Def{ // read-only
	Name:  "SYNPROXY",
	Hooks: 1<<netfilter.LocalIn | 1<<netfilter.Forward,
	Options: []xtables.Option{
		{Name: "sack-perm", ID: 0}, {Name: "timestamp", ID: 1}, {Name: "wscale", ID: 2, Args: 1}, {Name: "mss", ID: 3, Args: 1}, {Name: "ecn", ID: 4}},
	NewTarget: func() xtables.Target { return new(synproxyTG) },
}

// synproxyTG is ipt_SYNPROXY.
type synproxyTG struct {
	xtables.Plain
	tracked
	offer synproxy.Offer
	mss   bool // was given
	stop  func()
}

// Set implements xtables.Extension. Of too large a number iptables takes the
// last bits.
func (t *synproxyTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	o := &t.offer
	n := uint64(0)
	if id == 2 || id == 3 {
		var err error
		if n, err = number("SYNPROXY", synproxyTarget.Options[id].Name, args[0], 0, 1<<32-1); err != nil {
			return err
		}
	}
	switch id {
	case 0:
		o.SACK = true
	case 1:
		o.Timestamp = true
	case 2:
		o.WScaleOK, o.WScale = true, uint8(n)
	case 3:
		t.mss, o.MSS = true, uint16(n)
	case 4:
		o.ECN = true
	}
	return nil
}

func (t *synproxyTG) text(b []byte, before, after string) []byte {
	o := &t.offer
	word := func(given bool, name string, value int) {
		if !given {
			return
		}
		if b = append(append(b, before...), name...); value >= 0 {
			b = strconv.AppendInt(append(b, ' '), int64(value), 10)
		}
		b = append(b, after...)
	}
	word(o.SACK, "sack-perm", -1)
	word(o.Timestamp, "timestamp", -1)
	word(o.WScaleOK, "wscale", int(o.WScale))
	word(t.mss, "mss", int(o.MSS))
	word(o.ECN, "ecn", -1)
	return b
}

// Save implements xtables.Extension.
func (t *synproxyTG) Save(b []byte) []byte { return t.text(b, " --", "") }

// Print implements xtables.Extension.
func (t *synproxyTG) Print(b []byte, _ bool) []byte {
	return t.text(append(b, " SYNPROXY "...), "", " ")
}

// Check implements xtables.Extension (Linux: synproxy_tg4_check).
func (t *synproxyTG) Check(c *xtables.CheckContext) error {
	if c.Proto != header.ProtoTCP || c.InvProto {
		return errors.New("xt_SYNPROXY: only for -p tcp")
	}
	if c.Env.SynProxy == nil {
		return errors.New("xt_SYNPROXY: there is no proxy")
	}
	return nil
}

// Attach implements xtables.Attacher.
func (t *synproxyTG) Attach(c *xtables.CheckContext) error {
	if err := t.tracked.Attach(c); err != nil {
		return err
	}
	t.stop = c.Env.SynProxy.Use()
	return nil
}

// Destroy implements xtables.Attacher.
func (t *synproxyTG) Destroy() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
	t.tracked.Destroy()
}

// Target implements xtables.Target.
func (t *synproxyTG) Target(p *xtables.Packet) xtables.Verdict {
	v, mine := p.Env.SynProxy.Target(p.B, t.offer)
	if !mine {
		return xtables.Continue
	}
	return xtables.Verdict(v)
}
