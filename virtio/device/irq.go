package device

import "sync/atomic"

// line is an interrupt line or vector: its handler runs on the goroutine that
// raises it, one at a time; what is raised meanwhile makes it run again.
type line struct {
	pending atomic.Int64
}

func (l *line) raise(handler func()) {
	if handler == nil || l.pending.Add(1) != 1 {
		return
	}
	for n := int64(1); n != 0; {
		handler()
		n = l.pending.Add(-n)
	}
}
