package embed_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/sys/embed"
)

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// pair is two instances joined by a link with a delay.
func pair(t testing.TB, delay time.Duration) (c *hosted.VirtualClock, a, b *embed.Instance) {
	c = hosted.NewVirtualClock()
	var tun [2]*embed.Tun
	var in [2]*embed.Instance
	for i, addr := range []netip.Addr{addrA, addrB} {
		var err error
		if in[i], err = embed.New(embed.Config{Clock: c}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in[i].Close)
		tun[i], err = in[i].NewTun("tun0", func(p []byte) {
			p = append([]byte(nil), p...)
			c.AfterFunc(delay, func() {
				if err := tun[1-i].Receive(p); err != nil {
					t.Error(err)
				}
			})
		})
		if err == nil {
			err = tun[i].Up(netip.PrefixFrom(addr, 24))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c, in[0], in[1]
}

// A datagram and its answer cross a link of 100 ms: both ends block in their
// calls, and exactly 200 ms of virtual time pass.
func TestInstance_echoOverDelay_takesVirtualTime(t *testing.T) {
	c, a, b := pair(t, 100*time.Millisecond)
	port := netip.AddrPortFrom(addrB, 7)
	begin := c.Now()
	err := c.Run(func() {
		server, err := b.Sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Sys.Bind(server, port); err != nil {
			t.Fatal(err)
		}
		c.Go(func() {
			p := make([]byte, 100000)
			n, from, err := b.Sys.Recvfrom(server, p, 0)
			if err != nil || from.Addr() != addrA {
				t.Errorf("server: %v from %v", err, from)
			}
			if _, err := b.Sys.Sendto(server, p[:n], 0, from); err != nil {
				t.Error(err)
			}
		})
		fd, err := a.Sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err == nil {
			err = a.Sys.Connect(fd, port)
		}
		if err != nil {
			t.Fatal(err)
		}
		msg := make([]byte, 40000) // in fragments
		msg[39999] = 9
		if n, err := a.Sys.Write(fd, msg); n != len(msg) || err != nil {
			t.Fatal(n, err)
		}
		clear(msg)
		if n, err := a.Sys.Read(fd, msg); n != len(msg) || err != nil || msg[39999] != 9 {
			t.Error(n, err)
		}
		if err := a.Sys.Close(fd); err != nil {
			t.Error(err)
		}
		if err := b.Sys.Close(server); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Duration(c.Now() - begin); d != 200*time.Millisecond {
		t.Errorf("%v passed, want 200ms", d)
	}
}

func TestInstance_pollTimeout_isExact(t *testing.T) {
	c, a, _ := pair(t, 0)
	err := c.Run(func() {
		fd, err := a.Sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		begin := c.Now()
		n, err := a.Sys.Poll([]embed.PollFd{{Fd: int32(fd), Events: 1}}, 1500)
		if d := time.Duration(c.Now() - begin); n != 0 || err != nil || d != 1500*time.Millisecond {
			t.Errorf("%d, %v after %v", n, err, d)
		}
		a.Sys.Close(fd)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInstance_sysctl_roundTrip(t *testing.T) {
	_, a, _ := pair(t, 0)
	if err := a.SetSysctl("net.ipv4.ip_default_ttl", "17"); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Sysctl("net.ipv4.ip_default_ttl"); v != "17" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := a.SetSysctl("net.ipv4.no_such", "1"); err != syscall.ENOENT {
		t.Errorf("%v, want ENOENT", err)
	}
}

// Over real time calls block the goroutine that makes them, and nothing else is
// needed.
func TestInstance_realTime_blocksTheCaller(t *testing.T) {
	in, err := embed.New(embed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	fd, err := in.Sys.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err == nil {
		err = in.Sys.Bind(fd, netip.MustParseAddrPort("127.0.0.1:0"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Sys.Close(fd)
	name, err := in.Sys.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { in.Sys.Sendto(fd, []byte("hi"), 0, name) })
	p := make([]byte, 10)
	if n, from, err := in.Sys.Recvfrom(fd, p, 0); string(p[:n]) != "hi" || from != name || err != nil {
		t.Errorf("%q from %v, %v", p[:n], from, err)
	}
}
