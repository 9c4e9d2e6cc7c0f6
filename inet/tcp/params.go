package tcp

// params is what programs may choose for a sock and mostly do not: most socks
// share one.
type params struct {
	shared      bool
	rtoMin      int64 // ns
	rtoMax      int64
	delackMax   int64
	userTimeout int64 // ns, 0 for none
	linger2     int64 // ns: TCP_LINGER2; <0 aborts FIN_WAIT2
	keepTime    int64 // ns, 0 for the sysctl
	keepIntvl   int64
	userMSS     int
	notsentLow  uint32
	keepProbes  uint8
	synRetries  uint8 // TCP_SYNCNT, 0 for the sysctl
	deferAcc    uint8 // TCP_DEFER_ACCEPT in retransmissions
}

// defaultParams returns what a new sock shares with others.
func (t *TCP) defaultParams() *params {
	rtoMin, rtoMax := int64(t.conf.rtoMinUS.Load())*1000, int64(t.conf.rtoMaxMS.Load())*ms
	p := t.params.Load()
	if p == nil || p.rtoMin != rtoMin || p.rtoMax != rtoMax { // the settings changed
		p = &params{shared: true, rtoMin: rtoMin, rtoMax: rtoMax, delackMax: delackMax}
		t.params.Store(p)
	}
	return p
}

// own returns the parameters of s to change them. The sock is owned.
func (s *Sock) own() *params {
	if s.params.shared {
		p := *s.params
		p.shared = false
		s.params = &p
	}
	return s.params
}

// inheritParams takes over those of a listener.
func (s *Sock) inheritParams(l *Sock) {
	p := l.params
	if !p.shared {
		c := *p
		p = &c
	}
	s.params = p
}

// sackLists is what a sock knows of SACK blocks. A connection that never lost
// anything has none.
type sackLists struct {
	sackDup   sackBlock             // to be told as D-SACK
	sacks     [sackBlocks]sackBlock // to be told
	recvSacks [sackBlocks]sackBlock // the peer's last
}

// needSackLists makes them, if need be.
func (s *Sock) needSackLists() {
	if s.sackLists == nil {
		s.sackLists = &sackLists{}
	}
}

// clearRecvSacks forgets what the peer said last.
func (s *Sock) clearRecvSacks() {
	if s.sackLists != nil {
		clear(s.recvSacks[:])
	}
}
