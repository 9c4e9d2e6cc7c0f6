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
	case syscall.SO_DETACH_FILTER:
		return sk.detachFilter()
	case soAttachReuseCBPF:
		return sk.attachReuse(val)
	case soDetachReuseBPF:
		if sk.ReusePortFilter == nil {
			return syscall.ENOENT
		}
		return sk.ReusePortFilter(nil)
	}
	v, err := intOpt(val)
	if err != nil {
		return err
	}
	on := v != 0
	switch name {
	case syscall.SO_DEBUG:
		if on {
			return syscall.EACCES
		}
	case syscall.SO_REUSEADDR:
		sk.SetFlag(FlagReuse, on)
		sk.changed()
	case soReusePort:
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
		sk.peekOff.Store(int32(max(v, -1)))
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
		sk.busyPoll.Store(int32(v))
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
			sk.lowat.Store(int32(max(v, 1)))
			sk.stream.SetRcvLowat(max(v, 1))
			sk.Unlock()
			break
		}
		sk.lowat.Store(int32(max(v, 1)))
	case syscall.SO_RCVTIMEO:
		return setTimeo(val, &sk.rcvtimeo)
	case syscall.SO_SNDTIMEO:
		return setTimeo(val, &sk.sndtimeo)
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

func (sk *Sock) changed() {
	if sk.Changed != nil {
		sk.Changed()
	}
}

// attachReuse is reuseport_attach_prog for a classic program.
func (sk *Sock) attachReuse(insns []byte) error {
	if sk.ReusePortFilter == nil {
		return syscall.EINVAL
	}
	p, err := sk.parseFilter(insns)
	if err != nil {
		return err
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
	sk.sndbuf.Store(int32(max(min(v, 1<<29)*2, MinSndBuf)))
	sk.WriteSpace()
}

func (sk *Sock) setRcvBuf(v uint) {
	sk.SetFlag(FlagRcvBufLock, true)
	sk.rcvbuf.Store(int32(max(min(v, 1<<29)*2, MinRcvBuf)))
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
		if sk.LookupDev == nil {
			return syscall.ENODEV
		}
		i, ok := sk.LookupDev(string(name))
		if !ok {
			return syscall.ENODEV
		}
		index = i
	}
	sk.boundDev.Store(index)
	sk.changed()
	return nil
}

// getSockOpt is sock_getsockopt: the SOL_SOCKET level.
func (s *Socket) getSockOpt(name int, buf []byte) (int, error) {
	sk := s.SK
	v := 0
	flag := func(f Flag) {
		if sk.Flag(f) {
			v = 1
		}
	}
	stamp := func(kind uint32) {
		if sk.stamp.Load() == kind {
			v = 1
		}
	}
	switch name {
	case syscall.SO_DEBUG, soIncomingID:
	case syscall.SO_ACCEPTCONN:
		if sk.stream != nil && sk.stream.Listening() {
			v = 1
		}
	case soZerocopy:
		flag(FlagZerocopy)
	case soBusyPoll:
		v = int(sk.busyPoll.Load())
	case soTimestamp:
		stamp(tsMicro)
	case soTimestampNS:
		stamp(tsNano)
	case soTimestampNew:
		stamp(tsMicro | stampNew)
	case soTimestampNSNew:
		stamp(tsNano | stampNew)
	case soTimestamping, soTimestampingNew:
		var p [8]byte // struct so_timestamping: flags, bind_phc
		if sk.stampingNew.Load() == (name == soTimestampingNew) {
			putUint32(p[:], sk.stamping.Load())
		}
		return copy(buf, p[:]), nil
	case soPeekOff:
		if !sk.hasPeek {
			return 0, syscall.EOPNOTSUPP
		}
		v = int(sk.peekOff.Load())
	case soLockFilter:
		flag(FlagFilterLocked)
	case soSelectErrQueue:
		flag(FlagSelectErrQueue)
	case soIncomingCPU:
		v = int(sk.cpu.Load())
	case soBindToIfindex:
		v = int(sk.boundDev.Load())
	case soRcvMark:
		flag(FlagRcvMark)
	case syscall.SO_ATTACH_FILTER: // SO_GET_FILTER
		return sk.getFilter(buf)
	case soCookie:
		if len(buf) < 8 {
			return 0, syscall.EINVAL
		}
		putUint64(buf, sk.ino)
		return 8, nil
	case syscall.SO_REUSEADDR:
		flag(FlagReuse)
	case soReusePort:
		flag(FlagReusePort)
	case syscall.SO_TYPE:
		v = sk.Type
	case soProtocol:
		v = sk.Protocol
	case soDomain:
		v = sk.Family
	case syscall.SO_ERROR:
		if err := sk.TakeError(); err != nil {
			v = int(err.(syscall.Errno))
		} else {
			v = int(sk.softErr.Swap(0))
		}
	case syscall.SO_DONTROUTE:
		flag(FlagDontRoute)
	case syscall.SO_BROADCAST:
		flag(FlagBroadcast)
	case syscall.SO_SNDBUF:
		v = int(sk.sndbuf.Load())
	case syscall.SO_RCVBUF:
		v = int(sk.rcvbuf.Load())
	case syscall.SO_KEEPALIVE:
		flag(FlagKeepOpen)
	case syscall.SO_OOBINLINE:
		flag(FlagOOBInline)
	case soNoCheck:
		flag(FlagNoCheckTx)
	case soPriority:
		v = int(sk.priority.Load())
	case syscall.SO_MARK:
		v = int(int32(sk.mark.Load()))
	case soRxqOvfl:
		flag(FlagRxqOvfl)
	case syscall.SO_RCVLOWAT:
		v = int(sk.lowat.Load())
	case syscall.SO_SNDLOWAT:
		v = 1
	case syscall.SO_LINGER:
		l := sk.linger.Load()
		var p [8]byte
		putUint32(p[:], uint32(l&1))
		putUint32(p[4:], uint32(l>>1))
		return copy(buf, p[:]), nil
	case syscall.SO_RCVTIMEO:
		p := putTimeo(sk.rcvtimeo.Load())
		return copy(buf, p[:]), nil
	case syscall.SO_SNDTIMEO:
		p := putTimeo(sk.sndtimeo.Load())
		return copy(buf, p[:]), nil
	case syscall.SO_BINDTODEVICE:
		return sk.getBindToDevice(buf)
	default:
		return 0, syscall.ENOPROTOOPT
	}
	var p [4]byte
	putUint32(p[:], uint32(v))
	return copy(buf, p[:]), nil
}

func (sk *Sock) getBindToDevice(buf []byte) (int, error) {
	index := sk.boundDev.Load()
	if index == 0 {
		return 0, nil
	}
	if len(buf) < ifNameSize {
		return 0, syscall.EINVAL
	}
	if sk.DevName == nil {
		return 0, syscall.ENODEV
	}
	name := sk.DevName(index)
	if name == "" {
		return 0, syscall.ENODEV
	}
	n := copy(buf[:ifNameSize-1], name)
	buf[n] = 0
	return n + 1, nil
}
