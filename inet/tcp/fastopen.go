package tcp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/napi/sysctl"
	"barewire/skb"
	"barewire/skb/header"
)

// TCP Fast Open (RFC 7413; Linux: net/ipv4/tcp_fastopen.c): the listener's side
// and the keys. A SYN with a cookie that only the listener can make comes from
// an address that is no forgery; so the connection is made, and gets the SYN's
// data, before the handshake ends.

// Bits of tcp_fastopen (Linux: TFO_*).
const (
	foClient         = 1
	foServer         = 2
	foClientNoCookie = 4
	foServerNoCookie = 0x200
	foNoSockopt      = 0x400
)

const (
	foKeyLen    = 16       // TCP_FASTOPEN_KEY_LENGTH
	foCookieLen = 8        // TCP_FASTOPEN_COOKIE_SIZE
	foRstWait   = 60 * sec // how long a RST takes a place of the queue
)

// fastopenState is Fast Open's part of a sock.
type fastopenState struct {
	queue    atomic.Pointer[fastopenQueue] // of a listener; nil if it takes none
	rsk      atomic.Pointer[request]       // of a child whose SYN-ACK is not answered (fastopen_rsk)
	noCookie atomic.Bool                   // TCP_FASTOPEN_NO_COOKIE

	deferConnect atomic.Bool  // connect was called; the SYN waits for data
	req          *fastopenReq // our SYN is being made, or waited for
	connect      bool         // TCP_FASTOPEN_CONNECT
	syn, synExp  bool         // our SYN had the option, the experimental one
	synData      bool         // and data
	dataAcked    bool         // which was acknowledged (syn_data_acked)
	probe        bool         // tries after a black hole (syn_fastopen_ch)
	fail         uint8        // tcpi_fastopen_client_fail
}

// fastopenQueue bounds the connections of a listener whose handshake has not
// ended (Linux: struct fastopen_queue).
type fastopenQueue struct {
	max  atomic.Int32
	keys atomic.Pointer[fastopenKeys] // TCP_FASTOPEN_KEY

	mu  sync.Mutex
	n   int     // children in SYN_RECV, and rst
	rst []int64 // until when those that a RST ended still count
}

// fastopenKeys are the key cookies are made with and one more that they may
// have been made with. Immutable.
type fastopenKeys struct {
	key [2]sipKey
	n   int
}

// fastOpen is Fast Open of the stack.
type fastOpen struct {
	keys   atomic.Pointer[fastopenKeys]
	bhTime atomic.Int32 // tcp_fastopen_blackhole_timeout_sec
	cache  fastopenCache
	hole   fastopenHole
}

// fastopenCookie is a cookie as it stands in the option.
type fastopenCookie struct {
	p   [16]byte
	n   int8 // -1: no option
	exp bool // in the experimental option (RFC 6994), kind 254
}

func (c *fastopenCookie) bytes() []byte { return c.p[:c.n] }

func newFastopenKeys(p []byte) *fastopenKeys {
	k := &fastopenKeys{n: len(p) / foKeyLen}
	for i := range k.n {
		k.key[i] = sipKey{binary.LittleEndian.Uint64(p[i*foKeyLen:]), binary.LittleEndian.Uint64(p[i*foKeyLen+8:])}
	}
	return k
}

func (k *fastopenKeys) bytes() []byte {
	var p []byte
	for i := range k.n {
		p = binary.LittleEndian.AppendUint64(p, k.key[i][0])
		p = binary.LittleEndian.AppendUint64(p, k.key[i][1])
	}
	return p
}

// fastopenKey makes the stack's key when it is first needed (Linux:
// tcp_fastopen_init_key_once).
func (t *TCP) fastopenKey() {
	if t.fo.keys.Load() == nil {
		var p [foKeyLen]byte
		t.dev.Rand(p[:])
		t.fo.keys.CompareAndSwap(nil, newFastopenKeys(p[:]))
	}
}

func (t *TCP) registerFastOpen() {
	t.fo.cache.m = make(map[fastopenPeer]*fastopenEntry)
	t.dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int("net.ipv4.tcp_fastopen_blackhole_timeout_sec", &t.fo.bhTime, 0, 1<<31-1),
			sysctl.Entry{
				Name: "net.ipv4.tcp_fastopen_key",
				Get: func() string {
					p := make([]byte, foKeyLen)
					if k := t.fo.keys.Load(); k != nil {
						p = k.bytes()
					}
					var s []string
					for ; len(p) > 0; p = p[foKeyLen:] {
						le := binary.LittleEndian
						s = append(s, fmt.Sprintf("%08x-%08x-%08x-%08x", le.Uint32(p), le.Uint32(p[4:]), le.Uint32(p[8:]), le.Uint32(p[12:])))
					}
					return strings.Join(s, ",")
				},
				Set: func(s string) error {
					var p []byte
					for i, part := range strings.Split(strings.TrimSpace(s), ",") {
						var w [4]uint32
						if n, err := fmt.Sscanf(part, "%x-%x-%x-%x", &w[0], &w[1], &w[2], &w[3]); n != 4 || err != nil || i > 1 {
							return syscall.EINVAL
						}
						for _, v := range w {
							p = binary.LittleEndian.AppendUint32(p, v)
						}
					}
					t.fo.keys.Store(newFastopenKeys(p))
					return nil
				},
			},
		}
	})
}

// tuneFastOpen sets how many may wait (Linux: fastopen_queue_tune).
func (s *Sock) tuneFastOpen(n int) {
	s.tcp.fastopenKey()
	q := s.fastopenQueue()
	q.max.Store(int32(min(n, int(s.tcp.conf.somaxconn.Load()))))
}

func (s *Sock) fastopenQueue() *fastopenQueue {
	q := s.fastopen.queue.Load()
	if q == nil {
		q = &fastopenQueue{}
		s.fastopen.queue.Store(q)
	}
	return q
}

// listenFastOpen is what listen does for it (Linux: inet_listen).
func (s *Sock) listenFastOpen(backlog int) {
	const both = foNoSockopt | foServer
	if q := s.fastopen.queue.Load(); s.tcp.conf.fastopen.Load()&both == both && (q == nil || q.max.Load() == 0) {
		s.tuneFastOpen(backlog)
	}
}

// setFastopenKey is TCP_FASTOPEN_KEY: one key, or two of which the first makes
// cookies.
func (s *Sock) setFastopenKey(val []byte) error {
	if len(val) != foKeyLen && len(val) != 2*foKeyLen {
		return syscall.EINVAL
	}
	s.fastopenQueue().keys.Store(newFastopenKeys(val))
	return nil
}

// fastopenKeysOf returns the keys of a listener, or the stack's; nil if there
// are none yet.
func (s *Sock) fastopenKeysOf() *fastopenKeys {
	if q := s.fastopen.queue.Load(); q != nil {
		if k := q.keys.Load(); k != nil {
			return k
		}
	}
	return s.tcp.fo.keys.Load()
}

// cookie is what the key makes of the addresses of a SYN (Linux:
// __tcp_fastopen_cookie_gen_cipher; RFC 7413 section 4.1.2).
func (k *sipKey) fastopenCookie(src, dst header.Addr) (c fastopenCookie) {
	var p [8]byte
	binary.BigEndian.PutUint32(p[:], uint32(src))
	binary.BigEndian.PutUint32(p[4:], uint32(dst))
	binary.LittleEndian.PutUint64(c.p[:], k.sum([]uint64{binary.LittleEndian.Uint64(p[:]), 8 << 56}))
	c.n = foCookieLen
	return c
}

// room reports whether one more may be opened (Linux:
// tcp_fastopen_queue_check). One that a RST ended keeps its place for a minute,
// so that whoever steals cookies cannot have ever more connections made.
func (q *fastopenQueue) room(t *TCP) bool {
	if q == nil || q.max.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n < int(q.max.Load()) {
		return true
	}
	if len(q.rst) == 0 || q.rst[0] > t.now() {
		t.inc(mib.TCPFastOpenListenOverflow)
		return false
	}
	q.rst = q.rst[1:]
	q.n--
	return true
}

func (q *fastopenQueue) add(n int) {
	q.mu.Lock()
	q.n += n
	q.mu.Unlock()
}

// fastopenNoCookie is tcp_fastopen_no_cookie.
func (s *Sock) fastopenNoCookie(flag int32, rt *ip.Rtable) bool {
	return s.tcp.conf.fastopen.Load()&flag != 0 || s.fastopen.noCookie.Load() || rt != nil && rt.Metric(fib.RTAXFastOpenNoCookie) != 0
}

// tryFastopen makes the connection of a SYN that may have one (Linux:
// tcp_try_fastopen), locked by BHLock; nil to go on as usual. It notes in r what
// the SYN-ACK says, and takes the data of b, which stays the caller's.
func (r *request) tryFastopen(b *skb.Buff, h header.TCP, o *parsedOpts, rt *ip.Rtable) *Sock {
	l := r.listener
	t := l.tcp
	cb := rx(b)
	asked := o.fo != nil
	r.foc = fastopenCookie{n: -1}
	if asked && len(o.fo) == 0 {
		t.inc(mib.TCPFastOpenCookieReqd)
	}
	data := cb.end != cb.seq+1
	if t.conf.fastopen.Load()&foServer == 0 || !data && !asked || !l.fastopen.queue.Load().room(t) {
		return nil
	}
	k := l.fastopenKeysOf()
	if !l.fastopenNoCookie(foServerNoCookie, rt) {
		if k == nil {
			return nil
		}
		in := header.IPv4(b.NetworkHeader())
		good := k.key[0].fastopenCookie(in.Src(), in.Dst())
		good.exp = o.foExp
		switch {
		case !asked:
			return nil
		case len(o.fo) == 0:
			return r.giveCookie(good)
		case string(o.fo) == string(good.bytes()):
		case k.n == 2 && string(o.fo) == string(old(&k.key[1], in).bytes()):
			// Made with the key before: it is good, and there is a new one.
			t.inc(mib.TCPFastOpenPassiveAltKey)
			r.foc = good
		default:
			t.inc(mib.TCPFastOpenPassiveFail)
			return r.giveCookie(good)
		}
	}
	s := r.fastopenChild(b, h)
	if s == nil {
		t.inc(mib.TCPFastOpenPassiveFail)
		return nil
	}
	t.inc(mib.TCPFastOpenPassive)
	return s
}

func old(k *sipKey, in header.IPv4) *fastopenCookie {
	c := k.fastopenCookie(in.Src(), in.Dst())
	return &c
}

func (r *request) giveCookie(c fastopenCookie) *Sock {
	r.foc = c
	return nil
}

// fastopenChild is tcp_fastopen_create_child.
func (r *request) fastopenChild(b *skb.Buff, h header.TCP) *Sock {
	r.loose, r.dead = true, true
	s, _ := r.makeSock(b, h)
	if s == nil {
		r.loose, r.dead = false, false
		return nil
	}
	r.listener.fastopen.queue.Load().add(1)
	s.fastopen.rsk.Store(r)
	r.child = s
	// RFC 7323 section 2.2: the window of a SYN is not scaled.
	s.sndWnd = uint32(h.Window())
	s.maxWnd = s.sndWnd
	s.refresh()
	s.resetTimer(timeRetrans, timeoutInit)
	s.initTransfer()
	s.rcvNxt = rx(b).seq + 1
	s.fastopenAdd(b, len(h))
	r.rcvNxt = s.rcvNxt
	s.rcvWup = s.rcvNxt
	return s
}

// fastopenAdd queues the data of a SYN or SYN-ACK (Linux: tcp_fastopen_add_skb).
func (s *Sock) fastopenAdd(b *skb.Buff, hlen int) {
	if rx(b).end == s.rcvNxt {
		return
	}
	n := b.Clone()
	if n == nil {
		return
	}
	s.segsIn = 0
	s.countIn(n)
	n.Pull(hlen)
	cb := rx(n)
	if !s.chargeRx(n) {
		n.Free(skb.ProtoMem)
		return
	}
	cb.seq++
	cb.flags &^= header.TCPSyn
	s.queueRcv(n)
	s.fastopen.dataAcked = true
	if cb.flags&header.TCPFin != 0 {
		s.fin()
	}
}

// passiveFastopen reports whether s is a child that may be used though its
// handshake has not ended (Linux: tcp_passive_fastopen).
func (s *Sock) passiveFastopen() bool { return s.State() == SynRecv && s.fastopen.rsk.Load() != nil }

// fastopenDone ends the handshake of a child: its SYN-ACK was answered (Linux:
// tcp_rcv_synrecv_state_fastopen).
func (s *Sock) fastopenDone() {
	if s.caState == caLoss && s.packetsOut == 0 {
		s.tryUndoRecovery()
	}
	s.retransmits = 0
	if s.caState != caRecovery {
		s.retransStamp = 0
	}
	s.fastopenRemove(false)
	s.rearmRTO()
}

// fastopenRemove gives the place in the listener's queue up (Linux:
// reqsk_fastopen_remove). reset says that a RST did it.
func (s *Sock) fastopenRemove(reset bool) {
	r := s.fastopen.rsk.Swap(nil)
	if r == nil {
		return
	}
	q := r.listener.fastopen.queue.Load()
	q.mu.Lock()
	defer q.mu.Unlock()
	if reset && s.parent == nil && r.listener.State() == Listen {
		q.rst = append(q.rst, s.tcp.now()+foRstWait)
		return
	}
	q.n--
}

// fastopenTimer sends the SYN-ACK of a child again (Linux:
// tcp_fastopen_synack_timer): until it is answered nothing else is.
func (s *Sock) fastopenTimer(r *request) {
	t := s.tcp
	t.inc(mib.TCPTimeouts)
	most := int(s.synRetries)
	if most == 0 {
		most = int(t.conf.synackRetries.Load()) + 1
	}
	if int(r.numTimeout) >= most {
		s.writeErr()
		return
	}
	if s.retransmits == 1 {
		s.enterLoss()
	}
	r.rtxSynAck()
	s.synackSent = 0 // which of them was answered?
	r.numTimeout++
	s.updateRTOStats()
	if s.retransStamp == 0 {
		s.retransStamp = s.mstamp
	}
	s.resetTimer(timeRetrans, timeoutInit<<min(r.numTimeout, 20))
}
