package tcp

import (
	"barewire/inet/sock"
	"barewire/skb"
)

// setWindowClamp is tcp_set_window_clamp.
func (s *Sock) setWindowClamp(v uint32) {
	if s.State() == Listen {
		s.winClamp = v
		return
	}
	old := s.winClamp
	s.winClamp = v
	if v == old {
		return
	}
	if v > old {
		s.rcvSSThr = max(s.rcvSSThr, min(s.rcvWnd, v))
	} else {
		s.rcvSSThr = min(s.rcvSSThr, v)
	}
}

// growWindow opens the window as far as the buffer is used well (Linux:
// tcp_grow_window).
func (s *Sock) growWindow(b *skb.Buff) {
	room := int(min(s.winClamp, uint32(max(s.space(), 0)))) - int(s.rcvSSThr)
	if room <= 0 {
		return
	}
	if s.underPressure() {
		s.rcvSSThr = min(s.rcvSSThr, uint32(4*s.advMSS))
		return
	}
	var incr int
	if s.winFromSpace(int(rx(b).charge)) <= b.Len() {
		incr = 2 * s.advMSS
	} else {
		incr = s.growWindowSmall(b)
	}
	if incr != 0 {
		incr = max(incr, 2*b.Len())
		s.rcvSSThr += uint32(min(room, incr))
		s.ack.quick |= 1
	}
}

// growWindowSmall is __tcp_grow_window: how much for segments that waste their
// buffers.
func (s *Sock) growWindowSmall(b *skb.Buff) int {
	truesize := s.winFromSpace(int(rx(b).charge)) >> 1
	window := s.winFromSpace(int(s.tcp.conf.rmem[2].Load())) >> 1
	for int(s.rcvSSThr) <= window {
		if truesize <= b.Len() {
			return 2 * int(s.ack.rcvMSS)
		}
		truesize >>= 1
		window >>= 1
	}
	return 0
}

// mayShrink reports whether the window may be taken back, which takes one that is
// scaled (tcp_shrink_window).
func (s *Sock) mayShrink() bool { return s.opt.rcvWScale != 0 && s.tcp.conf.shrink.Load() != 0 }

// shrinkingWindow is what computeWindow returns then: all the room there is, in
// steps that the scaled window can say (Linux: the end of __tcp_select_window).
func (s *Sock) shrinkingWindow(free, full, allowed, mss int) uint32 {
	step := 1 << s.opt.rcvWScale
	free &^= step - 1
	if free < full/2 {
		s.ack.quick = 0
		if s.underPressure() {
			s.rcvSSThr = min(s.rcvSSThr, uint32(4*s.advMSS))
		}
		if free < allowed>>4 || free < mss || free < step {
			return 0
		}
	}
	if free > int(s.rcvSSThr) {
		// No bound of memory: it may be exceeded by what a step is more.
		free = (int(s.rcvSSThr) + step - 1) &^ (step - 1)
	}
	return uint32(free)
}

// rcvRTT measures the round trip from the receiving side (Linux: rcv_rtt_est).
type rcvRTT struct {
	rtt  uint32 // us, shifted by 3
	seq  uint32
	time int64 // us
	last uint32
}

// rcvSpace measures how fast the program reads (Linux: rcvq_space).
type rcvSpace struct {
	space uint32
	seq   uint32
	time  int64 // us
}

func (s *Sock) rcvRTTUpdate(sample uint32, winDep bool) {
	r := s.rcvRTT.rtt
	m := sample << 3
	if r != 0 {
		if !winDep {
			s.rcvRTT.rtt = r - r>>3 + sample
		} else {
			s.rcvRTT.rtt = min(m, r)
		}
	} else {
		s.rcvRTT.rtt = m
	}
}

// rcvRTTMeasure takes a sample for every window received.
func (s *Sock) rcvRTTMeasure() {
	r := &s.rcvRTT
	if r.time != 0 {
		if before(s.rcvNxt, r.seq) {
			return
		}
		s.rcvRTTUpdate(uint32(max(s.mstamp-r.time, 1)), true)
	}
	r.seq = s.rcvNxt + s.rcvWnd
	r.time = s.mstamp
}

// rcvRTTMeasureTS takes a sample by timestamps.
func (s *Sock) rcvRTTMeasureTS(b *skb.Buff) {
	if !s.opt.sawTS || s.opt.rcvTSecr == s.rcvRTT.last || s.opt.rcvTSecr == 0 {
		return
	}
	s.rcvRTT.last = s.opt.rcvTSecr
	cb := rx(b)
	if int(cb.end-cb.seq) >= int(s.ack.rcvMSS) {
		if d := s.rttByTS(0); d >= 0 {
			s.rcvRTTUpdate(uint32(max(d, 1)), false)
		}
	}
}

// rcvSpaceAdjust grows the receive buffer to what the program reads in a round
// trip and more (Linux: tcp_rcv_space_adjust: dynamic right-sizing). What it left
// unread does not count. The time of the last segment will do.
func (s *Sock) rcvSpaceAdjust() {
	q := &s.rcvSpace
	if s.rcvRTT.rtt == 0 || s.mstamp-q.time < int64(s.rcvRTT.rtt>>3) {
		return
	}
	read := int32(s.copied-q.seq) - int32(s.rcvNxt-s.copied)
	if read > int32(q.space) {
		s.rcvbufGrow(uint32(read))
	}
	q.seq = s.copied
	q.time = s.mstamp
}

// rcvbufGrow makes room for what was read in a round trip (Linux:
// tcp_rcvbuf_grow): twice that, since the measure is a round trip old; as much
// more as it grew, since the sender may double in slow start; and what came out of
// order.
func (s *Sock) rcvbufGrow(read uint32) {
	old := s.rcvSpace.space
	s.rcvSpace.space = read
	if s.tcp.conf.moderate.Load() == 0 || s.Flag(sock.FlagRcvBufLock) {
		return
	}
	win := uint64(read) << 1
	win += win * uint64(read-old) / uint64(max(old, 1)) << 1
	if n := len(s.ofo.q); n > 0 {
		win += uint64(rx(s.ofo.q[n-1]).end - s.rcvNxt)
	}
	buf := min(s.spaceFromWin(int(min(win, 1<<31-1))), int(s.tcp.conf.rmem[2].Load()))
	if buf > s.ReceiveBuffer() {
		s.StoreRcvBuf(buf)
		s.winClamp = uint32(s.winFromSpace(buf))
	}
}

// initBufferSpace is tcp_init_buffer_space. The time was taken.
func (s *Sock) initBufferSpace() {
	appWin := uint(s.tcp.conf.appWin.Load())
	if !s.Flag(sock.FlagSndBufLock) {
		s.sndbufExpand()
	}
	s.rcvSpace.time = s.mstamp
	s.rcvSpace.seq = s.copied
	most := s.fullSpace()
	if int(s.winClamp) >= most {
		s.winClamp = uint32(most)
		if appWin != 0 && most > 4*s.advMSS {
			s.winClamp = uint32(max(most-most>>appWin, 4*s.advMSS))
		}
	}
	// One segment is not a window.
	if appWin != 0 && int(s.winClamp) > 2*s.advMSS && int(s.winClamp)+s.advMSS > most {
		s.winClamp = uint32(max(2*s.advMSS, most-s.advMSS))
	}
	s.rcvSSThr = min(s.rcvSSThr, s.winClamp)
	s.cwndStamp = s.ns()
	s.rcvSpace.space = min(s.rcvWnd, uint32(initCwnd*s.advMSS))
}
