package tcp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// setSegs notes into how many packets a segment will be cut (Linux:
// tcp_set_skb_tso_segs).
func setSegs(b *skb.Buff, mss int) int {
	cb := tx(b)
	n := b.Len()
	if n <= mss {
		cb.segs, cb.gsoSize = 1, 0
		return 1
	}
	cb.segs, cb.gsoSize = uint16((n+mss-1)/mss), uint16(mss)
	return int(cb.segs)
}

// initSegs is tcp_init_tso_segs: again when the MSS changed.
func initSegs(b *skb.Buff, mss int) int {
	cb := tx(b)
	if cb.segs == 0 || cb.segs > 1 && int(cb.gsoSize) != mss {
		return setSegs(b, mss)
	}
	return int(cb.segs)
}

// segSize returns the bytes of each packet of a segment (Linux: tcp_skb_mss).
func segSize(b *skb.Buff) int {
	if g := int(tx(b).gsoSize); g != 0 {
		return g
	}
	return b.Len()
}

func segs(b *skb.Buff) uint32 { return uint32(tx(b).segs) }

// inFlight returns the packets in the network (Linux: tcp_packets_in_flight;
// RFC 6675 "pipe").
func (s *Sock) inFlight() uint32 { return s.packetsOut - s.leftOut() + s.retransOut }

// leftOut returns the packets that left the network, or so we think.
func (s *Sock) leftOut() uint32 { return s.sackedOut + s.lostOut }

// wndEnd returns the end of the peer's window.
func (s *Sock) wndEnd() uint32 { return s.sndUna + s.sndWnd }

// currentMSS returns the payload of the next packet (Linux: tcp_current_mss):
// the MSS less the options of the moment.
func (s *Sock) currentMSS() int {
	mss := s.mssCache
	if rt, _ := s.CachedRoute(s.Ident()); rt != nil {
		if mtu := rt.MTU(); mtu != s.pmtu {
			mss = s.syncMSS(mtu)
		}
	}
	var o outOpts
	s.establishedOptions(&o, 0)
	if h := header.TCPMinLen + o.size; h != s.headerLen {
		mss -= h - s.headerLen
	}
	return mss
}

// mtuToMSS is tcp_mtu_to_mss.
func (s *Sock) mtuToMSS(mtu int) int {
	n := min(mtu-header.IPv4MinLen-header.TCPMinLen, s.opt.mssClamp)
	if o := s.SendOptions(); o != nil {
		n -= o.Len
	}
	return max(n, int(s.tcp.conf.minMSS.Load())) - (s.headerLen - header.TCPMinLen)
}

func (s *Sock) mtuInit() { s.pmtu = 0 }

// syncMSS makes the MSS fit a path MTU (Linux: tcp_sync_mss).
func (s *Sock) syncMSS(mtu int) int {
	mss := s.boundToHalfWnd(s.mtuToMSS(mtu))
	s.pmtu = mtu
	mss = s.mtupBound(mtu, mss)
	s.mssCache = mss
	return mss
}

// boundToHalfWnd never sends more than half of the largest window the peer
// offered at once (Linux: tcp_bound_to_half_wnd).
func (s *Sock) boundToHalfWnd(n int) int {
	cut := int(s.maxWnd)
	if s.maxWnd > mssDefault {
		cut >>= 1
	}
	if cut != 0 && n > cut {
		return max(cut, 68-s.headerLen)
	}
	return n
}

// sendMSS returns the MSS and the size a super-skb grows to (Linux:
// tcp_send_mss, tcp_xmit_size_goal).
func (s *Sock) sendMSS(oob bool) (mss, goal int) {
	mss = s.currentMSS()
	if oob || s.md5.Load() != nil { // each packet is signed: no super-skbs
		return mss, mss
	}
	limit := s.boundToHalfWnd(maxSkbSize)
	return mss, max(mss, limit/mss*mss)
}

// nagleTest reports whether a segment may go now as far as small segments are
// concerned (Linux: tcp_nagle_test; RFC 9293 section 3.7.4 with Minshall's
// change).
func (s *Sock) nagleTest(b *skb.Buff, mss int, nonagle uint8) bool {
	if nonagle&naglePush != 0 || s.urgMode || tx(b).flags&header.TCPFin != 0 {
		return true
	}
	return !s.nagleCheck(b.Len() < mss, nonagle)
}

func (s *Sock) nagleCheck(partial bool, nonagle uint8) bool {
	return partial && (nonagle&nagleCork != 0 || nonagle == 0 && s.packetsOut != 0 && s.minshallCheck())
}

// minshallCheck reports whether a short segment is still unacknowledged.
func (s *Sock) minshallCheck() bool {
	return after(s.sndSML, s.sndUna) && !after(s.sndSML, s.sndNxt)
}

// cwndTest returns how many packets the congestion window lets go (Linux:
// tcp_cwnd_test).
func (s *Sock) cwndTest() uint32 {
	in := s.inFlight()
	if in >= s.cwnd {
		return 0
	}
	// At least two rounds a window, so that the ACK clock keeps ticking.
	return min(max(s.cwnd>>1, 1), s.cwnd-in)
}

// wndTest reports whether at least a packet of b fits the peer's window (Linux:
// tcp_snd_wnd_test).
func (s *Sock) wndTest(b *skb.Buff, mss int) bool {
	end := tx(b).end
	if b.Len() > mss {
		end = tx(b).seq + uint32(mss)
	}
	return !after(end, s.wndEnd())
}

// tsoSegs returns how many packets one super-skb should be (Linux:
// tcp_tso_autosize): a millisecond's worth at the pacing rate, more when the
// path is short.
func (s *Sock) tsoSegs(mss int) uint32 {
	if s.md5.Load() != nil {
		return 1
	}
	c := &s.tcp.conf
	bytes := s.pacingRate >> pacingShift
	if r := s.rttMin.get() >> uint(c.tsoRTTLog.Load()); r < 32 {
		bytes += uint64(maxSkbSize) >> r
	}
	bytes = min(bytes, maxSkbSize)
	least := uint32(c.minTSO.Load())
	if s.ca.minTSO != nil {
		least = s.ca.minTSO(s)
	}
	return max(uint32(bytes)/uint32(mss), least)
}

// mssSplitPoint returns how many bytes of b to send now (Linux:
// tcp_mss_split_point).
func (s *Sock) mssSplitPoint(b *skb.Buff, mss int, maxSegs uint32, nonagle uint8) int {
	window := int(s.wndEnd() - tx(b).seq)
	most := mss * int(maxSegs)
	if most <= window && b != s.wq.tail() {
		return most
	}
	needed := min(b.Len(), window)
	if most <= needed {
		return most
	}
	partial := needed % mss
	// A short last piece waits if Nagle says so.
	if s.nagleCheck(partial != 0, nonagle) {
		return needed - partial
	}
	return needed
}

// tsoShouldDefer reports whether to wait for more of the window before a
// super-skb is sent (Linux: tcp_tso_should_defer).
func (s *Sock) tsoShouldDefer(b *skb.Buff, maxSegs uint32) (deferIt, cwndLim, rwndLim bool) {
	if s.caState >= caRecovery {
		return false, false, false
	}
	if s.ns()-s.lsndtime > 1*ms && s.lsndtime != 0 {
		return false, false, false
	}
	in := s.inFlight()
	sendWin := s.wndEnd() - tx(b).seq
	congWin := (s.cwnd - in) * uint32(s.mssCache)
	limit := min(sendWin, congWin)
	if limit >= maxSegs*uint32(s.mssCache) {
		return false, false, false
	}
	if b != s.wq.tail() && limit >= uint32(b.Len()) {
		return false, false, false
	}
	if d := uint32(s.tcp.conf.tsoWinDivisor.Load()); d != 0 {
		if chunk := min(s.sndWnd, s.cwnd*uint32(s.mssCache)) / d; limit >= chunk {
			return false, false, false
		}
	} else if limit > 3*uint32(s.mssCache) {
		return false, false, false
	}
	// If the next ACK is likely to come late, do not wait for it.
	head := s.wq.rtxHead()
	if head == nil {
		return false, false, false
	}
	if s.mstamp-head.Tstamp < int64(s.srtt>>4) {
		return false, false, false
	}
	if congWin < sendWin {
		if congWin <= uint32(b.Len()) {
			return true, true, false
		}
	} else if sendWin <= uint32(b.Len()) {
		return true, false, true
	}
	if tx(b).flags&header.TCPFin != 0 || tx(b).eor {
		return false, false, false
	}
	return true, false, false
}

// writeXmit sends what the windows let go (Linux: tcp_write_xmit). pushOne 1
// sends one packet at most, 2 one even beyond the congestion window (a loss
// probe). It reports whether something waits with nothing in flight.
func (s *Sock) writeXmit(mss int, nonagle uint8, pushOne int) bool {
	s.refresh()
	maxSegs := s.tsoSegs(mss)
	sent := uint32(0)
	if pushOne == 0 {
		switch s.mtuProbe() {
		case probeWait:
			return false
		case probeSent:
			sent = 1
		}
	}
	rwnd, cwndLim := false, false
	for {
		b := s.wq.sendHead()
		if b != nil && s.repairing() && s.rare.queue == repairSendQueue {
			s.repairSent(b, mss)
			continue
		}
		if b == nil || s.pacingCheck() {
			break
		}
		n := initSegs(b, mss)
		quota := s.cwndTest()
		if quota == 0 {
			if pushOne != 2 {
				break
			}
			quota = 1
		}
		if !s.wndTest(b, mss) {
			rwnd = true
			break
		}
		if n == 1 {
			nn := nonagle
			if b != s.wq.tail() {
				nn = naglePush // there is more behind it
			}
			if !s.nagleTest(b, mss, nn) {
				break
			}
		} else if pushOne == 0 {
			d, c, r := s.tsoShouldDefer(b, maxSegs)
			cwndLim, rwnd = cwndLim || c, rwnd || r
			if d {
				break
			}
		}
		limit := mss
		if n > 1 && !s.urgMode {
			limit = s.mssSplitPoint(b, mss, min(quota, maxSegs), nonagle)
		}
		if b.Len() > limit && !s.fragment(s.wq.sent(), limit, mss, false) {
			break
		}
		if s.smallQueueCheck(b, 0) {
			break
		}
		if s.transmit(b, true, s.rcvNxt) != nil {
			break
		}
		s.newDataSent(b)
		s.minshallUpdate(mss, b)
		sent += segs(b)
		if pushOne != 0 {
			break
		}
	}
	cwndLim = cwndLim || s.inFlight() >= s.cwnd
	if sent > 0 || cwndLim {
		s.cwndValidate(cwndLim)
	}
	if rwnd {
		s.chronoStart(chronoRwnd)
	} else {
		s.chronoStop(chronoRwnd)
	}
	if sent > 0 {
		if s.inRecovery() {
			s.prrOut += sent
		}
		if pushOne != 2 {
			s.scheduleLossProbe(false)
		}
		return false
	}
	return s.packetsOut == 0 && !s.wq.empty()
}

// newDataSent moves the first unsent segment to those that were (Linux:
// tcp_event_new_data_sent).
func (s *Sock) newDataSent(b *skb.Buff) {
	prior := s.packetsOut
	s.sndNxt = tx(b).end
	s.wq.nrtx++
	s.packetsOut += segs(b)
	if prior == 0 || s.pending == timeLossProbe {
		s.rearmRTO()
	}
	s.tcp.add(mib.TCPOrigDataSent, int(tx(b).segs))
}

func (s *Sock) minshallUpdate(mss int, b *skb.Buff) {
	if b.Len() < int(tx(b).segs)*mss {
		s.sndSML = tx(b).end
	}
}

// pushPending sends what waits (Linux: __tcp_push_pending_frames) and probes
// the window when nothing could be sent.
func (s *Sock) pushPending(mss int, nonagle uint8) {
	if s.State() == Close || s.wq.sendHead() == nil {
		return
	}
	if s.writeXmit(mss, nonagle, 0) {
		s.checkProbeTimer()
	}
}

// pushOne sends the first waiting segment whatever Nagle says (Linux:
// tcp_push_one).
func (s *Sock) pushOne(mss int) {
	if s.wq.sendHead() != nil {
		s.writeXmit(mss, naglePush, 1)
	}
}

// rebuildRoute finds the way to the peer again (Linux: inet_sk_rebuild_header,
// the routing part of __ip_queue_xmit).
func (s *Sock) rebuildRoute(id *ip.Ident) (*ip.Rtable, header.Addr, syscall.Errno) {
	f := s.flow(id)
	rt, gen, err := s.RouteOutput(&f)
	if err != 0 {
		return nil, 0, err
	}
	s.KeepRoute(rt, id.Saddr, gen)
	return rt, id.Saddr, 0
}
