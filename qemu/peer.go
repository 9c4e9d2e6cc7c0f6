package qemu

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// A FrameConn is one end of an Ethernet cable.
type FrameConn interface {
	// ReadFrame reads the next frame into buf and returns its length. After
	// the deadline it fails with os.ErrDeadlineExceeded.
	ReadFrame(buf []byte) (int, error)
	// WriteFrame puts one frame on the wire. It waits for room, but not for
	// ever: a guest that has no card up takes nothing.
	WriteFrame(frame []byte) error
	SetReadDeadline(t time.Time) error
	Close() error
}

// A WireKind chooses how frames travel between QEMU and the test.
type WireKind int

const (
	Dgram  WireKind = iota // -netdev dgram: a datagram a frame
	Stream                 // -netdev stream: a byte stream, each frame after its length
)

// NewWire returns a cable: end is to be given to a [NIC], conn stays in the
// test. Frames are never lost on it: a full socket makes the writer wait, QEMU
// as well as the test.
func NewWire(kind WireKind) (conn FrameConn, end Backend, err error) {
	sock := syscall.SOCK_DGRAM
	if kind == Stream {
		sock = syscall.SOCK_STREAM
	}
	here, there, err := socketPair(sock)
	if err != nil {
		return nil, nil, err
	}
	if kind == Stream {
		conn = &streamConn{File: here, r: bufio.NewReaderSize(here, 1<<16)}
	} else {
		conn = dgramConn{here}
	}
	return conn, wireEnd{kind, there}, nil
}

// NewCable returns the two ends of a cable between two guests.
func NewCable() (a, b Backend, err error) {
	here, there, err := socketPair(syscall.SOCK_DGRAM)
	return wireEnd{Dgram, here}, wireEnd{Dgram, there}, err
}

type wireEnd struct {
	kind WireKind
	f    *os.File
}

func (w wireEnd) netdev(file func(*os.File) int) (string, error) {
	if w.kind == Stream {
		return fmt.Sprintf("stream,server=off,addr.type=fd,addr.str=%d", file(w.f)), nil
	}
	return fmt.Sprintf("dgram,local.type=fd,local.str=%d", file(w.f)), nil
}

func (w wireEnd) close() { w.f.Close() }

// writeTimeout is how long the other end may take no frame.
const writeTimeout = 3 * time.Second

type dgramConn struct{ *os.File }

func (c dgramConn) ReadFrame(buf []byte) (int, error) { return c.Read(buf) }

func (c dgramConn) WriteFrame(frame []byte) error {
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.Write(frame)
	return err
}

// streamConn frames a byte stream as QEMU does: a 32-bit big-endian length
// before each frame (QEMU's net/stream.c).
type streamConn struct {
	*os.File
	r  *bufio.Reader
	mu sync.Mutex
}

func (c *streamConn) ReadFrame(buf []byte) (int, error) {
	// Peek, so that a deadline in the middle of a frame loses nothing.
	head, err := c.r.Peek(4)
	if err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(head))
	if n > len(buf) || n+4 > c.r.Size() {
		return 0, fmt.Errorf("stream: frame of %d bytes", n)
	}
	whole, err := c.r.Peek(4 + n)
	if err != nil {
		return 0, err
	}
	copy(buf, whole[4:])
	c.r.Discard(4 + n)
	return n, nil
}

func (c *streamConn) WriteFrame(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	msg := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame)))
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.Write(append(msg, frame...))
	return err
}

// A Peer is a station of its own on a wire: it has an address, answers ARP for
// it while it waits for something, and sends and expects frames one by one. It
// is for one goroutine.
type Peer struct {
	Conn FrameConn
	MAC  MAC
	IP   netip.Addr
	// Heard counts the frames read, Damaged those of them that did not parse:
	// a guest never sends one, so tests check that it stays 0.
	Heard, Damaged int
	// LastDamage is why the last damaged frame was refused.
	LastDamage error

	buf [1 << 16]byte
}

// NewPeer returns a station with the given address on conn.
func NewPeer(conn FrameConn, mac MAC, ip netip.Addr) *Peer {
	return &Peer{Conn: conn, MAC: mac, IP: ip}
}

// Expect reads frames until match accepts one, answering ARP requests for the
// peer's own address on the way, and returns it. The frame's bytes are valid
// until the next call. It fails with os.ErrDeadlineExceeded after timeout.
func (p *Peer) Expect(timeout time.Duration, match func(*Frame) bool) (*Frame, error) {
	if err := p.Conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	for {
		n, err := p.Conn.ReadFrame(p.buf[:])
		if err != nil {
			return nil, err
		}
		p.Heard++
		f, err := ParseFrame(p.buf[:n])
		if err != nil {
			p.Damaged++
			p.LastDamage = err
			continue
		}
		if match(f) {
			return f, nil
		}
		if f.ARP != nil && f.ARP.Op == ARPRequest && f.ARP.TargetIP == p.IP {
			if err := p.answerARP(f.ARP); err != nil {
				return nil, err
			}
		}
	}
}

func (p *Peer) answerARP(req *ARP) error {
	reply := ARP{Op: ARPReply, SenderHW: p.MAC, SenderIP: p.IP, TargetHW: req.SenderHW, TargetIP: req.SenderIP}
	return p.Conn.WriteFrame(Ethernet(req.SenderHW, p.MAC, EtherARP, reply.Marshal()))
}

// Resolve asks for the Ethernet address of ip until it is answered.
func (p *Peer) Resolve(ip netip.Addr, timeout time.Duration) (MAC, error) {
	req := ARP{Op: ARPRequest, SenderHW: p.MAC, SenderIP: p.IP, TargetIP: ip}
	frame := Ethernet(Broadcast, p.MAC, EtherARP, req.Marshal())
	for end := time.Now().Add(timeout); time.Now().Before(end); {
		if err := p.Conn.WriteFrame(frame); err != nil {
			return MAC{}, err
		}
		f, err := p.Expect(20*time.Millisecond, func(f *Frame) bool {
			return f.ARP != nil && f.ARP.Op == ARPReply && f.ARP.SenderIP == ip && f.Dst == p.MAC
		})
		if err == nil {
			if f.Src != f.ARP.SenderHW {
				return MAC{}, fmt.Errorf("arp: %v answered from %v for %v", ip, f.Src, f.ARP.SenderHW)
			}
			return f.ARP.SenderHW, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return MAC{}, err
		}
	}
	return MAC{}, fmt.Errorf("arp: %v did not answer in %v (%d frames heard, %d damaged)", ip, timeout, p.Heard, p.Damaged)
}

// SendIP sends one IPv4 packet from the peer's address.
func (p *Peer) SendIP(to MAC, ip IPv4) error {
	if !ip.Src.IsValid() {
		ip.Src = p.IP
	}
	return p.Conn.WriteFrame(Ethernet(to, p.MAC, EtherIPv4, ip.Marshal()))
}

// SendUDP sends one datagram from the peer's address.
func (p *Peer) SendUDP(to MAC, dst netip.AddrPort, srcPort uint16, payload []byte) error {
	u := UDP{Src: srcPort, Dst: dst.Port(), Payload: payload}
	return p.SendIP(to, IPv4{Proto: ProtoUDP, Dst: dst.Addr(), Payload: u.Marshal(p.IP, dst.Addr())})
}

// Ping sends one echo request and returns the reply's payload.
func (p *Peer) Ping(to MAC, dst netip.Addr, id, seq uint16, payload []byte, timeout time.Duration) ([]byte, error) {
	req := ICMP{Type: ICMPEcho, Rest: uint32(id)<<16 | uint32(seq), Payload: payload}
	if err := p.SendIP(to, IPv4{Proto: ProtoICMP, Dst: dst, Payload: req.Marshal()}); err != nil {
		return nil, err
	}
	f, err := p.Expect(timeout, func(f *Frame) bool {
		return f.ICMP != nil && f.ICMP.Type == ICMPEchoReply && f.ICMP.Rest == req.Rest && f.IP.Src == dst && f.IP.Dst == p.IP
	})
	if err != nil {
		return nil, fmt.Errorf("ping %v seq %d: %w", dst, seq, err)
	}
	return f.ICMP.Payload, nil
}
