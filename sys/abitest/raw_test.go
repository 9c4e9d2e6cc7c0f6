package abitest

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

func TestRaw_receiving(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		must(w, w.sysctl("ipv4/conf/all/rp_filter", "0"))
		tx := w.packet(syscall.SOCK_RAW, 0)
		echo := icmp4(8, 0, 5<<16|1, []byte("echo"))
		packets := map[string][]byte{
			"UDP":             ip4(peer, addr0, 17, 0x10, 60, nil, udp4(7, 4000, []byte("data"))),
			"protocol 253":    ip4(peer, addr0, 253, 0, 60, nil, []byte("experiment")),
			"options":         ip4(peer, addr0, 253, 0, 60, []byte{7, 7, 4, 0, 0, 0, 0, 0}, []byte("options")),
			"empty":           ip4(peer, addr0, 253, 0, 60, nil, nil),
			"echo request":    ip4(peer, addr0, 1, 0, 60, nil, echo),
			"echo reply":      ip4(peer, addr0, 1, 0, 60, nil, icmp4(0, 0, 5<<16|1, []byte("echo"))),
			"unreachable":     ip4(peer, addr0, 1, 0, 60, nil, icmp4(3, 3, 0, ip4(addr0, peer, 253, 0, 60, nil, []byte("quoted packet")))),
			"type 99":         ip4(peer, addr0, 1, 0, 60, nil, icmp4(99, 0, 0, nil)),
			"bad ICMP":        ip4(peer, addr0, 1, 0, 60, nil, append([]byte{0, 0, 1, 2}, echo[4:]...)),
			"another address": ip4([4]byte{192, 0, 2, 3}, addr0, 253, 0, 60, nil, []byte("third party")),
			"broadcast":       ip4(peer, [4]byte{192, 0, 2, 255}, 253, 0, 60, nil, []byte("to all")),
			"group":           ip4(peer, [4]byte{224, 0, 0, 1}, 253, 0, 1, nil, []byte("to a group")),
		}
		order := []string{"UDP", "protocol 253", "options", "empty", "echo request", "echo reply", "unreachable", "type 99", "bad ICMP", "another address", "broadcast", "group"}
		round := func(what string, fds ...uintptr) {
			w.note("-- %s", what)
			for _, name := range order {
				w.send(tx, frame(macV0, macV1, ethIP, packets[name]...), ll(ethIP, ifV1), nil, 0)
				for i, fd := range fds {
					for range 3 {
						r := w.get(fd, 200, 200, 0)
						if r.errno != 0 {
							break
						}
						if len(r.data) >= 20 && r.data[9] == 1 && r.data[20] == 0 && r.data[12] == 192 && r.data[15] == 1 {
							hideIdent(r.data, 0)
						}
						w.note("%s: socket %d: %d %x from %x control %x flags %#x", name, i, r.n, r.data, r.name, r.control, r.flags)
					}
				}
			}
		}
		icmp, udp := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 1), w.socket(syscall.AF_INET, syscall.SOCK_RAW, 17)
		a, b := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253), w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		sendOnly := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 255)
		round("open", icmp, udp, a, b, sendOnly)
		w.bind(a, sa4(addr0, 99))
		w.connect(b, sa4(peer, 77))
		round("bound and connected", a, b)
		w.bind(a, sa4([4]byte{9, 9, 9, 9}, 0))
		// In Linux a raw socket whose association is dissolved hears nothing
		// for the rest of its life; here it goes on.
		w.close(b)
		b = w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		w.setsockopt(b, 1, syscall.SO_BINDTODEVICE, []byte("v1\x00"))
		round("bound to the other device", b)
		w.setsockopt(b, 1, syscall.SO_BINDTODEVICE, []byte("v0\x00"))
		for _, o := range []int{syscall.IP_PKTINFO, syscall.IP_RECVTTL, syscall.IP_RECVTOS} {
			w.on(b, 0, o)
		}
		round("with ancillary data", b)
		// ICMP_FILTER.
		for _, m := range []int{0, -1, 1 << 0, 1 << 3, ^(1 << 0), 1 << 8} {
			w.setsockopt(icmp, 255, 1, i32(m))
			w.getsockopt(icmp, 255, 1, 4)
			round(fmt.Sprintf("filter %#x", m), icmp)
		}
		w.setsockopt(a, 255, 1, i32(0))
		w.getsockopt(a, 255, 1, 4)
		w.setsockopt(icmp, 255, 1, nil)
		w.setsockopt(icmp, 255, 1, []byte{1})
		w.getsockopt(icmp, 255, 1, 2)
		w.getsockopt(icmp, 255, 1, 9)
		w.poll("raw", 0x3fff, a, b, icmp)
		w.do("shutdown", syscall.SYS_SHUTDOWN, a, 0)
		buf := w.mem(8)
		w.do("FIONREAD", syscall.SYS_IOCTL, a, syscall.TIOCINQ, at(buf))
		w.note("%x", buf[:4])
	})
}

func TestRaw_sending(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		rx := w.packet(syscall.SOCK_DGRAM, ethIP)
		w.bind(rx, ll(ethIP, ifV1))
		w.on(rx, solPacket, 23)
		seen := func(chance bool) {
			for range 4 {
				r := w.get(rx, 3000, 0, syscall.MSG_TRUNC)
				if r.errno != 0 {
					return
				}
				if chance {
					hideIdent(r.data, 0)
				}
				w.note("arrives: %d %s", r.n, short(r.data))
			}
		}
		to := sa4(peer, 0)
		raw := w.socket(syscall.AF_INET, syscall.SOCK_RAW, 253)
		w.send(raw, []byte("nowhere"), nil, nil, 0)
		for _, n := range []int{0, 1, 1480, 1481, 65515, 65516, 65535, 65536} {
			w.send(raw, make([]byte, n), to, nil, 0)
			if n <= 1480 {
				seen(true)
			}
		}
		for range 50 {
			if w.get(rx, 2000, 0, 0).errno != 0 {
				break
			}
		}
		for _, c := range [][]byte{cmsg(0, 2, i32(9)), cmsg(0, 1, []byte{0x20}), cmsg(0, 52, i32(99)), cmsg(0, 52, i32(0)), cmsg(0, 52, i32(256)), cmsg(0, 8, append(i32(ifV0i), make([]byte, 8)...)), cmsg(0, 7, []byte{7, 7, 4, 0, 0, 0, 0})} {
			w.send(raw, []byte("control"), to, c, 0)
			seen(true)
		}
		w.setsockopt(raw, 0, syscall.IP_TTL, i32(7))
		w.setsockopt(raw, 0, syscall.IP_TOS, i32(0x1c))
		w.connect(raw, to)
		w.send(raw, []byte("connected"), nil, nil, 0)
		seen(true)
		w.send(raw, []byte("more "), nil, nil, 0x8000)
		w.send(raw, []byte("less"), nil, nil, 0)
		seen(true)
		w.send(raw, []byte("oob"), nil, nil, syscall.MSG_OOB)
		// With the program's own headers.
		for _, proto := range []int{253, 255} {
			s := w.socket(syscall.AF_INET, syscall.SOCK_RAW, proto)
			w.getsockopt(s, 0, syscall.IP_HDRINCL, 4)
			w.on(s, 0, syscall.IP_HDRINCL)
			own := ip4([4]byte{1, 2, 3, 4}, [4]byte{5, 6, 7, 8}, 99, 0x44, 3, nil, []byte("mine"))
			own[4], own[5] = 0x12, 0x34
			w.send(s, own, to, nil, 0)
			seen(false)
			wrong := append([]byte(nil), own...)
			wrong[2], wrong[3], wrong[10], wrong[11] = 9, 9, 9, 9 // length and checksum are made right
			w.send(s, wrong, to, nil, 0)
			seen(false)
			blank := append([]byte(nil), own...)
			clear(blank[4:6])
			clear(blank[12:16])
			w.send(s, blank, to, nil, 0)
			seen(true)
			df := append([]byte(nil), blank...)
			df[6] = 0x40
			w.send(s, df, to, nil, 0)
			seen(false)
			for _, v := range []byte{0x44, 0x46, 0x4f, 0x65, 0x05} {
				bad := append([]byte(nil), own...)
				bad[0] = v
				w.send(s, bad, to, nil, 0)
				seen(false)
			}
			for _, n := range []int{0, 1, 19, 20, 1500, 1501} {
				big := make([]byte, n)
				copy(big, own)
				w.send(s, big, to, nil, 0)
				seen(false)
			}
			w.send(s, own, to, cmsg(0, 2, i32(9)), 0)
			seen(false)
			w.send(s, own, sa4([4]byte{192, 0, 2, 255}, 0), nil, 0)
			w.on(s, 1, syscall.SO_BROADCAST)
			w.send(s, own, sa4([4]byte{192, 0, 2, 255}, 0), nil, 0)
			seen(false)
		}
	})
}

// ifV0i is the index of v0 as ancillary data has it.
const ifV0i = int(ifV0)

func TestPing_calls(t *testing.T) {
	compare(t, func(w *world) {
		w.neighbour()
		must(w, w.sysctl("ipv4/ping_group_range", "0 2147483647"))
		tx := w.packet(syscall.SOCK_RAW, 0)
		rx := w.packet(syscall.SOCK_DGRAM, ethIP)
		w.bind(rx, ll(ethIP, ifV1))
		w.on(rx, solPacket, 23)
		fd := w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
		w.bind(fd, sa4([4]byte{}, 77))
		other := w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
		w.bind(other, sa4([4]byte{}, 77))
		w.bind(other, sa4([4]byte{9, 9, 9, 9}, 78))
		to := sa4(peer, 0)
		for _, m := range [][]byte{nil, make([]byte, 7), icmp4(8, 0, 1<<16|1, nil), icmp4(8, 0, 1<<16|2, []byte("data")), icmp4(8, 1, 1, nil), icmp4(0, 0, 1, nil), icmp4(13, 0, 1, make([]byte, 12)), icmp4(42, 0, 1, nil), icmp4(8, 0, 3, make([]byte, 65507)), icmp4(8, 0, 3, make([]byte, 65508))} {
			w.send(fd, m, to, nil, 0)
			if len(m) < 1000 {
				if r := w.get(rx, 200, 0, 0); r.errno == 0 {
					hideIdent(r.data, 0)
					w.note("arrives %x", r.data)
				}
			}
		}
		for range 50 {
			if w.get(rx, 2000, 0, 0).errno != 0 {
				break
			}
		}
		w.send(fd, icmp4(8, 0, 1, nil), nil, nil, 0)
		w.send(fd, icmp4(8, 0, 1, nil), to, nil, syscall.MSG_OOB)
		for _, m := range [][]byte{icmp4(0, 0, 77<<16|1, []byte("reply")), icmp4(0, 0, 78<<16|1, []byte("another's")), icmp4(8, 0, 77<<16|1, []byte("request")), icmp4(14, 0, 77<<16|1, make([]byte, 12)), icmp4(0, 0, 77<<16|1, nil)} {
			w.inject(tx, ip4(peer, addr0, 1, 0x20, 44, nil, m))
			w.poll("ping", 0x3fff, fd)
			w.recv(fd, 99, 200, 0)
		}
		for _, o := range []int{syscall.IP_PKTINFO, syscall.IP_RECVTTL, syscall.IP_RECVTOS} {
			w.on(fd, 0, o)
		}
		w.inject(tx, ip4(peer, addr0, 1, 0x20, 44, nil, icmp4(0, 0, 77<<16|9, []byte("reply"))))
		w.recv(fd, 9, 200, syscall.MSG_PEEK)
		w.recv(fd, 9, 20, syscall.MSG_TRUNC)
		w.connect(fd, to)
		b, l := w.mem(16), w.bytes(i32(16))
		w.do("getpeername", syscall.SYS_GETPEERNAME, fd, at(b), at(l))
		w.note("%x", b)
		w.send(fd, icmp4(8, 0, 5, []byte("connected")), nil, nil, 0)
		w.inject(tx, ip4([4]byte{192, 0, 2, 3}, addr0, 1, 0, 44, nil, icmp4(0, 0, 77<<16|9, []byte("not my peer"))))
		w.recv(fd, 99, 0, 0)
		w.connect(fd, make([]byte, 16))
		w.do("getpeername", syscall.SYS_GETPEERNAME, fd, at(b), at(l))
		// An identifier of the kernel's choice.
		auto := w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
		w.send(auto, icmp4(8, 0, 1, []byte("auto")), to, nil, 0)
		w.do("getsockname", syscall.SYS_GETSOCKNAME, auto, at(b), at(l))
		w.note("identifier there %v", binary.BigEndian.Uint16(b[2:]) != 0)
		must(w, w.sysctl("ipv4/ping_group_range", "1 0"))
		w.socket(syscall.AF_INET, syscall.SOCK_DGRAM, 1)
	})
}
