package flow

import (
	"encoding/binary"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// hook takes the packets of flows (Linux: nf_flow_offload_ip_hook).
func (t *Table) hook(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	if t.count.Load() == 0 || b.PktType != skb.PacketHost || s.In == nil {
		return netfilter.Accept
	}
	h := header.IPv4(b.Data())
	proto := h.Protocol()
	if h.HeaderLen() != header.IPv4MinLen || h.IsFragment() || h.TTL() <= 1 || proto != header.ProtoTCP && proto != header.ProtoUDP {
		return netfilter.Accept
	}
	need := header.IPv4MinLen + header.UDPLen
	if proto == header.ProtoTCP {
		need = header.IPv4MinLen + header.TCPMinLen
	}
	if !b.MayPull(need) {
		return netfilter.Accept
	}
	p := b.Data()
	h = header.IPv4(p)
	k := key{h.Src(), h.Dst(), binary.BigEndian.Uint16(p[20:]), binary.BigEndian.Uint16(p[22:]), proto, s.In.Ifindex()}
	e := t.find(&k)
	if e == nil {
		return netfilter.Accept
	}
	f := e.flow
	if f.gen != t.gen.Load() || f.conn.IsDying() || proto == header.ProtoTCP && p[33]&(header.TCPFin|header.TCPRst|header.TCPSyn) != 0 {
		t.end(f)
		return netfilter.Accept
	}
	now := t.cfg.Now()
	if f.expires.Load() <= now {
		t.end(f)
		return netfilter.Accept
	}
	if !t.cfg.Fits(b, e.out) {
		return netfilter.Accept // tracking has it cut, or told to the sender
	}
	if !nat.EnsureWritable(b, need) {
		return netfilter.Drop
	}
	// Not with every packet, for the other CPUs' sake.
	if until := now + t.timeout(proto); until-f.expires.Load() > refresh {
		f.expires.Store(until)
	}
	if e.dnat && !nat.Rewrite(b, 0, nat.Dst, e.dst) || e.snat && !nat.Rewrite(b, 0, nat.Src, e.src) {
		return netfilter.Drop
	}
	header.IPv4(b.Data()).DecreaseTTL()
	if b.IPSummed == skb.ChecksumComplete {
		b.IPSummed = skb.ChecksumNone
	}
	if a := f.conn.Acct(); a != nil {
		a.Packets[e.dir].Add(1)
		a.Bytes[e.dir].Add(uint64(b.Len()))
	}
	t.Packets.Add(1)
	t.cfg.Send(b, e.out)
	return netfilter.Stolen
}

// refresh is how far the end of a flow may lag behind, in ns.
const refresh = 1e9

// find returns the direction with a key. It takes no lock: an entry that was
// taken out meanwhile still leads on.
func (t *Table) find(k *key) *entry {
	for e := t.heads[k.bucket(&t.key)].Load(); e != nil; e = e.next.Load() {
		if e.key == *k {
			return e
		}
	}
	return nil
}
