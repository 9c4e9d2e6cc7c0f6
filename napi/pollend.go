package napi

// PollEnd is work that the packets of a poll share: done once when the poll
// ends, however many asked for it. Counters are added up and readers woken that
// way. To be embedded; set it up with Init.
type PollEnd struct {
	next   *PollEnd
	queued bool
	fn     func()
}

// Init sets what is to be done. fn runs in softirq context and must not block.
func (p *PollEnd) Init(fn func()) { p.fn = fn }

// Queued reports whether the poll under way will do the work. Softirq context.
func (p *PollEnd) Queued() bool { return p.queued }

// AtPollEnd has p done at the end of the poll under way, in the order in which
// it is asked for. Only for what runs inside a poll: packet handlers and what
// they call.
func (s *SoftNet) AtPollEnd(p *PollEnd) {
	if p.queued {
		return
	}
	p.queued = true
	if s.endTail == nil {
		s.endHead = p
	} else {
		s.endTail.next = p
	}
	s.endTail = p
}

// endPoll does what was asked for, also by what it does.
func (s *SoftNet) endPoll() {
	for p := s.endHead; p != nil; p = s.endHead {
		if s.endHead = p.next; s.endHead == nil {
			s.endTail = nil
		}
		p.next, p.queued = nil, false
		p.fn()
	}
}
