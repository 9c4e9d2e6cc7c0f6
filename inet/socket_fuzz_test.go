package inet_test

import (
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// FuzzSockOpt sets and reads options with any value on sockets of every type,
// sends with any ancillary data, and checks that the stack goes on.
func FuzzSockOpt(f *testing.F) {
	for _, c := range socketScripts {
		f.Add(uint8(len(c.name)), 0, 4, []byte{7, 7, 4, 0, 0, 0, 0})
	}
	f.Add(uint8(1), 1, 26, []byte{6, 0, 0, 0, 0, 0, 1, 0})
	f.Add(uint8(2), 1, 51, []byte{6, 0, 0, 0, 0, 0, 1, 0})
	f.Add(uint8(3), 17, 1, []byte{1, 0, 0, 0})
	f.Add(uint8(0), 0, 35, []byte{224, 0, 0, 5, 192, 0, 2, 1})
	f.Add(uint8(0), 0, 7, []byte{20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0})
	f.Fuzz(func(t *testing.T, typ uint8, level, name int, val []byte) {
		h := newFuzzHost(t)
		h.learn()
		kinds := []struct{ typ, proto int }{{2, 17}, {2, 136}, {3, 1}, {3, 255}}
		k := kinds[int(typ)%len(kinds)]
		s, err := h.SockCreate(syscall.AF_INET, k.typ, k.proto)
		check(t, err)
		defer s.Release()
		s.SetSockOpt(level, name, val)
		b := make([]byte, 64)
		if n, err := s.GetSockOpt(level, name, b[:min(len(val), 64)]); err == nil && n < 0 {
			t.Errorf("length %d", n)
		}
		m := &sock.Msg{Iov: [][]byte{val}, Control: val}
		for _, flags := range []int{0, sock.MSG_MORE, 0} {
			m.NameLen = copy(m.Name[:], sockaddr(header.AddrLoopback, 7))
			s.SendMsg(m, flags|syscall.MSG_DONTWAIT)
			m.Control = nil
			h.net.SoftNet().DoSoftirq()
		}
		r := newMsg(10, min(len(val), 100))
		for _, flags := range []int{syscall.MSG_PEEK, syscall.MSG_ERRQUEUE, 0} {
			s.RecvMsg(r, flags|syscall.MSG_DONTWAIT)
			if r.ControlLen > len(r.Control) {
				t.Errorf("%d bytes of control in %d", r.ControlLen, len(r.Control))
			}
		}
		h.feed(fromPeerUDP(9, 9, []byte("alive")), 0, 0)
	})
}
