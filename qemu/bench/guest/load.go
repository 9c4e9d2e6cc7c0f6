package guest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/table"
)

// Load is one thing that is measured on a peer that runs.
type Load struct {
	Name   string
	Unit   string
	Better int // +1: more is better, -1: less is
	Run    func(r *Running, d time.Duration) (float64, error)
	Of     string  // where more is better: of what it is a rate
	Scale  float64 // how many of them a second one unit is
}

// Loads of one card. read-only.
var (
	ping     = Load{table.Ping, "µs", -1, pingTime, "", 0}
	idle     = Load{table.Idle, "%", -1, idleShare, "", 0}
	udpEcho  = Load{table.UDPEcho, "µs", -1, echoTime, "", 0}
	tcpIn    = Load{table.TCPIn, "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return bulk(r, 5001, d, true) }, "kB", 125}
	tcpOut   = Load{table.TCPOut, "Mbit/s", 1, func(r *Running, d time.Duration) (float64, error) { return bulk(r, 5002, d, false) }, "kB", 125}
	udpIn    = Load{table.UDPIn, "kpps", 1, udpReceive, "packet", 1e3}
	udpOut   = Load{table.UDPOut, "kpps", 1, udpSend, "packet", 1e3}
	httpKeep = Load{table.HTTPKeep, "requests/s", 1, func(r *Running, d time.Duration) (float64, error) { return requests(r, d, true) }, "request", 1}
	httpPer  = Load{table.HTTPPer, "requests/s", 1, func(r *Running, d time.Duration) (float64, error) { return requests(r, d, false) }, "request", 1}
	connect  = Load{table.Connects, "1/s", 1, connects, "connection", 1}
)

// udpPayload makes a frame of 64 bytes with all its headers.
const udpPayload = 22

// pingTime is the median time of an ICMP echo to the guest and back.
func pingTime(r *Running, d time.Duration) (float64, error) {
	var c *net.IPConn
	if err := r.NS.Do(func() (err error) {
		c, err = net.DialIP("ip4:icmp", nil, &net.IPAddr{IP: guestAddr(0).AsSlice()})
		return err
	}); err != nil {
		return 0, err
	}
	defer c.Close()
	seq := uint32(0)
	return medianTime(d, func(deadline time.Time) error {
		seq++
		want := uint32(os.Getpid())<<16 | seq&0xffff
		c.SetDeadline(deadline)
		if _, err := c.Write(qemu.ICMP{Type: qemu.ICMPEcho, Rest: want, Payload: make([]byte, 56)}.Marshal()); err != nil {
			return err
		}
		for b := make([]byte, 128); ; { // the socket hears all ICMP
			n, _, err := c.ReadFromIP(b)
			if err != nil {
				return err
			}
			if n >= 8 && b[0] == qemu.ICMPEchoReply && binary.BigEndian.Uint32(b[4:]) == want {
				return nil
			}
		}
	})
}

// echoTime is the median time of a small datagram to the guest's program and back.
func echoTime(r *Running, d time.Duration) (float64, error) {
	c, err := r.dial("udp4", 7)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	b := make([]byte, 64)
	return medianTime(d, func(deadline time.Time) error {
		c.SetDeadline(deadline)
		if _, err := c.Write(b); err != nil {
			return err
		}
		_, err := c.Read(b)
		return err
	})
}

// medianTime is the median time of f in microseconds. It is called with pauses,
// so that each wakes an idle guest.
func medianTime(d time.Duration, f func(deadline time.Time) error) (float64, error) {
	var times []float64
	lost := 0
	for start := time.Now(); time.Since(start) < d || len(times) == 0; {
		began := time.Now()
		if err := f(began.Add(time.Second)); err != nil {
			if lost++; lost > 3 {
				return 0, err
			}
			continue
		}
		times = append(times, float64(time.Since(began))/1e3)
		time.Sleep(time.Millisecond)
	}
	return table.Median(times), nil
}

// idleShare is how much of a processor of the host an idle guest takes, QEMU's own
// share included.
func idleShare(r *Running, d time.Duration) (float64, error) {
	time.Sleep(d / 2) // what the load before left to do
	share, err := r.VM.CPUShare(d)
	return 100 * share, err
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
// always offered more than it can take.
func udpReceive(r *Running, d time.Duration) (float64, error) {
	const port = 5004
	frame := udpFrame(guestMAC, netip.AddrPortFrom(hostAddr(0), 5004), netip.AddrPortFrom(guestAddr(0), port))
	if r.Setting.Offloads {
		frame = partial(frame)
	}
	f, err := newFlood(r.NS, tapName(0), [][]byte{frame}, r.Setting.Offloads)
	if err != nil {
		return 0, err
	}
	defer f.close()
	c, err := r.dial("udp4", port)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := count(c); err != nil { // from zero
		return 0, err
	}
	start := time.Now()
	if _, err := f.run(d); err != nil {
		return 0, err
	}
	if err := f.drain(); err != nil {
		return 0, err
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

// udpSend is how many datagrams a second of the guest's arrive at the host.
func udpSend(r *Running, d time.Duration) (float64, error) {
	const port = 9
	sink, err := drain(r.NS, port)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	arrived, err := newCounter(r.NS, tapName(0), guestAddr(0), port)
	if err != nil {
		return 0, err
	}
	defer arrived.close()
	c, err := r.dial("udp4", 5005)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	fmt.Fprintf(c, "%v:%d %d %d", hostAddr(0), port, udpPayload, (d + d/2).Milliseconds())
	time.Sleep(d / 4)
	n, took, err := arrived.during(d)
	if err != nil {
		return 0, err
	}
	c.SetReadDeadline(time.Now().Add(d + 10*time.Second)) // it has ended when it says how many it sent
	if _, err := c.Read(make([]byte, 64)); err != nil {
		return 0, err
	}
	return float64(n) / took.Seconds() / 1e3, nil
}
