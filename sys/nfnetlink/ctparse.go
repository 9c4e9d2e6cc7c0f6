package nfnetlink

import (
	"encoding/binary"
	"syscall"
	"time"

	"barewire/netfilter/conntrack"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// parseTuple reads a tuple (Linux: ctnetlink_parse_tuple_filter). need says which
// parts must be there, as bits of a filter; what is not needed and not there
// is 0. EINVAL, EPROTONOSUPPORT.
func (r *request) parseTuple(val []byte, need uint32) (k conntrack.Tuple, zone uint16, err error) {
	a, err := r.nested(val, tuplePolicy)
	if err != nil {
		return k, 0, err
	}
	if a.Has(ctaTupleIP) {
		ip, err := r.nested(a[ctaTupleIP], ipPolicy)
		if err != nil {
			return k, 0, err
		}
		if need&filterSrc != 0 && !ip.Has(ctaIPv4Src) || need&filterDst != 0 && !ip.Has(ctaIPv4Dst) {
			return k, 0, syscall.EINVAL
		}
		k.Src, k.Dst = header.Addr(ip.BE32(ctaIPv4Src)), header.Addr(ip.BE32(ctaIPv4Dst))
	} else if need&(filterSrc|filterDst) != 0 {
		return k, 0, syscall.EINVAL
	}
	if a.Has(ctaTupleProto) {
		if err := r.parseProto(&k, a[ctaTupleProto], need); err != nil {
			return k, 0, err
		}
	} else if need&filterProto != 0 {
		return k, 0, syscall.EINVAL
	}
	if a.Has(ctaTupleZone) {
		zone = be16(a[ctaTupleZone])
	}
	return k, zone, nil
}

// parseProto is ctnetlink_parse_tuple_proto.
func (r *request) parseProto(k *conntrack.Tuple, val []byte, need uint32) error {
	p, err := r.nested(val, protoPolicy)
	if err != nil {
		return err
	}
	if !p.Has(ctaProtoNum) {
		if need&filterProto != 0 {
			return syscall.EINVAL
		}
		return nil
	}
	k.Proto = p.U8(ctaProtoNum)
	get := func(typ int, bit uint32) (v uint16, err error) {
		if p.Has(typ) {
			return be16(p[typ]), nil
		}
		if need&bit != 0 {
			return 0, syscall.EINVAL
		}
		return 0, nil
	}
	switch k.Proto {
	case conntrack.ProtoICMP:
		if need&filterICMPType != 0 && !p.Has(ctaICMPType) || need&filterICMPCode != 0 && !p.Has(ctaICMPCode) {
			return syscall.EINVAL
		}
		k.DstPort = uint16(p.U8(ctaICMPType))<<8 | uint16(p.U8(ctaICMPCode))
		if k.SrcPort, err = get(ctaICMPID, filterICMPID); err != nil {
			return err
		}
	case conntrack.ProtoTCP, conntrack.ProtoUDP, conntrack.ProtoUDPLite, conntrack.ProtoSCTP, conntrack.ProtoGRE:
		if k.SrcPort, err = get(ctaProtoSrc, filterSrcPort); err != nil {
			return err
		}
		if k.DstPort, err = get(ctaProtoDst, filterDstPort); err != nil {
			return err
		}
	}
	return nil
}

// allOfTuple is what names a connection.
const allOfTuple = filterSrc | filterDst | filterProto | filterSrcPort | filterDstPort | filterICMPType | filterICMPCode | filterICMPID

// tuple reads the tuple in attribute typ of the request, with its zone: that of
// the whole, or of its direction.
func (r *request) tuple(typ int) (conntrack.Tuple, error) {
	k, zone, err := r.parseTuple(r.attrs[typ], allOfTuple)
	if k.Zone = zone; zone == 0 && r.attrs.Has(ctaZone) {
		k.Zone = be16(r.attrs[ctaZone])
	}
	return k, err
}

// ctFilter says which connections a program wants (Linux: struct
// ctnetlink_filter).
type ctFilter struct {
	family           uint8
	mark, markMask   uint32
	status, statMask uint32
	hasZone          bool
	zone             uint16
	flags            [conntrack.NumDirs]uint32
	tuple            [conntrack.NumDirs]conntrack.Tuple
	tupleZone        [conntrack.NumDirs]uint16
}

// filter reads it (Linux: ctnetlink_alloc_filter).
func (r *request) filter() (*ctFilter, error) {
	f := &ctFilter{family: r.family}
	a := r.attrs
	if a.Has(ctaMark) {
		f.mark, f.markMask = a.BE32(ctaMark), ^uint32(0)
		if a.Has(ctaMarkMask) {
			f.markMask = a.BE32(ctaMarkMask)
		}
	} else if a.Has(ctaMarkMask) {
		return nil, syscall.EINVAL
	}
	if a.Has(ctaStatus) {
		f.status = a.BE32(ctaStatus)
		f.statMask = f.status
		if a.Has(ctaStatusMask) {
			f.statMask = a.BE32(ctaStatusMask)
			if f.statMask == 0 || f.status&^f.statMask != 0 {
				return nil, syscall.EINVAL
			}
		}
	} else if a.Has(ctaStatusMask) {
		return nil, syscall.EINVAL
	}
	if a.Has(ctaZone) {
		f.hasZone, f.zone = true, be16(a[ctaZone])
	}
	if !a.Has(ctaFilter) {
		return f, nil
	}
	n, err := r.nested(a[ctaFilter], filterPolicy)
	if err != nil {
		return nil, err
	}
	for d := range f.flags {
		if !n.Has(ctaFilterOrig + d) {
			continue
		}
		f.flags[d] = binary.NativeEndian.Uint32(n[ctaFilterOrig+d])
		if f.flags[d] == 0 {
			continue
		}
		if !a.Has(ctaTupleOrig + d) {
			return nil, syscall.EINVAL
		}
		if f.tuple[d], f.tupleZone[d], err = r.parseTuple(a[ctaTupleOrig+d], f.flags[d]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// any reports whether the program asked for a part only. As in Linux a network
// protocol is one, though there is no other.
func (f *ctFilter) any() bool {
	return f.family != 0 || f.markMask != 0 || f.statMask != 0 || f.hasZone || f.flags != [2]uint32{}
}

// matches is ctnetlink_filter_match.
func (f *ctFilter) matches(c *conntrack.Conn) bool {
	if f.family != 0 && f.family != syscall.AF_INET || c.Mark()&f.markMask != f.mark ||
		c.Status()&f.statMask != f.status || f.hasZone && c.Zone().ID != f.zone {
		return false
	}
	for d, flags := range f.flags {
		if flags != 0 && !sameTuple(c.Tuple(conntrack.Dir(d)), f.tuple[d], f.tupleZone[d], flags) {
			return false
		}
	}
	return true
}

// sameTuple is ctnetlink_filter_match_tuple.
func sameTuple(k, want conntrack.Tuple, zone uint16, flags uint32) bool {
	has := func(bit uint32) bool { return flags&bit != 0 }
	if has(filterSrc) && k.Src != want.Src || has(filterDst) && k.Dst != want.Dst ||
		has(filterZone) && k.Zone != zone || has(filterProto) && k.Proto != want.Proto {
		return false
	}
	if k.Proto == conntrack.ProtoICMP {
		id, typ, code := k.ICMP()
		wid, wtyp, wcode := want.ICMP()
		return !(has(filterICMPID) && id != wid || has(filterICMPType) && typ != wtyp || has(filterICMPCode) && code != wcode)
	}
	return !(has(filterSrcPort) && k.SrcPort != want.SrcPort || has(filterDstPort) && k.DstPort != want.DstPort)
}

// change does what a NEW wants of a connection there is (Linux:
// ctnetlink_change_conntrack).
func (t *Table) change(r *request, c *conntrack.Conn) error {
	a := r.attrs
	if a.Has(ctaNATSrc) || a.Has(ctaNATDst) || a.Has(ctaTupleMaster) {
		return syscall.EOPNOTSUPP
	}
	if a.Has(ctaHelp) {
		h, err := t.helper(r, c.Proto())
		if err != nil {
			return err
		}
		if h != c.Helper() {
			if c.Helper() != nil || h == nil {
				return syscall.EBUSY
			}
			c.SetHelper(h)
			c.Note(conntrack.EventHelper)
		}
	}
	if a.Has(ctaTimeout) {
		if err := c.SetExpires(seconds(a)); err != nil {
			return err
		}
	}
	if a.Has(ctaStatus) {
		if err := c.ChangeStatus(a.BE32(ctaStatus)); err != nil {
			return err
		}
	}
	if a.Has(ctaProtoinfo) {
		s, ok, err := r.tcpState()
		if err != nil {
			return err
		}
		if ok {
			if err := c.SetTCPState(s); err != nil {
				return err
			}
			c.Note(conntrack.EventProtoInfo)
		}
	}
	if a.Has(ctaMark) {
		c.SetMark(newMark(a, c.Mark()))
	}
	if a.Has(ctaLabels) {
		v, mask := labels(a)
		c.SetLabels(v, mask)
	}
	return nil
}

func seconds(a netlink.Attrs) int64 { return int64(a.BE32(ctaTimeout)) * int64(time.Second) }

// newMark is ctnetlink_change_mark.
func newMark(a netlink.Attrs, old uint32) uint32 {
	mask := uint32(0)
	if a.Has(ctaMarkMask) {
		mask = ^a.BE32(ctaMarkMask)
	}
	return old&mask ^ a.BE32(ctaMark)
}

func labels(a netlink.Attrs) (v, mask [2]uint64) {
	get := func(typ int) (w [2]uint64) {
		var p [16]byte
		copy(p[:], a[typ])
		return [2]uint64{binary.LittleEndian.Uint64(p[:]), binary.LittleEndian.Uint64(p[8:])}
	}
	v, mask = get(ctaLabels), [2]uint64{^uint64(0), ^uint64(0)}
	if a.Has(ctaLabelsMask) && get(ctaLabelsMask) != [2]uint64{} {
		mask = get(ctaLabelsMask)
	}
	return v, mask
}

// tcpState reads the state of CTA_PROTOINFO.
func (r *request) tcpState() (s conntrack.TCPState, ok bool, err error) {
	p, err := r.nested(r.attrs[ctaProtoinfo], pinfoPolicy)
	if err != nil || !p.Has(ctaPinfoTCP) {
		return 0, false, err
	}
	a, err := r.nested(p[ctaPinfoTCP], tcpPolicy)
	if err != nil || !a.Has(ctaTCPState) {
		return 0, false, err
	}
	if s = conntrack.TCPState(a.U8(ctaTCPState)); s > conntrack.TCPSynSent2 {
		return 0, false, syscall.ERANGE
	}
	return s, true, nil
}

// helper finds the helper of CTA_HELP; nil without an error for none.
func (t *Table) helper(r *request, proto uint8) (*conntrack.Helper, error) {
	a, err := r.nested(r.attrs[ctaHelp], namePolicy)
	if err != nil {
		return nil, err
	}
	if !a.Has(ctaHelpName) {
		return nil, syscall.EINVAL
	}
	name := a.Str(ctaHelpName)
	if name == "" {
		return nil, nil
	}
	h := t.nf.Conntrack.HelperByName(name, proto)
	if h == nil {
		return nil, syscall.EOPNOTSUPP
	}
	return h, nil
}
