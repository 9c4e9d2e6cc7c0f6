package abitest

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

// Ethertypes; ethTest is one of those for experiments (IEEE 802).
const (
	ethAll, ethIP, ethARP, ethTest = 3, 0x0800, 0x0806, 0x88b5

	solPacket = 263
)

func htons(v int) int { return v&0xff<<8 | v>>8&0xff }

// ll is a struct sockaddr_ll.
func ll(proto int, dev int32, mac ...byte) []byte {
	b := make([]byte, 20)
	b[0] = syscall.AF_PACKET
	binary.BigEndian.PutUint16(b[2:], uint16(proto))
	binary.NativeEndian.PutUint32(b[4:], uint32(dev))
	b[11] = byte(len(mac))
	copy(b[12:], mac)
	return b
}

func frame(dst, src [6]byte, proto int, payload ...byte) []byte {
	f := append(append([]byte(nil), dst[:]...), src[:]...)
	return append(binary.BigEndian.AppendUint16(f, uint16(proto)), payload...)
}

func (w *world) packet(typ, proto int) uintptr {
	return w.socket(syscall.AF_PACKET, typ, htons(proto))
}

// drain receives everything there is.
func (w *world) drain(what string, fd uintptr) {
	w.note("drain %s", what)
	for range 20 {
		if r := w.recv(fd, 2000, 100, 0); r.errno != 0 {
			return
		}
	}
}

func (w *world) ifreq(fd uintptr, cmd uintptr, name string, union []byte) ([]byte, syscall.Errno) {
	b := w.mem(40)
	copy(b[:16], name)
	copy(b[16:], union)
	_, e := w.sys(syscall.SYS_IOCTL, fd, cmd, at(b))
	return b, e
}

// link sets a device up or down.
func (w *world) link(name string, up bool) {
	fd, _ := w.sys(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	b, _ := w.ifreq(fd, syscall.SIOCGIFFLAGS, name, nil)
	fl := binary.NativeEndian.Uint16(b[16:])
	if up {
		fl |= syscall.IFF_UP
	} else {
		fl &^= syscall.IFF_UP
	}
	_, e := w.ifreq(fd, syscall.SIOCSIFFLAGS, name, binary.NativeEndian.AppendUint16(nil, fl))
	w.note("link %s up %v: %s", name, up, errName(e))
	w.sys(syscall.SYS_CLOSE, fd)
	w.settle()
}

var (
	bcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	other = [6]byte{2, 0, 0, 0, 0, 9}
	group = [6]byte{1, 0, 0x5e, 0, 0, 9}
)

func TestPacket_whatIsReceived(t *testing.T) {
	compare(t, func(w *world) {
		tx := w.packet(syscall.SOCK_RAW, 0)
		w.bind(tx, ll(0, ifV1))
		for _, typ := range []int{syscall.SOCK_RAW, syscall.SOCK_DGRAM} {
			for _, proto := range []int{0, ethAll, ethTest, ethIP} {
				all := w.packet(typ, proto)
				bound := w.packet(typ, proto)
				w.bind(bound, ll(proto, ifV0))
				sender := w.packet(typ, proto)
				w.bind(sender, ll(proto, ifV1))
				for _, fd := range []uintptr{all, bound, sender} {
					w.on(fd, solPacket, 8)
				}
				for _, dst := range [][6]byte{macV0, bcast, group, other} {
					w.send(tx, frame(dst, macV1, ethTest, 'h', 'i'), nil, nil, 0)
				}
				w.send(tx, frame(macV0, macV1, 100, 1, 2, 3), nil, nil, 0)
				w.send(tx, frame(macV0, macV1, ethTest), nil, nil, 0)
				w.drain("any device", all)
				w.drain("v0", bound)
				w.drain("v1", sender)
				w.getsockopt(all, solPacket, 6, 8)
				w.getsockopt(all, solPacket, 6, 12)
				// Changes while it runs.
				w.bind(all, ll(ethTest, 0))
				w.bind(bound, ll(ethAll, ifV1))
				w.bind(sender, ll(0, 0))
				w.send(tx, frame(macV0, macV1, ethTest, 'x'), nil, nil, 0)
				w.drain("any device", all)
				w.drain("v1", bound)
				w.drain("all", sender)
				// Cut short.
				w.bind(all, ll(ethTest, 0))
				w.send(tx, frame(macV0, macV1, ethTest, []byte("0123456789")...), nil, nil, 0)
				w.recv(all, 5, 100, syscall.MSG_PEEK)
				w.recv(all, 5, 10, syscall.MSG_TRUNC)
				for _, fd := range []uintptr{all, bound, sender} {
					w.close(fd)
				}
			}
		}
		// Only what comes in.
		fd := w.packet(syscall.SOCK_RAW, ethAll)
		w.on(fd, solPacket, 23)
		w.send(tx, frame(macV0, macV1, ethTest, 'x'), nil, nil, 0)
		w.drain("ignore outgoing", fd)
		// IP over loopback, as a tap sees it.
		w.setsockopt(fd, solPacket, 23, i32(0))
		w.bind(fd, ll(ethAll, ifLo))
		w.on(fd, solPacket, 8)
		d := w.packet(syscall.SOCK_DGRAM, ethIP)
		u := w.udp()
		w.bind(u, sa4(lo4, 4001))
		w.setsockopt(u, 0, 10, i32(2))
		w.send(u, []byte("to myself"), sa4(lo4, 4001), nil, 0)
		for i, f := range []uintptr{fd, fd, d, d} {
			r := w.get(f, 200, 100, 0)
			if r.errno == 0 && len(r.data) > 28 { // the identification is random, and so is the checksum
				clear(r.data[len(r.data)-37+4 : len(r.data)-37+6])
				clear(r.data[len(r.data)-37+10 : len(r.data)-37+12])
			}
			w.note("loopback %d: %x from %x control %x flags %#x %s", i, r.data, r.name, r.control, r.flags, errName(r.errno))
		}
	})
}

func TestPacket_sending(t *testing.T) {
	compare(t, func(w *world) {
		rx := w.packet(syscall.SOCK_RAW, ethAll)
		w.bind(rx, ll(ethAll, ifV0))
		w.on(rx, solPacket, 23)
		seen := func() {
			for range 3 {
				r := w.get(rx, 3000, 0, syscall.MSG_TRUNC)
				if r.errno != 0 {
					return
				}
				w.note("arrives: %d %s from %x", r.n, short(r.data), r.name)
			}
		}
		raw := w.packet(syscall.SOCK_RAW, 0)
		dgram := w.packet(syscall.SOCK_DGRAM, 0)
		w.send(raw, frame(macV0, macV1, ethTest, 1), nil, nil, 0)
		for _, n := range []int{0, 1, 13, 14, 15, 60, 1514, 1515, 1518, 1519} {
			w.send(raw, frame(macV0, macV1, ethTest, make([]byte, 1600)...)[:n], ll(ethTest, ifV1), nil, 0)
			seen()
			if n >= 14 {
				// A tag makes the frame longer. It goes to nobody: Linux takes tags
				// off where they arrive, this stack's devices leave them.
				w.send(raw, frame(other, macV1, 0x8100, make([]byte, 1600)...)[:n], ll(0x8100, ifLo), nil, 0)
			}
		}
		for _, n := range []int{0, 1, 1500, 1501, 1504, 1505} {
			w.send(dgram, make([]byte, n), ll(ethTest, ifV1, macV0[:]...), nil, 0)
			seen()
		}
		for _, a := range [][]byte{ll(ethTest, 0), ll(ethTest, 99), ll(ethTest, -1), ll(0, ifV1, macV0[:]...), ll(ethAll, ifV1, macV0[:]...), ll(ethTest, ifV1), ll(ethTest, ifV1, 2, 0, 0),
			ll(ethTest, ifV1, 2, 0, 0, 0, 0, 1, 7, 7), ll(ethTest, ifV1, macV0[:]...)[:19], ll(ethTest, ifV1, macV0[:]...)[:18], append(ll(ethTest, ifV1, 1, 2, 3, 4, 5, 6, 7, 8), 9, 9)} {
			w.send(raw, frame(macV0, macV1, ethTest, 'r'), a, nil, 0)
			seen()
			w.send(dgram, []byte("d"), a, nil, 0)
			seen()
			a = append([]byte(nil), a...)
			a[11] = 9
			w.send(dgram, []byte("d"), a, nil, 0)
			seen()
		}
		w.bind(dgram, ll(ethTest, ifV1))
		w.bind(raw, ll(ethTest, ifV1))
		w.send(dgram, []byte("no address"), nil, nil, 0)
		seen()
		w.send(raw, frame(macV0, macV1, 0x1234, 'r'), nil, nil, 0)
		seen()
		w.bind(dgram, ll(ethTest, ifLo))
		w.send(dgram, []byte("to loopback"), nil, nil, 0)
		w.bind(dgram, ll(ethTest, ifV1))
		w.send(raw, frame(macV0, macV1, ethTest, 'm'), nil, cmsg(1, 36, i32(7)), 0)
		w.send(raw, frame(macV0, macV1, ethTest, 'm'), nil, cmsg(1, 37, i32(2)), 0)
		w.send(raw, frame(macV0, macV1, ethTest, 'm'), nil, cmsg(1, 99, i32(7)), 0)
		w.send(raw, frame(macV0, macV1, ethTest, 'm'), nil, cmsg(0, 2, i32(7)), 0)
		seen()
		w.do("shutdown", syscall.SYS_SHUTDOWN, raw, 1)
		w.send(raw, frame(macV0, macV1, ethTest, 's'), nil, nil, 0)
		seen()
		// The virtio-net header.
		for _, o := range []int{15, 24} {
			for _, v := range []int{1, 10, 12, 11, 0, 10} {
				w.setsockopt(dgram, solPacket, o, i32(v))
				w.setsockopt(raw, solPacket, o, i32(v))
				w.getsockopt(raw, solPacket, 15, 4)
				w.getsockopt(raw, solPacket, 24, 4)
			}
		}
		w.setsockopt(rx, solPacket, 15, i32(1))
		w.send(raw, append(make([]byte, 10), frame(macV0, macV1, ethTest, 'v')...), nil, nil, 0)
		seen()
		w.send(raw, make([]byte, 9), nil, nil, 0)
		h := make([]byte, 10)
		h[0], h[6], h[8] = 1, 14, 2
		w.send(raw, append(h, frame(macV0, macV1, ethTest, make([]byte, 20)...)...), nil, nil, 0)
		seen()
		h[6] = 34
		w.send(raw, append(h, frame(macV0, macV1, ethTest, make([]byte, 40)...)...), nil, nil, 0)
		seen()
		h[6] = 200
		w.send(raw, append(h, frame(macV0, macV1, ethTest, make([]byte, 20)...)...), nil, nil, 0)
		seen()
		w.recv(rx, 9, 0, 0)
	})
}

func TestPacket_devicesComeAndGo(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.packet(syscall.SOCK_RAW, ethTest)
		name := func(what string) {
			b, l := w.mem(32), w.bytes(i32(32))
			_, e := w.sys(syscall.SYS_GETSOCKNAME, fd, at(b), at(l))
			w.note("name %s: %x %x %s", what, l, b, errName(e))
		}
		name("fresh")
		w.bind(fd, ll(ethTest, ifV0))
		name("bound")
		w.bind(fd, ll(0, ifV1))
		name("rebound without protocol")
		w.bind(fd, ll(ethIP, ifLo))
		name("rebound to loopback")
		w.bind(fd, ll(ethIP, 99))
		name("to nobody")
		w.bind(fd, ll(ethTest, ifV0))
		w.poll("bound", 0x3fff, fd)
		w.link("v0", false)
		w.poll("down", 0x3fff, fd)
		w.recv(fd, 99, 0, 0)
		w.poll("told", 0x3fff, fd)
		w.send(fd, frame(macV1, macV0, ethTest), nil, nil, 0)
		w.send(fd, frame(macV1, macV0, ethTest), ll(ethTest, ifV0), nil, 0)
		w.bind(fd, ll(ethTest, ifV0))
		w.bind(fd, ll(ethIP, ifV0))
		w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
		name("bound to one that is down")
		w.link("v0", true)
		w.poll("up", 0x3fff, fd)
		w.bind(fd, ll(ethTest, ifV0))
		tx := w.packet(syscall.SOCK_RAW, 0)
		w.send(tx, frame(macV0, macV1, ethTest, 1), ll(ethTest, ifV1), nil, 0)
		w.recv(fd, 99, 0, 0)
		// SO_BINDTODEVICE says nothing here.
		w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, []byte("v1\x00"))
		name("SO_BINDTODEVICE")
	})
}

func TestPacket_memberships(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.packet(syscall.SOCK_RAW, ethTest)
		w.bind(fd, ll(ethTest, ifV0))
		s := w.udp()
		flags := func() {
			b, e := w.ifreq(s, syscall.SIOCGIFFLAGS, "v0", nil)
			w.note("flags %#x %s", binary.NativeEndian.Uint16(b[16:]), errName(e))
		}
		mreq := func(dev int32, typ, alen int, a ...byte) []byte {
			b := binary.NativeEndian.AppendUint32(nil, uint32(dev))
			b = binary.NativeEndian.AppendUint16(b, uint16(typ))
			b = binary.NativeEndian.AppendUint16(b, uint16(alen))
			return append(append(b, a...), make([]byte, 8-len(a))...)
		}
		for _, m := range [][]byte{mreq(ifV0, 1, 0), mreq(ifV0, 2, 0), mreq(ifV0, 0, 6, group[:]...), mreq(ifV0, 3, 6, other[:]...)} {
			for _, op := range []int{1, 1, 2, 2, 2} {
				w.setsockopt(fd, solPacket, op, m)
				flags()
			}
		}
		for _, m := range [][]byte{nil, mreq(ifV0, 1, 0)[:15], mreq(99, 1, 0), mreq(0, 1, 0), mreq(ifV0, 4, 0), mreq(ifV0, 9, 6), mreq(ifV0, 0, 5, group[:]...), mreq(ifV0, 0, 0), mreq(ifV0, 0, 7, 1, 2, 3, 4, 5, 6, 7),
			mreq(ifV0, 0, 9), mreq(ifV0, 3, 5, other[:]...), mreq(ifV0, 3, 0), mreq(ifV0, 1, 33), append(mreq(ifV0, 1, 0), 0), append(mreq(ifV0, 1, 0), make([]byte, 24)...), append(mreq(ifV0, 1, 0), make([]byte, 25)...),
			mreq(ifV0, 0, 6, other[:]...)} {
			w.setsockopt(fd, solPacket, 1, m)
			w.setsockopt(fd, solPacket, 2, m)
			flags()
		}
		w.getsockopt(fd, solPacket, 1, 16)
		// What a device in that state takes.
		w.setsockopt(fd, solPacket, 1, mreq(ifV0, 1, 0))
		flags()
		w.close(fd)
		flags()
	})
}

func TestPacket_filtersAndBounds(t *testing.T) {
	compare(t, func(w *world) {
		fd, tx := w.packet(syscall.SOCK_RAW, ethTest), w.packet(syscall.SOCK_RAW, 0)
		w.bind(fd, ll(ethTest, ifV0))
		w.bind(tx, ll(0, ifV1))
		attach := func(what string, insns ...[8]byte) {
			b := w.bytes(w.filter(insns...))
			w.do("attach "+what, syscall.SYS_SETSOCKOPT, fd, 1, 26, at(b), 16)
		}
		send := func() {
			w.send(tx, frame(macV0, macV1, ethTest, []byte("0123456789")...), nil, nil, 0)
			w.send(tx, frame(macV0, macV1, ethTest, []byte("abcdefghij")...), nil, nil, 0)
			w.drain("filtered", fd)
		}
		w.on(fd, solPacket, 8)
		attach("all", ret(255))
		send()
		attach("none", ret(0))
		send()
		attach("20 bytes", ret(20))
		send()
		attach("5 bytes", ret(5))
		send()
		attach("by content", [8]byte{0x30, 0, 0, 0, 14}, [8]byte{0x15, 0, 0, 1, 'a'}, [8]byte{6, 0, 0, 0, 99}, ret(0))
		send()
		attach("by length", [8]byte{0x80}, [8]byte{0x15, 0, 1, 0, 24}, ret(0), ret(99))
		send()
		attach("by type of packet", [8]byte{0x28, 0, 0, 0, 4, 0xf0, 0xff, 0xff}, [8]byte{0x15, 0, 1, 0, 0}, ret(0), ret(99))
		send()
		attach("by protocol", [8]byte{0x28, 0, 0, 0, 0, 0xf0, 0xff, 0xff}, [8]byte{0x15, 0, 0, 1, 0xb5, 0x88}, ret(99), ret(0))
		send()
		attach("by device", [8]byte{0x20, 0, 0, 0, 8, 0xf0, 0xff, 0xff}, [8]byte{0x15, 0, 0, 1, byte(ifV0)}, ret(99), ret(0))
		send()
		attach("beyond the packet", [8]byte{0x30, 0, 0, 0, 200}, ret(99))
		send()
		w.setsockopt(fd, 1, 27, i32(0))
		send()
		w.getsockopt(fd, solPacket, 6, 8)
		// What the queue holds.
		w.setsockopt(fd, 1, syscall.SO_RCVBUF, i32(0))
		w.on(fd, 1, 40)
		for range 10 {
			w.send(tx, frame(macV0, macV1, ethTest, make([]byte, 200)...), nil, nil, 0)
		}
		n := 0
		for {
			r := w.get(fd, 20, 100, 0)
			if r.errno != 0 {
				break
			}
			n++
		}
		b, _, _ := w.getopt(fd, solPacket, 6, 8)
		got, drops := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
		w.note("statistics add up: %v %v", got == 10, int(drops)+n == 10)
		w.getsockopt(fd, solPacket, 6, 8)
		w.send(tx, frame(macV0, macV1, ethTest, 1), nil, nil, 0)
		r := w.get(fd, 20, 100, 0)
		w.note("control after drops: %d bytes", len(r.control))
	})
}

func TestPacket_times(t *testing.T) {
	compare(t, func(w *world) {
		fd, tx := w.packet(syscall.SOCK_RAW, ethTest), w.packet(syscall.SOCK_RAW, 0)
		w.bind(tx, ll(0, ifV1))
		for _, o := range []struct{ name, v int }{{29, 1}, {29, 0}, {35, 1}, {35, 0}, {63, 1}, {64, 1}, {64, 0}, {37, 8}, {37, 8 | 16}, {65, 24}, {37, 0}} {
			w.setsockopt(fd, 1, o.name, i32(o.v))
			w.send(tx, frame(macV0, macV1, ethTest, 1), nil, nil, 0)
			r := w.get(fd, 99, 300, 0)
			w.note("times: %s", cmsgKinds(r.control))
		}
	})
}

// cmsgKinds lists level, type and length of ancillary data, and whether times
// in it are there.
func cmsgKinds(b []byte) string {
	s := ""
	for len(b) >= 16 {
		n := int(binary.NativeEndian.Uint64(b))
		if n < 16 || n > len(b) {
			return s + " bad"
		}
		s += fmt.Sprintf(" %d/%d:%d", binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:]), n-16)
		for i := 16; i+16 <= n && n >= 32; i += 16 {
			s += fmt.Sprint(" ", binary.NativeEndian.Uint64(b[i:]) > 1e9)
		}
		b = b[min((n+7)&^7, len(b)):]
	}
	return s
}
