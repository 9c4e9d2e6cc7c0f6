package tcp

import "barewire/skb"

// rateSample is what one ACK tells about the rate of delivery (Linux: struct
// rate_sample; draft-cheng-iccrg-delivery-rate-estimation).
type rateSample struct {
	priorMstamp    int64 // us: start of the interval
	priorDelivered uint32
	delivered      int32 // packets, negative for no sample
	interval       int64 // us
	rtt            int64 // us, negative for none
	losses         uint32
	ackedSacked    uint32
	priorInFlight  uint32
	lastEnd        uint32
	inFlightAt     uint32
	appLimited     bool
	retrans        bool
	ackDelayed     bool
}

// rateSkbSent notes the state of delivery with a segment that is sent (Linux:
// tcp_rate_skb_sent).
// sent is when in us, ahead of the clock maybe if it is paced.
func (s *Sock) rateSkbSent(cb *txCB, sent int64) {
	if s.packetsOut == 0 {
		s.firstTx = sent
		s.deliveredAt = sent
	}
	cb.firstTx = s.firstTx
	cb.deliveredAt = s.deliveredAt
	cb.delivered = s.delivered
	cb.deliveredCE = s.deliveredCE
	cb.appLimited = s.appLimited != 0 && s.appLimited != ^uint32(0) || s.appLimited == ^uint32(0)
}

// rateSkbDelivered takes a delivered segment (Linux: tcp_rate_skb_delivered).
func (s *Sock) rateSkbDelivered(b *skb.Buff, rs *rateSample) {
	cb := tx(b)
	if cb.deliveredAt == 0 {
		return
	}
	if rs.priorDelivered == 0 || sentAfter(b.Tstamp, s.firstTx, cb.end, rs.lastEnd) {
		rs.priorDelivered = max(cb.delivered, 1)
		if cb.delivered == 0 {
			rs.priorDelivered = 0
		}
		rs.priorMstamp = cb.deliveredAt
		rs.appLimited = cb.appLimited
		rs.retrans = cb.sacked&everRetrans != 0
		rs.lastEnd = cb.end
		s.firstTx = b.Tstamp
		rs.interval = s.firstTx - cb.firstTx
	}
	// It will not be sampled again when the cumulative ACK comes.
	if cb.sacked&sackedAcked != 0 {
		cb.deliveredAt = 0
	}
}

// rateGen makes the sample (Linux: tcp_rate_gen).
func (s *Sock) rateGen(delivered, lost uint32, reneg bool, rs *rateSample) {
	if s.appLimited != 0 && after(s.delivered, s.appLimited) {
		s.appLimited = 0
	}
	if delivered != 0 {
		s.deliveredAt = s.mstamp
	}
	rs.ackedSacked = delivered
	rs.losses = lost
	if rs.priorMstamp == 0 || reneg {
		rs.delivered, rs.interval = -1, -1
		return
	}
	rs.delivered = int32(s.delivered - rs.priorDelivered)
	sendUS := rs.interval
	ackUS := s.mstamp - rs.priorMstamp
	rs.interval = max(sendUS, ackUS)
	if rs.interval < int64(s.rttMin.get()) {
		rs.interval = -1
		return
	}
	if !rs.appLimited || uint64(rs.delivered)*uint64(s.rateInterval) >= uint64(s.rateDeliv)*uint64(rs.interval) {
		s.rateDeliv = uint32(rs.delivered)
		s.rateInterval = uint32(rs.interval)
		s.rateAppLim = rs.appLimited
	}
}

// rateCheckAppLimited notes that the program does not fill the pipe (Linux:
// tcp_rate_check_app_limited).
func (s *Sock) rateCheckAppLimited() {
	if s.writeSeq-s.sndNxt < uint32(s.mssCache) && s.WmemAlloc() < int(wmemOverhead) &&
		s.inFlight() < s.cwnd && s.lostOut <= s.retransOut {
		s.appLimited = max(s.delivered+s.inFlight(), 1)
	}
}
