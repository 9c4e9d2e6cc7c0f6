package abitest

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

// tun is an open /dev/net/tun.
type tun struct {
	*world
	fd uintptr
}

func (w *world) tun() *tun {
	name := w.bytes([]byte("/dev/net/tun\x00"))
	return &tun{w, w.open("open /dev/net/tun", syscall.SYS_OPENAT, 1<<64-100, at(name), syscall.O_RDWR|syscall.O_NONBLOCK, 0)}
}

// set makes a request with a struct ifreq and writes down what it gives.
func (t *tun) set(what string, cmd uintptr, name string, flags uint16) {
	b := t.mem(40)
	copy(b, name)
	binary.NativeEndian.PutUint16(b[16:], flags)
	_, e := t.sys(syscall.SYS_IOCTL, t.fd, cmd, at(b))
	t.note("%s %q %#x: %q %#x %s", what, name, flags, b[:16], binary.NativeEndian.Uint16(b[16:]), errName(e))
}

func (t *tun) arg(what string, cmd, arg uintptr) {
	t.do(fmt.Sprintf("%s %#x", what, arg), syscall.SYS_IOCTL, t.fd, cmd, arg)
}

func (t *tun) num(what string, cmd uintptr, v int) {
	b := t.bytes(i32(v))
	_, e := t.sys(syscall.SYS_IOCTL, t.fd, cmd, at(b))
	t.note("%s %d: %d %s", what, v, int32(binary.NativeEndian.Uint32(b)), errName(e))
}

// read writes down a packet but for what differs by chance: identification and
// checksums of the IP header that follow from it.
func (t *tun) read(n, ip int) {
	t.settle()
	b := t.mem(n)
	r, e := t.sys(syscall.SYS_READ, t.fd, at(b), uintptr(n))
	got := b[:max(0, min(int(r), n))]
	if len(got) >= ip+12 {
		clear(got[ip+4 : ip+6])
		clear(got[ip+10 : ip+12])
	}
	t.note("read %d = %d %x %s", n, int(r), got, errName(e))
}

func (t *tun) write(p []byte) {
	b := t.bytes(p)
	r, e := t.sys(syscall.SYS_WRITE, t.fd, at(b), uintptr(len(p)))
	t.note("write %d = %d %s", len(p), int(r), errName(e))
	t.settle()
}

const (
	tunSetIff, tunGetIff, tunSetPersist, tunSetOffload, tunGetFeatures = 0x400454ca, 0x800454d2, 0x400454cb, 0x400454d0, 0x800454cf
	tunSetVnetHdrSz, tunGetVnetHdrSz, tunSetSndbuf, tunGetSndbuf       = 0x400454d8, 0x800454d7, 0x400454d4, 0x800454d3
	iffTun, iffTap, iffNoPI, iffVnetHdr, iffExcl                       = 1, 2, 0x1000, 0x4000, 0x8000
)

// up gives a device an address and opens it.
func (w *world) up(fd uintptr, name string, a byte) {
	w.ioctl(fd, "SIFADDR", 0x8916, name, sa4([4]byte{10, 9, a, 1}, 0))
	w.ioctl(fd, "SIFNETMASK", 0x891c, name, sa4([4]byte{255, 255, 255, 0}, 0))
	f := w.mem(2)
	binary.NativeEndian.PutUint16(f, syscall.IFF_UP)
	w.ioctl(fd, "SIFFLAGS", 0x8914, name, f)
	w.settle()
}

// echo is an ICMP echo request without checksums where the header says so.
func echo(a byte) []byte {
	p := []byte{0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 1, 0, 0, 10, 9, a, 2, 10, 9, a, 1, 8, 0, 0, 0, 0, 7, 0, 9}
	sum := func(b []byte) uint16 {
		s := uint32(0)
		for i := 0; i < len(b); i += 2 {
			s += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		for s > 0xffff {
			s = s>>16 + s&0xffff
		}
		return ^uint16(s)
	}
	binary.BigEndian.PutUint16(p[10:], sum(p[:20]))
	binary.BigEndian.PutUint16(p[22:], sum(p[20:]))
	return p
}

func TestTun_packets(t *testing.T) {
	compare(t, func(w *world) {
		fd, d := w.udp(), w.tun()
		w.poll("not attached", 0x3fff, d.fd)
		d.read(100, 100)
		d.write(echo(1))
		d.set("TUNGETIFF", tunGetIff, "", 0)
		d.arg("TUNSETPERSIST", tunSetPersist, 1)
		for _, f := range []uint16{0, iffNoPI} {
			d.set("TUNSETIFF", tunSetIff, "bad", f)
		}
		d.set("TUNSETIFF", tunSetIff, "v0", iffTun|iffNoPI)
		d.set("TUNSETIFF", tunSetIff, "t%d", iffTun|iffNoPI)
		d.set("TUNSETIFF", tunSetIff, "again", iffTun|iffNoPI)
		d.set("TUNGETIFF", tunGetIff, "", 0)
		w.poll("down", 0x3fff, d.fd)
		d.write(echo(1))
		w.up(fd, "t0", 1)
		w.ioctl(fd, "GIFFLAGS", 0x8913, "t0", nil)
		w.ioctl(fd, "GIFHWADDR", 0x8927, "t0", nil)
		w.ioctl(fd, "GIFMTU", 0x8921, "t0", nil)
		w.ioctl(fd, "GIFTXQLEN", 0x8942, "t0", nil)
		w.poll("up", 0x3fff, d.fd)
		w.send(fd, []byte("hello"), sa4([4]byte{10, 9, 1, 2}, 4000), nil, 0)
		w.poll("a packet", 0x3fff, d.fd)
		d.read(20, 0) // cut off
		d.read(100, 0)
		d.write(echo(1))
		d.read(100, 0)
		d.write(nil)
		d.write([]byte{0x75, 0, 0})
		d.write([]byte{0x45, 0, 0})
		d.write(make([]byte, 70000))
		d.close(d.fd)
		w.ioctl(fd, "GIFFLAGS", 0x8913, "t0", nil)
	})
}

func TestTun_withPacketInformationAndVnetHeader(t *testing.T) {
	compare(t, func(w *world) {
		fd, d := w.udp(), w.tun()
		w.bind(fd, sa4([4]byte{}, 4500))
		d.set("TUNSETIFF", tunSetIff, "t1", iffTun)
		w.up(fd, "t1", 1)
		w.send(fd, []byte("hello"), sa4([4]byte{10, 9, 1, 2}, 4000), nil, 0)
		d.read(100, 4)
		w.send(fd, []byte("hello"), sa4([4]byte{10, 9, 1, 2}, 4000), nil, 0)
		d.read(3, 4)
		d.read(30, 4)
		d.write(append([]byte{0, 0, 8, 0}, echo(1)...))
		d.read(100, 4)
		d.write([]byte{0, 0, 8})
		d.num("TUNGETVNETHDRSZ", tunGetVnetHdrSz, 0)

		v := w.tun()
		v.set("TUNSETIFF", tunSetIff, "t2", iffTun|iffNoPI|iffVnetHdr)
		v.num("TUNGETVNETHDRSZ", tunGetVnetHdrSz, 0)
		v.num("TUNSETVNETHDRSZ", tunSetVnetHdrSz, 9)
		w.up(fd, "t2", 2)
		w.send(fd, []byte("hello"), sa4([4]byte{10, 9, 2, 2}, 4000), nil, 0)
		v.read(100, 10)
		v.write(append(make([]byte, 10), echo(2)...))
		v.read(100, 10)
		v.num("TUNSETVNETHDRSZ", tunSetVnetHdrSz, 12)
		v.num("TUNGETVNETHDRSZ", tunGetVnetHdrSz, 0)
		v.write(append(make([]byte, 12), echo(2)...))
		v.read(100, 12)
		bad := append([]byte{1, 0, 0, 0, 0, 0, 200, 0, 200, 0, 0, 0}, echo(2)...) // a checksum beyond the end
		v.write(bad)
		v.write(make([]byte, 11))
		v.arg("TUNSETOFFLOAD", tunSetOffload, 1)
		w.send(fd, []byte("hello"), sa4([4]byte{10, 9, 2, 2}, 4000), nil, 0)
		v.read(100, 12)
		v.arg("TUNSETOFFLOAD", tunSetOffload, 3)
		v.arg("TUNSETOFFLOAD", tunSetOffload, 0)
		v.arg("TUNSETOFFLOAD", tunSetOffload, 0x1000)
		v.num("TUNGETSNDBUF", tunGetSndbuf, 0)
		v.num("TUNSETSNDBUF", tunSetSndbuf, 0)
		v.num("TUNSETSNDBUF", tunSetSndbuf, 5000)
		v.num("TUNGETSNDBUF", tunGetSndbuf, 0)
	})
}

func TestTun_tapAndPersistence(t *testing.T) {
	compare(t, func(w *world) {
		fd, d := w.udp(), w.tun()
		d.set("TUNSETIFF", tunSetIff, "", iffTap|iffNoPI)
		w.ioctl(fd, "GIFTXQLEN", 0x8942, "tap0", nil)
		w.up(fd, "tap0", 3)
		d.write(make([]byte, 13))
		d.write(make([]byte, 14))
		w.send(fd, []byte("x"), sa4([4]byte{10, 9, 3, 255}, 4000), nil, 0) // EACCES: a broadcast
		d.arg("TUNSETPERSIST", tunSetPersist, 1)
		d.set("TUNGETIFF", tunGetIff, "", 0)
		o := w.tun()
		o.set("TUNSETIFF", tunSetIff, "tap0", iffTap|iffNoPI)
		o.set("TUNSETIFF", tunSetIff, "tap0", iffTun|iffNoPI)
		o.set("TUNSETIFF", tunSetIff, "tap0", iffTap|iffNoPI|iffExcl)
		d.close(d.fd)
		o.set("TUNSETIFF", tunSetIff, "tap0", iffTap|iffNoPI)
		o.set("TUNGETIFF", tunGetIff, "", 0)
		o.arg("TUNSETPERSIST", tunSetPersist, 0)
		o.close(o.fd)
		w.ioctl(fd, "GIFFLAGS", 0x8913, "tap0", nil)
	})
}
