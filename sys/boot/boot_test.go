package boot

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/sys/lease"
	"barewire/virtio"
	"barewire/virtio/device"
)

// console keeps what is written; there is no input.
type console struct {
	mu   sync.Mutex
	out  strings.Builder
	stop chan struct{}
}

func (c *console) Read([]byte) int { <-c.stop; return 0 }

func (c *console) Write(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// machine is a booted system over a device model.
type machine struct {
	*Booted
	t   testing.TB
	con *console
	dev *device.Net // nil without a device
	mem *device.Memory
	out chan frame // frames it sent
}

// frame is what goes over the cable: with its header, since a checksum that
// was left to the device is left to the other end, as between virtual machines
// of one host.
type frame struct {
	h device.Hdr
	b []byte
}

// newMachine boots; mac 0 means without a network device.
func newMachine(t testing.TB, line string, mac byte, change ...func(*Machine)) *machine {
	t.Helper()
	m := &machine{t: t, con: &console{stop: make(chan struct{})}, mem: device.NewMemory(), out: make(chan frame, 1024)}
	cfg := Machine{
		CommandLine: line,
		About:       func() string { return "a test" },
		Console:     m.con,
		Random:      func(b []byte) { copy(b, "\x11\x22\x33\x44\x55\x66\x77\x88") },
		Memory:      64 << 20,
		Map:         m.mem.Map,
		Stop:        m.con.stop,
	}
	if mac != 0 {
		m.dev = device.New(m.mem, device.Config{
			Features: device.AllFeatures,
			MAC:      [6]byte{2, 0, 0, 0, 0, mac},
			Transmit: func(h device.Hdr, b []byte) { h.NumBuffer = 1; m.out <- frame{h, bytes.Clone(b)} },
		})
		cfg.Devices = []Device{
			{"slot0", func() (virtio.Transport, error) { return nil, fmt.Errorf("slot0: %w", virtio.ErrNoDevice) }},
			{"slot1", func() (virtio.Transport, error) { return virtio.NewMMIO(device.NewMMIO(m.dev).Config()) }},
		}
	}
	for _, c := range change {
		c(&cfg)
	}
	m.Booted = Start(cfg)
	t.Cleanup(m.shutdown)
	return m
}

// shutdown takes everything down and looks for leaks.
func (m *machine) shutdown() {
	m.call(syscall.SYS_CLOSE, 0)
	m.call(436, 0, uintptr(^uint32(0)), 0) // close_range
	if m.Net != nil {
		for _, d := range m.Net.Devs() {
			d.Close()
		}
	}
	if m.Inet != nil {
		m.Inet.Close()
		for _, d := range m.Net.Devs() {
			m.Net.UnregisterNetdev(d)
		}
		if n := m.Net.SKB().InUse(); n != 0 {
			m.t.Errorf("%d packets leaked", n)
		}
		if n := m.Net.SKB().Pool().InUse(); n != 0 {
			m.t.Errorf("%d pages leaked", n)
		}
	}
	close(m.con.stop)
	if m.dev != nil {
		for _, v := range m.dev.Violations() {
			m.t.Errorf("the driver broke a rule: %s", v)
		}
	}
}

// call makes a system call; pointers are made by ptr.
//
//go:uintptrescapes
func (m *machine) call(num uintptr, a ...uintptr) (uintptr, syscall.Errno) {
	var v [6]uintptr
	copy(v[:], a)
	r, _, e := m.Kernel.Syscall(num, v[0], v[1], v[2], v[3], v[4], v[5])
	return r, syscall.Errno(e)
}

//go:uintptrescapes
func (m *machine) must(num uintptr, a ...uintptr) uintptr {
	m.t.Helper()
	r, e := m.call(num, a...)
	if e != 0 {
		m.t.Fatalf("system call %d: %v", num, e)
	}
	return r
}

var sink atomic.Pointer[any] // what is stored here is on the heap

func ptr[T any](p *T) uintptr {
	var v any = p
	sink.Store(&v)
	return uintptr(unsafe.Pointer(p))
}

// connect joins two machines by a cable until the test ends.
func connect(t testing.TB, a, b *machine) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	pump := func(from, to *machine) {
		defer wg.Done()
		for {
			select {
			case f := <-from.out:
				to.dev.Inject(f.h, f.b)
			case <-stop:
				return
			}
		}
	}
	wg.Add(2)
	go pump(a, b)
	go pump(b, a)
	t.Cleanup(func() { close(stop); wg.Wait() })
}

const (
	lineA = "ip=192.0.2.2::192.0.2.1:255.255.255.0:alpha:eth0:off"
	lineB = "ip=192.0.2.3::192.0.2.1:255.255.255.0::eth0:off"
)

func sockaddr(d byte, port uint16) *[16]byte {
	return &[16]byte{2, 0, byte(port >> 8), byte(port), 192, 0, 2, d}
}

// Two systems, driver to system call, over a cable: a server that blocks in
// recvfrom, a client that does too.
func TestStart_udpBetweenTwoMachines(t *testing.T) {
	a, b := newMachine(t, lineA, 2), newMachine(t, lineB, 3)
	connect(t, a, b)
	srv := b.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	b.must(syscall.SYS_BIND, srv, ptr(&[16]byte{2, 0, 0, 7}), 16)
	done := make(chan struct{})
	go func() { // the echo server
		defer close(done)
		buf, from, size := new([2048]byte), new([16]byte), new(int32)
		for {
			*size = 16
			n, e := b.call(syscall.SYS_RECVFROM, srv, ptr(buf), 2048, 0, ptr(from), ptr(size))
			if e != 0 || n == 1 && buf[0] == 'q' {
				return
			}
			b.call(syscall.SYS_SENDTO, srv, ptr(buf), n, 0, ptr(from), uintptr(*size))
		}
	}()
	c := a.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	tv := &syscall.Timeval{Sec: 5}
	a.must(syscall.SYS_SETSOCKOPT, c, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, ptr(tv), 16)
	a.must(syscall.SYS_CONNECT, c, ptr(sockaddr(3, 7)), 16)
	out, in := new([1472]byte), new([2048]byte)
	for n := range 1473 {
		for i := range n {
			out[i] = byte(i*n + n)
		}
		a.must(syscall.SYS_WRITE, c, ptr(out), uintptr(n))
		r := a.must(syscall.SYS_READ, c, ptr(in), 2048)
		if !bytes.Equal(in[:r], out[:n]) {
			t.Fatalf("%d bytes came back as %d, or differ", n, r)
		}
	}
	size := int32(16)
	a.must(syscall.SYS_GETPEERNAME, c, ptr(in), ptr(&size))
	if !bytes.Equal(in[:8], sockaddr(3, 7)[:8]) {
		t.Errorf("peer %v", in[:8])
	}
	a.must(syscall.SYS_WRITE, c, ptr(&[1]byte{'q'}), 1)
	<-done
}

// A datagram to a port nobody has comes back as an error of the connected
// socket: ICMP, error queue, poll and errno in one.
func TestStart_portUnreachable(t *testing.T) {
	a, b := newMachine(t, lineA, 2), newMachine(t, lineB, 3)
	connect(t, a, b)
	c := a.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	a.must(syscall.SYS_CONNECT, c, ptr(sockaddr(3, 9)), 16)
	a.must(syscall.SYS_WRITE, c, ptr(&[1]byte{}), 1)
	fds := &struct {
		fd          int32
		events, rev uint16
	}{int32(c), 1, 0}
	if n := a.must(syscall.SYS_POLL, ptr(fds), 1, 5000); n != 1 || fds.rev&8 == 0 {
		t.Fatalf("poll = %d, events %#x; want POLLERR", n, fds.rev)
	}
	if _, e := a.call(syscall.SYS_READ, c, ptr(new([8]byte)), 8); e != syscall.ECONNREFUSED {
		t.Errorf("read: %v", e)
	}
}

func TestStart_loopbackWithoutDevice(t *testing.T) {
	m := newMachine(t, "", 0)
	s := m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	lo := &[16]byte{2, 0, 0x30, 0x39, 127, 0, 0, 1}
	m.must(syscall.SYS_BIND, s, ptr(lo), 16)
	m.must(syscall.SYS_SENDTO, s, ptr(lo), 4, 0, ptr(lo), 16)
	in := new([16]byte)
	if n := m.must(syscall.SYS_READ, s, ptr(in), 16); n != 4 {
		t.Errorf("read %d bytes", n)
	}
	if out := m.con.String(); out != "" {
		t.Errorf("a machine without devices and parameters says %q", out)
	}
}

func TestStart_console(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		mac        byte
		want       []string // lines, each a part of one
	}{
		{"configured", lineA, 2, []string{
			"eth0: virtio-net, 02:00:00:00:00:02, mtu 1500, link up",
			"eth0: 192.0.2.2/24, gateway 192.0.2.1",
		}},
		{"quiet", "quiet " + lineA, 2, nil},
		{"no_address", "", 2, []string{"mtu 1500", "eth0: no address; the kernel parameter ip= gives one"}},
		{"bad_netmask", "quiet ip=192.0.2.2::192.0.2.1:255.0.255.0::eth0:off", 2, []string{"255.0.255.0"}},
		{"bad_address", "quiet ip=192.0.2.256", 2, []string{"want ip=client::gateway"}},
		{"wrong_device", "quiet ip=192.0.2.2::192.0.2.1:255.255.255.0::eth7:off", 2, []string{`"eth7"`}},
		{"no_device", lineA, 0, []string{"there is no network device"}},
		{"dhcp", "quiet ip=dhcp", 2, []string{"without the DHCP client"}},
		{"off", "quiet ip=off", 2, nil},
		{"sysctl", "quiet sysctl.net.ipv4.ip_default_ttl=63 sysctl.net/ipv4/conf/eth0/rp_filter=1", 2, nil},
		{"sysctl_unknown", "quiet sysctl.net.core.nothing=1", 0, []string{"sysctl.net.core.nothing=1: there is no such setting"}},
		{"sysctl_value", "quiet sysctl.net.ipv4.ip_default_ttl=hot", 0, []string{`does not take this value; it stays "64"`}},
		{"bad_ip_beside_good", "ip=bad " + lineA, 2, []string{"link up", `ip=bad: client address "bad"`, "eth0: 192.0.2.2/24"}},
		{"two_ips", lineA + " ip=198.51.100.2:::255.255.255.0::eth0:off", 2, []string{"link up", "eth0: 192.0.2.2/24", "eth0: 198.51.100.2/24"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, tc.line, tc.mac)
			out := m.con.String()
			lines := strings.SplitAfter(out, "\n")
			if len(lines)-1 != len(tc.want) {
				t.Fatalf("%d lines, want %d: %q", len(lines)-1, len(tc.want), out)
			}
			for i, w := range tc.want {
				if !strings.Contains(lines[i], w) {
					t.Errorf("line %d is %q, want %q in it", i, lines[i], w)
				}
			}
		})
	}
}

// The devices that wait for a DHCP client, and whether the program does.
func TestStart_dhcp(t *testing.T) {
	for line, want := range map[string]string{
		"":                          "eth0",
		"ip=dhcp":                   "eth0 waits",
		"ip=:::::eth0:dhcp ip=dhcp": "eth0 waits",
		"ip=off":                    "",
		lineA:                       "",
		"ip=:::::eth7:dhcp":         "",
	} {
		m := newMachine(t, "quiet "+line, 2, func(m *Machine) { m.DHCP = true })
		got := ""
		for _, d := range m.DHCP {
			got += d.Name()
		}
		if m.DHCPWait {
			got += " waits"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// A lease, its renewal with other routes, and its end.
func TestSetLease_followsTheLease(t *testing.T) {
	m := newMachine(t, "quiet", 2, func(m *Machine) { m.DHCP = true })
	dev := m.DHCP[0]
	gw := netip.MustParseAddr("192.0.2.1")
	first := &lease.Lease{
		Addr: netip.MustParsePrefix("192.0.2.9/24"), MTU: 1400, Hostname: "named",
		Routes: []lease.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gw}},
		DNS:    []netip.Addr{gw},
	}
	state := func() string {
		var l []string
		for _, a := range m.Inet.Addrs() {
			if a.Dev == dev {
				l = append(l, a.Prefix.String())
			}
		}
		for _, r := range m.Inet.Routes() {
			if r.Gateway.IsValid() {
				l = append(l, r.Dst.String()+" via "+r.Gateway.String())
			}
		}
		return strings.Join(l, ", ")
	}
	set := func(from, to *lease.Lease, want string) {
		t.Helper()
		if err := m.SetLease(dev, from, to); err != nil {
			t.Errorf("SetLease: %v", err)
		}
		if got := state(); got != want {
			t.Errorf("after the lease %v: %q, want %q", to, got, want)
		}
	}
	set(nil, first, "192.0.2.9/24, 0.0.0.0/0 via 192.0.2.1")
	if dev.MTU() != 1400 || m.Kernel.Hostname() != "named" {
		t.Errorf("mtu %d, host name %q", dev.MTU(), m.Kernel.Hostname())
	}
	resolv := func(want string) {
		t.Helper()
		var name [20]byte
		var b [200]byte
		copy(name[:], "/etc/resolv.conf")
		fd := m.must(syscall.SYS_OPEN, ptr(&name), syscall.O_RDONLY, 0)
		n := m.must(syscall.SYS_READ, fd, ptr(&b), uintptr(len(b)))
		if got := string(b[:n]); got != want {
			t.Errorf("resolv.conf %q, want %q", got, want)
		}
		m.must(syscall.SYS_CLOSE, fd)
	}
	resolv("nameserver 192.0.2.1\n")
	second := *first
	second.DNS, second.Search = []netip.Addr{netip.MustParseAddr("192.0.2.53")}, []string{"example"}
	second.Routes = []lease.Route{{Dst: netip.MustParsePrefix("198.51.100.0/24"), Gateway: gw}}
	set(first, &second, "192.0.2.9/24, 198.51.100.0/24 via 192.0.2.1")
	resolv("search example\nnameserver 192.0.2.53\n")
	third := second
	third.Addr = netip.MustParsePrefix("192.0.2.10/24")
	third.Broadcast = netip.MustParseAddr("192.0.2.127")
	set(&second, &third, "192.0.2.10/24, 198.51.100.0/24 via 192.0.2.1")
	for _, a := range m.Inet.Addrs() {
		if a.Dev == dev && a.Broadcast != third.Broadcast {
			t.Errorf("broadcast address %v, want %v", a.Broadcast, third.Broadcast)
		}
	}
	far := third // a gateway that is outside of the subnet
	far.Addr = netip.MustParsePrefix("203.0.113.5/32")
	far.Routes = first.Routes
	set(&third, &far, "203.0.113.5/32, 0.0.0.0/0 via 192.0.2.1")
	set(&far, nil, "")
}

func TestStart_debug(t *testing.T) {
	m := newMachine(t, "debug hostname=box", 0)
	m.call(syscall.SYS_PTRACE)
	m.call(syscall.SYS_PTRACE)
	out := m.con.String()
	if !strings.Contains(out, "64 MiB, a test") || !strings.Contains(out, "command line: debug hostname=box") || strings.Count(out, "ptrace") != 1 {
		t.Errorf("console: %q", out)
	}
	if h := m.Kernel.Hostname(); h != "box" {
		t.Errorf("host name %q", h)
	}
}

func TestStart_hostnameFromIP(t *testing.T) {
	if h := newMachine(t, lineA, 2).Kernel.Hostname(); h != "alpha" {
		t.Errorf("host name %q, want ip='s", h)
	}
	if h := newMachine(t, lineA+" hostname=beta", 2).Kernel.Hostname(); h != "beta" {
		t.Errorf("host name %q, want hostname='s", h)
	}
}

// What a broken device does to the boot: a line, and the program runs.
func TestStart_brokenDevices(t *testing.T) {
	for _, tc := range []struct {
		name string
		mac  byte
		dev  func(m *Machine)
		want string
	}{
		{"legacy", 0, func(m *Machine) {
			m.Devices = []Device{{"x", func() (virtio.Transport, error) { return nil, fmt.Errorf("slot: %w", virtio.ErrLegacy) }}}
		}, "slot: legacy virtio device"},
		{"refuses_features", 2, nil, "refuses"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t, "quiet", tc.mac, func(m *Machine) {
				if tc.dev != nil {
					tc.dev(m)
					return
				}
				mem := device.NewMemory()
				d := device.New(mem, device.Config{Features: device.AllFeatures})
				d.Hostile().RefuseFeatures = true
				m.Map = mem.Map
				m.Devices = []Device{{"x", func() (virtio.Transport, error) { return virtio.NewMMIO(device.NewMMIO(d).Config()) }}}
			})
			if out := m.con.String(); !strings.Contains(out, tc.want) {
				t.Errorf("console: %q, want %q", out, tc.want)
			}
			m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		})
	}
}

// The stack's own work on a datagram's way, system call to device and back,
// allocates nothing.
func TestStart_udpAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	m := newMachine(t, "", 0, func(m *Machine) { m.IRQHooks = func(int, func(), func()) {} })
	s := m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	lo := &[16]byte{2, 0, 0x30, 0x39, 127, 0, 0, 1}
	m.must(syscall.SYS_BIND, s, ptr(lo), 16)
	buf, size := new([1400]byte), new(int32)
	pl, pb, ps := ptr(lo), ptr(buf), ptr(size)
	round := func() {
		if _, _, e := m.Kernel.Syscall(syscall.SYS_SENDTO, s, pb, 1400, 0, pl, 16); e != 0 {
			t.Fatal(syscall.Errno(e))
		}
		*size = 16
		for range 100 {
			m.Net.SoftNet().DoSoftirq()
			if n, _, e := m.Kernel.Syscall(syscall.SYS_RECVFROM, s, pb, 1400, syscall.MSG_DONTWAIT, pl, ps); e == 0 {
				if n != 1400 {
					t.Fatalf("%d bytes", n)
				}
				return
			}
			time.Sleep(time.Millisecond) // ksoftirqd has it
		}
		t.Fatal("the datagram did not come")
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(2000, round); n != 0 {
		t.Errorf("%v allocations per datagram", n)
	}
}

// A datagram and its echo between two systems over the device model, every
// layer and both rings included. The two allocations are the cable's, which
// copies each frame.
func BenchmarkUDPRoundTrip(b *testing.B) {
	for _, size := range []int{16, 1472} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			benchRoundTrip(b, uintptr(size))
		})
	}
}

func benchRoundTrip(b *testing.B, size uintptr) {
	x, y := newMachine(b, lineA+" quiet", 2), newMachine(b, lineB+" quiet", 3)
	connect(b, x, y)
	srv := y.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	y.must(syscall.SYS_BIND, srv, ptr(&[16]byte{2, 0, 0, 7}), 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf, from, n := new([2048]byte), new([16]byte), new(int32)
		pb, pf, pn := ptr(buf), ptr(from), ptr(n)
		for {
			*n = 16
			r, _, e := y.Kernel.Syscall(syscall.SYS_RECVFROM, srv, pb, 2048, 0, pf, pn)
			if e != 0 || r == 1 {
				return
			}
			y.Kernel.Syscall(syscall.SYS_SENDTO, srv, pb, r, 0, pf, 16)
		}
	}()
	c := x.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	x.must(syscall.SYS_CONNECT, c, ptr(sockaddr(3, 7)), 16)
	buf := ptr(new([2048]byte))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		x.Kernel.Syscall(syscall.SYS_WRITE, c, buf, size, 0, 0, 0)
		if n, _, e := x.Kernel.Syscall(syscall.SYS_READ, c, buf, 2048, 0, 0, 0); e != 0 || n != size {
			b.Fatalf("read = %d, %v", n, syscall.Errno(e))
		}
	}
	x.must(syscall.SYS_WRITE, c, buf, 1)
	<-done
}
