package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"barewire/toolchain"
	"barewire/toolchain/vm"
)

// A finding is one line of doctor's answer.
type finding struct {
	name   string
	detail string // what was found
	err    error  // what is missing and how to get it; nil if all is well
}

// needFreeMiB is the disk space below which a first build may fail: the go command's cache of std takes most of it.
const needFreeMiB = 1024

// doctor is "barewire doctor".
func doctor(args []string, io streams) error {
	fl := newFlags("doctor", "doctor", io)
	if _, err := parse(fl, args); err != nil {
		return err
	}
	if fl.NArg() != 0 {
		return usageError("doctor takes no arguments")
	}
	missing := 0
	for _, f := range examine() {
		word, text := "ok", f.detail
		if f.err != nil {
			word, text = "MISSING", f.err.Error()
			missing++
		}
		fmt.Fprintf(io.out, "%-8s %-9s %s\n", word, f.name, strings.ReplaceAll(text, "\n", " "))
	}
	if missing > 0 {
		fmt.Fprintf(io.out, "%d of these must be put right before images can be made and run.\n", missing)
		return exitStatus(1)
	}
	fmt.Fprintln(io.out, "Everything needed is here.")
	return nil
}

// examine looks at everything an image's making and running needs. What depends on something missing is left out: its
// cause has been told.
func examine() []finding {
	var all []finding
	add := func(name, detail string, err error) bool {
		all = append(all, finding{name, detail, err})
		return err == nil
	}
	source, err := toolchain.FindSource()
	haveSource := err == nil
	if haveSource {
		add("source", source.Root, nil)
	} else {
		add("source", "", err)
	}
	var stock *toolchain.Go
	if haveSource {
		if stock, err = toolchain.FindGo(source.GoVersion); err == nil {
			add("Go", stock.Version+" in "+stock.Root, nil)
		} else {
			add("Go", "", err)
		}
	}
	cache, err := cacheWritable()
	haveCache := add("cache", cache, err)
	if haveCache {
		add(freeSpace(cache))
	}
	if stock != nil && haveCache {
		derived, err := toolchain.Derive(source, stock, cache)
		detail := ""
		if err == nil {
			detail = "fits " + stock.Version + ", in " + derived.Root
			derived.Close()
		}
		add("port", detail, err)
	}
	qemu, err := vm.FindQEMU()
	if err == nil {
		var out []byte
		if out, err = exec.Command(qemu, "--version").Output(); err == nil {
			line, _, _ := strings.Cut(string(out), "\n")
			qemu = line + " in " + qemu
		} else {
			err = fmt.Errorf("%s does not run: %w; install it anew", qemu, err)
		}
	}
	if add("QEMU", qemu, err) {
		add("KVM", vm.KVMStatus(), nil) // nice to have
	}
	return all
}

// cacheWritable returns the cache folder after writing to it.
func cacheWritable() (string, error) {
	cache, err := toolchain.CacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return "", fmt.Errorf("the cache folder cannot be made: %w; set XDG_CACHE_HOME to a folder that can", err)
	}
	f, err := os.CreateTemp(cache, "tmp-doctor-")
	if err != nil {
		return "", fmt.Errorf("the cache folder is not writable: %w; set XDG_CACHE_HOME to one that is", err)
	}
	f.Close()
	return cache, os.Remove(f.Name())
}

func freeSpace(dir string) (name, detail string, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "disk", "", err
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) >> 20
	if free < needFreeMiB {
		return "disk", "", fmt.Errorf("%d MiB free at %s, a first build wants %d: make room or set XDG_CACHE_HOME and GOCACHE elsewhere",
			free, dir, needFreeMiB)
	}
	return "disk", fmt.Sprintf("%.1f GiB free at %s", float64(free)/1024, dir), nil
}
