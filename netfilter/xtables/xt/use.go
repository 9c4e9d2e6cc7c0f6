package xt

import (
	"errors"

	"barewire/netfilter/xtables"
)

// tracked is embedded by what needs connections to be tracked: it has them
// tracked as long as its rule is there.
type tracked struct{ done func() }

var errNoConntrack = errors.New("cannot load conntrack support for proto=2") // read-only

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
