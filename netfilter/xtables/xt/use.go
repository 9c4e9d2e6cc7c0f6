package xt

import (
	"errors"

	"barewire/netfilter/xtables"
)

// held is embedded by what an extension lets go of with its rule.
type held struct{ done func() }

// Destroy implements xtables.Attacher.
func (h *held) Destroy() {
	if h.done != nil {
		h.done()
		h.done = nil
	}
}

// tracked is embedded by what needs connections to be tracked: it has them
// tracked as long as its rule is there.
type tracked struct{ held }

var errNoConntrack = errors.New("cannot load conntrack support for proto=2") // read-only

// Attach implements xtables.Attacher.
func (t *tracked) Attach(c *xtables.CheckContext) error {
	if c.Env.UseConntrack == nil {
		return errNoConntrack
	}
	t.done = c.Env.UseConntrack()
	return nil
}

// whole is embedded by what needs packets that are no fragments, likewise.
type whole struct{ held }

// Attach implements xtables.Attacher.
func (w *whole) Attach(c *xtables.CheckContext) error {
	w.done = c.Env.UseDefrag()
	return nil
}
