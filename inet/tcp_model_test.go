package inet_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/sock"
	"barewire/inet/tcp"
	"barewire/skb"
	"barewire/skb/header"
)

// The model check: in every state of a connection one segment of an alphabet
// arrives, and what becomes of state, data and wire is compared with what RFC
// 9293 section 3.10.7 and RFC 5961 say, with Linux's choices. Every pair of
// state and segment is tried.

// mseg is a segment of the alphabet: numbers relative to what the host expects.
type mseg struct {
	flags uint8
	seq   string // where it begins
	ack   string // what it acknowledges
	n     int    // bytes of payload
}

func (g mseg) String() string {
	s := ""
	for i, c := range "FSRPA" {
		if g.flags>>i&1 != 0 {
			s += string(c)
		}
	}
	return fmt.Sprintf("[%s] seq %s ack %s, %d bytes", s, g.seq, g.ack, g.n)
}

// mconn is one connection of the check, seen from the peer.
type mconn struct {
	*host
	port      uint16       // of the peer
	local     uint16       // of the host
	s         *sock.Socket // nil: nobody has one
	iss       uint32       // of the host
	una, nxt  uint32       // of the host
	rcv, edge uint32       // what the host expects, and may be sent up to
	queued    bool         // something is on the receive queue
	out       []header.TCP // segments since the last look
	lens      []int

	// For the wider checks.
	stamped bool   // segments carry timestamps
	tsval   uint32 // what they carry
	hostTS  uint32 // the host's last
	hostEcr uint32 // and what it echoed
	win     uint16 // the peer's window, 0: the usual one
	shut    bool   // it is closed, whatever win says
	opts    []byte // of the next segments, besides
}

const mISN = 1e6 // the peer's initial sequence number

// collect takes what the host sent and keeps the account of it.
func (c *mconn) collect() {
	c.run()
	c.out, c.lens = c.out[:0], c.lens[:0]
	for _, f := range c.host.port.take() {
		if header.Ethernet(f).Type() == header.EthPARP { // time passes in some states
			c.inject(arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP))
			continue
		}
		ip, h := segmentOf(f)
		if ip.Protocol() != header.ProtoTCP || h.DstPort() != c.port {
			continue
		}
		if skb.CsumFold(skb.CsumPartial(h[:ip.TotalLen()-ip.HeaderLen()], header.PseudoSum(ip.Src(), ip.Dst(), header.ProtoTCP, ip.TotalLen()-ip.HeaderLen()))) != 0 {
			c.Errorf("bad checksum")
		}
		n := ip.TotalLen() - ip.HeaderLen() - h.HeaderLen()
		c.out, c.lens = append(c.out, h), append(c.lens, n)
		c.sawOptions(h)
		if h.Flags()&header.TCPRst != 0 {
			continue
		}
		end := h.Seq() + uint32(n)
		if h.Flags()&header.TCPSyn != 0 {
			c.iss, c.una = h.Seq(), h.Seq()
			end++
		}
		if h.Flags()&header.TCPFin != 0 {
			end++
		}
		if int32(end-c.nxt) > 0 || h.Flags()&header.TCPSyn != 0 {
			c.nxt = end
		}
		if h.Flags()&header.TCPAck != 0 {
			c.rcv, c.edge = h.AckSeq(), h.AckSeq()+uint32(h.Window())
		}
	}
}

func (c *mconn) send(flags uint8, seq, ack uint32, n int) {
	opts, win := c.options(), c.win
	if win == 0 {
		win = 30000
	}
	if c.shut {
		win = 0
	}
	m := make([]byte, header.TCPMinLen+len(opts)+n)
	h := header.PutTCP(m, &header.TCPFields{SrcPort: c.port, DstPort: c.local, Seq: seq, Ack: ack, HeaderLen: header.TCPMinLen + len(opts), Flags: flags, Window: win})
	copy(h.Options(), opts)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(m, header.PseudoSum(peerIP, hostIP, header.ProtoTCP, len(m)))))
	c.inject(fromPeer(header.ProtoTCP, m))
	c.collect()
	if flags&header.TCPAck != 0 && int32(ack-c.una) > 0 && int32(ack-c.nxt) <= 0 {
		c.una = ack
	}
}

// Segments the scripts of the states use.
func (c *mconn) syn()    { c.send(header.TCPSyn, mISN, 0, 0) }
func (c *mconn) ackAll() { c.send(header.TCPAck, c.rcv, c.nxt, 0) }
func (c *mconn) peerFin() {
	c.send(header.TCPFin|header.TCPAck, c.rcv, c.una, 0)
	if len(c.out) == 0 {
		time.Sleep(60 * time.Millisecond) // its ACK is delayed
		c.collect()
	}
}
func (c *mconn) established(l *sock.Socket) {
	c.syn()
	c.ackAll()
	s, err := l.Accept(syscall.O_NONBLOCK)
	check(c, err)
	c.s = s
}
func (c *mconn) shutdown() {
	check(c, c.s.Shutdown(syscall.SHUT_WR))
	c.collect()
}
func (c *mconn) write(n int) {
	_, err := c.s.SendMsg(&sock.Msg{Iov: [][]byte{make([]byte, n)}}, syscall.MSG_DONTWAIT)
	check(c, err)
	c.collect()
}
func (c *mconn) release() {
	check(c, c.s.Release())
	c.s = nil
	c.collect()
}
func (c *mconn) connect() {
	s, err := c.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(c, err)
	c.s, c.local = s, 81
	check(c, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
	check(c, s.Bind(sockaddr(0, c.local)))
	if err := s.Connect(sockaddr(peerIP, c.port), syscall.O_NONBLOCK); err != syscall.EINPROGRESS {
		c.Fatalf("connect: %v", err)
	}
	c.collect()
	c.rcv, c.edge = mISN+1, mISN+1
}

// mstates reach every state.
var mstates = []struct {
	name  string
	state int
	reach func(c *mconn, l *sock.Socket)
}{
	{"LISTEN", tcp.Listen, func(c *mconn, l *sock.Socket) {}},
	{"SYN-SENT", tcp.SynSent, func(c *mconn, l *sock.Socket) { c.connect() }},
	{"SYN-RECEIVED, from SYN-SENT", tcp.SynRecv, func(c *mconn, l *sock.Socket) { c.connect(); c.syn() }},
	{"SYN-RECEIVED", tcp.SynRecv, func(c *mconn, l *sock.Socket) { c.syn() }},
	{"ESTABLISHED", tcp.Established, (*mconn).established},
	{"ESTABLISHED, data out", tcp.Established, func(c *mconn, l *sock.Socket) { c.established(l); c.write(10); c.ackAll(); c.write(10) }},
	{"FIN-WAIT-1", tcp.FinWait1, func(c *mconn, l *sock.Socket) { c.established(l); c.shutdown() }},
	{"FIN-WAIT-1, closed", tcp.FinWait1, func(c *mconn, l *sock.Socket) { c.established(l); c.release() }},
	{"FIN-WAIT-2", tcp.FinWait2, func(c *mconn, l *sock.Socket) { c.established(l); c.shutdown(); c.ackAll() }},
	{"FIN-WAIT-2, closed", tcp.FinWait2, func(c *mconn, l *sock.Socket) { c.established(l); c.release(); c.ackAll() }},
	{"CLOSING", tcp.Closing, func(c *mconn, l *sock.Socket) { c.established(l); c.shutdown(); c.peerFin() }},
	{"CLOSING, closed", tcp.Closing, func(c *mconn, l *sock.Socket) { c.established(l); c.release(); c.peerFin() }},
	{"TIME-WAIT", tcp.TimeWait, func(c *mconn, l *sock.Socket) { c.established(l); c.release(); c.ackAll(); c.peerFin() }},
	{"CLOSE-WAIT", tcp.CloseWait, func(c *mconn, l *sock.Socket) { c.established(l); c.peerFin() }},
	{"LAST-ACK", tcp.LastAck, func(c *mconn, l *sock.Socket) { c.established(l); c.peerFin(); c.shutdown() }},
	{"LAST-ACK, closed", tcp.LastAck, func(c *mconn, l *sock.Socket) { c.established(l); c.peerFin(); c.release() }},
}

// state finds the connection in /proc/net/tcp; Close if it is not there.
func (c *mconn) state() (state int, txq, rxq uint32) {
	show, _ := c.net.Proc().Lookup("tcp")
	b := show(nil)
	for _, line := range strings.Split(string(b), "\n")[1:] {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasSuffix(f[2], fmt.Sprintf(":%04X", c.port)) {
			continue
		}
		st, _ := strconv.ParseUint(f[3], 16, 8)
		fmt.Sscanf(f[4], "%x:%x", &txq, &rxq)
		return int(st), txq, rxq
	}
	return tcp.Close, 0, 0
}

// A verdict is what must become of a segment.
type verdict struct {
	state  int
	answer string // what is sent: "", "ack", "rst", "synack", "ack?" for one that may come later
	data   int    // bytes a program can read now
}

// alphabet is every segment of the check.
func alphabet() (all []mseg) {
	for flags := range uint8(1 << 3) {
		for _, ack := range []string{"none", "ancient", "old", "una", "nxt", "future"} {
			f := flags
			if ack != "none" {
				f |= header.TCPAck
			}
			for _, seq := range []string{"far before", "before", "at", "inside", "edge", "beyond", "far beyond"} {
				for _, n := range []int{0, 1, 3} {
					all = append(all, mseg{f, seq, ack, n})
				}
			}
		}
	}
	return all
}

// numbers turns the words of a segment into numbers.
func (c *mconn) numbers(g mseg) (seq, ack uint32) {
	seq = map[string]uint32{"far before": c.rcv - 1<<30, "before": c.rcv - 1, "at": c.rcv, "inside": c.rcv + 5,
		"edge": c.edge, "beyond": c.edge + 1, "far beyond": c.edge + 1<<30}[g.seq]
	ack = map[string]uint32{"none": 0, "ancient": c.una - 1<<30, "old": c.una - 1, "una": c.una, "nxt": c.nxt, "future": c.nxt + 1}[g.ack]
	return seq, ack
}

// modelHost is the host of a model check and its listener.
func modelHost(t *testing.T) (*host, *sock.Socket) {
	h := newHost(t)
	h.know()
	check(t, h.net.Sysctl().Set("net.ipv4.tcp_challenge_ack_limit", "2147483647"))
	check(t, h.net.Sysctl().Set("net.ipv4.tcp_ecn", "0"))
	l := h.tcpSocket(0, 80)
	check(t, l.Listen(4))
	return h, l
}

func TestTCP_everySegmentInEveryState_isRFC9293(t *testing.T) {
	start := time.Now()
	n := 0
	synctest.Test(t, func(t *testing.T) {
		h, l := modelHost(t)
		wrong := 0
		for _, st := range mstates {
			for _, g := range alphabet() {
				n++
				c := &mconn{host: h, port: uint16(1000 + n%60000), local: 80, rcv: mISN + 1, edge: mISN + 1}
				st.reach(c, l)
				if s, _, _ := c.state(); s != st.state && st.state != tcp.Listen {
					t.Fatalf("%s is %d", st.name, s)
				}
				want := c.want(st.state, st.name, g)
				if err := c.try(st.name, g, want); err != nil {
					t.Errorf("%s, %v: %v", st.name, g, err)
					if wrong++; wrong > 60 {
						t.FailNow()
					}
				}
				c.end(l)
				if k := h.net.SKB().InUse(); k != 0 {
					t.Fatalf("%s, %v: %d packets left", st.name, g, k)
				}
			}
		}
	})
	t.Logf("%d cases in %v", n, time.Since(start))
}

// try injects g and compares.
func (c *mconn) try(name string, g mseg, want verdict) error {
	seq, ack := c.numbers(g)
	rcv, nxt, edge := c.rcv, c.nxt, c.edge
	c.send(g.flags, seq, ack, g.n)
	state, txq, rxq := c.state()
	opened := !strings.HasPrefix(name, "SYN-") // before, the window is none or begins to be scaled
	answers := ""
	for i, h := range c.out {
		kind := "?"
		switch f := h.Flags() &^ header.TCPPsh; {
		case f&header.TCPRst != 0:
			kind = "rst"
			if g.flags&header.TCPAck != 0 && (h.Seq() != ack || f&header.TCPAck != 0) ||
				g.flags&header.TCPAck == 0 && (h.Seq() != 0 || f&header.TCPAck == 0 || h.AckSeq() != seq+g.len()) {
				return fmt.Errorf("RST seq %d ack %d flags %#x", h.Seq(), h.AckSeq(), f)
			}
		case f == header.TCPSyn|header.TCPAck:
			kind = "synack"
		case f == header.TCPAck && c.lens[i] == 0:
			kind = "ack"
			if h.Seq() != nxt {
				return fmt.Errorf("ACK has seq %d, want %d", h.Seq(), nxt)
			}
			// The right edge of the window does not move to the left (RFC 9293 section 3.8.6).
			if opened && int32(h.AckSeq()+uint32(h.Window())-edge) < 0 {
				return fmt.Errorf("window shrunk")
			}
		}
		answers += kind
	}
	if answers != want.answer && (want.answer != "ack?" || answers != "" && answers != "ack") {
		return fmt.Errorf("answered %q, want %q", answers, want.answer)
	}
	if state != want.state {
		return fmt.Errorf("state %d, want %d", state, want.state)
	}
	// SND.UNA <= SND.NXT <= what was written.
	if int32(txq) < 0 || txq > 12 {
		return fmt.Errorf("transmit queue of %d", int32(txq))
	}
	if state == tcp.TimeWait && c.s != nil {
		k, _ := c.s.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, 10)}}, syscall.MSG_DONTWAIT)
		rxq = uint32(k)
	}
	// Both FINs count, though nobody can read them.
	if d := int(rxq) - want.data; d < 0 || d > 2 || d > 0 && state == tcp.Established {
		return fmt.Errorf("%d bytes to read, want %d", rxq, want.data)
	}
	if opened && want.answer == "ack" && want.data == 0 && want.state != tcp.CloseWait && g.flags&header.TCPFin == 0 && len(c.out) > 0 && c.rcv != rcv {
		return fmt.Errorf("acknowledges %d, was %d", c.rcv, rcv)
	}
	return nil
}

// len is what a segment takes of the sequence space.
func (g mseg) len() uint32 {
	n := uint32(g.n)
	if g.flags&header.TCPSyn != 0 {
		n++
	}
	if g.flags&header.TCPFin != 0 {
		n++
	}
	return n
}

// end ends the connection at once from both sides.
func (c *mconn) end(l *sock.Socket) {
	if c.s == nil {
		c.s, _ = l.Accept(syscall.O_NONBLOCK)
	}
	for range 3 {
		st, _, _ := c.state()
		if st == tcp.Close {
			break
		}
		if c.s != nil {
			c.s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			c.s.Release()
			c.s = nil
			c.collect()
			continue
		}
		c.send(header.TCPRst, c.rcv, 0, 0)
		c.send(header.TCPRst, c.rcv-1, 0, 0)
	}
	if c.s != nil {
		c.s.Release()
	}
	c.collect()
	if st, _, _ := c.state(); st != tcp.Close {
		c.Errorf("left in state %d", st)
	}
}
