package udp

import (
	"sync/atomic"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// UDP is UDP, or UDP-Lite, of one stack.
type UDP struct {
	ip     *ip.Net
	stats  *mib.UDP
	table  *table
	memory *sock.Memory
	proto  uint8
	lite   bool

	rx      []rxCount    // by processor, skb.Buff.CPU
	inuse   atomic.Int64 // socks with a port
	rmemMin atomic.Int32 // what a sock may hold when memory is short, bytes
	wmemMin atomic.Int32 // kept, as in Linux, without a use
	// earlyDemux is kept: Linux finds the sock before the route to save the
	// route's lookup, which here costs less than to look twice.
	earlyDemux atomic.Int32

	groSocks atomic.Int32 // socks with UDP_GRO
	wants    napi.UDPWantsGRO
}

// New makes UDP and registers it with the IP layer (Linux: udp_init and
// inet_add_protocol), with its settings and /proc/net/udp. memory bounds what
// all receive queues hold together, in bytes (net.ipv4.udp_mem).
func New(n *ip.Net, memory int64) (*UDP, error) {
	u := &UDP{ip: n, stats: &n.MIB.UDP, table: &table{}, memory: sock.NewMemory(memory), proto: header.ProtoUDP}
	u.table.init(n.Dev)
	u.initRxCount()
	u.memory.Reserve(memory-memory/8, &u.rmemMin)
	u.register()
	u.wants = u.wantsGRO
	n.Dev.SetSegmenter(skb.GSOUDPL4, segment)
	return u, n.AddProtocol(header.ProtoUDP, &ip.Protocol{Handler: u.rcv, Err: u.err})
}

// NewLite makes UDP-Lite, with a table and counters of its own and the memory
// bound of u (Linux: udplite4_register).
func (u *UDP) NewLite() (*UDP, error) {
	n := u.ip
	l := &UDP{ip: n, stats: &n.MIB.UDPLite, table: &table{}, memory: u.memory, proto: header.ProtoUDPLite, lite: true}
	l.table.init(n.Dev)
	l.initRxCount()
	n.Dev.Proc().Register("udplite", l.show)
	n.AddSockstat(ip.SockstatUDPLite, l.sockstat)
	return l, n.AddProtocol(header.ProtoUDPLite, &ip.Protocol{Handler: l.rcv, Err: l.err})
}

// rxCount adds up what every datagram counts while a poll lasts. There is one for
// each processor, for its softirq only.
type rxCount struct {
	napi.PollEnd
	in uint64 // InDatagrams

	_ [64]byte // the next is another processor's
}

func (u *UDP) initRxCount() {
	u.rx = make([]rxCount, u.ip.Dev.CPUs())
	for i := range u.rx {
		c := &u.rx[i]
		c.Init(func() {
			u.stats.InDatagrams.Add(c.in)
			c.in = 0
		})
	}
}

// received counts a datagram for a sock, in the softirq of a processor.
func (u *UDP) received(cpu uint16) {
	c := &u.rx[cpu]
	if c.in++; c.in == 1 {
		u.ip.Dev.SoftNetOf(int(cpu)).AtPollEnd(&c.PollEnd)
	}
}

// Memory returns the bound on packet memory of all receive queues.
func (u *UDP) Memory() *sock.Memory { return u.memory }

// rcv takes UDP packets for this host (Linux: __udp4_lib_rcv). Consumes b.
func (u *UDP) rcv(b *skb.Buff) {
	if !b.MayPull(header.UDPLen) {
		u.inError(b, skb.HdrTrunc)
		return
	}
	h, _ := header.ParseUDP(b.Data())
	in := header.IPv4(b.NetworkHeader())
	src, dst := in.Src(), in.Dst()
	var sumOK bool
	cov := b.Len()
	if u.lite {
		cov, sumOK = liteOK(b, h, src, dst)
	} else {
		l := h.Length()
		if l > b.Len() || l < header.UDPLen {
			u.inError(b, skb.PktTooSmall)
			return
		}
		if l < b.Len() && !b.TrimRcsum(l) {
			u.inError(b, skb.PktTooSmall)
			return
		}
		cov, sumOK = l, checksumOK(b, h, src, dst)
	}
	if !sumOK {
		u.stats.InCsumErrors.Add(1)
		u.inError(b, skb.UDPCsum)
		return
	}
	// It is here, and of no connection any more: a socket need not hold on to
	// it, and an error finds its own (Linux: nf_reset_ct).
	b.SetNFCT(nil, 0)
	dev := b.DevIndex()
	if rt := ip.RtableOf(b); rt != nil && rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		u.groupDeliver(b, src, h.SrcPort(), dst, h.DstPort(), dev, cov)
		return
	}
	sk, ok := b.Sk.(*Sock) // given by the packet filter (skb_steal_sock)
	if ok {
		b.Sk = nil
	} else {
		sk = u.table.lookup(src, h.SrcPort(), dst, h.DstPort(), dev, b)
	}
	if sk == nil {
		u.stats.NoPorts.Add(1)
		if u.ip.ICMP != nil {
			u.ip.ICMP.Send(b, header.ICMPDestUnreach, header.ICMPPortUnreach, 0)
		}
		b.Free(skb.NoSocket)
		return
	}
	u.queueRcv(sk, b, cov)
}

// inError is the common exit for bad packets (InErrors).
func (u *UDP) inError(b *skb.Buff, r skb.Reason) {
	u.stats.InErrors.Add(1)
	b.Free(r)
}

// checksumOK verifies the checksum unless the sender made none or the device
// did it (Linux: udp4_csum_init and udp_lib_checksum_complete).
func checksumOK(b *skb.Buff, h header.UDP, src, dst header.Addr) bool {
	if h.Checksum() == 0 {
		return true
	}
	switch b.IPSummed {
	case skb.ChecksumUnnecessary:
		return true
	case skb.ChecksumPartial:
		// Made on this machine, or below the hypervisor: never on a wire.
		return true
	}
	pseudo := header.PseudoSum(src, dst, header.ProtoUDP, b.Len())
	if b.IPSummed == skb.ChecksumComplete && skb.CsumFold(skb.CsumAdd(b.Csum, pseudo)) == 0 {
		return true
	}
	return skb.CsumFold(b.Checksum(0, b.Len(), pseudo)) == 0
}

// queueRcv puts a checked packet on the queue of its sock (Linux:
// udp_queue_rcv_one_skb). From here on Data is the payload. cov is how much of
// it the checksum covered. Consumes b.
func (u *UDP) queueRcv(sk *Sock, b *skb.Buff, cov int) {
	if b.IsGSO() && !sk.gro.Load() {
		u.queueApart(sk, b)
		return
	}
	cpu := b.CPU
	if fn := sk.encap.Load(); fn != nil && (*fn)(b) {
		u.received(cpu)
		return
	}
	if u.lite && !sk.enough(cov, b.Len()) {
		sk.AddDrop()
		u.inError(b, skb.NotSpecified)
		return
	}
	if !sk.RunFilter(b, header.UDPLen) {
		sk.AddDrop()
		u.inError(b, skb.SocketFilter)
		return
	}
	b.ResetTransportHeader()
	b.Pull(header.UDPLen)
	switch sk.QueueRcv(b) {
	case sock.Queued:
		u.received(cpu)
	case sock.QueueFull:
		u.stats.RcvbufErrors.Add(1)
		u.inError(b, skb.SocketRcvbuff)
	case sock.QueueMem:
		u.stats.MemErrors.Add(1)
		u.inError(b, skb.ProtoMem)
	default:
		u.inError(b, skb.NoSocket)
	}
}

// groupDeliver gives a broadcast or multicast packet to every sock that wants
// it (Linux: __udp4_lib_mcast_deliver). Consumes b.
func (u *UDP) groupDeliver(b *skb.Buff, src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32, cov int) {
	var last *Sock
	u.table.each(src, sport, dst, dport, dev, func(sk *Sock) {
		if last != nil {
			u.queueRcv(last, b.Clone(), cov)
		}
		last = sk
	})
	if last == nil {
		u.stats.IgnoredMulti.Add(1)
		b.Consume()
		return
	}
	u.queueRcv(last, b, cov)
}

// err hears of an ICMP error about a packet sent from here (Linux:
// __udp4_lib_err). b is at the quoted IP header.
func (u *UDP) err(b *skb.Buff, typ, code uint8, info uint32) {
	q := header.IPv4(b.Data())
	h, ok := header.ParseUDP(b.Data()[q.HeaderLen():])
	if !ok {
		return
	}
	dev := b.DevIndex()
	// The quoted packet went out: its source is ours.
	sk := u.table.lookup(q.Dst(), h.DstPort(), q.Src(), h.SrcPort(), dev, nil)
	if sk == nil {
		u.ip.MIB.ICMP.InErrors.Add(1)
		return
	}
	sk.PathError(b, typ, code, info)
	if typ == header.ICMPSourceQuench || typ == header.ICMPRedirect {
		return // quench is obsolete (RFC 6633), a redirect is the route's matter
	}
	errno, hard := ip.ErrnoOf(typ, code)
	if typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded {
		if sk.PMTUDisc() == ip.PMTUDiscDont {
			return
		}
		hard = true
	}
	// RFC 1122 section 4.1.3.3: pass errors up. As in Linux a program that
	// did not ask for all of them (IP_RECVERR) gets those that are final, and
	// only on a connected socket, where it is clear whom they are about.
	if !sk.Opt(ip.OptRecvErr) {
		if !hard || sk.State() != sock.StateEstablished {
			return
		}
	} else {
		sk.ICMPError(b, errno, typ, code, info, h.DstPort(), q.HeaderLen()+header.UDPLen)
	}
	sk.SetError(errno)
}
