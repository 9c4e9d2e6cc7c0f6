package genl

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/sys/netlink"
)

// newTable has nlctrl and one family more.
func newTable(t testing.TB) (*netlink.Table, *Family) {
	nl := netlink.New(napi.SystemClock(), func(b []byte) { rand.Read(b) }, 1)
	g, err := New(nl)
	if err != nil {
		t.Fatal(err)
	}
	p := &netlink.Policy{Items: []netlink.PolicyItem{1: {Kind: netlink.U8}, 2: {Kind: netlink.NulString, Len: 7}}}
	f := &Family{Name: "test", Version: 3, MaxAttr: 2, Groups: []string{"one", "two"}, Ops: []Op{
		{Cmd: 1, Policy: p, Do: func(r *Request) error {
			return r.Answer(2, func(b *netlink.Builder) { b.AttrU8(1, r.Attrs.U8(1)+1) })
		}},
		{Cmd: 5, Dump: func(r *Request) error {
			return r.Dump(netlink.Dump{Next: func(*netlink.Builder) (bool, error) { return false, nil }})
		}},
	}}
	if err := g.Register(f); err != nil {
		t.Fatal(err)
	}
	if err := g.Register(&Family{Name: "test"}); err != syscall.EEXIST {
		t.Errorf("a second family of the name: %v", err)
	}
	return nl, f
}

func open(t testing.TB, nl *netlink.Table) *sock.Socket {
	s := &sock.Socket{Family: syscall.AF_NETLINK, Type: syscall.SOCK_RAW}
	if err := nl.Create(s, syscall.NETLINK_GENERIC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Release() })
	return s
}

// message makes a request; attrs are whole attributes.
func message(typ, flags uint16, cmd uint8, attrs ...byte) []byte {
	b := make([]byte, 20, 20+len(attrs))
	b = append(b, attrs...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], flags|netlink.FlagRequest)
	b[16], b[17] = cmd, 1
	return b
}

func attr(typ uint16, v ...byte) []byte {
	var b netlink.Builder
	b.Attr(typ, v...)
	return b.Bytes()
}

func ask(t testing.TB, s *sock.Socket, req []byte) []byte {
	t.Helper()
	if _, err := s.SendMsg(&sock.Msg{Iov: [][]byte{req}}, 0); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for {
		b := make([]byte, 32768)
		n, err := s.RecvMsg(&sock.Msg{Iov: [][]byte{b}}, syscall.MSG_DONTWAIT)
		if err != nil {
			return all
		}
		all = append(all, b[:n]...)
	}
}

// errnoIn returns the error of an answer that is one, or -1.
func errnoIn(b []byte) syscall.Errno {
	if len(b) < 20 || binary.NativeEndian.Uint16(b[4:]) != netlink.TypeError && binary.NativeEndian.Uint16(b[4:]) != netlink.TypeDone {
		return ^syscall.Errno(0)
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(b[16:])))
}

// linuxAsk asks the kernel under this test.
func linuxAsk(t testing.TB, req []byte) []byte {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_GENERIC)
	if err != nil {
		t.Skip(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, req, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for {
		b := make([]byte, 32768)
		n, _, err := syscall.Recvfrom(fd, b, syscall.MSG_DONTWAIT)
		if err != nil {
			return all
		}
		all = append(all, b[:n]...)
	}
}

// clean takes out what differs between any two programs: ports, and the count
// of a family's attributes and policies that are ours alone to choose.
func clean(b []byte) []byte {
	for at := 0; at+16 <= len(b); {
		clear(b[at+12 : at+16])
		at += int(binary.NativeEndian.Uint32(b[at:])+3) &^ 3
	}
	return b
}

// nlctrl tells of itself, by number and by name, and of its policies, byte for
// byte what Linux tells.
func TestCtrl_asLinux(t *testing.T) {
	nl, _ := newTable(t)
	for name, req := range map[string][]byte{
		"by name":         message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, []byte("nlctrl\x00")...)...),
		"by number":       message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyID, 16, 0)...),
		"unknown name":    message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, []byte("nosuch\x00")...)...),
		"unknown number":  message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyID, 0xff, 0xf)...),
		"neither":         message(idCtrl, 0, ctrlGetFamily),
		"long name":       message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, []byte("0123456789abcdefgh\x00")...)...),
		"unended name":    message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, 'a', 'b')...),
		"short number":    message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyID, 1)...),
		"unknown attr":    message(idCtrl, 0, ctrlGetFamily, attr(77, 1, 2, 3, 4)...),
		"unknown command": message(idCtrl, 0, 99),
		"no dump":         message(idCtrl, 0, ctrlGetPolicy, attr(ctrlFamilyID, 16, 0)...),
		"unknown family":  message(4000, 0, 1),
		"no header":       message(idCtrl, 0, ctrlGetFamily)[:18],
		"policies":        message(idCtrl, netlink.FlagDump, ctrlGetPolicy, attr(ctrlFamilyID, 16, 0)...),
		"policy":          message(idCtrl, netlink.FlagDump, ctrlGetPolicy, append(attr(ctrlFamilyID, 16, 0), attr(ctrlOp, 3, 0, 0, 0)...)...),
		"policy of none":  message(idCtrl, netlink.FlagDump, ctrlGetPolicy, append(attr(ctrlFamilyID, 16, 0), attr(ctrlOp, 88, 0, 0, 0)...)...),
	} {
		binary.NativeEndian.PutUint32(req, uint32(len(req)))
		x, y := clean(ask(t, open(t, nl), req)), clean(linuxAsk(t, req))
		if ex, ey := errnoIn(x), errnoIn(y); ex != ^syscall.Errno(0) && ex == ey {
			continue
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s:\n here  %x\n Linux %x", name, x, y)
		}
	}
}

func TestFamily_foundByName_requestsAndGroups(t *testing.T) {
	nl, f := newTable(t)
	s := open(t, nl)
	got := ask(t, s, message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, []byte("test\x00")...)...))
	a, err := netlink.Parse(got[20:], &netlink.Policy{Items: make([]netlink.PolicyItem, 11)}, false, nil)
	if err != nil || a.U16(ctrlFamilyID) != idFirst || a.U32(ctrlVersion) != 3 || a.U32(ctrlMaxAttr) != 2 || !a.Has(ctrlOps) || !a.Has(ctrlGroups) {
		t.Fatalf("%v %x", err, got)
	}
	if got := ask(t, s, message(idFirst, 0, 1, attr(1, 41)...)); len(got) != 28 || got[16] != 2 || got[17] != 3 || got[24] != 42 {
		t.Errorf("answer %x", got)
	}
	for _, c := range []struct {
		req  []byte
		want syscall.Errno
	}{
		{message(idFirst, 0, 5), syscall.EOPNOTSUPP},
		{message(idFirst, netlink.FlagDump, 1), syscall.EOPNOTSUPP},
		{message(idFirst, netlink.FlagDump, 5), 0},
		{message(idFirst, 0, 1, attr(2, []byte("01234567\x00")...)...), syscall.EINVAL},
	} {
		if e := errnoIn(ask(t, s, c.req)); e != c.want {
			t.Errorf("%x: %v, want %v", c.req, e, c.want)
		}
	}
	if f.Listened(1) {
		t.Error("listened to by nobody")
	}
	if err := s.SetSockOpt(270, syscall.NETLINK_ADD_MEMBERSHIP, []byte{byte(f.group + 1), 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	f.Multicast(0, 9, func(b *netlink.Builder) {})
	f.Multicast(1, 8, func(b *netlink.Builder) { b.AttrU8(1, 7) })
	if got := ask(t, s, message(99, 0, 0)); len(got) < 28 || got[16] != 8 || !f.Listened(1) {
		t.Errorf("group's message %x", got)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(message(idCtrl, 0, ctrlGetFamily, attr(ctrlFamilyName, []byte("test\x00")...)...))
	f.Add(message(idCtrl, netlink.FlagDump, ctrlGetPolicy, attr(ctrlFamilyID, idFirst, 0)...))
	f.Add(message(idFirst, 0, 1, attr(2, 'a', 0)...))
	nl, _ := newTable(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := open(t, nl)
		if len(b) >= 4 {
			binary.NativeEndian.PutUint32(b, uint32(len(b)))
		}
		if len(b) > 0 && len(b) < 4096 {
			ask(t, s, b)
		}
	})
}
