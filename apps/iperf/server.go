package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A server does one test at a time, as iperf3's does; who comes meanwhile is
// told that it is busy.
type server struct {
	out io.Writer
	udp *net.UDPConn

	mu      sync.Mutex
	current *session
}

// A session is the test under way.
type session struct {
	cookie [cookieLen]byte
	opened chan opened // connections with its cookie

	mu   sync.Mutex
	test *test // nil until streams are welcome
	want int   // streams of UDP still to come
	by   map[netip.AddrPort]*stream
	all  chan struct{} // closed when all of them are there
}

// opened is a connection and its place in the order of opening.
type opened struct {
	conn net.Conn
	no   int
}

// serve is the server until ctx ends or, with once, after one test.
func serve(ctx context.Context, port int, once bool, out io.Writer) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
	if err != nil {
		return err
	}
	port = l.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		l.Close()
		return err
	}
	udp.SetReadBuffer(udpBuffer)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{out: out, udp: udp}
	stop := context.AfterFunc(ctx, func() { l.Close(); udp.Close() })
	defer stop()
	fmt.Fprintf(out, "iperf: listening on port %d; try: iperf3 -c ADDRESS -p %d\n", port, port)
	var all sync.WaitGroup
	all.Go(s.readUDP)
	for no := 0; ; no++ {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			cancel()
			udp.Close()
			all.Wait()
			return err
		}
		all.Go(func() {
			if s.welcome(ctx, conn, no) && once {
				cancel()
			}
		})
	}
}

// welcome finds out what a connection is for, and tells whether it was a test.
func (s *server) welcome(ctx context.Context, conn net.Conn, no int) bool {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	conn.SetReadDeadline(time.Now().Add(patience))
	cookie, err := readCookie(conn)
	if err != nil {
		stop()
		conn.Close()
		return false
	}
	s.mu.Lock()
	cur := s.current
	if cur == nil {
		cur = &session{cookie: cookie, opened: make(chan opened, 2*maxStream)}
		s.current = cur
		s.mu.Unlock()
		defer stop()
		s.control(control{conn}, cur)
		return true
	}
	s.mu.Unlock()
	stop()
	if cur.cookie == cookie {
		select {
		case cur.opened <- opened{conn, no}:
			return false
		default: // more than there can be
		}
	} else {
		control{conn}.send(accessDenied)
	}
	conn.Close()
	return false
}

// control does a test.
func (s *server) control(c control, cur *session) {
	defer c.Close()
	began := time.Now()
	t, err := s.test(c, cur)
	s.free(cur)
	for { // who got in before that
		select {
		case o := <-cur.opened:
			o.conn.Close()
			continue
		default:
		}
		break
	}
	if t != nil {
		t.close()
	}
	if err != nil {
		fmt.Fprintf(s.out, "iperf: %v, after %v: %v\n", c.RemoteAddr(), time.Since(began).Round(time.Millisecond), err)
	}
}

// free lets the next test begin.
func (s *server) free(cur *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == cur {
		s.current = nil
	}
}

// test is one test by the protocol.
func (s *server) test(c control, cur *session) (*test, error) {
	if err := c.send(paramExchange); err != nil {
		return nil, err
	}
	p := new(params)
	err := c.readJSON(p)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		c.fail(err)
		return nil, err
	}
	t := newTest(p, true)
	if err := s.streams(c, cur, t); err != nil {
		return t, err
	}
	if err := errors.Join(c.send(testStart), c.send(testRunning)); err != nil {
		return t, err
	}
	t.start()
	limit := time.Duration(0) // until so many bytes: as long as it takes
	if t.p.Time > 0 {
		limit = time.Duration(p.Time+p.Omit)*time.Second + patience
	}
	next, err := c.next(limit)
	t.stop()
	switch {
	case err != nil:
		return t, err
	case next == clientTerminate:
		return t, errors.New("the client gave up")
	case next != testEnd:
		return t, fmt.Errorf("%v where %v was due", next, testEnd)
	}
	theirs, mine := new(results), t.results()
	// The client may wait for the rest of a block that was cut off.
	t.close()
	if err := c.send(exchangeResults); err != nil {
		return t, err
	}
	if err := c.readJSON(theirs); err != nil {
		return t, err
	}
	s.free(cur) // the client may go on to its next test sooner than this one is over here
	if err := errors.Join(c.writeJSON(mine), c.send(displayResults)); err != nil {
		return t, err
	}
	sum := &summary{Params: p, Local: mine, Remote: theirs, server: true}
	fmt.Fprintf(s.out, "iperf: test with %v\n%v", c.RemoteAddr(), sum)
	if err := c.expect(iperfDone); err != nil && !errors.Is(err, io.EOF) {
		return t, err
	}
	return t, nil
}

// streams waits for the streams of a test.
func (s *server) streams(c control, cur *session, t *test) error {
	plan := t.plan()
	cur.mu.Lock()
	cur.test, cur.all = t, make(chan struct{})
	if t.p.UDP {
		cur.want, cur.by = len(plan), map[netip.AddrPort]*stream{}
	}
	cur.mu.Unlock()
	if err := c.send(createStreams); err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	var come []opened
	for !t.p.UDP && len(come) < len(plan) {
		select {
		case o := <-cur.opened:
			come = append(come, o)
		case <-late.C:
			for _, o := range come {
				o.conn.Close()
			}
			return fmt.Errorf("%d streams of %d came", len(come), len(plan))
		}
	}
	slices.SortFunc(come, func(a, b opened) int { return cmp.Compare(a.no, b.no) })
	for i, o := range come {
		o.conn.SetDeadline(time.Time{})
		t.add(plan[i], o.conn)
		if err := t.p.apply(o.conn); err != nil {
			err = &protocolError{errUnsupp, err.Error()}
			c.fail(err)
			for _, o := range come[i+1:] {
				o.conn.Close()
			}
			return err
		}
	}
	if t.p.UDP {
		select {
		case <-cur.all:
		case <-late.C:
			return errors.New("not all streams came")
		}
	}
	return nil
}

// readUDP reads all streams of UDP: they share the server's socket.
func (s *server) readUDP() {
	buf := make([]byte, maxUDP)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of some client
		}
		s.mu.Lock()
		cur := s.current
		s.mu.Unlock()
		if cur != nil {
			cur.datagram(s.udp, buf[:n], from)
		}
	}
}

// datagram is one for the session: data of a stream, or the first of a new one.
func (cur *session) datagram(udp *net.UDPConn, b []byte, from netip.AddrPort) {
	cur.mu.Lock()
	t, known := cur.test, cur.by[from]
	if len(b) == 4 && (known != nil || cur.want > 0) {
		if known == nil {
			st := t.add(t.plan()[len(t.streams)], nil)
			st.write = func(b []byte) (int, error) { return udp.WriteToUDPAddrPort(b, from) }
			cur.by[from] = st
			if cur.want--; cur.want == 0 {
				defer close(cur.all)
			}
		}
		var answer [4]byte
		binary.LittleEndian.PutUint32(answer[:], udpAnswer)
		udp.WriteToUDPAddrPort(answer[:], from)
		known = nil
	}
	cur.mu.Unlock()
	if known != nil && !known.sends {
		t.datagram(known, b, time.Now())
	}
}
