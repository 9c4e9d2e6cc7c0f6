package conntrack

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

func TestUDP_conversation_becomesStream(t *testing.T) {
	w := newWorld(t, 1000)
	for i, tc := range []struct {
		wait  time.Duration
		reply bool
		state State
		left  time.Duration
		bits  Status
	}{
		{0, false, StateNew, 30 * time.Second, 0},
		{time.Second, false, StateNew, 30 * time.Second, 0},
		{0, true, StateEstablished, 30 * time.Second, SeenReply},
		{500 * time.Millisecond, false, StateEstablished, 30 * time.Second, SeenReply},
		{time.Second, false, StateEstablished, 120 * time.Second, SeenReply | Assured},
		{119 * time.Second, true, StateEstablished, 120 * time.Second, SeenReply | Assured},
		{121 * time.Second, false, StateNew, 30 * time.Second, 0},
	} {
		w.pass(tc.wait)
		src, dst, sp, dp := hostA, hostB, uint16(1), uint16(2)
		if tc.reply {
			src, dst, sp, dp = dst, src, dp, sp
		}
		st, c := w.sendUDP(src, dst, sp, dp)
		if st != tc.state || time.Duration(c.Expires()) != tc.left || c.Status() != tc.bits|Confirmed {
			t.Errorf("%d: state %#x, %v left, status %#x", i, st, time.Duration(c.Expires()), c.Status())
		}
		w.want(1)
	}
}

func TestUnconfirmed_droppedOnTheWay_usedAgain(t *testing.T) {
	w := newWorld(t, 1000)
	var first *Conn
	for i := range 3 {
		b := w.packet(ProtoUDP, hostA, hostB, udp(uint16(i), 2))
		w.in(b)
		c, _ := Get(b)
		w.want(1)
		if first == nil {
			first = c
		} else if c != first {
			t.Error("what was dropped is not used again")
		}
		clone := b.Clone()
		b.Free(skb.NetfilterDrop)
		w.want(1)
		clone.Free(skb.NetfilterDrop)
		w.want(0)
	}
}

func TestConfirm_secondOfTwo_joinsTheFirst(t *testing.T) {
	w := newWorld(t, 1000)
	for _, proto := range []uint8{ProtoUDP, ProtoTCP} {
		l4 := udp(1, 2)
		if proto == ProtoTCP {
			l4 = tcp(1, 2, header.TCPSyn, 1, 0)
		}
		a, b := w.packet(proto, hostA, hostB, l4), w.packet(proto, hostA, hostB, l4)
		w.in(a)
		w.in(b)
		w.want(2)
		w.out(a)
		v := w.out(b)
		ca, _ := Get(a)
		cb, info := Get(b)
		if proto == ProtoUDP && (v != netfilter.Accept || ca != cb || info != New || w.Stat.ClashResolve.Load() != 1) {
			t.Errorf("UDP: verdict %d, same %v, info %d", v, ca == cb, info)
		}
		if proto == ProtoTCP && (v != netfilter.Drop || w.Stat.InsertFailed.Load() != 1) {
			t.Errorf("TCP: verdict %d", v)
		}
		a.Consume()
		b.Consume()
		w.want(1)
		w.Flush(nil)
	}
}

func TestConfirm_answerOfTheOther_isReply(t *testing.T) {
	w := newWorld(t, 1000)
	a, b := w.packet(ProtoUDP, hostA, hostB, udp(1, 2)), w.packet(ProtoUDP, hostB, hostA, udp(2, 1))
	w.in(a)
	w.in(b) // both begin at the same time
	w.out(a)
	w.out(b)
	if c, info := Get(b); info != EstablishedReply || c.Tuple(Original).Src != hostA {
		t.Errorf("info %d", info)
	}
	a.Consume()
	b.Consume()
	w.want(1)
}

func TestFull_newOnes_takeThePlaceOfUnassured(t *testing.T) {
	w := newWorld(t, 256)
	most := int(w.Conf.Max.Load())
	for i := range 20 * most {
		w.sendUDP(hostA, hostB+header.Addr(i), 1, 2)
	}
	if n := w.Count(); n > most {
		t.Errorf("%d connections, may be %d", n, most)
	}
	if w.Stat.EarlyDrop.Load() == 0 {
		t.Error("nothing gave way")
	}
	// When all are worth keeping, the newcomer is dropped.
	w.Each(func(c *Conn) bool { c.SetStatus(Assured); return true })
	for w.Count() < most {
		if _, c := w.sendUDP(hostB, hostA+header.Addr(w.Count()), 7, 7); c != nil {
			c.SetStatus(Assured)
		}
	}
	drops := w.Stat.Drop.Load()
	for i := range 100 {
		if st, _ := w.sendUDP(hostA, hostB, 9, uint16(9+i)); st != 0 {
			t.Fatal("let in beyond the limit")
		}
	}
	if w.Stat.Drop.Load() != drops+100 {
		t.Errorf("%d drops counted", w.Stat.Drop.Load()-drops)
	}
	if n := len(w.logs); n == 0 || n > 10 || !strings.Contains(w.logs[0], "table full, dropping packet") {
		t.Errorf("log: %d lines %.1q", n, w.logs)
	}
	w.want(most)
	w.pass(time.Hour)
	for range gcWhole {
		w.GC()
	}
	w.want(0)
}

func TestZones_sameTuple_twoConnections(t *testing.T) {
	w := newWorld(t, 1000)
	send := func(z Zone, mark uint32, reply bool) *Conn {
		src, dst, sp, dp := hostA, hostB, uint16(1), uint16(2)
		if reply {
			src, dst, sp, dp = dst, src, dp, sp
		}
		b := w.packet(ProtoUDP, src, dst, udp(sp, dp))
		b.Mark = mark
		if z != (Zone{}) {
			Set(b, w.NewTemplate(z, Policy{}), New)
		}
		_, c := w.through(b)
		return c
	}
	plain, five := send(Zone{}, 0, false), send(Zone{ID: 5}, 0, false)
	if plain == five || send(Zone{Mark: true}, 5, true) != five || send(Zone{}, 0, true) != plain {
		t.Error("zones are not apart")
	}
	// In the original direction only: the answer is found without it.
	orig := send(Zone{ID: 7, Dirs: ZoneOrig}, 0, false)
	if orig != plain {
		t.Error("what is no answer either was not looked for as one")
	}
	w.Delete(plain)
	if orig = send(Zone{ID: 7, Dirs: ZoneOrig}, 0, false); orig == nil || send(Zone{}, 0, true) != orig {
		t.Error("the answer of a zone of one direction is not found")
	}
	if s := string(orig.AppendProc(nil)); !strings.Contains(s, "dport=2 zone-orig=7 src=") || strings.Contains(s, " zone=") {
		t.Errorf("listed as %s", s)
	}
	if s := string(five.AppendProc(nil)); !strings.Contains(s, "mark=0 zone=5 use=2") {
		t.Errorf("listed as %s", s)
	}
	w.want(2)
}

func TestUntracked_andTemplates_leaveNoTrace(t *testing.T) {
	w := newWorld(t, 1000)
	b := w.packet(ProtoUDP, hostA, hostB, udp(1, 2))
	NoTrack(b)
	if st, _ := w.through(b); st != StateUntracked {
		t.Errorf("state %#x", st)
	}
	w.want(0)
	h := &Helper{Name: "x", Proto: ProtoUDP, Policies: []ExpectPolicy{{Max: 1, Timeout: 1e9}},
		Help: func(*skb.Buff, int, *Conn, Info) netfilter.Verdict { return netfilter.Accept }}
	b = w.packet(ProtoUDP, hostA, hostB, udp(1, 2))
	Set(b, w.NewTemplate(Zone{}, Policy{Helper: h}), New)
	if _, c := w.through(b); c.Helper() != h || c.Status()&HelperSet == 0 {
		t.Error("the rule's helper is not set")
	}
	// A helper of another protocol is not.
	b = w.packet(ProtoICMP, hostA, hostB, []byte{8, 0, 0, 0, 0, 1, 0, 1})
	Set(b, w.NewTemplate(Zone{}, Policy{Helper: h}), New)
	if _, c := w.through(b); c.Helper() != nil {
		t.Error("the helper of UDP is set for ICMP")
	}
}

func TestEvents_toldInOrder(t *testing.T) {
	w := newWorld(t, 1000)
	var got []string
	stop := w.Watch(&Watcher{Mask: EventAll, Conn: func(ev Event, c *Conn) { got = append(got, string(c.AppendEvent(nil, ev))) }})
	w.sendUDP(hostA, hostB, 1, 2)
	w.sendUDP(hostA, hostB, 1, 2)
	_, c := w.sendUDP(hostB, hostA, 2, 1)
	c.SetMark(3)
	c.Deliver()
	w.Delete(c)
	const sides = "src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2"
	const answer = "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1"
	want := []string{
		"    [NEW] udp      17 30 " + sides + " [UNREPLIED] " + answer,
		" [UPDATE] udp      17 30 " + sides + " " + answer,
		" [UPDATE] udp      17 30 " + sides + " " + answer + " mark=3",
		"[DESTROY] udp      17 30 " + sides + " " + answer + " mark=3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	stop()
	w.sendUDP(hostA, hostB, 1, 2)
	if len(got) != len(want) {
		t.Error("told after the end")
	}
}

func TestOnEnd_calledOnceForEach(t *testing.T) {
	w := newWorld(t, 1000)
	ended := map[*Conn]int{}
	w.OnEnd(func(c *Conn) { ended[c]++ })
	_, c := w.sendUDP(hostA, hostB, 1, 2)
	w.Delete(c)
	w.Delete(c)
	b := w.packet(ProtoUDP, hostA, hostB, udp(3, 4))
	w.in(b)
	u, _ := Get(b)
	b.Free(skb.NetfilterDrop)
	if ended[c] != 1 || ended[u] != 1 || len(ended) != 2 {
		t.Errorf("ended: %v", ended)
	}
}

func TestResize_whileLookedUp_nothingIsLost(t *testing.T) {
	w := newWorld(t, 4096)
	const n = 500
	for i := range n {
		w.sendUDP(hostA, hostB+header.Addr(i), 1, 2)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				k := Tuple{Src: hostA, Dst: hostB + header.Addr(i%n), SrcPort: 1, DstPort: 2, Proto: ProtoUDP}
				if c, _ := w.Lookup(k); c == nil {
					t.Errorf("%v is lost", k)
					return
				}
			}
		})
	}
	for i := range 200 {
		w.Resize(256 << (i % 5))
	}
	close(done)
	wg.Wait()
	seen := 0
	w.Each(func(*Conn) bool { seen++; return true })
	if seen != n {
		t.Errorf("%d listed, want %d", seen, n)
	}
}

func TestExpect_fulfilled_relatedOnce(t *testing.T) {
	w := newWorld(t, 1000)
	h := &Helper{Name: "ftp", Proto: ProtoTCP, Policies: []ExpectPolicy{{Name: "data", Max: 2, Timeout: int64(300 * time.Second)}},
		Help: func(*skb.Buff, int, *Conn, Info) netfilter.Verdict { return netfilter.Accept }}
	if err := w.RegisterHelper(h); err != nil {
		t.Fatal(err)
	}
	_, m := w.through(w.packet(ProtoTCP, hostA, hostB, tcp(1, 21, header.TCPSyn, 1, 0)))
	m.SetMark(77)
	expect := func(port uint16) *Expect {
		return &Expect{Master: m, Tuple: Tuple{Src: hostB, Dst: hostA, DstPort: port, Proto: ProtoTCP}, SrcMask: ^header.Addr(0)}
	}
	if err := w.Expect(expect(1000)); err == nil {
		t.Error("expected without a helper")
	}
	m.SetHelper(h)
	matched := 0
	e := expect(1000)
	e.OnMatch = func(*Conn, *Expect) { matched++ }
	for range 2 { // the same again takes its place
		if err := w.Expect(e); err != nil {
			t.Fatal(err)
		}
		e2 := *e
		e = &e2
		e.listed = false
	}
	if n := w.ExpectCount(); n != 1 {
		t.Fatalf("%d expectations", n)
	}
	if got := string(w.ProcExpect(nil)); got != "300 l3proto = 2 proto=6 src=10.0.0.2 dst=10.0.0.1 sport=0 dport=1000 ftp/data\n" {
		t.Errorf("listed as %q", got)
	}
	st, c := w.through(w.packet(ProtoTCP, hostB, hostA, tcp(20, 1000, header.TCPSyn, 1, 0)))
	if st != StateRelated || c.Master() != m || c.Mark() != 77 || matched != 1 || c.Status()&Expected == 0 {
		t.Errorf("state %#x, master %v, mark %d, matched %d", st, c.Master() == m, c.Mark(), matched)
	}
	if st, _ := w.through(w.packet(ProtoTCP, hostB, hostA, tcp(21, 1000, header.TCPSyn, 1, 0))); st != StateNew {
		t.Errorf("fulfilled twice: state %#x", st)
	}
	// Of more than the policy allows the oldest goes.
	for port := range uint16(10) {
		if err := w.Expect(expect(2000 + port)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.ExpectCount(); n != 2 || w.FindExpect(Tuple{Src: hostB, Dst: hostA, DstPort: 2009, Proto: ProtoTCP}) == nil {
		t.Errorf("%d expectations, want the last 2", n)
	}
	w.Delete(m)
	if n := w.ExpectCount(); n != 0 {
		t.Errorf("%d expectations outlive their master", n)
	}
}

func TestExpect_flood_bounded(t *testing.T) {
	w := newWorld(t, 10000)
	h := &Helper{Name: "x", Proto: ProtoUDP, Policies: []ExpectPolicy{{Timeout: 1e9}},
		Help: func(*skb.Buff, int, *Conn, Info) netfilter.Verdict { return netfilter.Accept }}
	most := int(w.Conf.ExpectMax.Load())
	refused := 0
	for i := range 3 * most {
		_, m := w.sendUDP(hostA, hostB, uint16(i/200), 2)
		m.SetHelper(h)
		if w.Expect(&Expect{Master: m, Tuple: Tuple{Dst: hostA, DstPort: uint16(i), Proto: ProtoUDP}}) != nil {
			refused++
		}
	}
	if w.ExpectCount() != most || refused != 2*most {
		t.Errorf("%d expectations, %d refused; may be %d", w.ExpectCount(), refused, most)
	}
	if n := len(w.logs); n == 0 || n > 10 {
		t.Errorf("%d lines of log", n)
	}
	w.pass(2 * time.Second)
	w.GC()
	if w.ExpectCount() != 0 {
		t.Error("they do not expire")
	}
}
