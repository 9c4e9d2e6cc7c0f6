package igmp

import "fmt"

// showGroups is /proc/net/igmp.
func (m *IGMP) showGroups(b []byte) []byte {
	b = append(b, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"...)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	for _, d := range *m.devs.Load() {
		if d == nil || len(d.groups) == 0 {
			continue
		}
		querier := "V3"
		switch {
		case m.v1(d, now):
			querier = "V1"
		case m.v2(d, now):
			querier = "V2"
		}
		b = fmt.Appendf(b, "%d\t%-10s: %5d %7s\n", d.dev.Ifindex(), d.dev.Name(), len(d.groups), querier)
		for _, g := range d.groups {
			running, left, reporter := 0, int64(0), 0
			if g.running {
				running = 1
				left = max(g.expires-now, 0) / 1e7 // hundredths of a second
			}
			if g.reporter {
				reporter = 1
			}
			// The address as a little-endian machine prints it.
			a := g.addr.As4()
			b = fmt.Appendf(b, "\t\t\t\t%02X%02X%02X%02X %5d %d:%08X\t\t%d\n", a[3], a[2], a[1], a[0], g.users, running, left, reporter)
		}
	}
	return b
}

// showFilters is /proc/net/mcfilter.
func (m *IGMP) showFilters(b []byte) []byte {
	b = append(b, "Idx Device        MCA        SRC    INC    EXC\n"...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range *m.devs.Load() {
		if d == nil {
			continue
		}
		for _, g := range d.groups {
			for _, s := range g.sources {
				b = fmt.Appendf(b, "%3d %6.6s 0x%08x 0x%08x %6d %6d\n", d.dev.Ifindex(), d.dev.Name(),
					uint32(g.addr), uint32(s.addr), s.count[include], s.count[exclude])
			}
		}
	}
	return b
}
