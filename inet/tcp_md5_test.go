package inet_test

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"barewire/inet/sock"
	"barewire/skb/header"
)

const tcpMD5Sig, tcpMD5SigExt = 14, 32

// md5sig makes struct tcp_md5sig; prefix < 0 is none.
func md5sig(a header.Addr, prefix int, key string) []byte {
	p := make([]byte, 216)
	p[0] = syscall.AF_INET
	binary.BigEndian.PutUint32(p[4:], uint32(a))
	if prefix >= 0 {
		p[128], p[129] = 1, byte(prefix)
	}
	binary.LittleEndian.PutUint16(p[130:], uint16(len(key)))
	copy(p[136:], key)
	return p
}

func TestTCPMD5_option_errors(t *testing.T) {
	h := newHost(t)
	s := h.tcpSocket(0, 0)
	set := func(name int, val []byte) error { return s.SetSockOpt(syscall.SOL_TCP, name, val) }
	key := md5sig(peerIP, -1, "secret")
	v6 := md5sig(peerIP, -1, "secret")
	v6[0] = syscall.AF_INET6
	long := md5sig(peerIP, -1, "secret")
	long[130] = 81
	dev := md5sig(peerIP, -1, "secret")
	dev[128], dev[132] = 2, 1
	for _, c := range []struct {
		what string
		name int
		val  []byte
		want error
	}{
		{"short", tcpMD5Sig, key[:215], syscall.EINVAL},
		{"IPv6", tcpMD5Sig, v6, syscall.EINVAL},
		{"long key", tcpMD5Sig, long, syscall.EINVAL},
		{"prefix", tcpMD5SigExt, md5sig(peerIP, 33, "x"), syscall.EINVAL},
		{"no L3 master", tcpMD5SigExt, dev, syscall.EINVAL},
		{"delete nothing", tcpMD5Sig, md5sig(peerIP, -1, ""), syscall.ENOENT},
		{"set", tcpMD5Sig, key, nil},
		{"replace", tcpMD5Sig, md5sig(peerIP, -1, "other"), nil},
		{"delete with another prefix", tcpMD5SigExt, md5sig(peerIP, 24, ""), syscall.ENOENT},
		{"delete", tcpMD5Sig, md5sig(peerIP, -1, ""), nil},
		{"delete again", tcpMD5Sig, md5sig(peerIP, -1, ""), syscall.ENOENT},
	} {
		if err := set(c.name, c.val); err != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	check(t, h.net.Sysctl().Set("net.core.optmem_max", "1000"))
	for i := range 100 {
		if err := set(tcpMD5Sig, md5sig(peerIP+header.Addr(i), -1, "x")); err != nil {
			if err != syscall.ENOMEM || i == 0 {
				t.Errorf("key %d: %v", i, err)
			}
			return
		}
	}
	t.Error("keys without end")
}

// What is not signed as it must be is dropped and counted; what is gets a signed
// answer, the sum of which is that of RFC 2385 section 2.0.
func TestTCPMD5_listener_judges(t *testing.T) {
	h := newHost(t)
	h.know()
	l := h.tcpSocket(0, 80)
	check(t, l.Listen(5))
	check(t, l.SetSockOpt(syscall.SOL_TCP, tcpMD5SigExt, md5sig(peerIP, 24, "network")))
	check(t, l.SetSockOpt(syscall.SOL_TCP, tcpMD5Sig, md5sig(peerIP, -1, "peer")))
	sum := func(src, dst header.Addr, seg []byte, key string) []byte {
		p := make([]byte, 12, 12+len(seg)+len(key))
		binary.BigEndian.PutUint32(p, uint32(src))
		binary.BigEndian.PutUint32(p[4:], uint32(dst))
		p[9] = 6
		binary.BigEndian.PutUint16(p[10:], uint16(len(seg)))
		p = append(p, seg[:16]...)
		p = append(p, 0, 0, seg[18], seg[19])
		p = append(append(p, seg[header.TCP(seg).HeaderLen():]...), key...)
		s := md5.Sum(p)
		return s[:]
	}
	syn := func(src header.Addr, port uint16, key string) []byte {
		f := header.TCPFields{SrcPort: port, DstPort: 80, Seq: 100, Flags: header.TCPSyn, Window: 1000}
		if key == "" {
			return tcpFrame(src, f)
		}
		opt := append([]byte{1, 1, 19, 18}, make([]byte, 16)...)
		_, seg := segmentOf(tcpFrame(src, f, opt...))
		copy(opt[4:], sum(src, hostIP, seg, key))
		return tcpFrame(src, f, opt...)
	}
	other, stranger := peerIP+1, header.AddrFrom4([4]byte{198, 51, 100, 1})
	for i, c := range []struct {
		what    string
		src     header.Addr
		key     string
		counter string
		answer  bool
	}{
		{"peer's key", peerIP, "peer", "", true},
		{"network's key from the peer", peerIP, "network", "TCPMD5Failure", false},
		{"none from the peer", peerIP, "", "TCPMD5NotFound", false},
		{"network's key from another", other, "network", "", true},
		{"a key from a stranger", stranger, "network", "TCPMD5Unexpected", false},
		{"none from a stranger", stranger, "", "", true},
	} {
		h.port.take()
		before := uint64(0)
		if c.counter != "" {
			before = h.counter(c.counter)
		}
		h.inject(arpFrame(header.ARPRequest, hostMAC, peerMAC, other, [6]byte{}, hostIP))
		h.port.take()
		h.inject(syn(c.src, uint16(4000+i), c.key))
		sent := h.port.take()
		if len(sent) == 1 != c.answer {
			t.Errorf("%s: %d answers", c.what, len(sent))
			continue
		}
		if c.counter != "" && h.counter(c.counter) != before+1 {
			t.Errorf("%s is not counted in %s", c.what, c.counter)
		}
		if c.answer && c.key != "" {
			ip, seg := segmentOf(sent[0])
			o := seg.Options()
			seg = seg[:ip.TotalLen()-ip.HeaderLen()]
			if o[0] != 1 || o[2] != 19 || string(o[4:20]) != string(sum(hostIP, c.src, seg, c.key)) {
				t.Errorf("%s: the answer has % x", c.what, o)
			}
		}
	}
}

// TestTCPLinux_md5 signs, and checks what the Linux kernel signs: connections
// both ways, data, close and RST.
func TestTCPLinux_md5(t *testing.T) {
	ns, n := tcpLinux(t, true)
	ourIP := header.AddrFrom4([4]byte{192, 0, 2, 2})
	keyed := func(key string) func(string, string, syscall.RawConn) error {
		return func(_, _ string, c syscall.RawConn) (err error) {
			c.Control(func(fd uintptr) {
				err = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, tcpMD5Sig, string(md5sig(ourIP, -1, key)))
			})
			return err
		}
	}
	data := make([]byte, 300<<10)
	for i := range data {
		data[i] = pattern(9, i)
	}
	socket := func(prefix int, key string) *sock.Socket {
		s, err := n.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		check(t, err)
		check(t, s.SetSockOpt(syscall.SOL_TCP, tcpMD5SigExt, md5sig(linuxIP, prefix, key)))
		blocking(t, s)
		return s
	}
	// Linux listens.
	var l net.Listener
	lc := net.ListenConfig{Control: keyed("secret")}
	if err := ns.Do(func() (err error) { l, err = lc.Listen(context.Background(), "tcp4", "192.0.2.1:7777"); return err }); err != nil {
		t.Skip(err) // a kernel without TCP_MD5SIG
	}
	defer l.Close()
	go func() {
		for {
			s, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(s, s)
				s.Close()
			}()
		}
	}()
	s := socket(-1, "secret")
	check(t, s.Connect(sockaddr(linuxIP, 7777), 0))
	echoThrough(t, "to Linux", conn{s}, conn{s}, func() error { return s.Shutdown(syscall.SHUT_WR) }, data)
	check(t, s.Release())
	// With another key nobody answers.
	s = socket(-1, "wrong")
	check(t, s.SetSockOpt(syscall.SOL_TCP, 18, []byte{0xf4, 1, 0, 0})) // TCP_USER_TIMEOUT 500 ms
	if err := s.Connect(sockaddr(linuxIP, 7777), 0); err != syscall.ETIMEDOUT {
		t.Errorf("with another key: %v", err)
	}
	check(t, s.Release())
	// We listen, with a key for the network.
	ls := socket(24, "of the net")
	check(t, ls.Bind(sockaddr(0, 80)))
	check(t, ls.Listen(5))
	accepted := make(chan *sock.Socket, 1)
	go func() {
		s, err := ls.Accept(0)
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	d := net.Dialer{Control: keyed("of the net"), Timeout: 5 * time.Second}
	var cn net.Conn
	check(t, ns.Do(func() (err error) { cn, err = d.Dial("tcp4", "192.0.2.2:80"); return err }))
	s = <-accepted
	blocking(t, s)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn{s}, conn{s})
		s.Release()
		done <- err
	}()
	echoThrough(t, "from Linux", cn, cn, cn.(*net.TCPConn).CloseWrite, data)
	check(t, <-done)
	cn.Close()
	check(t, ls.Release())
}
