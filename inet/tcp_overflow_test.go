package inet_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/skb/header"
)

// TestTCP_acceptQueue_overflow fills the accept queue behind a request: its ACK
// is forgotten, so that the SYN-ACK goes again and the next one may be luckier,
// or reset with tcp_abort_on_overflow. A SYN that comes then is dropped.
func TestTCP_acceptQueue_overflow(t *testing.T) {
	for _, abort := range []string{"0", "1"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			h.know()
			check(t, h.net.Sysctl().Set("net.ipv4.tcp_abort_on_overflow", abort))
			l := h.tcpSocket(0, 80)
			check(t, l.Listen(1))
			isn := map[uint16]uint32{}
			send := func(port uint16, flags uint8) []header.TCP {
				f := header.TCPFields{SrcPort: port, DstPort: 80, Seq: 100, Flags: flags, Window: 1000}
				if flags&header.TCPAck != 0 {
					f.Seq, f.Ack = 101, isn[port]+1
				}
				h.port.take()
				h.inject(tcpFrame(peerIP, f))
				var out []header.TCP
				for _, s := range h.port.take() {
					_, seg := segmentOf(s)
					out = append(out, seg)
				}
				return out
			}
			syn := func(port uint16) {
				s := send(port, header.TCPSyn)
				if len(s) != 1 || s[0].Flags() != header.TCPSyn|header.TCPAck {
					t.Fatalf("SYN %d: %d answers", port, len(s))
				}
				isn[port] = s[0].Seq()
			}
			syn(1)
			send(1, header.TCPAck)
			syn(2)
			syn(3)
			send(2, header.TCPAck) // the queue has one more than the backlog
			s := send(3, header.TCPAck)
			if h.counter("ListenOverflows") != 1 || h.counter("ListenDrops") != 1 {
				t.Errorf("%d overflows, %d drops", h.counter("ListenOverflows"), h.counter("ListenDrops"))
			}
			if len(send(4, header.TCPSyn)) != 0 || h.counter("ListenOverflows") != 2 || h.counter("ListenDrops") != 2 {
				t.Error("a SYN with the accept queue full is not dropped, or not counted")
			}
			want := 2
			if abort == "1" {
				if len(s) != 1 || s[0].Flags()&header.TCPRst == 0 || h.counter("EmbryonicRsts") != 1 {
					t.Errorf("no RST: %v", s)
				}
			} else {
				if len(s) != 0 {
					t.Errorf("%d answers", len(s))
				}
				time.Sleep(1100 * time.Millisecond)
				h.port.take()
				h.run()
				if again := h.port.take(); len(again) != 1 {
					t.Errorf("%d SYN-ACKs again", len(again))
				}
				want = 3
			}
			for i := range want {
				c, err := l.Accept(syscall.O_NONBLOCK)
				if err != nil {
					t.Fatalf("accept %d: %v", i, err)
				}
				check(t, c.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
				check(t, c.Release())
				if i == 0 && abort == "0" {
					send(3, header.TCPAck) // there is room now
				}
			}
			check(t, l.Release())
			h.run()
		})
	}
}
