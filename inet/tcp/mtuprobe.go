package tcp

import (
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// Finding the path MTU by sending larger packets and seeing whether they arrive
// (RFC 4821; Linux: tcp_mtu_probe): it does not need the ICMP errors that some
// routers keep to themselves.

// mtuSearch is what a sock that probes knows (Linux: icsk_mtup). A sock has one
// once probing is enabled: from the start with tcp_mtu_probing 2, when a black
// hole is suspected with 1.
type mtuSearch struct {
	low, high  int    // bytes of a packet that pass, that may
	size       int    // of the probe on its way, 0 for none
	start, end uint32 // and its bytes
	since      int64  // ns: when the search began
}

// mtupInit is tcp_mtup_init.
func (s *Sock) mtupInit() {
	s.mtup = nil
	if s.tcp.conf.mtuProbing.Load() > 1 {
		s.mtupEnable() // the next syncMSS acts on it
	}
}

func (s *Sock) mtupEnable() {
	s.mtup = &mtuSearch{since: s.tcp.now(), low: s.mssToMTU(int(s.tcp.conf.baseMSS.Load())), high: s.mtupTop()}
}

func (s *Sock) mtupTop() int { return s.opt.mssClamp + header.TCPMinLen + header.IPv4MinLen }

// mssToMTU is tcp_mss_to_mtu.
func (s *Sock) mssToMTU(mss int) int {
	n := mss + s.headerLen + header.IPv4MinLen
	if o := s.SendOptions(); o != nil {
		n += o.Len
	}
	return n
}

// mtupBound keeps the MSS to what is known to pass (Linux: the end of
// tcp_sync_mss).
func (s *Sock) mtupBound(mtu, mss int) int {
	p := s.mtup
	if p == nil {
		return mss
	}
	p.high = min(p.high, mtu)
	return min(mss, s.mtuToMSS(p.low))
}

func (s *Sock) mtuProbing() bool { return s.mtup != nil && s.mtup.size != 0 }

func (s *Sock) mtuProbeEnd() uint32   { return s.mtup.end }
func (s *Sock) mtuProbeStart() uint32 { return s.mtup.start }

// mtuProbeAbandon forgets a probe that says nothing.
func (s *Sock) mtuProbeAbandon() { s.mtup.size = 0 }

// mtuProbeFailed is tcp_mtup_probe_failed.
func (s *Sock) mtuProbeFailed() {
	s.mtup.high = s.mtup.size - 1
	s.mtup.size = 0
	s.tcp.inc(mib.TCPMTUPFail)
}

// mtuProbeSuccess is tcp_mtup_probe_success: the window keeps its bytes.
func (s *Sock) mtuProbeSuccess() {
	p := s.mtup
	s.priorSSThr = s.currentSSThr()
	s.cwnd = max(1, uint32(uint64(s.cwnd)*uint64(s.mssToMTU(s.mssCache))/uint64(p.size)))
	s.cwndCnt = 0
	s.cwndStamp = s.tcp.now()
	s.ssthresh = s.currentSSThr()
	p.low, p.size = p.size, 0
	s.syncMSS(s.pmtu)
	s.tcp.inc(mib.TCPMTUPSuccess)
}

// mtuBlackHole makes packets smaller when large ones seem to vanish (Linux:
// tcp_mtu_probing).
func (s *Sock) mtuBlackHole() {
	c := &s.tcp.conf
	if c.mtuProbing.Load() == 0 {
		return
	}
	if p := s.mtup; p == nil {
		s.mtupEnable()
	} else {
		mss := min(s.mtuToMSS(p.low)>>1, int(c.baseMSS.Load()))
		mss = max(mss, int(c.probeFloor.Load()), int(c.minMSS.Load()))
		p.low = s.mssToMTU(mss)
	}
	s.syncMSS(s.pmtu)
}

// mtuReprobe begins the search again after a while: the path may have changed
// (Linux: tcp_mtu_check_reprobe).
func (s *Sock) mtuReprobe() {
	p := s.mtup
	if now := s.tcp.now(); now-p.since >= int64(s.tcp.conf.probeInterval.Load())*sec {
		p.low, p.high, p.size, p.since = s.mssToMTU(s.currentMSS()), s.mtupTop(), 0, now
	}
}

// What mtuProbe did.
const (
	probeNone = iota // nothing: send as ever
	probeWait        // nothing, and nothing else is to be sent: a probe is due
	probeSent
)

// mtuProbe sends a larger packet if it is time to (Linux: tcp_mtu_probe).
func (s *Sock) mtuProbe() int {
	p := s.mtup
	if p == nil || p.size != 0 || s.caState != caOpen || s.cwnd < 11 || s.numSacks != 0 || s.hasDup {
		return probeNone
	}
	s.currentMSS()
	size := s.mtuToMSS((p.high + p.low) >> 1)
	need := size + int(s.reordering+1)*s.mssCache
	if size > s.mtuToMSS(p.high) || p.high-p.low < int(s.tcp.conf.probeThreshold.Load()) {
		s.mtuReprobe()
		return probeNone
	}
	if int(s.writeSeq-s.sndNxt) < need || int(s.sndWnd) < need {
		return probeNone
	}
	if after(s.sndNxt+uint32(need), s.wndEnd()) {
		return probeWait
	}
	if in := s.inFlight(); in+2 > s.cwnd {
		if in == 0 {
			return probeNone
		}
		return probeWait
	}
	if s.pacingCheck() {
		return probeNone
	}
	b := s.mtuProbeSegment(size)
	if b == nil {
		return probeNone
	}
	setSegs(b, size)
	if s.transmit(b, true, s.rcvNxt) != nil {
		tx(b).segs = 0
		return probeNone
	}
	s.cwnd-- // it is nearly two packets
	s.newDataSent(b)
	p.size = s.mssToMTU(b.Len())
	p.start, p.end = tx(b).seq, tx(b).end
	return probeSent
}

// mtuProbeSegment makes the first segment to send size bytes long, nil if that
// cannot be: cut if it is longer, joined with those behind it if it is not.
func (s *Sock) mtuProbeSegment(size int) *skb.Buff {
	first := s.wq.sent()
	b := s.wq.at(first)
	for b.Len() < size {
		if first+1 >= s.wq.len() || tx(b).eor || b.TxFlags != 0 || b.Cloned() {
			return nil
		}
		n := s.wq.at(first + 1)
		if k := size - b.Len(); n.Len() > k && !s.fragment(first+1, k, s.mssCache, false) {
			return nil
		}
		if !s.appendCopy(b, n) {
			return nil
		}
		tx(b).end = tx(n).end
		tx(b).flags |= tx(n).flags
		tx(b).eor = tx(n).eor
		tx(b).segs = 0
		s.growCharge(b, n.Len())
		s.wq.remove(first + 1)
		s.freeTx(n)
	}
	if b.Len() > size && !s.fragment(first, size, s.mssCache, false) {
		return nil
	}
	return s.wq.at(first)
}

// appendCopy copies the bytes of n to the end of b, all or none.
func (s *Sock) appendCopy(b, n *skb.Buff) bool {
	pg := s.tcp.cache.Pool().Alloc()
	if pg == nil {
		return false
	}
	defer pg.Put()
	k := n.Len()
	return k <= len(pg.Bytes()) && n.CopyBits(0, pg.Bytes()[:k]) == k && b.AppendFrag(pg, 0, k)
}
