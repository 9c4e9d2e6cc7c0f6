package tcp

import (
	"slices"

	"barewire/skb"
)

// sendQueue is what the program wrote and the peer has not acknowledged, in
// order of sequence: first the segments that were sent (Linux: the rbtree
// tcp_rtx_queue), then those that were not (sk_write_queue). One array with a
// moving front serves both: taking from the front and adding to the end cost
// nothing, a segment is found by its sequence number in logarithmic time, and
// walking it stays within few cache lines.
type sendQueue struct {
	q    []*skb.Buff
	head int32
	nrtx int32 // segments sent

	// Room for one, which is all that many a connection ever has: a SYN, a
	// request, a FIN.
	first [1]*skb.Buff
}

func (w *sendQueue) len() int           { return len(w.q) - int(w.head) }
func (w *sendQueue) empty() bool        { return w.len() == 0 }
func (w *sendQueue) at(i int) *skb.Buff { return w.q[int(w.head)+i] }

// sent returns the number of segments that were sent.
func (w *sendQueue) sent() int { return int(w.nrtx) }

// rtxHead returns the first segment that was sent, nil if none waits.
func (w *sendQueue) rtxHead() *skb.Buff {
	if w.nrtx == 0 {
		return nil
	}
	return w.q[w.head]
}

// rtxTail returns the last segment that was sent.
func (w *sendQueue) rtxTail() *skb.Buff {
	if w.nrtx == 0 {
		return nil
	}
	return w.q[w.head+w.nrtx-1]
}

// sendHead returns the first segment to send, nil if there is none (Linux:
// tcp_send_head).
func (w *sendQueue) sendHead() *skb.Buff {
	if w.sent() == w.len() {
		return nil
	}
	return w.q[w.head+w.nrtx]
}

// tail returns the last segment not sent yet (Linux: tcp_write_queue_tail).
func (w *sendQueue) tail() *skb.Buff {
	if w.sent() == w.len() {
		return nil
	}
	return w.q[len(w.q)-1]
}

func (w *sendQueue) push(b *skb.Buff) {
	if w.head > 32 && int(w.head)*2 > len(w.q) && len(w.q) == cap(w.q) {
		n := copy(w.q, w.q[w.head:])
		clear(w.q[n:])
		w.q, w.head = w.q[:n], 0
	}
	if w.q == nil {
		w.q = w.first[:0]
	}
	w.q = append(w.q, b)
}

// insert puts b at index i; sent says on which side of the boundary.
func (w *sendQueue) insert(i int, b *skb.Buff, sent bool) {
	w.q = slices.Insert(w.q, int(w.head)+i, b)
	if sent {
		w.nrtx++
	}
}

// pop takes the first segment off.
func (w *sendQueue) pop() {
	w.q[w.head] = nil
	w.head++
	if w.nrtx > 0 {
		w.nrtx--
	}
	if int(w.head) == len(w.q) {
		w.q, w.head = w.q[:0], 0
	}
}

// remove takes the segment at index i off.
func (w *sendQueue) remove(i int) {
	w.q = slices.Delete(w.q, int(w.head)+i, int(w.head)+i+1)
	if i < w.sent() {
		w.nrtx--
	}
}

// find returns the index of the first sent segment that ends after seq.
func (w *sendQueue) find(seq uint32) int {
	lo, hi := 0, w.sent()
	for lo < hi {
		m := (lo + hi) / 2
		if after(tx(w.at(m)).end, seq) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

// rcvQueue is the segments in order that the program has not read.
type rcvQueue = skb.List

// ofoQueue is the segments that came before their time, sorted by sequence and
// without overlap (Linux: the rbtree out_of_order_queue). Insertion finds its
// place in logarithmic time; what has to move is pointers.
type ofoQueue struct{ q []*skb.Buff }

// find returns the index of the first segment that begins after seq.
func (o *ofoQueue) find(seq uint32) int {
	if n := len(o.q); n == 0 || !before(seq, rx(o.q[n-1]).seq) {
		return n
	}
	lo, hi := 0, len(o.q)
	for lo < hi {
		m := (lo + hi) / 2
		if before(seq, rx(o.q[m]).seq) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func (o *ofoQueue) insert(i int, b *skb.Buff) { o.q = slices.Insert(o.q, i, b) }

func (o *ofoQueue) remove(i int) { o.q = slices.Delete(o.q, i, i+1) }
