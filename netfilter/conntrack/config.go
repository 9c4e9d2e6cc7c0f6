package conntrack

import "syscall"

// This file is what programs change: connections made, changed and walked over
// by configuration (Linux: nf_conntrack_netlink.c).

// NewConn is a connection to be made by configuration.
type NewConn struct {
	Orig, Reply Tuple // zones are set by Zone
	Zone        Zone
	Timeout     int64 // ns
	Status      Status
	Mark        uint32
	Helper      *Helper
	Master      *Conn
	TCP         TCPState
	Labels      [2]uint64
}

// Create enters a connection nobody sent a packet of yet (Linux:
// ctnetlink_create_conntrack, nf_conntrack_hash_check_insert). EEXIST when one of
// its tuples is taken, ENOMEM when the table is full, EINVAL for a timeout of
// nothing.
func (t *Table) Create(n *NewConn) (*Conn, error) {
	if n.Timeout <= 0 {
		return nil, syscall.EINVAL
	}
	now := t.now()
	n.Orig.Zone, n.Reply.Zone = n.Zone.For(Original), n.Zone.For(Reply)
	h := n.Orig.hash(&t.key)
	if !t.admit(h, now) {
		return nil, syscall.ENOMEM
	}
	c := t.alloc()
	o, r := &c.nodes[Original], &c.nodes[Reply]
	o.tuple, o.hash = n.Orig, h
	r.tuple, r.hash = n.Reply, n.Reply.hash(&t.key)
	c.zone, c.master = n.Zone, n.Master
	c.id = t.ids.Add(1)
	c.mark.Store(n.Mark)
	c.expires.Store(now + n.Timeout)
	if t.Conf.Acct.Load() != 0 || t.Conf.Timestamp.Load() != 0 {
		c.acct = &Acct{counts: t.Conf.Acct.Load() != 0}
		if t.Conf.Timestamp.Load() != 0 {
			c.acct.Start = t.cfg.WallNow()
		}
	}
	if n.Helper != nil {
		c.SetHelper(n.Helper)
	}
	if c.Proto() == ProtoTCP {
		// The windows are learned from the first packets.
		c.proto.tcp.state = min(n.TCP, TCPSynSent2)
		c.proto.tcp.last = segNone
	}
	c.SetLabels(n.Labels, n.Labels)
	c.status.Store(n.Status&settable | Confirmed)
	t.start()
	t.lock2(o.hash, r.hash)
	b := t.buckets.Load()
	old, long := b.clash(o, now)
	if old == nil && !long {
		old, long = b.clash(r, now)
	}
	if old != nil || long {
		t.unlock2(o.hash, r.hash)
		c.status.Store(0)
		t.recycle(c)
		t.Stat.InsertFailed.Add(1)
		if long {
			return nil, syscall.ENOSPC
		}
		return nil, syscall.EEXIST
	}
	b.link(o)
	b.link(r)
	t.unlock2(o.hash, r.hash)
	t.Stat.Insert.Add(1)
	return c, nil
}

// settable are the bits a program may set, and only set (Linux: what
// IPS_UNCHANGEABLE_MASK leaves over, and nf_ct_change_status).
const settable = SeenReply | Assured | FixedTimeout

// Unchangeable are the bits a program may never turn into something else (Linux:
// IPS_UNCHANGEABLE_MASK).
const Unchangeable = NATDoneMask | NATMask | Expected | Confirmed | Dying | SeqAdjust | Template | HelperSet | Offload | HWOffload

// ChangeStatus sets bits as a program wants (Linux: nf_ct_change_status): EBUSY
// when it would change what cannot be, or clear what stays.
func (c *Conn) ChangeStatus(st Status) error {
	old := c.Status()
	d := old ^ st
	if d&(Expected|Confirmed|Dying) != 0 {
		return syscall.EBUSY
	}
	if d&SeenReply != 0 && st&SeenReply == 0 || d&Assured != 0 && st&Assured == 0 {
		return syscall.EBUSY
	}
	if set := st & settable &^ old; set != 0 {
		c.SetStatus(set)
		if set&Assured != 0 {
			c.Note(EventAssured)
		}
	}
	return nil
}

// SetExpires gives the connection so much time from now, in ns (Linux:
// __nf_ct_change_timeout). EPERM when its time is fixed.
func (c *Conn) SetExpires(left int64) error {
	if c.Status()&FixedTimeout != 0 {
		return syscall.EPERM
	}
	c.expires.Store(c.table.now() + left)
	return nil
}

// SetTCPState changes what the tracker believes (CTA_PROTOINFO_TCP_STATE).
func (c *Conn) SetTCPState(s TCPState) error {
	if c.Proto() != ProtoTCP || s > TCPSynSent2 {
		return syscall.EINVAL
	}
	c.mu.Lock()
	c.proto.tcp.state = s
	c.mu.Unlock()
	return nil
}

// TCPInfo is what a program is told of a TCP connection (CTA_PROTOINFO_TCP).
type TCPInfo struct {
	State TCPState
	Scale [NumDirs]uint8
	Flags [NumDirs]uint8
}

// TCPInfo returns it.
func (c *Conn) TCPInfo() (i TCPInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.proto.tcp
	i.State = s.state
	for d := range i.Scale {
		i.Scale[d], i.Flags[d] = s.seen[d].scale, s.seen[d].flags
	}
	return i
}

// SeqAdj returns by how much a direction's sequence numbers are moved. ok is
// false when they are not.
func (c *Conn) SeqAdj(d Dir) (pos uint32, before, after int32, ok bool) {
	s := c.seqadj.Load()
	if s == nil {
		return 0, 0, 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &s.adj[d]
	return w.Pos, w.Before, w.After, true
}

// SetLabels sets the bits of mask to those of v.
func (c *Conn) SetLabels(v, mask [2]uint64) {
	if mask == [2]uint64{} {
		return
	}
	l := c.labels.Load()
	if l == nil {
		l = &Labels{}
		if !c.labels.CompareAndSwap(nil, l) {
			l = c.labels.Load()
		}
	}
	for i := range l {
		l[i].And(^mask[i])
		l[i].Or(v[i] & mask[i])
	}
	c.Note(EventLabel)
}

// ResetAcct returns the counters of a direction and begins anew.
func (a *Acct) ResetAcct(d Dir) (packets, bytes uint64) {
	return a.Packets[d].Swap(0), a.Bytes[d].Swap(0)
}

// Walk is Each in parts: it appends to l the connections of the next chains from
// *at on, at least n if there are so many, and moves *at. It returns nothing at
// the end.
func (t *Table) Walk(l []*Conn, at *int, n int) []*Conn {
	b := t.buckets.Load()
	now := t.now()
	for ; *at < len(b.heads) && len(l) < n; *at++ {
		for m := b.heads[*at].Load(); m != nil; m = m.next.Load() {
			if m.dir == Original && m.conn.expires.Load() > now && !m.conn.IsDying() {
				l = append(l, m.conn)
			}
		}
	}
	return l
}
