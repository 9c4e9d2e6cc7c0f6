package inet_test

import (
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb/header"
)

// vethPair is two stacks joined by a veth pair, with their softirqs running.
func vethPair(t testing.TB) (a, b *inet.Net) {
	var nets [2]*inet.Net
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range nets {
		dev, err := napi.New(napi.Config{})
		check(t, err)
		nets[i], err = inet.New(inet.Config{Net: dev})
		check(t, err)
		wg.Go(func() { dev.SoftNet().Run(stop) })
	}
	da, db, err := napi.NewVethPair(nets[0].Dev(), "veth0", nets[1].Dev(), "veth0")
	check(t, err)
	for i, d := range []*napi.NetDevice{da, db} {
		check(t, d.Open())
		check(t, nets[i].AddAddr(d, netip.PrefixFrom(header.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}).Netip(), 24)))
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		for _, n := range nets {
			n.Close()
		}
	})
	return nets[0], nets[1]
}

// tcpConnected returns both ends of a connection.
func tcpConnected(t testing.TB, a, b *inet.Net, port uint16) (c, s *sock.Socket) {
	l, err := b.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(t, err)
	defer l.Release()
	check(t, l.Bind(sockaddr(0, port)))
	check(t, l.Listen(1))
	c, err = a.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(t, err)
	check(t, c.Connect(sockaddr(header.AddrFrom4([4]byte{10, 0, 0, 2}), port), 0))
	s, err = l.Accept(0)
	check(t, err)
	t.Cleanup(func() {
		c.Release()
		s.Release()
	})
	return c, s
}

// pump sends n bytes from c to s.
func pump(t testing.TB, c, s *sock.Socket, n, chunk int) {
	done := make(chan error, 1)
	go func() {
		m := &sock.Msg{Iov: [][]byte{make([]byte, 256<<10)}}
		for left := n; left > 0; {
			k, err := s.RecvMsg(m, 0)
			if err != nil || k == 0 {
				done <- io.ErrUnexpectedEOF
				return
			}
			left -= k
		}
		done <- nil
	}()
	m := &sock.Msg{Iov: [][]byte{make([]byte, chunk)}}
	for left := n; left > 0; {
		m.Iov[0] = m.Iov[0][:min(chunk, left)]
		k, err := c.SendMsg(m, 0)
		check(t, err)
		left -= k
	}
	check(t, <-done)
}

// TestTCP_bulk_allocatesNothingPerSegment counts what a long transfer takes from
// the Go heap: waits take some, segments nothing. The heap is the whole
// process's, so the best of three transfers counts.
func TestTCP_bulk_allocatesNothingPerSegment(t *testing.T) {
	a, b := vethPair(t)
	c, s := tcpConnected(t, a, b, 80)
	pump(t, c, s, 16<<20, 64<<10)
	var seen []string
	for range 3 {
		before := a.MIB().TCP.OutSegs.Load() + b.MIB().TCP.OutSegs.Load()
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		pump(t, c, s, 64<<20, 64<<10)
		runtime.ReadMemStats(&m1)
		segs, allocs := a.MIB().TCP.OutSegs.Load()+b.MIB().TCP.OutSegs.Load()-before, m1.Mallocs-m0.Mallocs
		if float64(allocs)/float64(segs) <= 0.1 {
			return
		}
		seen = append(seen, fmt.Sprintf("%d for %d segments", allocs, segs))
	}
	t.Errorf("allocations: %q", seen)
}

func BenchmarkTCP_bulk(b *testing.B) {
	x, y := vethPair(b)
	c, s := tcpConnected(b, x, y, 80)
	const n = 1 << 20
	pump(b, c, s, 8*n, 64<<10)
	b.SetBytes(n)
	b.ReportAllocs()
	b.ResetTimer()
	pump(b, c, s, b.N*n, 64<<10)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/byte")
}

func BenchmarkTCP_requestResponse(b *testing.B) {
	x, y := vethPair(b)
	c, s := tcpConnected(b, x, y, 80)
	go io.Copy(conn{s}, conn{s})
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		conn{c}.Write(p)
		io.ReadFull(conn{c}, p)
	}
}
