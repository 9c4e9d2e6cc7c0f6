package vm

import "syscall"

// Requests of the KVM API (Linux Documentation/virt/kvm/api.rst).
const (
	kvmGetAPIVersion = 0xae00
	kvmCreateVM      = 0xae01
	kvmCreateVCPU    = 0xae41
	kvmAPIVersion    = 12
)

// KVMUsable tells whether a virtual machine can really be made with KVM: the device node alone proves nothing in a
// container or a guest without nested virtualisation.
func KVMUsable() bool { return kvmError() == nil }

// kvmError returns why KVM cannot be used, nil if it can.
func kvmError() error {
	ioctl := func(fd int, request, arg uintptr) (int, error) {
		r, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, arg)
		if errno != 0 {
			return -1, errno
		}
		return int(r), nil
	}
	dev, err := syscall.Open("/dev/kvm", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(dev)
	if v, err := ioctl(dev, kvmGetAPIVersion, 0); err != nil {
		return err
	} else if v != kvmAPIVersion {
		return syscall.ENOTSUP
	}
	machine, err := ioctl(dev, kvmCreateVM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(machine)
	cpu, err := ioctl(machine, kvmCreateVCPU, 0)
	if err != nil {
		return err
	}
	return syscall.Close(cpu)
}

// KVMStatus says in a few words whether KVM can be used, and why not.
func KVMStatus() string {
	if err := kvmError(); err != nil {
		return "no (" + err.Error() + "); images run under QEMU's translator, which is slower"
	}
	return "yes"
}
