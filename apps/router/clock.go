package main

import (
	"context"
	"fmt"
	"time"

	"github.com/beevik/ntp"
	"golang.org/x/sys/unix"
)

// How often the clock is compared with the server's, and how far off it may be
// before it is set.
const (
	ntpInterval = 1024 * time.Second
	ntpRetry    = 16 * time.Second
	ntpStep     = 50 * time.Millisecond
)

// keepTimeBy sets the clock by a server until ctx ends.
func keepTimeBy(ctx context.Context, server string, log func(string, ...any)) {
	failed := false
	for ctx.Err() == nil {
		wait := ntpInterval
		if offset, err := setClock(server); err != nil {
			if wait = ntpRetry; !failed {
				log("NTP: %s: %v; it is tried again every %v", server, err, wait)
			}
			failed = true
		} else {
			if offset != 0 || failed {
				log("NTP: the clock was %v off, %s says", offset.Round(time.Millisecond), server)
			}
			failed = false
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// setClock asks a server for the time and sets the clock if it is off.
func setClock(server string) (offset time.Duration, err error) {
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: 5 * time.Second})
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return 0, err
	}
	if r.ClockOffset.Abs() < ntpStep {
		return 0, nil
	}
	tv := unix.NsecToTimeval(time.Now().Add(r.ClockOffset).UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		return 0, fmt.Errorf("settimeofday: %w", err)
	}
	return r.ClockOffset, nil
}
