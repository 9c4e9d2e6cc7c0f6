package iptables

import "strconv"

// word is an argument of a rule line and where it began, counted in bytes from 1.
type word struct {
	text string
	col  int
}

// splitRule cuts the arguments of a line of a restore file as iptables-restore
// does: blanks separate, double quotes hold together and end the argument, a
// backslash inside of them takes the next character as it is.
//
// Unlike iptables-restore it refuses a quote that is not closed, which there
// swallows the rest of the line, its end included.
func splitRule(line string, col int) ([]word, *Error) {
	var (
		words         []word
		buf           []byte
		quote, escape bool
		start, opened int
	)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case escape:
			buf, escape = append(buf, c), false
			continue
		case quote && c == '\\':
			escape = true
			continue
		case quote && c != '"':
			buf = append(buf, c)
			continue
		case !quote && c == '"':
			if len(buf) == 0 {
				start = i
			}
			quote, opened = true, i
			continue
		case quote: // the closing one ends the argument, as it does there
			quote = false
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			if len(buf) == 0 {
				start = i
			}
			buf = append(buf, c)
			continue
		}
		if len(buf) == 0 && c != '"' {
			continue
		}
		words = append(words, word{string(buf), col + start})
		buf = buf[:0]
	}
	if quote {
		return nil, &Error{Status: ParameterProblem, Column: col + opened, Msg: "quote is not closed"}
	}
	if len(buf) > 0 {
		words = append(words, word{string(buf), col + start})
	}
	return words, nil
}

// parseCounters reads "[packets:bytes]", and returns what follows.
func parseCounters(s string) (packets, bytes uint64, rest string, ok bool) {
	if len(s) == 0 || s[0] != '[' {
		return 0, 0, s, false
	}
	i := 1
	number := func(end byte) (uint64, bool) {
		j := i
		for j < len(s) && s[j] != end {
			j++
		}
		if j == len(s) {
			return 0, false
		}
		v, err := strconv.ParseUint(s[i:j], 10, 64)
		i = j + 1
		return v, err == nil
	}
	if packets, ok = number(':'); !ok {
		return 0, 0, s, false
	}
	if bytes, ok = number(']'); !ok {
		return 0, 0, s, false
	}
	return packets, bytes, s[i:], true
}
