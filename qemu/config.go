package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The machines an image is tested on.
const (
	Microvm = "microvm" // virtio over MMIO, PVH start, no PCI
	Q35     = "q35"     // virtio over PCI with MSI-X
)

// A Config says what to launch. The zero value of every field but Kernel is
// usable.
type Config struct {
	Machine string   // Microvm when empty
	Kernel  string   // path of the image; empty launches a machine with none
	Append  string   // kernel command line
	Memory  int      // MiB; 128 when 0
	CPUs    int      // 1 when 0
	NICs    []NIC    // network cards, eth0 first
	Accel   string   // "tcg" or "kvm"; chosen when empty
	Dir     string   // artifacts of the run; none are kept when empty
	Binary  string   // qemu-system-x86_64 when empty
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
	// netdev returns the value of a -netdev option with the given id. Files
	// that QEMU shall inherit are passed to file, which returns their number
	// in QEMU.
	netdev(id string, file func(*os.File) int) (string, error)
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

func (u User) netdev(id string, _ func(*os.File) int) (string, error) {
	v := "user,id=" + id
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
func (vm *VM) HostPort(proto string, guestPort int) (int, error) {
	q, err := vm.QMP()
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
	if cfg.Machine == "" {
		cfg.Machine = Microvm
	}
	if cfg.Memory == 0 {
		cfg.Memory = 128
	}
	if cfg.CPUs == 0 {
		cfg.CPUs = 1
	}
	if cfg.Binary == "" {
		cfg.Binary = "qemu-system-x86_64"
	}
	if cfg.Machine != Microvm && cfg.Machine != Q35 {
		return cfg, fmt.Errorf("qemu: unknown machine %q", cfg.Machine)
	}
	if cfg.Accel == "" {
		cfg.Accel = Accelerator()
	}
	if cfg.Kernel != "" {
		if _, err := os.Stat(cfg.Kernel); err != nil {
			return cfg, fmt.Errorf("qemu: no image: %w", err)
		}
	}
	if _, err := exec.LookPath(cfg.Binary); err != nil {
		return cfg, fmt.Errorf("qemu: %w (Debian: apt-get install qemu-system-x86)", err)
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

// build returns QEMU's arguments for a completed configuration.
func (b *argBuilder) build(cfg Config) ([]string, error) {
	machine, device := cfg.machineArgs()
	args := append([]string{}, machine...)
	args = append(args,
		"-m", strconv.Itoa(cfg.Memory), "-smp", strconv.Itoa(cfg.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")
	args = append(args, b.args...)
	args = append(args, "-serial", "chardev:console", "-mon", "chardev=qmp,mode=control")
	if !cfg.NoExitDevice {
		args = append(args, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
	}
	for i, nic := range cfg.NICs {
		id := fmt.Sprintf("net%d", i)
		netdev, err := nic.Backend.netdev(id, b.file)
		if err != nil {
			return nil, err
		}
		b.nics = append(b.nics, id)
		mac := nic.MAC
		if mac == "" {
			mac = MAC{0x52, 0x54, 0, 0x12, 0x34, byte(0x56 + i)}.String()
		}
		dev := fmt.Sprintf("%s,netdev=%s,mac=%s", device, id, mac)
		if nic.Props != "" {
			dev += "," + nic.Props
		}
		args = append(args, "-netdev", netdev, "-device", dev)
		if cfg.Dir != "" && !nic.NoPcap {
			file := filepath.Join(cfg.Dir, id+".pcap")
			if strings.Contains(file, ",") {
				return nil, errors.New("qemu: the artifacts folder has a comma in its name")
			}
			args = append(args, "-object", fmt.Sprintf("filter-dump,id=dump%d,netdev=%s,file=%s,maxlen=256", i, id, file))
		}
	}
	if cfg.Kernel != "" {
		args = append(args, "-kernel", cfg.Kernel)
		if cfg.Append != "" {
			args = append(args, "-append", cfg.Append)
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
