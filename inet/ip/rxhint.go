package ip

import (
	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// rxHint is the decision over the last packet of a poll: most often the next one
// is of the same flow, and the tables would say the same again (Linux:
// ip_extract_route_hint, ip_route_use_hint). It does not outlive the poll.
type rxHint struct {
	rt       *Rtable
	dev      *napi.NetDevice
	src, dst header.Addr
	mark     uint32
	tos      uint8
}

// keep notes a decision if nothing else of a packet had a say in it: policy
// rules and the choice among nexthops see the ports, an exception may end, and a
// redirect is noted with each packet.
func (t *rxHint) keep(n *Net, rt *Rtable, b *skb.Buff, h header.IPv4, dev *napi.NetDevice) {
	t.rt = nil
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
	t.rt, t.dev = rt, dev
	t.src, t.dst, t.mark, t.tos = h.Src(), h.Dst(), b.Mark, h.TOS()
}

// find returns the decision kept if it is over such a packet, else nil.
func (t *rxHint) find(b *skb.Buff, h header.IPv4, dev *napi.NetDevice) *Rtable {
	if t.rt != nil && t.dst == h.Dst() && t.src == h.Src() && t.dev == dev && t.tos == h.TOS() && t.mark == b.Mark {
		return t.rt
	}
	return nil
}
