//go:build tamago

package microvm

// The real-time clock (Motorola MC146818A). tamago's rtc package reads it too, but needs the heap, and wall time is
// wanted before that: package initialisers ask for it.

const (
	rtcIndex = 0x70
	rtcData  = 0x71

	rtcSeconds = 0
	rtcMinutes = 2
	rtcHours   = 4
	rtcDay     = 7
	rtcMonth   = 8
	rtcYear    = 9
	rtcA       = 10
	rtcB       = 11
	rtcCentury = 0x32

	rtcUpdating = 1 << 7 // of A
	rtcBinary   = 1 << 2 // of B
	rtc24       = 1 << 1 // of B
)

func rtcRead(reg uint8) uint8 {
	out8(rtcIndex, reg|0x80) // NMI stays off while the index is set, as ever
	v := in8(rtcData)
	out8(rtcIndex, 0)
	return v
}

// rtcStable waits until no update is under way. false: there is no clock.
func rtcStable() bool {
	for range 100000 {
		a := rtcRead(rtcA)
		if a == 0xff {
			return false
		}
		if a&rtcUpdating == 0 {
			return true
		}
	}
	return false
}

// rtcNow reads the clock, in seconds since the Unix epoch. ok is false without a clock, or if what it shows is no date.
func rtcNow() (sec int64, ok bool) {
	var last, now [7]uint8
	for try := 0; ; try++ {
		if try == 10 || !rtcStable() {
			return 0, false
		}
		for i, reg := range [7]uint8{rtcSeconds, rtcMinutes, rtcHours, rtcDay, rtcMonth, rtcYear, rtcCentury} {
			now[i] = rtcRead(reg)
		}
		if now == last {
			break
		}
		last = now
	}
	b := rtcRead(rtcB)
	pm := b&rtc24 == 0 && now[2]&0x80 != 0
	now[2] &= 0x7f
	if b&rtcBinary == 0 {
		for i, v := range now {
			now[i] = v>>4*10 + v&15
		}
	}
	if b&rtc24 == 0 {
		now[2] %= 12
		if pm {
			now[2] += 12
		}
	}
	year := int64(now[5]) + 100*int64(now[6])
	if now[6] < 19 || now[6] > 29 { // no century register
		year = 2000 + int64(now[5])
	}
	if now[0] > 60 || now[1] > 59 || now[2] > 23 || now[3] < 1 || now[3] > 31 || now[4] < 1 || now[4] > 12 || now[5] > 99 {
		return 0, false
	}
	return days(year, int64(now[4]), int64(now[3]))*86400 + int64(now[2])*3600 + int64(now[1])*60 + int64(now[0]), true
}

// days counts from 1 January 1970 to a date of the Gregorian calendar, years from March so that the leap day is last.
func days(y, m, d int64) int64 {
	if m -= 3; m < 0 {
		m += 12
		y--
	}
	return 365*y + y/4 - y/100 + y/400 + (153*m+2)/5 + d - 1 - 719468
}

// wallSetup starts the wall clock from the RTC, to the second.
func wallSetup() {
	if sec, ok := rtcNow(); ok {
		wallOffset = sec*1e9 - clockNow()
	}
}

// rtcRate measures the TSC over one second of the RTC: the last resort, it takes up to two seconds of boot.
func rtcRate() uint64 {
	edge := func() uint64 {
		s := rtcRead(rtcSeconds)
		for range 50 * 1000 * 1000 {
			if rtcRead(rtcSeconds) != s {
				return rdtsc()
			}
		}
		return 0
	}
	if !rtcStable() {
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
