package abitest

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

// hidden are the bytes of frames that differ by chance, from where the IP header
// begins: identification and header checksum.
func hideIdent(b []byte, ip int) {
	if len(b) >= ip+12 {
		clear(b[ip+4 : ip+6])
		clear(b[ip+10 : ip+12])
	}
}

// errqueue notes what the error queue holds; times in it by their presence.
func (w *world) errqueue(fd uintptr, frames int) {
	for range 6 {
		r := w.get(fd, 200, 300, syscall.MSG_ERRQUEUE)
		if r.errno != 0 {
			w.note("error queue: %s", errName(r.errno))
			return
		}
		if frames >= 0 {
			hideIdent(r.data, frames)
		}
		ee := ""
		for b := r.control; len(b) >= 16; {
			n := int(binary.NativeEndian.Uint64(b))
			if t := binary.NativeEndian.Uint32(b[12:]); n <= len(b) && t != 37 && t != 65 {
				ee += fmt.Sprintf(" %x", b[8:n])
			}
			b = b[min((n+7)&^7, len(b)):]
		}
		w.note("error queue: %d %x from %x%s flags %#x:%s", r.n, r.data, r.name, cmsgKinds(r.control), r.flags, ee)
	}
}

func TestTimes_ofSending(t *testing.T) {
	const (
		txSoftware, rxSoftware, software = 1 << 1, 1 << 3, 1 << 4
		optID, txSched, optTSOnly        = 1 << 7, 1 << 8, 1 << 11
	)
	compare(t, func(w *world) {
		to := sa4(lo4, 4001)
		rx := w.udp()
		w.bind(rx, to)
		for _, v := range []int{0, txSoftware, txSoftware | software, txSoftware | software | optID, txSoftware | txSched | software | optID,
			txSoftware | software | optTSOnly, txSoftware | txSched | software | optTSOnly | optID, software, txSched} {
			for _, name := range []int{37, 65} {
				fd := w.udp()
				w.bind(fd, sa4(lo4, 4000))
				w.setsockopt(fd, 1, name, i32(v))
				for _, data := range []string{"one", "two"} {
					w.send(fd, []byte(data), to, nil, 0)
					w.poll("sent", 0x3fff, fd)
				}
				w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
				w.errqueue(fd, 14)
				// One packet may ask for itself, and number itself.
				w.send(fd, []byte("asks"), to, cmsg(1, 37, i32(txSoftware)), 0)
				w.errqueue(fd, 14)
				w.send(fd, []byte("does not"), to, cmsg(1, 37, i32(0)), 0)
				w.errqueue(fd, 14)
				w.send(fd, []byte("number"), to, cmsg(1, 81, i32(77)), 0)
				w.errqueue(fd, 14)
				w.send(fd, []byte("wrong"), to, cmsg(1, 37, i32(software)), 0)
				for w.get(rx, 10, 0, 0).errno == 0 {
				}
				w.close(fd)
			}
		}
		// Other kinds of sockets.
		raw := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		w.setsockopt(raw, 1, 37, i32(txSoftware|software|optID))
		w.send(raw, []byte("raw"), sa4(lo4, 0), nil, 0)
		w.errqueue(raw, 14)
		p := w.packet(syscall.SOCK_RAW, 0)
		w.setsockopt(p, 1, 37, i32(txSoftware|software|optID))
		w.send(p, frame(macV0, macV1, ethTest, 7), ll(ethTest, ifV1), nil, 0)
		w.send(p, frame(macV0, macV1, ethTest, 7), ll(ethTest, ifV1), nil, 0)
		w.poll("sent", 0x3fff, p)
		w.errqueue(p, -1)
		// SCM_TXTIME needs SO_TXTIME.
		u := w.udp()
		w.send(u, []byte("x"), to, cmsg(1, 61, make([]byte, 8)), 0)
		w.setsockopt(u, 1, 61, make([]byte, 8))
		w.send(u, []byte("x"), to, cmsg(1, 61, make([]byte, 8)), 0)
		w.send(u, []byte("x"), to, cmsg(1, 61, make([]byte, 4)), 0)
	})
}

func TestZerocopy_told(t *testing.T) {
	compare(t, func(w *world) {
		const zerocopy = 0x4000000
		to := sa4(lo4, 4001)
		rx := w.udp()
		w.bind(rx, to)
		fd := w.udp()
		w.send(fd, []byte("not asked"), to, nil, zerocopy)
		w.errqueue(fd, -1)
		for _, v := range []int{2, -1, 1, 0, 1} {
			w.setsockopt(fd, 1, 60, i32(v))
			w.getsockopt(fd, 1, 60, 4)
		}
		w.send(fd, []byte("without the flag"), to, nil, 0)
		w.errqueue(fd, -1)
		take := func() {
			for w.get(rx, 9, 0, 0).errno == 0 { // only now is a receiver on this machine done with it
			}
		}
		for range 3 {
			w.send(fd, []byte("with it"), to, nil, zerocopy)
		}
		take()
		w.poll("told", 0x3fff, fd)
		w.errqueue(fd, -1)
		w.send(fd, []byte("one more"), to, nil, zerocopy)
		take()
		w.errqueue(fd, -1)
		w.send(fd, nil, to, nil, zerocopy)
		w.errqueue(fd, -1)
		raw := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		w.setsockopt(raw, 1, 60, i32(1))
	})
}

func TestTimes_ofReceiving(t *testing.T) {
	compare(t, func(w *world) {
		for _, typ := range []int{syscall.SOCK_DGRAM, syscall.SOCK_RAW} {
			rx, tx := w.udp(), w.udp()
			w.bind(rx, sa4(lo4, 4001))
			if typ == syscall.SOCK_RAW {
				rx = w.socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_UDP)
			}
			for _, o := range []struct{ name, v int }{{29, 1}, {35, 1}, {29, 1}, {29, 0}, {63, 1}, {64, 1}, {64, 0}, {37, 8 | 16}, {65, 8 | 16}, {37, 0}} {
				w.setsockopt(rx, 1, o.name, i32(o.v))
				for _, n := range []int{29, 35, 63, 64, 37, 65} {
					w.getsockopt(rx, 1, n, 4)
				}
				w.send(tx, []byte("x"), sa4(lo4, 4001), nil, 0)
				r := w.get(rx, 99, 300, 0)
				w.note("times: %s", cmsgKinds(r.control))
			}
			b := w.mem(16)
			w.do("SIOCGSTAMP", syscall.SYS_IOCTL, rx, 0x8906, at(b))
			w.send(tx, []byte("x"), sa4(lo4, 4001), nil, 0)
			w.get(rx, 99, 0, 0)
			w.do("SIOCGSTAMP", syscall.SYS_IOCTL, rx, 0x8906, at(b))
			w.note("%v", binary.NativeEndian.Uint64(b) > 1e9)
			w.do("SIOCGSTAMPNS", syscall.SYS_IOCTL, rx, 0x8907, at(b))
			w.note("%v", binary.NativeEndian.Uint64(b) > 1e9)
			w.closeAll()
		}
	})
}

func sum(b []byte, start uint32) uint16 {
	s := start
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 != 0 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// ip4 makes an IPv4 packet, options padded to words.
func ip4(src, dst [4]byte, proto, tos, ttl byte, options, payload []byte) []byte {
	h := make([]byte, 20, 60)
	h = append(h, options...)
	h[0], h[1], h[8], h[9] = byte(0x40|len(h)/4), tos, ttl, proto
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	binary.BigEndian.PutUint16(h[10:], sum(h, 0))
	return append(h, payload...)
}

// udp4 makes a datagram without checksum.
func udp4(sport, dport uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	return append(append(b, 0, 0), data...)
}

func icmp4(typ, code byte, rest uint32, data []byte) []byte {
	b := append([]byte{typ, code, 0, 0}, binary.BigEndian.AppendUint32(nil, rest)...)
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[2:], sum(b, 0))
	return b
}

var peer = [4]byte{192, 0, 2, 2} // behind v1, which nobody owns

// neighbour makes the peer's address known, for it never answers.
func (w *world) neighbour() {
	fd, _ := w.sys(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	b := w.mem(68) // struct arpreq
	copy(b, sa4(peer, 0))
	b[16] = 1
	copy(b[18:], macV1[:])
	b[32] = 4 // ATF_PERM
	copy(b[52:], "v0")
	_, e := w.sys(syscall.SYS_IOCTL, fd, 0x8955, at(b))
	w.note("SIOCSARP: %s", errName(e))
	w.sys(syscall.SYS_CLOSE, fd)
}

// inject has a packet arrive on v0.
func (w *world) inject(fd uintptr, packet []byte) {
	w.send(fd, frame(macV0, macV1, ethIP, packet...), ll(ethIP, ifV1), nil, 0)
}

func TestErrors_heardBySockets(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		must(w, w.sysctl("ipv4/conf/all/rp_filter", "0"))
		tx := w.packet(syscall.SOCK_RAW, 0)
		router := [4]byte{192, 0, 2, 254}
		errors := []struct {
			typ, code byte
			rest      uint32
		}{{3, 0, 0}, {3, 1, 0}, {3, 2, 0}, {3, 3, 0}, {3, 4, 1400}, {3, 4, 0}, {3, 5, 0}, {3, 6, 0}, {3, 7, 0}, {3, 8, 0}, {3, 9, 0}, {3, 10, 0}, {3, 11, 0}, {3, 12, 0}, {3, 13, 0}, {3, 14, 0}, {3, 15, 0}, {3, 16, 0}, {4, 0, 0}, {11, 0, 0}, {11, 1, 0}, {12, 0, 0x08000000}, {12, 1, 0}}
		for _, connected := range []bool{false, true} {
			for _, recverr := range []int{0, 1} {
				for _, disc := range []int{0, 1, 2, 3} {
					if disc != 1 && (recverr == 0 || connected) {
						continue
					}
					fd := w.udp()
					w.setsockopt(fd, 0, 10, i32(disc))
					w.setsockopt(fd, 0, 11, i32(recverr))
					w.on(fd, 0, syscall.IP_PKTINFO)
					w.on(fd, 0, syscall.IP_RECVTTL)
					w.on(fd, 0, syscall.IP_RECVTOS)
					w.bind(fd, sa4(addr0, 4000))
					if connected {
						w.connect(fd, sa4(peer, 4009))
					}
					for _, e := range errors {
						quote := ip4(addr0, peer, 17, 0, 60, nil, udp4(4000, 4009, []byte("quoted")))
						w.inject(tx, ip4(router, addr0, 1, 0x10, 33, nil, icmp4(e.typ, e.code, e.rest, quote)))
						w.poll("after it", 0x3fff, fd)
						if e.code&1 == 0 {
							w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
						} else {
							w.recv(fd, 9, 0, 0)
						}
						w.errqueue(fd, -1)
					}
					// Of another connection, and cut short.
					for _, q := range [][]byte{
						ip4(addr0, router, 17, 0, 60, nil, udp4(4000, 4009, []byte("quoted"))), ip4(addr0, peer, 17, 0, 60, nil, udp4(4000, 4010, []byte("quoted"))),
						ip4(addr0, peer, 17, 0, 60, nil, udp4(4001, 4009, nil)), ip4(addr0, peer, 17, 0, 60, nil, udp4(4000, 4009, nil)), ip4(addr0, peer, 17, 0, 60, nil, udp4(4000, 4009, nil)[:7]),
						ip4(addr0, peer, 17, 0, 60, []byte{1, 1, 1, 1}, udp4(4000, 4009, []byte("options"))),
					} {
						w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 3, 0, q)))
						w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
						w.errqueue(fd, -1)
					}
					w.close(fd)
				}
			}
		}
		// More than one error, and what a send says of them.
		fd := w.udp()
		w.on(fd, 0, 11)
		w.bind(fd, sa4(addr0, 4000))
		w.connect(fd, sa4(peer, 4009))
		quote := ip4(addr0, peer, 17, 0, 60, nil, udp4(4000, 4009, []byte("quoted")))
		w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 1, 0, quote)))
		w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 3, 0, quote)))
		w.send(fd, []byte("x"), nil, nil, 0)
		w.send(fd, []byte("x"), nil, nil, 0)
		w.recv(fd, 3, 20, syscall.MSG_ERRQUEUE)
		w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
		w.errqueue(fd, -1)
		w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
		w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 1, 0, quote)))
		w.setsockopt(fd, 0, 11, i32(0))
		w.poll("purged", 0x3fff, fd)
		w.errqueue(fd, -1)
		w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
		// Extensions (RFC 4884).
		w.on(fd, 0, 11)
		for _, on := range []int{0, 1} {
			w.setsockopt(fd, 0, 26, i32(on))
			long := make([]byte, 128)
			copy(long, quote)
			ext := []byte{0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4}
			binary.BigEndian.PutUint16(ext[2:], sum(ext, 0))
			for _, words := range []uint32{0, 32, 31, 33, 40} {
				w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 3, words<<16, append(long, ext...))))
				w.errqueue(fd, -1)
			}
			ext[2] ^= 1
			w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(11, 0, 32<<16, append(long, ext...))))
			w.errqueue(fd, -1)
			ext[0] = 0x10
			w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(12, 0, 32<<16, append(long, ext...))))
			w.errqueue(fd, -1)
			w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 3, 32<<16, long)))
			w.errqueue(fd, -1)
		}
		// Too long for the path that was just learnt.
		w.setsockopt(fd, 0, 10, i32(2))
		w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(3, 4, 1300, quote)))
		w.errqueue(fd, -1)
		w.send(fd, make([]byte, 1400), nil, nil, 0)
		w.errqueue(fd, -1)
		w.getsockopt(fd, 0, 14, 4)
		w.getsockopt(fd, 1, syscall.SO_ERROR, 4)
		// Raw and ping sockets.
		raw := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		w.on(raw, 0, 11)
		must(w, w.sysctl("ipv4/ping_group_range", "0 2147483647"))
		ping := w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
		w.on(ping, 0, 11)
		w.bind(ping, sa4(addr0, 77))
		for _, e := range errors {
			w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(e.typ, e.code, e.rest, ip4(addr0, peer, 253, 0, 60, nil, []byte("quoted packet")))))
			w.getsockopt(raw, 1, syscall.SO_ERROR, 4)
			w.errqueue(raw, -1)
			w.inject(tx, ip4(router, addr0, 1, 0, 33, nil, icmp4(e.typ, e.code, e.rest, ip4(addr0, peer, 1, 0, 60, nil, icmp4(8, 0, 77<<16|1, []byte("echo"))))))
			w.getsockopt(ping, 1, syscall.SO_ERROR, 4)
			w.errqueue(ping, -1)
		}
	})
}

func TestReceive_controlAndFlags(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		tx := w.packet(syscall.SOCK_RAW, 0)
		fd := w.udp()
		w.bind(fd, sa4([4]byte{}, 4000))
		packets := [][]byte{
			ip4(peer, addr0, 17, 0x23, 9, nil, udp4(7, 4000, []byte("plain"))),
			ip4(peer, addr0, 17, 0, 200, []byte{7, 7, 4, 0, 0, 0, 0, 0}, udp4(7, 4000, []byte("record route"))),
			ip4(peer, addr0, 17, 0, 200, []byte{68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0}[:12], udp4(7, 4000, []byte("times"))),
			ip4(peer, [4]byte{192, 0, 2, 255}, 17, 0, 9, nil, udp4(7, 4000, []byte("broadcast"))),
			ip4(peer, [4]byte{255, 255, 255, 255}, 17, 0, 9, nil, udp4(7, 4000, []byte("everybody"))),
			ip4(peer, addr0, 17, 0, 9, nil, udp4(0, 4000, []byte("from port 0"))),
			ip4(peer, addr0, 17, 0, 9, nil, udp4(7, 4000, nil)),
		}
		for _, o := range []int{0, syscall.IP_PKTINFO, syscall.IP_RECVTTL, syscall.IP_RECVTOS, 6, 7, 20, 23, 25, 999} {
			if o != 0 && o != 999 {
				w.on(fd, 0, o)
			}
			for i, p := range packets {
				if i == 2 && (o == 6 || o == 7 || o == 999) {
					continue // it holds the time of day
				}
				w.inject(tx, p)
				w.recv(fd, 99, 300, 0)
			}
			if o != 0 && o != 999 {
				w.setsockopt(fd, 0, o, i32(0))
			}
			if o == 25 {
				for _, o := range []int{syscall.IP_PKTINFO, syscall.IP_RECVTTL, syscall.IP_RECVTOS, 20, 23} {
					w.on(fd, 0, o)
				}
			}
		}
		// Room for a part of the ancillary data.
		for _, n := range []int{0, 8, 15, 16, 17, 20, 24, 28, 40, 47, 48, 56} {
			w.inject(tx, packets[0])
			w.recv(fd, 99, n, 0)
		}
		for _, o := range []int{syscall.IP_PKTINFO, syscall.IP_RECVTTL, syscall.IP_RECVTOS, 20, 23} {
			w.setsockopt(fd, 0, o, i32(0))
		}
		// Peeking with an offset.
		for _, s := range []string{"first", "second", "", "third"} {
			w.inject(tx, ip4(peer, addr0, 17, 0, 9, nil, udp4(7, 4000, []byte(s))))
		}
		w.recv(fd, 3, 0, syscall.MSG_PEEK)
		w.setsockopt(fd, 1, 42, i32(0))
		for range 3 {
			w.recv(fd, 2, 0, syscall.MSG_PEEK)
			w.getsockopt(fd, 1, 42, 4)
		}
		w.recv(fd, 99, 0, syscall.MSG_PEEK|syscall.MSG_TRUNC)
		w.getsockopt(fd, 1, 42, 4)
		w.setsockopt(fd, 1, 42, i32(8))
		w.recv(fd, 99, 0, syscall.MSG_PEEK)
		w.recv(fd, 3, 0, 0)
		w.getsockopt(fd, 1, 42, 4)
		w.setsockopt(fd, 1, 42, i32(-1))
		b := w.mem(8)
		for range 4 {
			w.do("FIONREAD", syscall.SYS_IOCTL, fd, syscall.TIOCINQ, at(b))
			w.note("%x", b[:4])
			w.recv(fd, 99, 0, syscall.MSG_TRUNC)
		}
		w.do("SIOCOUTQ", syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, at(b))
		w.note("%x", b[:4])
		// Who is not spoken to.
		w.setsockopt(fd, 0, 21, i32(100))
		w.inject(tx, packets[0])
		w.recv(fd, 99, 0, 0)
		w.inject(tx, ip4(peer, addr0, 17, 0, 100, nil, udp4(7, 4000, []byte("near enough"))))
		w.recv(fd, 99, 0, 0)
		w.setsockopt(fd, 0, 21, i32(0))
		w.connect(fd, sa4(peer, 8))
		w.inject(tx, packets[0])
		w.recv(fd, 99, 0, 0)
		w.inject(tx, ip4(peer, addr0, 17, 0, 9, nil, udp4(8, 4000, []byte("my peer"))))
		w.recv(fd, 99, 0, 0)
		w.connect(fd, make([]byte, 16))
		// Device bound.
		w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, []byte("lo\x00"))
		w.inject(tx, packets[0])
		w.recv(fd, 99, 0, 0)
		w.setsockopt(fd, 1, syscall.SO_BINDTODEVICE, []byte("v0\x00"))
		w.inject(tx, packets[0])
		w.recv(fd, 99, 0, 0)
		// Mark and priority of what comes.
		w.on(fd, 1, 75)
		w.on(fd, 1, 82)
		w.inject(tx, packets[0])
		w.recv(fd, 99, 99, 0)
		// Filters count from the header, and what they cut stays cut.
		for _, k := range []byte{0, 3, 8, 10, 200} {
			p := w.bytes(w.filter(ret(k)))
			w.do("attach", syscall.SYS_SETSOCKOPT, fd, 1, 26, at(p), 16)
			w.inject(tx, packets[0])
			w.recv(fd, 99, 0, 0)
		}
	})
}

func TestBind_tables(t *testing.T) {
	compare(t, func(w *world) {
		name := func(fd uintptr) {
			b, l := w.mem(16), w.bytes(i32(16))
			_, e := w.sys(syscall.SYS_GETSOCKNAME, fd, at(b), at(l))
			w.note("name %x %s", b, errName(e))
			b, l = w.mem(16), w.bytes(i32(16))
			_, e = w.sys(syscall.SYS_GETPEERNAME, fd, at(b), at(l))
			w.note("peer %x %s", b, errName(e))
		}
		any := [4]byte{}
		// Every pair of sockets, with every pair of options.
		addrs := []struct {
			a   [4]byte
			dev string
		}{{any, ""}, {lo4, ""}, {[4]byte{127, 0, 0, 2}, ""}, {addr0, ""}, {addr0, "v0"}, {any, "lo"}}
		for opts := range 16 {
			for _, x := range addrs {
				for _, y := range addrs {
					var fds [2]uintptr
					for i, a := range []struct {
						a   [4]byte
						dev string
					}{x, y} {
						fd, _ := w.sys(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
						fds[i] = fd
						bits := opts >> (2 * i)
						for j, o := range []uintptr{syscall.SO_REUSEADDR, 15} {
							if bits>>j&1 != 0 {
								w.sys(syscall.SYS_SETSOCKOPT, fd, 1, o, at(w.bytes(i32(1))), 4)
							}
						}
						if a.dev != "" {
							w.sys(syscall.SYS_SETSOCKOPT, fd, 1, syscall.SO_BINDTODEVICE, at(w.bytes([]byte(a.dev))), uintptr(len(a.dev)))
						}
						_, e := w.sys(syscall.SYS_BIND, fd, at(w.bytes(sa4(a.a, 4000))), 16)
						w.note("options %04b %v %v bind %d: %s", opts, x, y, i, errName(e))
					}
					for _, fd := range fds {
						w.sys(syscall.SYS_CLOSE, fd)
					}
				}
			}
		}
		// What connect and its end do to a name.
		for _, b := range [][]byte{nil, sa4(any, 0), sa4(any, 4000), sa4(lo4, 0), sa4(lo4, 4000)} {
			fd := w.udp()
			if b != nil {
				w.bind(fd, b)
			}
			hide := func() {
				n, l := w.mem(16), w.bytes(i32(16))
				w.sys(syscall.SYS_GETSOCKNAME, fd, at(n), at(l))
				p := binary.BigEndian.Uint16(n[2:])
				w.note("name %x, port there %v, chosen %v", n[4:8], p != 0, p == 4000)
			}
			hide()
			w.connect(fd, sa4(lo4, 4001))
			hide()
			w.connect(fd, sa4([4]byte{127, 0, 0, 9}, 4001))
			hide()
			w.connect(fd, sa4(addr0, 4001))
			hide()
			w.connect(fd, make([]byte, 16))
			hide()
			w.bind(fd, sa4(lo4, 4005))
			hide()
			w.close(fd)
		}
		fd := w.udp()
		for _, a := range [][4]byte{{1, 2, 3, 4}, {224, 0, 0, 5}, {255, 255, 255, 255}, {192, 0, 2, 255}, {192, 0, 2, 0}, {127, 255, 255, 255}, {240, 0, 0, 1}, {0, 0, 0, 1}} {
			f2 := w.udp()
			w.bind(f2, sa4(a, 4000))
			name(f2)
			w.close(f2)
			f2 = w.udp()
			w.on(f2, 0, 15)
			w.bind(f2, sa4(a, 4000))
			w.close(f2)
			w.connect(fd, sa4(a, 9))
			w.send(fd, []byte("x"), sa4(a, 9), nil, 0)
		}
		w.on(fd, 1, syscall.SO_BROADCAST)
		w.connect(fd, sa4([4]byte{192, 0, 2, 255}, 9))
		w.connect(fd, sa4([4]byte{255, 255, 255, 255}, 9))
		// Ranges of ports.
		must(w, w.sysctl("ipv4/ip_local_port_range", "5000 5003"))
		must(w, w.sysctl("ipv4/ip_local_reserved_ports", "5001"))
		must(w, w.sysctl("ipv4/ip_unprivileged_port_start", "100"))
		var got []uint16
		for range 4 {
			fd := w.udp()
			w.bind(fd, sa4(lo4, 0))
			n, l := w.mem(16), w.bytes(i32(16))
			w.sys(syscall.SYS_GETSOCKNAME, fd, at(n), at(l))
			got = append(got, binary.BigEndian.Uint16(n[2:]))
		}
		seen := 0
		for _, p := range got {
			if p >= 5000 && p <= 5003 && p != 5001 {
				seen |= 1 << (p - 5000)
			}
		}
		w.note("ports %04b, last %d", seen, got[3])
		fd = w.udp()
		w.connect(fd, sa4(lo4, 9))
		w.send(fd, []byte("no port"), sa4(lo4, 9), nil, 0)
		w.bind(fd, sa4(lo4, 5001))
		fd = w.udp()
		w.setsockopt(fd, 0, 51, i32(5010<<16|5010))
		w.bind(fd, sa4(lo4, 0))
		fd = w.udp()
		w.setsockopt(fd, 0, 51, i32(5002<<16|5001))
		w.bind(fd, sa4(addr0, 0))
		name(fd)
		fd = w.udp()
		w.on(fd, 0, 24)
		w.bind(fd, sa4(addr0, 0))
		name(fd)
		w.connect(fd, sa4(lo4, 4001))
	})
}

func TestReuseport_selection(t *testing.T) {
	compare(t, func(w *world) {
		tx := w.udp()
		w.bind(tx, sa4(lo4, 4000))
		var group []uintptr
		for range 4 {
			fd := w.udp()
			w.on(fd, 1, 15)
			w.bind(fd, sa4(lo4, 4001))
			group = append(group, fd)
		}
		// The payload's first byte, or what it says.
		p := w.bytes(w.filter([8]byte{0x30}, [8]byte{0x54, 0, 0, 0, 7}, [8]byte{0x16}))
		w.do("attach", syscall.SYS_SETSOCKOPT, group[0], 1, 51, at(p), 16)
		who := func(what string) {
			s := ""
			for i, fd := range group {
				for {
					r := w.get(fd, 9, 0, 0)
					if r.errno != 0 {
						break
					}
					s += fmt.Sprintf(" %d:%q", i, r.data)
				}
			}
			w.note("%s:%s", what, s)
		}
		for _, b := range []byte{0, 1, 2, 3} {
			w.send(tx, []byte{b, 'x'}, sa4(lo4, 4001), nil, 0)
		}
		who("chosen")
		w.close(group[1])
		group = append(group[:1], group[2:]...)
		for _, b := range []byte{0, 1, 2} {
			w.send(tx, []byte{b, 'x'}, sa4(lo4, 4001), nil, 0)
		}
		who("one closed: the last takes its place")
		fd := w.udp()
		w.on(fd, 1, 15)
		w.bind(fd, sa4(lo4, 4001))
		group = append(group, fd)
		for _, b := range []byte{0, 1, 2, 3} {
			w.send(tx, []byte{b, 'x'}, sa4(lo4, 4001), nil, 0)
		}
		who("one more")
		// Without a selector one flow stays with one sock.
		w.setsockopt(group[0], 1, 68, i32(0))
		for range 8 {
			w.send(tx, []byte("y"), sa4(lo4, 4001), nil, 0)
		}
		n := 0
		for _, fd := range group {
			c := 0
			for w.get(fd, 9, 0, 0).errno == 0 {
				c++
			}
			if c > 0 {
				n++
			}
		}
		w.note("one flow goes to %d", n)
	})
}
