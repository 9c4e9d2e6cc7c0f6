package fib

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"barewire/skb/header"
)

// internetLengths is how many of a thousand prefixes of the Internet's table
// have a length, roughly as route collectors see it.
var internetLengths = [33]int{ // read-only
	8: 1, 9: 1, 10: 1, 11: 1, 12: 1, 13: 1, 14: 2, 15: 3, 16: 14, 17: 8, 18: 14, 19: 26, 20: 45, 21: 54, 22: 112, 23: 105, 24: 611,
}

// fullTable returns n different prefixes in random order.
func fullTable(n int) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	var lens []int
	for l, share := range internetLengths {
		for range share {
			lens = append(lens, l)
		}
	}
	seen := make(map[uint64]bool, n)
	out := make([]uint64, 0, n)
	for len(out) < n {
		l := lens[r.IntN(len(lens))]
		key := (r.Uint32()%(223<<24-1<<24) + 1<<24) & mask32(l)
		if p := uint64(key)<<8 | uint64(l); !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// fullFIB enters the prefixes in the main table, with 64 different routes.
func fullFIB(prefixes []uint64) *FIB {
	f := New(nil)
	var infos [64]*Info
	for i := range infos {
		infos[i] = &Info{Type: Unicast, Priority: uint32(i), NHs: make([]Nexthop, 1)}
	}
	for i, p := range prefixes {
		f.main.put(header.Addr(p>>8), int(p&0xff), aliases{{0, infos[i&63]}})
	}
	return f
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const million = 1_000_000

// slice is for how many lookups the time is taken.
const slice = 1 << 13

// randomReads returns a function that reads slice random places of as many
// bytes as the nodes of the trie have, each place known only when the one before
// was read: no table of that size can be faster.
func randomReads(size int) func() {
	a := make([]uint32, size/4)
	for i := range a {
		a[i] = rand.Uint32()
	}
	x := uint32(0)
	return func() {
		for i := range uint32(slice) {
			x = a[uint64(x^i*0x9e3779b1)*uint64(len(a))>>32]
		}
		if x == 0 {
			a[0] ^= x // so that it is used
		}
	}
}

// inSlices runs run again and again and reports, beside the mean, what the fastest
// slice took: on a machine that others use too, what is to be had without them.
func inSlices(b *testing.B, run func(i int)) {
	least := time.Duration(1 << 62)
	for i := 0; b.Loop(); i++ {
		if i%slice == 0 {
			start := time.Now()
			run(i / slice)
			least = min(least, time.Since(start))
		}
	}
	b.ReportMetric(float64(least.Nanoseconds())/slice, "least-ns")
}

// BenchmarkFullTable is the bar of the routing table: a million prefixes in at
// most 64 MiB, looked up in at most 40 ns.
//
//   - uniform: destinations are random, so that no two use the same routes and
//     each is a miss of the nearer caches.
//   - waiting: also, no two lookups overlap: the time one packet waits.
//   - zipf: the k-th destination of a million is asked for k^-1.1 times as often
//     as the first, more alike to what a router sees.
//   - random-read is one read of memory, as uniform lookups that wait need at
//     least one.
func BenchmarkFullTable(b *testing.B) {
	prefixes := fullTable(million)
	before := heap()
	start := time.Now()
	f := fullFIB(prefixes)
	insert := time.Since(start)
	size := heap() - before
	// Precomputed, so that the generator is not in the figure.
	f.main.put(0, 0, aliases{{0, &Info{Type: Unicast, NHs: make([]Nexthop, 1)}}})
	uniform, zipf := make([]uint32, 1<<16), make([]uint32, 1<<16)
	r := rand.New(rand.NewPCG(3, 4))
	address := func(r *rand.Rand) uint32 { return r.Uint32()%(223<<24-1<<24) + 1<<24 }
	z := rand.NewZipf(r, 1.1, 1, million)
	for i := range uniform {
		uniform[i] = address(r)
		zipf[i] = address(rand.New(rand.NewPCG(5, z.Uint64())))
	}
	run := func(name string, dst []uint32, wait int) {
		b.Run(name, func(b *testing.B) {
			inSlices(b, func(i int) {
				var res Result
				fl := Flow{}
				for k := range slice {
					// Nothing is added, but that is known only then.
					fl.Dst = header.Addr(dst[(i*slice+k+wait&(res.Bits>>6))&0xffff])
					if f.Lookup(&fl, &res) != 0 {
						b.Fatal("no route")
					}
				}
			})
			b.ReportMetric(40, "bar-ns")
			b.ReportMetric(float64(size)/(1<<20), "MiB")
			b.ReportMetric(64, "bar-MiB")
			b.ReportMetric(float64(size)/million, "B/prefix")
		})
	}
	run("uniform", uniform, 0)
	run("waiting", uniform, -1)
	run("zipf", zipf, 0)
	b.Run("random-read", func(b *testing.B) {
		read := randomReads(8 * f.main.trie.used.words)
		inSlices(b, func(int) { read() })
	})
	b.Run("churn", func(b *testing.B) {
		i := 0
		l := f.main.get(header.Addr(prefixes[0]>>8), int(prefixes[0]&0xff))
		for b.Loop() {
			p := prefixes[i%million]
			i++
			f.main.del(header.Addr(p>>8), int(p&0xff))
			f.main.put(header.Addr(p>>8), int(p&0xff), l)
		}
		b.ReportMetric(float64(million)/insert.Seconds(), "inserts/s")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "delete+insert/s")
	})
	start = time.Now()
	for _, p := range prefixes {
		f.main.del(header.Addr(p>>8), int(p&0xff))
	}
	b.Logf("a million prefixes: inserted at %.0f/s, deleted at %.0f/s", million/insert.Seconds(), million/time.Since(start).Seconds())
	f.main.del(0, 0)
	if n := f.main.Len(); n != 0 {
		b.Errorf("%d prefixes left", n)
	}
}

func BenchmarkLookupHost(b *testing.B) {
	f := New(nil)
	i := &Info{Type: Unicast, NHs: make([]Nexthop, 1)}
	f.main.put(0, 0, aliases{{0, i}})
	f.main.put(0xc0000200, 24, aliases{{0, i}})
	f.local.put(0xc0000201, 32, aliases{{0, &Info{Type: Local, NHs: make([]Nexthop, 1)}}})
	var res Result
	fl := Flow{Dst: 0xc0000207}
	for b.Loop() {
		f.Lookup(&fl, &res)
	}
}
