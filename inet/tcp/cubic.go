package tcp

import "barewire/inet/mib"

// CUBIC (RFC 9438) with HyStart, computed as Linux does (net/ipv4/tcp_cubic.c):
// fixed point, time in 1/1024 s.

const (
	cubicBeta      = 717 // of 1024: the window after a loss
	cubicScale     = 41  // C, 0.4, of 1024 and shifted
	cubeRTTScale   = cubicScale * 10
	cubeFactorBits = 40
	betaScale      = 8 * (1024 + cubicBeta) / 3 / (1024 - cubicBeta)

	hystartLowWindow  = 16
	hystartMinSamples = 8
	hystartAckDelta   = 2000 // us
	hystartDelayMin   = 4000
	hystartDelayMax   = 16000
)

// cubeFactor is 2^40 / (C * 10 / 1024).
const cubeFactor = uint64(1) << (10 + 3*10) / cubeRTTScale

var cubicOps = congOps{ // read-only
	name:      "cubic",
	init:      cubicInit,
	ssthresh:  cubicSSThresh,
	avoid:     cubicAvoid,
	undo:      func(s *Sock) uint32 { return max(s.cwnd, s.priorCwnd) },
	setState:  cubicState,
	event:     cubicEvent,
	pktsAcked: cubicAcked,
}

func cubicInit(s *Sock) {
	c := cubicOf(s)
	*c = cubic{}
	cubicHystartReset(s, c)
}

func cubicHystartReset(s *Sock, c *cubic) {
	c.roundStart, c.lastAck = s.mstamp, s.mstamp
	c.endSeq = s.sndNxt
	c.currRTT = ^uint32(0)
	c.sampleCnt = 0
}

// cubicEvent moves the epoch after a pause, so that the window does not jump.
func cubicEvent(s *Sock, ev int) {
	if ev != caTxStart {
		return
	}
	c := cubicOf(s)
	now := s.ns()
	if d := now - s.lsndtime; c.epochStart != 0 && s.lsndtime != 0 && d > 0 {
		c.epochStart = min(c.epochStart+d, now)
	}
}

// cubeRoot is the integer cube root by Newton's method.
func cubeRoot(a uint64) uint32 {
	if a == 0 {
		return 0
	}
	x := uint64(1)
	for x*x*x < a && x < 1<<21 {
		x <<= 1
	}
	for {
		y := (2*x + a/(x*x)) / 3
		if y >= x {
			return uint32(x)
		}
		x = y
	}
}

// cubicUpdate computes after how many packets the window grows (Linux:
// bictcp_update; RFC 9438 section 4.2).
func cubicUpdate(s *Sock, c *cubic, cwnd, acked uint32) {
	now := s.ns()
	c.ackCnt += acked
	if c.lastCwnd == cwnd && now-c.lastTime <= sec/32 {
		return
	}
	if c.epochStart == 0 || now/ms != c.lastTime/ms {
		c.lastCwnd = cwnd
		c.lastTime = now
		if c.epochStart == 0 {
			c.epochStart = now
			c.ackCnt = acked
			c.tcpCwnd = cwnd
			if c.lastMax <= cwnd {
				c.k = 0
				c.originPoint = cwnd
			} else {
				c.k = cubeRoot(cubeFactor * uint64(c.lastMax-cwnd))
				c.originPoint = c.lastMax
			}
		}
		t := uint64((now-c.epochStart)/1e6*1e3+int64(c.delayMin)) << 10 / 1e6
		var offs uint64
		if t < uint64(c.k) {
			offs = uint64(c.k) - t
		} else {
			offs = t - uint64(c.k)
		}
		delta := uint32(cubeRTTScale * offs * offs * offs >> cubeFactorBits)
		target := c.originPoint + delta
		if t < uint64(c.k) {
			target = c.originPoint - delta
		}
		if target > cwnd {
			c.cnt = cwnd / (target - cwnd)
		} else {
			c.cnt = 100 * cwnd
		}
		// Slowly at first when nothing is known of the path.
		if c.lastMax == 0 && c.cnt > 20 {
			c.cnt = 20
		}
	}
	// No slower than Reno would be (RFC 9438 section 4.3).
	if delta := cwnd * betaScale >> 3; delta > 0 {
		for c.ackCnt > delta {
			c.ackCnt -= delta
			c.tcpCwnd++
		}
	}
	if c.tcpCwnd > cwnd {
		if most := cwnd / (c.tcpCwnd - cwnd); c.cnt > most {
			c.cnt = most
		}
	}
	c.cnt = max(c.cnt, 2)
}

func cubicAvoid(s *Sock, _, acked uint32) {
	if !s.isCwndLimited() {
		return
	}
	c := cubicOf(s)
	if s.inSlowStart() {
		if acked = s.slowStart(acked); acked == 0 {
			return
		}
	}
	cubicUpdate(s, c, s.cwnd, acked)
	s.congAvoidAI(c.cnt, acked)
}

// cubicSSThresh reduces the window after a loss, with fast convergence (RFC
// 9438 sections 4.6 and 4.7).
func cubicSSThresh(s *Sock) uint32 {
	c := cubicOf(s)
	c.epochStart = 0
	if s.cwnd < c.lastMax {
		c.lastMax = s.cwnd * (1024 + cubicBeta) / (2 * 1024)
	} else {
		c.lastMax = s.cwnd
	}
	return max(s.cwnd*cubicBeta/1024, 2)
}

func cubicState(s *Sock, st uint8) {
	if st == caLoss {
		c := cubicOf(s)
		*c = cubic{}
		cubicHystartReset(s, c)
	}
}

// cubicAcked takes the RTT of an ACK and leaves slow start before it does harm
// (HyStart; Linux: cubictcp_acked).
func cubicAcked(s *Sock, _ uint32, rtt int64, _ uint32) {
	if rtt < 0 {
		return
	}
	c := cubicOf(s)
	if c.epochStart != 0 && s.ns()-c.epochStart < sec {
		return // right after a loss
	}
	delay := uint32(max(rtt, 1))
	if c.delayMin == 0 || c.delayMin > delay {
		c.delayMin = delay
	}
	if !c.found && s.inSlowStart() && s.cwnd >= hystartLowWindow {
		hystartUpdate(s, c, delay)
	}
}

func hystartUpdate(s *Sock, c *cubic, delay uint32) {
	if after(s.sndUna, c.endSeq) {
		cubicHystartReset(s, c)
	}
	// A train of ACKs as long as half the round trip fills the path.
	now := s.mstamp
	if now-c.lastAck <= hystartAckDelta {
		c.lastAck = now
		if threshold := int64(c.delayMin >> 1); now-c.roundStart > threshold {
			c.found = true
			s.tcp.inc(mib.TCPHystartTrainDetect)
			s.tcp.add(mib.TCPHystartTrainCwnd, int(s.cwnd))
			s.ssthresh = s.cwnd
		}
	}
	// So does a round trip that grows.
	c.currRTT = min(c.currRTT, delay)
	if c.sampleCnt < hystartMinSamples {
		c.sampleCnt++
		return
	}
	if c.currRTT > c.delayMin+min(max(c.delayMin>>3, hystartDelayMin), hystartDelayMax) {
		c.found = true
		s.tcp.inc(mib.TCPHystartDelayDetect)
		s.tcp.add(mib.TCPHystartDelayCwnd, int(s.cwnd))
		s.ssthresh = s.cwnd
	}
}
