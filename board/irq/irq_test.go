package irq

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// fake is an interrupt controller with the interrupt entry behind it: lines with a level and a mask, and the notes. step
// runs between any two things that happen, so that a test can let devices act at every moment.
type fake struct {
	t     *testing.T
	table *Table
	lines map[uint32]*fakeLine
	noted [4]uint64
	step  func()
}

type fakeLine struct {
	vector uint8
	level  bool // what the devices assert
	masked bool
	edge   bool
	entry  int // times the interrupt entry ran
}

var errRoute = errors.New("no such pin")

func newFake(t *testing.T) *fake {
	f := &fake{t: t, lines: map[uint32]*fakeLine{}, step: func() {}}
	f.table = &Table{Controller: f}
	return f
}

func (f *fake) Route(s Source, v uint8) error {
	if s.GSI >= 24 {
		return errRoute
	}
	f.lines[s.GSI] = &fakeLine{vector: v, masked: true, edge: s.Edge}
	return nil
}

func (f *fake) Unmask(s Source, v uint8) {
	f.step()
	l := f.lines[s.GSI]
	if l.vector != v {
		f.t.Fatalf("unmask of GSI %d with vector %d, routed to %d", s.GSI, v, l.vector)
	}
	l.masked = false
	if l.level && !l.edge {
		f.enter(l)
	}
	f.step()
}

// enter is what the interrupt entry does.
func (f *fake) enter(l *fakeLine) {
	l.entry++
	f.note(l.vector)
	if !l.edge {
		l.masked = true
	}
}

func (f *fake) note(v uint8) { f.noted[v/64] |= 1 << (v % 64) }

// set drives the line.
func (f *fake) set(gsi uint32, level bool) {
	l := f.lines[gsi]
	rising := level && !l.level
	l.level = level
	if level && !l.masked && (!l.edge || rising) {
		f.enter(l)
	}
}

// run makes rounds until nothing is noted, at most max, and returns how many there were.
func (f *fake) run(max int) (n int) {
	for ; f.noted != [4]uint64{} && n < max; n++ {
		noted := f.noted
		f.noted = [4]uint64{}
		f.table.Round(&noted)
	}
	return n
}

// device is a level-triggered device that counts its requests.
type device struct {
	f       *fake
	gsi     uint32
	shared  []*device // all devices of the line, this one too
	waiting int
	served  int
}

func (d *device) update() {
	level := false
	for _, o := range d.shared {
		level = level || o.waiting > 0
	}
	d.f.set(d.gsi, level)
}

func (d *device) ask() { d.waiting++; d.update() }

func (d *device) handler() bool {
	d.f.step()
	n := d.waiting
	d.f.step() // requests from here on must interrupt again
	d.waiting -= n
	d.served += n
	d.update()
	d.f.step()
	return n > 0
}

func newDevices(t *testing.T, f *fake, gsi uint32, n int) []*device {
	ds := make([]*device, n)
	for i := range ds {
		ds[i] = &device{f: f, gsi: gsi, shared: ds}
		if err := f.table.Request(Source{GSI: gsi}, ds[i].handler); err != nil {
			t.Fatal(err)
		}
	}
	return ds
}

// A device that asks at any moment, also between its handler's last look and the unmasking, is served.
func TestLevel_asksAtAnyMoment_neverLost(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		f := newFake(t)
		ds := append(newDevices(t, f, 5, 1), newDevices(t, f, 9, 3)...) // one line alone, one shared
		asked := make([]int, len(ds))
		left := 200
		f.step = func() {
			if left > 0 && r.IntN(3) == 0 {
				left--
				i := r.IntN(len(ds))
				asked[i]++
				ds[i].ask()
			}
		}
		for left > 0 {
			f.step()
			f.run(1000)
		}
		f.run(1000)
		for i, d := range ds {
			if d.served != asked[i] || d.waiting != 0 {
				t.Fatalf("seed %d: device %d asked %d times, served %d, waiting %d", seed, i, asked[i], d.served, d.waiting)
			}
		}
	}
}

// A message that comes while its handler runs makes another round.
func TestMessage_comesDuringHandler_runsAgain(t *testing.T) {
	f := newFake(t)
	runs := 0
	var v uint8
	v, err := f.table.RequestMessage(func() {
		if runs++; runs < 5 {
			f.note(v)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	f.note(v)
	if n := f.run(100); n != 5 || runs != 5 {
		t.Fatalf("%d rounds, %d runs, want 5 of both", n, runs)
	}
}

// An edge that comes while its handler runs is seen: edges are never masked.
func TestEdge_comesDuringHandler_runsAgain(t *testing.T) {
	f := newFake(t)
	runs := 0
	err := f.table.Request(Source{GSI: 4, Edge: true}, func() bool {
		if runs++; runs == 1 {
			f.set(4, false)
			f.set(4, true)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	f.set(4, true)
	f.run(10)
	if runs != 2 {
		t.Fatalf("handler ran %d times, want 2", runs)
	}
}

// A device that asserts its line for ever gets one turn a round; others in the same round are served.
func TestStorm_othersServed_workBounded(t *testing.T) {
	f := newFake(t)
	storm := 0
	if err := f.table.Request(Source{GSI: 5}, func() bool { storm++; return true }); err != nil {
		t.Fatal(err)
	}
	quiet := newDevices(t, f, 6, 1)[0]
	enters, exits := 0, 0
	f.table.SetHooks(func() { enters++ }, func() { exits++ })
	f.set(5, true)
	quiet.ask()
	if n := f.run(50); n != 50 || storm != 50 || enters != 50 || exits != 50 {
		t.Fatalf("%d rounds, %d runs of the storm, %d enters, %d exits, want 50 of each", n, storm, enters, exits)
	}
	if quiet.served != 1 {
		t.Fatalf("the quiet device was served %d times, want 1", quiet.served)
	}
}

// A line that nobody claims is given up after MaxUnclaimed rounds and stays masked.
func TestLevel_nobodyClaims_lineOff(t *testing.T) {
	f := newFake(t)
	var off []Source
	f.table.Report = func(s Source) { off = append(off, s) }
	src := Source{GSI: 7}
	if err := f.table.Request(src, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	f.set(7, true)
	if n := f.run(5000); n != MaxUnclaimed {
		t.Fatalf("%d rounds, want %d", n, MaxUnclaimed)
	}
	if len(off) != 1 || off[0] != src || !f.lines[7].masked {
		t.Fatalf("reported %v, masked %v", off, f.lines[7].masked)
	}
	_, _, lines := f.table.Stats()
	if len(lines) != 1 || !lines[0].Off || lines[0].Spurious != MaxUnclaimed {
		t.Fatalf("stats %+v", lines)
	}
}

// Now and then an unclaimed interrupt (a handler that was faster than the line) does no harm.
func TestLevel_claimedInBetween_staysOn(t *testing.T) {
	f := newFake(t)
	n := 0
	if err := f.table.Request(Source{GSI: 7}, func() bool { n++; return n%MaxUnclaimed == 0 }); err != nil {
		t.Fatal(err)
	}
	f.set(7, true)
	if got := f.run(5 * MaxUnclaimed); got != 5*MaxUnclaimed {
		t.Fatalf("line given up after %d rounds", got)
	}
}

func TestRequest_otherModeOnLine_refused(t *testing.T) {
	f := newFake(t)
	h := func() bool { return true }
	if err := f.table.Request(Source{GSI: 3}, h); err != nil {
		t.Fatal(err)
	}
	if err := f.table.Request(Source{GSI: 3, Edge: true}, h); !errors.Is(err, ErrMode) {
		t.Fatalf("err = %v, want ErrMode", err)
	}
}

func TestRequest_noPin_errorAndVectorUnused(t *testing.T) {
	f := newFake(t)
	if err := f.table.Request(Source{GSI: 99}, func() bool { return true }); !errors.Is(err, errRoute) {
		t.Fatalf("err = %v, want %v", err, errRoute)
	}
	f.note(First)
	f.run(1)
	if _, stray, lines := f.table.Stats(); stray != 1 || len(lines) != 0 {
		t.Fatalf("stray %d lines %v", stray, lines)
	}
}

func TestRequestMessage_allVectorsTaken_error(t *testing.T) {
	f := newFake(t)
	seen := map[uint8]bool{}
	for range Last - First + 1 {
		v, err := f.table.RequestMessage(func() {})
		if err != nil || v < First || v > Last || seen[v] {
			t.Fatalf("vector %d, err %v", v, err)
		}
		seen[v] = true
	}
	if _, err := f.table.RequestMessage(func() {}); !errors.Is(err, ErrNoVector) {
		t.Fatalf("err = %v, want ErrNoVector", err)
	}
}

func TestRound_steadyState_allocatesNothing(t *testing.T) {
	f := newFake(t)
	v, _ := f.table.RequestMessage(func() {})
	f.table.SetHooks(func() {}, func() {})
	var noted [4]uint64
	noted[v/64] = 1 << (v % 64)
	if n := testing.AllocsPerRun(100, func() { f.table.Round(&noted) }); n != 0 {
		t.Fatalf("%v allocations a round", n)
	}
}
