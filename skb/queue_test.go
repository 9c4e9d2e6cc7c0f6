package skb_test

import (
	"sync"
	"testing"

	"barewire/skb"
)

// order returns the marks of the packets on l.
func order(l *skb.List) (m []uint32) {
	for b := l.Head(); b != nil; b = b.Next() {
		m = append(m, b.Mark)
	}
	return m
}

func wantOrder(t *testing.T, l *skb.List, want ...uint32) {
	t.Helper()
	got := order(l)
	if len(got) != len(want) || l.Len() != len(want) {
		t.Fatalf("%v (Len %d), want %v", got, l.Len(), want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

func TestList_order(t *testing.T) {
	c := newCache(t, 64)
	mk := func(mark uint32) *skb.Buff {
		b := filled(t, c, 0, make([]byte, mark))
		b.Mark = mark
		return b
	}
	var l, m skb.List
	two := mk(2)
	l.PushBack(two)
	l.PushBack(mk(3))
	l.PushFront(mk(1))
	wantOrder(t, &l, 1, 2, 3)
	if l.Bytes() != 6 || l.Head().Mark != 1 || l.Tail().Mark != 3 {
		t.Errorf("bytes %d", l.Bytes())
	}
	mustPanic(t, "queueing twice", func() { m.PushBack(two) })
	l.Remove(two)
	wantOrder(t, &l, 1, 3)
	m.PushBack(two)
	m.PushBack(mk(4))
	l.Splice(&m)
	wantOrder(t, &l, 1, 3, 2, 4)
	wantOrder(t, &m)
	m.Splice(&l)
	l.Splice(&m)
	l.Splice(&m)
	wantOrder(t, &l, 1, 3, 2, 4)
	b := l.PopFront()
	b.Consume()
	four := l.Tail()
	l.Remove(four)
	four.Consume()
	two.Get() // keep it past the purge
	l.Purge(skb.QueuePurge)
	wantOrder(t, &l)
	if l.Bytes() != 0 || l.PopFront() != nil || c.Drops(skb.QueuePurge) != 1 {
		t.Errorf("bytes %d drops %d", l.Bytes(), c.Drops(skb.QueuePurge))
	}
	two.Consume()
}

func TestList_removedTailIsTheCallers(t *testing.T) {
	c := newCache(t, 4)
	var l skb.List
	b := filled(t, c, 0, []byte("abc"))
	l.PushBack(b)
	l.Remove(b)
	if b.Users() != 1 || b.Next() != nil || l.Len() != 0 {
		t.Error("not taken off")
	}
	b.Consume()
}

func TestList_bytesWhenAPacketChanges(t *testing.T) {
	c := newCache(t, 8)
	var l skb.List
	a, b := filled(t, c, 20, make([]byte, 100)), filled(t, c, 20, make([]byte, 50))
	l.PushBack(a)
	l.PushBack(b)
	a.Push(20)
	b.Trim(1)
	if l.Bytes() != 150 {
		t.Errorf("bytes %d, want those queued", l.Bytes())
	}
	l.Remove(a)
	if l.Bytes() != 50 {
		t.Errorf("bytes %d", l.Bytes())
	}
	a.Consume()
	l.Consume()
	if l.Bytes() != 0 {
		t.Errorf("bytes %d of an empty list", l.Bytes())
	}
}

func TestQueue_concurrent(t *testing.T) {
	c := newCache(t, 64)
	var q skb.Queue
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 2000 {
				if b := c.Alloc(1); b != nil {
					b.PutData([]byte{1})
					q.Enqueue(b)
				}
			}
		}()
		go func() {
			defer wg.Done()
			for i := range 2000 {
				switch i % 4 {
				case 0:
					if b := q.Peek(); b != nil {
						b.Consume()
					}
				case 1:
					var l skb.List
					q.TakeAll(&l)
					q.AppendAll(&l)
				default:
					if b := q.Dequeue(); b != nil {
						if i%3 == 0 {
							q.EnqueueHead(b)
						} else {
							b.Consume()
						}
					}
				}
			}
		}()
	}
	wg.Wait()
	if q.Len() != q.Bytes() {
		t.Errorf("%d packets of one byte, %d bytes", q.Len(), q.Bytes())
	}
	q.Purge(skb.QueuePurge)
	if q.Len() != 0 || q.Bytes() != 0 || q.Dequeue() != nil || q.Peek() != nil {
		t.Error("not empty")
	}
}
