package fib

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// slowFIB is the plain reference of a FIB: a list of routes.
type slowFIB []Config

// lookup looks into one table: of the routes that match, longer prefixes come
// first, then those with a TOS, then lower priorities.
func (s slowFIB) lookup(table uint32, fl *Flow) (found *Config, err syscall.Errno) {
	var l []*Config
	for i := range s {
		c := &s[i]
		if c.Table == table && (c.Dst^fl.Dst)&header.Mask(c.Bits) == 0 && (c.TOS == 0 || c.TOS == fl.TOS) && c.Scope >= fl.Scope &&
			(c.Type != Unicast || fl.OIF == 0 || fl.OIF == c.OIF) {
			l = append(l, c)
		}
	}
	if len(l) == 0 {
		return nil, syscall.EAGAIN
	}
	c := slices.MinFunc(l, func(a, b *Config) int {
		switch {
		case a.Bits != b.Bits:
			return b.Bits - a.Bits
		case a.TOS != b.TOS:
			return int(b.TOS) - int(a.TOS)
		}
		return int(a.Priority) - int(b.Priority)
	})
	return c, c.Type.Err()
}

func (s slowFIB) ruled(rules []Rule, fl *Flow) (*Config, syscall.Errno) {
	for _, r := range rules {
		if (fl.Dst^r.Dst)&header.Mask(r.DstBits) != 0 || (fl.Src^r.Src)&header.Mask(r.SrcBits) != 0 ||
			r.TOS != 0 && r.TOS != fl.TOS || (fl.Mark^r.Mark)&r.MarkMask != 0 {
			continue
		}
		if c, err := s.lookup(r.Table, fl); err != syscall.EAGAIN {
			return c, err
		}
	}
	return nil, syscall.ENETUNREACH
}

// slowEnv is an IP layer of two devices.
type slowEnv [2]*napi.NetDevice

func (e slowEnv) Device(i int32) *napi.NetDevice {
	for _, d := range e {
		if d.Ifindex() == i {
			return d
		}
	}
	return nil
}
func (e slowEnv) AddrType(header.Addr) Type             { return Unicast }
func (e slowEnv) InitNexthop(*Info, *Nexthop)           {}
func (e slowEnv) IgnoreLinkDown(d *napi.NetDevice) bool { return false }

type slowNIC struct{}

func (slowNIC) Open(*napi.NetDevice) error { return nil }
func (slowNIC) Stop(*napi.NetDevice) error { return nil }
func (slowNIC) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, l []*skb.Buff) int {
	return 0
}

func newSlowEnv(t *testing.T) (e slowEnv) {
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range e {
		e[i] = napi.AllocNetdev("eth%d", slowNIC{}, 1)
		napi.EtherSetup(e[i])
		if err := n.RegisterNetdev(e[i]); err != nil {
			t.Fatal(err)
		}
		if err := e[i].Open(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e[i].Close)
	}
	return e
}

// TestFIB_randomRoutesAndRules_asList changes routes of all kinds in several
// tables, and rules, at random, and looks up flows of all kinds.
func TestFIB_randomRoutesAndRules_asList(t *testing.T) {
	env := newSlowEnv(t)
	tables := []uint32{TableMain, TableMain, TableDefault, 100}
	types := []Type{Unicast, Unicast, Unicast, Unicast, Blackhole, Unreachable, Prohibit, Throw}
	tos := []uint8{0, 0, 0, 4, 8}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 9))
		space := []header.Addr{0x0f00000f, 0xffffffff, 0x0000ffff, 0xc0030300}[seed%4]
		f, slow := New(env), slowFIB(nil)
		addr := func() header.Addr { return header.Addr(r.Uint32()) & space }
		for step := range 1200 {
			switch k := r.IntN(20); {
			case k == 0 && len(f.Rules()) < 8:
				rule := NewRule(1+r.Uint32N(0x7000), tables[r.IntN(4)])
				rule.DstBits, rule.SrcBits = r.IntN(3), r.IntN(3)
				rule.Dst, rule.Src = addr()&header.Mask(rule.DstBits), addr()&header.Mask(rule.SrcBits)
				rule.TOS, rule.Mark, rule.MarkMask = tos[r.IntN(5)], r.Uint32N(2), r.Uint32N(2)
				if _, err := f.AddRule(rule, 0); err != nil {
					t.Fatal(err)
				}
			case k == 1 && len(f.Rules()) > 3:
				if _, err := f.DelRule(f.Rules()[1]); err != nil {
					t.Fatal(err)
				}
			case k < 8 && len(slow) > 0 || step > 900 && len(slow) > 3:
				i := r.IntN(len(slow))
				if _, err := f.Remove(&slow[i]); err != nil {
					t.Fatalf("remove %+v: %v", slow[i], err)
				}
				slow = slices.Delete(slow, i, i+1)
			default:
				c := Config{Bits: r.IntN(33), TOS: tos[r.IntN(5)], Table: tables[r.IntN(4)], Type: types[r.IntN(8)], Priority: r.Uint32N(3) + 1, Protocol: ProtStatic}
				c.Dst = addr() & header.Mask(c.Bits)
				if c.Type == Unicast {
					c.OIF, c.Scope = env[r.IntN(2)].Ifindex(), []Scope{ScopeUniverse, ScopeLink}[r.IntN(2)]
				}
				there := slices.ContainsFunc(slow, func(o Config) bool {
					return o.Dst == c.Dst && o.Bits == c.Bits && o.TOS == c.TOS && o.Table == c.Table && o.Priority == c.Priority
				})
				switch _, err := f.Insert(&c, FlagCreate|FlagExcl); {
				case there && err != syscall.EEXIST, !there && err != nil:
					t.Fatalf("insert %+v: %v, there: %v", c, err, there)
				case !there:
					slow = append(slow, c)
				}
			}
			for range 4 {
				fl := Flow{Dst: addr(), Src: addr(), TOS: tos[r.IntN(5)], Mark: r.Uint32N(2)}
				if len(slow) > 0 && r.IntN(2) == 0 {
					fl.Dst = slow[r.IntN(len(slow))].Dst
				}
				if r.IntN(4) == 0 {
					fl.OIF = env[r.IntN(2)].Ifindex()
				}
				if r.IntN(4) == 0 {
					fl.Scope = ScopeLink
				}
				var res Result
				err := f.Lookup(&fl, &res)
				c, want := slow.ruled(f.Rules(), &fl)
				if err != want {
					t.Fatalf("%+v: %v, want %v", fl, err, want)
				}
				if err == 0 && (res.Bits != c.Bits || res.Info.Priority != c.Priority || res.NH.OIF != c.OIF || res.Info.Scope != c.Scope || res.Table != c.Table) {
					t.Fatalf("%+v: found /%d of table %d, want %+v", fl, res.Bits, res.Table, c)
				}
			}
		}
		for _, id := range f.tableIDs() {
			sound(t, &f.Table(id).trie)
		}
	}
}

// TestTrie_fullTable_asMaps fills a trie as a router's, hosts included, empties
// half of it, and compares with one map for each length: nodes of all sizes.
func TestTrie_fullTable_asMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	list := fullTable(30_000)
	for range 10_000 {
		n := 25 + r.IntN(8)
		list = append(list, uint64(r.Uint32()&0x3fff_00ff&mask32(n))<<8|uint64(n))
	}
	infos := make([]*Info, 1500) // more than fit in values of 16 bits
	for i := range infos {
		infos[i] = &Info{Priority: uint32(i)}
	}
	tr := newTrie()
	var maps [33]map[uint32]*Info
	for i := range maps {
		maps[i] = map[uint32]*Info{}
	}
	put := func(p uint64) {
		i := infos[r.IntN(len(infos))]
		key, n := uint32(p>>8), int(p&0xff)
		tr.put(key, n, aliases{{0, i}})
		maps[n][key] = i
	}
	look := func() {
		t.Helper()
		for range 20_000 {
			key := r.Uint32()
			if r.IntN(2) == 0 {
				key = uint32(list[r.IntN(len(list))]>>8) + r.Uint32N(300)
			}
			limit := anyLength
			for n := 32; n >= 0; n-- {
				want := maps[n][key&mask32(n)]
				if want == nil {
					continue
				}
				g, got := tr.match(key, limit)
				if g == nil || got != n || g.list[0].Info != want {
					t.Fatalf("%#x shorter than %d: found /%d, want /%d", key, limit, got, n)
				}
				limit = n
			}
			if g, n := tr.match(key, limit); g != nil {
				t.Fatalf("%#x: /%d too many", key, n)
			}
		}
	}
	for _, p := range list {
		put(p)
	}
	look()
	sound(t, tr)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, p := range list[:len(list)/2] {
		tr.del(uint32(p>>8), int(p&0xff))
		delete(maps[p&0xff], uint32(p>>8))
	}
	look()
	put(0)
	for _, p := range list[:len(list)/4] {
		put(p)
	}
	look()
	sound(t, tr)
}
