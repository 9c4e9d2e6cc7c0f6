package sock

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

type fixture struct {
	cache *skb.Cache
	sk    *Sock
	s     *Socket
}

// fixtureOps is a family that supports nothing.
type fixtureOps struct{ NoOps }

func (*fixtureOps) Release() error { return nil }
func (*fixtureOps) Poll() uint16   { return 0 }

func newSock(t testing.TB, backlog func(b *skb.Buff)) *fixture {
	f := &fixture{sk: &Sock{}}
	pool, err := skb.NewPagePool(skb.PageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	f.cache = skb.NewCache(pool)
	f.sk.Init(Config{Family: 2, Type: 2, Protocol: 17, Clock: napi.SystemClock(), Backlog: backlog})
	f.s = &Socket{SK: f.sk, Ops: &fixtureOps{}}
	t.Cleanup(func() {
		f.sk.Destroy()
		if n := f.cache.InUse(); n != 0 {
			t.Errorf("%d packets not returned", n)
		}
	})
	return f
}

func (f *fixture) buff(n int) *skb.Buff {
	b := f.cache.Alloc(n)
	b.Put(n)
	return b
}

func TestRecv_empty_blocksUntilData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSock(t, nil)
		done := make(chan *skb.Buff)
		go func() {
			b, err := f.sk.RecvDatagram(0)
			if err != nil {
				t.Error(err)
			}
			done <- b
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("did not block")
		default:
		}
		b := f.buff(9)
		if r := f.sk.QueueRcv(b); r != Queued {
			t.Fatal(r)
		}
		if got := <-done; got != b {
			t.Error("not the packet queued")
		}
		b.Consume()
	})
}

func TestMemory_short_littleSocksGetSome(t *testing.T) {
	greedy, little := newSock(t, nil), newSock(t, nil)
	least := &atomic.Int32{}
	least.Store(4096)
	one := greedy.buff(100)
	size := int64(one.Truesize())
	one.Consume()
	m := NewMemory(20 * size)
	m.Reserve(10*size, least)
	greedy.sk.memory, little.sk.memory = m, m
	put := func(f *fixture, n int) (took int) {
		for range n {
			if b := f.buff(100); f.sk.QueueRcv(b) == Queued {
				took++
			} else {
				b.Free(skb.ProtoMem)
			}
		}
		return took
	}
	if n := put(greedy, 30); n != 10 {
		t.Errorf("a sock that is not read got %d of 10", n)
	}
	// 832 bytes each are charged to a sock: the fifth finds it at 3328.
	if n := put(little, 30); n != 5 {
		t.Errorf("a sock that holds little got %d, want 5", n)
	}
	least.Store(1 << 20)
	if n := put(greedy, 30); n != 5 {
		t.Errorf("up to the bound there was room for %d, want 5", n)
	}
}

func TestRecv_timeout_EAGAIN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSock(t, nil)
		tv := make([]byte, 16)
		tv[0], tv[8], tv[9] = 2, 0x20, 0xa1 // 2.041248 s
		if err := f.s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, tv); err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 16)
		if n, err := f.s.GetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, out); n != 16 || err != nil || string(out) != string(tv) {
			t.Errorf("SO_RCVTIMEO reads %x, %v", out, err)
		}
		start := time.Now()
		if _, err := f.sk.RecvDatagram(0); err != syscall.EAGAIN {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d != 2041248*time.Microsecond {
			t.Errorf("waited %v", d)
		}
	})
}

func TestRecv_errorOrShutdown_wakesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSock(t, nil)
		var wg sync.WaitGroup
		var errs [3]error
		for i := range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var b *skb.Buff
				b, errs[i] = f.sk.RecvDatagram(0)
				if b != nil {
					t.Error("a packet from nowhere")
				}
			}()
		}
		synctest.Wait()
		f.sk.SetError(syscall.ECONNREFUSED)
		synctest.Wait()
		f.sk.AddShutdown(RcvShutdown)
		wg.Wait()
		n := 0
		for _, err := range errs {
			if err == syscall.ECONNREFUSED {
				n++
			} else if err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d readers heard the error, want 1: it is told once", n)
		}
	})
}

func TestRecv_manyReaders_eachPacketOnce(t *testing.T) {
	f := newSock(t, nil)
	const readers, packets = 8, 4000
	var wg sync.WaitGroup
	var got [readers]int
	for i := range readers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				b, err := f.sk.RecvDatagram(0)
				if err != nil {
					t.Error(err)
					return
				}
				if b == nil {
					return
				}
				got[i]++
				b.Consume()
			}
		}()
	}
	sent := 0
	for sent < packets {
		b := f.buff(10)
		if f.sk.QueueRcv(b) != Queued {
			b.Free(skb.SocketRcvbuff)
			time.Sleep(10 * time.Microsecond)
			continue
		}
		sent++
	}
	for f.sk.rx.len() > 0 { // a wake-up that was lost leaves it so
		time.Sleep(time.Millisecond)
	}
	f.sk.AddShutdown(RcvShutdown)
	wg.Wait()
	sum := 0
	for _, n := range got {
		sum += n
	}
	if sum != packets {
		t.Errorf("%d packets read of %d", sum, packets)
	}
}

func TestSend_bufferFull_blocksUntilFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSock(t, nil)
		f.s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, []byte{1, 0, 0, 0})
		var q skb.List
		for f.sk.WaitSendSpace(syscall.MSG_DONTWAIT) == nil {
			b := f.buff(1)
			f.sk.SetOwnerW(b)
			q.PushBack(b)
		}
		done := make(chan error)
		go func() { done <- f.sk.WaitSendSpace(0) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("did not block", err)
		default:
		}
		q.Purge(skb.QueuePurge)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := f.sk.WmemAlloc(); n != 0 {
			t.Errorf("%d bytes still charged", n)
		}
		f.sk.AddShutdown(SendShutdown)
		if err := f.sk.WaitSendSpace(0); err != syscall.EPIPE {
			t.Errorf("after shutdown: %v", err)
		}
	})
}

func TestNotify_edges_neverLost(t *testing.T) {
	f := newSock(t, nil)
	wake := make(chan uint16, 1)
	f.s.SetNotify(func(ev uint16) {
		if ev&EventIn != 0 {
			select {
			case wake <- ev:
			default:
			}
		}
	})
	const packets = 20000
	go func() {
		for i := 0; i < packets; {
			b := f.buff(4)
			if f.sk.QueueRcv(b) == Queued {
				i++
			} else {
				b.Free(skb.SocketRcvbuff)
				time.Sleep(5 * time.Microsecond)
			}
		}
	}()
	for n := 0; n < packets; {
		b, err := f.sk.RecvDatagram(syscall.MSG_DONTWAIT)
		if err == syscall.EAGAIN {
			select {
			case <-wake:
			case <-time.After(5 * time.Second):
				t.Fatalf("no wake-up after %d packets", n)
			}
			continue
		}
		b.Consume()
		n++
	}
}

func TestOwner_softirqMeetsOwner_backlogWorkedOff(t *testing.T) {
	var f *fixture
	var order []int
	f = newSock(t, func(b *skb.Buff) {
		order = append(order, b.Len())
		b.Consume()
	})
	f.sk.Lock()
	for i := 1; i <= 3; i++ {
		f.sk.BHLock()
		if !f.sk.OwnedByUser() {
			t.Fatal("not owned")
		}
		if !f.sk.AddBacklog(f.buff(i)) {
			t.Fatal("backlog refused")
		}
		f.sk.BHUnlock()
	}
	if len(order) != 0 {
		t.Error("backlog touched while owned")
	}
	f.sk.Unlock()
	if len(order) != 3 || order[0] != 1 || order[2] != 3 {
		t.Errorf("worked off as %v", order)
	}
	// It is bounded.
	f.sk.Lock()
	n := 0
	for ; n < 10000; n++ {
		b := f.buff(1)
		f.sk.BHLock()
		ok := f.sk.AddBacklog(b)
		f.sk.BHUnlock()
		if !ok {
			b.Free(skb.SocketRcvbuff)
			break
		}
	}
	f.sk.Unlock()
	if n == 10000 {
		t.Error("backlog without bound")
	}
}

func TestOwner_many_oneAtATime(t *testing.T) {
	f := newSock(t, nil)
	var wg sync.WaitGroup
	x := 0
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 500 {
				f.sk.Lock()
				x++
				f.sk.Unlock()
			}
		}()
	}
	wg.Wait()
	if x != 4000 {
		t.Errorf("%d", x)
	}
}

func TestFamilies_table(t *testing.T) {
	var fam Families
	ok := func(s *Socket, protocol int) error {
		if protocol == 9 {
			return syscall.EPROTONOSUPPORT
		}
		return nil
	}
	if err := fam.Register(16, ok); err != nil {
		t.Fatal(err)
	}
	if err := fam.Register(16, ok); err != syscall.EEXIST {
		t.Errorf("twice: %v", err)
	}
	if err := fam.Register(NProto, ok); err != syscall.EINVAL {
		t.Errorf("out of range: %v", err)
	}
	if s, err := fam.Create(16, 3, 0); err != nil || s.Family != 16 || s.Type != 3 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := fam.Create(16, 3, 9); err != syscall.EPROTONOSUPPORT {
		t.Errorf("%v", err)
	}
	if _, err := fam.Create(17, 3, 0); err != syscall.EAFNOSUPPORT {
		t.Errorf("%v", err)
	}
}

func TestCmsg_noRoom_marked(t *testing.T) {
	m := &Msg{Control: make([]byte, 40)}
	m.PutCmsg(0, 1, []byte{1, 2, 3, 4})
	m.PutCmsg(0, 2, []byte{1, 2, 3, 4})
	if m.ControlLen != 40 || m.Flags&syscall.MSG_CTRUNC == 0 {
		t.Errorf("length %d flags %#x", m.ControlLen, m.Flags)
	}
	c, rest, ok, err := NextCmsg(m.Control[:m.ControlLen])
	if !ok || err != nil || c.Type != 1 || len(c.Data) != 4 {
		t.Errorf("%+v %v", c, err)
	}
	if c, _, ok, err = NextCmsg(rest); !ok || err != nil || c.Type != 2 || len(c.Data) != 0 {
		t.Errorf("the item that was cut: %+v %v", c, err)
	}
}

func TestIter_pieces_asOneRun(t *testing.T) {
	it := Iter{Iov: [][]byte{[]byte("ab"), nil, []byte("cdef"), []byte("g")}}
	var got []byte
	p := make([]byte, 3)
	for n := it.Read(p); n > 0; n = it.Read(p) {
		got = append(got, p[:n]...)
	}
	if string(got) != "abcdefg" {
		t.Errorf("%q", got)
	}
}

func FuzzCmsg(f *testing.F) {
	m := &Msg{Control: make([]byte, 64)}
	m.PutCmsg(0, 8, make([]byte, 12))
	m.PutCmsg(0, 2, make([]byte, 4))
	f.Add(m.Control[:m.ControlLen])
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		total := 0
		for {
			c, rest, ok, err := NextCmsg(p)
			if err != nil || !ok {
				break
			}
			if len(rest) >= len(p) {
				t.Fatal("no progress")
			}
			total += len(c.Data) + 16
			p = rest
		}
		if total > cap(p)+len(p)+1<<20 {
			t.Fatal("more data than there is")
		}
	})
}

func FuzzSockOpt(f *testing.F) {
	f.Add(2, []byte{1, 0, 0, 0})
	f.Add(25, []byte("eth0\x00"))
	f.Add(20, make([]byte, 16))
	for _, name := range []int{28, 37, 47, 55, 61, 72} { // those with structures or rules of their own
		f.Add(name, []byte{1, 0, 0, 0, 2, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, name int, val []byte) {
		fx := newSock(t, nil)
		fx.s.SetSockOpt(syscall.SOL_SOCKET, name, val)
		buf := make([]byte, len(val)%40)
		n, err := fx.s.GetSockOpt(syscall.SOL_SOCKET, name, buf)
		if err == nil && n > len(buf) {
			t.Errorf("option %d: %d bytes in %d", name, n, len(buf))
		}
	})
}
