// Package services is what the measured program does, whatever its network is:
//
//	7/udp     the same bytes back
//	80        HTTP: "hello" for every path, but for /runtime: what Go's runtime
//	          has counted, see [Runtime]
//	5001      TCP that is read and thrown away
//	5002      TCP that is written to until the client closes
//	5003      TCP that is accepted and closed at once
//	5004/udp  datagrams that are counted; a datagram "?" is answered with the
//	          count since the last question
//	5005/udp  a datagram "ADDRESS:PORT SIZE MILLISECONDS" has that address sent
//	          datagrams of SIZE bytes for that long; then the count is answered
package services

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Network is where the services are.
type Network interface {
	Listen(port int) (net.Listener, error)
	ListenPacket(port int) (net.PacketConn, error)
	DialUDP(to netip.AddrPort) (net.Conn, error)
}

// Host is the network of package net.
type Host struct{}

// Listen implements Network.
func (Host) Listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", ":"+strconv.Itoa(port))
}

// ListenPacket implements Network.
func (Host) ListenPacket(port int) (net.PacketConn, error) {
	return net.ListenPacket("udp4", ":"+strconv.Itoa(port))
}

// DialUDP implements Network.
func (Host) DialUDP(to netip.AddrPort) (net.Conn, error) { return net.Dial("udp4", to.String()) }

// Serve opens everything and never returns but with an error. It says when it
// echoes, and when all is open.
func Serve(n Network) error {
	failed := make(chan error)
	udp := func(port int, f func(net.PacketConn) error) error {
		c, err := n.ListenPacket(port)
		if err == nil {
			go func() { failed <- f(c) }()
		}
		return err
	}
	tcp := func(port int, f func(net.Conn)) error {
		l, err := n.Listen(port)
		if err == nil {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						failed <- err
						return
					}
					go f(c)
				}
			}()
		}
		return err
	}
	// First what the start is measured by: what follows is HTTP's, not the network's.
	if err := udp(7, echo); err != nil {
		return err
	}
	fmt.Println("agent: echoes")
	mux := http.NewServeMux()
	mux.HandleFunc("/runtime", serveRuntime)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	l, err := n.Listen(80)
	if err != nil {
		return err
	}
	go func() { failed <- http.Serve(l, mux) }()
	for _, err := range []error{
		tcp(5001, discard), tcp(5002, source), tcp(5003, func(c net.Conn) { c.Close() }), udp(5004, count), udp(5005, func(c net.PacketConn) error { return blast(n, c) }),
	} {
		if err != nil {
			return err
		}
	}
	fmt.Println("agent: ready")
	return <-failed
}

func echo(c net.PacketConn) error {
	for b := make([]byte, 65536); ; {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		c.WriteTo(b[:n], from)
	}
}

func discard(c net.Conn) {
	defer c.Close()
	for b := make([]byte, 256<<10); ; {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

func source(c net.Conn) {
	defer c.Close()
	for b := make([]byte, 256<<10); ; {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// count reads without asking who sent where that is possible: package net would
// make an address of it for every datagram.
func count(pc net.PacketConn) error {
	read := func(b []byte) (int, func([]byte), error) {
		n, from, err := pc.ReadFrom(b)
		return n, func(p []byte) { pc.WriteTo(p, from) }, err
	}
	if c, ok := pc.(*net.UDPConn); ok {
		var from netip.AddrPort
		answer := func(p []byte) { c.WriteToUDPAddrPort(p, from) }
		read = func(b []byte) (n int, _ func([]byte), err error) {
			n, from, err = c.ReadFromUDPAddrPort(b)
			return n, answer, err
		}
	}
	n := 0
	for b := make([]byte, 2048); ; {
		got, answer, err := read(b)
		if err != nil {
			return err
		}
		if got == 1 && b[0] == '?' {
			answer([]byte(strconv.Itoa(n)))
			n = 0
			continue
		}
		n++
	}
}

func blast(net Network, c net.PacketConn) error {
	var busy atomic.Bool
	for b := make([]byte, 2048); ; {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		var to string
		var size, ms int
		if _, err := fmt.Sscanf(strings.TrimSpace(string(b[:n])), "%s %d %d", &to, &size, &ms); err != nil {
			continue
		}
		addr, err := netip.ParseAddrPort(to)
		if err != nil || size < 0 || size > 65507 || !busy.CompareAndSwap(false, true) {
			continue
		}
		go func() {
			defer busy.Store(false)
			c.WriteTo([]byte(strconv.Itoa(send(net, addr, size, time.Duration(ms)*time.Millisecond))), from)
		}()
	}
}

// send sends datagrams for a time and returns how many.
func send(net Network, to netip.AddrPort, size int, d time.Duration) (n int) {
	c, err := net.DialUDP(to)
	if err != nil {
		return 0
	}
	defer c.Close()
	b := make([]byte, size)
	start := time.Now()
	for tries := 1; tries%64 != 0 || time.Since(start) < d; tries++ {
		if _, err := c.Write(b); err == nil {
			n++
		} else {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return n
}
