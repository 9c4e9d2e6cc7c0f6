// Command iptables judges the language of the packet filter: it runs command
// lines, scripts and rule corpora over an instance in memory.
//
//	go run ./qemu/iptables -c 'iptables -A FORWARD -p tcp --dport 80 -j ACCEPT' -c 'iptables-save'
//	go run ./qemu/iptables script.sh ...        # lines as a shell has them; "-" is standard input
//	go run ./qemu/iptables extensions/ x.t ...  # rule corpora: files *.t, also of whole folders
//	go run ./qemu/iptables -kernel linux ...    # the same by the machine's own iptables-legacy
//
// For each command of a script standard output, standard error and, if it is
// not 0, the exit status are printed; -q leaves the commands themselves out. The
// program's status is that of the last command.
//
// A corpus has lines "rule;what iptables-save prints;OK or FAIL", where "=" is
// the rule itself; ":CHAIN,CHAIN" and "*table" say where rules go; "%args" is an
// iptables command that comes first, "@command" any other. Each rule is added,
// looked for in what iptables-save prints, and deleted by its text. A line is
// PASS, FAIL, or UNSUPPORTED when it needs an extension, or a program, that is
// not there. -v prints all lines, else those that do not pass. The status is 1 if
// any line fails.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"barewire/netfilter/iptables/iptablestest"
	"barewire/sys/embed"
)

type lines []string

func (l *lines) String() string     { return strings.Join(*l, "\n") }
func (l *lines) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	status, err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "iptables:", err)
		os.Exit(2)
	}
	os.Exit(status)
}

// judge is one run of the program.
type judge struct {
	kernel         string
	verbose, quiet bool
	out, warn      io.Writer
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int, err error) {
	j := &judge{out: stdout, warn: stderr}
	fs := flag.NewFlagSet("iptables", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var cmds lines
	fs.Var(&cmds, "c", "a command `line`; more may follow")
	fs.StringVar(&j.kernel, "kernel", "barewire", "barewire, or linux for the machine's own programs")
	fs.BoolVar(&j.verbose, "v", false, "print lines of a corpus that pass, too")
	fs.BoolVar(&j.quiet, "q", false, "do not print the commands of a script")
	if err := fs.Parse(args); err != nil {
		return 2, nil
	}
	if len(cmds) > 0 {
		status, err = j.script(strings.Join(cmds, "\n"), ".")
	}
	var total tally
	files, err := corpora(fs.Args())
	if err != nil {
		return 2, err
	}
	if len(cmds) == 0 && len(files) == 0 {
		files = []string{"-"}
	}
	for _, f := range files {
		var text []byte
		if f == "-" {
			text, err = io.ReadAll(stdin)
		} else {
			text, err = os.ReadFile(f)
		}
		if err != nil {
			return 2, err
		}
		if strings.HasSuffix(f, ".t") {
			err = j.corpus(f, string(text), &total)
		} else {
			status, err = j.script(string(text), filepath.Dir(f))
		}
		if err != nil {
			return 2, fmt.Errorf("%s: %w", f, err)
		}
	}
	if total != (tally{}) {
		fmt.Fprintf(stdout, "%d passed, %d failed, %d not supported\n", total.pass, total.fail, total.unsupported)
		if total.fail > 0 {
			status = 1
		}
	}
	return status, nil
}

// corpora replaces folders by the corpora in them.
func corpora(args []string) (files []string, err error) {
	for _, a := range args {
		if i, e := os.Stat(a); a == "-" || e == nil && !i.IsDir() {
			files = append(files, a)
			continue
		} else if e != nil {
			return nil, e
		}
		l, err := filepath.Glob(filepath.Join(a, "*.t"))
		if err != nil {
			return nil, err
		}
		sort.Strings(l)
		files = append(files, l...)
	}
	return files, nil
}

// runner returns a fresh place to run commands in.
func (j *judge) runner(dir string) (r iptablestest.Runner, done func(), err error) {
	switch j.kernel {
	case "linux":
		l, err := iptablestest.NewLegacy()
		if err != nil {
			return nil, nil, err
		}
		l.Dir = dir
		return l, l.Close, nil
	case "barewire":
		in, err := embed.New(embed.Config{})
		if err != nil {
			return nil, nil, err
		}
		return &instance{in, dir}, in.Close, nil
	}
	return nil, nil, fmt.Errorf("there is no kernel %q", j.kernel)
}

// instance runs commands in an instance.
type instance struct {
	in  *embed.Instance
	dir string
}

// Run implements iptablestest.Runner.
func (i *instance) Run(c iptablestest.Command) (iptablestest.Result, error) {
	argv, stdin, err := c.Input(i.dir)
	if err != nil {
		return iptablestest.Result{}, err
	}
	status, out, warn := i.in.Run(argv, []byte(stdin))
	return iptablestest.Result{Stdout: string(out), Stderr: string(warn), Status: status}, nil
}

// script runs the commands of a script.
func (j *judge) script(text, dir string) (status int, err error) {
	cmds, err := iptablestest.ParseScript(text)
	if err != nil {
		return 2, err
	}
	r, done, err := j.runner(dir)
	if err != nil {
		return 2, err
	}
	defer done()
	for _, c := range cmds {
		if !j.quiet {
			fmt.Fprintf(j.out, "$ %s\n", c.String())
		}
		res, err := r.Run(c)
		if err != nil {
			return 2, fmt.Errorf("line %d: %w", c.Line, err)
		}
		io.WriteString(j.out, res.Stdout)
		io.WriteString(j.warn, res.Stderr)
		if status = res.Status; status != 0 && !j.quiet {
			fmt.Fprintf(j.out, "status %d\n", status)
		}
	}
	return status, nil
}
