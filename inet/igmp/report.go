package igmp

import (
	"encoding/binary"
	"slices"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

const (
	ipLen    = header.IPv4MinLen + 4 // header with the router alert option
	maxSpace = 1500                  // a report is never larger, whatever the MTU
	minMTU   = 68
)

// outbox collects messages under the lock, to be sent after it. A version 3
// report grows record by record.
type outbox struct {
	done []message
	rep  *skb.Buff // report under construction
	recs int       // records in it
	room int       // bytes left
	rec  int       // offset of the current record
	nsrc int       // sources in it
}

type message struct {
	b   *skb.Buff
	typ uint8
	dst header.Addr
}

// old makes a message of version 1 or 2 (Linux: igmp_send_report).
func (o *outbox) old(m *IGMP, d *device, typ uint8, group header.Addr) {
	b := alloc(m, header.IGMPLen)
	if b == nil {
		return
	}
	p := b.Put(header.IGMPLen)
	clear(p)
	p[0] = typ
	binary.BigEndian.PutUint32(p[4:], uint32(group))
	dst := group
	if typ == header.IGMPv2Leave {
		dst = allRouters
	}
	o.done = append(o.done, message{b, typ, dst})
}

func alloc(m *IGMP, n int) *skb.Buff {
	b := m.net.SKB().Alloc(ip.Headroom + n)
	if b != nil {
		b.Reserve(ip.Headroom)
	}
	return b
}

// begin starts a report; false when there is no memory.
func (o *outbox) begin(m *IGMP, d *device) bool {
	n := min(d.dev.MTU(), maxSpace) - ipLen
	if o.rep = alloc(m, n); o.rep == nil {
		return false
	}
	p := o.rep.Put(header.IGMPv3ReportLen)
	clear(p)
	p[0] = header.IGMPv3Report
	o.recs, o.room = 0, n-header.IGMPv3ReportLen
	return true
}

// end closes the report under construction, if there is one.
func (o *outbox) end() {
	if o.rep == nil {
		return
	}
	binary.BigEndian.PutUint16(o.rep.Data()[6:], uint16(o.recs))
	o.done = append(o.done, message{o.rep, header.IGMPv3Report, allV3Reporters})
	o.rep = nil
}

// record opens a record for a group in the report at hand, or in a new one.
func (o *outbox) record(m *IGMP, d *device, typ uint8, group header.Addr) bool {
	if o.rep == nil && !o.begin(m, d) {
		return false
	}
	o.rec, o.nsrc = o.rep.Len(), 0
	p := o.rep.Put(header.IGMPv3GrecLen)
	p[0], p[1], p[2], p[3] = typ, 0, 0, 0
	binary.BigEndian.PutUint32(p[4:], uint32(group))
	o.room -= header.IGMPv3GrecLen
	o.recs++
	return true
}

func (o *outbox) source(a header.Addr) {
	binary.BigEndian.PutUint32(o.rep.Put(4), uint32(a))
	o.room -= 4
	o.nsrc++
	binary.BigEndian.PutUint16(o.rep.Data()[o.rec+2:], uint16(o.nsrc))
}

// wanted reports whether a source goes into a record of type typ (Linux:
// is_in). deleted: the source is of the list of those gone; left: the group is.
func (g *group) wanted(s *source, typ uint8, left, deleted bool) bool {
	state := func() bool { // excluded by all that exclude, included by none
		return s.count[include] == 0 && g.count[exclude] == s.count[exclude]
	}
	switch typ {
	case header.IGMPModeIsInclude, header.IGMPModeIsExclude:
		if left || deleted || g.querySrc && !s.answered {
			return false
		}
		if g.mode == include {
			return true
		}
		if s.count[include] != 0 {
			return typ == header.IGMPModeIsInclude
		}
		return state()
	case header.IGMPChangeToInclude:
		return !left && !deleted && s.count[include] != 0
	case header.IGMPChangeToExclude:
		return !left && !deleted && g.count[exclude] != 0 && state()
	case header.IGMPAllowNew:
		return !left && s.changes != 0 && (g.mode == include) != deleted
	default: // IGMPBlockOld
		if g.mode == include {
			return left || s.changes != 0 && deleted
		}
		return s.changes != 0 && !left && !deleted
	}
}

// add puts a record of g into the report, in several if need be (Linux:
// add_grec; RFC 3376 section 4.2.16: lists of excluded sources are cut, others
// continue). mu is held.
func (o *outbox) add(m *IGMP, d *device, g *group, typ uint8, left, deleted bool) {
	if !m.reported(g.addr) || d.dev.MTU() < minMTU {
		return
	}
	query := typ == header.IGMPModeIsInclude || typ == header.IGMPModeIsExclude
	cut := typ == header.IGMPModeIsExclude || typ == header.IGMPChangeToExclude
	change := typ == header.IGMPAllowNew || typ == header.IGMPBlockOld
	list := &g.sources
	if deleted {
		list = &g.gone
	}
	if cut && o.rep != nil && o.recs > 0 {
		// What would be cut gets a report of its own first.
		need := header.IGMPv3GrecLen
		for _, s := range *list {
			if g.wanted(s, typ, left, deleted) {
				need += 4
			}
		}
		if o.room < need {
			o.end()
		}
	}
	open, total := false, 0
	keep := (*list)[:0:0]
	for i, s := range *list {
		keep = append(keep, s)
		if !g.wanted(s, typ, left, deleted) {
			continue
		}
		// A change of mode already says what becomes of the sources (RFC 3376
		// section 5.1).
		told := (left && g.mode == exclude || !left && g.changes != 0) && change && s.changes != 0
		if !told {
			if query {
				s.answered = false
			}
			need := 4
			if !open {
				need += header.IGMPv3GrecLen
			}
			if o.rep != nil && o.room < need {
				if cut && open {
					keep = append(keep, (*list)[i+1:]...)
					break
				}
				o.end()
				open = false
			}
			if !open {
				if !o.record(m, d, typ, g.addr) {
					return
				}
				open = true
			}
			o.source(s.addr)
			total++
		}
		if change && s.changes > 0 {
			if s.changes--; (deleted || left) && s.changes == 0 {
				keep = keep[:len(keep)-1]
			}
		}
	}
	if len(keep) != len(*list) {
		*list = keep
	}
	if total == 0 {
		if change {
			return
		}
		if g.changes != 0 || query {
			if o.rep != nil && o.room < header.IGMPv3GrecLen {
				o.end()
			}
			o.record(m, d, typ, g.addr)
		}
	}
	if query {
		g.querySrc = false
	}
}

// changesOf collects the reports of all that changed (Linux: igmpv3_send_cr);
// mu is held.
func (o *outbox) changesOf(m *IGMP, d *device) {
	d.left = slices.DeleteFunc(d.left, func(g *group) bool {
		if g.mode == include {
			o.add(m, d, g, header.IGMPBlockOld, true, false)
			o.add(m, d, g, header.IGMPBlockOld, true, true)
		}
		if g.changes > 0 {
			if g.mode == exclude {
				o.add(m, d, g, header.IGMPChangeToInclude, true, false)
			}
			if g.changes--; g.changes == 0 {
				g.gone = clearTold(g.gone)
				g.sources = clearTold(g.sources)
			}
		}
		return g.changes == 0 && len(g.gone) == 0 && len(g.sources) == 0
	})
	for _, g := range d.groups {
		now, gone := uint8(header.IGMPAllowNew), uint8(header.IGMPBlockOld)
		if g.count[exclude] != 0 {
			now, gone = gone, now
		}
		o.add(m, d, g, now, false, false)
		o.add(m, d, g, gone, false, true)
		if g.changes > 0 {
			typ := uint8(header.IGMPChangeToInclude)
			if g.mode == exclude {
				typ = header.IGMPChangeToExclude
			}
			o.add(m, d, g, typ, false, false)
			g.changes--
		}
	}
	o.end()
}

func clearTold(l []*source) []*source {
	return slices.DeleteFunc(l, func(s *source) bool { return s.changes == 0 })
}

// stateOf collects the present state of one group, or of all when g is nil:
// the answer to a query (Linux: igmpv3_send_report); mu is held.
func (o *outbox) stateOf(m *IGMP, d *device, g *group) {
	for _, x := range d.groups {
		if g != nil && x != g {
			continue
		}
		typ := uint8(header.IGMPModeIsInclude)
		if x.count[exclude] != 0 {
			typ = header.IGMPModeIsExclude
		}
		o.add(m, d, x, typ, false, false)
	}
	o.end()
}

// send transmits what was collected. No lock is held.
func (o *outbox) send(m *IGMP, d *device) {
	for _, msg := range o.done {
		m.transmit(d, msg)
	}
	o.done = nil
}

// transmit gives a message its checksum and IP header: time to live 1,
// internetwork control, router alert (RFC 3376 section 4).
func (m *IGMP) transmit(d *device, msg message) {
	b := msg.b
	f := fib.Flow{Dst: msg.dst, OIF: d.dev.Ifindex(), Proto: header.ProtoIGMP}
	rt, err := m.ip.RouteOutput(&f)
	if err != 0 {
		drop(b, skb.IPOutNoRoutes)
		return
	}
	if msg.typ == header.IGMPv3Report {
		f.Src = m.ownAddr(d, f.Src)
	}
	p := b.Data()
	binary.BigEndian.PutUint16(p[2:], skb.CsumFold(skb.CsumPartial(p, 0)))
	b.ResetTransportHeader()
	h := b.Push(ipLen)
	header.PutIPv4(h, &header.Fields{TOS: 0xc0, TotalLen: b.Len(), Frag: header.IPDF, TTL: 1,
		Protocol: header.ProtoIGMP, Src: f.Src, Dst: msg.dst})
	h[0] = 4<<4 | ipLen/4
	copy(h[header.IPv4MinLen:], []byte{header.OptRouterAlert, 4, 0, 0})
	b.ResetNetworkHeader()
	b.Protocol = header.EthPIP
	b.Dst = rt
	b.Priority = 7 // TC_PRIO_CONTROL
	m.ip.LocalOut(b)
}

// ownAddr is src if the device has it, else 0.0.0.0 (RFC 3376 section 4.2.13).
func (m *IGMP) ownAddr(d *device, src header.Addr) header.Addr {
	if in := m.ip.InDev(d.dev.Ifindex()); in != nil {
		for i := range in.Addrs() {
			if in.Addrs()[i].Local == src {
				return src
			}
		}
	}
	return 0
}
