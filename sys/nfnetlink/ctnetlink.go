package nfnetlink

import (
	"sync"
	"syscall"

	"barewire/netfilter/conntrack"
	"barewire/sys/netlink"
)

// conntrackCommands are those of ctnetlink (Linux: ctnl_cb).
func (t *Table) conntrackCommands() map[uint8]command {
	none := func(r *request) error {
		return r.Dump(netlink.Dump{Next: func(*netlink.Builder) (bool, error) { return false, nil }})
	}
	return map[uint8]command{
		ctNew:     {policy: ctPolicy, do: t.newConn},
		ctGet:     {policy: ctPolicy, do: t.getConn, dump: func(r *request) error { return t.dumpConns(r, false) }},
		ctGetZero: {policy: ctPolicy, do: t.getConn, dump: func(r *request) error { return t.dumpConns(r, true) }},
		ctDelete:  {policy: ctPolicy, do: t.delConn},
		ctGetStatsCPU: {policy: ctPolicy, dump: func(r *request) error {
			return r.Dump(netlink.Dump{Next: netlink.List([]int{0}, t.fillStatsCPU)})
		}},
		ctGetStats: {policy: ctPolicy, do: t.getStats},
		// What is in no table is known to its packet only.
		ctGetDying:       {policy: ctPolicy, dump: none},
		ctGetUnconfirmed: {policy: ctPolicy, dump: none},
	}
}

// dumpConns lists the connections (Linux: ctnetlink_dump_table).
func (t *Table) dumpConns(r *request, zero bool) error {
	f, err := r.filter()
	if err != nil {
		return err
	}
	var chain []*conntrack.Conn
	at := 0
	return r.Dump(netlink.Dump{Filtered: f.any(), Next: func(b *netlink.Builder) (bool, error) {
		for {
			if len(chain) == 0 {
				if chain = t.nf.Conntrack.Walk(chain[:0], &at, 64); len(chain) == 0 {
					return false, nil
				}
			}
			c := chain[0]
			chain = chain[1:]
			if f.matches(c) && !c.IsDying() {
				fillConn(b, c, 0, zero)
				return true, nil
			}
		}
	}})
}

// lookup finds the connection a request names. ok is false when it names none.
func (t *Table) lookup(r *request) (c *conntrack.Conn, ok bool, err error) {
	typ := ctaTupleOrig
	if !r.attrs.Has(typ) {
		if typ = ctaTupleReply; !r.attrs.Has(typ) {
			return nil, false, nil
		}
	}
	k, err := r.tuple(typ)
	if err != nil {
		return nil, true, err
	}
	if r.family != 0 && r.family != syscall.AF_INET {
		return nil, true, syscall.ENOENT
	}
	c, _ = t.nf.Conntrack.Lookup(k)
	return c, true, nil
}

// getConn is ctnetlink_get_conntrack.
func (t *Table) getConn(r *request) error {
	c, ok, err := t.lookup(r)
	switch {
	case err != nil:
		return err
	case !ok:
		return syscall.EINVAL
	case c == nil:
		return syscall.ENOENT
	}
	zero := uint8(r.Type) == ctGetZero
	r.Reply(func(b *netlink.Builder) { fillConn(b, c, netlink.FlagMulti, zero) })
	return nil
}

// delConn is ctnetlink_del_conntrack. Without a tuple all go that the filter is
// of.
func (t *Table) delConn(r *request) error {
	c, ok, err := t.lookup(r)
	if err != nil {
		return err
	}
	ct := t.nf.Conntrack
	if !ok {
		f, err := r.filter()
		if err != nil {
			return err
		}
		ct.Flush(f.matches)
		return nil
	}
	if c == nil || r.attrs.Has(ctaID) && r.attrs.BE32(ctaID) != c.ID() {
		return syscall.ENOENT
	}
	ct.Delete(c)
	return nil
}

// newConn makes a connection or changes one (Linux: ctnetlink_new_conntrack).
func (t *Table) newConn(r *request) error {
	c, ok, err := t.lookup(r)
	if err != nil {
		return err
	}
	if c != nil {
		if r.Flags&netlink.FlagExcl != 0 {
			return syscall.EEXIST
		}
		if err := t.change(r, c); err != nil {
			return err
		}
		c.Note(conntrack.EventReply | configured)
		c.Deliver()
		return nil
	}
	if r.Flags&netlink.FlagCreate == 0 || !ok {
		return syscall.ENOENT
	}
	if !r.attrs.Has(ctaTupleOrig) || !r.attrs.Has(ctaTupleReply) {
		return syscall.EINVAL
	}
	return t.createConn(r)
}

// configured is what Linux tells of whenever a program made or changed a
// connection, whether it is so or not.
const configured = conntrack.EventAssured | conntrack.EventHelper | conntrack.EventProtoInfo |
	conntrack.EventSeqAdj | conntrack.EventMark | conntrack.EventSynproxy

// createConn is ctnetlink_create_conntrack.
func (t *Table) createConn(r *request) error {
	a := r.attrs
	if !a.Has(ctaTimeout) || r.family != 0 && r.family != syscall.AF_INET {
		return syscall.EINVAL
	}
	if a.Has(ctaNATSrc) || a.Has(ctaNATDst) {
		return syscall.EOPNOTSUPP
	}
	var n conntrack.NewConn
	var err error
	if n.Orig, err = r.tuple(ctaTupleOrig); err != nil {
		return err
	}
	if n.Reply, err = r.tuple(ctaTupleReply); err != nil {
		return err
	}
	switch o, p := n.Orig.Zone, n.Reply.Zone; {
	case o == p:
		n.Zone.ID = o
	case p == 0:
		n.Zone = conntrack.Zone{ID: o, Dirs: conntrack.ZoneOrig}
	case o == 0:
		n.Zone = conntrack.Zone{ID: p, Dirs: conntrack.ZoneReply}
	default:
		return syscall.EINVAL
	}
	n.Timeout = seconds(a)
	n.Mark = a.BE32(ctaMark)
	n.Status = a.BE32(ctaStatus)
	if a.Has(ctaHelp) {
		if n.Helper, err = t.helper(r, n.Orig.Proto); err != nil {
			return err
		}
	}
	if a.Has(ctaProtoinfo) {
		if n.TCP, _, err = r.tcpState(); err != nil {
			return err
		}
	}
	if a.Has(ctaLabels) {
		n.Labels, _ = labels(a)
	}
	if a.Has(ctaTupleMaster) {
		k, zone, err := r.parseTuple(a[ctaTupleMaster], allOfTuple)
		if err != nil {
			return err
		}
		k.Zone = zone
		if n.Master, _ = t.nf.Conntrack.Lookup(k); n.Master == nil {
			return syscall.ENOENT
		}
		n.Status |= conntrack.Expected
	}
	c, err := t.nf.Conntrack.Create(&n)
	if err != nil {
		return err
	}
	began := conntrack.EventNew
	if n.Master != nil {
		began = conntrack.EventRelated
	}
	c.Note(began | configured)
	c.Deliver()
	return nil
}

// Attributes of the counters of a processor (Linux: enum ctattr_stats_cpu).
const (
	ctaStatsFound         = 2
	ctaStatsInvalid       = 4
	ctaStatsInsert        = 8
	ctaStatsInsertFailed  = 9
	ctaStatsDrop          = 10
	ctaStatsEarlyDrop     = 11
	ctaStatsError         = 12
	ctaStatsSearchRestart = 13
	ctaStatsClashResolve  = 14
	ctaStatsChainTooLong  = 15
)

// fillStatsCPU is ctnetlink_ct_stat_cpu_fill_info, for all processors.
func (t *Table) fillStatsCPU(b *netlink.Builder, cpu int) {
	begin(b, subConntrack, ctGetStatsCPU, 0, 0, uint16(cpu))
	s := &t.nf.Conntrack.Stat
	for _, v := range []struct {
		typ uint16
		n   uint64
	}{
		{ctaStatsFound, s.Found.Load()}, {ctaStatsInvalid, s.Invalid.Load()},
		{ctaStatsInsert, s.Insert.Load()}, {ctaStatsInsertFailed, s.InsertFailed.Load()},
		{ctaStatsDrop, s.Drop.Load()}, {ctaStatsEarlyDrop, s.EarlyDrop.Load()}, {ctaStatsError, s.ICMPError.Load()},
		{ctaStatsSearchRestart, s.SearchRestart.Load()}, {ctaStatsClashResolve, s.ClashResolve.Load()},
		{ctaStatsChainTooLong, s.ChainTooLong.Load()},
	} {
		b.AttrBE32(v.typ, uint32(v.n))
	}
	b.End()
}

// getStats is ctnetlink_stat_ct.
func (t *Table) getStats(r *request) error {
	r.Reply(func(b *netlink.Builder) {
		begin(b, subConntrack, ctGetStats, netlink.FlagMulti, 0, 0)
		b.AttrBE32(ctaStatsGlobalEntries, uint32(t.nf.Conntrack.Count()))
		b.AttrBE32(ctaStatsGlobalMax, uint32(t.nf.Conntrack.Conf.Max.Load()))
		b.End()
	})
	return nil
}

// ctEvents is what tells programs of connections while somebody listens.
type ctEvents struct {
	mu   sync.Mutex
	stop func()
}

func (e *ctEvents) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// watch follows the membership of the groups: connections are watched, and
// tracked, while there is a member.
func (t *Table) watch() {
	listened := false
	for g := groupNew; g <= groupExpDestroy; g++ {
		listened = listened || t.nl.HasListeners(syscall.NETLINK_NETFILTER, g)
	}
	e := &t.ct
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case listened && e.stop == nil:
		e.stop = t.nf.Conntrack.Watch(&conntrack.Watcher{Mask: conntrack.EventAll, Conn: t.connEvent, Expect: t.expectEvent})
	case !listened && e.stop != nil:
		e.stop()
		e.stop = nil
	}
}

func (t *Table) connEvent(ev conntrack.Event, c *conntrack.Conn) {
	g := groupUpdate
	switch {
	case ev&conntrack.EventDestroy != 0:
		g = groupDestroy
	case ev&(conntrack.EventNew|conntrack.EventRelated) != 0:
		g = groupNew
	}
	t.tell(g, func(b *netlink.Builder) { fillEvent(b, c, ev) })
}

// tell sends a message to a group somebody is in.
func (t *Table) tell(group int, put func(b *netlink.Builder)) {
	if !t.nl.HasListeners(syscall.NETLINK_NETFILTER, group) {
		return
	}
	var b netlink.Builder
	put(&b)
	t.nl.Broadcast(syscall.NETLINK_NETFILTER, group, b.Bytes())
}
