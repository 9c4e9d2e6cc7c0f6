package tcp

import (
	"sync"
	"sync/atomic"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
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
