package conntrack

// Policy is what a template asks for beside the zone (the options of the target
// CT). It is immutable.
type Policy struct {
	Helper *Helper
	// Events and ExpectEvents are those reported, as bits; nil means all.
	Events, ExpectEvents *uint32
	// SynProxy says that the SYN proxy opens the connection.
	SynProxy bool
}

// NewTemplate makes a template (Linux: nf_ct_tmpl_alloc): given to a packet
// before it is tracked, with [Set] and New, it says in which zone and with which
// helper. One serves all packets of a rule.
func (t *Table) NewTemplate(zone Zone, p Policy) *Conn {
	c := &Conn{table: t, zone: zone}
	c.policy.Store(&p)
	c.status.Store(Template)
	return c
}
