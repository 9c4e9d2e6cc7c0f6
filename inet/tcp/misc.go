package tcp

import (
	"sync"
	"sync/atomic"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// What keeps a sock from filling the device's queue (Linux: TCP small queues).

// tsqState is a sock's place among those that wait for completions.
type tsqState struct {
	throttled atomic.Bool
	queued    atomic.Bool
	next      *Sock
}

// tsqQueue has the socks whose packets left the device since (Linux:
// tsq_tasklet).
type tsqQueue struct {
	mu    sync.Mutex
	head  *Sock
	timer napi.Timer
	t     *TCP
}

func (q *tsqQueue) init(t *TCP) {
	q.t = t
	q.timer.Init(t.timers, func(*napi.Timer) { q.run() })
}

// add has a sock's sending go on in softirq context. Any context.
func (q *tsqQueue) add(s *Sock) {
	if s.tsq.queued.Swap(true) {
		return
	}
	q.mu.Lock()
	first := q.head == nil
	s.tsq.next = q.head
	q.head = s
	q.mu.Unlock()
	if first {
		q.timer.Mod(0)
	}
}

func (q *tsqQueue) run() {
	q.mu.Lock()
	s := q.head
	q.head = nil
	q.mu.Unlock()
	for s != nil {
		next := s.tsq.next
		s.tsq.next = nil
		s.tsq.queued.Store(false)
		s.BHLock()
		if s.OwnedByUser() {
			s.Defer(deferTSQ)
		} else {
			s.tsqWrite()
		}
		s.bhUnlock()
		s = next
	}
}

// tsqWrite is tcp_tsq_write.
func (s *Sock) tsqWrite() {
	if !inStates(s.State(), fEstablished|fFinWait1|fClosing|fCloseWait|fLastAck) {
		return
	}
	s.refresh()
	if s.lostOut > s.retransOut && s.cwnd > s.inFlight() {
		s.xmitRetransmitQueue()
	}
	s.writeXmit(s.currentMSS(), s.nonagle, 0)
}

func (s *Sock) throttle() { s.tsq.throttled.Store(true) }

// setOwner charges a packet to the sock until the device is done with it
// (Linux: the end of __tcp_transmit_skb).
func (s *Sock) setOwner(b *skb.Buff) {
	s.SetOwnerW(b)
	b.Destructor = wfree
}

// wfree is tcp_wfree. Any context, the sender's own included: no lock of the
// sock may be taken.
func wfree(b *skb.Buff) {
	sk := b.Sk.(*sock.Sock)
	sk.FreeW(b)
	if s, ok := sk.Stream().(*Sock); ok && s.tsq.throttled.Load() && s.tsq.throttled.Swap(false) {
		s.tcp.tsq.add(s)
	}
}

// smallQueueCheck reports whether enough of this sock is in the device's queue
// (Linux: tcp_small_queue_check). factor 1 lets twice as much be there.
func (s *Sock) smallQueueCheck(b *skb.Buff, factor uint) bool {
	limit := max(2*int64(b.Truesize()), int64(min(s.pacingRate, 1<<40)>>pacingShift))
	if s.pacer == nil {
		limit = min(limit, int64(s.tcp.conf.limitOutput.Load()))
	}
	limit <<= factor
	if int64(s.WmemAlloc()) <= limit {
		return false
	}
	if s.wq.sent() <= 1 {
		return false // nothing would bring it going again
	}
	s.throttle()
	return int64(s.WmemAlloc()) > limit
}

// metricAdvMSS is tcp_mss_clamp(dst_metric_advmss).
func (s *Sock) metricAdvMSS(rt *ip.Rtable) int {
	m := int(rt.Metric(metricAdvMSS))
	if s.userMSS != 0 && s.userMSS < m {
		m = s.userMSS
	}
	return m
}

// advertiseMSS is tcp_advertise_mss: never more than the route now takes.
func (s *Sock) advertiseMSS() int {
	if rt, _ := s.CachedRoute(s.Ident()); rt != nil {
		if m := s.metricAdvMSS(rt); m < s.advMSS {
			s.advMSS = m
		}
	}
	return s.advMSS
}

// confirmNeigh tells the neighbour table that the next hop answers.
func (s *Sock) confirmNeigh() {
	id := s.Ident()
	if rt, _ := s.CachedRoute(id); rt != nil {
		s.IP.ConfirmNeighAt(rt, id.Daddr, s.ns())
	}
}

// ECN (RFC 3168).
const (
	ecnOK        uint8 = 1 << iota // both sides can
	ecnQueueCWR                    // the window was reduced: say so
	ecnDemandCWR                   // CE was seen: echo until CWR comes
	ecnSeen                        // a packet with ECT came
)

// ecnSend sets the bits of a segment (Linux: tcp_ecn_send).
func (s *Sock) ecnSend(cb *txCB, h header.TCP, payload int) {
	if s.ecn&ecnOK == 0 || cb.flags&header.TCPSyn != 0 {
		return
	}
	f := h.Flags()
	if payload > 0 && !before(cb.seq, s.sndNxt) && s.ecn&ecnQueueCWR != 0 {
		s.ecn &^= ecnQueueCWR
		f |= header.TCPCwr
	}
	if s.ecn&ecnDemandCWR != 0 {
		f |= header.TCPEce
	}
	h.SetFlags(f)
}

// ecnBits are the ECN bits of the IP header: ECT(0) for new data.
func (s *Sock) ecnBits(b *skb.Buff) uint8 {
	if s.ecn&ecnOK == 0 {
		return 0
	}
	h := header.TCP(b.Data())
	if b.Len() > h.HeaderLen() && !before(h.Seq(), s.sndNxt) {
		return 2
	}
	return 0
}

func (s *Sock) ecnSendSyn(b *skb.Buff) {
	s.ecn = 0
	if s.tcp.conf.ecn.Load() == 1 {
		tx(b).flags |= header.TCPEce | header.TCPCwr
		s.ecn = ecnOK
	}
}

// ecnClearSyn no longer asks for ECN when the SYN goes unanswered (RFC 3168 section
// 6.1.1.1).
func (s *Sock) ecnClearSyn(cb *txCB) {
	if s.tcp.conf.ecnFallback.Load() != 0 {
		// What the peer answers to the first SYN still counts.
		cb.flags &^= header.TCPEce | header.TCPCwr
	}
}

func (s *Sock) ecnSendSynAck(cb *txCB) {
	cb.flags &^= header.TCPCwr
	if s.ecn&ecnOK == 0 {
		cb.flags &^= header.TCPEce
	}
}

func (s *Sock) ecnRcvSynAck(cb *rxCB) {
	if s.ecn&ecnOK != 0 && cb.flags&(header.TCPEce|header.TCPCwr) != header.TCPEce {
		s.ecn = 0
	}
}

func (s *Sock) ecnRcvSyn(cb *rxCB) {
	if s.ecn&ecnOK != 0 && cb.flags&(header.TCPEce|header.TCPCwr) != header.TCPEce|header.TCPCwr {
		s.ecn = 0
	}
}

func (s *Sock) ecnEcho(cb *rxCB) bool {
	return cb.flags&(header.TCPEce|header.TCPSyn) == header.TCPEce && s.ecn&ecnOK != 0
}

func (s *Sock) ecnQueueCWR() {
	if s.ecn&ecnOK != 0 {
		s.ecn |= ecnQueueCWR
	}
}

func (s *Sock) ecnWithdrawCWR() { s.ecn &^= ecnQueueCWR }

// ecnDataRecv looks at the bits of data that arrived (Linux:
// __tcp_ecn_check_ce, tcp_ecn_accept_cwr).
func (s *Sock) ecnDataRecv(b *skb.Buff) {
	if s.ecn&ecnOK == 0 {
		return
	}
	cb := rx(b)
	if cb.flags&header.TCPCwr != 0 {
		s.ecn &^= ecnDemandCWR
		if cb.end != cb.seq {
			s.ack.pending |= ackNow
		}
	}
	switch cb.ds & 3 {
	case 0:
		// Without ECT in the middle of a flow: a retransmission, likely.
		if s.ecn&ecnSeen != 0 {
			s.enterQuickack(2)
		}
	case 3:
		if s.ecn&ecnDemandCWR == 0 {
			s.enterQuickack(2) // the sender should know soon
			s.ecn |= ecnDemandCWR
		}
		s.ecn |= ecnSeen
	default:
		s.ecn |= ecnSeen
	}
}

// ecnRequest decides about a SYN's offer (Linux: tcp_ecn_create_request).
func (r *request) ecnRequest(cb *rxCB, in header.IPv4) {
	if cb.flags&(header.TCPEce|header.TCPCwr) != header.TCPEce|header.TCPCwr {
		return
	}
	if r.listener.tcp.conf.ecn.Load() != 0 && in.TOS()&3 == 0 {
		r.ecnOK = true
	}
}

func (s *Sock) ecnChild(r *request) {
	if r.ecnOK {
		s.ecn = ecnOK
	}
}

// SetRcvLowat implements sock.Stream (Linux: tcp_set_rcvlowat).
func (s *Sock) SetRcvLowat(v int) {
	most := int(s.tcp.conf.rmem[2].Load())
	locked := s.Flag(sock.FlagRcvBufLock)
	if locked {
		most = s.ReceiveBuffer()
	}
	v = min(v, most>>1)
	s.StoreLowat(v)
	s.dataReady()
	s.publish()
	if locked {
		return
	}
	if v <= most>>1 {
		if need := s.spaceFromWin(v); need > s.ReceiveBuffer() {
			s.StoreRcvBuf(min(need, most))
			s.setWindowClamp(uint32(v))
		}
	}
}

// RcvBufChanged implements sock.Stream.
func (s *Sock) RcvBufChanged() { s.publish() }

var _ = mib.TW
