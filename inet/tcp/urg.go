package tcp

import (
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Urgent data (RFC 9293 section 3.8.5, with Linux's reading of the pointer).
const (
	urgValid  = 0x100
	urgNotYet = 0x200
	urgRead   = 0x400
)

// rcvUrg is tcp_urg.
func (s *Sock) rcvUrg(b *skb.Buff, h header.TCP) {
	if h.Flags()&header.TCPUrg != 0 {
		s.checkUrg(b, h)
	}
	if s.urgData == urgNotYet {
		// Has the byte itself arrived?
		if at := s.urgSeq - rx(b).seq + uint32(len(h)); at < uint32(b.Len()) {
			var p [1]byte
			b.CopyBits(int(at), p[:])
			s.urgData = urgValid | uint16(p[0])
			if !s.Flag(sock.FlagDead) {
				s.wake(wakeData)
			}
		}
	}
}

// checkUrg is tcp_check_urg.
func (s *Sock) checkUrg(b *skb.Buff, h header.TCP) {
	ptr := uint32(h.Urgent())
	if ptr != 0 && s.tcp.conf.stdurg.Load() == 0 {
		ptr--
	}
	ptr += rx(b).seq
	if after(s.copied, ptr) || before(ptr, s.rcvNxt) {
		return // read already, or in what came before
	}
	if s.urgData != 0 && !after(ptr, s.urgSeq) {
		return
	}
	s.wake(wakeUrg)
	// A second urgent byte makes the first an ordinary one.
	if s.urgSeq == s.copied && s.urgData != 0 && !s.Flag(sock.FlagOOBInline) && s.copied != s.rcvNxt {
		s.copied++
		if q := s.rq.Head(); q != nil && !before(s.copied, rx(q).end) {
			s.rq.Remove(q)
			s.unchargeRx(q)
			q.Consume()
		}
	}
	s.urgData = urgNotYet
	s.urgSeq = ptr
	s.pred = predict{}
}
