package tcp

import "unsafe"

// Events a congestion control may want to know (Linux: enum tcp_ca_event).
const (
	caTxStart = iota
	caCwndRestart
	caEventCompleteCWR
	caEventLoss
)

// caPriv is the memory of a congestion control in its sock (Linux:
// icsk_ca_priv).
type caPriv [10]uint64

// congOps is one congestion control (Linux: struct tcp_congestion_ops).
// ssthresh, avoid and undo are required unless control is there.
type congOps struct {
	name string
	ecn  bool // needs ECN

	init     func(s *Sock)
	ssthresh func(s *Sock) uint32
	// avoid grows the window: ack is what was acknowledged, acked how many
	// packets.
	avoid     func(s *Sock, ack, acked uint32)
	undo      func(s *Sock) uint32
	setState  func(s *Sock, st uint8)
	event     func(s *Sock, ev int)
	pktsAcked func(s *Sock, acked uint32, rttUS int64, inFlight uint32)
	// control takes the place of all window and pacing logic.
	control func(s *Sock, ack uint32, flag int, rs rateSample)
	minTSO  func(s *Sock) uint32
	// info is what TCP_CC_INFO returns.
	info func(s *Sock) []byte
	// sndExpand is how many windows the send buffer holds, 0 for 2.
	sndExpand int
}

// assignCong gives a sock the default algorithm (Linux:
// tcp_assign_congestion_control).
func (s *Sock) assignCong() {
	if s.congSet && s.ca != nil {
		return
	}
	s.ca = s.tcp.congDflt.Load()
	s.caPriv = caPriv{}
}

// initCong starts the algorithm (Linux: tcp_init_congestion_control).
func (s *Sock) initCong() {
	s.priorSSThr = 0
	s.caPriv = caPriv{}
	if s.ca.init != nil {
		s.ca.init(s)
	}
}

func (s *Sock) caEvent(ev int) {
	if s.ca.event != nil {
		s.ca.event(s, ev)
	}
}

// inSlowStart is tcp_in_slow_start.
func (s *Sock) inSlowStart() bool { return s.cwnd < s.ssthresh }

// isCwndLimited reports whether the window is what holds the sender back
// (Linux: tcp_is_cwnd_limited): growing it otherwise would mean nothing.
func (s *Sock) isCwndLimited() bool {
	if s.cwndLimited {
		return true
	}
	if s.inSlowStart() {
		return s.cwnd < 2*s.maxPackets
	}
	return false
}

// slowStart returns what is left of acked when ssthresh is reached (Linux:
// tcp_slow_start; RFC 5681 section 3.1).
func (s *Sock) slowStart(acked uint32) uint32 {
	c := min(s.cwnd+acked, s.ssthresh)
	acked -= c - s.cwnd
	s.cwnd = c
	return acked
}

// congAvoidAI grows the window by one for each w packets (Linux:
// tcp_cong_avoid_ai).
func (s *Sock) congAvoidAI(w, acked uint32) {
	if s.cwndCnt >= w {
		s.cwndCnt = 0
		s.cwnd++
	}
	s.cwndCnt += acked
	if s.cwndCnt >= w {
		d := s.cwndCnt / w
		s.cwndCnt -= d * w
		s.cwnd += d
	}
}

// renoOps is NewReno (RFC 5681, RFC 6582).
var renoOps = congOps{ // read-only
	name:     "reno",
	ssthresh: func(s *Sock) uint32 { return max(s.cwnd>>1, 2) },
	undo:     func(s *Sock) uint32 { return max(s.cwnd, s.priorCwnd) },
	avoid: func(s *Sock, _, acked uint32) {
		if !s.isCwndLimited() {
			return
		}
		if s.inSlowStart() {
			if acked = s.slowStart(acked); acked == 0 {
				return
			}
		}
		s.congAvoidAI(max(s.cwnd, 1), acked)
	},
}

// congControl is what one ACK does to the window and the pace (Linux:
// tcp_cong_control).
func (s *Sock) congControl(ack, acked uint32, flag int, rs *rateSample) {
	if s.ca.control != nil {
		s.ca.control(s, ack, flag, *rs) // a copy: rs stays on the stack
		return
	}
	if s.inRecovery() {
		s.cwndReduction(int(acked), int(rs.losses), flag)
	} else if s.mayRaiseCwnd(flag) {
		s.ca.avoid(s, ack, acked)
		s.cwndStamp = s.ns()
	}
	s.updatePacingRate()
}

// mayRaiseCwnd is tcp_may_raise_cwnd.
func (s *Sock) mayRaiseCwnd(flag int) bool {
	if s.reordering > uint32(s.tcp.conf.reordering.Load()) {
		return flag&flagProgress != 0
	}
	return flag&flagDataAcked != 0
}

// updatePacingRate is tcp_update_pacing_rate: what super-skbs are sized by, and
// the pace of those socks that keep one.
func (s *Sock) updatePacingRate() {
	rate := uint64(s.mssCache) * (1e6 / 100 << 3)
	if s.cwnd < s.ssthresh/2 {
		rate *= uint64(s.tcp.conf.pacingSS.Load())
	} else {
		rate *= uint64(s.tcp.conf.pacingCA.Load())
	}
	rate *= uint64(max(s.cwnd, s.packetsOut))
	if s.srtt != 0 {
		rate /= uint64(s.srtt)
	}
	s.pacingRate = min(rate, s.MaxPacingRate())
}

// cwndRestart shrinks the window after a pause (Linux: tcp_cwnd_restart; RFC
// 2861).
func (s *Sock) cwndRestart(delta int64) {
	restart := min(uint32(initCwnd), s.cwnd)
	c := s.cwnd
	s.caEvent(caCwndRestart)
	s.ssthresh = s.currentSSThr()
	for delta -= s.rto; delta > 0 && c > restart; delta -= s.rto {
		c >>= 1
	}
	s.cwnd = max(c, restart)
	s.cwndStamp = s.tcp.now()
	s.cwndUsed = 0
}

// slowStartAfterIdleCheck is tcp_slow_start_after_idle_check.
func (s *Sock) slowStartAfterIdleCheck() {
	if s.tcp.conf.slowStartIdle.Load() == 0 || s.packetsOut != 0 || s.ca.control != nil {
		return
	}
	if d := s.tcp.now() - s.lsndtime; d > s.rto {
		s.cwndRestart(d)
	}
}

// cwndValidate notes how much of the window is used (Linux: tcp_cwnd_validate;
// RFC 7661's idea).
func (s *Sock) cwndValidate(limited bool) {
	if !before(s.sndUna, s.cwndUsageSeq) || limited || !s.cwndLimited && s.packetsOut > s.maxPackets {
		s.cwndLimited = limited
		s.maxPackets = s.packetsOut
		s.cwndUsageSeq = s.sndNxt
	}
	now := s.ns()
	if s.isCwndLimited() {
		s.cwndUsed = 0
		s.cwndStamp = now
		return
	}
	s.cwndUsed = max(s.cwndUsed, s.packetsOut)
	if s.tcp.conf.slowStartIdle.Load() != 0 && now-s.cwndStamp >= s.rto && s.ca.control == nil {
		s.cwndApplicationLimited()
	}
	s.chronoSent()
}

// cwndApplicationLimited is tcp_cwnd_application_limited.
func (s *Sock) cwndApplicationLimited() {
	if s.caState == caOpen && !s.NoSpace() {
		used := max(s.cwndUsed, initCwnd)
		if used < s.cwnd {
			s.ssthresh = s.currentSSThr()
			s.cwnd = (s.cwnd + used) >> 1
		}
		s.cwndUsed = 0
	}
	s.cwndStamp = s.tcp.now()
}

// cubic is the state of CUBIC (RFC 9438; Linux: struct bictcp).
type cubic struct {
	cnt         uint32 // packets per increase
	lastMax     uint32
	lastCwnd    uint32
	originPoint uint32
	k           uint32 // 1/1024 s
	ackCnt      uint32
	tcpCwnd     uint32
	delayMin    uint32 // us
	lastTime    int64  // ns
	epochStart  int64  // ns, 0 for none

	endSeq     uint32
	currRTT    uint32
	roundStart int64 // us
	lastAck    int64 // us
	sampleCnt  uint8
	found      bool
}

var _ [unsafe.Sizeof(caPriv{}) - unsafe.Sizeof(cubic{})]byte

func cubicOf(s *Sock) *cubic { return (*cubic)(unsafe.Pointer(&s.caPriv)) }
