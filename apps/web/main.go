// Web serves the files of a folder over HTTP, and over HTTPS with a key that is
// given to it. It is an ordinary net/http program; nothing in it knows what it
// runs on.
//
//	web [-root folder] [-addr host:port] [-tls host:port -cert file -key file]
//
// In an image the folder is in the initial file system, and so are the
// certificate and its key. /status says how the server is doing: as text, or
// with "Accept: application/json" as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then lets the requests under way finish.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	flags.SetOutput(out)
	root := flags.String("root", "/srv", "`folder` whose files are served")
	addr := flags.String("addr", ":80", "`host:port` for HTTP; empty for none")
	tlsAddr := flags.String("tls", "", "`host:port` for HTTPS; empty for none")
	cert := flags.String("cert", "/etc/web.crt", "`file` with the certificate")
	key := flags.String("key", "/etc/web.key", "`file` with its key")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *addr == "" && *tlsAddr == "" {
		return errors.New("neither -addr nor -tls: nothing to serve on")
	}
	srv := newServer(*root)
	failed := make(chan error, 2)
	listen := func(scheme, at string, serve func(net.Listener) error) error {
		if at == "" {
			return nil
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		port := l.Addr().(*net.TCPAddr).Port
		fmt.Fprintf(out, "web: %s on port %d, files of %s; try: curl -k %s://ADDRESS:%d/status\n", scheme, port, *root, scheme, port)
		go func() { failed <- serve(l) }()
		return nil
	}
	err := listen("http", *addr, srv.Serve)
	if err == nil {
		err = listen("https", *tlsAddr, func(l net.Listener) error { return srv.ServeTLS(l, *cert, *key) })
	}
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	srv.Shutdown(end)
	return err
}

// newServer makes the server of a folder. Its time limits keep a client that
// stalls from holding a connection for ever.
func newServer(root string) *http.Server {
	s := &status{start: time.Now()}
	mux := http.NewServeMux()
	mux.Handle("GET /status", s)
	mux.Handle("/", s.count(http.FileServer(http.Dir(root))))
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState:         s.connState,
	}
}

// status is what /status shows.
type status struct {
	start              time.Time
	requests, bytes    atomic.Int64
	accepted, open     atomic.Int64
	clientErr, servErr atomic.Int64
}

// connState counts connections.
func (s *status) connState(_ net.Conn, st http.ConnState) {
	switch st {
	case http.StateNew:
		s.accepted.Add(1)
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

// counted is a response whose bytes and result are counted.
type counted struct {
	http.ResponseWriter
	s *status
}

func (c counted) WriteHeader(code int) {
	switch {
	case code >= 500:
		c.s.servErr.Add(1)
	case code >= 400:
		c.s.clientErr.Add(1)
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.bytes.Add(int64(n))
	return n, err
}

// ReadFrom keeps sendfile in reach of the file server.
func (c counted) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.s.bytes.Add(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (s *status) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h.ServeHTTP(counted{w, s}, r)
	})
}

// figures is the status in numbers.
type figures struct {
	UptimeSeconds    float64 `json:"uptime_seconds"`
	Requests         int64   `json:"requests"`
	ClientErrors     int64   `json:"client_errors"`
	ServerErrors     int64   `json:"server_errors"`
	BytesSent        int64   `json:"bytes_sent"`
	Connections      int64   `json:"connections"`
	ConnectionsOpen  int64   `json:"connections_open"`
	Goroutines       int     `json:"goroutines"`
	HeapBytes        uint64  `json:"heap_bytes"`
	MemoryBytes      uint64  `json:"memory_bytes"`
	GarbageCollected uint32  `json:"gc_cycles"`
	Go               string  `json:"go"`
}

func (s *status) figures() figures {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{
		UptimeSeconds: time.Since(s.start).Seconds(),
		Requests:      s.requests.Load(), ClientErrors: s.clientErr.Load(), ServerErrors: s.servErr.Load(), BytesSent: s.bytes.Load(),
		Connections: s.accepted.Load(), ConnectionsOpen: s.open.Load(),
		Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapAlloc, MemoryBytes: m.Sys - m.HeapReleased, GarbageCollected: m.NumGC,
		Go: runtime.Version(),
	}
}

func (s *status) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.figures()
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(f)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "up           %v\nrequests     %d (%d client errors, %d server errors), %d bytes sent\nconnections  %d, %d open\nmemory       %d KiB, heap %d KiB, %d collections\ngoroutines   %d, %s\n",
		time.Duration(f.UptimeSeconds*float64(time.Second)).Round(time.Millisecond), f.Requests, f.ClientErrors, f.ServerErrors, f.BytesSent,
		f.Connections, f.ConnectionsOpen, f.MemoryBytes>>10, f.HeapBytes>>10, f.GarbageCollected, f.Goroutines, f.Go)
	if snmp, err := os.ReadFile("/proc/net/snmp"); err == nil {
		for line := range strings.Lines(string(snmp)) {
			if strings.HasPrefix(line, "Tcp:") || strings.HasPrefix(line, "Ip:") {
				io.WriteString(w, line)
			}
		}
	}
}
