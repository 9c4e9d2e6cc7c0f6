package inet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"barewire/board/hosted"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/qemu"
	"barewire/skb/header"
)

// mrPorts is how many links a multicast router of these tests has: eth0 to
// eth2, 10.0.i.1/24 on each.
const mrPorts = 3

func mrMAC(i int) [6]byte         { return [6]byte{2, 0, 0, 0, 1, byte(i)} }
func mrAddr(i, h int) header.Addr { return header.AddrFrom4([4]byte{10, 0, byte(i), byte(h)}) }

// mrEnd is a multicast router, ours or Linux, with a raw socket of IGMP to
// rule it.
type mrEnd interface {
	open() int // another such socket; 0 is there
	shut(s int)
	setopt(s, name int, val []byte) error
	getopt(s, name, size int) ([]byte, error)
	ioctl(s int, cmd uint, arg []byte) error
	recv(s int) []byte // the next packet, nil if there is none
	recvControl(s int) (data, control []byte)
	index(i int) int32
	join(i int, group header.Addr) // a member on the router itself
	send(i int, group header.Addr, data []byte) error
	feed(i int, f []byte)
	sent() [mrPorts][]string // datagrams since the last call
	proc(file string) string
	setctl(name, v string)
	getctl(name string) string
}

// ownRouter is ours.
type ownRouter struct {
	*host
	ports [mrPorts]*port
	socks []*sock.Socket
}

func newOwnRouter(t testing.TB) *ownRouter {
	h := newHost(t)
	o := &ownRouter{host: h}
	check(t, h.DelAddr(h.port.dev, netip.PrefixFrom(hostIP.Netip(), 24)))
	for i := range mrPorts {
		p := h.port
		if i > 0 {
			p = h.addPort()
		}
		check(t, p.dev.SetHardwareAddr(mrMAC(i)))
		check(t, h.AddAddr(p.dev, netip.PrefixFrom(mrAddr(i, 1).Netip(), 24)))
		o.ports[i] = p
	}
	t.Cleanup(func() { // before the host's, which looks for what is left
		for _, s := range o.socks {
			if s != nil {
				s.Release()
			}
		}
	})
	o.open()
	return o
}

// addPort gives the host another device.
func (h *host) addPort() *port {
	p := &port{}
	p.dev = napi.AllocNetdev("eth%d", p, 1)
	napi.EtherSetup(p.dev)
	p.napi = p.dev.AddNAPI(p, 0)
	check(h, h.net.RegisterNetdev(p.dev))
	check(h, p.dev.Open())
	h.Cleanup(func() {
		p.dev.Close()
		h.run()
		h.net.UnregisterNetdev(p.dev)
	})
	return p
}

func (o *ownRouter) open() int {
	s, err := o.SockCreate(syscall.AF_INET, syscall.SOCK_RAW, header.ProtoIGMP)
	check(o, err)
	o.socks = append(o.socks, s)
	return len(o.socks) - 1
}
func (o *ownRouter) shut(s int) {
	o.socks[s].Release()
	o.socks[s] = nil
	o.run()
}
func (o *ownRouter) setopt(s, name int, val []byte) error {
	return o.socks[s].SetSockOpt(syscall.SOL_IP, name, val)
}
func (o *ownRouter) getopt(s, name, size int) ([]byte, error) {
	b := make([]byte, size)
	n, err := o.socks[s].GetSockOpt(syscall.SOL_IP, name, b)
	return b[:n], err
}
func (o *ownRouter) ioctl(s int, cmd uint, arg []byte) error { return o.socks[s].Ioctl(cmd, arg) }
func (o *ownRouter) recv(s int) []byte {
	m := newMsg(2000, 0)
	n, err := o.socks[s].RecvMsg(m, syscall.MSG_DONTWAIT)
	if err != nil {
		return nil
	}
	return m.Iov[0][:n]
}
func (o *ownRouter) recvControl(s int) (data, control []byte) {
	m := newMsg(2000, 200)
	n, err := o.socks[s].RecvMsg(m, syscall.MSG_DONTWAIT)
	if err != nil {
		return nil, nil
	}
	return m.Iov[0][:n], m.Control[:m.ControlLen]
}
func (o *ownRouter) index(i int) int32 { return o.ports[i].dev.Ifindex() }
func (o *ownRouter) join(i int, group header.Addr) {
	s := o.udpSocket(0, 0)
	check(o, s.SetSockOpt(syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, concat(be(group), be(0), le(uint32(o.index(i))))))
}
func (o *ownRouter) send(i int, group header.Addr, data []byte) error {
	s := o.udpSocket(0, 4000)
	check(o, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MULTICAST_IF, concat(be(0), be(0), le(uint32(o.index(i))))))
	check(o, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MULTICAST_TTL, []byte{5}))
	_, err := sendTo(s, data, group, 9)
	o.run()
	s.Release()
	return err
}
func (o *ownRouter) feed(i int, f []byte) {
	b := o.buff(f)
	o.ports[i].mu.Lock()
	o.ports[i].rx.PushBack(b)
	o.ports[i].mu.Unlock()
	o.ports[i].napi.Schedule()
	o.run()
}
func (o *ownRouter) sent() (out [mrPorts][]string) {
	o.run()
	for i, p := range o.ports {
		for _, f := range p.take() {
			if s := describeUDP(f); s != "" {
				out[i] = append(out[i], s)
			}
		}
	}
	return out
}
func (o *ownRouter) proc(file string) string {
	show, _ := o.net.Proc().Lookup(file)
	return string(show(nil))
}
func (o *ownRouter) setctl(name, v string) { check(o, o.net.Sysctl().Set("net.ipv4."+name, v)) }
func (o *ownRouter) getctl(name string) string {
	v, err := o.net.Sysctl().Get("net.ipv4." + name)
	check(o, err)
	return v
}

// describeUDP is describe for datagrams, whatever they carry besides.
func describeUDP(f []byte) string {
	if len(f) < 34 || header.Ethernet(f).Type() != header.EthPIP || f[23] != header.ProtoUDP && f[23] != header.ProtoICMP {
		return ""
	}
	return fmt.Sprintf("%x ", f[:14]) + describe(f)
}

// linuxRouter is the Linux kernel in a namespace.
type linuxRouter struct {
	testing.TB
	ns   *qemu.Namespace
	taps [mrPorts]*os.File
	fds  []int
}

func newLinuxRouter(t testing.TB) *linuxRouter {
	ns := namespace(t)
	l := &linuxRouter{TB: t, ns: ns}
	check(t, ns.IP("link", "set", "lo", "up"))
	for _, c := range []string{"all", "default"} {
		check(t, ns.Sysctl("ipv4/conf/"+c+"/rp_filter", "0"))
		check(t, ns.Sysctl("ipv6/conf/"+c+"/disable_ipv6", "1"))
	}
	for i := range mrPorts {
		name := fmt.Sprint("eth", i)
		mac := mrMAC(i)
		for _, a := range []string{
			"tuntap add dev " + name + " mode tap", "link set " + name + " address " + fmt.Sprintf("02:00:00:00:01:%02x", mac[5]),
			"addr add " + mrAddr(i, 1).String() + "/24 broadcast " + mrAddr(i, 255).String() + " dev " + name, "link set " + name + " up",
		} {
			check(t, ns.IP(strings.Fields(a)...))
		}
		check(t, ns.Do(func() (err error) { l.taps[i], err = hosted.OpenTap(name, false); return }))
		t.Cleanup(func() { l.taps[i].Close() })
	}
	for i := range mrPorts {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			out, err := ns.Run(10*time.Second, "ip", "link", "show", fmt.Sprint("eth", i))
			if err != nil || time.Now().After(end) {
				t.Fatalf("eth%d does not come up: %v\n%s", i, err, out)
			}
			if strings.Contains(out, "state UP") {
				break
			}
		}
	}
	t.Cleanup(func() {
		for _, fd := range l.fds {
			syscall.Close(fd)
		}
	})
	l.open()
	return l
}

func (l *linuxRouter) open() int {
	check(l, l.ns.Do(func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_NONBLOCK, header.ProtoIGMP)
		l.fds = append(l.fds, fd)
		return err
	}))
	return len(l.fds) - 1
}
func (l *linuxRouter) shut(s int) {
	syscall.Close(l.fds[s])
	l.fds[s] = -1
}
func (l *linuxRouter) setopt(s, name int, val []byte) error {
	return linuxCalls{}.setsockopt(l.fds[s], syscall.SOL_IP, name, val)
}
func (l *linuxRouter) getopt(s, name, size int) ([]byte, error) {
	return linuxCalls{}.getsockopt(l.fds[s], syscall.SOL_IP, name, size)
}
func (l *linuxRouter) ioctl(s int, cmd uint, arg []byte) error {
	_, err := do(syscall.SYS_IOCTL, uintptr(l.fds[s]), uintptr(cmd), uintptr(unsafe.Pointer(&arg[0])))
	return err
}
func (l *linuxRouter) recv(s int) []byte {
	b := make([]byte, 2000)
	n, _, err := syscall.Recvfrom(l.fds[s], b, syscall.MSG_DONTWAIT)
	if err != nil {
		return nil
	}
	return b[:n]
}
func (l *linuxRouter) recvControl(s int) ([]byte, []byte) {
	_, data, _, control, _, err := linuxCalls{}.recv(l.fds[s], 2000, 200, 0)
	if err != nil {
		return nil, nil
	}
	return data, control
}
func (l *linuxRouter) index(i int) (x int32) {
	check(l, l.ns.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
		for _, s := range strings.Split(string(b), "\n") {
			if f := strings.Fields(s); len(f) > 1 && f[1] == fmt.Sprint("eth", i) {
				_, err = fmt.Sscan(f[0], &x)
				return err
			}
		}
		return errors.Join(err, errors.New("no such device"))
	}))
	return x
}
func (l *linuxRouter) join(i int, group header.Addr) {
	index := l.index(i)
	check(l, l.ns.Do(func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		l.fds = append(l.fds, fd)
		if err != nil {
			return err
		}
		return linuxCalls{}.setsockopt(fd, syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, concat(be(group), be(0), le(uint32(index))))
	}))
}
func (l *linuxRouter) send(i int, group header.Addr, data []byte) (err error) {
	index := l.index(i)
	check(l, l.ns.Do(func() error {
		fd, e := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if e != nil {
			return e
		}
		defer syscall.Close(fd)
		c := linuxCalls{}
		if e := errors.Join(c.bind(fd, sockaddr(0, 4000)), c.setsockopt(fd, 0, syscall.IP_MULTICAST_TTL, []byte{5}),
			c.setsockopt(fd, 0, syscall.IP_MULTICAST_IF, concat(be(0), be(0), le(uint32(index))))); e != nil {
			return e
		}
		_, err = c.send(fd, data, sockaddr(group, 9), nil, 0)
		return nil
	}))
	time.Sleep(2 * time.Millisecond)
	return err
}
func (l *linuxRouter) feed(i int, f []byte) {
	_, err := l.taps[i].Write(f)
	check(l, err)
}
func (l *linuxRouter) sent() (out [mrPorts][]string) {
	b := make([]byte, 70000)
	for i, t := range l.taps {
		// What the kernel forwards it has queued before the writer goes on.
		conn, err := t.SyscallConn()
		check(l, err)
		for n := 1; n > 0; {
			check(l, conn.Read(func(fd uintptr) bool {
				n, _ = syscall.Read(int(fd), b)
				return true
			}))
			if n <= 0 {
				break
			}
			if s := describeUDP(b[:n]); s != "" {
				out[i] = append(out[i], s)
			}
		}
	}
	return out
}
func (l *linuxRouter) proc(file string) (text string) {
	check(l, l.ns.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/" + file)
		text = string(b)
		return err
	}))
	return text
}
func (l *linuxRouter) setctl(name, v string) {
	check(l, l.ns.Sysctl("ipv4/"+strings.ReplaceAll(name, ".", "/"), v))
}
func (l *linuxRouter) getctl(name string) (v string) {
	check(l, l.ns.Do(func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv4/" + strings.ReplaceAll(name, ".", "/"))
		v = strings.TrimSpace(string(b))
		return err
	}))
	return v
}

// Structures of the options.
func vifctl(vifi uint16, flags, threshold uint8, local, remote []byte) []byte {
	return concat(binary.NativeEndian.AppendUint16(nil, vifi), []byte{flags, threshold}, le(0), local, remote)
}

func mfcctl(origin, group header.Addr, parent uint16, ttls map[int]uint8) []byte {
	b := concat(be(origin), be(group), binary.NativeEndian.AppendUint16(nil, parent), make([]byte, 50))
	for i, t := range ttls {
		b[10+i] = t
	}
	return b
}

// mrFrame is a datagram to a group, from a host on link i.
func mrFrame(src, group header.Addr, ttl uint8, payload []byte, edit ...func(h header.IPv4)) []byte {
	a := group.As4()
	return ethFrame([6]byte{1, 0, 0x5e, a[1] & 0x7f, a[2], a[3]}, peerMAC, header.EthPIP,
		ipPacket(header.Fields{Protocol: header.ProtoUDP, Src: src, Dst: group, TTL: ttl, ID: 7}, udpPacket(src, group, 5, 9, payload), edit...))
}

func setSrc(h header.IPv4, a header.Addr) { binary.BigEndian.PutUint32(h[12:], uint32(a)) }
