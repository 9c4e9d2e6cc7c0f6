package tcp

import (
	"barewire/skb"
	"barewire/skb/header"
)

// Scheduling of ACKs.

func (s *Sock) ackScheduled() bool { return s.ack.pending&ackSched != 0 }
func (s *Sock) scheduleAck()       { s.ack.pending |= ackSched }

func (s *Sock) inPingpong() bool {
	return s.ack.pingpong >= uint8(s.tcp.conf.pingpong.Load())
}
func (s *Sock) enterPingpong() { s.ack.pingpong = uint8(s.tcp.conf.pingpong.Load()) }
func (s *Sock) exitPingpong()  { s.ack.pingpong = 0 }
func (s *Sock) incPingpong() {
	if s.ack.pingpong < 255 {
		s.ack.pingpong++
	}
}

// incQuickack is tcp_incr_quickack: ACKs at once for about half a window.
func (s *Sock) incQuickack(most uint32) {
	n := uint32(2)
	if m := uint32(s.ack.rcvMSS); m != 0 {
		n = s.rcvWnd / (2 * m)
	}
	n = min(max(n, 2), most)
	s.ack.quick = max(s.ack.quick, uint8(n))
}

func (s *Sock) decQuickack() {
	if s.ack.quick == 0 {
		return
	}
	if s.ack.quick--; s.ack.quick == 0 {
		s.ack.ato = atoMin
	}
}

// enterQuickack is tcp_enter_quickack_mode.
func (s *Sock) enterQuickack(most uint32) {
	s.incQuickack(most)
	s.exitPingpong()
	s.ack.ato = atoMin
}

func (s *Sock) inQuickack() bool { return s.ack.quick != 0 && !s.inPingpong() }

// sendDelayedAck is tcp_send_delayed_ack.
func (s *Sock) sendDelayedAck() {
	a := &s.ack
	ato := a.ato
	now := s.ns()
	if ato > delackMin {
		most := sec / 2
		if s.inPingpong() || a.pending&ackPushed != 0 {
			most = delackMax
		}
		// As long as a round trip at most, if that is known.
		if s.srtt != 0 {
			most = min(most, max((int64(s.srtt>>3)+999)/1000*ms, delackMin))
		}
		ato = min(ato, most)
	}
	ato = min(ato, s.delackMax)
	at := now + ato
	if a.pending&ackTimer != 0 {
		// Nearly due: do not wait for it.
		if a.timeout <= now+ato>>2 {
			s.sendAck()
			return
		}
		at = min(at, a.timeout)
	}
	a.pending |= ackSched | ackTimer
	a.timeout = at
	s.armDack(at)
}

// Space.

// scalingDefault is the share of the receive buffer that is window, of 256
// (Linux: tcp_adv_win_scale by way of tcp_scaling_ratio).
func (t *TCP) scalingDefault() uint8 { return 128 }

// winFromSpace is tcp_win_from_space.
func (s *Sock) winFromSpace(n int) int { return int(int64(n) * int64(s.scaling) >> scalingFull) }

// spaceFromWin is tcp_space_from_win.
func (s *Sock) spaceFromWin(w int) int { return int(int64(w) << scalingFull / int64(s.scaling)) }

func (s *Sock) space0() int { return s.ReceiveBuffer() - s.rmem }

// space is tcp_space.
func (s *Sock) space() int { return s.winFromSpace(max(s.space0(), 0)) }

// fullSpace is tcp_full_space.
func (s *Sock) fullSpace() int { return s.winFromSpace(s.ReceiveBuffer()) }

// rxTruesize is what a received segment counts against SO_RCVBUF.
// The window follows from it, so it is what Linux counts for a packet that came
// over a TUN device, or any driver that copies: struct sk_buff, and a data area
// of the allocator's next size for headroom, packet and shared info.
func rxTruesize(b *skb.Buff) int { return skBuffSize + dataSize(usedSize(b)) }

// usedSize is what of the data area is used.
func usedSize(b *skb.Buff) int { return b.Len() - b.NetworkOffset() + skb.Pad + shinfoSize }

// Sizes of what Linux allocates for a packet, on a machine of 64 bits.
const (
	skBuffSize = 256 // struct sk_buff
	shinfoSize = 320 // struct skb_shared_info
	smallHead  = 576 // SKB_SMALL_HEAD_CACHE_SIZE, where link headers are those of Ethernet
)

// dataSize is what a data area of n bytes takes from Linux's allocator.
func dataSize(n int) int {
	switch {
	case n <= smallHead:
		return smallHead
	case n <= 4096:
		size := 1024
		for size < n {
			size <<= 1
		}
		return size
	}
	return (n + 4095) &^ 4095
}

// What arriving segments teach.

// initRcvMSS is tcp_initialize_rcv_mss.
func (s *Sock) initRcvMSS() {
	hint := min(s.advMSS, s.mssCache)
	hint = min(hint, int(s.rcvWnd/2))
	hint = min(hint, mssDefault)
	s.ack.rcvMSS = uint16(max(hint, minMSS))
}

// measureRcvMSS is tcp_measure_rcv_mss.
func (s *Sock) measureRcvMSS(b *skb.Buff) {
	a := &s.ack
	last := a.lastSegSize
	a.lastSegSize = 0
	cb := rx(b)
	n := b.Len()
	if g := int(b.Shinfo().GSOSize); g != 0 {
		n = g
	}
	if n >= int(a.rcvMSS) {
		if n != int(a.rcvMSS) {
			ratio := uint64(b.Len()) << scalingFull / uint64(max(int(cb.charge), 1))
			old := s.scaling
			s.scaling = uint8(min(max(ratio, 1), 255))
			if old != s.scaling {
				w := s.winFromSpace(s.ReceiveBuffer())
				s.setWindowClamp(uint32(max(w, 0)))
				s.rcvSpace.space = min(s.rcvSpace.space, s.winClamp)
			}
		}
		a.rcvMSS = uint16(min(n, s.advMSS))
		if cb.flags&header.TCPPsh != 0 {
			a.pending |= ackPushed
		}
		return
	}
	// Smaller, but maybe as large as the peer makes them.
	hl := header.TCP(b.TransportHeader()).HeaderLen()
	n += hl
	if n >= mssDefault+header.TCPMinLen ||
		n >= minMSS+header.TCPMinLen && cb.flags&(header.TCPPsh|header.TCPFin|header.TCPUrg|header.TCPRst|header.TCPSyn) == 0 {
		n -= s.headerLen
		a.lastSegSize = uint16(n)
		if uint16(n) == last {
			a.rcvMSS = uint16(n)
			return
		}
	}
	if a.pending&ackPushed != 0 {
		a.pending |= ackPushed2
	}
	a.pending |= ackPushed
}
