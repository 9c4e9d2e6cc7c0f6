package conntrack

import (
	"encoding/binary"
	"hash/crc32"

	"barewire/netfilter"
	"barewire/skb"
)

// SCTPState is where an association is (Linux: enum sctp_conntrack).
type SCTPState uint8

// States of SCTP, with Linux's numbers.
const (
	SCTPNone SCTPState = iota
	SCTPClosed
	SCTPCookieWait
	SCTPCookieEchoed
	SCTPEstablished
	SCTPShutdownSent
	SCTPShutdownRecd
	SCTPShutdownAckSent
	SCTPHeartbeatSent
	sctpStateMax
)

const sctpInvalid SCTPState = 100

var sctpStateNames = [sctpStateMax]string{ // read-only
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED",
	"SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT",
}

// String returns the name listings have.
func (s SCTPState) String() string {
	if s < sctpStateMax {
		return sctpStateNames[s]
	}
	return "UNKNOWN"
}

// SCTPTimeoutNames are the settings nf_conntrack_sctp_timeout_* by index of
// Settings.SCTPTimeout.
var SCTPTimeoutNames = [sctpStateMax]string{ // read-only
	SCTPClosed: "closed", SCTPCookieWait: "cookie_wait", SCTPCookieEchoed: "cookie_echoed", SCTPEstablished: "established",
	SCTPShutdownSent: "shutdown_sent", SCTPShutdownRecd: "shutdown_recd", SCTPShutdownAckSent: "shutdown_ack_sent",
	SCTPHeartbeatSent: "heartbeat_sent",
}

// sctpTimeouts are the defaults in seconds.
var sctpTimeouts = [sctpStateMax]int{10, 10, 3, 3, 210, 3, 3, 3, 30} // read-only

// Chunk types (RFC 9260 section 3.2).
const (
	chunkData             = 0
	chunkInit             = 1
	chunkInitAck          = 2
	chunkHeartbeat        = 4
	chunkHeartbeatAck     = 5
	chunkAbort            = 6
	chunkShutdown         = 7
	chunkShutdownAck      = 8
	chunkError            = 9
	chunkCookieEcho       = 10
	chunkCookieAck        = 11
	chunkShutdownComplete = 14

	sctpHdrLen  = 12
	sctpChunk   = 4
	sctpInitLen = 16 // of the fixed part of INIT behind the chunk's header
	sctpFlagT   = 1  // the tag is the receiver's own (section 8.5.1)
)

// sctpNext is the state machine by direction, chunk and state (Linux:
// sctp_conntracks). Chunks without a row change nothing.
var sctpNext = func() (t [NumDirs]map[uint8][sctpStateMax]SCTPState) { // read-only
	const (
		no, cl, cw, ce, es = SCTPNone, SCTPClosed, SCTPCookieWait, SCTPCookieEchoed, SCTPEstablished
		ss, sr, sa, hs, iv = SCTPShutdownSent, SCTPShutdownRecd, SCTPShutdownAckSent, SCTPHeartbeatSent, sctpInvalid
	)
	type rows = map[uint8][sctpStateMax]SCTPState
	t[Original] = rows{
		//                    no  cl  cw  ce  es  ss  sr  sa  hs
		chunkInit:             {cl, cl, cw, ce, es, cl, cl, sa, cw},
		chunkInitAck:          {cl, cl, cw, ce, es, ss, sr, sa, cl},
		chunkAbort:            {cl, cl, cl, cl, cl, cl, cl, cl, cl},
		chunkShutdown:         {cl, cl, cw, ce, ss, ss, sr, sa, cl},
		chunkShutdownAck:      {sa, cl, cw, ce, es, sa, sa, sa, sa},
		chunkError:            {cl, cl, cw, ce, es, ss, sr, sa, cl},
		chunkCookieEcho:       {cl, cl, ce, ce, es, ss, sr, sa, cl},
		chunkCookieAck:        {cl, cl, cw, es, es, ss, sr, sa, cl},
		chunkShutdownComplete: {cl, cl, cw, ce, es, ss, sr, cl, cl},
		chunkHeartbeat:        {hs, cl, cw, ce, es, ss, sr, sa, hs},
		chunkHeartbeatAck:     {cl, cl, cw, ce, es, ss, sr, sa, hs},
	}
	t[Reply] = rows{
		chunkInit:             {iv, cl, cw, ce, es, ss, sr, sa, iv},
		chunkInitAck:          {iv, cw, cw, ce, es, ss, sr, sa, iv},
		chunkAbort:            {iv, cl, cl, cl, cl, cl, cl, cl, iv},
		chunkShutdown:         {iv, cl, cw, ce, sr, ss, sr, sa, iv},
		chunkShutdownAck:      {iv, cl, cw, ce, es, sa, sa, sa, iv},
		chunkError:            {iv, cl, cw, cl, es, ss, sr, sa, iv},
		chunkCookieEcho:       {iv, cl, ce, ce, es, ss, sr, sa, iv},
		chunkCookieAck:        {iv, cl, cw, es, es, ss, sr, sa, iv},
		chunkShutdownComplete: {iv, cl, cw, ce, es, ss, sr, cl, iv},
		chunkHeartbeat:        {iv, cl, cw, ce, es, ss, sr, sa, hs},
		chunkHeartbeatAck:     {iv, cl, cw, ce, es, ss, sr, sa, es},
	}
	return t
}()

// next is the state a chunk leads to.
func (s SCTPState) next(d Dir, chunk uint8) SCTPState {
	if row, ok := sctpNext[d][chunk]; ok {
		return row[s]
	}
	return s
}

// sctpState is what is known of an association (Linux: struct ip_ct_sctp).
type sctpState struct {
	tag     [NumDirs]uint32 // verification tag of the packets of a direction
	state   SCTPState
	lastDir Dir
	began   [NumDirs]bool // an INIT was seen, and no COOKIE ACK since
	strange bool          // a HEARTBEAT had another tag
}

// chunk is one of a packet.
type chunk struct {
	typ, flags uint8
	body       []byte // what is linear of it
}

// sctpSumOK verifies the checksum (RFC 9260 appendix A), as sumOK does those of others.
func (t *Table) sctpSumOK(p *packet) bool {
	if p.point != netfilter.PreRouting || t.Conf.Checksum.Load() == 0 || p.b.IPSummed != skb.ChecksumNone {
		return true
	}
	poly := crc32.MakeTable(crc32.Castagnoli) // made by the first packet, not at boot: it takes 14 ms under TCG
	sum := crc32.Update(0, poly, p.l4[:8])
	sum = crc32.Update(sum, poly, make([]byte, 4))
	p.b.Walk(p.off+sctpHdrLen, p.len-sctpHdrLen, func(b []byte) bool {
		sum = crc32.Update(sum, poly, b)
		return true
	})
	return binary.LittleEndian.Uint32(p.l4[8:]) == sum
}

// maxChunks bounds how many chunks of a packet are looked at.
const maxChunks = 64

// sctpChunks cuts a packet into chunks and notes which types there are. False
// for what RFC 9260 section 6.10 does not allow: an INIT, INIT ACK or SHUTDOWN
// COMPLETE with others, a cookie that is not first, a chunk without length.
func (p *packet) sctpChunks(l []chunk, seen *[4]uint64) ([]chunk, bool) {
	alone := false
	for at := sctpHdrLen; at < p.len && at+sctpChunk <= len(p.l4); {
		c := chunk{typ: p.l4[at], flags: p.l4[at+1]}
		n := int(binary.BigEndian.Uint16(p.l4[at+2:]))
		alone = alone || c.typ == chunkInit || c.typ == chunkInitAck || c.typ == chunkShutdownComplete
		if n == 0 || len(l) > 0 && (alone || c.typ == chunkCookieAck || c.typ == chunkCookieEcho) || len(l) == maxChunks {
			return nil, false
		}
		c.body = p.l4[at+sctpChunk:]
		l = append(l, c)
		seen[c.typ>>6] |= 1 << (c.typ & 63)
		at += (n + 3) &^ 3
	}
	return l, len(l) > 0
}

// sctpPacket is nf_conntrack_sctp_packet.
func (t *Table) sctpPacket(c *Conn, p *packet, info Info) verdict {
	refuse := func(why string) verdict {
		t.invalid(p, why)
		return trackInvalid
	}
	if !p.need(sctpHdrLen) {
		return refuse("short packet")
	}
	if !t.sctpSumOK(p) {
		return refuse("bad CRC")
	}
	// The chunks are read where they lie.
	if !p.need(p.len) {
		return refuse("no memory")
	}
	var seen [4]uint64
	has := func(types ...uint8) bool {
		for _, typ := range types {
			if seen[typ>>6]>>(typ&63)&1 != 0 {
				return true
			}
		}
		return false
	}
	var room [8]chunk
	chunks, ok := p.sctpChunks(room[:0], &seen)
	if !ok {
		return refuse("chunks that do not go together")
	}
	tag := binary.BigEndian.Uint32(p.l4[4:])
	d := info.Dir()
	c.mu.Lock()
	s := &c.proto.sctp
	v := func() windowVerdict {
		// Out of the blue (section 8.4): these begin nothing.
		if !c.IsConfirmed() && (has(chunkAbort, chunkShutdownComplete, chunkCookieAck) || !s.begin(chunks, tag)) {
			return outOfWindow
		}
		if tag != s.tag[d] && !has(chunkInit, chunkShutdownComplete, chunkCookieEcho, chunkAbort,
			chunkShutdownAck, chunkHeartbeat, chunkHeartbeatAck) {
			return outOfWindow
		}
		return s.chunks(c, d, chunks, tag, has(chunkData))
	}()
	state := s.state
	c.mu.Unlock()
	switch v {
	case outOfWindow:
		return refuse("tag or state does not fit")
	case inWindow:
		c.refresh(p, info, t.Conf.SCTPTimeout[state].Load())
	}
	return trackOK
}

// initTag is the tag an INIT or INIT ACK announces.
func (c *chunk) initTag() (tag uint32, ok bool) {
	if len(c.body) < sctpInitLen {
		return 0, false
	}
	return binary.BigEndian.Uint32(c.body), true
}

// begin starts an association (Linux: sctp_new).
func (s *sctpState) begin(l []chunk, tag uint32) bool {
	*s = sctpState{}
	for i := range l {
		c := &l[i]
		if n := SCTPNone.next(Original, c.typ); n == SCTPNone || n == sctpInvalid {
			return false
		}
		switch c.typ {
		case chunkInit:
			own, ok := c.initTag()
			if tag != 0 || !ok { // section 8.5.1 A
				return false
			}
			s.tag[Reply] = own
		case chunkHeartbeat, chunkHeartbeatAck:
			s.tag[Original] = tag
		default:
			s.tag[Reply] = tag // the answer comes with the same (section 8.4)
		}
	}
	return true
}

// chunks follows the chunks of a packet. A stale one lets the packet pass
// without refreshing the connection.
func (s *sctpState) chunks(c *Conn, d Dir, l []chunk, tag uint32, data bool) windowVerdict {
	v := inWindow
	for i := range l {
		k := &l[i]
		switch ok, skip := s.checkTag(d, k, tag, data || v == staleSegment); {
		case !ok:
			return outOfWindow
		case skip:
			v = staleSegment
			continue
		}
		old := s.state
		next := old.next(d, k.typ)
		if next == sctpInvalid {
			return outOfWindow
		}
		switch k.typ {
		case chunkInit:
			own, ok := k.initTag()
			if !ok {
				return outOfWindow
			}
			if !c.IsConfirmed() || own != s.tag[d.Other()] { // not the same INIT again
				if s.began[d] && s.began[d.Other()] {
					s.began[d.Other()] = false
				}
				s.began[d] = true
			}
			s.tag[d.Other()] = own
			if next == SCTPClosed && old == SCTPClosed && c.IsConfirmed() {
				v = staleSegment // repeating it does not keep it alive
			}
		case chunkInitAck:
			own, ok := k.initTag()
			before := s.tag[d.Other()]
			if !ok || !s.began[d.Other()] && before != 0 && before != own ||
				s.began[d] && s.began[d.Other()] && before != own {
				return outOfWindow
			}
			s.tag[d.Other()] = own
		}
		s.state = next
		if old != next {
			c.Note(EventProtoInfo)
			if next == SCTPEstablished && c.SetStatus(Assured)&Assured == 0 {
				c.Note(EventAssured)
			}
		}
	}
	return v
}

// checkTag is the special cases of RFC 9260 section 8.5.1, and the heartbeats of
// associations over several paths, which may begin on a path with a tag we never
// saw. skip passes over the chunk.
func (s *sctpState) checkTag(d Dir, k *chunk, tag uint32, strict bool) (ok, skip bool) {
	switch k.typ {
	case chunkInit:
		return tag == 0, false
	case chunkAbort, chunkShutdownComplete:
		if k.flags&sctpFlagT != 0 {
			d = d.Other()
		}
		return tag == s.tag[d], false
	case chunkCookieEcho:
		return tag == s.tag[d], false
	case chunkCookieAck:
		s.began = [NumDirs]bool{}
	case chunkHeartbeat, chunkHeartbeatAck:
		switch {
		case s.tag[d] == 0:
			s.tag[d] = tag
		case tag == s.tag[d]:
			s.strange = false
		case strict:
			return false, false
		case k.typ == chunkHeartbeat:
			s.strange, s.lastDir = true, d
			return true, true
		case !s.strange || s.lastDir == d:
			return false, false
		default: // answers the strange one: the tags have changed
			s.strange = false
			s.tag[d], s.tag[d.Other()] = tag, 0
		}
	}
	return true, false
}

// SCTPInfo returns the state of an association and the verification tags of both
// directions.
func (c *Conn) SCTPInfo() (state SCTPState, tags [NumDirs]uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proto.sctp.state, c.proto.sctp.tag
}

// SCTPState returns the state of an association.
func (c *Conn) SCTPState() SCTPState {
	s, _ := c.SCTPInfo()
	return s
}
