package tcp

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Connection states, with Linux's numbers (TCP_*).
const (
	Established = 1 + iota
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
	NewSynRecv
)

// inStates reports whether a state is one of a set given as bits.
func inStates(state uint32, set uint32) bool { return 1<<state&set != 0 }

// Sets of states.
const (
	fEstablished = 1 << Established
	fSynSent     = 1 << SynSent
	fSynRecv     = 1 << SynRecv
	fFinWait1    = 1 << FinWait1
	fFinWait2    = 1 << FinWait2
	fTimeWait    = 1 << TimeWait
	fClose       = 1 << Close
	fCloseWait   = 1 << CloseWait
	fLastAck     = 1 << LastAck
	fListen      = 1 << Listen
	fClosing     = 1 << Closing
)

// Protocol constants, with Linux's values and names (include/net/tcp.h).
const (
	maxWindow      = 32767 // MAX_TCP_WINDOW
	minMSS         = 88    // TCP_MIN_MSS
	mssDefault     = 536   // TCP_MSS_DEFAULT
	maxWScale      = 14    // TCP_MAX_WSCALE (RFC 7323 section 2.3)
	maxQuickacks   = 16    // TCP_MAX_QUICKACKS
	initCwnd       = 10    // TCP_INIT_CWND (RFC 6928)
	infiniteSsthr  = 0x7fffffff
	maxReorder     = 300
	maxURGPtr      = 0x7fff
	rcvOptionSpace = 40 // MAX_TCP_OPTION_SPACE

	tsOptLen     = 12 // TCPOLEN_TSTAMP_ALIGNED
	sackBaseLen  = 4  // TCPOLEN_SACK_BASE_ALIGNED
	sackBlockLen = 8  // TCPOLEN_SACK_PERBLOCK
	mssOptLen    = 4
	wscaleOptLen = 4
	sackOKOptLen = 4

	ms  = int64(time.Millisecond)
	sec = int64(time.Second)

	timeoutInit     = 1 * sec  // TCP_TIMEOUT_INIT (RFC 6298 section 2.1)
	timeoutFallback = 3 * sec  // TCP_TIMEOUT_FALLBACK
	timeoutMin      = 2 * ms   // TCP_TIMEOUT_MIN
	delackMin       = 40 * ms  // TCP_DELACK_MIN
	delackMax       = 200 * ms // TCP_DELACK_MAX
	atoMin          = 40 * ms  // TCP_ATO_MIN
	resourceProbe   = 500 * ms // TCP_RESOURCE_PROBE_INTERVAL
	timeWaitLen     = 60 * sec // TCP_TIMEWAIT_LEN
	finTimeoutMax   = 120 * sec
	msl             = 60 * sec // TCP_PAWS_MSL
	paws24Days      = 24 * 24 * 3600 * sec
	pawsWindow      = 1 // TCP_PAWS_WINDOW, replay window of timestamps
	pacingShift     = 10

	maxSkbSize  = 65536 - 321 // sk_gso_max_size
	frontRoom   = ip.Headroom + header.TCPMaxLen
	sackBlocks  = 4
	unlimited   = ^uint64(0)
	scalingFull = 8 // TCP_RMEM_TO_WIN_SCALE
)

// TCP is TCP of one stack: what Linux keeps in struct netns_ipv4 and
// tcp_hashinfo.
type TCP struct {
	ip     *ip.Net
	dev    *napi.Net
	clock  napi.Clock
	timers *napi.Timers
	cache  *skb.Cache
	stats  *mib.TCP
	ext    *[len(mib.MIB{}.TCPExt)]mib.Counter
	memory *sock.Memory
	mem    memLimits
	params atomic.Pointer[params] // of new socks

	conf    conf
	tab     hashinfo
	secr    secrets
	fo      fastOpen
	metrics metricsCache
	md5     md5Pool

	orphans atomic.Int64
	socks   atomic.Int64 // that exist
	tw      atomic.Int64 // in TIME_WAIT

	cong      []*congOps // known algorithms; read-only after New
	congDflt  atomic.Pointer[congOps]
	challenge challengeLimit
	lastRxDst atomic.Pointer[rxDst] // what connections made last will share
	tsq       tsqQueue
}

// Config is what TCP is made with.
type Config struct {
	// Memory bounds the packet memory of all queues together, in bytes.
	Memory int64
}

// New makes TCP and registers it with the IP layer, with its settings and
// files (Linux: tcp_init, tcp_v4_init, inet_add_protocol).
func New(n *ip.Net, c Config) (*TCP, error) {
	t := &TCP{ip: n, dev: n.Dev, clock: n.Dev.Clock(), timers: n.Dev.Timers(), cache: n.Dev.SKB(),
		stats: &n.MIB.TCP, ext: &n.MIB.TCPExt, memory: sock.NewMemory(c.Memory)}
	t.conf.setDefaults()
	t.setMem(c.Memory)
	t.tab.init(t)
	t.secr.init(n.Dev)
	t.tsq.init(t)
	t.cong = []*congOps{&renoOps, &cubicOps, &bbrOps}
	t.congDflt.Store(&cubicOps)
	t.register()
	n.Dev.SetSegmenter(skb.GSOTCPv4, segment)
	return t, n.AddProtocol(header.ProtoTCP, &ip.Protocol{Handler: t.rcv, EarlyDemux: t.earlyDemux, Err: t.err})
}

// Memory returns the bound on packet memory of all queues.
func (t *TCP) Memory() *sock.Memory { return t.memory }

// Close ends TCP with its namespace: what only waits for time goes.
func (t *TCP) Close() { t.tab.close() }

// now returns the stack's clock in ns.
func (t *TCP) now() int64 { return t.clock.Now() }

// inc counts one event of the TcpExt line.
func (t *TCP) inc(i int) { t.ext[i].Add(1) }

func (t *TCP) add(i int, n int) { t.ext[i].Add(uint64(n)) }

// random returns 32 unpredictable bits.
func (t *TCP) random() uint32 {
	var b [4]byte
	t.dev.Rand(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// before reports whether sequence number a comes before b (RFC 9293 section
// 3.4: arithmetic modulo 2^32).
func before(a, b uint32) bool { return int32(a-b) < 0 }

func after(a, b uint32) bool { return int32(b-a) < 0 }

// between reports whether lo <= s <= hi.
func between(s, lo, hi uint32) bool { return hi-lo >= s-lo }
