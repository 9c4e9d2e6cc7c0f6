package dhcp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"barewire/sys/lease"
)

// Config is what a client works on. Device, Index, HWAddr and Set are required.
type Config struct {
	Device string  // name of the interface, which is up
	Index  int     // its number
	HWAddr [6]byte // its Ethernet address
	// Hostname is what the server is told; empty: nothing.
	Hostname string
	// Set makes the interface's configuration that of lease to instead of from;
	// nil is none. An error is logged and the lease kept: what could be done is
	// done.
	Set func(from, to *lease.Lease) error
	// Log takes one line about what the administrator should know. Nil: nothing.
	Log func(string)

	net network // nil: the sockets of this system
}

// network is the sockets a client uses.
type network interface {
	// packet opens a socket below IP, for a host without an address.
	packet() (socket, error)
	// udp opens a UDP socket, for a host with one.
	udp() (socket, error)
	// conflict asks the link whether another host has the address.
	conflict(ctx context.Context, a netip.Addr) bool
}

// socket sends and receives DHCP messages.
type socket interface {
	send(to netip.Addr, message []byte) error
	// recv waits for a datagram to the client's port until a time, and then
	// fails with os.ErrDeadlineExceeded.
	recv(until time.Time) ([]byte, error)
	Close() error
}

// Client is a DHCP client on one interface.
type Client struct {
	cfg     Config
	start   time.Time // when the present search for an address began
	last    netip.Addr
	silence bool // that nobody answers has been said
	once    sync.Once
	bound   chan struct{}
}

// New makes a client; Run works.
func New(c Config) *Client {
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.net == nil {
		c.net = &sockets{cfg: &c}
	}
	return &Client{cfg: c, bound: make(chan struct{})}
}

// Bound is closed when the first lease has been configured.
func (c *Client) Bound() <-chan struct{} { return c.bound }

// Run finds an address and keeps it until ctx ends. The configuration stays as
// it is then.
func (c *Client) Run(ctx context.Context) {
	for ctx.Err() == nil {
		ack, l := c.acquire(ctx)
		if l == nil {
			continue
		}
		if c.cfg.net.conflict(ctx, l.Addr.Addr()) {
			c.log("somebody else has %v, which %v gave", l.Addr.Addr(), l.Server)
			c.decline(l)
			pause(ctx, declinePause)
			continue
		}
		c.set(nil, l)
		c.log("%v", l)
		c.once.Do(func() { close(c.bound) })
		l = c.hold(ctx, ack, l)
		if ctx.Err() != nil {
			return
		}
		c.set(l, nil)
	}
}

func (c *Client) log(format string, args ...any) {
	c.cfg.Log(c.cfg.Device + ": " + fmt.Sprintf(format, args...))
}

func (c *Client) set(from, to *lease.Lease) {
	if err := c.cfg.Set(from, to); err != nil {
		c.log("DHCP: %v", err)
	}
}

const (
	firstWait    = 2 * time.Second
	lastWait     = 64 * time.Second
	requestTries = 4
	refusalPause = time.Second      // after a NAK, so that a confused server is not flooded
	declinePause = 10 * time.Second // RFC 2131 3.1, step 5
	minRenewWait = 60 * time.Second // RFC 2131 4.4.5
)

// jitter returns d, a quarter more or less.
func jitter(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }

// pause waits, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// acquire goes from INIT through SELECTING and REQUESTING (RFC 2131, figure 5).
// It returns nothing when it has to start over; it has waited then.
func (c *Client) acquire(ctx context.Context) (*dhcpv4.DHCPv4, *lease.Lease) {
	s, err := c.cfg.net.packet()
	if err != nil {
		c.log("DHCP: %v", err)
		pause(ctx, lastWait)
		return nil, nil
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	c.start = time.Now()
	xid := rand.Uint32()
	var offer *dhcpv4.DHCPv4
	for wait := firstWait; offer == nil; wait = min(2*wait, lastWait) {
		offer, err = c.exchange(ctx, s, broadcast, c.discover(xid), jitter(wait), dhcpv4.MessageTypeOffer)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			c.log("DHCP: %v", err)
			pause(ctx, wait)
		} else if offer == nil && wait > firstWait && !c.silence {
			c.log("no DHCP server has answered yet; still asking")
			c.silence = true
		}
	}
	wait := firstWait
	for range requestTries {
		ack, err := c.exchange(ctx, s, broadcast, c.request(xid, offer), jitter(wait), dhcpv4.MessageTypeAck)
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case err != nil:
			c.log("DHCP: %v", err)
			pause(ctx, wait)
		case ack == nil:
			wait *= 2
			continue
		case ack.MessageType() == dhcpv4.MessageTypeNak:
			c.refused(ack, address(offer.YourIPAddr))
			pause(ctx, refusalPause)
			return nil, nil
		default:
			l, err := leaseOf(ack)
			if err != nil {
				c.log("DHCP: %v", err)
				pause(ctx, firstWait)
				return nil, nil
			}
			c.last, c.silence = l.Addr.Addr(), false
			return ack, l
		}
	}
	return nil, nil
}

func (c *Client) refused(nak *dhcpv4.DHCPv4, a netip.Addr) {
	why := ""
	if m := printable(nak.Message()); m != "" {
		why = " (" + m + ")"
	}
	c.log("%v refuses %v%s; starting over", address(nak.ServerIdentifier()), a, why)
	c.last = netip.Addr{}
}

// exchange sends a message and waits for its answer: of the type wanted, or,
// when that is ACK, a NAK. It returns neither answer nor error when the time is
// over.
func (c *Client) exchange(ctx context.Context, s socket, to netip.Addr, m *dhcpv4.DHCPv4, wait time.Duration, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	m.NumSeconds = uint16(min(time.Since(c.start)/time.Second, 0xffff))
	until := time.Now().Add(wait)
	if err := s.send(to, m.ToBytes()); err != nil {
		return nil, err
	}
	for {
		b, err := s.recv(until)
		if err != nil {
			if os.IsTimeout(err) || ctx.Err() != nil {
				return nil, nil
			}
			// An ICMP error to an earlier message: the time is not over for it.
			if !time.Now().Before(until) {
				return nil, nil
			}
			pause(ctx, min(100*time.Millisecond, time.Until(until)))
			continue
		}
		if a := c.answer(b, m.TransactionID, want); a != nil {
			return a, nil
		}
	}
}

// hold keeps a lease (BOUND, RENEWING, REBINDING). It returns the lease as it
// was last when it has ended: by NAK, by time, or by ctx.
func (c *Client) hold(ctx context.Context, ack *dhcpv4.DHCPv4, l *lease.Lease) *lease.Lease {
	for {
		start := c.start // times count from the request (RFC 2131 4.4.1)
		if l.Time == 0 {
			<-ctx.Done()
			return l
		}
		pause(ctx, time.Until(start.Add(l.Renew)))
		c.start = time.Now()
		next, nak := c.extend(ctx, l, start)
		switch {
		case ctx.Err() != nil:
			return l
		case nak != nil:
			c.refused(nak, l.Addr.Addr())
			return l
		case next == nil:
			c.log("the lease of %v has ended: no server extended it", l.Addr.Addr())
			return l
		}
		c.set(l, next)
		l = next
	}
}

// extend asks for more time: first the server of the lease, after T2 any.
func (c *Client) extend(ctx context.Context, l *lease.Lease, start time.Time) (next *lease.Lease, nak *dhcpv4.DHCPv4) {
	rebind, end := start.Add(l.Rebind), start.Add(l.Time)
	xid := rand.Uint32()
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; now = time.Now() {
		to, phase := l.Server, rebind
		if !now.Before(rebind) {
			to, phase = broadcast, end
		}
		left := phase.Sub(now)
		wait := min(max(left/2, minRenewWait), left)
		sent := now
		s, err := c.cfg.net.udp()
		if err != nil {
			c.log("DHCP: %v", err)
			pause(ctx, wait)
			continue
		}
		stop := context.AfterFunc(ctx, func() { s.Close() })
		ack, err := c.exchange(ctx, s, to, c.renew(xid, l), wait, dhcpv4.MessageTypeAck)
		stop()
		s.Close()
		switch {
		case err != nil: // no route, no carrier: the next try may find it better
			pause(ctx, time.Until(sent.Add(wait)))
		case ack == nil:
		case ack.MessageType() == dhcpv4.MessageTypeNak:
			return nil, ack
		default:
			n, err := leaseOf(ack)
			if err == nil {
				c.start = sent
				return n, nil
			}
			c.log("DHCP: %v", err)
			pause(ctx, time.Until(sent.Add(wait)))
		}
	}
	return nil, nil
}

// decline tells the server that its address is taken.
func (c *Client) decline(l *lease.Lease) {
	c.last = netip.Addr{}
	if s, err := c.cfg.net.packet(); err == nil {
		s.send(broadcast, c.declined(rand.Uint32(), l).ToBytes())
		s.Close()
	}
}
