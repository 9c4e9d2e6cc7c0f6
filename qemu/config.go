package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"barewire/toolchain/vm"
)

// The machines an image is tested on.
const (
	Microvm = vm.Microvm
	Q35     = vm.Q35
)

// A Config says what to launch. The zero value of every field but Kernel is
// usable.
type Config struct {
	Machine string   // Microvm when empty
	Kernel  string   // path of the image
	Append  string   // kernel command line
	Initrd  string   // a PVH module, if any
	Memory  int      // MiB; [vm.DefaultMemoryMiB] when 0
	CPUs    int      // when 0, what the environment's BAREWIRE_SMP says, or 1: so that every test can be run on several
	NICs    []NIC    // network cards, eth0 first
	Accel   string   // [vm.AccelTCG], [vm.AccelKVM]; KVM when empty and it truly works
	Dir     string   // artifacts of the run; none are kept when empty
	Binary  string   // what [vm.FindQEMU] finds when empty
	Extra   []string // further arguments, last
	// NoExitDevice leaves isa-debug-exit out, as other hypervisors do.
	NoExitDevice bool
}

// A NIC is a virtio network card and what it is plugged into.
type NIC struct {
	MAC     string  // 52:54:00:12:34:56, :57, … when empty
	Backend Backend // the other end
	Props   string  // more properties of the device, "mrg_rxbuf=off,mq=on"
	NoPcap  bool    // do not record its frames
}

// A Backend is the host's end of a network card: a [User], or what [NewWire]
// and [Namespace.Tap] return.
type Backend interface {
	// netdev returns the value of a -netdev option, without its id. Files that
	// QEMU shall inherit are passed to file, which returns their number in QEMU.
	netdev(file func(*os.File) int) (string, error)
	// close gives up the files; QEMU has its own copies by then.
	close()
}

// User is QEMU's user-mode network: the guest is 10.0.2.15/24, the host and
// gateway 10.0.2.2. Forwards name ports of the guest that are reached from
// 127.0.0.1; see [VM.HostPort].
type User struct {
	Forwards []Forward
}

// A Forward makes a port of the guest reachable from the host.
type Forward struct {
	Proto     string // "udp" or "tcp"
	HostPort  int    // 0 lets the host choose
	GuestPort int
}

func (u User) netdev(func(*os.File) int) (string, error) {
	v := "user"
	for _, f := range u.Forwards {
		if f.Proto != "udp" && f.Proto != "tcp" {
			return "", fmt.Errorf("qemu: cannot forward protocol %q", f.Proto)
		}
		v += fmt.Sprintf(",hostfwd=%s:127.0.0.1:%d-:%d", f.Proto, f.HostPort, f.GuestPort)
	}
	return v, nil
}

func (User) close() {}

// HostPort returns the host's port that is forwarded to the guest's port, which
// QEMU itself is asked for.
func (m *VM) HostPort(proto string, guestPort int) (int, error) {
	q, err := m.QMP()
	if err != nil {
		return 0, err
	}
	out, err := q.Monitor("info usernet")
	if err != nil {
		return 0, err
	}
	return parseUsernet(out, proto, guestPort)
}

// parseUsernet finds a forwarded port in what "info usernet" prints:
//
//	UDP[HOST_FORWARD]   3       127.0.0.1 35808       10.0.2.15     7     0     0
func parseUsernet(out, proto string, guestPort int) (int, error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != strings.ToUpper(proto)+"[HOST_FORWARD]" || f[5] != strconv.Itoa(guestPort) {
			continue
		}
		return strconv.Atoi(f[3])
	}
	return 0, fmt.Errorf("qemu: no %s port is forwarded to %d in:\n%s", proto, guestPort, out)
}

// complete fills in the defaults and checks what can be checked before a start.
func (cfg Config) complete() (Config, error) {
	if n, err := strconv.Atoi(os.Getenv("BAREWIRE_SMP")); err == nil && cfg.CPUs == 0 {
		cfg.CPUs = n
	}
	if cfg.Machine == "" {
		cfg.Machine = Microvm
	}
	if cfg.Kernel == "" {
		return cfg, errors.New("qemu: no image")
	}
	if _, err := os.Stat(cfg.Kernel); err != nil {
		return cfg, fmt.Errorf("qemu: no image: %w", err)
	}
	if cfg.Binary == "" {
		binary, err := vm.FindQEMU()
		if err != nil {
			return cfg, err
		}
		cfg.Binary = binary
	}
	for i, nic := range cfg.NICs {
		if nic.Backend == nil {
			return cfg, fmt.Errorf("qemu: card %d has no backend", i)
		}
		if strings.ContainsAny(nic.MAC, ", ") {
			return cfg, fmt.Errorf("qemu: card %d: bad MAC %q", i, nic.MAC)
		}
	}
	return cfg, nil
}

func (cfg Config) closeBackends() {
	for _, nic := range cfg.NICs {
		if nic.Backend != nil {
			nic.Backend.close()
		}
	}
}

// An argBuilder makes the argument list and gathers the files QEMU inherits.
type argBuilder struct {
	args  []string
	files []*os.File // become descriptors 3, 4, … in QEMU
	own   []*os.File // those of them that are ours to close
	nics  []string
}

// file notes a file to inherit and returns its descriptor number in QEMU.
func (b *argBuilder) file(f *os.File) int {
	b.files = append(b.files, f)
	return 2 + len(b.files)
}

// socketPair adds a character device with one end of a new socket pair behind
// it and returns the other end. A pair needs no path, so it leaves nothing in
// the file system and cannot meet another run's.
func (b *argBuilder) socketPair(id string) (*os.File, error) {
	here, there, err := socketPair(syscall.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	b.own = append(b.own, there)
	b.args = append(b.args, "-chardev", fmt.Sprintf("socket,id=%s,fd=%d", id, b.file(there)))
	return here, nil
}

// close closes our copies of what QEMU has inherited.
func (b *argBuilder) close() {
	for _, f := range b.own {
		f.Close()
	}
	b.own = nil
}

// build returns QEMU's arguments for a completed configuration: those of
// [vm.Config], with the console, the control socket and the captures of the
// harness.
func (b *argBuilder) build(cfg Config) ([]string, error) {
	c := vm.Config{
		Machine: cfg.Machine, Accel: cfg.Accel, Kernel: cfg.Kernel, Append: cfg.Append, Initrd: cfg.Initrd,
		MemoryMiB: cfg.Memory, CPUs: cfg.CPUs, Serial: "chardev:console",
		Extra: append(b.args, "-mon", "chardev=qmp,mode=control"),
	}
	for i, nic := range cfg.NICs {
		id := fmt.Sprintf("net%d", i)
		backend, err := nic.Backend.netdev(b.file)
		if err != nil {
			return nil, err
		}
		b.nics = append(b.nics, id)
		mac := nic.MAC
		if mac == "" {
			mac = MAC{0x52, 0x54, 0, 0x12, 0x34, byte(0x56 + i)}.String()
		}
		n := vm.NIC{Backend: backend, MAC: mac}
		if nic.Props != "" {
			n.Options = []string{nic.Props}
		}
		c.NICs = append(c.NICs, n)
	}
	args, err := c.Args()
	if err != nil {
		return nil, err
	}
	for i, id := range b.nics {
		if cfg.Dir == "" || cfg.NICs[i].NoPcap {
			continue
		}
		file := filepath.Join(cfg.Dir, id+".pcap")
		if strings.Contains(file, ",") {
			return nil, errors.New("qemu: the artifacts folder has a comma in its name")
		}
		args = append(args, "-object", fmt.Sprintf("filter-dump,id=dump%d,netdev=%s,file=%s,maxlen=256", i, id, file))
	}
	if cfg.NoExitDevice {
		for i, a := range args {
			if strings.HasPrefix(a, "isa-debug-exit,") {
				args = slices.Delete(args, i-1, i+1)
				break
			}
		}
	}
	return append(args, cfg.Extra...), nil
}

// socketPair returns the two ends of a new Unix socket pair. The first is
// non-blocking, for Go's poller; neither survives an exec unless passed on.
func socketPair(kind int) (here, there *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, kind|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("qemu: socketpair: %w", err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "here"), os.NewFile(uintptr(fds[1]), "there"), nil
}
