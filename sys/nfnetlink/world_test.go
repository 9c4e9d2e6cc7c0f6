package nfnetlink

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"barewire/inet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/qemu"
	"barewire/sys/netlink"
)

// end is a netlink socket of one of two kernels, ours or Linux.
type end struct {
	testing.TB
	name string
	port uint32
	send func(b []byte) error
	recv func() []byte // nil: nothing there
	opt  func(name, v int) error
	set  func(name, value string) error // of net.netfilter
	in   *inet.Net                      // ours
}

// newTable is our side of a namespace.
func newTable(t testing.TB) (*netlink.Table, *Table, *inet.Net) {
	t.Helper()
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	nl := netlink.New(n.Clock(), n.Rand, 1)
	f, err := New(nl, in.NF())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		in.Close()
		for range 20 {
			n.SoftNet().DoSoftirq()
		}
		if b := n.SKB().InUse(); b != 0 {
			t.Errorf("%d packets not returned", b)
		}
	})
	return nl, f, in
}

// own is a socket of this stack.
func own(t testing.TB) *end {
	nl, _, in := newTable(t)
	return ownOn(t, nl, in)
}

func ownOn(t testing.TB, nl *netlink.Table, in *inet.Net) *end {
	s := &sock.Socket{Family: syscall.AF_NETLINK, Type: syscall.SOCK_RAW}
	if err := nl.Create(s, syscall.NETLINK_NETFILTER); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Release() })
	sa := make([]byte, netlink.AddrLen)
	binary.NativeEndian.PutUint16(sa, syscall.AF_NETLINK)
	if err := s.Bind(sa); err != nil {
		t.Fatal(err)
	}
	return &end{TB: t, name: "ours", in: in,
		send: func(b []byte) error {
			_, err := s.SendMsg(&sock.Msg{Iov: [][]byte{b}}, 0)
			return err
		},
		recv: func() []byte {
			b := make([]byte, 65536)
			n, err := s.RecvMsg(&sock.Msg{Iov: [][]byte{b}}, syscall.MSG_DONTWAIT)
			if err != nil {
				return nil
			}
			return b[:n]
		},
		opt: func(name, v int) error {
			return s.SetSockOpt(270, name, binary.NativeEndian.AppendUint32(nil, uint32(v)))
		},
		set: func(name, v string) error { return in.Dev().Sysctl().Set("net.netfilter."+name, v) },
	}
}

// linux is a socket of the real one in a namespace of its own.
func linux(t testing.TB) *end {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("nfnl")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ns.Close() })
	var fd int
	if err := ns.Do(func() (err error) {
		if fd, err = syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_NETFILTER); err != nil {
			return err
		}
		return syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
	}); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return &end{TB: t, name: "Linux",
		send: func(b []byte) error {
			return syscall.Sendto(fd, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
		},
		recv: func() []byte {
			b := make([]byte, 65536)
			for range 20 {
				if n, _, err := syscall.Recvfrom(fd, b, syscall.MSG_DONTWAIT); err == nil {
					return b[:n]
				}
				time.Sleep(100 * time.Microsecond)
			}
			return nil
		},
		opt: func(name, v int) error { return syscall.SetsockoptInt(fd, 270, name, v) },
		set: func(name, v string) error { return ns.Sysctl("netfilter/"+name, v) },
	}
}

// attr makes an attribute.
func attr(typ uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)&3 != 0 {
		b = append(b, 0)
	}
	return b
}

func nest(typ uint16, in ...[]byte) []byte {
	var v []byte
	for _, a := range in {
		v = append(v, a...)
	}
	return attr(typ|0x8000, v...)
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// tuple makes a tuple: four numbers of addresses and ports.
func tuple(typ uint16, src, dst byte, proto byte, sport, dport uint16, more ...[]byte) []byte {
	l4 := [][]byte{attr(ctaProtoNum, proto)}
	switch proto {
	case 1:
		l4 = append(l4, attr(ctaICMPID, byte(sport>>8), byte(sport)), attr(ctaICMPType, byte(dport>>8)), attr(ctaICMPCode, byte(dport)))
	default:
		l4 = append(l4, attr(ctaProtoSrc, byte(sport>>8), byte(sport)), attr(ctaProtoDst, byte(dport>>8), byte(dport)))
	}
	return nest(typ, append([][]byte{
		nest(ctaTupleIP, attr(ctaIPv4Src, 10, 0, 0, src), attr(ctaIPv4Dst, 10, 0, 0, dst)),
		nest(ctaTupleProto, l4...)}, more...)...)
}

// message makes a request to a subsystem.
func message(sub, cmd uint16, flags uint16, family byte, res uint16, attrs ...[]byte) []byte {
	b := make([]byte, 20)
	b[16], b[18], b[19] = family, byte(res>>8), byte(res)
	for _, a := range attrs {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sub<<8|cmd)
	binary.NativeEndian.PutUint16(b[6:], flags|netlink.FlagRequest)
	return b
}

// ask sends a request and returns what comes back as text: one line a message.
func (e *end) ask(req []byte) string {
	e.Helper()
	if err := e.send(req); err != nil {
		return fmt.Sprint("send: ", err)
	}
	return e.told()
}

// told is what is on the socket.
func (e *end) told() string {
	var out []string
	for b := e.recv(); b != nil; b = e.recv() {
		for len(b) >= 16 {
			n := int(binary.NativeEndian.Uint32(b))
			if n < 16 || n > len(b) {
				e.Fatalf("%s: a message of %d in %d bytes", e.name, n, len(b))
			}
			out = append(out, describe(b[:n]))
			b = b[min((n+3)&^3, len(b)):]
		}
	}
	return strings.Join(out, "\n")
}

func describe(m []byte) string {
	typ, flags := binary.NativeEndian.Uint16(m[4:]), binary.NativeEndian.Uint16(m[6:])
	switch typ {
	case netlink.TypeError:
		return fmt.Sprintf("error %v", syscall.Errno(-int32(binary.NativeEndian.Uint32(m[16:]))))
	case netlink.TypeDone:
		return "done"
	}
	s := fmt.Sprintf("%#x flags %#x gen %x", typ, flags, m[16:20])
	return s + attributes(m[20:], typ>>8 == subConntrack || typ>>8 == subExpect, 0)
}

// attributes writes attributes down, sorted where order means nothing, and
// without what must differ: IDs and uses; times by the ten seconds.
func attributes(b []byte, ct bool, depth int) string {
	var l []string
	for len(b) >= 4 {
		n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			return " BAD " + hex.EncodeToString(b)
		}
		v := b[4:n]
		switch {
		case ct && depth == 0 && typ&^0x8000 == ctaSynproxy: // Linux prepares all it is told to make for it
		case typ&0x8000 != 0:
			l = append(l, fmt.Sprintf("%d{%s}", typ&^0x8000, attributes(v, ct, depth+1)))
		case ct && depth == 0 && (typ == ctaID || typ == ctaUse || typ == ctaTimestampEvent):
			l = append(l, fmt.Sprintf("%d:%d", typ, len(v)))
		case ct && depth == 0 && typ == ctaTimeout:
			l = append(l, fmt.Sprintf("%d=%d0s", typ, (binary.BigEndian.Uint32(v)+2)/10))
		default:
			l = append(l, fmt.Sprintf("%d=%x", typ, v))
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	sort.Strings(l)
	return " " + strings.Join(l, " ")
}
