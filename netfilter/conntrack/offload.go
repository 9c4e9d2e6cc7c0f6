package conntrack

import "time"

// BeginOffload notes that a flow table carries the packets of a connection from
// now on, which tracking does not see any more: windows are not checked until it
// ends. False when one does already.
func (c *Conn) BeginOffload() bool {
	if c.IsDying() || c.SetStatus(Offload)&Offload != 0 {
		return false
	}
	if c.Proto() == ProtoTCP {
		c.SetLiberal()
	}
	return true
}

// offloaded is how long a connection lives that a flow table carries, unless that
// ends (Linux: nf_ct_offload_timeout).
const offloaded = int64(24 * time.Hour)

// KeepOffloaded keeps a connection a flow table carries from expiring. It is to
// be called now and then.
func (c *Conn) KeepOffloaded() {
	end := c.table.now() + offloaded
	if c.Status()&(Offload|Dying) == Offload && end-c.expires.Load() > offloaded/2 {
		c.expires.Store(end)
	}
}

// EndOffload gives a connection back to tracking, whose last packet was idle ns
// ago (Linux: flow_offload_fixup_ct).
func (c *Conn) EndOffload(idle int64) {
	if c.Status()&Offload == 0 {
		return
	}
	conf := &c.table.Conf
	timeout := conf.UDPTimeout.Load()
	switch c.Proto() {
	case ProtoTCP:
		c.mu.Lock()
		s := &c.proto.tcp
		timeout = conf.TCPTimeout[s.state].Load()
		// What it last acknowledged is long past: a reset must not be measured
		// by it.
		for i := range s.seen {
			s.seen[i].flags &^= tcpMaxAckSet
		}
		c.mu.Unlock()
	case ProtoUDP:
		if c.Status()&SeenReply != 0 {
			timeout = conf.UDPStream.Load()
		}
	}
	end := c.table.now() + max(timeout-idle, 0)
	if c.expires.Load() > end {
		c.expires.Store(end)
	}
	c.ClearStatus(Offload)
}
