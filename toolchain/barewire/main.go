// Command barewire makes bootable images of pure-Go Linux programs.
//
//	barewire build [-o file] PKG
package main

import (
	"flag"
	"fmt"
	"os"
	"path"

	"barewire/toolchain"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "barewire:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || args[0] != "build" {
		return fmt.Errorf("usage: barewire build [-o file] PKG")
	}
	fl := flag.NewFlagSet("build", flag.ExitOnError)
	out := fl.String("o", "", "write the image to `file`")
	fl.Parse(args[1:])
	if fl.NArg() != 1 {
		return fmt.Errorf("usage: barewire build [-o file] PKG")
	}
	b, err := toolchain.NewBuilder()
	if err != nil {
		return err
	}
	defer b.Close()
	if *out == "" {
		*out = path.Base(fl.Arg(0)) + ".elf"
	}
	if err := b.Build(fl.Arg(0), *out); err != nil {
		return err
	}
	s, err := toolchain.ImageSizes(*out)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %v\n", *out, s)
	return nil
}
