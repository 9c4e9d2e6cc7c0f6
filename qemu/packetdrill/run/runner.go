package run

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"barewire/qemu/packetdrill/pdl"
)

// patience is how long past its time a packet is waited for.
const patience = 2 * time.Second

// runner is one script under way.
type runner struct {
	Config
	k     Kernel
	s     *pdl.Script
	dir   string // where the script's commands are
	start int64
	wall  int64 // time of day at start

	event, last *pdl.Event
	at, end     time.Duration // of event, since start
	lastAt      time.Duration
	warnings    []string

	fds      map[int]int // script's to the kernel's
	sockets  []*socket
	under    *socket // the one packets are about
	nextPort uint16
	wrote    bool // the program sent bytes of its own, so that payloads are not zeros
	block    *blocked
	code     *interpreter
}

// Script runs a script whose commands are found in dir. The error says at which
// line what was different.
func Script(k Kernel, c Config, s *pdl.Script, dir string) error {
	r := &runner{Config: c, k: k, s: s, dir: dir, fds: map[int]int{}, nextPort: 40000, code: newInterpreter()}
	var err error
	if e := k.Run(func() { err = r.script() }); err == nil {
		err = e
	}
	return err
}

func (r *runner) script() (err error) {
	for _, name := range r.InitScripts {
		if name, err = filepath.Abs(name); err == nil {
			err = r.k.Command("'"+name+"'", r.dir)
		}
		if err != nil {
			return fmt.Errorf("--init_scripts: %w", err)
		}
	}
	if r.s.Init != "" {
		if err := r.k.Command(r.s.Init, r.dir); err != nil {
			return fmt.Errorf("first commands: %w", err)
		}
	}
	defer func() {
		if r.s.Cleanup == "" {
			return
		}
		if e := r.k.Command(r.s.Cleanup, r.dir); err == nil && e != nil {
			err = fmt.Errorf("last commands: %w", e)
		}
	}()
	r.start, r.wall = r.k.Now(), r.k.Wall()
	for _, e := range r.s.Events {
		r.event = e
		if err := r.one(e); err != nil {
			var u *pdl.Unsupported
			if errors.As(err, &u) {
				u.Line = e.Line
				return u
			}
			return fmt.Errorf("line %d: %w", e.Line, err)
		}
		r.last, r.lastAt = e, r.at
	}
	return r.await()
}

func (r *runner) one(e *pdl.Event) error {
	if err := r.time(e); err != nil {
		return err
	}
	if e.Packet != nil && !e.Packet.Inbound {
		return r.tolerate(r.NonFatalPacket, r.outbound(e.Packet))
	}
	if e.Syscall != nil {
		if err := r.tolerate(r.NonFatalSyscall, r.await()); err != nil {
			return err
		}
	}
	r.k.SleepUntil(r.start + int64(r.at))
	if r.last != nil && e.Time.Kind != pdl.AnyTime {
		if err := r.onTime("it", r.since(), r.at, r.at); err != nil {
			return err
		}
	}
	switch {
	case e.Packet != nil:
		return r.inbound(e.Packet)
	case e.Syscall != nil:
		return r.tolerate(r.NonFatalSyscall, r.syscall(e.Syscall))
	case e.Command != "":
		return r.k.Command(e.Command, r.dir)
	}
	return r.evaluate(e.Code)
}

// tolerate makes an error a warning where the script asks for it.
func (r *runner) tolerate(ok bool, err error) error {
	if err == nil || !ok {
		return err
	}
	r.warnings = append(r.warnings, err.Error())
	return nil
}

func (r *runner) wallStart() time.Duration { return time.Duration(r.wall) }

func (r *runner) since() time.Duration { return time.Duration(r.k.Now() - r.start) }

// time says when e is due. A relative time counts from when the event before
// was over, but of packets that come in from when they were due, so that a
// series of them does not drift.
func (r *runner) time(e *pdl.Event) error {
	r.at, r.end = e.Time.At, e.Time.End
	if e.Time.Kind == pdl.Absolute || e.Time.Kind == pdl.AbsoluteRange {
		if r.last == nil && r.at != 0 {
			return errors.New("the first event is not at time 0")
		}
		if r.at < r.lastAt && r.last.Time.Kind == pdl.Absolute {
			return fmt.Errorf("time goes back from %v to %v", r.lastAt, r.at)
		}
		return nil
	}
	base := r.since()
	if r.last != nil && r.last.Packet != nil && r.last.Packet.Inbound && e.Packet != nil && e.Packet.Inbound {
		base = r.lastAt
	}
	r.at += base
	r.end += base
	return nil
}

// onTime says whether what happened at a time was due from at to end.
func (r *runner) onTime(what string, happened, at, end time.Duration) error {
	slack := max(r.Tolerance, time.Duration(r.TolerancePercent/100*float64(at-r.lastAt)))
	if happened >= at-slack && happened <= end+slack {
		return nil
	}
	due := at.String()
	if end != at {
		due += " to " + end.String()
	}
	return fmt.Errorf("%s happened at %v, was due at %s (±%v)", what, happened, due, slack)
}
