package sys

import (
	"runtime"
	"strconv"
	"syscall"
)

// The one process: pid 1, root, no children, no signals.

const initPid = 1

// ret returns a call that always answers v.
func ret(v uintptr) callFunc { return func(*Kernel, args) (uintptr, Errno) { return v, 0 } }

func sysExit(k *Kernel, a args) (uintptr, Errno) {
	k.cfg.Exit(int(a.a0 & 0xff))
	return 0, 0
}

// sysKill has nobody to deliver to but this process, which has no handlers in
// the kernel. Signals that would end it do, with status 128+n, SIGKILL and
// init's usual immunity notwithstanding: a program that kills itself means to
// end. Signals ignored by default are; others (user-defined, stop) cannot be
// delivered: ENOSYS.
func (k *Kernel) kill(sig uint32) (uintptr, Errno) {
	if sig > 64 {
		return 0, syscall.EINVAL
	}
	switch syscall.Signal(sig) {
	case 0, syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGPIPE:
		return 0, 0
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT,
		syscall.SIGBUS, syscall.SIGFPE, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGTERM:
		k.log("sys: ended by signal " + strconv.Itoa(int(sig)))
		k.cfg.Exit(128 + int(sig))
		return 0, 0
	}
	return 0, syscall.ENOSYS
}

func sysKill(k *Kernel, a args) (uintptr, Errno) {
	if a.a1 > 64 {
		return 0, syscall.EINVAL
	}
	switch pid := int32(a.a0); pid {
	case initPid, 0, -initPid:
		return k.kill(uint32(a.a1))
	}
	return 0, syscall.ESRCH
}

func sysTkill(k *Kernel, a args) (uintptr, Errno) {
	if int32(a.a0) <= 0 {
		return 0, syscall.EINVAL
	}
	return sysKill(k, a)
}

func sysTgkill(k *Kernel, a args) (uintptr, Errno) {
	if int32(a.a0) <= 0 || int32(a.a1) <= 0 {
		return 0, syscall.EINVAL
	}
	if int32(a.a0) != initPid {
		return 0, syscall.ESRCH
	}
	return sysKill(k, args{a0: a.a1, a1: a.a2})
}

// ofSelf guards calls that take a pid and have an answer for this process.
func ofSelf(pid uintptr) Errno {
	if p := int32(pid); p != 0 && p != initPid {
		return syscall.ESRCH
	}
	return 0
}

// sysGetpgid answers getpgid and getsid.
func sysGetpgid(k *Kernel, a args) (uintptr, Errno) { return initPid, ofSelf(a.a0) }

func sysSchedGetaffinity(k *Kernel, a args) (uintptr, Errno) {
	size := uint32(a.a1)
	n := runtime.NumCPU()
	if int(size)*8 < n || size%8 != 0 {
		return 0, syscall.EINVAL
	}
	if e := ofSelf(a.a0); e != 0 {
		return 0, e
	}
	mask := make([]byte, min(int(size), (n+63)/64*8))
	for i := range n {
		mask[i/8] |= 1 << (i % 8)
	}
	return uintptr(len(mask)), k.copyBytesTo(a.a2, mask)
}

func sysSchedYield(*Kernel, args) (uintptr, Errno) {
	runtime.Gosched()
	return 0, 0
}

func sysGetcpu(k *Kernel, a args) (uintptr, Errno) {
	cpu := 0
	if k.cfg.Net != nil {
		cpu = k.cfg.Net.ThisSoftNet().CPU()
	}
	const node = 0
	for i, addr := range []uintptr{a.a0, a.a1} {
		if addr != 0 {
			if e := copyTo(k, addr, uint32([]int{cpu, node}[i])); e != 0 {
				return 0, e
			}
		}
	}
	return 0, 0
}

func sysGetrandom(k *Kernel, a args) (uintptr, Errno) {
	const flags = 1 | 2 | 4 // GRND_NONBLOCK, RANDOM, INSECURE
	if uint32(a.a2)&^flags != 0 || uint32(a.a2)&6 == 6 {
		return 0, syscall.EINVAL
	}
	b, e := k.userBytes(a.a0, min(a.a1, maxRWCount))
	if e != 0 {
		return 0, e
	}
	if k.cfg.Random == nil {
		return 0, syscall.ENOSYS
	}
	if len(b) > 0 {
		k.cfg.Random(b)
	}
	return uintptr(len(b)), 0
}

// Release is the kernel version programs see (uname -r). Programs compare it
// with the version that brought a feature; the calls they then try answer for
// themselves.
const Release = "6.1.0-barewire"

// utsname is struct new_utsname.
type utsname struct {
	sysname, nodename, release, version, machine, domainname [65]byte
}

func sysUname(k *Kernel, a args) (uintptr, Errno) {
	var u utsname
	k.mu.Lock()
	host, domain := k.hostname, k.domainname
	k.mu.Unlock()
	version := k.cfg.Version
	if version == "" {
		version = "#1"
	}
	copy(u.sysname[:64], "Linux")
	copy(u.nodename[:64], host)
	copy(u.release[:64], Release)
	copy(u.version[:64], version)
	copy(u.machine[:64], "x86_64")
	copy(u.domainname[:64], domain)
	return 0, copyTo(k, a.a0, u)
}

// Hostname returns the node name.
func (k *Kernel) Hostname() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hostname
}

func sysSethostname(k *Kernel, a args) (uintptr, Errno) { return k.setName(&k.hostname, a) }

func sysSetdomainname(k *Kernel, a args) (uintptr, Errno) { return k.setName(&k.domainname, a) }

func (k *Kernel) setName(to *string, a args) (uintptr, Errno) {
	if int32(a.a1) < 0 || int32(a.a1) > 64 {
		return 0, syscall.EINVAL
	}
	b, e := k.userBytes(a.a0, uintptr(uint32(a.a1)))
	if e != 0 {
		return 0, e
	}
	k.mu.Lock()
	*to = string(b)
	k.mu.Unlock()
	return 0, 0
}

// Resource limits. Only the number of descriptors is enforced.

type rlimit struct{ cur, max uint64 }

const (
	nrRlimits    = 16
	rlimitStack  = 3
	rlimitNofile = 7
)

func (k *Kernel) initRlimits() {
	for i := range k.rlimits {
		k.rlimits[i] = rlimit{^uint64(0), ^uint64(0)}
	}
	k.rlimits[rlimitNofile] = rlimit{nrOpenMax, nrOpenMax}
	k.rlimits[rlimitStack].cur = 8 << 20
}

func sysGetrlimit(k *Kernel, a args) (uintptr, Errno) { return k.prlimit(a.a0, 0, a.a1) }

func sysSetrlimit(k *Kernel, a args) (uintptr, Errno) {
	if !k.accessOK(a.a1, 16) {
		return 0, syscall.EFAULT
	}
	return k.prlimit(a.a0, a.a1, 0)
}

func sysPrlimit64(k *Kernel, a args) (uintptr, Errno) {
	if e := ofSelf(a.a0); e != 0 {
		return 0, e
	}
	return k.prlimit(a.a1, a.a2, a.a3)
}

func (k *Kernel) prlimit(res, set, get uintptr) (uintptr, Errno) {
	if uint32(res) >= nrRlimits {
		return 0, syscall.EINVAL
	}
	var lim rlimit
	if set != 0 {
		var e Errno
		if lim, e = copyFrom[rlimit](k, set); e != 0 {
			return 0, e
		}
		if lim.cur > lim.max {
			return 0, syscall.EINVAL
		}
		if uint32(res) == rlimitNofile && lim.max > nrOpenMax {
			return 0, syscall.EPERM
		}
	}
	k.mu.Lock()
	old := k.rlimits[uint32(res)]
	if set != 0 {
		k.rlimits[uint32(res)] = lim
		if uint32(res) == rlimitNofile {
			k.files.limit.Store(int64(lim.cur))
		}
	}
	k.mu.Unlock()
	if get == 0 {
		return 0, 0
	}
	return 0, copyTo(k, get, old)
}

func sysGetrusage(k *Kernel, a args) (uintptr, Errno) {
	const children, self, thread = -1, 0, 1
	var ru syscall.Rusage
	switch int32(a.a0) {
	case self, thread:
		ru.Utime = syscall.NsecToTimeval(k.uptime())
		ru.Maxrss = int64(heapInUse() >> 10)
	case children:
	default:
		return 0, syscall.EINVAL
	}
	return 0, copyTo(k, a.a1, ru)
}

func sysSysinfo(k *Kernel, a args) (uintptr, Errno) {
	used := min(heapInUse(), k.cfg.MemTotal)
	return 0, copyTo(k, a.a0, syscall.Sysinfo_t{
		Uptime:   k.uptime() / 1e9,
		Totalram: k.cfg.MemTotal,
		Freeram:  k.cfg.MemTotal - used,
		Procs:    1,
		Unit:     1,
	})
}

func sysUmask(k *Kernel, a args) (uintptr, Errno) {
	return uintptr(k.umask.Swap(uint32(a.a0) & 0o777)), 0
}

// sysPrctl knows the thread's name and what is true by nature here.
func sysPrctl(k *Kernel, a args) (uintptr, Errno) {
	const (
		prGetDumpable   = 3
		prSetName       = 15
		prGetName       = 16
		prSetNoNewPrivs = 38
		prGetNoNewPrivs = 39
	)
	switch uint32(a.a0) {
	case prGetDumpable, prGetNoNewPrivs:
		return 0, 0
	case prSetNoNewPrivs:
		if a.a1 != 1 || a.a2|a.a3|a.a4 != 0 {
			return 0, syscall.EINVAL
		}
		return 0, 0
	case prSetName:
		var name [16]byte
		for i := uintptr(0); i < 15; i++ {
			c, e := copyFrom[byte](k, a.a1+i)
			if e != 0 {
				return 0, e
			}
			if c == 0 {
				break
			}
			name[i] = c
		}
		k.mu.Lock()
		k.comm = name
		k.mu.Unlock()
		return 0, 0
	case prGetName:
		k.mu.Lock()
		name := k.comm
		k.mu.Unlock()
		return 0, copyTo(k, a.a1, name)
	}
	return 0, syscall.EINVAL
}

// Signals never come, so a disposition is only remembered by whoever set it.

func sysRtSigaction(k *Kernel, a args) (uintptr, Errno) {
	sig := int32(a.a0)
	if a.a3 != 8 || sig < 1 || sig > 64 {
		return 0, syscall.EINVAL
	}
	if a.a1 != 0 && (sig == int32(syscall.SIGKILL) || sig == int32(syscall.SIGSTOP)) {
		return 0, syscall.EINVAL
	}
	if a.a2 != 0 {
		return 0, copyTo(k, a.a2, [32]byte{}) // SIG_DFL
	}
	return 0, 0
}

func sysRtSigprocmask(k *Kernel, a args) (uintptr, Errno) {
	if a.a3 != 8 {
		return 0, syscall.EINVAL
	}
	if a.a1 != 0 && int32(a.a0) > 2 {
		return 0, syscall.EINVAL
	}
	if a.a2 != 0 {
		return 0, copyTo(k, a.a2, uint64(0))
	}
	return 0, 0
}

func sysSigaltstack(k *Kernel, a args) (uintptr, Errno) {
	if a.a1 != 0 {
		const disable = 2
		return 0, copyTo(k, a.a1, [3]uint64{1: disable})
	}
	return 0, 0
}

// sysGetgroups: root is in no further group.
func sysGetgroups(_ *Kernel, a args) (uintptr, Errno) {
	if int32(a.a0) < 0 {
		return 0, syscall.EINVAL
	}
	return 0, 0
}

// sysGetresid stores three zero ids.
func sysGetresid(k *Kernel, a args) (uintptr, Errno) {
	for _, addr := range []uintptr{a.a0, a.a1, a.a2} {
		if e := copyTo(k, addr, uint32(0)); e != 0 {
			return 0, e
		}
	}
	return 0, 0
}
