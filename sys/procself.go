package sys

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"barewire/sys/vfs"
)

// Files of /proc/self that tell of the process (Linux: fs/proc/array.c,
// task_mmu.c, base.c). What is not known is left out, or 0 where a place must
// be filled.

// idMap is the user namespace: every number is itself.
const idMap = "         0          0 4294967295\n"

// procPidStat has the 52 fields of proc_pid_stat(5).
func (k *Kernel) procPidStat() string {
	pages := heapInUse() / pageSize
	// The time since boot is the program's, from the start on.
	return fmt.Sprintf("1 (%s) R 0 1 1 0 -1 4194304 0 0 0 0 %d 0 0 0 20 0 %d 0 0 %d %d %d%s\n",
		k.commName(), k.uptime()/nsPerTick, runtime.GOMAXPROCS(0), pages*pageSize, pages, ^uint64(0), strings.Repeat(" 0", 27))
}

// procStatm: what is there is resident; text and libraries are not told apart.
func (k *Kernel) procStatm() string {
	pages := heapInUse() / pageSize
	return fmt.Sprintf("%d %d 0 0 0 %d 0\n", pages, pages, pages)
}

// procStatus is proc_pid_status.
func (k *Kernel) procStatus() string {
	var b strings.Builder
	kb := heapInUse() >> 10
	caps := uint64(1)<<41 - 1
	fmt.Fprintf(&b, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nTgid:\t1\nNgid:\t0\nPid:\t1\nPPid:\t0\nTracerPid:\t0\n", k.commName(), k.umask.Load())
	fmt.Fprintf(&b, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t%d\nGroups:\t \n", len(*k.files.slots.Load()))
	for _, name := range []string{"NStgid", "NSpid", "NSpgid", "NSsid"} {
		fmt.Fprintf(&b, "%s:\t1\n", name)
	}
	for _, l := range []struct {
		name string
		kb   uint64
	}{{"VmPeak", kb}, {"VmSize", kb}, {"VmLck", 0}, {"VmPin", 0}, {"VmHWM", kb}, {"VmRSS", kb}, {"RssAnon", kb}, {"RssFile", 0}, {"RssShmem", 0}, {"VmData", kb}, {"VmStk", 0}, {"VmExe", 0}, {"VmLib", 0}, {"VmPTE", 0}, {"VmSwap", 0}} {
		fmt.Fprintf(&b, "%s:\t%8d kB\n", l.name, l.kb)
	}
	cpus := runtime.NumCPU()
	fmt.Fprintf(&b, "Threads:\t%d\nSigQ:\t0/0\n", runtime.GOMAXPROCS(0))
	for _, name := range []string{"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh"} {
		fmt.Fprintf(&b, "%s:\t%016x\n", name, 0)
	}
	for _, name := range []string{"CapPrm", "CapEff", "CapBnd"} {
		fmt.Fprintf(&b, "%s:\t%016x\n", name, caps)
	}
	fmt.Fprintf(&b, "CapAmb:\t%016x\nNoNewPrivs:\t0\nSeccomp:\t0\nCpus_allowed:\t%x\nCpus_allowed_list:\t", 0, uint64(1)<<cpus-1)
	if cpus > 1 {
		fmt.Fprintf(&b, "0-%d\n", cpus-1)
	} else {
		b.WriteString("0\n")
	}
	b.WriteString("voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n")
	return b.String()
}

// procLimits is proc_pid_limits.
func (k *Kernel) procLimits() string {
	var b strings.Builder
	row := func(name, soft, hard, unit string) {
		if unit != "" {
			unit = fmt.Sprintf("%-10s", unit)
		}
		fmt.Fprintf(&b, "%-25s %-20s %-20s %s\n", name, soft, hard, unit)
	}
	row("Limit", "Soft Limit", "Hard Limit", "Units")
	k.mu.Lock()
	l := k.rlimits
	k.mu.Unlock()
	value := func(v uint64) string {
		if v == ^uint64(0) {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	for i, d := range []struct{ name, unit string }{
		{"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"},
		{"Max core file size", "bytes"}, {"Max resident set", "bytes"}, {"Max processes", "processes"}, {"Max open files", "files"},
		{"Max locked memory", "bytes"}, {"Max address space", "bytes"}, {"Max file locks", "locks"}, {"Max pending signals", "signals"},
		{"Max msgqueue size", "bytes"}, {"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"},
	} {
		row(d.name, value(l[i].cur), value(l[i].max), d.unit)
	}
	return b.String()
}

// fdinfoDir is /proc/self/fdinfo: a file for each descriptor.
type fdinfoDir struct{ fdDir }

// Lookup implements vfs.Dir.
func (d fdinfoDir) Lookup(name string) (vfs.Node, bool) {
	fd, err := strconv.ParseUint(name, 10, 32)
	if err != nil || strconv.FormatUint(fd, 10) != name || d.file(fd) == nil {
		return vfs.Node{}, false
	}
	return vfs.Node{Mode: 0o444, Text: func(b []byte) ([]byte, Errno) {
		f, e := d.k.files.get(uintptr(fd))
		if e != 0 {
			return nil, syscall.ENOENT
		}
		defer f.put()
		pos := int64(0)
		if s, ok := f.ops.(seekable); ok && f.node != nil {
			pos, _ = s.seek(f, 0, seekCur)
		}
		ino := f.ino
		if f.node != nil {
			ino = f.node.Stat().Ino
		}
		return fmt.Appendf(b, "pos:\t%d\nflags:\t0%o\nmnt_id:\t1\nino:\t%d\n", pos, f.flags.Load(), ino), 0
	}}, true
}
