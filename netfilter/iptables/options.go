package iptables

// cmd is a set of commands; most can only stand alone.
type cmd uint16

const (
	cmdInsert cmd = 1 << iota
	cmdDelete
	cmdDeleteNum
	cmdReplace
	cmdAppend
	cmdList
	cmdFlush
	cmdZero
	cmdNewChain
	cmdDeleteChain
	cmdSetPolicy
	cmdRenameChain
	cmdListRules
	cmdZeroNum
	cmdCheck
)

const cmdLetters = "IDDRALFZNXPESZC" // by bit

func (c cmd) letter() byte {
	for i := range cmdLetters {
		if c&(1<<i) != 0 {
			return cmdLetters[i]
		}
	}
	return '?'
}

// opt is a set of the options that may be given once.
type opt uint16

const (
	optNumeric opt = 1 << iota
	optSource
	optDestination
	optProtocol
	optJump
	optVerbose
	optExpanded
	optIn
	optOut
	optLineNumbers
	optCounters
	optFragment
)

const optLetters = "nsdpjvxio0cf" // by bit

// optRule are the options that a command about a rule takes, optSpec those that
// describe one.
const (
	optSpec = optSource | optDestination | optProtocol | optJump | optIn | optOut | optFragment
	optRule = optSpec | optVerbose | optCounters
)

// allowed returns the options a command may have.
func (c cmd) allowed() opt {
	switch c {
	case cmdInsert, cmdReplace, cmdAppend:
		return optRule
	case cmdDelete, cmdCheck:
		return optRule &^ optCounters
	case cmdList:
		return optNumeric | optVerbose | optExpanded | optLineNumbers
	case cmdSetPolicy:
		return optVerbose | optCounters
	}
	return optVerbose
}

const shortOptions = "A:C:D:E:F::I:L::M:N:P:VX::Z::c:d:i:j:o:p:s:t:R:S::W::46bfg:h::m:nvw::x"

// longOptions are the options of the command itself. read-only
var longOptions = []option{
	{"append", requiredArgument, 'A'}, {"delete", requiredArgument, 'D'}, {"check", requiredArgument, 'C'},
	{"insert", requiredArgument, 'I'}, {"replace", requiredArgument, 'R'}, {"list", optionalArgument, 'L'},
	{"list-rules", optionalArgument, 'S'}, {"flush", optionalArgument, 'F'}, {"zero", optionalArgument, 'Z'},
	{"new-chain", requiredArgument, 'N'}, {"delete-chain", optionalArgument, 'X'}, {"rename-chain", requiredArgument, 'E'},
	{"policy", requiredArgument, 'P'}, {"source", requiredArgument, 's'}, {"destination", requiredArgument, 'd'},
	{"src", requiredArgument, 's'}, {"dst", requiredArgument, 'd'}, {"protocol", requiredArgument, 'p'},
	{"in-interface", requiredArgument, 'i'}, {"jump", requiredArgument, 'j'}, {"table", requiredArgument, 't'},
	{"match", requiredArgument, 'm'}, {"numeric", noArgument, 'n'}, {"out-interface", requiredArgument, 'o'},
	{"verbose", noArgument, 'v'}, {"wait", optionalArgument, 'w'}, {"wait-interval", optionalArgument, 'W'},
	{"exact", noArgument, 'x'}, {"fragments", noArgument, 'f'}, {"version", noArgument, 'V'},
	{"help", optionalArgument, 'h'}, {"line-numbers", noArgument, '0'}, {"modprobe", requiredArgument, 'M'},
	{"set-counters", requiredArgument, 'c'}, {"goto", requiredArgument, 'g'}, {"ipv4", noArgument, '4'},
	{"ipv6", noArgument, '6'},
}

// maxName is the longest name of a chain, XT_EXTENSION_MAXNAMELEN with its NUL.
const maxName = 29
