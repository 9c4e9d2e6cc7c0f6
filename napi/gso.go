package napi

import (
	"syscall"

	"barewire/skb"
)

// Segmenter cuts a super-packet, whose Data is the link header, into packets of
// its GSO size (Linux: skb_gso_segment). sg says that they may have page
// fragments. It consumes b; with an error the list is empty.
type Segmenter func(b *skb.Buff, sg bool) (skb.List, error)

// SetSegmenter enters what cuts super-packets of TCP, skb.GSOTCPv4, or of UDP,
// skb.GSOUDPL4, for devices that cannot (Linux: inet_add_offload). Before packets
// flow.
func (n *Net) SetSegmenter(typ uint16, s Segmenter) {
	if typ == skb.GSOUDPL4 {
		n.segmentUDP = s
	} else {
		n.segment = s
	}
}

// Segment cuts a super-packet, whose Data is the link or the network header, with
// what was entered by SetSegmenter (Linux: skb_gso_segment). It consumes b; with
// an error the list is empty.
func (n *Net) Segment(b *skb.Buff, sg bool) (skb.List, error) {
	cut := n.segment
	if b.Shinfo().GSOType&skb.GSOUDPL4 != 0 {
		cut = n.segmentUDP
	}
	if cut == nil {
		b.Free(skb.PktTooBig)
		return skb.List{}, syscall.EMSGSIZE
	}
	return cut(b, sg)
}

// xmitGSO sends a super-packet in pieces (Linux: the GSO part of
// validate_xmit_skb). Consumes b. The error is that of the first piece that had
// one.
func (n *Net) xmitGSO(d *NetDevice, b *skb.Buff) error {
	l, err := n.Segment(b, d.Features()&FeatureSG != 0)
	if err != nil {
		d.Stats.TxDropped.Add(1)
		return err
	}
	var first error
	for s := l.PopFront(); s != nil; s = l.PopFront() {
		err := d.validate(s)
		if err == nil {
			err = d.pickTx(n, s).xmit(s)
		} else {
			d.Stats.TxDropped.Add(1)
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// needsGSO reports whether d cannot cut b itself (Linux: netif_needs_gso).
func (d *NetDevice) needsGSO(b *skb.Buff) bool {
	si := b.Shinfo()
	need := FeatureTSO
	if si.GSOType&skb.GSOTCPECN != 0 {
		need |= FeatureTSOECN
	}
	if si.FragList != nil {
		need |= FeatureFragList
	}
	const cut = skb.GSOTCPv4 | skb.GSOTCPECN | skb.GSODodgy // what a device with TSO does
	return d.Features()&need != need || si.GSOType&^cut != 0
}
