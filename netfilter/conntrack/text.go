package conntrack

import (
	"strconv"
	"time"
)

// protoName is the name listings have for a protocol (Linux: l4proto_name).
func protoName(proto uint8) string {
	switch proto {
	case ProtoICMP:
		return "icmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoDCCP:
		return "dccp"
	case ProtoGRE:
		return "gre"
	case ProtoSCTP:
		return "sctp"
	case ProtoUDPLite:
		return "udplite"
	}
	return "unknown"
}

// line is text of a listing in the making.
type line []byte

func (l line) str(s string) line { return append(l, s...) }

func (l line) num(n uint64) line { return strconv.AppendUint(l, n, 10) }

// pad appends s and blanks up to n places.
func (l line) pad(s string, n int) line {
	l = append(l, s...)
	for i := len(s); i < n; i++ {
		l = append(l, ' ')
	}
	return l
}

// val appends " key=n" without the blank in front and with one behind.
func (l line) val(key string, n uint64) line {
	return append(append(append(l, key...), '=').num(n), ' ')
}

// tuple is print_tuple.
func (l line) tuple(t *Tuple) line {
	l = t.Src.Netip().AppendTo(append(l, "src="...))
	l = t.Dst.Netip().AppendTo(append(l, " dst="...))
	l = append(l, ' ')
	switch t.Proto {
	case ProtoICMP:
		id, typ, code := t.ICMP()
		l = l.val("type", uint64(typ)).val("code", uint64(code)).val("id", uint64(id))
	case ProtoTCP, ProtoUDP, ProtoUDPLite, ProtoSCTP, ProtoDCCP:
		l = l.val("sport", uint64(t.SrcPort)).val("dport", uint64(t.DstPort))
	case ProtoGRE:
		l = strconv.AppendUint(l.str("srckey=0x"), uint64(t.SrcPort), 16)
		l = append(strconv.AppendUint(l.str(" dstkey=0x"), uint64(t.DstPort), 16), ' ')
	}
	return l
}

// side is a direction with its zone and counters.
func (l line) side(c *Conn, d Dir) line {
	l = l.tuple(&c.nodes[d].tuple)
	if c.zone.Dirs == 1<<d {
		l = l.val([...]string{"zone-orig", "zone-reply"}[d], uint64(c.zone.ID))
	}
	if a := c.Acct(); a != nil {
		l = l.val("packets", a.Packets[d].Load()).val("bytes", a.Bytes[d].Load())
	}
	return l
}

// AppendProc appends the line of /proc/net/nf_conntrack for a connection (Linux:
// ct_seq_show).
func (c *Conn) AppendProc(b []byte) []byte {
	l := line(b).str("ipv4     2 ")
	l = c.head(l, true)
	l = c.sides(l)
	l = l.val("mark", uint64(c.Mark()))
	if d := c.zone.Dirs; d == 0 || d == ZoneOrig|ZoneReply {
		l = l.val("zone", uint64(c.zone.ID))
	}
	if start, _ := c.Times(); start != 0 {
		l = l.val("delta-time", uint64(max(c.table.cfg.WallNow()-start, 0)/int64(time.Second)))
	}
	return l.str("use=2\n")
}

// head is protocol, with left the time that is left, and state.
func (c *Conn) head(l line, left bool) line {
	proto := c.Proto()
	l = append(l.pad(protoName(proto), 8), ' ').num(uint64(proto))
	l = append(l, ' ')
	if left && c.Status()&Offload == 0 {
		l = append(l.num(uint64(c.Expires()/int64(time.Second))), ' ')
	}
	if c.Status()&Offload != 0 {
		return l
	}
	switch proto {
	case ProtoTCP:
		l = append(l.str(c.TCPState().String()), ' ')
	case ProtoSCTP:
		l = append(l.str(c.SCTPState().String()), ' ')
	case ProtoGRE:
		conf := &c.table.Conf
		l = l.str("timeout=").num(uint64(conf.GRETimeout.Load() / int64(time.Second)))
		l = l.str(", ").val("stream_timeout", uint64(conf.GREStream.Load()/int64(time.Second)))
	}
	return l
}

// sides are both directions and what is known of the whole.
func (c *Conn) sides(l line) line {
	st := c.Status()
	l = l.side(c, Original)
	if st&SeenReply == 0 {
		l = l.str("[UNREPLIED] ")
	}
	l = l.side(c, Reply)
	switch {
	case st&HWOffload != 0:
		l = l.str("[HW_OFFLOAD] ")
	case st&Offload != 0:
		l = l.str("[OFFLOAD] ")
	case st&Assured != 0:
		l = l.str("[ASSURED] ")
	}
	return l
}

// AppendConntrack appends the line that the command conntrack prints for a
// connection with -L, without a newline: as in /proc, but without the name of the
// network protocol, and the zone only if there is one.
func (c *Conn) AppendConntrack(b []byte) []byte {
	return c.tail(c.sides(c.head(b, true)))
}

func (c *Conn) tail(l line) []byte {
	l = l.val("mark", uint64(c.Mark()))
	if d := c.zone.Dirs; c.zone.ID != 0 && (d == 0 || d == ZoneOrig|ZoneReply) {
		l = l.val("zone", uint64(c.zone.ID))
	}
	return l.str("use=1")
}

// AppendEvent appends the line that conntrack -E prints for an event, without a
// newline.
func (c *Conn) AppendEvent(b []byte, ev Event) []byte {
	l := line(b)
	switch {
	case ev&EventDestroy != 0:
		l = c.head(l.str("[DESTROY] "), c.Expires() >= int64(time.Second))
	case ev&(EventNew|EventRelated) != 0:
		l = c.head(l.str("    [NEW] "), true)
	default:
		l = c.head(l.str(" [UPDATE] "), true)
	}
	l = c.sides(l)
	if m := c.Mark(); m != 0 {
		l = l.val("mark", uint64(m))
	}
	if d := c.zone.Dirs; c.zone.ID != 0 && (d == 0 || d == ZoneOrig|ZoneReply) {
		l = l.val("zone", uint64(c.zone.ID))
	}
	return l[:len(l)-1]
}

// Proc is /proc/net/nf_conntrack.
func (t *Table) Proc(b []byte) []byte {
	t.Each(func(c *Conn) bool {
		b = c.AppendProc(b)
		return true
	})
	return b
}

// AppendProc appends the line of /proc/net/nf_conntrack_expect (Linux:
// exp_seq_show).
func (e *Expect) AppendProc(b []byte) []byte {
	l := line(b).num(uint64(e.Expires() / int64(time.Second)))
	l = append(l.str(" l3proto = 2 proto=").num(uint64(e.Tuple.Proto)), ' ').tuple(&e.Tuple)
	sep := ""
	for i, name := range [...]string{"PERMANENT", "INACTIVE", "USERSPACE"} {
		if e.Flags>>i&1 != 0 {
			l = l.str(sep).str(name)
			sep = ","
		}
	}
	if h := e.Master.Helper(); h != nil {
		if e.Flags != 0 {
			l = append(l, ' ')
		}
		l = l.str(h.Name)
		if p := h.Policies[e.Class]; p.Name != "" {
			l = append(l, '/').str(p.Name)
		}
	}
	return append(l, '\n')
}

// ProcExpect is /proc/net/nf_conntrack_expect.
func (t *Table) ProcExpect(b []byte) []byte {
	for _, e := range t.Expectations() {
		b = e.AppendProc(b)
	}
	return b
}

// ProcStat is /proc/net/stat/nf_conntrack (Linux: ct_cpu_seq_show), with one
// line for all processors.
func (t *Table) ProcStat(b []byte) []byte {
	s := &t.Stat
	l := line(b).str("entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n")
	for i, v := range [...]uint64{uint64(t.Count()), s.ClashResolve.Load(), s.Found.Load(), 0, s.Invalid.Load(), 0, 0,
		s.ChainTooLong.Load(), s.Insert.Load(), s.InsertFailed.Load(), s.Drop.Load(), s.EarlyDrop.Load(), s.ICMPError.Load(),
		s.ExpectNew.Load(), s.ExpectCreate.Load(), s.ExpectDelete.Load(), s.SearchRestart.Load()} {
		switch i {
		case 0:
		case 1, 13:
			l = l.str("  ")
		default:
			l = append(l, ' ')
		}
		for shift := 28; shift >= 0; shift -= 4 {
			l = append(l, "0123456789abcdef"[uint32(v)>>shift&15])
		}
	}
	return append(l, '\n')
}
