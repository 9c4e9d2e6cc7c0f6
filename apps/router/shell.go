package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell runs what is typed on the console: a shell's language, and commands that
// are all its own, since nothing can be started here.
type shell struct {
	commands map[string]shellCommand
	runner   *interp.Runner
	out      io.Writer
}

// shellCommand is one command. Status 0 is success.
type shellCommand struct {
	help string
	run  func(h interp.HandlerContext, argv []string) (status int)
}

const prompt = "router# "

// commandsWord is what help comes to: the interpreter's own help lists what any
// shell has.
const commandsWord = "commands"

func ownHelp(_ context.Context, argv []string) ([]string, error) {
	if len(argv) == 1 && argv[0] == "help" {
		return []string{commandsWord}, nil
	}
	return argv, nil
}

// newShell makes a shell with the router's commands. They have no input but what
// is redirected: the console is the shell's own.
func newShell(r *router, out io.Writer) (*shell, error) {
	s := &shell{out: out}
	s.commands = map[string]shellCommand{
		commandsWord: {"what there is", s.help},
		"cat":        {"cat FILE...: print files, such as /proc/net/route", catCommand},
		"dmesg":      {"what the kernel said", dmesgCommand},
		"leases":     {"the hosts the DHCP server knows", r.leasesCommand},
		"conntrack":  {"conntrack -L|-C|-F|-S [-p PROTO] [-s ADDRESS] [-d ADDRESS]: the connections", r.conntrackCommand},
		"poweroff":   {"end", func(interp.HandlerContext, []string) int { r.stop(); return 0 }},
	}
	for name, help := range map[string]string{
		"iptables":         "iptables [-t TABLE] -A|-C|-D|-I|-L|-S|-F|... : the rules",
		"iptables-save":    "all rules, as iptables-restore reads them",
		"iptables-restore": "replace the rules: iptables-restore < FILE",
		"ipset":            "sets of addresses",
	} {
		s.commands[name] = shellCommand{help, func(h interp.HandlerContext, argv []string) int { return kernelCommand(r.kernel, h, argv) }}
	}
	var err error
	s.runner, err = interp.New(interp.StdIO(nil, out, out), interp.CallHandler(ownHelp), interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }))
	return s, err
}

// exec finds and runs a command.
func (s *shell) exec(ctx context.Context, argv []string) error {
	h := interp.HandlerCtx(ctx)
	c, ok := s.commands[argv[0]]
	if !ok {
		fmt.Fprintf(h.Stderr, "%s: not found; try help\n", argv[0])
		return interp.ExitStatus(127)
	}
	if status := c.run(h, argv); status != 0 {
		return interp.ExitStatus(status)
	}
	return nil
}

// serve reads commands until the input or ctx ends.
func (s *shell) serve(ctx context.Context, in io.Reader) {
	parser := syntax.NewParser()
	lines := bufio.NewScanner(in)
	fmt.Fprint(s.out, prompt)
	for text := ""; lines.Scan() && ctx.Err() == nil; {
		text += lines.Text() + "\n"
		file, err := parser.Parse(strings.NewReader(text), "console")
		if syntax.IsIncomplete(err) {
			fmt.Fprint(s.out, "> ")
			continue
		}
		text = ""
		if err == nil {
			err = s.runner.Run(ctx, file)
		}
		var status interp.ExitStatus
		if err != nil && !errors.As(err, &status) {
			fmt.Fprintln(s.out, err)
		}
		fmt.Fprint(s.out, prompt)
	}
}

func (s *shell) help(h interp.HandlerContext, _ []string) int {
	names := make([]string, 0, len(s.commands))
	for name := range s.commands {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(h.Stdout, "a shell's language (loops, pipes, < and >), and these commands:")
	for _, name := range names {
		fmt.Fprintf(h.Stdout, "%-17s %s\n", name, s.commands[name].help)
	}
	return 0
}

// kernelCommand runs a command that the kernel itself understands.
func kernelCommand(run command, h interp.HandlerContext, argv []string) int {
	var input []byte
	if argv[0] == "iptables-restore" || argv[0] == "ipset" && len(argv) > 1 && strings.TrimLeft(argv[1], "-") == "restore" {
		if h.Stdin == nil {
			fmt.Fprintf(h.Stderr, "%s: give it a file: %s < FILE\n", argv[0], strings.Join(argv, " "))
			return 2
		}
		var err error
		if input, err = io.ReadAll(h.Stdin); err != nil {
			fmt.Fprintf(h.Stderr, "%s: %v\n", argv[0], err)
			return 1
		}
	}
	status, stdout, stderr, err := run(argv, input)
	h.Stdout.Write(stdout)
	h.Stderr.Write(stderr)
	if err != nil {
		fmt.Fprintf(h.Stderr, "%s: %v\n", argv[0], err)
		return 1
	}
	return status
}

func catCommand(h interp.HandlerContext, argv []string) int {
	status := 0
	for _, name := range argv[1:] {
		f, err := os.Open(name)
		if err == nil {
			_, err = io.Copy(h.Stdout, f)
			f.Close()
		}
		if err != nil {
			fmt.Fprintf(h.Stderr, "cat: %v\n", err)
			status = 1
		}
	}
	if len(argv) == 1 && h.Stdin != nil {
		io.Copy(h.Stdout, h.Stdin)
	}
	return status
}

func dmesgCommand(h interp.HandlerContext, _ []string) int {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	b := make([]byte, 1<<20)
	n, err := unix.Klogctl(readAll, b)
	if err != nil {
		fmt.Fprintf(h.Stderr, "dmesg: %v\n", err)
		return 1
	}
	for line := range bytes.Lines(b[:n]) {
		_, text := kernelLine(string(line))
		fmt.Fprintln(h.Stdout, text)
	}
	return 0
}

func (r *router) leasesCommand(h interp.HandlerContext, _ []string) int {
	if r.leases == nil {
		fmt.Fprintln(h.Stderr, "leases: there is no DHCP server")
		return 1
	}
	for _, l := range r.leases.list() {
		fmt.Fprintf(h.Stdout, "%-15v %s %s, until %s\n", l.Addr, l.MAC, l.Name, l.Until.UTC().Format(time.DateTime))
	}
	return 0
}
