package igmp

import (
	"time"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// maxMessage is how much of a message is looked at: a query with as many
// sources as a packet on Ethernet holds, and then some.
const maxMessage = 4096

// rcv takes IGMP messages (Linux: igmp_rcv). Like Linux it looks at neither
// time to live nor router alert, which some switches get wrong. Consumes b.
func (m *IGMP) rcv(b *skb.Buff) {
	if !b.MayPull(header.IGMPLen) {
		drop(b, skb.HdrTrunc)
		return
	}
	if !checksumOK(b) {
		drop(b, skb.IPCsum)
		return
	}
	h, _ := header.ParseIGMP(b.Data())
	dev, _ := b.Dev.(*napi.NetDevice)
	if dev == nil {
		drop(b, skb.DevReady)
		return
	}
	d := m.device(dev.Ifindex())
	if d == nil {
		drop(b, skb.DevReady)
		return
	}
	switch h.Type() {
	case header.IGMPQuery:
		if !m.query(d, b) {
			drop(b, skb.HdrTrunc)
			return
		}
	case header.IGMPv1Report, header.IGMPv2Report:
		// Our own come back over multicast loop; those sent to us alone say
		// nothing about what routers heard.
		if b.PktType == skb.PacketMulticast || b.PktType == skb.PacketBroadcast {
			m.heardReport(d, h.Group())
		}
	}
	b.Consume()
}

// checksumOK verifies the checksum over the whole message.
func checksumOK(b *skb.Buff) bool {
	if b.IPSummed == skb.ChecksumUnnecessary {
		return true
	}
	return skb.CsumFold(b.Checksum(0, b.Len(), 0)) == 0
}

// heardReport: a neighbour has told the routers of the group, so need not we
// (RFC 2236 section 3; Linux: igmp_heard_report).
func (m *IGMP) heardReport(d *device, addr header.Addr) {
	if !m.reported(addr) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := d.find(addr); g != nil {
		g.stopTimer()
	}
}

// query is igmp_heard_query. False for a message that is none.
func (m *IGMP) query(d *device, b *skb.Buff) bool {
	n := b.Len()
	if !b.MayPull(min(n, maxMessage)) {
		return false
	}
	p := b.Data()
	h := header.IGMP(p)
	group, code := h.Group(), h.Code()
	const tenth = int64(100 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	var q header.IGMPv3Query
	delay := max(int64(header.IGMPv3Code(code))*tenth, 1e6)
	switch {
	case n == header.IGMPLen:
		// The version is told by length and code (RFC 3376 section 7.1).
		until := now + int64(d.qrv)*d.qi + d.qri
		if code == 0 {
			delay, group = queryResponseInterval, 0
			d.v1Until = until
		} else {
			delay = int64(code) * tenth
			d.v2Until = until
		}
		d.changes = 0
		d.changeTimer.Del()
		d.left = nil
	case n < header.IGMPv3QueryLen:
		return false
	case m.v1(d, now):
		delay, group = queryResponseInterval, 0
	case m.v2(d, now):
		// A version 3 query beside an older querier: the delay is read as
		// version 3 has it.
	default:
		var ok bool
		if q, ok = header.ParseIGMPv3Query(p); !ok {
			return false
		}
		d.maxDelay = delay
		if d.qrv = q.QRV(); d.qrv == 0 {
			d.qrv = int(m.qrv.Load())
		}
		if d.qi = int64(q.QQI()) * int64(time.Second); d.qi == 0 {
			d.qi = queryInterval
		}
		if d.qri >= d.qi { // RFC 3376 section 8.3
			d.qri = d.qi - int64(time.Second)
		}
		if group == 0 {
			if q.NSources() != 0 {
				return false
			}
			m.answerGeneral(d, now)
			return true
		}
	}
	named := q != nil && q.NSources() != 0
	for _, g := range d.groups {
		if group != 0 && group != g.addr || !m.reported(g.addr) {
			continue
		}
		// A query for sources does not narrow one for the group that is still
		// to be answered.
		g.querySrc = named && (!g.running || g.querySrc)
		if !g.querySrc || g.markSources(q) {
			m.hurryTimer(g, delay)
		}
	}
	return true
}

// answerGeneral has all groups reported within the delay asked for (Linux:
// igmp_gq_start_timer).
func (m *IGMP) answerGeneral(d *device, now int64) {
	at := now + m.random(d.maxDelay) + slack
	if d.general && at >= d.generalTime {
		return
	}
	d.general, d.generalTime = true, at
	d.generalTmr.Mod(at)
}

// markSources notes which sources of the query are to be answered; false if
// none (Linux: igmp_marksources).
func (g *group) markSources(q header.IGMPv3Query) bool {
	if g.mode == exclude {
		return g.markExcluded(q)
	}
	hits := 0
	for _, s := range g.sources {
		if hits == q.NSources() {
			break
		}
		for i := range q.NSources() {
			if s.addr == q.Source(i) {
				s.answered = true
				hits++
				break
			}
		}
	}
	g.querySrc = hits > 0
	return hits > 0
}

// markExcluded: the group's state is the answer, unless every source asked for
// is excluded.
func (g *group) markExcluded(q header.IGMPv3Query) bool {
	hits := 0
	for _, s := range g.sources {
		if hits == q.NSources() {
			break
		}
		if g.count[include] != 0 || g.count[exclude] != s.count[exclude] {
			continue // not excluded by all
		}
		for i := range q.NSources() {
			if s.addr == q.Source(i) {
				hits++
				break
			}
		}
	}
	g.querySrc = false
	return hits != q.NSources()
}

var _ ip.Multicast = (*IGMP)(nil)
