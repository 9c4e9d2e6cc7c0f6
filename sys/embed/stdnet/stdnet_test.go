package stdnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"barewire/sys/embed"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func newInstance(t *testing.T) *embed.Instance {
	t.Helper()
	in, err := embed.New(embed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func connect(in *embed.Instance) (client, server net.Conn, err error) {
	l, err := Listen(in, loopback)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	c, err := Dial(in, l.Addr().(*net.TCPAddr).AddrPort(), time.Second)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Accept()
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, s, nil
}

func TestConn_nettest(t *testing.T) {
	in := newInstance(t)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		c, s, err := connect(in)
		if err != nil {
			return nil, nil, nil, err
		}
		return c, s, func() { c.Close(); s.Close() }, nil
	})
}

func TestConn_halfClose(t *testing.T) {
	c, s, err := connect(newInstance(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer s.Close()
	io.WriteString(c, "question")
	c.(*Conn).CloseWrite()
	if b, err := io.ReadAll(s); err != nil || string(b) != "question" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write on the closed half: %v", err)
	}
	io.WriteString(s, "answer")
	s.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "answer" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDial_failures(t *testing.T) {
	in := newInstance(t)
	if _, err := Dial(in, netip.MustParseAddrPort("127.0.0.1:9"), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	tun, err := in.NewTun("tun0", func([]byte) {}) // a hole
	if err == nil {
		err = tun.Up(netip.MustParsePrefix("192.0.2.1/24"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var ne net.Error
	if _, err := Dial(in, netip.MustParseAddrPort("192.0.2.2:9"), 20*time.Millisecond); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestListener_deadlineAndClose_endAccept(t *testing.T) {
	l, err := Listen(newInstance(t), loopback)
	if err != nil {
		t.Fatal(err)
	}
	var ne net.Error
	l.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.Accept(); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("accept without a caller: %v", err)
	}
	l.SetDeadline(time.Time{})
	time.AfterFunc(10*time.Millisecond, func() { l.Close() })
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept of a closed listener: %v", err)
	}
}

func TestHTTP_overInstance(t *testing.T) {
	in := newInstance(t)
	l, err := Listen(in, loopback)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 100000)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) })}
	go srv.Serve(l)
	defer srv.Close()
	tr := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return Dial(in, netip.MustParseAddrPort(addr), time.Second)
	}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != text {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
