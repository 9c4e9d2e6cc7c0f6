package conntrack

import (
	"testing"
	"time"

	"barewire/skb/header"
)

// step is a segment and what it leaves behind.
type step struct {
	d        Dir
	flags    uint8
	seq, ack uint32
	state    State // of the packet
	tcp      TCPState
	left     time.Duration
}

// play has segments go through.
func (w *world) play(steps ...step) *Conn {
	w.Helper()
	var c *Conn
	for i, s := range steps {
		src, dst, sp, dp := hostA, hostB, uint16(1), uint16(80)
		if s.d == Reply {
			src, dst, sp, dp = dst, src, dp, sp
		}
		st, n := w.through(w.packet(ProtoTCP, src, dst, tcp(sp, dp, s.flags, s.seq, s.ack)))
		if n != nil {
			c = n
		}
		if st != s.state {
			w.Errorf("step %d: packet state %#x, want %#x", i, st, s.state)
		}
		if c.TCPState() != s.tcp || time.Duration(c.Expires()) != s.left {
			w.Errorf("step %d: %v for %v, want %v for %v", i, c.TCPState(), time.Duration(c.Expires()), s.tcp, s.left)
		}
	}
	return c
}

const (
	syn, ack, fin, rst = header.TCPSyn, header.TCPAck, header.TCPFin, header.TCPRst

	days = 5 * 24 * time.Hour
)

// opened is the handshake.
var opened = []step{ // read-only
	{Original, syn, 100, 0, StateNew, TCPSynSent, 120 * time.Second},
	{Reply, syn | ack, 900, 101, StateEstablished, TCPSynRecv, 60 * time.Second},
	{Original, ack, 101, 901, StateEstablished, TCPEstablished, days},
}

func TestTCP_wholeLife_statesAndTimes(t *testing.T) {
	w := newWorld(t, 1000)
	c := w.play(append(opened[:3:3],
		step{Original, fin | ack, 101, 901, StateEstablished, TCPFinWait, 120 * time.Second},
		step{Reply, ack, 901, 102, StateEstablished, TCPCloseWait, 60 * time.Second},
		step{Reply, fin | ack, 901, 102, StateEstablished, TCPLastAck, 30 * time.Second},
		step{Original, ack, 102, 902, StateEstablished, TCPTimeWait, 120 * time.Second},
		// A SYN opens it again, as another connection.
		step{Original, syn, 5000, 0, StateNew, TCPSynSent, 120 * time.Second})...)
	w.want(1)
	if c.Status()&(SeenReply|Assured) != 0 {
		t.Errorf("status %#x", c.Status())
	}
}

func TestTCP_outsideTheWindow_invalidUnlessLiberal(t *testing.T) {
	w := newWorld(t, 1000)
	w.play(append(opened[:3:3],
		step{Original, ack, 101 + 1e6, 901, StateInvalid, TCPEstablished, days},
		step{Original, ack, 101, 901 + 1e6, StateInvalid, TCPEstablished, days},
		step{Reply, ack | rst, ^uint32(98), 101, StateInvalid, TCPEstablished, days})...)
	w.Conf.TCPLiberal.Store(1)
	w.play(step{Original, ack, 101 + 1e6, 901, StateEstablished, TCPEstablished, days})
}

func TestTCP_pickedUp_onlyWhenLoose(t *testing.T) {
	w := newWorld(t, 1000)
	w.play(step{Original, ack, 5, 6, StateNew, TCPEstablished, 300 * time.Second},
		step{Reply, ack, 6, 5, StateEstablished, TCPEstablished, 300 * time.Second})
	w.Flush(nil)
	w.Conf.TCPLoose.Store(0)
	if st, _ := w.through(w.packet(ProtoTCP, hostA, hostB, tcp(1, 2, ack, 5, 6))); st != StateInvalid {
		t.Errorf("state %#x", st)
	}
	w.want(0)
}

func TestTCP_refused_gone(t *testing.T) {
	w := newWorld(t, 1000)
	w.play(opened[0])
	w.through(w.packet(ProtoTCP, hostB, hostA, tcp(80, 1, rst|ack, 0, 101)))
	w.want(0)
}

func TestTCP_resetNotAtTheNextByte_keepsTheConnection(t *testing.T) {
	w := newWorld(t, 1000)
	w.play(append(opened[:3:3],
		step{Reply, rst, 901 + 500, 0, StateEstablished, TCPEstablished, 10 * time.Second},
		step{Original, ack, 101, 901, StateEstablished, TCPEstablished, 300 * time.Second}, // the RST counts as not acknowledged
		step{Reply, rst, 901, 0, StateEstablished, TCPClose, 10 * time.Second})...)
}

func TestTCP_unacknowledged_timesOutSooner(t *testing.T) {
	w := newWorld(t, 1000)
	w.play(opened...)
	p := append(tcp(1, 80, ack, 101, 901), make([]byte, 100)...)
	_, c := w.through(w.packet(ProtoTCP, hostA, hostB, p))
	if got := time.Duration(c.Expires()); got != 300*time.Second {
		t.Errorf("with data on the way: %v", got)
	}
	w.play(step{Reply, ack, 901, 201, StateEstablished, TCPEstablished, days})
	// The same again and again: nobody answers.
	for range 4 {
		_, c = w.through(w.packet(ProtoTCP, hostA, hostB, tcp(1, 80, ack, 201, 901)))
	}
	if got := time.Duration(c.Expires()); got != 300*time.Second {
		t.Errorf("repeated: %v", got)
	}
}
