package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"barewire/toolchain/vm"
)

// testMemoryMiB is the RAM tests get unless asked: what a small cloud machine has.
const testMemoryMiB = 512

// test is "barewire test".
func test(args []string, io streams) error {
	var (
		bf buildFlags
		vf vmFlags
	)
	fl := newFlags("test", "test [flags] PKG [-- test flags]", io)
	bf.add(fl)
	vf.add(fl, testMemoryMiB)
	limit := fl.Duration("limit", 10*time.Minute, "end QEMU after this `time`; 0 for never")
	rest, err := parse(fl, args)
	if err != nil {
		return err
	}
	if fl.NArg() != 1 {
		return usageError("test wants one package: barewire test [flags] PKG [-- test flags]")
	}
	if _, err := vm.FindQEMU(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "barewire-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	vf.Kernel = filepath.Join(dir, "test.elf")
	b, err := bf.builder(io.err)
	if err != nil {
		return err
	}
	ok, err := b.BuildTest(fl.Arg(0), vf.Kernel)
	b.Close()
	if err != nil {
		return err
	}
	if !ok {
		fmt.Fprintf(io.out, "?\t%s\t[no test files]\n", fl.Arg(0))
		return nil
	}
	if vf.Append, err = commandLine(vf.Append, testFlags(rest)); err != nil {
		return err
	}
	vf.NICs = []vm.NIC{{Backend: "user"}}
	if !hasParameter(vf.Append, "ip") {
		vf.Append = join(userIP, vf.Append)
	}
	return vf.boot(io, *limit)
}

// testFlags writes the flags of go test (-v, -run=X) as a test binary takes them (-test.v, -test.run=X).
func testFlags(args []string) []string {
	out := []string{"-test.paniconexit0"}
	for _, a := range args {
		if name := strings.TrimLeft(a, "-"); name != a && name != "" && !strings.HasPrefix(name, "test.") {
			a = "-test." + name
		}
		out = append(out, a)
	}
	return out
}
