package sock

import "syscall"

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
	case syscall.SO_DEBUG:
		flag(FlagDebug)
	case soIncomingID:
		v = int(sk.busy.napi.Load())
	case syscall.SO_ACCEPTCONN:
		if sk.stream != nil && sk.stream.Listening() {
			v = 1
		}
	case soZerocopy:
		flag(FlagZerocopy)
	case soBusyPoll:
		v = int(sk.busy.usecs.Load())
	case soTimestamp:
		stamp(tsMicro)
	case soTimestampNS:
		stamp(tsNano)
	case soTimestampNew:
		stamp(tsMicro | stampNew)
		stamp(tsNano | stampNew) // as in Linux
	case soTimestampNSNew:
		stamp(tsNano | stampNew)
	case soTimestamping, soTimestampingNew:
		var p [8]byte // struct so_timestamping: flags, bind_phc
		if name == soTimestamping || sk.stampingNew.Load() {
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
		if v = int(sk.cpu.Load()); v < 0 && sk.stream != nil && sk.State() == StateEstablished {
			v = 0 // that of its packets
		}
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
		v = int(sk.Type)
	case soProtocol:
		v = int(sk.Protocol)
	case soDomain:
		v = int(sk.Family)
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
	case syscall.SO_RCVTIMEO, soRcvTimeoNew:
		p := putTimeo(sk.rcvtimeo.Load())
		return copy(buf, p[:]), nil
	case syscall.SO_SNDTIMEO, soSndTimeoNew:
		p := putTimeo(sk.sndtimeo.Load())
		return copy(buf, p[:]), nil
	case syscall.SO_BINDTODEVICE:
		return sk.getBindToDevice(buf)
	default:
		return s.getRareOpt(name, buf)
	}
	var p [4]byte
	putUint32(p[:], uint32(v))
	return copy(buf, p[:]), nil
}

// getRareOpt is the counterpart of setRareOpt, with what can only be asked.
func (s *Socket) getRareOpt(name int, buf []byte) (int, error) {
	sk := s.SK
	v := 0
	flag := func(f Flag, bit int) {
		if sk.Flag(f) {
			v |= bit
		}
	}
	var p [36]byte
	switch name {
	case soBSDCompat, soReserveMem:
	case soPeerName:
		var sa [MaxAddr]byte
		n, err := s.Getname(true, sa[:])
		if err != nil {
			return 0, syscall.ENOTCONN
		}
		if n < len(buf) {
			return 0, syscall.EINVAL
		}
		return copy(buf, sa[:n]), nil
	case soMaxPacingRate:
		rate := sk.MaxPacingRate()
		if len(buf) >= 8 {
			putUint64(p[:], rate)
			return copy(buf, p[:8]), nil
		}
		v = int(min(rate, 1<<32-1))
	case soBPFExtensions:
		v = 64 // SKF_AD_MAX
	case soMeminfo: // the order of SK_MEMINFO_*
		queued := 0
		if sk.stream != nil {
			queued = sk.stream.QueuedMem()
		}
		for i, n := range []int{sk.RmemAlloc(), sk.ReceiveBuffer(), sk.WmemAlloc(), sk.SendBuffer(), 0, queued, 0, 0, int(sk.Drops())} {
			putUint32(p[4*i:], uint32(n))
		}
		return copy(buf, p[:]), nil
	case soTxTime:
		putUint64(p[:], sk.txTime.Load())
		return copy(buf, p[:8]), nil
	case soPreferBusyPoll:
		flag(FlagPreferBusyPoll, 1)
	case soBufLock:
		flag(FlagSndBufLock, 1)
		flag(FlagRcvBufLock, 2)
	case soTxRehash:
		if sk.stream == nil {
			return 0, syscall.EOPNOTSUPP
		}
		if v = 1; sk.Flag(FlagNoTxRehash) {
			v = 0
		}
	case soPassCred, soPassSec, soPassPidfd, soPassRights:
		return 0, syscall.EOPNOTSUPP
	case soWifiStatus:
		flag(FlagWifiStatus, 1)
	case soNoFCS:
		flag(FlagNoFCS, 1)
	case soPeerCred: // nobody: pid 0, no user, no group
		putUint32(p[4:], 1<<32-1)
		putUint32(p[8:], 1<<32-1)
		return copy(buf, p[:12]), nil
	case soPeerGroups, soPeerPidfd:
		return 0, syscall.ENODATA
	case soNetnsCookie:
		if len(buf) != 8 {
			return 0, syscall.EINVAL
		}
		putUint64(p[:], 1)
		return copy(buf, p[:8]), nil
	case soRcvPriority:
		flag(FlagRcvPriority, 1)
	default:
		return 0, syscall.ENOPROTOOPT
	}
	putUint32(p[:], uint32(v))
	return copy(buf, p[:4]), nil
}

func (sk *Sock) getBindToDevice(buf []byte) (int, error) {
	index := sk.boundDev.Load()
	if index == 0 {
		return 0, nil
	}
	if len(buf) < ifNameSize {
		return 0, syscall.EINVAL
	}
	if sk.limits == nil || sk.limits.net == nil {
		return 0, syscall.ENODEV
	}
	d := sk.limits.net.DevByIndex(index)
	if d == nil {
		return 0, syscall.ENODEV
	}
	n := copy(buf[:ifNameSize-1], d.Name())
	buf[n] = 0
	return n + 1, nil
}
