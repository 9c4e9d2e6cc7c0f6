package tcp

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Which sock a timer is part of (Linux: timer_container_of).
func rtxSock(t *napi.Timer) *Sock {
	return (*Sock)(unsafe.Add(unsafe.Pointer(t), -int(unsafe.Offsetof(Sock{}.rtx))))
}

func dackSock(t *napi.Timer) *Sock {
	return (*Sock)(unsafe.Add(unsafe.Pointer(t), -int(unsafe.Offsetof(Sock{}.dack))))
}

// Bits for sock.Sock.Defer: timers that went off while a call owned the sock,
// and work that ICMP errors and completions left (Linux: enum tsq_enum).
const (
	deferWrite uint32 = 1 << iota
	deferDelack
	deferMTU
	deferTSQ
	deferAck
)

// What the one timer of the sending side waits for (Linux: ICSK_TIME_*).
const (
	timeNone uint8 = iota
	timeRetrans
	timeDack
	timeProbe0
	timeLossProbe
	timeReo
)

// ackState is what the receiving side knows about acknowledging (Linux:
// inet_connection_sock.icsk_ack).
type ackState struct {
	pending     uint8 // ack* bits
	quick       uint8 // quick ACKs left
	pingpong    uint8
	retry       uint8 // delayed ACK attempts
	ato         int64 // ns: predicted interval of the delayed ACK
	timeout     int64 // when the delayed ACK timer is due
	lrcvtime    int64 // last data, ns
	lastSegSize uint16
	rcvMSS      uint16 // estimate of the peer's segment size
}

// Bits of ackState.pending (Linux: ICSK_ACK_*).
const (
	ackSched uint8 = 1 << iota
	ackTimer
	ackPushed
	ackPushed2
	ackNow
	ackNoMem
	ackDeferred // deferAck is set
)

// conn is what a connection-oriented sock has above its addresses (Linux:
// struct inet_connection_sock).
type conn struct {
	ip.Sock
	tcp *TCP
	*params

	rto         int64 // ns
	pending     uint8 // time*
	retransmits uint8
	backoff     uint8
	probesOut   uint8
	caState     uint8
	rtxSet      bool // the timers rtx and dack are set
	dackSet     bool
	timeout     int64 // when the write timer is due
	probesSince int64 // when zero-window probing began, 0 if it has not
	ack         ackState

	rtx   napi.Timer // retransmission, probing, loss probe, reordering
	dack  napi.Timer
	keep  *keepTimer // nil until it is needed
	pmtu  int        // path MTU that mssCache was made for (icsk_pmtu_cookie)
	extra *acceptQueue

	ca     *congOps
	caPriv caPriv
}

// Sock is a TCP connection or listener (Linux: struct tcp_sock). Everything
// but the atomics is guarded by the sock's lock: by BHLock in softirq context
// while no call owns it, by ownership otherwise.
type Sock struct {
	conn

	// Sending, used for every segment.
	wq           sendQueue // segments unacknowledged, then unsent
	sndUna       uint32    // first byte we want an ACK for
	sndNxt       uint32    // next byte we send
	writeSeq     uint32    // end of what the program wrote
	pushedSeq    uint32    // last pushed
	sndSML       uint32    // end of the last short segment (Minshall)
	sndWnd       uint32
	maxWnd       uint32 // largest window the peer offered
	sndWl1       uint32 // segment that updated the window last
	mssCache     int    // MSS without options beyond the usual
	xmitGoal     int    // bytes of a super-skb
	headerLen    int    // TCP header of an ordinary segment
	packetsOut   uint32
	retransOut   uint32
	sackedOut    uint32
	lostOut      uint32
	cwnd         uint32
	cwndCnt      uint32
	ssthresh     uint32
	tsOffset     uint32 // of our timestamps
	pacingRate   uint64 // bytes/s
	lsndtime     int64  // last data sent, ns
	wmemQueued   int
	appLimited   uint32
	delivered    uint32
	deliveredCE  uint32
	lost         uint32
	deliveredAt  int64 // us
	firstTx      int64 // us
	rateDeliv    uint32
	rateInterval uint32
	rateAppLim   bool
	cwndLimited  bool
	nonagle      uint8
	scaling      uint8 // share of rcvbuf that is window, of 256
	chrono       chrono
	sentStats    atomic.Pointer[[]byte] // for StampStats without the lock
	maxPackets   uint32
	cwndUsageSeq uint32
	cwndUsed     uint32
	rttSeq       uint32
	cwndStamp    int64 // ns

	// Receiving, used for every segment.
	rcvNxt       uint32
	rcvWup       uint32 // rcvNxt at the last window update sent
	copied       uint32 // next byte the program reads (copied_seq)
	rcvWnd       uint32
	rcvSSThr     uint32 // current window clamp
	winClamp     uint32
	advMSS       int
	rq           rcvQueue
	ofo          ofoQueue
	rmem         int // truesize on rq and ofo
	urgSeq       uint32
	sndUp        uint32
	urgData      uint16
	urgMode      bool
	tsTick       bool
	pred         predict
	hasDup       bool   // sackDup is set
	numSacks     uint8  // blocks of sacks
	writePending uint16 // calls that wait to write
	mstamp       int64  // us: the clock as of this segment

	// Timestamps and options.
	opt        optState
	*sackLists // nil until something was lost

	// RTT.
	srtt, mdev, mdevMax, rttvar uint32 // us; srtt is shifted by 3, mdev by 2
	rttMin                      minmax
	rcvRTT                      rcvRTT
	rcvSpace                    rcvSpace

	// Recovery.
	recovery

	// Life.
	md5          atomic.Pointer[md5Keys]
	rcvTstamp    int64 // last segment received, ns
	lastOOW      int64
	fastopen     fastopenState
	totalRetrans uint32
	saveSyn      atomic.Uint32 // TCP_SAVE_SYN
	bytesSent    uint64
	bytesRetrans uint64
	bytesAcked   uint64
	bytesRecv    uint64
	segsIn       uint32
	segsOut      uint32
	dataSegsIn   uint32
	dataSegsOut  uint32
	dsackDups    uint32
	reordSeen    uint32
	rcvOOO       uint32
	ecn          uint8
	hashed       bool          // e is in the table, which guards this
	inq          bool          // TCP_INQ
	congSet      bool          // chosen by the program
	inBH         uint8         // lockBH: one more than the processor whose section unlock ends
	connecting   bool          // connect waits (SS_CONNECTING)
	connected    bool          // SS_CONNECTED
	finished     bool          // nothing is left to give back
	wakes        atomic.Uint32 // events to tell when the lock is given up
	synackSent   int64         // us, 0 if it is no measure of the round trip
	mtuInfo      atomic.Uint32 // what an ICMP error said, for mtuReduced
	pub          published
	rxDst        atomic.Pointer[rxDst]
	comp         *sackComp // nil as long as no ACK was held back

	frag    *skb.Page // being filled by sendmsg
	fragOff int

	e     entry // of the established hash
	bind  binding
	tsq   tsqState
	pacer *pacer // nil as long as it need not keep to a rate
	bbr   *bbr   // of BBR
	zc    *zerocopy
	rare  *rare
	mtup  *mtuSearch // nil until path MTU probing is enabled

	parent *Sock // listener, until accepted
}

// optState is what both sides' options said (Linux: struct
// tcp_options_received).
type optState struct {
	tsRecent      uint32 // timestamp to echo
	tsRecentStamp int64  // when it was taken, ns; 0 never
	rcvTSval      uint32
	rcvTSecr      uint32
	sawTS         bool
	tsOK          bool
	dsack         bool
	wscaleOK      bool
	sackOK        bool
	sackSeen      uint8 // recovery's view: 1 SACK, 2 DSACK was seen
	sndWScale     uint8
	rcvWScale     uint8
	mssClamp      int
}

// sackBlock is one block of a SACK option.
type sackBlock struct{ start, end uint32 }

// Events a sock tells of when its lock is given up: no lock is held across a
// wake-up.
const (
	wakeData uint32 = 1 << iota
	wakeSpace
	wakeState
	wakeErr
	wakeUrg
	wakeZerocopy
)

// wake notes an event.
func (s *Sock) wake(ev uint32) { s.wakes.Or(ev) }

// flushWakes tells what was noted. No lock may be held.
func (s *Sock) flushWakes() {
	if s.wakes.Load() == 0 {
		return
	}
	ev := s.wakes.Swap(0)
	if ev&wakeZerocopy != 0 {
		s.zcTell()
	}
	if ev&wakeErr != 0 {
		s.ReportError()
	}
	if ev&wakeState != 0 {
		s.StateChange()
	}
	if ev&wakeUrg != 0 {
		s.Notify(sock.EventPri)
	}
	if ev&wakeData != 0 {
		s.DataReady()
	}
	if ev&wakeSpace != 0 {
		s.WriteSpace()
	}
}

// lock is lock_sock.
func (s *Sock) lock() { s.Lock() }

// unlock is release_sock and the wake-ups that were due.
func (s *Sock) unlock() {
	bh := s.inBH
	s.inBH = 0
	s.publish()
	s.Unlock()
	s.flushWakes()
	s.tcp.endBH(bh)
}

// lockBH is lock for a call that sends a segment or two: what they cause on this
// machine is done by unlock, which is cheaper than to wake somebody for it. A
// call that sends much lets others work meanwhile.
func (s *Sock) lockBH() {
	s.Lock()
	s.inBH = uint8(1 + s.tcp.dev.BHDisable().CPU())
}

// endBH ends the section that a sock's inBH tells, if any.
func (t *TCP) endBH(inBH uint8) {
	if inBH != 0 {
		t.dev.SoftNetOf(int(inBH) - 1).BHEnable()
	}
}

// bhUnlock is bh_unlock_sock and the wake-ups that were due.
func (s *Sock) bhUnlock() {
	if !s.OwnedByUser() {
		s.publish()
	}
	s.BHUnlock()
	s.flushWakes()
}

// NewSock makes a sock (Linux: tcp_v4_init_sock, tcp_init_sock).
func (t *TCP) NewSock() *Sock {
	s := &Sock{}
	s.tcp = t
	s.InitSock(t.ip, sock.Config{Type: syscall.SOCK_STREAM, Protocol: syscall.IPPROTO_TCP, Stream: s, PeekOff: true})
	s.initTimers()
	s.FreshBuffers(t.conf.rmem[1].Load(), t.conf.wmem[1].Load())
	s.rto = timeoutInit
	s.params = t.defaultParams()
	s.mdev = uint32(timeoutInit / 1000)
	s.rttMin.reset(0, ^uint32(0)) // any sample is less
	s.cwnd = initCwnd
	s.appLimited = ^uint32(0)
	s.rateAppLim = true
	s.ssthresh = infiniteSsthr
	s.mssCache = mssDefault
	s.reordering = uint32(t.conf.reordering.Load())
	s.scaling = t.scalingDefault()
	s.pacingRate = unlimited
	s.assignCong()
	s.ack.rcvMSS = 0
	sock.Fresh32(&s.pub.bits, pubWrite|pubFree)
	t.socks.Add(1)
	return s
}

func (s *Sock) initTimers() {
	w := s.tcp.timers
	s.rtx.Init(w, writeTimer)
	s.dack.Init(w, delackTimer)
}

// usecs reads the clock in microseconds.
func (s *Sock) usecs() int64 { return s.tcp.now() / 1000 }

// refresh takes the time for what follows (Linux: tcp_mstamp_refresh).
func (s *Sock) refresh() { s.mstamp = s.tcp.now() / 1000 }

// ns is the time that refresh took, in nanoseconds: good enough, and cheaper
// than the clock, for all that one segment or one call does.
func (s *Sock) ns() int64 { return s.mstamp * 1000 }

// tsNow returns the timestamp clock of the connection in milliseconds.
func (s *Sock) tsNow(us int64) uint32 { return uint32(us/1000) + s.tsOffset }

// OptionsChanged implements sock.Stream: the tables follow SO_REUSEADDR and its
// like.
func (s *Sock) OptionsChanged() {
	s.lock()
	s.tcp.tab.optionsChanged(s)
	s.unlock()
}

// setState changes the state and counts it (Linux: tcp_set_state).
func (s *Sock) setState(state uint32) {
	old := s.State()
	st := s.tcp.stats
	switch state {
	case Established:
		if old != Established {
			st.CurrEstab.Add(1)
		}
	case CloseWait:
		if old == SynRecv {
			st.CurrEstab.Add(1)
		}
	default:
		if state == Close {
			if old == CloseWait || old == Established {
				st.EstabResets.Add(1)
			}
			s.tcp.tab.unhash(s)
			if !s.Ident().UserPort {
				s.tcp.tab.putPort(s)
			}
		}
		if old == Established || old == CloseWait {
			st.CurrEstab.Add(^uint64(0))
		}
	}
	s.SetState(state)
}

// txCB is what TCP keeps with a segment it sends, in the packet's control
// buffer (Linux: struct tcp_skb_cb).
type txCB struct {
	seq, end    uint32
	flags       uint8 // header.TCPSyn and so on
	sacked      uint8
	segs        uint16 // packets it is on the wire
	gsoSize     uint16
	eor         bool
	ae          bool  // with flags, ACE (RFC 9768)
	firstTx     int64 // us
	deliveredAt int64 // us
	delivered   uint32
	deliveredCE uint32
	charge      uint32 // against the send buffer
	appLimited  bool
}

// Bits of txCB.sacked (Linux: TCPCB_*).
const (
	sackedAcked   uint8 = 1 << iota // SACKed by the peer
	sackedRetrans                   // retransmitted and not known to be lost again
	sackedLost
	everRetrans
	repaired

	tagBits = sackedAcked | sackedRetrans | sackedLost
)

func tx(b *skb.Buff) *txCB { return (*txCB)(unsafe.Pointer(&b.CB)) }

// rxCB is what TCP keeps with a segment it received. The words in the middle
// are the IP layer's, which an ICMP error about the packet still needs.
type rxCB struct {
	seq, end, ack uint32
	flags, ds     uint8
	gsoSegs       uint16
	_             [2]uint64 // ip
	charge        uint32    // against the receive buffer
	real          uint32    // against the protocol's memory
	room          uint16    // what could be put behind it without a larger charge
	hasTS         bool
	folded        bool // it costs nothing, since it fits behind the one before
}

func rx(b *skb.Buff) *rxCB { return (*rxCB)(unsafe.Pointer(&b.CB)) }

// Both must fit the control buffer.
var (
	_ [unsafe.Sizeof(skb.Buff{}.CB) - unsafe.Sizeof(txCB{})]byte
	_ [unsafe.Sizeof(skb.Buff{}.CB) - unsafe.Sizeof(rxCB{})]byte
)
