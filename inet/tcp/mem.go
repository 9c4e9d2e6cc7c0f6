package tcp

import (
	"fmt"
	"sync/atomic"
	"syscall"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi/sysctl"
)

// The packet memory of all connections together (Linux: tcp_mem,
// __sk_mem_raise_allocated). Below low everybody gets what he asks for. Above
// pressure, and from then on until it is below low again, buffers stop to grow
// and windows shrink, and who holds more than his share gets nothing. Above high
// nobody does, but for what keeps a connection going.

// memLimits are net.ipv4.tcp_mem in bytes; the last number is the limit of
// TCP.memory.
type memLimits struct {
	low, pressure atomic.Int64
	since         atomic.Int64 // ms: when pressure began, 0 while there is none
}

// setMem sets the limit, and the others in Linux's proportion to it.
func (t *TCP) setMem(high int64) {
	t.mem.low.Store(high / 2)
	t.mem.pressure.Store(high / 3 * 2)
	t.memory.SetLimit(high)
}

func (t *TCP) memEntry() sysctl.Entry {
	return sysctl.Entry{
		Name: "net.ipv4.tcp_mem",
		Get: func() string {
			return fmt.Sprintf("%d\t%d\t%d", t.mem.low.Load()/memPage, t.mem.pressure.Load()/memPage, t.memory.Limit()/memPage)
		},
		Set: func(s string) error {
			l, err := sysctl.Ints(s, 3)
			if err != nil {
				return syscall.EINVAL
			}
			for _, v := range l {
				if v < 0 || v > 1<<40 {
					return syscall.EINVAL
				}
			}
			t.mem.low.Store(l[0] * memPage)
			t.mem.pressure.Store(l[1] * memPage)
			t.memory.SetLimit(l[2] * memPage)
			return nil
		},
	}
}

// enterPressure is tcp_enter_memory_pressure.
func (t *TCP) enterPressure() {
	if t.mem.since.Load() == 0 && t.mem.since.CompareAndSwap(0, max(t.now()/ms, 1)) {
		t.inc(mib.TCPMemoryPressures)
	}
}

// leavePressure is tcp_leave_memory_pressure.
func (t *TCP) leavePressure() {
	if t.mem.since.Load() == 0 {
		return
	}
	if since := t.mem.since.Swap(0); since != 0 {
		t.add(mib.TCPMemoryPressuresChrono, int(t.now()/ms-since))
	}
}

// memBelowLow reports whether buffers may grow.
func (t *TCP) memBelowLow() bool { return t.memory.Used() < t.mem.low.Load() }

// memMay reports whether s may hold n bytes more, received or to send (Linux:
// __sk_mem_raise_allocated). The caller then charges them.
func (s *Sock) memMay(n int, recv bool) bool {
	t := s.tcp
	used := t.memory.Used() + int64(n)
	if used <= t.mem.low.Load() {
		t.leavePressure()
		return true
	}
	if used > t.mem.pressure.Load() {
		t.enterPressure()
	}
	if high := t.memory.Limit(); used <= high {
		// The least buffers are for everybody.
		if recv && s.rmem < int(t.conf.rmem[0].Load()) || !recv && s.wmemQueued < int(t.conf.wmem[0].Load()) {
			return true
		}
		if t.mem.since.Load() == 0 {
			return true
		}
		// Less than the average: fair enough.
		if high > t.socks.Load()*int64(s.wmemQueued+s.rmem+n) {
			return true
		}
	}
	if !recv {
		s.moderateSndbuf()
		// At the end of its buffer it waits instead.
		return s.wmemQueued+n >= s.SendBuffer()
	}
	return false
}

// memFree gives n bytes back (Linux: __sk_mem_reduce_allocated).
func (t *TCP) memFree(n int64) {
	t.memory.Uncharge(n)
	if t.mem.since.Load() != 0 && t.memBelowLow() {
		t.leavePressure()
	}
}

// moderateSndbuf is sk_stream_moderate_sndbuf: half of what is queued is enough.
func (s *Sock) moderateSndbuf() {
	if !s.Flag(sock.FlagSndBufLock) {
		s.StoreSndBuf(max(min(s.SendBuffer(), s.wmemQueued>>1), sock.MinSndBuf))
	}
}

// wmemSchedule returns how many of n bytes may be written now (Linux:
// tcp_wmem_schedule): a little at least, if nothing is queued.
func (s *Sock) wmemSchedule(n int) int {
	if s.memMay(n, false) {
		return n
	}
	return max(min(n, int(s.tcp.conf.wmem[0].Load())-s.wmemQueued), 0)
}

// outOfMemory is tcp_out_of_memory.
func (s *Sock) outOfMemory() bool {
	return s.wmemQueued > sock.MinSndBuf && s.tcp.memory.Used() > s.tcp.memory.Limit()
}

// underPressure is tcp_under_memory_pressure.
func (s *Sock) underPressure() bool { return s.tcp.mem.since.Load() != 0 }
