package rtnetlink

import (
	"encoding/binary"
	"slices"
	"syscall"

	"barewire/inet/fib"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Attributes of rules (Linux: FRA_*).
const (
	fraDst            = 1
	fraSrc            = 2
	fraIif            = 3
	fraGoto           = 4
	fraPriority       = 6
	fraFwmark         = 10
	fraFlow           = 11
	fraTunID          = 12
	fraSuppressGroup  = 13
	fraSuppressPrefix = 14
	fraTable          = 15
	fraFwmask         = 16
	fraOif            = 17
	fraL3mdev         = 19
	fraUIDRange       = 20
	fraProtocol       = 21
	fraIPProto        = 22
	fraSport          = 23
	fraDport          = 24
	ruleHdrLen        = 12

	ruleInvert      = 0x2
	ruleUnresolved  = 0x4
	ruleIifDetached = 0x8
	ruleOifDetached = 0x10
)

var rulePolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	fraDst:            {Kind: netlink.U32},
	fraSrc:            {Kind: netlink.U32},
	fraIif:            {Kind: netlink.String, Len: ifNameSize - 1},
	fraGoto:           {Kind: netlink.U32},
	fraPriority:       {Kind: netlink.U32},
	fraFwmark:         {Kind: netlink.U32},
	fraFlow:           {Kind: netlink.U32},
	fraTunID:          {Kind: netlink.U64},
	fraSuppressGroup:  {Kind: netlink.U32},
	fraSuppressPrefix: {Kind: netlink.U32},
	fraTable:          {Kind: netlink.U32},
	fraFwmask:         {Kind: netlink.U32},
	fraOif:            {Kind: netlink.String, Len: ifNameSize - 1},
	fraL3mdev:         {Kind: netlink.U8},
	fraUIDRange:       {Kind: netlink.Unspec, Len: 8},
	fraProtocol:       {Kind: netlink.U8},
	fraIPProto:        {Kind: netlink.U8},
	fraSport:          {Kind: netlink.Unspec, Len: 4},
	fraDport:          {Kind: netlink.Unspec, Len: 4},
}}

func (r *Route) dumpRules(q *request) error {
	if q.Strict() {
		if len(q.Data) < ruleHdrLen {
			return q.fail(syscall.EINVAL, "Invalid header for fib rule dump request")
		}
		for _, v := range q.Data[1:ruleHdrLen] {
			if v != 0 {
				return q.fail(syscall.EINVAL, "Invalid values in header for fib rule dump request")
			}
		}
		if len(q.Data) > ruleHdrLen {
			return q.fail(syscall.EINVAL, "Invalid data after header in fib rule dump request")
		}
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genRule), Next: netlink.List(r.ip.Rules(), func(b *netlink.Builder, l fib.Rule) {
		r.putRule(b, rtmNewRule, &l)
	})})
}

// putRule is fib_nl_fill_rule.
func (r *Route) putRule(b *netlink.Builder, typ uint16, l *fib.Rule) {
	b.Begin(typ, 0)
	var h [ruleHdrLen]byte
	table := l.Table
	if table > 255 {
		table = 252 // RT_TABLE_COMPAT
	}
	h[0], h[1], h[2], h[3], h[4], h[7] = afInet, uint8(l.DstBits), uint8(l.SrcBits), l.TOS, uint8(table), uint8(l.Action)
	var flags uint32
	if l.Invert {
		flags |= ruleInvert
	}
	if l.Action == fib.ActGoto && !slices.ContainsFunc(r.ip.Rules(), func(o fib.Rule) bool { return o.Priority == l.Goto }) {
		flags |= ruleUnresolved
	}
	if l.IIF != "" && r.dev.DevByName(l.IIF) == nil {
		flags |= ruleIifDetached
	}
	if l.OIF != "" && r.dev.DevByName(l.OIF) == nil {
		flags |= ruleOifDetached
	}
	binary.NativeEndian.PutUint32(h[8:], flags)
	b.Raw(h[:]...)
	b.AttrU32(fraTable, l.Table)
	b.AttrU32(fraSuppressPrefix, uint32(int32(l.SuppressPrefixlen)))
	b.AttrU8(fraProtocol, l.Protocol)
	if l.IIF != "" {
		b.AttrString(fraIif, l.IIF)
	}
	if l.OIF != "" {
		b.AttrString(fraOif, l.OIF)
	}
	if l.Priority != 0 {
		b.AttrU32(fraPriority, l.Priority)
	}
	if l.Mark != 0 {
		b.AttrU32(fraFwmark, l.Mark)
	}
	if l.MarkMask != 0 || l.Mark != 0 {
		b.AttrU32(fraFwmask, l.MarkMask)
	}
	if l.Action == fib.ActGoto {
		b.AttrU32(fraGoto, l.Goto)
	}
	if l.L3mdev {
		b.AttrU8(fraL3mdev, 1)
	}
	if l.IPProto != 0 {
		b.AttrU8(fraIPProto, l.IPProto)
	}
	for t, p := range map[uint16]fib.PortRange{fraSport: l.SPort, fraDport: l.DPort} {
		if p != (fib.PortRange{}) {
			var v [4]byte
			binary.NativeEndian.PutUint16(v[:], p.Start)
			binary.NativeEndian.PutUint16(v[2:], p.End)
			b.Attr(t, v[:]...)
		}
	}
	if l.SuppressIfGroup != -1 {
		b.AttrU32(fraSuppressGroup, uint32(int32(l.SuppressIfGroup)))
	}
	if l.DstBits != 0 {
		b.AttrBE32(fraDst, uint32(l.Dst))
	}
	if l.SrcBits != 0 {
		b.AttrBE32(fraSrc, uint32(l.Src))
	}
	b.End()
}

// ruleRequest is fib_nl2rule.
func (r *Route) ruleRequest(q *request) (*fib.Rule, netlink.Attrs, error) {
	a, err := q.Parse(ruleHdrLen, &rulePolicy, false)
	if err != nil {
		if q.Ack.Msg != "" {
			q.Ack.Msg = "Error parsing msg"
		}
		return nil, nil, err
	}
	h := q.Data
	dstLen, srcLen := int(h[1]), int(h[2])
	switch {
	case srcLen != 0 && (!a.Has(fraSrc) || srcLen > 32 || len(a[fraSrc]) != 4):
		return nil, nil, q.fail(syscall.EINVAL, "Invalid source address")
	case dstLen != 0 && (!a.Has(fraDst) || dstLen > 32 || len(a[fraDst]) != 4):
		return nil, nil, q.fail(syscall.EINVAL, "Invalid dst address")
	}
	l := fib.NewRule(a.U32(fraPriority), uint32(h[4]))
	l.Action = fib.Action(h[7])
	l.Invert = binary.NativeEndian.Uint32(h[8:])&ruleInvert != 0
	l.TOS = h[3]
	l.SrcBits, l.DstBits = srcLen, dstLen
	l.Src, l.Dst = header.Addr(a.BE32(fraSrc)), header.Addr(a.BE32(fraDst))
	if a.Has(fraTable) {
		l.Table = a.U32(fraTable)
	}
	l.IIF, l.OIF = a.Str(fraIif), a.Str(fraOif)
	l.Protocol = a.U8(fraProtocol)
	if a.Has(fraFwmark) {
		l.Mark = a.U32(fraFwmark)
		l.MarkMask = 0xffffffff // as Linux: a mark alone is compared in whole
	}
	if a.Has(fraFwmask) {
		l.MarkMask = a.U32(fraFwmask)
	}
	if a.Has(fraTunID) || a.Has(fraFlow) {
		return nil, nil, syscall.EOPNOTSUPP
	}
	if a.U8(fraL3mdev) != 0 {
		return nil, nil, q.fail(syscall.EOPNOTSUPP, "l3mdev support is not enabled in kernel")
	}
	if a.Has(fraSuppressPrefix) {
		l.SuppressPrefixlen = int(int32(a.U32(fraSuppressPrefix)))
	}
	if a.Has(fraSuppressGroup) {
		l.SuppressIfGroup = int(int32(a.U32(fraSuppressGroup)))
	}
	l.IPProto = a.U8(fraIPProto)
	for t, p := range map[int]*fib.PortRange{fraSport: &l.SPort, fraDport: &l.DPort} {
		if !a.Has(t) {
			continue
		}
		name := "Invalid sport range"
		if t == fraDport {
			name = "Invalid dport range"
		}
		p.Start, p.End = binary.NativeEndian.Uint16(a[t]), binary.NativeEndian.Uint16(a[t][2:])
		if p.Start == 0 || p.End < p.Start || p.End == 0xffff {
			return nil, nil, q.fail(syscall.EINVAL, name)
		}
	}
	if l.Action == fib.ActGoto {
		if !a.Has(fraGoto) {
			return nil, nil, q.fail(syscall.EINVAL, "Missing goto target for action goto")
		}
		l.Goto = a.U32(fraGoto)
	}
	return &l, a, nil
}

// newRule is fib_nl_newrule.
func (r *Route) newRule(q *request) error {
	l, a, err := r.ruleRequest(q)
	if err != nil {
		return err
	}
	if l.Action == fib.ActGoto && l.Goto <= l.Priority && a.Has(fraPriority) {
		return q.fail(syscall.EINVAL, "Backward goto not supported")
	}
	if l.TOS&3 != 0 {
		return q.fail(syscall.EINVAL, "Invalid dsfield (tos): ECN bits must be 0")
	}
	if l.TOS&^0x1e != 0 {
		return q.fail(syscall.EINVAL, "Invalid tos")
	}
	return errnoOf(r.ip.NewRule(l, q.Flags))
}

// delRule is fib_nl_delrule.
func (r *Route) delRule(q *request) error {
	l, _, err := r.ruleRequest(q)
	if err != nil {
		return err
	}
	return errnoOf(r.ip.DelRule(l))
}
