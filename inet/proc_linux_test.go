package inet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"barewire/inet"
	"barewire/napi"
	"barewire/skb/header"
	"github.com/u-root/u-root/pkg/netstat"
)

// The heads of the lists of sockets are Linux's to the byte.
func TestProc_headsOfSocketLists_asLinux(t *testing.T) {
	d, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := inet.New(inet.Config{Net: d})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, name := range []string{"tcp", "udp", "udplite", "raw", "icmp", "packet", "unix"} {
		show, ok := d.Proc().Lookup(name)
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		want, err := os.ReadFile("/proc/net/" + name)
		if err != nil {
			t.Log(err) // not every Linux has UDP-Lite
			continue
		}
		got, _, _ := strings.Cut(string(show(nil)), "\n")
		if head, _, _ := strings.Cut(string(want), "\n"); got != head {
			t.Errorf("%s begins with\n%q, in Linux with\n%q", name, got, head)
		}
	}
}

// u-root's netstat reads the lists, with sockets in them.
func TestProc_socketLists_readByNetstat(t *testing.T) {
	d, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := inet.New(inet.Config{Net: d})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, c := range []struct {
		protocol netstat.Protocol
		typ, num int
		connect  bool
		want     string
	}{
		{netstat.PROT_UDP, syscall.SOCK_DGRAM, 0, false, `^udp +0 +0 +127\.0\.0\.1:4000 +0\.0\.0\.0:0 +CLOSE +$`},
		{netstat.PROT_UDP, syscall.SOCK_DGRAM, 0, true, `^udp +0 +0 +127\.0\.0\.1:4000 +127\.0\.0\.2:53 +ESTABLISHED +$`},
		{netstat.PROT_UDPL, syscall.SOCK_DGRAM, 136, false, `^udplite +0 +0 +127\.0\.0\.1:4000 +0\.0\.0\.0:0 +CLOSE +$`},
		{netstat.PROT_RAW, syscall.SOCK_RAW, 89, false, `^raw +0 +0 +127\.0\.0\.1:89 +0\.0\.0\.0:0 +CLOSE +$`},
	} {
		s, err := n.SockCreate(syscall.AF_INET, c.typ, c.num)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(sockaddr(header.Addr(0x7f000001), 4000)); err != nil {
			t.Fatal(err)
		}
		if c.connect {
			if err := s.Connect(sockaddr(header.Addr(0x7f000002), 53), 0); err != nil {
				t.Fatal(err)
			}
		}
		netstat.ProcnetPath = t.TempDir()
		show, _ := d.Proc().Lookup(string(c.protocol))
		if err := os.WriteFile(filepath.Join(netstat.ProcnetPath, string(c.protocol)), show(nil), 0o666); err != nil {
			t.Fatal(err)
		}
		list, err := netstat.NewSocket(c.protocol)
		if err != nil {
			t.Fatalf("%s: %v", c.protocol, err)
		}
		out, err := netstat.NewOutput(netstat.FmtFlags{NumHosts: true, NumPorts: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := list.SocketsString(false, true, out)
		if err != nil || !regexp.MustCompile("(?m)"+c.want).MatchString(got) {
			t.Errorf("%s: %v, no line like %s in\n%s", c.protocol, err, c.want, got)
		}
		if err := s.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
