package ipset_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"barewire/netfilter/ipset"
	"barewire/netfilter/xtables"
)

// world is sets and a clock.
type world struct {
	t   testing.TB
	s   *ipset.Sets
	now int64
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: 1e9}
	seed := uint32(7)
	w.s = ipset.New(func() int64 { return w.now }, func() uint32 {
		seed = seed*1664525 + 1013904223
		return seed
	}, ipset.Services{Proto: xtables.ProtoNumber, Name: xtables.ProtoName})
	return w
}

// run runs command lines, which must succeed, and returns what is printed.
func (w *world) run(lines ...string) string {
	w.t.Helper()
	var out, warn bytes.Buffer
	for _, l := range lines {
		if n := w.s.Run(append([]string{"ipset"}, strings.Fields(l)...), nil, &out, &warn); n != 0 {
			w.t.Fatalf("%s: status %d: %s", l, n, warn.String())
		}
	}
	return out.String()
}

// fails runs a command line that must fail, and returns what is said.
func (w *world) fails(line string) string {
	w.t.Helper()
	var out, warn bytes.Buffer
	if n := w.s.Run(append([]string{"ipset"}, strings.Fields(line)...), nil, &out, &warn); n == 0 {
		w.t.Fatalf("%s: it was taken", line)
	}
	return warn.String()
}

func (w *world) ref(name string) *ipset.Ref {
	w.t.Helper()
	r, ok := w.s.Get(name)
	if !ok {
		w.t.Fatal("no set", name)
	}
	return r
}

func ip(a, b, c, d uint32) uint32 { return a<<24 | b<<16 | c<<8 | d }

// flags makes what a rule says of the sides: s and d.
func flags(sides string) ipset.Op {
	o := ipset.Op{Dim: uint8(len(sides))}
	for i, c := range sides {
		if c == 's' {
			o.Flags |= 1 << i
		}
	}
	return o
}

func TestTest_typesAndSides_asTheElementSays(t *testing.T) {
	w := newWorld(t)
	w.run("create h hash:ip", "add h 10.0.0.1",
		"create m hash:ip netmask 24", "add m 10.1.2.3",
		"create n hash:net", "add n 10.0.0.0/8", "add n 10.9.0.0/16 nomatch", "add n 10.9.9.0/24",
		"create p hash:ip,port", "add p 10.0.0.1,tcp:80", "add p 10.0.0.1,icmp:8/0", "add p 10.0.0.1,47:0",
		"create np hash:net,port", "add np 10.0.0.0/8,udp:53",
		"create ipi hash:ip,port,ip", "add ipi 10.0.0.1,tcp:80,20.0.0.1",
		"create ipn hash:ip,port,net", "add ipn 10.0.0.1,tcp:80,20.0.0.0/8",
		"create nn hash:net,net", "add nn 10.0.0.0/8,20.0.0.0/16",
		"create ni hash:net,iface", "add ni 0.0.0.0/0,eth0", "add ni 10.0.0.0/8,eth1",
		"create im hash:ip,mark", "add im 10.0.0.1,0x55",
		"create mac hash:mac", "add mac 02:00:00:00:00:01",
		"create b bitmap:ip range 10.0.0.0/24", "add b 10.0.0.1",
		"create bp bitmap:port range 50-100", "add bp 80",
		"create l list:set", "add l b", "add l n")
	tcp := ipset.Packet{Src: ip(10, 0, 0, 1), Dst: ip(20, 0, 0, 1), Proto: 6, SrcPort: 1234, DstPort: 80, HasPort: true,
		In: "eth0", Out: "eth1", Mark: 0x55, MAC: [6]byte{2, 0, 0, 0, 0, 1}, HasMAC: true, Len: 100}
	with := func(fn func(p *ipset.Packet)) ipset.Packet {
		p := tcp
		fn(&p)
		return p
	}
	for _, c := range []struct {
		set, sides string
		p          ipset.Packet
		want       bool
	}{
		{"h", "s", tcp, true}, {"h", "d", tcp, false}, {"h", "ss", tcp, true},
		{"m", "s", with(func(p *ipset.Packet) { p.Src = ip(10, 1, 2, 99) }), true},
		{"m", "s", with(func(p *ipset.Packet) { p.Src = ip(10, 1, 3, 3) }), false},
		{"n", "s", tcp, true},
		{"n", "s", with(func(p *ipset.Packet) { p.Src = ip(10, 9, 1, 1) }), false},
		{"n", "s", with(func(p *ipset.Packet) { p.Src = ip(10, 9, 9, 1) }), true},
		{"n", "s", with(func(p *ipset.Packet) { p.Src = ip(11, 0, 0, 1) }), false},
		{"p", "sd", tcp, true}, {"p", "ss", tcp, false}, {"p", "s", tcp, false}, {"p", "dd", tcp, false},
		{"p", "sd", with(func(p *ipset.Packet) { p.Proto = 17 }), false},
		{"p", "sd", with(func(p *ipset.Packet) { p.HasPort = false }), false},
		{"p", "sd", with(func(p *ipset.Packet) { p.Proto, p.DstPort, p.SrcPort = 1, 0x800, 0x800 }), true},
		{"p", "sd", with(func(p *ipset.Packet) { p.Proto, p.DstPort = 47, 0 }), true},
		{"np", "sd", with(func(p *ipset.Packet) { p.Proto, p.DstPort = 17, 53 }), true},
		{"np", "sd", tcp, false},
		{"ipi", "sdd", tcp, true}, {"ipi", "sds", tcp, false},
		{"ipn", "sdd", tcp, true}, {"ipn", "sdd", with(func(p *ipset.Packet) { p.Dst = ip(20, 255, 0, 1) }), true},
		{"ipn", "sdd", with(func(p *ipset.Packet) { p.Dst = ip(21, 0, 0, 1) }), false},
		{"nn", "sd", tcp, true}, {"nn", "ds", tcp, false},
		{"ni", "ss", tcp, true}, {"ni", "sd", tcp, true}, {"ni", "dd", tcp, false},
		{"ni", "ss", with(func(p *ipset.Packet) { p.In = "" }), false},
		{"im", "ss", tcp, true}, {"im", "ss", with(func(p *ipset.Packet) { p.Mark = 5 }), false},
		{"mac", "s", tcp, true}, {"mac", "d", tcp, false}, {"mac", "s", with(func(p *ipset.Packet) { p.HasMAC = false }), false},
		{"b", "s", tcp, true}, {"b", "d", tcp, false},
		{"bp", "d", tcp, true}, {"bp", "s", tcp, false}, {"bp", "d", with(func(p *ipset.Packet) { p.Proto = 132 }), false},
		{"l", "s", tcp, true}, {"l", "s", with(func(p *ipset.Packet) { p.Src = ip(10, 77, 0, 1) }), true},
		{"l", "d", tcp, false},
	} {
		o := flags(c.sides)
		if got := w.ref(c.set).Test(&c.p, &o); got != c.want {
			t.Errorf("%s %s %+v: %v", c.set, c.sides, c.p, got)
		}
	}
	o := flags("s")
	o.ReturnNomatch = true
	p := with(func(p *ipset.Packet) { p.Src = ip(10, 9, 1, 1) })
	if !w.ref("n").Test(&p, &o) || w.ref("n").Test(&tcp, &o) {
		t.Error("return-nomatch is not about the elements marked so")
	}
}

func TestTimeout_passes_notSeenAndRoomAgain(t *testing.T) {
	w := newWorld(t)
	w.run("create s hash:ip timeout 5 maxelem 2", "add s 1.1.1.1", "add s 1.1.1.2 timeout 0")
	if out := w.fails("add s 1.1.1.3"); !strings.Contains(out, "Hash is full") {
		t.Error(out)
	}
	p, o := ipset.Packet{Src: ip(1, 1, 1, 1)}, flags("s")
	if !w.ref("s").Test(&p, &o) {
		t.Error("not there")
	}
	w.now += 5e9
	if w.ref("s").Test(&p, &o) {
		t.Error("still there after its time")
	}
	w.run("add s 1.1.1.3", "add s 1.1.1.3 timeout 9 -exist")
	if out := w.run("save s"); !strings.Contains(out, "add s 1.1.1.2 timeout 0\nadd s 1.1.1.3 timeout 9\n") {
		t.Error(out)
	}
}

func TestAdd_fullWithForceadd_oneGoes(t *testing.T) {
	w := newWorld(t)
	w.run("create s hash:ip maxelem 3 forceadd")
	for i := range 10 {
		w.run(fmt.Sprintf("add s 1.1.1.%d", i+1))
	}
	if out := w.run("list s"); !strings.Contains(out, "Number of entries: 3\n") || !strings.Contains(out, "\n1.1.1.10\n") {
		t.Error(out)
	}
}

func TestSwap_heldByRule_seesTheOther(t *testing.T) {
	w := newWorld(t)
	w.run("create a hash:ip", "create b hash:ip", "add b 1.1.1.1")
	r := w.ref("a")
	p, o := ipset.Packet{Src: ip(1, 1, 1, 1)}, flags("s")
	if r.Test(&p, &o) {
		t.Error("in the empty set")
	}
	w.run("swap a b")
	if !r.Test(&p, &o) || r.Name() != "a" {
		t.Error("the rule does not see what a is now")
	}
	w.fails("destroy a")
	w.run("destroy b")
	r.Put()
	w.run("destroy a")
}

func TestCounters_matchAndCompare(t *testing.T) {
	w := newWorld(t)
	w.run("create s hash:ip counters", "add s 1.1.1.1 packets 5 bytes 500")
	r := w.ref("s")
	p, o := ipset.Packet{Src: ip(1, 1, 1, 1), Len: 100}, flags("s")
	o.Packets = ipset.Compare{Op: ipset.CompareGt, Value: 6}
	if r.Test(&p, &o) || !r.Test(&p, &o) {
		t.Error("it does not count before it compares")
	}
	o.NoUpdate = true
	r.Test(&p, &o)
	if out := w.run("save s"); !strings.Contains(out, "packets 7 bytes 700\n") {
		t.Error(out)
	}
}

func TestAddDel_packets_asARuleDoes(t *testing.T) {
	w := newWorld(t)
	w.run("create s hash:ip,port timeout 10", "create n hash:net", "add n 9.9.9.0/24", "create l list:set", "add l s")
	p, o := ipset.Packet{Src: ip(1, 1, 1, 1), DstPort: 53, Proto: 17, HasPort: true}, flags("sd")
	w.ref("s").Add(&p, &o)
	o.HasTimeout, o.Timeout = true, 77
	w.ref("s").Add(&p, &o) // there already, and not told to renew it
	if out := w.run("save s"); !strings.HasSuffix(out, "add s 1.1.1.1,udp:53 timeout 10\n") {
		t.Error(out)
	}
	o.Exist = true
	w.ref("s").Add(&p, &o)
	if out := w.run("save s"); !strings.HasSuffix(out, "add s 1.1.1.1,udp:53 timeout 77\n") {
		t.Error(out)
	}
	one := flags("s")
	w.ref("n").Add(&p, &one) // with the prefix the set has
	if out := w.run("save n"); !strings.HasSuffix(out, "add n 9.9.9.0/24\nadd n 1.1.1.0/24\n") {
		t.Error(out)
	}
	w.ref("l").Del(&p, &o)
	if out := w.run("list s"); !strings.Contains(out, "Number of entries: 0\n") {
		t.Error(out)
	}
}

func TestTest_allocatesNothing(t *testing.T) {
	w := newWorld(t)
	w.run("create n hash:net counters timeout 100", "add n 10.0.0.0/8", "add n 10.9.0.0/16", "create l list:set", "add l n")
	r := w.ref("l")
	p, o := ipset.Packet{Src: ip(10, 1, 1, 1), In: "eth0"}, flags("s")
	if n := testing.AllocsPerRun(100, func() { r.Test(&p, &o) }); n != 0 {
		t.Error(n, "allocations")
	}
}

// TestTest_whileChanged_neverWrong: elements that stay are seen all the time,
// those that never were never, while the table grows and others come and go.
func TestTest_whileChanged_neverWrong(t *testing.T) {
	w := newWorld(t)
	w.run("create s hash:ip hashsize 64", "add s 1.1.1.1")
	r := w.ref("s")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p, q, o := ipset.Packet{Src: ip(1, 1, 1, 1)}, ipset.Packet{Src: ip(2, 2, 2, 2)}, flags("s")
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !r.Test(&p, &o) || r.Test(&q, &o) {
					t.Error("wrong while the set changes")
					return
				}
			}
		}()
	}
	w.run("add s 10.0.0.0/18", "del s 10.0.0.0/19", "add s 10.0.0.0/20")
	close(stop)
	wg.Wait()
	if out := w.run("list s -t"); !strings.Contains(out, "Number of entries: 12289\n") {
		t.Error(out)
	}
}

// FuzzRestore: any file of commands ends in a status, and what is saved after it
// is restored to the same.
func FuzzRestore(f *testing.F) {
	f.Add("create a hash:ip timeout 5 comment counters\nadd a 1.2.3.4 timeout 0 packets 1 bytes 2 comment \"x y\"\n")
	f.Add("create n hash:net,port,net\nadd n 1.2.3.4/5,tcp:1-9,0.0.0.1-0.0.9.9 nomatch\ntest n 1.2.3.4,6:5,1.1.1.1\ndel n 1.2.3.4/5,tcp:1-9,0.0.0.1\n")
	f.Add("create l list:set size 4\ncreate b bitmap:port range 1-9\nadd l b before b\nadd l b\nadd b 1-9\nswap b l\nrename b c\ndestroy\nflush\nlist -o xml\n")
	f.Add("create i hash:net,iface\nadd i 0.0.0.0/0,physdev:x\ncreate m hash:ip,mark\nadd m 1.1.1.1-1.1.1.9,7\nsave\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "timeout") && len(text) > 4096 {
			return
		}
		w := newWorld(t)
		var out, warn bytes.Buffer
		if n := w.s.Run([]string{"ipset", "restore"}, strings.NewReader(text), &out, &warn); n < 0 || n > 2 || n != 0 && warn.Len() == 0 {
			t.Fatalf("status %d, %q", n, warn.String())
		}
		saved := w.run("save -s")
		again := newWorld(t)
		if n := again.s.Run([]string{"ipset", "restore"}, strings.NewReader(saved), &out, &warn); n != 0 {
			if !strings.ContainsAny(saved, "\"#-\\") {
				t.Fatalf("what was saved is refused: %s\n%s", warn.String(), saved)
			}
			return
		}
		if s := again.run("save -s"); s != saved && !strings.ContainsAny(saved, "\"#") {
			t.Fatalf("it was\n%s\nand is\n%s", saved, s)
		}
	})
}
