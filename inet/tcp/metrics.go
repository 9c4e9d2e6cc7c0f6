package tcp

import (
	"sync"

	"barewire/inet/fib"
	"barewire/inet/ip"
)

// What one connection learnt of the way to a peer, for the next (Linux:
// net/ipv4/tcp_metrics.c), and what the route says of it.

// metricsMax bounds the peers remembered. When there is one more an arbitrary
// one is forgotten: its next connection learns again.
const metricsMax = 1024

// metricsAge is for how long it is believed (Linux: TCP_METRICS_TIMEOUT).
const metricsAge = 3600 * sec

// peerMetrics is what is known. Times are in us, rtt shifted by 3 and rttvar by
// 2, as a sock has them; 0 is not known.
type peerMetrics struct {
	rtt, rttvar, ssthresh, cwnd, reordering uint32
	at                                      int64
}

// metricsCache is the table; it is read when a connection opens and written when
// one ends.
type metricsCache struct {
	mu sync.Mutex
	m  map[fastopenPeer]*peerMetrics
}

// find returns what is known of a peer, nil if nothing is; mu is held.
func (c *metricsCache) find(p fastopenPeer, now int64) *peerMetrics {
	m := c.m[p]
	if m != nil && now-m.at > metricsAge {
		delete(c.m, p)
		return nil
	}
	return m
}

// add makes an entry for a peer that has none; mu is held.
func (c *metricsCache) add(p fastopenPeer) *peerMetrics {
	if c.m == nil {
		c.m = map[fastopenPeer]*peerMetrics{}
	}
	for k := range c.m {
		if len(c.m) < metricsMax {
			break
		}
		delete(c.m, k)
	}
	m := &peerMetrics{}
	c.m[p] = m
	return m
}

// FlushMetrics forgets what is known of all peers, their Fast Open cookies
// included (ip tcp_metrics flush all).
func (t *TCP) FlushMetrics() {
	t.metrics.mu.Lock()
	clear(t.metrics.m)
	t.metrics.mu.Unlock()
	t.fo.cache.mu.Lock()
	clear(t.fo.cache.m)
	t.fo.cache.mu.Unlock()
}

// get returns a copy of what is known of a peer.
func (c *metricsCache) get(p fastopenPeer, now int64) (m peerMetrics) {
	c.mu.Lock()
	if e := c.find(p, now); e != nil {
		m = *e
	}
	c.mu.Unlock()
	return m
}

// metricsFrom begins with what the route says (Linux: tcpm_suck_dst).
func metricsFrom(rt *ip.Rtable) (m peerMetrics) {
	if rt != nil {
		m.rtt, m.rttvar = rt.Metric(fib.RTAXRTT)*1000, rt.Metric(fib.RTAXRTTVar)*1000
		m.ssthresh, m.cwnd, m.reordering = rt.Metric(fib.RTAXSSThresh), rt.Metric(fib.RTAXCwnd), rt.Metric(fib.RTAXReordering)
	}
	return m
}

// locked reports whether a route says that a metric is not to be learnt.
func locked(rt *ip.Rtable, metric int) bool {
	return rt != nil && rt.Metric(fib.RTAXLock)>>metric&1 != 0
}

// routeRTOMin takes the least timeout of the route, if it says one (Linux:
// tcp_rto_min).
func (s *Sock) routeRTOMin(rt *ip.Rtable) {
	if locked(rt, fib.RTAXRTOMin) {
		s.own().rtoMin = int64(rt.Metric(fib.RTAXRTOMin)) * ms
	}
}

// saveMetrics keeps what a connection that ends has learnt (Linux:
// tcp_update_metrics).
func (s *Sock) saveMetrics() {
	t := s.tcp
	if t.conf.nometrics.Load() != 0 {
		return
	}
	rt, _ := s.CachedRoute(s.Ident())
	if rt == nil {
		return
	}
	p, now := s.fastopenPeer(), s.ns()
	c := &t.metrics
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.find(p, now)
	if s.backoff != 0 || s.srtt == 0 {
		// It could not measure: what was known may be wrong, too.
		if m != nil && !locked(rt, fib.RTAXRTT) {
			m.rtt = 0
		}
		return
	}
	if m == nil {
		m = c.add(p)
		*m = metricsFrom(rt)
	}
	d := int64(m.rtt) - int64(s.srtt)
	if !locked(rt, fib.RTAXRTT) {
		// Rather too long than too short.
		if d <= 0 {
			m.rtt = s.srtt
		} else {
			m.rtt -= uint32(d >> 3)
		}
	}
	if !locked(rt, fib.RTAXRTTVar) {
		v := uint32(max(max(d, -d)>>1, int64(s.mdev)))
		if v >= m.rttvar {
			m.rttvar = v
		} else {
			m.rttvar -= (m.rttvar - v) >> 2
		}
	}
	s.saveWindow(m, rt)
	if !locked(rt, fib.RTAXReordering) && m.reordering < s.reordering && s.reordering != uint32(t.conf.reordering.Load()) {
		m.reordering = s.reordering
	}
	m.at = max(now, 1)
}

// saveWindow keeps the windows as far as they mean something.
func (s *Sock) saveWindow(m *peerMetrics, rt *ip.Rtable) {
	ssthresh := s.tcp.conf.nossthresh.Load() == 0 && !locked(rt, fib.RTAXSSThresh)
	cwnd := !locked(rt, fib.RTAXCwnd)
	switch {
	case s.inInitialSlowstart():
		if ssthresh && m.ssthresh != 0 && s.cwnd>>1 > m.ssthresh {
			m.ssthresh = s.cwnd >> 1
		}
		if cwnd {
			m.cwnd = max(m.cwnd, s.cwnd)
		}
	case s.cwnd >= s.ssthresh && s.caState == caOpen:
		// Congestion avoidance: the window is to be relied on.
		if ssthresh {
			m.ssthresh = max(s.cwnd>>1, s.ssthresh)
		}
		if cwnd {
			m.cwnd = (m.cwnd + s.cwnd) >> 1
		}
	default:
		if cwnd {
			m.cwnd = (m.cwnd + s.ssthresh) >> 1
		}
		if ssthresh && m.ssthresh != 0 && s.ssthresh > m.ssthresh {
			m.ssthresh = s.ssthresh
		}
	}
}

// initMetrics begins a connection with what is known of the peer (Linux:
// tcp_init_metrics).
func (s *Sock) initMetrics(rt *ip.Rtable) {
	s.ssthresh = infiniteSsthr
	t := s.tcp
	m := peerMetrics{}
	if rt != nil {
		m = t.metrics.get(s.fastopenPeer(), s.ns())
	}
	if m.ssthresh != 0 && t.conf.nossthresh.Load() == 0 {
		s.ssthresh = m.ssthresh
	}
	if m.reordering != 0 {
		s.reordering = m.reordering
	}
	switch {
	case m.rtt > s.srtt:
		rtt := int64(m.rtt>>3) * 1000
		s.rto = min(rtt+max(2*rtt, s.rtoMin), s.rtoMax)
	case s.srtt == 0:
		// No sample from the SYN: be careful (RFC 6298 section 5.7).
		s.rttvar = uint32(timeoutFallback / 1000)
		s.mdev, s.mdevMax = s.rttvar, s.rttvar
		s.rto = timeoutFallback
	}
}
