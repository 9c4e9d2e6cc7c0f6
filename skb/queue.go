package skb

import "sync"

// Queue is a list of packets with a lock (Linux: struct sk_buff_head). Every
// method takes the lock; a list that one context owns alone is a [List].
type Queue struct {
	mu   sync.Mutex
	list List
}

// List is a doubly linked list of packets without a lock, for one owner. Its
// zero value is empty. A packet is on one list at a time.
type List struct {
	head, tail *Buff
	n, bytes   uint32 // memory bounds both
}

// Len returns the number of packets.
func (l *List) Len() int { return int(l.n) }

// Bytes returns the sum of the packets' lengths as they were when queued.
func (l *List) Bytes() int { return int(l.bytes) }

// Head returns the first packet without removing it (Linux: skb_peek).
func (l *List) Head() *Buff { return l.head }

// Tail returns the last packet without removing it (Linux: skb_peek_tail).
func (l *List) Tail() *Buff { return l.tail }

// Next returns the packet after b on its list.
func (b *Buff) Next() *Buff { return b.next }

// enlist notes the length a list accounts for b, which may change meanwhile.
func (b *Buff) enlist() {
	if b.next != nil || b.prev != nil {
		panic("skb: packet is on a list already")
	}
	b.queued = uint32(b.Len())
}

// PushBack appends b (Linux: __skb_queue_tail).
func (l *List) PushBack(b *Buff) {
	b.enlist()
	b.prev = l.tail
	if l.tail == nil {
		l.head = b
	} else {
		l.tail.next = b
	}
	l.tail = b
	l.n++
	l.bytes += b.queued
}

// PushFront puts b first (Linux: __skb_queue_head).
func (l *List) PushFront(b *Buff) {
	b.enlist()
	b.next = l.head
	if l.head == nil {
		l.tail = b
	} else {
		l.head.prev = b
	}
	l.head = b
	l.n++
	l.bytes += b.queued
}

// PopFront removes and returns the first packet, nil if there is none (Linux:
// __skb_dequeue).
func (l *List) PopFront() *Buff {
	b := l.head
	if b != nil {
		l.Remove(b)
	}
	return b
}

// Remove takes b, which is on this list, off it (Linux: __skb_unlink).
func (l *List) Remove(b *Buff) {
	if b.prev == nil {
		l.head = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.tail = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.next, b.prev = nil, nil
	l.n--
	l.bytes -= b.queued
}

// Splice moves all packets of from to the end of l (Linux:
// skb_queue_splice_tail_init).
func (l *List) Splice(from *List) {
	if from.head == nil {
		return
	}
	if l.tail == nil {
		l.head = from.head
	} else {
		l.tail.next = from.head
		from.head.prev = l.tail
	}
	l.tail = from.tail
	l.n += from.n
	l.bytes += from.bytes
	*from = List{}
}

// Purge drops every packet for reason r (Linux: skb_queue_purge_reason).
func (l *List) Purge(r Reason) {
	l.end(func(b *Buff) { b.cache.dropped(b, r) })
}

// Consume ends every packet normally.
func (l *List) Consume() {
	l.end(func(b *Buff) { b.cache.consumed.Add(1) })
}

// end empties the list and gives the memory back in bulk. count sees every
// packet that has no other holder.
func (l *List) end(count func(b *Buff)) {
	if l.head == nil {
		return
	}
	k := bulk{cache: l.head.home}
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		if b.unref() {
			count(b)
			b.release(&k)
		}
	}
	k.flush()
}

// Len returns the number of packets queued (Linux: skb_queue_len).
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.list.n)
}

// Bytes returns the sum of the queued packets' lengths as they were when
// queued.
func (q *Queue) Bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.list.bytes)
}

// Enqueue appends b (Linux: skb_queue_tail).
func (q *Queue) Enqueue(b *Buff) {
	q.mu.Lock()
	q.list.PushBack(b)
	q.mu.Unlock()
}

// EnqueueHead puts b first (Linux: skb_queue_head).
func (q *Queue) EnqueueHead(b *Buff) {
	q.mu.Lock()
	q.list.PushFront(b)
	q.mu.Unlock()
}

// Dequeue removes and returns the first packet, nil if there is none (Linux:
// skb_dequeue).
func (q *Queue) Dequeue() *Buff {
	q.mu.Lock()
	b := q.list.PopFront()
	q.mu.Unlock()
	return b
}

// Peek returns the first packet with a reference for the caller, nil if there
// is none. The packet stays queued.
func (q *Queue) Peek() *Buff {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list.head == nil {
		return nil
	}
	return q.list.head.Get()
}

// TakeAll moves everything queued to l under one lock (Linux:
// skb_queue_splice_init).
func (q *Queue) TakeAll(l *List) {
	q.mu.Lock()
	l.Splice(&q.list)
	q.mu.Unlock()
}

// AppendAll moves everything on l to the end of the queue under one lock.
func (q *Queue) AppendAll(l *List) {
	q.mu.Lock()
	q.list.Splice(l)
	q.mu.Unlock()
}

// Purge drops every queued packet for reason r. No lock is held while the
// destructors run.
func (q *Queue) Purge(r Reason) {
	var l List
	q.TakeAll(&l)
	l.Purge(r)
}
