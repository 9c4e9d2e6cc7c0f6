package netlink

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
)

const (
	proto = syscall.NETLINK_ROUTE
	group = 3
)

var testPolicy = Policy{Items: []PolicyItem{ // read-only
	1: {Kind: U32}, 2: {Kind: NulString, Len: 7}, 3: {Kind: Nested}, 4: {Kind: Binary, Len: 8},
	5: {Kind: Flag}, 6: {Kind: U64}, 7: {Kind: Exact, Len: 4}, 8: {Kind: Reject}, 9: {Kind: String, Len: 3}, 10: {Kind: U16},
}}

// world is a table whose protocol parses, and lists 1000 messages for type 100.
type world struct {
	t   *Table
	seq uint32
}

func newWorld(t testing.TB) *world {
	w := &world{t: New(napi.SystemClock(), func(b []byte) { b[0]++ }, 1)}
	if err := w.t.Register(proto, &Protocol{Groups: 10, Rcv: w.rcv}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) rcv(r *Request) error {
	if r.Type == 100 {
		return r.Dump(Dump{Seq: func() uint32 { return w.seq }, Next: List(make([]struct{}, 1000), func(b *Builder, _ struct{}) {
			b.Begin(101, 0)
			b.Attr(1, make([]byte, 96)...)
			b.End()
		})})
	}
	_, err := r.Parse(0, &testPolicy, r.Type == 103)
	return err
}

func (w *world) open(t testing.TB) *sock.Socket {
	s := &sock.Socket{Family: syscall.AF_NETLINK, Type: syscall.SOCK_RAW}
	if err := w.t.Create(s, proto); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Release() })
	return s
}

func msg(typ, flags uint16, attrs ...byte) []byte {
	var b Builder
	b.Begin(typ, flags)
	b.Raw(attrs...)
	b.End()
	return b.Bytes()
}

func send(s *sock.Socket, b []byte) error {
	_, err := s.SendMsg(&sock.Msg{Iov: [][]byte{b}}, 0)
	return err
}

func recv(s *sock.Socket, size, flags int) ([]byte, int, error) {
	b := make([]byte, size)
	m := &sock.Msg{Iov: [][]byte{b}}
	n, err := s.RecvMsg(m, flags|syscall.MSG_DONTWAIT)
	return b[:min(n, size)], n, err
}

func TestCreate_RefusesWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		typ, proto int
		want       error
	}{{syscall.SOCK_STREAM, proto, syscall.ESOCKTNOSUPPORT}, {syscall.SOCK_RAW, 15, syscall.EPROTONOSUPPORT}, {syscall.SOCK_DGRAM, 99, syscall.EPROTONOSUPPORT}} {
		if err := w.t.Create(&sock.Socket{Type: c.typ}, c.proto); err != c.want {
			t.Errorf("type %d protocol %d: %v, want %v", c.typ, c.proto, err, c.want)
		}
	}
}

func TestBind_ChoosesPorts(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	name := func(port uint32) []byte {
		var sa [AddrLen]byte
		putAddr(sa[:], port, 0)
		return sa[:]
	}
	port := func(s *sock.Socket) uint32 {
		var sa [AddrLen]byte
		s.Getname(false, sa[:])
		return binary.NativeEndian.Uint32(sa[4:])
	}
	if err := a.Bind(name(0)); err != nil || port(a) != 1 {
		t.Errorf("first: %v, port %d", err, port(a))
	}
	if err := b.Bind(name(1)); err != syscall.EADDRINUSE {
		t.Errorf("a taken port: %v", err)
	}
	if err := b.Bind(name(0)); err != nil || port(b) == 1 || port(b) == 0 {
		t.Errorf("second: %v, port %d", err, port(b))
	}
	if err := a.Bind(name(7)); err != syscall.EINVAL {
		t.Errorf("another port: %v", err)
	}
	if err := a.Bind(name(0)[:8]); err != syscall.EINVAL {
		t.Errorf("a short address: %v", err)
	}
}

// A long list comes in parts, made as it is read; a change in between is told.
func TestDump_IsPacedByTheReader(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	if err := send(s, msg(100, FlagRequest|FlagDump)); err != nil {
		t.Fatal(err)
	}
	if err := send(s, msg(100, FlagRequest|FlagDump)); err != nil {
		t.Fatal(err)
	}
	count, intr, parts, busy, done := 0, 0, 0, 0, 0
	for {
		if held := s.Ops.(*Sock).rmem; held > 2*dumpMax {
			t.Fatalf("%d bytes wait", held)
		}
		b, _, err := recv(s, 8192, 0)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if parts++; parts == 3 {
			w.seq++
		}
		for len(b) >= HeaderLen {
			h := parseHeader(b)
			switch h.Type {
			case 101:
				count++
			case TypeDone:
				done++
			case TypeError:
				if int32(binary.NativeEndian.Uint32(b[HeaderLen:])) == -int32(syscall.EBUSY) {
					busy++
				}
			}
			if h.Flags&FlagDumpIntr != 0 {
				intr++
			}
			b = b[align4(int(h.Len)):]
		}
	}
	if count != 1000 || done != 1 || busy != 1 || intr == 0 || parts < 10 {
		t.Errorf("%d messages, %d ends, %d refused, %d marked, in %d parts", count, done, busy, intr, parts)
	}
}

func TestAck_SaysWhere(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	bad := []byte{8, 0, 1, 0, 1, 2, 3, 4, 6, 0, 1, 0, 1, 2, 0, 0}
	for _, c := range []struct {
		opts  []int
		flags uint16
		size  int
	}{
		{nil, 0, HeaderLen + 4 + 32},
		{[]int{nlCapAck}, FlagCapped, HeaderLen + 4 + HeaderLen},
		{[]int{nlExtAck}, FlagCapped | FlagTLVs, 0},
	} {
		for _, o := range c.opts {
			if err := s.SetSockOpt(solNetlink, o, []byte{1, 0, 0, 0}); err != nil {
				t.Fatal(err)
			}
		}
		send(s, msg(102, FlagRequest, bad...))
		b, _, err := recv(s, 8192, 0)
		if err != nil {
			t.Fatal(err)
		}
		h := parseHeader(b)
		if e := -int32(binary.NativeEndian.Uint32(b[HeaderLen:])); syscall.Errno(e) != syscall.ERANGE {
			t.Errorf("error %v", syscall.Errno(e))
		}
		if h.Flags != c.flags || c.size != 0 && int(h.Len) != c.size {
			t.Errorf("%v: flags %x, length %d", c.opts, h.Flags, h.Len)
		}
		if h.Flags&FlagTLVs != 0 && (!bytes.Contains(b, []byte(msgPolicy)) || !bytes.Contains(b, []byte{8, 0, errAttrOffs, 0, 24, 0, 0, 0})) {
			t.Errorf("words %q", b)
		}
	}
}

func TestPeekTrunc_TellsTheLength(t *testing.T) {
	s := newWorld(t).open(t)
	send(s, msg(102, FlagRequest|FlagAck))
	if _, n, err := recv(s, 0, syscall.MSG_PEEK|syscall.MSG_TRUNC); err != nil || n != 36 {
		t.Errorf("length %d, %v", n, err)
	}
	if b, n, err := recv(s, 100, 0); err != nil || n != 36 || len(b) != 36 {
		t.Errorf("then %d, %v", n, err)
	}
}

// Who does not read loses announcements, learns so once, and hears again after
// the queue was read.
func TestBroadcast_OverrunsWhoDoesNotRead(t *testing.T) {
	w := newWorld(t)
	s, deaf := w.open(t), w.open(t)
	for _, k := range []*sock.Socket{s, deaf} {
		if err := k.Bind([]byte{syscall.AF_NETLINK, 11: 0}); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []uint32{0, 11} {
		if err := s.SetSockOpt(solNetlink, syscall.NETLINK_ADD_MEMBERSHIP, binary.NativeEndian.AppendUint32(nil, x)); err != syscall.EINVAL {
			t.Errorf("group %d: %v", x, err)
		}
	}
	if err := s.SetSockOpt(solNetlink, syscall.NETLINK_ADD_MEMBERSHIP, binary.NativeEndian.AppendUint32(nil, group)); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		w.t.Broadcast(proto, group, make([]byte, 1000))
	}
	if _, _, err := recv(deaf, 100, 0); err != syscall.EAGAIN {
		t.Errorf("not a member: %v", err)
	}
	if _, _, err := recv(s, 100, 0); err != syscall.ENOBUFS {
		t.Errorf("overrun: %v", err)
	}
	n := 0
	for ; ; n++ {
		if _, _, err := recv(s, 100, 0); err != nil {
			break
		}
	}
	if n < 100 || n > 200 {
		t.Errorf("%d messages kept", n)
	}
	w.t.Broadcast(proto, group, make([]byte, 10))
	if _, n, err := recv(s, 100, 0); n != 10 || err != nil {
		t.Errorf("afterwards %d, %v", n, err)
	}
}

// Whatever a program sends is answered or ignored.
func FuzzRequests(f *testing.F) {
	f.Add(msg(102, FlagRequest|FlagAck, 8, 0, 1, 0, 1, 2, 3, 4))
	f.Add(msg(103, FlagRequest, 9, 0, 2, 0, 'a', 'b', 'c', 'd', 0, 0, 0, 0))
	f.Add(append(msg(102, FlagRequest|FlagAck), msg(103, FlagRequest, 4, 0, 5, 0, 3, 0)...))
	f.Add(msg(100, FlagRequest|FlagDump))
	f.Add([]byte{255, 255, 255, 255, 102, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		s := w.open(t)
		s.SetSockOpt(solNetlink, nlExtAck, []byte{1, 0, 0, 0})
		send(s, b)
		for range 200 {
			a, n, err := recv(s, 1<<17, 0)
			if err != nil {
				break
			}
			for len(a) > 0 {
				h := parseHeader(a)
				if h.Len < HeaderLen || int(h.Len) > len(a) {
					t.Fatalf("bad answer of %d bytes: %x", n, a)
				}
				a = a[min(align4(int(h.Len)), len(a)):]
			}
		}
	})
}
