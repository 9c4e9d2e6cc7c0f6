package qemu

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// DHCP on the image: with QEMU's own server, and with dnsmasq on a TAP.

const userLease = `^eth0: 10\.0\.2\.15/24 from 10\.0\.2\.2 by DHCP, gateway 10\.0\.2\.2, lease 86400 s$`

// Without any ip= the first card asks, and the program does not wait; with
// ip=dhcp it does. Either way it can be reached.
func TestDHCP_userNetwork(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		for _, line := range []string{"", "ip=dhcp"} {
			t.Run(line, func(t *testing.T) {
				m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp), Append: line,
					NICs: []NIC{{Backend: User{Forwards: []Forward{{Proto: "udp", GuestPort: 7}}}}}})
				if line == "" { // the program first
					_, err := m.Console.WaitFor("^echo: listening", bootTime)
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := m.Console.WaitFor(userLease, bootTime); err != nil {
					t.Fatal(err)
				}
				if line != "" {
					if _, err := m.Console.WaitFor("^echo: listening", bootTime); err != nil {
						t.Fatal(err)
					}
				}
				port, err := m.HostPort("udp", 7)
				if err != nil {
					t.Fatal(err)
				}
				conn, err := dialUDP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := firstEcho(conn, 10*time.Second, 100*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// The image's client against dnsmasq: a lease, its renewal at T1, and another
// network's NAK.
func TestDHCP_dnsmasq(t *testing.T) {
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("no dnsmasq (Debian: apt-get install dnsmasq-base)")
	}
	ns := needNamespace(t, "dhcp")
	tap, err := ns.Tap("tap0", hostNet)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.IP("addr", "add", "198.51.100.1/24", "dev", "tap0"); err != nil {
		t.Fatal(err)
	}
	serve := func(args ...string) (stop func() string) {
		ctx, cancel := context.WithCancel(t.Context())
		dir, out := t.TempDir(), &bytes.Buffer{}
		cmd := ns.Command(ctx, "dnsmasq", append([]string{"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=tap0", "--log-dhcp",
			"--dhcp-authoritative", "--user=root", "--no-ping", "--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--pid-file=" + filepath.Join(dir, "pid")}, args...)...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop = func() string { cancel(); cmd.Wait(); return out.String() }
		t.Cleanup(func() { stop() })
		return stop
	}
	stop := serve("--dhcp-range=192.0.2.50,192.0.2.60,255.255.255.0,120", "--dhcp-option-force=option:T1,10")
	m := Start(t, Config{Kernel: image(t, echoApp), Append: "ip=dhcp", NICs: []NIC{{Backend: tap}}})
	lease, err := m.Console.WaitFor(`^eth0: (192\.0\.2\.5[0-9]|192\.0\.2\.60)/24 from 192\.0\.2\.1 by DHCP, gateway 192\.0\.2\.1, lease 120 s$`, bootTime)
	if err != nil {
		t.Fatal(err)
	}
	addr := regexp.MustCompile(`192\.0\.2\.\d+`).FindString(fmt.Sprint(lease))
	if out, err := ns.Run(10*time.Second, "ping", "-q", "-c", "3", "-i", "0.1", addr); err != nil || !strings.Contains(out, " 0% packet loss") {
		t.Errorf("ping: %v\n%s", err, out)
	}
	time.Sleep(12 * time.Second) // T1 goes by
	out := stop()
	if n := strings.Count(out, "DHCPACK("); n != 2 {
		t.Errorf("%d ACKs, want the lease's and a renewal's:\n%s", n, out)
	}
	if n := strings.Count(out, "DHCPDISCOVER("); n != 1 {
		t.Errorf("%d DISCOVERs, want 1:\n%s", n, out)
	}
	serve("--dhcp-range=198.51.100.50,198.51.100.60,255.255.255.0,120")
	if _, err := m.Console.WaitFor(`refuses 192\.0\.2\.\d+ \(wrong network\); starting over`, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Console.WaitFor(`^eth0: 198\.51\.100\.\d+/24 from 198\.51\.100\.1 by DHCP`, 20*time.Second); err != nil {
		t.Fatal(err)
	}
}
