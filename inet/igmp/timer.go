package igmp

import "barewire/skb/header"

// slack is what Linux adds to every random delay: two clock ticks.
const slack = 2e6

// change has the changes reported, now and as often as the robustness says
// (Linux: igmp_ifc_event); mu is held.
func (m *IGMP) change(d *device) {
	now := m.clock.Now()
	if m.v1(d, now) || m.v2(d, now) {
		return
	}
	d.changes = d.qrv
	d.changeTimer.Mod(now + slack)
}

// changeExpired is igmp_ifc_timer_expire.
func (m *IGMP) changeExpired(d *device) {
	var out outbox
	m.mu.Lock()
	if d.dead {
		m.mu.Unlock()
		return
	}
	out.changesOf(m, d)
	if d.changes > 0 {
		d.changes--
		now := m.clock.Now()
		d.changeTimer.Mod(now + m.random(m.reportInterval(d, now)) + slack)
	}
	m.mu.Unlock()
	out.send(m, d)
}

// generalExpired answers a general query of version 3 (Linux:
// igmp_gq_timer_expire).
func (m *IGMP) generalExpired(d *device) {
	var out outbox
	m.mu.Lock()
	if !d.general {
		m.mu.Unlock()
		return
	}
	d.general = false
	out.stateOf(m, d, nil)
	m.mu.Unlock()
	out.send(m, d)
}

// startTimer has the group reported within limit; mu is held.
func (m *IGMP) startTimer(g *group, limit int64) {
	g.running = true
	g.expires = m.clock.Now() + m.random(limit) + slack
	g.timer.Mod(g.expires)
}

// hurryTimer is startTimer, unless the report comes early enough anyway
// (Linux: igmp_mod_timer; RFC 2236 section 3).
func (m *IGMP) hurryTimer(g *group, limit int64) {
	g.reports = 0
	if g.running && g.expires-m.clock.Now() < limit {
		return
	}
	m.startTimer(g, limit)
}

func (g *group) stopTimer() {
	g.timer.Del()
	g.running = false
	g.reporter = false
	g.reports = 0
}

// groupExpired reports one group (Linux: igmp_timer_expire).
func (m *IGMP) groupExpired(d *device, g *group) {
	var out outbox
	m.mu.Lock()
	if !g.running || d.dead {
		m.mu.Unlock()
		return
	}
	g.running = false
	now := m.clock.Now()
	if g.reports > 0 {
		if g.reports--; g.reports > 0 {
			m.startTimer(g, m.reportInterval(d, now))
		}
	}
	g.reporter = true
	switch {
	case m.v1(d, now):
		out.old(m, d, header.IGMPv1Report, g.addr)
	case m.v2(d, now):
		out.old(m, d, header.IGMPv2Report, g.addr)
	default:
		out.stateOf(m, d, g)
	}
	m.mu.Unlock()
	out.send(m, d)
}
