package xt

import (
	"errors"

	"barewire/netfilter/xtables"
)

// tracked is embedded by what needs connections to be tracked: it has them
// tracked as long as its rule is there.
type tracked struct{ done func() }

var errNoConntrack = errors.New("cannot load conntrack support for proto=2") // read-only

// whole is embedded by what needs packets that are no fragments, likewise.
type whole struct{ done func() }

// Attach implements xtables.Attacher.
func (w *whole) Attach(c *xtables.CheckContext) error {
	w.done = c.Env.UseDefrag()
	return nil
}

// Destroy implements xtables.Attacher.
func (w *whole) Destroy() {
	if w.done != nil {
		w.done()
		w.done = nil
	}
}

// Attach implements xtables.Attacher.
func (t *tracked) Attach(c *xtables.CheckContext) error {
	if c.Env.UseConntrack == nil {
		return errNoConntrack
	}
	t.done = c.Env.UseConntrack()
	return nil
}

// Destroy implements xtables.Attacher.
func (t *tracked) Destroy() {
	if t.done != nil {
		t.done()
		t.done = nil
	}
}
