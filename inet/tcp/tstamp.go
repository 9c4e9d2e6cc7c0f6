package tcp

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
)

// StampKey implements sock.Stream: times are told with the offset of their byte
// from here.
func (s *Sock) StampKey(flags uint32) (uint32, error) {
	if inStates(s.State(), fClose|fListen) {
		return 0, syscall.EINVAL
	}
	if flags&sock.TimestampingOptIDTCP != 0 {
		return s.writeSeq, nil
	}
	return s.sndUna, nil
}

// wantTimes has the last byte written timed (Linux: tcp_tx_timestamp).
func (s *Sock) wantTimes(stamping uint32) {
	b := s.wq.tail()
	if b == nil {
		if b = s.wq.rtxTail(); b == nil {
			return
		}
	}
	sock.StreamTimes(b, stamping, s.writeSeq-1)
}

// stampSplit gives the times to that part of a segment that has the byte (Linux:
// tcp_fragment_tstamp).
func stampSplit(b, c *skb.Buff) {
	if !before(b.TSKey, tx(c).seq) {
		c.TxFlags, c.TSKey = b.TxFlags, b.TSKey
		b.TxFlags = 0
	}
}

// stampAck tells when the byte of a segment was acknowledged, if it was (Linux:
// tcp_ack_tstamp).
func (s *Sock) stampAck(b *skb.Buff, ttl uint8) {
	if b.TxFlags&skb.TxAck == 0 || !before(b.TSKey, s.sndUna) {
		return
	}
	b.TxFlags &^= skb.TxAck
	key := b.TSKey
	b.TSKey -= s.StampBase()
	s.noteStats(b.Tstamp, ttl)
	s.TxStamp(b, skb.TxAck)
	b.TSKey = key
}
