package dhcp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"barewire/sys/lease"
)

// world is a link in virtual time with whatever servers a test writes.
type world struct {
	t      *testing.T
	client *Client
	start  time.Time
	begin  func() // starts the client, when the test has said who serves
	stop   func()

	// serve answers a message, given when it came since the start and whether
	// to all; nil serves nothing. taken are addresses that others have.
	serve func(at time.Duration, to netip.Addr, m *dhcpv4.DHCPv4) [][]byte
	taken []netip.Addr

	mu    sync.Mutex
	sent  []sent
	lease *lease.Lease // in force
	log   []string     // configurations and what was said, with their times
}

// sent is a message of the client.
type sent struct {
	at  time.Duration
	to  netip.Addr
	m   *dhcpv4.DHCPv4
	raw bool // on the packet socket
}

// in runs a test in a world of its own.
func in(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now()}
		w.client = New(Config{
			Device: "eth0", Index: 1, HWAddr: testMAC, Hostname: "box", net: w,
			Set: func(from, to *lease.Lease) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				if from != w.lease {
					t.Errorf("configuration %v is given up, %v is in force", from, w.lease)
				}
				w.lease = to
				if to != nil {
					w.log = append(w.log, fmt.Sprintf("%v %v from %v", w.now(), to.Addr, to.Server))
				} else {
					w.log = append(w.log, fmt.Sprintf("%v none", w.now()))
				}
				return nil
			},
			Log: func(s string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.log = append(w.log, fmt.Sprintf("%v %s", w.now(), s))
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		w.begin = sync.OnceFunc(func() { go func() { w.client.Run(ctx); close(done) }() })
		w.stop = func() { w.begin(); cancel(); <-done }
		f(w)
		w.stop()
	})
}

// now is the virtual time since the start in whole seconds.
func (w *world) now() time.Duration { return time.Since(w.start).Round(time.Second) }

// sleep lets time pass; the first time the client starts.
func (w *world) sleep(d time.Duration) { w.begin(); time.Sleep(d); synctest.Wait() }

// held is the lease in force, nil if there is none.
func (w *world) held() *lease.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lease
}

// messages returns what the client sent since the last call.
func (w *world) messages() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sent
	w.sent = nil
	return s
}

// has reports whether a line of the log contains s.
func (w *world) has(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.log, func(l string) bool { return strings.Contains(l, s) })
}

func (w *world) packet() (socket, error) { return w.open(true), nil }
func (w *world) udp() (socket, error)    { return w.open(false), nil }

func (w *world) open(raw bool) socket {
	return &worldSocket{w: w, raw: raw, in: make(chan []byte, 1000), closed: make(chan struct{})}
}

func (w *world) conflict(ctx context.Context, a netip.Addr) bool { return slices.Contains(w.taken, a) }

type worldSocket struct {
	w      *world
	raw    bool
	in     chan []byte
	once   sync.Once
	closed chan struct{}
}

func (s *worldSocket) send(to netip.Addr, b []byte) error {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		s.w.t.Errorf("the client's message cannot be read: %v", err)
		return err
	}
	s.w.mu.Lock()
	s.w.sent = append(s.w.sent, sent{time.Since(s.w.start), to, m, s.raw})
	s.w.mu.Unlock()
	if s.w.serve != nil {
		for _, a := range s.w.serve(time.Since(s.w.start), to, m) {
			s.in <- a
		}
	}
	return nil
}

func (s *worldSocket) recv(until time.Time) ([]byte, error) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case b := <-s.in:
		return b, nil
	case <-t.C:
		return nil, os.ErrDeadlineExceeded
	case <-s.closed:
		return nil, os.ErrClosed
	}
}

func (s *worldSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// server is a well-behaved one.
type server struct {
	id   [4]byte
	addr [4]byte
	time uint32 // seconds
	more []dhcpv4.Option
}

// reply makes an answer of a type.
func (s server) reply(m *dhcpv4.DHCPv4, t dhcpv4.MessageType) []byte {
	a := ack(append([]dhcpv4.Option{
		dhcpv4.OptMessageType(t), dhcpv4.OptServerIdentifier(s.id[:]),
		raw(51, binary.BigEndian.AppendUint32(nil, s.time)...), raw(1, 255, 255, 255, 0),
	}, s.more...)...)
	a.TransactionID, a.YourIPAddr = m.TransactionID, s.addr[:]
	return a.ToBytes()
}

// answer is what the server says to a message.
func (s server) answer(m *dhcpv4.DHCPv4) [][]byte {
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return [][]byte{s.reply(m, dhcpv4.MessageTypeOffer)}
	case dhcpv4.MessageTypeRequest:
		if id := m.ServerIdentifier(); id == nil || address(id) == netip.AddrFrom4(s.id) {
			return [][]byte{s.reply(m, dhcpv4.MessageTypeAck)}
		}
	}
	return nil
}

var (
	serverA = server{id: [4]byte{192, 0, 2, 1}, addr: [4]byte{192, 0, 2, 9}, time: 800}
	serverB = server{id: [4]byte{192, 0, 2, 2}, addr: [4]byte{192, 0, 2, 9}, time: 1600}
)

func types(l []sent) (s string) {
	for _, m := range l {
		s += fmt.Sprintf("%v ", m.m.MessageType())
	}
	return s
}

func TestInit_serverIsSilent_messagesSlowDown(t *testing.T) {
	in(t, func(w *world) {
		w.sleep(10 * time.Minute)
		l := w.messages()
		want := firstWait
		for i := 1; i < len(l); i++ {
			if d := l[i].at - l[i-1].at; d < want*3/4 || d > want*5/4 {
				t.Errorf("message %d came %v after the one before, want %v ± 1/4", i, d, want)
			}
			want = min(2*want, lastWait)
		}
		if n := len(l); n < 9 || n > 16 {
			t.Errorf("%d messages in ten minutes", n)
		}
		for _, m := range l {
			if !m.raw || m.to != broadcast || m.m.MessageType() != dhcpv4.MessageTypeDiscover || m.m.HostName() != "box" {
				t.Errorf("message %v", m)
			}
		}
		if !w.has("no DHCP server has answered") {
			t.Error("nothing was said of it")
		}
	})
}

func TestBound_renewsAtHalfTime(t *testing.T) {
	in(t, func(w *world) {
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte { return serverA.answer(m) }
		w.sleep(time.Second)
		if got := types(w.messages()); got != "DISCOVER REQUEST " {
			t.Fatalf("sent %s", got)
		}
		select {
		case <-w.client.Bound():
		default:
			t.Fatal("not bound")
		}
		w.sleep(398 * time.Second)
		if l := w.messages(); len(l) != 0 {
			t.Errorf("before T1: %s", types(l))
		}
		w.sleep(4000 * time.Second) // ten more renewals
		l := w.messages()
		for i, m := range l {
			if m.raw || m.to != netip.AddrFrom4(serverA.id) || m.m.MessageType() != dhcpv4.MessageTypeRequest {
				t.Errorf("renewal %d: %v to %v", i, m.m.MessageType(), m.to)
			}
			// RFC 2131 4.3.2: ciaddr, and neither of the options of a selection.
			if address(m.m.ClientIPAddr) != netip.AddrFrom4(serverA.addr) || m.m.Options.Has(dhcpv4.OptionServerIdentifier) || m.m.Options.Has(dhcpv4.OptionRequestedIPAddress) {
				t.Errorf("renewal %d: %v", i, m.m)
			}
		}
		if len(l) < 10 || len(l) > 11 {
			t.Errorf("%d renewals", len(l))
		}
	})
}

func TestRenewing_serverGone_anotherRebinds(t *testing.T) {
	in(t, func(w *world) {
		w.serve = func(at time.Duration, to netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			if at < time.Second {
				return serverA.answer(m)
			}
			if to == broadcast {
				return serverB.answer(m)
			}
			return nil
		}
		w.sleep(699 * time.Second)
		l := w.messages()[2:]
		// Half of the time that is left, but not below a minute.
		for i, want := range []time.Duration{400, 550, 625, 685} {
			if i >= len(l) || l[i].at.Round(time.Second) != want*time.Second || l[i].to != netip.AddrFrom4(serverA.id) {
				t.Fatalf("renewals %v", l)
			}
		}
		w.sleep(2 * time.Second)
		if l := w.messages(); len(l) != 1 || l[0].to != broadcast || l[0].raw {
			t.Errorf("rebinding: %v", l)
		}
		if w.held() == nil || w.held().Server != netip.AddrFrom4(serverB.id) || w.held().Time != 1600*time.Second {
			t.Errorf("lease %v", w.held())
		}
		w.sleep(800 * time.Second)
		if l := w.messages(); len(l) == 0 || l[0].to != netip.AddrFrom4(serverB.id) {
			t.Errorf("the next renewal asks %v", l)
		}
	})
}

func TestRebinding_nobody_addressGoesAndTheSearchBegins(t *testing.T) {
	in(t, func(w *world) {
		w.serve = func(at time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			if at < time.Second || at > 1000*time.Second {
				return serverA.answer(m)
			}
			return nil
		}
		w.sleep(799 * time.Second)
		if w.held() == nil {
			t.Fatal("the address went too early")
		}
		w.sleep(2 * time.Second)
		if w.held() != nil {
			t.Error("the address outlives its lease")
		}
		w.messages()
		w.sleep(100 * time.Second)
		if l := w.messages(); len(l) == 0 || l[0].m.MessageType() != dhcpv4.MessageTypeDiscover || address(l[0].m.RequestedIPAddress()) != netip.AddrFrom4(serverA.addr) {
			t.Errorf("the search: %v", l)
		}
		w.sleep(200 * time.Second)
		if w.held() == nil {
			t.Error("no address when the server is back")
		}
	})
}

func TestRenewing_NAK_startsOver(t *testing.T) {
	in(t, func(w *world) {
		next := server{id: serverA.id, addr: [4]byte{192, 0, 2, 77}, time: 800}
		w.serve = func(at time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			switch {
			case at < time.Second:
				return serverA.answer(m)
			case m.MessageType() == dhcpv4.MessageTypeRequest && m.ServerIdentifier() == nil:
				nak := serverA
				nak.addr, nak.more = [4]byte{}, []dhcpv4.Option{raw(56, []byte("moved\x1b[2J")...)}
				return [][]byte{nak.reply(m, dhcpv4.MessageTypeNak)}
			}
			return next.answer(m)
		}
		w.sleep(401 * time.Second)
		l := w.messages()
		if got := types(l); got != "DISCOVER REQUEST REQUEST DISCOVER REQUEST " {
			t.Fatalf("sent %s", got)
		}
		if l[3].m.Options.Has(dhcpv4.OptionRequestedIPAddress) {
			t.Error("it asks for the address that was refused")
		}
		if w.held() == nil || w.held().Addr.Addr() != netip.AddrFrom4(next.addr) {
			t.Errorf("lease %v", w.held())
		}
		if !w.has("(moved[2J)") {
			t.Errorf("log %q", w.log)
		}
	})
}

func TestRequesting_NAK_andSilence_startOver(t *testing.T) {
	in(t, func(w *world) {
		requests := 0
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			if m.MessageType() != dhcpv4.MessageTypeRequest {
				return serverA.answer(m)
			}
			switch requests++; {
			case requests == 1:
				return [][]byte{serverA.reply(m, dhcpv4.MessageTypeNak)}
			case requests <= 1+requestTries: // it forgot what it offered
				return nil
			}
			return serverA.answer(m)
		}
		w.sleep(2 * time.Minute)
		if got := types(w.messages()); got != "DISCOVER REQUEST DISCOVER REQUEST REQUEST REQUEST REQUEST DISCOVER REQUEST " {
			t.Errorf("sent %s", got)
		}
		if w.held() == nil {
			t.Error("no lease")
		}
	})
}

func TestRequesting_addressIsTaken_declinedAndAnotherTried(t *testing.T) {
	in(t, func(w *world) {
		n := 0
		w.taken = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.10")}
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			s := serverA
			if m.MessageType() == dhcpv4.MessageTypeDecline {
				n++
			}
			s.addr[3] += byte(n)
			return s.answer(m)
		}
		w.sleep(9 * time.Second)
		l := w.messages()
		if types(l) != "DISCOVER REQUEST DECLINE " {
			t.Fatalf("sent %s", types(l))
		}
		d := l[2].m
		if address(d.RequestedIPAddress()) != w.taken[0] || address(d.ServerIdentifier()) != netip.AddrFrom4(serverA.id) || !address(d.ClientIPAddr).IsUnspecified() {
			t.Errorf("decline %v", d) // RFC 2131 table 5
		}
		w.sleep(12 * time.Second)
		if w.held() == nil || w.held().Addr.Addr() != netip.MustParseAddr("192.0.2.11") {
			t.Errorf("lease %v", w.held())
		}
		if w.has("192.0.2.9/24 from") {
			t.Error("an address of another host was configured")
		}
	})
}

func TestRenewing_newAddressAndOptions_followed(t *testing.T) {
	in(t, func(w *world) {
		w.serve = func(at time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte {
			s := serverA
			s.more = []dhcpv4.Option{raw(3, 192, 0, 2, 254), raw(6, 192, 0, 2, 53), raw(15, []byte("old.example")...)}
			if at > time.Second {
				s.addr[3] = 200
				s.more = []dhcpv4.Option{raw(3, 192, 0, 2, 254), raw(121, 0, 192, 0, 2, 253, 24, 10, 1, 2, 0, 0, 0, 0), raw(26, 0x05, 0x78), raw(6, 192, 0, 2, 54, 192, 0, 2, 55), raw(119, 3, 'n', 'e', 'w', 0), raw(28, 192, 0, 2, 255), raw(42, 192, 0, 2, 123)}
			}
			return s.answer(m)
		}
		w.sleep(time.Second)
		if l := w.held(); l == nil || l.Gateway() != netip.MustParseAddr("192.0.2.254") || len(l.DNS) != 1 || l.Search[0] != "old.example" || l.MTU != 0 {
			t.Fatalf("lease %+v", l)
		}
		w.sleep(400 * time.Second)
		l := w.held()
		if l.Addr.String() != "192.0.2.200/24" || l.Gateway() != netip.MustParseAddr("192.0.2.253") || l.MTU != 1400 || len(l.DNS) != 2 || l.Search[0] != "new" || len(l.NTP) != 1 {
			t.Errorf("lease %+v", l)
		}
		// RFC 3442: the router option does not count beside these.
		if len(l.Routes) != 2 || l.Routes[1].Gateway.IsValid() || l.Routes[1].Dst.String() != "10.1.2.0/24" {
			t.Errorf("routes %v", l.Routes)
		}
	})
}

func TestBound_leaseWithoutEnd_isNeverRenewed(t *testing.T) {
	in(t, func(w *world) {
		s := serverA
		s.time = 1<<32 - 1
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte { return s.answer(m) }
		w.sleep(365 * 24 * time.Hour)
		if got := types(w.messages()); got != "DISCOVER REQUEST " {
			t.Errorf("sent %s", got)
		}
		w.stop()
		if w.held() == nil {
			t.Error("the end of the client took the address away")
		}
	})
}

func TestAnyState_foreignAndBrokenAnswers_ignored(t *testing.T) {
	in(t, func(w *world) {
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) (l [][]byte) {
			spoil := func(f func(a *dhcpv4.DHCPv4)) {
				for _, good := range serverB.answer(m) {
					a, _ := dhcpv4.FromBytes(good)
					f(a)
					l = append(l, a.ToBytes())
				}
			}
			spoil(func(a *dhcpv4.DHCPv4) { a.TransactionID[0] ^= 1 })
			spoil(func(a *dhcpv4.DHCPv4) { a.ClientHWAddr[5] ^= 1 })
			spoil(func(a *dhcpv4.DHCPv4) { a.OpCode = dhcpv4.OpcodeBootRequest })
			spoil(func(a *dhcpv4.DHCPv4) { a.Options.Del(dhcpv4.OptionServerIdentifier) })
			spoil(func(a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptServerIdentifier([]byte{0, 0, 0, 0})) })
			spoil(func(a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeInform)) })
			spoil(func(a *dhcpv4.DHCPv4) { a.Options.Del(dhcpv4.OptionDHCPMessageType) })
			for _, y := range [][]byte{{0, 0, 0, 0}, {127, 0, 0, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}} {
				spoil(func(a *dhcpv4.DHCPv4) { a.YourIPAddr = y })
			}
			for _, good := range serverB.answer(m) {
				for _, n := range []int{0, 1, 100, 239, 240, 241, 250} {
					l = append(l, good[:min(n, len(good))])
				}
			}
			return append(l, serverA.answer(m)...)
		}
		w.sleep(time.Hour)
		if w.held() == nil || w.held().Server != netip.AddrFrom4(serverA.id) {
			t.Errorf("lease %v", w.held())
		}
		if w.has("none") {
			t.Errorf("log %q", w.log)
		}
	})
}

func TestRequesting_uselessACK_startsOverSlowly(t *testing.T) {
	in(t, func(w *world) {
		s := serverA
		s.more = []dhcpv4.Option{raw(1, 255, 0, 255, 0)}
		w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) [][]byte { return s.answer(m) }
		w.sleep(time.Minute)
		if n := len(w.messages()); n < 10 || n > 70 {
			t.Errorf("%d messages in a minute", n)
		}
		if w.held() != nil {
			t.Errorf("lease %v", w.held())
		}
	})
}

// FuzzServer has the client live for an hour with a server that answers what
// the input says: it neither ends nor floods, and configures no nonsense.
func FuzzServer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00"), uint32(800))
	f.Add([]byte("\x02\x05\x06\x05\x06\x05\x06\x02\x05"), uint32(10))
	f.Add([]byte("\x02\x45\x35\xff\x13\x07"), uint32(0))
	f.Fuzz(func(t *testing.T, script []byte, seconds uint32) {
		in(t, func(w *world) {
			next := func() byte {
				if len(script) == 0 {
					return 0
				}
				b := script[0]
				script = append(script[1:], b)
				return b
			}
			w.serve = func(_ time.Duration, _ netip.Addr, m *dhcpv4.DHCPv4) (l [][]byte) {
				s := server{id: [4]byte{192, 0, 2, 1 + next()&3}, addr: [4]byte{next(), 0, 2, next()}, time: seconds}
				switch op := next(); op & 7 {
				case 0:
					return s.answer(m)
				case 1:
					s.more = []dhcpv4.Option{raw(next(), next(), next(), next(), next())}
					return s.answer(m)
				case 2:
					return nil
				case 3:
					return [][]byte{s.reply(m, dhcpv4.MessageType(op>>3))}
				case 4:
					b := s.reply(m, dhcpv4.MessageTypeAck)
					b[int(next())%len(b)] = next()
					return [][]byte{b}
				case 5:
					return append(s.answer(m), s.reply(m, dhcpv4.MessageTypeNak))
				case 6:
					return [][]byte{s.reply(m, dhcpv4.MessageTypeOffer), s.reply(m, dhcpv4.MessageTypeAck)}
				}
				w.taken = append(w.taken[:0], netip.AddrFrom4(s.addr))
				return s.answer(m)
			}
			for range 60 {
				w.sleep(time.Minute)
				if n := len(w.messages()); n > 200 {
					t.Fatalf("%d messages in a minute", n)
				}
				if l := w.held(); l != nil && (!host(l.Addr.Addr()) || l.Addr.Bits() < 1 || l.Time != 0 && l.Time < minLease) {
					t.Errorf("lease %+v", l)
				}
			}
		})
	})
}
