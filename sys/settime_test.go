package sys

import (
	"syscall"
	"testing"
)

func TestSettime_timeAndZone(t *testing.T) {
	wall := int64(0)
	tk := newTestKernel(t, func(c *Config) {
		c.WallClock = func() (int64, int32) { return wall / 1e9, int32(wall % 1e9) }
		c.SetWallClock = func(sec int64, nsec int32) { wall = sec*1e9 + int64(nsec) }
	})
	ts := syscall.Timespec{Sec: 1_900_000_000, Nsec: 5}
	tk.must(syscall.SYS_CLOCK_SETTIME, clockRealtime, ptr(&ts))
	var got syscall.Timespec
	tk.must(syscall.SYS_CLOCK_GETTIME, clockRealtime, ptr(&got))
	if got != ts {
		t.Errorf("set to %+v, is %+v", ts, got)
	}
	for _, id := range []uintptr{clockMonotonic, clockBoottime, clockTAI, clockRealtimeCoarse, clockThreadCPU, 99} {
		tk.fails(syscall.EINVAL, syscall.SYS_CLOCK_SETTIME, id, ptr(&ts))
	}
	tk.fails(syscall.EFAULT, syscall.SYS_CLOCK_SETTIME, clockRealtime, 1)
	for _, bad := range []syscall.Timespec{{Sec: -1}, {Sec: 2e9, Nsec: 1e9}, {Sec: 2e9, Nsec: -1}, {Sec: maxSetSec}, {Sec: 1 << 62}, {}} {
		tk.fails(syscall.EINVAL, syscall.SYS_CLOCK_SETTIME, clockRealtime, ptr(&bad))
	}

	tv := syscall.Timeval{Sec: 1_950_000_000, Usec: 7}
	tk.must(syscall.SYS_SETTIMEOFDAY, ptr(&tv), 0)
	if wall != 1_950_000_000_000_007_000 {
		t.Errorf("settimeofday set %d", wall)
	}
	for _, bad := range []syscall.Timeval{{Sec: 2e9, Usec: 1e6}, {Sec: 2e9, Usec: -1}, {Sec: -5}} {
		tk.fails(syscall.EINVAL, syscall.SYS_SETTIMEOFDAY, ptr(&bad), 0)
	}
	tk.fails(syscall.EFAULT, syscall.SYS_SETTIMEOFDAY, 0, 1)
	// The first zone without a time moves the clock, the next does not.
	tz := timezone{minutesWest: -60}
	tk.must(syscall.SYS_SETTIMEOFDAY, 0, ptr(&tz))
	tz.minutesWest = 120
	tk.must(syscall.SYS_SETTIMEOFDAY, 0, ptr(&tz))
	if wall != 1_949_996_400_000_007_000 {
		t.Errorf("zones moved the clock to %d", wall)
	}
	tz.minutesWest = 901
	tk.fails(syscall.EINVAL, syscall.SYS_SETTIMEOFDAY, 0, ptr(&tz))
	var now timezone
	tk.must(syscall.SYS_GETTIMEOFDAY, 0, ptr(&now))
	if now.minutesWest != 120 {
		t.Errorf("the zone is %+v", now)
	}
	tk.must(syscall.SYS_SETTIMEOFDAY, 0, 0)
}

func TestSettime_clockOfAnother_isEPERM(t *testing.T) {
	tk := newTestKernel(t)
	ts := syscall.Timespec{Sec: 1_900_000_000}
	tk.fails(syscall.EPERM, syscall.SYS_CLOCK_SETTIME, clockRealtime, ptr(&ts))
}
