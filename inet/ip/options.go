package ip

import (
	"encoding/binary"
	"time"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// What the IP layer notes about a packet in its control buffer (Linux: struct
// inet_skb_parm). Words 0 and 1 are reassembly's, word 2 is this, word 3 the
// next hop of a source route and the largest fragment.
const (
	cbRRNeedAddr = 1 << (32 + iota) // this host's address goes into the record
	cbTSNeedAddr
	cbTSNeedTime
	cbChanged   // the options changed: the header checksum is stale
	cbSRRHit    // the source route goes on from here
	cbStrict    // the source route is strict
	cbForwarded // IPSKB_FORWARDED
	cbFragPMTU  // the largest fragment had DF (IPSKB_FRAG_PMTU)
	cbRedirect  // the sender could do without this router (IPSKB_DOREDIRECT)
	cbLinkMTU   // its sock does not believe what was learnt about the path (Linux: !ip_sk_use_pmtu)
	cbPoll      // it is passed on within the poll that received it
)

func clearCB(b *skb.Buff) { b.CB[2], b.CB[3] = 0, 0 }

// cbOffsets are the places of the options within the header, 0 for none.
func cbOffsets(b *skb.Buff) (srr, rr, ts, alert int) {
	w := b.CB[2]
	return int(w & 0xff), int(w >> 8 & 0xff), int(w >> 16 & 0xff), int(w >> 24 & 0xff)
}

func fragMax(b *skb.Buff) int        { return int(b.CB[3] & 0xffff) }
func setFragMax(b *skb.Buff, n int)  { b.CB[3] = b.CB[3]&^0xffff | uint64(n) }
func srrHop(b *skb.Buff) header.Addr { return header.Addr(b.CB[3] >> 32) }
func setSRRHop(b *skb.Buff, a header.Addr) {
	b.CB[3] = b.CB[3]&0xffffffff | uint64(a)<<32
}

// Forwarded reports whether the packet is passing through this host.
func Forwarded(b *skb.Buff) bool { return b.CB[2]&cbForwarded != 0 }

// ForgetForwarding makes a copy of a packet that is passed on one that is sent
// from here.
func ForgetForwarding(b *skb.Buff) { b.CB[2] &^= cbForwarded | cbRedirect | cbPoll }

// Timestamp returns the milliseconds since midnight UT, as options and ICMP
// give the time (RFC 791, RFC 792; Linux: inet_current_timestamp).
func Timestamp() uint32 { return uint32(time.Now().UnixMilli() % (24 * 60 * 60 * 1000)) }

// rcvOptions checks and fills in the options of a packet (Linux:
// ip_rcv_options). When it returns false the packet is gone: malformed, which
// the sender is told, or with a source route that is not allowed here.
func (n *Net) rcvOptions(b *skb.Buff, dev *napi.NetDevice) bool {
	if !b.Cow(b.Headroom()) { // a tap may look at the bytes we write
		n.MIB.IP.InDiscards.Add(1)
		n.drop(b, skb.NoMem)
		return false
	}
	h := header.IPv4(b.Data())
	o, at, ok := h.ParseOptions()
	n.stampOptions(b, h, &o)
	if !ok {
		if n.ICMP != nil {
			n.ICMP.Send(b, header.ICMPParameterProb, 0, uint32(at)<<24)
		}
		n.headerError(b, skb.IPInHdr)
		return false
	}
	if o.SourceRoute == 0 {
		return true
	}
	if d := n.InDev(dev.Ifindex()); d == nil || !AndConf(&n.ConfAll.AcceptSourceRoute, &d.Conf.AcceptSourceRoute) {
		n.drop(b, skb.IPInHdr)
		return false
	}
	if !n.rcvSourceRoute(b, o.SourceRoute, dev) {
		n.drop(b, skb.IPInHdr)
		return false
	}
	return true
}

// stampOptions writes what every host on the way writes: address and time
// (Linux: the second half of __ip_options_compile).
func (n *Net) stampOptions(b *skb.Buff, h header.IPv4, o *header.Options) {
	w := uint64(o.SourceRoute) | uint64(o.RecordRoute)<<8 | uint64(o.Timestamp)<<16 | uint64(o.RouterAlert)<<24
	if o.Strict {
		w |= cbStrict
	}
	if o.RecordRoute != 0 {
		p := h[o.RecordRoute:]
		if ptr := p[2]; ptr <= p[1] {
			putAddr(p[ptr-1:], n.SpecDst(b))
			p[2] += 4
			w |= cbRRNeedAddr | cbChanged
		}
	}
	if o.Timestamp != 0 {
		p := h[o.Timestamp:]
		switch ptr := p[2]; {
		case ptr <= p[1]:
			switch p[3] & 15 {
			case header.OptTSOnly:
				putTime(p[ptr-1:])
				p[2] += 4
				w |= cbTSNeedTime | cbChanged
			case header.OptTSAndAddr:
				putAddr(p[ptr-1:], n.SpecDst(b))
				putTime(p[ptr+3:])
				p[2] += 8
				w |= cbTSNeedAddr | cbTSNeedTime | cbChanged
			case header.OptTSPrespec:
				if n.AddrType(getAddr(p[ptr-1:])) != fib.Unicast {
					putTime(p[ptr+3:])
					p[2] += 8
					w |= cbTSNeedTime | cbChanged
				}
			}
		case p[3]&15 != header.OptTSPrespec && p[3]>>4 != 15:
			p[3] += 1 << 4
			w |= cbChanged
		}
	}
	b.CB[2] |= w
}

func putAddr(p []byte, a header.Addr) { binary.BigEndian.PutUint32(p, uint32(a)) }
func getAddr(p []byte) header.Addr    { return header.Addr(binary.BigEndian.Uint32(p)) }
func putTime(p []byte)                { binary.BigEndian.PutUint32(p, Timestamp()) }

// SpecDst returns the address of this host that answers to a received packet
// come from: its destination, unless that is a group or another host (Linux:
// fib_compute_spec_dst; RFC 1122 section 3.2.1.3).
func (n *Net) SpecDst(b *skb.Buff) header.Addr {
	h := header.IPv4(b.NetworkHeader())
	rt := RtableOf(b)
	if rt != nil && rt.Flags&(RTCFBroadcast|RTCFMulticast|RTCFLocal) == RTCFLocal {
		return h.Dst()
	}
	if src := h.Src(); src != 0 {
		f := fib.Flow{Dst: src}
		if out, err := n.RouteOutput(&f); err == 0 && out != nil {
			return f.Src
		}
	}
	if dev, ok := b.Dev.(*napi.NetDevice); ok {
		return n.SelectAddr(dev, h.Src(), fib.ScopeLink)
	}
	return 0
}

// rcvSourceRoute follows a source route one step (Linux: ip_options_rcv_srr).
func (n *Net) rcvSourceRoute(b *skb.Buff, srr int, dev *napi.NetDevice) bool {
	rt := RtableOf(b)
	if b.PktType != skb.PacketHost {
		return false
	}
	if rt.Type == fib.Unicast {
		if b.CB[2]&cbStrict == 0 {
			return true // we are between two of its stops
		}
		if n.ICMP != nil {
			n.ICMP.Send(b, header.ICMPParameterProb, 0, 16<<24)
		}
		return false
	}
	if rt.Type != fib.Local {
		return false
	}
	h := header.IPv4(b.Data())
	p := h[srr:]
	for ptr, space := int(p[2]), int(p[1]); ptr <= space; ptr += 4 {
		if ptr+3 > space {
			if n.ICMP != nil {
				n.ICMP.Send(b, header.ICMPParameterProb, 0, uint32(srr+2)<<24)
			}
			return false
		}
		hop := getAddr(p[ptr-1:])
		n.rx[b.CPU].routed++
		next, _ := n.routeInput(b, h.Src(), hop, h.TOS(), dev)
		if next == nil || next.Type != fib.Unicast && next.Type != fib.Local {
			return false
		}
		b.Dst = next
		if next.Type != fib.Local {
			setSRRHop(b, hop)
			b.CB[2] |= cbSRRHit | cbChanged
			return true
		}
		h.SetDst(hop) // two stops in a row are this host
		b.CB[2] |= cbChanged
	}
	return true
}

// forwardOptions fills in what is known only when the way out is (Linux:
// ip_forward_options).
func (n *Net) forwardOptions(b *skb.Buff, rt *Rtable) {
	w := b.CB[2]
	srr, rr, ts, _ := cbOffsets(b)
	h := header.IPv4(b.Data())
	if w&cbRRNeedAddr != 0 {
		p := h[rr:]
		putAddr(p[p[2]-5:], n.wayOutAddr(h.Dst(), rt))
		w |= cbChanged
	}
	if w&cbSRRHit != 0 {
		p := h[srr:]
		ptr, space := int(p[2]), int(p[1])
		for ; ptr+3 <= space; ptr += 4 {
			if getAddr(p[ptr-1:]) == srrHop(b) {
				break
			}
		}
		if ptr+3 <= space {
			h.SetDst(srrHop(b))
			putAddr(p[ptr-1:], n.wayOutAddr(h.Dst(), rt))
			p[2] = byte(ptr + 4)
			w |= cbChanged
		}
		if w&cbTSNeedAddr != 0 {
			p := h[ts:]
			putAddr(p[p[2]-9:], n.wayOutAddr(h.Dst(), rt))
			w |= cbChanged
		}
	}
	if w&cbChanged != 0 {
		h.UpdateChecksum()
	}
	b.CB[2] = w &^ cbChanged
}

// wayOutAddr is the address this host has on the way to dst (Linux:
// ip_rt_get_source).
func (n *Net) wayOutAddr(dst header.Addr, rt *Rtable) header.Addr {
	f := fib.Flow{Dst: dst, OIF: rt.Dev.Ifindex()}
	if out, err := n.RouteOutput(&f); err == 0 && out != nil {
		return f.Src
	}
	return n.SelectAddr(rt.Dev, rt.Nexthop(dst), fib.ScopeUniverse)
}

// EchoOptions makes the options of an answer to a received packet (Linux:
// __ip_options_echo; RFC 1122 section 3.2.2.6). False means that they make no
// sense and there is to be no answer.
func (n *Net) EchoOptions(s *header.OptionSet, b *skb.Buff) bool {
	*s = header.OptionSet{}
	srr, rr, ts, _ := cbOffsets(b)
	if srr|rr|ts == 0 {
		return true
	}
	h := header.IPv4(b.NetworkHeader())
	w := b.CB[2]
	if rr != 0 {
		p := h[rr:]
		l, at := int(p[1]), int(p[2])
		d := s.Data[s.Len:]
		copy(d, p[:l])
		s.RecordRoute = header.IPv4MinLen + s.Len
		if w&cbRRNeedAddr != 0 && at <= l {
			if at+3 > l {
				return false
			}
			d[2] = byte(at + 4)
			s.RRNeedAddr = true
		}
		s.Len += l
	}
	if ts != 0 {
		if !n.echoTimestamp(s, h[ts:], w) {
			return false
		}
	}
	if srr != 0 {
		echoSourceRoute(s, h, h[srr:])
	}
	for s.Len&3 != 0 {
		s.Data[s.Len] = header.OptEnd
		s.Len++
	}
	return true
}

func (n *Net) echoTimestamp(s *header.OptionSet, p []byte, w uint64) bool {
	l, at := int(p[1]), int(p[2])
	d := s.Data[s.Len:]
	copy(d, p[:l])
	s.Timestamp = header.IPv4MinLen + s.Len
	if at <= l {
		if w&cbTSNeedAddr != 0 {
			if at+3 > l {
				return false
			}
			s.TSNeedAddr = true
			at += 4
		}
		if w&cbTSNeedTime != 0 {
			switch {
			case at+3 > l:
				return false
			case d[3]&15 != header.OptTSPrespec:
				s.TSNeedTime = true
				at += 4
			case at+7 <= l && n.AddrType(getAddr(d[at-1:])) != fib.Unicast:
				s.TSNeedTime = true
				at += 8
			}
		}
		d[2] = byte(at)
	}
	s.Len += l
	return true
}

// echoSourceRoute turns a source route around.
func echoSourceRoute(s *header.OptionSet, h header.IPv4, p []byte) {
	d := s.Data[s.Len:]
	at := min(int(p[2]), int(p[1])+1) - 4
	var first header.Addr
	n := 0
	if at > 3 {
		first = getAddr(p[at-1:])
		n = 4
		for at -= 4; at > 3; at -= 4 {
			copy(d[n-1:n+3], p[at-1:at+3])
			n += 4
		}
		// A route that begins at its sender would end there twice (RFC 1812).
		if getAddr(p[at+3:]) == h.Src() {
			n -= 4
		}
	}
	if n > 3 {
		s.FirstHop = first
		d[0], d[1], d[2] = p[0], byte(n+3), 4
		s.SourceRoute = header.IPv4MinLen + s.Len
		s.Strict = p[0] == header.OptSSRR
		s.Len += n + 3
	}
}

// buildOptions writes the options of a packet made here behind its header
// (Linux: ip_options_build). dst is where it goes in the end.
func (n *Net) buildOptions(h header.IPv4, s *header.OptionSet, dst header.Addr) {
	copy(h[header.IPv4MinLen:], s.Data[:s.Len])
	if i := s.SourceRoute; i != 0 {
		putAddr(h[i+int(h[i+1])-4:], dst)
	}
	if i := s.RecordRoute; s.RRNeedAddr {
		putAddr(h[i+int(h[i+2])-5:], h.Src())
	}
	if i := s.Timestamp; s.TSNeedAddr {
		putAddr(h[i+int(h[i+2])-9:], h.Src())
	}
	if i := s.Timestamp; s.TSNeedTime {
		putTime(h[i+int(h[i+2])-5:])
	}
}
