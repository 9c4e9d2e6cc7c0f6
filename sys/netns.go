package sys

import (
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/napi/proc"
	"barewire/napi/sysctl"
	"barewire/sys/vfs"
)

// Network namespaces as programs name them (Linux: kernel/nsproxy.c,
// fs/nsfs.c).
//
// A thread that has a namespace of its own is a goroutine here: there is one
// processor's worth of threads for all of them, so unshare and setns act on the
// goroutine that calls, locked or not, and a goroutine begins in the first
// namespace whoever started it. That is what a program sees on Linux that locks
// the goroutine to its thread first, as it must, since Go starts threads from a
// clean one.
//
// A namespace lives as long as something stands for it: a goroutine in it, one
// of its sockets, an open file of it, a name it is bound to. A goroutine that
// ends without going back stands for it for ever, hence the bound.

// maxNetns bounds the namespaces beside the first (Linux:
// user.max_net_namespaces): ENOSPC.
const maxNetns = 64

// Namespace is a network: what its sockets, its files and its devices are.
type Namespace struct {
	// SockCreate makes a socket. Nil: EAFNOSUPPORT.
	SockCreate SockCreate
	// Net is its devices. Nil: none.
	Net *napi.Net
	// Close ends it, when nothing stands for it any more.
	Close func()
}

// netns is a namespace with who uses it.
type netns struct {
	Namespace
	num   uint64
	inode *vfs.Inode
	refs  int // guarded by namespaces.mu; the first has one for ever
}

// namespaces are those of a Kernel, and which goroutine is in which.
type namespaces struct {
	first  *netns
	elsewh atomic.Int32 // goroutines that are not in the first

	mu      sync.Mutex
	threads map[uint64]*netns
	byNet   map[*napi.Net]*netns
	num     uint64
}

// The numbers of the namespaces that are not networks' are Linux's own; the
// first network's is the one after them that programs know it by.
const (
	firstNetns  = 4026531833
	nsfsMagic   = 0x6e736673
	cloneNewnet = 0x40000000
)

// initNamespaces enters the network the kernel was made with.
func (k *Kernel) initNamespaces() {
	k.ns.threads, k.ns.byNet = map[uint64]*netns{}, map[*napi.Net]*netns{}
	k.ns.num = firstNetns - 1
	k.ns.first = k.newNetns(Namespace{SockCreate: k.cfg.SockCreate, Net: k.cfg.Net})
}

// newNetns makes the record of a namespace, with one reference.
func (k *Kernel) newNetns(n Namespace) *netns {
	s := &k.ns
	s.mu.Lock()
	s.num++
	ns := &netns{Namespace: n, num: s.num, refs: 1}
	s.byNet[n.Net] = ns
	s.mu.Unlock()
	ns.inode = k.fs.Special(&vfs.Mount{Dev: 5, Magic: nsfsMagic}, ns.num, vfs.Node{Priv: ns})
	return ns
}

// netns returns the namespace of the calling goroutine.
func (k *Kernel) netns() *netns {
	if k.ns.elsewh.Load() == 0 {
		return k.ns.first
	}
	k.ns.mu.Lock()
	defer k.ns.mu.Unlock()
	if ns := k.ns.threads[k.cfg.Thread()]; ns != nil {
		return ns
	}
	return k.ns.first
}

// get takes a reference; false when it is gone already.
func (k *Kernel) getNetns(ns *netns) bool {
	k.ns.mu.Lock()
	defer k.ns.mu.Unlock()
	if ns.refs == 0 {
		return false
	}
	ns.refs++
	return true
}

// put gives it back, and ends a namespace without any.
func (k *Kernel) putNetns(ns *netns) {
	k.ns.mu.Lock()
	ns.refs--
	gone := ns.refs == 0
	if gone {
		delete(k.ns.byNet, ns.Net)
	}
	k.ns.mu.Unlock()
	if gone && ns.Close != nil {
		ns.Close()
	}
}

// enterNetns moves the calling goroutine, taking over the caller's reference.
func (k *Kernel) enterNetns(ns *netns) {
	s, id := &k.ns, k.cfg.Thread()
	s.mu.Lock()
	old := s.threads[id]
	if ns == s.first {
		delete(s.threads, id)
	} else {
		s.threads[id] = ns
	}
	s.elsewh.Store(int32(len(s.threads)))
	s.mu.Unlock()
	if ns == s.first {
		k.putNetns(ns)
	}
	if old != nil {
		k.putNetns(old)
	}
}

// sysUnshare gives the calling goroutine a new network (Linux: ksys_unshare).
// Files and directories are not shared with anybody, so that they may be asked
// for; of other namespaces there is one.
func sysUnshare(k *Kernel, a args) (uintptr, Errno) {
	const files, fs = 0x400, 0x200
	flags := uint32(a.a0)
	if flags&^(files|fs|cloneNewnet) != 0 {
		return 0, syscall.EPERM
	}
	if flags&cloneNewnet == 0 {
		return 0, 0
	}
	if k.cfg.NewNet == nil || k.cfg.Thread == nil {
		return 0, syscall.EINVAL // as without CONFIG_NET_NS
	}
	k.ns.mu.Lock()
	full := len(k.ns.byNet) > maxNetns
	k.ns.mu.Unlock()
	if full {
		return 0, syscall.ENOSPC
	}
	n, err := k.cfg.NewNet()
	if err != nil {
		return 0, errnoOf(err)
	}
	k.enterNetns(k.newNetns(n))
	return 0, 0
}

// sysSetns moves the calling goroutine into the namespace of a file (Linux:
// kernel/nsproxy.c). EINVAL for another file, or another kind than is asked.
func sysSetns(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	n, ok := f.ops.(*nsFile)
	if !ok || a.a1 != 0 && uint32(a.a1) != cloneNewnet {
		return 0, syscall.EINVAL
	}
	if n.ns != k.ns.first && k.cfg.Thread == nil || !k.getNetns(n.ns) {
		return 0, syscall.EINVAL
	}
	k.enterNetns(n.ns)
	return 0, 0
}

// sysMount binds a namespace to a name (Linux: do_loopback), which is all that
// can be mounted: EPERM for anything else.
func sysMount(k *Kernel, a args) (uintptr, Errno) {
	const bind, silent, rec, private, shared = 0x1000, 0x8000, 0x4000, 1 << 18, 1 << 20
	flags := a.a3
	if flags&(private|shared) != 0 && flags&bind == 0 {
		return 0, 0 // how mounts spread; there is nobody to spread them to
	}
	if flags&bind == 0 {
		return 0, syscall.EPERM
	}
	i, e := k.inode(atCwd, a.a0, true, 0)
	if e != 0 {
		return 0, e
	}
	if i.Kind() == syscall.S_IFDIR && flags&rec != 0 {
		return 0, 0 // a directory over itself, so that mounts in it are shared: ip netns
	}
	ns := netnsOf(i)
	if ns == nil {
		return 0, syscall.EPERM
	}
	at, path, e := k.at(atCwd, a.a1)
	if e != 0 {
		return 0, e
	}
	if !k.getNetns(ns) {
		return 0, syscall.ENOENT
	}
	if e := k.fs.Bind(at, path, i); e != 0 {
		k.putNetns(ns)
		return 0, e
	}
	return 0, 0
}

// sysUmount2 takes such a name away; what else is mounted stays: EPERM.
func sysUmount2(k *Kernel, a args) (uintptr, Errno) {
	at, path, e := k.at(atCwd, a.a0)
	if e != 0 {
		return 0, e
	}
	i, e := k.fs.Unbind(at, path)
	if e == syscall.EINVAL {
		if j, e := k.fs.Lookup(at, path, true); e == 0 && j.IsMountRoot() {
			return 0, syscall.EPERM
		}
	}
	if e != 0 {
		return 0, e
	}
	k.putNetns(netnsOf(i))
	return 0, 0
}

// netnsOf returns the namespace an inode stands for, nil if it is another's.
func netnsOf(i *vfs.Inode) *netns {
	if n := i.Node(); n != nil {
		ns, _ := n.Priv.(*netns)
		return ns
	}
	return nil
}

// nsFile is an open namespace (Linux: ns_file_operations).
type nsFile struct {
	baseFile
	ns *netns
}

// openNetns makes the file of a namespace; ENOENT when it is gone already.
func (k *Kernel) openNetns(ns *netns) (fileOps, Errno) {
	if !k.getNetns(ns) {
		return nil, syscall.ENOENT
	}
	return &nsFile{ns: ns}, 0
}

func (*nsFile) stat(*File, *syscall.Stat_t) {}

func (n *nsFile) release(f *File) { f.k.putNetns(n.ns) }

// ioctl answers what kind of namespace it is.
func (n *nsFile) ioctl(_ *File, cmd, _ uintptr) (uintptr, Errno) {
	const getNstype = 0xb703
	if cmd == getNstype {
		return cloneNewnet, 0
	}
	return 0, syscall.ENOTTY
}

func (ns *netns) name() string { return "net:[" + strconv.FormatUint(ns.num, 10) + "]" }

// NetOfFile returns the devices of the namespace a descriptor stands for, for
// IFLA_NET_NS_FD. EBADF, or EINVAL for another file (Linux: get_net_ns_by_fd).
func (k *Kernel) NetOfFile(fd uint32) (*napi.Net, error) {
	f, e := k.files.get(uintptr(fd))
	if e != 0 {
		return nil, e
	}
	defer f.put()
	n, ok := f.ops.(*nsFile)
	if !ok {
		return nil, syscall.EINVAL
	}
	return n.ns.Net, nil
}

// NetOfProcess returns the devices of a process's namespace: the one
// process's is the first. ESRCH for another (Linux: get_net_ns_by_pid).
func (k *Kernel) NetOfProcess(pid uint32) (*napi.Net, error) {
	if pid != initPid {
		return nil, syscall.ESRCH
	}
	return k.ns.first.Net, nil
}

// files returns the namespace's part of /proc/net and /proc/sys, nil without a
// network.
func (k *Kernel) netFiles(ns *netns) (files *proc.Table, settings *sysctl.Table) {
	if ns == k.ns.first {
		files, settings = k.cfg.Proc, k.cfg.Sysctl
	}
	if n := ns.Net; n != nil {
		if files == nil {
			files = n.Proc()
		}
		if settings == nil {
			settings = n.Sysctl()
		}
	}
	return files, settings
}
