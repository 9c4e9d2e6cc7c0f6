package iptables

import (
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Exit statuses of the commands (Linux: enum xtables_exittype).
const (
	OtherProblem     = 1 // the kernel refused, or what was asked for is not there
	ParameterProblem = 2 // the command line or the rule is wrong
	VersionProblem   = 3 // the kernel does not have it
	ResourceProblem  = 4 // a lock was held too long; never, here
)

// Error is why a command was refused.
type Error struct {
	Status int
	// Line and Column say where in a restore file, from 1; 0 on a command line.
	// The column counts bytes.
	Line, Column int
	Msg          string
	// Bare messages are printed without the program's name in front.
	Bare bool
	// Quiet errors print nothing but the hint at --help.
	Quiet bool
	// Note is what the kernel's log has to say about it.
	Note string
	// Failed are refusals of the table instead of the rule's text: "line N
	// failed".
	Failed bool
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
	}
	return e.Msg
}

// problemf is a ParameterProblem.
func problemf(format string, args ...any) *Error {
	return &Error{Status: ParameterProblem, Msg: fmt.Sprintf(format, args...)}
}

// errno is the error of an operation on a table. text is what libiptc has for
// this errno and operation, empty for the system's own text.
func errno(e syscall.Errno, text string) *Error {
	if text == "" {
		text = strerror(e)
	}
	text += "."
	if e == syscall.EINVAL {
		text += " Run `dmesg' for more information."
	}
	return &Error{Status: OtherProblem, Msg: text, Failed: true}
}

// strerror is the C library's text of an error number.
func strerror(e syscall.Errno) string {
	switch e {
	case syscall.ENOENT:
		return "No chain/target/match by that name"
	case 0:
		return "Incompatible with this kernel"
	}
	s := e.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// print writes the error as the program does.
func (e *Error) print(w io.Writer, prog string) {
	if e.Failed {
		if e.Line > 0 {
			why := strings.TrimSuffix(e.Msg, ".")
			if e.Note != "" {
				why = e.Note
			}
			fmt.Fprintf(w, "%s: line %d failed, column %d: %s\n", prog, e.Line, e.Column, why)
			return
		}
		if e.Note != "" {
			fmt.Fprintln(w, e.Note)
		}
		fmt.Fprintf(w, "%s: %s\n", prog, e.Msg)
		return
	}
	switch {
	case e.Quiet:
	case e.Bare:
		fmt.Fprintf(w, "%s\n", e.Msg)
	default:
		fmt.Fprintf(w, "%s v%s (legacy): %s\n", prog, Version, e.Msg)
	}
	switch e.Status {
	case ParameterProblem:
		if e.Line > 0 {
			fmt.Fprintf(w, "Error occurred at line: %d, column: %d\n", e.Line, e.Column)
		}
		fmt.Fprintf(w, "Try `%s -h' or '%s --help' for more information.\n", prog, prog)
	case VersionProblem:
		fmt.Fprintf(w, "Perhaps iptables or your kernel needs to be upgraded.\n")
	}
}
