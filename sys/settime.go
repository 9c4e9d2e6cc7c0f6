package sys

import (
	"math"
	"syscall"
)

// Setting the time of day (Linux: kernel/time/time.c, timekeeping.c).

const (
	nsPerSec   = int64(1e9)
	maxSetSec  = math.MaxInt64/nsPerSec - 30*365*24*3600 // TIME_SETTOD_SEC_MAX: 30 years until the clock ends
	maxWestMin = 15 * 60
)

// timezone is struct timezone. The kernel only keeps it.
type timezone struct{ minutesWest, dstTime int32 }

// setWall sets the time of day (Linux: do_sys_settimeofday64). EINVAL for what
// is no time, and for one so early that the machine would have booted before
// 1970; EPERM where the platform's clock is not ours to set.
func (k *Kernel) setWall(sec, nsec int64) Errno {
	switch {
	case sec < 0 || sec >= maxSetSec || nsec < 0 || nsec >= nsPerSec,
		sec*nsPerSec+nsec < k.cfg.Clock.Now():
		return syscall.EINVAL
	case k.cfg.SetWallClock == nil:
		return syscall.EPERM
	}
	k.cfg.SetWallClock(sec, int32(nsec))
	return 0
}

func sysClockSettime(k *Kernel, a args) (uintptr, Errno) {
	if uint32(a.a0) != clockRealtime {
		return 0, syscall.EINVAL // the others follow from this one, or nobody sets them
	}
	ts, e := copyFrom[syscall.Timespec](k, a.a1)
	if e != 0 {
		return 0, e
	}
	return 0, k.setWall(ts.Sec, ts.Nsec)
}

// sysSettimeofday sets the time, the time zone, or both. The first zone that
// is given without a time says that the clock was running in it until now.
func sysSettimeofday(k *Kernel, a args) (uintptr, Errno) {
	var tv syscall.Timeval
	var tz timezone
	var e Errno
	if a.a0 != 0 {
		if tv, e = copyFrom[syscall.Timeval](k, a.a0); e != 0 {
			return 0, e
		}
		if tv.Usec < 0 || tv.Usec >= 1e6 {
			return 0, syscall.EINVAL
		}
	}
	if a.a1 != 0 {
		if tz, e = copyFrom[timezone](k, a.a1); e != 0 {
			return 0, e
		}
	}
	if a.a0 != 0 && (tv.Sec < 0 || tv.Sec >= maxSetSec) {
		return 0, syscall.EINVAL
	}
	if a.a1 != 0 {
		if tz.minutesWest < -maxWestMin || tz.minutesWest > maxWestMin {
			return 0, syscall.EINVAL
		}
		if k.zone.Swap(&tz) == nil && a.a0 == 0 && tz.minutesWest != 0 { // Linux: timekeeping_warp_clock
			s, ns := k.wallNow()
			return 0, k.setWall(s+60*int64(tz.minutesWest), ns)
		}
	}
	if a.a0 != 0 {
		return 0, k.setWall(tv.Sec, tv.Usec*1000)
	}
	return 0, 0
}
