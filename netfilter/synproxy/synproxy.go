// Package synproxy answers the SYNs that are for others, and opens the
// connection to the server only when the client has shown that it is where it
// says (Linux: nf_synproxy_core.c). A flood of SYNs from made-up addresses costs
// no memory and does not reach the server.
//
// # The way of a connection
//
//	client          here                                  server
//	SYN  →          SYN-ACK with a cookie, window 0
//	ACK  →          the cookie is right: SYN →
//	                                                     ← SYN-ACK
//	     ←          ACK, which opens the window
//	                ACK →
//
// From then on packets pass, with the server's sequence numbers and timestamps
// moved to those the client was told. The SYN to the server begins the tracked
// connection, which a template says belongs to the proxy.
//
// The rules see to it that SYNs are not tracked (-t raw -j CT --notrack), that an
// ACK without a connection is INVALID (nf_conntrack_tcp_loose=0), and that both
// come to [Proxy.Target]. What the client and the server can do and the proxy has
// to remember travels in the cookie and in the client's timestamps; without those
// it is only the segment size.
package synproxy

import (
	"sync/atomic"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// Flow is the addresses and ports of a client's packet.
type Flow struct {
	Src, Dst         header.Addr
	SrcPort, DstPort uint16
}

func (f Flow) back() Flow { return Flow{f.Dst, f.Src, f.DstPort, f.SrcPort} }

// Config is what the proxy needs from around it.
type Config struct {
	Table *conntrack.Table
	Hooks *netfilter.Hooks
	Now   func() int64 // monotonic nanoseconds
	// Cookie makes the sequence number of a SYN-ACK for a SYN with the sequence
	// number seq, and brings mss down to what it can say; CheckCookie returns the
	// mss of one that came back, 0 if it is none (Linux:
	// __cookie_v4_init_sequence, __cookie_v4_check).
	Cookie      func(f Flow, seq uint32, mss *uint16) uint32
	CheckCookie func(f Flow, cookie, seq uint32) (mss uint16)
	// Send gives a segment an IP header and sends it. Data is the TCP header
	// with the checksum of the pseudo header; the source need not be an address
	// of this host. It consumes b.
	Send func(b *skb.Buff, src, dst header.Addr)
	// SumOK verifies the checksum of a TCP packet whose Data is the IP header.
	SumOK func(b *skb.Buff) bool
}

// Stats counts, as /proc/net/stat/synproxy has it.
type Stats struct {
	SYNReceived, CookieInvalid, CookieValid, CookieRetrans, ConnReopened atomic.Uint64
}

// Proxy is the SYN proxy of one stack.
type Proxy struct {
	Stats Stats

	cfg   Config
	tmpl  *conntrack.Conn
	users netfilter.Users
}

// New makes a proxy.
func New(c Config) *Proxy {
	return &Proxy{cfg: c, tmpl: c.Table.NewTemplate(conntrack.Zone{}, conntrack.Policy{SynProxy: true})}
}

// priority of the hooks: right before connections are confirmed and sequence
// numbers moved.
const priority = netfilter.PriConfirm - 1

// Use has connections of the proxy looked after until done is called (Linux:
// nf_synproxy_ipv4_init, nf_synproxy_ipv4_fini).
func (x *Proxy) Use() (done func()) {
	return x.users.Use(func() []func() {
		return []func(){
			x.cfg.Hooks.Register(netfilter.LocalIn, priority, x.hook),
			x.cfg.Hooks.Register(netfilter.PostRouting, priority, x.hook),
		}
	})
}

// segment is a TCP packet at hand.
type segment struct {
	b    *skb.Buff
	flow Flow
	h    header.TCP // a copy, with the options
	opts options
	buf  [60]byte
}

// read takes a packet whose Data is the IP header. False for one that is not
// whole.
func (s *segment) read(b *skb.Buff) bool {
	in, ok := header.ParseIPv4(b.Data())
	if !ok || in.Protocol() != header.ProtoTCP || in.FragOffset() != 0 {
		return false
	}
	n := min(b.Len()-in.HeaderLen(), len(s.buf))
	if n < header.TCPMinLen || b.CopyBits(in.HeaderLen(), s.buf[:n]) != n {
		return false
	}
	hl := header.TCP(s.buf[:]).HeaderLen()
	if hl < header.TCPMinLen || hl > n {
		return false
	}
	s.b, s.h = b, header.TCP(s.buf[:hl])
	s.flow = Flow{in.Src(), in.Dst(), s.h.SrcPort(), s.h.DstPort()}
	s.opts.read(s.h)
	return true
}

const kinds = header.TCPSyn | header.TCPAck | header.TCPFin | header.TCPRst

// Target decides about a packet of no connection (Linux: synproxy_tg4). offer is
// what the server behind is known to be able to. Continue says that the packet
// is not the proxy's business.
func (x *Proxy) Target(b *skb.Buff, offer Offer) (v netfilter.Verdict, mine bool) {
	var s segment
	if !x.cfg.SumOK(b) || !s.read(b) {
		return netfilter.Drop, true
	}
	switch s.h.Flags() & kinds {
	case header.TCPSyn:
		x.Stats.SYNReceived.Add(1)
		x.synAck(&s, offer)
	case header.TCPAck:
		if !x.clientAck(&s, s.h.Seq()) {
			return netfilter.Drop, true
		}
	default:
		return netfilter.Accept, false
	}
	b.Consume()
	return netfilter.Stolen, true
}

// synAck answers a SYN (Linux: synproxy_send_client_synack).
func (x *Proxy) synAck(s *segment, offer Offer) {
	o := s.opts
	flags := uint8(header.TCPSyn | header.TCPAck)
	if o.ecn = s.h.Flags()&(header.TCPEce|header.TCPCwr) == header.TCPEce|header.TCPCwr; o.ecn {
		o.ecn = offer.ECN
	}
	mss := o.mss
	o.mss, o.hasMSS = offer.MSS, o.hasMSS && offer.MSS != 0
	o.wscaleOK = o.wscaleOK && offer.WScaleOK
	o.sackOK = o.sackOK && offer.SACK
	if o.hasTS = o.hasTS && offer.Timestamp; o.hasTS {
		o.tsecr, o.tsval = o.tsval, o.cookie(x.cfg.Now())
		o.wscale = offer.WScale
	} else {
		// Where there is no timestamp to carry them there are no options.
		o.wscaleOK, o.sackOK, o.ecn = false, false, false
	}
	if o.ecn {
		flags |= header.TCPEce
	}
	seq := x.cfg.Cookie(s.flow, s.h.Seq(), &mss)
	// The window is opened when the server has answered.
	x.send(s.b, nil, 0, s.flow.back(), header.TCPFields{Seq: seq, Ack: s.h.Seq() + 1, Flags: flags}, &o)
}

// clientAck takes an ACK that may answer a SYN-ACK of synAck, whose SYN had the
// sequence number before seq. False when it does not.
func (x *Proxy) clientAck(s *segment, seq uint32) bool {
	mss := x.cfg.CheckCookie(s.flow, s.h.AckSeq()-1, seq-1)
	if mss == 0 {
		x.Stats.CookieInvalid.Add(1)
		return false
	}
	x.Stats.CookieValid.Add(1)
	o := s.opts
	o.mss, o.hasMSS = mss, true
	if o.hasTS {
		o.fromCookie()
	}
	flags := uint8(header.TCPSyn)
	if o.ecn {
		flags |= header.TCPEce | header.TCPCwr
	}
	// The hook finds in the acknowledgment what the client was told.
	x.send(s.b, x.tmpl, conntrack.New, s.flow, header.TCPFields{Seq: seq - 1, Ack: s.h.AckSeq() - 1, Flags: flags, Window: s.h.Window()}, &o)
	return true
}

// send makes a segment and sends it as one of a connection, of none if c is nil.
func (x *Proxy) send(b *skb.Buff, c *conntrack.Conn, info conntrack.Info, f Flow, t header.TCPFields, o *options) {
	n := header.TCPMinLen + o.size()
	r := b.Cache().Alloc(skb.MaxHeader + n)
	if r == nil {
		return // as if it had been lost
	}
	r.Reserve(skb.MaxHeader)
	t.SrcPort, t.DstPort, t.HeaderLen = f.SrcPort, f.DstPort, n
	h := header.PutTCP(r.Put(n), &t)
	o.put(h.Options())
	h.SetChecksum(^skb.CsumFold(header.PseudoSum(f.Src, f.Dst, header.ProtoTCP, n)))
	r.SetCsumPartial(0, 16)
	if c != nil {
		conntrack.Set(r, c, info)
	}
	x.cfg.Send(r, f.Src, f.Dst)
}
