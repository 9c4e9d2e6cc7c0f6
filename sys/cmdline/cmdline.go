// Package cmdline reads the kernel's parameters from the command line (Linux:
// kernel/params.c). The board splits the line (board/cmdline) and makes the
// program's arguments and environment of what is not for the kernel; here the
// words before "--" become names and values.
//
// The text comes from whoever starts the machine: every input gives a Line, and
// what makes no sense is left for the user of a parameter to report.
package cmdline

import (
	"strings"

	"barewire/board/cmdline"
)

// Param is one word for the kernel.
type Param struct {
	Name     string
	Value    string
	HasValue bool // name=value, the value possibly empty
}

// Line holds the kernel's parameters, in order.
type Line []Param

// Parse reads a command line up to the first word "--". Quotes are taken off.
func Parse(s string) Line {
	var l Line
	params, _ := cmdline.Split(s)
	for {
		word, rest, ok := cmdline.Next(params)
		if !ok {
			return l
		}
		b := make([]byte, len(word))
		var p Param
		p.Name, p.Value, p.HasValue = strings.Cut(string(b[:cmdline.Unquote(b, word)]), "=")
		l = append(l, p)
		params = rest
	}
}

// Last returns the value of the last parameter with a name: later words win.
func (l Line) Last(name string) (value string, ok bool) {
	for _, p := range l {
		if p.Name == name {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// All returns the values of every parameter with a name, in order.
func (l Line) All(name string) []string {
	var values []string
	for _, p := range l {
		if p.Name == name {
			values = append(values, p.Value)
		}
	}
	return values
}

// Flag reports whether a parameter is there, with or without a value.
func (l Line) Flag(name string) bool {
	_, ok := l.Last(name)
	return ok
}

// Sysctls calls fn for every sysctl.NAME=VALUE in order, with slashes in the
// name as dots (Linux: fs/proc/proc_sysctl.c, process_sysctl_arg).
func (l Line) Sysctls(fn func(name, value string)) {
	for _, p := range l {
		name := strings.ReplaceAll(p.Name, "/", ".")
		if name, ok := strings.CutPrefix(name, "sysctl."); ok && p.HasValue {
			fn(name, p.Value)
		}
	}
}
