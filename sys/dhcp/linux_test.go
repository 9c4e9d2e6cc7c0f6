package dhcp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"barewire/qemu"
	"barewire/sys/lease"
)

// Tests against a real server: dnsmasq in another network namespace of Linux.

// link is two namespaces with a cable between them: server at 192.0.2.1.
type link struct {
	t              *testing.T
	server, client *qemu.Namespace
	mac            net.HardwareAddr
	index          int

	mu  sync.Mutex
	log []string
}

func newLink(t *testing.T) *link {
	t.Helper()
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("no dnsmasq (Debian: apt-get install dnsmasq-base)")
	}
	l := &link{t: t}
	for _, ns := range []**qemu.Namespace{&l.server, &l.client} {
		n, err := qemu.NewNamespace("dhcp")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		*ns = n
	}
	for _, args := range []string{
		"link add srv0 type veth peer name eth0 netns " + l.client.Name,
		"addr add 192.0.2.1/24 dev srv0",
		"addr add 198.51.100.1/24 dev srv0",
		"link set srv0 up",
	} {
		if err := l.server.IP(strings.Fields(args)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.client.IP("link", "set", "eth0", "up"); err != nil {
		t.Fatal(err)
	}
	if err := l.client.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			l.mac, l.index = i.HardwareAddr, i.Index
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// dnsmasq serves until the returned function is called, which returns its log.
func (l *link) dnsmasq(args ...string) (stop func() string) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	var out bytes.Buffer
	dir := l.t.TempDir()
	cmd := l.server.Command(ctx, "dnsmasq", append([]string{"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=srv0", "--bind-interfaces",
		"--log-dhcp", "--dhcp-authoritative", "--user=root", "--no-ping", "--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--pid-file=" + filepath.Join(dir, "pid")}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	var once sync.Once
	stop = func() string {
		once.Do(func() { cancel(); cmd.Wait() })
		return out.String()
	}
	l.t.Cleanup(func() {
		s := stop()
		if l.t.Failed() {
			l.t.Logf("dnsmasq says:\n%s", s)
		}
	})
	return stop
}

// set configures the client's namespace as a kernel would.
func (l *link) set(from, to *lease.Lease) error {
	if from != nil && (to == nil || from.Addr != to.Addr) {
		if err := l.client.IP("addr", "del", from.Addr.String(), "dev", "eth0"); err != nil {
			return err
		}
	}
	if to == nil || from != nil && from.Addr == to.Addr {
		return nil
	}
	if err := l.client.IP("addr", "add", to.Addr.String(), "dev", "eth0"); err != nil {
		return err
	}
	for _, r := range to.Routes {
		if r.Gateway.IsValid() {
			if err := l.client.IP("route", "replace", r.Dst.String(), "via", r.Gateway.String(), "dev", "eth0"); err != nil {
				return err
			}
		}
	}
	return nil
}

// run runs a client until the test ends and returns the leases it sets.
func (l *link) run() <-chan *lease.Lease {
	leases := make(chan *lease.Lease, 16)
	ctx, cancel := context.WithCancel(context.Background())
	c := New(Config{
		Device: "eth0", Index: l.index, HWAddr: [6]byte(l.mac), Hostname: "guest",
		Set: func(from, to *lease.Lease) error {
			err := l.set(from, to)
			leases <- to
			return err
		},
		Log: func(s string) { l.t.Log(s); l.mu.Lock(); defer l.mu.Unlock(); l.log = append(l.log, s) },
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.client.Do(func() error { c.Run(ctx); return nil })
	}()
	l.t.Cleanup(func() { cancel(); <-done })
	return leases
}

func (l *link) next(leases <-chan *lease.Lease, limit time.Duration) *lease.Lease {
	l.t.Helper()
	select {
	case got := <-leases:
		return got
	case <-time.After(limit):
		l.t.Fatalf("nothing configured in %v", limit)
		return nil
	}
}

func TestLinux_dnsmasqLeaseRenewalAndNAK(t *testing.T) {
	l := newLink(t)
	stop := l.dnsmasq("--dhcp-range=192.0.2.50,192.0.2.60,255.255.255.0,120", "--dhcp-option-force=option:T1,10", "--dhcp-option-force=option:T2,100",
		"--dhcp-option=option:router,192.0.2.1", "--dhcp-option=option:dns-server,192.0.2.7,192.0.2.8", "--dhcp-option=option:mtu,1400",
		"--domain=example.net", "--dhcp-option=option:domain-search,example.net,example.org",
		"--dhcp-option=option:classless-static-route,203.0.113.0/24,192.0.2.9,0.0.0.0/0,192.0.2.1")
	leases := l.run()
	first := l.next(leases, 15*time.Second)
	a := first.Addr
	if want := netip.MustParsePrefix("192.0.2.0/24"); a.Masked() != want || first.Server != netip.MustParseAddr("192.0.2.1") || first.MTU != 1400 ||
		first.Time != 120*time.Second || first.Renew != 10*time.Second || fmt.Sprint(first.DNS) != "[192.0.2.7 192.0.2.8]" ||
		fmt.Sprint(first.Search) != "[example.net example.org]" || first.Gateway() != first.Server ||
		fmt.Sprint(first.Routes) != "[{203.0.113.0/24 192.0.2.9} {0.0.0.0/0 192.0.2.1}]" {
		t.Errorf("the lease is %+v", first)
	}
	if want := a.String() + " from 192.0.2.1 by DHCP, gateway 192.0.2.1, lease 120 s"; first.String() != want {
		t.Errorf("the lease is told as %q, want %q", first, want)
	}
	if renewed := l.next(leases, 20*time.Second); renewed == nil || renewed.Addr != a {
		t.Fatalf("after T1 the lease is %v", renewed)
	}
	out := stop()
	if n := strings.Count(out, "DHCPDISCOVER("); n != 1 {
		t.Errorf("%d DISCOVERs, want 1", n)
	}
	if n := strings.Count(out, "DHCPACK("); n < 2 {
		t.Errorf("%d ACKs, want the lease's and a renewal's", n)
	}
	if !strings.Contains(out, "client provides name: guest") {
		t.Error("the server was not told the host name")
	}
	// Another network now: the server refuses to renew the address.
	l.dnsmasq("--dhcp-range=198.51.100.50,198.51.100.60,255.255.255.0,120")
	for got := first; ; {
		if got = l.next(leases, 20*time.Second); got == nil {
			break // taken away
		}
	}
	other := l.next(leases, 20*time.Second)
	if other == nil || !netip.MustParsePrefix("198.51.100.0/24").Contains(other.Addr.Addr()) {
		t.Fatalf("after the NAK the lease is %v", other)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(strings.Join(l.log, "\n"), "refuses "+a.Addr().String()) {
		t.Errorf("the log does not tell of the NAK: %q", l.log)
	}
}

// An address that somebody else has is declined, and another one taken.
func TestLinux_takenAddress_declined(t *testing.T) {
	l := newLink(t)
	taken := [4]byte{192, 0, 2, 50}
	var f *os.File
	if err := l.server.Do(func() (err error) {
		i, err := net.InterfaceByName("srv0")
		if err == nil {
			f, err = (&sockets{&Config{Device: "srv0", Index: i.Index}}).raw(syscall.ETH_P_ARP)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	go func() { // a host that has it
		for b := make([]byte, 2048); ; {
			n, err := f.Read(b)
			if err != nil {
				return
			}
			if mac := [6]byte{2, 9, 9, 9, 9, 9}; claims(b[:n], mac, taken) {
				reply := probe(mac, [4]byte(b[28:32]))
				reply[21] = 2
				copy(reply[28:], taken[:])
				f.Write(reply)
			}
		}
	}()
	// The server gives this host the taken address until it has been declined.
	stop := l.dnsmasq("--dhcp-range=192.0.2.50,192.0.2.51,255.255.255.0,120", "--dhcp-sequential-ip")
	got := l.next(l.run(), 30*time.Second)
	if got == nil || got.Addr.String() != "192.0.2.51/24" {
		t.Errorf("the lease is %v", got)
	}
	if out := stop(); !strings.Contains(out, "DHCPDECLINE(") {
		t.Error("the server was not told")
	}
}
