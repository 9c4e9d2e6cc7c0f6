package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// connect returns the two ends of a connection over the loopback.
func connect() (client, server *net.TCPConn, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	c, err := net.DialTimeout("tcp4", l.Addr().String(), 5*time.Second)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Accept()
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c.(*net.TCPConn), s.(*net.TCPConn), nil
}

// pipe is a nettest.MakePipe.
func pipe() (net.Conn, net.Conn, func(), error) {
	c, s, err := connect()
	if err != nil {
		return nil, nil, nil, err
	}
	return c, s, func() { c.Close(); s.Close() }, nil
}

func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	c, s, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

// random is a stream of n bytes that depends on seed.
func random(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// sum is the hash of all that r gives.
func sum(r io.Reader) (s [32]byte, err error) {
	h := sha256.New()
	_, err = io.Copy(h, r)
	h.Sum(s[:0])
	return s, err
}

func mustSum(t *testing.T, r io.Reader) [32]byte {
	t.Helper()
	s, err := sum(r)
	if err != nil {
		t.Error(err)
	}
	return s
}

// Both ends send at once, with odd sizes of write and read.
func testBulk(t *testing.T) {
	const n = 8 << 20
	a, b := pair(t)
	var wg sync.WaitGroup
	for i, ends := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		seed := byte(i + 1)
		wg.Go(func() {
			io.CopyBuffer(struct{ io.Writer }{ends[0]}, random(seed, n), make([]byte, 12345))
			ends[0].CloseWrite()
		})
		wg.Go(func() {
			if mustSum(t, ends[1]) != mustSum(t, random(seed, n)) {
				t.Errorf("stream %d arrived changed", seed)
			}
		})
	}
	wg.Wait()
}

// A half that is closed ends the other's reading and nothing else.
func testHalfClose(t *testing.T) {
	a, b := pair(t)
	io.WriteString(a, "question")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if q, err := io.ReadAll(b); err != nil || string(q) != "question" {
		t.Fatalf("%q, %v", q, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write on the closed half: %v", err)
	}
	io.WriteString(b, "answer")
	b.Close()
	if q, err := io.ReadAll(a); err != nil || string(q) != "answer" {
		t.Errorf("%q, %v", q, err)
	}
	c, d := pair(t)
	if err := c.CloseRead(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read on the closed half: %d, %v", n, err)
	}
	io.WriteString(c, "still")
	c.Close()
	if q, err := io.ReadAll(d); err != nil || string(q) != "still" {
		t.Errorf("%q, %v", q, err)
	}
}

// A read without data, a write without room, an accept without a caller and a
// connect without an answer end at their deadlines, and work again after.
func testDeadlines(t *testing.T) {
	const wait = 50 * time.Millisecond
	within := func(what string, err error, start time.Time) {
		t.Helper()
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < wait || took > wait+2*time.Second {
			t.Errorf("%s: %v after %v", what, err, took)
		}
	}
	a, b := pair(t)
	start := time.Now()
	a.SetReadDeadline(start.Add(wait))
	_, err := a.Read(make([]byte, 1))
	within("read", err, start)
	a.SetReadDeadline(time.Time{})
	io.WriteString(b, "x")
	if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read after the deadline: %d, %v", n, err)
	}
	start = time.Now()
	a.SetWriteDeadline(start.Add(wait))
	n, err := a.Write(make([]byte, 64<<20))
	within("write", err, start)
	a.SetWriteDeadline(time.Time{})
	go a.CloseWrite()
	if got, err := io.Copy(io.Discard, b); got != int64(n) || err != nil {
		t.Errorf("%d bytes arrived of %d: %v", got, n, err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start = time.Now()
	l.(*net.TCPListener).SetDeadline(start.Add(wait))
	_, err = l.Accept()
	within("accept", err, start)
}

// Close ends what waits on the socket, on this side and the other.
func testCloseWakes(t *testing.T) {
	a, b := pair(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 3)
	go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
	go func() { _, err := b.Read(make([]byte, 1)); errs <- err }()
	go func() { _, err := l.Accept(); errs <- err }()
	time.Sleep(20 * time.Millisecond)
	a.Close()
	l.Close()
	for range 3 {
		select {
		case err := <-errs:
			if !errors.Is(err, net.ErrClosed) && err != io.EOF {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("somebody waits for ever")
		}
	}
}

// The errors programs look for.
func testRefusedAndReset(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Listen("tcp4", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen twice: %v", err)
	}
	l.Close()
	if _, err := net.Dial("tcp4", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	a, b := pair(t)
	a.SetLinger(0)
	a.Close()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after reset: %v", err)
	}
	c, d := pair(t)
	io.WriteString(c, "never read")
	time.Sleep(10 * time.Millisecond)
	d.Close() // with data that was not read: a reset
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("closed with data unread: %v", err)
	}
}

// What io.Copy makes of files and connections: sendfile, splice, writev, or not.
func testCopying(t *testing.T) {
	const n = 3 << 20
	name := t.TempDir() + "/file"
	text, _ := io.ReadAll(random(7, n))
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, b := pair(t)
	c, d := pair(t)
	go func() { // file → a ═ b → c ═ d
		if _, err := a.ReadFrom(f); err != nil {
			t.Error("from a file:", err)
		}
		buffers := net.Buffers{[]byte("one "), []byte("two "), []byte("three")}
		if _, err := buffers.WriteTo(a); err != nil {
			t.Error("buffers:", err)
		}
		a.Close()
	}()
	go func() {
		if _, err := io.Copy(c, b); err != nil {
			t.Error("from a connection:", err)
		}
		c.Close()
	}()
	got, err := io.ReadAll(d)
	if err != nil || !bytes.Equal(got, append(text, "one two three"...)) {
		t.Errorf("%d bytes of %d, %v", len(got), len(text)+13, err)
	}
}
