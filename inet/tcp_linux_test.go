package inet_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/qemu"
	"barewire/skb"
	"barewire/skb/header"
)

// tcpLinux is a stack and the Linux kernel at both ends of a TAP: 192.0.2.1 is
// Linux, 192.0.2.2 the stack.
func tcpLinux(t *testing.T, offload bool) (*qemu.Namespace, *inet.Net) {
	t.Helper()
	ns, f := qemu.StartTap(t, "tcp", qemu.MAC{2, 0, 0, 0, 0, 9})
	stack, err := napi.New(napi.Config{})
	check(t, err)
	n, err := inet.New(inet.Config{Net: stack})
	check(t, err)
	tap, err := hosted.AttachTap(stack, "eth0", f, hosted.TapConfig{Addr: [6]byte{2, 0, 0, 0, 0, 9}, TSO: offload})
	check(t, err)
	check(t, tap.Device().Open())
	check(t, n.AddAddr(tap.Device(), netip.MustParsePrefix("192.0.2.2/24")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { stack.SoftNet().Run(stop) })
	t.Cleanup(func() {
		tap.Device().Close()
		n.Close()
		close(stop)
		wg.Wait()
		for range 50 {
			stack.SoftNet().DoSoftirq()
		}
		tap.Close()
		if b, p := stack.SKB().InUse(), stack.SKB().Pool().InUse(); b != 0 || p != 0 {
			t.Errorf("%d packets, %d pages not returned", b, p)
		}
	})
	return ns, n
}

var linuxIP = header.AddrFrom4([4]byte{192, 0, 2, 1})

// echoThrough writes data to w, and wants it back from r.
func echoThrough(t *testing.T, who string, w io.Writer, r io.Reader, closeWrite func() error, data []byte) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := w.Write(data); err != nil {
			t.Errorf("%s: write: %v", who, err)
		}
		if err := closeWrite(); err != nil {
			t.Errorf("%s: close: %v", who, err)
		}
	})
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%s: %d of %d bytes came back: %v", who, len(got), len(data), err)
	}
	wg.Wait()
}

// TestTCPLinux_bothWays talks to the Linux kernel: connections from both sides,
// every byte there and back, over a clean cable and one that loses.
func TestTCPLinux_bothWays_everyByte(t *testing.T) {
	for _, c := range []struct {
		name    string
		offload bool
		loss    float64 // in each direction
		size    int
	}{
		{"clean", false, 0, 4 << 20},
		{"offload", true, 0, 16 << 20},
		{"lossy", false, 0.02, 400 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns, n := tcpLinux(t, c.offload)
			if c.loss > 0 {
				for _, p := range []netfilter.Point{netfilter.PreRouting, netfilter.PostRouting} {
					n.Hooks().Register(p, 0, func(*skb.Buff, *netfilter.State) netfilter.Verdict {
						if rand.Float64() < c.loss {
							return netfilter.Drop
						}
						return netfilter.Accept
					})
				}
			}
			data := make([]byte, c.size)
			for i := range data {
				data[i] = pattern(7, i)
			}
			// Linux listens.
			var l net.Listener
			check(t, ns.Do(func() (err error) { l, err = net.Listen("tcp4", "192.0.2.1:7777"); return err }))
			defer l.Close()
			go func() {
				s, err := l.Accept()
				if err != nil {
					return
				}
				defer s.Close()
				io.Copy(s, s)
			}()
			s, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
			check(t, err)
			blocking(t, s)
			check(t, s.Connect(sockaddr(linuxIP, 7777), 0))
			echoThrough(t, "to Linux", conn{s}, conn{s}, func() error { return s.Shutdown(syscall.SHUT_WR) }, data)
			check(t, s.Release())
			// We listen.
			ls, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
			check(t, err)
			check(t, ls.Bind(sockaddr(0, 80)))
			check(t, ls.Listen(5))
			blocking(t, ls)
			done := make(chan error, 1)
			go func() {
				s, err := ls.Accept(0)
				if err == nil {
					blocking(t, s)
					_, err = io.Copy(conn{s}, conn{s})
					s.Release()
				}
				done <- err
			}()
			var cn net.Conn
			check(t, ns.Do(func() (err error) { cn, err = net.Dial("tcp4", "192.0.2.2:80"); return err }))
			echoThrough(t, "from Linux", cn, cn, cn.(*net.TCPConn).CloseWrite, data)
			cn.Close()
			check(t, <-done)
			check(t, ls.Release())
			// Refused.
			r, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
			check(t, err)
			if err := r.Connect(sockaddr(linuxIP, 9), 0); err != syscall.ECONNREFUSED {
				t.Errorf("connect to nobody: %v", err)
			}
			r.Release()
			check(t, ns.Do(func() error {
				if c, err := net.Dial("tcp4", "192.0.2.2:9"); err == nil {
					c.Close()
					return fmt.Errorf("somebody listens on port 9")
				} else if !strings.Contains(err.Error(), "refused") {
					return err
				}
				return nil
			}))
		})
	}
}
