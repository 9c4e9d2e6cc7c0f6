// Package iptablestest runs scripts of iptables command lines over an instance in
// memory and over the machine's own iptables, for tests that compare the two and
// for the judge in qemu/iptables.
package iptablestest

import (
	"fmt"
	"strings"
)

// Command is a line of a script: what a shell would make of it.
type Command struct {
	Line  int // where it began, from 1
	Argv  []string
	Stdin string
	// File is what stdin is read from (<FILE), empty for Stdin.
	File string
}

// String returns the arguments as a shell would take them.
func (c *Command) String() string {
	var l []string
	for _, a := range c.Argv {
		if a == "" || strings.ContainsAny(a, " \t\r\n\"'\\$!*#<>;&|()") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		l = append(l, a)
	}
	return strings.Join(l, " ")
}

// ParseScript reads the small part of the shell's language that scripts of rules
// need: comments, quotes, backslashes, a backslash at the end of a line, "<FILE"
// and "<<WORD" for standard input, and lines that begin with "set" or "exit".
func ParseScript(text string) ([]Command, error) {
	var cmds []Command
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at := i + 1
		l := lines[i]
		for strings.HasSuffix(l, "\\") && i+1 < len(lines) {
			i++
			l = l[:len(l)-1] + lines[i]
		}
		words, err := SplitShell(l)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
		if len(words) == 0 || words[0] == "set" || words[0] == "exit" {
			continue
		}
		c := Command{Line: at}
		for j := 0; j < len(words); j++ {
			w := words[j]
			switch {
			case strings.HasPrefix(w, "<<"):
				end := w[2:]
				if end == "" && j+1 < len(words) {
					j++
					end = words[j]
				}
				var in strings.Builder
				for i++; i < len(lines) && lines[i] != end; i++ {
					in.WriteString(lines[i] + "\n")
				}
				if i == len(lines) {
					return nil, fmt.Errorf("line %d: no %s at the end of the input", at, end)
				}
				c.Stdin = in.String()
			case strings.HasPrefix(w, "<"):
				c.File = w[1:]
				if c.File == "" && j+1 < len(words) {
					j++
					c.File = words[j]
				}
			default:
				c.Argv = append(c.Argv, w)
			}
		}
		cmds = append(cmds, c)
	}
	return cmds, nil
}

// SplitShell cuts a line into words as a shell does; an unquoted '#' at the
// beginning of a word ends it.
func SplitShell(s string) (words []string, err error) {
	var b []byte
	in := false // a word has begun
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
			if in {
				words = append(words, string(b))
			}
			b, in = b[:0], false
		case '#':
			if !in {
				return words, nil
			}
			b = append(b, c)
		case '\'':
			in = true
			n := strings.IndexByte(s[i+1:], '\'')
			if n < 0 {
				return nil, fmt.Errorf("a quote is not closed")
			}
			b = append(b, s[i+1:i+1+n]...)
			i += n + 1
		case '"':
			in = true
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0 {
					i++
				}
				b = append(b, s[i])
			}
			if i == len(s) {
				return nil, fmt.Errorf("a quote is not closed")
			}
		case '\\':
			in = true
			if i++; i < len(s) {
				b = append(b, s[i])
			}
		default:
			in = true
			b = append(b, c)
		}
	}
	if in {
		words = append(words, string(b))
	}
	return words, nil
}
