package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"barewire/toolchain/stdtest"
	"barewire/toolchain/vm"
)

// std is "barewire std".
func std(args []string, std streams) error {
	var bf buildFlags
	fl := newFlags("std", "std [flags] [PKG...]", std)
	bf.add(fl)
	listFile := fl.String("list", "", "`file` that lists the packages (default: toolchain/std.txt)")
	short := fl.Bool("ci", false, "only the packages marked ci in the list")
	table := fl.String("o", "", "write the table to `file`")
	logs := fl.String("logs", "", "keep every guest's console in `folder`")
	machine := fl.String("machine", vm.Microvm, "QEMU `machine`: microvm or q35")
	cpus := fl.Int("smp", 1, "`number` of virtual CPUs")
	if _, err := parse(fl, args); err != nil {
		return err
	}
	if _, err := vm.FindQEMU(); err != nil {
		return err
	}
	// The library's tests are about the library: no client beside them that
	// uses goroutines, timers and memory.
	bf.tags = strings.TrimPrefix(bf.tags+",nodhcp", ",")
	b, err := bf.builder(std.err)
	if err != nil {
		return err
	}
	defer b.Close()
	if *listFile == "" {
		*listFile = filepath.Join(b.Source.Root, "toolchain", "std.txt")
	}
	text, err := os.ReadFile(*listFile)
	if err != nil {
		return err
	}
	list, err := stdtest.ParseList(filepath.Base(*listFile), string(text))
	if err != nil {
		return err
	}
	if list, err = choose(list, fl.Args(), *short); err != nil {
		return err
	}
	if *logs != "" {
		if err := os.MkdirAll(*logs, 0o777); err != nil {
			return err
		}
	}
	runner := &stdtest.Runner{Builder: b, Machine: vm.Config{Machine: *machine, CPUs: *cpus}, Logs: *logs}
	results := make([]*stdtest.Result, len(list))
	images := buildAhead(runner, list)
	var again []int
	for i := range list {
		m := <-images[i]
		results[i] = runner.Boot(m)
		report(std.out, results[i])
		if len(results[i].Surprises()) > 0 {
			again = append(again, i)
		}
		m.Remove()
	}
	asListed, otherwise := len(list)-len(again), 0
	for _, i := range again {
		// The kernel shares the process and a busy host stretches time: tests that count allocations or milliseconds may
		// fail once. What fails twice, now that nothing is being built beside it, is reported; what passes the second time is told in the table.
		m := runner.Build(list[i])
		r := runner.Boot(m)
		m.Remove()
		r.First, results[i] = results[i].Surprises(), r
		report(std.out, r)
		if len(r.Surprises()) > 0 {
			otherwise++
		} else {
			asListed++
		}
	}
	if *table != "" {
		f, err := os.Create(*table)
		if err != nil {
			return err
		}
		err = stdtest.WriteTable(f, results, b.Go.Version)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(std.out, "%d passed, %d failed\n", asListed, otherwise)
	if otherwise > 0 {
		return exitStatus(1)
	}
	return nil
}

// buildAhead builds the images of the list, two at a time, while another runs: an
// image takes seconds to link, and most tests less to run.
func buildAhead(r *stdtest.Runner, list []*stdtest.Entry) []chan *stdtest.Image {
	images := make([]chan *stdtest.Image, len(list))
	for i := range images {
		images[i] = make(chan *stdtest.Image)
	}
	work := make(chan int)
	go func() {
		for i := range list {
			work <- i
		}
		close(work)
	}()
	for range 2 {
		go func() {
			for i := range work {
				m := r.Build(list[i])
				images[i] <- m
			}
		}()
	}
	return images
}

// report prints one line about one run.
func report(out io.Writer, r *stdtest.Result) {
	o := r.Outcome
	fmt.Fprintf(out, "%-28s %4d pass %3d fail %3d skip  %5.1fs", r.Entry.Package, len(o.Pass), len(o.Fail), len(o.Skip), r.Took.Seconds())
	if len(r.First) > 0 {
		fmt.Fprint(out, "  second try")
	}
	if s := r.Surprises(); len(s) > 0 {
		fmt.Fprintf(out, "  UNEXPECTED: %s", strings.Join(s, "; "))
	}
	fmt.Fprintln(out)
}

// choose returns the entries named, or those marked ci, or all. A name that is not listed gets an entry without
// expectations.
func choose(list []*stdtest.Entry, names []string, short bool) ([]*stdtest.Entry, error) {
	var chosen []*stdtest.Entry
	if len(names) == 0 {
		for _, e := range list {
			if e.CI || !short {
				chosen = append(chosen, e)
			}
		}
		return chosen, nil
	}
next:
	for _, name := range names {
		for _, e := range list {
			if e.Package == name {
				chosen = append(chosen, e)
				continue next
			}
		}
		extra, err := stdtest.ParseList(name, name)
		if err != nil {
			return nil, err
		}
		extra[0].Limit = 10 * time.Minute
		chosen = append(chosen, extra...)
	}
	return chosen, nil
}
