package sys

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"barewire/napi/sysctl"
	"barewire/sys/vfs"
)

// /proc/sys (Linux: fs/proc/proc_sysctl.c): the settings by name, a directory
// for each part of it.

// sysctlDir is a directory of /proc/sys: the settings whose names begin with
// prefix, "" or "net.ipv4.".
type sysctlDir struct {
	k      *Kernel
	prefix string
}

// tables are the kernel's own and those of the caller's namespace, nil without
// a network. The first that has a name wins.
func (d sysctlDir) tables() [2]*sysctl.Table {
	_, settings := d.k.netFiles(d.k.netns())
	return [2]*sysctl.Table{&d.k.settings, settings}
}

// swapDots turns a component of a path into one of a name and back: a dot
// inside it is written as a slash there.
func swapDots(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, s)
}

// Lookup implements vfs.Dir.
func (d sysctlDir) Lookup(name string) (vfs.Node, bool) {
	full := d.prefix + swapDots(name)
	for _, t := range d.tables() {
		if t == nil {
			continue
		}
		if e, ok := t.Lookup(full); ok {
			return setting(t, e), true
		}
	}
	for _, t := range d.tables() {
		if t != nil && t.Below(full) {
			return vfs.Node{Dir: sysctlDir{d.k, full + "."}}, true
		}
	}
	return vfs.Node{}, false
}

// Names implements vfs.Dir.
func (d sysctlDir) Names() []string {
	var l []string
	for _, t := range d.tables() {
		if t != nil {
			l = append(l, below(t.Names(), d.prefix, '.')...)
		}
	}
	for i := range l {
		l[i] = swapDots(l[i])
	}
	slices.Sort(l)
	return slices.Compact(l)
}

// setting is the file of one setting. The mode bits bind root too (Linux:
// sysctl_perm), so one that is read-only cannot be opened for writing.
func setting(t *sysctl.Table, e sysctl.Entry) vfs.Node {
	n := vfs.Node{
		Mode:        0o444,
		Text:        func(b []byte) ([]byte, Errno) { return append(append(b, e.Get()...), '\n'), 0 },
		AtOpenWrite: syscall.EACCES,
	}
	if e.Writable() {
		n.Mode = 0o644
		n.Write = func(p []byte) Errno { return errno(t.Set(e.Name, strings.TrimRight(string(p), "\x00"))) }
	}
	return n
}

// registerSettings enters the settings that are not the network's.
func (k *Kernel) registerSettings() {
	k.settings.RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Const("kernel.ostype", func() string { return "Linux" }),
			sysctl.Const("kernel.osrelease", func() string { return Release }),
			sysctl.Const("kernel.version", k.version),
			sysctl.Entry{Name: "kernel.hostname", Get: k.Hostname, Set: func(s string) error { return k.putName(&k.hostname, s) }},
			sysctl.Entry{Name: "kernel.domainname", Get: func() string {
				k.mu.Lock()
				defer k.mu.Unlock()
				return k.domainname
			}, Set: func(s string) error { return k.putName(&k.domainname, s) }},
			sysctl.Const("kernel.pid_max", func() string { return "32768" }),
			sysctl.Const("kernel.threads-max", func() string { return "1" }),
			sysctl.Const("kernel.random.boot_id", k.bootID()),
			sysctl.Const("kernel.random.uuid", k.uuid),
			sysctl.Const("kernel.random.entropy_avail", func() string { return "256" }),
			sysctl.Const("fs.nr_open", func() string { return strconv.Itoa(nrOpenMax) }),
			sysctl.Const("fs.file-max", func() string { return strconv.Itoa(nrOpenMax) }),
			sysctl.Const("fs.pipe-max-size", func() string { return strconv.Itoa(pipeSize) }),
			sysctl.Const("vm.overcommit_memory", func() string { return "2" }),
		}
	})
}

// putName is proc_do_uts_string: what is too long is cut.
func (k *Kernel) putName(to *string, s string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	*to = strings.Clone(s[:min(len(s), 64)])
	return nil
}

// uuid returns a random UUID (RFC 9562, version 4).
func (k *Kernel) uuid() string {
	var b [16]byte
	if k.cfg.Random != nil {
		k.cfg.Random(b[:])
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	var s []byte
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s = append(s, '-')
		}
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}

// bootID is one UUID for as long as the kernel runs.
func (k *Kernel) bootID() func() string {
	id := k.uuid()
	return func() string { return id }
}
