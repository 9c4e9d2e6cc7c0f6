package tcp

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// What reading and writing are while TCP_REPAIR is on: the queues are looked at
// and filled, the peer is told nothing.

// repairSend fills the receive queue, or says that the send queue is meant by
// the ordinary way (Linux: the repair part of tcp_sendmsg_locked).
func (s *Sock) repairSend(m *sock.Msg) (n int, done bool, err error) {
	switch s.rare.queue {
	case repairSendQueue:
		return 0, false, nil
	case repairRecvQueue:
		n, err = s.repairReceived(m)
		return n, true, err
	}
	return 0, true, syscall.EINVAL
}

// repairReceived queues bytes as if the peer had sent them (Linux:
// tcp_send_rcvq).
func (s *Sock) repairReceived(m *sock.Msg) (int, error) {
	it := sock.Iter{Iov: m.Iov}
	total, done := m.Len(), 0
	for done < total {
		n := min(total-done, 1<<15)
		b := it.NewPacket(s.tcp.cache, n, 0)
		if b == nil {
			break
		}
		*rx(b) = rxCB{seq: s.rcvNxt, end: s.rcvNxt + uint32(n), ack: s.sndUna - 1, flags: header.TCPAck}
		if !s.chargeRx(b) {
			b.Free(skb.ProtoMem)
			break
		}
		s.queueRcv(b)
		done += n
	}
	if done == 0 && total > 0 {
		return 0, syscall.ENOMEM
	}
	return done, nil
}

// repairSent takes a segment as sent (Linux: tcp_write_xmit, the label repair).
func (s *Sock) repairSent(b *skb.Buff, mss int) {
	initSegs(b, mss)
	tx(b).sacked |= repaired
	b.Tstamp = s.mstamp
	s.newDataSent(b)
}

// repairPeek looks into the queue chosen (Linux: tcp_peek_sndq). done is false
// for the receive queue, which is peeked at as always.
func (s *Sock) repairPeek(m *sock.Msg, flags int) (n int, done bool, err error) {
	switch {
	case flags&syscall.MSG_PEEK == 0:
		return 0, true, syscall.EPERM
	case s.rare.queue == repairRecvQueue:
		return 0, false, nil
	case s.rare.queue == repairNoQueue:
		return 0, true, syscall.EINVAL
	}
	var out outIter
	out.iov = m.Iov
	room := m.Len()
	for i := 0; i < s.wq.len() && n < room; i++ {
		b := s.wq.at(i)
		c := min(b.Len(), room-n)
		if c > 0 && !out.copy(b, 0, c) {
			return n, true, syscall.EFAULT
		}
		n += c
	}
	return n, true, nil
}
