package ipset

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Version is the version of the ipset program whose language this is.
const Version = "7.17"

// problem is an error of the command line: status 2.
type problem string

func (p problem) Error() string { return string(p) }

func problemf(format string, args ...any) error { return problem(fmt.Sprintf(format, args...)) }

// run is one command being carried out.
type run struct {
	s       *Sets
	out     io.Writer
	warn    io.Writer
	in      io.Reader
	restore bool

	exist, quiet, sorted, names, terse bool
	output                             string // plain, save or xml
}

// notIn is the answer to a test of what is not there: status 1 and no "Error".
type notIn struct{}

func (notIn) Error() string { return "" }

// maxInput is the size of a restore file that is still read.
const maxInput = 256 << 20

// Run runs the ipset command: argv[0] is its name. It returns the exit status.
func (s *Sets) Run(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	r := &run{s: s, out: stdout, warn: stderr, in: stdin}
	err := r.command(argv[min(1, len(argv)):])
	return r.status(err, "")
}

// status prints an error and returns the exit status.
func (r *run) status(err error, at string) int {
	if err == nil {
		return 0
	}
	if _, ok := err.(notIn); ok {
		return 1
	}
	if _, ok := err.(failed); ok {
		return err.(failed).status
	}
	if _, ok := err.(problem); ok {
		fmt.Fprintf(r.warn, "ipset v%s: %s%s\nTry `ipset help' for more information.\n", Version, at, err)
		return 2
	}
	if !r.quiet {
		fmt.Fprintf(r.warn, "ipset v%s: %s%s\n", Version, at, err)
	}
	return 1
}

// failed is an error of a restore file, which has been printed.
type failed struct{ status int }

func (failed) Error() string { return "" }

// commands are the names of the commands, each with its old ones. A name may be
// cut short.
var commands = []struct { // read-only
	name string
	old  string
	args int // words that must follow
}{
	{"create", "-N --create new", 2}, {"add", "-A --add", 2}, {"del", "-D --del", 2}, {"test", "-T --test", 2},
	{"destroy", "-X --destroy x", 0}, {"list", "-L --list", 0}, {"save", "-S --save", 0}, {"restore", "-R --restore", 0},
	{"flush", "-F --flush", 0}, {"rename", "-E --rename e", 2}, {"swap", "-W --swap w", 2},
	{"help", "-H --help -h", 0}, {"version", "-V --version -v", 0},
}

func findCommand(w string) (name string, args int) {
	for _, c := range commands {
		if c.name == w {
			return c.name, c.args
		}
		for o := range strings.FieldsSeq(c.old) {
			if o == w {
				return c.name, c.args
			}
		}
	}
	if w == "n" {
		return "create", 2
	}
	for _, c := range commands {
		if w != "" && strings.HasPrefix(c.name, w) {
			return c.name, c.args
		}
	}
	return "", 0
}

// command carries out one command line without the program's name.
func (r *run) command(argv []string) error {
	var words []string
	file := ""
	for i := 0; i < len(argv); i++ {
		value := func() (string, error) {
			if i+1 >= len(argv) {
				return "", problemf("Missing mandatory argument to option %s", argv[i])
			}
			i++
			return argv[i], nil
		}
		var err error
		switch a := argv[i]; a {
		case "-exist", "--exist", "-!":
			r.exist = true
		case "-q", "-quiet", "--quiet":
			r.quiet = true
		case "-s", "-sorted", "--sorted":
			r.sorted = true
		case "-n", "-name", "--name":
			r.names = true
		case "-t", "-terse", "--terse":
			r.terse = true
		case "-r", "-resolve", "--resolve":
		case "-o", "-output", "--output":
			if r.output, err = value(); err == nil && r.output != "plain" && r.output != "save" && r.output != "xml" {
				err = syntaxf("unknown output mode '%s'", r.output)
			}
		case "-f", "-file", "--file":
			file, err = value()
		default:
			words = append(words, a)
		}
		if err != nil {
			return err
		}
	}
	if file != "" {
		return errNo("Cannot open " + file + " for reading or writing")
	}
	if len(words) == 0 {
		return problemf("No command specified.")
	}
	name, need := findCommand(words[0])
	if name == "" {
		return problemf("No command specified: unknown argument %s", words[0])
	}
	words = words[1:]
	if len(words) < need {
		if len(words) == 0 {
			return problemf("Missing mandatory argument to command %s", name)
		}
		return problemf("Missing second mandatory argument to command %s", name)
	}
	most := map[string]int{"create": 1 << 20, "add": 1 << 20, "del": 1 << 20, "test": 1 << 20, "rename": 2, "swap": 2,
		"restore": 0, "version": 0, "help": 1}
	n, ok := most[name]
	if !ok {
		n = 1
	}
	if len(words) > n {
		return problemf("Unknown argument %s", words[n])
	}
	return r.named(name, words)
}

// named carries out a command.
func (r *run) named(name string, words []string) error {
	first := ""
	if len(words) > 0 {
		first = words[0]
		if name != "help" && len(first) > 31 {
			return syntaxf("setname '%s' is longer than 31 characters", first)
		}
	}
	switch name {
	case "version":
		fmt.Fprintf(r.out, "ipset v%s, protocol version: 7\n", Version)
	case "help":
		r.help()
	case "create":
		return r.create(words)
	case "add", "del", "test":
		return r.element(name, words)
	case "destroy":
		return r.s.destroy(first)
	case "flush":
		l, err := r.s.all(first)
		for _, sl := range l {
			r.s.flush(sl.set.Load())
		}
		return err
	case "rename":
		if len(words[1]) > 31 {
			return syntaxf("setname '%s' is longer than 31 characters", words[1])
		}
		return r.s.rename(first, words[1])
	case "swap":
		return r.s.swap(first, words[1])
	case "list", "save":
		if r.output == "" && name == "save" {
			r.output = "save"
		}
		return r.list(first)
	case "restore":
		if r.restore {
			return problemf("Command `restore' cannot be used in a restore file")
		}
		return r.restoreFile()
	}
	return nil
}

// element is add, del and test.
func (r *run) element(name string, words []string) error {
	sl, err := r.s.find(words[0])
	if err != nil {
		return err
	}
	set := sl.set.Load()
	var x extras
	before, after := "", false
	for i := 2; i < len(words); i++ {
		var n uint64
		w := words[i]
		switch {
		case w == "timeout" && name == "add":
			n, err = number(words, &i, 0, maxTimeout)
			x.timeout, x.hasTimeout = uint32(n), true
		case w == "packets" && name == "add":
			x.packets, err = number(words, &i, 0, 1<<64-2)
			x.hasPackets = true
		case w == "bytes" && name == "add":
			x.bytes, err = number(words, &i, 0, 1<<64-2)
			x.hasBytes = true
		case w == "comment" && name == "add":
			if i++; i >= len(words) {
				return problemf("Missing mandatory argument of option `%s'", w)
			}
			x.comment, x.hasComment = words[i], true
			if strings.Contains(x.comment, "\"") {
				err = syntaxf("\" character is not permitted in comments")
			} else if len(x.comment) > 255 {
				err = syntaxf("Comment is longer than the maximum allowed 255 characters")
			}
		case w == "nomatch" && set.typ.nets() && name != "del":
			x.nomatch = true
		case strings.HasPrefix(w, "skb"):
			err = errNo("skbinfo is not supported")
		case (w == "before" || w == "after") && set.typ.kind == list:
			if i++; i >= len(words) {
				return problemf("Missing mandatory argument of option `%s'", w)
			}
			before, after = words[i], w == "after"
		default:
			return problemf("Unknown argument: `%s'", w)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case x.hasTimeout && !set.hasTimeout:
		return errNo("Timeout cannot be used: set was created without timeout support")
	case (x.hasPackets || x.hasBytes) && !set.counters:
		return errNo("Packet/byte counters cannot be used: set was created without counter support")
	case x.hasComment && !set.comment:
		return errNo("Comment cannot be used: set was created without comment support")
	}
	e, err := set.parse(words[1])
	if err != nil {
		return err
	}
	e.before, e.after = before, after
	return r.apply(name, words, set, &e, &x)
}

// apply does with an element what the command says.
func (r *run) apply(name string, words []string, set *Set, e *element, x *extras) (err error) {
	switch {
	case name == "test":
		in, err := set.holds(e, x.nomatch)
		if err != nil {
			return err
		}
		if !in {
			if !r.quiet {
				fmt.Fprintf(r.warn, "%s is NOT in set %s.\n", set.spell(words[1], e), words[0])
			}
			return notIn{}
		}
		if !r.quiet {
			fmt.Fprintf(r.warn, "Warning: %s is in set %s.\n", set.spell(words[1], e), words[0])
		}
		return nil
	case set.typ.kind == list:
		err = set.change(e, x, name == "add", r.exist)
	case name == "add":
		err = set.expand(e, func(k Key) error {
			if err := set.put(k, x, r.exist); err != nil && !(r.exist && err == errExist) {
				return err
			}
			return nil
		})
	default:
		err = set.expand(e, func(k Key) error {
			if err := set.take(k); err != nil && !(r.exist && err == errNotThere) {
				return err
			}
			return nil
		})
	}
	if r.exist && (err == errExist || err == errNotThere) {
		err = nil
	}
	return err
}

// restoreFile carries out the commands on standard input, until one fails.
func (r *run) restoreFile() error {
	in, err := io.ReadAll(io.LimitReader(r.in, maxInput+1))
	if err != nil || len(in) > maxInput {
		return errNo("cannot read the commands")
	}
	sc := bufio.NewScanner(bytes.NewReader(in))
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	line := 0
	for sc.Scan() {
		line++
		at := fmt.Sprintf("Error in line %d: ", line)
		words, err := splitLine(sc.Text())
		if err == nil && (len(words) == 0 || words[0] == "COMMIT") {
			continue
		}
		one := &run{s: r.s, out: r.out, warn: r.warn, restore: true, exist: r.exist, quiet: r.quiet, sorted: r.sorted}
		if err == nil {
			err = one.command(words)
		}
		if err != nil {
			return failed{r.status(err, at)}
		}
	}
	if sc.Err() != nil {
		return failed{r.status(errNo("the line is too long"), fmt.Sprintf("Error in line %d: ", line+1))}
	}
	return nil
}

// splitLine cuts a line of a restore file: blanks separate, double quotes hold
// together; a line that begins with '#' is a comment.
func splitLine(s string) (words []string, err error) {
	s = strings.TrimRight(s, "\r")
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' && len(words) == 0 {
			return words, nil
		}
		end := strings.IndexAny(s, " \t")
		if s[0] == '"' {
			n := strings.IndexByte(s[1:], '"')
			if n < 0 {
				return nil, problemf("missing close quote")
			}
			words = append(words, s[1:1+n])
			s = s[n+2:]
			continue
		}
		if end < 0 {
			end = len(s)
		}
		words = append(words, s[:end])
		s = s[end:]
	}
}

func (r *run) help() {
	fmt.Fprintf(r.out, "ipset v%s\n\nUsage: ipset [options] COMMAND\n\n", Version)
	for _, c := range commands {
		fmt.Fprintf(r.out, "%-8s %s\n", c.name, c.old)
	}
	io.WriteString(r.out, "\nOptions: -exist|-! -o plain|save|xml -q -s -n -t\n\nSupported set types:\n")
	for _, t := range r.s.types {
		fmt.Fprintf(r.out, "    %s\t%d\n", t.name, t.revision)
	}
}
