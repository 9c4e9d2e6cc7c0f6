package profile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	root = "/debug/pprof/"

	maxRequest  = 8 << 10 // bytes of a request's line and headers
	maxServed   = 8       // requests at a time
	maxSeconds  = 600
	defaultSecs = 10
	patience    = 10 * time.Second // for a request to arrive and an answer to leave
)

// Serve answers requests on l until it fails, which it does when it is closed.
func Serve(l net.Listener) error {
	room := make(chan struct{}, maxServed)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		room <- struct{}{}
		go func() {
			defer func() { <-room }()
			defer c.Close()
			answer(c)
		}()
	}
}

// A request is what was asked for.
type request struct {
	name    string // below root; "" for the list
	seconds int    // 0 if not said
	debug   int
	gc      bool
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

// readRequest reads an HTTP request without a body.
func readRequest(r io.Reader) (request, error) {
	var q request
	in := bufio.NewReader(io.LimitReader(r, maxRequest))
	line, err := in.ReadString('\n')
	if err != nil {
		return q, refusal{400, "no request line"}
	}
	for h := line; strings.TrimRight(h, "\r\n") != ""; { // headers say nothing of interest
		if h, err = in.ReadString('\n'); err != nil {
			return q, refusal{400, "no end of headers"}
		}
	}
	method, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	target, version, _ := strings.Cut(rest, " ")
	if !strings.HasPrefix(version, "HTTP/1.") {
		return q, refusal{400, "no HTTP/1 request"}
	}
	if method != "GET" {
		return q, refusal{405, "only GET is answered"}
	}
	path, query, _ := strings.Cut(target, "?")
	name, ok := strings.CutPrefix(path, root)
	if !ok {
		if path != "/" && path != strings.TrimSuffix(root, "/") {
			return q, refusal{404, "everything is below " + root}
		}
		name = ""
	}
	q.name = name
	v, err := url.ParseQuery(query)
	if err != nil {
		return q, refusal{400, err.Error()}
	}
	number := func(key string, most int) (n int) {
		if s := v.Get(key); s != "" && err == nil {
			if n, err = strconv.Atoi(s); err == nil && (n < 0 || n > most) {
				err = fmt.Errorf("%s=%s: want 0 to %d", key, s, most)
			}
		}
		return n
	}
	q.seconds = number("seconds", maxSeconds)
	q.debug = number("debug", 2)
	q.gc = number("gc", 1) == 1
	if err != nil {
		return q, refusal{400, err.Error()}
	}
	return q, nil
}

// answer serves one connection.
func answer(c net.Conn) {
	c.SetDeadline(time.Now().Add(patience))
	q, err := readRequest(c)
	if err == nil {
		wait := time.Duration(q.seconds)
		if wait == 0 {
			wait = defaultSecs
		}
		c.SetDeadline(time.Now().Add(wait*time.Second + patience))
		w := &body{c: c, name: q.name, text: q.debug > 0}
		if err = q.write(w); err == nil {
			err = w.flush()
		}
		if w.begun {
			return // too late for a status; the connection ends early
		}
	}
	if err != nil {
		r := refusal{500, err.Error()}
		errors.As(err, &r)
		fmt.Fprintf(c, "HTTP/1.0 %d no\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n%s\n", r.status, r.why)
	}
}

// body is an answer; its headers go out before the first byte, so that an error
// that comes before that has a status of its own.
type body struct {
	c     io.Writer
	name  string
	text  bool
	begun bool
}

func (b *body) Write(p []byte) (int, error) {
	if err := b.flush(); err != nil {
		return 0, err
	}
	return b.c.Write(p)
}

func (b *body) flush() error {
	if b.begun {
		return nil
	}
	b.begun = true
	kind := "application/octet-stream"
	if b.text {
		kind = "text/plain; charset=utf-8"
	}
	_, err := fmt.Fprintf(b.c, "HTTP/1.0 200 OK\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=%q\r\nConnection: close\r\n\r\n", kind, b.name)
	return err
}

// write writes what was asked for.
func (q request) write(w *body) error {
	switch q.name {
	case "":
		w.text = true
		return list(w)
	case "profile":
		return cpu(w, q.seconds)
	case "trace":
		if err := trace.Start(w); err != nil {
			return err
		}
		pause(q.seconds)
		trace.Stop()
		return nil
	case "metrics":
		w.text = true
		return metricsText(w, q.seconds)
	case "counters":
		w.text = true
		return counters(w)
	}
	p := pprof.Lookup(q.name)
	if p == nil {
		return refusal{404, "no profile of that name"}
	}
	switch {
	case q.name == "block" && q.seconds > 0:
		runtime.SetBlockProfileRate(1)
		pause(q.seconds)
		runtime.SetBlockProfileRate(0)
	case q.name == "mutex" && q.seconds > 0:
		old := runtime.SetMutexProfileFraction(1)
		pause(q.seconds)
		runtime.SetMutexProfileFraction(old)
	case q.name == "heap" && q.gc:
		runtime.GC()
	}
	return p.WriteTo(w, q.debug)
}

// list names what there is.
func list(w io.Writer) error {
	names := []string{"counters", "metrics", "profile", "trace"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	for _, n := range names {
		if _, err := fmt.Fprintf(w, "%s%s\n", root, n); err != nil {
			return err
		}
	}
	return nil
}

// cpu writes a profile of the processors over some seconds.
func cpu(w io.Writer, seconds int) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return err // the program profiles itself
	}
	pause(seconds)
	pprof.StopCPUProfile()
	return nil
}

// pause waits some seconds, 0 for the usual number.
func pause(seconds int) {
	if seconds == 0 {
		seconds = defaultSecs
	}
	time.Sleep(time.Duration(seconds) * time.Second)
}
