package tcp

import (
	"sync/atomic"
	"time"

	"barewire/inet/mib"
	"barewire/napi"
)

// Compression of SACKs: while something is missing every segment is answered, but
// a sender that has its three duplicates gains nothing by one for each. Those
// behind are held back for a twentieth of the round trip, at most
// tcp_comp_sack_delay_ns, and tcp_comp_sack_nr of them (Linux: compressed_ack).
//
// tcp_comp_sack_slack_ns says how much later the ACK may go, so that the machine
// can serve many timers at once. Here each has an exact alarm of its own.

const (
	fastRetransThresh = 3 // TCP_FASTRETRANS_THRESH
	sacksExpected     = 2 // TCP_SACK_BLOCKS_EXPECTED: what a peer is sure to see of the blocks
)

// sackComp is what a sock holds back. It has one from the first time on.
type sackComp struct {
	held   uint32      // ACKs held back (compressed_ack)
	rcvNxt uint32      // what they would acknowledge (compressed_ack_rcv_nxt)
	dups   uint8       // sent for it (dup_ack_counter)
	queued atomic.Bool // the alarm is set
	alarm  napi.Alarm
}

// ofoAck acknowledges while something is missing, at once or with others (Linux:
// the end of __tcp_ack_snd_check).
func (s *Sock) ofoAck() {
	t := s.tcp
	if !s.isSack() {
		s.sendAck()
		return
	}
	if s.comp == nil {
		s.comp = &sackComp{}
	}
	c := s.comp
	if c.held >= uint32(t.conf.compSackNr.Load()) {
		s.sendAck()
		return
	}
	if c.rcvNxt != s.rcvNxt {
		c.rcvNxt, c.dups = s.rcvNxt, 0
	}
	if c.dups < fastRetransThresh {
		c.dups++
		s.sendAck()
		return
	}
	c.held++
	if c.queued.Swap(true) {
		return
	}
	rtt := s.rcvRTT.rtt // both are shifted by 3
	if s.srtt != 0 {
		rtt = min(rtt, s.srtt)
	}
	delay := time.Duration(min(int64(rtt)*(int64(time.Microsecond)>>3)/20, int64(t.conf.compSackDelay.Load())))
	if r, ok := c.alarm.(interface{ Reset(time.Duration) bool }); ok {
		r.Reset(delay)
	} else {
		c.alarm = t.clock.AfterFunc(delay, s.compKick)
	}
}

// compKick is tcp_compressed_ack_kick. Called by the clock, with no lock held.
func (s *Sock) compKick() {
	s.BHLock()
	s.comp.queued.Store(false)
	if s.OwnedByUser() {
		s.Defer(deferDelack)
	} else {
		s.compSend()
	}
	s.bhUnlock()
}

// compSend sends one ACK for all that were held back, if there are any (Linux:
// tcp_sack_compress_send_ack).
func (s *Sock) compSend() bool {
	c := s.comp
	if c == nil || c.held == 0 || s.State() == Close {
		return false
	}
	c.held-- // the one that goes
	s.refresh()
	s.sendAck()
	return true
}

// compSent notes that an ACK went, whatever for: it says all that those held back
// would have said (Linux: the head of tcp_event_ack_sent).
func (s *Sock) compSent() {
	if c := s.comp; c != nil && c.held != 0 {
		s.tcp.add(mib.TCPAckCompressed, int(c.held))
		c.held = 0
	}
	s.stopComp()
}

// stopComp takes the alarm off.
func (s *Sock) stopComp() {
	if c := s.comp; c != nil && c.queued.Load() {
		c.alarm.Stop()
		c.queued.Store(false)
	}
}
