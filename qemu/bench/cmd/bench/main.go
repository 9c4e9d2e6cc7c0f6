// Bench measures barewire beside its peers.
//
//	bench [-full] [-rounds n] [-time d] [-limit d] [-only groups] [-figures re]   everything, below build/bench
//	bench compare OLD.json [NEW.json]                    a saved result with the last one
//
// Groups are offloads, no-offloads, forwarding, smp, size, second and native. All
// but the last run machines in QEMU and need root, for TAP devices. What comes out
// is build/bench/result.md, .json and a plot of each group, all of them written
// again after each group: what is interrupted keeps what it has.
//
// Comparing ends with status 3 when something got worse beyond the spread.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/guest"
	"barewire/qemu/bench/native"
	"barewire/qemu/bench/table"
)

// Statuses.
const (
	failed = 1
	usage  = 2
	worse  = 3
)

// How much is measured. read-only.
var (
	quick = amount{rounds: 3, guest: time.Second, native: 200 * time.Millisecond, limit: 19 * time.Minute}
	full  = amount{rounds: 9, guest: 3 * time.Second, native: time.Second}
)

type amount struct {
	rounds        int
	guest, native time.Duration
	limit         time.Duration // each group has its share of it, and no round begins after that; 0: none
	only          *regexp.Regexp
}

func main() {
	root := flag.String("root", "../..", "`folder` of the repository")
	long := flag.Bool("full", false, "more and longer rounds")
	rounds := flag.Int("rounds", 0, "`times` each side is measured, in turns")
	each := flag.Duration("time", 0, "`time` of one measurement of a guest")
	only := flag.String("only", strings.Join(groups(), ","), "`groups` to measure")
	limit := flag.Duration("limit", 0, "have fewer rounds than asked for when they take longer than this `time`")
	figures := flag.String("figures", "", "measure figures that this `expression` matches, and no others")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench [flags] | bench [flags] compare OLD.json [NEW.json]")
		flag.PrintDefaults()
	}
	flag.Parse()
	status, err := 0, error(nil)
	switch {
	case flag.NArg() == 0:
		a := quick
		if *long {
			a = full
		}
		if *rounds > 0 {
			a.rounds, a.limit = *rounds, 0
		}
		if *each > 0 {
			a.guest = *each
		}
		if *limit > 0 {
			a.limit = *limit
		}
		if *figures != "" {
			if a.only, err = regexp.Compile(*figures); err != nil {
				break
			}
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = measure(ctx, *root, a, strings.Split(*only, ","), os.Stdout)
	case flag.Arg(0) == "compare" && flag.NArg() >= 2 && flag.NArg() <= 3:
		status, err = compare(flag.Arg(1), either(flag.Arg(2), filepath.Join(*root, "build/bench/result.json")), os.Stdout)
	default:
		flag.Usage()
		os.Exit(usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		status = failed
	}
	os.Exit(status)
}

func either(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func groups() []string { return append(guest.Groups(), table.Native) }

// measure fills the tables of groups and writes them after each.
func measure(ctx context.Context, root string, a amount, only []string, say io.Writer) error {
	for _, g := range only {
		if !slices.Contains(groups(), g) {
			return fmt.Errorf("there is no group %q, but %s", g, strings.Join(groups(), ", "))
		}
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "build/bench")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	start := time.Now()
	result := &table.Result{Conditions: conditions(root)}
	plan := &guest.Plan{Rounds: a.rounds, Each: a.guest, Say: say, Only: a.only}
	var peers *guest.Peers
	todo := slices.DeleteFunc(groups(), func(g string) bool { return !slices.Contains(only, g) })
	for i, g := range todo {
		if a.limit > 0 {
			left := a.limit - time.Since(start)
			plan.Until = time.Now().Add(left / time.Duration(len(todo)-i))
		}
		fmt.Fprintf(say, "\n== %s\n", g)
		var l []*table.Table
		if g == table.Native {
			var t *table.Table
			if t, err = native.Run(ctx, root, dir, a.rounds, a.native, say); t != nil {
				l = append(l, t)
			}
		} else {
			if err := qemu.CanNamespace(); err != nil {
				return fmt.Errorf("%w; without that there is -only %s", err, table.Native)
			}
			if peers == nil {
				if peers, err = guest.Build(ctx, root, dir); err != nil {
					if ctx.Err() != nil {
						return errors.New("interrupted before anything was measured")
					}
					return err
				}
			}
			l, err = plan.Measure(ctx, peers, g)
		}
		result.Tables = append(result.Tables, l...)
		result.Took = time.Since(start)
		if e := write(dir, result); e != nil {
			return e
		}
		if ctx.Err() != nil {
			return errors.New("interrupted; what there is is in " + dir)
		}
		if err != nil {
			return err
		}
	}
	result.Conditions = append(result.Conditions, load("at the end"))
	if err := write(dir, result); err != nil {
		return err
	}
	fmt.Fprintln(say)
	result.Verdicts(say)
	fmt.Fprintf(say, "in %v; tables, figures and plots are %s/result.md, result.json and *.svg\n", result.Took.Round(time.Second), dir)
	return nil
}

// write writes a result: text, figures, and a plot of each group.
func write(dir string, r *table.Result) error {
	files := map[string]func(io.Writer) error{
		"result.md":   func(w io.Writer) error { r.Markdown(w); return nil },
		"result.json": r.JSON,
	}
	for _, t := range r.Tables {
		files[t.Group+".svg"] = t.SVG
	}
	for name, f := range files {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(f(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// compare prints what changed between two results, and returns the status to end
// with.
func compare(oldFile, newFile string, w io.Writer) (status int, err error) {
	old, err := read(oldFile)
	if err != nil {
		return 0, err
	}
	now, err := read(newFile)
	if err != nil {
		return 0, err
	}
	l := table.Compare(old, now)
	if len(l) == 0 {
		return 0, fmt.Errorf("%s and %s have nothing in common", oldFile, newFile)
	}
	if table.Changes(w, l) > 0 {
		return worse, nil
	}
	return 0, nil
}

func read(name string) (*table.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := table.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
