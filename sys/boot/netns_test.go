package boot

import (
	"encoding/binary"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
)

// thread names the goroutine, as the runtime's port does.
func thread() uint64 {
	var b [64]byte
	s := string(b[:runtime.Stack(b[:], false)])
	id, _ := strconv.ParseUint(strings.Fields(s)[1], 10, 64)
	return id
}

func withThread(m *Machine) { m.Thread = thread }

const (
	sysSetns    = 308
	cloneNewnet = 0x40000000
	msBind      = 0x1000
)

func (m *machine) open(path string, flags uintptr) uintptr {
	m.t.Helper()
	return m.must(syscall.SYS_OPEN, str(path), flags, 0o644)
}

func str(s string) uintptr {
	b := append([]byte(s), 0)
	return ptr(&b[0])
}

func (m *machine) inode(fd uintptr) uint64 {
	m.t.Helper()
	var st syscall.Stat_t
	p := new(syscall.Stat_t)
	m.must(syscall.SYS_FSTAT, fd, ptr(p))
	st = *p
	return st.Ino
}

// devices lists what /proc/net/dev has.
func (m *machine) devices() string {
	m.t.Helper()
	fd := m.open("/proc/net/dev", 0)
	defer m.must(syscall.SYS_CLOSE, fd)
	b := make([]byte, 4096)
	n := m.must(syscall.SYS_READ, fd, ptr(&b[0]), uintptr(len(b)))
	var l []string
	for _, s := range strings.Split(string(b[:n]), "\n")[2:] {
		if name, _, ok := strings.Cut(strings.TrimSpace(s), ":"); ok {
			l = append(l, name)
		}
	}
	return strings.Join(l, " ")
}

// rtnl makes a request of the namespace the caller is in and returns its
// error.
func (m *machine) rtnl(typ int, flags int, fixed []byte, attrs ...*nl.RtAttr) syscall.Errno {
	m.t.Helper()
	r := nl.NewNetlinkRequest(typ, flags|syscall.NLM_F_ACK)
	r.AddData(fixedPart(fixed))
	for _, a := range attrs {
		r.AddData(a)
	}
	b := r.Serialize()
	fd := m.must(syscall.SYS_SOCKET, syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	defer m.must(syscall.SYS_CLOSE, fd)
	m.must(syscall.SYS_SENDTO, fd, ptr(&b[0]), uintptr(len(b)), 0, 0, 0)
	in := make([]byte, 8192)
	m.must(syscall.SYS_RECVFROM, fd, ptr(&in[0]), uintptr(len(in)), syscall.MSG_DONTWAIT, 0, 0)
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(in[16:])))
}

type fixedPart []byte

func (f fixedPart) Len() int          { return len(f) }
func (f fixedPart) Serialize() []byte { return f }

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func ifinfo(index, flags, mask uint32) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b[4:], index)
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], mask)
	return b
}

func (m *machine) setUp(name string, addr ...byte) {
	m.t.Helper()
	if e := m.rtnl(syscall.RTM_NEWLINK, 0, ifinfo(0, 1, 1), nl.NewRtAttr(syscall.IFLA_IFNAME, append([]byte(name), 0))); e != 0 {
		m.t.Fatalf("%s up: %v", name, e)
	}
	if addr == nil {
		return
	}
	var index uint32
	for i := range uint32(10) {
		p := new([40]byte)
		fd := m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		binary.NativeEndian.PutUint32(p[16:], i)
		if _, e := m.call(syscall.SYS_IOCTL, fd, 0x8910, ptr(p)); e == 0 && strings.TrimRight(string(p[:16]), "\x00") == name {
			index = i
		}
		m.must(syscall.SYS_CLOSE, fd)
	}
	f := append([]byte{syscall.AF_INET, 24, 0, 0}, u32(index)...)
	if e := m.rtnl(syscall.RTM_NEWADDR, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, f, nl.NewRtAttr(1, addr), nl.NewRtAttr(2, addr)); e != 0 {
		m.t.Fatalf("address of %s: %v", name, e)
	}
}

// A program makes a namespace, names it, fills it and talks to it, the way
// vishvananda/netns and ip netns do; what is in it ends with it.
func TestNamespaces_asProgramsMakeThem(t *testing.T) {
	m := newMachine(t, lineA+" quiet", 1, withThread)
	first := m.open("/proc/self/task/1/ns/net", 0)
	if got := m.devices(); got != "lo eth0" {
		t.Fatalf("devices %q", got)
	}
	m.must(syscall.SYS_UNSHARE, cloneNewnet)
	second := m.open("/proc/thread-self/ns/net", 0)
	if a, b := m.inode(first), m.inode(second); a == b {
		t.Errorf("both are %d", a)
	}
	if got := m.devices(); got != "lo" {
		t.Errorf("devices of the new one %q", got)
	}
	// Others are where they were, and so is who they start.
	done := make(chan string)
	go func() { done <- m.devices() }()
	if got := <-done; got != "lo eth0" {
		t.Errorf("another goroutine has %q", got)
	}
	if r, e := m.call(syscall.SYS_IOCTL, second, 0xb703, 0); e != 0 || r != cloneNewnet {
		t.Errorf("NS_GET_NSTYPE: %#x %v", r, e)
	}
	// A name for it, as ip netns add gives one.
	m.must(syscall.SYS_MKDIR, str("/run/netns"), 0o755)
	m.must(syscall.SYS_CLOSE, m.open("/run/netns/blue", syscall.O_CREAT|syscall.O_EXCL))
	if _, e := m.call(sysSetns, m.open("/run/netns/blue", 0), cloneNewnet); e != syscall.EINVAL {
		t.Errorf("setns to a file: %v", e)
	}
	m.must(syscall.SYS_MOUNT, str("/proc/self/task/1/ns/net"), str("/run/netns/blue"), str("bind"), msBind, 0)
	if _, e := m.call(syscall.SYS_UNLINK, str("/run/netns/blue")); e != syscall.EBUSY {
		t.Errorf("unlink of a mount: %v", e)
	}
	named := m.open("/run/netns/blue", 0)
	if a, b := m.inode(named), m.inode(second); a != b {
		t.Errorf("the name is %d, the namespace %d", a, b)
	}
	m.must(syscall.SYS_CLOSE, second)
	m.must(sysSetns, first, cloneNewnet)
	if got := m.devices(); got != "lo eth0" {
		t.Errorf("back: %q", got)
	}

	// A pair, its peer made there.
	li := nl.NewRtAttr(syscall.IFLA_LINKINFO, nil)
	li.AddRtAttr(1, []byte("veth"))
	peer := li.AddRtAttr(2, nil).AddRtAttr(1, ifinfo(0, 0, 0))
	peer.AddRtAttr(syscall.IFLA_IFNAME, []byte("v1\x00"))
	peer.AddRtAttr(28, u32(uint32(named))) // IFLA_NET_NS_FD
	if e := m.rtnl(syscall.RTM_NEWLINK, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, ifinfo(0, 0, 0), nl.NewRtAttr(syscall.IFLA_IFNAME, []byte("v0\x00")), li); e != 0 {
		t.Fatalf("veth: %v", e)
	}
	// The card moves there, under another name.
	eth0 := uint32(m.Net.DevByName("eth0").Ifindex())
	if e := m.rtnl(syscall.RTM_NEWLINK, 0, ifinfo(eth0, 0, 0), nl.NewRtAttr(28, u32(uint32(named))), nl.NewRtAttr(syscall.IFLA_IFNAME, []byte("wan\x00"))); e != 0 {
		t.Fatalf("moving eth0: %v", e)
	}
	for _, c := range []struct {
		what string
		want syscall.Errno
		attr *nl.RtAttr
	}{
		{"lo", syscall.EINVAL, nl.NewRtAttr(28, u32(uint32(named)))},
		{"bad descriptor", syscall.EBADF, nl.NewRtAttr(28, u32(999))},
		{"a file", syscall.EINVAL, nl.NewRtAttr(28, u32(0))},
		{"no process", syscall.ESRCH, nl.NewRtAttr(19, u32(77))},
		{"no number", syscall.EINVAL, nl.NewRtAttr(46, u32(77))},
	} {
		if e := m.rtnl(syscall.RTM_NEWLINK, 0, ifinfo(1, 0, 0), c.attr); e != c.want {
			t.Errorf("moving lo, %s: %v, want %v", c.what, e, c.want)
		}
	}
	if got := m.devices(); got != "lo v0" {
		t.Errorf("here: %q", got)
	}
	m.setUp("v0", 10, 1, 0, 1)
	m.must(sysSetns, named, 0)
	if got := m.devices(); got != "lo v1 wan" && got != "lo wan v1" {
		t.Errorf("there: %q", got)
	}
	m.setUp("v1", 10, 1, 0, 2)
	m.setUp("lo")
	server := m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	m.must(syscall.SYS_BIND, server, ptr(&[16]byte{2, 0, 0, 9, 10, 1, 0, 2}), 16)
	m.must(sysSetns, first, 0)

	// A socket stays in the namespace it was made in.
	client := m.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	m.must(syscall.SYS_SENDTO, client, ptr(&[4]byte{'p', 'i', 'n', 'g'}), 4, 0, ptr(&[16]byte{2, 0, 0, 9, 10, 1, 0, 2}), 16)
	in := new([16]byte)
	if n := m.must(syscall.SYS_RECVFROM, server, ptr(in), 16, 0, 0, 0); string(in[:n]) != "ping" {
		t.Errorf("received %q", in[:n])
	}
	m.must(syscall.SYS_CLOSE, client)

	// When nothing stands for it any more, it ends.
	m.must(syscall.SYS_CLOSE, named)
	m.must(syscall.SYS_UMOUNT2, str("/run/netns/blue"), 2)
	if _, e := m.call(syscall.SYS_UMOUNT2, str("/run/netns/blue"), 0); e != syscall.EINVAL {
		t.Errorf("umount again: %v", e)
	}
	m.must(syscall.SYS_UNLINK, str("/run/netns/blue"))
	if got := m.devices(); got != "lo v0" {
		t.Errorf("while a socket stands for it: %q", got)
	}
	m.must(syscall.SYS_CLOSE, server)
	for range 100 {
		if m.devices() == "lo wan" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := m.devices(); got != "lo wan" {
		t.Errorf("after its end: %q", got)
	}
	m.must(syscall.SYS_CLOSE, first)
}

// There is a bound, and without the runtime's help there are no others.
func TestNamespaces_bounded(t *testing.T) {
	m := newMachine(t, "ip=off quiet", 0, withThread)
	first := m.open("/proc/self/ns/net", 0)
	var fds []uintptr
	var e syscall.Errno
	for range 100 {
		if _, e = m.call(syscall.SYS_UNSHARE, cloneNewnet); e != 0 {
			break
		}
		fds = append(fds, m.open("/proc/self/ns/net", 0))
	}
	if e != syscall.ENOSPC || len(fds) < 8 {
		t.Errorf("%d namespaces, then %v", len(fds), e)
	}
	m.must(sysSetns, first, 0)
	for _, fd := range fds {
		m.must(syscall.SYS_CLOSE, fd)
	}
	m.must(syscall.SYS_UNSHARE, cloneNewnet)
	m.must(sysSetns, first, 0)
	m.must(syscall.SYS_CLOSE, first)

	n := newMachine(t, "ip=off quiet", 0)
	if _, e := n.call(syscall.SYS_UNSHARE, cloneNewnet); e != syscall.EINVAL {
		t.Errorf("without threads: %v", e)
	}
}

// A card works in the namespace it was moved to, and again when it is back.
func TestNamespaces_movedCardCarriesTraffic(t *testing.T) {
	a, b := newMachine(t, "ip=off quiet", 2, withThread), newMachine(t, lineB+" quiet", 3)
	connect(t, a, b)
	srv := b.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	b.must(syscall.SYS_BIND, srv, ptr(&[16]byte{2, 0, 0, 7}), 16)
	done := make(chan struct{})
	go func() { // sends back what it gets
		defer close(done)
		buf, from, size := new([64]byte), new([16]byte), new(int32)
		for {
			*size = 16
			n, e := b.call(syscall.SYS_RECVFROM, srv, ptr(buf), 64, 0, ptr(from), ptr(size))
			if e != 0 || string(buf[:n]) == "quit" {
				return
			}
			b.call(syscall.SYS_SENDTO, srv, ptr(buf), n, 0, ptr(from), uintptr(*size))
		}
	}()
	talk := func(where, say string, answered bool) {
		t.Helper()
		c := a.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		defer a.must(syscall.SYS_CLOSE, c)
		a.must(syscall.SYS_SETSOCKOPT, c, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, ptr(&syscall.Timeval{Sec: 5}), 16)
		a.must(syscall.SYS_SENDTO, c, ptr(&[4]byte{say[0], say[1], say[2], say[3]}), 4, 0, ptr(sockaddr(3, 7)), 16)
		if !answered {
			return
		}
		in := new([64]byte)
		if n := a.must(syscall.SYS_RECVFROM, c, ptr(in), 64, 0, 0, 0); string(in[:n]) != say {
			t.Errorf("%s: answer %q", where, in[:n])
		}
	}
	first := a.open("/proc/self/ns/net", 0)
	a.must(syscall.SYS_UNSHARE, cloneNewnet)
	second := a.open("/proc/self/ns/net", 0)
	a.must(sysSetns, first, 0)
	move := func(to uintptr) {
		t.Helper()
		// By name: the number may be another's there.
		if e := a.rtnl(syscall.RTM_NEWLINK, 0, ifinfo(0, 0, 0), nl.NewRtAttr(syscall.IFLA_IFNAME, []byte("eth0\x00")), nl.NewRtAttr(28, u32(uint32(to)))); e != 0 {
			t.Fatalf("moving eth0: %v", e)
		}
		a.must(sysSetns, to, 0)
		a.setUp("eth0", 192, 0, 2, 2)
	}
	move(second)
	talk("there", "ping", true)
	move(first)
	talk("back", "pong", true)
	talk("back", "quit", false)
	<-done
	a.must(syscall.SYS_CLOSE, second)
	a.must(syscall.SYS_CLOSE, first)
}
