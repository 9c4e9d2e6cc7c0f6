package inet_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// segmentCmsg is the ancillary data that says UDP_SEGMENT of one send.
func segmentCmsg(size uint16) []byte {
	b := make([]byte, 24)
	binary.LittleEndian.PutUint64(b, 18)
	binary.LittleEndian.PutUint32(b[8:], 17)
	binary.LittleEndian.PutUint32(b[12:], 103)
	binary.LittleEndian.PutUint16(b[16:], size)
	return b
}

// One send with UDP_SEGMENT is as many datagrams as it has pieces, each whole
// and with its checksum; with UDP_GRO the reader may have them as one.
func TestUDPSegment_oneSendManyDatagrams(t *testing.T) {
	a, b := vethPair(t)
	r, err := b.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(t, err)
	defer r.Release()
	check(t, r.Bind(sockaddr(0, 9)))
	s, err := a.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(t, err)
	defer s.Release()
	check(t, s.Connect(sockaddr(header.AddrFrom4([4]byte{10, 0, 0, 2}), 9), 0))
	data := make([]byte, 65507)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	set := func(v int) error { return s.SetSockOpt(17, 103, binary.LittleEndian.AppendUint32(nil, uint32(v))) }
	send := func(n int, control []byte) error {
		got, err := s.SendMsg(&sock.Msg{Iov: [][]byte{data[:n]}, Control: control}, 0)
		if err == nil && got != n {
			t.Errorf("%d bytes of %d were taken", got, n)
		}
		return err
	}
	want := func(what string, sizes ...int) {
		t.Helper()
		var got []int
		var all []byte
		for range sizes {
			buf := make([]byte, 65536)
			n, err := r.RecvMsg(&sock.Msg{Iov: [][]byte{buf}}, 0)
			check(t, err)
			got, all = append(got, n), append(all, buf[:n]...)
		}
		if !slices.Equal(got, sizes) || !bytes.Equal(all, data[:len(all)]) {
			t.Errorf("%s: datagrams of %v, want %v", what, got, sizes)
		}
	}
	check(t, set(1000))
	check(t, send(3500, nil))
	want("by the option", 1000, 1000, 1000, 500)
	check(t, send(700, nil))
	want("less than a piece", 700)
	check(t, send(2100, segmentCmsg(900)))
	want("by the message", 900, 900, 300)
	check(t, set(0))
	check(t, send(1200, nil))
	want("without", 1200)
	check(t, send(3000, nil))
	want("without, in fragments", 3000)

	for _, c := range []struct {
		what    string
		n       int
		control []byte
		err     error
	}{
		{"a piece that does not fit", 3000, segmentCmsg(1473), syscall.EMSGSIZE},
		{"too many pieces", 129, segmentCmsg(1), syscall.EINVAL},
		{"a message of the wrong length", 100, func() []byte { c := segmentCmsg(9); c[0] = 20; return c }(), syscall.EINVAL},
		{"another message of the level", 100, func() []byte { c := segmentCmsg(9); c[12] = 1; return c }(), syscall.EINVAL},
	} {
		if err := send(c.n, c.control); err != c.err {
			t.Errorf("%s: %v, want %v", c.what, err, c.err)
		}
	}
	for v, want := range map[int]error{-1: syscall.EINVAL, 65536: syscall.EINVAL, 65535: nil} {
		if err := set(v); err != want {
			t.Errorf("UDP_SEGMENT %d: %v", v, err)
		}
	}
	check(t, set(0))
	check(t, send(128*8, segmentCmsg(8)))
	want("as many as there may be", slices.Repeat([]int{8}, 128)...)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, 11, binary.LittleEndian.AppendUint32(nil, 1))) // SO_NO_CHECK
	if err := send(100, segmentCmsg(50)); err != syscall.EINVAL {
		t.Errorf("without checksums: %v", err)
	}
}
