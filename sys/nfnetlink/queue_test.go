package nfnetlink

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// queueWorld is a namespace whose hook LOCAL_IN queues to 7; what goes on behind
// is taken by the test.
type queueWorld struct {
	*end
	nl     *netlink.Table
	passed []*skb.Buff
}

func newQueueWorld(t *testing.T, v netfilter.Verdict) *queueWorld {
	nl, _, in := newTable(t)
	w := &queueWorld{end: ownOn(t, nl, in), nl: nl}
	in.Hooks().Register(netfilter.LocalIn, 0, func(*skb.Buff, *netfilter.State) netfilter.Verdict { return v })
	in.Hooks().Register(netfilter.LocalIn, 1, func(b *skb.Buff, _ *netfilter.State) netfilter.Verdict {
		w.passed = append(w.passed, b)
		return netfilter.Stolen
	})
	t.Cleanup(func() {
		for _, b := range w.passed {
			b.Consume()
		}
	})
	return w
}

// packet has a datagram of some bytes come to the hook.
func (w *queueWorld) packet(data string) {
	b := w.in.Dev().SKB().Alloc(200)
	b.Reserve(64)
	p := b.Put(20 + len(data))
	header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 1, Protocol: 200, Src: 1, Dst: 2}).UpdateChecksum()
	copy(p[20:], data)
	b.ResetNetworkHeader()
	w.in.Hooks().Run(netfilter.LocalIn, b, w.in.Dev().DevByName("lo"), nil, nil)
}

// settle has what was decided go on, until done says that it did.
func (w *queueWorld) settle(done func() bool) {
	w.Helper()
	for range 100000 {
		if w.in.Dev().SoftNet().DoSoftirq(); done() {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
	w.Error("nothing went on")
}

func cfgCmd(cmd byte) []byte { return attr(nfqaCfgCmd, cmd, 0, 0, 2) }

func verdictHdr(v, id uint32) []byte { return attr(nfqaVerdictHdr, append(be32(v), be32(id)...)...) }

// bindQueue binds to queue 7 and asks for whole packets.
func (w *queueWorld) bindQueue() {
	w.Helper()
	for _, m := range [][]byte{
		message(3, queueConfig, ackIt, 0, 7, cfgCmd(cfgBind)),
		message(3, queueConfig, ackIt, 0, 7, attr(nfqaCfgParams, 0, 0, 0xff, 0xff, copyPacket)),
	} {
		if s := w.ask(m); s != "error errno 0" {
			w.Fatal(s)
		}
	}
}

func (w *queueWorld) drops() uint64 { return w.in.Drops(skb.NetfilterDrop) }

func TestQueue_verdicts(t *testing.T) {
	w := newQueueWorld(t, netfilter.QueueTo(7, false))
	w.packet("nobody")
	if w.drops() != 1 {
		t.Error("a packet for a queue nobody is bound to was not dropped")
	}
	w.bindQueue()
	w.packet("one")
	if got := w.told(); !strings.Contains(got, "0x300 flags 0x0 gen 02000007") || !strings.Contains(got, "1=00000001080001") || !strings.Contains(got, "6f6e65") {
		t.Errorf("told %s", got)
	}
	if s := w.ask(message(3, queueVerdict, ackIt, 0, 7, verdictHdr(1, 99))); s != "error no such file or directory" {
		t.Errorf("verdict over nothing: %s", s)
	}
	if s := w.ask(message(3, queueVerdict, ackIt, 0, 7, verdictHdr(2, 1))); s != "error invalid argument" {
		t.Errorf("verdict STOLEN: %s", s)
	}
	// With another mark and other bytes.
	data := make([]byte, 24)
	header.PutIPv4(data, &header.Fields{TotalLen: 24, TTL: 9, Protocol: 200, Src: 1, Dst: 2}).UpdateChecksum()
	copy(data[20:], "much")
	if s := w.ask(message(3, queueVerdict, ackIt, 0, 7, verdictHdr(1, 1), attr(nfqaMark, be32(5)...), attr(nfqaPayload, data...))); s != "error errno 0" {
		t.Error(s)
	}
	w.settle(func() bool { return len(w.passed) > 0 })
	if len(w.passed) != 1 || w.passed[0].Mark != 5 || !bytes.Equal(w.passed[0].Data(), data) {
		t.Fatalf("%d went on", len(w.passed))
	}
	for range 3 {
		w.packet("more")
	}
	if s := w.ask(message(3, queueVerdictBatch, ackIt, 0, 7, verdictHdr(0, 3))); !strings.HasSuffix(s, "error errno 0") {
		t.Error(s)
	}
	w.settle(func() bool { return w.drops() == 3 })
	if s := w.ask(message(3, queueConfig, ackIt, 0, 7, cfgCmd(cfgUnbind))); s != "error errno 0" {
		t.Error(s)
	}
	if w.drops() != 4 {
		t.Error("what waited was not dropped")
	}
}

func TestQueue_full_droppedOrOpen(t *testing.T) {
	w := newQueueWorld(t, netfilter.QueueTo(7, false))
	w.bindQueue()
	w.ask(message(3, queueConfig, ackIt, 0, 7, attr(nfqaCfgMaxLen, be32(2)...)))
	for range 5 {
		w.packet("x")
	}
	if w.drops() != 3 {
		t.Errorf("%d dropped, want 3", w.drops())
	}
	w.told()
	w.ask(message(3, queueConfig, ackIt, 0, 7, attr(nfqaCfgFlags, be32(queueFailOpen)...), attr(nfqaCfgMask, be32(queueFailOpen)...)))
	w.packet("y")
	if w.drops() != 3 || len(w.passed) != 1 {
		t.Errorf("%d dropped, %d passed", w.drops(), len(w.passed))
	}
}

func TestQueue_anothersOrGone_refused(t *testing.T) {
	w := newQueueWorld(t, netfilter.QueueTo(7, true))
	w.bindQueue()
	other := ownOn(t, w.nl, w.in)
	if s := other.ask(message(3, queueConfig, ackIt, 0, 7, cfgCmd(cfgBind))); s != "error operation not permitted" {
		t.Errorf("bound to another's queue: %s", s)
	}
	if s := other.ask(message(3, queueVerdict, ackIt, 0, 8, verdictHdr(1, 1))); s != "error no such device" {
		t.Errorf("verdict over no queue: %s", s)
	}
	w.packet("a")
	w.ask(message(3, queueConfig, ackIt, 0, 7, cfgCmd(cfgUnbind)))
	w.packet("b") // with bypass
	if len(w.passed) != 1 || w.drops() != 1 {
		t.Errorf("%d passed, %d dropped", len(w.passed), w.drops())
	}
}

func TestLog_boundGroup_getsCopies(t *testing.T) {
	_, f, in := newTable(t)
	e := ownOn(t, f.nl, in)
	b := in.Dev().SKB().Alloc(200)
	b.PutData(make([]byte, 40))
	defer b.Consume()
	show := func(size int) string {
		f.logPacket(b, netfilter.State{Point: netfilter.Forward, Out: in.Dev().DevByName("lo")}, 3, "hello", size)
		return e.told()
	}
	if s := show(-1); s != "" {
		t.Error("somebody was told:", s)
	}
	if s := e.ask(message(4, logConfig, ackIt, inet4, 3, attr(nfulaCfgMode, 0, 0, 0, 0, copyPacket, 0))); s != "error no such device" {
		t.Error(s)
	}
	if s := e.ask(message(4, logConfig, ackIt, inet4, 3, attr(nfulaCfgCmd, cfgBind))); s != "error errno 0" {
		t.Fatal(s)
	}
	if s := show(-1); !strings.Contains(s, "0x400 flags 0x0 gen 02000003") || !strings.Contains(s, "1=08000200") ||
		!strings.Contains(s, "10=68656c6c6f00") || !strings.Contains(s, " 9="+strings.Repeat("00", 40)) {
		t.Errorf("told %s", s)
	}
	if s := show(4); !strings.Contains(s, " 9=00000000") || strings.Contains(s, " 9=0000000000") {
		t.Errorf("told %s", s)
	}
	e.ask(message(4, logConfig, ackIt, inet4, 3, attr(nfulaCfgFlags, 0, logFlagSeq)))
	show(0)
	if s := show(0); !strings.Contains(s, "12=00000001") || strings.Contains(s, " 9=") {
		t.Errorf("told %s", s)
	}
	if s := e.ask(message(4, logConfig, ackIt, inet4, 3, attr(nfulaCfgCmd, cfgUnbind))); s != "error errno 0" {
		t.Fatal(s)
	}
	if s := show(-1); s != "" {
		t.Error("told after the end:", s)
	}
}

func TestClosed_socket_endsWhatItAskedFor(t *testing.T) {
	nl, f, in := newTable(t)
	e := ownOn(t, nl, in)
	e.ask(message(4, logConfig, ackIt, inet4, 3, attr(nfulaCfgCmd, cfgBind)))
	e.ask(message(3, queueConfig, ackIt, inet4, 3, cfgCmd(cfgBind)))
	f.closed(1)
	if n := len(f.log.groups) + len(f.queue.queues); n != 0 {
		t.Errorf("%d groups and queues left", n)
	}
}

// FuzzRequest has arbitrary requests; no answer may be malformed.
func FuzzRequest(f *testing.F) {
	for _, m := range [][]byte{
		message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 6, 100, 53), attr(ctaTimeout, be32(9)...), tcpState(3), nest(ctaHelp, attr(1, 'x', 0)), attr(ctaLabels, 1, 2, 3, 4))),
		message(1, ctGet, dump, inet4, 0, nest(ctaFilter, attr(ctaFilterOrig, 1, 0, 0, 0)), tuple(ctaTupleOrig, 1, 2, 1, 5, 0x800)),
		message(1, ctDelete, ackIt, 0, 0),
		message(2, expGet, dump, inet4, 0), message(2, expDelete, ackIt, inet4, 0, tuple(ctaExpTuple, 1, 2, 6, 1, 2)),
		message(3, queueConfig, ackIt, 0, 7, cfgCmd(cfgBind), attr(nfqaCfgParams, 0, 0, 1, 0, 2)),
		message(3, queueVerdict, ackIt, 0, 7, verdictHdr(1, 1), attr(nfqaPayload, 1, 2, 3)),
		message(4, logConfig, ackIt, 2, 1, attr(nfulaCfgCmd, 1), attr(nfulaCfgMode, 0, 0, 0, 9, 2, 0), attr(nfulaCfgFlags, 0, 3)),
	} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e := own(t)
		e.ask(message(1, ctNew, create|excl, inet4, 0, with(pair(1, 2, 6, 1000, 80), attr(ctaTimeout, be32(305)...))))
		for len(in) >= 16 {
			n := int(binary.NativeEndian.Uint32(in))
			if n < 16 || n > len(in) {
				n = len(in)
			}
			if s := e.ask(in[:n]); strings.Contains(s, "BAD") {
				t.Errorf("%x is answered with %s", in[:n], s)
			}
			in = in[n:]
		}
		e.ask(message(1, ctGet, dump, 0, 0))
		e.in.NF().Conntrack.Flush(nil)
	})
}
