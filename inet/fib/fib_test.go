package fib

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"barewire/inet/header"
)

func addr(a, b, c, d byte) header.Addr { return header.AddrFrom4([4]byte{a, b, c, d}) }

func TestLinear_longestPrefix_wins(t *testing.T) {
	l := NewLinear()
	put := func(a header.Addr, bits int, tab uint8, metric uint32) *Info {
		i := &Info{Type: Unicast, Metric: metric}
		if err := l.Insert(Route{Dst: a, Bits: bits, Tab: tab, Info: i}); err != nil {
			t.Fatal(err)
		}
		return i
	}
	def := put(0, 0, TableMain, 0)
	ten := put(addr(10, 0, 0, 0), 8, TableMain, 5)
	best := put(addr(10, 0, 0, 0), 8, TableMain, 2)
	net := put(addr(10, 1, 0, 0), 16, TableMain, 0)
	local := put(addr(10, 0, 0, 0), 9, TableLocal, 0)
	_ = ten
	for _, c := range []struct {
		a    header.Addr
		want *Info
	}{
		{addr(8, 8, 8, 8), def},
		{addr(10, 200, 1, 1), best},
		{addr(10, 1, 2, 3), local}, // the local table goes first, however short its prefix
		{addr(10, 100, 2, 3), local},
	} {
		r, err := l.Lookup(Flow{Dst: c.a})
		if err != 0 || r.Info != c.want {
			t.Errorf("%v: %+v %v", c.a, r, err)
		}
	}
	gen := l.Generation()
	if n := l.Delete(func(r *Route) bool { return r.Tab == TableLocal }); n != 1 || l.Generation() == gen {
		t.Errorf("deleted %d", n)
	}
	if r, _ := l.Lookup(Flow{Dst: addr(10, 1, 2, 3)}); r.Info != net || r.Bits != 16 {
		t.Errorf("%+v", r)
	}
}

func TestLinear_badRoutes_refused(t *testing.T) {
	l := NewLinear()
	ok := Route{Dst: addr(10, 0, 0, 0), Bits: 8, Tab: TableMain, Info: &Info{Type: Unicast}}
	if err := l.Insert(ok); err != nil {
		t.Fatal(err)
	}
	if err := l.Insert(ok); err != syscall.EEXIST {
		t.Errorf("twice: %v", err)
	}
	for _, r := range []Route{
		{Dst: addr(10, 0, 0, 1), Bits: 8, Info: &Info{}},
		{Bits: 33, Info: &Info{}},
		{Bits: -1, Info: &Info{}},
		{Bits: 8},
	} {
		if err := l.Insert(r); err != syscall.EINVAL {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestLinear_typesThatRefuse_errors(t *testing.T) {
	for typ, want := range map[Type]syscall.Errno{Blackhole: syscall.EINVAL, Unreachable: syscall.EHOSTUNREACH, Prohibit: syscall.EACCES, Unicast: 0} {
		l := NewLinear()
		l.Insert(Route{Tab: TableMain, Info: &Info{Type: typ}})
		if _, err := l.Lookup(Flow{Dst: 1}); err != want {
			t.Errorf("%v: %v, want %v", typ, err, want)
		}
	}
	if _, err := NewLinear().Lookup(Flow{Dst: 1}); err != syscall.ENETUNREACH {
		t.Errorf("empty table: %v", err)
	}
}

func TestLinear_random_asPlainSearch(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		l := NewLinear()
		var all []Route
		for range 100 {
			bits := r.IntN(33)
			rt := Route{Dst: header.Addr(r.Uint32()) & 0x0f0f0fff & header.Mask(bits), Bits: bits, Tab: TableMain, Info: &Info{Type: Unicast}}
			if l.Insert(rt) == nil {
				all = append(all, rt)
			}
		}
		for range 1000 {
			a := header.Addr(r.Uint32()) & 0x0f0f0fff
			var want *Info
			best := -1
			for _, rt := range all {
				if (a^rt.Dst)&header.Mask(rt.Bits) == 0 && rt.Bits > best {
					want, best = rt.Info, rt.Bits
				}
			}
			if got, _ := l.Lookup(Flow{Dst: a}); got.Info != want {
				t.Fatalf("seed %d: %v: got /%d, want /%d", seed, a, got.Bits, best)
			}
		}
	}
}

func TestLookup_perPacket_noAllocation(t *testing.T) {
	l := NewLinear()
	l.Insert(Route{Tab: TableMain, Info: &Info{Type: Unicast}})
	var tab Table = l
	f := Flow{Dst: 99}
	if n := testing.AllocsPerRun(100, func() { tab.Lookup(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
