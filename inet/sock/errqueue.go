package sock

import (
	"syscall"

	"barewire/skb"
)

// Origins of an extended error (Linux: SO_EE_ORIGIN_*).
const (
	OriginNone         = 0
	OriginLocal        = 1
	OriginICMP         = 2
	OriginICMP6        = 3
	OriginTimestamping = 4
)

// ExtErrLen is the size of struct sock_extended_err.
const ExtErrLen = 16

// ExtErr is what the error queue keeps with a packet (Linux: struct
// sock_exterr_skb). Addr and Port are the destination of the packet the error
// is about, in host order; Offender is who reported it, if Origin is ICMP.
type ExtErr struct {
	Errno      syscall.Errno
	Origin     uint8
	Type, Code uint8
	Info, Data uint32
	Addr       uint32
	Port       uint16
	Stats      bool // the data is what a stream said of itself (opt_stats)
	Offender   uint32
}

// Put writes a struct sock_extended_err into p, at least ExtErrLen bytes.
func (e *ExtErr) Put(p []byte) {
	putUint32(p, uint32(e.Errno))
	p[4], p[5], p[6], p[7] = e.Origin, e.Type, e.Code, 0
	putUint32(p[8:], e.Info)
	putUint32(p[12:], e.Data)
}

// pack keeps an ExtErr in a packet's control buffer.
func (e *ExtErr) pack(b *skb.Buff) {
	b.CB[1] = uint64(e.Errno) | uint64(e.Origin)<<32 | uint64(e.Type)<<40 | uint64(e.Code)<<48
	b.CB[2] = uint64(e.Info) | uint64(e.Data)<<32
	b.CB[3] = uint64(e.Addr) | uint64(e.Offender)<<32
	b.CB[4] = uint64(e.Port)
	if e.Stats {
		b.CB[4] |= 1 << 16
	}
}

func unpackErr(b *skb.Buff) ExtErr {
	return ExtErr{
		Errno: syscall.Errno(uint32(b.CB[1])), Origin: uint8(b.CB[1] >> 32), Type: uint8(b.CB[1] >> 40), Code: uint8(b.CB[1] >> 48),
		Info: uint32(b.CB[2]), Data: uint32(b.CB[2] >> 32),
		Addr: uint32(b.CB[3]), Offender: uint32(b.CB[3] >> 32), Port: uint16(b.CB[4]), Stats: b.CB[4]>>16&1 != 0,
	}
}

// QueueErr puts a packet on the error queue and tells the program (Linux:
// sock_queue_err_skb). Data is what MSG_ERRQUEUE returns. The queue counts
// against SO_RCVBUF like received packets; beyond it the packet is dropped. It
// consumes b and reports whether it was queued. Any context: a stream, whose lock
// may be held, tells the program later.
func (sk *Sock) QueueErr(b *skb.Buff, e *ExtErr) bool {
	if !sk.queueErr(b, e) {
		return false
	}
	if sk.stream != nil {
		sk.stream.ErrReady()
	} else {
		sk.errorReport()
	}
	return true
}

// queueErr is QueueErr without telling.
func (sk *Sock) queueErr(b *skb.Buff, e *ExtErr) bool {
	b.Orphan()
	// The route must not be kept alive by a program that never reads.
	b.Dst = nil
	real := int64(b.Truesize())
	if !sk.chargeMemory(real) {
		b.Free(skb.ProtoMem)
		return false
	}
	q := &sk.rx
	q.mu.Lock()
	if q.closed || q.rmem+Charge(b) >= int(sk.rcvbuf.Load()) {
		q.mu.Unlock()
		sk.memory.uncharge(real)
		b.Free(skb.SocketRcvbuff)
		return false
	}
	q.rmem += Charge(b)
	b.CB[0] = 0
	e.pack(b)
	q.errs.PushBack(b)
	q.nerr.Add(1)
	q.mu.Unlock()
	return true
}

// DequeueErr takes the first packet off the error queue, nil if there is none;
// it never waits (Linux: sock_dequeue_err_skb). The pending error becomes that
// of the next one in the queue, so that a program that polls sees it. The
// caller ends the packet with Consume.
func (sk *Sock) DequeueErr() (*skb.Buff, ExtErr) {
	q := &sk.rx
	if q.nerr.Load() == 0 {
		return nil, ExtErr{}
	}
	q.mu.Lock()
	b := q.errs.PopFront()
	if b == nil {
		q.mu.Unlock()
		return nil, ExtErr{}
	}
	q.nerr.Add(-1)
	q.rmem -= Charge(b)
	next := q.errs.Head()
	var pending ExtErr
	if next != nil {
		pending = unpackErr(next)
	}
	q.mu.Unlock()
	sk.memory.uncharge(int64(b.Truesize()))
	e := unpackErr(b)
	isICMP := func(e *ExtErr) bool { return e.Origin == OriginICMP || e.Origin == OriginICMP6 }
	if isICMP(&e) && !(next != nil && isICMP(&pending)) {
		sk.err.Store(0)
	}
	if next != nil {
		if isICMP(&pending) {
			sk.err.Store(uint32(pending.Errno))
		}
		sk.errorReport()
	}
	return b, e
}

// PurgeErrors empties the error queue (Linux: skb_errqueue_purge).
func (sk *Sock) PurgeErrors() {
	q := &sk.rx
	var l skb.List
	q.mu.Lock()
	l.Splice(&q.errs)
	q.nerr.Store(0)
	for b := l.Head(); b != nil; b = b.Next() {
		q.rmem -= Charge(b)
	}
	q.mu.Unlock()
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		sk.memory.uncharge(int64(b.Truesize()))
		b.Consume()
	}
}

// errorReport tells everybody that there is an error (Linux: sk_error_report).
func (sk *Sock) errorReport() {
	sk.rdWait.wakeAll()
	sk.wrWait.wakeAll()
	sk.notifyEvents(EventErr | EventPri | EventIn | EventOut)
}
