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
	s := c.seqadj.Load()
	if s == nil {
		s = &SeqAdj{}
		c.seqadj.Store(s)
	}
	w := &s[d]
	if w.Before == w.After || int32(seq-w.Pos) > 0 {
		w.Pos = seq
		w.Before = w.After
		w.After += off
	}
	c.SetStatus(SeqAdjust)
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
	return s.offset(d, seq)
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
