package igmp

import (
	"slices"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// maxLeft bounds the groups that were left and are still to be reported.
const maxLeft = 256

// source is one source some filter of a group names (Linux: struct
// ip_sf_list).
type source struct {
	addr     header.Addr
	count    [2]int // filters that exclude and include it
	changes  int    // reports that still have to tell of it (sf_crcount)
	wasIn    bool   // before the change at hand: it was reported (sf_oldin)
	answered bool   // a query asked for it and it is to be answered (sf_gsresp)
}

// group is a group of a device and the combined filter (Linux: struct
// ip_mc_list). All but filter is under IGMP.mu.
type group struct {
	addr   header.Addr
	since  int64                  // when it was joined
	filter atomic.Pointer[filter] // for Check; follows sources and count

	users   int
	mode    int    // of the combination: exclude or include
	count   [2]int // sockets' filters of each mode (sfcount)
	sources []*source
	gone    []*source // no longer named, to be reported (tomb)
	changes int       // reports that still have to tell the mode (crcount)
	loaded  bool      // the device receives it

	timer    napi.Timer // report of versions 1 and 2, answer to a query
	running  bool
	expires  int64
	reports  int  // unsolicited reports left (unsolicit_count)
	reporter bool // the last report on the link was ours
	querySrc bool // the query to answer names sources (gsquery)
}

// filter is an immutable copy of a group's combined filter.
type filter struct {
	excludes int // sockets that exclude
	sources  map[header.Addr][2]int
}

// allows is the decision of ip_check_mc_rcu about a source.
func (f *filter) allows(src header.Addr) bool {
	c, ok := f.sources[src]
	if !ok {
		return f.excludes != 0
	}
	return c[include] != 0 || c[exclude] != f.excludes
}

// publish renews what Check reads; mu is held.
func (g *group) publish() {
	f := &filter{excludes: g.count[exclude]}
	if len(g.sources) > 0 {
		f.sources = make(map[header.Addr][2]int, len(g.sources))
		for _, s := range g.sources {
			f.sources[s.addr] = s.count
		}
	}
	g.filter.Store(f)
}

func (d *device) publish() {
	snap := make(map[header.Addr]*group, len(d.groups))
	for _, g := range d.groups {
		snap[g.addr] = g
	}
	d.snap.Store(&snap)
}

func (d *device) find(addr header.Addr) *group {
	for _, g := range d.groups {
		if g.addr == addr {
			return g
		}
	}
	return nil
}

func find(list []*source, addr header.Addr) int {
	return slices.IndexFunc(list, func(s *source) bool { return s.addr == addr })
}

// active reports whether a source belongs in a report of the group's state:
// some include it, or all that exclude do so.
func (g *group) active(s *source) bool {
	if g.count[exclude] != 0 {
		return g.count[exclude] == s.count[exclude] && s.count[include] == 0
	}
	return s.count[include] != 0
}

// join adds one user with an empty filter of the mode (Linux:
// ____ip_mc_inc_group). cfg is held.
func (m *IGMP) join(d *device, addr header.Addr, mode int) {
	m.mu.Lock()
	if g := d.find(addr); g != nil {
		g.users++
		m.mu.Unlock()
		m.addSources(d, addr, mode, nil, false)
		return
	}
	g := &group{addr: addr, since: m.clock.Now(), users: 1, mode: mode, reports: int(m.qrv.Load())}
	g.count[mode] = 1
	g.timer.Init(m.net.Timers(), func(*napi.Timer) { m.groupExpired(d, g) })
	g.publish()
	d.groups = slices.Insert(d.groups, 0, g)
	d.publish()
	m.undelete(d, g)
	m.mu.Unlock()
	m.tell(d, g, true)
	m.added(d, g)
	m.ip.FIB.Bump() // cached ways to the group lack the copy for us (Linux: ip_rt_multicast_event)
}

// leave takes one user away (Linux: __ip_mc_dec_group). cfg is held.
func (m *IGMP) leave(d *device, addr header.Addr) {
	m.mu.Lock()
	g := d.find(addr)
	if g == nil {
		m.mu.Unlock()
		return
	}
	if g.users--; g.users > 0 {
		m.mu.Unlock()
		return
	}
	d.groups = slices.DeleteFunc(d.groups, func(o *group) bool { return o == g })
	d.publish()
	m.mu.Unlock()
	m.dropped(d, g)
	m.tell(d, g, false)
	m.ip.FIB.Bump()
}

// added is igmp_group_added: the device receives the group, routers hear of
// it.
func (m *IGMP) added(d *device, g *group) {
	if !g.loaded { // under cfg
		g.loaded = true
		addMulticast(d.dev, linkAddr(g.addr))
	}
	if !m.reported(g.addr) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.dead {
		return
	}
	now := m.clock.Now()
	g.reports = int(m.qrv.Load())
	if m.v1(d, now) || m.v2(d, now) {
		m.startTimer(g, int64(1e6))
		return
	}
	// INCLUDE of nothing is no membership: only the sources to come are news
	// (RFC 3376 section 5.1).
	if g.mode == exclude {
		g.changes = d.qrv
	}
	m.change(d)
}

// dropped is igmp_group_dropped.
func (m *IGMP) dropped(d *device, g *group) {
	if g.loaded {
		g.loaded = false
		delMulticast(d.dev, linkAddr(g.addr))
	}
	if !m.reported(g.addr) {
		return
	}
	var out outbox
	m.mu.Lock()
	reporter := g.reporter
	g.stopTimer()
	now := m.clock.Now()
	switch {
	case d.dead, m.v1(d, now):
	case m.v2(d, now):
		// Somebody else's report is theirs to take back (RFC 2236 section 3).
		if reporter {
			out.old(m, d, header.IGMPv2Leave, g.addr)
		}
	default:
		m.remember(d, g)
		m.change(d)
	}
	m.mu.Unlock()
	out.send(m, d)
}

// remember keeps what has to be reported of a group that is left (Linux:
// igmpv3_add_delrec); mu is held.
func (m *IGMP) remember(d *device, g *group) {
	l := &group{addr: g.addr, mode: g.mode, changes: d.qrv}
	if g.mode == include {
		l.sources, l.gone = g.sources, g.gone
		g.sources, g.gone = nil, nil
		for _, s := range l.sources {
			s.changes = l.changes
		}
	}
	d.left = slices.Insert(d.left, 0, l)
	if len(d.left) > maxLeft {
		d.left = d.left[:maxLeft]
	}
}

// undelete takes back what is remembered of a group that is joined again
// (Linux: igmpv3_del_delrec); mu is held.
func (m *IGMP) undelete(d *device, g *group) {
	i := slices.IndexFunc(d.left, func(l *group) bool { return l.addr == g.addr })
	if i < 0 {
		return
	}
	l := d.left[i]
	d.left = slices.Delete(d.left, i, i+1)
	if g.mode == include {
		g.gone, l.gone = l.gone, g.gone
		g.sources, l.sources = l.sources, g.sources
		for _, s := range g.sources {
			s.changes = d.qrv
		}
		g.publish()
	} else {
		g.changes = d.qrv
	}
}

// addSources adds a filter, or with delta only sources, to the combination
// (Linux: ip_mc_add_src). cfg is held.
func (m *IGMP) addSources(d *device, addr header.Addr, mode int, srcs []header.Addr, delta bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := d.find(addr)
	if g == nil {
		return
	}
	g.mark()
	if !delta {
		g.count[mode]++
	}
	for _, a := range srcs {
		i := find(g.sources, a)
		if i < 0 {
			i = len(g.sources)
			g.sources = append(g.sources, &source{addr: a})
		}
		g.sources[i].count[mode]++
	}
	if (g.mode == exclude) != (g.count[exclude] != 0) {
		switch {
		case g.count[exclude] != 0:
			g.mode = exclude
		case g.count[include] != 0:
			g.mode = include
		}
		m.modeChanged(d, g)
	} else if g.settle(d.qrv) {
		m.change(d)
	}
	g.publish()
}

// delSources is the inverse (Linux: ip_mc_del_src). ESRCH when a source is not
// there.
func (m *IGMP) delSources(d *device, addr header.Addr, mode int, srcs []header.Addr, delta bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := d.find(addr)
	if g == nil {
		return syscall.ESRCH
	}
	g.mark()
	if !delta {
		if g.count[mode] == 0 {
			return syscall.EINVAL
		}
		g.count[mode]--
	}
	var err error
	news := false
	now := m.clock.Now()
	for _, a := range srcs {
		i := find(g.sources, a)
		if i < 0 || g.sources[i].count[mode] == 0 {
			err = syscall.ESRCH
			continue
		}
		s := g.sources[i]
		if s.count[mode]--; s.count == [2]int{} {
			g.sources = slices.Delete(g.sources, i, i+1)
			if s.wasIn && !m.v1(d, now) && !m.v2(d, now) {
				s.changes = d.qrv
				g.gone = slices.Insert(g.gone, 0, s)
				news = true
			}
		}
	}
	if g.mode == exclude && g.count[exclude] == 0 && g.count[include] != 0 {
		g.mode = include
		m.modeChanged(d, g)
	} else if g.settle(d.qrv) || news {
		m.change(d)
	}
	g.publish()
	return err
}

// modeChanged has a new filter mode reported: it says all there is to say
// about sources too.
func (m *IGMP) modeChanged(d *device, g *group) {
	g.changes = d.qrv
	for _, s := range g.sources {
		s.changes = 0
	}
	m.change(d)
}

// mark notes what is reported now (Linux: sf_markstate).
func (g *group) mark() {
	for _, s := range g.sources {
		s.wasIn = g.active(s)
	}
}

// settle compares with mark and notes what is to be reported (Linux:
// sf_setstate); it reports whether anything is.
func (g *group) settle(qrv int) (news bool) {
	for _, s := range g.sources {
		is := g.active(s)
		switch {
		case is && !s.wasIn:
			if i := find(g.gone, s.addr); i >= 0 {
				g.gone = slices.Delete(g.gone, i, i+1)
			}
			s.changes = qrv
			news = true
		case !is && s.wasIn:
			s.changes = 0
			i := find(g.gone, s.addr)
			if i < 0 {
				c := *s
				g.gone = slices.Insert(g.gone, 0, &c)
				i = 0
			}
			g.gone[i].changes = qrv
			news = true
		}
	}
	return news
}
