package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// KVMUsable tells whether QEMU can really run a guest with KVM. The device node alone proves nothing, nor does making an
// empty machine: in containers, in guests with partial nested virtualisation and on hosts that refuse some
// registers QEMU fails later, and there are KVMs that emulate every instruction, far slower than QEMU's translator. So a
// guest of a few instructions with a loop in it is booted and timed, once per process (about 0.2 s where KVM is good).
func KVMUsable() bool {
	_, err := kvmProbe()
	return err == nil
}

// KVMStatus says in a few words whether KVM can be used, and why not.
func KVMStatus() string {
	cpu, err := kvmProbe()
	if err != nil {
		return "no (" + err.Error() + "): images run under QEMU's translator, which is slower"
	}
	return "yes, with -cpu " + cpu
}

// kvmCPUs are the -cpu values tried with KVM. Some nested hosts offer the ARCH_CAPABILITIES register and then refuse
// to set it, on which QEMU aborts.
var kvmCPUs = []string{"host", "host,arch-capabilities=off"}

// kvmProbe returns the -cpu value with which KVM runs a guest. The answer does not change while a process lives.
var kvmProbe = sync.OnceValues(func() (string, error) {
	dev, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	dev.Close()
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil && !hardwareVirt.Match(info) {
		return "", errors.New("the CPU offers neither VMX nor SVM, so /dev/kvm only emulates")
	}
	qemu, err := FindQEMU()
	if err != nil {
		return "", err
	}
	for _, cpu := range kvmCPUs {
		if err = probe(qemu, AccelKVM, cpu, probeLimit); err == nil {
			return cpu, nil
		}
	}
	return "", err
})

// hardwareVirt matches the flag of /proc/cpuinfo without which KVM has no hardware to use.
var hardwareVirt = regexp.MustCompile(`(?m)^flags\s*:.*\b(vmx|svm)\b`)

// How long the probe guest may take. QEMU's start and the loop take some 0.1 s with hardware, a loop of 2^25 turns in an
// emulating KVM takes seconds.
const probeLimit = time.Second

// probeStatus is the guest status of the probe image.
const probeStatus = 42

// probe boots the probe image with the given accelerator and CPU on both machines and wants its status back.
func probe(qemu, accel, cpu string, limit time.Duration) error {
	image, err := os.CreateTemp("", "barewire-probe-*.elf")
	if err != nil {
		return err
	}
	defer os.Remove(image.Name())
	_, err = image.Write(probeImage())
	if cerr := image.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, machine := range []string{Microvm, Q35} {
		c := Config{Machine: machine, Kernel: image.Name(), Serial: "null", MemoryMiB: 32}
		args, err := c.argsFor(accel, cpu)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		cmd := exec.CommandContext(ctx, qemu, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err = cmd.Run()
		late := ctx.Err() != nil
		cancel()
		if late {
			return fmt.Errorf("a %s guest of a few instructions was not done in %v", machine, limit)
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if got, ok := GuestStatus(exit.ExitCode()); ok && got == probeStatus {
				continue
			}
		}
		line, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("a %s guest failed: %v %s", machine, err, strings.TrimPrefix(line, "qemu-system-x86_64: "))
	}
	return nil
}

// probeImage is a PVH image that only reports probeStatus: an ELF header, two program headers, the PVH note, the code.
func probeImage() []byte {
	const (
		base  = 0x100000 // 1 MiB, above everything a PC keeps below
		phoff = 64
		note  = phoff + 2*56
		entry = note + 24
	)
	code := []byte{
		0xb9, 0, 0, 0, 2, // mov $1<<25, %ecx
		0x49,       // dec %ecx
		0x75, 0xfd, // jnz to the dec
		0xba, 0xf4, 0, 0, 0, // mov $0xf4, %edx
		0xb0, probeStatus, // mov $probeStatus, %al
		0xee,       // out %al, %dx
		0xf4,       // hlt
		0xeb, 0xfd, // jmp to the hlt
	}
	size := uint64(entry + len(code))
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.LittleEndian, v) // to memory: cannot fail
		}
	}
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	put(uint16(2), uint16(62), uint32(1), uint64(base+entry), uint64(phoff), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(2), uint16(64), uint16(0), uint16(0))
	put(uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000))
	put(uint32(4), uint32(4), uint64(note), uint64(base+note), uint64(base+note), uint64(24), uint64(24), uint64(4))
	put(uint32(4), uint32(8), uint32(18), []byte("Xen\x00"), uint64(base+entry))
	b.Write(code)
	return b.Bytes()
}
