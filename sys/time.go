package sys

import (
	"syscall"
)

// Clocks (Linux: include/uapi/linux/time.h).
const (
	clockRealtime        = 0
	clockMonotonic       = 1
	clockProcessCPU      = 2
	clockThreadCPU       = 3
	clockMonotonicRaw    = 4
	clockRealtimeCoarse  = 5
	clockMonotonicCoarse = 6
	clockBoottime        = 7
	clockRealtimeAlarm   = 8
	clockBoottimeAlarm   = 9
	clockTAI             = 11
	timerAbstime         = 1
	clockTicksPerSec     = 100 // USER_HZ
	nsPerTick            = 1e9 / clockTicksPerSec
)

// readClock returns a clock's time. The processor-time clocks count from boot:
// one process has the machine, and what it idled is not known here, so they
// are an upper bound.
func (k *Kernel) readClock(id uint32) (syscall.Timespec, Errno) {
	switch id {
	case clockRealtime, clockRealtimeCoarse, clockRealtimeAlarm, clockTAI:
		s, ns := k.wallNow()
		return syscall.Timespec{Sec: s, Nsec: ns}, 0
	case clockMonotonic, clockMonotonicRaw, clockMonotonicCoarse, clockBoottime, clockBoottimeAlarm:
		return syscall.NsecToTimespec(k.cfg.Clock.Now()), 0
	case clockProcessCPU, clockThreadCPU:
		return syscall.NsecToTimespec(k.uptime()), 0
	}
	return syscall.Timespec{}, syscall.EINVAL
}

// uptime returns nanoseconds since the kernel was made.
func (k *Kernel) uptime() int64 { return k.cfg.Clock.Now() - k.boot }

func sysClockGettime(k *Kernel, a args) (uintptr, Errno) {
	ts, e := k.readClock(uint32(a.a0))
	if e != 0 {
		return 0, e
	}
	return 0, copyTo(k, a.a1, ts)
}

func sysClockGetres(k *Kernel, a args) (uintptr, Errno) {
	if _, e := k.readClock(uint32(a.a0)); e != 0 {
		return 0, e
	}
	if a.a1 == 0 {
		return 0, 0
	}
	return 0, copyTo(k, a.a1, syscall.Timespec{Nsec: 1})
}

func sysGettimeofday(k *Kernel, a args) (uintptr, Errno) {
	if a.a0 != 0 {
		s, ns := k.wallNow()
		if e := copyTo(k, a.a0, syscall.Timeval{Sec: s, Usec: ns / 1000}); e != 0 {
			return 0, e
		}
	}
	if a.a1 != 0 {
		var tz timezone // UTC
		if z := k.zone.Load(); z != nil {
			tz = *z
		}
		return 0, copyTo(k, a.a1, tz)
	}
	return 0, 0
}

func sysTime(k *Kernel, a args) (uintptr, Errno) {
	s, _ := k.wallNow()
	if a.a0 != 0 {
		if e := copyTo(k, a.a0, s); e != 0 {
			return 0, e
		}
	}
	return uintptr(s), 0
}

// sleep blocks the caller for ns nanoseconds. Nothing interrupts it.
func (k *Kernel) sleep(ns int64) {
	if ns <= 0 {
		return
	}
	s := k.newSleeper()
	for deadline := k.deadline(ns); !s.until(k.cfg.Clock, deadline); {
	}
}

func sysNanosleep(k *Kernel, a args) (uintptr, Errno) {
	ts, e := copyFrom[syscall.Timespec](k, a.a0)
	if e != 0 {
		return 0, e
	}
	ns, e := timespecNs(ts)
	if e != 0 {
		return 0, e
	}
	k.sleep(ns)
	return 0, 0
}

func sysClockNanosleep(k *Kernel, a args) (uintptr, Errno) {
	id := uint32(a.a0)
	now, e := k.readClock(id)
	if e != 0 || id == clockThreadCPU {
		return 0, syscall.EINVAL
	}
	switch id {
	case clockMonotonicRaw, clockRealtimeCoarse, clockMonotonicCoarse:
		return 0, syscall.ENOTSUP // no timers on these
	}
	ts, e := copyFrom[syscall.Timespec](k, a.a2)
	if e != 0 {
		return 0, e
	}
	ns, e := timespecNs(ts)
	if e != 0 {
		return 0, e
	}
	if a.a1&timerAbstime != 0 {
		ns -= now.Nano()
	}
	k.sleep(ns)
	return 0, 0
}

// sysTimes returns ticks since boot; see readClock for processor time.
func sysTimes(k *Kernel, a args) (uintptr, Errno) {
	ticks := k.uptime() / nsPerTick
	if a.a0 != 0 {
		if e := copyTo(k, a.a0, syscall.Tms{Utime: ticks}); e != 0 {
			return 0, e
		}
	}
	return uintptr(ticks), 0
}
