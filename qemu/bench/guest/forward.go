package guest

import (
	"fmt"
	"net/netip"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/table"
)

// guestMAC is the address of the guest's first card (see qemu.NIC).
var guestMAC = qemu.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56} // read-only

// forwardFlows is how many flows the forwarded packets belong to.
const forwardFlows = 64

// Loads of a router with two cards: what arrives behind it when it is always
// offered more than it can take. read-only.
var (
	forward    = Load{table.Forward, "kpps", 1, func(r *Running, d time.Duration) (float64, error) { return forwarded(r, d, hostAddr(0)) }, "packet", 1e3}
	forwardNAT = Load{table.ForwardNAT, "kpps", 1, func(r *Running, d time.Duration) (float64, error) { return forwarded(r, d, guestAddr(1)) }, "packet", 1e3}
)

// forwarded is the rate of the packets that come out of the second card with a
// source address, in thousands a second.
func forwarded(r *Running, d time.Duration, from netip.Addr) (float64, error) {
	const port = 9
	sink, err := drain(r.NS, port)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	arrived, err := newCounter(r.NS, tapName(1), from, port)
	if err != nil {
		return 0, err
	}
	defer arrived.close()
	var frames [][]byte
	for i := range forwardFlows {
		frames = append(frames, udpFrame(guestMAC, netip.AddrPortFrom(hostAddr(0), uint16(20000+i)), netip.AddrPortFrom(hostAddr(1), port)))
	}
	f, err := newFlood(r.NS, tapName(0), frames, false)
	if err != nil {
		return 0, err
	}
	defer f.close()
	// A few first, until one comes through: the router may have to ask for the
	// address behind it, and drops what waits for that.
	if _, err := arrived.take(); err != nil {
		return 0, err
	}
	for n, tries := 0, 0; n == 0; tries++ {
		if tries == 100 {
			return 0, fmt.Errorf("nothing comes through")
		}
		if err := f.send(); err != nil {
			return 0, err
		}
		time.Sleep(30 * time.Millisecond)
		if n, err = arrived.take(); err != nil {
			return 0, err
		}
	}
	if _, err := f.run(d / 5); err != nil {
		return 0, err
	}
	if _, err := arrived.take(); err != nil {
		return 0, err
	}
	start := time.Now()
	taken, err := f.run(d)
	if err != nil {
		return 0, err
	}
	n, err := arrived.take()
	took := time.Since(start)
	r.Lost = max(0, 1-float64(n)/float64(max(taken, 1)))
	return float64(n) / took.Seconds() / 1e3, err
}
