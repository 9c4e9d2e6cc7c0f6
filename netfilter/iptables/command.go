package iptables

import (
	"io"
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
)

// command is a parsed command line.
type command struct {
	cmd     cmd
	opts    opt
	table   string
	chain   string // empty for all chains
	newName string
	policy  string
	number  int // of a rule, 0 for none
	verbose int

	packets, bytes uint64 // of -c

	entry    xtables.Entry // without addresses
	src, dst []address
	jump     string
	isGoto   bool
	proto    string // as it was written
	uses     []*use // matches in order, and the target if it is an extension
	help     bool
	version  bool
	notV     bool // "! -V"
	skip     bool // -6 in a restore file: not for us
}

// use is an extension of a rule and the options it was given, from which further
// instances are made when a rule line stands for several rules.
type use struct {
	def  *xtables.Def
	live *xtables.Use
	ops  []useOp
	done bool // a later -m of the same name takes the options
	at   int  // index in argv
}

type useOp struct {
	o      *xtables.Option
	args   []string
	invert bool
}

// parser reads a command line.
type parser struct {
	x        *Iptables
	g        getopt
	c        command
	ctx      xtables.ParseContext
	restore  bool
	warn     io.Writer
	invert   bool
	tableSet bool
	wait     [2]bool // -W and -w were given
	// The arguments of -s and -d, and where in argv they stand.
	src, dst     string
	srcAt, dstAt int
}

// parse reads argv. restore says that it is from a restore file, where -t may
// not stand. at is the index in argv of what was refused.
func (x *Iptables) parse(argv []string, table string, restore bool, warn io.Writer) (c *command, at int, err *Error) {
	p := &parser{x: x, restore: restore, warn: warn}
	p.g = getopt{argv: argv, short: shortOptions, long: longOptions, optind: 1}
	p.c.table, p.ctx.Table = table, table
	p.ctx.Env, p.ctx.Resolve = x.cfg.Tables.Env(), x.cfg.Resolve
	for err == nil {
		id := p.g.next()
		if id == optEnd {
			break
		}
		err = p.option(id)
		if p.c.help || p.c.version || p.c.skip {
			return &p.c, 0, err
		}
	}
	if err == nil {
		err = p.finish()
	}
	return &p.c, p.g.at, err
}

// option handles one option.
func (p *parser) option(id int) (err *Error) {
	c, g := &p.c, &p.g
	invert := p.invert
	switch id {
	case optNonOpt:
		if g.optarg != "!" {
			return &Error{Status: ParameterProblem, Msg: "Bad argument `" + g.optarg + "'", Bare: true}
		}
		if invert {
			return problemf("multiple consecutive ! not allowed")
		}
		p.invert = true
		return nil
	case 'p':
		if err = p.set(optProtocol, xtables.InvProto); err != nil {
			break
		}
		c.proto = strings.ToLower(g.optarg)
		n, ok := xtables.ProtoNumber(c.proto)
		if !ok {
			return problemf("unknown protocol \"%s\" specified", c.proto)
		}
		if n == 0 && invert {
			return problemf("rule would never match protocol")
		}
		c.entry.Proto, p.ctx.Proto, p.ctx.InvProto = n, n, invert
	case 's':
		err = p.set(optSource, xtables.InvSrc)
		p.srcAt, p.src = g.optind-1, g.optarg
	case 'd':
		err = p.set(optDestination, xtables.InvDst)
		p.dstAt, p.dst = g.optind-1, g.optarg
	case 'i':
		if err = p.device(optIn, xtables.InvIn); err == nil {
			c.entry.In = g.optarg
		}
	case 'o':
		if err = p.device(optOut, xtables.InvOut); err == nil {
			c.entry.Out = g.optarg
		}
	case 'f':
		err = p.set(optFragment, xtables.InvFrag)
		c.entry.Frag = true
	case 'j', 'g':
		if err = p.set(optJump, 0); err != nil {
			break
		}
		if c.jump, err = targetName(g.optarg); err != nil {
			break
		}
		if c.isGoto = id == 'g'; !c.isGoto {
			if d := p.x.cfg.Find(c.jump, true); d != nil {
				p.use(d)
			}
		}
	case 'm':
		if invert {
			return problemf("unexpected ! flag before --match")
		}
		d := p.x.cfg.Find(g.optarg, false)
		if d == nil {
			return problemf("Couldn't load match `%s':No such file or directory\n", g.optarg)
		}
		p.use(d)
	case 'v':
		if c.verbose == 0 {
			err = p.set(optVerbose, 0)
		}
		c.verbose++
	case 'n':
		err = p.set(optNumeric, 0)
	case 'x':
		err = p.set(optExpanded, 0)
	case '0':
		err = p.set(optLineNumbers, 0)
	case 'c':
		if err = p.set(optCounters, 0); err == nil {
			err = p.counters()
		}
	case 't':
		if invert {
			return problemf("unexpected ! flag before --table")
		}
		if p.restore && p.tableSet {
			return problemf("The -t option cannot be used in iptables-restore.\n")
		}
		c.table, p.ctx.Table, p.tableSet = g.optarg, g.optarg, true
	case 'w', 'W':
		err = p.waits(byte(id))
	case 'M', '4':
	case '6':
		if c.skip = p.restore; !c.skip {
			return &Error{Status: ParameterProblem, Quiet: true}
		}
	case 'V':
		c.version, c.notV = true, invert
	case 'h':
		c.help = true
		if d := p.protocolMatch(); d != nil && len(c.uses) == 0 {
			p.use(d)
		}
	default:
		if strings.IndexByte("ACDRILSFZNXEP", byte(id&0xff)) >= 0 && id < optExtFirst {
			err = p.command(byte(id))
			break
		}
		return p.extension(id)
	}
	p.invert = false
	return err
}

// set notes an option, which may be given once, and inverted only if there is a
// bit for that (Linux: set_option).
func (p *parser) set(o opt, inv xtables.Inv) *Error {
	letter := byte('?')
	for i := range optLetters {
		if o == 1<<i {
			letter = optLetters[i]
		}
	}
	if p.c.opts&o != 0 {
		return problemf("multiple -%c flags not allowed", letter)
	}
	p.c.opts |= o
	if p.invert {
		if inv == 0 {
			return problemf("cannot have ! before -%c", letter)
		}
		p.c.entry.Inv |= inv
	}
	return nil
}

func (p *parser) device(o opt, inv xtables.Inv) *Error {
	warn, err := checkInterface(p.g.optarg)
	if err != nil {
		return err
	}
	if err := p.set(o, inv); err != nil {
		return err
	}
	io.WriteString(p.warn, warn)
	return nil
}

func (p *parser) counters() *Error {
	packets, bytes, has := strings.Cut(p.g.optarg, ",")
	if !has {
		if bytes, has = p.g.word(); !has {
			return problemf("-c requires packet and byte counter")
		}
	}
	var err error
	if p.c.packets, err = strconv.ParseUint(packets, 10, 64); err != nil {
		return problemf("-c packet counter not numeric")
	}
	if p.c.bytes, err = strconv.ParseUint(bytes, 10, 64); err != nil {
		return problemf("-c byte counter not numeric")
	}
	return nil
}

// waits takes -w and -W, which mean nothing here: a command never waits for
// another program's lock.
func (p *parser) waits(letter byte) *Error {
	if p.restore {
		return problemf("You cannot use `-%c' from iptables-restore", letter)
	}
	s, has := p.g.optarg, p.g.has
	if !has {
		s, has = p.g.word()
	}
	p.wait[letter>>5&1] = true
	if letter == 'W' {
		io.WriteString(p.warn, "Ignoring deprecated --wait-interval option.\n")
		return nil
	}
	if has {
		if _, err := strconv.ParseInt(s, 10, 32); err != nil {
			return problemf("wait seconds not numeric")
		}
	}
	return nil
}

// command handles the options that are commands.
func (p *parser) command(letter byte) (err *Error) {
	c, g := &p.c, &p.g
	add := func(n, others cmd) {
		if p.invert {
			err = problemf("unexpected '!' flag")
		} else if x := c.cmd &^ others; x != 0 {
			err = problemf("Cannot use -%c with -%c", n.letter(), x.letter())
		}
		c.cmd |= n
	}
	number := func() bool {
		s, ok := g.word()
		if !ok {
			return false
		}
		n, valid := parseUint(s, 1, 1<<31-1)
		if !valid && err == nil {
			err = problemf("Invalid rule number `%s'", s)
		}
		c.number = int(n)
		return true
	}
	chain := func() {
		if g.has {
			c.chain = g.optarg
		} else if s, ok := g.word(); ok {
			c.chain = s
		}
	}
	switch letter {
	case 'A':
		add(cmdAppend, 0)
		c.chain = g.optarg
	case 'C':
		add(cmdCheck, 0)
		c.chain = g.optarg
	case 'D':
		add(cmdDelete, 0)
		c.chain = g.optarg
		if number() {
			c.cmd = cmdDeleteNum
		}
	case 'R':
		add(cmdReplace, 0)
		c.chain = g.optarg
		if !number() && err == nil {
			err = problemf("-R requires a rule number")
		}
	case 'I':
		add(cmdInsert, 0)
		c.chain = g.optarg
		if !number() {
			c.number = 1
		}
	case 'L', 'S':
		if letter == 'L' {
			add(cmdList, cmdZero|cmdZeroNum)
		} else {
			add(cmdListRules, cmdZero|cmdZeroNum)
		}
		chain()
		number()
	case 'F':
		add(cmdFlush, 0)
		chain()
	case 'Z':
		add(cmdZero, cmdList|cmdListRules)
		chain()
		if number() {
			c.cmd = cmdZeroNum
		}
	case 'N':
		if err = p.x.checkChainName(g.optarg); err != nil {
			return err
		}
		add(cmdNewChain, 0)
		c.chain = g.optarg
	case 'X':
		add(cmdDeleteChain, 0)
		chain()
	case 'E':
		add(cmdRenameChain, 0)
		c.chain = g.optarg
		var ok bool
		if c.newName, ok = g.word(); !ok && err == nil {
			err = problemf("-E requires old-chain-name and new-chain-name")
		}
	case 'P':
		add(cmdSetPolicy, 0)
		c.chain = g.optarg
		var ok bool
		if c.policy, ok = g.word(); !ok && err == nil {
			err = problemf("-P requires a chain and a policy")
		}
	}
	return err
}
