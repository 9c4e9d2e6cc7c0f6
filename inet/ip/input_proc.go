package ip

import (
	"slices"
	"strconv"
	"sync"
)

// Places of the lines of /proc/net/sockstat.
const (
	SockstatSockets = iota
	SockstatTCP
	SockstatUDP
	SockstatUDPLite
	SockstatRaw
	SockstatFrag
)

// sockstat is the file made of the lines of several protocols.
type sockstat struct {
	mu    sync.Mutex
	lines []sockstatLine
}

type sockstatLine struct {
	place int
	show  func(b []byte) []byte
}

// AddSockstat enters a line of /proc/net/sockstat at its place, a Sockstat*
// value: show appends it whole, "UDP: inuse 1 mem 0\n". A place that is taken
// is replaced.
func (n *Net) AddSockstat(place int, show func(b []byte) []byte) {
	s := &n.stat
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = slices.DeleteFunc(s.lines, func(l sockstatLine) bool { return l.place == place })
	s.lines = append(s.lines, sockstatLine{place, show})
	slices.SortFunc(s.lines, func(a, b sockstatLine) int { return a.place - b.place })
}

func (s *sockstat) show(b []byte) []byte {
	s.mu.Lock()
	lines := slices.Clone(s.lines)
	s.mu.Unlock()
	for _, l := range lines {
		b = l.show(b)
	}
	return b
}

// fragLine is the line of reassembly: datagrams begun and bytes they cost.
func (n *Net) fragLine(b []byte) []byte {
	t := &n.frags
	t.mu.Lock()
	queues, cost := len(t.q), t.cost
	t.mu.Unlock()
	b = strconv.AppendInt(append(b, "FRAG: inuse "...), int64(queues), 10)
	return append(strconv.AppendInt(append(b, " memory "...), int64(cost), 10), '\n')
}

// SNMP appends the text of /proc/net/snmp. Process context.
func (n *Net) SNMP(b []byte) []byte {
	n.settleRxCount()
	return n.MIB.AppendSNMP(b, n.ConfAll.Forwarding.Load() != 0, int(n.Conf.DefaultTTL.Load()))
}

// Netstat appends the text of /proc/net/netstat. Process context.
func (n *Net) Netstat(b []byte) []byte {
	n.settleRxCount()
	return n.MIB.AppendNetstat(b)
}

// registerProc enters the files of the data path. Lines of protocols that are
// not there yet read as those of a kernel that does not use them.
func (n *Net) registerProc() {
	p := n.Dev.Proc()
	p.Register("snmp", n.SNMP)
	p.Register("netstat", n.Netstat)
	p.Register("sockstat", n.stat.show)
	idle := func(line string) func(b []byte) []byte {
		return func(b []byte) []byte { return append(b, line...) }
	}
	n.AddSockstat(SockstatSockets, idle("sockets: used 0\n"))
	n.AddSockstat(SockstatTCP, idle("TCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\n"))
	n.AddSockstat(SockstatUDP, idle("UDP: inuse 0 mem 0\n"))
	n.AddSockstat(SockstatUDPLite, idle("UDPLITE: inuse 0\n"))
	n.AddSockstat(SockstatRaw, idle("RAW: inuse 0\n"))
	n.AddSockstat(SockstatFrag, n.fragLine)
}
