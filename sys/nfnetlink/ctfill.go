package nfnetlink

import (
	"encoding/binary"
	"syscall"
	"time"

	"barewire/netfilter/conntrack"
	"barewire/sys/netlink"
)

// fillConn appends a whole connection as an answer (Linux: ctnetlink_fill_info).
// With zero the counters begin anew.
func fillConn(b *netlink.Builder, c *conntrack.Conn, flags uint16, zero bool) {
	begin(b, subConntrack, ctNew, flags, syscall.AF_INET, 0)
	fillTuples(b, c)
	b.AttrBE32(ctaStatus, c.Status())
	b.AttrBE32(ctaMark, c.Mark())
	b.AttrBE32(ctaID, c.ID())
	b.AttrBE32(ctaUse, 1)
	fillMaster(b, c)
	if c.Status()&conntrack.Offload == 0 {
		fillTimeout(b, c)
		fillProtoinfo(b, c, false)
	}
	fillCounters(b, c, zero)
	fillTimes(b, c)
	fillHelp(b, c)
	fillLabels(b, c)
	fillSeqAdj(b, c)
	b.End()
}

// fillEvent appends an event (Linux: ctnetlink_conntrack_event).
func fillEvent(b *netlink.Builder, c *conntrack.Conn, ev conntrack.Event) {
	cmd, flags := uint8(ctNew), uint16(0)
	switch {
	case ev&conntrack.EventDestroy != 0:
		cmd = ctDelete
	case ev&(conntrack.EventNew|conntrack.EventRelated) != 0:
		flags = netlink.FlagCreate | netlink.FlagExcl
	}
	begin(b, subConntrack, cmd, flags, syscall.AF_INET, 0)
	fillTuples(b, c)
	b.AttrBE32(ctaID, c.ID())
	b.AttrBE32(ctaStatus, c.Status())
	if ev&conntrack.EventDestroy != 0 {
		if c.Expires() >= int64(time.Second) {
			fillTimeout(b, c)
		}
		fillCounters(b, c, false)
		fillTimes(b, c)
		fillProtoinfo(b, c, true)
	} else {
		fillTimeout(b, c)
		if ev&conntrack.EventProtoInfo != 0 {
			fillProtoinfo(b, c, false)
		}
		if c.Helper() != nil && ev&conntrack.EventHelper != 0 {
			fillHelp(b, c)
		}
		if ev&conntrack.EventLabel != 0 {
			fillLabels(b, c)
		}
		if ev&conntrack.EventRelated != 0 {
			fillMaster(b, c)
		}
		if ev&conntrack.EventSeqAdj != 0 {
			fillSeqAdj(b, c)
		}
	}
	if m := c.Mark(); m != 0 || ev&conntrack.EventMark != 0 {
		b.AttrBE32(ctaMark, m)
	}
	b.End()
}

// fillTuples appends both tuples, with the zone where it counts.
func fillTuples(b *netlink.Builder, c *conntrack.Conn) {
	z := c.Zone()
	both := z.Dirs == 0 || z.Dirs == conntrack.ZoneOrig|conntrack.ZoneReply
	for d := range conntrack.Dir(conntrack.NumDirs) {
		k := c.Tuple(d)
		at := b.Nest(ctaTupleOrig+uint16(d), true)
		fillTuple(b, &k)
		if !both && z.Dirs == 1<<d && z.ID != 0 {
			attrBE16(b, ctaTupleZone, z.ID)
		}
		b.EndNest(at)
	}
	if both && z.ID != 0 {
		attrBE16(b, ctaZone, z.ID)
	}
}

// fillTuple is ctnetlink_dump_tuples.
func fillTuple(b *netlink.Builder, k *conntrack.Tuple) {
	at := b.Nest(ctaTupleIP, true)
	b.AttrBE32(ctaIPv4Src, uint32(k.Src))
	b.AttrBE32(ctaIPv4Dst, uint32(k.Dst))
	b.EndNest(at)
	at = b.Nest(ctaTupleProto, true)
	b.AttrU8(ctaProtoNum, k.Proto)
	switch k.Proto {
	case conntrack.ProtoICMP:
		id, typ, code := k.ICMP()
		attrBE16(b, ctaICMPID, id)
		b.AttrU8(ctaICMPType, typ)
		b.AttrU8(ctaICMPCode, code)
	case conntrack.ProtoTCP, conntrack.ProtoUDP, conntrack.ProtoUDPLite, conntrack.ProtoSCTP, conntrack.ProtoGRE:
		attrBE16(b, ctaProtoSrc, k.SrcPort)
		attrBE16(b, ctaProtoDst, k.DstPort)
	}
	b.EndNest(at)
}

func fillMaster(b *netlink.Builder, c *conntrack.Conn) {
	m := c.Master()
	if m == nil {
		return
	}
	k := m.Tuple(conntrack.Original)
	at := b.Nest(ctaTupleMaster, true)
	fillTuple(b, &k)
	b.EndNest(at)
}

func fillTimeout(b *netlink.Builder, c *conntrack.Conn) {
	b.AttrBE32(ctaTimeout, uint32(c.Expires()/int64(time.Second)))
}

// fillProtoinfo is tcp_to_nlattr and sctp_to_nlattr; at the end only the state is
// of interest.
func fillProtoinfo(b *netlink.Builder, c *conntrack.Conn, destroy bool) {
	switch c.Proto() {
	case conntrack.ProtoTCP:
		i := c.TCPInfo()
		at := b.Nest(ctaProtoinfo, true)
		tcp := b.Nest(ctaPinfoTCP, true)
		b.AttrU8(ctaTCPState, uint8(i.State))
		if !destroy {
			b.AttrU8(ctaTCPScale, i.Scale[0])
			b.AttrU8(ctaTCPScale+1, i.Scale[1])
			b.Attr(ctaTCPFlags, i.Flags[0], 0)
			b.Attr(ctaTCPFlags+1, i.Flags[1], 0)
		}
		b.EndNest(tcp)
		b.EndNest(at)
	case conntrack.ProtoSCTP:
		state, tags := c.SCTPInfo()
		at := b.Nest(ctaProtoinfo, true)
		sctp := b.Nest(ctaPinfoSCTP, true)
		b.AttrU8(ctaSCTPState, uint8(state))
		if !destroy {
			b.AttrBE32(ctaSCTPTag, tags[conntrack.Original])
			b.AttrBE32(ctaSCTPTag+1, tags[conntrack.Reply])
		}
		b.EndNest(sctp)
		b.EndNest(at)
	}
}

func fillCounters(b *netlink.Builder, c *conntrack.Conn, zero bool) {
	a := c.Acct()
	if a == nil {
		return
	}
	for d := range conntrack.Dir(conntrack.NumDirs) {
		packets, bytes := a.Packets[d].Load(), a.Bytes[d].Load()
		if zero {
			packets, bytes = a.ResetAcct(d)
		}
		at := b.Nest(ctaCountersOrig+uint16(d), true)
		attrBE64(b, ctaPackets, packets)
		attrBE64(b, ctaBytes, bytes)
		b.EndNest(at)
	}
}

func fillTimes(b *netlink.Builder, c *conntrack.Conn) {
	start, stop := c.Times()
	if start == 0 {
		return
	}
	at := b.Nest(ctaTimestamp, true)
	attrBE64(b, ctaStart, uint64(start))
	if stop != 0 {
		attrBE64(b, ctaStop, uint64(stop))
	}
	b.EndNest(at)
}

func fillHelp(b *netlink.Builder, c *conntrack.Conn) {
	h := c.Helper()
	if h == nil {
		return
	}
	at := b.Nest(ctaHelp, true)
	b.AttrString(ctaHelpName, h.Name)
	b.EndNest(at)
}

func fillLabels(b *netlink.Builder, c *conntrack.Conn) {
	l := c.Labels()
	if l == nil {
		return
	}
	var p [16]byte
	binary.LittleEndian.PutUint64(p[:], l[0].Load())
	binary.LittleEndian.PutUint64(p[8:], l[1].Load())
	if p != [16]byte{} {
		b.Attr(ctaLabels, p[:]...)
	}
}

func fillSeqAdj(b *netlink.Builder, c *conntrack.Conn) {
	for d := range conntrack.Dir(conntrack.NumDirs) {
		pos, before, after, ok := c.SeqAdj(d)
		if !ok {
			return
		}
		at := b.Nest(ctaSeqAdjOrig+uint16(d), true)
		b.AttrBE32(ctaSeqPos, pos)
		b.AttrBE32(ctaSeqBefore, uint32(before))
		b.AttrBE32(ctaSeqAfter, uint32(after))
		b.EndNest(at)
	}
}
