package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Facilities and the severity of what has none (RFC 5424 section 6.2.1).
const (
	facilityKernel = 0
	facilityDaemon = 3
	severityInfo   = 6
)

// syslogger sends messages to a syslog server over UDP (RFC 5424, RFC 5426). What
// cannot be sent is lost, as with UDP anyway.
type syslogger struct {
	conn net.Conn
	host string
}

// newSyslogger sends to host[:port].
func newSyslogger(to string) (*syslogger, error) {
	if _, _, err := net.SplitHostPort(to); err != nil {
		to = net.JoinHostPort(to, "514")
	}
	conn, err := net.Dial("udp4", to)
	if err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" || host == "(none)" {
		host = "-"
	}
	return &syslogger{conn, host}, nil
}

// send sends one message. RFC 5424 section 6.
func (s *syslogger) send(facility, severity int, app, text string) {
	fmt.Fprintf(s.conn, "<%d>1 %s %s %s - - - %s", facility*8+severity, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, app, text)
}

// kernel sends what the kernel says, until ctx ends: its log lines are
// "<severity>[time] text".
func (s *syslogger) kernel(ctx context.Context) error {
	const readLog = 2 // SYSLOG_ACTION_READ: wait for messages and take them
	b := make([]byte, 8192)
	for ctx.Err() == nil {
		n, err := unix.Klogctl(readLog, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("kernel log: %w", err)
		}
		for line := range strings.Lines(string(b[:n])) {
			severity, text := kernelLine(line)
			s.send(facilityKernel, severity, "kernel", text)
		}
	}
	return nil
}

// kernelLine takes a line of the kernel log apart.
func kernelLine(line string) (severity int, text string) {
	line = strings.TrimRight(line, "\n")
	if rest, ok := strings.CutPrefix(line, "<"); ok {
		if n, text, ok := strings.Cut(rest, ">"); ok {
			if v, err := strconv.Atoi(n); err == nil {
				return v & 7, text
			}
		}
	}
	return severityInfo, line
}
