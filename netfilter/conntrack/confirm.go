package conntrack

import (
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// clashTimeout is how long a connection lives that lost a clash and is in the
// table with its reply only (Linux: __nf_ct_resolve_clash_harder: HZ).
const clashTimeout = 1e9

// maxChain bounds the chain a connection is put into, so that whoever can make
// tuples collide all the same does not make lookups long (Linux: MIN_CHAINLEN,
// MAX_CHAINLEN).
const maxChain = 80

// Confirm is the last hook of LOCAL_IN and POSTROUTING (Linux: nf_confirm): the
// helper sees the packet, sequence numbers are moved, and a connection whose first
// packet got here comes into the table.
func (t *Table) Confirm(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	c, info := Get(b)
	if c == nil || c.table != t {
		return netfilter.Accept
	}
	st := c.Status()
	if (c.help.Load() != nil || st&SeqAdjust != 0) && info != RelatedReply {
		h, ok := header.ParseIPv4(b.Data())
		if !ok {
			return netfilter.Drop
		}
		off := h.HeaderLen()
		if helper := c.Helper(); helper != nil {
			if v := helper.Help(b, off, c, info); v != netfilter.Accept {
				return v
			}
		}
		if c.Status()&SeqAdjust != 0 && c.Proto() == ProtoTCP && !IsLoopback(s.Out) && !c.adjustSeq(b, off, info) {
			t.Stat.Drop.Add(1)
			return netfilter.Drop
		}
	}
	if st&Confirmed == 0 {
		if v := t.confirm(c, b, info); v != netfilter.Accept {
			return v
		}
		if c, _ = Get(b); c == nil {
			return netfilter.Accept
		}
	}
	if c.events.Load() != 0 {
		c.Deliver()
	}
	return netfilter.Accept
}

// IsLoopback reports whether dev is a loopback device.
func IsLoopback(dev skb.Device) bool {
	l, ok := dev.(interface{ IsLoopback() bool })
	return ok && l.IsLoopback()
}

// confirm puts a connection into the table (Linux: __nf_conntrack_confirm). Of
// two that would have the same tuple the first wins.
func (t *Table) confirm(c *Conn, b *skb.Buff, info Info) netfilter.Verdict {
	if info.Dir() != Original || c.IsTemplate() {
		return netfilter.Accept
	}
	if c.use.Load() != 1 && c.Status()&Confirmed != 0 {
		return netfilter.Accept
	}
	t.start()
	o, r := &c.nodes[Original], &c.nodes[Reply]
	// The NAT may have given the reply another tuple.
	r.hash = r.tuple.hash(&t.key)
	now := t.now()
	t.lock2(o.hash, r.hash)
	if c.Status()&(Confirmed|Dying) != 0 { // by another copy of the packet
		t.unlock2(o.hash, r.hash)
		return netfilter.Accept
	}
	bk := t.buckets.Load()
	old, long := bk.clash(o, now)
	if old == nil && !long {
		old, long = bk.clash(r, now)
	}
	switch {
	case long:
		t.unlock2(o.hash, r.hash)
		t.Stat.ChainTooLong.Add(1)
		t.Stat.InsertFailed.Add(1)
		t.Stat.Drop.Add(1)
		return netfilter.Drop
	case old != nil:
		v := t.resolveClash(bk, c, b, old, info, now)
		t.unlock2(o.hash, r.hash)
		if v == netfilter.Drop {
			t.Stat.InsertFailed.Add(1)
			t.Stat.Drop.Add(1)
			return v
		}
		winner, _ := Get(b)
		t.Stat.ClashResolve.Add(1)
		if winner != c {
			// Only now: the end of the loser takes locks.
			c.NFPut()
		}
		return v
	}
	c.expires.Add(now)
	if a := c.acct; a != nil && t.Conf.Timestamp.Load() != 0 {
		a.Start = t.cfg.WallNow()
	}
	c.status.Or(Confirmed)
	bk.link(o)
	bk.link(r)
	t.unlock2(o.hash, r.hash)
	if c.master != nil {
		c.Note(EventRelated)
	} else {
		c.Note(EventNew)
	}
	if c.help.Load() != nil {
		c.Note(EventHelper)
	}
	return netfilter.Accept
}

// clash looks for an entry with n's tuple; the chain's lock is held. long means
// that the chain has no room.
func (b *buckets) clash(n *node, now int64) (old *node, long bool) {
	l := 0
	for m := b.heads[n.hash&b.mask].Load(); m != nil; m = m.next.Load() {
		if m.hash == n.hash && m.tuple == n.tuple && m.conn.expires.Load() > now && !m.conn.IsDying() {
			return m, false
		}
		l++
	}
	return nil, l > maxChain
}

// clashOK reports whether packets of a protocol that began a connection at the
// same time may share it (Linux: nf_conntrack_l4proto.allow_clash).
func clashOK(proto uint8) bool {
	return proto == ProtoUDP || proto == ProtoUDPLite || proto == ProtoICMP || proto == ProtoGRE
}

// resolveClash decides over a packet whose connection came second (Linux:
// nf_ct_resolve_clash). The chains' locks are held. When the packet changes over
// to the other connection, the caller gives its reference on c back.
func (t *Table) resolveClash(bk *buckets, c *Conn, b *skb.Buff, old *node, info Info, now int64) netfilter.Verdict {
	if !clashOK(c.Proto()) {
		return netfilter.Drop
	}
	w := old.conn
	if sameConn(c, w) {
		// The packet began the same connection, or its answer the other
		// direction of it: it belongs to the winner.
		place := Established
		switch ws := w.Status(); {
		case old.dir == Reply:
			place = EstablishedReply
		case ws&SeenReply == 0 && ws&Expected != 0:
			place = Related
		case ws&SeenReply == 0:
			place = New
		}
		if a := w.acct; a != nil && a.counts {
			a.Packets[place.Dir()].Add(1)
			a.Bytes[place.Dir()].Add(uint64(b.Len()))
		}
		b.NFCT, b.NFCTInfo = w, uint8(place)
		return netfilter.Accept
	}
	// The same original tuple translated in two ways: the loser comes in with its
	// reply only, for a moment, so that an answer finds back.
	r := &c.nodes[Reply]
	for m := bk.heads[r.hash&bk.mask].Load(); m != nil; m = m.next.Load() {
		if m.tuple == r.tuple {
			return netfilter.Drop
		}
	}
	c.expires.Store(now + clashTimeout)
	c.status.Or(NATClash | FixedTimeout | Confirmed)
	bk.link(r)
	t.Stat.Insert.Add(1)
	return netfilter.Accept
}

// sameConn reports whether two connections have the same tuples, in this
// direction or the other (Linux: nf_ct_match, nf_ct_match_reverse).
func sameConn(a, b *Conn) bool {
	ao, ar := &a.nodes[Original].tuple, &a.nodes[Reply].tuple
	bo, br := &b.nodes[Original].tuple, &b.nodes[Reply].tuple
	return *ao == *bo && *ar == *br || *ao == *br && *ar == *bo
}
