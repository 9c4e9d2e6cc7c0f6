// Bench measures barewire beside its peers and writes tables below build/bench.
//
//	bench [-rounds n] [-time d] native
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"barewire/qemu/bench/native"
)

func main() {
	rounds := flag.Int("rounds", 3, "`times` each side is measured, in turns")
	each := flag.Duration("time", 300*time.Millisecond, "`time` of one measurement")
	root := flag.String("root", "../..", "`folder` of the repository")
	flag.Parse()
	if flag.Arg(0) != "native" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: bench [flags] native")
		os.Exit(2)
	}
	if err := run(*root, *rounds, *each); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(root string, rounds int, each time.Duration) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "build/bench")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	results, err := native.Run(root, dir, rounds, each, os.Stdout)
	if err != nil {
		return err
	}
	table, err := os.Create(filepath.Join(dir, "native.md"))
	if err != nil {
		return err
	}
	defer table.Close()
	native.Markdown(table, results)
	saved, err := os.Create(filepath.Join(dir, "native.json"))
	if err != nil {
		return err
	}
	defer saved.Close()
	return native.JSON(saved, results)
}
