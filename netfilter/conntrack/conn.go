package conntrack

import (
	"sync"
	"sync/atomic"
)

// Status is the bits of a connection (Linux: enum ip_conntrack_status).
type Status = uint32

// Bits of Status, with Linux's values.
const (
	Expected     Status = 1 << 0  // an expectation was fulfilled by it
	SeenReply    Status = 1 << 1  // packets went both ways
	Assured      Status = 1 << 2  // not to be dropped early
	Confirmed    Status = 1 << 3  // in the table: its first packet got through
	SrcNAT       Status = 1 << 4  // needs source translation in the original direction
	DstNAT       Status = 1 << 5  // needs destination translation there
	SeqAdjust    Status = 1 << 6  // TCP sequence numbers are moved
	SrcNATDone   Status = 1 << 7  // source translation was decided
	DstNATDone   Status = 1 << 8  // destination translation was decided
	Dying        Status = 1 << 9  // out of the table
	FixedTimeout Status = 1 << 10 // packets do not refresh it
	Template     Status = 1 << 11 // not a connection: what a rule wants of one
	NATClash     Status = 1 << 12 // only its reply tuple is in the table
	HelperSet    Status = 1 << 13 // the helper was set by a rule
	Offload      Status = 1 << 14 // a flow table carries its packets
	HWOffload    Status = 1 << 15

	NATMask     = SrcNAT | DstNAT
	NATDoneMask = SrcNATDone | DstNATDone
)

// node is one direction of a connection in the hash (Linux: struct
// nf_conntrack_tuple_hash). Readers follow next without a lock; all but next
// stays as it is while a node is in the hash.
type node struct {
	tuple Tuple
	next  atomic.Pointer[node]
	conn  *Conn
	hash  uint32
	dir   Dir
}

// Conn is a tracked connection (Linux: struct nf_conn).
//
// Its memory is the garbage collector's once it is confirmed: whoever has a
// pointer may read on after it left the table, and sees Dying. An unconfirmed
// one belongs to the packets that refer to it and is used again for another when
// the last of them ends: nobody may keep a pointer to it beyond the packet.
type Conn struct {
	nodes   [NumDirs]node // after confirmation immutable
	table   *Table
	status  atomic.Uint32
	mark    atomic.Uint32
	expires atomic.Int64 // time of the table's clock; a duration until confirmed
	use     atomic.Int32 // packets, until confirmed
	events  atomic.Uint32
	id      uint32
	zone    Zone
	masq    atomic.Int32

	// mu guards proto, help and the seqadj, as nf_conn.lock does.
	mu    sync.Mutex
	proto protoState

	master *Conn // or the next one, while it waits to be used again
	help   atomic.Pointer[Help]
	acct   *Acct
	labels atomic.Pointer[Labels]
	seqadj atomic.Pointer[seqState]
	policy atomic.Pointer[Policy]

	// NAT is private to the NAT that found the translation, guarded by its
	// lock: a chain of connections from one source (Linux: nat_bysource).
	NAT struct{ Next, Prev *Conn }
}

// protoState is what the trackers remember (Linux: union nf_conntrack_proto).
type protoState struct {
	tcp   tcpState
	sctp  sctpState
	since int64 // when a UDP stream may begin
}

// Tuple returns the tuple of a direction. That of the reply may change until
// the connection is confirmed.
func (c *Conn) Tuple(d Dir) Tuple { return c.nodes[d].tuple }

// Proto returns the IP protocol number.
func (c *Conn) Proto() uint8 { return c.nodes[Original].tuple.Proto }

// Zone returns the zone.
func (c *Conn) Zone() Zone { return c.zone }

// ID returns a number that is another for every connection of the table (Linux:
// nf_ct_get_id).
func (c *Conn) ID() uint32 { return c.id }

// Table returns where it is tracked.
func (c *Conn) Table() *Table { return c.table }

// Master returns the connection whose helper expected this one, nil for none.
func (c *Conn) Master() *Conn { return c.master }

// Status returns the bits.
func (c *Conn) Status() Status { return c.status.Load() }

// SetStatus sets bits and returns those that were set before.
func (c *Conn) SetStatus(bits Status) (before Status) { return c.status.Or(bits) }

// ClearStatus clears bits.
func (c *Conn) ClearStatus(bits Status) { c.status.And(^bits) }

// IsConfirmed reports whether the connection is in the table, or was.
func (c *Conn) IsConfirmed() bool { return c.Status()&Confirmed != 0 }

// IsDying reports whether the connection left the table.
func (c *Conn) IsDying() bool { return c.Status()&Dying != 0 }

// IsTemplate reports whether c is what a rule gave a packet before it is
// tracked, and no connection.
func (c *Conn) IsTemplate() bool { return c.Status()&Template != 0 }

// Mark returns the connection's mark (connmark).
func (c *Conn) Mark() uint32 { return c.mark.Load() }

// SetMark changes the mark, and tells those who listen if it is another.
func (c *Conn) SetMark(m uint32) {
	if c.mark.Swap(m) != m {
		c.Note(EventMark)
	}
}

// Expires returns the time left until the connection expires, in ns, not less
// than 0 (Linux: nf_ct_expires).
func (c *Conn) Expires() int64 {
	e := c.expires.Load()
	if !c.IsConfirmed() {
		return e
	}
	return max(e-c.table.now(), 0)
}

// Masq returns the device whose address the connection is masqueraded with, by
// index, 0 for none (Linux: nf_conn_nat.masq_index).
func (c *Conn) Masq() int32 { return c.masq.Load() }

// SetMasq notes it.
func (c *Conn) SetMasq(ifindex int32) { c.masq.Store(ifindex) }

// AlterReply gives an unconfirmed connection another reply tuple, as its
// translated packets will be answered (Linux: nf_conntrack_alter_reply). The
// zone is kept.
func (c *Conn) AlterReply(t Tuple) {
	if c.IsConfirmed() {
		return
	}
	n := &c.nodes[Reply]
	t.Zone = n.tuple.Zone
	n.tuple = t
}

// Acct is the accounting of a connection, when net.netfilter.nf_conntrack_acct
// or _timestamp is on.
type Acct struct {
	Packets, Bytes [NumDirs]atomic.Uint64
	Start          int64        // ns since 1970, 0 if not taken
	stop           atomic.Int64 // the same
	counts         bool
}

// Acct returns the accounting, nil when there is none.
func (c *Conn) Acct() *Acct {
	if c.acct == nil || !c.acct.counts {
		return nil
	}
	return c.acct
}

// Times returns when the connection began and ended in ns since 1970, 0 for
// unknown (Linux: nf_conn_tstamp).
func (c *Conn) Times() (start, stop int64) {
	if c.acct == nil {
		return 0, 0
	}
	return c.acct.Start, c.acct.stop.Load()
}

// Labels is 128 bits that rules set (connlabel).
type Labels [2]atomic.Uint64

// Labels returns the bits, nil when none was ever set.
func (c *Conn) Labels() *Labels { return c.labels.Load() }

// SetLabel sets bit n below 128 and reports whether it was clear.
func (c *Conn) SetLabel(n uint) bool {
	l := c.labels.Load()
	if l == nil {
		l = &Labels{}
		if !c.labels.CompareAndSwap(nil, l) {
			l = c.labels.Load()
		}
	}
	if l[n/64&1].Or(1<<(n%64))>>(n%64)&1 != 0 {
		return false
	}
	c.Note(EventLabel)
	return true
}

// NFGet implements [skb.Conntrack].
func (c *Conn) NFGet() {
	if c.Status()&(Confirmed|Template) == 0 {
		c.use.Add(1)
	}
}

// NFPut implements [skb.Conntrack]. An unconfirmed connection whose last packet
// ended is used again for another. Who confirms one holds a packet of it, so the
// count cannot come to 0 once it is confirmed.
func (c *Conn) NFPut() {
	if c.Status()&(Confirmed|Template) == 0 && c.use.Add(-1) == 0 {
		c.table.recycle(c)
	}
}
