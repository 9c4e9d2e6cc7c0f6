package sock

import (
	"syscall"

	"barewire/napi"
	"barewire/skb"
)

// Bits of SO_TIMESTAMPING (Linux: SOF_TIMESTAMPING_*).
const (
	TimestampingTxHardware = 1 << iota
	TimestampingTxSoftware
	TimestampingRxHardware
	TimestampingRxSoftware
	TimestampingSoftware
	TimestampingSysHardware
	TimestampingRawHardware
	TimestampingOptID
	TimestampingTxSched
	TimestampingTxAck
	TimestampingOptCmsg
	TimestampingOptTSOnly
	TimestampingOptStats
	TimestampingOptPktInfo
	TimestampingOptTxSwHw
	TimestampingBindPHC
	TimestampingOptIDTCP
	TimestampingOptRxFilter

	timestampingLast = 1 << 18 // SOF_TIMESTAMPING_LAST
	timestampingMask = timestampingLast<<1 - 1
)

// ScmOptStats is the control message of SOF_TIMESTAMPING_OPT_STATS (Linux:
// SCM_TIMESTAMPING_OPT_STATS).
const ScmOptStats = 54

// How the program wants the time of a packet.
const (
	tsNone  uint32 = iota
	tsMicro        // SO_TIMESTAMP
	tsNano         // SO_TIMESTAMPNS
)

// stampNew marks the 64-bit forms of the options, whose control messages have
// numbers of their own.
const stampNew = 1 << 8

// setTimestamp is sock_set_timestamp.
func (sk *Sock) setTimestamp(kind uint32, on bool) {
	if !on {
		kind = tsNone
	}
	sk.stamp.Store(kind)
}

// setTimestamping is sock_set_timestamping. What only a device's clock could
// tell is accepted and never delivered.
func (sk *Sock) setTimestamping(v int, isNew bool) error {
	switch {
	case v&^timestampingMask != 0,
		v&TimestampingOptIDTCP != 0 && v&TimestampingOptID == 0,
		v&TimestampingOptStats != 0 && v&TimestampingOptTSOnly == 0:
		return syscall.EINVAL
	}
	if v&TimestampingOptID != 0 && sk.stamping.Load()&TimestampingOptID == 0 {
		key := uint32(0)
		if sk.stream != nil {
			sk.Lock()
			k, err := sk.stream.StampKey(uint32(v))
			sk.Unlock()
			if err != nil {
				return err
			}
			key = k
		}
		sk.tskey.Store(key)
	}
	sk.stamping.Store(uint32(v))
	sk.stampingNew.Store(isNew)
	return nil
}

// wantsStamp reports whether packets must carry their time of arrival.
func (sk *Sock) wantsStamp() bool {
	return sk.stamp.Load() != tsNone || sk.stamping.Load()&TimestampingRxSoftware != 0
}

// Stamp notes the time of arrival in a packet if the sock asks for it (Linux:
// net_timestamp_check). Packets queued by QueueRcv are stamped by it.
func (sk *Sock) Stamp(b *skb.Buff) {
	if b.Tstamp == 0 && sk.wantsStamp() {
		b.Tstamp = sk.clock.Now()
	}
}

// wallTime turns a reading of the stack's clock into the time of day. The two
// are compared when a packet is read, so that setting the clock does not have
// to reach every stack.
func (sk *Sock) wallTime(mono int64) int64 {
	return napi.WallNow(sk.clock) - (sk.clock.Now() - mono)
}

// RecvTimestamp puts the time of a packet into m as the program asked for it
// (Linux: __sock_recv_timestamp).
func (sk *Sock) RecvTimestamp(m *Msg, b *skb.Buff) {
	kind, flags := sk.stamp.Load(), sk.stamping.Load()
	if kind == tsNone && flags&TimestampingSoftware == 0 {
		return
	}
	var at int64
	switch {
	case b.Tstamp != 0:
		at = sk.wallTime(b.Tstamp)
	case kind == tsNone:
		return // queued before the option was set
	default:
		at = napi.WallNow(sk.clock)
	}
	sec, nsec := uint64(at/1e9), uint64(at%1e9)
	var p [48]byte
	switch kind &^ stampNew {
	case tsMicro:
		putUint64(p[:], sec)
		putUint64(p[8:], nsec/1000)
		m.PutCmsg(syscall.SOL_SOCKET, pick(kind, soTimestamp, soTimestampNew), p[:16])
	case tsNano:
		putUint64(p[:], sec)
		putUint64(p[8:], nsec)
		m.PutCmsg(syscall.SOL_SOCKET, pick(kind, soTimestampNS, soTimestampNSNew), p[:16])
	}
	if flags&TimestampingSoftware != 0 && b.Tstamp != 0 {
		putUint64(p[:], sec)
		putUint64(p[8:], nsec)
		typ := soTimestamping
		if sk.stampingNew.Load() {
			typ = soTimestampingNew
		}
		m.PutCmsg(syscall.SOL_SOCKET, typ, p[:])
	}
}

func pick(kind uint32, old, new int) int {
	if kind&stampNew != 0 {
		return new
	}
	return old
}

// What lastStamp holds beside a time.
const (
	stampNone   = iota // no packet was read
	stampMissed        // one was, and its time is not known
	stampWanted        // none was since the program asked: the next leaves its time
)

// noteStamp notes the time of a packet that is read, for SIOCGSTAMP.
func (sk *Sock) noteStamp() {
	switch sk.lastStamp.Load() {
	case stampMissed:
	case stampNone:
		sk.lastStamp.Store(stampMissed)
	default:
		sk.lastStamp.Store(napi.WallNow(sk.clock))
	}
}

// GetStamp is sock_gettstamp (SIOCGSTAMP, SIOCGSTAMPNS): the time of the packet
// read last, ENOENT before the first. nano chooses the unit of the second word.
func (sk *Sock) GetStamp(arg []byte, nano bool) error {
	if len(arg) < 16 {
		return syscall.EFAULT
	}
	at := sk.lastStamp.Load()
	switch at {
	case stampNone, stampWanted:
		sk.lastStamp.Store(stampWanted)
		return syscall.ENOENT
	case stampMissed: // of no use, but what Linux says
		at = napi.WallNow(sk.clock)
		sk.lastStamp.Store(at)
	}
	frac := uint64(at % 1e9)
	if !nano {
		frac /= 1000
	}
	putUint64(arg, uint64(at/1e9))
	putUint64(arg[8:], frac)
	return nil
}
