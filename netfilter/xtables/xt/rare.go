package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// Matches of one fact each.

var (
	pkttypeDef = &xtables.Def{ // read-only
		Name:     "pkttype",
		Options:  []xtables.Option{{Name: "pkt-type", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(pkttypeMatch) },
	}
	quotaDef = &xtables.Def{ // read-only
		Name:     "quota",
		Options:  []xtables.Option{{Name: "quota", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(quotaMatch) },
	}
	rpfilterDef = &xtables.Def{ // read-only
		Name:   "rpfilter",
		Tables: []string{"raw", "mangle"},
		Hooks:  1 << netfilter.PreRouting,
		Options: []xtables.Option{
			{Name: "loose", ID: 0}, {Name: "validmark", ID: 1}, {Name: "accept-local", ID: 2}, {Name: "invert", ID: 3}},
		NewMatch: func() xtables.Match { return new(rpfilterMatch) },
	}
	devgroupDef = &xtables.Def{ // read-only
		Name: "devgroup",
		Options: []xtables.Option{
			{Name: "src-group", ID: 0, Args: 1, Invert: true}, {Name: "dst-group", ID: 1, Args: 1, Invert: true}},
		NewMatch: func() xtables.Match { return new(devgroupMatch) },
	}
	bpfDef = &xtables.Def{ // read-only
		Name:     "bpf",
		Options:  []xtables.Option{{Name: "bytecode", Args: 1}},
		NewMatch: func() xtables.Match { return new(bpfMatch) },
	}
)

// pkttypeMatch is xt_pkttype: for whom the frame was.
type pkttypeMatch struct {
	xtables.Plain
	typ    skb.PktType
	invert bool
}

var pktTypes = []struct { // read-only
	name string
	typ  skb.PktType
}{
	{"unicast", skb.PacketHost}, {"broadcast", skb.PacketBroadcast}, {"multicast", skb.PacketMulticast},
	{"otherhost", skb.PacketOtherHost}, {"host", skb.PacketHost}, {"bcast", skb.PacketBroadcast}, {"mcast", skb.PacketMulticast},
}

// Set implements xtables.Extension.
func (m *pkttypeMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	m.invert = invert
	for _, t := range pktTypes {
		if strings.EqualFold(t.name, args[0]) {
			m.typ = t.typ
			return nil
		}
	}
	return fmt.Errorf("Bad packet type '%s'", args[0])
}

func (m *pkttypeMatch) name() string {
	for _, t := range pktTypes {
		if t.typ == m.typ {
			return t.name
		}
	}
	return ""
}

// Save implements xtables.Extension.
func (m *pkttypeMatch) Save(b []byte) []byte {
	return append(append(not(b, m.invert), " --pkt-type "...), m.name()...)
}

// Print implements xtables.Extension.
func (m *pkttypeMatch) Print(b []byte, _ bool) []byte {
	op := " = "
	if m.invert {
		op = " != "
	}
	return append(append(append(b, " PKTTYPE"...), op...), m.name()...)
}

// Match implements xtables.Match (Linux: pkttype_mt): what was looped back, or
// never was a frame, goes by its address.
func (m *pkttypeMatch) Match(p *xtables.Packet) bool {
	typ := p.B.PktType
	if typ == skb.PacketLoopback {
		switch {
		case p.Dst.IsMulticast():
			typ = skb.PacketMulticast
		default:
			typ = skb.PacketBroadcast
		}
	}
	return (typ == m.typ) != m.invert
}

// Pure implements xtables.Pure.
func (m *pkttypeMatch) Pure() {}

// quotaMatch is xt_quota: so many bytes, and no more.
type quotaMatch struct {
	xtables.Plain
	quota  uint64
	invert bool
	left   atomic.Uint64
}

// Set implements xtables.Extension.
func (m *quotaMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.quota, err = number("quota", "quota", args[0], 0, ^uint64(0))
	return err
}

// Save implements xtables.Extension.
func (m *quotaMatch) Save(b []byte) []byte {
	return strconv.AppendUint(append(not(b, m.invert), " --quota "...), m.quota, 10)
}

// Print implements xtables.Extension.
func (m *quotaMatch) Print(b []byte, _ bool) []byte {
	return append(strconv.AppendUint(append(b, " quota: "...), m.quota, 10), " bytes"...)
}

// Attach implements xtables.Attacher.
func (m *quotaMatch) Attach(*xtables.CheckContext) error {
	m.left.Store(m.quota)
	return nil
}

// Destroy implements xtables.Attacher.
func (m *quotaMatch) Destroy() {}

// Match implements xtables.Match (Linux: quota_mt): the first packet that does
// not fit ends the quota.
func (m *quotaMatch) Match(p *xtables.Packet) bool {
	n := uint64(p.B.Len())
	for {
		left := m.left.Load()
		next, ok := uint64(0), left >= n
		if ok {
			next = left - n
		}
		if m.left.CompareAndSwap(left, next) {
			return ok != m.invert
		}
	}
}

// rpfilterMatch is ipt_rpfilter: does the packet come from where an answer would
// go to?
type rpfilterMatch struct {
	xtables.Plain
	flags uint8 // bits of the options
}

// Set implements xtables.Extension.
func (m *rpfilterMatch) Set(_ *xtables.ParseContext, id int, _ []string, _ bool) error {
	m.flags |= 1 << id
	return nil
}

func (m *rpfilterMatch) text(b []byte, dash string) []byte {
	for id, name := range []string{"loose", "validmark", "accept-local", "invert"} {
		if m.flags&(1<<id) != 0 {
			b = append(append(append(b, ' '), dash...), name...)
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *rpfilterMatch) Save(b []byte) []byte { return m.text(b, "--") }

// Print implements xtables.Extension.
func (m *rpfilterMatch) Print(b []byte, _ bool) []byte { return m.text(append(b, " rpfilter"...), "") }

// Check implements xtables.Extension.
func (m *rpfilterMatch) Check(c *xtables.CheckContext) error {
	if c.Env.ReversePath == nil {
		return errors.New("ipt_rpfilter: there is no routing table")
	}
	return nil
}

// Match implements xtables.Match (Linux: rpfilter_mt).
func (m *rpfilterMatch) Match(p *xtables.Packet) bool {
	invert := m.flags&8 != 0
	if p.B.PktType == skb.PacketLoopback || p.State.In != nil && p.In == "lo" {
		return !invert
	}
	if p.Dst.IsMulticast() && (p.Src.IsZeronet() || p.Src.IsLoopback()) || p.Src.IsZeronet() && p.Dst == header.AddrBroadcast {
		return !invert
	}
	return p.Env.ReversePath(p.B, p.State, m.flags&1 != 0, m.flags&2 != 0, m.flags&4 != 0) != invert
}

// bpfMatch is xt_bpf with classic BPF: the program sees the packet from its IP
// header, and matches if it does not return 0.
type bpfMatch struct {
	xtables.Plain
	program []xtables.BPFInsn
	run     func(*skb.Buff) uint32
}

// bpfMax is XT_BPF_MAX_NUM_INSTR.
const bpfMax = 64

// Set implements xtables.Extension.
func (m *bpfMatch) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
	head, rest, _ := strings.Cut(args[0], ",")
	n, ok := parseInt(strings.TrimSpace(head), 0, 1<<30)
	switch {
	case !ok || head == "":
		return errors.New("bpf: error parsing program length")
	case n > bpfMax:
		return fmt.Errorf("bpf: number of instructions exceeds maximum")
	}
	m.program = nil
	for line := range strings.SplitSeq(rest, ",") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(m.program) == n {
			return errors.New("bpf: real program length exceeds the encoded length parameter")
		}
		var in xtables.BPFInsn
		if _, err := fmt.Sscanf(line, "%d %d %d %d", &in.Code, &in.JT, &in.JF, &in.K); err != nil {
			return fmt.Errorf("bpf: error at instr %d", len(m.program))
		}
		m.program = append(m.program, in)
	}
	if len(m.program) < n {
		return errors.New("bpf: parsed program length is less than the encoded length parameter")
	}
	return nil
}

// Done implements xtables.Extension.
func (m *bpfMatch) Done(*xtables.ParseContext) error {
	if m.program == nil {
		return errors.New("bpf: one of --bytecode or --pinned is required")
	}
	return nil
}

func (m *bpfMatch) code(b []byte, sep string) []byte {
	for i, in := range m.program {
		if i > 0 {
			b = append(b, sep...)
		}
		b = fmt.Appendf(b, "%d %d %d %d", in.Code, in.JT, in.JF, in.K)
	}
	return b
}

// Save implements xtables.Extension.
func (m *bpfMatch) Save(b []byte) []byte {
	return append(m.code(fmt.Appendf(b, " --bytecode \"%d,", len(m.program)), ","), '"')
}

// Print implements xtables.Extension.
func (m *bpfMatch) Print(b []byte, _ bool) []byte {
	return m.code(append(b, " match bpf "...), ",")
}

// Check implements xtables.Extension (Linux: bpf_mt_check_v1).
func (m *bpfMatch) Check(c *xtables.CheckContext) error {
	if c.Env.BPF == nil {
		return errors.New("xt_bpf: there is no machine for the program")
	}
	if m.run != nil {
		return nil
	}
	run, err := c.Env.BPF(m.program)
	if err != nil {
		return fmt.Errorf("xt_bpf: check failed: %w", err)
	}
	m.run = run
	return nil
}

// Match implements xtables.Match (Linux: bpf_mt).
func (m *bpfMatch) Match(p *xtables.Packet) bool { return m.run(p.B) != 0 }

// Pure implements xtables.Pure.
func (m *bpfMatch) Pure() {}

// devgroupMatch is xt_devgroup: the groups of the devices.
type devgroupMatch struct {
	xtables.Plain
	asked, invert uint8
	group, mask   [2]uint32 // of the device in and the device out
}

// Set implements xtables.Extension.
func (m *devgroupMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	name := [...]string{"src-group", "dst-group"}[id]
	v, mask, is := strings.Cut(args[0], "/")
	n, ok := parseUint(v, 0, 1<<32-1)
	k := uint64(1<<32 - 1)
	if ok && is {
		k, ok = parseUint(mask, 0, 1<<32-1)
	}
	if !ok {
		return fmt.Errorf("Invalid group for --%s: \"%s\"", name, args[0])
	}
	m.asked |= 1 << id
	if invert {
		m.invert |= 1 << id
	}
	m.group[id], m.mask[id] = uint32(n), uint32(k)
	return nil
}

// Done implements xtables.Extension.
func (m *devgroupMatch) Done(*xtables.ParseContext) error {
	if m.asked == 0 {
		return errors.New("devgroup match: You must specify either '--src-group' or '--dst-group'")
	}
	return nil
}

func (m *devgroupMatch) text(b []byte, dash string) []byte {
	for id, name := range []string{"src-group", "dst-group"} {
		if m.asked&(1<<id) == 0 {
			continue
		}
		b = append(append(append(not(b, m.invert&(1<<id) != 0), ' '), dash...), name...)
		if b = appendHex(append(b, ' '), m.group[id]); m.mask[id] != 1<<32-1 {
			b = appendHex(append(b, '/'), m.mask[id])
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *devgroupMatch) Save(b []byte) []byte { return m.text(b, "--") }

// Print implements xtables.Extension.
func (m *devgroupMatch) Print(b []byte, _ bool) []byte { return m.text(b, "") }

// Check implements xtables.Extension (Linux: devgroup_mt_checkentry).
func (m *devgroupMatch) Check(c *xtables.CheckContext) error {
	const pre, in, fwd, out, post = 1 << netfilter.PreRouting, 1 << netfilter.LocalIn, 1 << netfilter.Forward, 1 << netfilter.LocalOut, 1 << netfilter.PostRouting
	if m.asked&1 != 0 && c.Hooks&^(pre|in|fwd) != 0 || m.asked&2 != 0 && c.Hooks&^(fwd|out|post) != 0 {
		return errors.New("xt_devgroup: the device is not known there")
	}
	return nil
}

// Match implements xtables.Match (Linux: devgroup_mt).
func (m *devgroupMatch) Match(p *xtables.Packet) bool {
	for id, dev := range []skb.Device{p.State.In, p.State.Out} {
		if m.asked&(1<<id) == 0 {
			continue
		}
		g, ok := dev.(interface{ Group() uint32 })
		if !ok || ((m.group[id]^g.Group())&m.mask[id] == 0) == (m.invert&(1<<id) != 0) {
			return false
		}
	}
	return true
}
