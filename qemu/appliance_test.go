package qemu

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The router with everything it does, a second image behind it, and the world in a namespace: the client has its address
// by DHCP, a name from the router and one from the world's DNS through it, and a page. What the rules log reaches the
// world's syslog server, and the clock is the world's. The rules come from the host by fw_cfg.
func TestRouter_appliance(t *testing.T) {
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("no dnsmasq (Debian: apt-get install dnsmasq-base)")
	}
	wan := needNamespace(t, "wan")
	must(t, wan.IP("link", "set", "lo", "up"))
	tap := tapNIC(t, wan, "tap0", wanIP+"/24")
	serveTime(t, wan, time.Date(2035, 7, 8, 9, 10, 11, 0, time.UTC))
	messages := serveSyslog(t, wan)
	l := wan.listen(t, ":8000")
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.RemoteAddr) }))
	ctx, cancel := context.WithCancel(t.Context())
	dns := wan.Command(ctx, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--interface=tap0",
		"--bind-interfaces", "--pid-file="+filepath.Join(t.TempDir(), "pid"), "--address=/example.test/"+wanIP)
	dns.Cancel = func() error { return dns.Process.Signal(os.Interrupt) }
	must(t, dns.Start())
	t.Cleanup(func() { cancel(); dns.Wait() })

	rules := filepath.Join(t.TempDir(), "rules")
	must(t, os.WriteFile(rules, []byte(strings.Replace(homeRules, "-A FORWARD -i eth1", `-A FORWARD -i eth1 -j LOG --log-prefix "out: "
-A FORWARD -i eth1`, 1)), 0o644))
	inside, outside, err := NewCable()
	must(t, err)
	router := Start(t, Config{
		Kernel: image(t, "barewire/apps/router"), NICs: []NIC{tap, {Backend: inside, NoPcap: true}},
		Append: staticIP(wanRouter+","+wanIP) + " -- -dns " + wanIP + " -ntp " + wanIP + " -syslog " + wanIP,
		Extra:  []string{"-fw_cfg", "name=opt/org.barewire/rules,file=" + rules},
	})
	if _, err := router.Console.WaitFor(`^router: from eth1 \(192\.168\.1\.1/24\) to eth0 by /sys/firmware/`, bootTime); err != nil {
		t.Fatal(err)
	}
	client := Start(t, Config{
		Kernel: image(t, guests+"lanclient"), NICs: []NIC{{MAC: "52:54:00:12:34:99", Backend: outside, NoPcap: true}},
		Append: "ip=dhcp -- http://example.test:8000/",
	})
	for _, want := range []string{
		`^eth0: 192\.168\.1\.128/24 from 192\.168\.1\.1 by DHCP, gateway 192\.168\.1\.1, lease 43200 s$`,
		`^client: router\.lan is 192\.168\.1\.1$`,
		`^client: http://example\.test:8000/: 200 OK, hello 203\.0\.113\.1:\d+$`,
	} {
		if _, err := client.Console.WaitFor(want, bootTime); err != nil {
			t.Fatal(err)
		}
	}
	w := &natWorld{T: t, vm: router}
	if out := w.ok("leases"); !strings.Contains(out, "\n192.168.1.128   52:54:00:12:34:99 ") {
		t.Errorf("leases: %s", out)
	}
	for _, want := range []string{
		"out: IN=eth1 OUT=eth0 MAC=52:54:00:12:34:57:52:54:00:12:34:99:08:00 SRC=192.168.1.128 DST=203.0.113.2",
		"the clock was ", "router - - - DHCP: 192.168.1.128 is 52:54:00:12:34:99",
	} {
		if !messages.wait(want, 10*time.Second) {
			t.Errorf("no message has %q:\n%v", want, messages.all())
		}
	}
}

// said are the messages a syslog server got.
type said struct {
	mu    sync.Mutex
	lines []string
}

// serveSyslog takes syslog messages in a namespace.
func serveSyslog(t *testing.T, ns *Namespace) *said {
	t.Helper()
	var conn net.PacketConn
	must(t, ns.Do(func() (err error) { conn, err = net.ListenPacket("udp4", ":514"); return err }))
	t.Cleanup(func() { conn.Close() })
	s := &said{}
	go func() {
		for b := make([]byte, 2048); ; {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.lines = append(s.lines, string(b[:n]))
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *said) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// wait waits for a message with some text.
func (s *said) wait(text string, d time.Duration) bool {
	for end := time.Now().Add(d); ; time.Sleep(20 * time.Millisecond) {
		for _, line := range s.all() {
			if strings.Contains(line, text) {
				return true
			}
		}
		if time.Now().After(end) {
			return false
		}
	}
}
