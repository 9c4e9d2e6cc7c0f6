package qemu

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A sniffer hears all frames of a namespace's device, those it sends too.
type sniffer struct {
	fd       int
	incoming bool // only what the device received
}

// sniff begins to listen.
func sniff(t testing.TB, ns *Namespace, dev string) *sniffer {
	t.Helper()
	s := &sniffer{incoming: true}
	must(t, ns.Do(func() (err error) {
		var ifr *unix.Ifreq
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		if ifr, err = unix.NewIfreq(dev); err != nil {
			return err
		}
		if err = unix.IoctlIfreq(s.fd, unix.SIOCGIFINDEX, ifr); err != nil {
			return err
		}
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: int(ifr.Uint32())}) // ETH_P_ALL
	}))
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// take returns the frames since the last call. A damaged one fails the test.
func (s *sniffer) take(t testing.TB) (frames []*Frame) {
	t.Helper()
	for {
		b := make([]byte, 1<<16)
		n, from, err := unix.Recvfrom(s.fd, b, 0)
		if err != nil {
			return frames
		}
		if s.incoming && from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		f, err := ParseFrame(b[:n])
		if err != nil && s.incoming {
			// A sum that the sending side of a virtual device left to the hardware is no damage.
			if f == nil || f.IP == nil {
				t.Errorf("a damaged frame: %v % x", err, b[:min(n, 80)])
				continue
			}
		}
		frames = append(frames, f)
	}
}

// wait takes frames until one matches, for at most d.
func (s *sniffer) wait(t testing.TB, d time.Duration, match func(*Frame) bool) *Frame {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, f := range s.take(t) {
			if match(f) {
				return f
			}
		}
	}
	return nil
}

// be16 is the big-endian number at b[i].
func be16(b []byte, i int) int { return int(binary.BigEndian.Uint16(b[i:])) }
