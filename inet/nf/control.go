package nf

import (
	"bytes"
	"strconv"
	"syscall"

	"barewire/napi/proc"
)

// ControlFile is where, below /proc/net, programs run the commands iptables,
// iptables-save, iptables-restore and ipset, which are the kernel's own.
//
// Who opens /proc/net/netfilter_control for reading and writing has a
// conversation of his own. A request is a line of two decimal numbers, how many
// arguments there are and how many bytes of standard input; then the arguments,
// the command's name first, each with a NUL behind it; then the standard input:
//
//	"2 0\n" "iptables\0" "-S\0"
//
// It may be written in pieces. The command is carried out by the write that
// completes the request. What is then read is the reply: a line of three
// decimal numbers, the exit status, the bytes of standard output and the bytes of
// standard error; then these. At the end of the reply a read returns 0; the
// next write begins another request, and drops what was not read. A request
// that is none is EINVAL, one that is too large EFBIG, a read before the request
// is complete EAGAIN.
const ControlFile = "netfilter_control"

// Bounds of a request.
const (
	controlMaxHead  = 32
	controlMaxArgs  = 4096
	controlMaxWords = 1 << 20   // bytes of all arguments
	controlMaxInput = 256 << 20 // bytes of standard input
)

// command runs one of the kernel's commands.
type command func(argv []string, stdin []byte) (status int, stdout, stderr []byte)

// control is an open control file.
type control struct {
	run   command
	in    []byte
	reply []byte
	busy  bool // a request was completed, and its reply not read to the end
}

func openControl(run command) func() proc.Conversation {
	return func() proc.Conversation { return &control{run: run} }
}

// Write implements proc.Conversation.
func (c *control) Write(p []byte) (int, error) {
	if c.busy {
		c.busy, c.in, c.reply = false, nil, nil
	}
	c.in = append(c.in, p...)
	argv, stdin, done, err := parseControl(c.in)
	if err != nil {
		c.in = nil
		return 0, err
	}
	if done {
		status, out, warn := c.run(argv, stdin)
		c.in, c.busy = nil, true
		c.reply = strconv.AppendInt(nil, int64(status), 10)
		c.reply = strconv.AppendInt(append(c.reply, ' '), int64(len(out)), 10)
		c.reply = strconv.AppendInt(append(c.reply, ' '), int64(len(warn)), 10)
		c.reply = append(append(append(c.reply, '\n'), out...), warn...)
	}
	return len(p), nil
}

// Read implements proc.Conversation.
func (c *control) Read(p []byte) (int, error) {
	if !c.busy {
		return 0, syscall.EAGAIN
	}
	n := copy(p, c.reply)
	c.reply = c.reply[n:]
	return n, nil
}

// parseControl reads a request; done is false if it is not complete.
func parseControl(b []byte) (argv []string, stdin []byte, done bool, err error) {
	nl := bytes.IndexByte(b[:min(len(b), controlMaxHead)], '\n')
	if nl < 0 {
		if len(b) >= controlMaxHead {
			err = syscall.EINVAL
		}
		return nil, nil, false, err
	}
	first, second, ok := bytes.Cut(b[:nl], []byte{' '})
	args, e1 := strconv.ParseUint(string(first), 10, 32)
	input, e2 := strconv.ParseUint(string(second), 10, 63)
	switch {
	case !ok || e1 != nil || e2 != nil || args == 0:
		return nil, nil, false, syscall.EINVAL
	case args > controlMaxArgs || input > controlMaxInput:
		return nil, nil, false, syscall.EFBIG
	}
	rest := b[nl+1:]
	words := 0
	for range args {
		n := bytes.IndexByte(rest, 0)
		if words += n + 1; words > controlMaxWords || n < 0 && len(rest) > controlMaxWords {
			return nil, nil, false, syscall.EFBIG
		}
		if n < 0 {
			return nil, nil, false, nil
		}
		argv = append(argv, string(rest[:n]))
		rest = rest[n+1:]
	}
	switch {
	case uint64(len(rest)) < input:
		return nil, nil, false, nil
	case uint64(len(rest)) > input:
		return nil, nil, false, syscall.EINVAL
	}
	return argv, rest, true, nil
}
