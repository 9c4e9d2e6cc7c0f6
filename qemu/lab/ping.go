package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// MaxPing is the most data an echo request carries: 65535 less two headers.
const MaxPing = 65507

// Boundaries returns the sizes of ping data at which something may change on a link with the given MTU: all small ones, those around each
// place where one more fragment begins, and between them one each step.
func Boundaries(mtu, step int) []int {
	set := map[int]bool{MaxPing: true}
	add := func(from, to, step int) {
		for n := from; n <= min(to, MaxPing); n += step {
			if n >= 0 {
				set[n] = true
			}
		}
	}
	add(0, 64, 1)
	add(mtu-40, mtu+20, 1)
	add(0, MaxPing, step)
	piece := (mtu - 20) &^ 7 // RFC 791: all but the last are multiples of 8
	for n := piece; n-16 <= MaxPing; n += piece {
		add(n-8-1, n-8+1, 1)                           // full pieces only
		add(n+mtu-20-piece-8-1, n+mtu-20-piece-8+1, 1) // a last one that is not a multiple of 8
	}
	sizes := make([]int, 0, len(set))
	for n := range set {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return sizes
}

// parseSizes reads "0-1500,8000,2000-3000/7" and "mtu576/251", which is [Boundaries].
func parseSizes(s string) (sizes []int, err error) {
	for part := range strings.SplitSeq(s, ",") {
		var a, b, step int
		switch {
		case scan(part, "mtu%d/%d", &a, &step):
			sizes = append(sizes, Boundaries(a, step)...)
			continue
		case scan(part, "%d-%d/%d", &a, &b, &step), scan(part, "%d-%d", &a, &b):
			step = max(step, 1)
		case scan(part, "%d", &a):
			b, step = a, 1
		default:
			return nil, fmt.Errorf("sizes: %q", part)
		}
		for n := a; n <= b; n += step {
			sizes = append(sizes, n)
		}
	}
	return sizes, nil
}

// scan is Sscanf for the whole of s.
func scan(s, format string, to ...any) bool {
	var rest string
	n, _ := fmt.Sscanf(s+" end", format+" %s", append(to, &rest)...)
	return n == len(to)+1 && rest == "end"
}

// pinger is one socket that sends echo requests.
type pinger struct {
	fd   int
	raw  bool
	id   uint16 // of a raw socket
	seq  uint16
	wait time.Duration
	buf  []byte
	in   []byte
}

func newPinger(kind string, dst [4]byte, pmtu int, wait time.Duration) (*pinger, error) {
	p := &pinger{raw: kind == "raw", id: 0x1ab, wait: wait, buf: make([]byte, 8+MaxPing), in: make([]byte, 1<<16)}
	typ := unix.SOCK_DGRAM
	if p.raw {
		typ = unix.SOCK_RAW
	}
	var err error
	if p.fd, err = unix.Socket(unix.AF_INET, typ, unix.IPPROTO_ICMP); err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return timeval(p.fd, wait) },
		func() error { return unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<18) },
		func() error { return unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<18) },
		func() error { return unix.SetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, pmtu) },
		func() error { return unix.Connect(p.fd, &unix.SockaddrInet4{Addr: dst}) },
	}
	for _, s := range steps {
		if err := s(); err != nil {
			unix.Close(p.fd)
			return nil, err
		}
	}
	return p, nil
}

// ping sends size bytes and says what came of it: "ok", "silent", "wrong", or the error of the send or of the receive.
func (p *pinger) ping(size int) string {
	p.seq++
	b := p.buf[:8+size]
	b[0], b[1], b[2], b[3] = 8, 0, 0, 0
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], p.seq)
	x := uint32(size)*2654435761 + uint32(p.seq)
	for i := range b[8:] {
		x = x*1664525 + 1013904223
		b[8+i] = byte(x >> 24)
	}
	if p.raw { // a ping socket's kernel does it
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	if _, err := unix.Write(p.fd, b); err != nil {
		return errno(err)
	}
	for end := time.Now().Add(p.wait); time.Now().Before(end); {
		n, err := unix.Read(p.fd, p.in)
		switch {
		case err == unix.EAGAIN:
			return "silent"
		case err == unix.EINTR:
			continue
		case err != nil:
			return errno(err)
		}
		got := p.in[:n]
		if p.raw {
			if n < 20 || n < int(got[0]&15)*4+8 {
				return "wrong"
			}
			got = got[int(got[0]&15)*4:]
			if got[0] != 0 || binary.BigEndian.Uint16(got[4:]) != p.id {
				continue // a raw socket hears all ICMP
			}
		}
		if len(got) < 8 || got[0] != 0 || binary.BigEndian.Uint16(got[6:]) != p.seq || !bytes.Equal(got[8:], b[8:]) {
			return "wrong"
		}
		return "ok"
	}
	return "silent"
}

// checksum is RFC 1071's.
func checksum(b []byte) uint16 {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// ping: dst=A sizes=S [kind=dgram|raw] [pmtu=N] [wait=MS]. It sends one echo request of each size, the next when the one before is done, and prints a
// line for each run of sizes with the same outcome, "FROM-TO OUTCOME". It gives up after three silences. With count=N each
// size is sent so often.
func (l *Lab) ping(a args, out io.Writer) error {
	dst, err := a.addr("dst")
	if err != nil {
		return err
	}
	sizes, err := parseSizes(a.str("sizes", "56"))
	if err != nil {
		return err
	}
	pmtu, err := a.num("pmtu", unix.IP_PMTUDISC_WANT)
	if err != nil {
		return err
	}
	wait, err := a.num("wait", 2000)
	if err != nil {
		return err
	}
	p, err := newPinger(a.str("kind", "dgram"), dst, pmtu, time.Duration(wait)*time.Millisecond)
	if err != nil {
		return err
	}
	defer unix.Close(p.fd)
	from, last, outcome, silences := -1, 0, "", 0
	flush := func() {
		if from >= 0 {
			fmt.Fprintf(out, "%d-%d %s\n", from, last, outcome)
		}
	}
	for _, size := range sizes {
		got := p.ping(size)
		if got != outcome {
			flush()
			from, outcome = size, got
		}
		last = size
		if got == "silent" {
			if silences++; silences == 3 {
				break
			}
		}
	}
	flush()
	return nil
}

// pmtu: dst=A [mode=N]. It prints the path's MTU as a connected socket sees it.
func (l *Lab) pmtu(a args, out io.Writer) error {
	dst, err := a.addr("dst")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: dst, Port: 9}); err != nil {
		return err
	}
	mtu, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, strconv.Itoa(mtu))
	return nil
}

// udp: dst=A port=N [size=N] [pmtu=N] [tos=N] [mark=N] [src=A] [dev=D] [wait=MS]. It sends one datagram and prints what came back: "N bytes" and the first of them, or the error
// of the send or the receive, with what the error queue says.
func (l *Lab) udp(a args, out io.Writer) error {
	dst, err := a.addr("dst")
	if err != nil {
		return err
	}
	var v struct{ port, size, pmtu, tos, mark, wait int }
	for _, o := range []struct {
		key  string
		to   *int
		none int
	}{{"port", &v.port, 7}, {"size", &v.size, 10}, {"pmtu", &v.pmtu, unix.IP_PMTUDISC_WANT}, {"tos", &v.tos, 0}, {"mark", &v.mark, 0}, {"wait", &v.wait, 1000}} {
		if *o.to, err = a.num(o.key, o.none); err != nil {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<18)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, v.pmtu)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, v.tos)
	if v.mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, v.mark); err != nil {
			return err
		}
	}
	if err := timeval(fd, time.Duration(v.wait)*time.Millisecond); err != nil {
		return err
	}
	if dev := a["dev"]; dev != "" {
		if err := unix.BindToDevice(fd, dev); err != nil {
			return err
		}
	}
	if _, ok := a["src"]; ok {
		src, err := a.addr("src")
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: src}); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: dst, Port: v.port}); err != nil {
		fmt.Fprintln(out, "connect", errno(err))
		return nil
	}
	if _, err := unix.Write(fd, make([]byte, v.size)); err != nil {
		fmt.Fprintln(out, "send", errno(err), queued(fd))
		return nil
	}
	buf := make([]byte, 1<<16)
	n, err := unix.Read(fd, buf)
	switch {
	case err == unix.EAGAIN:
		fmt.Fprintln(out, "silent")
	case err != nil:
		fmt.Fprintln(out, "receive", errno(err), queued(fd))
	default:
		fmt.Fprintf(out, "%d bytes %q\n", n, buf[:min(n, 20)])
	}
	return nil
}

// queued describes the first entry of the socket's error queue (struct sock_extended_err and the offender after it).
func queued(fd int) string {
	oob, buf := make([]byte, 512), make([]byte, 1<<16)
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return "queue " + errno(err)
	}
	ms, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return err.Error()
	}
	for _, m := range ms {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR && len(m.Data) >= 24 {
			d := m.Data
			return fmt.Sprintf("queue %s origin %d type %d code %d info %d from %d.%d.%d.%d of %d bytes", unix.ErrnoName(unix.Errno(binary.NativeEndian.Uint32(d))),
				d[4], d[5], d[6], binary.NativeEndian.Uint32(d[8:]), d[20], d[21], d[22], d[23], n)
		}
	}
	return "queue without an error"
}
