package pdl

import (
	"fmt"
	"strings"
)

type kind int

const (
	tEOF kind = iota
	tOption
	tFloat
	tInt
	tHex
	tWord
	tString
	tBack
	tCode
	tEllipsis
	tAddr
	tChar
)

type token struct {
	kind kind
	text string // of an option name=value; of quotes what is inside
	line int
}

func (t token) String() string {
	if t.kind == tEOF {
		return "end of file"
	}
	return fmt.Sprintf("%q", t.text)
}

// lexer cuts a script into tokens.
type lexer struct {
	s       string
	line    int
	defines map[string]string
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

func span(s string, f func(byte) bool) int {
	n := 0
	for n < len(s) && f(s[n]) {
		n++
	}
	return n
}

// take cuts n bytes off, counting lines.
func (l *lexer) take(n int) string {
	t := l.s[:n]
	l.line += strings.Count(t, "\n")
	l.s = l.s[n:]
	return t
}

// skip passes space and comments.
func (l *lexer) skip() error {
	for {
		switch s := l.s; {
		case s == "":
			return nil
		case strings.IndexByte(" \t\r\n", s[0]) >= 0:
			l.take(1)
		case strings.HasPrefix(s, "//"):
			n := strings.IndexByte(s, '\n')
			if n < 0 {
				n = len(s)
			}
			l.take(n)
		case strings.HasPrefix(s, "/*"):
			n := strings.Index(s[2:], "*/")
			if n < 0 {
				return fmt.Errorf("line %d: comment without end", l.line)
			}
			l.take(n + 4)
		default:
			return nil
		}
	}
}

// enclosed takes what stands between delimiters, the first of which is next.
func (l *lexer) enclosed(open, end string, escapes bool) (string, error) {
	for i := len(open); i < len(l.s); i++ {
		if escapes && l.s[i] == '\\' {
			i++
			continue
		}
		if strings.HasPrefix(l.s[i:], end) {
			t := l.take(i + len(end))
			return t[len(open) : len(t)-len(end)], nil
		}
	}
	return "", fmt.Errorf("line %d: %s without end", l.line, open)
}

// number takes an integer, a fraction, or nothing.
func (l *lexer) number() (t token, ok bool) {
	s, sign := l.s, 0
	if s[0] == '-' {
		sign = 1
	}
	if sign == 0 && strings.HasPrefix(s, "0x") {
		if n := span(s[2:], isWord); n > 0 {
			return token{tHex, l.take(n + 2), l.line}, true
		}
	}
	whole := span(s[sign:], isDigit)
	rest := s[sign+whole:]
	if sign == 0 && whole > 0 {
		if n := span(s, func(c byte) bool { return isDigit(c) || c == '.' }); strings.Count(s[:n], ".") == 3 && !strings.Contains(s[:n], "..") && s[n-1] != '.' {
			return token{tAddr, l.take(n), l.line}, true
		}
	}
	if len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) {
		n := sign + whole + 1 + span(rest[1:], isDigit)
		return token{tFloat, l.take(n), l.line}, true
	}
	if whole == 0 || sign == 0 && span(s, isWord) > whole {
		return t, false
	}
	return token{tInt, l.take(sign + whole), l.line}, true
}

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	if l.s == "" {
		return token{kind: tEOF, line: l.line}, nil
	}
	line := l.line
	switch s := l.s; {
	case strings.HasPrefix(s, "--") && len(s) > 2 && isWord(s[2]):
		return l.option()
	case strings.HasPrefix(s, "..."):
		return token{tEllipsis, l.take(3), line}, nil
	case s[0] == '"':
		t, err := l.enclosed(`"`, `"`, true)
		return token{tString, t, line}, err
	case s[0] == '`':
		t, err := l.enclosed("`", "`", true)
		return token{tBack, t, line}, err
	case strings.HasPrefix(s, "%{"):
		t, err := l.enclosed("%{", "}%", false)
		return token{tCode, t, line}, err
	case isDigit(s[0]) || s[0] == '-' || s[0] == '.':
		if t, ok := l.number(); ok {
			return t, nil
		}
	}
	if n := span(l.s, isWord); n > 0 {
		w := l.take(n)
		v, ok := l.defines[w]
		switch {
		case !ok:
			return token{tWord, w, line}, nil
		case len(v) > 1 && v[0] == '"':
			return token{tString, v[1 : len(v)-1], line}, nil
		case len(v) > 1 && v[0] == '`':
			return token{tBack, v[1 : len(v)-1], line}, nil
		}
		return token{tWord, v, line}, nil
	}
	return token{tChar, l.take(1), line}, nil
}

// option takes "--name", "--name=value" or "--name value=...": the value goes on
// to the next space outside of quotes.
func (l *lexer) option() (token, error) {
	line := l.line
	n := 2 + span(l.s[2:], isWord)
	text := l.take(n)[2:]
	l.s = strings.TrimLeft(l.s, " \t")
	if !strings.HasPrefix(l.s, "=") {
		return token{tOption, text, line}, nil
	}
	l.take(1)
	l.s = strings.TrimLeft(l.s, " \t")
	n = 0
	for n < len(l.s) && strings.IndexByte(" \t\r\n", l.s[n]) < 0 {
		if q := l.s[n]; q == '"' || q == '`' {
			end := strings.IndexByte(l.s[n+1:], q)
			if end < 0 {
				return token{}, fmt.Errorf("line %d: %c without end", line, q)
			}
			n += end + 1
		}
		n++
	}
	return token{tOption, text + "=" + l.take(n), line}, nil
}
