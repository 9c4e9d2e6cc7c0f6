// Package rtc reads dates off a PC's real-time clock (Motorola MC146818A), given access to its registers. It allocates
// nothing: wall time is wanted before the heap exists. tamago's rtc package, which needs the heap, reads the same
// registers.
package rtc

// Registers. Century is where ACPI's FADT has it on PCs.
const (
	Seconds = 0
	Minutes = 2
	Hours   = 4
	Day     = 7
	Month   = 8
	Year    = 9
	StatusA = 10
	StatusB = 11
	Century = 0x32

	updating = 1 << 7 // of StatusA
	hour24   = 1 << 1 // of StatusB
	binary   = 1 << 2 // of StatusB
)

// Stable waits until no update is under way. It returns false if there is no clock.
func Stable(read func(reg uint8) uint8) bool {
	for range 100000 {
		a := read(StatusA)
		if a == 0xff { // nothing answers
			return false
		}
		if a&updating == 0 {
			return true
		}
	}
	return false
}

// Now reads the clock: seconds since the Unix epoch, taking it to show UTC. ok is false without a clock, or if what it shows
// is no date.
func Now(read func(reg uint8) uint8) (sec int64, ok bool) {
	var last, now [7]uint8
	for try := 0; ; try++ { // until two readings agree
		if try == 10 || !Stable(read) {
			return 0, false
		}
		for i, reg := range [7]uint8{Seconds, Minutes, Hours, Day, Month, Year, Century} {
			now[i] = read(reg)
		}
		if now == last {
			return decode(now, read(StatusB))
		}
		last = now
	}
}

// decode turns seconds, minutes, hours, day, month, year, century into a time.
func decode(r [7]uint8, b uint8) (sec int64, ok bool) {
	pm := b&hour24 == 0 && r[2]&0x80 != 0
	r[2] &= 0x7f
	if b&binary == 0 {
		for i, v := range r {
			if v&15 > 9 && i < 6 {
				return 0, false
			}
			r[i] = v>>4*10 + v&15
		}
	}
	if b&hour24 == 0 {
		if r[2] < 1 || r[2] > 12 {
			return 0, false
		}
		r[2] %= 12
		if pm {
			r[2] += 12
		}
	}
	if r[0] > 60 || r[1] > 59 || r[2] > 23 || r[3] < 1 || r[3] > 31 || r[4] < 1 || r[4] > 12 || r[5] > 99 {
		return 0, false
	}
	year := int64(r[5]) + 100*int64(r[6])
	if r[6] < 19 || r[6] > 29 { // no century register
		year = 2000 + int64(r[5])
	}
	return days(year, int64(r[4]), int64(r[3]))*86400 + int64(r[2])*3600 + int64(r[1])*60 + int64(r[0]), true
}

// days counts from 1 January 1970 to a date of the Gregorian calendar. Years are taken from March, so that the leap day
// is the last.
func days(y, m, d int64) int64 {
	if m -= 3; m < 0 {
		m += 12
		y--
	}
	return 365*y + y/4 - y/100 + y/400 + (153*m+2)/5 + d - 1 - 719468
}
