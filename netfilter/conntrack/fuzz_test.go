package conntrack

import (
	"testing"
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// FuzzIn has arbitrary packets pass, some of which are of connections there are:
// the first byte says what is done with each, two bytes say how long it is.
func FuzzIn(f *testing.F) {
	add := func(pkts ...[]byte) {
		var in []byte
		for i, p := range pkts {
			in = append(append(in, byte(i), byte(len(p)>>8), byte(len(p))), p...)
		}
		f.Add(in)
	}
	ip := func(proto uint8, src, dst header.Addr, l4 []byte) []byte {
		p := make([]byte, 20+len(l4))
		header.PutIPv4(p, &header.Fields{TotalLen: len(p), TTL: 64, Protocol: proto, Src: src, Dst: dst}).UpdateChecksum()
		copy(p[20:], l4)
		return p
	}
	u := ip(ProtoUDP, hostA, hostB, udp(1, 2))
	s := ip(ProtoTCP, hostA, hostB, tcp(1, 2, syn, 100, 0))
	add(u, ip(ProtoUDP, hostB, hostA, udp(2, 1)), ip(ProtoICMP, hostB, hostA, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, u...)))
	add(s, ip(ProtoTCP, hostB, hostA, tcp(2, 1, syn|ack, 5, 101)), ip(ProtoTCP, hostA, hostB, tcp(1, 2, rst, 101, 0)))
	add(ip(ProtoICMP, hostA, hostB, []byte{8, 0, 0, 0, 0, 1, 0, 1}), ip(ProtoICMP, hostB, hostA, []byte{0, 0, 0, 0, 0, 1, 0, 1}))
	add(ip(ProtoGRE, hostA, hostB, []byte{0x30, 1, 0x88, 0x0b, 0, 0, 0, 7}), ip(99, hostA, hostB, nil), ip(ProtoUDPLite, hostA, hostB, udp(1, 2)))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := newWorld(t, 256)
		w.Conf.Acct.Store(1)
		for len(in) >= 3 {
			how, n := in[0], int(in[1])<<8|int(in[2])
			in = in[3:]
			n = min(n, len(in), 2000)
			b := w.cache.Alloc(64 + n)
			b.Reserve(64)
			b.PutData(in[:n])
			in = in[n:]
			point := netfilter.PreRouting
			if how&1 != 0 {
				b.IPSummed = skb.ChecksumUnnecessary
			}
			if how&2 != 0 {
				point = netfilter.LocalOut
			}
			if how&4 != 0 {
				w.pass(time.Duration(how) * time.Second)
				w.GC()
			}
			if w.In(b, &netfilter.State{Point: point}) == netfilter.Accept && how&8 == 0 {
				w.Confirm(b, &netfilter.State{Point: netfilter.PostRouting})
			}
			if c, info := Get(b); c != nil && info > RelatedReply {
				t.Errorf("a connection with info %d", info)
			}
			b.Consume()
		}
		listed := 0
		w.Each(func(c *Conn) bool {
			c.AppendProc(nil)
			if r, ok := c.nodes[Original].tuple.Invert(); !ok || r != c.nodes[Reply].tuple {
				t.Errorf("tuples do not belong together: %+v %+v", c.nodes[0].tuple, c.nodes[1].tuple)
			}
			listed++
			return true
		})
		if n := w.Count(); n < listed || n > 256 {
			t.Errorf("%d counted, %d listed", n, listed)
		}
		w.Flush(nil)
		w.pass(1000 * time.Hour)
		for range gcWhole {
			w.GC()
		}
		w.want(0)
	})
}
