package qemu

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Tests against the Linux kernel: the guest's card is a TAP device in a network
// namespace of the host.

// startTapped boots the echo program with its card on a TAP device of ns.
func startTapped(t *testing.T, ns *Namespace, machine string) *VM {
	t.Helper()
	tap, err := ns.Tap("tap0", hostNet)
	if err != nil {
		t.Fatal(err)
	}
	m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp), Append: ipParam, NICs: []NIC{{Backend: tap}}})
	if _, err := m.Console.WaitFor("^echo: listening", bootTime); err != nil {
		t.Fatal(err)
	}
	return m
}

var pingSummary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// pingAll runs ping with the given arguments and fails the test when a reply is
// missing, twice there, or changed.
func pingAll(t *testing.T, ns *Namespace, want int, args ...string) {
	t.Helper()
	start := time.Now()
	out, err := ns.Run(2*time.Minute, "ping", append(args, guestIP.String())...)
	if err != nil {
		t.Error(err)
		return
	}
	m := pingSummary.FindStringSubmatch(out)
	if m == nil {
		t.Errorf("ping says:\n%s", out)
		return
	}
	sent, _ := strconv.Atoi(m[1])
	got, _ := strconv.Atoi(m[2])
	if sent != want || got != want || regexp.MustCompile(`DUP|wrong data|errors`).MatchString(out) {
		t.Errorf("%d sent, %d received, %d wanted:\n%s", sent, got, want, out)
	}
	t.Logf("ping %v: %d of %d in %v", args, got, sent, time.Since(start).Round(time.Millisecond))
}

func TestTap_LinuxPeer(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		ns := needNamespace(t, machine)
		startTapped(t, ns, machine)
		conn, err := ns.DialUDP(netip.AddrPortFrom(guestIP, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := firstEcho(conn, bootTime, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		many := func(n int) int { // fewer of everything with -short
			if testing.Short() {
				return n / 20
			}
			return n
		}

		t.Run("arping", func(t *testing.T) {
			out, err := ns.Run(20*time.Second, "arping", "-c", "3", "-i", "tap0", guestIP.String())
			if err != nil { // iputils' arping names the interface otherwise
				out, err = ns.Run(20*time.Second, "arping", "-c", "3", "-I", "tap0", guestIP.String())
			}
			if err != nil {
				t.Error(err)
			} else if !regexp.MustCompile(`(?i)` + cardMAC.String()).MatchString(out) {
				t.Errorf("arping says:\n%s", out)
			}
		})
		t.Run("ping steady", func(t *testing.T) { pingAll(t, ns, many(1000), "-q", "-c", fmt.Sprint(many(1000)), "-i", "0.002") })
		t.Run("ping flood", func(t *testing.T) { pingAll(t, ns, many(20000), "-q", "-f", "-c", fmt.Sprint(many(20000))) })
		t.Run("ping large", func(t *testing.T) {
			pingAll(t, ns, 100, "-c", "100", "-i", "0.002", "-s", "1400")
			pingAll(t, ns, 100, "-c", "100", "-i", "0.002", "-s", "1472", "-M", "do")
		})
		t.Run("fragments", func(t *testing.T) {
			pingAll(t, ns, 20, "-c", "20", "-i", "0.002", "-s", "20000")
			buf := make([]byte, 1<<16)
			for i, n := range []int{1473, 3000, 9000, 65507} {
				want := pattern(i, n)
				conn.Write(want)
				conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				if got, err := conn.Read(buf); err != nil || !bytes.Equal(buf[:got], want) {
					t.Errorf("echo of %d bytes: %d bytes, %v", n, got, err)
				}
			}
		})
		t.Run("many sockets", func(t *testing.T) {
			const sockets = 20 // two each: what the guest's receive buffer holds
			errs := make(chan error, sockets)
			for range sockets {
				c, err := ns.DialUDP(netip.AddrPortFrom(guestIP, 7))
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					defer c.Close()
					lost, err := echoMany(c, 500, 2)
					if err == nil && lost != 0 {
						err = fmt.Errorf("%d lost", lost)
					}
					errs <- err
				}()
			}
			for range sockets {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
		t.Run("nc", func(t *testing.T) {
			out, err := ns.Run(20*time.Second, "sh", "-c", "echo over netcat | nc -u -w 1 "+guestIP.String()+" 7")
			if err != nil || out != "over netcat\n" {
				t.Errorf("nc: %q, %v", out, err)
			}
		})
		t.Run("UDP echo", func(t *testing.T) {
			start := time.Now()
			count := many(100_000)
			lost, err := echoMany(conn, count, 32)
			d := time.Since(start)
			t.Logf("%d datagrams echoed in %v: %.0f a second", count-lost, d.Round(time.Millisecond), float64(count)/d.Seconds())
			if lost != 0 || err != nil {
				t.Errorf("%d of %d lost, %v", lost, count, err)
			}
		})
		t.Run("closed port", func(t *testing.T) {
			c, err := ns.DialUDP(netip.AddrPortFrom(guestIP, 9))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write([]byte("x"))
			c.SetReadDeadline(time.Now().Add(2 * time.Second))
			// Linux hands the guest's port unreachable to the socket.
			if _, err := c.Read(make([]byte, 10)); err == nil || !regexp.MustCompile("refused").MatchString(err.Error()) {
				t.Errorf("read from a closed port: %v", err)
			}
		})
	})
}

// From the start of QEMU to the first echo that comes back, the best of three:
// the other runs tell more about what else the machine did.
func TestTap_BootToFirstEcho(t *testing.T) {
	const limit = 500 * time.Millisecond
	onEachMachine(t, func(t *testing.T, machine string) {
		ns := needNamespace(t, machine)
		image(t, echoApp)
		best := time.Hour
		for i := range 3 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				tap, err := ns.Tap("tap0", hostNet)
				if err != nil {
					t.Fatal(err)
				}
				// The host would ask again for an unanswered address only after a
				// second: that would measure the host's patience.
				for name, value := range map[string]string{"retrans_time_ms": "5", "mcast_solicit": "1000"} {
					if err := ns.Sysctl("ipv4/neigh/tap0/"+name, value); err != nil {
						t.Fatal(err)
					}
				}
				conn, err := ns.DialUDP(netip.AddrPortFrom(guestIP, 7))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp), Append: ipParam, NICs: []NIC{{Backend: tap}}})
				at, err := firstEcho(conn, bootTime, time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				took := at.Sub(m.Started)
				m.Kill()
				if frames, err := ReadPcap(m.pcap(0)); err != nil || !hasEcho(frames) {
					t.Errorf("the capture does not have the echo: %d frames, %v", len(frames), err)
				}
				t.Logf("first echo after %v", took.Round(time.Millisecond))
				best = min(best, took)
			})
		}
		t.Logf("%s: boot to first echo reply, best of 3: %v", machine, best.Round(time.Millisecond))
		if machine == Microvm && best > limit {
			t.Errorf("best of 3 is %v, more than %v", best, limit)
		}
	})
}

// An image with nothing to do leaves the host's processor alone.
func TestIdle_LeavesTheHostAlone(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m, p, _ := startEcho(t, Config{Machine: machine}, Dgram)
		time.Sleep(time.Second) // what start-up left to do
		share, err := m.CPUShare(4 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("idle: %.2f %% of a core", 100*share)
		if share > 0.05 {
			t.Errorf("an idle image uses %.1f %% of a core", 100*share)
		}
		// Idle is not dead.
		mac, err := p.Resolve(guestIP, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		echoOverWire(t, p, mac, 6000, []byte("still there"))
	})
}

// hasEcho tells whether a capture holds a datagram from the guest's port 7. Its
// checksum need not be there: on a TAP it is left to the host.
func hasEcho(frames []Captured) bool {
	for _, c := range frames {
		f, _ := ParseFrame(c.Data)
		if f != nil && f.IP != nil && f.IP.Proto == ProtoUDP && f.IP.Src == guestIP && bytes.HasPrefix(f.IP.Payload, []byte{0, 7}) {
			return true
		}
	}
	return false
}
