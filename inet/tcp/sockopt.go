package tcp

import (
	"encoding/binary"
	"strings"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// errNotSupported is what asks for something not done yet.
const errNotSupported = syscall.EOPNOTSUPP

// Options of level SOL_TCP that package syscall lacks.
const (
	tcpUserTimeout   = 18
	tcpThinLinear    = 16
	tcpThinDupack    = 17
	tcpTimestamp     = 24
	tcpNotsentLowat  = 25
	tcpCCInfo        = 26
	tcpFastopen      = 23
	tcpMD5Sig        = 14
	tcpMD5SigExt     = 32
	tcpSaveSyn       = 27
	tcpSavedSyn      = 28
	tcpFastopenConn  = 30
	tcpFastopenKey   = 33
	tcpFastopenNoCk  = 34
	tcpInq           = 36
	tcpCmInq         = tcpInq
	tcpRTOMax        = 44
	tcpRTOMin        = 45
	tcpDelackMax     = 46
	caNameMax        = 16
	maxKeepIdle      = 32767
	maxKeepIntvl     = 32767
	maxKeepCount     = 127
	maxSynCount      = 127
	maxTCPWindowSize = 32767
)

// SetSockOpt is tcp_setsockopt and below it ip_setsockopt.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != syscall.SOL_TCP {
		return s.Sock.SetSockOpt(level, name, val)
	}
	if name == syscall.TCP_CONGESTION {
		return s.setCongestion(val)
	}
	if name == tcpMD5Sig || name == tcpMD5SigExt {
		return s.setMD5(val, name == tcpMD5SigExt)
	}
	if name == tcpFastopenKey {
		return s.setFastopenKey(val)
	}
	if name == tcpULP && len(val) > 0 {
		return syscall.ENOENT // there are none
	}
	if len(val) < 4 {
		return syscall.EINVAL
	}
	v := int(int32(binary.LittleEndian.Uint32(val)))
	s.lock()
	defer s.unlock()
	s.refresh()
	switch name {
	case syscall.TCP_MAXSEG:
		if v != 0 && (v < minMSS || v > maxTCPWindowSize) {
			return syscall.EINVAL
		}
		s.own().userMSS = v
	case syscall.TCP_NODELAY:
		if v != 0 {
			s.nonagle |= nagleOff | naglePush
			s.pushPending(s.currentMSS(), s.nonagle)
		} else {
			s.nonagle &^= nagleOff
		}
	case syscall.TCP_CORK:
		if v != 0 {
			s.nonagle |= nagleCork
			if s.nonagle&nagleOff != 0 {
				s.nonagle |= naglePush
			}
		} else {
			s.nonagle &^= nagleCork
			if s.nonagle&nagleOff != 0 {
				s.nonagle |= naglePush
			}
			s.pushPending(s.currentMSS(), s.nonagle)
		}
	case syscall.TCP_KEEPIDLE:
		if v < 1 || v > maxKeepIdle {
			return syscall.EINVAL
		}
		s.own().keepTime = int64(v) * sec
		if s.Flag(sock.FlagKeepOpen) && !inStates(s.State(), fClose|fListen) {
			s.keepMod(s.tcp.now() + max(s.keepTime-s.sinceReceived(), 0))
		}
	case syscall.TCP_KEEPINTVL:
		if v < 1 || v > maxKeepIntvl {
			return syscall.EINVAL
		}
		s.own().keepIntvl = int64(v) * sec
	case syscall.TCP_KEEPCNT:
		if v < 1 || v > maxKeepCount {
			return syscall.EINVAL
		}
		s.own().keepProbes = uint8(v)
	case syscall.TCP_SYNCNT:
		if v < 1 || v > maxSynCount {
			return syscall.EINVAL
		}
		s.own().synRetries = uint8(v)
	case syscall.TCP_LINGER2:
		switch {
		case v < 0:
			s.own().linger2 = -1
		case int64(v)*sec > finTimeoutMax:
			s.own().linger2 = finTimeoutMax
		default:
			s.own().linger2 = int64(v) * sec
		}
	case tcpFastopen:
		if v < 0 || !inStates(s.State(), fClose|fListen) {
			return syscall.EINVAL
		}
		s.tuneFastOpen(v)
	case tcpFastopenConn:
		switch {
		case v < 0 || v > 1:
			return syscall.EINVAL
		case s.tcp.conf.fastopen.Load()&foClient == 0:
			return syscall.EOPNOTSUPP
		case s.State() != Close:
			return syscall.EINVAL
		}
		s.fastopen.connect = v != 0
	case tcpFastopenNoCk:
		if v < 0 || v > 1 || !inStates(s.State(), fClose|fListen) {
			return syscall.EINVAL
		}
		s.fastopen.noCookie.Store(v != 0)
	case tcpSaveSyn:
		if v < 0 || v > 2 {
			return syscall.EINVAL
		}
		s.saveSyn.Store(uint32(v))
	case syscall.TCP_DEFER_ACCEPT:
		s.own().deferAcc = secsToRetrans(v)
	case syscall.TCP_WINDOW_CLAMP:
		if v == 0 {
			if s.State() != Close {
				return syscall.EINVAL
			}
			s.winClamp = 0
		} else {
			s.setWindowClamp(uint32(max(v, sock.MinRcvBuf/2)))
		}
	case syscall.TCP_QUICKACK:
		s.setQuickack(v)
	case tcpUserTimeout:
		if v < 0 {
			return syscall.EINVAL
		}
		s.own().userTimeout = int64(v) * ms
	case tcpNotsentLowat:
		s.own().notsentLow = uint32(v)
		if s.writeable() {
			s.wake(wakeSpace)
		}
	case tcpInq:
		if v < 0 || v > 1 {
			return syscall.EINVAL
		}
		s.inq = v != 0
	case tcpThinDupack:
		if v < 0 || v > 1 {
			return syscall.EINVAL
		}
	case tcpRTOMax:
		if int64(v)*ms < sec || int64(v) > 120000 {
			return syscall.EINVAL
		}
		s.own().rtoMax = int64(v) * ms
	case tcpRTOMin:
		if !shortTime(v) {
			return syscall.EINVAL
		}
		s.own().rtoMin = int64(v) * 1000
	case tcpDelackMax:
		if !shortTime(v) {
			return syscall.EINVAL
		}
		s.own().delackMax = int64(v) * 1000
	default:
		return s.setRareOpt(name, v, val)
	}
	return nil
}

// shortTime says whether TCP_RTO_MIN_US and TCP_DELACK_MAX_US may be v us: two
// ticks at least, what Linux has without them at most.
func shortTime(v int) bool { return v > 2000 && v <= 200000 }

// setQuickack is tcp_sock_set_quickack.
func (s *Sock) setQuickack(v int) {
	if v == 0 {
		s.enterPingpong()
		return
	}
	s.exitPingpong()
	if inStates(s.State(), fEstablished|fCloseWait) && s.ackScheduled() {
		s.ack.pending |= ackPushed
		s.cleanupRbuf(1)
		if v&1 == 0 {
			s.enterPingpong()
		}
	}
}

// secsToRetrans turns seconds into retransmissions of the SYN-ACK (Linux:
// secs_to_retrans).
func secsToRetrans(v int) uint8 {
	n := uint8(0)
	if v > 0 {
		period, t := 1, 1
		n = 1
		for v > period && n < 255 {
			n++
			t = min(t<<1, 120)
			period += t
		}
	}
	return n
}

func retransToSecs(n uint8) int {
	period := 0
	if n > 0 {
		t := 1
		period = t
		for n--; n > 0; n-- {
			t = min(t<<1, 120)
			period += t
		}
	}
	return period
}

// setCongestion is TCP_CONGESTION: ENOENT for a name nobody knows.
func (s *Sock) setCongestion(val []byte) error {
	if len(val) < 1 {
		return syscall.EINVAL
	}
	name, _, _ := strings.Cut(string(val[:min(len(val), caNameMax-1)]), "\x00")
	ops := s.tcp.congByName(name)
	if ops == nil {
		return syscall.ENOENT
	}
	s.lock()
	defer s.unlock()
	s.congSet = true
	if s.ca == ops {
		return nil
	}
	s.ca = ops
	s.caPriv = caPriv{}
	if !inStates(s.State(), fClose|fListen) {
		s.initCong()
	}
	return nil
}

// GetSockOpt is tcp_getsockopt and below it ip_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != syscall.SOL_TCP {
		return s.Sock.GetSockOpt(level, name, buf)
	}
	s.lock()
	defer s.unlock()
	v := 0
	flag := func(on bool) {
		if on {
			v = 1
		}
	}
	c := &s.tcp.conf
	switch name {
	case syscall.TCP_MAXSEG:
		v = s.mssCache
		if s.userMSS != 0 && inStates(s.State(), fClose|fListen) {
			v = s.userMSS
		}
	case syscall.TCP_NODELAY:
		flag(s.nonagle&nagleOff != 0)
	case syscall.TCP_CORK:
		flag(s.nonagle&nagleCork != 0)
	case syscall.TCP_KEEPIDLE:
		v = int(s.keepTimeWhen() / sec)
	case syscall.TCP_KEEPINTVL:
		v = int(s.keepIntvlWhen() / sec)
	case syscall.TCP_KEEPCNT:
		if v = int(s.keepProbes); v == 0 {
			v = int(c.keepProbes.Load())
		}
	case syscall.TCP_SYNCNT:
		if v = int(s.synRetries); v == 0 {
			v = int(c.synRetries.Load())
		}
	case syscall.TCP_LINGER2:
		if v = int(s.linger2 / sec); s.linger2 < 0 {
			v = -1
		} else if s.linger2 == 0 {
			v = int(c.finTimeout.Load() / sec)
		}
	case tcpFastopen:
		if q := s.fastopen.queue.Load(); q != nil {
			v = int(q.max.Load())
		}
	case tcpFastopenConn:
		flag(s.fastopen.connect)
	case tcpFastopenNoCk:
		flag(s.fastopen.noCookie.Load())
	case tcpFastopenKey:
		if k := s.fastopenKeysOf(); k != nil {
			return copy(buf, k.bytes()), nil
		}
		return 0, nil
	case tcpSaveSyn:
		v = int(s.saveSyn.Load())
	case tcpSavedSyn:
		var syn []byte
		if s.rare != nil {
			syn = s.rare.savedSyn
		}
		if len(buf) < len(syn) {
			return 0, syscall.EINVAL
		}
		if syn != nil {
			s.rare.savedSyn = nil
		}
		return copy(buf, syn), nil
	case syscall.TCP_DEFER_ACCEPT:
		v = retransToSecs(s.deferAcc)
	case syscall.TCP_WINDOW_CLAMP:
		v = int(s.winClamp)
	case syscall.TCP_QUICKACK:
		flag(!s.inPingpong())
	case syscall.TCP_INFO:
		p := s.info()
		return copy(buf, p[:]), nil
	case syscall.TCP_CONGESTION:
		var p [caNameMax]byte
		copy(p[:], s.ca.name)
		return copy(buf, p[:]), nil
	case tcpUserTimeout:
		v = int(s.userTimeout / ms)
	case tcpNotsentLowat:
		v = int(int32(s.notsentLow))
	case tcpInq:
		flag(s.inq)
	case tcpTimestamp:
		v = int(int32(s.tsNow(s.usecs())))
	case tcpRTOMax:
		v = int(s.rtoMax / ms)
	case tcpRTOMin:
		v = int(s.rtoMin / 1000)
	case tcpDelackMax:
		v = int(s.delackMax / 1000)
	case tcpThinDupack:
	case tcpCCInfo:
		if s.ca.info == nil || inStates(s.State(), fListen) || s.bbr == nil {
			return 0, nil
		}
		return copy(buf, s.ca.info(s)), nil
	default:
		return s.getRareOpt(name, buf)
	}
	var p [4]byte
	putInt32(p[:], v)
	return copy(buf, p[:]), nil
}

// infoLen is the size of struct tcp_info.
const infoLen = 280

// info is tcp_get_info: struct tcp_info as include/uapi/linux/tcp.h has it.
func (s *Sock) info() (p [infoLen]byte) {
	le := binary.LittleEndian
	st := s.State()
	p[0] = uint8(st)
	u32 := func(at int, v uint32) { le.PutUint32(p[at:], v) }
	u64 := func(at int, v uint64) { le.PutUint64(p[at:], v) }
	rate := s.pacingRate
	u64(104, rate)
	u64(112, s.MaxPacingRate())
	u32(220, s.reordSeen)
	u32(80, s.cwnd)
	if st == Listen {
		u32(24, uint32(s.extra.n.Load()))
		u32(28, uint32(s.extra.max.Load()))
		return p
	}
	now := s.tcp.now()
	p[1], p[2], p[3], p[4] = s.caState, s.retransmits, s.probesOut, s.backoff
	const optTS, optSACK, optWScale, optECN, optECNSeen = 1, 2, 4, 8, 16
	if s.opt.tsOK {
		p[5] |= optTS
	}
	if s.opt.sackOK {
		p[5] |= optSACK
	}
	if s.opt.wscaleOK {
		p[5] |= optWScale
		p[6] = s.opt.sndWScale | s.opt.rcvWScale<<4
	}
	if s.ecn&ecnModes != 0 {
		p[5] |= optECN
	}
	if s.ecn&ecnSeen != 0 {
		p[5] |= optECNSeen
	}
	if s.rateAppLim {
		p[7] |= 1
	}
	p[7] |= s.fastopen.fail << 1
	if s.fastopen.dataAcked {
		p[5] |= 32 // TCPI_OPT_SYN_DATA
	}
	u32(8, uint32(s.rto/1000))
	u32(12, uint32(s.ack.ato/1000))
	u32(16, uint32(s.mssCache))
	u32(20, uint32(s.ack.rcvMSS))
	u32(24, s.packetsOut)
	u32(28, s.sackedOut)
	u32(32, s.lostOut)
	u32(36, s.retransOut)
	ago := func(t int64) uint32 { return uint32((now - t) / ms) }
	u32(44, ago(s.lsndtime))
	u32(52, ago(s.ack.lrcvtime))
	u32(56, ago(s.rcvTstamp))
	u32(60, uint32(s.pmtu))
	u32(64, s.rcvSSThr)
	u32(68, s.srtt>>3)
	u32(72, s.mdev>>2)
	u32(76, s.ssthresh)
	u32(84, uint32(s.advMSS))
	u32(88, s.reordering)
	u32(92, s.rcvRTT.rtt>>3)
	u32(96, s.rcvSpace.space)
	u32(100, s.totalRetrans)
	u64(120, s.bytesAcked)
	u64(128, s.bytesRecv)
	u32(136, s.segsOut)
	u32(140, s.segsIn)
	u32(144, uint32(max(int32(s.writeSeq-s.sndNxt), 0)))
	u32(148, s.rttMin.get())
	u32(152, s.dataSegsIn)
	u32(156, s.dataSegsOut)
	u64(160, s.deliveryRate())
	busy, rwnd, sndbuf := s.chronoTimes()
	u64(168, busy)
	u64(176, rwnd)
	u64(184, sndbuf)
	u32(192, s.delivered)
	u32(196, s.deliveredCE)
	u64(200, s.bytesSent)
	u64(208, s.bytesRetrans)
	u32(216, s.dsackDups)
	u32(220, s.reordSeen)
	u32(224, s.rcvOOO)
	u32(228, s.sndWnd)
	u32(232, s.rcvWnd)
	u32(236, 0) // tcpi_rehash
	le.PutUint16(p[240:], s.totalRTO)
	le.PutUint16(p[242:], s.totalRTORecoveries)
	u32(244, s.totalRTOTime)
	if s.rare != nil && s.rare.ecn != nil {
		c := s.rare.ecn
		u32(248, c.receivedCE)
		for i, code := range []uint8{ipECT1, ipECT0, ipCE} {
			u32(252+4*i, c.delivered[code])
			u32(264+4*i, c.received[code])
		}
		le.PutUint16(p[276:], uint16(c.fail))
		le.PutUint16(p[278:], uint16(c.optSeen))
	}
	return p
}

var _ = header.TCPMinLen
