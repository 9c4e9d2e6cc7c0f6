package xtables

import (
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter"
)

// Verdict is what a target decides: one of netfilter's numbers in the low byte,
// or Continue or Return.
type Verdict uint32

// Verdicts.
const (
	Drop   = Verdict(netfilter.Drop)
	Accept = Verdict(netfilter.Accept)
	Stolen = Verdict(netfilter.Stolen)
	// Queue hands the packet to the queue whose number stands in the upper
	// sixteen bits.
	Queue = Verdict(netfilter.Queue)

	Continue Verdict = 0xffffffff // on to the next rule (XT_CONTINUE)
	Return   Verdict = 0xfffffffb // back to the calling chain (XT_RETURN)
)

// Extension is one use of an extension in a rule: its parsed options. New ones
// come from Def.NewMatch and Def.NewTarget; Set and Done are called while the
// rule is parsed, Check when it is installed, and after that it may be used by
// many packets at the same time.
type Extension interface {
	// Set takes one option. id is Option.ID, args has Option.Args strings.
	Set(c *ParseContext, id int, args []string, invert bool) error
	// Done is called when all options are set, and refuses what does not fit
	// together.
	Done(c *ParseContext) error
	// Save appends the options as iptables-save prints them, each with a space
	// in front.
	Save(b []byte) []byte
	// Print appends the text of iptables -L, with a space in front.
	Print(b []byte, numeric bool) []byte
	// Check is the kernel's view: may this stand in this table at these hooks?
	// It changes nothing, and is called again whenever the table changes.
	Check(c *CheckContext) error
}

// Match is the packet side of a match.
type Match interface {
	Extension
	// Match reports whether the rule goes on. It may set p.Hotdrop, which drops
	// the packet at once. An inversion is the extension's own business.
	Match(p *Packet) bool
}

// Target is the packet side of a target.
type Target interface {
	Extension
	Target(p *Packet) Verdict
}

// Attacher is an Extension that holds something outside itself: a set, a table
// of rates, a helper. Attach is called once, when its rule is first installed,
// and Destroy when the rule has left the table; packets may still be using it.
type Attacher interface {
	Attach(c *CheckContext) error
	Destroy()
}

// Inert is a Match that is always true and does nothing, like a comment. The
// walk leaves it out.
type Inert interface{ Inert() }

// Option is one option of an extension.
type Option struct {
	Name   string // without the dashes
	ID     int    // what Set is told, below 64; names with one ID are one option
	Args   int    // how many words follow: 0, 1 or 2
	Invert bool   // may be preceded by '!'
	Multi  bool   // may stand more than once
	Must   bool   // has to be there
	// Excl and Also are sets of IDs (1<<ID) that may not, or must, be there
	// too.
	Excl, Also uint64
}

// Def is an extension as the registry knows it.
type Def struct {
	Name string
	// ListName is what iptables -L calls a target that is another by its old
	// name; empty for Name.
	ListName string
	// Options are accepted after -m NAME or -j NAME. read-only
	Options []Option
	// Protos are the protocols it works for, of which -p must name one, not
	// inverted; nil for any. read-only
	Protos []uint8
	// Tables are the tables it may stand in; nil for any. read-only
	Tables []string
	// Hooks is a mask of the hooks (1<<Point) it may be reached from; 0 for any.
	Hooks uint8
	// OneOf says that at least one option is needed.
	OneOf bool

	NewMatch  func() Match
	NewTarget func() Target
}

// IsTarget reports whether d defines a target.
func (d *Def) IsTarget() bool { return d.NewTarget != nil }

// FindOption returns the option of that name, which may be cut short as long as
// it is clear which is meant (getopt_long). nil and no error: there is none.
func (d *Def) FindOption(name string) (*Option, error) {
	var found *Option
	for i := range d.Options {
		o := &d.Options[i]
		if o.Name == name {
			return o, nil
		}
		if strings.HasPrefix(o.Name, name) {
			if found != nil && found.ID != o.ID {
				return nil, fmt.Errorf("option \"--%s\" is ambiguous", name)
			}
			if found == nil {
				found = o
			}
		}
	}
	return found, nil
}

// ParseContext is what an extension may know while its options are parsed.
type ParseContext struct {
	Table    string
	Proto    uint8 // of -p so far, 0 if none
	InvProto bool
	// Env is the instance the rule is for.
	Env *Env
	// Resolve looks up a host name; nil where there is no resolver.
	Resolve func(host string) ([]uint32, error)

	use *Use
}

// Seen reports whether the option with that ID was set before.
func (c *ParseContext) Seen(id int) bool { return c.use != nil && c.use.seen&(1<<id) != 0 }

// Use is an extension while its options are being parsed.
type Use struct {
	Def *Def
	Ext Extension // a Match or a Target
	// Proto is the protocol the rule names, for the messages of Finish.
	seen uint64
}

// NewUse begins a use of d.
func (d *Def) NewUse() *Use {
	u := &Use{Def: d}
	if d.IsTarget() {
		u.Ext = d.NewTarget()
	} else {
		u.Ext = d.NewMatch()
	}
	return u
}

// Set gives the extension one option with its arguments, after checking what
// can be checked for all options alike.
func (u *Use) Set(c *ParseContext, o *Option, args []string, invert bool) error {
	if invert && !o.Invert {
		return fmt.Errorf("%s: option \"--%s\" cannot be inverted.\n", u.Def.Name, o.Name)
	}
	if u.seen&(1<<o.ID) != 0 && !o.Multi {
		return fmt.Errorf("%s: option \"--%s\" can only be used once.\n", u.Def.Name, o.Name)
	}
	if len(args) != o.Args {
		return fmt.Errorf("%s: option \"--%s\" requires an argument", u.Def.Name, o.Name)
	}
	c.use = u
	err := u.Ext.Set(c, o.ID, args, invert)
	u.seen |= 1 << o.ID
	c.use = nil
	return err
}

// Finish checks the options as a whole.
func (u *Use) Finish(c *ParseContext) error {
	d := u.Def
	for i := range d.Options {
		o := &d.Options[i]
		if u.seen&(1<<o.ID) == 0 {
			if o.Must {
				return fmt.Errorf("%s: option \"--%s\" must be specified\n", d.Name, o.Name)
			}
			continue
		}
		if x := u.seen & o.Excl; x != 0 {
			return fmt.Errorf("%s: option \"--%s\" cannot be used together with \"--%s\".\n", d.Name, o.Name, d.optionName(x))
		}
		if x := o.Also &^ u.seen; x != 0 {
			return fmt.Errorf("%s: option \"--%s\" also requires \"--%s\".\n", d.Name, o.Name, d.optionName(x))
		}
	}
	if d.OneOf && u.seen == 0 {
		return fmt.Errorf("%s: no option specified", d.Name)
	}
	c.use = u
	err := u.Ext.Done(c)
	c.use = nil
	return err
}

func (d *Def) optionName(set uint64) string {
	for i := range d.Options {
		if set&(1<<d.Options[i].ID) != 0 {
			return d.Options[i].Name
		}
	}
	return "?"
}

// CheckContext is what the kernel knows of a rule that is being installed.
type CheckContext struct {
	Env      *Env
	Table    string
	Chain    string
	Hooks    uint8 // mask of the hooks from which the rule can be reached
	Proto    uint8
	InvProto bool
	Rule     *Rule
}

// errOption is for extensions without options, which the parser never gives
// one.
var errOption = errors.New("unknown option") // read-only

// Plain is embedded by extensions for the methods they have no use for: it takes
// no options, prints nothing, and is content everywhere.
type Plain struct{}

// Set implements Extension.
func (Plain) Set(*ParseContext, int, []string, bool) error { return errOption }

// Done implements Extension.
func (Plain) Done(*ParseContext) error { return nil }

// Save implements Extension.
func (Plain) Save(b []byte) []byte { return b }

// Print implements Extension.
func (Plain) Print(b []byte, _ bool) []byte { return b }

// Check implements Extension.
func (Plain) Check(*CheckContext) error { return nil }
