package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"barewire/qemu"
)

// The generator of small packets. It writes frames straight into a TAP device,
// many to a system call, and looks how many QEMU has taken out of it, so that
// there are always many waiting and never too many: the guest is always
// offered more than it can take, nothing is lost before it, and the generator
// takes no processor time from QEMU for packets that would only be dropped.

const (
	floodBatch  = 64
	floodWindow = 2048 // frames that wait in the TAP device: some 20 ms of a quick guest's work
	tapQueue    = 3000
)

// flood is a stream of frames into one TAP device.
type flood struct {
	fd    int
	stats *os.File // /proc/net/dev of the namespace
	dev   string
	msgs  []mmsghdr
	next  int
	sent  int
	base  int // what the device had taken or dropped before
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// newFlood prepares a flood of frames, over and over, into a TAP device. With
// partial they have what [partial] puts in front.
func newFlood(ns *qemu.Namespace, dev string, frames [][]byte, partial bool) (*flood, error) {
	f := &flood{fd: -1, dev: dev}
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.Bind(f.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(f.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return err
		}
		if partial {
			if err := unix.SetsockoptInt(f.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
				return err
			}
		}
		f.stats, err = os.Open("/proc/thread-self/net/dev")
		return err
	})
	if err != nil {
		f.close()
		return nil, fmt.Errorf("flood of %s: %w", dev, err)
	}
	for len(f.msgs) < floodBatch { // each message twice or more where there are few frames
		for _, p := range frames {
			v := &unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			m := mmsghdr{}
			m.hdr.Iov = v
			m.hdr.SetIovlen(1)
			f.msgs = append(f.msgs, m)
		}
	}
	f.base, err = f.taken()
	return f, err
}

func (f *flood) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	if f.stats != nil {
		f.stats.Close()
	}
}

// taken is how many frames QEMU has read from the device, and how many the device
// has dropped, since it was made.
func (f *flood) taken() (int, error) {
	b := make([]byte, 4096)
	n, err := f.stats.ReadAt(b, 0)
	if n == 0 {
		return 0, err
	}
	sent, dropped, err := txCounters(string(b[:n]), f.dev)
	return sent + dropped, err
}

// txCounters reads a device's transmitted and dropped packets from /proc/net/dev.
func txCounters(text, dev string) (sent, dropped int, err error) {
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != dev {
			continue
		}
		v := strings.Fields(rest)
		if len(v) < 16 {
			break
		}
		if sent, err = strconv.Atoi(v[9]); err != nil {
			return 0, 0, err
		}
		dropped, err = strconv.Atoi(v[11])
		return sent, dropped, err
	}
	return 0, 0, fmt.Errorf("/proc/net/dev has no %s", dev)
}

// run keeps the device full for a time, and returns how many frames QEMU took.
func (f *flood) run(d time.Duration) (taken int, err error) {
	first, err := f.taken()
	if err != nil {
		return 0, err
	}
	for start := time.Now(); time.Since(start) < d; {
		now, err := f.taken()
		if err != nil {
			return 0, err
		}
		room := floodWindow - (f.sent - (now - f.base))
		if room < floodBatch {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		for room >= floodBatch {
			if err := f.send(); err != nil {
				return 0, err
			}
			room -= floodBatch
		}
	}
	last, err := f.taken()
	return last - first, err
}

// drain waits until QEMU has taken all that was sent.
func (f *flood) drain() error {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		now, err := f.taken()
		if err != nil {
			return err
		}
		if now-f.base >= f.sent {
			return nil
		}
	}
	return fmt.Errorf("%s does not empty", f.dev)
}

// send sends a batch.
func (f *flood) send() error {
	n := min(floodBatch, len(f.msgs)-f.next)
	for n > 0 {
		r, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.msgs[f.next])), uintptr(n), 0, 0, 0)
		switch {
		case e == unix.EINTR || e == unix.EAGAIN:
			continue
		case e == unix.ENOBUFS: // dropped by the device, which counts it
			r = 1
		case e != 0:
			return fmt.Errorf("sendmmsg: %w", e)
		}
		f.sent += int(r)
		f.next += int(r)
		n -= int(r)
	}
	f.next %= len(f.msgs)
	return nil
}

// counter counts the packets that arrive at a device and are what they should be.
type counter struct{ fd int }

// newCounter counts UDP packets over IPv4 without options, to a port, from an
// address. The kernel counts them where its filter lets them pass; nobody reads
// them.
func newCounter(ns *qemu.Namespace, dev string, from netip.Addr, port int) (*counter, error) {
	src := from.As4()
	load := func(size uint16, at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: at}
	}
	unless := func(v uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jf: skip}
	}
	filter := []unix.SockFilter{
		load(unix.BPF_H, 12), unless(unix.ETH_P_IP, 7),
		load(unix.BPF_B, 23), unless(unix.IPPROTO_UDP, 5),
		load(unix.BPF_W, 26), unless(binary.BigEndian.Uint32(src[:]), 3),
		load(unix.BPF_H, 36), unless(uint32(port), 1),
		pass(1), pass(0),
	}
	c := &counter{-1}
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := errors.Join(setFilter(c.fd, filter), unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: 0x0008}) // ETH_P_IP in network order
	})
	if err != nil {
		c.close()
		return nil, fmt.Errorf("counter at %s: %w", dev, err)
	}
	return c, nil
}

func (c *counter) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// take is how many have come since the last time.
func (c *counter) take() (int, error) {
	s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, err
	}
	return int(s.Packets), nil // those for whom there was no room among them
}

// during is how many come in a time, and how long that was.
func (c *counter) during(d time.Duration) (n int, took time.Duration, err error) {
	if _, err := c.take(); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	time.Sleep(d)
	n, err = c.take()
	return n, time.Since(start), err
}

// pass is the end of a filter: how many bytes of the packet to keep, 0 for none.
func pass(bytes uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET, K: bytes} }

func setFilter(fd int, l []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(l)), Filter: &l[0]})
}

// drain opens a port that takes datagrams and forgets them in the kernel, so that
// nobody answers that there is no such port.
func drain(ns *qemu.Namespace, port int) (net.PacketConn, error) {
	var c *net.UDPConn
	err := ns.Do(func() (err error) {
		if c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port}); err != nil {
			return err
		}
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		return errors.Join(raw.Control(func(fd uintptr) { err = setFilter(int(fd), []unix.SockFilter{pass(0)}) }), err)
	})
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, err
	}
	return c, nil
}

// udpFrame is an Ethernet frame of 64 bytes with a UDP datagram.
func udpFrame(to qemu.MAC, src, dst netip.AddrPort) []byte {
	datagram := qemu.UDP{Src: src.Port(), Dst: dst.Port(), Payload: make([]byte, udpPayload)}.Marshal(src.Addr(), dst.Addr())
	packet := qemu.IPv4{TTL: 64, Proto: qemu.ProtoUDP, Src: src.Addr(), Dst: dst.Addr(), Payload: datagram}.Marshal()
	return qemu.Ethernet(to, qemu.MAC{2, 0, 0, 0, 0, 2}, qemu.EtherIPv4, packet)
}

// partial makes a frame of [udpFrame] what a socket of the host's would have sent
// to a card with offloads: a virtio_net_hdr (virtio 5.1.6) says that the checksum
// is still to be made, and the field holds that of the pseudo header.
func partial(frame []byte) []byte {
	udp := frame[34:]
	pseudo := append(append([]byte{}, frame[26:34]...), 0, qemu.ProtoUDP, udp[4], udp[5])
	binary.BigEndian.PutUint16(udp[6:], ^qemu.Checksum(pseudo))
	const needsChecksum = 1
	return append([]byte{needsChecksum, 0, 0, 0, 0, 0, 34, 0, 6, 0}, frame...)
}
