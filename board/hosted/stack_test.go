package hosted_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/board/hosted"
	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/qemu"
)

// The whole stack, as the image has it, in this process.

// stack is an Internet family with its softirqs running.
type stack struct {
	*inet.Net
	dev *napi.NetDevice
}

// newStack makes a stack; attach gives it its device. It ends with the test,
// and all of its memory must be back then.
func newStack(t testing.TB, addr string, attach func(*napi.Net) (*napi.NetDevice, func(), error)) *stack {
	t.Helper()
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { n.SoftNet().Run(stop); close(done) }()
	family, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	dev, detach, err := attach(n)
	if err == nil {
		err = dev.Open()
	}
	if err == nil {
		err = family.AddAddr(dev, netip.MustParsePrefix(addr))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		detach()
		family.Close()
		close(stop)
		<-done
		if b, p := n.SKB().InUse(), n.SKB().Pool().InUse(); b != 0 || p != 0 {
			t.Errorf("%d skbs and %d pages were not given back", b, p)
		}
	})
	return &stack{family, dev}
}

func sockaddr(a netip.AddrPort) (b [16]byte) {
	b[0] = syscall.AF_INET
	binary.BigEndian.PutUint16(b[2:], a.Port())
	ip := a.Addr().As4()
	copy(b[4:], ip[:])
	return b
}

// udp returns a socket of the stack bound to port.
func (s *stack) udp(t testing.TB, port uint16) *sock.Socket {
	t.Helper()
	sk, err := s.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	sa := sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err := sk.Bind(sa[:]); err != nil {
		t.Fatal(err)
	}
	return sk
}

// echo sends back whatever arrives at sk until it is released, from a goroutine
// that done waits for.
func echo(sk *sock.Socket) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		var m sock.Msg
		for {
			m.Iov = [][]byte{buf}
			n, err := sk.RecvMsg(&m, 0)
			if err != nil || n == 0 && m.NameLen == 0 {
				return
			}
			m.Iov[0] = buf[:n]
			sk.SendMsg(&m, 0)
		}
	}()
	return done
}

func receive(sk *sock.Socket, buf []byte) (int, error) {
	m := sock.Msg{Iov: [][]byte{buf}}
	return sk.RecvMsg(&m, syscall.MSG_DONTWAIT)
}

// Two stacks, a bad cable, virtual time: what arrives at the sockets is what was
// sent, or nothing. The checksums see every corrupted frame, and the neighbour
// tables find their way through losses.
func TestStack_EchoOverBadWire(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		w, err := hosted.NewWire(hosted.WireConfig{Seed: seed, Loss: 0.05, Duplicate: 0.05, Corrupt: 0.05, Reorder: 0.1,
			Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, ReorderBy: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		on := func(last byte) func(*napi.Net) (*napi.NetDevice, func(), error) {
			return func(n *napi.Net) (*napi.NetDevice, func(), error) {
				dev, err := w.Attach(n, "eth%d", [6]byte{2, 0, 0, 0, 0, last})
				return dev, func() { w.Close(); n.UnregisterNetdev(dev) }, err
			}
		}
		a, b := newStack(t, "192.0.2.1/24", on(1)), newStack(t, "192.0.2.2/24", on(2))
		server, client := b.udp(t, 7), a.udp(t, 4000)
		done := echo(server)

		const count = 1000
		want := func(seq int) []byte {
			p := make([]byte, 8+seq)
			binary.BigEndian.PutUint64(p, uint64(seq))
			for i := 8; i < len(p); i++ {
				p[i] = byte(seq*31 + i)
			}
			return p
		}
		buf := make([]byte, 4096)
		seen := make(map[int]int)
		collect := func() {
			for {
				n, err := receive(client, buf)
				if err == syscall.EAGAIN {
					return
				}
				if err != nil { // an unreachable neighbour: the loss was on ARP
					continue
				}
				seq := int(binary.BigEndian.Uint64(buf))
				if !bytes.Equal(buf[:n], want(seq)) {
					t.Fatalf("datagram %d came back as %x", seq, buf[:n])
				}
				seen[seq]++
			}
		}
		to := sockaddr(netip.MustParseAddrPort("192.0.2.2:7"))
		send := func(i int) {
			m := sock.Msg{Iov: [][]byte{want(i)}, NameLen: len(to)}
			copy(m.Name[:], to[:])
			client.SendMsg(&m, 0)
			time.Sleep(5 * time.Millisecond)
			collect()
		}
		// The first until one comes back: a lost ARP request costs a second.
		for len(seen) == 0 {
			send(0)
		}
		for i := range count {
			send(i)
		}
		time.Sleep(time.Second)
		collect()
		// Both ways lose 5 % and spoil 5 %: 0.9 · 0.9 come back, and doubles.
		if n := len(seen); n < count*70/100 || n > count*92/100 {
			t.Errorf("%d of %d datagrams came back", n, count)
		}
		twice := 0
		for _, n := range seen {
			if n > 1 {
				twice++
			}
		}
		if twice == 0 {
			t.Error("no datagram came back twice on a wire that doubles")
		}
		client.Release()
		server.Release()
		<-done
	})
}

// The Linux kernel at the other end of a TAP: ping of many sizes, and echoes.
func TestStack_LinuxPeer(t *testing.T) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("stack")
	if err != nil {
		t.Skip(err)
	}
	defer ns.Close()
	for _, args := range [][]string{
		{"tuntap", "add", "dev", "tap0", "mode", "tap", "vnet_hdr"},
		{"addr", "add", "192.0.2.1/24", "dev", "tap0"},
		{"link", "set", "tap0", "up"},
	} {
		if err := ns.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
	s := newStack(t, "192.0.2.2/24", func(n *napi.Net) (*napi.NetDevice, func(), error) {
		var f *os.File
		if err := ns.Do(func() (err error) { f, err = hosted.OpenTap("tap0", true); return err }); err != nil {
			return nil, nil, err
		}
		tap, err := hosted.AttachTap(n, "eth%d", f, hosted.TapConfig{Addr: tapAddr})
		if err != nil {
			return nil, nil, err
		}
		return tap.Device(), func() { tap.Close() }, nil
	})
	server := s.udp(t, 7)
	done := echo(server)
	defer func() { server.Release(); <-done }()

	summary := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)
	for _, args := range [][]string{
		{"-c", "500", "-i", "0.002"}, {"-c", "2000", "-f"}, {"-c", "50", "-i", "0.002", "-s", "1400"},
		{"-c", "50", "-i", "0.002", "-s", "0"}, {"-c", "20", "-i", "0.002", "-s", "20000"}, // in fragments
	} {
		out, err := ns.Run(time.Minute, "ping", append(args, "-q", "192.0.2.2")...)
		if m := summary.FindStringSubmatch(out); err != nil || m == nil || m[1] != args[1] || m[2] != args[1] {
			t.Errorf("ping %v: %v\n%s", args, err, out)
		}
	}
	conn, err := ns.DialUDP(netip.MustParseAddrPort("192.0.2.2:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 65536)
	for i := range 3000 {
		want := bytes.Repeat([]byte{byte(i)}, i%2000) // above 1472: in fragments
		conn.Write(want)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("echo of %d bytes: %d bytes, %v", len(want), n, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if out, err := ns.Command(ctx, "arping", "-c", "2", "-i", "tap0", "192.0.2.2").CombinedOutput(); err != nil &&
		!bytes.Contains(out, []byte("02:00:00:00:00:09")) {
		t.Errorf("arping: %v\n%s", err, out)
	}
	if snmp := string(s.SNMP()); !regexp.MustCompile(fmt.Sprintf(`(?m)^Udp: %d`, 3000)).MatchString(snmp) {
		t.Errorf("the counters do not know of 3000 datagrams:\n%s", snmp)
	}
}
