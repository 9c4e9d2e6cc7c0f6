package inet_test

import (
	"syscall"
	"testing"

	"barewire/inet"
	"barewire/napi"
	"barewire/skb/header"
)

// The bars of the benchmarks, printed beside what was measured.
const (
	barMTU     = 0.95 // ns/byte at MTU 1500
	barGSO     = 0.15 // ns/byte when devices take super-packets
	barConnect = 10e3 // ns for connect and close
)

// takeSuperPackets makes the wire of a pair one that needs no cutting.
func takeSuperPackets(nets ...*inet.Net) {
	for _, n := range nets {
		d := n.Dev().DevByName("veth0")
		d.SetFeatures(d.Features() | napi.FeatureTSO)
	}
}

// BenchmarkTCP_bulkBars is one long transfer, with segments cut to the MTU and
// without.
func BenchmarkTCP_bulkBars(b *testing.B) {
	for _, x := range []struct {
		name string
		gso  bool
		bar  float64
	}{{"mtu1500", false, barMTU}, {"gso", true, barGSO}} {
		b.Run(x.name, func(b *testing.B) {
			p, q := vethPair(b)
			if x.gso {
				takeSuperPackets(p, q)
			}
			c, s := tcpConnected(b, p, q, 80)
			const n = 1 << 20
			pump(b, c, s, 8*n, 64<<10)
			b.ReportAllocs()
			b.ResetTimer()
			pump(b, c, s, b.N*n, 64<<10)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/byte")
			b.ReportMetric(x.bar, "bar-ns/byte")
		})
	}
}

// BenchmarkTCP_connectClose opens and closes connections one after the other.
func BenchmarkTCP_connectClose(b *testing.B) {
	p, q := vethPair(b)
	check(b, p.Dev().Sysctl().Set("net.ipv4.tcp_max_tw_buckets", "0"))
	l, err := q.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(b, err)
	defer l.Release()
	check(b, l.Bind(sockaddr(0, 80)))
	check(b, l.Listen(128))
	b.ReportAllocs()
	to := sockaddr(header.AddrFrom4([4]byte{10, 0, 0, 2}), 80)
	for b.Loop() {
		c, err := p.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = c.Connect(to, 0)
		}
		if err != nil {
			b.Fatal(err)
		}
		s, err := l.Accept(0)
		if err != nil {
			b.Fatal(err)
		}
		c.Release()
		s.Release()
	}
	b.ReportMetric(barConnect, "bar-ns/op")
}
