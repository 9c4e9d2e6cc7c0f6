package ip

import (
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// rfc4884Invalid is SO_EE_RFC4884_FLAG_INVALID as it stands in ee_data, behind
// the two bytes of the length.
const rfc4884Invalid = 1 << 16

// ICMPError puts an ICMP error on the error queue of a sock that asked for
// errors (Linux: ip_icmp_error). b is the message as Protocol.Err gets it; it
// stays the caller's. payload is the offset from Data to what the quoted packet
// carried. port is the destination port of that packet.
func (s *Sock) ICMPError(b *skb.Buff, errno syscall.Errno, typ, code uint8, info uint32, port uint16, payload int) {
	q := header.IPv4(b.Data())
	e := sock.ExtErr{Errno: errno, Origin: sock.OriginICMP, Type: typ, Code: code, Info: info, Addr: uint32(q.Dst()), Port: port}
	if outer, ok := header.ParseIPv4(b.NetworkHeader()); ok {
		e.Offender = uint32(outer.Src())
	}
	c := b.Clone()
	if payload > c.Headlen() && !c.MayPull(payload) {
		c.Free(skb.HdrTrunc)
		return
	}
	c.Pull(payload)
	c.ResetTransportHeader()
	if s.Opt(OptRecvErrRFC4884) {
		e.Data = rfc4884(b, c, q, typ)
	}
	s.QueueErr(c, &e)
}

// rfc4884 says where the extensions of a multi-part message begin within what
// the program reads (Linux: ip_icmp_error_rfc4884): 0 if there are none.
func rfc4884(b, c *skb.Buff, q header.IPv4, typ uint8) uint32 {
	switch typ {
	case header.ICMPDestUnreach, header.ICMPTimeExceeded, header.ICMPParameterProb:
	default:
		return 0
	}
	outer, ok := header.ParseIPv4(b.NetworkHeader())
	if !ok || len(outer) < outer.HeaderLen()+header.ICMPLen {
		return 0
	}
	// The length of the quote, in words, stands in the second word (RFC 4884
	// section 4.1).
	n := int(outer[outer.HeaderLen()+5]) * 4
	read := b.Len() - c.Len() // headers of the quote that were pulled
	if b.Len() > mostQuoted || n < leastQuoted || n+extHdrLen > b.Len() {
		return 0
	}
	at := n - read
	if at < 0 {
		return rfc4884Invalid
	}
	if !extensionsOK(b, n) {
		return uint32(at) | rfc4884Invalid
	}
	return uint32(at)
}

// Bounds of a quote with extensions, in bytes (RFC 4884 section 3, RFC 1812
// section 4.3.2.3).
const (
	leastQuoted = 128
	mostQuoted  = 576
	extHdrLen   = 4
)

// extensionsOK checks the structure of extensions from off on (Linux:
// ip_icmp_error_rfc4884_validate; RFC 4884 section 7). Of another version
// nothing is known to be wrong.
func extensionsOK(b *skb.Buff, off int) bool {
	var h [extHdrLen]byte
	b.CopyBits(off, h[:])
	if h[0]>>4 != 2 {
		return true
	}
	if (h[2] != 0 || h[3] != 0) && skb.CsumFold(b.Checksum(off, b.Len()-off, 0)) != 0 {
		return false
	}
	for off += extHdrLen; off < b.Len(); {
		if b.CopyBits(off, h[:]) < extHdrLen {
			return false
		}
		n := int(h[0])<<8 | int(h[1])
		if n < extHdrLen || n > b.Len()-off {
			return false
		}
		off += n
	}
	return true
}

// LocalError puts an error found on this host on the error queue of a sock that
// asked for errors (Linux: ip_local_error). info is the MTU for EMSGSIZE.
func (s *Sock) LocalError(errno syscall.Errno, dst header.Addr, port uint16, info uint32) {
	if !s.Opt(OptRecvErr) {
		return
	}
	b := s.IP.Dev.SKB().Alloc(header.IPv4MinLen)
	if b == nil {
		return
	}
	h := header.PutIPv4(b.Put(header.IPv4MinLen), &header.Fields{TotalLen: header.IPv4MinLen, Dst: dst})
	h.UpdateChecksum()
	b.ResetNetworkHeader()
	b.Pull(header.IPv4MinLen)
	s.QueueErr(b, &sock.ExtErr{Errno: errno, Origin: sock.OriginLocal, Info: info, Addr: uint32(dst), Port: port})
}

// RecvError is MSG_ERRQUEUE (Linux: ip_recv_error): the first error of the
// queue with the data of the packet it is about, that packet's destination as
// the name, and struct sock_extended_err with the offender as IP_RECVERR. EAGAIN
// when there is none; it never waits.
func (s *Sock) RecvError(m *sock.Msg) (int, error) {
	b, e := s.DequeueErr()
	if b == nil {
		return 0, syscall.EAGAIN
	}
	defer b.Consume()
	n := b.Len()
	if room := m.Len(); n > room {
		m.Flags |= syscall.MSG_TRUNC
		n = room
	}
	if sock.CopyToIter(b, 0, n, m.Iov) < n {
		return 0, syscall.EFAULT
	}
	s.RecvTimestamp(m, b)
	if e.Stats {
		m.PutCmsg(syscall.SOL_SOCKET, sock.ScmOptStats, b.Data())
	}
	if e.Origin == sock.OriginICMP || e.Origin == sock.OriginLocal {
		sa := Sockaddr{Family: syscall.AF_INET, Port: e.Port, Addr: header.Addr(e.Addr)}
		m.NameLen = sa.Put(m.Name[:])
	}
	var p [sock.ExtErrLen + SockaddrLen]byte
	e.Put(p[:])
	if e.Origin == sock.OriginICMP {
		Sockaddr{Family: syscall.AF_INET, Addr: header.Addr(e.Offender)}.Put(p[sock.ExtErrLen:])
		if o := s.opts.Load() & optCmsg &^ (OptRecvFragSize | OptRetOpts); o != 0 {
			s.ipRecvControl(m, b, o, true)
		}
	}
	m.PutCmsg(syscall.SOL_IP, syscall.IP_RECVERR, p[:])
	m.Flags |= syscall.MSG_ERRQUEUE
	return n, nil
}

// errConvert says which error an unreachable message is for the program, and
// whether it ends the matter or may pass (Linux: icmp_err_convert).
var errConvert = [header.ICMPMaxUnreach + 1]struct { // read-only
	errno syscall.Errno
	fatal bool
}{
	header.ICMPNetUnreach:    {syscall.ENETUNREACH, false},
	header.ICMPHostUnreach:   {syscall.EHOSTUNREACH, false},
	header.ICMPProtUnreach:   {syscall.ENOPROTOOPT, true},
	header.ICMPPortUnreach:   {syscall.ECONNREFUSED, true},
	header.ICMPFragNeeded:    {syscall.EMSGSIZE, false},
	header.ICMPSRFailed:      {syscall.EOPNOTSUPP, false},
	header.ICMPNetUnknown:    {syscall.ENETUNREACH, true},
	header.ICMPHostUnknown:   {syscall.EHOSTDOWN, true},
	header.ICMPHostIsolated:  {syscall.ENONET, true},
	header.ICMPNetProhib:     {syscall.ENETUNREACH, true},
	header.ICMPHostProhib:    {syscall.EHOSTUNREACH, true},
	header.ICMPNetTOS:        {syscall.ENETUNREACH, false},
	header.ICMPHostTOS:       {syscall.EHOSTUNREACH, false},
	header.ICMPPktFiltered:   {syscall.EHOSTUNREACH, true},
	header.ICMPPrecViolation: {syscall.EHOSTUNREACH, true},
	header.ICMPPrecCutoff:    {syscall.EHOSTUNREACH, true},
}

// ErrnoOf says which error an ICMP error of a type and code is for the program,
// and whether it is final (Linux: the switch of udp_err, raw_err and ping_err,
// with icmp_err_convert). What it means that a packet was too large depends on
// the sock; see PMTUDisc.
func ErrnoOf(typ, code uint8) (errno syscall.Errno, fatal bool) {
	switch {
	case typ == header.ICMPRedirect:
		return syscall.EREMOTEIO, false
	case typ == header.ICMPParameterProb:
		return syscall.EPROTO, true
	case typ == header.ICMPDestUnreach && int(code) < len(errConvert):
		return errConvert[code].errno, errConvert[code].fatal
	}
	return syscall.EHOSTUNREACH, false
}
