package tcp

// What a connection spends its time on while it has data to send (Linux: enum
// tcp_chrono). A later one takes the clock from an earlier one.
const (
	chronoNone   uint8 = iota
	chronoBusy         // there is data, sent or not
	chronoRwnd         // ... and the peer's window is the limit
	chronoSndbuf       // ... and the send buffer is
	chronoKinds
)

// chrono is the clock. Times are in ms.
type chrono struct {
	sum   [chronoKinds - 1]uint32
	since uint32
	kind  uint8
}

// set is tcp_chrono_set.
func (c *chrono) set(kind uint8, now int64) {
	at := uint32(now / ms)
	if c.kind != chronoNone {
		c.sum[c.kind-1] += at - c.since
	}
	c.since, c.kind = at, kind
}

// chronoStart is tcp_chrono_start.
func (s *Sock) chronoStart(kind uint8) {
	if kind > s.chrono.kind {
		s.chrono.set(kind, s.tcp.now())
	}
}

// chronoStop is tcp_chrono_stop: with nothing left to send the clock stands,
// otherwise what is left is being busy.
func (s *Sock) chronoStop(kind uint8) {
	switch {
	case s.chrono.kind == chronoNone:
	case s.wq.len() == 0:
		s.chrono.set(chronoNone, s.tcp.now())
	case kind == s.chrono.kind && kind != chronoBusy:
		s.chrono.set(chronoBusy, s.tcp.now())
	}
}

// chronoTimes returns how long in us the connection was busy, and of that
// limited by the peer's window and by the send buffer (Linux:
// tcp_get_info_chrono_stats).
func (s *Sock) chronoTimes() (busy, rwnd, sndbuf uint64) {
	c := s.chrono
	c.set(c.kind, s.tcp.now())
	us := func(kind uint8) uint64 { return uint64(c.sum[kind-1]) * 1000 }
	rwnd, sndbuf = us(chronoRwnd), us(chronoSndbuf)
	return us(chronoBusy) + rwnd + sndbuf, rwnd, sndbuf
}

// chronoSent notes after sending whether only a larger send buffer would have
// let more be sent (Linux: the end of tcp_cwnd_validate).
func (s *Sock) chronoSent() {
	if s.wq.sendHead() == nil && s.NoSpace() && inStates(s.State(), fEstablished|fCloseWait) {
		s.chronoStart(chronoSndbuf)
	}
}
