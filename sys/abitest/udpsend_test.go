package abitest

import (
	"fmt"
	"syscall"
	"testing"
)

func TestSend_whatLeaves(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		rx := w.packet(syscall.SOCK_DGRAM, ethIP)
		w.bind(rx, ll(ethIP, ifV1))
		w.on(rx, solPacket, 23)
		// hide leaves out what chance makes: identification and the sums over it,
		// and UDP's, which may be left to the device.
		hide := func(p []byte) {
			hideIdent(p, 0)
			if n := int(p[0]&15) * 4; len(p) >= n+8 && p[9] == 17 && p[6]&0x1f == 0 && p[7] == 0 {
				clear(p[n+6 : n+8])
			}
		}
		seen := func() {
			for range 8 {
				r := w.get(rx, 3000, 0, 0)
				if r.errno != 0 {
					return
				}
				hide(r.data)
				w.note("leaves: %d %s to %x", r.n, short(r.data), r.name[10:11])
			}
		}
		fd := w.udp()
		w.bind(fd, sa4(addr0, 4000))
		to := sa4(peer, 9)
		say := func(what string, control []byte, flags int) {
			w.send(fd, []byte(what), to, control, flags)
			seen()
		}
		say("plain", nil, 0)
		for _, o := range []struct {
			level, name int
			val         []byte
		}{
			{0, syscall.IP_TTL, i32(3)}, {0, syscall.IP_TTL, i32(-1)}, {0, syscall.IP_TOS, i32(0xb8)}, {0, syscall.IP_TOS, []byte{0x13}}, {0, syscall.IP_TOS, i32(0)},
			{0, 10, i32(0)}, {0, 10, i32(1)}, {0, 10, i32(2)}, {0, 10, i32(3)}, {0, 10, i32(4)}, {0, 10, i32(5)}, {0, 10, i32(1)},
			{0, syscall.IP_OPTIONS, []byte{7, 7, 4, 0, 0, 0, 0}}, {0, syscall.IP_OPTIONS, []byte{148, 4, 0, 0}}, {0, syscall.IP_OPTIONS, []byte{68, 8, 5, 0, 0, 0, 0, 0}}, {0, syscall.IP_OPTIONS, nil},
			{1, 11, i32(1)}, {1, 11, i32(0)}, {1, syscall.SO_DONTROUTE, i32(1)}, {1, syscall.SO_DONTROUTE, i32(0)},
		} {
			w.setsockopt(fd, o.level, o.name, o.val)
			if len(o.val) == 8 {
				continue // it would hold the time of day
			}
			say("option", nil, 0)
		}
		pktinfo := func(dev int, src [4]byte) []byte {
			return cmsg(0, syscall.IP_PKTINFO, append(append(i32(dev), src[:]...), 0, 0, 0, 0))
		}
		for _, c := range [][]byte{
			cmsg(0, 2, i32(9)), cmsg(0, 1, i32(0x20)), cmsg(0, 1, []byte{0x20}), pktinfo(0, addr0), pktinfo(ifV0i, [4]byte{}), pktinfo(int(ifLo), [4]byte{}), pktinfo(99, [4]byte{}), pktinfo(0, [4]byte{9, 9, 9, 9}), pktinfo(0, lo4),
			append(cmsg(0, 2, i32(9)), cmsg(0, 1, i32(4))...), cmsg(0, 7, []byte{7, 7, 4, 0, 0, 0, 0}), cmsg(17, 99, nil), cmsg(136, 1, nil), cmsg(0, 8, make([]byte, 11)), cmsg(1, 36, i32(1))[:19], cmsg(1, 36, i32(1))[:16],
			append(i32(0), cmsg(0, 2, i32(9))...), append(cmsg(0, 2, i32(9)), 1, 2, 3),
		} {
			say("control", c, 0)
		}
		// Sizes, whole and in pieces.
		for _, disc := range []int{1, 2, 0} {
			w.setsockopt(fd, 0, 10, i32(disc))
			for _, n := range []int{0, 1, 1471, 1472, 1473, 2952, 3000} {
				w.send(fd, make([]byte, n), to, nil, 0)
				seen()
			}
		}
		w.setsockopt(fd, 0, 10, i32(1))
		// Corked.
		w.send(fd, []byte("a"), to, nil, 0x8000)
		w.send(fd, []byte("b"), sa4(peer, 10), cmsg(0, 2, i32(9)), 0x8000)
		w.send(fd, make([]byte, 1600), nil, nil, 0)
		seen()
		w.on(fd, 17, 1)
		w.send(fd, []byte("corked "), to, nil, 0)
		w.send(fd, []byte("and "), to, nil, 0)
		w.send(fd, []byte("more"), nil, nil, 0)
		seen()
		w.setsockopt(fd, 17, 1, i32(0))
		seen()
		w.send(fd, make([]byte, 40000), to, nil, 0x8000)
		w.send(fd, make([]byte, 40000), to, nil, 0)
		w.send(fd, []byte("after that"), to, nil, 0)
		seen()
		w.do("shutdown", syscall.SYS_SHUTDOWN, fd, 1)
		w.send(fd, []byte("x"), to, nil, 0)
		w.close(fd)
		fd = w.udp()
		w.bind(fd, sa4(addr0, 4000))
		// To many.
		for _, a := range [][4]byte{{192, 0, 2, 255}, {255, 255, 255, 255}, {224, 0, 0, 9}, {239, 1, 2, 3}} {
			w.send(fd, []byte("to many"), sa4(a, 9), nil, 0)
			seen()
		}
		w.on(fd, 1, syscall.SO_BROADCAST)
		for _, dev := range []string{"", "v0"} {
			if dev != "" {
				w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, []byte(dev))
			}
			for _, a := range [][4]byte{{192, 0, 2, 255}, {255, 255, 255, 255}, {239, 1, 2, 3}} {
				w.send(fd, []byte("to many"), sa4(a, 9), nil, 0)
				seen()
			}
		}
		for _, v := range []int{0, 1, 9} {
			w.setsockopt(fd, 0, syscall.IP_MULTICAST_TTL, i32(v))
			w.send(fd, []byte("to a group"), sa4([4]byte{239, 1, 2, 3}, 9), nil, 0)
			seen()
		}
		w.setsockopt(fd, 0, syscall.IP_MULTICAST_IF, append(make([]byte, 8), i32(ifV0i)...))
		free := w.udp()
		w.setsockopt(free, 0, syscall.IP_MULTICAST_IF, append(make([]byte, 8), i32(ifV0i)...))
		w.send(free, []byte("by choice"), sa4([4]byte{239, 1, 2, 3}, 9), nil, 0)
		for range 2 {
			r := w.get(rx, 99, 0, 0)
			w.note("by choice: %d %v", r.n, r.errno == 0 && string(r.data[12:16]) == string(addr0[:]))
		}
		// Where no route leads.
		for i, a := range [][4]byte{{9, 9, 9, 9}, {0, 0, 0, 0}, {240, 0, 0, 1}, {127, 0, 0, 9}} {
			s := w.udp()
			w.send(s, []byte("where"), sa4(a, 9), nil, 0)
			w.connect(s, sa4(a, 9))
			w.note("%s", fmt.Sprint(i))
			w.send(s, []byte("where"), nil, nil, 0)
		}
		// UDP-Lite and what its checksum covers.
		lite := w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 136)
		w.bind(lite, sa4(addr0, 4000))
		for _, v := range []int{0, 8, 7, 12, 100} {
			w.setsockopt(lite, 136, 10, i32(v))
			w.send(lite, []byte("partly checked"), to, nil, 0)
			seen()
		}
	})
}
