package sock

import (
	"sync/atomic"

	"barewire/napi"
	"barewire/napi/sysctl"
)

// Limits are the settings of net.core that every sock of a namespace obeys
// (Linux: net/core/sysctl_net_core.c). Use [NewLimits].
type Limits struct {
	RmemMax     atomic.Int32 // bound of SO_RCVBUF before doubling, bytes
	RmemDefault atomic.Int32
	WmemMax     atomic.Int32 // bound of SO_SNDBUF before doubling, bytes
	WmemDefault atomic.Int32
	OptmemMax   atomic.Int32 // bound of a filter and of other option memory, bytes

	BusyRead atomic.Int32 // SO_BUSY_POLL of a new sock, microseconds
	BusyPoll atomic.Int32 // how long poll, select, epoll and the runtime's poller poll, microseconds

	net   *napi.Net     // whose devices SO_BINDTODEVICE names
	inuse atomic.Int64  // socks that exist ("sockets: used" of sockstat)
	ino   atomic.Uint64 // last inode number given out
}

// DefaultOptmemMax is net.core.optmem_max in bytes (Linux since 6.7).
const DefaultOptmemMax = 128 << 10

// NewLimits returns Linux's defaults for a namespace; SO_BINDTODEVICE names
// devices of net, or none if that is nil.
func NewLimits(net *napi.Net) *Limits {
	l := &Limits{net: net}
	l.RmemMax.Store(MaxRcvBuf)
	l.RmemDefault.Store(DefaultRcvBuf)
	l.WmemMax.Store(MaxSndBuf)
	l.WmemDefault.Store(DefaultSndBuf)
	l.OptmemMax.Store(DefaultOptmemMax)
	return l
}

// Entries are the settings by name, for the namespace's table.
func (l *Limits) Entries() []sysctl.Entry {
	const most = 1<<31 - 1
	return []sysctl.Entry{
		sysctl.Int("net.core.rmem_max", &l.RmemMax, MinRcvBuf, most),
		sysctl.Int("net.core.rmem_default", &l.RmemDefault, MinRcvBuf, most),
		sysctl.Int("net.core.wmem_max", &l.WmemMax, MinSndBuf, most),
		sysctl.Int("net.core.wmem_default", &l.WmemDefault, MinSndBuf, most),
		sysctl.Int("net.core.optmem_max", &l.OptmemMax, 0, most),
		sysctl.Int("net.core.busy_read", &l.BusyRead, 0, most),
		sysctl.Int("net.core.busy_poll", &l.BusyPoll, 0, most),
	}
}

// InUse returns how many socks exist, of every family that shares l.
func (l *Limits) InUse() int64 { return l.inuse.Load() }

// firstIno keeps socket inodes apart from those of a small file system.
const firstIno = 1 << 20
