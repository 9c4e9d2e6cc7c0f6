package stdnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/sys/embed"
)

// A soak is two instances on a cable in virtual time, programs that open and use
// and close connections in every way, and a look now and then at what is left.
type soak struct {
	*testing.T
	wire   *hosted.Wire
	client *embed.Instance
	server *embed.Instance
	rng    *rand.Rand
	count  map[string]int
	bytes  int64
}

var soakServer = netip.MustParseAddrPort("10.0.0.2:80")

func newSoak(t *testing.T) *soak {
	s := &soak{T: t, rng: rand.New(rand.NewPCG(1, 2)), count: map[string]int{}}
	var err error
	s.wire, err = hosted.NewWire(hosted.WireConfig{Seed: 3, Loss: 0.003, Reorder: 0.01, ReorderBy: 5 * time.Millisecond,
		Duplicate: 0.001, Corrupt: 0.001, Delay: 10 * time.Millisecond, Jitter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range []**embed.Instance{&s.client, &s.server} {
		if *in, err = embed.New(embed.Config{}); err != nil {
			t.Fatal(err)
		}
		dev, err := s.wire.Attach((*in).Net(), "eth0", [6]byte{2, 0, 0, 0, 0, byte(i + 1)})
		if err == nil {
			err = dev.Open()
		}
		if err == nil {
			err = (*in).Inet().AddAddr(dev, netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", i+1)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// end takes the instances down; nothing may be left of any packet.
func (s *soak) end() {
	s.wire.Close()
	for i, in := range []*embed.Instance{s.client, s.server} {
		for _, d := range in.Net().Devs() {
			d.Close()
		}
		in.Close()
		in.Net().SoftNet().DoSoftirq()
		if b, p := in.Net().SKB().InUse(), in.Net().SKB().Pool().InUse(); b != 0 || p != 0 {
			s.Errorf("instance %d: %d packets, %d pages not returned", i, b, p)
		}
	}
}

// left is what may not grow: goroutines, and of each instance packets, pages,
// sockets by /proc/net, and the next descriptor. Timers are counted apart: those of
// neighbours come and go.
func (s *soak) left() (what string, timers int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d goroutines", runtime.NumGoroutine())
	for _, in := range []*embed.Instance{s.client, s.server} {
		fd, err := in.Sys.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			s.Fatal(err)
		}
		in.Sys.Close(fd)
		show, _ := in.Net().Proc().Lookup("sockstat")
		tcp, _ := in.Net().Proc().Lookup("tcp")
		_, stat, _ := strings.Cut(string(show(nil)), "TCP:")
		stat, _, _ = strings.Cut(stat, "\n")
		fmt.Fprintf(&b, "; %d packets, %d pages, descriptor %d, %d lines in tcp, sockstat%s", in.Net().SKB().InUse(),
			in.Net().SKB().Pool().InUse(), fd, strings.Count(string(tcp(nil)), "\n"), stat)
		timers += in.Net().Timers().Len()
	}
	return b.String(), timers
}

// How a job of the soak uses its connection; the first bytes tell the server.
const (
	jobExchange = iota // both send and check; the client closes first
	jobServerFirst
	jobHalfClose
	jobReset  // the client resets in the middle
	jobUnread // the client closes with data unread
	jobSlow   // the client does not read for minutes: zero windows
	jobIdle   // open for the whole time, with keepalive
	jobs
	jobRefused // nobody listens
	jobSilent  // nobody is there
	jobDeadline
	allJobs
)

const headLen = 12 // kind, bytes up, bytes down

// stream is the contents of a transfer.
func stream(n int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}), int64(n))
}

// same reads all of r, which must be stream(n).
func same(r io.Reader, n int) error {
	want, a, b := stream(n), make([]byte, 32<<10), make([]byte, 32<<10)
	got := 0
	for {
		k, err := r.Read(a)
		if _, werr := io.ReadFull(want, b[:k]); werr != nil || string(a[:k]) != string(b[:k]) {
			return fmt.Errorf("wrong bytes in %d..%d of %d", got, got+k, n)
		}
		got += k
		if err == io.EOF && got == n {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d of %d bytes: %w", got, n, err)
		}
	}
}

// keepalive has a connection probed after idle seconds.
func keepalive(in *embed.Instance, c *Conn, idle int) (err error) {
	const keepcnt = 6 // TCP_KEEPCNT
	for _, o := range [][3]int{{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1}, {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, idle},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10}, {syscall.IPPROTO_TCP, keepcnt, 8}} {
		err = errors.Join(err, in.Sys.SetsockoptInt(c.Fd(), o[0], o[1], o[2]))
	}
	return err
}

// serve is a connection of the server. Like net's it is probed: the reset of a client
// that gave up may be lost.
func (s *soak) serve(c *Conn) error {
	defer c.Close()
	if err := keepalive(s.server, c, 15); err != nil {
		return err
	}
	var head [headLen]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil // the client gave up; if it should not have, it says so
	}
	kind, up, down := binary.LittleEndian.Uint32(head[:]), int(binary.LittleEndian.Uint32(head[4:])), int(binary.LittleEndian.Uint32(head[8:]))
	switch kind {
	case jobIdle:
		io.Copy(c, c)
		return nil
	case jobReset, jobUnread:
		var both sync.WaitGroup // both end with a reset
		both.Go(func() { io.Copy(c, stream(down)) })
		io.Copy(io.Discard, c)
		both.Wait()
		return nil
	case jobServerFirst:
		if err := same(io.LimitReader(c, int64(up)), up); err != nil {
			return err
		}
		_, err := io.Copy(c, stream(down))
		return err
	}
	var both sync.WaitGroup
	var err error
	both.Go(func() {
		_, err = io.Copy(c, stream(down))
		if err == nil {
			err = c.CloseWrite()
		}
	})
	rerr := same(c, up)
	both.Wait()
	return errors.Join(err, rerr)
}

// job is one connection of the client.
func (s *soak) job(kind, up, down int, pause time.Duration) error {
	at := soakServer
	switch kind {
	case jobRefused:
		at = netip.AddrPortFrom(at.Addr(), 81)
	case jobSilent:
		at = netip.AddrPortFrom(netip.MustParseAddr("10.0.0.99"), 80)
	}
	c, err := Dial(s.client, at, 5*time.Minute)
	switch {
	case kind == jobRefused || kind == jobSilent:
		want := map[int]syscall.Errno{jobRefused: syscall.ECONNREFUSED, jobSilent: syscall.EHOSTUNREACH}[kind]
		if !errors.Is(err, want) {
			return fmt.Errorf("%w, want %w", err, want)
		}
		return nil
	case err != nil:
		return err
	}
	defer c.Close()
	if kind == jobDeadline {
		c.SetReadDeadline(time.Now().Add(pause))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		return nil // and the server reads half a head
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(kind))
	head = binary.LittleEndian.AppendUint32(head, uint32(up))
	head = binary.LittleEndian.AppendUint32(head, uint32(down))
	if _, err := c.Write(head); err != nil {
		return err
	}
	switch kind {
	case jobReset:
		io.CopyN(c, stream(up), int64(up/2))
		return s.client.Sys.Setsockopt(c.Fd(), syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	case jobUnread:
		time.Sleep(pause / 100)
		return nil
	case jobHalfClose:
		_, err := io.Copy(c, stream(up))
		if err == nil {
			err = c.CloseWrite()
		}
		return errors.Join(err, same(c, down))
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, err = io.Copy(c, stream(up))
		if err == nil && kind != jobServerFirst {
			err = c.CloseWrite()
		}
	})
	if kind == jobSlow {
		time.Sleep(pause)
	}
	rerr := same(c, down)
	both.Wait()
	return errors.Join(err, rerr)
}

// idle opens a connection that is probed every minute and says something every
// hour, until stop.
func (s *soak) idle(stop chan struct{}) error {
	c, err := Dial(s.client, soakServer, 5*time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := keepalive(s.client, c, 60); err != nil {
		return err
	}
	var head [headLen]byte
	head[0] = jobIdle
	if _, err := c.Write(head[:]); err != nil {
		return err
	}
	for hour := time.NewTicker(time.Hour); ; {
		over := false
		select {
		case <-hour.C:
		case <-stop:
			over = true
			hour.Stop()
		}
		if _, err := c.Write([]byte("still there?")); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, head[:]); err != nil || string(head[:]) != "still there?" {
			return fmt.Errorf("%q, %w", head, err)
		}
		if over {
			return nil
		}
	}
}

// TestSoak_programsComeAndGo_nothingIsLeft runs for three hours of virtual time;
// BAREWIRE_SOAK=24h says for how long else.
func TestSoak_programsComeAndGo_nothingIsLeft(t *testing.T) {
	span, every := 3*time.Hour, time.Hour
	if v := os.Getenv("BAREWIRE_SOAK"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		span, every = d, min(time.Hour, d/2)
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		s := newSoak(t)
		s.run(span, every)
		s.end()
		t.Logf("%v of virtual time: %d MB, %v", span, s.bytes>>20, s.count)
	})
	t.Logf("took %v", time.Since(began).Round(time.Millisecond))
}

func (s *soak) run(span, every time.Duration) {
	l, err := Listen(s.server, netip.AddrPortFrom(netip.IPv4Unspecified(), 80))
	if err != nil {
		s.Fatal(err)
	}
	var serving, idle sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					s.Errorf("accept: %v", err)
				}
				return
			}
			serving.Go(func() {
				if err := s.serve(c.(*Conn)); err != nil {
					s.Errorf("server: %v", err)
				}
			})
		}
	})
	stop := make(chan struct{})
	for range 8 {
		idle.Go(func() {
			if err := s.idle(stop); err != nil {
				s.Errorf("idle: %v", err)
			}
		})
	}
	first, firstTimers := "", 0
	for begin := time.Now(); time.Since(begin) < span; {
		var jobsOf sync.WaitGroup
		for due := time.Now().Add(every); time.Now().Before(due); {
			kind, up, down := s.rng.IntN(allJobs), s.size(), s.size()
			pause := time.Duration(1+s.rng.IntN(180)) * time.Second
			if kind == jobIdle || kind == jobs {
				kind = jobExchange
			}
			if kind == jobSlow {
				down += 300 << 10 // more than the window
			}
			s.count[fmt.Sprint("kind ", kind)]++
			s.bytes += int64(up + down)
			jobsOf.Go(func() {
				if err := s.job(kind, up, down, pause); err != nil {
					s.Errorf("after %v: job of kind %d, %d bytes up, %d down: %v", time.Since(begin), kind, up, down, err)
				}
			})
			time.Sleep(time.Duration(s.rng.IntN(6000)) * time.Millisecond)
		}
		jobsOf.Wait()
		time.Sleep(5 * time.Minute) // TIME_WAIT and orphans end
		synctest.Wait()
		now, timers := s.left()
		if first == "" {
			first, firstTimers = now, timers
			s.Logf("left: %s, %d timers", first, timers)
		} else if now != first || timers > firstTimers+4 {
			s.Errorf("after %v there is left\n%s, %d timers\nand there was\n%s, %d timers", time.Since(begin), now, timers, first, firstTimers)
		}
		if s.Failed() {
			break
		}
	}
	close(stop)
	idle.Wait()
	l.Close()
	serving.Wait()
	time.Sleep(5 * time.Minute)
}

// size of a transfer: most are small.
func (s *soak) size() int {
	return s.rng.IntN([]int{1, 100, 3000, 60000, 400000}[s.rng.IntN(5)] + 1)
}
