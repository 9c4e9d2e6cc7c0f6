package ip

import (
	"syscall"

	"barewire/inet/header"
	"barewire/inet/sock"
	"barewire/skb"
)

// fragment sends a packet in pieces (Linux: ip_fragment, the slow path of
// ip_do_fragment; RFC 791 section 3.2). Consumes b.
func (n *Net) fragment(b *skb.Buff, rt *Rtable, mtu int) error {
	m := &n.MIB.IP
	h := header.IPv4(b.Data())
	hlen := h.HeaderLen()
	df := uint16(0)
	if b.CB[2]&cbFragPMTU != 0 {
		df = header.IPDF // the pieces it came in had it
	}
	if m := fragMax(b); m != 0 {
		mtu = min(mtu, m)
	}
	if h.DF() && (!b.IgnoreDF || fragMax(b) > mtu) {
		m.FragFails.Add(1)
		if n.ICMP != nil {
			n.ICMP.Send(b, header.ICMPDestUnreach, header.ICMPFragNeeded, uint32(mtu))
		}
		n.drop(b, skb.PktTooBig)
		return syscall.EMSGSIZE
	}
	room := (mtu - hlen) &^ 7
	if room < 8 {
		m.FragFails.Add(1)
		n.drop(b, skb.PktTooBig)
		return syscall.EMSGSIZE
	}
	// The device would sum each piece by itself: the sum over the whole is due
	// before cutting.
	if b.IPSummed == skb.ChecksumPartial && !b.ChecksumHelp() {
		m.FragFails.Add(1)
		n.drop(b, skb.NoMem)
		return syscall.ENOMEM
	}
	h = header.IPv4(b.Data())
	sk, _ := b.Sk.(*sock.Sock)
	field := h.FragField() &^ header.IPDF
	base := int(field&header.IPOffset) * 8
	more := field & header.IPMF
	for off, left := 0, b.Len()-hlen; left > 0; {
		size := min(left, room)
		f := n.Dev.SKB().Alloc(Headroom + hlen + size)
		if f == nil {
			m.FragFails.Add(1)
			n.drop(b, skb.NoMem)
			return syscall.ENOMEM
		}
		f.Reserve(Headroom)
		p := f.Put(hlen + size)
		copy(p, h[:hlen])
		b.CopyBits(hlen+off, p[hlen:])
		if off > 0 {
			header.BlankOptions(p[header.IPv4MinLen:hlen])
		}
		f.ResetNetworkHeader()
		f.SetTransportHeader(hlen)
		f.Dev, f.Dst, f.Protocol = b.Dev, b.Dst, b.Protocol
		f.Priority, f.Mark, f.PktType = b.Priority, b.Mark, b.PktType
		f.QueueMapping = b.QueueMapping
		if sk != nil {
			sk.SetOwnerW(f)
		}
		left -= size
		fh := header.IPv4(p)
		fh.SetTotalLen(hlen + size)
		ff := uint16((base+off)/8) | more | df
		if left > 0 {
			ff |= header.IPMF
		}
		fh.SetFragField(ff)
		fh.UpdateChecksum()
		off += size
		m.FragCreates.Add(1)
		if err := n.finishOutput2(f, rt); err != nil {
			// The rest would only be thrown away by the receiver.
			m.FragFails.Add(1)
			b.Consume()
			return err
		}
	}
	m.FragOKs.Add(1)
	b.Consume()
	return nil
}
