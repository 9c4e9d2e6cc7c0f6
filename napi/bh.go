package napi

// A system call that sends over a loopback device or a veth causes work for
// softirqs: of its own namespace, or of the one at the other end. Waking
// ksoftirqd for it costs more than the work. As on Linux, where
// local_bh_enable does it, who caused the work does it, before the call
// returns.

// BHDisable says that the calling goroutine, in process context, is about to
// send and calls BHEnable soon, without sleeping in between. Sections nest and
// may run on several goroutines at once; softirqs are not kept out by them.
func (s *SoftNet) BHDisable() { s.bh.Add(1) }

// BHEnable ends a section and runs the softirqs that it gave rise to, here and
// in one other namespace it sent to (Linux: local_bh_enable). No lock may be
// held.
func (s *SoftNet) BHEnable() {
	for range maxRestart {
		p := s.peer.Load()
		if p != nil {
			p = s.peer.Swap(nil)
		}
		if p != nil {
			p.endBH()
		}
		if s.pending.Load() != 0 || s.outputs.Load() != nil {
			s.endBH()
		} else if p == nil {
			break
		}
	}
	s.bh.Add(-1)
	// Who raised something saw us until now.
	if s.peer.Load() != nil {
		if p := s.peer.Swap(nil); p != nil && p.pending.Load() != 0 {
			p.wakeup()
		}
	}
	if s.pending.Load() != 0 && s.owner.Load()&ownerMask == ownerNone {
		s.wakeup()
	}
}

// endBH is DoSoftirq at the end of a section. Where ksoftirqd yields between two
// rounds an interrupt leaves the work to it, but a section that sent something
// does not, if it is that what is left: a program whose every call waited for
// ksoftirqd's next turn, and gave it more to do before it is done, would never get
// rid of it again (Linux: since 6.5 softirqs do not wait for ksoftirqd).
func (s *SoftNet) endBH() {
	o := s.owner.Load()
	if o&ownerMask != ownerYield {
		s.DoSoftirq()
		return
	}
	if s.backlog.state.Load()&napiSched != 0 && s.owner.CompareAndSwap(o, o+ownerTurn+ownerDo-ownerYield) {
		s.rounds()
	}
}

// scheduleFor schedules the backlog of s for from, which sent what is on it.
func (s *SoftNet) scheduleFor(from *SoftNet) {
	s.bh.Add(1) // raise wakes nobody; we do, if need be
	s.backlog.schedule()
	s.bh.Add(-1)
	if s.pending.Load() != 0 && s.owner.Load()&ownerMask == ownerNone && !from.attends(s) && !s.attended() {
		s.wakeup()
	}
}

// attends reports whether a section of s, which raised softirqs of p, runs them
// when it ends.
func (s *SoftNet) attends(p *SoftNet) bool {
	if s.bh.Load() == 0 {
		return false
	}
	if old := s.peer.Load(); old != p && (old != nil || !s.peer.CompareAndSwap(nil, p)) {
		return false
	}
	if s.bh.Load() > 0 {
		return true
	}
	// The last section ended meanwhile. Either it saw p, or we take it back.
	return !s.peer.CompareAndSwap(p, nil)
}
