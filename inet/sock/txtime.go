package sock

import (
	"syscall"

	"barewire/skb"
)

// When packets were sent, told on the error queue (Linux: skb_tstamp_tx,
// Documentation/networking/timestamping.rst).

// What ee_info says of a time (Linux: SCM_TSTAMP_*).
const (
	tstampSnd   = 0
	tstampSched = 1
	tstampAck   = 2
)

// WantTimes marks a packet, which sk owns, with the moments the program wants to
// hear of (Linux: sock_tx_timestamp, and the key of ip_append_data).
func (sk *Sock) WantTimes(b *skb.Buff, c *Cookie) {
	if c.Stamping&txRecord == 0 {
		return
	}
	if c.Stamping&TimestampingTxSoftware != 0 {
		b.TxFlags |= skb.TxSoftware
	}
	if c.Stamping&TimestampingTxSched != 0 {
		b.TxFlags |= skb.TxSched
	}
	switch {
	case c.Stamping&TimestampingOptID == 0:
	case c.HasTSKey:
		b.TSKey = c.TSKey
	default:
		b.TSKey = sk.tskey.Add(1) - 1
	}
}

// Stamping returns which times of its packets the program wants,
// SOF_TIMESTAMPING_*.
func (sk *Sock) Stamping() uint32 { return sk.stamping.Load() }

// StampBase returns what SOF_TIMESTAMPING_OPT_ID counts from on a stream.
func (sk *Sock) StampBase() uint32 { return sk.tskey.Load() }

// StreamTimes marks a segment of a stream, whose last byte is number key, with
// the moments stamping asks for (Linux: tcp_tx_timestamp).
func StreamTimes(b *skb.Buff, stamping, key uint32) {
	if stamping&txRecord == 0 {
		return
	}
	b.TxFlags = 0
	if stamping&TimestampingTxSoftware != 0 {
		b.TxFlags |= skb.TxSoftware
	}
	if stamping&TimestampingTxSched != 0 {
		b.TxFlags |= skb.TxSched
	}
	if stamping&TimestampingTxAck != 0 {
		b.TxFlags |= skb.TxAck
	}
	b.TSKey = key
}

// TxStamp implements skb.TxStamper: it puts the time on the error queue, with
// the frame as it is unless the program wants the time only.
func (sk *Sock) TxStamp(b *skb.Buff, at skb.TxFlags) {
	flags := sk.stamping.Load()
	var c *skb.Buff
	stats := flags&TimestampingOptStats != 0 && sk.stream != nil
	if stats || flags&TimestampingOptTSOnly != 0 {
		c = b.Cache().Alloc(0)
	} else {
		c = b.Clone()
	}
	if c == nil {
		return
	}
	c.Tstamp = sk.clock.Now()
	e := ExtErr{Errno: syscall.ENOMSG, Origin: OriginTimestamping, Info: tstampSnd}
	switch at {
	case skb.TxSched:
		e.Info = tstampSched
	case skb.TxAck:
		e.Info = tstampAck
	}
	if flags&TimestampingOptID != 0 {
		e.Data = b.TSKey
	}
	if stats {
		var p [512]byte
		if s := sk.stream.StampStats(p[:0]); len(s) > 0 && len(s) <= c.Tailroom() {
			copy(c.Put(len(s)), s)
			e.Stats = true
		}
	}
	sk.QueueErr(c, &e)
}
