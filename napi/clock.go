package napi

import "time"

// Clock is the time source of a stack. Tests pass a virtual one.
type Clock interface {
	// Now returns monotonic nanoseconds, always greater than zero.
	Now() int64
	// AfterFunc calls f on its own goroutine (or, for a virtual clock, on
	// the goroutine that advances it) once d has passed.
	AfterFunc(d time.Duration, f func()) Alarm
}

// Alarm is a pending AfterFunc call. Stop reports whether it kept f from
// being called. An Alarm that also has the Reset method of [time.Timer] is
// re-armed with it, without allocating.
type Alarm = interface{ Stop() bool }

// WallClock is what a [Clock] has besides that also tells the time of day: a
// virtual one.
type WallClock interface {
	// WallNow returns nanoseconds since 1970 UTC.
	WallNow() int64
}

// WallNow returns the time of day by clock c, in nanoseconds since 1970 UTC: that
// of package time unless c has its own.
func WallNow(c Clock) int64 {
	if w, ok := c.(WallClock); ok {
		return w.WallNow()
	}
	return time.Now().UnixNano()
}

// SystemClock returns a clock on package time, so that testing/synctest
// virtualises it when it is made inside the bubble.
func SystemClock() Clock {
	// One second back: Now is never zero, which stands for "no time".
	return systemClock{time.Now().Add(-time.Second)}
}

type systemClock struct{ base time.Time }

func (c systemClock) Now() int64 { return int64(time.Since(c.base)) }

func (c systemClock) AfterFunc(d time.Duration, f func()) Alarm { return time.AfterFunc(d, f) }
