package abitest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/inet"
	"barewire/napi"
	"barewire/qemu"
	"barewire/skb/skbtest"
	"barewire/sys"
	"barewire/sys/rtnetlink"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// world is one of the two kernels behind its system calls.
type world struct {
	testing.TB
	call   func(nr uintptr, a [6]uintptr) (uintptr, syscall.Errno)
	sysctl func(name, value string) error
	settle func() // lets what was sent arrive
	own    *inet.Net

	out  []string
	fds  []uintptr
	keep [][]byte // memory whose address a call got
}

// The devices both worlds have.
const (
	ifLo, ifV0, ifV1 int32 = 1, 2, 3
)

var (
	macV0 = [6]byte{2, 0, 0, 0, 0, 1}
	macV1 = [6]byte{2, 0, 0, 0, 0, 2}
	addr0 = [4]byte{192, 0, 2, 1}
	lo4   = [4]byte{127, 0, 0, 1}
)

// ownWorld is this stack, whose softirqs run between the calls.
func ownWorld(t *testing.T) *world {
	n, err := napi.New(napi.Config{})
	must(t, err)
	in, err := inet.New(inet.Config{Net: n})
	must(t, err)
	rt, err := rtnetlink.New(in)
	must(t, err)
	v1, v0, err := napi.NewVethPair(n, "v1", n, "v0") // the peer comes first
	must(t, err)
	if v0.Ifindex() != ifV0 || v1.Ifindex() != ifV1 {
		t.Fatalf("v0 is device %d, v1 %d", v0.Ifindex(), v1.Ifindex())
	}
	must(t, v0.SetHardwareAddr(macV0))
	must(t, v1.SetHardwareAddr(macV1))
	must(t, v0.Open())
	must(t, v1.Open())
	must(t, in.AddAddr(v0, netip.MustParsePrefix("192.0.2.1/24")))
	k := sys.New(sys.Config{
		Clock: n.Clock(), SockCreate: in.SockCreate, Net: n,
		WallClock: func() (int64, int32) { now := time.Now(); return now.Unix(), int32(now.Nanosecond()) },
	})
	w := &world{TB: t, own: in, settle: func() {
		for range 20 { // answers to answers
			n.SoftNet().DoSoftirq()
		}
	}}
	w.call = func(nr uintptr, a [6]uintptr) (uintptr, syscall.Errno) {
		r, _, e := k.Syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		w.settle()
		return r, syscall.Errno(e)
	}
	w.sysctl = func(name, value string) error {
		return n.Sysctl().Set("net."+strings.ReplaceAll(name, "/", "."), value)
	}
	t.Cleanup(func() {
		napi.UnregisterVeth(v0)
		rt.Close()
		in.Close()
	})
	return w
}

// linuxWorld is the kernel under the test. What uses it runs in ns.Do.
func linuxWorld(t *testing.T) (*world, *qemu.Namespace) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("abi")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ns.Close() })
	must(t, ns.Sysctl("ipv6/conf/all/disable_ipv6", "1"))
	must(t, ns.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
	batch := filepath.Join(t.TempDir(), "batch")
	must(t, os.WriteFile(batch, []byte(`link add v0 index 2 address 02:00:00:00:00:01 type veth peer name v1 index 3 address 02:00:00:00:00:02
addr add 192.0.2.1/24 broadcast 192.0.2.255 dev v0
link set v0 up
link set v1 up
`), 0o600))
	must(t, ns.IP("-batch", batch))
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		out, err := ns.Run(5*time.Second, "ip", "-br", "link")
		if must(t, err); strings.Count(out, "LOWER_UP") >= 3 && strings.Count(out, " UP ") >= 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the devices do not come up: %s", out)
		}
	}
	w := &world{TB: t, sysctl: ns.Sysctl, settle: func() { time.Sleep(time.Millisecond) }}
	w.call = func(nr uintptr, a [6]uintptr) (uintptr, syscall.Errno) {
		for {
			r, _, e := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
			if e != syscall.EINTR { // the Go runtime's own signals
				return r, e
			}
		}
	}
	return w, ns
}

// compare runs a script in both worlds.
func compare(t *testing.T, script func(w *world)) {
	t.Parallel() // most of the time goes into waiting for Linux
	linux, ns := linuxWorld(t)
	// A program started now would inherit the descriptors and keep sockets alive.
	syscall.ForkLock.RLock()
	err := ns.Do(func() error { linux.run(script); return nil })
	syscall.ForkLock.RUnlock()
	must(t, err)
	own := ownWorld(t)
	own.run(script)
	before := ""
	for l, o, shown := linux.out, own.out, 0; len(l) > 0 || len(o) > 0; {
		if len(l) > 0 && len(o) > 0 && l[0] == o[0] {
			before = l[0]
			l, o = l[1:], o[1:]
			continue
		}
		if shown++; shown > 60 {
			t.Errorf("and more")
			break
		}
		i, j := meet(l, o)
		t.Errorf("after %s\nLinux %s\n   we %s", before, strings.Join(l[:i], "\n      "), strings.Join(o[:j], "\n      "))
		l, o = l[i:], o[j:]
	}
}

// meet returns how many lines of two lists to pass over for both to go on
// alike.
func meet(l, o []string) (int, int) {
	if len(l) > 1 && len(o) > 1 && l[1] == o[1] {
		return 1, 1
	}
	for n := 1; n < 60; n++ {
		for i := range n + 1 {
			if j := n - i; i < len(l) && j < len(o) && l[i] == o[j] && (i+1 == len(l) || j+1 == len(o) || l[i+1] == o[j+1]) {
				return i, j
			}
		}
	}
	return min(1, len(l)), min(1, len(o))
}

func (w *world) run(script func(w *world)) {
	script(w)
	w.closeAll()
	runtime.KeepAlive(w.keep)
}

func (w *world) closeAll() {
	for _, fd := range slices.Backward(w.fds) {
		w.call(syscall.SYS_CLOSE, [6]uintptr{fd})
	}
	w.fds = nil
}

// note writes down what was seen.
func (w *world) note(format string, v ...any) {
	w.out = append(w.out, fmt.Sprintf(format, v...))
}

// sys makes a call without writing it down.
func (w *world) sys(nr uintptr, a ...uintptr) (uintptr, syscall.Errno) {
	var v [6]uintptr
	copy(v[:], a)
	return w.call(nr, v)
}

// do makes a call and writes down its result.
func (w *world) do(what string, nr uintptr, a ...uintptr) uintptr {
	r, e := w.sys(nr, a...)
	w.note("%s = %d %s", what, int(r), errName(e))
	return r
}

// open makes a call that returns a descriptor; the number is not compared.
func (w *world) open(what string, nr uintptr, a ...uintptr) uintptr {
	fd, e := w.sys(nr, a...)
	w.note("%s: %s", what, errName(e))
	if e == 0 {
		w.fds = append(w.fds, fd)
	}
	return fd
}

func (w *world) socket(family, typ, proto int) uintptr {
	return w.open(fmt.Sprintf("socket(%d,%#x,%#x)", family, typ, proto), syscall.SYS_SOCKET, uintptr(family), uintptr(typ), uintptr(proto))
}

func (w *world) udp() uintptr { return w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0) }

func (w *world) close(fd uintptr) {
	if i := slices.Index(w.fds, fd); i >= 0 {
		w.fds = slices.Delete(w.fds, i, i+1)
	}
	w.do("close", syscall.SYS_CLOSE, fd)
}

// mem returns memory whose address a call may have.
func (w *world) mem(n int) []byte {
	b := make([]byte, n, max(n, 1))
	w.keep = append(w.keep, b)
	return b
}

func (w *world) bytes(b []byte) []byte { return append(w.mem(len(b))[:0], b...) }

func at(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (w *world) bind(fd uintptr, sa []byte) {
	b := w.bytes(sa)
	w.do(fmt.Sprintf("bind %x", sa), syscall.SYS_BIND, fd, at(b), uintptr(len(b)))
}

func (w *world) connect(fd uintptr, sa []byte) {
	b := w.bytes(sa)
	w.do(fmt.Sprintf("connect %x", sa), syscall.SYS_CONNECT, fd, at(b), uintptr(len(b)))
}

func (w *world) setsockopt(fd uintptr, level, name int, val []byte) syscall.Errno {
	b := w.bytes(val)
	_, e := w.sys(syscall.SYS_SETSOCKOPT, fd, uintptr(level), uintptr(name), at(b), uintptr(len(b)))
	w.note("setsockopt %d/%d %x: %s", level, name, val, errName(e))
	return e
}

func (w *world) on(fd uintptr, level, name int) { w.setsockopt(fd, level, name, i32(1)) }

// getsockopt asks with room for n bytes, which are ff before.
func (w *world) getsockopt(fd uintptr, level, name, n int) []byte {
	b, l, e := w.getopt(fd, level, name, n)
	w.note("getsockopt %d/%d of %d: %d %x %s", level, name, n, l, b, errName(e))
	return b
}

func (w *world) getopt(fd uintptr, level, name, n int) ([]byte, int32, syscall.Errno) {
	b, l := w.mem(n), w.bytes(i32(n))
	for i := range b {
		b[i] = 0xff
	}
	_, e := w.sys(syscall.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(name), at(b), at(l))
	return b, int32(binary.NativeEndian.Uint32(l)), e
}

// send sends with sendmsg, never waiting, and lets it arrive.
func (w *world) send(fd uintptr, data, sa, control []byte, flags int) syscall.Errno {
	h := w.msghdr(data, sa, control)
	r, e := w.sys(syscall.SYS_SENDMSG, fd, at(h), uintptr(flags|syscall.MSG_DONTWAIT))
	w.note("send %s to %x control %x flags %#x = %d %s", short(data), sa, control, flags, int(r), errName(e))
	w.settle()
	return e
}

func (w *world) msghdr(data, sa, control []byte) []byte {
	iov, h := w.mem(16), w.mem(56)
	ne := binary.NativeEndian
	ne.PutUint64(iov, uint64(at(w.bytes(data))))
	ne.PutUint64(iov[8:], uint64(len(data)))
	if sa != nil {
		ne.PutUint64(h, uint64(at(w.bytes(sa))))
		ne.PutUint32(h[8:], uint32(len(sa)))
	}
	ne.PutUint64(h[16:], uint64(at(iov)))
	ne.PutUint64(h[24:], 1)
	if control != nil {
		ne.PutUint64(h[32:], uint64(at(w.bytes(control))))
		ne.PutUint64(h[40:], uint64(len(control)))
	}
	return h
}

// received is what recvmsg gave.
type received struct {
	n             int
	data, name    []byte
	control       []byte
	flags         uint32
	errno         syscall.Errno
	nameLen, room int
}

// get receives without writing it down. What should be there may take Linux a
// moment.
func (w *world) get(fd uintptr, size, control, flags int) (r received) {
	for range 5 {
		data, name, c := w.mem(size), w.mem(32), w.mem(control)
		h := w.msghdr(nil, nil, nil)
		ne := binary.NativeEndian
		iov := w.mem(16)
		ne.PutUint64(iov, uint64(at(data)))
		ne.PutUint64(iov[8:], uint64(size))
		ne.PutUint64(h, uint64(at(name)))
		ne.PutUint32(h[8:], 32)
		ne.PutUint64(h[16:], uint64(at(iov)))
		ne.PutUint64(h[32:], uint64(at(c)))
		ne.PutUint64(h[40:], uint64(control))
		n, e := w.sys(syscall.SYS_RECVMSG, fd, at(h), uintptr(flags|syscall.MSG_DONTWAIT))
		r = received{errno: e}
		if e == 0 {
			r.n, r.data = int(n), data[:min(int(n), size)]
			r.nameLen = int(ne.Uint32(h[8:]))
			r.name = name[:min(r.nameLen, 32)]
			r.control = c[:ne.Uint64(h[40:])]
			r.flags = ne.Uint32(h[48:]) &^ syscall.MSG_CMSG_CLOEXEC
			return r
		}
		if e != syscall.EAGAIN {
			return r
		}
		if w.own == nil {
			w.settle()
		}
	}
	return r
}

func (w *world) recv(fd uintptr, size, control, flags int) received {
	r := w.get(fd, size, control, flags)
	w.note("recv %d flags %#x = %d %s from %x control %x flags %#x %s", size, flags, r.n, short(r.data), r.name, r.control, r.flags, errName(r.errno))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func errName(e syscall.Errno) string {
	if e == 0 {
		return "ok"
	}
	return fmt.Sprintf("errno %d (%s)", int(e), e)
}

func short(b []byte) string {
	if len(b) > 100 {
		return fmt.Sprintf("%x...(%d)", b[:20], len(b))
	}
	return fmt.Sprintf("%q", b)
}

func i32(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

func sa4(a [4]byte, port uint16) []byte {
	b := []byte{syscall.AF_INET, 0, byte(port >> 8), byte(port)}
	return append(append(b, a[:]...), make([]byte, 8)...)
}

// cmsg is one item of ancillary data.
func cmsg(level, typ int, data []byte) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(16+len(data)))
	b = append(append(append(b, i32(level)...), i32(typ)...), data...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}
