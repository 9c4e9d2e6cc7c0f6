package tcp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Bits of nonagle (Linux: TCP_NAGLE_*).
const (
	nagleOff uint8 = 1 << iota
	nagleCork
	naglePush
)

// transmit gives a segment its header and sends it (Linux:
// __tcp_transmit_skb). With clone b stays in the send queue and a clone goes
// out; otherwise b is consumed. ack is the acknowledgment number if b carries
// one. Errors are those of the IP layer; the segment counts as sent all the
// same.
func (s *Sock) transmit(b *skb.Buff, clone bool, ack uint32) error {
	t := s.tcp
	cb := *tx(b)
	prior := int64(0)
	if cb.segs > 1 {
		cb.flags |= header.TCPPsh // the receiver hands a super-segment up at once
	}
	if clone {
		cb := tx(b)
		b.Tstamp, prior = s.stampSent()
		s.rateSkbSent(cb, b.Tstamp)
		var n *skb.Buff
		if b.Cloned() {
			// The last copy is still on its way, or in the queue of a receiver
			// on this host: its header must stay.
			n = b.CopyHeader()
		} else {
			n = b.Clone()
		}
		if n == nil {
			return syscall.ENOBUFS
		}
		if b.TxFlags != 0 {
			n.TxFlags, n.TSKey = b.TxFlags&^skb.TxAck, b.TSKey-s.StampBase()
		}
		b = n
	}
	// The IP layer and the receiver use these words for themselves.
	b.CB = [6]uint64{}
	b.Tstamp = 0

	var o outOpts
	if cb.flags&header.TCPSyn != 0 {
		s.synOptions(&o, s.tsNow(s.mstamp))
		if cb.flags&header.TCPAck != 0 && s.ecn&ecnAcc != 0 && s.retransmits < 2 && t.conf.ecnOption.Load() != 0 {
			o.fitAccECN(0, true) // simultaneous open
		}
	} else {
		s.establishedOptions(&o, s.tsNow(s.mstamp))
	}
	hlen := header.TCPMinLen + o.size
	payload := b.Len()
	id := s.Ident()
	f := header.TCPFields{SrcPort: id.Num, DstPort: id.Dport, Seq: cb.seq, Ack: ack, HeaderLen: hlen, Flags: cb.flags}
	if cb.flags&header.TCPSyn != 0 {
		// RFC 7323 section 2.2: the window of a SYN is never scaled.
		f.Window = uint16(min(s.rcvWnd, 65535))
	} else {
		f.Window = s.selectWindow()
	}
	h := header.PutTCP(b.Push(hlen), &f)
	o.put(h.Options())
	if s.urgMode && before(cb.seq, s.sndUp) {
		// RFC 9293 section 3.8.5: as far as the pointer reaches.
		if before(s.sndUp, cb.seq+0x10000) {
			h.SetUrgent(uint16(s.sndUp - cb.seq))
		} else if after(cb.seq+0xffff, s.sndNxt) {
			h.SetUrgent(0xffff)
		}
	}
	if cb.segs > 1 {
		si := b.Shinfo()
		si.GSOSize, si.GSOSegs, si.GSOType = cb.gsoSize, cb.segs, skb.GSOTCPv4
	} else if si := b.Shinfo(); si.GSOSize != 0 {
		si.GSOSize, si.GSOSegs, si.GSOType = 0, 0, 0
	}
	if cb.ae {
		h[12] |= 1
	}
	s.ecnSend(b, &cb, h, payload)
	if s.ecn&ecnAcc != 0 {
		s.accSent(&o)
	}
	if o.md5 != nil {
		t.md5.sign(h.Options()[o.md5At:], o.md5, b, h, id.Saddr, id.Daddr)
	}
	if cb.flags&header.TCPAck != 0 {
		s.ackSent(ack)
	}
	if payload > 0 {
		s.dataSent()
		s.dataSegsOut += max(1, uint32(cb.segs))
		s.bytesSent += uint64(payload)
	}
	if b.TxFlags != 0 {
		s.noteStats(s.mstamp, 0)
	}
	segs := max(1, uint32(cb.segs))
	if after(cb.end, s.sndNxt) || cb.seq == cb.end {
		t.stats.OutSegs.Add(uint64(segs))
	}
	s.segsOut += segs
	switch err := s.queueXmit(b, h, id, int(segs)); {
	case err == syscall.ENOBUFS:
		s.enterCWR() // the device's queue is full: that is congestion, and close by (Linux: NET_XMIT_DROP)
		return err
	case err == nil && clone:
		s.paceSent(payload, prior)
		return nil
	default:
		return err
	}
}

// queueXmit sends a segment with its TCP header by the sock's route (Linux:
// __ip_queue_xmit). Consumes b.
func (s *Sock) queueXmit(b *skb.Buff, h header.TCP, id *ip.Ident, segs int) error {
	rt, src := s.CachedRoute(id)
	if rt == nil {
		var err syscall.Errno
		if rt, src, err = s.rebuildRoute(id); err != 0 {
			s.IP.MIB.IP.OutNoRoutes.Add(1)
			b.Free(skb.IPOutNoRoutes)
			return err
		}
	}
	b.Priority, b.Mark = s.Priority(), s.Mark()
	b.Sk = &s.Sock.Sock
	s.setOwner(b)
	putChecksum(b, h, src, id.Daddr, rt)
	b.Hash = s.e.hash
	b.L4Hash = true
	b.IgnoreDF = s.IgnoreDF()
	x := ip.Xmit{Src: src, Dst: id.Daddr, Proto: header.ProtoTCP, TOS: s.TOS() | s.ecnBits(h), TTL: s.TTL(false), Opt: s.SendOptions(),
		DF: s.DontFragment(0, rt), ID: s.NextIDs(segs), FixedID: true}
	s.IP.Push(b, rt, &x)
	return s.IP.LocalOut(b)
}

// putChecksum leaves the checksum to the device, or to the cutting of a
// super-packet, and computes it otherwise (Linux: tcp_v4_send_check).
func putChecksum(b *skb.Buff, h header.TCP, src, dst header.Addr, rt *ip.Rtable) {
	pseudo := header.PseudoSum(src, dst, header.ProtoTCP, b.Len())
	if b.IsGSO() || rt.Dev.Features()&napi.FeatureHWCsum != 0 {
		if b.SetCsumPartial(0, 16) {
			h.SetChecksum(^skb.CsumFold(pseudo))
			return
		}
	}
	h.SetChecksum(skb.CsumFold(b.Checksum(0, b.Len(), pseudo)))
	b.IPSummed = skb.ChecksumNone
}

// selectWindow returns the window to advertise (Linux: tcp_select_window): what
// was offered is never taken back (RFC 9293 section 3.8.6.2.1), unless
// tcp_shrink_window wants it.
func (s *Sock) selectWindow() uint16 {
	old := s.rcvWnd
	if s.ack.pending&ackNoMem != 0 {
		s.pred = predict{}
		s.rcvWnd = 0
		s.rcvWup = s.rcvNxt
		return 0
	}
	cur := s.receiveWindow()
	nw := s.computeWindow()
	if nw < cur {
		if !s.mayShrink() {
			if nw == 0 {
				s.tcp.inc(mib.TCPWantZeroWindowAdv)
			}
			nw = (cur + 1<<s.opt.rcvWScale - 1) >> s.opt.rcvWScale << s.opt.rcvWScale
		}
	}
	s.rcvWnd = nw
	s.rcvWup = s.rcvNxt
	if s.opt.rcvWScale == 0 && s.tcp.conf.workaround.Load() != 0 {
		nw = min(nw, maxWindow)
	} else {
		nw = min(nw, 65535<<s.opt.rcvWScale)
	}
	nw >>= s.opt.rcvWScale
	if nw == 0 {
		s.pred = predict{}
		if old != 0 {
			s.tcp.inc(mib.TCPToZeroWindowAdv)
		}
	} else if old == 0 {
		s.tcp.inc(mib.TCPFromZeroWindowAdv)
	}
	return uint16(nw)
}

// receiveWindow returns what is left of the window offered last (Linux:
// tcp_receive_window).
func (s *Sock) receiveWindow() uint32 {
	if w := int32(s.rcvWup + s.rcvWnd - s.rcvNxt); w > 0 {
		return uint32(w)
	}
	return 0
}

// computeWindow returns the window there is room for (Linux:
// __tcp_select_window), without steps smaller than a segment (RFC 9293 section
// 3.8.6.2.2).
func (s *Sock) computeWindow() uint32 {
	mss := int(s.ack.rcvMSS)
	free, allowed := s.space(), s.fullSpace()
	full := min(allowed, int(s.winClamp))
	if mss > full {
		mss = full
		if mss <= 0 {
			return 0
		}
	}
	if s.mayShrink() {
		return s.shrinkingWindow(free, full, allowed, mss)
	}
	if free < full/2 {
		s.ack.quick = 0
		if s.underPressure() {
			s.rcvSSThr = min(s.rcvSSThr, uint32(4*s.advMSS))
		}
		// Round down to what the scaled window can say; when there is next to
		// nothing, say nothing.
		free = free >> s.opt.rcvWScale << s.opt.rcvWScale
		if free < allowed>>4 || free < mss {
			return 0
		}
	}
	free = min(free, int(s.rcvSSThr))
	if s.opt.rcvWScale != 0 {
		return uint32((free + 1<<s.opt.rcvWScale - 1) >> s.opt.rcvWScale << s.opt.rcvWScale)
	}
	w := int(s.rcvWnd)
	// Multiples of the segment size, unless the difference is small.
	if w <= free-mss || w > free {
		w = free / mss * mss
	} else if mss == full && free > w+full/2 {
		w = free
	}
	return uint32(w)
}

// initSkb makes a segment without data (Linux: tcp_init_nondata_skb). Nil when
// memory ran out.
func (s *Sock) initSkb(flags uint8, seq uint32) *skb.Buff {
	b := s.tcp.cache.Alloc(frontRoom)
	if b == nil {
		return nil
	}
	b.Reserve(frontRoom)
	cb := tx(b)
	*cb = txCB{seq: seq, end: seq, flags: flags, segs: 1}
	if flags&(header.TCPSyn|header.TCPFin) != 0 {
		cb.end++
	}
	return b
}

// sendAck acknowledges what was received (Linux: tcp_send_ack).
func (s *Sock) sendAck() { s.sendAckACE(0) }

// sendAckACE is sendAck with a field ACE, 0 for the usual.
func (s *Sock) sendAckACE(ace uint8) {
	if s.State() == Close {
		return
	}
	b := s.initSkb(header.TCPAck, s.acceptableSeq())
	if b == nil {
		// Try again later, with patience.
		delay := delackMax << s.ack.retry
		if delay < s.rtoMax {
			s.ack.retry++
		}
		s.ack.pending |= ackSched
		s.ack.ato = atoMin
		s.resetTimer(timeDack, delay)
		return
	}
	if ace != 0 {
		tx(b).setACE(ace)
	}
	s.transmit(b, false, s.rcvNxt)
}

// acceptableSeq returns the sequence number of a segment without data (Linux:
// tcp_acceptable_seq): within the window, so that the peer takes it.
func (s *Sock) acceptableSeq() uint32 {
	end := s.sndUna + s.sndWnd
	if !before(end, s.sndNxt) || s.opt.wscaleOK && s.sndNxt-end < 1<<s.opt.rcvWScale {
		return s.sndNxt
	}
	return end
}

// dataSent is tcp_event_data_sent.
func (s *Sock) dataSent() {
	now := s.ns()
	if s.packetsOut == 0 {
		s.caEvent(caTxStart)
	}
	s.lsndtime = now
	// Data soon after data: it answers what came, and the ACK rides with it.
	if now-s.ack.lrcvtime < s.ack.ato {
		s.incPingpong()
	}
}

// ackSent is tcp_event_ack_sent.
func (s *Sock) ackSent(ack uint32) {
	s.compSent()
	if ack != s.rcvNxt {
		return // of a compressed ACK
	}
	s.decQuickack()
	s.clearTimer(timeDack)
}

// selectInitialWindow chooses the first window and the scale (Linux:
// tcp_select_initial_window).
func (t *TCP) selectInitialWindow(space int, mss int, clamp uint32, wscaleOK bool, initRwnd uint32) (wnd, newClamp uint32, scale uint8) {
	space = max(space, 0)
	if clamp == 0 {
		clamp = 65535 << maxWScale
	}
	space = min(space, int(clamp))
	if space > mss {
		space = space / mss * mss
	}
	if t.conf.workaround.Load() != 0 {
		wnd = uint32(min(space, maxWindow))
	} else {
		wnd = uint32(space) // the SYN says what fits its field
	}
	if initRwnd != 0 {
		wnd = min(wnd, initRwnd*uint32(mss))
	}
	if wscaleOK {
		space = max(space, int(t.conf.rmem[2].Load()), int(t.ip.Limits.RmemMax.Load()))
		space = min(space, int(clamp))
		n := 0
		for x := space; x > 1; x >>= 1 {
			n++
		}
		scale = uint8(min(max(n-15, 0), maxWScale))
	}
	return wnd, min(65535<<scale, clamp), scale
}

// connectInit prepares a sock for its SYN (Linux: tcp_connect_init).
func (s *Sock) connectInit(rt *ip.Rtable) {
	t := s.tcp
	s.headerLen = header.TCPMinLen
	if t.conf.timestamps.Load() != 0 {
		s.headerLen += tsOptLen
	}
	if s.userMSS != 0 {
		s.opt.mssClamp = s.userMSS
	}
	s.maxWnd = 0
	s.routeRTOMin(rt)
	s.mtuInit()
	s.syncMSS(rt.MTU())
	s.assignCong()
	if s.winClamp == 0 {
		s.winClamp = uint32(rt.Metric(metricWindow))
	}
	s.advMSS = s.metricAdvMSS(rt)
	s.initRcvMSS()
	if s.Flag(sock.FlagRcvBufLock) && (s.winClamp > uint32(s.fullSpace()) || s.winClamp == 0) {
		s.winClamp = uint32(s.fullSpace())
	}
	mss := s.advMSS
	if s.opt.tsRecentStamp != 0 {
		mss -= s.headerLen - header.TCPMinLen
	}
	s.rcvWnd, s.winClamp, s.opt.rcvWScale = t.selectInitialWindow(s.fullSpace(), mss, s.winClamp,
		t.conf.windowScaling.Load() != 0, rt.Metric(metricInitRwnd))
	s.rcvSSThr = s.rcvWnd
	s.StoreError(0)
	s.sndWnd = 0
	s.sndWl1 = 0
	s.purgeWrite()
	s.sndUna, s.sndSML, s.sndUp, s.sndNxt = s.writeSeq, s.writeSeq, s.writeSeq, s.writeSeq
	s.rcvNxt = 0
	s.rcvWup = s.rcvNxt
	s.copied = s.rcvNxt
	s.rto = timeoutInit
	s.retransmits = 0
	s.clearRetrans()
}

// sendSyn builds and sends the SYN (Linux: tcp_connect).
func (s *Sock) sendSyn(rt *ip.Rtable) error {
	s.connectInit(rt)
	b := s.initSkb(header.TCPSyn, s.writeSeq)
	if b == nil {
		return syscall.ENOBUFS
	}
	s.writeSeq++
	s.refresh()
	s.retransStamp = s.mstamp
	s.ecnSendSyn(b)
	s.chargeSkb(b)
	s.wq.push(b)
	s.wq.nrtx++
	s.packetsOut++
	var err error
	if s.fastopen.req != nil {
		err = s.sendSynData(b)
	} else {
		err = s.transmit(b, true, 0)
	}
	if err == syscall.ECONNREFUSED {
		return err
	}
	// As in Linux the first retransmission counts from here, sent or not.
	s.sndNxt = s.writeSeq
	if h := s.wq.sendHead(); h != nil {
		s.sndNxt = tx(h).seq
	}
	s.pushedSeq = s.sndNxt
	s.tcp.stats.ActiveOpens.Add(1)
	s.resetTimer(timeRetrans, s.rto)
	return nil
}

// sendSynAck answers a SYN while our own is unanswered: a simultaneous open
// (Linux: tcp_send_synack; RFC 9293 section 3.5, figure 8).
func (s *Sock) sendSynAck() error {
	b := s.wq.rtxHead()
	if b == nil || tx(b).flags&header.TCPSyn == 0 {
		return syscall.EFAULT
	}
	cb := tx(b)
	if cb.flags&header.TCPAck == 0 {
		cb.flags |= header.TCPAck
		s.ecnSendSynAck(cb)
	}
	return s.transmit(b, true, s.rcvNxt)
}

// sendFin ends our side (Linux: tcp_send_fin): the FIN rides on the last
// segment if that was not sent yet.
func (s *Sock) sendFin() {
	if b := s.wq.tail(); b != nil {
		cb := tx(b)
		cb.flags |= header.TCPFin
		cb.end++
		s.writeSeq++
	} else {
		b := s.initSkb(header.TCPAck|header.TCPFin, s.writeSeq)
		if b == nil {
			// The last segment sent may carry it when it is sent again.
			if t := s.wq.rtxTail(); t != nil {
				tx(t).flags |= header.TCPFin
				tx(t).end++
				s.writeSeq++
				s.sndNxt++
			}
			return
		}
		s.writeSeq++
		s.chargeSkb(b)
		s.wq.push(b)
	}
	s.pushPending(s.currentMSS(), nagleOff)
}

// sendActiveReset aborts the connection with a RST (Linux:
// tcp_send_active_reset).
func (s *Sock) sendActiveReset() {
	s.tcp.stats.OutRsts.Add(1)
	b := s.initSkb(header.TCPAck|header.TCPRst, s.acceptableSeq())
	if b == nil {
		s.tcp.inc(mib.TCPAbortFailed)
		return
	}
	s.refresh()
	if s.transmit(b, false, s.rcvNxt) != nil {
		s.tcp.inc(mib.TCPAbortFailed)
	}
}
