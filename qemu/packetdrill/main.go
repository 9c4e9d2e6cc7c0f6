// Packetdrill runs scripts in the language of packetdrill against this stack, in
// process and in virtual time, or against the Linux kernel of the machine.
//
//	go run ./qemu/packetdrill [-kernel barewire|linux] [-v] [-D name=value] [--option=value] FILE|DIR...
//
// The options of a script's head may stand on the command line, too, by the names
// they have there: --local_ip, --tolerance_usecs, --init_scripts and so on; those
// of the script win.
//
// The Linux kernel runs in real time: on a busy machine -tolerance 20ms -tries 3
// judge it fairly.
//
// It prints a line for each script, PASS, FAIL or UNSUPPORTED with the reason,
// and a summary, and ends with status 1 when a script failed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"barewire/qemu/packetdrill/pdl"
	"barewire/qemu/packetdrill/run"
)

func main() {
	kernel := flag.String("kernel", "barewire", "what is judged: barewire or linux")
	verbose := flag.Bool("v", false, "the reasons of all scripts that do not pass, whole")
	tolerance := flag.Duration("tolerance", 0, "the least by which times may differ, whatever a script says")
	tries := flag.Int("tries", 1, "how often a script is run before it has failed")
	jobs := flag.Int("j", 2, "scripts at once")
	var options []pdl.Option
	flag.Func("D", "`name=value`: what a word of the scripts stands for", func(s string) error {
		options = append(options, pdl.Option{Name: "define", Value: s})
		return nil
	})
	flag.Func("define", "`name=value`: as -D", func(s string) error {
		options = append(options, pdl.Option{Name: "define", Value: s})
		return nil
	})
	flag.Func("o", "`name=value`: an option as at the head of a script, tolerance_usecs=10000", func(s string) error {
		name, value, _ := strings.Cut(s, "=")
		options = append(options, pdl.Option{Name: strings.TrimLeft(name, "-"), Value: value})
		return nil
	})
	for _, name := range run.OptionNames {
		flag.Func(name, "as at the head of a script", func(s string) error {
			options = append(options, pdl.Option{Name: name, Value: s})
			return nil
		})
	}
	for _, name := range run.SwitchNames {
		flag.BoolFunc(name, "as at the head of a script", func(string) error {
			options = append(options, pdl.Option{Name: name})
			return nil
		})
	}
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: packetdrill [-kernel barewire|linux] [-v] [-j N] [-D name=value] [-o option=value] FILE|DIR...")
		flag.PrintDefaults()
	}
	flag.Parse()
	files, err := scripts(flag.Args())
	if err == nil && len(files) == 0 {
		err = errors.New("no scripts: name .pkt files, or folders that have some")
	}
	make, ok := run.Kernels[*kernel]
	if err == nil && !ok {
		err = fmt.Errorf("no kernel %q", *kernel)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packetdrill:", err)
		os.Exit(2)
	}
	count := judge(files, run.Judge{Make: make, Tolerance: *tolerance, Tries: *tries, Options: options}, max(*jobs, 1), *verbose)
	fmt.Printf("%d scripts: %d pass, %d fail, %d unsupported\n", len(files), count["PASS"], count["FAIL"], count["UNSUPPORTED"])
	if count["FAIL"] > 0 {
		os.Exit(1)
	}
}

// scripts lists the .pkt files below the paths.
func scripts(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		err := filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (name == p || strings.HasSuffix(name, ".pkt")) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

// judge runs the scripts and prints in their order.
func judge(files []string, by run.Judge, jobs int, verbose bool) map[string]int {
	results := make([]chan error, len(files))
	work := make(chan int)
	var wg sync.WaitGroup
	for i := range results {
		results[i] = make(chan error, 1)
	}
	for range jobs {
		wg.Go(func() {
			for i := range work {
				results[i] <- by.File(files[i])
			}
		})
	}
	go func() {
		for i := range files {
			work <- i
		}
		close(work)
	}()
	count := map[string]int{}
	for i, f := range files {
		err := <-results[i]
		verdict, why := "PASS", ""
		var u *pdl.Unsupported
		if errors.As(err, &u) {
			verdict = "UNSUPPORTED"
		} else if err != nil {
			verdict = "FAIL"
		}
		if err != nil {
			why = err.Error()
			if !verbose {
				why, _, _ = strings.Cut(why, "\n")
			}
			why = ": " + why
		}
		count[verdict]++
		fmt.Printf("%-11s %s%s\n", verdict, f, why)
	}
	wg.Wait()
	return count
}
