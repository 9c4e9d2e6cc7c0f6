package qemu

// machineArgs returns the arguments that choose and describe the machine, and
// the name of its virtio network device.
func (cfg Config) machineArgs() (args []string, netDevice string) {
	if cfg.Machine == Q35 {
		return []string{"-machine", "q35,accel=" + cfg.Accel, "-cpu", "max"},
			"virtio-net-pci,disable-legacy=on"
	}
	return []string{"-machine", "microvm,accel=" + cfg.Accel, "-cpu", "max",
		"-global", "virtio-mmio.force-legacy=false"}, "virtio-net-device"
}

// Accelerator returns "kvm" or "tcg".
func Accelerator() string { return "tcg" }
