package tcp

import (
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// reply is a segment that no sock sends: RST, ACK or SYN-ACK (Linux: the
// ctl_sk of tcp_v4_send_reset and tcp_v4_send_ack).
type reply struct {
	key          tuple
	seq, ack     uint32
	flags        uint8
	ae           bool
	win          uint16
	tos          uint8
	ts           bool
	tsval, tsecr uint32
	mark         uint32
	dev          int32
	opts         outOpts // but for the timestamps and the key of those that have no SYN
	opt          *header.OptionSet
	md5          *md5Key
	sk           *Sock // whose options IP follows, nil for none
	transparent  bool  // the address it comes from may be another's
}

// sendReply finds the way and sends p. in is the route of what it answers.
func (t *TCP) sendReply(p *reply, in *ip.Rtable) bool {
	k := &p.key
	f := fib.Flow{Dst: k.raddr, Src: k.laddr, AnySrc: p.transparent, OIF: p.dev, Mark: p.mark, TOS: p.tos & 0x1c, Proto: header.ProtoTCP,
		SPort: k.lport, DPort: k.rport}
	rt, err := t.ip.RouteOutput(&f)
	if err != 0 {
		return false
	}
	return t.sendReplyTo(p, rt)
}

// sendReplyTo sends p by a route.
func (t *TCP) sendReplyTo(p *reply, rt *ip.Rtable) bool {
	o := &p.opts
	if p.ts {
		o.ts, o.tsval, o.tsecr = true, p.tsval, p.tsecr
	}
	if p.md5 != nil {
		o.md5, o.md5Last = p.md5, true
	}
	b := t.cache.Alloc(frontRoom)
	if b == nil {
		return false
	}
	b.Reserve(frontRoom)
	var buf [header.TCPMaxOption]byte
	n := o.put(buf[:])
	k := &p.key
	h := header.PutTCP(b.Push(header.TCPMinLen+n), &header.TCPFields{SrcPort: k.lport, DstPort: k.rport, Seq: p.seq, Ack: p.ack,
		HeaderLen: header.TCPMinLen + n, Flags: p.flags, Window: p.win})
	if p.ae {
		h[12] |= 1
	}
	copy(h.Options(), buf[:n])
	if o.md5 != nil {
		t.md5.sign(h.Options()[o.md5At:], o.md5, b, h, k.laddr, k.raddr)
	}
	b.Mark = p.mark
	putChecksum(b, h, k.laddr, k.raddr, rt)
	x := ip.Xmit{Src: k.laddr, Dst: k.raddr, Proto: header.ProtoTCP, TOS: p.tos, TTL: t.ip.DefaultTTL(), DF: true, Opt: p.opt}
	b.Sk = &t.ip.Control
	if p.sk != nil {
		b.Sk = &p.sk.Sock.Sock
		x.TTL = p.sk.TTL(false)
		x.DF = p.sk.DontFragment(0, rt)
		b.Priority = p.sk.Priority()
	}
	t.ip.Push(b, rt, &x)
	t.stats.OutSegs.Add(1)
	if p.flags&header.TCPRst != 0 {
		t.stats.OutRsts.Add(1)
	}
	return t.ip.LocalOut(b) == nil
}

// sendReset answers b with a RST (Linux: tcp_v4_send_reset; RFC 9293 section
// 3.5.2), unless it is one, or was not for this host.
func (t *TCP) sendReset(b *skb.Buff, s *Sock) {
	rt := ip.RtableOf(b)
	if rx(b).flags&header.TCPRst != 0 || s == nil && (rt == nil || rt.Type != fib.Local) {
		return
	}
	if key, ok := t.md5Reset(b, s); ok {
		t.sendResetMD5(b, s, key)
	}
}

// sendResetMD5 sends the RST, signed if there is a key.
func (t *TCP) sendResetMD5(b *skb.Buff, s *Sock, key *md5Key) {
	cb, rt := rx(b), ip.RtableOf(b)
	in := header.IPv4(b.NetworkHeader())
	h := header.TCP(b.TransportHeader())
	p := reply{md5: key, key: tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}, flags: header.TCPRst,
		tos: in.TOS() &^ 3} // that of the segment, without ECN
	if cb.flags&header.TCPAck != 0 {
		p.seq = cb.ack
	} else {
		p.flags |= header.TCPAck
		p.ack = cb.end
	}
	if s != nil {
		p.mark, p.dev, p.transparent = s.Mark(), s.BoundDev(), s.Opt(ip.OptTransparent)
	} else if t.ip.Conf.FwmarkReflect.Load() != 0 {
		p.mark = b.Mark
	}
	// The answer leaves where the question came in, if that says anything.
	if dev, ok := b.Dev.(*napi.NetDevice); ok && p.dev == 0 && dev.Flags()&napi.IFF_LOOPBACK == 0 && in.Src().IsLocalMulticast() {
		p.dev = dev.Ifindex()
	}
	t.sendReply(&p, rt)
}
