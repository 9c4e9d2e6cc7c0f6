package iptables

import "strings"

// argument of an option, getopt_long's has_arg.
type hasArg uint8

const (
	noArgument hasArg = iota
	requiredArgument
	optionalArgument
)

// option is one long option. id tells which: a letter for the options of the
// command itself, more than 255 for those of extensions.
type option struct {
	name string
	arg  hasArg
	id   int
}

// What [getopt.next] returns besides an option's id.
const (
	optEnd      = -1
	optNonOpt   = 1   // an argument that is no option, in optarg
	optUnknown  = '?' // no such option, or an abbreviation of several
	optNoArg    = ':' // the argument of the option is missing
	optExtFirst = 256 // the first id of an extension's option
)

// getopt walks a command line as glibc's getopt_long does with an option string
// that begins with "-:": in order, arguments that are no options one by one,
// errors left to the caller.
type getopt struct {
	argv  []string
	short string // "A:bL::": a letter, then a colon for each of has_arg
	long  []option

	optind int // index of the next argument
	optarg string
	has    bool   // whether optarg was given
	rest   string // what is left of a cluster of short options
	// at is the index in argv of the option returned last: what an error names.
	at int
}

// next returns the id of the next option, or one of the opt constants.
func (g *getopt) next() int {
	g.optarg, g.has = "", false
	if g.rest == "" {
		if g.optind >= len(g.argv) {
			return optEnd
		}
		g.at = g.optind
		a := g.argv[g.optind]
		switch {
		case a == "--":
			g.optind++
			return optEnd
		case strings.HasPrefix(a, "--"):
			g.optind++
			return g.longOption(a[2:])
		case len(a) < 2 || a[0] != '-':
			g.optind++
			g.optarg, g.has = a, true
			return optNonOpt
		}
		g.rest = a[1:]
	}
	return g.shortOption()
}

func (g *getopt) shortOption() int {
	c := g.rest[0]
	g.rest = g.rest[1:]
	if g.rest == "" {
		g.optind++
	}
	at := strings.IndexByte(g.short, c)
	if at < 0 || c == ':' || c == ';' {
		return optUnknown
	}
	colons := 0
	for at++; at < len(g.short) && g.short[at] == ':'; at++ {
		colons++
	}
	if colons == 0 {
		return int(c)
	}
	if g.rest != "" {
		g.optarg, g.has, g.rest = g.rest, true, ""
		g.optind++
		return int(c)
	}
	if colons == 2 {
		return int(c)
	}
	return g.takeArgument(int(c))
}

// takeArgument makes the next argument that of an option.
func (g *getopt) takeArgument(id int) int {
	if g.optind >= len(g.argv) {
		return optNoArg
	}
	g.optarg, g.has = g.argv[g.optind], true
	g.optind++
	return id
}

// find looks up a long option: the name itself, or an abbreviation that means
// only one thing.
func (g *getopt) find(name string) (found *option) {
	for i := range g.long {
		o := &g.long[i]
		if o.name == name {
			return o
		}
	}
	for i := range g.long {
		o := &g.long[i]
		if !strings.HasPrefix(o.name, name) {
			continue
		}
		if found != nil && (found.id != o.id || found.arg != o.arg) {
			return nil
		}
		if found == nil {
			found = o
		}
	}
	return found
}

func (g *getopt) longOption(a string) int {
	name, value, has := strings.Cut(a, "=")
	o := g.find(name)
	switch {
	case o == nil:
		return optUnknown
	case has && o.arg == noArgument:
		return optUnknown
	case has:
		g.optarg, g.has = value, true
		return o.id
	case o.arg == requiredArgument:
		return g.takeArgument(o.id)
	}
	return o.id
}

// again makes next return the last argument once more: after the options of a
// protocol's match were added.
func (g *getopt) again() { g.optind = g.at; g.rest = "" }

// word takes the next argument if it is a value for the option before it (Linux:
// xs_has_arg): not an option and not an exclamation mark.
func (g *getopt) word() (string, bool) {
	if g.rest != "" || g.optind >= len(g.argv) {
		return "", false
	}
	a := g.argv[g.optind]
	if strings.HasPrefix(a, "-") || strings.HasPrefix(a, "!") {
		return "", false
	}
	g.optind++
	return a, true
}
