package tcp

import "encoding/binary"

// BBR, version 1 as Linux has it (net/ipv4/tcp_bbr.c;
// draft-cardwell-iccrg-bbr-congestion-control-00): it keeps a model of the path,
// the highest rate of delivery and the lowest round trip seen of late, and sends
// at that rate with about twice their product in flight, whatever is lost.

// What BBR does at the moment.
const (
	bbrStartup  uint8 = iota // doubles the rate each round until it grows no more
	bbrDrain                 // lets the queue empty that this made
	bbrProbeBW               // tries more and less than the rate in turn
	bbrProbeRTT              // sends next to nothing, to see the bare round trip
)

// Gains are in units of 1/256, rates in packets per us shifted by 24.
const (
	bwScale  = 24
	bwUnit   = 1 << bwScale
	bbrScale = 8
	bbrUnit  = 1 << bbrScale

	bbrHighGain   = bbrUnit*2885/1000 + 1 // 2/ln 2
	bbrDrainGain  = bbrUnit * 1000 / 2885
	bbrCwndGain   = bbrUnit * 2
	bbrCycleLen   = 8
	bbrBWRounds   = bbrCycleLen + 2  // the bandwidth filter forgets after
	bbrMinRTTWin  = 10 * sec         // the round trip's after
	bbrProbeTime  = 200 * ms         // at least in PROBE_RTT
	bbrMinTSORate = 1200000 >> 3     // bytes/s below which each packet goes alone
	bbrMinCwnd    = 4                // in PROBE_RTT, and never less
	bbrFullThresh = bbrUnit * 5 / 4  // the pipe is full when growth is less
	bbrFullCount  = 3                // ... for so many rounds
	bbrMargin     = 99               // per cent of the rate that is used
	bbrLTMinRTTs  = 4                // of a policer's interval
	bbrLTLoss     = 50               // of 256: how much a policer drops
	bbrLTRatio    = bbrUnit / 8      // how alike two intervals are
	bbrLTDiff     = 4000 / 8         // bytes/s
	bbrLTMaxRTTs  = 48               // before the policer is tested again
	bbrAckWinRTTs = 5                // window of the aggregation filter
	bbrAckReset   = 1 << 20          // packets in one epoch of aggregation
	bbrAckMaxUS   = 100 * 1000       // the most time aggregation makes up for
	bbrGSOMax     = 65536 - 1 - 320  // bytes of a super-skb
	bbrSegsMax    = 0x7f             // packets of a super-skb
	noMinRTT      = int64(1<<32 - 1) // nothing measured
)

// bbrGains is the cycle of PROBE_BW. read-only.
var bbrGains = [bbrCycleLen]uint64{bbrUnit * 5 / 4, bbrUnit * 3 / 4, bbrUnit, bbrUnit, bbrUnit, bbrUnit, bbrUnit, bbrUnit}

// bbr is BBR's state of one sock (Linux: struct bbr). Times are in us of
// Sock.mstamp unless it says otherwise.
type bbr struct {
	mode                 uint8
	prevState            uint8
	packetConservation   bool
	roundStart           bool
	idleRestart          bool
	probeRTTRoundDone    bool
	fullBWReached        bool
	hasSeenRTT           bool
	fullBWCount          uint8
	cycle                uint8 // place in bbrGains
	pacingGain, cwndGain uint64

	minRTT      int64
	minRTTStamp int64 // ns
	probeDone   int64 // ns: when PROBE_RTT may end, 0 not known yet

	bw        minmax // of the complement: a maximum, by rounds
	rounds    int64
	nextRound uint32 // delivered at which the round ends
	cycleAt   int64
	fullBW    uint64
	priorCwnd uint32

	ltSampling, ltUse bool
	ltRounds          uint8
	ltBW              uint64
	ltDelivered       uint32
	ltLost            uint32
	ltStamp           int64 // ms

	ackEpoch   int64
	ackAcked   uint32
	extra      [2]uint32 // packets acknowledged beyond what was expected
	extraIdx   uint8
	extraRound uint8
}

var bbrOps = congOps{ // read-only
	name:     "bbr",
	init:     (*Sock).bbrInit,
	ssthresh: (*Sock).bbrSSThresh,
	undo:     (*Sock).bbrUndo,
	setState: (*Sock).bbrSetState,
	event:    (*Sock).bbrEvent,
	control: func(s *Sock, _ uint32, _ int, rs rateSample) {
		if s.bbr != nil { // not before the connection is open
			s.bbrMain(&rs)
		}
	},
	minTSO:    (*Sock).bbrMinTSO,
	info:      (*Sock).bbrInfo,
	sndExpand: 3,
}

func (s *Sock) bbrInit() {
	b := &bbr{nextRound: s.delivered, minRTT: int64(s.rttMin.get()), minRTTStamp: s.tcp.now(), ackEpoch: s.mstamp}
	s.bbr = b
	s.ssthresh = infiniteSsthr
	b.bw.reset(0, ^uint32(0))
	s.bbrPaceFromRTT()
	b.resetLT(s)
	b.startup()
	s.pace()
}

// maxBW is the bandwidth filter's value.
func (b *bbr) maxBW() uint64 { return uint64(^b.bw.get()) }

// rate is the rate to go by: a policer's, if there is one.
func (b *bbr) rate() uint64 {
	if b.ltUse {
		return b.ltBW
	}
	return b.maxBW()
}

// bytesPerSec turns a rate into bytes per second, with the margin that keeps
// queues small.
func (s *Sock) bbrBytesPerSec(bw, gain uint64) uint64 {
	bw *= uint64(s.mssCache)
	bw *= gain
	bw >>= bbrScale
	bw *= 1e6 / 100 * bbrMargin
	return bw >> bwScale
}

func (s *Sock) bbrPacingRate(bw, gain uint64) uint64 {
	return min(s.bbrBytesPerSec(bw, gain), s.MaxPacingRate())
}

// bbrPaceFromRTT guesses the first rate from the window.
func (s *Sock) bbrPaceFromRTT() {
	rtt := uint64(1000)
	if s.srtt != 0 {
		rtt = max(uint64(s.srtt>>3), 1)
		s.bbr.hasSeenRTT = true
	}
	s.pacingRate = s.bbrPacingRate(uint64(s.cwnd)*bwUnit/rtt, bbrHighGain)
}

func (s *Sock) bbrSetPacing(bw, gain uint64) {
	b := s.bbr
	rate := s.bbrPacingRate(bw, gain)
	if !b.hasSeenRTT && s.srtt != 0 {
		s.bbrPaceFromRTT()
	}
	if b.fullBWReached || rate > s.pacingRate {
		s.pacingRate = rate
	}
}

func (s *Sock) bbrMinTSO() uint32 {
	if s.pacingRate < bbrMinTSORate {
		return 1
	}
	return 2
}

func (s *Sock) bbrTSOGoal() uint32 {
	bytes := min(s.pacingRate>>pacingShift, bbrGSOMax)
	return min(max(uint32(bytes)/uint32(s.mssCache), s.bbrMinTSO()), bbrSegsMax)
}

// saveCwnd keeps the window for after recovery or PROBE_RTT.
func (b *bbr) saveCwnd(s *Sock) {
	if b.prevState < caRecovery && b.mode != bbrProbeRTT {
		b.priorCwnd = s.cwnd
	} else {
		b.priorCwnd = max(b.priorCwnd, s.cwnd)
	}
}

func (s *Sock) bbrSSThresh() uint32 {
	if s.bbr != nil {
		s.bbr.saveCwnd(s)
	}
	return s.ssthresh
}

func (s *Sock) bbrEvent(ev int) {
	if s.bbr == nil || ev != caTxStart || s.appLimited == 0 {
		return
	}
	b := s.bbr
	b.idleRestart = true
	b.ackEpoch, b.ackAcked = s.mstamp, 0
	// After a pause the pipe is empty: no gain is needed to fill or drain it.
	switch b.mode {
	case bbrProbeBW:
		s.bbrSetPacing(b.rate(), bbrUnit)
	case bbrProbeRTT:
		s.bbrCheckProbeDone()
	}
}

// bdp is the product of bandwidth and round trip in packets, times gain.
func (b *bbr) bdp(bw, gain uint64) uint32 {
	if b.minRTT == noMinRTT {
		return initCwnd
	}
	w := bw * uint64(b.minRTT)
	return uint32((w*gain>>bbrScale + bwUnit - 1) / bwUnit)
}

// budget adds what super-skbs and delayed ACKs keep busy.
func (s *Sock) bbrBudget(cwnd uint32) uint32 {
	cwnd += 3 * s.bbrTSOGoal()
	cwnd = (cwnd + 1) &^ 1
	if s.bbr.mode == bbrProbeBW && s.bbr.cycle == 0 {
		cwnd += 2
	}
	return cwnd
}

func (s *Sock) bbrInflight(bw, gain uint64) uint32 { return s.bbrBudget(s.bbr.bdp(bw, gain)) }

// bbrAtDeparture estimates how much is in flight when the next packet leaves:
// with pacing that may be a while.
func (s *Sock) bbrAtDeparture(now uint32) uint32 {
	b := s.bbr
	t := s.mstamp * 1000
	wait := (max(s.pacer.wstamp, t) - t) / 1000
	delivered := uint32(b.rate() * uint64(wait) >> bwScale)
	if b.pacingGain > bbrUnit {
		now += s.bbrTSOGoal()
	}
	if delivered >= now {
		return 0
	}
	return now - delivered
}

// aggregationCwnd is what the window needs more because ACKs come in bursts.
func (b *bbr) aggregationCwnd() uint32 {
	if !b.fullBWReached {
		return 0
	}
	most := b.rate() * bbrAckMaxUS / bwUnit
	return uint32(min(most, uint64(max(b.extra[0], b.extra[1]))))
}

// recoverOrRestore sends one packet for each delivered in the first round of
// recovery, and restores the window after it. True means that the window is
// decided.
func (s *Sock) bbrRecoverOrRestore(rs *rateSample, acked uint32) (uint32, bool) {
	b := s.bbr
	prev, state := b.prevState, s.caState
	cwnd := s.cwnd
	if rs.losses > 0 {
		cwnd = uint32(max(int64(cwnd)-int64(rs.losses), 1))
	}
	if state == caRecovery && prev != caRecovery {
		b.packetConservation = true
		b.nextRound = s.delivered
		cwnd = s.inFlight() + acked
	} else if prev >= caRecovery && state < caRecovery {
		cwnd = max(cwnd, b.priorCwnd)
		b.packetConservation = false
	}
	b.prevState = state
	if b.packetConservation {
		return max(cwnd, s.inFlight()+acked), true
	}
	return cwnd, false
}

func (s *Sock) bbrSetCwnd(rs *rateSample, acked uint32, bw, gain uint64) {
	b := s.bbr
	cwnd := s.cwnd
	if acked != 0 {
		var done bool
		if cwnd, done = s.bbrRecoverOrRestore(rs, acked); !done {
			target := s.bbrBudget(b.bdp(bw, gain) + b.aggregationCwnd())
			if b.fullBWReached {
				cwnd = min(cwnd+acked, target)
			} else if cwnd < target || s.delivered < initCwnd {
				cwnd += acked
			}
			cwnd = max(cwnd, bbrMinCwnd)
		}
	}
	if b.mode == bbrProbeRTT {
		cwnd = min(cwnd, bbrMinCwnd)
	}
	s.cwnd = cwnd
}

func (s *Sock) bbrMain(rs *rateSample) {
	b := s.bbr
	s.bbrUpdateBW(rs)
	s.bbrUpdateAggregation(rs)
	if b.mode == bbrProbeBW && s.bbrNextPhase(rs) {
		b.advance(s)
	}
	b.checkFull(rs)
	s.bbrCheckDrain()
	s.bbrUpdateMinRTT(rs)
	switch b.mode {
	case bbrStartup:
		b.pacingGain, b.cwndGain = bbrHighGain, bbrHighGain
	case bbrDrain:
		b.pacingGain, b.cwndGain = bbrDrainGain, bbrHighGain
	case bbrProbeBW:
		b.pacingGain, b.cwndGain = bbrGains[b.cycle], bbrCwndGain
		if b.ltUse {
			b.pacingGain = bbrUnit
		}
	case bbrProbeRTT:
		b.pacingGain, b.cwndGain = bbrUnit, bbrUnit
	}
	bw := b.rate()
	s.bbrSetPacing(bw, b.pacingGain)
	s.bbrSetCwnd(rs, rs.ackedSacked, bw, b.cwndGain)
}

func (s *Sock) bbrUndo() uint32 {
	if s.bbr != nil {
		s.bbr.fullBW, s.bbr.fullBWCount = 0, 0
		s.bbr.resetLT(s)
	}
	return s.cwnd
}

func (s *Sock) bbrSetState(st uint8) {
	if st == caLoss && s.bbr != nil {
		b := s.bbr
		b.prevState = caLoss
		b.fullBW = 0
		b.roundStart = true // a timeout ends the round
		s.bbrSampleLT(&rateSample{losses: 1})
	}
}

// bbrInfo is struct tcp_bbr_info.
func (s *Sock) bbrInfo() []byte {
	b := s.bbr
	bw := b.rate() * uint64(s.mssCache) * 1e6 >> bwScale
	p := binary.LittleEndian.AppendUint64(nil, bw)
	p = binary.LittleEndian.AppendUint32(p, uint32(b.minRTT))
	p = binary.LittleEndian.AppendUint32(p, uint32(b.pacingGain))
	return binary.LittleEndian.AppendUint32(p, uint32(b.cwndGain))
}
