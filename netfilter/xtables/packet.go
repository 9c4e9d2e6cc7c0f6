package xtables

import (
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/flow"
	"barewire/netfilter/nat"
	"barewire/netfilter/reject"
	"barewire/skb"
	"barewire/skb/header"
)

// Packet is what rules see of a packet on its way through one table (Linux:
// xt_action_param). It is prepared once per table and passed by pointer.
type Packet struct {
	B     *skb.Buff
	State netfilter.State
	Env   *Env
	Table string // the table's name

	IP    header.IPv4 // view of the header, valid until the packet is changed
	Src   header.Addr
	Dst   header.Addr
	Proto uint8
	// FragOff is the fragment's offset in units of eight bytes; a match that
	// reads the transport header must look at it first.
	FragOff uint16
	// Off is where the transport header begins, from b.Data(), and Len the
	// length of the IP packet.
	Off, Len int
	// In and Out are the devices' names, empty for none.
	In, Out string
	// Hotdrop set by a match drops the packet at once.
	Hotdrop bool
	// Line is memory for lines of the log, used again and again.
	Line []byte

	walk    walkState
	scratch [128]byte
}

// Hook returns the hook point the packet is at.
func (p *Packet) Hook() netfilter.Point { return p.State.Point }

// Bytes returns n bytes of the packet from off, relative to the IP header, nil
// if there are not so many (Linux: skb_header_pointer). The result may be a
// copy and is valid until the next call; n is at most 128.
func (p *Packet) Bytes(off, n int) []byte {
	if d := p.B.Data(); off >= 0 && off+n <= len(d) {
		return d[off : off+n]
	}
	if n > len(p.scratch) || off < 0 || p.B.CopyBits(off, p.scratch[:n]) != n {
		return nil
	}
	return p.scratch[:n]
}

// Transport returns the first n bytes of the transport header, nil if there are
// not so many.
func (p *Packet) Transport(n int) []byte { return p.Bytes(p.Off, n) }

// Reload takes the header fields from the packet again, after a target changed
// it. False means that it is no IPv4 packet any more.
func (p *Packet) Reload() bool {
	b := p.B
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		if !b.MayPull(header.IPv4MinLen) || !b.MayPull(header.IPv4(b.Data()).HeaderLen()) {
			return false
		}
		if h, ok = header.ParseIPv4(b.Data()); !ok {
			return false
		}
	}
	p.IP = h
	p.Src, p.Dst, p.Proto = h.Src(), h.Dst(), h.Protocol()
	p.FragOff = h.FragField() & header.IPOffset
	p.Off, p.Len = h.HeaderLen(), h.TotalLen()
	return true
}

// Env is the world around the tables of one instance. Functions that are nil
// make Check of the extensions that need them fail.
type Env struct {
	Extra

	// Linear has every chain walked from rule to rule, without an index.
	Linear bool

	// AtPollEnd has [Tables.EndPoll] called for a processor when the poll ends that
	// its softirq is in, and Settle returns when the polls that are under way have
	// ended. Both are for [Tables.CountAtPollEnd] only.
	AtPollEnd func(cpu int)
	Settle    func()

	Now    func() int64  // monotonic nanoseconds
	Wall   func() int64  // nanoseconds since 1970, for -m time
	Random func() uint32 // unpredictable
	// Log writes one line to the kernel log, without a newline. It must not keep
	// line.
	Log func(level int, line []byte)
	// AddrType returns the RTN_* type of an address as the routing table has
	// it, looked up for a device if dev is not nil (Linux: inet_dev_addr_type).
	AddrType func(dev skb.Device, a header.Addr) uint8
	// RouteMe looks up the route of a locally made packet again after its
	// addresses, mark or TOS changed (Linux: ip_route_me_harder).
	RouteMe func(b *skb.Buff, s netfilter.State) bool
	// PathMTU returns the MTU of the packet's route, and that of the route back
	// to its sender, 0 if there is none (Linux: tcpmss_mangle_packet).
	PathMTU func(b *skb.Buff, s netfilter.State) (out, back int)
	// Tee sends a copy of the packet to a gateway, by a device if oif is not
	// empty (Linux: nf_dup_ipv4).
	Tee func(b *skb.Buff, s netfilter.State, gateway header.Addr, oif string)
	// NFLog hands the packet to a group of listeners (nfnetlink_log).
	NFLog func(b *skb.Buff, s netfilter.State, group uint16, prefix string, size int)

	// Conntrack is the connections of the instance, tracked between the call
	// of UseConntrack and that of what it returned.
	Conntrack    *conntrack.Table
	UseConntrack func() (done func())
	NAT          *nat.NAT
	// NATRules makes fn what decides over new connections, nil for nothing.
	NATRules func(fn netfilter.Func)
	Reject   *reject.Engine
	Flow     *flow.Table
}
