package sys

import (
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"barewire/napi/proc"
	"barewire/sys/vfs"
)

// /proc (Linux: fs/proc). Only what programs read is here; a number that is
// not known is left out or, where a line must have one, 0.

// text makes a file of what f returns.
func text(f func() string) vfs.Node { return vfs.Node{Text: vfs.Text(f)} }

// constant makes a file that never changes.
func constant(s string) vfs.Node { return text(func() string { return s }) }

// link makes a symbolic link.
func link(target string) vfs.Node {
	return vfs.Node{Target: func() string { return target }}
}

// The mounts as /proc/mounts has them: device, place, type, options.
const mounts = "rootfs / rootfs rw,noatime 0 0\n" +
	"proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n" +
	"sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\n"

const mountinfo = "1 1 0:1 / / rw,noatime - rootfs rootfs rw\n" +
	"2 1 0:3 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n" +
	"3 1 0:4 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw\n"

// procTree is the root of /proc.
func (k *Kernel) procTree() vfs.Dir {
	return vfs.Tree{
		strconv.Itoa(initPid): {Dir: vfs.Lazy(k.procPid)},
		"self":                link(strconv.Itoa(initPid)),
		"thread-self":         link(strconv.Itoa(initPid) + "/task/" + strconv.Itoa(initPid)),
		"net":                 link("self/net"),
		"mounts":              link("self/mounts"),
		"sys":                 {Dir: sysctlDir{k: k}},
		"cmdline":             constant(k.cfg.CommandLine + "\n"),
		"version":             text(k.procVersion),
		"uptime":              text(k.procUptime),
		"loadavg":             text(func() string { return "0.00 0.00 0.00 1/" + strconv.Itoa(runtime.NumGoroutine()) + " 1\n" }),
		"meminfo":             text(k.procMeminfo),
		"cpuinfo":             constant(procCpuinfo(runtime.NumCPU())),
		"stat":                text(k.procStat),
		"interrupts":          text(k.procInterrupts),
		"filesystems":         constant("nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n"),
		"swaps":               constant("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
		"partitions":          constant("major minor  #blocks  name\n\n"),
		"diskstats":           constant(""),
		"modules":             constant(""),
		"devices":             constant("Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n 10 misc\n\nBlock devices:\n"),
	}
}

// procPid is the directory of the one process.
func (k *Kernel) procPid() vfs.Dir {
	t := vfs.Tree{
		"exe":       link("/init"),
		"root":      link("/"),
		"cwd":       {Target: k.cwdPath, Jump: k.cwdInode},
		"fd":        {Dir: fdDir{k}, Mode: 0o500},
		"cmdline":   constant("/init\x00"),
		"comm":      text(func() string { return k.commName() + "\n" }),
		"mounts":    constant(mounts),
		"mountinfo": constant(mountinfo),
		"stat":      text(k.procPidStat),
		"status":    text(k.procStatus),
		"statm":     text(k.procStatm),
		"limits":    text(k.procLimits),
		"cgroup":    constant("0::/\n"),
		"uid_map":   constant(idMap),
		"gid_map":   constant(idMap),
		"oom_score": constant("0\n"),
		"environ":   constant(""),
		"fdinfo":    {Dir: fdinfoDir{fdDir{k}}, Mode: 0o555},
		"net":       {Dir: netDir{k: k}},
		"ns": {Dir: vfs.Tree{"net": {
			Target: func() string { return k.netns().name() },
			Jump:   func() (*vfs.Inode, Errno) { return k.netns().inode, 0 },
		}}},
	}
	task := make(vfs.Tree, len(t))
	for name, n := range t {
		task[name] = n
	}
	t["task"] = vfs.Node{Dir: vfs.Tree{strconv.Itoa(initPid): {Dir: task}}}
	return t
}

func (k *Kernel) cwdInode() (*vfs.Inode, Errno) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cwd, 0
}

func (k *Kernel) cwdPath() string {
	i, _ := k.cwdInode()
	p, e := i.Path()
	if e != 0 {
		return "(deleted)"
	}
	return p
}

func (k *Kernel) commName() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, _, _ := strings.Cut(string(k.comm[:]), "\x00")
	return s
}

func (k *Kernel) version() string {
	if k.cfg.Version == "" {
		return "#1"
	}
	return k.cfg.Version
}

func (k *Kernel) procVersion() string {
	return "Linux version " + Release + " (" + runtime.Version() + ") " + k.version() + "\n"
}

// centis prints nanoseconds as seconds with two places.
func centis(ns int64) string {
	c := ns / 1e7
	s := strconv.FormatInt(c%100, 10)
	if len(s) < 2 {
		s = "0" + s
	}
	return strconv.FormatInt(c/100, 10) + "." + s
}

// procUptime: what the processor idled is not known (see readClock).
func (k *Kernel) procUptime() string { return centis(k.uptime()) + " 0.00\n" }

func (k *Kernel) procMeminfo() string {
	total := k.cfg.MemTotal >> 10
	free := total - min(heapInUse(), k.cfg.MemTotal)>>10
	root := k.fs.Root().Statfs() // whose files are all the cache there is
	files := (root.Blocks - root.Free) * vfs.PageSize >> 10
	var b strings.Builder
	for _, l := range []struct {
		name string
		kb   uint64
	}{{"MemTotal:", total}, {"MemFree:", free}, {"MemAvailable:", free}, {"Buffers:", 0}, {"Cached:", files}, {"SwapCached:", 0},
		{"SwapTotal:", 0}, {"SwapFree:", 0}, {"Dirty:", 0}, {"Writeback:", 0}, {"Shmem:", files}, {"SReclaimable:", 0}} {
		n := strconv.FormatUint(l.kb, 10)
		b.WriteString(l.name + strings.Repeat(" ", max(1, 24-len(l.name)-len(n))) + n + " kB\n")
	}
	return b.String()
}

func procCpuinfo(cpus int) string {
	var b strings.Builder
	for i := range cpus {
		b.WriteString("processor\t: " + strconv.Itoa(i) + "\nphysical id\t: 0\nsiblings\t: " + strconv.Itoa(cpus) +
			"\ncore id\t\t: " + strconv.Itoa(i) + "\ncpu cores\t: " + strconv.Itoa(cpus) + "\n\n")
	}
	return b.String()
}

// procStat counts all time since boot as the program's, an upper bound.
func (k *Kernel) procStat() string {
	ticks, n := k.uptime()/nsPerTick, int64(runtime.NumCPU())
	sec, _ := k.wallNow()
	const rest = " 0 0 0 0 0 0 0 0 0\n"
	s := "cpu  " + strconv.FormatInt(ticks*n, 10) + rest
	for i := range n {
		s += "cpu" + strconv.FormatInt(i, 10) + " " + strconv.FormatInt(ticks, 10) + rest
	}
	return s + "intr " + strconv.FormatUint(k.interruptSum(), 10) + "\nctxt 0\nbtime " + strconv.FormatInt(sec-k.uptime()/1e9, 10) +
		"\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
}

// fdDir is /proc/self/fd: a link for each descriptor, which opens what it
// stands for. Files are looked at without a reference, since dropping the last
// one would end the file with the tree locked; what is read of them never
// changes once they have a descriptor.
type fdDir struct{ k *Kernel }

func (d fdDir) file(fd uint64) *File {
	s := *d.k.files.slots.Load()
	if fd >= uint64(len(s)) {
		return nil
	}
	return s[fd].Load()
}

// Names implements vfs.Dir.
func (d fdDir) Names() []string {
	var l []string
	for fd := range *d.k.files.slots.Load() {
		if d.file(uint64(fd)) != nil {
			l = append(l, strconv.Itoa(fd))
		}
	}
	return l
}

// Lookup implements vfs.Dir.
func (d fdDir) Lookup(name string) (vfs.Node, bool) {
	fd, err := strconv.ParseUint(name, 10, 32)
	if err != nil || strconv.FormatUint(fd, 10) != name {
		return vfs.Node{}, false
	}
	f := d.file(fd)
	if f == nil {
		return vfs.Node{}, false
	}
	node, ops, ino := f.node, f.ops, f.ino
	return vfs.Node{
		Mode:   0o700,
		Target: func() string { return fdName(node, ops, ino) },
		Jump: func() (*vfs.Inode, Errno) {
			if node == nil {
				return nil, syscall.ENXIO // pipes and sockets cannot be opened here
			}
			return node, 0
		},
	}, true
}

// fdName is what readlink of a descriptor shows. Files other than directories
// and devices have no way back to their names.
func fdName(node *vfs.Inode, ops fileOps, ino uint64) string {
	num := "[" + strconv.FormatUint(ino, 10) + "]"
	if _, ok := ops.(*nsFile); node != nil && !ok {
		if p, e := node.Path(); node.Kind() == syscall.S_IFDIR && e == 0 {
			return p
		}
		for _, d := range devices {
			if node.Kind() == syscall.S_IFCHR && node.Rdev() == makedev(d.major, d.minor) {
				return "/dev/" + d.name
			}
		}
		return "inode:[" + strconv.FormatUint(node.Stat().Ino, 10) + "]"
	}
	switch ops := ops.(type) {
	case *nsFile:
		return ops.ns.name()
	case *pipeEnd:
		return "pipe:" + num
	case *sockFile:
		return "socket:" + num
	}
	return "anon_inode:" + num
}

// netDir is a directory of /proc/net: the files below prefix, "" or "stat/", of
// the namespace the caller is in.
type netDir struct {
	k      *Kernel
	prefix string
}

func (d netDir) table() *proc.Table {
	files, _ := d.k.netFiles(d.k.netns())
	return files
}

// Lookup implements vfs.Dir.
func (d netDir) Lookup(name string) (vfs.Node, bool) {
	t := d.table()
	if t == nil {
		return vfs.Node{}, false
	}
	if f, ok := t.File(d.prefix + name); ok {
		return netNode(f), true
	}
	for _, p := range t.Paths() {
		if strings.HasPrefix(p, d.prefix+name+"/") {
			return vfs.Node{Dir: netDir{d.k, d.prefix + name + "/"}}, true
		}
	}
	return vfs.Node{}, false
}

// Names implements vfs.Dir.
func (d netDir) Names() []string {
	t := d.table()
	if t == nil {
		return nil
	}
	return below(t.Paths(), d.prefix, '/')
}

// below returns the next component of all sorted paths that begin with
// prefix, each once.
func below(paths []string, prefix string, sep byte) []string {
	var l []string
	for _, p := range paths {
		rest, ok := strings.CutPrefix(p, prefix)
		if !ok {
			continue
		}
		if i := strings.IndexByte(rest, sep); i >= 0 {
			rest = rest[:i]
		}
		if len(l) == 0 || l[len(l)-1] != rest {
			l = append(l, rest)
		}
	}
	return l
}
