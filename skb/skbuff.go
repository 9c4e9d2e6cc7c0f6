package skb

// Sizes that drivers and protocols share.
const (
	// Pad is the headroom a driver leaves in front of a received frame
	// (Linux: NET_SKB_PAD), so that forwarding can push headers.
	Pad = 64
	// MaxHeader is the headroom a protocol reserves for everything below it:
	// link header, tunnel and options (Linux: MAX_HEADER and LL_MAX_HEADER).
	MaxHeader = 128

	unset = ^uint32(0)
)

// PktType says for whom a received frame was (Linux: skb->pkt_type).
type PktType uint8

// Packet types, with Linux's PACKET_* values.
const (
	PacketHost PktType = iota
	PacketBroadcast
	PacketMulticast
	PacketOtherHost
	PacketOutgoing
	PacketLoopback
)

// IPSummed is the state of the transport checksum (Linux: skb->ip_summed).
type IPSummed uint8

// Checksum states. On receive, None means nobody looked, Unnecessary that the
// device verified it, Complete that Csum holds the sum over the whole packet
// from Data on. On transmit, Partial means that the checksum from CsumStart is
// still to be put at CsumStart+CsumOffset by the device or by ChecksumHelp.
const (
	ChecksumNone IPSummed = iota
	ChecksumUnnecessary
	ChecksumComplete
	ChecksumPartial
)

// Device is what a Buff knows of a network device; napi.NetDevice is it.
type Device interface {
	Ifindex() int32
	Name() string
}

// Dst is the routing decision attached to a packet (Linux: struct dst_entry):
// where it goes next on the way in and on the way out. Both consume b.
type Dst interface {
	Input(b *Buff) error
	Output(b *Buff) error
}

// Conntrack is what a Buff knows of the connection it belongs to;
// conntrack.Conn is it. Every Buff that refers to it holds one reference.
type Conntrack interface {
	NFGet() // another Buff refers to it (nf_conntrack_get)
	NFPut() // a Buff no longer does (nf_conntrack_put)
}

// Buff is a packet (Linux: struct sk_buff).
type Buff struct {
	next, prev *Buff

	// CB is the control buffer: private to the layer that holds the packet,
	// without meaning to any other. It must hold no pointers.
	CB [6]uint64

	Dev Device // device it arrived on or leaves by
	Dst Dst    // routing decision, nil before routing
	Sk  any    // owning sock, nil if none
	// Destructor runs when the last user lets go, before the memory is given
	// back: sock_rfree, sock_wfree and their like. A plain function, not a
	// closure, so that setting it allocates nothing.
	Destructor func(b *Buff)

	head []byte
	page *Page

	data, tail uint32
	dataLen    uint32
	truesize   uint32

	transport, network, mac uint32 // offsets from head, unset before known

	Tstamp int64 // monotonic receive time in ns, 0 if not taken

	Protocol uint16 // ethertype, host byte order
	VlanTCI  uint16
	// VlanProto is the ethertype of a VLAN tag taken off the frame, 0 if none.
	VlanProto    uint16
	QueueMapping uint16

	Hash     uint32
	Mark     uint32
	Priority uint32
	Iif      int32 // ifindex of the device it first arrived on (skb_iif)

	Csum       uint32 // with ChecksumComplete
	CsumStart  uint16 // with ChecksumPartial: offset from head
	CsumOffset uint16 // with ChecksumPartial: from CsumStart
	CsumLevel  uint8

	PktType  PktType
	IPSummed IPSummed
	L4Hash   bool
	IgnoreDF bool
	TxFlags  TxFlags // with Sk: which times of sending its program wants
	NFCTInfo uint8   // place of the packet in its connection; see NFCT
	NFTrace  bool    // tables say which rules it meets (nf_trace)
	NFDup    bool    // a copy made by a rule, of which no more are made
	// CPU is the processor whose softirq handles the packet since it was
	// received: what is kept per processor is found by it. In a packet that was
	// not received it means nothing.
	CPU   uint16
	TSKey uint32 // number of the packet among those, for the program
	// NapiID is the number of the polling context it arrived by, 0 if by none
	// (Linux: napi_id).
	NapiID uint32

	// NFCT is the tracked connection the packet belongs to, nil if none or
	// not tracked yet (Linux: _nfct). NFCTInfo says where in it: the packet's
	// direction and state. Only netfilter reads them.
	NFCT Conntrack

	queued uint32 // Len when it was put on its List
	users  int32  // atomic once the Buff is known to others
	cache  *Cache // whose packet it is
	home   *Cache // where it came from
}

// TxFlags are the moments of a packet's way out that its sock wants to hear of
// (Linux: SKBTX_*). Clones and copies do not carry them.
type TxFlags uint8

const (
	TxSched    TxFlags = 1 << iota // it enters the device's queue (SKBTX_SCHED_TSTAMP)
	TxSoftware                     // the driver gets it (SKBTX_SW_TSTAMP)
	TxAck                          // the peer has it (TCP's txstamp_ack)
)

// TxStamper is a Sk that hears of those moments. TxStamp is called before the
// packet goes on; b stays the caller's.
type TxStamper interface{ TxStamp(b *Buff, at TxFlags) }

// TxStamp tells the packet's sock that it is at a moment, if it wants to know
// (Linux: __skb_tstamp_tx).
func (b *Buff) TxStamp(at TxFlags) {
	if b.TxFlags&at == 0 {
		return
	}
	b.TxFlags &^= at // a packet tried twice is still one
	if s, ok := b.Sk.(TxStamper); ok {
		s.TxStamp(b, at)
	}
}

// SetNFCT makes b refer to c instead of what it does; nil for to none (Linux:
// nf_ct_set). It takes over the caller's reference on c.
func (b *Buff) SetNFCT(c Conntrack, info uint8) {
	old := b.NFCT
	b.NFCT, b.NFCTInfo = c, info
	if old != nil {
		old.NFPut()
	}
}

// CopyNF gives b the connection and the trace mark of from, as every piece of a
// packet has them (Linux: nf_copy).
func (b *Buff) CopyNF(from *Buff) {
	if from.NFCT != nil {
		from.NFCT.NFGet()
	}
	b.SetNFCT(from.NFCT, from.NFCTInfo)
	b.NFTrace = from.NFTrace
}

// ResetNF forgets both, for a packet that leaves the host or its namespace
// (Linux: nf_reset_ct, nf_reset_trace).
func (b *Buff) ResetNF() {
	b.SetNFCT(nil, 0)
	b.NFTrace, b.NFDup = false, false
}

// Len returns all bytes of the packet, linear and in fragments.
func (b *Buff) Len() int { return int(b.tail-b.data) + int(b.dataLen) }

// DataLen returns the bytes that are not in the linear part.
func (b *Buff) DataLen() int { return int(b.dataLen) }

// Headlen returns the bytes in the linear part (Linux: skb_headlen).
func (b *Buff) Headlen() int { return int(b.tail - b.data) }

// Headroom returns the free bytes in front of the data.
func (b *Buff) Headroom() int { return int(b.data) }

// Tailroom returns the free bytes behind the data; 0 when the packet has
// fragments, since nothing can be put between.
func (b *Buff) Tailroom() int {
	if b.dataLen != 0 {
		return 0
	}
	return len(b.head) - int(b.tail)
}

// Truesize returns the memory the packet costs, metadata included.
func (b *Buff) Truesize() int { return int(b.truesize) }

// Cache returns where the packet's memory comes from.
func (b *Buff) Cache() *Cache { return b.cache }

// DevIndex returns the index of the device the packet arrived on or leaves
// by, 0 when it has none.
func (b *Buff) DevIndex() int32 {
	if b.Dev == nil {
		return 0
	}
	return b.Dev.Ifindex()
}

// Data returns the linear part. It is valid until the next change of b.
func (b *Buff) Data() []byte { return b.head[b.data:b.tail] }

// DMA returns the device address of the linear part's first byte.
func (b *Buff) DMA() uint64 { return b.page.dma + uint64(b.data) }

// HeadPage returns the page of the data area; b keeps the reference.
func (b *Buff) HeadPage() *Page { return b.page }

// Shinfo returns the shared info of the data area.
func (b *Buff) Shinfo() *SharedInfo { return &b.page.shinfo }

// Frags returns the page fragments.
func (b *Buff) Frags() []Frag {
	si := &b.page.shinfo
	return si.Frags[:si.NrFrags]
}

// IsNonlinear reports whether part of the packet is outside the linear area.
func (b *Buff) IsNonlinear() bool { return b.dataLen != 0 }

// IsGSO reports whether the packet is a super-packet still to be segmented.
func (b *Buff) IsGSO() bool { return b.page.shinfo.GSOSize != 0 }

// Reserve makes n bytes of headroom in an empty Buff.
func (b *Buff) Reserve(n int) {
	if n < 0 || b.Len() != 0 || int(b.tail)+n > len(b.head) {
		panic("skb: Reserve on a filled buffer or beyond its end")
	}
	b.data += uint32(n)
	b.tail += uint32(n)
}

// Put appends n bytes to the linear part and returns them. It panics beyond
// the end: the caller sized the buffer (Linux: skb_over_panic).
func (b *Buff) Put(n int) []byte {
	if n < 0 || b.dataLen != 0 || int(b.tail)+n > len(b.head) {
		panic("skb: Put beyond the end of the buffer")
	}
	t := b.tail
	b.tail += uint32(n)
	return b.head[t:b.tail]
}

// PutData appends p to the linear part.
func (b *Buff) PutData(p []byte) { copy(b.Put(len(p)), p) }

// Push takes n bytes of headroom into the data and returns them.
func (b *Buff) Push(n int) []byte {
	if uint32(n) > b.data {
		panic("skb: Push beyond the head of the buffer")
	}
	b.data -= uint32(n)
	return b.head[b.data : b.data+uint32(n)]
}

// Pull removes n bytes from the front and returns the linear part that is
// left, or nil, changing nothing, when fewer than n bytes are linear. Use
// MayPull first on data from the wire.
func (b *Buff) Pull(n int) []byte {
	if n < 0 || n > b.Headlen() {
		return nil
	}
	b.data += uint32(n)
	return b.head[b.data:b.tail]
}

// MayPull reports whether the first n bytes are, or could be made, linear
// (Linux: pskb_may_pull). It moves bytes from fragments when it must. On
// false the packet is too short, or memory ran out.
func (b *Buff) MayPull(n int) bool {
	if n <= b.Headlen() {
		return n >= 0
	}
	if n > b.Len() {
		return false
	}
	return b.pullTail(n - b.Headlen())
}

// Header offsets. The accessors return the bytes from the header to the end of
// the linear part, nil if the offset was never set.

// ResetMacHeader notes that the link header begins at Data.
func (b *Buff) ResetMacHeader() { b.mac = b.data }

// ResetNetworkHeader notes that the network header begins at Data.
func (b *Buff) ResetNetworkHeader() { b.network = b.data }

// ResetTransportHeader notes that the transport header begins at Data.
func (b *Buff) ResetTransportHeader() { b.transport = b.data }

// SetNetworkHeader notes that the network header begins off bytes after Data.
func (b *Buff) SetNetworkHeader(off int) { b.network = uint32(int(b.data) + off) }

// SetTransportHeader notes that the transport header begins off bytes after
// Data.
func (b *Buff) SetTransportHeader(off int) { b.transport = uint32(int(b.data) + off) }

// SetMacHeader notes that the link header begins off bytes after Data.
func (b *Buff) SetMacHeader(off int) { b.mac = uint32(int(b.data) + off) }

// MacHeader returns the bytes from the link header on.
func (b *Buff) MacHeader() []byte { return b.from(b.mac) }

// NetworkHeader returns the bytes from the network header on.
func (b *Buff) NetworkHeader() []byte { return b.from(b.network) }

// TransportHeader returns the bytes from the transport header on.
func (b *Buff) TransportHeader() []byte { return b.from(b.transport) }

// NetworkOffset returns the network header's offset from Data, negative once
// it was pulled.
func (b *Buff) NetworkOffset() int { return int(b.network) - int(b.data) }

// TransportOffset returns the transport header's offset from Data.
func (b *Buff) TransportOffset() int { return int(b.transport) - int(b.data) }

// MacOffset returns the link header's offset from Data, negative once it was
// pulled; 0 when it is unknown.
func (b *Buff) MacOffset() int {
	if b.mac == unset {
		return 0
	}
	return int(b.mac) - int(b.data)
}

// MacHeaderWasSet reports whether the link header is known.
func (b *Buff) MacHeaderWasSet() bool { return b.mac != unset }

// MacLen returns the length of the link header.
func (b *Buff) MacLen() int { return int(b.network) - int(b.mac) }

func (b *Buff) from(off uint32) []byte {
	if off > b.tail { // unset is the largest value
		return nil
	}
	return b.head[off:b.tail]
}

// SetCsumPartial asks for the checksum of everything from start (relative to
// Data) to be stored at start+offset, as the transmit side does with
// ChecksumPartial (Linux: skb_partial_csum_set). False, with nothing changed,
// means that the place is not in the linear part; a driver that passes on what
// a device said must check it.
func (b *Buff) SetCsumPartial(start, offset int) bool {
	if start < 0 || offset < 0 || start > b.Headlen() || offset > b.Headlen()-start-2 || int(b.data)+start > 0xffff {
		return false
	}
	b.IPSummed = ChecksumPartial
	b.CsumStart = uint16(int(b.data) + start)
	b.CsumOffset = uint16(offset)
	return true
}

// CsumStartOffset returns the ChecksumPartial start relative to Data (Linux:
// skb_checksum_start_offset).
func (b *Buff) CsumStartOffset() int { return int(b.CsumStart) - int(b.data) }
