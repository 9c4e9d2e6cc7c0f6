package sock

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb"
)

// Default and least buffer sizes in bytes (Linux: sysctl_rmem_default,
// sysctl_wmem_default, SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF).
const (
	DefaultRcvBuf = 212992
	DefaultSndBuf = 212992
	MaxRcvBuf     = 4 << 20 // sysctl_rmem_max: bound of SO_RCVBUF before doubling (since Linux 6.18)
	MaxSndBuf     = 4 << 20 // sysctl_wmem_max
	MinRcvBuf     = 2304
	MinSndBuf     = 4608
)

// Connection states that all protocols share, with the values of TCP_* that
// Linux uses for every sock.
const (
	StateEstablished = 1 // connected; for UDP: has a peer
	StateClose       = 7
)

// Flag is a boolean option of a sock (Linux: enum sock_flags).
type Flag uint32

// Flags.
const (
	FlagDead Flag = 1 << iota // the socket was released
	FlagReuse
	FlagReusePort
	FlagKeepOpen
	FlagBroadcast
	FlagDontRoute
	FlagOOBInline
	FlagRxqOvfl
	FlagNoCheckTx
	FlagFilterLocked
	FlagSelectErrQueue
	FlagRcvMark
	FlagNoMulticastLoop // IP_MULTICAST_LOOP is off
	FlagPreferBusyPoll
	FlagRcvPriority
	FlagTxTime // SO_TXTIME: control messages may say when to send
)

// Shutdown bits (Linux: RCV_SHUTDOWN, SEND_SHUTDOWN).
const (
	RcvShutdown  = 1
	SendShutdown = 2
)

// Config is what a protocol gives to a new Sock.
type Config struct {
	Family, Type, Protocol int
	Clock                  napi.Clock
	// Backlog receives, in the owner's context and with the sock owned, each
	// packet that arrived while the sock was owned (Linux: sk_backlog_rcv). It
	// consumes the packet. Nil for protocols that never use the backlog.
	Backlog func(b *skb.Buff)
	// Memory is the protocol's share of packet memory, nil for no bound.
	Memory *Memory
	// Limits are the namespace's settings; nil means Linux's defaults.
	Limits *Limits
	// PeekOff says that the protocol knows SO_PEEK_OFF.
	PeekOff bool
	// Stream is a stream protocol's own part, nil for others. It takes the
	// place of Backlog.
	Stream Stream
}

// Sock is the packet half of a socket (Linux: struct sock). Protocols embed
// it. Use Init before anything else.
type Sock struct {
	Family, Type uint16
	hasPeek      bool
	Protocol     int

	clock   napi.Clock
	backlog func(b *skb.Buff)
	stream  Stream
	memory  *Memory
	limits  *Limits
	ino     uint64

	owner ownerLock
	rx    rxQueue
	wmem  atomic.Int64 // truesize of packets sent and not yet freed

	state    atomic.Uint32
	flags    atomic.Uint32
	shutdown atomic.Uint32
	err      atomic.Uint32 // pending error: SO_ERROR
	softErr  atomic.Uint32 // last error that did not end anything
	rcvbuf   atomic.Int32
	sndbuf   atomic.Int32
	drops    atomic.Uint32
	rcvtimeo atomic.Int64 // ns, 0 for ever
	sndtimeo atomic.Int64
	lowat    atomic.Int32
	boundDev atomic.Int32 // ifindex, 0 for any
	priority atomic.Uint32
	mark     atomic.Uint32
	linger   atomic.Int64 // seconds<<1 | on
	filter   atomic.Pointer[filterBox]
	peekOff  atomic.Int32 // -1 while SO_PEEK_OFF is off
	cpu      atomic.Int32 // SO_INCOMING_CPU
	busy     busyPolling
	txTime   atomic.Uint64 // SO_TXTIME as the program gave it

	maxPacing atomic.Uint64 // complement of SO_MAX_PACING_RATE

	stamp       atomic.Uint32 // tsNone, tsMicro, tsNano
	stamping    atomic.Uint32 // SO_TIMESTAMPING
	stampingNew atomic.Bool
	tskey       atomic.Uint32 // number of the next packet whose times are wanted
	zckey       atomic.Uint32 // number of the next send with MSG_ZEROCOPY
	noSpace     atomic.Bool   // somebody waits for write space
	lastStamp   atomic.Int64  // wall clock ns for SIOCGSTAMP, or stampNone and so on

	notify atomic.Pointer[func(uint16)]
	rdWait waitQueue
	wrWait waitQueue

	// ReusePortFilter installs the selector of a group of socks that share a
	// port (SO_ATTACH_REUSEPORT_CBPF); a nil filter takes it off. Nil when the
	// protocol has no such groups.
	ReusePortFilter func(f Filter) error
	// Changed is called after SO_BINDTODEVICE, SO_REUSEADDR or
	// SO_REUSEPORT changed, so that the protocol's hash follows. May be nil;
	// a Stream has OptionsChanged.
	Changed func()
}

// Init prepares sk with Linux's defaults (sock_init_data).
func (sk *Sock) Init(c Config) {
	sk.Family, sk.Type, sk.Protocol = uint16(c.Family), uint16(c.Type), c.Protocol
	sk.clock, sk.backlog, sk.memory = c.Clock, c.Backlog, c.Memory
	sk.stream = c.Stream
	Fresh32(&sk.state, uint32(StateClose))
	rcvbuf, sndbuf := int32(DefaultRcvBuf), int32(DefaultSndBuf)
	if l := c.Limits; l != nil {
		sk.limits = l
		rcvbuf, sndbuf = l.RmemDefault.Load(), l.WmemDefault.Load()
		Fresh32(&sk.busy.usecs, l.BusyRead.Load())
		sk.ino = firstIno + l.ino.Add(1)
		l.inuse.Add(1)
	}
	Fresh32(&sk.rcvbuf, rcvbuf)
	Fresh32(&sk.sndbuf, sndbuf)
	Fresh32(&sk.lowat, int32(1))
	sk.hasPeek = c.PeekOff
	Fresh32(&sk.peekOff, int32(-1))
	Fresh32(&sk.cpu, int32(-1))
}

// Ino returns the inode number of the socket, as /proc/net shows it; unique in
// the namespace.
func (sk *Sock) Ino() uint64 { return sk.ino }

// State returns the connection state, StateEstablished and so on.
func (sk *Sock) State() uint32 { return sk.state.Load() }

// SetState changes the connection state.
func (sk *Sock) SetState(s uint32) { sk.state.Store(s) }

// Flag reports whether f is set (Linux: sock_flag).
func (sk *Sock) Flag(f Flag) bool { return sk.flags.Load()&uint32(f) != 0 }

// SetFlag sets or clears f.
func (sk *Sock) SetFlag(f Flag, on bool) {
	if on {
		sk.flags.Or(uint32(f))
	} else {
		sk.flags.And(^uint32(f))
	}
}

// BoundDev returns the ifindex of SO_BINDTODEVICE, 0 for none.
func (sk *Sock) BoundDev() int32 { return sk.boundDev.Load() }

// Priority returns SO_PRIORITY, which goes into every packet sent.
func (sk *Sock) Priority() uint32 { return sk.priority.Load() }

// SetPriority changes SO_PRIORITY, as IP_TOS does.
func (sk *Sock) SetPriority(p uint32) { sk.priority.Store(p) }

// Mark returns SO_MARK, which goes into every packet sent.
func (sk *Sock) Mark() uint32 { return sk.mark.Load() }

// Drops returns how many packets this sock refused (Linux: sk_drops).
func (sk *Sock) Drops() uint64 { return uint64(sk.drops.Load()) }

// IsShutdown reports whether a direction, RcvShutdown or SendShutdown, is
// closed.
func (sk *Sock) IsShutdown(dir uint32) bool { return sk.shutdown.Load()&dir != 0 }

// AddShutdown closes directions and tells everybody who waits.
func (sk *Sock) AddShutdown(dir uint32) {
	sk.shutdown.Or(dir)
	sk.StateChange()
}

// SetError makes err the pending error and reports it (Linux: sk_err and
// sk_error_report).
func (sk *Sock) SetError(err syscall.Errno) {
	sk.err.Store(uint32(err))
	sk.errorReport()
}

// SetSoftError notes an error that is reported only where nothing better is
// known (Linux: sk_err_soft).
func (sk *Sock) SetSoftError(err syscall.Errno) { sk.softErr.Store(uint32(err)) }

// TakeError returns and clears the pending error, nil if there is none (Linux:
// sock_error).
func (sk *Sock) TakeError() error {
	if sk.err.Load() == 0 {
		return nil
	}
	if e := sk.err.Swap(0); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}

func (sk *Sock) setNotify(fn func(uint16)) {
	if fn == nil {
		sk.notify.Store(nil)
		return
	}
	held := fn // fn itself would be on the heap even when it is nil
	sk.notify.Store(&held)
}

func (sk *Sock) notifyEvents(ev uint16) {
	if fn := sk.notify.Load(); fn != nil {
		(*fn)(ev)
	}
}

// DataReady wakes readers (Linux: sk_data_ready). No lock may be held.
func (sk *Sock) DataReady() {
	sk.rdWait.wakeOne()
	sk.notifyEvents(EventIn | EventRdNorm)
}

// WriteSpace wakes writers if any were refused (Linux: sk_write_space). No
// lock may be held.
func (sk *Sock) WriteSpace() {
	if sk.noSpace.Load() && sk.noSpace.Swap(false) {
		sk.wrWait.wakeAll()
		sk.notifyEvents(EventOut | EventWrNorm)
	}
}

// StateChange wakes everybody (Linux: sk_state_change). No lock may be held.
func (sk *Sock) StateChange() {
	sk.rdWait.wakeAll()
	sk.wrWait.wakeAll()
	sk.notifyEvents(EventIn | EventOut | EventHup)
}

// DatagramPoll returns the events of a datagram sock (Linux: datagram_poll).
func (sk *Sock) DatagramPoll() uint16 {
	var ev uint16
	if sk.err.Load() != 0 || sk.rx.nerr.Load() != 0 {
		ev |= EventErr
		if sk.Flag(FlagSelectErrQueue) {
			ev |= EventPri
		}
	}
	sd := sk.shutdown.Load()
	if sd&RcvShutdown != 0 {
		ev |= EventRdHup | EventIn | EventRdNorm
	}
	if sd == RcvShutdown|SendShutdown {
		ev |= EventHup
	}
	if sk.rx.len() > 0 {
		ev |= EventIn | EventRdNorm
	}
	if sk.Writable() {
		ev |= EventOut | EventWrNorm | EventWrBand
	}
	return ev
}

// ownerLock is the lock of lock_sock: a short mutex around an owner flag.
type ownerLock struct {
	mu      sync.Mutex
	cond    *sync.Cond // nil until somebody had to wait
	owned   bool
	bits    uint32 // Defer
	waiters int32
	rmem    int32 // truesize on the backlog
	backlog skb.List
}

// Lock makes the caller the owner of the sock (Linux: lock_sock). It blocks
// while another call owns it; process context only.
func (sk *Sock) Lock() {
	l := &sk.owner
	l.mu.Lock()
	for l.owned {
		if l.cond == nil {
			l.cond = sync.NewCond(&l.mu)
		}
		l.waiters++
		l.cond.Wait()
		l.waiters--
	}
	l.owned = true
	l.mu.Unlock()
}

// Unlock works off the backlog and gives up ownership (Linux: release_sock).
func (sk *Sock) Unlock() {
	l := &sk.owner
	l.mu.Lock()
	for l.backlog.Len() > 0 || l.bits != 0 {
		var batch skb.List
		batch.Splice(&l.backlog)
		bits := l.bits
		if batch.Len() > 0 {
			bits = 0 // packets first
		}
		l.bits &^= bits
		l.mu.Unlock()
		for b := batch.PopFront(); b != nil; b = batch.PopFront() {
			if sk.stream != nil {
				sk.stream.BacklogRcv(b)
			} else {
				sk.backlog(b)
			}
		}
		if bits != 0 {
			sk.stream.ReleaseCB(bits)
		}
		l.mu.Lock()
	}
	l.rmem = 0
	l.owned = false
	wake := l.waiters > 0
	l.mu.Unlock()
	if wake {
		l.cond.Signal()
	}
}

// BHLock takes the short lock of softirq context (Linux: bh_lock_sock). The
// holder must not block; it looks at OwnedByUser and either works on the sock
// or calls AddBacklog.
func (sk *Sock) BHLock() { sk.owner.mu.Lock() }

// BHUnlock releases BHLock.
func (sk *Sock) BHUnlock() { sk.owner.mu.Unlock() }

// OwnedByUser reports whether a system call owns the sock; BHLock is held.
func (sk *Sock) OwnedByUser() bool { return sk.owner.owned }

// AddBacklog leaves b for the owner (Linux: sk_add_backlog) and takes it over;
// BHLock is held. False, taking nothing, means the backlog is at its bound,
// the sum of both buffer sizes.
func (sk *Sock) AddBacklog(b *skb.Buff) bool {
	return sk.AddBacklogLimit(b, int(sk.rcvbuf.Load())+int(sk.sndbuf.Load())-sk.rx.allocated())
}

// AddBacklogLimit is AddBacklog with a bound the protocol chose, in bytes of
// truesize that wait already.
func (sk *Sock) AddBacklogLimit(b *skb.Buff, limit int) bool {
	l := &sk.owner
	if int(l.rmem) > limit {
		return false
	}
	l.rmem += int32(b.Truesize())
	l.backlog.PushBack(b)
	return true
}
