package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"barewire/qemu/bench/guest"
	"barewire/toolchain/vm"
)

// conditions are what a reader of the figures has to know of machine and moment.
// Absolute figures depend on all of it; ratios of the same run hardly do.
func conditions(root string) []string {
	return []string{
		time.Now().UTC().Format("2006-01-02 15:04 UTC") + ", barewire " + commit(root),
		fmt.Sprintf("host: %d CPUs (%s), Linux %s, %s", runtime.NumCPU(), cpuModel(), strings.TrimSpace(file("/proc/sys/kernel/osrelease")), runtime.Version()),
		qemuVersion() + ", " + accelerator() + ", firmware " + firmware(),
		load("at the beginning"),
	}
}

func file(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

func commit(root string) string {
	cmd := exec.Command("git", "describe", "--always", "--dirty", "--tags")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "of an unknown commit"
	}
	return firstLine(string(out))
}

var modelName = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)

func cpuModel() string {
	if m := modelName.FindStringSubmatch(file("/proc/cpuinfo")); m != nil {
		return m[1]
	}
	return runtime.GOARCH
}

// load is the host's load: what else ran beside the measurement.
func load(when string) string {
	f := strings.Fields(file("/proc/loadavg"))
	if len(f) == 0 {
		return "load " + when + " unknown"
	}
	return fmt.Sprintf("load %s: %s", when, f[0])
}

func qemuVersion() string {
	binary, err := vm.FindQEMU()
	if err != nil {
		return "no QEMU"
	}
	out, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return "QEMU of unknown version"
	}
	return firstLine(string(out))
}

func firmware() string {
	name, _ := guest.Firmware()
	return name
}

func accelerator() string {
	if vm.KVMUsable() {
		return "KVM"
	}
	return "TCG (" + vm.KVMStatus() + ")"
}
