package ipmr

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Kinds of upcalls (Linux: IGMPMSG_*).
const (
	msgNoCache    = 1 // where does this go?
	msgWrongVIF   = 2 // this came by another vif than its entry says
	msgWholePkt   = 3 // a packet for the rendezvous point
	msgWholeWrong = 4 // as msgWrongVIF, with the packet
)

// Places in struct igmpmsg, which lies over an IP header.
const (
	igmpmsgType  = 8
	igmpmsgMbz   = 9
	igmpmsgVIF   = 10
	igmpmsgVIFHi = 11
)

// report sends an upcall to the daemon (Linux: ipmr_cache_report). It borrows
// b, whose Data is the IP header. Errors: EINVAL while there is no daemon,
// ENOBUFS when it does not keep up.
func (r *Router) report(t *table, b *skb.Buff, vif, kind int) error {
	s := t.sk.Load()
	if s == nil {
		return errNoDaemon
	}
	h := header.IPv4(b.Data())
	whole := kind == msgWholePkt || kind == msgWholeWrong
	hlen := h.HeaderLen()
	n := hlen + header.IGMPLen
	if whole {
		hlen = header.IPv4MinLen
		n = hlen + b.Len()
		r.mu.RLock()
		if kind == msgWholePkt {
			vif = t.regVif
		}
		r.mu.RUnlock()
	}
	u := r.net.SKB().Alloc(n)
	if u == nil {
		return syscall.ENOBUFS
	}
	p := u.Put(n)
	copy(p[:hlen], h[:hlen])
	p[igmpmsgType], p[igmpmsgMbz], p[igmpmsgVIF], p[igmpmsgVIFHi] = byte(kind), 0, byte(vif), byte(vif>>8)
	if whole {
		b.CopyBits(0, p[hlen:])
		p[0] = 4<<4 | header.IPv4MinLen/4
		binary.BigEndian.PutUint16(p[2:], uint16(h.TotalLen()+header.IPv4MinLen))
	} else {
		clear(p[hlen:])
		p[hlen] = byte(kind)
		binary.BigEndian.PutUint16(p[2:], uint16(n))
	}
	u.ResetNetworkHeader()
	u.ResetTransportHeader()
	u.Protocol, u.Dst, u.Dev, u.Iif, u.Tstamp = header.EthPIP, b.Dst, b.Dev, b.Iif, b.Tstamp // for IP_PKTINFO
	if r.Notify != nil {
		r.Notify(Event{Kind: Report, Table: t.id, Msg: p})
	}
	if !s.RunFilter(u, 1) {
		u.Free(skb.SocketFilter)
		return syscall.EPERM
	}
	if s.QueueRcv(u) != sock.Queued {
		u.Free(skb.SocketRcvbuff)
		return syscall.ENOBUFS
	}
	return nil
}
