package sys

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/napi/proc"
	"barewire/napi/sysctl"
	"barewire/sys/vfs"
)

// Console is the machine's console, as the board has it.
type Console interface {
	// Read blocks until there is input and returns how many bytes of it were
	// stored in p; 0 means that there will be no more.
	Read(p []byte) int
	// Write writes all of p.
	Write(p []byte)
}

// Config is what a Kernel stands on. Clock is required; everything else may be
// left out, and what it is for then answers as the comment says.
type Config struct {
	// SockCreate makes a socket (Linux: sock_create); see InetSockets. Nil:
	// EAFNOSUPPORT.
	SockCreate SockCreate
	// Console is what descriptors 0, 1 and 2 are. Nil: they are /dev/null.
	Console Console
	// Clock is the stack's clock.
	Clock napi.Clock
	// WallClock returns the time since 1970 UTC. Nil: Clock.
	WallClock func() (sec int64, nsec int32)
	// SetWallClock sets it. Nil: setting the time is EPERM.
	SetWallClock func(sec int64, nsec int32)
	// Random fills b with cryptographically strong bytes. Nil: getrandom is
	// ENOSYS and the random devices fail with EIO.
	Random func(b []byte)
	// Exit ends the machine with a process's exit status. It returns only in
	// tests; exit_group is then success.
	Exit func(code int)
	// PollReady wakes the runtime's poller for a poll descriptor: mode is 'r',
	// 'w' or 'r'+'w'. Softirq context. Nil: PollOpen refuses every file.
	PollReady func(pd uintptr, mode int32)
	// Hostname is uname's node name. Empty: "(none)" as Linux has it.
	Hostname string
	// Version is uname's version, what the image was built from.
	Version string
	// MemTotal is the machine's memory in bytes, for sysinfo and as the bound
	// of mmap. 0: 128 MiB.
	MemTotal uint64
	// TaskStart and TaskSize bound user memory: the first address that is, and
	// the first above it that is not. Outside is EFAULT. 0: one page, 1<<47.
	TaskStart, TaskSize uintptr
	// Initramfs are cpio archives in the newc format, plain or gzip-compressed,
	// unpacked into the root directory in this order. One that is broken is
	// reported with Log as far as it was read.
	Initramfs [][]byte
	// Firmware returns the files that the host gave through QEMU's firmware
	// configuration device, and its revision; it is asked once, when somebody
	// looks. Nil: no device.
	Firmware func() (files []FirmwareFile, revision uint32)
	// Interrupts counts the machine's, for /proc/interrupts. Nil: none.
	Interrupts func() []Interrupt
	// CommandLine is the kernel command line, for /proc/cmdline.
	CommandLine string
	// NewNet makes a network for unshare(CLONE_NEWNET), and Thread names the
	// calling goroutine, whose number is never given to another. Without both
	// there is one network: EINVAL.
	NewNet func() (Namespace, error)
	Thread func() uint64
	// Net is whose devices /sys/class/net shows. Nil: none.
	Net *napi.Net
	// Proc is the files of /proc/net. Nil: those of Net.
	Proc *proc.Table
	// Sysctl is the settings below /proc/sys. Nil: those of Net.
	Sysctl *sysctl.Table
	// FilesMax bounds the bytes in files that were written (ENOSPC), MaxInodes
	// their number. 0: a quarter of MemTotal, one for 16 KiB of it.
	FilesMax  int64
	MaxInodes int64
	// Log receives the lines Debug asks for. Nil: none.
	Log func(string)
	// KernelLog is what syslog reads. Nil: ENOSYS.
	KernelLog *KernelLog
	// Debug reports each call that is not implemented, once.
	Debug bool
}

// Kernel is the system-call interface of one process over one stack.
type Kernel struct {
	cfg       Config
	taskStart uintptr
	taskSize  uintptr
	boot      int64 // Clock at New
	files     fdTable
	frames    sync.Pool // *frame
	names     sync.Pool // *[sock.MaxAddr]byte
	nextIno   atomic.Uint64
	console   *File
	mm        memory
	epMu      sync.Mutex // nesting of epoll files
	ns        namespaces
	fs        *vfs.FS
	settings  sysctl.Table // those that are not the network's

	mu         sync.Mutex // guards the following
	cwd        *vfs.Inode // held
	hostname   string
	domainname string
	comm       [16]byte // PR_SET_NAME
	rlimits    [nrRlimits]rlimit

	umask          atomic.Uint32
	calls          atomic.Uint64
	unimplemented  [numNames]atomic.Uint64
	unknownNumbers atomic.Uint64
	zone           atomic.Pointer[timezone] // of settimeofday; nil until one is set
}

// New makes a kernel with descriptors 0, 1 and 2 on the console.
func New(cfg Config) *Kernel {
	k := &Kernel{cfg: cfg, taskStart: max(cfg.TaskStart, pageSize), taskSize: cfg.TaskSize, hostname: cfg.Hostname, domainname: "(none)"}
	if k.taskSize == 0 {
		k.taskSize = 1 << 47
	}
	if k.hostname == "" {
		k.hostname = "(none)"
	}
	if k.cfg.MemTotal == 0 {
		k.cfg.MemTotal = 128 << 20
	}
	if k.cfg.Exit == nil {
		k.cfg.Exit = func(int) {}
	}
	k.boot = cfg.Clock.Now()
	k.frames.New = func() any { return new(frame) }
	k.umask.Store(0o022)
	copy(k.comm[:], "init")
	k.initRlimits()
	k.files.init(nrOpenMax)
	k.mountRoot()
	k.openConsole()
	return k
}

// args are the arguments of a call, in order.
type args struct{ a0, a1, a2, a3, a4, a5 uintptr }

// callFunc answers one system call. A non-zero Errno makes the result -1.
type callFunc func(k *Kernel, a args) (uintptr, Errno)

// Syscall answers system call num (Linux: do_syscall_64). errno is 0 or the
// error, and r1 is then ^0. Pointers are passed as addresses; the directive
// keeps what they point to alive and in place meanwhile.
//
//go:uintptrescapes
func (k *Kernel) Syscall(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
	k.calls.Add(1)
	if num < uintptr(len(callTable)) {
		if fn := callTable[num]; fn != nil {
			r, e := fn(k, args{a1, a2, a3, a4, a5, a6})
			if e != 0 {
				return ^uintptr(0), 0, uintptr(e)
			}
			return r, 0, 0
		}
	}
	k.notImplemented(num)
	return ^uintptr(0), 0, uintptr(syscall.ENOSYS)
}

// notImplemented counts a call without a function and says so once.
func (k *Kernel) notImplemented(num uintptr) {
	n := k.count(num)
	if n.Add(1) == 1 && k.cfg.Debug {
		k.log("sys: " + callName(num) + " (" + strconv.FormatUint(uint64(num), 10) + ") is not implemented: ENOSYS")
	}
}

func (k *Kernel) count(num uintptr) *atomic.Uint64 {
	if num < numNames {
		return &k.unimplemented[num]
	}
	return &k.unknownNumbers
}

func (k *Kernel) log(s string) {
	if k.cfg.Log != nil {
		k.cfg.Log(s)
	}
}

// Stats is what a Kernel has counted.
type Stats struct {
	Calls         uint64            // system calls made
	Unimplemented map[string]uint64 // calls answered ENOSYS for want of a function, by name
}

// Stats returns the counters.
func (k *Kernel) Stats() Stats {
	s := Stats{Calls: k.calls.Load(), Unimplemented: map[string]uint64{}}
	for i := range k.unimplemented {
		if n := k.unimplemented[i].Load(); n != 0 {
			s.Unimplemented[callName(uintptr(i))] = n
		}
	}
	if n := k.unknownNumbers.Load(); n != 0 {
		s.Unimplemented["unknown"] = n
	}
	return s
}

// frame is the scratch memory of one call, pooled so that reading and writing
// allocate nothing.
type frame struct {
	iov [][]byte
	buf [8][]byte // iov's first backing array
	msg Msg
}

func (k *Kernel) getFrame() *frame {
	fr := k.frames.Get().(*frame)
	fr.iov = fr.buf[:0]
	return fr
}

// putFrame forgets the caller's memory and gives fr back.
func (k *Kernel) putFrame(fr *frame) {
	clear(fr.buf[:])
	fr.iov = nil
	fr.msg.Iov, fr.msg.Control = nil, nil
	k.frames.Put(fr)
}

// wallNow returns the time since 1970 UTC.
func (k *Kernel) wallNow() (sec int64, nsec int64) {
	if k.cfg.WallClock == nil {
		n := k.cfg.Clock.Now()
		return n / 1e9, n % 1e9
	}
	s, ns := k.cfg.WallClock()
	return s, int64(ns)
}

// heapInUse returns the memory the Go heap and its stacks hold. It stops the
// world: for calls that are made rarely.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}
