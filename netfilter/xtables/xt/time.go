package xt

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"barewire/netfilter/xtables"
)

// IDs of the options of time.
const (
	timeDateStart = iota
	timeDateStop
	timeStart
	timeStop
	timeContiguous
	timeMonthdays
	timeWeekdays
	timeLocal
	timeUTC
	timeKernel
)

const (
	daySeconds = 86400
	maxDate    = 0x7fffffff
	allDays    = 0xfe       // bits 1 to 7
	allMonth   = 0xfffffffe // bits 1 to 31
)

var timeDef = &xtables.Def{ // read-only
	Name: "time",
	Options: []xtables.Option{
		{Name: "datestart", ID: timeDateStart, Args: 1},
		{Name: "datestop", ID: timeDateStop, Args: 1},
		{Name: "timestart", ID: timeStart, Args: 1},
		{Name: "timestop", ID: timeStop, Args: 1},
		{Name: "contiguous", ID: timeContiguous},
		{Name: "weekdays", ID: timeWeekdays, Args: 1, Invert: true},
		{Name: "monthdays", ID: timeMonthdays, Args: 1, Invert: true},
		{Name: "localtz", ID: timeLocal, Excl: 1 << timeUTC},
		{Name: "utc", ID: timeUTC, Excl: 1<<timeLocal | 1<<timeKernel},
		{Name: "kerneltz", ID: timeKernel, Excl: 1 << timeUTC},
	},
	NewMatch: func() xtables.Match {
		return &timeMatch{dateStop: maxDate, stop: daySeconds - 1, week: allDays, month: allMonth}
	},
}

// timeMatch is xt_time. The kernel's zone is UTC: nothing sets another.
type timeMatch struct {
	xtables.Plain
	dateStart, dateStop int64 // seconds since 1970
	start, stop         int   // seconds of the day
	week                uint8
	month               uint32
	contiguous, kernel  bool
}

var weekNames = []string{"", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} // read-only

// parseDate reads YYYY[-MM[-DD[Thh[:mm[:ss]]]]].
func parseDate(s string) (int64, error) {
	bad := fmt.Errorf("Invalid date \"%s\" specified. Should be YYYY[-MM[-DD[Thh[:mm[:ss]]]]]", s)
	date, clock, hasClock := strings.Cut(s, "T")
	l := strings.Split(date, "-")
	v := []int{1970, 1, 1, 0, 0, 0}
	lo, hi := []int{1970, 1, 1, 0, 0, 0}, []int{2038, 12, 31, 23, 59, 59}
	if len(l) > 3 || hasClock && len(l) != 3 {
		return 0, bad
	}
	if hasClock {
		c := strings.Split(clock, ":")
		if len(c) > 3 {
			return 0, bad
		}
		l = append(l, c...)
	}
	for i, w := range l {
		n, ok := parseInt(w, lo[i], hi[i])
		if !ok {
			return 0, bad
		}
		v[i] = n
	}
	return min(time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], 0, time.UTC).Unix(), maxDate), nil
}

// parseClock reads hh:mm[:ss].
func parseClock(s string) (int, error) {
	l := strings.Split(s, ":")
	bad := fmt.Errorf("invalid time \"%s\" specified, should be hh:mm[:ss] format and within the boundaries", s)
	if len(l) < 2 || len(l) > 3 {
		return 0, bad
	}
	t := 0
	for i, unit := range []int{3600, 60, 1}[:len(l)] {
		n, ok := parseInt(l[i], 0, []int{23, 59, 59}[i])
		if !ok {
			return 0, bad
		}
		t += n * unit
	}
	return t, nil
}

func parseMonthdays(s string) (set uint32, err error) {
	for w := range strings.SplitSeq(s, ",") {
		if w == "" {
			continue
		}
		n, ok := parseInt(w, 1, 31)
		if !ok {
			return 0, fmt.Errorf("%s is not a valid day for --monthdays", w)
		}
		set |= 1 << n
	}
	return set, nil
}

func parseWeekdays(s string) (set uint8, err error) {
	for w := range strings.SplitSeq(s, ",") {
		if w == "" {
			continue
		}
		n, ok := parseInt(w, 0, 7)
		switch {
		case !ok:
			for d, name := range weekNames[1:] {
				if strings.HasPrefix(w, name[:2]) {
					n, ok = d+1, true
				}
			}
		case n == 0:
			return 0, errors.New("No, the week does NOT begin with Sunday.")
		}
		if !ok {
			return 0, fmt.Errorf("%s is not a valid day specifier", w)
		}
		set |= 1 << n
	}
	return set, nil
}

// Set implements xtables.Extension.
func (m *timeMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	switch id {
	case timeDateStart:
		m.dateStart, err = parseDate(args[0])
	case timeDateStop:
		m.dateStop, err = parseDate(args[0])
	case timeStart:
		m.start, err = parseClock(args[0])
	case timeStop:
		m.stop, err = parseClock(args[0])
	case timeContiguous:
		m.contiguous = true
	case timeMonthdays:
		if m.month, err = parseMonthdays(args[0]); invert {
			m.month ^= allMonth
		}
	case timeWeekdays:
		if m.week, err = parseWeekdays(args[0]); invert {
			m.week ^= allDays
		}
	case timeLocal, timeKernel:
		m.kernel = true
	}
	return err
}

// Check implements xtables.Extension (Linux: time_mt_check).
func (m *timeMatch) Check(c *xtables.CheckContext) error {
	if m.contiguous && m.start < m.stop {
		return errors.New("xt_time: --contiguous has no effect when stop time is larger than start time")
	}
	if c.Env.Wall == nil {
		return errors.New("xt_time: there is no clock")
	}
	return nil
}

func appendClock(b []byte, t int) []byte {
	return fmt.Appendf(b, "%02d:%02d:%02d", t/3600, t/60%60, t%60)
}

func appendDate(b []byte, t int64, layout string) []byte {
	return time.Unix(t, 0).UTC().AppendFormat(b, layout)
}

// days appends the days of a month.
func (m *timeMatch) days(b []byte, suffix bool) []byte {
	sep := ""
	for d := 1; d <= 31; d++ {
		if m.month&(1<<d) == 0 {
			continue
		}
		b = fmt.Appendf(b, "%s%d", sep, d)
		sep = ","
		if suffix {
			b = append(b, []string{"th", "st", "nd", "rd", "th", "th", "th", "th", "th", "th"}[d%10]...)
		}
	}
	return append(b, ' ')
}

func (m *timeMatch) weeks(b []byte) []byte {
	sep := ""
	for d := 1; d <= 7; d++ {
		if m.week&(1<<d) != 0 {
			b = append(append(b, sep...), weekNames[d]...)
			sep = ","
		}
	}
	return append(b, ' ')
}

// Save implements xtables.Extension.
func (m *timeMatch) Save(b []byte) []byte {
	if m.start != 0 || m.stop != daySeconds-1 {
		b = appendClock(append(b, " --timestart "...), m.start)
		b = appendClock(append(b, " --timestop "...), m.stop)
	}
	if m.month != allMonth {
		b = m.days(append(b, " --monthdays "...), false)
		b = b[:len(b)-1]
	}
	if m.week != allDays {
		b = m.weeks(append(b, " --weekdays "...))
		b = b[:len(b)-1]
	}
	const layout = "2006-01-02T15:04:05"
	if m.dateStart != 0 {
		b = appendDate(append(b, " --datestart "...), m.dateStart, layout)
	}
	b = appendDate(append(b, " --datestop "...), m.dateStop, layout)
	if m.kernel {
		b = append(b, " --kerneltz"...)
	}
	if m.contiguous {
		b = append(b, " --contiguous"...)
	}
	return b
}

// Print implements xtables.Extension.
func (m *timeMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " TIME"...)
	if m.start != 0 || m.stop != daySeconds-1 {
		b = appendClock(append(b, " from "...), m.start)
		b = appendClock(append(b, " to "...), m.stop)
	}
	if m.week != allDays {
		b = m.weeks(append(b, " on "...))
		b = b[:len(b)-1]
	}
	if m.month != allMonth {
		b = m.days(append(b, " on "...), true)
		b = b[:len(b)-1]
	}
	const layout = "2006-01-02 15:04:05"
	if m.dateStart != 0 {
		b = appendDate(append(b, " starting from "...), m.dateStart, layout)
	}
	if m.dateStop != maxDate {
		b = appendDate(append(b, " until date "...), m.dateStop, layout)
	}
	if !m.kernel {
		b = append(b, " UTC"...)
	}
	if m.contiguous {
		b = append(b, " contiguous"...)
	}
	return b
}

// Match implements xtables.Match (Linux: time_mt).
func (m *timeMatch) Match(p *xtables.Packet) bool {
	now := p.Env.Wall() / 1e9
	if now < m.dateStart || now > m.dateStop {
		return false
	}
	sec := int(now % daySeconds)
	if m.start < m.stop {
		if sec < m.start || sec > m.stop {
			return false
		}
	} else {
		if sec < m.start && sec > m.stop {
			return false
		}
		if m.contiguous && sec < m.stop {
			now -= daySeconds // the day it began counts
		}
	}
	day := now / daySeconds
	if m.week&(1<<((day+3)%7+1)) == 0 { // 1970 began on a Thursday
		return false
	}
	return m.month == allMonth || m.month&(1<<time.Unix(now, 0).UTC().Day()) != 0
}
