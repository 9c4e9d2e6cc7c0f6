package conntrack

import (
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// packet is what is known of the packet at hand, found once.
type packet struct {
	b     *skb.Buff
	now   int64
	point netfilter.Point
	off   int    // of the transport header from b.Data
	len   int    // from there to the end
	l4    []byte // the linear part from there on
	proto uint8
	tuple Tuple
}

// In finds or makes the connection of a packet (Linux: nf_conntrack_in), in
// PREROUTING or LOCAL_OUT. Afterwards [Get] knows it; a packet that fits no
// connection has none, which is INVALID, and goes on all the same.
func (t *Table) In(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	tmpl, info := Get(b)
	if tmpl != nil || info == Untracked {
		if tmpl == nil || !tmpl.IsTemplate() {
			return netfilter.Accept // seen before, over loopback, or not to be seen
		}
		b.SetNFCT(nil, 0)
	}
	p := packet{b: b, point: s.Point, now: t.now()}
	if !p.parse() {
		t.Stat.Invalid.Add(1)
		return netfilter.Accept
	}
	if p.proto == ProtoICMP {
		if v, done := t.icmpError(tmpl, &p); done {
			return v
		}
	}
	for range maxRepeat {
		c, info, v := t.resolve(tmpl, &p)
		if c == nil {
			return v
		}
		switch v := t.track(c, &p, info); v {
		case trackOK:
			if info == EstablishedReply && c.Status()&SeenReply == 0 && c.SetStatus(SeenReply)&SeenReply == 0 {
				c.Note(EventReply)
			}
			return netfilter.Accept
		case trackRepeat:
			b.SetNFCT(nil, 0)
		case trackDrop:
			b.SetNFCT(nil, 0)
			t.Stat.Invalid.Add(1)
			t.Stat.Drop.Add(1)
			return netfilter.Drop
		default:
			b.SetNFCT(nil, 0)
			t.Stat.Invalid.Add(1)
			return netfilter.Accept
		}
	}
	return netfilter.Accept
}

// maxRepeat bounds how often a packet may end a connection and begin it anew.
const maxRepeat = 4

// verdict of a tracker.
type verdict uint8

const (
	trackOK      verdict = iota
	trackInvalid         // the packet fits the connection in no way; let it go on alone
	trackDrop
	trackRepeat // the connection is over: look again
)

// parse finds the transport header (Linux: get_l4proto). It fails for a packet
// that is not whole: all but the first fragment, when nobody put them together.
func (p *packet) parse() bool {
	h, ok := header.ParseIPv4(p.b.Data())
	if !ok || h.FragOffset() != 0 {
		return false
	}
	p.proto = h.Protocol()
	p.off = h.HeaderLen()
	p.len = p.b.Len() - p.off
	p.tuple.Src, p.tuple.Dst, p.tuple.Proto = h.Src(), h.Dst(), p.proto
	p.l4 = p.b.Data()[p.off:]
	return p.len >= 0
}

// need makes the first n bytes of the transport header readable. Where they are
// not linear, in a packet put together from fragments of which the first is
// short, they are copied: to pull them would change how it is cut again.
func (p *packet) need(n int) bool {
	if len(p.l4) >= n {
		return true
	}
	if n > p.len {
		return false
	}
	l4 := make([]byte, n)
	if p.b.CopyBits(p.off, l4) != n {
		return false
	}
	p.l4 = l4
	return true
}

// ports fills in the tuple of a packet from its transport header (Linux:
// nf_ct_get_tuple).
func (p *packet) ports() bool {
	k := &p.tuple
	switch p.proto {
	case ProtoTCP, ProtoUDP, ProtoUDPLite, ProtoSCTP:
		if !p.need(4) {
			return false
		}
		k.SrcPort = uint16(p.l4[0])<<8 | uint16(p.l4[1])
		k.DstPort = uint16(p.l4[2])<<8 | uint16(p.l4[3])
	case ProtoICMP:
		if !p.need(header.ICMPLen) {
			return false
		}
		h := header.ICMP(p.l4)
		k.SrcPort, k.DstPort = h.EchoID(), uint16(h.Type())<<8|uint16(h.Code())
	case ProtoGRE:
		return p.greKeys()
	}
	return true
}

// zoneOf returns the zone a packet is tracked in (Linux: nf_ct_zone_tmpl).
func zoneOf(tmpl *Conn, b *skb.Buff) Zone {
	if tmpl == nil {
		return Zone{}
	}
	z := tmpl.zone
	if z.Mark {
		z.ID = uint16(b.Mark)
	}
	return z
}

// resolve gives the packet its connection, a new one if there is none (Linux:
// resolve_normal_ct). Without a connection the verdict holds.
func (t *Table) resolve(tmpl *Conn, p *packet) (*Conn, Info, netfilter.Verdict) {
	if !p.ports() {
		t.Stat.Invalid.Add(1)
		return nil, 0, netfilter.Accept
	}
	z := zoneOf(tmpl, p.b)
	p.tuple.Zone = z.For(Original)
	h := p.tuple.hash(&t.key)
	var stale *Conn
	n := t.find(&p.tuple, h, p.now, &stale)
	if n == nil {
		if stale != nil {
			t.Delete(stale)
		}
		if r := z.For(Reply); r != p.tuple.Zone {
			k := p.tuple
			k.Zone = r
			n = t.find(&k, k.hash(&t.key), p.now, nil)
		}
	}
	if n == nil {
		return t.begin(tmpl, z, p, h)
	}
	c := n.conn
	info := EstablishedReply
	if n.dir == Original {
		switch st := c.Status(); {
		case st&SeenReply != 0:
			info = Established
		case st&Expected != 0:
			info = Related
		default:
			info = New
		}
	}
	Set(p.b, c, info)
	return c, info, netfilter.Accept
}

// begin makes a new connection for a packet (Linux: init_conntrack). It is not
// in the table before the packet went through.
func (t *Table) begin(tmpl *Conn, z Zone, p *packet, h uint32) (*Conn, Info, netfilter.Verdict) {
	reply, ok := p.tuple.Invert()
	if !ok {
		// What no answer is known for cannot begin a connection.
		t.Stat.Invalid.Add(1)
		return nil, 0, netfilter.Accept
	}
	reply.Zone = z.For(Reply)
	if !t.admit(h, p.now) {
		t.Stat.Drop.Add(1)
		return nil, 0, netfilter.Drop
	}
	c := t.alloc()
	c.nodes[Original].tuple, c.nodes[Original].hash = p.tuple, h
	c.nodes[Reply].tuple = reply
	c.zone = z
	c.zone.Mark = false
	c.id = t.ids.Add(1)
	if tmpl != nil {
		pol := tmpl.policy.Load()
		c.policy.Store(pol)
		if pol.SynProxy && p.proto == ProtoTCP {
			c.seqadj.Store(&seqState{proxied: true})
		}
	}
	acct, stamp := t.Conf.Acct.Load() != 0, t.Conf.Timestamp.Load() != 0
	if acct || stamp {
		c.acct = &Acct{counts: acct}
	}
	info := New
	var e *Expect
	if t.expect.count.Load() != 0 {
		e = t.findExpect(&p.tuple, z, p.now)
	}
	if e != nil {
		c.status.Or(Expected)
		c.master = e.Master
		if e.Helper != nil {
			c.SetHelper(e.Helper)
		}
		c.mark.Store(e.Master.Mark())
		t.Stat.ExpectNew.Add(1)
		info = Related
	} else if tmpl != nil {
		if pol := tmpl.policy.Load(); pol.Helper != nil && pol.Helper.Proto == p.proto {
			c.SetHelper(pol.Helper)
			c.status.Or(HelperSet)
			c.Note(EventHelper)
		}
	}
	p.b.SetNFCT(c, uint8(info)) // with the reference alloc gave
	if e != nil {
		if e.OnMatch != nil {
			e.OnMatch(c, e)
		}
		if e.Flags&ExpectPermanent == 0 {
			t.tellExpect(ExpectEventDestroy, e)
		}
	}
	return c, info, netfilter.Accept
}

// admit reports whether there is room for another connection, and takes it
// (Linux: the check in __nf_conntrack_alloc).
func (t *Table) admit(h uint32, now int64) bool {
	n := t.count.Add(1)
	most := int64(t.Conf.Max.Load())
	if most == 0 || n <= most {
		return true
	}
	if t.dropEarly(h, now) {
		return true
	}
	t.earlyDrop.Store(true)
	t.count.Add(-1)
	t.Stat.TableFull.Add(1)
	if t.fullLog.allow(now) {
		t.cfg.Logf("nf_conntrack: nf_conntrack: table full, dropping packet")
	}
	return false
}

// track lets the protocol's tracker look at the packet (Linux:
// nf_conntrack_handle_packet).
func (t *Table) track(c *Conn, p *packet, info Info) verdict {
	switch p.proto {
	case ProtoTCP:
		return t.tcpPacket(c, p, info)
	case ProtoUDP, ProtoUDPLite:
		return t.udpPacket(c, p, info)
	case ProtoICMP:
		return t.icmpPacket(c, p, info)
	case ProtoGRE:
		return t.grePacket(c, p, info)
	case ProtoSCTP:
		return t.sctpPacket(c, p, info)
	}
	c.refresh(p, info, t.Conf.GenericTimeout.Load())
	return trackOK
}

// refresh moves the end of a connection to timeout from now, and counts the
// packet (Linux: nf_ct_refresh_acct).
func (c *Conn) refresh(p *packet, info Info, timeout int64) {
	st := c.status.Load()
	if st&FixedTimeout == 0 {
		if st&Confirmed != 0 {
			timeout += p.now
		}
		if d := timeout - c.expires.Load(); d >= expiresStep || d < 0 {
			c.expires.Store(timeout)
		}
	}
	c.count(p, info)
}

// expiresStep is by how much packets move the end at least: not every one of them
// need write what other processors read (Linux: a jiffy).
const expiresStep = int64(4e6)

// count accounts for a packet (Linux: nf_ct_acct_update).
func (c *Conn) count(p *packet, info Info) {
	if a := c.acct; a != nil && a.counts {
		d := info.Dir()
		a.Packets[d].Add(1)
		a.Bytes[d].Add(uint64(p.b.Len()))
	}
}

// invalid logs a packet a tracker refuses (Linux: nf_ct_l4proto_log_invalid).
func (t *Table) invalid(p *packet, why string) {
	if l := t.Conf.LogInvalid.Load(); l != 0 && (l == 255 || l == int32(p.proto)) && t.cfg.LogInvalid != nil {
		t.cfg.LogInvalid(p.b, p.proto, why)
	}
}
