package tcp

import (
	"sync/atomic"
	"time"

	"barewire/napi"
)

// pacer spreads a sock's packets over time (Linux: SK_PACING_NEEDED, "internal"
// pacing). A sock has one from the time when it is asked to keep to a rate, by
// SO_MAX_PACING_RATE or by its congestion control: without one it does not pace,
// whatever its rate.
type pacer struct {
	// wstamp is the time in ns when the last packet left, or the next may
	// (Linux: tcp_wstamp_ns).
	wstamp int64
	// queued says that the alarm is set: it is exact, where the timer wheel
	// counts milliseconds.
	queued atomic.Bool
	alarm  napi.Alarm
}

// paced are the first packets that go without pace (Linux:
// tcp_update_skb_after_send).
const unpaced = 10

// pace begins pacing (Linux: cmpxchg of sk_pacing_status).
func (s *Sock) pace() {
	if s.pacer == nil {
		s.pacer = &pacer{wstamp: s.tcp.now()}
	}
}

// PacingChanged implements sock.Stream: it follows SO_MAX_PACING_RATE.
func (s *Sock) PacingChanged() {
	most := s.MaxPacingRate()
	if most != unlimited {
		s.pace()
	}
	s.pacingRate = min(s.pacingRate, most)
}

// pacingCheck reports whether the pace holds the sender back, and sets the
// alarm that lets it go on (Linux: tcp_pacing_check).
func (s *Sock) pacingCheck() bool {
	p := s.pacer
	if p == nil {
		return false
	}
	wait := p.wstamp - s.tcp.now()
	if wait <= 0 {
		return false
	}
	if p.queued.Swap(true) {
		return true
	}
	if r, ok := p.alarm.(interface{ Reset(time.Duration) bool }); ok {
		r.Reset(time.Duration(wait))
	} else {
		p.alarm = s.tcp.clock.AfterFunc(time.Duration(wait), func() { s.paceKick() })
	}
	return true
}

// paceKick is tcp_pace_kick. Called by the clock, with no lock held.
func (s *Sock) paceKick() {
	s.BHLock()
	s.pacer.queued.Store(false)
	if s.OwnedByUser() {
		s.Defer(deferTSQ)
	} else {
		s.tsqWrite()
	}
	s.bhUnlock()
}

// stampSent returns the time in us that a packet counts as sent at, now unless
// the pace is ahead of it, and what the pace was at before (Linux: the middle
// of __tcp_transmit_skb).
func (s *Sock) stampSent() (us, prior int64) {
	p := s.pacer
	if p == nil {
		return s.mstamp, 0
	}
	prior = p.wstamp
	p.wstamp = max(p.wstamp, s.mstamp*1000)
	return p.wstamp / 1000, prior
}

// paceSent moves the pace on by the time n bytes take (Linux:
// tcp_update_skb_after_send). A timer that was late is made good, up to half of
// it.
func (s *Sock) paceSent(n int, prior int64) {
	p := s.pacer
	if p == nil || s.pacingRate == 0 || s.pacingRate == unlimited || s.dataSegsOut < unpaced {
		return
	}
	d := int64(uint64(n) * 1e9 / s.pacingRate)
	d -= min(d/2, p.wstamp-prior)
	p.wstamp += d
}

// stopPacing takes the alarm off.
func (s *Sock) stopPacing() {
	if p := s.pacer; p != nil && p.alarm != nil && p.queued.Load() {
		p.alarm.Stop()
		p.queued.Store(false)
	}
}
