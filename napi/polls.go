package napi

import (
	"math/bits"
	"sync/atomic"
)

// pollSizes is how many sizes of polls are told apart: 0, 1, 2–3, 4–7, … , and a
// whole weight of 64 or more.
const pollSizes = 8

// PollStats counts the polls of a context.
type PollStats struct {
	Count    atomic.Uint64            // polls
	Busy     atomic.Uint64            // of these, by a reader that waits
	Deferred atomic.Uint64            // after which interrupts stayed off
	Sizes    [pollSizes]atomic.Uint64 // by the packets each brought, see PollSizeNames
}

// PollSizeNames are the ranges of packets that PollStats.Sizes counts.
var PollSizeNames = [pollSizes]string{"0", "1", "2_3", "4_7", "8_15", "16_31", "32_63", "64"} // read-only

func (s *PollStats) add(work int) {
	s.Count.Add(1)
	s.Sizes[min(bits.Len(uint(max(work, 0))), pollSizes-1)].Add(1)
}
