package dhcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	serverPort = 67
	clientPort = 68
	ethHeader  = 14
)

// sockets is the network of this system.
type sockets struct{ cfg *Config }

// raw opens a packet socket for one ethertype on the device. Its reads and
// writes are whole frames.
func (n *sockets) raw(proto uint16) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("no packet socket: %w", err)
	}
	if proto == syscall.ETH_P_IP {
		// Saves waking up for other traffic; what comes is checked anyhow, so
		// that nothing depends on it.
		syscall.AttachLsf(fd, toClient[:])
	}
	// Bound last: from here on there are frames.
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: proto<<8 | proto>>8, Ifindex: n.cfg.Index}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("binding the packet socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "packet:"+n.cfg.Device), nil
}

// toClient accepts unfragmented UDP to the client's port. read-only
var toClient = [...]syscall.SockFilter{
	{Code: 0x28, K: 12},                       // ldh [12]
	{Code: 0x15, Jf: 8, K: 0x0800},            // jeq #ip
	{Code: 0x30, K: 23},                       // ldb [23]
	{Code: 0x15, Jf: 6, K: 17},                // jeq #udp
	{Code: 0x28, K: 20},                       // ldh [20]
	{Code: 0x45, Jt: 4, K: 0x1fff},            // jset: not the first fragment
	{Code: 0xb1, K: 14},                       // ldxb 4*([14]&0xf)
	{Code: 0x48, K: 16},                       // ldh [x+16]
	{Code: 0x15, Jt: 0, Jf: 1, K: clientPort}, // jeq #68
	{Code: 0x06, K: 0xffff},                   // ret all
	{Code: 0x06},                              // ret none
}

func (n *sockets) packet() (socket, error) {
	f, err := n.raw(syscall.ETH_P_IP)
	if err != nil {
		return nil, err
	}
	return &packetSocket{File: f, mac: n.cfg.HWAddr}, nil
}

// packetSocket carries DHCP in frames of its own making.
type packetSocket struct {
	*os.File
	mac [6]byte
}

// sum adds to the Internet checksum (RFC 1071).
func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return s
}

// frame returns the broadcast frame of a message from a host without address.
func frame(mac [6]byte, to netip.Addr, message []byte) []byte {
	b := make([]byte, ethHeader+28, ethHeader+28+len(message))
	copy(b, "\xff\xff\xff\xff\xff\xff")
	copy(b[6:], mac[:])
	b[12] = 0x08
	h, u := b[ethHeader:ethHeader+20], b[ethHeader+20:]
	h[0], h[8], h[9] = 0x45, 64, syscall.IPPROTO_UDP
	binary.BigEndian.PutUint16(h[2:], uint16(28+len(message)))
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum(h, 0)))
	binary.BigEndian.PutUint16(u, clientPort)
	binary.BigEndian.PutUint16(u[2:], serverPort)
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(message)))
	b = append(b, message...)
	u = b[ethHeader+20:]
	check := ^uint16(sum(u, sum(h[12:20], uint32(syscall.IPPROTO_UDP)+uint32(len(u)))))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], check)
	return b
}

func (s *packetSocket) send(to netip.Addr, message []byte) error {
	_, err := s.Write(frame(s.mac, to, message))
	return err
}

func (s *packetSocket) recv(until time.Time) ([]byte, error) {
	if err := s.SetReadDeadline(until); err != nil {
		return nil, err
	}
	b := make([]byte, 2048)
	for {
		n, err := s.Read(b)
		if err != nil {
			return nil, err
		}
		if m := payload(b[:n]); m != nil {
			return bytes.Clone(m), nil
		}
	}
}

// payload returns what a frame carries to the client's port, nil if nothing.
// The UDP checksum is not looked at: a server on the same machine leaves it to a
// device that is not there.
func payload(b []byte) []byte {
	if len(b) < ethHeader+28 || b[12] != 0x08 || b[13] != 0 {
		return nil
	}
	h := b[ethHeader:]
	hl, total := int(h[0]&15)*4, int(binary.BigEndian.Uint16(h[2:]))
	if h[0]>>4 != 4 || hl < 20 || total < hl+8 || total > len(h) || h[9] != syscall.IPPROTO_UDP ||
		binary.BigEndian.Uint16(h[6:])&0x3fff != 0 || sum(h[:hl], 0) != 0xffff {
		return nil
	}
	u := h[hl:total]
	size := int(binary.BigEndian.Uint16(u[4:]))
	if binary.BigEndian.Uint16(u) != serverPort || binary.BigEndian.Uint16(u[2:]) != clientPort || size < 8 || size > len(u) {
		return nil
	}
	return u[8:size]
}

// udp opens the socket of renewals. It has no address of its own, since a NAK is
// a broadcast (RFC 2131 4.3.2).
func (n *sockets) udp() (socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var serr error
		err := c.Control(func(fd uintptr) {
			// The broadcast of a rebinding must go out of this device.
			if serr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); serr == nil {
				serr = syscall.BindToDevice(int(fd), n.cfg.Device)
			}
		})
		if err == nil {
			err = serr
		}
		return err
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", fmt.Sprint(":", clientPort))
	if err != nil {
		return nil, err
	}
	return udpSocket{c.(*net.UDPConn)}, nil
}

type udpSocket struct{ *net.UDPConn }

func (s udpSocket) send(to netip.Addr, message []byte) error {
	_, err := s.WriteToUDPAddrPort(message, netip.AddrPortFrom(to, serverPort))
	return err
}

func (s udpSocket) recv(until time.Time) ([]byte, error) {
	if err := s.SetReadDeadline(until); err != nil {
		return nil, err
	}
	b := make([]byte, 2048)
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil {
			return nil, err
		}
		if from.Port() == serverPort {
			return b[:n], nil
		}
	}
}

// How an address is asked for: probes and the time to wait after each. RFC 5227
// wants about 5 s for all; a machine that boots has less patience.
const (
	probes    = 2
	probeWait = 150 * time.Millisecond
)

func (n *sockets) conflict(ctx context.Context, a netip.Addr) bool {
	f, err := n.raw(syscall.ETH_P_ARP)
	if err != nil {
		return false
	}
	defer f.Close()
	ip, b := a.As4(), make([]byte, 2048)
	for range probes {
		if ctx.Err() != nil {
			return false
		}
		f.Write(probe(n.cfg.HWAddr, ip))
		f.SetReadDeadline(time.Now().Add(probeWait))
		for {
			size, err := f.Read(b)
			if err != nil {
				break
			}
			if claims(b[:size], n.cfg.HWAddr, ip) {
				return true
			}
		}
	}
	return false
}

// probe returns the frame of an ARP probe (RFC 5227 2.1.1).
func probe(mac [6]byte, ip [4]byte) []byte {
	b := make([]byte, ethHeader+28)
	copy(b, "\xff\xff\xff\xff\xff\xff")
	copy(b[6:], mac[:])
	copy(b[12:], "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01")
	copy(b[22:], mac[:])
	copy(b[38:], ip[:])
	return b
}

// claims reports whether a frame is ARP by which another host has an address,
// or is about to take it.
func claims(b []byte, mac [6]byte, ip [4]byte) bool {
	if len(b) < ethHeader+28 || string(b[12:20]) != "\x08\x06\x00\x01\x08\x00\x06\x04" || bytes.Equal(b[22:28], mac[:]) {
		return false
	}
	sender, target := [4]byte(b[28:32]), [4]byte(b[38:42])
	return sender == ip || sender == [4]byte{} && target == ip && binary.BigEndian.Uint16(b[20:]) == 1
}
