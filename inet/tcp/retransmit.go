package tcp

import (
	"syscall"

	"barewire/inet/mib"
	"barewire/skb/header"
)

// Sending again (Linux: tcp_retransmit_skb).

// retransmitSkb sends the segment at index i again, at most n packets of it
// (Linux: __tcp_retransmit_skb). An error means that it did not go.
func (s *Sock) retransmitSkb(i int, n uint32) error {
	b := s.wq.at(i)
	cb := tx(b)
	if s.mtuProbing() {
		s.mtuProbeAbandon()
	}
	if before(cb.seq, s.sndUna) {
		if cb.flags&header.TCPSyn != 0 {
			cb.flags &^= header.TCPSyn
			cb.seq++
		} else if before(cb.end, s.sndUna) {
			return syscall.EINVAL
		}
		if before(cb.seq, s.sndUna) && !s.trimHead(b, int(s.sndUna-cb.seq)) {
			return syscall.ENOMEM
		}
	}
	if rt, _ := s.CachedRoute(s.Ident()); rt == nil {
		if _, _, err := s.rebuildRoute(s.Ident()); err != 0 {
			return syscall.EHOSTUNREACH
		}
	}
	if s.md5.Load() != nil {
		n = 1
	}
	mss := s.currentMSS()
	avail := int(int32(s.wndEnd() - cb.seq))
	if avail <= 0 {
		// The peer took its window back over it. Only the first segment goes,
		// as a probe of the window.
		if cb.seq != s.sndUna {
			return syscall.EAGAIN
		}
		avail = mss
	}
	most := mss * int(n)
	if most > avail {
		if most = avail / mss * mss; most == 0 {
			most = avail
		}
	}
	if b.Len() > most {
		if !s.fragment(i, most, mss, true) {
			return syscall.ENOMEM
		}
	} else {
		old := int(cb.segs)
		if d := old - setSegs(b, mss); d != 0 {
			s.adjustPcount(b, d)
		}
		if avail = min(avail, mss); b.Len() < avail {
			s.retransCollapse(i, avail)
		}
	}
	if cb.flags&(header.TCPSyn|header.TCPEce|header.TCPCwr) == header.TCPSyn|header.TCPEce|header.TCPCwr {
		s.ecnClearSyn(cb)
	}
	k := segs(b)
	s.tcp.stats.RetransSegs.Add(uint64(k))
	if cb.flags&header.TCPSyn != 0 {
		s.tcp.inc(mib.TCPSynRetrans)
	}
	s.totalRetrans += k
	s.bytesRetrans += uint64(b.Len())
	err := s.transmit(b, true, s.rcvNxt)
	if err == nil {
		cb.sacked |= everRetrans
	} else if err != syscall.EBUSY {
		s.tcp.add(mib.TCPRetransFail, int(k))
	}
	return err
}

// retransCollapse joins small segments that are sent again anyhow (Linux:
// tcp_retrans_try_collapse), up to space bytes.
func (s *Sock) retransCollapse(i, space int) {
	if s.tcp.conf.retransCollapse.Load() == 0 {
		return
	}
	b := s.wq.at(i)
	cb := tx(b)
	if cb.flags&header.TCPSyn != 0 {
		return
	}
	for i+1 < s.wq.sent() {
		n := s.wq.at(i + 1)
		nc := tx(n)
		if n.Len() == 0 || nc.segs > 1 || nc.sacked&sackedAcked != 0 || nc.flags&header.TCPFin != 0 || cb.eor {
			return
		}
		if b.Len()+n.Len() > space || after(nc.end, s.wndEnd()) || b.Cloned() || n.Cloned() || n.Len() > b.Tailroom() {
			return
		}
		if !b.Coalesce(n) {
			return
		}
		cb.end = nc.end
		cb.flags |= nc.flags
		cb.sacked |= nc.sacked & everRetrans
		cb.eor = nc.eor
		s.adjustPcount(n, int(nc.segs))
		s.wq.remove(i + 1)
		s.freeTx(n)
	}
}

// retransmit is tcp_retransmit_skb: it also counts what is in flight again.
func (s *Sock) retransmit(i int, n uint32) error {
	err := s.retransmitSkb(i, n)
	if err == nil {
		b := s.wq.at(i)
		cb := tx(b)
		cb.sacked |= sackedRetrans
		s.retransOut += segs(b)
	}
	// The first retransmission's time tells later whether it was needed.
	if s.retransStamp == 0 {
		s.retransStamp = s.wq.at(i).Tstamp
	}
	if s.undoRetrans < 0 {
		s.undoRetrans = 0
	}
	s.undoRetrans += int32(segs(s.wq.at(i)))
	return err
}
