package genl

import (
	"slices"
	"syscall"

	"barewire/sys/netlink"
)

// Commands and attributes of nlctrl (Linux: CTRL_*).
const (
	ctrlNewFamily = 1
	ctrlGetFamily = 3
	ctrlGetPolicy = 10

	ctrlFamilyID   = 1
	ctrlFamilyName = 2
	ctrlVersion    = 3
	ctrlHdrSize    = 4
	ctrlMaxAttr    = 5
	ctrlOps        = 6
	ctrlGroups     = 7
	ctrlPolicy     = 8
	ctrlOpPolicy   = 9
	ctrlOp         = 10
	ctrlOpID       = 1
	ctrlOpFlags    = 2
	ctrlGroupName  = 1
	ctrlGroupID    = 2
	ctrlPolicyDo   = 1
	ctrlPolicyDump = 2

	opAdmin     = 1
	opDo        = 2
	opDump      = 4
	opHasPolicy = 8
)

var ctrlPolicies = [2]netlink.Policy{ // read-only: of a family, and of policies
	{Items: []netlink.PolicyItem{ctrlFamilyID: {Kind: netlink.U16}, ctrlFamilyName: {Kind: netlink.NulString, Len: 15}}},
	{Items: []netlink.PolicyItem{ctrlFamilyID: {Kind: netlink.U16}, ctrlFamilyName: {Kind: netlink.NulString, Len: 15}, ctrlOp: {Kind: netlink.U32}}},
}

// ctrl makes the family that tells of families.
func (t *Table) ctrl() *Family {
	return &Family{
		Name: "nlctrl", Version: 2, Groups: []string{"notify"},
		Ops: []Op{
			{Cmd: ctrlGetFamily, Policy: &ctrlPolicies[0], Do: t.getFamily, Dump: t.dumpFamilies},
			{Cmd: ctrlGetPolicy, Policy: &ctrlPolicies[1], Strict: true, Dump: t.dumpPolicy},
		},
	}
}

// find is the family a request names: EINVAL when it names none, ENOENT when
// there is no such.
func (t *Table) find(r *Request) (*Family, error) {
	var f *Family
	switch {
	case r.Attrs.Has(ctrlFamilyName):
		f = t.byName(r.Attrs.Str(ctrlFamilyName))
	case r.Attrs.Has(ctrlFamilyID):
		f = t.byID(r.Attrs.U16(ctrlFamilyID))
	default:
		return nil, syscall.EINVAL
	}
	if f == nil {
		return nil, syscall.ENOENT
	}
	return f, nil
}

// getFamily is ctrl_getfamily.
func (t *Table) getFamily(r *Request) error {
	f, err := t.find(r)
	if err != nil {
		return err
	}
	return r.Answer(ctrlNewFamily, f.describe)
}

// dumpFamilies is ctrl_dumpfamily.
func (t *Table) dumpFamilies(r *Request) error {
	return r.Dump(netlink.Dump{Next: netlink.List(t.families, func(b *netlink.Builder, f *Family) {
		r.f.begin(b, ctrlNewFamily)
		f.describe(b)
		b.End()
	})})
}

// describe appends what ctrl_fill_info does.
func (f *Family) describe(b *netlink.Builder) {
	b.AttrString(ctrlFamilyName, f.Name)
	b.AttrU16(ctrlFamilyID, f.id)
	b.AttrU32(ctrlVersion, uint32(f.Version))
	b.AttrU32(ctrlHdrSize, 0)
	b.AttrU32(ctrlMaxAttr, uint32(f.MaxAttr))
	if len(f.Ops) > 0 {
		n := b.Nest(ctrlOps, false)
		for i, op := range f.Ops {
			o := b.Nest(uint16(i+1), false)
			b.AttrU32(ctrlOpID, uint32(op.Cmd))
			b.AttrU32(ctrlOpFlags, op.flags())
			b.EndNest(o)
		}
		b.EndNest(n)
	}
	if len(f.Groups) > 0 {
		n := b.Nest(ctrlGroups, false)
		for i, name := range f.Groups {
			g := b.Nest(uint16(i+1), false)
			b.AttrU32(ctrlGroupID, uint32(f.group+i))
			b.AttrString(ctrlGroupName, name)
			b.EndNest(g)
		}
		b.EndNest(n)
	}
}

func (o *Op) flags() (v uint32) {
	for _, f := range []struct {
		on  bool
		bit uint32
	}{{o.Admin, opAdmin}, {o.Do != nil, opDo}, {o.Dump != nil, opDump}, {o.Policy != nil, opHasPolicy}} {
		if f.on {
			v |= f.bit
		}
	}
	return v
}

// dumpPolicy is ctrl_dumppolicy: which policy each operation has, then the
// policies, a message for each attribute.
func (t *Table) dumpPolicy(r *Request) error {
	f, err := t.find(r)
	if err != nil {
		return err
	}
	ops := f.Ops
	if r.Attrs.Has(ctrlOp) {
		i := slices.IndexFunc(ops, func(o Op) bool { return uint32(o.Cmd) == r.Attrs.U32(ctrlOp) })
		if i < 0 {
			return r.Ack.BadVal(syscall.ENOENT, r.Attrs[ctrlOp], "")
		}
		ops = ops[i : i+1]
	}
	var policies []*netlink.Policy
	var parts []func(b *netlink.Builder)
	for _, o := range ops {
		if o.Policy == nil {
			continue
		}
		at := slices.Index(policies, o.Policy)
		if at < 0 {
			at = len(policies)
			policies = append(policies, o.Policy)
		}
		parts = append(parts, func(b *netlink.Builder) { putOpPolicy(b, &o, uint32(at)) })
	}
	for i, p := range policies {
		for typ, item := range p.Items {
			if item != (netlink.PolicyItem{}) {
				parts = append(parts, func(b *netlink.Builder) { putPolicy(b, uint16(i), uint16(typ), item) })
			}
		}
	}
	return r.Dump(netlink.Dump{Next: netlink.List(parts, func(b *netlink.Builder, put func(*netlink.Builder)) {
		r.f.begin(b, ctrlGetPolicy)
		b.AttrU16(ctrlFamilyID, f.id)
		put(b)
		b.End()
	})})
}

func putOpPolicy(b *netlink.Builder, o *Op, policy uint32) {
	n := b.Nest(ctrlOpPolicy, true)
	cmd := uint16(o.Cmd)
	if o.Do == nil {
		cmd = 0 // as Linux, which looks at the command of the other half
	}
	p := b.Nest(cmd, true)
	if o.Do != nil {
		b.AttrU32(ctrlPolicyDo, policy)
	}
	if o.Dump != nil {
		b.AttrU32(ctrlPolicyDump, policy)
	}
	b.EndNest(p)
	b.EndNest(n)
}

// Attributes of an attribute's description (Linux: NL_POLICY_TYPE_ATTR_*).
const (
	attrType      = 1
	attrMinValueU = 4
	attrMaxValueU = 5
	attrMinLen    = 6
	attrMaxLen    = 7
)

// attrTypes are NL_ATTR_TYPE_*; read-only.
var attrTypes = map[netlink.Kind]uint32{
	netlink.Flag: 1, netlink.U8: 2, netlink.U16: 3, netlink.U32: 4, netlink.U64: 5,
	netlink.Binary: 10, netlink.Exact: 10, netlink.Unspec: 10, netlink.String: 11, netlink.NulString: 12, netlink.Nested: 13,
}

// putPolicy is netlink_policy_dump_write of one attribute.
func putPolicy(b *netlink.Builder, policy, typ uint16, item netlink.PolicyItem) {
	n := b.Nest(ctrlPolicy, true)
	p := b.Nest(policy, true)
	a := b.Nest(typ, true)
	switch item.Kind {
	case netlink.U8, netlink.U16, netlink.U32, netlink.U64:
		b.AttrU64(attrMinValueU, 0)
		b.AttrU64(attrMaxValueU, ^uint64(0)>>(64-8<<(item.Kind-netlink.U8)))
	case netlink.Exact:
		b.AttrU32(attrMinLen, uint32(item.Len))
		b.AttrU32(attrMaxLen, uint32(item.Len))
	case netlink.Unspec:
		b.AttrU32(attrMinLen, uint32(item.Len))
	case netlink.Binary, netlink.String, netlink.NulString:
		if item.Len > 0 {
			b.AttrU32(attrMaxLen, uint32(item.Len))
		}
	}
	b.AttrU32(attrType, attrTypes[item.Kind])
	b.EndNest(a)
	b.EndNest(p)
	b.EndNest(n)
}
