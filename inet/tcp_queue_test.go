package inet_test

import (
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet"
	"barewire/inet/sock"
)

// stopVeth keeps what n sends over veth0 in the device's queue, which holds
// length packets. start lets it go.
func stopVeth(t *testing.T, n *inet.Net, length int) (start func()) {
	d := n.Dev().DevByName("veth0")
	check(t, d.SetQueueLen(length))
	q := d.TxQueues[0]
	q.Stop()
	return q.Wake
}

func sendNow(t *testing.T, c *sock.Socket, n int) {
	t.Helper()
	if _, err := c.SendMsg(&sock.Msg{Iov: [][]byte{make([]byte, n)}}, syscall.MSG_DONTWAIT); err != nil {
		t.Fatal(err)
	}
}

// caState is tcpi_ca_state.
func caState(t *testing.T, c *sock.Socket) byte {
	var info [8]byte
	_, err := c.GetSockOpt(syscall.SOL_TCP, syscall.TCP_INFO, info[:])
	check(t, err)
	return info[1]
}

func TestTCP_deviceQueueFull_isCongestion(t *testing.T) {
	a, b := vethPair(t)
	c, s := tcpConnected(t, a, b, 80)
	check(t, c.SetSockOpt(syscall.SOL_TCP, syscall.TCP_NODELAY, []byte{1, 0, 0, 0}))
	start := stopVeth(t, a, 1)
	const open, cwr = 0, 2
	sendNow(t, c, 100)
	if st := caState(t, c); st != open {
		t.Errorf("state %d after what the queue had room for, want %d", st, open)
	}
	sendNow(t, c, 100)
	if st := caState(t, c); st != cwr {
		t.Errorf("state %d after what it had none for, want %d", st, cwr)
	}
	start()
	got := 0
	for got < 200 {
		n, err := s.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 200)}}, 0)
		check(t, err)
		got += n
	}
}

func TestTCP_memInfo_countsWhatIsQueued(t *testing.T) {
	a, b := vethPair(t)
	c, _ := tcpConnected(t, a, b, 80)
	queued := func() uint32 {
		const soMeminfo, skMeminfoWmemQueued = 55, 5
		var p [9 * 4]byte
		n, err := c.GetSockOpt(syscall.SOL_SOCKET, soMeminfo, p[:])
		if check(t, err); n != len(p) {
			t.Fatalf("%d bytes", n)
		}
		return binary.LittleEndian.Uint32(p[4*skMeminfoWmemQueued:])
	}
	if n := queued(); n != 0 {
		t.Errorf("%d bytes queued by one who sent nothing", n)
	}
	stopVeth(t, a, 10)
	sendNow(t, c, 1000)
	if n := queued(); n < 1000 || n > 4000 { // with what a segment costs beside its data
		t.Errorf("%d bytes queued of 1000", n)
	}
}
