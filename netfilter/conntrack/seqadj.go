package conntrack

// SeqAdj is by how much a helper moved the sequence numbers of the two
// directions by changing the length of the payload (Linux: struct nf_ct_seqadj).
type SeqAdj [NumDirs]struct {
	Pos           uint32 // sequence number from which on After holds
	Before, After int32
}

// SetSeqAdj notes that the payload behind seq, of a segment of direction d, grew
// by off bytes (Linux: nf_ct_seqadj_set). Of several changes within one window
// the last counts.
func (c *Conn) SetSeqAdj(d Dir, seq uint32, off int32) {
	if off == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.moved().adj[d]
	if w.Before == w.After || int32(seq-w.Pos) > 0 {
		w.Pos = seq
		w.Before = w.After
		w.After += off
	}
	c.SetStatus(SeqAdjust)
}

// moved is what is known of moved sequence numbers, made when it is asked for.
func (c *Conn) moved() *seqState {
	s := c.seqadj.Load()
	if s == nil {
		s = &seqState{}
		c.seqadj.Store(s)
	}
	return s
}

// seqState is what few connections have: moved sequence numbers, and why.
type seqState struct {
	adj     SeqAdj
	proxied bool
	proxy   SynProxy
}

// SynProxy is what the SYN proxy remembers of a connection that it opened in a
// client's name (Linux: struct nf_conn_synproxy).
type SynProxy struct {
	ISN   uint32 // what the client was told that the server began with
	ITS   uint32 // the same of timestamps
	TSOff uint32 // by how much the server's timestamps are ahead of those
}

// SynProxy returns what the SYN proxy remembers; ok is false for a connection it
// has nothing to do with (Linux: nfct_synproxy).
func (c *Conn) SynProxy() (p SynProxy, ok bool) {
	s := c.seqadj.Load()
	if s == nil || !s.proxied {
		return p, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.proxy, true
}

// SetSynProxy replaces what SynProxy returns.
func (c *Conn) SetSynProxy(p SynProxy) {
	c.mu.Lock()
	c.moved().proxy = p
	c.mu.Unlock()
}

// InitSeqAdj moves all sequence numbers of direction d by off (Linux:
// nf_ct_seqadj_init).
func (c *Conn) InitSeqAdj(d Dir, off int32) {
	if off == 0 {
		return
	}
	c.mu.Lock()
	w := &c.moved().adj[d]
	w.Before, w.After = off, off
	c.mu.Unlock()
	c.SetStatus(SeqAdjust)
}

// MaxWindow returns the largest window that a side of a TCP connection was seen
// to offer, in bytes.
func (c *Conn) MaxWindow(d Dir) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proto.tcp.seen[d].maxWin
}

// SeqOffset returns by how much the sequence numbers of direction d are moved at
// seq (Linux: nf_ct_seq_offset).
func (c *Conn) SeqOffset(d Dir, seq uint32) int32 {
	s := c.seqadj.Load()
	if s == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.adj.offset(d, seq)
}

// offset is SeqOffset with the lock held.
func (s *SeqAdj) offset(d Dir, seq uint32) int32 {
	if s == nil {
		return 0
	}
	if w := &s[d]; int32(seq-w.Pos) > 0 {
		return w.After
	} else {
		return w.Before
	}
}

// HasSeqAdj reports whether the sequence numbers are moved at all.
func (c *Conn) HasSeqAdj() bool { return c.Status()&SeqAdjust != 0 }
