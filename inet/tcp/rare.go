package tcp

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ip"
)

// Options of level SOL_TCP that few programs use. What they set lies apart, so
// that the many connections without pay a pointer.

const (
	tcpRepair        = 19
	tcpRepairQueue   = 20
	tcpQueueSeq      = 21
	tcpRepairOptions = 22
	tcpRepairWindow  = 29
	tcpULP           = 31
	tcpZeroReceive   = 35
	tcpTxDelay       = 37
	tcpAORepair      = 42
	tcpIsMPTCP       = 43
)

// Queues of TCP_REPAIR_QUEUE, and the values of TCP_REPAIR.
const (
	repairNoQueue = iota
	repairRecvQueue
	repairSendQueue
	repairQueues

	repairOff          = 0
	repairOn           = 1
	repairOffNoProbing = -1
)

// rare is what rare options set.
type rare struct {
	repair  bool  // TCP_REPAIR: nothing is said to the peer
	queue   uint8 // TCP_REPAIR_QUEUE
	thin    bool  // TCP_THIN_LINEAR_TIMEOUTS
	txDelay uint32
	group   *reuseGroup // until it listens
	ecn     *ecnCounts

	savedSyn []byte // what TCP_SAVE_SYN kept, until TCP_SAVED_SYN asks
}

func (s *Sock) mutableRare() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}
	return s.rare
}

// repairing reports whether TCP_REPAIR is on.
func (s *Sock) repairing() bool { return s.rare != nil && s.rare.repair }

// thinLinear reports whether a thin stream's timeouts grow linearly
// (TCP_THIN_LINEAR_TIMEOUTS).
func (s *Sock) thinLinear() bool { return s.rare != nil && s.rare.thin }

// setRareOpt sets an int option that SetSockOpt does not know. The sock is owned.
func (s *Sock) setRareOpt(name, v int, val []byte) error {
	le := binary.LittleEndian
	switch name {
	case tcpThinLinear:
		if v < 0 || v > 1 {
			return syscall.EINVAL
		}
		s.mutableRare().thin = v != 0
	case tcpTxDelay: // for a queueing discipline that keeps to times of departure
		if v < 0 || v >= 1<<29 || int64(v)*1000 >= 1<<31 {
			return syscall.EINVAL
		}
		s.mutableRare().txDelay = uint32(v)
	case tcpRepair:
		return s.setRepair(v)
	case tcpRepairQueue:
		switch {
		case !s.repairing():
			return syscall.EPERM
		case uint32(v) >= repairQueues:
			return syscall.EINVAL
		}
		s.rare.queue = uint8(v)
	case tcpQueueSeq:
		return s.setQueueSeq(uint32(v))
	case tcpRepairOptions:
		switch {
		case !s.repairing():
			return syscall.EINVAL
		case s.State() != Established || s.bytesSent != 0:
			return syscall.EPERM
		}
		return s.repairOptions(val)
	case tcpTimestamp:
		if !s.repairing() {
			return syscall.EPERM
		}
		s.tsOffset = uint32(v) - uint32(s.usecs()/1000)
	case tcpRepairWindow:
		if !s.repairing() {
			return syscall.EPERM
		}
		if len(val) != 20 {
			return syscall.EINVAL
		}
		wl1, wnd, most, rcvWnd, rcvWup := le.Uint32(val), le.Uint32(val[4:]), le.Uint32(val[8:]), le.Uint32(val[12:]), le.Uint32(val[16:])
		if most < wnd || after(wl1, s.rcvNxt+rcvWnd) || after(rcvWup, s.rcvNxt) {
			return syscall.EINVAL
		}
		s.sndWl1, s.sndWnd, s.maxWnd, s.rcvWnd, s.rcvWup = wl1, wnd, most, rcvWnd, rcvWup
	case tcpAORepair:
		if s.State() == Listen {
			return syscall.EPERM
		}
		return syscall.ENOPROTOOPT
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

// getRareOpt reads an option that GetSockOpt does not know. The sock is owned.
func (s *Sock) getRareOpt(name int, buf []byte) (int, error) {
	le := binary.LittleEndian
	r := rare{}
	if s.rare != nil {
		r = *s.rare
	}
	v := 0
	switch name {
	case tcpThinLinear:
		if r.thin {
			v = 1
		}
	case tcpTxDelay:
		v = int(r.txDelay)
	case tcpRepair:
		if r.repair {
			v = 1
		}
	case tcpRepairQueue:
		if !r.repair {
			return 0, syscall.EINVAL
		}
		v = int(r.queue)
	case tcpQueueSeq:
		switch r.queue {
		case repairSendQueue:
			v = int(int32(s.writeSeq))
		case repairRecvQueue:
			v = int(int32(s.rcvNxt))
		default:
			return 0, syscall.EINVAL
		}
	case tcpRepairWindow:
		if len(buf) != 20 {
			return 0, syscall.EINVAL
		}
		if !r.repair {
			return 0, syscall.EPERM
		}
		for i, v := range []uint32{s.sndWl1, s.sndWnd, s.maxWnd, s.rcvWnd, s.rcvWup} {
			le.PutUint32(buf[4*i:], v)
		}
		return 20, nil
	case tcpULP:
		return 0, nil
	case tcpIsMPTCP:
	case tcpAORepair:
		if s.State() == Listen {
			return 0, syscall.EPERM
		}
		return 0, syscall.ENOPROTOOPT
	case tcpZeroReceive:
		return s.zeroReceive(buf)
	default:
		return 0, syscall.ENOPROTOOPT
	}
	var p [4]byte
	putInt32(p[:], v)
	return copy(buf, p[:]), nil
}

// zeroReceive is TCP_ZEROCOPY_RECEIVE (Linux: tcp_zerocopy_receive), for a
// program that maps no pages of sockets: with less than a page to read it is
// told how much to copy, and more has nowhere to go.
func (s *Sock) zeroReceive(buf []byte) (int, error) {
	le := binary.LittleEndian
	if len(buf) < 16 { // address, length, recv_skip_hint
		return 0, syscall.EINVAL
	}
	addr := le.Uint64(buf)
	inq := s.readable()
	switch {
	case addr&(memPage-1) != 0:
		return 0, syscall.EINVAL
	case s.State() == Listen:
		return 0, syscall.ENOTCONN
	case inq >= memPage:
		return 0, syscall.EINVAL
	}
	le.PutUint32(buf[8:], 0)
	le.PutUint32(buf[12:], uint32(inq))
	return len(buf), nil
}

// setRepair is TCP_REPAIR: between on and off the connection is made or looked
// at without the peer.
func (s *Sock) setRepair(v int) error {
	if s.State() == Listen {
		return syscall.EPERM
	}
	switch v {
	case repairOn:
		r := s.mutableRare()
		r.repair, r.queue = true, repairNoQueue
	case repairOff:
		was := s.repairing()
		s.mutableRare().repair = false
		if was && s.State() == Established {
			s.sndWl1 = s.rcvNxt - 1 // whatever window comes next is newer
			s.refresh()
			s.xmitProbe(false)
		}
	case repairOffNoProbing:
		s.mutableRare().repair = false
	default:
		return syscall.EINVAL
	}
	return nil
}

// setQueueSeq is TCP_QUEUE_SEQ: where the numbers of a queue begin.
func (s *Sock) setQueueSeq(v uint32) error {
	queue := uint8(repairNoQueue)
	if s.rare != nil {
		queue = s.rare.queue
	}
	switch {
	case s.State() != Close:
		return syscall.EPERM
	case queue == repairSendQueue:
		if s.wq.sent() != 0 {
			return syscall.EPERM
		}
		s.writeSeq = v
	case queue == repairRecvQueue:
		if s.rcvNxt != s.copied {
			return syscall.EPERM
		}
		s.rcvNxt, s.copied = v, v
	default:
		return syscall.EINVAL
	}
	return nil
}

// repairOptions takes struct tcp_repair_opt: what both SYNs would have said
// (Linux: tcp_repair_options_est).
func (s *Sock) repairOptions(val []byte) error {
	le := binary.LittleEndian
	for ; len(val) >= 8; val = val[8:] {
		v := le.Uint32(val[4:])
		switch le.Uint32(val) {
		case 2: // MSS
			s.opt.mssClamp = int(v)
			s.mtuInit()
			if rt, _ := s.CachedRoute(s.Ident()); rt != nil {
				s.syncMSS(rt.MTU())
			}
		case 3:
			snd, rcv := v&0xffff, v>>16
			if snd > maxWScale || rcv > maxWScale {
				return syscall.EFBIG
			}
			s.opt.sndWScale, s.opt.rcvWScale, s.opt.wscaleOK = uint8(snd), uint8(rcv), true
		case 4:
			if v != 0 {
				return syscall.EINVAL
			}
			s.opt.sackOK = true
		case 8:
			if v != 0 {
				return syscall.EINVAL
			}
			s.opt.tsOK = true
			s.headerLen = 20 + tsOptLen
		}
	}
	return nil
}

// repairConnect makes a connection of what was set, without a word to the peer
// (Linux: tcp_connect with repair).
func (s *Sock) repairConnect(rt *ip.Rtable) {
	rcvNxt := s.rcvNxt
	s.refresh()
	s.connectInit(rt)
	s.rcvNxt, s.rcvWup, s.copied = rcvNxt, rcvNxt, rcvNxt
	s.rcvTstamp = s.tcp.now()
	s.finishConnect()
}
