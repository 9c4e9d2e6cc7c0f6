package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A stream is one flow in one direction: a connection of TCP, or datagrams
// between two ports.
type stream struct {
	id    int
	sends bool
	conn  net.Conn                  // of TCP, or a connected socket of UDP; nil at the server of UDP
	write func([]byte) (int, error) // of UDP

	bytes atomic.Uint64
	udp   struct {
		sync.Mutex
		packets, errors, disorder int64
		jitter                    float64 // s
		transit                   time.Duration
		any                       bool
	}
	mu      sync.Mutex
	omitted counts
	skipped int64 // retransmissions
}

// counts is a snapshot of a stream.
type counts struct {
	bytes           uint64
	packets, errors int64
	jitter          float64
}

func (s *stream) counts() counts {
	s.udp.Lock()
	defer s.udp.Unlock()
	return counts{s.bytes.Load(), s.udp.packets, s.udp.errors, s.udp.jitter}
}

// A test is the streams of one side while they run.
type test struct {
	p       *params
	server  bool
	streams []*stream
	began   time.Time
	cpu     syscall.Rusage
	stopped atomic.Bool
	done    chan struct{} // closed when the limit of bytes is reached
	once    sync.Once
	moved   [2]atomic.Uint64 // received, sent
	run     sync.WaitGroup
	omit    *time.Timer
	end     time.Time
}

func newTest(p *params, server bool) *test {
	return &test{p: p, server: server, done: make(chan struct{})}
}

// plan returns for each stream in the order of opening whether this side sends
// on it. With both directions the client's come first.
func (t *test) plan() (sends []bool) {
	for range t.p.Parallel {
		sends = append(sends, t.server == t.p.Reverse)
	}
	if t.p.Bidirectional {
		for range t.p.Parallel {
			sends = append(sends, t.server)
		}
	}
	return sends
}

// add makes the next stream.
func (t *test) add(sends bool, conn net.Conn) *stream {
	s := &stream{id: streamID(len(t.streams)), sends: sends, conn: conn}
	if conn != nil {
		s.write = conn.Write
	}
	t.streams = append(t.streams, s)
	return s
}

// start lets all streams run.
func (t *test) start() {
	t.began = time.Now()
	syscall.Getrusage(syscall.RUSAGE_SELF, &t.cpu)
	for _, s := range t.streams {
		switch {
		case s.sends:
			t.run.Go(func() { t.send(s) })
		case !t.p.UDP:
			t.run.Go(func() { t.receive(s) })
		case s.conn != nil:
			t.run.Go(func() { t.receiveUDP(s) })
		}
	}
	if t.p.Omit > 0 {
		t.omit = time.AfterFunc(time.Duration(t.p.Omit)*time.Second, func() {
			for _, s := range t.streams {
				n, r := s.counts(), retransmissions(s.conn)
				s.mu.Lock()
				s.omitted, s.skipped = n, max(r, 0)
				s.mu.Unlock()
			}
			t.moved[0].Store(0)
			t.moved[1].Store(0)
		})
	}
}

// count adds n bytes that s moved.
func (t *test) count(s *stream, n int) {
	s.bytes.Add(uint64(n))
	which := &t.moved[0]
	if s.sends {
		which = &t.moved[1]
	}
	if limit := t.p.limit(); limit > 0 && which.Add(uint64(n)) >= limit {
		t.once.Do(func() { close(t.done) })
	}
}

func (t *test) limitReached() bool {
	select {
	case <-t.done:
		return !t.server // the client decides when it is over
	default:
		return false
	}
}

// send sends until the end, as fast as it may.
func (t *test) send(s *stream) {
	buf := make([]byte, t.p.Len)
	for i := range buf {
		buf[i] = byte(i%10) + '0'
	}
	start, sent := time.Now(), 0.0
	for !t.stopped.Load() && !t.limitReached() {
		if t.p.Bandwidth > 0 {
			due := time.Duration(sent * 8 / t.p.Bandwidth * float64(time.Second))
			if ahead := due - time.Since(start); ahead > 0 {
				time.Sleep(min(ahead, 100*time.Millisecond))
				continue
			}
		}
		if t.p.UDP {
			s.stamp(buf, t.p.Counters64 != 0)
		}
		n, err := s.write(buf)
		if n > 0 {
			t.count(s, n)
			sent += float64(n)
		}
		if errors.Is(err, syscall.ENOBUFS) && t.p.UDP {
			time.Sleep(time.Millisecond) // counted as lost by the receiver
			continue
		}
		if err != nil {
			return
		}
	}
}

// stamp writes the header of the next datagram: seconds, microseconds, number.
func (s *stream) stamp(b []byte, wide bool) {
	s.udp.Lock()
	s.udp.packets++
	n := s.udp.packets
	s.udp.Unlock()
	now := time.Now()
	binary.BigEndian.PutUint32(b, uint32(now.Unix()))
	binary.BigEndian.PutUint32(b[4:], uint32(now.Nanosecond()/1000))
	if wide {
		binary.BigEndian.PutUint64(b[8:], uint64(n))
	} else {
		binary.BigEndian.PutUint32(b[8:], uint32(n))
	}
}

// receive reads until the end. The server is told of the end when the client
// has sent everything, but the last of it may still be on its way.
func (t *test) receive(s *stream) {
	buf := make([]byte, t.p.Len)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			t.count(s, n)
		}
		if err != nil {
			return
		}
		if t.stopped.Load() {
			if !t.server || time.Since(t.end) > time.Second {
				return
			}
			s.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		}
	}
}

func (t *test) receiveUDP(s *stream) {
	buf := make([]byte, maxUDP)
	for !t.stopped.Load() {
		n, err := s.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			t.datagram(s, buf[:n], time.Now())
		}
	}
}

// datagram counts one that came in.
func (t *test) datagram(s *stream, b []byte, now time.Time) {
	wide := t.p.Counters64 != 0
	if len(b) < minUDP-4 || wide && len(b) < minUDP || t.stopped.Load() {
		return
	}
	sent := time.Unix(int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))*1000)
	no := int64(binary.BigEndian.Uint32(b[8:]))
	if wide {
		no = int64(binary.BigEndian.Uint64(b[8:]) & (1<<62 - 1))
	}
	u := &s.udp
	u.Lock()
	switch {
	case no > u.packets:
		u.errors += no - u.packets - 1
		u.packets = no
	case no < u.packets:
		u.disorder++
		if u.errors > 0 {
			u.errors-- // it was counted as lost
		}
	}
	// RFC 1889, appendix A.8. The clocks need not agree.
	transit := now.Sub(sent)
	if u.any {
		d := (transit - u.transit).Abs()
		u.jitter += (d.Seconds() - u.jitter) / 16
	}
	u.transit, u.any = transit, true
	u.Unlock()
	t.count(s, len(b))
}

// stop ends all streams and waits for them.
func (t *test) stop() {
	t.end = time.Now()
	t.stopped.Store(true)
	if t.omit != nil {
		t.omit.Stop()
	}
	for _, s := range t.streams {
		if s.conn == nil {
			continue
		}
		s.conn.SetWriteDeadline(t.end)
		if t.server && !t.p.UDP && !s.sends {
			s.conn.SetReadDeadline(t.end.Add(50 * time.Millisecond))
		} else {
			s.conn.SetReadDeadline(t.end)
		}
	}
	t.run.Wait()
}

// close closes the streams.
func (t *test) close() {
	for _, s := range t.streams {
		if s.conn != nil {
			s.conn.Close()
		}
	}
}

// results is what this side counted, after stop.
func (t *test) results() *results {
	took := t.end.Sub(t.began) - time.Duration(t.p.Omit)*time.Second
	r := &results{Retransmits: -1, Streams: []streamResult{}}
	var now syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &now) == nil {
		share := func(a, b syscall.Timeval) float64 {
			return 100 * float64(b.Nano()-a.Nano()) / float64(max(t.end.Sub(t.began), 1))
		}
		r.CPUUser, r.CPUSystem = share(t.cpu.Utime, now.Utime), share(t.cpu.Stime, now.Stime)
		r.CPU = r.CPUUser + r.CPUSystem
	}
	for _, s := range t.streams {
		n := s.counts()
		s.mu.Lock()
		before, skipped := s.omitted, s.skipped
		s.mu.Unlock()
		sr := streamResult{ID: s.id, Bytes: float64(n.bytes - before.bytes), Retransmits: -1, Jitter: n.jitter,
			Errors: signed(n.errors), OmittedErrors: signed(before.errors), Packets: signed(n.packets), OmittedPackets: signed(before.packets), End: max(took, 0).Seconds()}
		if s.sends && !t.p.UDP {
			r.Retransmits = max(r.Retransmits, 0)
			if k := retransmissions(s.conn); k >= 0 {
				sr.Retransmits, r.Retransmits = signed(k-skipped), 1
			}
		}
		if r.Congestion == "" && !t.p.UDP {
			r.Congestion = congestion(s.conn)
		}
		r.Streams = append(r.Streams, sr)
	}
	return r
}

// readCookie reads the first bytes of a connection.
func readCookie(r io.Reader) (cookie [cookieLen]byte, err error) {
	_, err = io.ReadFull(r, cookie[:])
	return cookie, err
}
