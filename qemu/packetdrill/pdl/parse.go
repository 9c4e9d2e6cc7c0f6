package pdl

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads a script. Words that are names in defines stand for the values
// there, as with the option --define. Errors name the line.
func Parse(text string, defines map[string]string) (*Script, error) {
	p := &parser{lex: lexer{s: text, line: 1, defines: map[string]string{}}}
	maps.Copy(p.lex.defines, defines)
	s := &Script{}
	err := p.script(s)
	return s, err
}

type parser struct {
	lex lexer
	tok token
	// One token more, when peek was asked for it.
	ahead  token
	peeked bool
}

func (p *parser) errorf(format string, a ...any) error {
	return fmt.Errorf("line %d: %s", p.tok.line, fmt.Sprintf(format, a...))
}

func (p *parser) unexpected(want string) error {
	return p.errorf("%v where %s should be", p.tok, want)
}

func (p *parser) advance() (err error) {
	if p.peeked {
		p.tok, p.peeked = p.ahead, false
		return nil
	}
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) peek() (token, error) {
	if !p.peeked {
		var err error
		if p.ahead, err = p.lex.next(); err != nil {
			return p.ahead, err
		}
		p.peeked = true
	}
	return p.ahead, nil
}

func (p *parser) is(char string) bool { return p.tok.kind == tChar && p.tok.text == char }

func (p *parser) isWord(words ...string) bool {
	return p.tok.kind == tWord && slices.Contains(words, p.tok.text)
}

// accept passes char if it is next.
func (p *parser) accept(char string) (bool, error) {
	if !p.is(char) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(char string) error {
	if !p.is(char) {
		return p.unexpected(strconv.Quote(char))
	}
	return p.advance()
}

func (p *parser) word() (string, error) {
	w := p.tok.text
	if p.tok.kind != tWord {
		return "", p.unexpected("a word")
	}
	return w, p.advance()
}

// integer takes a decimal or hexadecimal number from lo to hi.
func (p *parser) integer(what string, lo, hi int64) (int64, error) {
	if p.tok.kind != tInt && p.tok.kind != tHex {
		return 0, p.unexpected(what)
	}
	v, err := strconv.ParseInt(p.tok.text, 0, 64)
	if p.tok.kind == tInt {
		v, err = strconv.ParseInt(p.tok.text, 10, 64) // 010 is ten
	}
	if err != nil || v < lo || v > hi {
		return 0, p.errorf("%s %s is not between %d and %d", what, p.tok.text, lo, hi)
	}
	return v, p.advance()
}

func (p *parser) script(s *Script) error {
	if err := p.advance(); err != nil {
		return err
	}
	for p.tok.kind == tOption {
		name, value, _ := strings.Cut(p.tok.text, "=")
		if name == "define" {
			sym, v, ok := strings.Cut(value, "=")
			if !ok {
				return p.errorf("--define wants name=value")
			}
			p.lex.defines[sym] = v
		}
		s.Options = append(s.Options, Option{name, value})
		if err := p.advance(); err != nil {
			return err
		}
	}
	if p.tok.kind == tBack {
		s.Init = p.tok.text
		if err := p.advance(); err != nil {
			return err
		}
	}
	for p.tok.kind != tEOF {
		if p.tok.kind == tBack && len(s.Events) > 0 {
			s.Cleanup = p.tok.text
			if err := p.advance(); err != nil {
				return err
			}
			if p.tok.kind != tEOF {
				return p.unexpected("the end")
			}
			break
		}
		e, err := p.event()
		if err != nil {
			return err
		}
		s.Events = append(s.Events, e)
	}
	if len(s.Events) == 0 {
		return p.errorf("no events")
	}
	return nil
}

func (p *parser) time() (time.Duration, error) {
	if p.tok.kind != tFloat && p.tok.kind != tInt {
		return 0, p.unexpected("a time")
	}
	v, err := strconv.ParseFloat(p.tok.text, 64)
	if err != nil || v < 0 || v > 1e9 {
		return 0, p.errorf("bad time %s", p.tok.text)
	}
	return time.Duration(math.Round(v*1e6)) * time.Microsecond, p.advance()
}

func (p *parser) event() (*Event, error) {
	e := &Event{Line: p.tok.line}
	err := p.eventTime(&e.Time)
	if err != nil {
		return nil, err
	}
	switch {
	case p.is("<") || p.is(">"):
		if e.Packet, err = p.packet(); err != nil {
			return nil, err
		}
	case p.tok.kind == tBack:
		e.Command = p.tok.text
		err = p.advance()
	case p.tok.kind == tCode:
		e.Code = p.tok.text
		err = p.advance()
	default:
		e.Syscall, err = p.syscall()
	}
	if err != nil {
		return nil, err
	}
	outbound := e.Packet != nil && !e.Packet.Inbound
	if e.Time.Kind >= AnyTime && !outbound {
		return nil, fmt.Errorf("line %d: only a packet that goes out may have such a time", e.Line)
	}
	return e, nil
}

func (p *parser) eventTime(t *Time) error {
	if any, err := p.accept("*"); any {
		t.Kind = AnyTime
		return err
	}
	plus, err := p.accept("+")
	if err != nil {
		return err
	}
	if plus {
		t.Kind = Relative
	}
	if t.At, err = p.time(); err != nil {
		return err
	}
	if ranged, err := p.accept("~"); !ranged {
		return err
	}
	if plus {
		if err := p.expect("+"); err != nil {
			return err
		}
	}
	t.Kind += AbsoluteRange - Absolute
	if t.End, err = p.time(); err == nil && t.End < t.At {
		err = p.errorf("the range ends before it begins")
	}
	return err
}

func (p *parser) syscall() (*Syscall, error) {
	c := &Syscall{}
	var err error
	if p.tok.kind == tEllipsis {
		c.Blocking = true
		if err = p.advance(); err != nil {
			return nil, err
		}
		if c.End, err = p.time(); err != nil {
			return nil, err
		}
	}
	if c.Name, err = p.word(); err != nil {
		return nil, err
	}
	if err = p.expect("("); err != nil {
		return nil, err
	}
	if c.Args, err = p.exprs(")"); err != nil {
		return nil, err
	}
	if err = p.expect("="); err != nil {
		return nil, err
	}
	if c.Result, err = p.expr(); err != nil {
		return nil, err
	}
	if p.tok.kind == tWord {
		c.Errno = p.tok.text
		if err = p.advance(); err != nil {
			return nil, err
		}
	}
	return c, p.note()
}

// note passes notes, as (Operation now in progress).
func (p *parser) note() error {
	for p.is("(") {
		depth := 0
		for {
			switch {
			case p.is("("):
				depth++
			case p.is(")"):
				depth--
			case p.tok.kind == tEOF:
				return p.unexpected(`")"`)
			}
			if err := p.advance(); err != nil {
				return err
			}
			if depth == 0 {
				break
			}
		}
	}
	return nil
}

// exprs takes expressions up to the closing character, which it passes.
func (p *parser) exprs(end string) ([]Expr, error) {
	var list []Expr
	for {
		if done, err := p.accept(end); done || err != nil {
			return list, err
		}
		if len(list) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
}

func (p *parser) expr() (Expr, error) {
	e, err := p.term()
	for err == nil {
		var or bool
		if or, err = p.accept("|"); !or {
			break
		}
		var r Expr
		if r, err = p.term(); err == nil {
			e = Binary{e, r}
		}
	}
	return e, err
}

func (p *parser) term() (Expr, error) {
	switch {
	case p.tok.kind == tEllipsis:
		return Ellipsis{}, p.advance()
	case p.tok.kind == tInt || p.tok.kind == tHex:
		if u, err := strconv.ParseUint(p.tok.text, 0, 64); err == nil && p.tok.kind == tHex {
			return Int(u), p.advance() // the whole 64 bits
		}
		v, err := p.integer("a number", math.MinInt64, math.MaxInt64)
		return Int(v), err
	case p.tok.kind == tString:
		return p.strings()
	case p.tok.kind == tWord:
		w := p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.is("(") {
			return Word(w), nil
		}
		return p.call(w)
	case p.is("["):
		if err := p.advance(); err != nil {
			return nil, err
		}
		l, err := p.exprs("]")
		return List(l), err
	case p.is("{"):
		return p.braces()
	}
	return nil, p.unexpected("a value")
}

// strings takes "a" "b", which is one string, or "a"..., whose rest is zeros.
func (p *parser) strings() (Expr, error) {
	var b strings.Builder
	for p.tok.kind == tString {
		s, err := strconv.Unquote(`"` + p.tok.text + `"`)
		if err != nil {
			s = p.tok.text
		}
		b.WriteString(s)
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if p.tok.kind == tEllipsis {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return String(b.String()), nil
}

// call is htons(80) or inet_addr("192.0.2.1"); both stay what is inside.
func (p *parser) call(name string) (Expr, error) {
	if name != "htons" && name != "htonl" && name != "inet_addr" && name != "inet_pton" {
		return nil, &Unsupported{p.tok.line, name + "()"}
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	e, err := p.expr()
	if err != nil {
		return nil, err
	}
	return e, p.expect(")")
}

// braces is a structure with names, or a list in braces.
func (p *parser) braces() (Expr, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	if p.tok.kind == tWord {
		next, err := p.peek()
		if err != nil {
			return nil, err
		}
		if next.kind == tChar && (next.text == "=" || next.text == "(") {
			return p.structure()
		}
	}
	l, err := p.exprs("}")
	return List(l), err
}

func (p *parser) structure() (Expr, error) {
	s := &Struct{}
	for {
		if done, err := p.accept("}"); done || err != nil {
			return s, err
		}
		if len(s.Fields) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		var f Field
		var err error
		if f.Name, err = p.word(); err != nil {
			return nil, err
		}
		if arg, err := p.accept("("); err != nil {
			return nil, err
		} else if arg {
			if f.Arg, err = p.expr(); err != nil {
				return nil, err
			}
			if err = p.expect(")"); err != nil {
				return nil, err
			}
		}
		if err = p.expect("="); err != nil {
			return nil, err
		}
		if f.Value, err = p.expr(); err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, f)
	}
}
