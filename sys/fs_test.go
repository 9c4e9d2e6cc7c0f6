package sys

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"barewire/napi/proc"
	"barewire/napi/sysctl"
	"barewire/sys/vfs"
)

// open opens a path, read returns all of a file through read(2).
func (tk *testKernel) open(path string, flags uintptr) uintptr {
	tk.t.Helper()
	return tk.must(syscall.SYS_OPEN, ptr(cstr(path)), flags, 0o644)
}

func (tk *testKernel) read(path string) string {
	tk.t.Helper()
	fd := tk.open(path, 0)
	defer tk.must(syscall.SYS_CLOSE, fd)
	var all string
	for {
		s, e := tk.readString(fd, 100)
		if e != 0 {
			tk.t.Fatalf("read %s: %v", path, e)
		}
		if s == "" {
			return all
		}
		all += s
	}
}

func (tk *testKernel) list(path string) []string {
	tk.t.Helper()
	fd := tk.open(path, syscall.O_DIRECTORY)
	defer tk.must(syscall.SYS_CLOSE, fd)
	var l []string
	buf := make([]byte, 300) // small: the position must go on
	for {
		n := tk.must(syscall.SYS_GETDENTS64, fd, ptr(&buf[0]), uintptr(len(buf)))
		if n == 0 {
			slices.Sort(l)
			return l
		}
		_, _, l = syscall.ParseDirent(buf[:n], -1, l)
	}
}

// newc is a cpio entry: name, mode, inode number, links, contents.
func newc(name string, mode, ino, nlink int, data string) string {
	pad := func(s string) string { return s + strings.Repeat("\x00", -len(s)&3) }
	h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino, mode, 7, 8, nlink, 1000, len(data), 0, 0, 1, 3, len(name)+1, 0)
	return pad(h+name+"\x00") + pad(data)
}

func TestInitramfs_unpacked(t *testing.T) {
	end := newc("TRAILER!!!", 0, 0, 1, "")
	one := newc("etc", 0o40755, 1, 2, "") + newc("etc/hosts", 0o100640, 2, 1, "10.0.0.1 me\n") +
		newc("bin/ls", 0o100755, 3, 2, "") + newc("bin/cat", 0o100755, 3, 2, "#!program") + newc("sbin", 0o120777, 4, 1, "bin") + end
	two := newc("etc/hosts", 0o100640, 2, 1, "10.0.0.2 me\n") + newc("../../up", 0o100644, 5, 1, "x") + newc("pipe", 0o10644, 6, 1, "") + end
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(two))
	w.Close()
	tk := newTestKernel(t, func(c *Config) { c.Initramfs = [][]byte{append([]byte(one), z.Bytes()...), []byte("rubbish")} })
	if got := tk.read("/etc/hosts"); got != "10.0.0.2 me\n" {
		t.Errorf("/etc/hosts is %q, want the later archive's", got)
	}
	if got := tk.read("/sbin/ls"); got != "#!program" {
		t.Errorf("/sbin/ls, the first name of two, is %q", got)
	}
	if got := tk.read("/up"); got != "x" {
		t.Errorf("a name that climbs: %q", got)
	}
	var st syscall.Stat_t
	tk.must(syscall.SYS_STAT, ptr(cstr("/bin/cat")), ptr(&st))
	if st.Mode != 0o100755 || st.Nlink != 2 || st.Uid != 7 || st.Gid != 8 || st.Mtim.Sec != 1000 {
		t.Errorf("stat of /bin/cat: %+v", st)
	}
	if l := strings.Join(tk.logs, "\n"); !strings.Contains(l, "/pipe") || !strings.Contains(l, "initramfs 1: ") {
		t.Errorf("what could not be unpacked is not reported: %q", l)
	}
	// What the archive brought is never written in place.
	fd := tk.open("/bin/cat", syscall.O_RDWR)
	tk.writeString(fd, "$")
	if got := tk.read("/bin/ls"); got != "$!program" || !strings.Contains(one, "#!program") {
		t.Errorf("after a write: %q", got)
	}
	b, _ := tk.fs.Usage()
	if b != pageSize {
		t.Errorf("%d bytes counted, want the one page that was written", b)
	}
}

func TestProcSys_settings(t *testing.T) {
	var fwd, dotted atomic.Int32
	var tab sysctl.Table
	tab.Register(sysctl.Int("net.ipv4.ip_forward", &fwd, 0, 1), sysctl.Int("net.ipv4.conf.eth0/100.forwarding", &dotted, 0, 1),
		sysctl.Const("net.ipv4.conf.eth0/100.mc_forwarding", func() string { return "0" }))
	tk := newTestKernel(t, func(c *Config) { c.Sysctl = &tab })
	fd := tk.open("/proc/sys/net/ipv4/ip_forward", syscall.O_RDWR|syscall.O_TRUNC)
	if n, e := tk.writeString(fd, "1\n"); n != 2 || e != 0 || fwd.Load() != 1 {
		t.Errorf("write of 1: %d, %v, value %d", n, e, fwd.Load())
	}
	if _, e := tk.writeString(fd, "2\n"); e != syscall.EINVAL {
		t.Errorf("write of 2: %v", e)
	}
	tk.must(syscall.SYS_LSEEK, fd, 0, 0)
	if s, _ := tk.readString(fd, 10); s != "1\n" {
		t.Errorf("reads %q", s)
	}
	if err := tk.WriteFile("/proc/sys/net/ipv4/conf/eth0.100/forwarding", []byte("1"), 0); err != nil || dotted.Load() != 1 {
		t.Errorf("a device with a dot: %v, value %d", err, dotted.Load())
	}
	tk.fails(syscall.EACCES, syscall.SYS_OPEN, ptr(cstr("/proc/sys/net/ipv4/conf/eth0.100/mc_forwarding")), syscall.O_WRONLY)
	if l := tk.list("/proc/sys/net/ipv4/conf"); !slices.Equal(l, []string{"eth0.100"}) {
		t.Errorf("conf has %v", l)
	}
	if l := tk.list("/proc/sys"); !slices.Equal(l, []string{"fs", "kernel", "net", "vm"}) {
		t.Errorf("/proc/sys has %v", l)
	}
	tk.must(syscall.SYS_CLOSE, fd)
	tk.WriteFile("/proc/sys/kernel/hostname", []byte("newname\n"), 0)
	if tk.Hostname() != "newname" || tk.read("/proc/sys/kernel/hostname") != "newname\n" {
		t.Errorf("hostname %q", tk.Hostname())
	}
	if id := tk.read("/proc/sys/kernel/random/boot_id"); len(id) != 37 || id != tk.read("/proc/sys/kernel/random/boot_id") {
		t.Errorf("boot_id %q", id)
	}
}

func TestProcNet_liveAndOnePass(t *testing.T) {
	var tab proc.Table
	n := 0
	tab.Register("udp", func(b []byte) []byte {
		n++
		return fmt.Appendf(b, "%s made %d\n", strings.Repeat("x", 500), n)
	})
	tab.Register("stat/arp_cache", func(b []byte) []byte { return append(b, "entries\n"...) })
	tk := newTestKernel(t, func(c *Config) { c.Proc = &tab })
	if s := tk.read("/proc/net/udp"); !strings.HasSuffix(s, "made 1\n") || len(s) != 508 {
		t.Errorf("a pass of small reads saw %d bytes, ... %q", len(s), s[len(s)-10:])
	}
	if s := tk.read("/proc/self/net/stat/arp_cache"); s != "entries\n" {
		t.Errorf("stat/arp_cache: %q", s)
	}
	tab.Register("raw", func(b []byte) []byte { return b })
	if l := tk.list("/proc/net"); !slices.Equal(l, []string{"raw", "stat", "udp"}) {
		t.Errorf("/proc/net has %v", l)
	}
	fd := tk.open("/proc/net/udp", syscall.O_WRONLY)
	if _, e := tk.writeString(fd, "x"); e != syscall.EIO {
		t.Errorf("write to it: %v", e)
	}
	tk.fails(syscall.EPERM, syscall.SYS_UNLINK, ptr(cstr("/proc/net/udp")))
	tk.fails(syscall.ENOENT, syscall.SYS_MKDIR, ptr(cstr("/proc/net/x")), 0o755)
}

func TestProc_filesThatProgramsRead(t *testing.T) {
	tk := newTestKernel(t, func(c *Config) { c.CommandLine, c.MemTotal = "quiet ip=dhcp", 64<<20 })
	for path, want := range map[string]string{
		"/proc/cmdline": "quiet ip=dhcp\n", "/proc/meminfo": "MemTotal:          65536 kB\n", "/proc/version": "Linux version " + Release,
		"/proc/loadavg": "0.00 0.00 0.00 1/", "/proc/self/comm": "init\n", "/proc/mounts": "rootfs / rootfs", "/proc/stat": "cpu  ",
		"/proc/1/task/1/status": "Name:\tinit\n", "/proc/filesystems": "nodev\tsysfs\n", "/proc/cpuinfo": "processor\t: 0\n", "/proc/uptime": "0.0",
		"/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tbox\n", "/etc/hostname": "box\n", "/etc/passwd": "root:x:0:0:", "/etc/group": "root:x:0:",
	} {
		if got := tk.read(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s begins with %.60q, want %q", path, got, want)
		}
	}
	fd := tk.open("/dev/stdout", syscall.O_WRONLY)
	tk.writeString(fd, "through a link\n")
	if out := tk.con.written(); out != "through a link\n" {
		t.Errorf("console shows %q", out)
	}
	r, _ := newPipe(tk)
	tk.fails(syscall.ENXIO, syscall.SYS_OPEN, ptr(cstr(fmt.Sprintf("/proc/self/fd/%d", r))), 0)
	buf := make([]byte, 100)
	n := tk.must(syscall.SYS_READLINK, ptr(cstr("/proc/self/fd/0")), ptr(&buf[0]), 100)
	if string(buf[:n]) != "/dev/console" {
		t.Errorf("descriptor 0 is %q", buf[:n])
	}
	tk.must(syscall.SYS_CHDIR, ptr(cstr("/proc/self")))
	tk.must(syscall.SYS_CHDIR, ptr(cstr("../sys/kernel")))
	n = tk.must(syscall.SYS_GETCWD, ptr(&buf[0]), 100)
	if string(buf[:n]) != "/proc/sys/kernel\x00" {
		t.Errorf("getcwd %q", buf[:n])
	}
	tk.fails(syscall.EXDEV, syscall.SYS_RENAME, ptr(cstr("/etc/hosts")), ptr(cstr("/proc/hosts")))
	tk.fails(syscall.EBUSY, syscall.SYS_RENAME, ptr(cstr("/proc")), ptr(cstr("/p")))
	tk.fails(syscall.EBUSY, syscall.SYS_RMDIR, ptr(cstr("/sys")))
	tk.fails(syscall.EPERM, syscall.SYS_MOUNT, 0, 0, 0, 0, 0)
	tk.fails(syscall.EOPNOTSUPP, syscall.SYS_GETXATTR, ptr(cstr("/")), 0, 0, 0)
}

func TestFiles_boundedInBytesAndNumber(t *testing.T) {
	tk := newTestKernel(t, func(c *Config) { c.FilesMax = 4 * pageSize })
	_, used := tk.fs.Usage()
	fd := tk.open("/tmp/big", syscall.O_RDWR|syscall.O_CREAT)
	buf := make([]byte, 5*pageSize)
	if n := tk.must(syscall.SYS_WRITE, fd, ptr(&buf[0]), uintptr(len(buf))); n != 4*pageSize {
		t.Errorf("a write beyond the limit took %d bytes", n)
	}
	tk.fails(syscall.ENOSPC, syscall.SYS_WRITE, fd, ptr(&buf[0]), 1)
	tk.must(syscall.SYS_PWRITE64, fd, ptr(&buf[0]), 9, 0) // a page that is there
	tk.fails(syscall.ENOSPC, syscall.SYS_FALLOCATE, fd, 0, 0, 1<<62)
	var sf [15]uint64
	tk.must(syscall.SYS_STATFS, ptr(cstr("/tmp")), ptr(&sf))
	if sf[0] != vfs.TmpfsMagic || sf[2] != 4 || sf[3] != 0 {
		t.Errorf("statfs %v", sf)
	}
	tk.must(syscall.SYS_UNLINK, ptr(cstr("/tmp/big")))
	if b, _ := tk.fs.Usage(); b != 4*pageSize {
		t.Errorf("%d bytes while the file is open", b)
	}
	tk.must(syscall.SYS_CLOSE, fd)
	if b, n := tk.fs.Usage(); b != 0 || n != used {
		t.Errorf("%d bytes, %d inodes after the file is gone; want 0, %d", b, n, used)
	}
	// A file that is all hole costs nothing.
	fd = tk.open("/tmp/hole", syscall.O_RDWR|syscall.O_CREAT)
	tk.must(syscall.SYS_FTRUNCATE, fd, 1<<50)
	tk.must(syscall.SYS_PWRITE64, fd, ptr(&buf[0]), 1, 1<<49)
	if off := tk.must(syscall.SYS_LSEEK, fd, 0, seekData); off != 1<<49 {
		t.Errorf("SEEK_DATA = %#x", off)
	}

	tk = newTestKernel(t, func(c *Config) { c.MaxInodes = int64(used) + 2 })
	tk.open("/tmp/a", syscall.O_CREAT)
	tk.must(syscall.SYS_LINK, ptr(cstr("/tmp/a")), ptr(cstr("/tmp/b")))
	tk.fails(syscall.ENOSPC, syscall.SYS_OPEN, ptr(cstr("/tmp/c")), syscall.O_CREAT, 0o644)
	tk.fails(syscall.ENOSPC, syscall.SYS_MKDIR, ptr(cstr("/tmp/c")), 0o755)
	tk.fails(syscall.ENOSPC, syscall.SYS_LINK, ptr(cstr("/tmp/a")), ptr(cstr("/tmp/c")))
	tk.fails(syscall.ENOSPC, syscall.SYS_SYMLINK, ptr(cstr("x")), ptr(cstr("/tmp/c")))
	tk.must(syscall.SYS_UNLINK, ptr(cstr("/tmp/b")))
	tk.must(syscall.SYS_MKDIR, ptr(cstr("/tmp/c")), 0o755)
}

func TestPaths_symlinkDepth(t *testing.T) {
	tk := newTestKernel(t)
	tk.open("/tmp/0", syscall.O_CREAT)
	for i := range vfs.MaxSymlinks + 1 {
		tk.must(syscall.SYS_SYMLINK, ptr(cstr(fmt.Sprint(i))), ptr(cstr(fmt.Sprintf("/tmp/%d", i+1))))
	}
	tk.open(fmt.Sprintf("/tmp/%d", vfs.MaxSymlinks), 0)
	tk.fails(syscall.ELOOP, syscall.SYS_OPEN, ptr(cstr(fmt.Sprintf("/tmp/%d", vfs.MaxSymlinks+1))), 0)
}

func TestMmap_fileIsCopied(t *testing.T) {
	tk := newTestKernel(t)
	if err := tk.WriteFile("/data/new/file", bytes.Repeat([]byte("0123456789abcdef"), 300), 0o600); err != nil {
		t.Fatal(err)
	}
	fd := tk.open("/data/new/file", 0)
	addr := tk.must(syscall.SYS_MMAP, 0, 4800, syscall.PROT_READ, syscall.MAP_PRIVATE, fd, 0)
	if m := unsafe.Slice((*byte)(userPtr(addr)), 8192); string(m[4784:4801]) != "0123456789abcdef\x00" {
		t.Errorf("mapped %q", m[4784:4801])
	}
	at := tk.must(syscall.SYS_MMAP, 0, 16, syscall.PROT_READ, syscall.MAP_SHARED, fd, 4096)
	if *(*byte)(userPtr(at)) != '0' {
		t.Error("a mapping from the second page begins wrongly")
	}
	tk.fails(syscall.EACCES, syscall.SYS_MMAP, 0, 16, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED, fd, 0)
	if b, err := tk.ReadFile("/data/new/file"); err != nil || len(b) != 4800 {
		t.Errorf("ReadFile: %d bytes, %v", len(b), err)
	}
}

// Reading and writing a file that exists allocates nothing.
func TestFiles_allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tk := newTestKernel(t)
	fd := tk.open("/tmp/f", syscall.O_RDWR|syscall.O_CREAT)
	b := make([]byte, 100)
	p := ptr(&b[0])
	tk.Syscall(syscall.SYS_PWRITE64, fd, p, 100, 0, 0, 0)
	if n := testing.AllocsPerRun(1000, func() {
		tk.Syscall(syscall.SYS_PWRITE64, fd, p, 100, 0, 0, 0)
		tk.Syscall(syscall.SYS_PREAD64, fd, p, 100, 0, 0, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
