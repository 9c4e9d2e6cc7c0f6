package ip

import (
	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// rxHints are decisions over received packets of one processor: most often the
// next packet is of a flow that was decided over not long ago, and the tables
// would say the same again (Linux: ip_extract_route_hint, ip_route_use_hint,
// which remember one decision for a poll). A hint holds as long as nothing changes
// that a decision depends on, see [fib.FIB.Generation]; it is found by addresses
// alone, and another takes its place when the two share one. So a flood of
// addresses costs no memory and hardly more time than it would without.
type rxHints struct {
	last *rxHint // of the packet before this one in the poll
	sets [hintSets][2]rxHint
}

const (
	hintBits = 7
	hintSets = 1 << hintBits
)

// rxHint is the decision over packets of one kind.
type rxHint struct {
	rt       *Rtable
	src, dst header.Addr
	gen      uint32
	mark     uint32
	iif      int32
	tos      uint8
}

func (t *rxHints) set(src, dst header.Addr) *[2]rxHint {
	x := (uint64(src)<<32 | uint64(dst)) * 0x9e3779b97f4a7c15
	return &t.sets[x>>(64-hintBits)]
}

// keep notes a decision of a generation if nothing else of a packet had a say in
// it: policy rules and the choice among nexthops see the ports, an exception may
// end, and a redirect is noted with each packet.
func (t *rxHints) keep(n *Net, rt *Rtable, b *skb.Buff, h header.IPv4, dev *napi.NetDevice, gen uint32) {
	t.last = nil
	switch {
	case b.CB[2]&cbRedirect != 0 || n.FIB.CustomRules():
		return
	case rt.in == inLocal && rt.Type == fib.Local:
	case rt.in == inForward && rt.nh != nil && len(rt.info.NHs) == 1:
		if s, ok := rt.nh.Priv.(*nhState); !ok || rt != &s.out {
			return
		}
	default:
		return
	}
	src, dst := h.Src(), h.Dst()
	s := t.set(src, dst)
	e := &s[0]
	if e.gen == gen && !e.is(src, dst, h.TOS()) {
		s[1] = *e
	}
	e.rt, e.src, e.dst, e.gen = rt, src, dst, gen
	e.mark, e.iif, e.tos = b.Mark, dev.Ifindex(), h.TOS()
	t.last = e
}

// find returns the decision kept over such packets, nil if there is none. again
// says that the packet before was of the same kind.
func (t *rxHints) find(b *skb.Buff, h header.IPv4, dev *napi.NetDevice, gen uint32) (rt *Rtable, again bool) {
	src, dst, tos := h.Src(), h.Dst(), h.TOS()
	e := t.last
	if again = e != nil && e.is(src, dst, tos); !again {
		s := t.set(src, dst)
		if e = &s[0]; !e.is(src, dst, tos) {
			if e = &s[1]; !e.is(src, dst, tos) {
				return nil, false
			}
		}
		t.last = e
	}
	if e.gen != gen || e.mark != b.Mark || e.iif != dev.Ifindex() || e.rt == nil {
		return nil, false
	}
	return e.rt, again
}

func (e *rxHint) is(src, dst header.Addr, tos uint8) bool {
	return e.dst == dst && e.src == src && e.tos == tos
}
