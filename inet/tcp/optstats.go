package tcp

import (
	"encoding/binary"

	"barewire/inet/sock"
)

// What a connection says of itself with the time of a packet
// (SOF_TIMESTAMPING_OPT_STATS; Linux: tcp_get_timestamping_opt_stats).

// Attributes (Linux: TCP_NLA_*).
const (
	nlaBusy = 1 + iota
	nlaRwndLimited
	nlaSndbufLimited
	nlaDataSegsOut
	nlaTotalRetrans
	nlaPacingRate
	nlaDeliveryRate
	nlaSndCwnd
	nlaReordering
	nlaMinRTT
	nlaRecurRetrans
	nlaDeliveryRateAppLmt
	nlaSndqSize
	nlaCAState
	nlaSndSSThresh
	nlaDelivered
	nlaDeliveredCE
	nlaBytesSent
	nlaBytesRetrans
	nlaDsackDups
	nlaReordSeen
	nlaSRTT
	nlaTimeoutRehash
	nlaBytesNotsent
	nlaEDT
	nlaTTL
	nlaRehash
)

// nlaPut appends an attribute of size bytes.
func nlaPut(p []byte, typ uint16, size int, v uint64) []byte {
	le := binary.LittleEndian
	p = le.AppendUint16(le.AppendUint16(p, uint16(4+size)), typ)
	for i := range (size + 3) &^ 3 {
		p = append(p, byte(v>>(8*i)))
	}
	return p
}

func flagBit(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// stats appends the attributes. The sock's lock is held. at is when the packet
// was sent, in us; ttl that of the ACK, 0 if it is not about one.
func (s *Sock) stats(p []byte, at int64, ttl uint8) []byte {
	busy, rwnd, sndbuf := s.chronoTimes()
	for _, a := range []struct {
		typ  uint16
		size int
		v    uint64
	}{
		{nlaBusy, 8, busy}, {nlaRwndLimited, 8, rwnd}, {nlaSndbufLimited, 8, sndbuf},
		{nlaDataSegsOut, 8, uint64(s.dataSegsOut)}, {nlaTotalRetrans, 8, uint64(s.totalRetrans)},
		{nlaPacingRate, 8, s.pacingRate}, {nlaDeliveryRate, 8, s.deliveryRate()},
		{nlaSndCwnd, 4, uint64(s.cwnd)}, {nlaReordering, 4, uint64(s.reordering)}, {nlaMinRTT, 4, uint64(s.rttMin.get())},
		{nlaRecurRetrans, 1, uint64(s.retransmits)}, {nlaDeliveryRateAppLmt, 1, flagBit(s.rateAppLim)},
		{nlaSndSSThresh, 4, uint64(s.ssthresh)}, {nlaDelivered, 4, uint64(s.delivered)}, {nlaDeliveredCE, 4, uint64(s.deliveredCE)},
		{nlaSndqSize, 4, uint64(s.writeSeq - s.sndUna)}, {nlaCAState, 1, uint64(s.caState)},
		{nlaBytesSent, 8, s.bytesSent}, {nlaBytesRetrans, 8, s.bytesRetrans},
		{nlaDsackDups, 4, uint64(s.dsackDups)}, {nlaReordSeen, 4, uint64(s.reordSeen)}, {nlaSRTT, 4, uint64(s.srtt >> 3)},
		{nlaTimeoutRehash, 2, 0}, {nlaBytesNotsent, 4, uint64(max(int32(s.writeSeq-s.sndNxt), 0))},
		{nlaEDT, 8, uint64(at) * 1000},
	} {
		p = nlaPut(p, a.typ, a.size, a.v)
	}
	if ttl != 0 {
		p = nlaPut(p, nlaTTL, 1, uint64(ttl))
	}
	return nlaPut(p, nlaRehash, 4, 0)
}

// noteStats keeps what a moment of a packet is to tell: it may come while nobody
// has the lock.
func (s *Sock) noteStats(at int64, ttl uint8) {
	if s.Stamping()&sock.TimestampingOptStats != 0 {
		p := s.stats(make([]byte, 0, 512), at, ttl)
		s.sentStats.Store(&p)
	}
}

// StampStats implements sock.Stream.
func (s *Sock) StampStats(p []byte) []byte {
	if sent := s.sentStats.Load(); sent != nil {
		return append(p, *sent...)
	}
	return p
}

// ErrReady implements sock.Stream: the lock may be held by whoever calls, or by
// nobody.
func (s *Sock) ErrReady() {
	s.wake(wakeErr)
	s.tcp.tsq.add(s)
}

// deliveryRate is tcp_compute_delivery_rate, in bytes per second.
func (s *Sock) deliveryRate() uint64 {
	if s.rateInterval == 0 || s.rateDeliv == 0 {
		return 0
	}
	return uint64(s.rateDeliv) * uint64(s.mssCache) * 1e6 / uint64(s.rateInterval)
}
