package sock

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/skb"
)

// Memory bounds the packet memory that all socks of one protocol hold on their
// receive queues together (Linux: udp_mem, proto.memory_allocated). A sock's
// own bound counts what Linux would charge; this one counts real pages, so
// that unread sockets cannot starve the receive rings.
type Memory struct {
	limit atomic.Int64
	used  atomic.Int64
	low   atomic.Int64  // 0, or from where on only socks below least get any
	least *atomic.Int32 // bytes of a sock's queue; set before low
}

// NewMemory returns a bound of limit bytes.
func NewMemory(limit int64) *Memory {
	m := &Memory{}
	m.limit.Store(limit)
	return m
}

// Limit returns the bound in bytes.
func (m *Memory) Limit() int64 { return m.limit.Load() }

// SetLimit changes the bound. What is held already stays.
func (m *Memory) SetLimit(n int64) { m.limit.Store(n) }

// Reserve keeps what is between low bytes and the bound for socks whose queue
// holds less than least bytes, so that one that is never read does not keep
// packets from all others (Linux: the first and the last number of udp_mem, and
// udp_rmem_min). Before the first sock; least may change later.
func (m *Memory) Reserve(low int64, least *atomic.Int32) {
	m.least = least
	m.low.Store(low)
}

// Low returns what Reserve was given, the bound when there is no reserve.
func (m *Memory) Low() int64 {
	if low := m.low.Load(); low != 0 {
		return low
	}
	return m.Limit()
}

// SetLow changes from where on the reserve begins, if there is one.
func (m *Memory) SetLow(n int64) {
	if m.least != nil {
		m.low.Store(max(n, 1))
	}
}

// Used returns the bytes held now.
func (m *Memory) Used() int64 { return m.used.Load() }

func (m *Memory) charge(n int64) bool {
	if m == nil {
		return true
	}
	if m.used.Add(n) > m.limit.Load() {
		m.used.Add(-n)
		return false
	}
	return true
}

// chargeMemory takes n bytes for a packet of sk's queues (Linux:
// __sk_mem_raise_allocated).
func (sk *Sock) chargeMemory(n int64) bool {
	m := sk.memory
	if !m.charge(n) {
		return false
	}
	if m == nil {
		return true
	}
	if low := m.low.Load(); low == 0 || m.used.Load() <= low || sk.rx.allocated() < int(m.least.Load()) {
		return true
	}
	m.used.Add(-n)
	return false
}

func (m *Memory) uncharge(n int64) {
	if m != nil {
		m.used.Add(-n)
	}
}

// skbOverhead is what Linux charges for a packet beside its data: struct
// sk_buff, the shared info and the headroom of a received frame.
const skbOverhead = 576 + 64 + 64

// Charge is what a queued packet counts against SO_RCVBUF: the truesize it
// would have in Linux, where the data area is as large as the packet needs. A
// whole page per packet would be more honest about memory, but programs size
// their buffers by Linux's count: 212992 bytes are some 270 small datagrams.
// [Memory] does the honest count.
func Charge(b *skb.Buff) int { return (b.Len()+63)&^63 + skbOverhead }

// rxQueue is the receive queue of a sock with its accounting.
type rxQueue struct {
	mu     sync.Mutex
	list   skb.List
	errs   skb.List // the error queue
	rmem   int      // charge of both
	closed bool
	n      atomic.Int32 // list.Len, for lock-free looks
	nerr   atomic.Int32 // errs.Len
}

func (q *rxQueue) len() int { return int(q.n.Load()) }

func (q *rxQueue) allocated() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rmem
}

// QueueResult says what became of a packet given to QueueRcv.
type QueueResult uint8

// Results of QueueRcv.
const (
	Queued    QueueResult = iota
	QueueFull             // beyond SO_RCVBUF
	QueueMem              // beyond the protocol's memory
	QueueDead             // the socket is gone
)

// QueueRcv puts a packet on the receive queue and wakes a reader (Linux:
// sock_queue_rcv_skb). It takes b over only with Queued. Softirq context.
func (sk *Sock) QueueRcv(b *skb.Buff) QueueResult {
	q := &sk.rx
	sk.Stamp(b)
	sk.MarkNAPI(b)
	charge := Charge(b)
	real := int64(b.Truesize())
	if !sk.chargeMemory(real) {
		sk.drops.Add(1)
		return QueueMem
	}
	q.mu.Lock()
	// As in Linux the packet that crosses the bound still fits, so that a
	// tiny buffer takes one datagram.
	if q.closed || q.rmem > int(sk.rcvbuf.Load()) {
		dead := q.closed
		q.mu.Unlock()
		sk.memory.uncharge(real)
		if dead {
			return QueueDead
		}
		sk.drops.Add(1)
		return QueueFull
	}
	q.rmem += charge
	b.CB[0] = uint64(sk.drops.Load()) // for SO_RXQ_OVFL
	q.list.PushBack(b)
	q.n.Add(1)
	q.mu.Unlock()
	sk.DataReady()
	return Queued
}

// AddDrop counts a packet the protocol refused for this sock (Linux:
// sk_drops_inc).
func (sk *Sock) AddDrop() { sk.drops.Add(1) }

// Rcv puts a packet that passes the filter on the receive queue, for protocols
// that count nothing of their own (Linux: sock_queue_rcv_skb_reason). keep is as
// in RunFilter. Consumes b. Softirq context.
func (sk *Sock) Rcv(b *skb.Buff, keep int) {
	if !sk.RunFilter(b, keep) {
		sk.AddDrop()
		b.Free(skb.SocketFilter)
		return
	}
	switch sk.QueueRcv(b) {
	case Queued:
	case QueueMem:
		b.Free(skb.ProtoMem)
	default:
		b.Free(skb.SocketRcvbuff)
	}
}

// RecvDatagram returns the next packet of the receive queue (Linux:
// __skb_recv_datagram), waiting unless flags has MSG_DONTWAIT. With MSG_PEEK
// the packet stays queued and the caller gets a reference. A pending error
// comes first. A nil packet without error means the receive side is shut down,
// which only a call that may wait is told.
// The caller ends the packet with Consume.
func (sk *Sock) RecvDatagram(flags int) (*skb.Buff, error) {
	b, _, err := sk.RecvDatagramAt(flags, -1)
	return b, err
}

// RecvDatagramAt is RecvDatagram for a program that peeks from an offset (Linux:
// __skb_try_recv_from_queue): with MSG_PEEK and off not negative it passes over
// that many bytes of queued packets and returns the offset that is left in the
// packet it found.
func (sk *Sock) RecvDatagramAt(flags, off int) (*skb.Buff, int, error) {
	if flags&syscall.MSG_PEEK == 0 {
		off = -1
	}
	if err := sk.TakeError(); err != nil {
		return nil, 0, err
	}
	if b, left := sk.dequeue(flags, off); b != nil {
		return b, left, nil
	}
	// As in Linux the end of the receive side is told to those who would wait.
	if flags&syscall.MSG_DONTWAIT != 0 {
		return nil, 0, syscall.EAGAIN
	}
	return sk.waitDatagram(flags, off)
}

func (sk *Sock) waitDatagram(flags, off int) (b *skb.Buff, left int, err error) {
	err = sk.waitUntil(&sk.rdWait, sk.rcvtimeo.Load(), func() (bool, error) {
		if err := sk.TakeError(); err != nil {
			return false, err
		}
		b, left = sk.dequeue(flags, off)
		return b != nil || sk.IsShutdown(RcvShutdown), nil
	})
	return b, left, err
}

func (sk *Sock) dequeue(flags, off int) (*skb.Buff, int) {
	q := &sk.rx
	if q.n.Load() == 0 {
		return nil, 0
	}
	q.mu.Lock()
	b := q.list.Head()
	if b == nil {
		q.mu.Unlock()
		return nil, 0
	}
	if flags&syscall.MSG_PEEK != 0 {
		if off > 0 {
			for b != nil && off >= b.Len() {
				off -= b.Len()
				b = b.Next()
			}
		}
		if b != nil {
			b.Get()
		}
		q.mu.Unlock()
		return b, max(off, 0)
	}
	q.list.Remove(b)
	q.n.Add(-1)
	q.rmem -= Charge(b)
	q.mu.Unlock()
	sk.memory.uncharge(int64(b.Truesize()))
	return b, 0
}

// PeekOffset returns where a receive with these flags begins (Linux:
// sk_peek_offset): -1 while SO_PEEK_OFF is off or nothing is peeked.
func (sk *Sock) PeekOffset(flags int) int {
	if flags&syscall.MSG_PEEK == 0 {
		return -1
	}
	return int(sk.peekOff.Load())
}

// MovePeekOffset follows n bytes that were read: peeked ones push the offset
// on, taken ones pull it back (Linux: sk_peek_offset_fwd, sk_peek_offset_bwd).
func (sk *Sock) MovePeekOffset(flags, n int) {
	off := sk.peekOff.Load()
	if off < 0 {
		return
	}
	if flags&syscall.MSG_PEEK != 0 {
		sk.peekOff.Store(off + int32(n))
	} else {
		sk.peekOff.Store(max(0, off-int32(n)))
	}
}

// RecvControl puts the ancillary data of level SOL_SOCKET that the program
// asked for into m (Linux: sock_recv_cmsgs): the time of arrival; with
// SO_RXQ_OVFL how many packets were dropped before b was queued; with
// SO_RCVMARK the packet's mark.
func (sk *Sock) RecvControl(m *Msg, b *skb.Buff) {
	if sk.stamp.Load() != tsNone || sk.stamping.Load() != 0 {
		sk.RecvTimestamp(m, b)
	} else {
		sk.noteStamp()
	}
	var p [4]byte
	if n := b.CB[0]; n != 0 && sk.Flag(FlagRxqOvfl) {
		putUint32(p[:], uint32(n))
		m.PutCmsg(syscall.SOL_SOCKET, soRxqOvfl, p[:])
	}
	if sk.Flag(FlagRcvMark) {
		putUint32(p[:], b.Mark)
		m.PutCmsg(syscall.SOL_SOCKET, syscall.SO_MARK, p[:])
	}
	if sk.Flag(FlagRcvPriority) {
		putUint32(p[:], b.Priority)
		m.PutCmsg(syscall.SOL_SOCKET, soPriority, p[:])
	}
}

// FirstLen returns the length of the first queued packet, less hdr bytes of
// header, 0 if there is none (Linux: first_packet_length, for SIOCINQ).
func (sk *Sock) FirstLen(hdr int) int {
	q := &sk.rx
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.list.Head(); b != nil {
		return max(0, b.Len()-hdr)
	}
	return 0
}

// QueueIoctl is what datagram sockets of every family know: SIOCOUTQ and SIOCINQ
// (Linux: udp_ioctl, raw_ioctl, packet_ioctl). ENOTTY for others.
func (sk *Sock) QueueIoctl(cmd uint, arg []byte) error {
	v := 0
	switch cmd {
	case syscall.TIOCOUTQ: // SIOCOUTQ
		v = sk.WmemAlloc()
	case syscall.TIOCINQ: // SIOCINQ, FIONREAD
		v = sk.FirstLen(0)
	default:
		return syscall.ENOTTY
	}
	if len(arg) < 4 {
		return syscall.EFAULT
	}
	putUint32(arg, uint32(v))
	return nil
}

// RcvBuf returns SO_RCVBUF, what the receive queue may take in bytes of charge.
func (sk *Sock) RcvBuf() int { return int(sk.rcvbuf.Load()) }

// RmemAlloc returns what is charged against SO_RCVBUF.
func (sk *Sock) RmemAlloc() int { return sk.rx.allocated() }

// WmemAlloc returns the truesize of packets sent and not yet freed.
func (sk *Sock) WmemAlloc() int { return int(sk.wmem.Load()) }

// Destroy empties the queue for good and wakes all waiters with EBADF-like
// ends: readers see a shut-down socket (Linux: sk_common_release).
func (sk *Sock) Destroy() {
	sk.SetFlag(FlagDead, true)
	sk.shutdown.Store(RcvShutdown | SendShutdown)
	q := &sk.rx
	q.mu.Lock()
	if !q.closed && sk.limits != nil {
		sk.limits.inuse.Add(-1)
	}
	q.closed = true
	var l skb.List
	l.Splice(&q.list)
	l.Splice(&q.errs)
	q.n.Store(0)
	q.nerr.Store(0)
	q.rmem = 0
	q.mu.Unlock()
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		sk.memory.uncharge(int64(b.Truesize()))
		b.Free(skb.QueuePurge)
	}
	sk.rdWait.wakeAll()
	sk.wrWait.wakeAll()
}
