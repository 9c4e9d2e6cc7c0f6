package napi

import (
	"sync/atomic"

	"barewire/skb"
)

// Generic receive offload: packets of one flow that arrive in one poll go up the
// stack as one (Linux: net/core/gro.c). What is put together can be cut into the
// same packets again, which forwarding does: every header field that a segment
// cannot get back from the first must be equal. gro_inet.go says what that means
// for TCP and UDP.
//
// A context holds packets back only while it polls; when the poll ends, or says
// that it is complete, all go up. Nothing is timed, so nothing can be stuck.

// Bounds of what a context holds, as in Linux (GRO_HASH_BUCKETS, MAX_GRO_SKBS,
// GRO_LEGACY_MAX_SIZE). A full bucket gives up its oldest packet.
const (
	groBuckets = 8
	groDepth   = 8
	groMaxSize = 65536 // bytes; a merged packet stays below
)

// groHeld is a packet held back, and what the next of its flow must look like
// (Linux: napi_gro_cb of a packet on the list).
type groHeld struct {
	b       *skb.Buff
	addrs   uint64 // source and destination address
	ports   uint32 // source and destination port
	next    uint32 // TCP: sequence number behind it
	ack     uint32 // TCP
	word    uint32 // TCP: header length, flags but PSH and FIN, window
	ip      uint32 // TOS, TTL, protocol, DF
	id      uint16 // IP identification of the first
	size    uint16 // payload of the first: gso_size
	count   uint16 // packets in it
	hdr     uint8  // length of the transport header
	fixedID bool   // all have the same identification
	summed  bool   // its checksum was verified
}

// groBucket is the packets of some flows, oldest first.
type groBucket struct {
	n int
	h [groDepth]groHeld
}

// gro is what one context holds (Linux: gro_node).
type gro struct {
	held    int
	merger  skb.Merger
	bucket  [groBuckets]groBucket
	merged  uint64 // packets that became part of another, and
	flushed uint64 // packets that went up with others in them; until the poll ends
}

// GROStats counts what a context merged.
type GROStats struct {
	Merged  atomic.Uint64 // packets that became part of another
	Flushed atomic.Uint64 // packets that went up with others in them
}

// receive is napi_gro_receive.
func (n *NAPI) receive(b *skb.Buff) {
	n.count.add(b)
	b.NapiID = n.id.Load()
	if b.Protocol == ETH_P_IP && n.groReceive(b) {
		return
	}
	n.pass(b)
}

// pass hands a packet up, here or on the processor that its flow is steered to
// (Linux: netif_receive_skb_internal).
func (n *NAPI) pass(b *skb.Buff) {
	if st := n.rxq.steer.Load(); st != nil && st.steered(n.soft, b) {
		return
	}
	n.soft.receiveSkb(n.net.ptypes.Load(), b)
}

// groReceive holds b back or makes it part of what is held (Linux:
// dev_gro_receive, inet_gro_receive). False, and b is still the caller's, when
// it is to go up now; what it must not overtake has gone before.
func (n *NAPI) groReceive(b *skb.Buff) bool {
	p := b.Data()
	if len(p) < groMinHeader { // short, or in fragments
		if !b.MayPull(groMinHeader) {
			return false
		}
		p = b.Data()
	}
	switch p[9] {
	case groTCP:
		return !n.dev.groOff.Load() && n.groReceiveTCP(b, p)
	case groUDP:
		wants := n.net.udpGRO.Load()
		return wants != nil && !n.dev.groOff.Load() && n.groReceiveUDP(b, p, *wants)
	}
	return false
}

// find returns the bucket of a flow and the index of the packet held for it,
// -1 if there is none (Linux: gro_list_prepare). Frames of another device, VLAN
// or link header are of another flow.
func (g *gro) find(b *skb.Buff, addrs uint64, ports uint32, proto uint32) (*groBucket, int) {
	h := (addrs ^ uint64(ports)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	k := &g.bucket[h>>61]
	for i := k.n - 1; i >= 0; i-- {
		x := &k.h[i]
		if x.addrs == addrs && x.ports == ports && x.ip&0xff == proto && sameLink(x.b, b) {
			return k, i
		}
	}
	return k, -1
}

func sameLink(a, b *skb.Buff) bool {
	if a.Dev != b.Dev || a.VlanTCI != b.VlanTCI || a.VlanProto != b.VlanProto || a.Mark != b.Mark || a.PktType != b.PktType {
		return false
	}
	n := -a.MacOffset()
	return n == -b.MacOffset() && (n == 0 || string(a.MacHeader()[:n]) == string(b.MacHeader()[:n]))
}

// hold keeps the packet of x, the first of its flow.
func (n *NAPI) hold(k *groBucket, x *groHeld) {
	if k.n == groDepth {
		n.groComplete(k, 0)
	}
	x.count = 1
	k.h[k.n] = *x
	k.n++
	n.gro.held++
}

// merge makes b, whose payload begins at off, part of what is held. False, and
// nothing happened, when it cannot.
func (n *NAPI) merge(x *groHeld, b *skb.Buff, off int) bool {
	if x.b.Len()+b.Len()-off >= groMaxSize || !n.gro.merger.Merge(x.b, b, off) {
		return false
	}
	x.count++
	n.gro.merged++
	return true
}

// groComplete hands up the packet at index i of a bucket (Linux:
// napi_gro_complete).
func (n *NAPI) groComplete(k *groBucket, i int) {
	x := k.h[i]
	k.n--
	copy(k.h[i:k.n], k.h[i+1:])
	k.h[k.n] = groHeld{}
	n.gro.held--
	if x.count > 1 {
		n.gro.flushed++
		x.finish()
	}
	n.pass(x.b)
}

// groFlush hands up everything held (Linux: gro_flush).
func (n *NAPI) groFlush() {
	g := n.gro
	for i := 0; i < groBuckets && g.held > 0; i++ {
		for k := &g.bucket[i]; k.n > 0; {
			n.groComplete(k, 0)
		}
	}
	if g.merged != 0 {
		g.merger.Flush()
		n.GRO.Merged.Add(g.merged)
		n.GRO.Flushed.Add(g.flushed)
		g.merged, g.flushed = 0, 0
	}
}

// SetGRO turns receive offload of the device on or off (Linux: NETIF_F_GRO, by
// ethtool -K). It is on at first.
func (d *NetDevice) SetGRO(on bool) { d.groOff.Store(!on) }

// GRO reports whether received packets are merged.
func (d *NetDevice) GRO() bool { return !d.groOff.Load() }

// UDPWantsGRO reports whether the socket that a datagram is for wants it merged
// (UDP_GRO). Data is at the IP header, which has no options. Softirq context.
type UDPWantsGRO func(b *skb.Buff) bool

// SetUDPGRO enters who says which datagrams may be merged; nil, as at first,
// merges none (Linux: udp_encap_needed_key, udp4_lib_lookup_skb). It is asked for
// each: a socket is to be looked up, which no host should pay for without one
// that wants it.
func (n *Net) SetUDPGRO(wants *UDPWantsGRO) { n.udpGRO.Store(wants) }
