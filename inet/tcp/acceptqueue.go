package tcp

import (
	"sync"
	"sync/atomic"

	"barewire/inet/mib"
)

// The queue of a listener: what waits for accept, and how much may be on its way
// there (Linux: request_sock_queue).

// acceptQueue is the two queues of a listener (Linux: struct
// request_sock_queue): requests are in the established hash and only counted
// here.
type acceptQueue struct {
	qlen, young atomic.Int32
	max         atomic.Int32 // sk_max_ack_backlog
	overflow    atomic.Int64 // when a SYN cookie was given out, ns; 0 never

	group *reuseGroup // with SO_REUSEPORT

	mu     sync.Mutex
	list   []*Sock // from head on
	head   int
	closed bool
	n      atomic.Int32
}

func (q *acceptQueue) full() bool { return q.n.Load() > q.max.Load() }

func (q *acceptQueue) synFull() bool { return q.qlen.Load() > q.max.Load() }

// push adds a connection; false when the listener is gone.
func (q *acceptQueue) push(s *Sock) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, s)
	q.n.Add(1)
	return true
}

// pop takes the oldest connection, nil if there is none.
func (q *acceptQueue) pop() *Sock {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.list) {
		return nil
	}
	s := q.list[q.head]
	q.list[q.head] = nil
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	q.n.Add(-1)
	return s
}

// close refuses more and returns what nobody accepted.
func (q *acceptQueue) close() []*Sock {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.list[q.head:]
	q.list, q.head, q.closed = nil, 0, true
	q.n.Store(0)
	return l
}

// listenDrop counts a connection that was refused (Linux: tcp_listendrop).
func (s *Sock) listenDrop() {
	s.AddDrop()
	s.tcp.inc(mib.ListenDrops)
}
