package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/table"
)

// Plan is how much is measured.
type Plan struct {
	Rounds int
	Each   time.Duration  // of one measurement
	Until  time.Time      // no round but the first begins after it; zero: no limit
	Say    io.Writer      // how it goes
	Only   *regexp.Regexp // figures that are measured; nil: all
}

// memory of the machines, in MiB: enough for a Linux guest.
const memory = 256

// one is a machine with one card, on one processor.
func one(offloads bool) Setting {
	return Setting{Machine: qemu.Q35, CPUs: 1, Memory: memory, Offloads: offloads}
}

// router is a machine that forwards, with rules or without.
func router(cpus int, args string) Setting {
	return Setting{Machine: qemu.Q35, CPUs: cpus, Memory: memory, Offloads: true, Cards: 2, Args: args}
}

// side is a peer as it is measured: a column of a table, in one setting or in
// several, each with its loads.
type side struct {
	name string
	peer Peer
	runs []run
}

type run struct {
	setting Setting
	loads   []Load
	boot    string // the figure that the start itself is; none when empty
}

// Section is a table and how to fill it.
type Section struct {
	Group string
	Title string
	sides func(p *Peers) []side
}

// sections are what is measured in turns, round by round. read-only.
var sections = []Section{
	{table.Offloads, "One card, all offloads, 1 CPU, 256 MiB", func(p *Peers) []side {
		loads := []Load{ping, udpEcho, idle, tcpIn, tcpOut, udpIn, udpOut, httpKeep, httpPer, connect}
		return each(run{one(true), loads, table.Boot}, p.Barewire, p.Linux, p.GVisor)
	}},
	{table.NoOffloads, "One card, every offload off, 1 CPU", func(p *Peers) []side {
		return each(run{one(false), []Load{tcpIn, tcpOut}, ""}, p.Barewire, p.Linux, p.GVisor)
	}},
	{table.Forwarding, "Forwarding from card to card, 1 CPU: what arrives under a load that is always too much", func(p *Peers) []side {
		l := each(run{router(1, ""), []Load{forward}, ""}, p.Barewire, p.Linux, p.GVisor, p.Ring)
		for i := range l[:3] {
			l[i].runs = append(l[i].runs, run{router(1, "rules"), []Load{forwardNAT}, ""})
		}
		return l
	}},
	{table.SMP, "2 CPUs beside 1, all offloads, as many queues as CPUs", func(p *Peers) []side {
		var l []side
		for _, s := range []struct {
			name string
			peer Peer
			cpus int
		}{{table.Barewire2, p.Barewire, 2}, {table.Barewire, p.Barewire, 1}, {table.Linux2, p.Linux, 2}, {table.Linux, p.Linux, 1}, {table.Ring2, p.Ring, 2}, {table.Ring, p.Ring, 1}} {
			card := one(true)
			card.CPUs = s.cpus
			runs := []run{{card, []Load{tcpIn, httpKeep}, ""}, {router(s.cpus, ""), []Load{forward}, ""}, {router(s.cpus, "rules"), []Load{forwardNAT}, ""}}
			if s.name == table.Ring2 || s.name == table.Ring {
				runs = runs[1:2] // it does nothing else
			}
			l = append(l, side{s.name, s.peer, runs})
		}
		return l
	}},
}

// each is the same run for several peers.
func each(r run, peers ...Peer) (l []side) {
	for _, p := range peers {
		l = append(l, side{p.Name, p, []run{r}})
	}
	return l
}

// Groups are the groups of the tables that [Measure] fills, in order.
func Groups() (l []string) {
	for _, s := range sections {
		l = append(l, s.Group)
	}
	return append(l, table.Size, table.Second)
}

// Measures tells whether a figure is measured in a group.
func Measures(group, figure string) bool {
	if group == table.Size {
		return figure == table.LeastMemory || figure == table.ImageSize
	}
	for _, s := range sections {
		if s.Group != group {
			continue
		}
		for _, side := range s.sides(&Peers{}) {
			for _, r := range side.runs {
				if r.boot == figure {
					return true
				}
				for _, l := range r.loads {
					if l.Name == figure {
						return true
					}
				}
			}
		}
	}
	return false
}

// tables are what a section fills. Only the first is judged.
type tables struct {
	main    *table.Table
	cost    *table.Table // what each packet or request costs QEMU
	garbage *table.Table // what the collector costs the program; may be nil
}

// Measure fills the tables of a group. What fails is noted and left out;
// an error means that the whole measurement has to end.
func (p *Plan) Measure(ctx context.Context, peers *Peers, group string) ([]*table.Table, error) {
	switch group {
	case table.Size:
		t, err := p.sizes(ctx, peers)
		return []*table.Table{t}, err
	case table.Second:
		t, err := p.second(ctx, peers)
		return []*table.Table{t}, err
	}
	for _, s := range sections {
		if s.Group != group {
			continue
		}
		t := tables{main: table.New(s.Group, s.Title), cost: table.New(table.Cost+s.Group, s.Title+": processor time of QEMU")}
		l := []*table.Table{t.main, t.cost}
		if group == table.Offloads {
			t.garbage = table.New(table.Garbage, "Scheduling latency and garbage collection of the program under each load")
			l = append(l, t.garbage)
		}
		if n := runtime.NumCPU(); group == table.SMP && n < 4 {
			t.main.Note("The host has %d processors for those of the guest, QEMU's own thread and the load, which want 4: two of a guest's cannot do twice as much here.", n)
		}
		return l, p.turns(ctx, t, s.sides(peers))
	}
	return nil, fmt.Errorf("there is no group %q", group)
}

// turns runs sides round by round.
func (p *Plan) turns(ctx context.Context, t tables, sides []side) error {
	for _, s := range sides {
		for _, t := range []*table.Table{t.main, t.cost, t.garbage} {
			if t != nil && !slices.Contains(t.Sides, s.name) {
				t.Sides = append(t.Sides, s.name) // in this order, whatever answers first
			}
		}
	}
	for round := range p.Rounds {
		if round > 0 && p.late() {
			t.main.Note("ended after %d of %d rounds: the time is up", round, p.Rounds)
			return nil
		}
		for _, s := range sides {
			for _, r := range s.runs {
				if p.Only != nil && !slices.ContainsFunc(r.loads, func(l Load) bool { return p.Only.MatchString(l.Name) }) {
					continue
				}
				if err := p.run(ctx, t, s, r, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *Plan) late() bool { return !p.Until.IsZero() && time.Now().After(p.Until) }

// run starts a side once and puts its loads on it.
func (p *Plan) run(ctx context.Context, t tables, s side, how run, round int) error {
	note := func(what string, err error) {
		t.main.Note("round %d: %s: %s: %v", round+1, s.name, what, err)
		fmt.Fprintf(p.Say, "%-18s %-48s %v\n", s.name, what, err)
	}
	r, restarts, err := s.peer.Start(ctx, how.setting)
	if restarts > 0 {
		t.main.Note("round %d: %s needed %d starts more", round+1, s.name, restarts)
	}
	if ctx.Err() != nil {
		if r != nil {
			r.Close()
		}
		return context.Cause(ctx)
	}
	if err != nil {
		note("start", err)
		return nil
	}
	defer r.Close()
	enter := func(name, unit string, better int, v float64) {
		t.main.Add(name, unit, better, s.name, v)
		fmt.Fprintf(p.Say, "%-18s %-48s %10.1f %s\n", s.name, name, v, unit)
	}
	if how.boot != "" {
		enter(how.boot, "ms", -1, float64(r.Boot)/1e6)
	}
	for _, l := range how.loads {
		if p.Only != nil && !p.Only.MatchString(l.Name) {
			continue
		}
		before := r.runtime(t.garbage)
		busy, took := r.busy()
		v, err := l.Run(r, p.Each)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			note(l.Name, err)
			if !r.VM.Running() {
				note(l.Name, errors.New("the machine has ended; its console: "+r.VM.Console.Tail(8)))
				return nil
			}
			continue
		}
		if after, now := r.busy(); l.Better > 0 && v > 0 {
			share := float64(after-busy) / float64(now.Sub(took))
			t.cost.Add(l.Name, "µs/"+l.Of, -1, s.name, 1e6*share/(v*l.Scale))
		}
		enter(l.Name, l.Unit, l.Better, v)
		if r.Lost > 0 {
			fmt.Fprintf(p.Say, "%-18s %-48s %10.1f %%\n", "", "lost on the way", 100*r.Lost)
			r.Lost = 0
		}
		if l.Better > 0 {
			collected(t.garbage, s.name, l.Name, before, r.runtime(t.garbage))
		}
	}
	return nil
}

// busy is the processor time QEMU has taken so far, and now. What it takes for a
// packet or a request is nearly the same on a busy host, where rates are not.
func (r *Running) busy() (time.Duration, time.Time) {
	d, err := r.VM.CPUTime()
	if err != nil { // it has ended, which the load says too
		d = 0
	}
	return d, time.Now()
}
