package xtables

import (
	"strings"
	"syscall"

	"barewire/netfilter"
)

// CheckError says why a table was refused.
type CheckError struct {
	Errno syscall.Errno // what the kernel's answer would be
	Table string
	Chain string // empty if the table as a whole is meant
	Rule  int    // number of the rule in its chain from 1, 0 for none
	Text  string // as in the kernel log
	// At is the rule, for callers that know where it was written.
	At *Rule
}

// Error implements error.
func (e *CheckError) Error() string { return e.Text }

// Unwrap returns the errno.
func (e *CheckError) Unwrap() error { return e.Errno }

// hookNames lists the hooks of a mask as the kernel's messages do.
func hookNames(mask uint8) string {
	var l []string
	for p := netfilter.Point(0); p < netfilter.NumPoints; p++ {
		if mask&(1<<p) != 0 {
			l = append(l, p.String())
		}
	}
	return strings.Join(l, "/")
}
