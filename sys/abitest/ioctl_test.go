package abitest

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
)

// ioctl makes a request with a struct ifreq and writes down all of it.
func (w *world) ioctl(fd uintptr, what string, cmd uintptr, name string, union []byte) {
	b, e := w.ifreq(fd, cmd, name, union)
	if e != 0 {
		w.note("%s %q %x: %s", what, name, union, errName(e))
		return
	}
	if cmd == syscall.SIOCGIFFLAGS {
		b[16] &^= syscall.IFF_RUNNING // in Linux that comes later, when a workqueue runs
	}
	w.note("%s %q %x: %q %x", what, name, union, b[:16], b[16:40])
}

func TestIoctl_interfaces(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		names := []string{"v0", "v1", "lo", "nobody", "", "v0:1", "v0:", "a name of more than sixteen", "v0 "}
		gets := map[string]uintptr{"GIFNAME": 0x8910, "GIFFLAGS": 0x8913, "GIFADDR": 0x8915, "GIFDSTADDR": 0x8917, "GIFBRDADDR": 0x8919, "GIFNETMASK": 0x891b,
			"GIFMETRIC": 0x891d, "GIFMTU": 0x8921, "GIFHWADDR": 0x8927, "GIFINDEX": 0x8933, "GIFPFLAGS": 0x8935, "GIFTXQLEN": 0x8942, "GIFMAP": 0x8970}
		for _, what := range []string{"GIFNAME", "GIFFLAGS", "GIFADDR", "GIFDSTADDR", "GIFBRDADDR", "GIFNETMASK", "GIFMETRIC", "GIFMTU", "GIFHWADDR", "GIFINDEX", "GIFPFLAGS", "GIFTXQLEN", "GIFMAP"} {
			for _, n := range names {
				if what == "GIFTXQLEN" && n == "lo" {
					continue
				}
				w.ioctl(fd, what, gets[what], n, []byte{byte(len(n))})
			}
		}
		for i := range int32(6) {
			w.ioctl(fd, "GIFNAME", 0x8910, "", i32(int(i)))
		}
		show := func(name string) {
			for _, what := range []string{"GIFFLAGS", "GIFADDR", "GIFBRDADDR", "GIFNETMASK", "GIFDSTADDR"} {
				w.ioctl(fd, what, gets[what], name, nil)
			}
		}
		// Addresses.
		a := func(b ...byte) []byte { return sa4([4]byte(b), 0) }
		v6 := a(1, 2, 3, 4)
		v6[0] = 10
		for _, s := range []struct {
			what string
			cmd  uintptr
			name string
			sa   []byte
		}{
			{"SIFADDR", 0x8916, "v1", a(10, 1, 2, 3)}, {"SIFADDR", 0x8916, "v1", a(172, 16, 0, 1)}, {"SIFADDR", 0x8916, "v1", a(192, 168, 7, 1)}, {"SIFADDR", 0x8916, "v1", a(192, 168, 7, 1)},
			{"SIFADDR", 0x8916, "v1", a(224, 0, 0, 1)}, {"SIFADDR", 0x8916, "v1", a(240, 0, 0, 1)}, {"SIFADDR", 0x8916, "v1", a(255, 255, 255, 255)}, {"SIFADDR", 0x8916, "v1", v6},
			{"SIFADDR", 0x8916, "v1", a(192, 168, 7, 1)},
			{"SIFNETMASK", 0x891c, "v1", a(255, 255, 0, 0)}, {"SIFNETMASK", 0x891c, "v1", a(255, 0, 255, 0)}, {"SIFNETMASK", 0x891c, "v1", a(255, 255, 255, 252)}, {"SIFNETMASK", 0x891c, "v1", a(255, 255, 255, 255)}, {"SIFNETMASK", 0x891c, "v1", a(0, 0, 0, 0)}, {"SIFNETMASK", 0x891c, "v1", v6},
			{"SIFBRDADDR", 0x891a, "v1", a(192, 168, 7, 255)}, {"SIFBRDADDR", 0x891a, "v1", a(192, 168, 9, 9)}, {"SIFBRDADDR", 0x891a, "v1", a(0, 0, 0, 0)}, {"SIFBRDADDR", 0x891a, "v1", v6},
			{"SIFDSTADDR", 0x8918, "v1", a(192, 168, 7, 2)}, {"SIFDSTADDR", 0x8918, "v1", a(224, 0, 0, 1)}, {"SIFDSTADDR", 0x8918, "v1", a(192, 168, 7, 1)},
			{"SIFADDR", 0x8916, "v1:1", a(10, 9, 8, 7)}, {"SIFADDR", 0x8916, "v1:2", a(10, 9, 8, 6)}, {"SIFNETMASK", 0x891c, "v1:1", a(255, 255, 255, 0)}, {"SIFADDR", 0x8916, "v1:1", a(0, 0, 0, 0)},
			{"SIFADDR", 0x8916, "v1", a(0, 0, 0, 0)}, {"SIFNETMASK", 0x891c, "v1", a(255, 255, 0, 0)}, {"SIFADDR", 0x8916, "nobody", a(10, 0, 0, 1)}, {"SIFADDR", 0x8916, "lo", a(127, 0, 0, 2)},
		} {
			w.ioctl(fd, s.what, s.cmd, s.name, s.sa)
			show("v1")
			show("v1:1")
		}
		show("lo")
		w.ioctl(fd, "GIFADDR of another family", 0x8915, "v0", append([]byte{10}, make([]byte, 15)...))
		// The rest of what can be set.
		u16 := func(v int) []byte { return []byte{byte(v), byte(v >> 8)} }
		for _, s := range []struct {
			what  string
			cmd   uintptr
			name  string
			union []byte
			get   uintptr
		}{
			{"SIFMTU", 0x8922, "v1", i32(1400), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(67), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(68), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(65535), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(65536), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(-1), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(0), 0x8921},
			{"SIFMTU", 0x8922, "lo", i32(9000), 0x8921}, {"SIFMTU", 0x8922, "nobody", i32(9000), 0x8921}, {"SIFMTU", 0x8922, "v1", i32(1500), 0x8921},
			{"SIFTXQLEN", 0x8943, "v1", i32(10), 0x8942}, {"SIFTXQLEN", 0x8943, "v1", i32(-1), 0x8942}, {"SIFTXQLEN", 0x8943, "v1", i32(0), 0x8942}, {"SIFTXQLEN", 0x8943, "v1", i32(1000), 0x8942},
			{"SIFMETRIC", 0x891e, "v1", i32(0), 0x891d}, {"SIFMETRIC", 0x891e, "v1", i32(3), 0x891d},
			{"SIFHWADDR", 0x8924, "v1", append(u16(1), 2, 0, 0, 0, 0, 7), 0x8927}, {"SIFHWADDR", 0x8924, "v1", append(u16(1), 1, 0, 0, 0, 0, 7), 0x8927}, {"SIFHWADDR", 0x8924, "v1", append(u16(1), 0, 0, 0, 0, 0, 0), 0x8927}, {"SIFHWADDR", 0x8924, "v1", append(u16(772), 2, 0, 0, 0, 0, 7), 0x8927}, {"SIFHWADDR", 0x8924, "v1", append(u16(1), macV1[:]...), 0x8927},
			{"SIFHWADDR", 0x8924, "lo", append(u16(772), 2, 0, 0, 0, 0, 7), 0x8927}, {"SIFHWBROADCAST", 0x8937, "v1", append(u16(1), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 0x8927}, {"SIFHWBROADCAST", 0x8937, "v1", append(u16(2), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 0x8927},
			{"SIFFLAGS", 0x8914, "v1", u16(0x1103), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0x1083), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0x1203), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0x1002), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0x0003), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0xffff), 0x8913}, {"SIFFLAGS", 0x8914, "v1", u16(0x1003), 0x8913},
			{"SIFFLAGS", 0x8914, "lo", u16(0x8), 0x8913}, {"SIFFLAGS", 0x8914, "lo", u16(0x49), 0x8913}, {"SIFFLAGS", 0x8914, "nobody", u16(0x49), 0x8913},
			{"SIFNAME", 0x8923, "v1", []byte("x1\x00"), 0x8913}, {"GIFINDEX", 0x8933, "x1", nil, 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("v0\x00"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("a/b\x00"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("\x00"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("..\x00"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("a b\x00"), 0x8913},
			{"SIFNAME", 0x8923, "x1", []byte("a:b\x00"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("0123456789abcdef"), 0x8913}, {"SIFNAME", 0x8923, "x1", []byte("eth%d\x00"), 0x8913}, {"SIFNAME", 0x8923, "eth0", []byte("eth0\x00"), 0x8913}, {"SIFNAME", 0x8923, "eth0", []byte("v1\x00"), 0x8913},
			{"ADDMULTI", 0x8931, "v0", append(u16(0), group[:]...), 0x8913}, {"ADDMULTI", 0x8931, "v0", append(u16(1), group[:]...), 0x8913}, {"DELMULTI", 0x8932, "v0", append(u16(0), group[:]...), 0x8913}, {"DELMULTI", 0x8932, "v0", append(u16(0), group[:]...), 0x8913},
			{"SIFPFLAGS", 0x8934, "v0", u16(1), 0x8935}, {"SIFMAP", 0x8971, "v0", nil, 0x8970}, {"SIFENCAP", 0x8926, "v0", nil, 0x8925}, {"SIFBR", 0x8941, "v0", nil, 0x8940}, {"DEVPRIVATE", 0x89f0, "v0", nil, 0x89ff}, {"GMIIPHY", 0x8947, "v0", nil, 0x8948},
		} {
			w.ioctl(fd, s.what, s.cmd, s.name, s.union)
			w.ioctl(fd, "get", s.get, s.name, nil)
		}
		for _, cmd := range []uintptr{0x8904, 0x8905, 0x8911, 0x8925, 0x8938, 0x8939, 0x8950, 0x8951, 0x8952, 0x8960, 0x8961, 0x8962, 0x8980, 0x8981, 0x8a00, 0x8b00, 0x5401, 0x5413, 0xdead, 0} {
			b := w.mem(256)
			w.do(fmt.Sprintf("ioctl %#x", cmd), syscall.SYS_IOCTL, fd, cmd, at(b))
			w.do(fmt.Sprintf("ioctl %#x null", cmd), syscall.SYS_IOCTL, fd, cmd, 0)
		}
		w.do("GIFFLAGS null", syscall.SYS_IOCTL, fd, 0x8913, 0)
	})
}

func TestIoctl_lists(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		for _, n := range []int{0, 1, 39, 40, 79, 80, 81, 400, -1} {
			for _, null := range []bool{false, true} {
				conf, buf := w.mem(16), w.mem(max(n, 1)+40)
				binary.NativeEndian.PutUint32(conf, uint32(n))
				if !null {
					binary.NativeEndian.PutUint64(conf[8:], uint64(at(buf)))
				}
				_, e := w.sys(syscall.SYS_IOCTL, fd, 0x8912, at(conf))
				w.note("GIFCONF of %d null %v: %d %s", n, null, int32(binary.NativeEndian.Uint32(conf)), errName(e))
				for i := 0; i+40 <= len(buf); i += 40 {
					w.note("%q %x", buf[i:i+16], buf[i+16:i+40])
				}
			}
		}
		w.do("GIFCONF null", syscall.SYS_IOCTL, fd, 0x8912, 0)
	})
}

// rtentry is a struct rtentry.
func (w *world) rtentry(dst, mask, gw []byte, flags uint16, metric int16, dev string, mtu uint64) []byte {
	b := w.mem(120)
	copy(b[8:], dst)
	copy(b[24:], gw)
	copy(b[40:], mask)
	binary.NativeEndian.PutUint16(b[56:], flags)
	binary.NativeEndian.PutUint16(b[80:], uint16(metric))
	if dev != "" {
		binary.NativeEndian.PutUint64(b[88:], uint64(at(w.bytes(append([]byte(dev), 0)))))
	}
	binary.NativeEndian.PutUint64(b[96:], mtu)
	return b
}

func TestIoctl_routesAndNeighbours(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		a := func(b ...byte) []byte { return sa4([4]byte(b), 0) }
		none := make([]byte, 16)
		v6 := a(1, 2, 3, 4)
		v6[0] = 10
		gw := a(192, 0, 2, 9)
		for _, r := range []struct {
			what string
			b    []byte
		}{
			{"default", w.rtentry(none, none, gw, 3, 0, "", 0)}, {"default", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), gw, 3, 0, "", 0)}, {"default again", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), gw, 3, 0, "", 0)}, {"default metric 5", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), gw, 3, 5, "v0", 0)},
			{"net", w.rtentry(a(10, 0, 0, 0), a(255, 0, 0, 0), gw, 3, 1, "", 0)}, {"net through device", w.rtentry(a(10, 1, 0, 0), a(255, 255, 0, 0), none, 1, 0, "v0", 0)}, {"host", w.rtentry(a(10, 2, 3, 4), none, gw, 7, 0, "", 0)}, {"host by device", w.rtentry(a(10, 2, 3, 5), none, none, 5, 0, "v1", 0)},
			{"bits beyond the mask", w.rtentry(a(10, 0, 0, 1), a(255, 0, 0, 0), gw, 3, 0, "", 0)}, {"mask with holes", w.rtentry(a(10, 0, 0, 0), a(255, 0, 255, 0), gw, 3, 0, "", 0)}, {"no such device", w.rtentry(a(11, 0, 0, 0), a(255, 0, 0, 0), none, 1, 0, "nobody", 0)}, {"gateway nowhere", w.rtentry(a(11, 0, 0, 0), a(255, 0, 0, 0), a(99, 9, 9, 9), 3, 0, "", 0)},
			{"gateway of another family", w.rtentry(a(11, 0, 0, 0), a(255, 0, 0, 0), v6, 3, 0, "", 0)}, {"gateway 0", w.rtentry(a(11, 0, 0, 0), a(255, 0, 0, 0), a(0, 0, 0, 0), 3, 0, "", 0)}, {"family", w.rtentry(v6, a(255, 0, 0, 0), gw, 3, 0, "", 0)}, {"family of the mask", w.rtentry(a(11, 0, 0, 0), v6, gw, 3, 0, "", 0)},
			{"reject", w.rtentry(a(12, 0, 0, 0), a(255, 0, 0, 0), none, 0x201, 0, "", 0)}, {"without anything", w.rtentry(a(13, 0, 0, 0), a(255, 0, 0, 0), none, 1, 0, "", 0)}, {"mtu", w.rtentry(a(14, 0, 0, 0), a(255, 0, 0, 0), gw, 0x43, 0, "", 1000)}, {"label", w.rtentry(a(15, 0, 0, 0), a(255, 0, 0, 0), none, 1, 0, "v0:1", 0)},
			{"gateway is our own", w.rtentry(a(16, 0, 0, 0), a(255, 0, 0, 0), a(192, 0, 2, 1), 3, 0, "", 0)},
		} {
			w.do("ADDRT "+r.what, syscall.SYS_IOCTL, fd, 0x890b, at(r.b))
		}
		w.do("ADDRT null", syscall.SYS_IOCTL, fd, 0x890b, 0)
		for _, r := range []struct {
			what string
			b    []byte
		}{
			{"default", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), none, 1, 0, "", 0)}, {"default metric", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), none, 1, 5, "", 0)}, {"default gone", w.rtentry(a(0, 0, 0, 0), a(0, 0, 0, 0), none, 1, 0, "", 0)},
			{"net with wrong gateway", w.rtentry(a(10, 0, 0, 0), a(255, 0, 0, 0), a(192, 0, 2, 8), 3, 0, "", 0)}, {"net", w.rtentry(a(10, 0, 0, 0), a(255, 0, 0, 0), gw, 3, 0, "", 0)}, {"net twice", w.rtentry(a(10, 0, 0, 0), a(255, 0, 0, 0), gw, 3, 0, "", 0)}, {"wrong device", w.rtentry(a(10, 1, 0, 0), a(255, 255, 0, 0), none, 1, 0, "v1", 0)}, {"device", w.rtentry(a(10, 1, 0, 0), a(255, 255, 0, 0), none, 1, 0, "v0", 0)},
			{"host", w.rtentry(a(10, 2, 3, 4), none, none, 5, 0, "", 0)}, {"reject", w.rtentry(a(12, 0, 0, 0), a(255, 0, 0, 0), none, 0x201, 0, "", 0)},
		} {
			w.do("DELRT "+r.what, syscall.SYS_IOCTL, fd, 0x890c, at(r.b))
		}
		// The neighbours.
		arpreq := func(pa []byte, hatype uint16, mac [6]byte, flags uint32, mask []byte, dev string) []byte {
			b := w.mem(68)
			copy(b, pa)
			binary.NativeEndian.PutUint16(b[16:], hatype)
			copy(b[18:], mac[:])
			binary.NativeEndian.PutUint32(b[32:], flags)
			copy(b[36:], mask)
			copy(b[52:67], dev)
			return b
		}
		peer := a(192, 0, 2, 77)
		const com, perm, publ, netmask = 2, 4, 8, 0x20
		for _, s := range []struct {
			what string
			cmd  uintptr
			b    []byte
		}{
			{"get nobody", 0x8954, arpreq(peer, 1, other, 0, nil, "v0")}, {"get nobody anywhere", 0x8954, arpreq(peer, 1, other, 0, nil, "")}, {"set", 0x8955, arpreq(peer, 1, other, com, nil, "v0")}, {"get", 0x8954, arpreq(peer, 1, other, 0, nil, "v0")}, {"get without device", 0x8954, arpreq(peer, 0, [6]byte{}, 0, nil, "")},
			{"set permanent", 0x8955, arpreq(peer, 1, macV1, com|perm, nil, "")}, {"get", 0x8954, arpreq(peer, 0, [6]byte{}, 0, nil, "v0")}, {"other type", 0x8955, arpreq(peer, 6, other, com, nil, "v0")}, {"type 0", 0x8955, arpreq(peer, 0, other, com, nil, "v0")}, {"no such device", 0x8955, arpreq(peer, 1, other, com, nil, "nobody")}, {"not on a link", 0x8955, arpreq(a(99, 9, 9, 9), 1, other, com, nil, "")},
			{"family", 0x8955, arpreq(v6, 1, other, com, nil, "v0")}, {"netmask without publish", 0x8955, arpreq(peer, 1, other, netmask, nil, "v0")}, {"del", 0x8953, arpreq(peer, 0, [6]byte{}, 0, nil, "v0")}, {"get", 0x8954, arpreq(peer, 0, [6]byte{}, 0, nil, "v0")}, {"del again", 0x8953, arpreq(peer, 0, [6]byte{}, 0, nil, "v0")}, {"del nobody", 0x8953, arpreq(a(192, 0, 2, 78), 0, [6]byte{}, 0, nil, "v0")},
			{"publish", 0x8955, arpreq(peer, 1, other, com|publ, a(255, 255, 255, 255), "v0")}, {"publish a net", 0x8955, arpreq(peer, 1, other, publ|netmask, a(255, 255, 255, 0), "v0")}, {"unpublish", 0x8953, arpreq(peer, 0, [6]byte{}, publ, nil, "v0")}, {"unpublish again", 0x8953, arpreq(peer, 0, [6]byte{}, publ, nil, "v0")}, {"publish all", 0x8955, arpreq(a(0, 0, 0, 0), 1, other, publ|netmask, a(0, 0, 0, 0), "v0")}, {"unpublish all", 0x8953, arpreq(a(0, 0, 0, 0), 1, other, publ|netmask, a(0, 0, 0, 0), "v0")},
			{"loopback", 0x8955, arpreq(a(127, 0, 0, 5), 772, other, com, nil, "lo")}, {"get group", 0x8954, arpreq(a(224, 0, 0, 1), 1, other, 0, nil, "v0")},
		} {
			_, e := w.sys(syscall.SYS_IOCTL, fd, s.cmd, at(s.b))
			w.note("ARP %s: %s %x %q", s.what, errName(e), s.b[:36], s.b[52:])
		}
		w.do("GARP null", syscall.SYS_IOCTL, fd, 0x8954, 0)
	})
}

func TestIoctl_ethtool(t *testing.T) {
	compare(t, func(w *world) {
		fd := w.udp()
		get := func(what, dev string, cmd uint32, size, show int, rest ...byte) {
			data, ifr := w.mem(4096), w.mem(40)
			binary.NativeEndian.PutUint32(data, cmd)
			copy(data[4:], rest)
			copy(ifr, dev)
			binary.NativeEndian.PutUint64(ifr[16:], uint64(at(data)))
			_, e := w.sys(syscall.SYS_IOCTL, fd, 0x8946, at(ifr))
			w.note("ethtool %s %s (%d): %s %x", what, dev, size, errName(e), data[:show])
		}
		for _, dev := range []string{"v0", "lo", "nobody"} {
			get("GLINK", dev, 0x0a, 8, 8)
			get("GSET", dev, 0x01, 44, 44)
			get("GLINKSETTINGS", dev, 0x4c, 48, 48)
			get("GLINKSETTINGS, words told", dev, 0x4c, 48, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4)
			get("GREGS", dev, 0x04, 12, 4)
			get("GWOL", dev, 0x05, 20, 4)
			get("GMSGLVL", dev, 0x07, 8, 4)
			get("GEEPROM", dev, 0x0b, 16, 4)
			get("GCOALESCE", dev, 0x0e, 92, 4)
			get("GRINGPARAM", dev, 0x10, 36, 4)
			get("GPAUSEPARAM", dev, 0x12, 16, 4)
			get("TEST", dev, 0x1a, 16, 4)
			get("PHYS_ID", dev, 0x1c, 8, 4)
			get("GPERMADDR", dev, 0x20, 14, 8, 6)
			get("GRXRINGS", dev, 0x2d, 200, 4)
			get("GEEE", dev, 0x44, 40, 4)
			get("GFECPARAM", dev, 0x50, 16, 4)
			get("unknown", dev, 0xffff, 4, 4)
			if dev != "v0" { // a veth of Linux counts more
				get("GSTRINGS", dev, 0x1b, 44, 4, 1)
				get("GSTATS", dev, 0x1d, 8, 4)
				get("GSSET_INFO", dev, 0x37, 24, 20, 0, 0, 0, 0, 2)
				get("GSSET_INFO of nothing", dev, 0x37, 24, 20)
				get("GCHANNELS", dev, 0x3c, 36, 4)
				get("SCHANNELS", dev, 0x3d, 36, 4)
			}
			get("SCOALESCE", dev, 0x0f, 92, 4)
			get("GGSO", dev, 0x23, 8, 8)
			get("GSG", dev, 0x18, 8, 8)
			get("GTXCSUM", dev, 0x16, 8, 8)
			get("GFEATURES of no block", dev, 0x3a, 8, 4)
			get("SFEATURES of no block", dev, 0x3b, 8, 4)
			get("SFEATURES of too many", dev, 0x3b, 8, 4, 99)
			// Text that names the driver and its kernel is each kernel's own.
			get("GDRVINFO", dev, 0x03, 196, 4)
		}
		get("null", "v0", 0, 4, 4)
		ifr := w.mem(40)
		copy(ifr, "v0")
		w.do("ethtool without data", syscall.SYS_IOCTL, fd, 0x8946, at(ifr))
	})
}
