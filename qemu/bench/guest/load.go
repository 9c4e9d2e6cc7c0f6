package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"barewire/qemu/bench/services"
)

// dial connects to a port of the peer from the host's side.
func (r *Running) dial(network string, port int) (c net.Conn, err error) {
	err = r.NS.Do(func() error {
		c, err = net.DialTimeout(network, netip.AddrPortFrom(guestAddr(0), uint16(port)).String(), 5*time.Second)
		return err
	})
	return c, err
}

// Load is one thing that is measured.
type Load struct {
	Name   string
	Unit   string
	Better int // +1: more is better, -1: less is
	Run    func(r *Running, d time.Duration) (float64, error)
}

// Loads are what is measured on a peer that runs. read-only.
var Loads = []Load{
	{"UDP round trip, median", "µs", -1, roundTrip},
	{"TCP host to guest", "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return bulk(r, 5001, d, true) }},
	{"TCP guest to host", "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return bulk(r, 5002, d, false) }},
	{"UDP 64 B received", "kpps", 1, udpReceive},
	{"UDP 64 B sent", "kpps", 1, udpSend},
	{"HTTP keep-alive, 16 connections", "requests/s", 1, func(r *Running, d time.Duration) (float64, error) { return requests(r, d, true) }},
	{"HTTP, a connection per request", "requests/s", 1, func(r *Running, d time.Duration) (float64, error) { return requests(r, d, false) }},
	{"TCP connects", "1/s", 1, connects},
}

// roundTrip is the median time of a small datagram to the guest and back.
func roundTrip(r *Running, d time.Duration) (float64, error) {
	c, err := r.dial("udp4", 7)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var times []time.Duration
	b, lost := make([]byte, 64), 0
	for start := time.Now(); time.Since(start) < d; {
		began := time.Now()
		c.SetDeadline(began.Add(time.Second))
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
		if _, err := c.Read(b); err != nil {
			if lost++; lost > 3 {
				return 0, err
			}
			continue
		}
		times = append(times, time.Since(began))
		time.Sleep(time.Millisecond) // so that each wakes an idle guest
	}
	slices.Sort(times)
	return float64(times[len(times)/2]) / 1e3, nil
}

// bulk is the rate of one connection to a port, after it has had time to open
// its window.
func bulk(r *Running, port int, d time.Duration, send bool) (float64, error) {
	c, err := r.dial("tcp4", port)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(d + 10*time.Second))
	b := make([]byte, 256<<10)
	move := c.Read
	if send {
		move = c.Write
	}
	during := func(d time.Duration) (n int, took time.Duration, err error) {
		start := time.Now()
		for time.Since(start) < d {
			k, err := move(b)
			if n += k; err != nil {
				return n, 0, err
			}
		}
		return n, time.Since(start), nil
	}
	if _, _, err := during(d / 5); err != nil {
		return 0, err
	}
	n, took, err := during(d)
	return float64(n) * 8 / took.Seconds() / 1e6, err
}

// udpReceive is how many datagrams a second reach a socket of the guest that is
// sent more than it can take.
func udpReceive(r *Running, d time.Duration) (float64, error) {
	c, err := r.dial("udp4", 5004)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := count(c); err != nil { // from zero
		return 0, err
	}
	start := time.Now()
	b := make([]byte, 22) // 64 bytes with all headers
	for n := 0; n%64 != 0 || time.Since(start) < d; n++ {
		c.Write(b)
	}
	took := time.Since(start)
	n, err := count(c)
	return float64(n) / took.Seconds() / 1e3, err
}

// count asks the guest how many datagrams it had. The question may be lost in
// what is still under way.
func count(c net.Conn) (int, error) {
	b := make([]byte, 64)
	var err error
	for range 20 {
		c.Write([]byte("?"))
		c.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		var n int
		if n, err = c.Read(b); err == nil {
			return strconv.Atoi(string(b[:n]))
		}
	}
	return 0, err
}

// udpSend is how many datagrams a second the guest sends to the host.
func udpSend(r *Running, d time.Duration) (float64, error) {
	var sink net.PacketConn
	if err := r.NS.Do(func() (err error) {
		sink, err = services.Host{}.ListenPacket(0)
		return err
	}); err != nil {
		return 0, err
	}
	defer sink.Close()
	c, err := r.dial("udp4", 5005)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	fmt.Fprintf(c, "%v:%d 22 %d", hostAddr(0), sink.LocalAddr().(*net.UDPAddr).Port, d.Milliseconds())
	c.SetReadDeadline(time.Now().Add(d + 10*time.Second))
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil {
		return 0, err
	}
	sent, err := strconv.Atoi(string(b[:n]))
	return float64(sent) / d.Seconds() / 1e3, err
}

// requests is the rate of HTTP requests on 16 connections, or on as many
// connections as requests.
func requests(r *Running, d time.Duration, keep bool) (float64, error) {
	const conns = 16
	t := &http.Transport{
		MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, DisableKeepAlives: !keep, DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return r.dial("tcp4", 80) },
	}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: 10 * time.Second}
	return rate(conns, d, func() error {
		resp, err := client.Get("http://guest/")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && string(b) != "hello" {
			err = fmt.Errorf("the body is %q", b)
		}
		return err
	})
}

// connects is the rate of connections that are made and closed.
func connects(r *Running, d time.Duration) (float64, error) {
	return rate(8, d, func() error {
		c, err := r.dial("tcp4", 5003)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("instead of the end: %v", err)
		}
		return nil
	})
}

// rate runs f on so many goroutines and returns how often a second.
func rate(workers int, d time.Duration, f func() error) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for time.Since(start) < d && failed.Load() == nil {
				if err := f(); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}
