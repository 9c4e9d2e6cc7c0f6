package tcp

import (
	"fmt"

	"barewire/inet/ip"
)

// registerSockstat enters TCP's line of /proc/net/sockstat.
func (t *TCP) registerSockstat() {
	t.ip.AddSockstat(ip.SockstatTCP, func(b []byte) []byte {
		inuse := t.stats.CurrEstab.Load()
		t.tab.lmu.RLock()
		for _, l := range t.tab.listen {
			inuse += uint64(len(l))
		}
		t.tab.lmu.RUnlock()
		return fmt.Appendf(b, "TCP: inuse %d orphan %d tw %d alloc %d mem %d\n",
			inuse, max(t.orphans.Load(), 0), t.tw.Load(), t.socks.Load(), (t.memory.Used()+memPage-1)/memPage)
	})
}

const tcpProcHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"

// show is /proc/net/tcp (Linux: tcp4_seq_show): listeners, then everything
// else.
func (t *TCP) show(b []byte) []byte {
	b = procLine(b, tcpProcHeader)
	n := 0
	add := func(line string) {
		b = procLine(b, fmt.Sprintf("%4d: %s", n, line))
		n++
	}
	var ls []*Sock
	t.tab.lmu.RLock()
	for _, l := range t.tab.listen {
		ls = append(ls, l...)
	}
	t.tab.lmu.RUnlock()
	for _, s := range ls {
		add(s.procText())
	}
	t.tab.each(func(e *entry) {
		switch {
		case e.sk() != nil:
			add(e.sk().procText())
		case e.req() != nil:
			k := &e.key
			add(fmt.Sprintf("%s %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x", procAddrs(k), SynRecv, 0, 0, 1,
				0, e.req().numTimeout, 0, 0, 0, 0, 0))
		case e.tw() != nil:
			k := &e.key
			left := max((e.tw().timer.Expires()-t.now())/1e7, 0)
			add(fmt.Sprintf("%s %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x", procAddrs(k), e.tw().substate.Load(), 0, 0, 3,
				left, 0, 0, 0, 0, 3, 0))
		}
	})
	return b
}

// procLine pads to the width of such files (Linux: seq_setwidth, TMPSZ 150).
func procLine(b []byte, line string) []byte {
	return fmt.Appendf(b, "%-149s\n", line)
}

func procAddrs(k *tuple) string {
	le := func(a uint32) uint32 { return a<<24 | a&0xff00<<8 | a>>8&0xff00 | a>>24 }
	return fmt.Sprintf("%08X:%04X %08X:%04X", le(uint32(k.laddr)), k.lport, le(uint32(k.raddr)), k.rport)
}

// procText is get_tcp4_sock. Times are in 1/100 s.
func (s *Sock) procText() string {
	s.lock()
	defer s.unlock()
	id := s.Ident()
	k := tuple{laddr: id.RcvSaddr, raddr: id.Daddr, lport: id.Num, rport: id.Dport}
	st := s.State()
	timer, expires := 0, int64(0)
	now := s.tcp.now()
	switch {
	case s.pending == timeRetrans || s.pending == timeReo || s.pending == timeLossProbe:
		timer, expires = 1, s.timeout
	case s.pending == timeProbe0:
		timer, expires = 4, s.timeout
	case s.keep != nil && s.keep.Pending():
		timer, expires = 2, s.keep.Expires()
	}
	when := int64(0)
	if timer != 0 {
		when = max((expires-now)/1e7, 0)
	}
	rxq, txq := 0, s.writeSeq-s.sndUna
	if st == Listen {
		rxq, txq = int(s.extra.n.Load()), 0
	} else {
		rxq = max(int(int32(s.rcvNxt-s.copied)), 0)
	}
	quick := int(s.ack.quick) << 1
	if s.inPingpong() {
		quick |= 1
	}
	ssthr := int32(-1)
	if !s.inInitialSlowstart() {
		ssthr = int32(s.ssthresh)
	}
	return fmt.Sprintf("%s %02X %08X:%08X %02X:%08X %08X %5d %8d %d %d %016x %d %d %d %d %d", procAddrs(&k), st, txq, rxq, timer, when,
		s.retransmits, 0, s.probesOut, s.Ino(), 1, 0, s.rto/1e7, s.ack.ato/1e7, quick, s.cwnd, ssthr)
}
