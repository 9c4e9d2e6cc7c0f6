package xt

import (
	"errors"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
)

// flowTarget is not in Linux itself; distributions for routers have it.
var flowTarget = &xtables.Def{ // read-only
	Name: "FLOWOFFLOAD", Tables: []string{"filter"},
	Hooks:     1 << netfilter.Forward,
	NewTarget: func() xtables.Target { return new(flowTG) },
}

// flowTG has the flow table take the packet's connection over, when that may be,
// and goes on with the next rule.
type flowTG struct {
	xtables.Plain
	tracked
}

// Check implements xtables.Extension.
func (t *flowTG) Check(c *xtables.CheckContext) error {
	if c.Env.Flow == nil {
		return errors.New("there is no flow table here")
	}
	return nil
}

// Target implements xtables.Target.
func (t *flowTG) Target(p *xtables.Packet) xtables.Verdict {
	p.Env.Flow.Offload(p.B, &p.State)
	return xtables.Continue
}
