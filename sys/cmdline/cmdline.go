// Package cmdline reads the kernel command line (Linux: kernel/params.c,
// init/main.c).
//
// Words are separated by white space; double quotes keep spaces inside a word
// and are taken off around a whole word or around a value. Words before "--"
// are for the kernel, words after it are arguments of the program. Of the
// former, a word the kernel does not know becomes part of the program's
// environment when it has the form name=value, and an argument when it has no
// value, as Linux passes them to init. A name with a dot belongs to a module
// or is a sysctl and is never passed on.
//
// The text comes from whoever starts the machine: every input gives a Line,
// and what makes no sense is left for the user of a parameter to report.
package cmdline

import "strings"

// Param is one word for the kernel.
type Param struct {
	Name     string
	Value    string
	HasValue bool // name=value, the value possibly empty
}

// Line is a parsed command line.
type Line struct {
	Params []Param  // what the kernel knows, in order
	Args   []string // arguments of the program
	Env    []string // "name=value" words for its environment
}

// known are the parameters without a dot that are the kernel's own: those it
// acts on, and those boot loaders and virtual machine monitors add without
// asking, which must not turn up in the program.
var known = map[string]bool{
	"ip": true, "debug": true, "quiet": true, "hostname": true, "console": true, "loglevel": true,
	"acpi": true, "apic": true, "earlycon": true, "earlyprintk": true, "i8042": true, "init": true,
	"initrd": true, "maxcpus": true, "mem": true, "noapic": true, "nomodule": true, "nomodules": true, "nr_cpus": true,
	"panic": true, "pci": true, "rd": true, "reboot": true, "ro": true, "root": true,
	"rootfstype": true, "rw": true, "swiotlb": true, "tsc": true,
	"BOOT_IMAGE": true,
}

// Known reports whether name is the kernel's and not passed on to the program.
// Dashes and underscores are the same in names.
func Known(name string) bool {
	return strings.Contains(name, ".") || strings.HasPrefix(name, "sysctl/") || known[name] || known[strings.ReplaceAll(name, "-", "_")]
}

// Parse reads a command line.
func Parse(s string) Line {
	var l Line
	for {
		var word string
		word, s = next(s)
		if word == "" {
			return l
		}
		if word == "--" {
			break
		}
		p := split(word)
		switch {
		case Known(p.Name):
			l.Params = append(l.Params, p)
		case p.HasValue:
			l.Env = append(l.Env, p.Name+"="+p.Value)
		default:
			l.Args = append(l.Args, p.Name)
		}
	}
	for {
		var word string
		word, s = next(s)
		if word == "" {
			return l
		}
		l.Args = append(l.Args, unquote(word))
	}
}

// next splits off the first word, quotes still on it. An empty word means the
// end.
func next(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t\r\n\v\f\x00")
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c >= '\t' && c <= '\r' || c == 0):
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// split takes a word apart at the first equals sign (Linux: next_arg): a quote
// in front of the word, or of the value, goes together with one at the end.
func split(word string) Param {
	word = unquote(word)
	name, value, ok := strings.Cut(word, "=")
	return Param{Name: name, Value: unquote(value), HasValue: ok}
}

// unquote takes one pair of quotes off; as in Linux the closing one may be
// missing.
func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	return strings.TrimSuffix(s[1:], `"`)
}

// Last returns the value of the last parameter with a name: later words win.
func (l *Line) Last(name string) (value string, ok bool) {
	for _, p := range l.Params {
		if p.Name == name {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// Flag reports whether a parameter is there, with or without a value.
func (l *Line) Flag(name string) bool {
	_, ok := l.Last(name)
	return ok
}

// Sysctls calls fn for every sysctl.NAME=VALUE in order, with slashes in the
// name as dots (Linux: fs/proc/proc_sysctl.c, process_sysctl_arg).
func (l *Line) Sysctls(fn func(name, value string)) {
	for _, p := range l.Params {
		for _, prefix := range []string{"sysctl.", "sysctl/"} {
			if name, ok := strings.CutPrefix(p.Name, prefix); ok && p.HasValue {
				fn(strings.ReplaceAll(name, "/", "."), p.Value)
			}
		}
	}
}
