package ip

import (
	"barewire/inet/fib"
	"barewire/skb"
	"barewire/skb/header"
)

// A flow table sends packets on past routing and hooks: it keeps the decisions,
// and asks here whether they still hold.

// FlowRoute decides about packets to an address that leave by a device (Linux:
// nf_route for a flow table). Nil when they could not be forwarded so.
func (n *Net) FlowRoute(to header.Addr, ifindex int32, mark uint32) *Rtable {
	rt, err := n.RouteOutput(&fib.Flow{Dst: to, OIF: ifindex, Mark: mark})
	if err != 0 || rt.out != outUnicast || rt.Type != fib.Unicast {
		return nil
	}
	return rt
}

// FlowFits reports whether a packet may be forwarded by rt as it is: the decision
// holds, and the link takes it whole.
func (n *Net) FlowFits(b *skb.Buff, rt *Rtable) bool {
	mtu := n.pathMTU(rt, true)
	return !rt.Expired() && rt.Dev.IsUp() && (b.Len() <= mtu || b.IsGSO() && gsoFits(b, mtu))
}

// FlowSend forwards a packet by rt whose header is final: what is left of
// ip_forward and ip_output. Consumes b. Softirq context.
func (n *Net) FlowSend(b *skb.Buff, rt *Rtable) {
	n.rx[b.CPU].forwarded++
	b.CB[2] |= cbForwarded | cbPoll
	if n.Conf.ForwardUpdatePriority.Load() != 0 {
		b.Priority = uint32(forwardPriority[header.IPv4(b.Data()).TOS()>>1&15])
	}
	b.Tstamp = 0
	b.Dst, b.Dev, b.Protocol = rt, rt.Dev, header.EthPIP
	n.finishOutput(b, rt)
}
