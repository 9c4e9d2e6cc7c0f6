package ip

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"barewire/napi"
	"barewire/skb/header"
)

// Size of the table of peers: sets of ways entries. 8192 peers cost 512 KiB,
// taken when the first one is needed.
const (
	peerSets = 2048
	peerWays = 4
)

// peer is what is remembered of a host we sent errors to or take fragments
// from (Linux: struct inet_peer).
type peer struct {
	addr    header.Addr
	ifindex int32 // 0 unless the address alone does not name the host
	used    bool

	stamp     int64 // last use, for eviction
	tokens    int64 // ns of credit
	last      int64 // when tokens were counted last; of redirects the last one sent
	redirects int32
	rid       uint32 // datagrams in fragments seen
}

// peerTable remembers peers in sets chosen by a hash under a secret key. A new
// one takes the place of the one of its set unused for longest, so that the
// table never grows; a peer forgotten that way gets a fresh allowance, which
// the limit for the whole stack still bounds.
type peerTable struct {
	clock napi.Clock
	key   uint64
	mu    sync.Mutex
	sets  [][peerWays]peer
}

func (t *peerTable) init(dev *napi.Net) {
	t.clock = dev.Clock()
	var k [8]byte
	dev.Rand(k[:])
	t.key = binary.LittleEndian.Uint64(k[:]) | 1
}

// get returns the entry of a host, made if need be (Linux: inet_getpeer_v4).
// The caller holds mu. A new one has full credit.
func (t *peerTable) get(a header.Addr, ifindex int32, now int64) *peer {
	if t.sets == nil {
		t.sets = make([][peerWays]peer, peerSets)
	}
	hi, lo := bits.Mul64((uint64(a)<<32|uint64(uint32(ifindex)))^t.key, 0x9e3779b97f4a7c15)
	set := &t.sets[(hi^lo)%peerSets]
	victim := &set[0]
	for i := range set {
		p := &set[i]
		if p.used && p.addr == a && p.ifindex == ifindex {
			p.stamp = now
			return p
		}
		if !p.used || victim.used && p.stamp < victim.stamp {
			victim = p
		}
	}
	*victim = peer{addr: a, ifindex: ifindex, used: true, stamp: now, last: now - 60e9}
	return victim
}

// allow reports whether another message may go to a host at one per interval
// ns, with a burst of six (Linux: inet_peer_xrlim_allow).
func (t *peerTable) allow(a header.Addr, interval int64) bool {
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.get(a, 0, now)
	// As in Linux time is counted in ticks, and the credit is cut to the burst
	// only when some of it passed: allowError draws on the same credit, and has
	// a burst of its own.
	if past := (now - p.last) / int64(tick) * int64(tick); past > 0 {
		p.tokens = min(p.tokens+past, 6*interval)
		p.last += past
	}
	ok := p.tokens >= interval
	if ok {
		p.tokens -= interval
	}
	return ok
}

// allowError is the limit of ip_error: what an unreachable message costs, out
// of a credit of at most burst.
func (t *peerTable) allowError(a header.Addr, cost, burst int64) bool {
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.get(a, 0, now)
	p.tokens = min(p.tokens+now-p.last, burst)
	p.last = now
	if p.tokens < cost {
		return false
	}
	p.tokens -= cost
	return true
}

// allowRedirect is the limit of ip_rt_send_redirect: ever rarer to a host that
// does not listen, and no more after number of them until it was silent for a
// while.
func (t *peerTable) allowRedirect(a header.Addr, c *Conf) bool {
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.get(a, 0, now)
	if now > p.last+c.RedirectSilence.Load() {
		p.tokens, p.redirects = 0, 0
	}
	if p.redirects >= c.RedirectNumber.Load() {
		p.last = now // it goes on; so does the silence
		return false
	}
	if p.redirects != 0 && now <= p.last+c.RedirectLoad.Load()<<p.redirects {
		return false
	}
	p.last = now
	p.redirects++
	return true
}

// fragment counts a fragment of a host and returns the count (Linux:
// ip_frag_too_far's peer->rid).
func (t *peerTable) fragment(a header.Addr, ifindex int32) uint32 {
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.get(a, ifindex, now)
	p.rid++
	return p.rid
}

// AllowICMP reports whether the rate limit per destination lets another
// message go (Linux: the peer half of icmpv4_xrlim_allow).
func (n *Net) AllowICMP(dst header.Addr) bool {
	// An interval of 0 lets all go, and leaves no credit for when there is one.
	return n.peers.allow(dst, n.Conf.ICMPRateLimit.Load())
}
