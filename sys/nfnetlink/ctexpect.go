package nfnetlink

import (
	"syscall"
	"time"

	"barewire/netfilter/conntrack"
	"barewire/sys/netlink"
)

// Commands of expectations (Linux: enum ctnl_exp_msg_types).
const (
	expNew = iota
	expGet
	expDelete
	expGetStatsCPU
)

// Attributes of an expectation (Linux: enum ctattr_expect).
const (
	ctaExpMaster = 1 + iota
	ctaExpTuple
	ctaExpMask
	ctaExpTimeout
	ctaExpID
	ctaExpHelpName
	ctaExpZone
	ctaExpFlags
	ctaExpClass
)

var expPolicy = &netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	ctaExpMaster: {Kind: netlink.Nested}, ctaExpTuple: {Kind: netlink.Nested}, ctaExpMask: {Kind: netlink.Nested},
	ctaExpTimeout: {Kind: netlink.U32}, ctaExpID: {Kind: netlink.U32},
	ctaExpHelpName: {Kind: netlink.NulString, Len: 15}, ctaExpZone: {Kind: netlink.U16},
	ctaExpFlags: {Kind: netlink.U32}, ctaExpClass: {Kind: netlink.U32},
}}

// expectCommands list and delete expectations. Programs make none: helpers in
// programs are not supported, and refused.
func (t *Table) expectCommands() map[uint8]command {
	return map[uint8]command{
		expNew:    {policy: expPolicy},
		expGet:    {policy: expPolicy, do: t.getExpect, dump: t.dumpExpects},
		expDelete: {policy: expPolicy, do: t.delExpect},
		expGetStatsCPU: {policy: expPolicy, dump: func(r *request) error {
			return r.Dump(netlink.Dump{Next: netlink.List([]uint16{0}, func(b *netlink.Builder, cpu uint16) {
				begin(b, subExpect, expGetStatsCPU, 0, 0, cpu)
				s := &t.nf.Conntrack.Stat
				b.AttrBE32(1, uint32(s.ExpectNew.Load()))
				b.AttrBE32(2, uint32(s.ExpectCreate.Load()))
				b.AttrBE32(3, uint32(s.ExpectDelete.Load()))
				b.End()
			})})
		}},
	}
}

// fillExpect is ctnetlink_exp_fill_info.
func fillExpect(b *netlink.Builder, cmd uint8, flags uint16, e *conntrack.Expect) {
	begin(b, subExpect, cmd, flags, syscall.AF_INET, 0)
	at := b.Nest(ctaExpTuple, true)
	fillTuple(b, &e.Tuple)
	b.EndNest(at)
	at = b.Nest(ctaExpMask, true)
	mask := conntrack.Tuple{Src: e.SrcMask, SrcPort: e.SrcPortMask, Proto: e.Tuple.Proto}
	fillTuple(b, &mask)
	b.EndNest(at)
	master := e.Master.Tuple(conntrack.Original)
	at = b.Nest(ctaExpMaster, true)
	fillTuple(b, &master)
	b.EndNest(at)
	b.AttrBE32(ctaExpTimeout, uint32(e.Expires()/int64(time.Second)))
	b.AttrBE32(ctaExpID, e.ID())
	b.AttrBE32(ctaExpFlags, uint32(e.Flags))
	b.AttrBE32(ctaExpClass, uint32(e.Class))
	if h := e.Master.Helper(); h != nil {
		b.AttrString(ctaExpHelpName, h.Name)
	}
	b.End()
}

func (t *Table) dumpExpects(r *request) error {
	l := t.nf.Conntrack.Expectations()
	return r.Dump(netlink.Dump{Next: netlink.List(l, func(b *netlink.Builder, e *conntrack.Expect) {
		if r.family == 0 || r.family == syscall.AF_INET {
			fillExpect(b, expNew, 0, e)
		}
	})})
}

// named finds the expectation a request names, by its tuple or its master's.
func (t *Table) named(r *request) (*conntrack.Expect, error) {
	typ := ctaExpTuple
	if !r.attrs.Has(typ) {
		return nil, syscall.EINVAL
	}
	k, _, err := r.parseTuple(r.attrs[typ], filterDst|filterProto)
	if err != nil {
		return nil, err
	}
	e := t.nf.Conntrack.FindExpect(k)
	if e == nil || r.attrs.Has(ctaExpID) && r.attrs.BE32(ctaExpID) != e.ID() {
		return nil, syscall.ENOENT
	}
	return e, nil
}

func (t *Table) getExpect(r *request) error {
	e, err := t.named(r)
	if err != nil {
		return err
	}
	r.Reply(func(b *netlink.Builder) { fillExpect(b, expNew, netlink.FlagMulti, e) })
	return nil
}

// delExpect is ctnetlink_del_expect: one, those of a helper, or all.
func (t *Table) delExpect(r *request) error {
	ct := t.nf.Conntrack
	if r.attrs.Has(ctaExpTuple) {
		e, err := t.named(r)
		if err != nil {
			return err
		}
		ct.Unexpect(e)
		return nil
	}
	name := r.attrs.Str(ctaExpHelpName)
	for _, e := range ct.Expectations() {
		if h := e.Master.Helper(); name == "" || h != nil && h.Name == name {
			ct.Unexpect(e)
		}
	}
	return nil
}

func (t *Table) expectEvent(ev conntrack.ExpectEvent, e *conntrack.Expect) {
	group, cmd, flags := groupExpNew, uint8(expNew), uint16(netlink.FlagCreate|netlink.FlagExcl)
	if ev&conntrack.ExpectEventDestroy != 0 {
		group, cmd, flags = groupExpDestroy, expDelete, 0
	}
	t.tell(group, func(b *netlink.Builder) { fillExpect(b, cmd, flags, e) })
}
