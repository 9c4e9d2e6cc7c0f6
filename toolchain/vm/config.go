package vm

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Machines an image boots on.
const (
	Microvm = "microvm" // virtio over MMIO, no PCI; boots fastest
	Q35     = "q35"     // PCI Express, virtio over PCI with MSI-X
)

// What an accelerator is called in Config.Accel.
const (
	AccelAuto = ""    // KVM where it truly works, else TCG
	AccelKVM  = "kvm" // hardware
	AccelTCG  = "tcg" // QEMU's translator
)

// A NIC is one virtio-net device.
type NIC struct {
	// Backend is a -netdev value without its id: "user,hostfwd=udp:127.0.0.1:7000-:7", "tap,ifname=tap0,script=no,downscript=no",
	// "dgram,local.type=unix,...".
	Backend string
	// MAC is the Ethernet address, "" for QEMU's default.
	MAC string
	// Options are further properties of the virtio-net device, such as "mq=on" or "mrg_rxbuf=off".
	Options []string
}

// Config describes one virtual machine.
type Config struct {
	QEMU      string   // path of the binary, "" for FindQEMU's answer (Command only)
	Machine   string   // Microvm (also for "") or Q35, optionally with machine properties after a comma
	Accel     string   // AccelAuto, AccelKVM or AccelTCG
	CPU       string   // -cpu value, "" for "host" with KVM and "max" with TCG
	Kernel    string   // the image; required
	Initrd    string   // first PVH module, "" for none
	Append    string   // kernel command line: kernel parameters, " -- ", program arguments
	MemoryMiB int      // RAM, 0 for DefaultMemoryMiB
	CPUs      int      // virtual CPUs, 0 for 1
	Serial    string   // -serial value for the console, "" for "stdio"
	QMP       string   // -qmp value such as "unix:/path,server=on,wait=off", "" for none
	GDB       bool     // listen for gdb on port 1234 and wait for it
	NICs      []NIC    // virtio-net devices, eth0 first
	Extra     []string // further arguments, last
}

// DefaultMemoryMiB is the RAM of a machine for which none is asked.
const DefaultMemoryMiB = 256

// machineOptions are properties an image wants of each machine. microvm has no RTC unless asked, and the wall clock comes
// from it; its option ROMs are for firmware boot, which PVH skips.
var machineOptions = map[string]string{
	Microvm: "rtc=on,x-option-roms=off",
	Q35:     "",
}

// Args checks c and returns QEMU's arguments.
func (c Config) Args() ([]string, error) {
	accel, cpu, err := c.accelerator()
	if err != nil {
		return nil, err
	}
	return c.argsFor(accel, cpu)
}

func (c Config) argsFor(accel, cpu string) ([]string, error) {
	machine, more, _ := strings.Cut(c.Machine, ",")
	if machine == "" {
		machine = Microvm
	}
	options, ok := machineOptions[machine]
	if !ok {
		return nil, fmt.Errorf("no such machine: %q (an image boots on %s and %s)", machine, Microvm, Q35)
	}
	if c.Kernel == "" {
		return nil, errors.New("no image to boot")
	}
	if c.MemoryMiB < 0 || c.CPUs < 0 {
		return nil, fmt.Errorf("a machine with %d MiB and %d CPUs makes no sense", c.MemoryMiB, c.CPUs)
	}
	for _, o := range []string{options, more} {
		if o != "" {
			machine += "," + o
		}
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", machine, "-accel", accel, "-cpu", cpu,
		"-m", strconv.Itoa(cmp.Or(c.MemoryMiB, DefaultMemoryMiB)), "-smp", strconv.Itoa(cmp.Or(c.CPUs, 1)),
		"-kernel", c.Kernel,
		// virtio-mmio slots are legacy by default; an image speaks virtio 1.2 only.
		"-global", "virtio-mmio.force-legacy=false",
		// How the exit status leaves the guest.
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
	}
	if c.Append != "" {
		args = append(args, "-append", c.Append)
	}
	if c.Initrd != "" {
		args = append(args, "-initrd", c.Initrd)
	}
	args = append(args, "-serial", cmp.Or(c.Serial, "stdio"))
	if c.QMP != "" {
		args = append(args, "-qmp", c.QMP)
	}
	if c.GDB {
		args = append(args, "-s", "-S")
	}
	for i, n := range c.NICs {
		kind, rest, _ := strings.Cut(n.Backend, ",")
		if kind == "" {
			return nil, fmt.Errorf("NIC %d has no backend", i)
		}
		id := fmt.Sprintf("net%d", i)
		backend := kind + ",id=" + id
		if rest != "" {
			backend += "," + rest
		}
		device := "virtio-net-device"
		if strings.HasPrefix(machine, Q35) {
			device = "virtio-net-pci,disable-legacy=on"
		} else if len(c.NICs) > 1 {
			// QEMU fills the slots from the last, and an image numbers its cards from the first.
			device += fmt.Sprintf(",bus=virtio-mmio-bus.%d", i)
		}
		device += ",netdev=" + id
		if n.MAC != "" {
			device += ",mac=" + n.MAC
		}
		for _, o := range n.Options {
			device += "," + o
		}
		args = append(args, "-netdev", backend, "-device", device)
	}
	return append(args, c.Extra...), nil
}

// accelerator returns the -accel and -cpu values.
func (c Config) accelerator() (accel, cpu string, err error) {
	switch accel, cpu = c.Accel, c.CPU; accel {
	case AccelAuto:
		kvm, err := kvmProbe()
		if err != nil {
			return AccelTCG, cmp.Or(cpu, "max"), nil
		}
		return AccelKVM, cmp.Or(cpu, kvm), nil
	case AccelKVM:
		return accel, cmp.Or(cpu, "host"), nil
	case AccelTCG:
		return accel, cmp.Or(cpu, "max"), nil
	}
	return "", "", fmt.Errorf("no such accelerator: %q (%s or %s)", accel, AccelKVM, AccelTCG)
}

// Command returns the command that runs c, with the standard streams unset. On Linux the kernel ends QEMU when this process
// dies, however it dies.
func (c Config) Command() (*exec.Cmd, error) {
	args, err := c.Args()
	if err != nil {
		return nil, err
	}
	qemu := c.QEMU
	if qemu == "" {
		if qemu, err = FindQEMU(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(qemu, args...)
	dieWithParent(cmd)
	return cmd, nil
}

// FindQEMU returns the path of qemu-system-x86_64: $BAREWIRE_QEMU if set, else from PATH.
func FindQEMU() (string, error) {
	name := "qemu-system-x86_64"
	if v := os.Getenv("BAREWIRE_QEMU"); v != "" {
		name = v
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("QEMU is missing (%s is not in PATH): install it, on Debian or Ubuntu with \"apt-get install qemu-system-x86\"", name)
	}
	return path, nil
}

// GuestStatus decodes the exit status of a QEMU process: QEMU's isa-debug-exit turns the byte v that the guest writes
// into (v<<1)|1, so odd statuses come from the guest. ok is false when the guest did not report a status: QEMU itself failed
// (1 is ambiguous: QEMU's own errors share it with guest status 0), or was killed. 0 is ok too: the guest powered off. A
// guest that knows the device reports its end through it, so with such a one 0 means a reset that nobody asked for, or
// that QEMU was told to end.
func GuestStatus(qemu int) (status int, ok bool) {
	switch {
	case qemu == 0:
		return 0, true
	case qemu > 0 && qemu&1 == 1:
		return qemu >> 1, true
	}
	return 0, false
}
