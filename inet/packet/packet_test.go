package packet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"barewire/inet/packet"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// world is one namespace with both ends of a veth pair.
type world struct {
	testing.TB
	net  *napi.Net
	fam  sock.Families
	a, b *napi.NetDevice
}

func newWorld(t testing.TB) *world {
	t.Helper()
	n, err := napi.New(napi.Config{})
	must(t, err)
	w := &world{TB: t, net: n}
	p := packet.New(n, nil, 0)
	must(t, w.fam.Register(syscall.AF_PACKET, p.Create))
	w.a, w.b, err = napi.NewVethPair(n, "veth0", n, "veth1")
	must(t, err)
	must(t, w.a.Open())
	must(t, w.b.Open())
	t.Cleanup(func() {
		w.run()
		napi.UnregisterVeth(w.a)
		p.Close()
		if b, g := n.SKB().InUse(), n.SKB().Pool().InUse(); b != 0 || g != 0 {
			t.Errorf("%d packets, %d pages not returned", b, g)
		}
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) run() {
	for range 10 {
		w.net.SoftNet().DoSoftirq()
	}
}

func be(v uint16) int { return int(v>>8 | v<<8) }

func (w *world) socket(typ int, proto uint16) *sock.Socket {
	w.Helper()
	s, err := w.fam.Create(syscall.AF_PACKET, typ, be(proto))
	must(w, err)
	w.Cleanup(func() { s.Release() })
	return s
}

func ll(proto uint16, dev *napi.NetDevice, addr ...byte) []byte {
	p := make([]byte, 20)
	p[0] = syscall.AF_PACKET
	binary.BigEndian.PutUint16(p[2:], proto)
	if dev != nil {
		binary.LittleEndian.PutUint32(p[4:], uint32(dev.Ifindex()))
	}
	p[11] = byte(len(addr))
	copy(p[12:], addr)
	return p
}

func send(s *sock.Socket, data, to []byte) error {
	m := &sock.Msg{Iov: [][]byte{data}}
	m.NameLen = copy(m.Name[:], to)
	_, err := s.SendMsg(m, syscall.MSG_DONTWAIT)
	return err
}

func recv(s *sock.Socket) (*sock.Msg, []byte, error) {
	m := &sock.Msg{Iov: [][]byte{make([]byte, 70000)}, Control: make([]byte, 200)}
	n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT)
	return m, m.Iov[0][:max(n, 0)], err
}

func frame(dst, src [6]byte, typ uint16, n int) []byte {
	f := append(dst[:len(dst):len(dst)], src[:]...)
	f = binary.BigEndian.AppendUint16(f, typ)
	for i := range n {
		f = append(f, byte(i))
	}
	return f
}

func one(on int) []byte { return []byte{byte(on), 0, 0, 0} }

func TestRaw_frameToPeer_wholeFrameAndName(t *testing.T) {
	w := newWorld(t)
	tx, rx, other := w.socket(syscall.SOCK_RAW, 0), w.socket(syscall.SOCK_RAW, 0x88b5), w.socket(syscall.SOCK_RAW, 0x88b6)
	must(t, rx.Bind(ll(0x88b5, w.b)))
	must(t, rx.SetSockOpt(263, 8, one(1)))
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 3000)
	if err := send(tx, f, ll(0, w.a)); err != syscall.EMSGSIZE {
		t.Errorf("beyond the MTU: %v", err)
	}
	f = f[:14+1500]
	must(t, send(tx, f, ll(0, w.a)))
	w.run()
	m, got, err := recv(rx)
	must(t, err)
	h := w.a.HardwareAddr()
	want := ll(0x88b5, w.b, h[:]...)
	want[8] = 1
	if !bytes.Equal(got, f) || !bytes.Equal(m.Name[:m.NameLen], want) {
		t.Errorf("%d bytes from %x, want %x", len(got), m.Name[:m.NameLen], want)
	}
	c, _, ok, err := sock.NextCmsg(m.Control[:m.ControlLen])
	if !ok || err != nil || c.Level != 263 || c.Type != 8 || len(c.Data) != 20 || binary.LittleEndian.Uint32(c.Data[4:]) != 1514 || c.Data[14] != 14 {
		t.Errorf("auxdata %v %x %v", ok, c.Data, err)
	}
	if _, _, err := recv(other); err != syscall.EAGAIN {
		t.Errorf("another ethertype's socket: %v", err)
	}
}

func TestDgram_payloadOnly_bothWays(t *testing.T) {
	w := newWorld(t)
	tx, rx := w.socket(syscall.SOCK_DGRAM, 0x88b5), w.socket(syscall.SOCK_DGRAM, 0x88b5)
	must(t, rx.Bind(ll(0, w.b)))
	dst := w.b.HardwareAddr()
	must(t, send(tx, []byte("hello"), ll(0x88b5, w.a, dst[:]...)))
	w.run()
	m, got, err := recv(rx)
	if err != nil || string(got) != "hello" || m.Name[10] != 0 {
		t.Errorf("%q, %v, type %d", got, err, m.Name[10])
	}
	must(t, tx.Bind(ll(0, w.a)))
	if err := send(tx, []byte("to whom"), nil); err != syscall.EINVAL {
		t.Errorf("no address: %v", err)
	}
}

func TestTap_seesBothDirections_notItsOwn(t *testing.T) {
	w := newWorld(t)
	tap, tx := w.socket(syscall.SOCK_RAW, napi.ETH_P_ALL), w.socket(syscall.SOCK_RAW, napi.ETH_P_ALL)
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 60)
	must(t, send(tx, f, ll(0, w.a)))
	w.run()
	var types []byte
	for {
		m, got, err := recv(tap)
		if err != nil {
			break
		}
		if !bytes.Equal(got, f) {
			t.Errorf("frame %x", got)
		}
		types = append(types, m.Name[10])
	}
	if !bytes.Equal(types, []byte{4, 0}) { // PACKET_OUTGOING, then PACKET_HOST
		t.Errorf("packet types %v", types)
	}
	m, _, err := recv(tx)
	if err != nil || m.Name[10] != 0 {
		t.Errorf("sender's own tap: %v, type %d, want what the peer received only", err, m.Name[10])
	}
	if _, _, err := recv(tx); err != syscall.EAGAIN {
		t.Errorf("sender's own tap saw more: %v", err)
	}
	must(t, tap.SetSockOpt(263, 23, one(1)))
	dgram := w.socket(syscall.SOCK_DGRAM, napi.ETH_P_ALL)
	must(t, send(tx, f, ll(0, w.a)))
	w.run()
	if m, _, err := recv(tap); err != nil || m.Name[10] != 0 {
		t.Errorf("with IGNORE_OUTGOING: type %d, %v", m.Name[10], err)
	}
	if m, got, err := recv(dgram); err != nil || m.Name[10] != 4 || !bytes.Equal(got, f[14:]) {
		t.Errorf("DGRAM tap, outgoing: %d bytes, type %d, %v", len(got), m.Name[10], err)
	}
}

func TestFilter_cutsAndDrops_statisticsCount(t *testing.T) {
	w := newWorld(t)
	rx, tx := w.socket(syscall.SOCK_RAW, 0), w.socket(syscall.SOCK_RAW, 0)
	// ldb [14]; jeq #0, keep 20 or none.
	prog := []byte{0x30, 0, 0, 0, 14, 0, 0, 0, 0x15, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0, 0, 20, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0}
	must(t, rx.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, prog))
	must(t, rx.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, one(0)))
	must(t, rx.Bind(ll(0x88b5, w.b)))
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 60)
	for range 10 {
		must(t, send(tx, f, ll(0, w.a)))
	}
	f[14] = 9
	must(t, send(tx, f, ll(0, w.a)))
	w.run()
	n := 0
	for {
		m, got, err := recv(rx)
		if err != nil {
			break
		}
		if n++; len(got) != 20 || m.Flags&syscall.MSG_TRUNC != 0 {
			t.Errorf("%d bytes, flags %#x", len(got), m.Flags)
		}
	}
	buf := make([]byte, 8)
	if l, err := rx.GetSockOpt(263, 6, buf); l != 8 || err != nil {
		t.Fatal(l, err)
	}
	seen, drops := binary.LittleEndian.Uint32(buf), binary.LittleEndian.Uint32(buf[4:])
	if n == 0 || drops == 0 || seen != 10 || int(drops)+n != 10 {
		t.Errorf("read %d, statistics %d seen %d dropped", n, seen, drops)
	}
	rx.GetSockOpt(263, 6, buf)
	if !bytes.Equal(buf, make([]byte, 8)) {
		t.Errorf("statistics not cleared: %x", buf)
	}
}

func TestErrnos(t *testing.T) {
	w := newWorld(t)
	if _, err := w.fam.Create(syscall.AF_PACKET, 10, 0); err != syscall.ESOCKTNOSUPPORT {
		t.Errorf("SOCK_PACKET: %v", err)
	}
	s := w.socket(syscall.SOCK_RAW, 0)
	bad := ll(0, w.a)
	bad[0] = syscall.AF_INET
	gone := ll(0, nil)
	gone[4] = 99
	for _, c := range []struct {
		what string
		got  error
		want error
	}{
		{"short address", s.Bind(ll(0, w.a)[:19]), syscall.EINVAL},
		{"another family's", s.Bind(bad), syscall.EINVAL},
		{"no such device", s.Bind(gone), syscall.ENODEV},
		{"send to nowhere", send(s, make([]byte, 60), nil), syscall.ENXIO},
		{"send to no such device", send(s, make([]byte, 60), gone), syscall.ENXIO},
		{"shorter than a header", send(s, make([]byte, 13), ll(0, w.a)), syscall.EINVAL},
		{"connect", s.Connect(ll(0, w.a), 0), syscall.EOPNOTSUPP},
		{"end of no transmit ring", s.SetSockOpt(263, 13, make([]byte, 28)), nil},
		{"end of no ring", s.SetSockOpt(263, 5, make([]byte, 28)), nil},
		{"short fanout", s.SetSockOpt(263, 18, one(1)[:3]), syscall.EINVAL},
		{"version 3", s.SetSockOpt(263, 10, one(3)), syscall.EINVAL},
		{"version", s.SetSockOpt(263, 10, one(2)), nil},
		{"level", s.SetSockOpt(6, 1, one(1)), syscall.ENOPROTOOPT},
		{"drop of none", s.SetSockOpt(263, 2, mreq(w.a, 1)), nil},
		{"short membership", s.SetSockOpt(263, 1, mreq(w.a, 1)[:15]), syscall.EINVAL},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	for v, want := range []byte{32, 32, 48} {
		b := one(v)
		if _, err := s.GetSockOpt(263, 11, b); err != nil || b[0] != want {
			t.Errorf("HDRLEN of version %d: %d, %v", v, b[0], err)
		}
	}
	name := make([]byte, 30)
	must(t, s.Bind(ll(0x88b5, w.a)))
	if n, err := s.Getname(false, name); n != 18 || err != nil || name[8] != 1 || name[3] != 0xb5 {
		t.Errorf("name %x, %v", name[:n], err)
	}
}

func mreq(dev *napi.NetDevice, typ byte, addr ...byte) []byte {
	p := make([]byte, 16)
	binary.LittleEndian.PutUint32(p, uint32(dev.Ifindex()))
	p[4], p[6] = typ, byte(len(addr))
	copy(p[8:], addr)
	return p
}

func TestMembership_countedAndEndsWithTheSocket(t *testing.T) {
	w := newWorld(t)
	s := w.socket(syscall.SOCK_RAW, 0)
	for range 2 {
		must(t, s.SetSockOpt(263, 1, mreq(w.a, 1)))
	}
	must(t, s.SetSockOpt(263, 1, mreq(w.a, 0, 1, 0, 0x5e, 0, 0, 9)))
	must(t, s.SetSockOpt(263, 1, mreq(w.a, 2)))
	if w.a.Promiscuity() != 1 || len(w.a.Multicast()) != 1 || w.a.AllMulti() != 1 {
		t.Errorf("promiscuity %d, %d groups", w.a.Promiscuity(), len(w.a.Multicast()))
	}
	must(t, s.SetSockOpt(263, 2, mreq(w.a, 1)))
	if w.a.Promiscuity() != 1 {
		t.Error("first drop of two ended it")
	}
	s.Release()
	if w.a.Promiscuity() != 0 || len(w.a.Multicast()) != 0 || w.a.AllMulti() != 0 {
		t.Error("memberships outlive the socket")
	}
}

func TestDeviceDown_socketToldAndHookedAgain(t *testing.T) {
	w := newWorld(t)
	s, tx := w.socket(syscall.SOCK_RAW, napi.ETH_P_ALL), w.socket(syscall.SOCK_RAW, 0)
	must(t, s.Bind(ll(0, w.b)))
	w.b.Close()
	if _, _, err := recv(s); err != syscall.ENETDOWN {
		t.Errorf("receive: %v", err)
	}
	if err := send(tx, make([]byte, 60), ll(0, w.b)); err != syscall.ENETDOWN {
		t.Errorf("send: %v", err)
	}
	late := w.socket(syscall.SOCK_RAW, napi.ETH_P_ALL)
	must(t, late.Bind(ll(0, w.b)))
	if _, _, err := recv(late); err != syscall.ENETDOWN {
		t.Errorf("bound to a device that is down: %v", err)
	}
	must(t, w.b.Open())
	must(t, send(tx, frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 46), ll(0, w.a)))
	w.run()
	for _, k := range []*sock.Socket{s, late} {
		if _, got, err := recv(k); err != nil || len(got) != 60 {
			t.Errorf("after it came up: %d bytes, %v", len(got), err)
		}
	}
	show, _ := w.net.Proc().Lookup("packet")
	if l := strings.Split(string(show(nil)), "\n"); len(l) != 5 || !strings.Contains(l[1], fmt.Sprintf(" 3    0003   %d     1 0 ", w.b.Ifindex())) {
		t.Errorf("/proc/net/packet %q", l)
	}
	napi.UnregisterVeth(w.a)
	if _, _, err := recv(s); err != syscall.ENETDOWN {
		t.Errorf("unregistered: %v", err)
	}
	if _, _, err := recv(s); err != syscall.ENODEV {
		t.Errorf("unregistered, again: %v", err)
	}
}

func TestTap_manyPackets_allocatesNothing(t *testing.T) {
	w := newWorld(t)
	rx, tx := w.socket(syscall.SOCK_RAW, 0x88b5), w.socket(syscall.SOCK_RAW, 0)
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 60)
	m := &sock.Msg{Iov: [][]byte{f}}
	m.NameLen = copy(m.Name[:], ll(0, w.a))
	r := &sock.Msg{Iov: [][]byte{make([]byte, 2000)}}
	work := func() {
		if _, err := tx.SendMsg(m, 0); err != nil {
			t.Fatal(err)
		}
		w.net.SoftNet().DoSoftirq()
		if _, err := rx.RecvMsg(r, syscall.MSG_DONTWAIT); err != nil {
			t.Fatal(err)
		}
	}
	work()
	if n := testing.AllocsPerRun(200, work); n != 0 {
		t.Errorf("%g allocations per packet", n)
	}
}

// FuzzSockaddr gives addresses and memberships nobody would make; errors are
// fine, faults are not.
func FuzzSockaddr(f *testing.F) {
	w := newWorld(f)
	f.Add(ll(3, w.a, 1, 2, 3, 4, 5, 6), make([]byte, 60))
	f.Add(mreq(w.a, 1), []byte{})
	f.Fuzz(func(t *testing.T, p, data []byte) {
		if len(p) > sock.MaxAddr || len(data) > 2000 {
			return
		}
		for _, typ := range []int{syscall.SOCK_RAW, syscall.SOCK_DGRAM} {
			s, err := w.fam.Create(syscall.AF_PACKET, typ, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.Bind(p)
			s.SetSockOpt(263, 1, p)
			s.SetSockOpt(263, 2, p)
			send(s, data, p)
			w.run()
			recv(s)
			s.Release()
		}
		if w.net.SKB().InUse() > 0 {
			t.Error("packets left")
		}
	})
}
