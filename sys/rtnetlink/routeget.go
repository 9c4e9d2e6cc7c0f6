package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

const (
	loopbackIndex  = 1          // LOOPBACK_IFINDEX
	rtcfDoRedirect = 0x01000000 // RTCF_DOREDIRECT
)

// getRoute is inet_rtm_getroute: the way of one packet, or with
// RTM_F_FIB_MATCH the route that would decide.
func (r *Route) getRoute(q *request) error {
	a, err := q.Parse(rtmsgLen, &routePolicy, q.Strict())
	if err != nil {
		return err
	}
	h := q.Data
	flags := binary.NativeEndian.Uint32(h[8:])
	if q.Strict() {
		switch {
		case h[1] != 0 && h[1] != 32 || h[2] != 0 && h[2] != 32 || h[4] != 0 || h[5] != 0 || h[6] != 0 || h[7] != 0:
			return q.fail(syscall.EINVAL, "ipv4: Invalid values in header for route get request")
		case flags&^(rtmFNotify|rtmFLookup|rtmFFibMatch) != 0:
			return q.fail(syscall.EINVAL, "ipv4: Unsupported rtm_flags for route get request")
		case a.Has(rtaDst) && h[1] == 0 || a.Has(rtaSrc) && h[2] == 0:
			return q.fail(syscall.EINVAL, "ipv4: rtm_src_len and rtm_dst_len must be 32 for IPv4")
		case !only(a, rtaIif, rtaOif, rtaSrc, rtaDst, rtaIPProto, rtaSport, rtaDport, rtaMark, rtaUID):
			return q.fail(syscall.EINVAL, "ipv4: Unsupported attribute in route get request")
		}
	}
	f := fib.Flow{
		Dst: header.Addr(a.BE32(rtaDst)), Src: header.Addr(a.BE32(rtaSrc)), OIF: int32(a.U32(rtaOif)),
		Mark: a.U32(rtaMark), TOS: h[3] &^ 3, Proto: a.U8(rtaIPProto),
	}
	if a.Has(rtaSport) {
		f.SPort = binary.BigEndian.Uint16(a[rtaSport])
	}
	if a.Has(rtaDport) {
		f.DPort = binary.BigEndian.Uint16(a[rtaDport])
	}
	iif := int32(a.U32(rtaIif))
	if iif != 0 && r.dev.DevByIndex(iif) == nil {
		return syscall.ENODEV
	}
	info, err := r.ip.RouteGet(f, iif)
	if err != nil {
		return errnoOf(err)
	}
	if flags&rtmFFibMatch != 0 {
		if info.Res.Info == nil {
			return q.fail(syscall.EHOSTUNREACH, "")
		}
		e := fib.Entry{Dst: f.Dst & header.Mask(info.Res.Bits), Bits: info.Res.Bits, TOS: info.Res.TOS, Table: fib.TableMain, Info: info.Res.Info}
		if flags&rtmFLookup != 0 {
			e.Table = info.Res.Table
		}
		q.Reply(func(b *netlink.Builder) { putRouteAs(b, rtmNewRoute, 0, &e, info.Rt.Type) })
		return nil
	}
	q.Reply(func(b *netlink.Builder) { putRtable(b, &f, iif, flags, &info) })
	return nil
}

// listed stands for the device of a decision that nobody asked for, but that is
// in a list.
const listed = -1

// cached is what is known of one destination behind a route.
type cached struct {
	table uint32
	dst   header.Addr
	rt    *ip.Rtable
}

func (c cached) put(b *netlink.Builder) {
	putRtable(b, &fib.Flow{Dst: c.dst}, listed, rtmFLookup, &ip.RouteInfo{Rt: c.rt, Res: fib.Result{Table: c.table}})
}

// putRtable is rt_fill_info.
func putRtable(b *netlink.Builder, f *fib.Flow, iif int32, flags uint32, info *ip.RouteInfo) {
	b.Begin(rtmNewRoute, 0)
	rt := info.Rt
	m := rtmsg{dstLen: 32, tos: info.Res.TOS, table: fib.TableMain, rtyp: uint8(rt.Type), flags: rtmFCloned | rt.Flags&^0xffff}
	if flags&rtmFLookup != 0 {
		m.table = info.Res.Table // 0 when no table was asked
	}
	if iif == 0 && rt.Type == fib.Unicast && rt.Dev.Flags()&napi.IFF_LOOPBACK != 0 {
		m.flags |= ip.RTCFLocal // it comes in again
	}
	if info.Redirect {
		m.flags |= rtcfDoRedirect
	}
	if f.Src != 0 {
		m.srcLen = 32
	}
	m.flags |= flags & rtmFNotify
	m.put(b)
	b.AttrBE32(rtaDst, uint32(f.Dst))
	if f.Src != 0 {
		b.AttrBE32(rtaSrc, uint32(f.Src))
	}
	if iif > 0 && rt.Type != fib.Unicast && rt.Route() == nil {
		b.AttrU32(rtaOif, loopbackIndex) // what stays here
	} else if rt.Dev != nil {
		b.AttrU32(rtaOif, uint32(rt.Dev.Ifindex()))
	}
	if iif == 0 && info.Src != 0 && info.Src != f.Src {
		b.AttrBE32(rtaPrefSrc, uint32(info.Src))
	}
	if rt.Gateway != 0 {
		b.AttrBE32(rtaGateway, uint32(rt.Gateway))
	}
	pmtu, locked, left, learnt := rt.Exception()
	if i := rt.Route(); i != nil {
		m := i.Metrics
		if pmtu != 0 {
			m[fib.RTAXMTU] = uint32(pmtu)
		}
		if locked {
			m[fib.RTAXLock] |= 1 << fib.RTAXMTU
		}
		putMetrics(b, &m)
	}
	if f.Mark != 0 {
		b.AttrU32(rtaMark, f.Mark)
	}
	switch {
	case iif > 0:
		b.AttrU32(rtaIif, uint32(iif))
	case iif == 0:
		b.AttrU32(rtaUID, 0)
	}
	var c [32]byte // struct rta_cacheinfo
	if learnt {
		binary.NativeEndian.PutUint32(c[8:], uint32(left/(1e9/userHZ)))
	}
	b.Attr(rtaCacheInfo, c[:]...)
	b.End()
}
