package ip

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Xmit says how the header of a packet is made.
type Xmit struct {
	Src, Dst header.Addr
	Proto    uint8
	TOS      uint8
	TTL      uint8
	DF       bool   // must not be fragmented on the way
	ID       uint16 // used when FixedID
	FixedID  bool
	Opt      *header.OptionSet // IP options, nil for none
}

// Headroom is what a packet made here needs in front of its transport header.
const Headroom = skb.MaxHeader

// Push puts the IP header in front of a packet whose Data is the transport
// header, and sets its route. Then LocalOut may send it. The packet has the
// headroom.
func (n *Net) Push(b *skb.Buff, rt *Rtable, x *Xmit) {
	b.ResetTransportHeader()
	hlen, dst := header.IPv4MinLen, x.Dst
	if x.Opt != nil {
		hlen += x.Opt.Len
		if x.Opt.SourceRoute != 0 {
			dst = x.Opt.FirstHop
		}
	}
	f := header.Fields{TOS: x.TOS, TotalLen: b.Len() + hlen, TTL: x.TTL, Protocol: x.Proto, Src: x.Src, Dst: dst}
	switch {
	case x.FixedID:
		f.ID = x.ID
	case !x.DF || b.IgnoreDF:
		f.ID = n.idents.next(x.Src, x.Dst, x.Proto)
	}
	// An identification means nothing in a packet that is never cut (RFC
	// 6864), so those have zero, as in Linux.
	if x.DF {
		f.Frag = header.IPDF
	}
	h := header.PutIPv4(b.Push(hlen), &f)
	if x.Opt != nil {
		h[0] = 4<<4 | uint8(hlen/4)
		n.buildOptions(h[:hlen], x.Opt, x.Dst)
	}
	b.ResetNetworkHeader()
	b.Protocol = header.EthPIP
	b.Dst = rt
}

// LocalOut sends a packet made here (Linux: ip_local_out): Data is the IP
// header, Dst the *Rtable. Consumes b. Errors are those of the path: EPERM
// from a hook, EMSGSIZE, ENOBUFS, ENETDOWN. A packet that waits for its
// neighbour is no error.
func (n *Net) LocalOut(b *skb.Buff) error {
	rt := b.Dst.(*Rtable)
	n.MIB.IP.OutRequests.Add(1)
	h := header.IPv4(b.Data())
	h.SetTotalLen(b.Len())
	h.UpdateChecksum()
	if !n.Hooks.Run(netfilter.LocalOut, b, nil, rt.Dev, b.Sk) {
		return syscall.EPERM
	}
	return b.Dst.Output(b) // a hook may have found another way
}

// output is ip_output.
func (n *Net) output(b *skb.Buff, rt *Rtable) error {
	in := b.Dev
	b.Dev = rt.Dev
	b.Protocol = header.EthPIP
	if !n.Hooks.Run(netfilter.PostRouting, b, in, rt.Dev, b.Sk) {
		return syscall.EPERM
	}
	return n.finishOutput(b, rt)
}

// mcOutput sends a broadcast: also up to this host (Linux: ip_mc_output).
func (n *Net) mcOutput(b *skb.Buff, rt *Rtable) error {
	sk, _ := b.Sk.(*sock.Sock)
	quiet := rt.Type == fib.Multicast && (sk != nil && sk.Flag(sock.FlagNoMulticastLoop) ||
		Forwarded(b) && rt.Flags&RTCFLocal == 0) // nobody here wants what only passes
	if rt.Dev.Flags()&napi.IFF_LOOPBACK == 0 && !quiet {
		n.loopback(b, rt)
	}
	if rt.Type == fib.Multicast && header.IPv4(b.Data()).TTL() == 0 {
		b.Consume() // for this host only (RFC 1112 section 6.1)
		return nil
	}
	return n.output(b, rt)
}

// loopback hands a copy of an outgoing broadcast up as if it had come in
// (Linux: dev_loopback_xmit). A copy: the original still gets headers.
func (n *Net) loopback(b *skb.Buff, rt *Rtable) {
	c := b.Copy()
	if c == nil {
		return
	}
	c.Dev = rt.Dev
	c.PktType = skb.PacketLoopback
	if c.IPSummed == skb.ChecksumNone {
		c.IPSummed = skb.ChecksumUnnecessary
	} // a sum that is still to be made, whoever forwards the copy makes
	c.Iif = 0
	n.Dev.NetifRx(c)
}

// finishOutput cuts what is too large for the link (Linux: ip_finish_output).
func (n *Net) finishOutput(b *skb.Buff, rt *Rtable) error {
	if mtu := n.pathMTU(rt, Forwarded(b)); b.Len() > mtu || fragMax(b) != 0 && b.Len() > fragMax(b) {
		if b.IsGSO() {
			return n.finishOutputGSO(b, rt, mtu)
		}
		return n.fragment(b, rt, mtu)
	}
	return n.finishOutput2(b, rt)
}

// finishOutput2 finds the neighbour and leaves the IP layer (Linux:
// ip_finish_output2).
func (n *Net) finishOutput2(b *skb.Buff, rt *Rtable) error {
	m, size := &n.MIB.IP, uint64(b.Len())
	if b.CB[2]&cbPoll != 0 {
		rx := &n.rx[b.CPU]
		rx.transmits++
		rx.out += size
	} else {
		m.OutTransmits.Add(1)
		m.OutOctets.Add(size)
	}
	switch rt.Type {
	case fib.Multicast:
		m.OutMcastPkts.Add(1)
		m.OutMcastOctets.Add(size)
	case fib.Broadcast:
		m.OutBcastPkts.Add(1)
		m.OutBcastOctets.Add(size)
	}
	if need := rt.Dev.HardHeaderLen; b.Headroom() < need && !b.Cow(Headroom) {
		n.MIB.IP.OutDiscards.Add(1)
		n.drop(b, skb.NoMem)
		return syscall.ENOMEM
	}
	if rt.Dev.HardHeaderLen == 0 { // nobody to address (Linux: neigh_direct_output)
		b.ResetMacHeader()
		return n.Dev.DevQueueXmit(b)
	}
	nb, err := n.neighbour(rt, header.IPv4(b.Data()).Dst())
	if nb == nil {
		n.MIB.IP.OutDiscards.Add(1)
		n.drop(b, skb.NeighCreateFail)
		return err
	}
	return nb.Output(b)
}

// neighbour returns the table's entry for the next hop.
func (n *Net) neighbour(rt *Rtable, dst header.Addr) (*neigh.Neigh, error) {
	hop := rt.Nexthop(dst)
	if rt.Dev.Flags()&(napi.IFF_LOOPBACK|napi.IFF_POINTOPOINT) != 0 {
		hop = 0 // there is one other end (Linux: arp_constructor)
	}
	if nb := n.Neigh.Lookup(rt.Dev, hop); nb != nil {
		return nb, nil
	}
	return n.Neigh.Get(rt.Dev, hop)
}

// ConfirmNeigh notes that the next hop of a route answers (Linux:
// dst_confirm_neigh, for MSG_CONFIRM).
func (n *Net) ConfirmNeigh(rt *Rtable, dst header.Addr) {
	n.ConfirmNeighAt(rt, dst, n.Dev.Clock().Now())
}

// ConfirmNeighAt is ConfirmNeigh for who read the clock a moment ago: now is what
// it said.
func (n *Net) ConfirmNeighAt(rt *Rtable, dst header.Addr, now int64) {
	if nb := n.Neigh.Lookup(rt.Dev, rt.Nexthop(dst)); nb != nil {
		nb.ConfirmAt(now)
	}
}
