package tcp

import (
	"unsafe"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
)

// Keepalive, and the end of FIN_WAIT2 (Linux: tcp_keepalive_timer).

// keepTimer is the timer of a sock that few need. It begins with the napi.Timer,
// so that its function gets from the one to the other.
type keepTimer struct {
	napi.Timer
	sk *Sock
}

// keepMod sets it to a time in ns; the sock is locked.
func (s *Sock) keepMod(at int64) {
	if s.keep == nil {
		s.keep = &keepTimer{sk: s}
		s.keep.Init(s.tcp.timers, keepaliveTimer)
	}
	s.keep.Mod(at)
}

func (s *Sock) keepDel() {
	if s.keep != nil {
		s.keep.Del()
	}
}

// keepaliveTimer is tcp_keepalive_timer: it also ends FIN_WAIT2.
func keepaliveTimer(t *napi.Timer) {
	s := (*keepTimer)(unsafe.Pointer(t)).sk
	s.BHLock()
	s.keepaliveHandler()
	s.bhUnlock()
}

func (s *Sock) keepaliveHandler() {
	t := s.tcp
	if s.OwnedByUser() {
		s.keepMod(t.now() + 50*ms) // try again soon
		return
	}
	st := s.State()
	if st == Listen {
		return
	}
	s.refresh()
	if st == FinWait2 && s.Flag(sock.FlagDead) {
		if s.linger2 >= 0 {
			if left := s.finTime() - timeWaitLen; left > 0 {
				s.timeWait(FinWait2, left)
				return
			}
		}
		s.sendActiveReset()
		s.done()
		return
	}
	if !s.Flag(sock.FlagKeepOpen) || inStates(st, fClose|fSynSent) {
		return
	}
	elapsed := s.keepTimeWhen()
	if s.packetsOut == 0 && s.wq.empty() {
		elapsed = s.sinceReceived()
		if elapsed >= s.keepTimeWhen() {
			probes := int(s.keepProbes)
			if probes == 0 {
				probes = int(t.conf.keepProbes.Load())
			}
			if s.userTimeout != 0 && elapsed >= s.userTimeout && s.probesOut > 0 ||
				s.userTimeout == 0 && int(s.probesOut) >= probes {
				s.sendActiveReset()
				s.writeErr()
				return
			}
			if s.writeWakeup(mib.TCPKeepAlive) == nil {
				s.probesOut++
				elapsed = s.keepIntvlWhen()
			} else {
				elapsed = resourceProbe
			}
		} else {
			elapsed = s.keepTimeWhen() - elapsed
		}
	}
	s.keepMod(t.now() + elapsed)
}

func (s *Sock) keepTimeWhen() int64 {
	if s.keepTime != 0 {
		return s.keepTime
	}
	return s.tcp.conf.keepTime.Load()
}

func (s *Sock) keepIntvlWhen() int64 {
	if s.keepIntvl != 0 {
		return s.keepIntvl
	}
	return s.tcp.conf.keepIntvl.Load()
}

// sinceReceived is keepalive_time_elapsed.
func (s *Sock) sinceReceived() int64 {
	now := s.tcp.now()
	return min(now-s.ack.lrcvtime, now-s.rcvTstamp)
}

// finTime returns how long FIN_WAIT2 lasts (Linux: tcp_fin_time).
func (s *Sock) finTime() int64 {
	t := s.linger2
	if t == 0 {
		t = s.tcp.conf.finTimeout.Load()
	}
	return max(t, s.rto<<2-s.rto>>1)
}

// Keepalive implements sock.Stream (Linux: tcp_set_keepalive).
func (s *Sock) Keepalive(on bool) {
	if inStates(s.State(), fClose|fListen) {
		return
	}
	if on && !s.Flag(sock.FlagKeepOpen) {
		s.keepMod(s.tcp.now() + s.keepTimeWhen())
	} else if !on {
		s.keepDel()
	}
}
