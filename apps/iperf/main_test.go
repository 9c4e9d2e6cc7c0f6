package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output is a writer that several goroutines use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startServer runs a server and returns its port.
func startServer(t *testing.T) (int, *output) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, done := new(output), make(chan error, 1)
	go func() { done <- serve(ctx, 0, false, out) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var port int
		if n, _ := fmt.Sscanf(out.String(), "iperf: listening on port %d", &port); n == 1 {
			return port, out
		}
	}
	t.Fatalf("no port: %s", out)
	return 0, nil
}

// ask runs the client and returns what it says.
func ask(t *testing.T, port int, args ...string) *summary {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var out bytes.Buffer
	for {
		err := run(ctx, append([]string{"-c", "127.0.0.1", "-p", fmt.Sprint(port), "-json"}, args...), &out)
		if err == nil {
			break
		}
		// It may not be done with the last test; the real one does not listen then.
		if !errors.Is(err, errBusy) && !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
			t.Fatalf("%v: %v", args, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	sum := new(summary)
	if err := json.Unmarshal(out.Bytes(), sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

// checkSum holds the two sides of a test against each other: every stream moved
// something, and nobody received what was not sent.
func checkSum(t *testing.T, what string, sum *summary) {
	t.Helper()
	plan := (&test{p: sum.Params}).plan()
	if len(sum.Local.Streams) != len(plan) || len(sum.Remote.Streams) != len(plan) {
		t.Errorf("%s: %d and %d streams of %d", what, len(sum.Local.Streams), len(sum.Remote.Streams), len(plan))
		return
	}
	for i, sends := range plan {
		sent, got := sum.Local.Streams[i], sum.Remote.Streams[i]
		if !sends {
			sent, got = got, sent
		}
		if sent.ID != got.ID || got.Bytes == 0 || got.Bytes > sent.Bytes {
			t.Errorf("%s: stream %d: %+v sent, %+v received", what, i, sent, got)
		}
		if sum.Params.UDP && got.Packets == 0 {
			t.Errorf("%s: stream %d: %+v", what, i, got)
		}
	}
}

// ways are tests in all directions, short: what is counted does not depend on the time.
var ways = map[string][]string{
	"bytes":          {"-n", "20M"},
	"bytes, reverse": {"-n", "20M", "-R"},
	"time":           {"-t", "1"},
	"streams":        {"-t", "1", "-P", "4", "-R", "-b", "50M"},
	"both":           {"-t", "1", "-P", "2", "-bidir", "-b", "50M"},
	"small writes":   {"-n", "1M", "-l", "100", "-C", "reno"},
	"UDP":            {"-t", "1", "-u", "-b", "5M", "-P", "3"},
	"UDP, reverse":   {"-t", "1", "-u", "-b", "5M", "-R"},
	"UDP, both":      {"-t", "1", "-u", "-b", "5M", "-bidir", "-P", "2"},
}

func TestServer_ownClient(t *testing.T) {
	t.Parallel() // they mostly wait
	port, out := startServer(t)
	for name, args := range ways {
		sum := ask(t, port, args...)
		checkSum(t, name, sum)
		if name == "bytes" && (sum.Local.Streams[0].Bytes != 20<<20 || sum.Remote.Streams[0].Bytes != 20<<20) {
			t.Errorf("%+v %+v", sum.Local, sum.Remote)
		}
		if text := sum.String(); !strings.Contains(text, "sent") || !strings.Contains(text, "received") {
			t.Errorf("%s", text)
		}
	}
	for end := time.Now().Add(10 * time.Second); strings.Count(out.String(), "iperf: test with") != len(ways); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %d tests:\n%s", len(ways), out)
		}
	}
}

// The real iperf3 is the server.
func TestClient_realServer(t *testing.T) {
	t.Parallel() // they mostly wait
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip(err, "(Debian: iperf3)")
	}
	port := freePort(t)
	cmd := exec.Command(path, "-s", "-p", fmt.Sprint(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port)) // TCP would be a test to it
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err != nil {
			break // it has the port
		} else {
			l.Close()
		}
		if time.Now().After(end) {
			t.Fatal("iperf3 does not listen")
		}
	}
	for name, args := range ways {
		checkSum(t, name, ask(t, port, args...))
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// The real iperf3 is the client.
func TestServer_realClient(t *testing.T) {
	t.Parallel() // they mostly wait
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip(err, "(Debian: iperf3)")
	}
	port, out := startServer(t)
	for name, args := range ways {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		args = append([]string{"-c", "127.0.0.1", "-p", fmt.Sprint(port), "-J"}, args...)
		for i := range args {
			if args[i] == "-bidir" {
				args[i] = "--bidir"
			}
		}
		text, err := exec.CommandContext(ctx, path, args...).Output()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", name, err, text, out)
		}
		var said struct {
			Error string
			End   struct {
				Sum      *struct{ Bytes float64 }
				Sent     struct{ Bytes float64 } `json:"sum_sent"`
				Received struct{ Bytes float64 } `json:"sum_received"`
			}
		}
		if err := json.Unmarshal(text, &said); err != nil || said.Error != "" {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if e := said.End; e.Received.Bytes == 0 && (e.Sum == nil || e.Sum.Bytes == 0) || e.Received.Bytes > e.Sent.Bytes && e.Sent.Bytes != 0 {
			t.Errorf("%s: %+v\n%s", name, e, text)
		}
	}
}

// attempt is a client by hand.
func attempt(t *testing.T, port int, cookie string) control {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var b [cookieLen]byte
	copy(b[:], cookie)
	conn.Write(b[:])
	return control{conn}
}

func TestServer_busy_deniesOthers(t *testing.T) {
	port, _ := startServer(t)
	first := attempt(t, port, "first")
	if err := first.expect(paramExchange); err != nil {
		t.Fatal(err)
	}
	if s, err := attempt(t, port, "second").next(patience); s != accessDenied || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	first.Close() // and then it is free
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := attempt(t, port, "third").next(patience)
		if s == paramExchange {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v, %v", s, err)
		}
	}
}

// badParams are refused, each with iperf3's number.
var badParams = map[string]int{
	`{"tcp":true,"parallel":100000,"len":1000,"time":1}`:  errStreams,
	`{"tcp":true,"parallel":1,"len":1000000000,"time":1}`: errBlock,
	`{"udp":true,"parallel":1,"len":4,"time":1}`:          errBlock,
	`{"udp":true,"parallel":1,"len":70000,"time":1}`:      errBlock,
	`{"sctp":true,"parallel":1,"len":1000,"time":1}`:      errUnsupp,
	`{"tcp":true,"parallel":1,"len":1000,"time":-5}`:      errDuration,
	`{"tcp":true,"parallel":1,"len":1000,"num":-1}`:       errRecvParams,
	`{"tcp":true,"parallel":"many","len":1000,"time":1}`:  errRecvParams,
	`[[[[[[[[`: errRecvParams,
	``:         errRecvParams,
}

func TestServer_badParameters_errorNumber(t *testing.T) {
	port, _ := startServer(t)
	for text, code := range badParams {
		var c control
		for {
			c = attempt(t, port, "bad")
			s, err := c.next(patience)
			if s == paramExchange {
				break
			}
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			c.Close() // the last one is not over yet
		}
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
		c.Conn.(*net.TCPConn).CloseWrite()
		var b [9]byte
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, b[:]); err != nil || state(b[0]) != serverError || int(binary.BigEndian.Uint32(b[1:])) != code {
			t.Errorf("%s: % x, %v; want %d", text, b, err, code)
		}
		c.Close()
	}
}

func TestDatagram_lossAndDisorder_areCounted(t *testing.T) {
	tt := newTest(&params{UDP: true, Counters64: 1}, true)
	s := tt.add(false, nil)
	b := make([]byte, 100)
	now := time.Now()
	for _, no := range []uint64{1, 2, 5, 3, 6, 1 << 40} {
		binary.BigEndian.PutUint32(b, uint32(now.Unix()))
		binary.BigEndian.PutUint64(b[8:], no)
		tt.datagram(s, b, now)
	}
	tt.datagram(s, b[:15], now) // too short
	if u := &s.udp; u.packets != 1<<40 || u.errors != 1+1<<40-6-1 || u.disorder != 1 || s.bytes.Load() != 600 {
		t.Errorf("%d packets, %d lost, %d out of order, %d bytes", u.packets, u.errors, u.disorder, s.bytes.Load())
	}
}

func TestRun_wrongArguments_error(t *testing.T) {
	for _, args := range [][]string{{"-elephant"}, {"-c", "127.0.0.1", "-t", "0"}, {"-c", "x", "-t", "1", "-n", "1"}, {"-c", "x", "-P", "0"},
		{"-c", "x", "-u", "-l", "100K"}, {"-n", "ten"}, {"-n", "-1"}, {"-c", "x", "-R", "-bidir"}, {"stray"}, {"-p", "99999"}} {
		if err := run(context.Background(), args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	var v float64
	for text, want := range map[string]float64{"10": 10, "2k": 2048, "1.5M": 1.5 * (1 << 20), "1G": 1 << 30} {
		if err := (amount{&v, 1024}).Set(text); err != nil || v != want {
			t.Errorf("%s is %v, %v", text, v, err)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	for text := range badParams {
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	}
	f.Add([]byte("\xff\xff\xff\xff{}"))
	text := `{"cpu_util_total":1.5,"sender_has_retransmits":18446744073709551615,"streams":[{"id":1,"bytes":1e20,"retransmits":-1,"jitter":0}]}`
	f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p params
		if readJSON(bytes.NewReader(b), &p) == nil && p.check() == nil {
			if tt := newTest(&p, true); len(tt.plan()) > 2*maxStream || p.Len > maxBlock {
				t.Errorf("%+v", p)
			}
			p.limit()
		}
		var r results
		if readJSON(bytes.NewReader(b), &r) == nil {
			_ = (&summary{Params: &params{Parallel: 1}, Local: &r, Remote: &r}).String()
		}
	})
}
