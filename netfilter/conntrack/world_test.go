package conntrack

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// world is a table with a clock of its own and packets to feed it.
type world struct {
	testing.TB
	*Table
	cache *skb.Cache
	clock int64
	logs  []string
}

func newWorld(t testing.TB, max int) *world {
	w := &world{TB: t, cache: skbtest.New(t, skb.PageConfig{}), clock: int64(time.Hour)}
	r := rand.New(rand.NewPCG(1, 2))
	w.Table = NewTable(Config{
		Now: func() int64 { return w.clock }, Max: max, Buckets: max,
		Rand: func(b []byte) {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		},
		Logf: func(f string, a ...any) { w.logs = append(w.logs, fmt.Sprintf(f, a...)) },
	})
	return w
}

func (w *world) pass(d time.Duration) { w.clock += int64(d) }

// packet makes a packet with an IPv4 header.
func (w *world) packet(proto uint8, src, dst header.Addr, l4 []byte) *skb.Buff {
	b := w.cache.Alloc(64 + 20 + len(l4))
	if b == nil {
		w.Fatal("no memory")
	}
	b.Reserve(64)
	p := b.Put(20 + len(l4))
	header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 64, Protocol: proto, Src: src, Dst: dst}).UpdateChecksum()
	copy(p[20:], l4)
	b.IPSummed = skb.ChecksumUnnecessary
	return b
}

const (
	hostA = header.Addr(0x0a000001)
	hostB = header.Addr(0x0a000002)
)

func udp(sport, dport uint16) []byte {
	p := make([]byte, 12)
	header.PutUDP(p, sport, dport, 12)
	return p
}

func tcp(sport, dport uint16, flags uint8, seq, ack uint32) []byte {
	p := make([]byte, 20)
	header.PutTCP(p, &header.TCPFields{SrcPort: sport, DstPort: dport, Seq: seq, Ack: ack, HeaderLen: 20, Flags: flags, Window: 60000})
	return p
}

// in is the first half of a packet's way.
func (w *world) in(b *skb.Buff) netfilter.Verdict {
	return w.In(b, &netfilter.State{Point: netfilter.PreRouting})
}

// out is the second half.
func (w *world) out(b *skb.Buff) netfilter.Verdict {
	return w.Confirm(b, &netfilter.State{Point: netfilter.PostRouting})
}

// through has a packet go all the way, and returns its state in between.
func (w *world) through(b *skb.Buff) (State, *Conn) {
	w.Helper()
	if v := w.in(b); v != netfilter.Accept {
		b.Free(skb.NetfilterDrop)
		return 0, nil
	}
	st := StateOf(b)
	if v := w.out(b); v != netfilter.Accept {
		b.Free(skb.NetfilterDrop)
		return 0, nil
	}
	c, _ := Get(b)
	b.Consume()
	return st, c
}

// sendUDP has a datagram go through.
func (w *world) sendUDP(src, dst header.Addr, sport, dport uint16) (State, *Conn) {
	w.Helper()
	return w.through(w.packet(ProtoUDP, src, dst, udp(sport, dport)))
}

// want checks the number of connections.
func (w *world) want(n int) {
	w.Helper()
	if got := w.Count(); got != n {
		w.Errorf("%d connections, want %d", got, n)
	}
}
