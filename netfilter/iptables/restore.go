package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"syscall"

	"barewire/netfilter/xtables"
)

// restore reads a file of iptables-save's format into a session.
type restore struct {
	session
	counters bool // -c
	noflush  bool // -n
	verbose  bool // -v
	only     string

	cur   *tableEdit // the table whose lines are being read
	other bool       // they are of a table that -T leaves out
	name  string     // of the table
}

// maxLine is the longest line of a restore file.
const maxLine = 1 << 20

// at makes an error of this line.
func (r *restore) at(e *Error, col int) *Error {
	if e != nil && e.Line == 0 {
		e.Line = r.now.line
		if e.Column == 0 {
			e.Column = col
		}
	}
	return e
}

// read reads all lines.
func (r *restore) read(in []byte) *Error {
	b := bufio.NewScanner(bytes.NewReader(in))
	b.Buffer(make([]byte, 0, 64<<10), maxLine)
	b.Split(scanLines)
	for b.Scan() {
		r.now.line++
		r.now.col = 1
		if e := r.at(r.line(b.Text()), r.now.col); e != nil {
			return e
		}
	}
	if err := b.Err(); err != nil {
		r.now.line++
		return r.at(&Error{Status: OtherProblem, Msg: "cannot read: " + err.Error(), Failed: true}, 1)
	}
	if r.cur != nil || r.other {
		r.now.line++
		return &Error{Status: OtherProblem, Bare: true, Msg: fmt.Sprintf("iptables-restore: COMMIT expected at line %d", r.now.line)}
	}
	return nil
}

// scanLines splits at newlines, which stay: "COMMIT" must have one.
func scanLines(data []byte, eof bool) (int, []byte, error) {
	for i, c := range data {
		if c == '\n' {
			return i + 1, data[:i+1], nil
		}
	}
	if eof && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// line handles one line.
func (r *restore) line(s string) *Error {
	in := r.cur != nil || r.other
	switch {
	case s == "\n":
		return nil
	case s[0] == '#':
		if r.verbose {
			io.WriteString(r.out, s)
		}
		return nil
	case strings.IndexByte(s, 0) >= 0:
		r.now.col = strings.IndexByte(s, 0) + 1
		return problemf("a NUL byte")
	case in && s == "COMMIT\n":
		r.cur, r.other = nil, false
		return nil
	case !in && s[0] == '*':
		return r.begin(s)
	case !in:
		return &Error{Status: OtherProblem, Failed: true, Msg: "not in a table"}
	case r.other:
		return nil
	case s[0] == ':':
		return r.chain(s)
	}
	return r.rule(s)
}

// fields cuts a line at blanks, and tells where each word begins.
func fields(s string) (words []word) {
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
			continue
		}
		n := strings.IndexAny(s[i:], " \t\r\n")
		if n < 0 {
			n = len(s) - i
		}
		words = append(words, word{s[i : i+n], i + 1})
		i += n
	}
	return words
}

// begin handles "*table".
func (r *restore) begin(s string) *Error {
	w := fields(s[1:])
	if len(w) == 0 {
		return problemf("iptables-restore: line %d table name invalid", r.now.line)
	}
	r.name = w[0].text
	if len(w) > 1 {
		r.now.col = w[1].col + 1
		return problemf("unexpected \"%s\" after the table's name", w[1].text)
	}
	if r.other = r.only != "" && r.only != r.name; r.other {
		return nil
	}
	if r.cur = r.table(r.name); r.cur == nil {
		r.now.col = 2
		return problemf("iptables-restore: unable to initialize table '%s'", r.name)
	}
	r.cur.dirty = true
	if r.noflush {
		return nil
	}
	for _, ch := range r.cur.cfg.Chains {
		if r.verbose {
			fmt.Fprintf(r.out, "Flushing chain `%s'\n", ch.Name)
		}
		ch.Rules = nil
		if ch.Builtin { // which counts from the start again, as in Linux
			ch.Counter = new(xtables.Counter)
		}
	}
	keep := r.cur.cfg.Chains[:0]
	for _, ch := range r.cur.cfg.Chains {
		if ch.Builtin {
			keep = append(keep, ch)
			continue
		}
		if r.verbose {
			fmt.Fprintf(r.out, "Deleting chain `%s'\n", ch.Name)
		}
		delete(r.cur.chains, ch.Name)
	}
	r.cur.cfg.Chains = keep
	clear(r.cur.refs)
	return nil
}

// chain handles ":chain policy [packets:bytes]".
func (r *restore) chain(s string) *Error {
	w := fields(s[1:])
	for i := range w {
		w[i].col++
	}
	if len(w) == 0 {
		return problemf("iptables-restore: line %d chain name invalid", r.now.line)
	}
	name := w[0].text
	r.now.col = w[0].col
	if len(name) >= maxName {
		return problemf("Invalid chain name `%s' (%d chars max)", name, maxName-1)
	}
	ch := r.cur.chains[name]
	switch {
	case ch == nil:
		r.cur.newChain(name)
	case ch.Builtin:
	case r.noflush && !r.created(ch):
		r.cur.flush(ch)
	default:
		return problemf("error creating chain '%s':File exists", name)
	}
	if len(w) < 2 {
		return problemf("iptables-restore: line %d policy invalid", r.now.line)
	}
	policy := w[1].text
	var packets, octets uint64
	if len(w) > 2 || r.counters && policy != "-" {
		var rest string
		ok := len(w) > 2
		if ok {
			r.now.col = w[2].col
			packets, octets, rest, ok = parseCounters(w[2].text)
		}
		if !ok || rest != "" {
			return problemf("invalid policy counters for chain '%s'", name)
		}
		if len(w) > 3 {
			r.now.col = w[3].col
			return problemf("unexpected \"%s\" after the counters", w[3].text)
		}
	}
	if policy == "-" {
		return nil
	}
	if !r.counters {
		packets, octets = 0, 0
	}
	if e := r.cur.setPolicy(name, policy, packets, octets); e != nil {
		text, _, _ := strings.Cut(e.Msg, ".")
		r.now.col = w[1].col
		return &Error{Status: OtherProblem, Msg: fmt.Sprintf("Can't set policy `%s' on `%s' line %d, column %d: %s", policy, name, r.now.line, r.now.col, text)}
	}
	return nil
}

// created reports whether a chain is one that this file made.
func (r *restore) created(ch *xtables.Chain) bool {
	old := r.get(r.name)
	return old == nil || old.Chain(ch.Name) == nil
}

// rule handles "[packets:bytes] command".
func (r *restore) rule(s string) *Error {
	argv := []word{{"iptables-restore", 1}, {"-t", 1}, {r.name, 1}}
	rest := s
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return problemf("Bad line %d: need ]", r.now.line)
		}
		p, b, ok := strings.Cut(s[1:end], ":")
		if !ok {
			return problemf("Bad line %d: need :", r.now.line)
		}
		if r.counters {
			argv = append(argv, word{"--set-counters", 1}, word{p, 2}, word{b, 3 + len(p)})
		} else if _, _, _, ok := parseCounters(s[:end+1]); !ok {
			return problemf("Bad line %d: counters not numeric", r.now.line)
		}
		rest = s[end+1:]
	}
	words, err := splitRule(rest, len(s)-len(rest)+1)
	if err != nil {
		return err
	}
	argv = append(argv, words...)
	text := make([]string, len(argv))
	for i, w := range argv {
		text[i] = w.text
	}
	if len(words) > 0 {
		r.now.col = words[0].col
	}
	c, at, err := r.x.parse(text, r.name, true, r.err)
	if err == nil && c.version {
		err = problemf("-V cannot be used here")
	}
	if err == nil && c.help {
		err = problemf("-h cannot be used here")
	}
	if err != nil {
		return r.at(err, argv[min(at, len(argv)-1)].col)
	}
	if c.skip {
		return nil
	}
	return r.run(c)
}

// runRestore is iptables-restore.
func (x *Iptables) runRestore(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	const prog = "iptables-restore"
	r := &restore{session: session{x: x, out: stdout, err: stderr, places: map[*xtables.Rule]place{}}}
	g := getopt{argv: argv, short: "bcvVthnw::W::M:T:", optind: 1, long: []option{
		{"counters", noArgument, 'c'}, {"verbose", noArgument, 'v'}, {"version", noArgument, 'V'}, {"test", noArgument, 't'},
		{"help", noArgument, 'h'}, {"noflush", noArgument, 'n'}, {"modprobe", requiredArgument, 'M'},
		{"table", requiredArgument, 'T'}, {"wait", optionalArgument, 'w'}, {"wait-interval", optionalArgument, 'W'}}}
	test := false
	var file []string
	for id := g.next(); id != optEnd; id = g.next() {
		switch id {
		case 'b', 'M':
		case 'c':
			r.counters = true
		case 'v':
			r.verbose = true
		case 'V':
			fmt.Fprintf(stdout, "%s v%s (legacy)\n", prog, Version)
			return 0
		case 't':
			test = true
		case 'h':
			io.WriteString(stdout, "Usage: "+prog+" [-c] [-v] [-V] [-t] [-h] [-n] [-w secs] [-W usecs] [-T table] [-M command] [file]\n")
			return 0
		case 'n':
			r.noflush = true
		case 'w', 'W':
			if !g.has {
				g.word()
			}
		case 'T':
			r.only = g.optarg
		case optNonOpt:
			file = append(file, g.optarg)
		default:
			what := argv[g.at]
			if id == optNoArg {
				fmt.Fprintf(stderr, "%s: option '%s' requires an argument\n", argv[0], what)
			} else {
				fmt.Fprintf(stderr, "%s: unrecognized option '%s'\n", argv[0], what)
			}
			fmt.Fprintf(stderr, "Try `%s -h' for more information.\n", prog)
			return OtherProblem
		}
	}
	file = append(file, argv[g.optind:]...)
	switch {
	case len(file) > 1:
		fmt.Fprintf(stderr, "Unknown arguments found on commandline\n")
		return OtherProblem
	case len(file) == 1:
		if x.cfg.Open == nil {
			fmt.Fprintf(stderr, "Can't open %s: %s\n", file[0], "No such file or directory")
			return OtherProblem
		}
		f, err := x.cfg.Open(file[0])
		if err != nil {
			fmt.Fprintf(stderr, "Can't open %s: %s\n", file[0], fileError(err))
			return OtherProblem
		}
		defer f.Close()
		stdin = f
	}
	return r.commit(stdin, prog, stderr, test)
}

func fileError(err error) string {
	for e := err; e != nil; {
		if n, ok := e.(syscall.Errno); ok {
			if n == syscall.ENOENT {
				return "No such file or directory"
			}
			return strerror(n)
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return err.Error()
}

// errTest ends an update that was only to be tried.
type errTest struct{}

func (errTest) Error() string { return "only a test" }

// commit reads the file and replaces its tables, all or none.
func (r *restore) commit(stdin io.Reader, prog string, stderr io.Writer, test bool) int {
	var refused *Error
	// All of it before the tables are held: who writes it may be slow.
	in, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
	if err != nil || len(in) > maxInput {
		fmt.Fprintf(stderr, "%s: cannot read the rules\n", prog)
		return OtherProblem
	}
	err = r.x.cfg.Tables.Update(func(get func(string) *xtables.Config) ([]*xtables.Config, error) {
		r.get = get
		if refused = r.read(in); refused != nil {
			return nil, refused
		}
		if test {
			return nil, errTest{}
		}
		return r.dirty(), nil
	})
	if _, ok := err.(errTest); err != nil && refused == nil && !ok {
		refused = r.refusal(err)
	}
	if refused != nil {
		refused.print(stderr, prog)
		return refused.Status
	}
	if !test {
		r.done()
	}
	return 0
}
