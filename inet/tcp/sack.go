package tcp

import (
	"encoding/binary"
	"slices"

	"barewire/inet/mib"
	"barewire/skb"
)

func (s *Sock) isSack() bool { return s.opt.sackOK }

// highestSackSeq returns the end of the highest SACK (Linux:
// tcp_highest_sack_seq).
func (s *Sock) highestSackSeq() uint32 {
	if s.sackedOut == 0 {
		return s.sndUna
	}
	return s.highSack
}

// sackBlockValid reports whether a block of the peer's makes sense (Linux:
// tcp_is_sackblock_valid).
func (s *Sock) sackBlockValid(dsack bool, b sackBlock) bool {
	switch {
	case after(b.end, s.sndNxt) || !before(b.start, b.end), !before(b.start, s.sndNxt):
		return false
	case after(b.start, s.sndUna):
		return true
	case !dsack || s.undoMarker == 0:
		return false
	case after(b.end, s.sndUna):
		return false
	case !before(b.start, s.undoMarker):
		return true
	case !after(b.end, s.undoMarker):
		return false
	}
	return !before(b.start, b.end-s.maxWnd)
}

// dsackSeen counts packets that arrived twice (Linux: tcp_dsack_seen; RFC
// 2883); 0 for a block that means nothing.
func (s *Sock) dsackSeen(b sackBlock, st *sackState) uint32 {
	if !before(b.start, b.end) {
		return 0
	}
	n := b.end - b.start
	if n > s.maxWnd {
		return 0
	}
	dups := uint32(1)
	if n > uint32(s.mssCache) {
		dups = (n + uint32(s.mssCache) - 1) / uint32(s.mssCache)
	} else if s.tlpHighSeq != 0 && s.tlpHighSeq == b.end {
		st.flag |= flagDsackTLP
	}
	s.dsackDups += dups
	if s.dsackDups > s.totalRetrans {
		return 0 // not of our making
	}
	s.opt.sackSeen |= 2
	if s.reordSeen != 0 && st.flag&flagDsackTLP == 0 {
		s.rack.dsackSeen = true
	}
	st.flag |= flagDsacking
	st.sackDelivered += dups
	return dups
}

// checkDsack looks whether the first block is a D-SACK (Linux:
// tcp_check_dsack).
func (s *Sock) checkDsack(ack uint32, bl []sackBlock, priorUna uint32, st *sackState) bool {
	t := s.tcp
	b0 := bl[0]
	switch {
	case before(b0.start, ack):
		t.inc(mib.TCPDSACKRecv)
	case len(bl) > 1 && !after(b0.end, bl[1].end) && !before(b0.start, bl[1].start):
		t.inc(mib.TCPDSACKOfoRecv)
	default:
		return false
	}
	dups := s.dsackSeen(b0, st)
	if dups == 0 {
		t.inc(mib.TCPDSACKIgnoredDubious)
		return false
	}
	t.add(mib.TCPDSACKRecvSegs, int(dups))
	if s.undoMarker != 0 && s.undoRetrans > 0 && !after(b0.end, priorUna) && after(b0.end, s.undoMarker) {
		s.undoRetrans = max(0, s.undoRetrans-int32(dups))
	}
	return true
}

// sacktag marks what the SACK blocks of an ACK name (Linux:
// tcp_sacktag_write_queue; RFC 2018, RFC 6675).
func (s *Sock) sacktag(b *skb.Buff, opt []byte, priorUna uint32, st *sackState) int {
	st.flag = 0
	st.reord = s.sndNxt
	var arr [sackBlocks]sackBlock
	n := min(len(opt)/8, sackBlocks)
	for i := range n {
		arr[i] = sackBlock{binary.BigEndian.Uint32(opt[8*i:]), binary.BigEndian.Uint32(opt[8*i+4:])}
	}
	bl := arr[:n]
	if s.sackedOut == 0 {
		s.highSack = s.sndUna
	}
	foundDup := s.checkDsack(rx(b).ack, bl, priorUna, st)
	// An ACK from before the window says nothing new, unless it is a D-SACK's.
	if before(rx(b).ack, priorUna-s.maxWnd) {
		return 0
	}
	if s.packetsOut == 0 {
		s.sackOut(st)
		return st.flag
	}
	dup := sackBlock{}
	used := bl[:0]
	for i, x := range bl {
		dsack := foundDup && i == 0
		if !s.sackBlockValid(dsack, x) {
			switch {
			case dsack && s.undoMarker == 0:
				s.tcp.inc(mib.TCPDSACKIgnoredNoUndo)
			case dsack:
				s.tcp.inc(mib.TCPDSACKIgnoredOld)
			case rx(b).ack != s.sndUna && !after(x.end, s.sndUna):
				continue // of an old ACK: not counted
			default:
				s.tcp.inc(mib.TCPSACKDiscard)
			}
			continue
		}
		if !after(x.end, priorUna) {
			if !dsack {
				continue
			}
		}
		if dsack {
			dup = x
		}
		used = append(used, x)
	}
	s.needSackLists()
	slices.SortFunc(used, func(a, b sackBlock) int { return int(int32(a.start - b.start)) })
	for _, x := range used {
		from := x.start
		if x != dup {
			// What the last ACK said already is marked.
			for _, c := range s.recvSacks {
				if c.start != c.end && !after(c.start, x.start) && after(c.end, x.start) {
					from = c.end
					break
				}
			}
			if !before(from, x.end) {
				continue
			}
		}
		s.sackWalk(x, from, x == dup, st)
	}
	// Remember, without the D-SACK.
	clear(s.recvSacks[:])
	k := 0
	for _, x := range used {
		if x != dup || !foundDup {
			s.recvSacks[k] = x
			k++
		}
	}
	if s.caState != caLoss || s.undoMarker != 0 {
		s.checkSackReordering(st.reord, false)
	}
	s.sackOut(st)
	return st.flag
}

func (s *Sock) sackOut(st *sackState) {
	if st.sackDelivered > 0 {
		s.countDelivered(st.sackDelivered, st.flag&flagECE != 0)
	}
}

// sackWalk marks the segments of one block, from from on (Linux:
// tcp_sacktag_walk).
func (s *Sock) sackWalk(x sackBlock, from uint32, dup bool, st *sackState) {
	for i := s.wq.find(from); i < s.wq.sent(); i++ {
		b := s.wq.at(i)
		cb := tx(b)
		if !before(cb.seq, x.end) {
			return
		}
		if cb.sacked&sackedAcked != 0 && !dup {
			continue
		}
		if !s.matchSack(i, x) {
			continue
		}
		b = s.wq.at(i)
		cb = tx(b)
		s.sackOne(b, cb, dup, st)
		s.rateSkbDelivered(b, &st.rs)
		if !before(cb.seq, s.highSack) {
			s.highSack = cb.end
		}
	}
}

// matchSack reports whether a block covers segment i, cutting a super-skb at a
// packet's boundary when it covers part of it (Linux: tcp_match_skb_to_sack).
func (s *Sock) matchSack(i int, x sackBlock) bool {
	b := s.wq.at(i)
	cb := tx(b)
	in := !after(x.start, cb.seq) && !before(x.end, cb.end)
	if cb.segs <= 1 || in || !after(cb.end, x.start) {
		return in
	}
	mss := segSize(b)
	in = !after(x.start, cb.seq)
	var n int
	if !in {
		n = max(int(x.start-cb.seq), mss)
	} else if n = int(x.end - cb.seq); n < mss {
		return false
	}
	if n > mss {
		k := n / mss * mss
		if !in && k < n {
			k += mss
		}
		n = k
	}
	if n >= b.Len() && !in {
		return false
	}
	if !s.fragment(i, n, mss, true) {
		return false
	}
	return in
}

// sackOne is tcp_sacktag_one.
func (s *Sock) sackOne(b *skb.Buff, cb *txCB, dup bool, st *sackState) {
	n := segs(b)
	retrans := cb.sacked & (sackedRetrans | everRetrans | repaired)
	if dup && retrans != 0 {
		if s.undoMarker != 0 && s.undoRetrans > 0 && after(cb.end, s.undoMarker) {
			s.undoRetrans = max(0, s.undoRetrans-int32(n))
		}
		if cb.sacked&sackedAcked != 0 && before(cb.seq, st.reord) {
			st.reord = cb.seq
		}
	}
	if !after(cb.end, s.sndUna) {
		return
	}
	if cb.sacked&sackedAcked == 0 {
		s.rackAdvance(cb.sacked, cb.end, b.Tstamp)
		if cb.sacked&sackedRetrans != 0 {
			// A retransmission thought lost was not.
			if cb.sacked&sackedLost != 0 {
				cb.sacked &^= sackedLost | sackedRetrans
				s.lostOut -= n
				s.retransOut -= n
			}
		} else {
			if retrans == 0 {
				if before(cb.seq, s.highestSackSeq()) && before(cb.seq, st.reord) {
					st.reord = cb.seq
				}
				if !after(cb.end, s.highSeq) {
					st.flag |= flagOrigSackAcked
				}
				if st.firstSackT == 0 {
					st.firstSackT = b.Tstamp
				}
				st.lastSackT = b.Tstamp
			}
			if cb.sacked&sackedLost != 0 {
				cb.sacked &^= sackedLost
				s.lostOut -= n
			}
		}
		cb.sacked |= sackedAcked
		st.flag |= flagDataSacked
		s.sackedOut += n
		st.sackDelivered += n
		st.delivered += cb.end - cb.seq
	}
	if dup && cb.sacked&sackedRetrans != 0 {
		cb.sacked &^= sackedRetrans
		s.retransOut -= n
	}
}

// checkSackReordering learns how far packets may overtake each other (Linux:
// tcp_check_sack_reordering).
func (s *Sock) checkSackReordering(low uint32, ts bool) {
	fack := s.highestSackSeq()
	if !before(low, fack) {
		return
	}
	metric := fack - low
	mss := uint32(s.mssCache)
	if metric > s.reordering*mss && mss != 0 {
		s.reordering = min((metric+mss-1)/mss, uint32(s.tcp.conf.maxReordering.Load()))
	}
	s.reordSeen++
	if ts {
		s.tcp.inc(mib.TCPTSReorder)
	} else {
		s.tcp.inc(mib.TCPSACKReorder)
	}
}

// Without SACK duplicate ACKs stand for packets that left the network (RFC
// 6582).

func (s *Sock) resetRenoSack() { s.sackedOut = 0 }

// addRenoSack is tcp_add_reno_sack.
func (s *Sock) addRenoSack(n uint32, ece bool) {
	if n == 0 {
		return
	}
	prior := s.sackedOut
	s.sackedOut += n
	s.checkRenoReordering(0)
	if d := int32(s.sackedOut - prior); d > 0 {
		s.countDelivered(uint32(d), ece)
	}
}

// removeRenoSacks is tcp_remove_reno_sacks.
func (s *Sock) removeRenoSacks(acked uint32, ece bool) {
	if acked > 0 {
		// One filled the hole, the rest eat duplicates counted before.
		s.countDelivered(uint32(max(int32(acked-s.sackedOut), 1)), ece)
		if acked-1 >= s.sackedOut {
			s.sackedOut = 0
		} else {
			s.sackedOut -= acked - 1
		}
	}
	s.checkRenoReordering(acked)
}

// checkRenoReordering is tcp_check_reno_reordering.
func (s *Sock) checkRenoReordering(addend uint32) {
	holes := max(s.lostOut, 1)
	holes = min(holes, s.packetsOut)
	if s.sackedOut+holes <= s.packetsOut {
		return
	}
	s.sackedOut = s.packetsOut - holes
	s.reordering = min(s.packetsOut+addend, uint32(s.tcp.conf.maxReordering.Load()))
	s.reordSeen++
	s.tcp.inc(mib.TCPRenoReorder)
}
