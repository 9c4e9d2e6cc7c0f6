package sock

import (
	"syscall"

	"barewire/skb"
)

// Stream is what a stream protocol does beside what every sock does (Linux:
// the entries of struct proto and proto_ops that the generic code calls). All
// but Listening and OptionsChanged are called with the sock owned.
type Stream interface {
	BacklogRcv(b *skb.Buff) // as Config.Backlog
	ReleaseCB(bits uint32)  // what softirq code left with Defer
	Keepalive(on bool)      // SO_KEEPALIVE changed
	SetRcvLowat(v int)      // SO_RCVLOWAT changed
	RcvBufChanged()         // SO_RCVBUF changed
	PacingChanged()         // SO_MAX_PACING_RATE changed
	// StampKey returns the byte that SOF_TIMESTAMPING_OPT_ID counts from (Linux:
	// the middle of sock_set_timestamping), EINVAL without a connection.
	StampKey(flags uint32) (uint32, error)
	Listening() bool // SO_ACCEPTCONN
	// SetSelector installs the filter that chooses among the listeners of a
	// group, nil for none (SO_ATTACH_REUSEPORT_CBPF). The sock is not owned.
	SetSelector(f Filter) error
	// ErrReady is told that something is on the error queue, in any context;
	// the program is to hear of it when no lock is held.
	ErrReady()
	// StampStats appends to p what SOF_TIMESTAMPING_OPT_STATS tells with a time:
	// netlink attributes. Any context.
	StampStats(p []byte) []byte
	OptionsChanged() // as Sock.Changed
	// QueuedMem returns what is queued for sending, of SO_SNDBUF (Linux:
	// sk_wmem_queued). The sock is not owned.
	QueuedMem() int
}

// Flags that say the program chose a buffer size, which ends its automatic
// growth (Linux: SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK).
const (
	FlagSndBufLock Flag = 1 << (16 + iota)
	FlagRcvBufLock
	FlagZerocopy // SO_ZEROCOPY
)

// Flags that only say what the program set: nothing here follows them.
const (
	FlagDebug      Flag = 1 << (24 + iota) // SO_DEBUG
	FlagWifiStatus                         // SO_WIFI_STATUS
	FlagNoFCS                              // SO_NOFCS
	FlagNoTxRehash                         // SO_TXREHASH is off
)

// Defer leaves bits for the owner, whose Unlock calls Stream.ReleaseCB with
// them (Linux: tsq_flags and release_cb). BHLock is held and the sock is owned.
func (sk *Sock) Defer(bits uint32) { sk.owner.bits |= bits }

// WaitEvent blocks until ready returns true or an error, or for timeout ns,
// for ever when 0; then EAGAIN. With write it waits for what WriteSpace or
// StateChange tell, otherwise for what DataReady does. ready runs with no lock
// of the sock held.
func (sk *Sock) WaitEvent(write bool, timeout int64, ready func() (bool, error)) error {
	if write {
		return sk.waitUntil(&sk.wrWait, timeout, ready)
	}
	return sk.waitUntil(&sk.rdWait, timeout, ready)
}

// Timeouts returns SO_RCVTIMEO and SO_SNDTIMEO in ns, 0 for none.
func (sk *Sock) Timeouts() (rcv, snd int64) { return sk.rcvtimeo.Load(), sk.sndtimeo.Load() }

// SetNoSpace arms the next WriteSpace: somebody wants to write (Linux:
// SOCK_NOSPACE).
func (sk *Sock) SetNoSpace() { sk.noSpace.Store(true) }

// NoSpace reports whether WriteSpace is armed.
func (sk *Sock) NoSpace() bool { return sk.noSpace.Load() }

// StoreLowat sets SO_RCVLOWAT.
func (sk *Sock) StoreLowat(v int) { sk.lowat.Store(int32(v)) }

// StoreMark sets SO_MARK.
func (sk *Sock) StoreMark(v uint32) { sk.mark.Store(v) }

// Lowat returns SO_RCVLOWAT.
func (sk *Sock) Lowat() int { return int(sk.lowat.Load()) }

// Linger returns SO_LINGER: whether it is on and for how many seconds.
func (sk *Sock) Linger() (on bool, seconds int) {
	l := sk.linger.Load()
	return l&1 != 0, int(l >> 1)
}

// StoreRcvBuf sets sk_rcvbuf in bytes, without doubling or bounds.
func (sk *Sock) StoreRcvBuf(n int) { sk.rcvbuf.Store(int32(n)) }

// StoreSndBuf sets sk_sndbuf in bytes, without doubling or bounds.
func (sk *Sock) StoreSndBuf(n int) { sk.sndbuf.Store(int32(n)) }

// FreshBuffers is StoreRcvBuf and StoreSndBuf for a new sock.
func (sk *Sock) FreshBuffers(rcv, snd int32) {
	Fresh32(&sk.rcvbuf, rcv)
	Fresh32(&sk.sndbuf, snd)
}

// Error returns the pending error without clearing it, 0 if there is none.
func (sk *Sock) Error() syscall.Errno { return syscall.Errno(sk.err.Load()) }

// SoftError returns what SetSoftError noted, 0 if nothing.
func (sk *Sock) SoftError() syscall.Errno { return syscall.Errno(sk.softErr.Load()) }

// StoreError makes err the pending error and tells nobody: the caller holds a
// lock and tells later (ReportError).
func (sk *Sock) StoreError(err syscall.Errno) { sk.err.Store(uint32(err)) }

// ReportError tells everybody that there is an error (Linux: sk_error_report).
// No lock may be held.
func (sk *Sock) ReportError() { sk.errorReport() }

// StoreShutdown closes directions and tells nobody.
func (sk *Sock) StoreShutdown(dir uint32) { sk.shutdown.Or(dir) }

// ClearShutdown opens both directions again, for a sock that is reused.
func (sk *Sock) ClearShutdown() { sk.shutdown.Store(0) }

// ShutdownBits returns which directions are closed.
func (sk *Sock) ShutdownBits() uint32 { return sk.shutdown.Load() }

// ErrQueued reports whether the error queue holds something.
func (sk *Sock) ErrQueued() bool { return sk.rx.nerr.Load() != 0 }

// Notify tells the poller of events. No lock may be held.
func (sk *Sock) Notify(ev uint16) { sk.notifyEvents(ev) }

// InheritFrom copies the options of a listener to the sock of a connection it
// took (Linux: sk_clone).
func (sk *Sock) InheritFrom(l *Sock) {
	Fresh32(&sk.flags, l.flags.Load()&^uint32(FlagDead))
	Fresh32(&sk.rcvbuf, l.rcvbuf.Load())
	Fresh32(&sk.sndbuf, l.sndbuf.Load())
	if rcv, snd := l.Timeouts(); rcv|snd != 0 {
		sk.rcvtimeo.Store(rcv)
		sk.sndtimeo.Store(snd)
	}
	Fresh32(&sk.lowat, l.lowat.Load())
	Fresh32(&sk.boundDev, l.boundDev.Load())
	Fresh32(&sk.priority, l.priority.Load())
	Fresh32(&sk.mark, l.mark.Load())
	if v := l.linger.Load(); v != 0 {
		sk.linger.Store(v)
	}
	FreshPointer(&sk.filter, l.filter.Load())
	Fresh32(&sk.busy.usecs, l.busy.usecs.Load())
	Fresh32(&sk.busy.budget, l.busy.budget.Load())
	Fresh32(&sk.stamp, l.stamp.Load())
	Fresh32(&sk.stamping, l.stamping.Load())
	if l.stampingNew.Load() {
		sk.stampingNew.Store(true)
	}
	if v := l.maxPacing.Load(); v != 0 {
		sk.maxPacing.Store(v)
	}
}

// Charge takes n bytes of the bound, or reports that it is reached.
func (m *Memory) Charge(n int64) bool { return m.charge(n) }

// ForceCharge takes n bytes even beyond the bound, for what must not fail.
func (m *Memory) ForceCharge(n int64) { m.used.Add(n) }

// Uncharge gives n bytes back.
func (m *Memory) Uncharge(n int64) { m.uncharge(n) }

// Stream returns the stream protocol's part, nil for others.
func (sk *Sock) Stream() Stream { return sk.stream }
