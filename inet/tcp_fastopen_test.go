package inet_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet"
	"barewire/skb/header"
)

// TestTCPFastopen_world is the world of bad wires with data in the SYNs: lost,
// doubled and reordered ones, and peers that want cookies or do not.
func TestTCPFastopen_world_everyByteUnderFaults(t *testing.T) {
	data := 0
	for seed := uint64(1001); seed <= 1016; seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newTCPWorld(t, seed)
			w.fastopen = true
			for _, n := range []*inet.Net{w.a, w.b} {
				check(t, n.Dev().Sysctl().Set("net.ipv4.tcp_fastopen", []string{"0x407", "0x607", "0x403"}[seed%3]))
			}
			for range 3 { // the first may have to ask for a cookie
				w.transfer()
				time.Sleep(20 * time.Minute) // TIME_WAIT has the ports
			}
			h := &host{TB: t, Net: w.b}
			data += int(h.counter("TCPFastOpenPassive"))
			synctest.Wait()
			w.end()
		})
		if t.Failed() {
			return
		}
	}
	if data < 20 {
		t.Errorf("%d connections had data in the SYN", data)
	}
}

// A place of the queue is free again when the handshake ends, and a minute after
// a RST ended it.
func TestTCPFastopen_queue_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		check(t, h.net.Sysctl().Set("net.ipv4.tcp_fastopen", "0x203"))
		l := h.tcpSocket(0, 80)
		check(t, l.SetSockOpt(syscall.SOL_TCP, 23, []byte{2, 0, 0, 0}))
		check(t, l.Listen(10))
		// open sends a SYN with data and reports whether it was taken.
		open := func(port uint16) (taken bool) {
			f := header.TCPFields{SrcPort: port, DstPort: 80, Seq: 100, Flags: header.TCPSyn, Window: 1000}
			p := tcpFrame(peerIP, f, []byte("data")...)
			// What stood for options is the data: the header ends before it.
			_, seg := segmentOf(p)
			seg[12] = header.TCPMinLen / 4 << 4
			h.run() // SYN-ACKs that are due
			h.port.take()
			h.inject(refresh(p))
			_, s := segmentOf(h.port.take()[0])
			if s.Flags() != header.TCPSyn|header.TCPAck {
				t.Fatalf("flags %#x", s.Flags())
			}
			return s.AckSeq() == 105
		}
		finish := func(port uint16, flags uint8) {
			l, err := l.Accept(syscall.O_NONBLOCK)
			check(t, err)
			h.Cleanup(func() { l.Release() })
			f := header.TCPFields{SrcPort: port, DstPort: 80, Seq: 105, Flags: flags}
			h.inject(tcpFrame(peerIP, f))
		}
		if !open(1) || !open(2) {
			t.Error("data of the first two is not taken")
		}
		if open(3) || h.counter("TCPFastOpenListenOverflow") != 1 {
			t.Error("data of a third is taken")
		}
		finish(1, header.TCPRst)
		finish(2, header.TCPRst)
		if open(4) {
			t.Error("a RST makes room at once")
		}
		time.Sleep(61 * time.Second)
		if !open(5) || !open(6) || open(7) {
			t.Error("a minute later there is not room for two")
		}
		finish(5, header.TCPRst)
		finish(6, header.TCPRst)
		check(t, l.Release())
		time.Sleep(10 * time.Minute)
		h.run()
	})
}
