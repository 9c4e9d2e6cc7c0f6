//go:build tamago

package microvm

import "barewire/board/rtc"

const (
	rtcIndex = 0x70
	rtcData  = 0x71
)

func rtcRead(reg uint8) uint8 {
	out8(rtcIndex, reg)
	return in8(rtcData)
}

// wallSetup starts the wall clock: from the RTC, to the second, or from kvmclock where there is none.
func wallSetup() {
	if sec, ok := rtc.Now(rtcRead); ok {
		wallOffset = sec*1e9 - clockNow()
	} else if ns, ok := kvmWall(); ok {
		wallOffset = ns - clockNow()
	}
}

// rtcRate measures the TSC over one second of the RTC: the last resort, it takes up to two seconds of boot.
func rtcRate() uint64 {
	edge := func() uint64 {
		s := rtcRead(rtc.Seconds)
		for range 50 * 1000 * 1000 {
			if rtcRead(rtc.Seconds) != s {
				return rdtsc()
			}
		}
		return 0
	}
	if !rtc.Stable(rtcRead) {
		return 0
	}
	a := edge()
	if a == 0 {
		return 0
	}
	b := edge()
	if b <= a {
		return 0
	}
	return b - a
}
