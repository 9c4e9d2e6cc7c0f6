package run

import "strings"

// Python compares in chains, a <= b < c, which Starlark does not.

// unchain writes the chains of comparisons in a line of code out with "and".
func unchain(line string) string {
	var out strings.Builder
	for line != "" {
		part, sep := clause(line)
		out.WriteString(unchainClause(part))
		out.WriteString(sep)
		line = line[len(part)+len(sep):]
	}
	return out.String()
}

// binders are what binds weaker than a comparison. read-only.
var binders = []string{" and ", " or ", " if ", " else ", " for ", " in ", "not ", ",", ";", ":", "==>", "assert ", "return ", "if ", "elif ", "while ", "+=", "-=", "*="}

// comparisons, the longer ones first. read-only.
var comparisons = []string{"<=", ">=", "==", "!=", "<", ">"}

// clause cuts off what stands before the first binder outside of brackets and
// quotes, and the binder.
func clause(s string) (part, sep string) {
	cut, n := walk(s, func(rest string, at int) int {
		for _, b := range binders {
			word := b[0] >= 'a' && b[0] <= 'z'
			if strings.HasPrefix(rest, b) && (!word || at == 0 || strings.IndexByte(" \t(", s[at-1]) >= 0) {
				return len(b)
			}
		}
		if rest[0] == '=' && !strings.HasPrefix(rest, "==") && (at == 0 || strings.IndexByte("=<>!", s[at-1]) < 0) {
			return 1 // an assignment
		}
		return 0
	})
	return s[:cut], s[cut : cut+n]
}

// walk asks f at each place outside of brackets and quotes, until it returns the
// length of what it wants; it gives that place, or the end.
func walk(s string, f func(rest string, at int) int) (at, n int) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'':
			end := i + 1
			for end < len(s) && s[end] != c {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			i = end
			continue
		case '(', '[', '{':
			depth++
			continue
		case ')', ']', '}':
			depth--
			continue
		}
		if depth == 0 {
			if n := f(s[i:], i); n > 0 {
				return i, n
			}
		}
	}
	return len(s), 0
}

// unchainClause does it for a clause without binders, and in its brackets.
func unchainClause(s string) string {
	var terms, ops []string
	for rest := s; ; {
		at, n := walk(rest, func(here string, at int) int {
			shift := func(s string) bool { return strings.HasPrefix(s, "<<") || strings.HasPrefix(s, ">>") }
			if shift(here) || at > 0 && shift(rest[at-1:]) {
				return 0
			}
			for _, op := range comparisons {
				if strings.HasPrefix(here, op) {
					return len(op)
				}
			}
			return 0
		})
		terms = append(terms, inBrackets(rest[:at]))
		if n == 0 {
			break
		}
		ops = append(ops, rest[at:at+n])
		rest = rest[at+n:]
	}
	if len(ops) < 2 {
		var out strings.Builder
		for i, t := range terms {
			out.WriteString(t)
			if i < len(ops) {
				out.WriteString(ops[i])
			}
		}
		return out.String()
	}
	lead := terms[0][:len(terms[0])-len(strings.TrimLeft(terms[0], " \t"))]
	var all []string
	for i, op := range ops {
		all = append(all, strings.TrimSpace(terms[i])+" "+op+" "+strings.TrimSpace(terms[i+1]))
	}
	return lead + "(" + strings.Join(all, " and ") + ") "
}

// inBrackets does it within each pair of brackets.
func inBrackets(s string) string {
	var out strings.Builder
	depth, start := 0, 0
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.IndexByte("([{", c) >= 0:
			if depth++; depth == 1 {
				out.WriteString(s[start : i+1])
				start = i + 1
			}
		case strings.IndexByte(")]}", c) >= 0:
			if depth--; depth == 0 {
				out.WriteString(unchain(s[start:i]))
				start = i
			}
		}
	}
	out.WriteString(s[min(start, len(s)):])
	return out.String()
}
