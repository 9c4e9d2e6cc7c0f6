package profile

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"
)

// serve returns a function that makes a request of a server.
func serve(t *testing.T) func(request string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return func(request string) string {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
}

func TestServe_answersWhatIsThere(t *testing.T) {
	ask := serve(t)
	for target, want := range map[string]string{
		"/debug/pprof/":                    "/debug/pprof/heap\n",
		"/":                                "/debug/pprof/profile\n",
		"/debug/pprof/heap?debug=1":        "heap profile:",
		"/debug/pprof/heap?gc=1":           "\r\n\r\n\x1f\x8b",
		"/debug/pprof/goroutine?debug=2":   "profile.Serve(",
		"/debug/pprof/metrics":             "/sched/latencies:seconds",
		"/debug/pprof/counters":            "== /proc/net/softnet_stat\n",
		"/debug/pprof/profile?seconds=1":   "\r\n\r\n\x1f\x8b",
		"/debug/pprof/mutex?seconds=1":     "\r\n\r\n\x1f\x8b",
		"/debug/pprof/metrics?seconds=1":   "/gc/heap/live:bytes",
		"/debug/pprof/goroutine?seconds=9": "\r\n\r\n\x1f\x8b",
	} {
		got := ask("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.Contains(got, want) {
			t.Errorf("%s: %.300q, want %q in it", target, got, want)
		}
	}
}

func TestServe_refuses(t *testing.T) {
	ask := serve(t)
	for request, want := range map[string]string{
		"GET /debug/pprof/none HTTP/1.0\r\n\r\n":                "404",
		"GET /etc/passwd HTTP/1.0\r\n\r\n":                      "404",
		"POST /debug/pprof/heap HTTP/1.0\r\n\r\n":               "405",
		"GET /debug/pprof/heap\r\n\r\n":                         "400",
		"GET /debug/pprof/heap HTTP/2\r\n\r\n":                  "400",
		"\r\n\r\n":                                              "400",
		"GET /debug/pprof/profile?seconds=601 HTTP/1.0\r\n\r\n": "400",
		"GET /debug/pprof/profile?seconds=-1 HTTP/1.0\r\n\r\n":  "400",
		"GET /debug/pprof/profile?seconds=x HTTP/1.0\r\n\r\n":   "400",
		"GET /debug/pprof/heap?debug=3 HTTP/1.0\r\n\r\n":        "400",
		"GET /debug/pprof/heap?%zz HTTP/1.0\r\n\r\n":            "400",
	} {
		if got := ask(request); !strings.HasPrefix(got, "HTTP/1.0 "+want+" ") {
			t.Errorf("%.60q: %.80q, want %s", request, got, want)
		}
	}
	long := "GET /" + strings.Repeat("x", maxRequest) + " HTTP/1.0\r\n\r\n"
	if q, err := readRequest(strings.NewReader(long)); err == nil {
		t.Errorf("a request of %d bytes is read as %+v", len(long), q)
	}
}

func TestConsole_printsBlocks(t *testing.T) {
	var out bytes.Buffer
	console(&out, 1)
	rest, names := out.Bytes(), []string{}
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if !bytes.HasPrefix(b.Bytes, []byte{0x1f, 0x8b}) {
			t.Errorf("%s is not compressed: %x", b.Type, b.Bytes[:min(8, len(b.Bytes))])
		}
		names = append(names, strings.TrimPrefix(b.Type, PEMType))
	}
	if fmt.Sprint(names) != "[cpu heap goroutine]" {
		t.Errorf("profiles %v", names)
	}
}

func TestWanted_readsTheParameter(t *testing.T) {
	for line, want := range map[string]want{
		"":                                   {},
		"debug ip=dhcp":                      {},
		"barewire.pprof=off":                 {},
		"barewire.pprof=6060":                {address: ":6060"},
		"barewire.pprof=1 barewire.pprof=2":  {address: ":2"},
		"barewire.pprof=10.0.0.2:80 -- args": {address: "10.0.0.2:80"},
		"barewire.pprof=console":             {console: true, seconds: defaultSecs},
		"barewire.pprof=console:3":           {console: true, seconds: 3},
		"-- barewire.pprof=6060":             {},
	} {
		if got, err := wanted(line); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, v := range []string{"", "0", "65536", "-1", "eth0", "[::1]:80", "1.2.3.4:0", "console:0", "console:x", "console:601"} {
		if got, err := wanted("barewire.pprof=" + v); err == nil || got != (want{}) {
			t.Errorf("%q: %+v, %v; want an error", v, got, err)
		}
	}
}

func TestQuantile_isTheUpperEdge(t *testing.T) {
	edges := []float64{math.Inf(-1), 1, 2, 3, math.Inf(1)}
	counts := []uint64{0, 2, 1, 1}
	for rank, want := range []float64{2, 2, 3, 3} {
		if got := quantile(counts, edges, uint64(rank)); got != want {
			t.Errorf("rank %d: %v, want %v", rank, got, want)
		}
	}
	if got := quantile(make([]uint64, 4), edges, 0); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// FuzzReadRequest: any bytes give a request within its bounds or a refusal.
func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("GET /debug/pprof/profile?seconds=3&debug=1&gc=1 HTTP/1.1\r\nA: b\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := readRequest(bytes.NewReader(b))
		var r refusal
		if err != nil && !errors.As(err, &r) {
			t.Errorf("%q: %v is no refusal", b, err)
		}
		if err == nil && (q.seconds < 0 || q.seconds > maxSeconds || q.debug < 0 || q.debug > 2) {
			t.Errorf("%q: %+v", b, q)
		}
	})
}

func FuzzWanted(f *testing.F) {
	f.Add("barewire.pprof=console:3 x")
	f.Fuzz(func(t *testing.T, line string) {
		if w, err := wanted(line); err != nil && w != (want{}) || w.console && (w.seconds < 1 || w.seconds > maxSeconds) {
			t.Errorf("%q: %+v, %v", line, w, err)
		}
	})
}
