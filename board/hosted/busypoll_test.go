package hosted_test

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/inet/sock"
	"barewire/napi"
)

// Options of busy polling (include/uapi/asm-generic/socket.h).
const (
	soBusyPoll       = 46
	soIncomingNAPIID = 56
	soPreferBusyPoll = 69
	soBusyPollBudget = 70
)

func option(t testing.TB, s *sock.Socket, name int) int {
	t.Helper()
	b := make([]byte, 4)
	if _, err := s.GetSockOpt(syscall.SOL_SOCKET, name, b); err != nil {
		t.Fatalf("option %d: %v", name, err)
	}
	return int(int32(binary.NativeEndian.Uint32(b)))
}

func setOption(s *sock.Socket, name, v int) error {
	return s.SetSockOpt(syscall.SOL_SOCKET, name, binary.NativeEndian.AppendUint32(nil, uint32(v)))
}

// pair makes two stacks on a good wire.
func pair(t *testing.T) (a, b *stack) {
	w, err := hosted.NewWire(hosted.WireConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	on := func(last byte) func(*napi.Net) (*napi.NetDevice, func(), error) {
		return func(n *napi.Net) (*napi.NetDevice, func(), error) {
			dev, err := w.Attach(n, "eth%d", [6]byte{2, 0, 0, 0, 0, last})
			return dev, func() { w.Close(); n.UnregisterNetdev(dev) }, err
		}
	}
	return newStack(t, "192.0.2.1/24", on(1)), newStack(t, "192.0.2.2/24", on(2))
}

// A socket knows the polling context of its packets, and a reader that polls it
// finds what comes.
func TestBusyPoll_socketFindsItsDevice(t *testing.T) {
	a, b := pair(t)
	server, client := b.udp(t, 7), a.udp(t, 4000)
	defer client.Ops.Release()
	defer server.Ops.Release()
	send := func() {
		sa := sockaddr(netip.MustParseAddrPort("192.0.2.2:7"))
		m := sock.Msg{Iov: [][]byte{[]byte("hello")}, NameLen: len(sa)}
		copy(m.Name[:], sa[:])
		if _, err := client.SendMsg(&m, 0); err != nil {
			t.Error(err)
		}
	}
	if id := option(t, server, soIncomingNAPIID); id != 0 || server.SK.HasNAPI() {
		t.Errorf("before the first packet the context is %d", id)
	}
	server.SK.BusyLoop(1<<30, func() bool { t.Error("nothing is known to poll"); return true })
	send()
	ready := func() bool { return server.Poll()&sock.EventIn != 0 }
	for end := time.Now().Add(10 * time.Second); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing arrives")
		}
	}
	n := b.dev.NAPIs()[0]
	if id := option(t, server, soIncomingNAPIID); id != int(n.ID()) || id <= 8192 {
		t.Errorf("SO_INCOMING_NAPI_ID %d, want %d", id, n.ID())
	}
	buf := make([]byte, 64)
	if _, err := receive(server, buf); err != nil {
		t.Fatal(err)
	}
	polls := n.Polls.Busy.Load()
	timer := time.AfterFunc(5*time.Millisecond, send)
	defer timer.Stop()
	start := time.Now()
	server.SK.BusyLoop(30e6, ready)
	if !ready() || time.Since(start) > 20*time.Second {
		t.Errorf("ready %v after %v", ready(), time.Since(start))
	}
	if n.Polls.Busy.Load() == polls {
		t.Error("the reader did not poll")
	}
	if _, err := receive(server, buf); err != nil {
		t.Error(err)
	}
	// Its time is bounded.
	start = time.Now()
	if server.SK.BusyLoop(1000, ready); time.Since(start) < time.Millisecond {
		t.Errorf("it gave up after %v", time.Since(start))
	}
}

func TestBusyPoll_options(t *testing.T) {
	_, b := pair(t)
	if err := b.Dev().Sysctl().Set("net.core.busy_read", "50"); err != nil {
		t.Fatal(err)
	}
	s := b.udp(t, 7)
	defer s.Ops.Release()
	if v := option(t, s, soBusyPoll); v != 50 || s.SK.BusyRead() != 50 {
		t.Errorf("SO_BUSY_POLL of a new socket is %d, want net.core.busy_read's 50", v)
	}
	for _, c := range []struct {
		name, v int
		err     error
	}{
		{soBusyPoll, 7, nil}, {soBusyPoll, -1, syscall.EINVAL}, {soPreferBusyPoll, 1, nil},
		{soBusyPollBudget, 64, nil}, {soBusyPollBudget, -1, syscall.EINVAL}, {soBusyPollBudget, 1 << 16, syscall.EINVAL},
	} {
		if err := setOption(s, c.name, c.v); err != c.err {
			t.Errorf("option %d = %d: %v, want %v", c.name, c.v, err, c.err)
		}
	}
	if s.SK.BusyRead() != 7 {
		t.Errorf("SO_BUSY_POLL is %d, want 7", s.SK.BusyRead())
	}
}
