package qemu

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every knob of ethtool and /sys answers as it should, on a real device.
func TestKnobs_areThere(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		pass(t, Config{Machine: machine, NICs: []NIC{{Backend: User{}}}, Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off"}, "knobs", "check", time.Minute)
	})
}

// knobs boots the echo with kernel parameters and arguments, and returns the
// machine, the namespace at its other end, and a socket to it.
func knobs(t testing.TB, cpus int, parameters, args string) (*VM, *Namespace, *net.UDPConn) {
	t.Helper()
	if err := CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := NewNamespace("knobs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	tap, err := ns.Tap("tap0", hostNet)
	if err != nil {
		t.Fatal(err)
	}
	m := Start(t, Config{Kernel: image(t, guests+"knobs"), CPUs: cpus, Append: ipParam + " " + parameters + " -- " + args, NICs: []NIC{{NoPcap: true, Backend: tap}}})
	if _, err := m.Console.WaitFor("^echoes$", bootTime); err != nil {
		t.Fatal(err)
	}
	c, err := ns.DialUDP(netip.AddrPortFrom(guestIP, 7))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return m, ns, c
}

// ask sends a datagram until one that answers it comes back, and returns that and
// how often it was sent. An answer that was late is not taken for another's.
func ask(t testing.TB, c *net.UDPConn, b []byte, answers func(b []byte) bool) (answer []byte, sent int) {
	t.Helper()
	in := make([]byte, 4096)
	for sent := 1; sent <= 20; sent++ {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		for c.SetReadDeadline(time.Now().Add(time.Second)); ; {
			n, err := c.Read(in)
			if err != nil {
				break
			}
			if answers(in[:n]) {
				return in[:n], sent
			}
		}
	}
	t.Fatal("no answer")
	return nil, 0
}

// counters asks the echo for the driver's counters.
func counters(t testing.TB, c *net.UDPConn) map[string]int {
	t.Helper()
	m := map[string]int{}
	text, _ := ask(t, c, []byte("counters"), func(b []byte) bool { return strings.HasPrefix(string(b), "rx_queue") })
	for line := range strings.Lines(string(text)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		m[name] = n
	}
	return m
}

// echoes makes round trips one after another and returns their median, their
// fastest tenth and what the counters counted meanwhile.
func echoes(t *testing.T, c *net.UDPConn, rounds int) (median, fast time.Duration, counted map[string]int) {
	t.Helper()
	before := counters(t, c)
	took := make([]time.Duration, rounds)
	for i := range took {
		b := fmt.Appendf(nil, "%064d", i)
		start := time.Now()
		if _, sent := ask(t, c, b, func(in []byte) bool { return string(in) == string(b) }); sent > 1 {
			t.Logf("datagram %d was sent %d times", i, sent)
		}
		took[i] = time.Since(start)
	}
	counted = counters(t, c)
	for name, n := range before {
		counted[name] -= n
	}
	slices.Sort(took)
	return took[rounds/2], took[rounds/10], counted
}

// A reader polls the device if busy polling is on; without, there is an
// interrupt for each packet that comes. When nobody talks the machine sleeps
// either way.
func TestKnobs_readersPoll(t *testing.T) {
	const rounds = 300
	for _, x := range []struct {
		name, parameters string
		cpus             int
		busy             bool
	}{
		{"default", "", 1, false},
		{"busy_read", "sysctl.net.core.busy_read=20000", 1, true},
		{"busy_poll", "sysctl.net.core.busy_poll=20000", 1, true},
		{"busy_poll on 2 CPUs", "sysctl.net.core.busy_poll=20000", 2, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			m, _, c := knobs(t, x.cpus, x.parameters, "")
			median, fast, n := echoes(t, c, rounds)
			idle, err := m.CPUShare(500 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("median %v, a tenth below %v, %d interrupts, %d polls (%d by the reader) for %d packets; idle CPU %.1f %%",
				median.Round(time.Microsecond), fast.Round(time.Microsecond), n["interrupts"], n["rx_queue_0_polls"], n["rx_queue_0_busy_polls"], n["rx_queue_0_packets"], 100*idle)
			// What is sent still causes interrupts, when the card is done with it.
			if got := n["rx_queue_0_busy_polls"]; x.busy != (got >= rounds/2) || !x.busy && got != 0 {
				t.Errorf("%d polls by the reader in %d rounds", got, rounds)
			}
			if !x.busy && n["interrupts"] < rounds/2 {
				t.Errorf("%d interrupts for %d packets one after another", n["interrupts"], rounds)
			}
			if idle > 0.5 {
				t.Errorf("an idle guest takes %.0f %% of a processor", 100*idle)
			}
		})
	}
}

// Under a stream of packets polls are followed by pauses if that is asked for;
// how much larger and rarer that makes them depends on the host.
func TestKnobs_pausesBetweenPolls(t *testing.T) {
	const packets = 3000
	for _, x := range []struct{ name, args string }{
		{"default", ""}, {"rx-usecs", "rx-usecs=200"}, {"defer", "defer=1 timeout=200000"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, _, c := knobs(t, 1, "", x.args)
			before := counters(t, c)
			for range packets / 10 {
				for range 10 {
					c.Write(make([]byte, 64))
				}
				time.Sleep(200 * time.Microsecond)
			}
			in := make([]byte, 2048)
			for got := 0; got < packets; got++ { // what is lost is not waited for long
				c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
				if _, err := c.Read(in); err != nil {
					break
				}
			}
			n := counters(t, c)
			for name, v := range before {
				n[name] -= v
			}
			t.Logf("%d packets in %d polls, %d of them followed by a pause, %d interrupts, %d kicks",
				n["rx_queue_0_packets"], n["rx_queue_0_polls"], n["rx_queue_0_deferred"], n["interrupts"], n["tx_queue_0_kicks"])
			if got := n["rx_queue_0_deferred"]; (got > 0) != (x.args != "") {
				t.Errorf("interrupts were kept off %d times", got)
			}
		})
	}
}

// BenchmarkKnobs receives a stream of TCP with and without moderation, in turns:
// what the defaults were chosen by.
func BenchmarkKnobs(b *testing.B) {
	settings := []string{"", "rx-usecs=20", "rx-usecs=100", "defer=1 timeout=50000"}
	for i := range 4 * len(settings) {
		args := settings[i%len(settings)]
		b.Run("with "+args, func(b *testing.B) {
			_, ns, c := knobs(b, 1, "", args)
			var conn net.Conn
			if err := ns.Do(func() (err error) {
				conn, err = net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(guestIP, 9)))
				return err
			}); err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			chunk := make([]byte, 1<<20)
			before := counters(b, c)
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := conn.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			conn.(*net.TCPConn).CloseWrite()
			conn.Read(chunk)
			n := counters(b, c)
			for _, name := range []string{"interrupts", "rx_queue_0_polls", "rx_queue_0_packets"} {
				b.ReportMetric(float64(n[name]-before[name])/float64(b.N), name+"/MB")
			}
		})
	}
}
