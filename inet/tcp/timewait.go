package tcp

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// timewait is what is kept of a connection that is over (Linux: struct
// tcp_timewait_sock): as much as is needed to answer what is still under way.
// It begins with its timer.
type timewait struct {
	timer napi.Timer
	t     *TCP
	e     entry
	mu    sync.Mutex
	dead  bool
	bind  binding

	// Softirq code changes these, connect and /proc/net/tcp read them.
	substate      atomic.Uint32 // TimeWait or FinWait2
	tsRecent      atomic.Uint32
	tsRecentStamp atomic.Int64

	rcvNxt    uint32
	sndNxt    uint32
	rcvWnd    uint32
	rcvWScale uint8
	tos       uint8
	tsOffset  uint32
	hasTS     bool
	anySrc    bool // of a transparent sock (tw_transparent)
	timeout   int64
	lastOOW   int64
	mark      uint32
	priority  uint32
	ino       uint64
	md5       *md5Key
}

// timeWait moves a sock to TIME_WAIT, or an orphan in FIN_WAIT2 to a bucket that
// waits for the peer's FIN (Linux: tcp_time_wait).
func (s *Sock) timeWait(state uint32, timeout int64) {
	t := s.tcp
	s.saveMetrics()
	if e := &s.e; s.hashed && t.tw.Load() < int64(t.conf.maxTW.Load()) {
		w := &timewait{t: t, rcvNxt: s.rcvNxt, sndNxt: s.sndNxt, rcvWnd: s.receiveWindow(),
			rcvWScale: s.opt.rcvWScale, tos: s.TOS() | s.ecn&ecnECT>>6<<1,
			tsOffset: s.tsOffset, hasTS: s.opt.tsOK, anySrc: s.Opt(ip.OptTransparent), mark: s.Mark(), priority: s.Priority(), ino: s.Ino(), md5: s.md5Peer()}
		w.substate.Store(state)
		w.tsRecent.Store(s.opt.tsRecent)
		w.tsRecentStamp.Store(s.opt.tsRecentStamp)
		w.e = entry{key: e.key, dev: e.dev, kind: entryTimewait}
		w.timer.Init(t.timers, twTimer)
		if timeout < s.rto<<2-s.rto>>1 {
			timeout = s.rto<<2 - s.rto>>1
		}
		if state == TimeWait {
			timeout = timeWaitLen
		}
		w.timeout = timeout
		// The port goes along, then the place in the table.
		t.tab.bmu.Lock()
		if s.bind.bucket != nil {
			w.bind = s.bind
			s.bind.bucket = nil
		}
		t.tab.bmu.Unlock()
		t.tw.Add(1)
		w.mu.Lock()
		if t.tab.insert(&w.e, e) {
			s.hashed = false
			w.timer.Mod(t.now() + timeout)
			w.mu.Unlock()
		} else {
			w.mu.Unlock()
			w.kill()
		}
	} else {
		t.inc(mib.TCPTimeWaitOverflow)
	}
	s.done()
}

// stamp keeps a timestamp of the peer's.
func (w *timewait) stamp(tsval uint32) {
	w.tsRecent.Store(tsval)
	w.tsRecentStamp.Store(w.t.now())
}

func twTimer(tm *napi.Timer) {
	w := (*timewait)(unsafe.Pointer(tm))
	if w.kill() {
		w.t.inc(mib.TW)
	}
}

// kill ends it (Linux: inet_twsk_kill).
func (w *timewait) kill() bool {
	w.t.tab.remove(&w.e)
	return w.gone()
}

// gone ends one that is out of the table already.
func (w *timewait) gone() bool {
	if !w.end() {
		return false
	}
	h := &w.t.tab
	h.bmu.Lock()
	h.drop(&w.bind)
	h.bmu.Unlock()
	return true
}

// end is gone but for the port, which stays in use.
func (w *timewait) end() bool {
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return false
	}
	w.dead = true
	w.timer.Del()
	w.mu.Unlock()
	w.t.tw.Add(-1)
	return true
}

func (w *timewait) reschedule(d int64) {
	w.mu.Lock()
	if !w.dead {
		w.timer.Mod(w.t.now() + d)
	}
	w.mu.Unlock()
}

// reuse reports whether a new connection of ours may take the place of one in
// TIME_WAIT (Linux: tcp_twsk_unique; RFC 6191): with timestamps its segments
// cannot be mistaken for old ones. It prepares s to go on from there.
func (w *timewait) reuse(s *Sock, chosen bool) bool {
	t := w.t
	reuse := t.conf.twReuse.Load()
	if w.substate.Load() != TimeWait || reuse == 2 && !(w.e.key.laddr.IsLoopback() || w.e.key.raddr.IsLoopback()) {
		reuse = 0
	}
	stamp := w.tsRecentStamp.Load()
	if stamp == 0 || !chosen && (reuse == 0 || t.now()-stamp <= int64(t.conf.twReuseDelay.Load())*ms) {
		return false
	}
	if s.repairing() {
		return true
	}
	s.writeSeq = w.sndNxt + 65535 + 2
	if s.writeSeq == 0 {
		s.writeSeq = 1
	}
	s.opt.tsRecent, s.opt.tsRecentStamp = w.tsRecent.Load(), w.tsRecentStamp.Load()
	return true
}

// Verdicts of timewait.process (Linux: enum tcp_tw_status).
const (
	twSuccess = iota
	twRST
	twACK
	twSYN
)

// process takes a segment for a connection that is over (Linux:
// tcp_timewait_state_process; RFC 9293 section 3.10.7.4, RFC 1122 section
// 4.2.2.13). isn is what a SYN that may open it again begins at.
func (w *timewait) process(b *skb.Buff, h header.TCP) (verdict int, isn uint32) {
	t := w.t
	cb := rx(b)
	var o parsedOpts
	parseOptions(h, &o)
	reject := false
	rst := cb.flags&header.TCPRst != 0
	if o.hasTS && w.tsRecentStamp.Load() != 0 {
		reject = !pawsOK(w.tsRecent.Load(), w.tsRecentStamp.Load(), o.tsval, 0, t.now())
		if reject && rst && t.now() >= w.tsRecentStamp.Load()+msl {
			reject = false
		}
	}
	inWindow := func() bool {
		end := w.rcvNxt + w.rcvWnd
		if cb.seq == w.rcvNxt || after(cb.end, w.rcvNxt) && before(cb.seq, end) {
			return true
		}
		return cb.seq == end && cb.seq == cb.end
	}
	if w.substate.Load() == FinWait2 {
		if reject || !inWindow() {
			return w.ackVerdict(mib.TCPACKSkippedFinWait2), 0
		}
		if rst {
			w.kill()
			return twSuccess, 0
		}
		if cb.flags&header.TCPSyn != 0 && !before(cb.seq, w.rcvNxt) {
			return twRST, 0
		}
		if cb.flags&header.TCPAck == 0 || !after(cb.end, w.rcvNxt) || cb.end == cb.seq {
			return twSuccess, 0
		}
		// New data after the program closed.
		if cb.flags&header.TCPFin == 0 || cb.end != w.rcvNxt+1 {
			w.kill()
			return twRST, 0
		}
		w.substate.Store(TimeWait)
		w.rcvNxt = cb.end
		if o.hasTS {
			w.stamp(o.tsval)
		}
		w.reschedule(timeWaitLen)
		return twACK, 0
	}
	if !reject && cb.seq == w.rcvNxt && (cb.seq == cb.end || rst) {
		if rst {
			if t.conf.rfc1337.Load() == 0 {
				w.kill()
				return twSuccess, 0
			}
		} else {
			w.reschedule(timeWaitLen)
		}
		if o.hasTS {
			w.stamp(o.tsval)
		}
		return twSuccess, 0
	}
	// A SYN that cannot be an old duplicate opens the connection again.
	if cb.flags&header.TCPSyn != 0 && !rst && cb.flags&header.TCPAck == 0 && !reject &&
		(after(cb.seq, w.rcvNxt) || o.hasTS && w.tsRecentStamp.Load() != 0 && int32(w.tsRecent.Load()-o.tsval) < 0) {
		isn = w.sndNxt + 65535 + 2
		if isn == 0 {
			isn++
		}
		return twSYN, isn
	}
	if reject {
		t.inc(mib.PAWSTimewait)
	}
	if !rst {
		if reject || cb.flags&header.TCPAck != 0 {
			w.reschedule(timeWaitLen)
		}
		return w.ackVerdict(mib.TCPACKSkippedTimeWait), 0
	}
	return twSuccess, 0
}

func (w *timewait) ackVerdict(counter int) int {
	if w.t.oowLimited(counter, &w.lastOOW) {
		return twSuccess
	}
	return twACK
}

// pawsOK is tcp_paws_check.
func pawsOK(recent uint32, stamp int64, tsval uint32, win int32, now int64) bool {
	return int32(recent-tsval) <= win || now >= stamp+paws24Days || recent == 0
}

// sendAck is tcp_v4_timewait_ack.
func (w *timewait) sendAck(b *skb.Buff) {
	r := reply{md5: w.md5, key: w.e.key, seq: w.sndNxt, ack: w.rcvNxt, flags: header.TCPAck, win: uint16(min(w.rcvWnd>>w.rcvWScale, 65535)),
		tos: w.tos, mark: w.mark, dev: w.e.dev, transparent: w.anySrc}
	if w.hasTS {
		r.ts, r.tsval, r.tsecr = true, uint32(w.t.now()/1e6)+w.tsOffset, w.tsRecent.Load()
	}
	w.t.sendReply(&r, ip.RtableOf(b))
}
