package sock

import (
	"syscall"
	"time"
)

// Options package syscall lacks.
const (
	soReusePort  = 15
	soProtocol   = 38
	soDomain     = 39
	soRxqOvfl    = 40
	soPriority   = 12
	soNoCheck    = 11
	soBusyPoll   = 46
	soIncomingID = 56 // SO_INCOMING_NAPI_ID
	ifNameSize   = 16

	soTimestamp       = 29
	soTimestampNS     = 35
	soTimestamping    = 37
	soTimestampNew    = 63
	soTimestampNSNew  = 64
	soTimestampingNew = 65

	soPeekOff         = 42
	soLockFilter      = 44
	soSelectErrQueue  = 45
	soIncomingCPU     = 49
	soAttachReuseCBPF = 51
	soDetachReuseBPF  = 68
	soCookie          = 57
	soZerocopy        = 60
	soBindToIfindex   = 62
	soRcvMark         = 75

	soBSDCompat       = 14
	soPeerName        = 28
	soMaxPacingRate   = 47
	soBPFExtensions   = 48
	soCnxAdvice       = 53
	soMeminfo         = 55
	soTxTime          = 61
	soRcvTimeoNew     = 66
	soSndTimeoNew     = 67
	soPreferBusyPoll  = 69
	soBusyPollBudget  = 70
	soBufLock         = 72
	soReserveMem      = 73
	soPassCred        = 16
	soPeerCred        = 17
	soPassSec         = 34
	soWifiStatus      = 41
	soNoFCS           = 43
	soAttachBPF       = 50
	soAttachReuseEBPF = 52
	soPeerGroups      = 59
	soNetnsCookie     = 71
	soPassPidfd       = 76
	soPeerPidfd       = 77
	soDevmemDontneed  = 80
	soTxRehash        = 74
	soRcvPriority     = 82
	soPassRights      = 83
)

// intOpt reads the int argument of an option.
func intOpt(val []byte) (int, error) {
	if len(val) < 4 {
		return 0, syscall.EINVAL
	}
	return int(int32(getUint32(val))), nil
}

// setSockOpt is sock_setsockopt: the SOL_SOCKET level.
func (sk *Sock) setSockOpt(name int, val []byte) error {
	switch name {
	case syscall.SO_BINDTODEVICE:
		return sk.bindToDevice(val)
	case syscall.SO_ATTACH_FILTER:
		return sk.attachFilter(val)
	case soAttachReuseCBPF:
		return sk.attachReuse(val)
	}
	v, err := intOpt(val)
	if err != nil {
		return err
	}
	on := v != 0
	switch name {
	case syscall.SO_DETACH_FILTER:
		return sk.detachFilter()
	case soDetachReuseBPF:
		if sk.stream != nil {
			return sk.stream.SetSelector(nil)
		}
		if sk.ReusePortFilter != nil {
			return sk.ReusePortFilter(nil)
		}
		if sk.Flag(FlagReusePort) {
			return syscall.ENOENT
		}
		return syscall.EINVAL
	case syscall.SO_DEBUG:
		sk.SetFlag(FlagDebug, on)
	case syscall.SO_REUSEADDR:
		sk.SetFlag(FlagReuse, on)
		sk.changed()
	case soReusePort:
		if on && sk.Family != syscall.AF_INET {
			return syscall.EOPNOTSUPP
		}
		sk.SetFlag(FlagReusePort, on)
		sk.changed()
	case syscall.SO_TYPE, soProtocol, soDomain, syscall.SO_ERROR, syscall.SO_ACCEPTCONN:
		return syscall.ENOPROTOOPT
	case syscall.SO_DONTROUTE:
		sk.SetFlag(FlagDontRoute, on)
	case syscall.SO_BROADCAST:
		sk.SetFlag(FlagBroadcast, on)
	case syscall.SO_SNDBUF:
		sk.setSndBuf(min(uint(uint32(v)), uint(sk.wmemMax())))
	case syscall.SO_SNDBUFFORCE:
		sk.setSndBuf(uint(max(v, 0)))
	case syscall.SO_RCVBUF:
		sk.setRcvBuf(min(uint(uint32(v)), uint(sk.rmemMax())))
	case syscall.SO_RCVBUFFORCE:
		sk.setRcvBuf(uint(max(v, 0)))
	case syscall.SO_KEEPALIVE:
		if sk.stream != nil {
			sk.Lock()
			sk.stream.Keepalive(on)
			sk.SetFlag(FlagKeepOpen, on)
			sk.Unlock()
			break
		}
		sk.SetFlag(FlagKeepOpen, on)
	case soZerocopy:
		if sk.stream == nil && sk.Protocol != syscall.IPPROTO_UDP {
			return syscall.EOPNOTSUPP
		}
		if v < 0 || v > 1 {
			return syscall.EINVAL
		}
		sk.SetFlag(FlagZerocopy, on)
	case syscall.SO_OOBINLINE:
		sk.SetFlag(FlagOOBInline, on)
	case soNoCheck:
		sk.SetFlag(FlagNoCheckTx, on)
	case soPriority:
		sk.priority.Store(uint32(v))
	case soTimestamp:
		sk.setTimestamp(tsMicro, on)
	case soTimestampNS:
		sk.setTimestamp(tsNano, on)
	case soTimestampNew:
		sk.setTimestamp(tsMicro|stampNew, on)
	case soTimestampNSNew:
		sk.setTimestamp(tsNano|stampNew, on)
	case soTimestamping:
		return sk.setTimestamping(v, false)
	case soTimestampingNew:
		return sk.setTimestamping(v, true)
	case soPeekOff:
		if !sk.hasPeek {
			return syscall.EOPNOTSUPP
		}
		sk.peekOff.Store(int32(v))
	case soLockFilter:
		if !on && sk.Flag(FlagFilterLocked) {
			return syscall.EPERM
		}
		sk.SetFlag(FlagFilterLocked, on)
	case soSelectErrQueue:
		sk.SetFlag(FlagSelectErrQueue, on)
	case soIncomingCPU:
		sk.cpu.Store(int32(v))
	case soBusyPoll:
		if v < 0 {
			return syscall.EINVAL
		}
		sk.busy.usecs.Store(int32(v))
	case soBindToIfindex:
		if v < 0 {
			return syscall.EINVAL
		}
		sk.boundDev.Store(int32(v))
		sk.changed()
	case soRcvMark:
		sk.SetFlag(FlagRcvMark, on)
	case syscall.SO_MARK:
		sk.mark.Store(uint32(v))
	case syscall.SO_LINGER:
		if len(val) < 8 {
			return syscall.EINVAL
		}
		l := int64(int32(getUint32(val[4:]))) << 1
		if on {
			l |= 1
		} else {
			l = 0
		}
		sk.linger.Store(l)
	case soRxqOvfl:
		sk.SetFlag(FlagRxqOvfl, on)
	case syscall.SO_RCVLOWAT:
		if v < 0 {
			v = 1<<31 - 1
		}
		if sk.stream != nil {
			sk.Lock()
			sk.stream.SetRcvLowat(max(v, 1))
			sk.Unlock()
			break
		}
		sk.lowat.Store(int32(max(v, 1)))
	case syscall.SO_RCVTIMEO, soRcvTimeoNew:
		return setTimeo(val, &sk.rcvtimeo)
	case syscall.SO_SNDTIMEO, soSndTimeoNew:
		return setTimeo(val, &sk.sndtimeo)
	default:
		return sk.setRareOpt(name, v, val)
	}
	return nil
}

// setRareOpt sets options that little depends on here: hints for queueing
// disciplines and for polling devices, and what Linux keeps for old programs.
func (sk *Sock) setRareOpt(name, v int, val []byte) error {
	switch name {
	case soBSDCompat, soCnxAdvice:
	case soMaxPacingRate:
		rate := uint64(uint32(v))
		if len(val) >= 8 {
			rate = getUint64(val)
		} else if v == -1 {
			rate = ^uint64(0)
		}
		sk.maxPacing.Store(^rate)
		if sk.stream != nil {
			sk.Lock()
			sk.stream.PacingChanged()
			sk.Unlock()
		}
	case soTxTime: // struct sock_txtime: clock and flags
		const realtime, monotonic, tai, allFlags = 0, 1, 11, 3
		if len(val) != 8 || v != realtime && v != monotonic && v != tai || getUint32(val[4:])&^allFlags != 0 {
			return syscall.EINVAL
		}
		sk.SetFlag(FlagTxTime, true)
		sk.txTime.Store(getUint64(val))
	case soPreferBusyPoll:
		sk.SetFlag(FlagPreferBusyPoll, v != 0)
	case soBusyPollBudget:
		if v < 0 || v > maxBusyPollBudget {
			return syscall.EINVAL
		}
		sk.busy.budget.Store(int32(v))
	case soBufLock:
		if v&^3 != 0 {
			return syscall.EINVAL
		}
		sk.SetFlag(FlagSndBufLock, v&1 != 0)
		sk.SetFlag(FlagRcvBufLock, v&2 != 0)
	case soReserveMem:
		if v < 0 {
			return syscall.EINVAL
		}
		return syscall.EOPNOTSUPP // memory is reserved with control groups only
	case soTxRehash:
		if sk.stream == nil {
			return syscall.EOPNOTSUPP
		}
		if v < -1 || v > 1 {
			return syscall.EINVAL
		}
		sk.SetFlag(FlagNoTxRehash, v == 0)
	case soPassCred, soPassSec, soPassPidfd, soPassRights: // of local sockets
		return syscall.EOPNOTSUPP
	case soWifiStatus:
		sk.SetFlag(FlagWifiStatus, v != 0)
	case soNoFCS:
		sk.SetFlag(FlagNoFCS, v != 0)
	case soAttachBPF, soAttachReuseEBPF:
		if len(val) != 4 {
			return syscall.EINVAL
		}
		return syscall.EINVAL // no descriptor is a program here
	case soDevmemDontneed:
		if len(val)%8 != 0 {
			return syscall.EINVAL
		}
	case soRcvPriority:
		sk.SetFlag(FlagRcvPriority, v != 0)
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

// MaxPacingRate returns SO_MAX_PACING_RATE in bytes per second, all ones for no
// bound (Linux: sk_max_pacing_rate).
func (sk *Sock) MaxPacingRate() uint64 { return ^sk.maxPacing.Load() }

func (sk *Sock) changed() {
	if sk.stream != nil {
		sk.stream.OptionsChanged()
	} else if sk.Changed != nil {
		sk.Changed()
	}
}

// attachReuse is reuseport_attach_prog for a classic program.
func (sk *Sock) attachReuse(insns []byte) error {
	if sk.ReusePortFilter == nil && sk.stream == nil {
		return syscall.EINVAL
	}
	p, err := sk.parseFilter(insns)
	if err != nil {
		return err
	}
	if sk.stream != nil {
		return sk.stream.SetSelector(p)
	}
	return sk.ReusePortFilter(p)
}

func (sk *Sock) rmemMax() int32 {
	if sk.limits == nil {
		return MaxRcvBuf
	}
	return sk.limits.RmemMax.Load()
}

func (sk *Sock) wmemMax() int32 {
	if sk.limits == nil {
		return MaxSndBuf
	}
	return sk.limits.WmemMax.Load()
}

// setSndBuf and setRcvBuf double what the program asked for, which leaves room
// for the metadata that truesize counts (Linux: sock_setsockopt).
func (sk *Sock) setSndBuf(v uint) {
	sk.SetFlag(FlagSndBufLock, true)
	sk.sndbuf.Store(int32(max(min(v, 1<<30-1)*2, MinSndBuf)))
	sk.WriteSpace()
}

func (sk *Sock) setRcvBuf(v uint) {
	sk.SetFlag(FlagRcvBufLock, true)
	sk.rcvbuf.Store(int32(max(min(v, 1<<30-1)*2, MinRcvBuf)))
	if sk.stream != nil {
		sk.Lock()
		sk.stream.RcvBufChanged()
		sk.Unlock()
	}
}

// timeo is what setTimeo writes: an atomic int64 of nanoseconds.
type timeo interface{ Store(int64) }

// setTimeo reads a struct timeval (Linux: sock_set_timeout). Zero means for
// ever; a negative time means that nothing waits.
func setTimeo(val []byte, t timeo) error {
	if len(val) < 16 {
		return syscall.EINVAL
	}
	sec, usec := int64(getUint64(val)), int64(getUint64(val[8:]))
	if usec < 0 || usec >= 1e6 {
		return syscall.EDOM
	}
	switch {
	case sec < 0:
		t.Store(1)
	case sec >= int64(1<<62/time.Second):
		t.Store(0)
	default:
		t.Store(sec*int64(time.Second) + usec*int64(time.Microsecond))
	}
	return nil
}

func putTimeo(ns int64) (v [16]byte) {
	putUint64(v[:], uint64(ns/int64(time.Second)))
	putUint64(v[8:], uint64(ns%int64(time.Second)/int64(time.Microsecond)))
	return v
}

// bindToDevice is sock_setbindtodevice: an empty name undoes the binding.
func (sk *Sock) bindToDevice(val []byte) error {
	name := val
	if len(name) > ifNameSize-1 {
		name = name[:ifNameSize-1]
	}
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	var index int32
	if len(name) > 0 {
		if sk.limits == nil || sk.limits.net == nil {
			return syscall.ENODEV
		}
		d := sk.limits.net.DevByName(string(name))
		if d == nil {
			return syscall.ENODEV
		}
		index = d.Ifindex()
	}
	sk.boundDev.Store(index)
	sk.changed()
	return nil
}
