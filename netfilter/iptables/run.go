package iptables

import (
	"fmt"
	"io"

	"barewire/netfilter/xtables"
)

// runCommand is iptables.
func (x *Iptables) runCommand(argv []string, stdout, stderr io.Writer) int {
	const prog = "iptables"
	c, _, refused := x.parse(argv, "filter", false, stderr)
	switch {
	case refused != nil:
		refused.print(stderr, prog)
		return refused.Status
	case c.version && c.notV:
		fmt.Fprintf(stdout, "Not %s (legacy) ;-)\n", Version)
		return 0
	case c.version:
		fmt.Fprintf(stdout, "%s v%s (legacy)\n", prog, Version)
		return 0
	case c.help:
		c.usage(stdout)
		return 0
	}
	s := &session{x: x, out: stdout, err: stderr}
	err := x.cfg.Tables.Update(func(get func(string) *xtables.Config) ([]*xtables.Config, error) {
		s.get = get
		if refused = s.run(c); refused != nil {
			return nil, refused
		}
		return s.dirty(), nil
	})
	if err != nil && refused == nil {
		refused = s.refusal(err)
	}
	if refused != nil {
		refused.print(stderr, prog)
		return refused.Status
	}
	s.done()
	return 0
}

// runSave is iptables-save.
func (x *Iptables) runSave(argv []string, stdout, stderr io.Writer) int {
	g := getopt{argv: argv, short: "bcdt:M:f:V", optind: 1, long: []option{
		{"counters", noArgument, 'c'}, {"version", noArgument, 'V'}, {"dump", noArgument, 'd'},
		{"table", requiredArgument, 't'}, {"modprobe", requiredArgument, 'M'}, {"file", requiredArgument, 'f'}}}
	counters, only := false, ""
	for id := g.next(); id != optEnd; id = g.next() {
		switch id {
		case 'b', 'M', 'd':
		case 'c':
			counters = true
		case 't':
			only = g.optarg
		case 'f':
			fmt.Fprintf(stderr, "Failed to open file, error: no files can be written here\n")
			return OtherProblem
		case 'V':
			fmt.Fprintf(stdout, "iptables-save v%s (legacy)\n", Version)
			return 0
		case optNonOpt:
			fmt.Fprintf(stderr, "Unknown arguments found on commandline\n")
			return OtherProblem
		default:
			fmt.Fprintf(stderr, "%s: unrecognized option '%s'\nLook at manual page `iptables-save.8' for more information.\n", argv[0], argv[g.at])
			return OtherProblem
		}
	}
	if g.optind < len(argv) {
		fmt.Fprintf(stderr, "Unknown arguments found on commandline\n")
		return OtherProblem
	}
	names := x.Names()
	if only != "" {
		names = []string{only}
	}
	for _, n := range names {
		c := x.cfg.Tables.Get(n)
		if c == nil {
			(&Error{Status: OtherProblem, Msg: "Cannot initialize: Table does not exist (do you need to insmod?)"}).print(stderr, "iptables-save")
			return OtherProblem
		}
		x.load(n)
		x.saveTable(stdout, c, counters)
	}
	return 0
}
