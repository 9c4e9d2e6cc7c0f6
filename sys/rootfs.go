package sys

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"barewire/inet/packet"
	"barewire/sys/cpio"
	"barewire/sys/vfs"
)

// The tree a program finds: what the initramfs brought, device nodes, the few
// files of /etc that the Go library looks for, /proc and /sys.

// procMount and sysfsMount are what the generated file systems answer.
func procMount() *vfs.Mount {
	return &vfs.Mount{Dev: 3, Magic: vfs.ProcMagic, AtCreate: syscall.ENOENT}
}

func sysfsMount() *vfs.Mount {
	return &vfs.Mount{Dev: 4, Magic: vfs.SysfsMagic, AtCreate: syscall.EACCES, AtOpenWrite: syscall.EACCES}
}

// device is one node of /dev.
type device struct {
	name         string
	perm         uint32
	major, minor uint64
}

// devices are the nodes made at boot (Linux: devtmpfs); read-only.
var devices = []device{
	{"null", 0o666, 1, minorNull},
	{"zero", 0o666, 1, minorZero},
	{"full", 0o666, 1, minorFull},
	{"random", 0o666, 1, minorRandom},
	{"urandom", 0o666, 1, minorUrandom},
	{"pcapng", 0o400, 10, minorPcapng},
	{"net/tun", 0o666, 10, minorTun},
	{"tty", 0o666, 5, 0},
	{"console", 0o600, 5, 1},
}

// mountRoot makes the tree (Linux: populate_rootfs, and what an init would
// mount).
func (k *Kernel) mountRoot() {
	cfg := vfs.Config{
		MaxBytes:  k.cfg.FilesMax,
		MaxInodes: k.cfg.MaxInodes,
		Now:       func() (int64, int64) { return k.wallNow() },
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = int64(min(k.cfg.MemTotal/4, 1<<40))
	}
	if cfg.MaxInodes == 0 {
		cfg.MaxInodes = int64(min(k.cfg.MemTotal/(16<<10), 1<<30))
	}
	k.fs = vfs.New(cfg)
	k.initNamespaces()
	k.cwd = k.fs.Root()
	k.cwd.Hold()
	for i, a := range k.cfg.Initramfs {
		if err := k.unpack(a); err != nil {
			k.log("initramfs " + strconv.Itoa(i) + ": " + err.Error())
		}
	}
	for _, d := range []string{"/bin", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp"} {
		k.report(d, k.fs.MkdirAll(d, 0o755))
	}
	if i, e := k.fs.Lookup(nil, "/tmp", true); e == 0 {
		i.Chmod(0o1777)
	}
	k.makeDev()
	k.makeEtc()
	// The program is not kept as a file: there is a name for it alone.
	if _, e := k.fs.Lookup(nil, "/init", false); e == syscall.ENOENT {
		k.report("/init", k.fs.Mknod(nil, "/init", syscall.S_IFREG|0o555, 0))
		if i, e := k.fs.Lookup(nil, "/init", false); e == 0 {
			i.Seal()
		}
	}
	k.registerSettings()
	k.report("/proc", k.fs.Mount("/proc", procMount(), vfs.Lazy(k.procTree)))
	k.report("/sys", k.fs.Mount("/sys", sysfsMount(), vfs.Lazy(k.sysTree)))
}

// report says that a part of the tree could not be made, which an initramfs
// can bring about.
func (k *Kernel) report(path string, e Errno) {
	if e != 0 {
		k.log(path + ": " + e.Error())
	}
}

func (k *Kernel) makeDev() {
	// What an archive left there is not hidden but replaced, so that /dev is
	// complete; devtmpfs is a file system of its own in Linux.
	k.report("/dev/net", k.fs.MkdirAll("/dev/net", 0o755))
	for _, d := range devices {
		k.report("/dev/"+d.name, k.fs.Place("/dev/"+d.name,
			vfs.Attr{Mode: syscall.S_IFCHR | d.perm, Rdev: makedev(d.major, d.minor)}, nil))
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		k.report("/dev/"+name, k.fs.Place("/dev/"+name, vfs.Attr{Mode: syscall.S_IFLNK}, []byte(target)))
	}
}

// makeEtc writes what the initramfs does not have.
func (k *Kernel) makeEtc() {
	host := k.hostname
	hosts := "127.0.0.1\tlocalhost\n"
	if host != "(none)" && host != "localhost" {
		hosts += "127.0.1.1\t" + host + "\n"
	}
	for name, text := range map[string]string{
		"hosts":         hosts,
		"hostname":      host + "\n",
		"passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":         "root:x:0:\nnogroup:x:65534:\n",
		"nsswitch.conf": "hosts: files dns\n",
	} {
		if _, e := k.fs.Lookup(nil, "/etc/"+name, false); e == syscall.ENOENT {
			k.report("/etc/"+name, k.fs.Place("/etc/"+name, vfs.Attr{Mode: syscall.S_IFREG | 0o644}, []byte(text)))
		}
	}
}

// maxReports bounds the lines about entries that could not be made.
const maxReports = 8

// unpack adds an initramfs to the tree. Entries that do not fit are reported
// and left out; a broken archive ends there.
func (k *Kernel) unpack(archive []byte) error {
	type id struct{ major, minor, ino uint32 }
	first := map[id]string{} // where each file with several names was put
	bad := 0
	report := func(name string, e Errno) {
		if e == 0 {
			return
		}
		if bad++; bad <= maxReports {
			k.report("initramfs: "+name, e)
		} else if bad == maxReports+1 {
			k.log("initramfs: more entries could not be made")
		}
	}
	return cpio.Walk(archive, int64(min(k.cfg.MemTotal/2, 1<<40)), func(e cpio.Entry) error {
		name := "/" + strings.Trim(e.Name, "/")
		a := vfs.Attr{
			Mode: e.Mode, UID: e.UID, GID: e.GID, Mtime: int64(e.Mtime), Rdev: makedev(uint64(e.RdevMajor), uint64(e.RdevMinor)),
		}
		reg := e.Mode&syscall.S_IFMT == syscall.S_IFREG
		key := id{e.DevMajor, e.DevMinor, e.Ino}
		if reg && e.Nlink > 1 && first[key] != "" {
			// The contents stand with the last of the names (maybe_link).
			if len(e.Data) > 0 {
				report(first[key], k.fs.Place(first[key], a, e.Data))
			}
			i, err := k.fs.Lookup(nil, first[key], false)
			if err == 0 {
				k.fs.Unlink(nil, name)
				err = k.fs.Link(i, nil, name)
			}
			report(name, err)
			return nil
		}
		if reg && e.Nlink > 1 {
			first[key] = name
		}
		report(name, k.fs.Place(name, a, e.Data))
		return nil
	})
}

// openDevice returns what a device node does; ENXIO for one without a driver.
func (k *Kernel) openDevice(rdev uint64) (fileOps, Errno) {
	major, minor := rdev>>8&0xfff, rdev&0xff|rdev>>12&^0xff
	switch major {
	case 1:
		switch minor {
		case minorNull, minorZero, minorFull, minorRandom, minorUrandom:
			return &memDevice{minor: minor}, 0
		}
	case 5:
		if minor <= 1 {
			return k.console.ops, 0
		}
	case 10:
		if minor == minorPcapng && k.cfg.Net != nil {
			return &pcapng{c: packet.NewCapture(k.cfg.Net, packet.CaptureConfig{})}, 0
		}
		if minor == minorTun {
			return &tunFile{}, 0
		}
	}
	return nil, syscall.ENXIO
}

// WriteFile writes a file of the tree, with the directories above it, as boot
// does for /etc/resolv.conf. perm is its permissions if it is new. A generated
// file takes data as one write: WriteFile("/proc/sys/net/ipv4/ip_forward").
// The error is a syscall.Errno.
func (k *Kernel) WriteFile(path string, data []byte, perm uint32) error {
	path = "/" + strings.TrimLeft(path, "/")
	if dir := path[:strings.LastIndexByte(path, '/')+1]; len(dir) > 1 {
		if _, e := k.fs.Lookup(nil, dir, true); e != 0 {
			if e := k.fs.MkdirAll(strings.TrimRight(dir, "/"), 0o755); e != 0 {
				return e
			}
		}
	}
	i, e := k.fs.Open(nil, path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, perm)
	if e != 0 {
		return e
	}
	defer i.Release()
	if n := i.Node(); n != nil {
		if n.Write == nil {
			return syscall.EIO
		}
		if e := n.Write(data); e != 0 {
			return e
		}
		return nil
	}
	if i.Kind() != syscall.S_IFREG {
		return syscall.EINVAL
	}
	n, _, e := i.WriteAt(data, 0)
	switch {
	case e != 0:
		return e
	case n < len(data):
		return syscall.ENOSPC
	}
	return nil
}

// ReadFile returns the contents of a file. The error is a syscall.Errno.
func (k *Kernel) ReadFile(path string) ([]byte, error) {
	i, e := k.fs.Open(nil, path, syscall.O_RDONLY, 0)
	if e != 0 {
		return nil, e
	}
	defer i.Release()
	if i.Kind() == syscall.S_IFDIR {
		return nil, syscall.EISDIR
	}
	if n := i.Node(); n != nil && n.Text != nil {
		b, e := n.Text(nil)
		if e != 0 {
			return nil, e
		}
		return b, nil
	}
	if i.Kind() != syscall.S_IFREG {
		return nil, syscall.EINVAL
	}
	b := make([]byte, i.Size())
	return b[:i.ReadAt(b, 0)], nil
}

// errnoOf finds the Errno in an error of a room below, which may be wrapped.
func errnoOf(err error) Errno {
	if err == nil {
		return 0
	}
	var e Errno
	if errors.As(err, &e) {
		return e
	}
	return syscall.EIO
}

// trimLine returns what was written to a file without the newline, spaces and
// NULs around it.
func trimLine(p []byte) string { return strings.Trim(string(p), " \t\n\x00") }
