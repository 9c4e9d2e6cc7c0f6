package udp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// SendMsg sends one datagram, or with MSG_MORE or UDP_CORK a part of one (Linux:
// udp_sendmsg). Errors: EMSGSIZE, EDESTADDRREQ without a destination, EACCES for
// broadcast without SO_BROADCAST, EAGAIN, the pending error, and those of
// routing and output.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	n, err := s.sendMsg(m, flags)
	if flags&sock.MSG_ZEROCOPY != 0 && err == nil {
		s.ZerocopyDone(s.IP.Dev.SKB(), flags)
	}
	return n, err
}

func (s *Sock) sendMsg(m *sock.Msg, flags int) (int, error) {
	if s.Ident().Num == 0 {
		if err := s.autobind(); err != nil {
			return 0, err
		}
	}
	n := m.Len()
	if n > 0xffff {
		return 0, syscall.EMSGSIZE
	}
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	more := flags&sock.MSG_MORE != 0 || s.corkOn.Load()
	if s.pending.Load() {
		s.Lock()
		if s.pending.Load() {
			defer s.Unlock()
			return s.appendLocked(m, n, flags, more)
		}
		s.Unlock()
	}
	id := s.Ident()
	w := ip.Way{C: s.InitCookie(flags), X: ip.Xmit{Dst: id.Daddr, Proto: s.udp.proto}, GSO: int(s.gsoSize.Load())}
	dport := id.Dport
	connected := m.NameLen == 0
	if connected {
		if s.State() != sock.StateEstablished {
			return 0, syscall.EDESTADDRREQ
		}
	} else {
		sa, err := ip.ParseSockaddr(m.Name[:min(m.NameLen, sock.MaxAddr)])
		if err != nil {
			return 0, err
		}
		if sa.Family != syscall.AF_INET && sa.Family != syscall.AF_UNSPEC {
			return 0, syscall.EAFNOSUPPORT
		}
		if sa.Port == 0 {
			return 0, syscall.EINVAL
		}
		w.X.Dst, dport = sa.Addr, sa.Port
	}
	if len(m.Control) > 0 {
		others, err := parseSegment(&w.GSO, m.Control)
		if err == nil && others {
			err = s.ParseControl(&w.C, m.Control)
			connected = false
		}
		if err != nil {
			return 0, err
		}
	}
	if err := s.Route(&w, id, id.Num, dport, connected); err != nil {
		return 0, err
	}
	if flags&syscall.MSG_CONFIRM != 0 {
		s.IP.ConfirmNeigh(w.Rt, w.X.Dst)
	}
	if flags&sock.MSG_PROBE != 0 {
		return n, nil
	}
	if more {
		s.Lock()
		defer s.Unlock()
		if s.pending.Load() {
			return 0, syscall.EINVAL // another thread corked it meanwhile
		}
		s.cork.Way, s.cork.ID, s.corkPort = w, id, dport
		s.pending.Store(true)
		return s.appendLocked(m, n, flags, true)
	}
	return s.transmit(m, n, flags, id, &w, dport)
}

// transmit makes the packet and sends it (Linux: ip_make_skb and
// udp_send_skb).
func (s *Sock) transmit(m *sock.Msg, n, flags int, id *ip.Ident, w *ip.Way, dport uint16) (int, error) {
	stats := s.udp.stats
	if err := s.CheckSize(w, header.UDPLen+n); err != nil {
		return 0, err
	}
	if err := s.WaitSendSpace(flags); err != nil {
		if err == syscall.EAGAIN {
			stats.SndbufErrors.Add(1)
		}
		return 0, err
	}
	it := sock.Iter{Iov: m.Iov}
	b := s.NewDatagram(&it, w, n, header.UDPLen)
	if b == nil {
		stats.SndbufErrors.Add(1)
		return 0, syscall.ENOBUFS
	}
	if err := s.output(b, id, w, dport); err != nil {
		return 0, err
	}
	return n, nil
}

// appendLocked adds to the datagram in the making and sends it when there is no
// more to come (Linux: the end of udp_sendmsg). The sock is owned.
func (s *Sock) appendLocked(m *sock.Msg, n, flags int, more bool) (int, error) {
	stats := s.udp.stats
	err := s.WaitSendSpace(flags)
	if err == nil {
		it := sock.Iter{Iov: m.Iov}
		err = s.Append(&s.cork, &it, n, header.UDPLen)
	}
	if err != nil {
		if err == syscall.EAGAIN || err == syscall.ENOBUFS {
			stats.SndbufErrors.Add(1)
		}
		s.flush()
		return 0, err
	}
	if !more {
		if err := s.pushPending(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// pushPending sends the datagram in the making (Linux:
// udp_push_pending_frames). The sock is owned.
func (s *Sock) pushPending() error {
	if !s.pending.Load() {
		return nil
	}
	w, id, dport := s.cork.Way, s.cork.ID, s.corkPort
	b := s.Finish(&s.cork, header.UDPLen)
	s.pending.Store(false)
	if b == nil {
		s.udp.stats.SndbufErrors.Add(1)
		return syscall.ENOBUFS
	}
	return s.output(b, id, &w, dport)
}

// flush throws the datagram in the making away (Linux:
// udp_flush_pending_frames). The sock is owned.
func (s *Sock) flush() {
	if s.pending.Swap(false) {
		s.cork.Drop()
	}
}

// output puts the UDP header in front of the payload b and sends it (Linux:
// udp_send_skb). Consumes b.
func (s *Sock) output(b *skb.Buff, id *ip.Ident, w *ip.Way, dport uint16) error {
	data := b.Len()
	if err := s.checkSegment(w, data); err != nil {
		b.Free(skb.PktTooBig)
		return err
	}
	n := header.UDPLen + data
	h := header.PutUDP(b.Push(header.UDPLen), id.Num, dport, n)
	switch {
	case s.udp.lite:
		s.liteChecksum(b, h, &w.X)
	case w.GSO != 0 && data > w.GSO:
		s.superPacket(b, h, w, data)
	default:
		s.checksum(b, h, w, header.IPv4MinLen+n <= w.Rt.MTU() && w.X.Opt == nil)
	}
	stats := s.udp.stats
	if err := s.Send(b, id, w); err != nil {
		if err == syscall.ENOBUFS {
			stats.SndbufErrors.Add(1)
			if !s.Opt(ip.OptRecvErr) {
				// As in Linux a full device queue is a lost packet, which the
				// program is told of only if it asked for errors.
				return nil
			}
		}
		return err
	}
	stats.OutDatagrams.Add(1)
	return nil
}

// checksum fills in the checksum of a packet whose Data is the UDP header, or
// leaves it to the device if that can and the packet stays whole (Linux:
// udp4_hwcsum and the cases of udp_send_skb).
func (s *Sock) checksum(b *skb.Buff, h header.UDP, w *ip.Way, whole bool) {
	if s.Flag(sock.FlagNoCheckTx) {
		return
	}
	l := b.Len()
	pseudo := header.PseudoSum(w.X.Src, w.X.Dst, header.ProtoUDP, l)
	if whole && w.Rt.Dev.Features()&napi.FeatureHWCsum != 0 && b.SetCsumPartial(0, 6) {
		h.SetChecksum(^skb.CsumFold(pseudo))
		return
	}
	sum := skb.CsumFold(b.Checksum(0, l, pseudo))
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means none
	}
	h.SetChecksum(sum)
	b.IPSummed = skb.ChecksumNone
}

// RecvMsg receives one datagram (Linux: udp_recvmsg). It returns the bytes
// copied, or the datagram's length if flags has MSG_TRUNC. Errors: the pending
// error, EAGAIN.
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return s.RecvError(m)
	}
	b, off, err := s.RecvDatagramAt(flags, s.PeekOffset(flags))
	if b == nil {
		return 0, err
	}
	n, err := m.CopyDatagram(b, off, flags)
	if err != nil {
		b.Consume()
		return 0, err
	}
	sa := ip.Sockaddr{
		Family: syscall.AF_INET,
		Port:   header.UDP(b.TransportHeader()).SrcPort(),
		Addr:   header.IPv4(b.NetworkHeader()).Src(),
	}
	m.NameLen = sa.Put(m.Name[:])
	s.RecvControl(m, b)
	if s.gro.Load() {
		if p, ok := groSize(b); ok {
			m.PutCmsg(solUDP, udpGRO, p[:])
		}
	}
	b.Consume()
	s.MovePeekOffset(flags, n)
	return n, nil
}
