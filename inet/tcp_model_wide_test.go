package inet_test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/sock"
	"barewire/inet/tcp"
	"barewire/skb/header"
)

// The model check in further dimensions: timestamps, SACK blocks, closed windows.

// options are those of the next segment.
func (c *mconn) options() []byte {
	if !c.stamped {
		return c.opts
	}
	b := []byte{1, 1, 8, 10}
	b = binary.BigEndian.AppendUint32(b, c.tsval)
	b = binary.BigEndian.AppendUint32(b, c.hostTS)
	return append(b, c.opts...)
}

// sawOptions notes the host's timestamps.
func (c *mconn) sawOptions(h header.TCP) {
	o := h[header.TCPMinLen:h.HeaderLen()]
	for len(o) > 1 && o[0] != 0 {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if o[0] == 8 && len(o) >= 10 {
			c.hostTS, c.hostEcr = binary.BigEndian.Uint32(o[2:]), binary.BigEndian.Uint32(o[6:])
		}
		o = o[min(int(max(o[1], 2)), len(o)):]
	}
}

// stamps are timestamps relative to the last one the peer sent; old ones are
// refused (RFC 7323 section 5.3).
var stamps = []struct {
	name string
	by   uint32
	none bool
	old  func(state int, short bool) bool
}{
	{name: "none", none: true, old: func(int, bool) bool { return false }},
	{name: "same", old: func(int, bool) bool { return false }},
	{name: "newer", by: 7, old: func(int, bool) bool { return false }},
	// A sock has patience for one tick, what has no sock has not (Linux: TCP_PAWS_WINDOW).
	{name: "a tick older", by: 1<<32 - 1, old: func(_ int, short bool) bool { return short }},
	{name: "older", by: 1<<32 - 5000, old: func(int, bool) bool { return true }},
	{name: "half the circle away", by: 1<<31 + 5, old: func(int, bool) bool { return true }},
}

func TestTCP_timestampsInEveryState_isRFC7323(t *testing.T) {
	start, n := time.Now(), 0
	synctest.Test(t, func(t *testing.T) {
		h, l := modelHost(t)
		wrong := 0
		for _, st := range mstates {
			if st.state == tcp.Listen || st.state == tcp.SynSent {
				continue // no timestamp to compare with
			}
			for _, g := range alphabet() {
				if g.n == 1 || g.ack == "ancient" || g.ack == "future" || g.seq == "far before" || g.seq == "edge" || g.seq == "beyond" {
					continue // tried without timestamps
				}
				for _, ts := range stamps {
					n++
					c := &mconn{host: h, port: uint16(1000 + n%60000), local: 80, rcv: mISN + 1, edge: mISN + 1, stamped: true, tsval: 1 << 20}
					st.reach(c, l)
					if s, _, _ := c.state(); s != st.state {
						t.Fatalf("%s is %d", st.name, s)
					}
					want := c.want(st.state, st.name, g)
					short := st.state == tcp.TimeWait || st.name == "FIN-WAIT-2, closed" || st.name == "SYN-RECEIVED"
					rst := g.flags&mRst != 0
					refused := ts.old(st.state, short) && (!rst || short)
					switch {
					case !short && g.flags&(mAck|mRst|mSyn) == 0: // not looked at
						refused = false
					case st.name == "SYN-RECEIVED" && g.flags&mAck != 0 && g.ack != "nxt": // looked at first (Linux: tcp_check_req)
						refused = false
					}
					switch {
					case refused && !short && g.flags == mAck && g.n == 0 && g.seq == "before":
						want = verdict{state: st.state} // an old ACK
					case !refused && st.state == tcp.TimeWait && ts.name == "newer" && g.flags&^mFin == mSyn:
						// The timestamp shows that it is new, as RFC 6191 wants it.
						want = verdict{tcp.SynRecv, "synack", 0}
						if g.flags&mFin != 0 {
							want = verdict{state: tcp.Close}
						}
					case refused:
						want = verdict{state: st.state, answer: "ack"}
						if rst && st.name != "FIN-WAIT-2, closed" { // which answers whatever it is
							want.answer = ""
						}
					}
					recent := c.tsval
					c.stamped, c.tsval = !ts.none, c.tsval+ts.by
					sent := c.tsval
					err := c.try(st.name, g, want)
					if err == nil && len(c.out) > 0 && c.out[0].Flags() == mAck {
						// What is echoed: a new one only of a segment that was taken and reaches the left edge (RFC 7323 section 4.3).
						if c.hostEcr != recent && (c.hostEcr != sent || refused || g.seq == "inside" || g.seq == "far beyond") {
							err = fmt.Errorf("echoes %d, of %d and %d", c.hostEcr, recent, sent)
						}
					}
					if err != nil {
						t.Errorf("%s, %v, timestamp %s: %v", st.name, g, ts.name, err)
						if wrong++; wrong > 40 {
							t.FailNow()
						}
					}
					c.stamped, c.tsval = true, recent+100
					c.end(l)
					if k := h.net.SKB().InUse(); k != 0 {
						t.Fatalf("%s, %v: %d packets left", st.name, g, k)
					}
				}
			}
		}
	})
	t.Logf("%d cases in %v", n, time.Since(start))
}

// info reads fields of TCP_INFO.
func (c *mconn) info() (caState uint8, unacked, sacked, lost, retrans uint32) {
	var p [248]byte
	c.s.GetSockOpt(syscall.SOL_TCP, syscall.TCP_INFO, p[:])
	u := func(o int) uint32 { return binary.LittleEndian.Uint32(p[o:]) }
	return p[1], u(24), u(28), u(32), u(36)
}

// Blocks of a SACK option, in units of segments of 10 bytes from SND.UNA on.
var sackBlocks = [][2]int32{
	{10, 20}, {20, 30}, {30, 60}, {0, 60}, {10, 60}, // good
	{15, 25}, {12, 14}, // that cut segments
	{0, 10},                          // what the ACK should have had
	{-10, 0}, {-100, -90}, {-10, 20}, // of the past: D-SACK, or nonsense
	{50, 70}, {60, 70}, {1000, 2000}, // of the future
	{20, 10}, {10, 10}, {1 << 30, -1 << 30}, // no blocks
}

// TestTCP_sackBlocks_scoreboardHolds sends every pair of blocks with every acknowledgment to a
// sender of six segments: the scoreboard stays within what was sent, and an ACK of all ends it.
func TestTCP_sackBlocks_scoreboardHolds(t *testing.T) {
	start, n := time.Now(), 0
	synctest.Test(t, func(t *testing.T) {
		h, l := modelHost(t)
		check(t, h.net.Sysctl().Set("net.ipv4.tcp_autocorking", "0"))
		try := func(ack int32, blocks ...[2]int32) {
			n++
			c := &mconn{host: h, port: uint16(1000 + n%60000), local: 80, rcv: mISN + 1, edge: mISN + 1}
			c.opts = []byte{1, 1, 4, 2} // SACK permitted
			c.syn()
			c.opts = nil
			c.ackAll()
			s, err := l.Accept(syscall.O_NONBLOCK)
			check(t, err)
			c.s = s
			check(t, s.SetSockOpt(syscall.SOL_TCP, syscall.TCP_NODELAY, []byte{1, 0, 0, 0}))
			c.write(10)
			c.ackAll()
			for range 6 {
				c.write(10)
			}
			una := c.una
			if c.nxt != una+60 {
				t.Fatalf("%d bytes are out", c.nxt-una)
			}
			c.opts = []byte{1, 1, 5, byte(2 + 8*len(blocks))}
			for _, b := range blocks {
				c.opts = binary.BigEndian.AppendUint32(c.opts, una+uint32(b[0]))
				c.opts = binary.BigEndian.AppendUint32(c.opts, una+uint32(b[1]))
			}
			c.send(mAck, c.rcv, una+uint32(ack), 0)
			what := fmt.Sprintf("ack %d, blocks %v", ack, blocks)
			ca, unacked, sacked, lost, retrans := c.info()
			// Segments may have been cut; nothing is in two places.
			if sacked > unacked || lost > unacked || retrans > unacked || sacked+lost > unacked {
				t.Errorf("%s: state %d, %d out, %d SACKed, %d lost, %d sent again", what, ca, unacked, sacked, lost, retrans)
			}
			covered, taken := c.covered(ack, blocks)
			if unacked == 6-uint32(max(ack, 0)/10) && !taken && sacked != 0 {
				t.Errorf("%s: %d SACKed by blocks that are none", what, sacked)
			}
			if state, txq, _ := c.state(); state != tcp.Established || txq != 60-uint32(max(ack, 0)) {
				t.Errorf("%s: state %d, %d bytes queued", what, state, txq)
			}
			if len(blocks) == 1 && blocks[0][0]%10 == 0 && blocks[0][1]%10 == 0 && int(sacked) != covered {
				t.Errorf("%s: %d segments SACKed, want %d", what, sacked, covered)
			}
			c.opts = nil
			time.Sleep(300 * time.Millisecond) // a timeout, or a probe
			c.collect()
			c.ackAll()
			if _, unacked, sacked, lost, retrans := c.info(); unacked|sacked|lost|retrans != 0 {
				t.Errorf("%s: after an ACK of everything %d out, %d SACKed, %d lost, %d sent again", what, unacked, sacked, lost, retrans)
			}
			c.end(l)
			if k := h.net.SKB().InUse(); k != 0 {
				t.Fatalf("%s: %d packets left", what, k)
			}
		}
		for _, ack := range []int32{0, 10, 15, 30} {
			for i, a := range sackBlocks {
				try(ack, a)
				for j, b := range sackBlocks {
					if i != j {
						try(ack, a, b)
					}
				}
			}
			try(ack, sackBlocks[0], sackBlocks[11], sackBlocks[14], sackBlocks[2])
		}
	})
	t.Logf("%d cases in %v", n, time.Since(start))
}

// covered counts the whole segments that good blocks tell of and the ACK does not; taken says
// whether any block is good. One that begins at the ACK is not: the ACK would have said it
// (Linux: tcp_is_sackblock_valid).
func (c *mconn) covered(ack int32, blocks [][2]int32) (n int, taken bool) {
	for seg := int32(0); seg < 60; seg += 10 {
		for _, b := range blocks {
			if b[0] < b[1] && b[0] > ack && b[1] <= 60 {
				taken = true
				if seg >= ack && b[0] <= seg && seg+10 <= b[1] {
					n++
					break
				}
			}
		}
	}
	return n, taken
}

// TestTCP_closedWindowOfThePeer_isProbed closes the peer's window in each state that may
// send: nothing but probes goes out, an ACK opens it again, and all arrives.
func TestTCP_closedWindowOfThePeer_isProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := modelHost(t)
		for i, st := range []struct {
			name  string
			reach func(c *mconn)
			fin   bool // the host has sent its own, behind the data
		}{
			{"ESTABLISHED", func(c *mconn) {}, false},
			{"CLOSE-WAIT", func(c *mconn) { c.peerFin() }, false},
			{"FIN-WAIT-1", func(c *mconn) { c.shutdown() }, true},
			{"LAST-ACK", func(c *mconn) { c.peerFin(); c.shutdown() }, true},
		} {
			c := &mconn{host: h, port: uint16(2000 + i), local: 80, rcv: mISN + 1, edge: mISN + 1}
			c.established(l)
			c.shut = true
			c.send(mAck, c.rcv, c.nxt, 0)
			nxt := c.nxt
			c.write(100)
			if len(c.out) != 0 {
				t.Errorf("%s: %v sent into a closed window", st.name, c.out)
			}
			st.reach(c)
			last, probes := time.Now(), 0
			var gaps []time.Duration
			for range 300 {
				time.Sleep(100 * time.Millisecond)
				c.collect()
				for k, s := range c.out {
					// RFC 9293 section 3.8.6.1; Linux's probes are empty and before the window.
					if c.lens[k] != 0 || s.Seq() != nxt-1 || s.Flags() != mAck {
						t.Errorf("%s: probe with seq %d of %d, %d bytes, flags %#x", st.name, s.Seq(), nxt, c.lens[k], s.Flags())
					}
					probes++
					gaps = append(gaps, time.Since(last))
					last = time.Now()
					c.send(mAck, c.rcv, nxt, 0) // it is still closed
				}
			}
			for k := 2; k < len(gaps); k++ {
				if gaps[k] < gaps[k-1] {
					t.Errorf("%s: probes do not back off: %v", st.name, gaps)
				}
			}
			if probes < 4 || probes > 9 {
				t.Errorf("%s: %d probes in 30 s: %v", st.name, probes, gaps)
			}
			c.shut = false
			c.send(mAck, c.rcv, nxt, 0)
			got := 0
			for k := range c.out {
				got += c.lens[k]
			}
			end := nxt + 100
			if st.fin {
				end++
			}
			if got != 100 || c.nxt != end {
				t.Errorf("%s: %d bytes of 100 after the window opened, up to %d of %d", st.name, got, c.nxt-nxt, end-nxt)
			}
			c.ackAll()
			c.end(l)
		}
	})
}

// TestTCP_closedWindowOfTheHost_everySegment sends every segment to a host whose receive
// buffer is full: no data is taken, everything else is as ever.
func TestTCP_closedWindowOfTheHost_everySegment(t *testing.T) {
	start, n := time.Now(), 0
	synctest.Test(t, func(t *testing.T) {
		h, l := modelHost(t)
		check(t, l.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{0, 8, 0, 0}))
		wrong := 0
		for _, g := range alphabet() {
			if g.seq == "edge" || g.seq == "inside" {
				continue // the edge is where the next byte is due, and nothing is inside
			}
			n++
			c := &mconn{host: h, port: uint16(1000 + n), local: 80, rcv: mISN + 1, edge: mISN + 1}
			c.established(l)
			for k := 0; c.edge != c.rcv; k++ {
				if k == 100 {
					t.Fatalf("the window stays open: %d", c.edge-c.rcv)
				}
				c.send(mAck, c.rcv, c.nxt, int(min(c.edge-c.rcv, 500)))
				time.Sleep(50 * time.Millisecond) // the delayed ACK
				c.collect()
			}
			_, _, held := c.state()
			c.queued = true
			ack, rst, syn, fin := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0, g.flags&mFin != 0
			rcv := c.rcv
			want := verdict{state: tcp.Established, answer: "ack"}
			switch {
			case rst && !c.touches(g):
				want.answer = ""
			case rst && g.seq == "at":
				want = verdict{state: tcp.Close}
			case rst:
			case !syn && !ack:
				want.answer = ""
			case !syn && g.seq == "at" && g.n == 0 && (g.ack == "una" || g.ack == "nxt"):
				want.answer = ""
				if fin { // it takes no room
					want = verdict{state: tcp.CloseWait, answer: "ack?"}
				}
			case !syn && !fin && g.seq == "before" && g.n == 0 && (g.ack == "una" || g.ack == "nxt"):
				want.answer = "ack" // a probe
			}
			seq, ackSeq := c.numbers(g)
			c.send(g.flags, seq, ackSeq, g.n)
			answers := ""
			for k, s := range c.out {
				switch {
				case s.Flags()&mRst != 0:
					answers += "rst"
				case s.Flags() == mAck && c.lens[k] == 0:
					answers += "ack"
				default:
					answers += "?"
				}
			}
			state, _, rxq := c.state()
			switch {
			case answers != want.answer && (want.answer != "ack?" || answers != "" && answers != "ack"):
				t.Errorf("%v: answered %q, want %q", g, answers, want.answer)
				wrong++
			case state != want.state:
				t.Errorf("%v: state %d, want %d", g, state, want.state)
				wrong++
			case state != tcp.Close && (rxq < held || rxq > held+1 || rxq != held && state == tcp.Established):
				t.Errorf("%v: %d bytes to read, were %d", g, rxq, held)
				wrong++
			}
			if wrong > 40 {
				t.FailNow()
			}
			if state == tcp.Established {
				// What was read makes room again, and it is told.
				for left := int(held); left > 0; {
					k, err := c.s.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 4096)}}, syscall.MSG_DONTWAIT)
					check(t, err)
					left -= k
				}
				c.collect()
				if len(c.out) == 0 || c.edge == rcv {
					t.Errorf("%v: the window is not opened by reading", g)
				}
			}
			c.end(l)
		}
	})
	t.Logf("%d cases in %v", n, time.Since(start))
}
