package conntrack

import "barewire/skb"

// Info is a packet's place in its connection (Linux: enum ip_conntrack_info):
// state and direction.
type Info uint8

// Places, with Linux's numbers.
const (
	Established      Info = 0
	Related          Info = 1
	New              Info = 2 // in the original direction only
	EstablishedReply Info = 3
	RelatedReply     Info = 4
	Untracked        Info = 7 // a table said not to track it
)

// Dir returns the packet's direction (Linux: CTINFO2DIR).
func (i Info) Dir() Dir {
	if i >= EstablishedReply && i != Untracked {
		return Reply
	}
	return Original
}

// State is what rules ask for: a set of the bits below (Linux:
// XT_CONNTRACK_STATE_*).
type State uint16

// States of a packet, as bits with Linux's values.
const (
	StateInvalid     State = 1 << 0
	StateEstablished State = 1 << 1
	StateRelated     State = 1 << 2
	StateNew         State = 1 << 3
	StateUntracked   State = 1 << 6
	StateSNAT        State = 1 << 7
	StateDNAT        State = 1 << 8
)

// Get returns the connection of a packet and its place in it (Linux:
// nf_ct_get). Without a connection it is nil, and info is Untracked if a table
// said so; else the packet is INVALID, or was not looked at yet. A template is
// returned as any other: see [Conn.IsTemplate].
func Get(b *skb.Buff) (*Conn, Info) {
	c, _ := b.NFCT.(*Conn)
	return c, Info(b.NFCTInfo)
}

// StateOf returns the state of a packet as rules see it, one bit of INVALID,
// NEW, ESTABLISHED, RELATED, UNTRACKED, and with it those of address
// translation (Linux: conntrack_mt, state_mt).
func StateOf(b *skb.Buff) State {
	c, info := Get(b)
	if c == nil {
		if info == Untracked {
			return StateUntracked
		}
		return StateInvalid
	}
	var s State
	switch info {
	case New:
		s = StateNew
	case Related, RelatedReply:
		s = StateRelated
	default:
		s = StateEstablished
	}
	st := c.Status()
	if st&SrcNAT != 0 {
		s |= StateSNAT
	}
	if st&DstNAT != 0 {
		s |= StateDNAT
	}
	return s
}

// Set makes b a packet of c, or of none (Linux: nf_ct_set). c is the caller's
// and is referred to from now on.
func Set(b *skb.Buff, c *Conn, info Info) {
	if c == nil {
		b.SetNFCT(nil, uint8(info))
		return
	}
	c.NFGet()
	b.SetNFCT(c, uint8(info))
}

// NoTrack says that the packet shall not be tracked (the target NOTRACK, CT
// --notrack).
func NoTrack(b *skb.Buff) { Set(b, nil, Untracked) }
