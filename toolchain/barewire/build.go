package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"barewire/toolchain"
)

// buildFlags are the flags of every command that makes an image.
type buildFlags struct {
	tags, ldflags string
	pgo           string
	dwarf, pack   bool
	profile       bool
}

func (f *buildFlags) add(fl *flag.FlagSet) {
	fl.StringVar(&f.tags, "tags", "", "further build `tags` of the program, comma-separated")
	fl.StringVar(&f.ldflags, "ldflags", "", "further linker `flags` of the program, such as -X")
	fl.StringVar(&f.pgo, "pgo", cmp.Or(os.Getenv("BAREWIRE_PGO"), "auto"), "optimize for a CPU profile: `auto`, off or a file; auto is the program's default.pgo if it has one, else the kernel's, and off for tests")
	fl.BoolVar(&f.dwarf, "dwarf", false, "keep debug information in the image's file")
	fl.BoolVar(&f.pack, "z", false, "pack the image: less than a third of the size, which its first instructions unpack (0.1 s more to start in QEMU without KVM)")
	fl.BoolVar(&f.profile, "profile", false, "link in the profiles that \"barewire profile\" fetches, which the parameter barewire.pprof=PORT switches on")
}

// builder returns a builder with the flags set; the go command's messages go to messages.
func (f *buildFlags) builder(messages io.Writer) (*toolchain.Builder, error) {
	if f.pack && f.dwarf {
		return nil, usageError("-z and -dwarf: a packed image holds no debug information")
	}
	b, err := toolchain.NewBuilder()
	if err != nil {
		return nil, err
	}
	b.Pack, b.PGO = f.pack, f.pgo
	b.Tags, b.LDFlags, b.DWARF, b.Profile, b.Verbose = f.tags, f.ldflags, f.dwarf, f.profile, messages
	return b, nil
}

// build is "barewire build".
func build(args []string, io streams) error {
	var bf buildFlags
	fl := newFlags("build", "build [-o file] PKG", io)
	out := fl.String("o", "", "write the image to `file` (default: the package's name and .elf)")
	bf.add(fl)
	if _, err := parse(fl, args); err != nil {
		return err
	}
	if fl.NArg() != 1 {
		return usageError("build wants one package: barewire build [-o file] PKG")
	}
	b, err := bf.builder(io.err)
	if err != nil {
		return err
	}
	defer b.Close()
	if *out == "" {
		abs, err := filepath.Abs(fl.Arg(0)) // names "." too
		if err != nil {
			return err
		}
		*out = path.Base(filepath.ToSlash(abs)) + ".elf"
	}
	if err := b.Build(fl.Arg(0), *out); err != nil {
		return err
	}
	sizes, err := toolchain.ImageSizes(*out)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.out, "%s: %v\n", *out, sizes)
	return nil
}
