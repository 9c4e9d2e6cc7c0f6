// Bench measures barewire beside its peers and writes tables below build/bench.
//
//	bench [-rounds n] [-time d] native   the stack beside gVisor's, in a process
//	bench [-rounds n] [-time d] guest    the image beside a Linux guest and gVisor, in QEMU; needs root
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"barewire/qemu"
	"barewire/qemu/bench/guest"
	"barewire/qemu/bench/native"
	"barewire/qemu/bench/table"
)

func main() {
	rounds := flag.Int("rounds", 3, "`times` each side is measured, in turns")
	each := flag.Duration("time", 0, "`time` of one measurement (default 300ms for native, 2s for guest)")
	root := flag.String("root", "../..", "`folder` of the repository")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() == 1 && flag.Arg(0) == "native":
		err = runNative(*root, *rounds, either(*each, 300*time.Millisecond))
	case flag.NArg() == 1 && flag.Arg(0) == "guest":
		err = runGuest(*root, *rounds, either(*each, 2*time.Second))
	default:
		fmt.Fprintln(os.Stderr, "usage: bench [flags] native|guest")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func either(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// folder returns the repository's folder and that of the results.
func folder(root string) (abs, dir string, err error) {
	if abs, err = filepath.Abs(root); err != nil {
		return "", "", err
	}
	dir = filepath.Join(abs, "build/bench")
	return abs, dir, os.MkdirAll(dir, 0o777)
}

// save writes a result's table and its figures.
func save(dir, name string, markdown func(io.Writer), figures func(io.Writer) error) error {
	for ext, f := range map[string]func(io.Writer) error{".md": func(w io.Writer) error { markdown(w); return nil }, ".json": figures} {
		file, err := os.Create(filepath.Join(dir, name+ext))
		if err != nil {
			return err
		}
		if err := f(file); err != nil {
			file.Close()
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

func runNative(root string, rounds int, each time.Duration) error {
	root, dir, err := folder(root)
	if err != nil {
		return err
	}
	results, err := native.Run(root, dir, rounds, each, os.Stdout)
	if err != nil {
		return err
	}
	return save(dir, "native", func(w io.Writer) { native.Markdown(w, results) }, func(w io.Writer) error { return native.JSON(w, results) })
}

func runGuest(root string, rounds int, each time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, dir, err := folder(root)
	if err != nil {
		return err
	}
	peers, err := guest.Peers(root, dir)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range peers {
		names = append(names, p.Name)
	}
	var tables []*table.Table
	for _, offloads := range []bool{true, false} {
		t, err := guest.Run(ctx, peers, guest.Setting{Machine: qemu.Q35, CPUs: 1, Memory: 256, Offloads: offloads}, rounds, each, os.Stdout)
		if err != nil {
			return err
		}
		t.Markdown(os.Stdout, names)
		tables = append(tables, t)
	}
	return save(dir, "guest", func(w io.Writer) {
		for _, t := range tables {
			t.Markdown(w, names)
		}
	}, func(w io.Writer) error { return table.JSON(w, tables) })
}
