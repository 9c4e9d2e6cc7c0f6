package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// measure does a test with the server at host.
func measure(ctx context.Context, host string, port int, p *params) (*summary, error) {
	at := net.JoinHostPort(host, strconv.Itoa(port))
	var cookie [cookieLen]byte
	copy(cookie[:], strings.ToLower(rand.Text() + rand.Text())[:cookieLen-1])
	open := func(network string) (net.Conn, error) {
		d := net.Dialer{Timeout: patience}
		if p.MSS > 0 {
			d.Control = func(_, _ string, c syscall.RawConn) (err error) {
				if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, p.MSS) }); cerr != nil {
					return cerr
				}
				return err
			}
		}
		conn, err := d.DialContext(ctx, network, at)
		if err == nil && network == "tcp" {
			if _, err = conn.Write(cookie[:]); err != nil {
				conn.Close()
			}
		}
		return conn, err
	}
	conn, err := open("tcp")
	if err != nil {
		return nil, err
	}
	c := control{conn}
	defer c.Close()
	defer context.AfterFunc(ctx, func() {
		c.send(clientTerminate)
		c.SetDeadline(time.Unix(1, 0))
	})()
	if err := c.expect(paramExchange); err != nil {
		return nil, err
	}
	if err := c.writeJSON(p); err != nil {
		return nil, err
	}
	if err := c.expect(createStreams); err != nil {
		return nil, err
	}
	t := newTest(p, false)
	defer t.close()
	for _, sends := range t.plan() {
		network := "tcp"
		if p.UDP {
			network = "udp"
		}
		conn, err := open(network)
		if err != nil {
			return nil, err
		}
		t.add(sends, conn)
		if err := p.apply(conn); err != nil {
			return nil, err
		}
		if p.UDP {
			if err := sayHello(conn); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range []state{testStart, testRunning} {
		if err := c.expect(s); err != nil {
			return nil, err
		}
	}
	t.start()
	err = t.wait(ctx, c)
	t.stop()
	if err != nil {
		return nil, err
	}
	if err := c.send(testEnd); err != nil {
		return nil, err
	}
	if err := c.expect(exchangeResults); err != nil {
		return nil, err
	}
	sum := &summary{Params: p, Local: t.results(), Remote: new(results)}
	if err := c.writeJSON(sum.Local); err != nil {
		return nil, err
	}
	if err := c.readJSON(sum.Remote); err != nil {
		return nil, err
	}
	if err := c.expect(displayResults); err != nil {
		return nil, err
	}
	return sum, c.send(iperfDone)
}

// wait waits until the test is over: by time, by bytes, or because the server
// says something it has no reason to say.
func (t *test) wait(ctx context.Context, c control) error {
	over := make(<-chan time.Time)
	if t.p.Time > 0 {
		timer := time.NewTimer(time.Duration(t.p.Time+t.p.Omit) * time.Second)
		defer timer.Stop()
		over = timer.C
	}
	said := make(chan error, 1)
	go func() {
		s, err := c.next(0)
		if err == nil {
			err = fmt.Errorf("the server ended the test: %v", s)
		}
		said <- err
	}()
	var err error
	select {
	case <-over:
	case <-t.done:
	case <-ctx.Done():
		err = ctx.Err()
	case err := <-said:
		return err
	}
	// Take the reader off the connection.
	c.SetReadDeadline(time.Unix(1, 0))
	if rerr := <-said; err == nil && !isTimeout(rerr) {
		err = rerr
	}
	return err
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// sayHello opens a stream of UDP: the server answers the first datagram.
func sayHello(conn net.Conn) error {
	var hello [4]byte
	binary.LittleEndian.PutUint32(hello[:], udpHello)
	b := make([]byte, maxUDP)
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err = conn.Write(hello[:]); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err = conn.Read(b); err == nil {
			return conn.SetReadDeadline(time.Time{})
		}
		if !isTimeout(err) {
			return err
		}
	}
	return fmt.Errorf("no answer to a stream's first datagram: %w", err)
}

// A summary is what the two sides of a test counted.
type summary struct {
	Params *params  `json:"params"`
	Local  *results `json:"local"`
	Remote *results `json:"remote"`
	server bool
}

// String shows the streams as both sides saw them.
func (s *summary) String() string {
	var b strings.Builder
	t := &test{p: s.Params, server: s.server}
	line := func(name, role string, r streamResult) {
		took := max(r.End-r.Start, 1e-9)
		fmt.Fprintf(&b, "[%3s] %6.2f s  %10.2f MBytes  %10.2f Mbits/sec", name, took, r.Bytes/(1<<20), r.Bytes*8/took/1e6)
		if s.Params.UDP {
			lost := 0.0
			if r.Packets > 0 {
				lost = 100 * float64(r.Errors) / float64(r.Packets)
			}
			fmt.Fprintf(&b, "  %7.3f ms  %d/%d (%.2g%%)", r.Jitter*1000, r.Errors, r.Packets, lost)
		} else if r.Retransmits >= 0 {
			fmt.Fprintf(&b, "  %5d retransmitted", r.Retransmits)
		}
		fmt.Fprintf(&b, "  %s\n", role)
	}
	sums := map[string]*streamResult{}
	for i, sends := range t.plan() {
		for _, side := range []struct {
			r     *results
			sends bool
			name  string
		}{{s.Local, sends, "here"}, {s.Remote, !sends, "there"}} {
			if i >= len(side.r.Streams) {
				continue
			}
			r, role := side.r.Streams[i], "received "+side.name
			if side.sends {
				role = "sent " + side.name
			}
			line(strconv.Itoa(r.ID), role, r)
			sum := sums[role]
			if sum == nil {
				sum = new(streamResult)
				sums[role] = sum
			}
			sum.Bytes += r.Bytes
			sum.Retransmits += r.Retransmits
			sum.Errors += r.Errors
			sum.Packets += r.Packets
			sum.Jitter = max(sum.Jitter, r.Jitter)
			sum.End = max(sum.End, r.End)
		}
	}
	if s.Params.Parallel > 1 {
		for _, role := range []string{"sent here", "received there", "sent there", "received here"} {
			if sum := sums[role]; sum != nil {
				line("SUM", role, *sum)
			}
		}
	}
	return b.String()
}
